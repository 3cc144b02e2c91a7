//! The Priority plugin: a pod's priority and preemption policy come from its class.

use api::Status;
use serde_json::Value;
use store::View;

const CLASSES: &str = "/scheduling.k8s.io/priorityclasses/";

pub(super) fn mutate(view: &View, pod: &mut Value) -> Result<(), Status> {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let forbidden = |why: String| Status::forbidden("", "pods", &name, why);
    let wanted = pod["spec"]["priorityClassName"].as_str().unwrap_or_default().to_owned();
    let class = match wanted.as_str() {
        "" => global_default(view),
        wanted => Some(
            parsed(view, &format!("{CLASSES}{wanted}"))
                .ok_or_else(|| forbidden(format!("no PriorityClass with name {wanted} was found")))?,
        ),
    };
    let (value, policy) = match &class {
        None => (0, "PreemptLowerPriority"),
        Some(class) => (
            class["value"].as_i64().unwrap_or(0),
            class["preemptionPolicy"].as_str().unwrap_or("PreemptLowerPriority"),
        ),
    };
    if let Some(given) = pod["spec"]["priority"].as_i64().filter(|given| *given != value) {
        return Err(forbidden(format!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller computed {value} from the given PriorityClass name"
        )));
    }
    if let Some(given) = pod["spec"]["preemptionPolicy"].as_str().filter(|given| *given != policy) {
        return Err(forbidden(format!(
            "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission controller computed {policy} from the given PriorityClass name"
        )));
    }
    pod["spec"]["priority"] = value.into();
    pod["spec"]["preemptionPolicy"] = policy.into();
    if let Some(class) = class.filter(|_| wanted.is_empty()) {
        pod["spec"]["priorityClassName"] = class["metadata"]["name"].clone();
    }
    Ok(())
}

fn parsed(view: &View, key: &str) -> Option<Value> {
    serde_json::from_slice(&view.get(key)?.value).ok()
}

/// The class for pods that name none: of several, the lowest (as Kubernetes decides).
fn global_default(view: &View) -> Option<Value> {
    view.range(CLASSES, None)
        .filter_map(|o| serde_json::from_slice::<Value>(&o.value).ok())
        .filter(|class| class["globalDefault"] == true)
        .min_by_key(|class| class["value"].as_i64())
}
