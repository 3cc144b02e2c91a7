//! Which pods are missed least when there are too many.

use crate::{
    objects::{annotation, created, uid},
    pods::{is_ready, node_name, phase, ready_since, restarts},
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use std::{cmp::Reverse, collections::HashMap, sync::Arc};

/// The annotation with which users say what the deletion of a pod costs.
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// `pods`, the one to delete first at the front. In this order count: not bound before bound;
/// Pending, Unknown, Running; not ready before ready; the cheaper; the one whose node has more
/// `related` pods; the one that was ready, or made, more recently (in powers of two, so that it is
/// not always the youngest); the one that restarted more often.
pub(crate) fn rank(pods: &[Arc<Pod>], related: &[Arc<Pod>], now: Timestamp) -> Vec<Arc<Pod>> {
    let mut crowd: HashMap<&str, usize> = HashMap::new();
    for pod in related.iter().filter(|pod| crate::pods::is_active(pod)) {
        if let Some(node) = node_name(pod) {
            *crowd.entry(node).or_default() += 1;
        }
    }
    let mut ranked = pods.to_vec();
    ranked.sort_by_cached_key(|pod| {
        let cost = annotation(&pod.metadata, DELETION_COST).and_then(|c| c.parse::<i32>().ok()).unwrap_or(0);
        let neighbours = node_name(pod).and_then(|node| crowd.get(node)).copied().unwrap_or(0);
        (
            (node_name(pod).is_some(), phase_rank(pod), is_ready(pod), cost),
            Reverse(neighbours),
            (ready_since(pod).map(|since| age_class(since, now)), Reverse(restarts(pod))),
            (age_class(created(&pod.metadata), now), uid(&pod.metadata).to_owned()),
        )
    });
    ranked
}

fn phase_rank(pod: &Pod) -> u8 {
    match phase(pod) {
        "Pending" => 0,
        "Unknown" => 1,
        _ => 2,
    }
}

/// The binary logarithm of the age in seconds.
fn age_class(since: Timestamp, now: Timestamp) -> u32 {
    now.duration_since(since).as_secs().max(0).checked_ilog2().map_or(0, |log| log + 1)
}
