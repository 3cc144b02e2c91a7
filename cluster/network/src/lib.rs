//! The pod network of one node: addresses and links of pods, routes to the other nodes, the service
//! proxy and the cluster DNS.
//!
//! What it owns: the node's pod addresses (one lease file per pod under the state directory), the
//! links and routes it makes, one nftables table, and the cluster DNS address on `lo`.
//!
//! Invariants:
//! - everything happens only in the network namespace in which [`start`] was called; a tokio worker never
//!   enters another one (threads of their own do, see `netns.rs`);
//! - what is in the kernel is a function of the caches and the leases: after a restart it is repaired, not
//!   assumed, and running pods keep their addresses;
//! - deciding is pure (Services to frontends, frontends to deltas, Nodes to peers, questions to answers); only
//!   the runners speak netlink.
//!
//! IPv4 only so far.
//!
//! Map:
//! - `pod_network.rs` the contract with the agent
//! - `node.rs` puts the parts together; `runner.rs` the loops that follow the caches
//! - `pods/` address leases and veth pairs; `overlay/` VXLAN between nodes
//! - `proxy/` Services in nftables; `dns/` the cluster DNS; `metrics.rs` of both
//! - `kernel.rs` links, addresses, routes; `netns.rs` work in other namespaces
//! - `nft/` an encoder for nf_tables; `netlink/` messages and the socket under it

mod dns;
mod kernel;
mod metrics;
pub mod nat;
mod netlink;
mod netns;
mod nft;
mod node;
mod overlay;
mod pod_network;
mod pods;
mod proxy;
mod runner;

pub use kernel::KernelError;
pub use netlink::RequestError;
pub use node::{cleanup, start};
pub use pod_network::{
    DnsSettings, HostPort, NetworkConfig, NetworkError, PodAddress, PodNetwork, PodRef, Protocol,
};
pub use proxy::SyncError;
