//! Between nodes: one VXLAN link, and for every other node a route, a neighbour and a forwarding entry.
//!
//! All three are functions of a Node object: pod CIDR 10.244.7.0/24 of the node 192.0.2.7 is reached through its
//! end 10.244.7.0, whose link address is made from that address, behind 192.0.2.7. Nothing is learned, nothing is
//! asked for, nothing but the Node needs to be published.
//! - `plan.rs` pure: Nodes -> peers
//! - `link.rs` the link, and the peers in the kernel

mod link;
mod plan;

pub use link::{Overlay, OverlayConfig, remove};
pub use plan::{Peers, own_pod_cidr, peer};
