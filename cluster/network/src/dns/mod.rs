//! The cluster DNS, served on every node from what the node knows anyway.
//!
//! Specification: Kubernetes DNS-Based Service Discovery 1.1.0; where it is silent, the answers of CoreDNS.
//! - `entry.rs` pure: one Service and its slices -> names and addresses
//! - `zone.rs` pure: all entries; a question -> an answer
//! - `upstream.rs` asks others about names outside the cluster
//! - `server.rs` the sockets

mod entry;
mod server;
mod upstream;
mod zone;

pub use entry::entry;
pub use server::{DnsServer, DnsServerConfig};
pub use zone::{Zone, ZoneConfig};

#[cfg(test)]
mod tests;
