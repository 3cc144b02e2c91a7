//! What is done about nodes: addresses for their pods, noticing their death, moving their pods.

pub(crate) mod eviction;
pub(crate) mod heartbeats;
pub(crate) mod ipam;
pub(crate) mod lifecycle;
mod taints;

/// Whether the node says that it is ready.
pub(crate) fn is_ready(node: &k8s_openapi::api::core::v1::Node) -> bool {
    taints::condition(node, "Ready") == Some("True")
}
