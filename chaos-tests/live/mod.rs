//! Real processes in network namespaces under faults, while clients of the real API work; the
//! invariants judge what they saw.
//!
//! `plan.rs` says from a seed which fault comes when; `cluster.rs` makes a cluster with the program
//! itself and knows its processes, links and disks; `inject.rs` breaks and heals them. The workload
//! (`workload.rs`, `clients.rs`, `watchers.rs`) speaks HTTPS (`wire.rs`) to single servers, in the
//! language of the API (`objects.rs`), and writes down what it sees (`recorder.rs`). `run.rs` is one
//! run, `summary.rs` its numbers, `stop.rs` its early end.
//!
//! The order of faults and calls comes from the seed; when they meet does not: these are real
//! processes.

mod clients;
mod cluster;
mod inject;
mod objects;
pub mod plan;
mod recorder;
pub mod run;
mod stop;
pub mod summary;
mod watchers;
mod wire;
mod workload;
