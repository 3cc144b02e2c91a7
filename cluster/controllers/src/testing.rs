//! Objects for the tests of plans.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::Arc;

/// The moment at which the objects of tests came to be.
pub(crate) const START: &str = "2026-01-01T00:00:00Z";

/// So many seconds after [`START`].
pub(crate) fn at(seconds: i64) -> Timestamp {
    START.parse::<Timestamp>().expect("a time") + SignedDuration::from_secs(seconds)
}

/// Any object from its JSON.
pub(crate) fn object<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).expect("a valid object")
}

/// A running pod `ns/NAME`. `has` may say `owner` (a uid), `kind` (the owner's), `labels`, `node`,
/// `phase`, `ready`, `deleting`, `cost`, `ip`, `ports`, `spec`.
pub(crate) fn pod(name: &str, has: Value) -> Arc<Pod> {
    let mut meta =
        json!({ "name": name, "namespace": "ns", "uid": format!("{name}-uid"), "creationTimestamp": START });
    meta["labels"] = has.get("labels").cloned().unwrap_or(json!({ "app": "web" }));
    if let Some(owner) = has.get("owner") {
        let kind = has.get("kind").cloned().unwrap_or(json!("ReplicaSet"));
        meta["ownerReferences"] = json!([{ "apiVersion": "apps/v1", "kind": kind, "name": "web", "uid": owner, "controller": true }]);
    }
    if has.get("deleting").is_some() {
        meta["deletionTimestamp"] = json!(START);
    }
    if let Some(cost) = has.get("cost") {
        meta["annotations"] = json!({ "controller.kubernetes.io/pod-deletion-cost": cost });
    }
    let mut spec = has.get("spec").cloned().unwrap_or(json!({ "containers": [] }));
    if let Some(node) = has.get("node") {
        spec["nodeName"] = node.clone();
    }
    let ready = if has.get("ready").is_some() { "True" } else { "False" };
    let mut status = json!({
        "phase": has.get("phase").cloned().unwrap_or(json!("Running")),
        "conditions": [{ "type": "Ready", "status": ready, "lastTransitionTime": START }],
    });
    if let Some(ip) = has.get("ip") {
        status["podIP"] = ip.clone();
        status["podIPs"] = json!([{ "ip": ip }]);
    }
    Arc::new(object(json!({ "metadata": meta, "spec": spec, "status": status })))
}
