//! Pods: their addresses and links.
//!
//! - `lease.rs` which pod has which address, on disk
//! - `link.rs` the veth pair between node and pod

mod lease;
mod link;

pub use lease::{Lease, Leases};
pub use link::{LinkPlan, attach, detach, remove_all};
