//! The taints that say what is wrong with a node.

use crate::objects::time;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Taint};

pub(crate) const NOT_READY: &str = "node.kubernetes.io/not-ready";
pub(crate) const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
/// Conditions that keep new pods away, with the taints that do it.
const PRESSURES: [(&str, &str); 4] = [
    ("MemoryPressure", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "node.kubernetes.io/pid-pressure"),
    ("NetworkUnavailable", "node.kubernetes.io/network-unavailable"),
];
const NO_SCHEDULE: &str = "NoSchedule";
const NO_EXECUTE: &str = "NoExecute";

/// The status of one condition of the node.
pub(crate) fn condition<'a>(node: &'a Node, kind: &str) -> Option<&'a str> {
    let conditions = node.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|c| c.type_ == kind).map(|c| c.status.as_str())
}

/// The taints that the node should have: those of others, and those that follow from its state.
/// With `ready` as the condition Ready says, or is about to; pods are only driven away when
/// `elsewhere` is a place for them.
pub(crate) fn wanted(node: &Node, ready: &str, elsewhere: bool, now: Timestamp) -> Vec<Taint> {
    let found = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
    let cause = match ready {
        "True" => None,
        "False" => Some(NOT_READY),
        _ => Some(UNREACHABLE),
    };
    let mut ours: Vec<(&str, &str)> = cause.into_iter().map(|key| (key, NO_SCHEDULE)).collect();
    ours.extend(cause.filter(|key| elsewhere || *key == NOT_READY).map(|key| (key, NO_EXECUTE)));
    ours.extend(
        PRESSURES
            .iter()
            .filter(|(kind, _)| condition(node, kind) == Some("True"))
            .map(|(_, key)| (*key, NO_SCHEDULE)),
    );
    if node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or(false) {
        ours.push((UNSCHEDULABLE, NO_SCHEDULE));
    }
    let is_ours =
        |taint: &Taint| ours.iter().any(|(key, effect)| taint.key == *key && taint.effect == *effect);
    let mut taints: Vec<Taint> =
        found.iter().filter(|taint| !is_managed(taint) || is_ours(taint)).cloned().collect();
    for (key, effect) in ours {
        if !taints.iter().any(|taint| taint.key == key && taint.effect == effect) {
            taints.push(Taint {
                key: key.into(),
                effect: effect.into(),
                time_added: time(now),
                ..Taint::default()
            });
        }
    }
    taints
}

fn is_managed(taint: &Taint) -> bool {
    let ready = matches!(taint.key.as_str(), NOT_READY | UNREACHABLE);
    let pressure = taint.key == UNSCHEDULABLE || PRESSURES.iter().any(|(_, key)| taint.key == *key);
    (ready && matches!(taint.effect.as_str(), NO_SCHEDULE | NO_EXECUTE))
        || (pressure && taint.effect == NO_SCHEDULE)
}
