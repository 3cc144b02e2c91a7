//! The whole replicated store in one thread under a seed.
//!
//! Time is tokio's paused clock: it jumps to the next timer when nobody has anything to do. The
//! network (`net.rs`, `socket.rs`), the disks (`disk.rs`) and the members' clocks are the store's
//! own traits; what would be done by threads is done by tasks (`store::Work::Paced`); randomness is
//! the operating system's, replaced (`entropy.rs`). `cluster.rs` starts and kills members;
//! `clients.rs` and `watchers.rs` use them; `observe.rs` writes down what they say; `nemesis.rs`
//! breaks them; `run.rs` is one run; `batch.rs` runs many seeds, each in a process of its own, so
//! that nothing of one run can reach the next.

/// Simulated seconds of a run, when nothing else is said.
pub const SECONDS: u64 = 60;

pub mod batch;
pub mod clients;
pub mod cluster;
pub mod dice;
pub mod disk;
pub mod entropy;
pub mod nemesis;
pub mod net;
pub mod observe;
pub mod process;
pub mod run;
mod socket;
pub mod watchers;
pub mod world;
