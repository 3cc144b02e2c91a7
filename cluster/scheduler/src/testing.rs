//! Objects for the tests of decisions.

use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, json};
use std::sync::Arc;

/// A node with 4 CPUs, 8 GiB and 110 pods. `has` may say `labels`, `taints`, `unschedulable`,
/// `cpu`, `pods`, `images`.
pub(crate) fn node(name: &str, has: Value) -> Arc<Node> {
    let mut labels = has.get("labels").cloned().unwrap_or(json!({}));
    labels["kubernetes.io/hostname"] = json!(name);
    let get = |key: &str, default: Value| has.get(key).cloned().unwrap_or(default);
    let value = json!({
        "metadata": { "name": name, "labels": labels },
        "spec": { "taints": get("taints", json!([])), "unschedulable": get("unschedulable", json!(false)) },
        "status": {
            "allocatable": { "cpu": get("cpu", json!("4")), "memory": "8Gi", "pods": get("pods", json!("110")) },
            "images": get("images", json!([])),
        },
    });
    Arc::new(serde_json::from_value(value).expect("a valid node"))
}

/// A pod `ns/NAME`. `has` may say `cpu`, `owner` (a uid), `labels`, `ports`, `priority`, and
/// anything of a spec under `spec`.
pub(crate) fn pod(name: &str, has: Value) -> Arc<Pod> {
    let get = |key: &str, default: Value| has.get(key).cloned().unwrap_or(default);
    let mut spec = get("spec", json!({}));
    let requests = has.get("cpu").map(|cpu| json!({ "cpu": cpu })).unwrap_or(json!({}));
    spec["containers"] = json!([{ "name": "c", "image": "i", "ports": get("ports", json!([])), "resources": { "requests": requests } }]);
    spec["priority"] = get("priority", json!(0));
    let mut metadata = json!({ "name": name, "namespace": "ns", "uid": format!("{name}-uid"),
        "labels": get("labels", json!({})) });
    if let Some(owner) = has.get("owner") {
        metadata["ownerReferences"] = json!([{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "o", "uid": owner, "controller": true }]);
    }
    Arc::new(serde_json::from_value(json!({ "metadata": metadata, "spec": spec })).expect("a valid pod"))
}
