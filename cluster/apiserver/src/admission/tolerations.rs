//! DefaultTolerationSeconds: how long a pod stays on a node that is not ready or not reachable.

use serde_json::{Value, json};

/// A node is found unreachable after 5 s; after 5 s more its pods are replaced. Kubernetes waits
/// 300 s; a pod that should wait longer says so itself.
const SECONDS: u32 = 5;

const TAINTS: [&str; 2] = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];

pub(super) fn mutate(pod: &mut Value) {
    let tolerations = &mut pod["spec"]["tolerations"];
    if !tolerations.is_array() {
        *tolerations = json!([]);
    }
    let Some(list) = tolerations.as_array_mut() else { return };
    for taint in TAINTS {
        let tolerated = list.iter().any(|t| {
            let key = t["key"].as_str().unwrap_or_default();
            let effect = t["effect"].as_str().unwrap_or_default();
            (key == taint || key.is_empty()) && matches!(effect, "" | "NoExecute")
        });
        if !tolerated {
            list.push(json!({
                "key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SECONDS,
            }));
        }
    }
}
