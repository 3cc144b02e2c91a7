//! The service proxy: from Services and EndpointSlices to one nftables table.
//!
//! - `service.rs` pure: one Service and its slices -> the frontends it has and where each leads
//! - `state.rs` pure: all frontends, and what a change of one owner means for the kernel
//! - `ruleset.rs` the table: its fixed chains, and how a delta becomes a batch
//! - `conntrack.rs` forgets UDP flows to endpoints that are gone
//! - `sync.rs` the one that talks to the kernel
//!
//! The table has no chain per service. A frontend (address, protocol, port) is an element of a verdict map
//! that leads to the balancing chain for its *number* of endpoints; that chain draws a number and finds the
//! endpoint in one map of (frontend, number). So a change costs the elements that differ, whatever else there is.

mod conntrack;
mod ruleset;
mod service;
mod state;
mod sync;

pub use ruleset::RulesetConfig;
pub use service::{Placement, host_port_rules, service_rules};
pub use state::Owner;
pub use sync::{Change, Proxy, SyncError, remove_table};

#[cfg(test)]
mod tests;
