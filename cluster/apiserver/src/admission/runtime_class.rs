//! The RuntimeClass plugin: a pod that names a class gets its overhead and its scheduling rules;
//! an overhead that no class declares is refused.

use api::Status;
use api::amounts::amounts;
use serde_json::{Map, Value, json};
use store::View;

const CLASSES: &str = "/node.k8s.io/runtimeclasses/";

pub(super) fn mutate(view: &View, pod: &mut Value) -> Result<(), Status> {
    let pod_name = pod["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let rejected = |why: String| Status::forbidden("", "pods", &pod_name, format!("pod rejected: {why}"));
    let spec = &mut pod["spec"];
    let named = spec["runtimeClassName"].as_str().filter(|n| !n.is_empty()).map(str::to_owned);
    let Some(name) = named else {
        return match is_empty(&spec["overhead"]) {
            true => Ok(()),
            false => Err(rejected(
                "Pod Overhead set without corresponding RuntimeClass defined Overhead".to_owned(),
            )),
        };
    };
    let class = class(view, &name)?.ok_or_else(|| rejected(format!("RuntimeClass {name:?} not found")))?;
    set_overhead(&class, spec).map_err(rejected)?;
    set_scheduling(&class["scheduling"], spec).map_err(rejected)
}

fn class(view: &View, name: &str) -> Result<Option<Value>, Status> {
    let found = view.get(&format!("{CLASSES}{name}"));
    found
        .map(|object| serde_json::from_slice(&object.value))
        .transpose()
        .map_err(|e| Status::internal(format!("the stored RuntimeClass {name} does not parse: {e}")))
}

fn is_empty(map: &Value) -> bool {
    map.as_object().is_none_or(Map::is_empty)
}

/// The class's overhead, or nothing; a pod may repeat it, but not differ.
fn set_overhead(class: &Value, spec: &mut Value) -> Result<(), String> {
    let fixed = &class["overhead"]["podFixed"];
    let same = match (is_empty(fixed), is_empty(&spec["overhead"])) {
        (_, true) => true,
        (true, false) => false,
        (false, false) => amounts(fixed) == amounts(&spec["overhead"]),
    };
    if !same {
        return Err("Pod's Overhead doesn't match RuntimeClass's defined Overhead".to_owned());
    }
    if !is_empty(fixed) {
        spec["overhead"] = fixed.clone();
    }
    Ok(())
}

/// The pod goes only where the class's nodes are, and tolerates what the class tolerates.
fn set_scheduling(scheduling: &Value, spec: &mut Value) -> Result<(), String> {
    for (key, wanted) in scheduling["nodeSelector"].as_object().into_iter().flatten() {
        let given = &spec["nodeSelector"][key];
        if given.is_string() && given != wanted {
            return Err(format!(
                "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {}; pod.spec.nodeSelector[{key}] = {}",
                wanted.as_str().unwrap_or_default(),
                given.as_str().unwrap_or_default()
            ));
        }
        spec["nodeSelector"][key] = wanted.clone();
    }
    let Some(more) = scheduling["tolerations"].as_array().filter(|list| !list.is_empty()) else {
        return Ok(());
    };
    if !spec["tolerations"].is_array() {
        spec["tolerations"] = json!([]);
    }
    if let Some(list) = spec["tolerations"].as_array_mut() {
        let fresh: Vec<_> = more.iter().filter(|t| !list.contains(t)).cloned().collect();
        list.extend(fresh);
    }
    Ok(())
}
