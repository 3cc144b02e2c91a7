//! An encoder for nf_tables: typed expressions and verdicts in, one atomic batch of netlink messages out.
//!
//! Only what this crate needs of nf_tables, for the `ip` family (IPv4).
//! - `numbers.rs` the kernel's numbers
//! - `expression.rs` what a rule is made of
//! - `batch.rs` tables, chains, rules, sets and their elements; all or nothing

mod batch;
mod expression;
mod numbers;

pub use batch::{Batch, Element, Hook, Part, SetKind, Value};
pub use expression::{Comparison, DynsetOp, Expression, FibSide, Field, Register, Verdict};

#[cfg(test)]
mod tests;
