//! Proof that the store keeps its contract: a simulator that runs whole clusters under a seed, and
//! invariants that judge what was recorded, wherever it was recorded.
//!
//! | folder | what |
//! |---|---|
//! | `history.rs` | what is recorded of a run: one JSON record per line |
//! | `invariants/` | what must hold in every history, one file each |
//! | `sim/` | a cluster of real stores in one thread, on simulated time, network and disks |
//! | `live/` | a cluster of real processes under faults, while clients of its API work |

pub mod history;
pub mod invariants;
pub mod live;
pub mod sim;
