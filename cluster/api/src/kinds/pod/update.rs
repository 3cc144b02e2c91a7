//! What may change in a pod, and through which subresource.

use serde_json::Value;

use crate::kinds::checks::Errors;
use crate::kinds::pod_spec::{qos_class, validate_update_of_containers};
use crate::meta::IMMUTABLE;
use crate::names;
use crate::value::{copy, get, has, int, items, items_mut, remove, same, text};

const UPDATABLE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// Refusals of an update of the pod itself.
pub fn validate(new: &Value, old: &Value, errors: &mut Errors) {
    for list in ["containers", "initContainers"] {
        if !validate_update_of_containers(new, old, list, errors) {
            return;
        }
    }
    deadline(new, old, errors);
    tolerations(new, old, errors);
    scheduling_gates(new, old, errors);
    if same(get(new, "spec"), get(old, "spec")) {
        return;
    }
    let mut munged = new.clone();
    for list in ["spec.containers", "spec.initContainers"] {
        for (container, before) in items_mut(&mut munged, list).zip(items(old, list)) {
            copy(before, container, "image");
        }
    }
    for path in ["spec.activeDeadlineSeconds", "spec.tolerations", "spec.schedulingGates"] {
        copy(old, &mut munged, path);
    }
    const GRACE: &str = "spec.terminationGracePeriodSeconds";
    if int(old, GRACE).is_some_and(|s| s < 0) && int(new, GRACE) == Some(1) {
        copy(old, &mut munged, GRACE);
    }
    if !items(old, "spec.schedulingGates").is_empty() {
        gated(new, old, &mut munged, errors);
    }
    if !same(get(&munged, "spec"), get(old, "spec")) {
        let detail = format!("pod updates may not change fields other than {UPDATABLE}\n");
        errors.forbidden("spec", detail + &difference(get(old, "spec"), get(&munged, "spec")));
    }
}

/// The fields of two specs that differ, one a line.
fn difference(old: &Value, new: &Value) -> String {
    let keys =
        |v: &Value| -> Vec<String> { v.as_object().map(|m| m.keys().cloned().collect()).unwrap_or_default() };
    let mut all = keys(old);
    all.extend(keys(new));
    all.sort_unstable();
    all.dedup();
    let mut text = String::new();
    for key in all.iter().filter(|key| !same(get(old, key), get(new, key))) {
        text.push_str(&format!("-\t{key}: {}\n+\t{key}: {}\n", get(old, key), get(new, key)));
    }
    text
}

fn deadline(new: &Value, old: &Value, errors: &mut Errors) {
    const PATH: &str = "spec.activeDeadlineSeconds";
    match (int(new, PATH), int(old, PATH)) {
        (Some(seconds), _) if !(0..=i64::from(i32::MAX)).contains(&seconds) => {
            errors.invalid(PATH, seconds, names::range(0, i64::from(i32::MAX)));
        }
        (Some(seconds), Some(before)) if seconds > before => {
            errors.invalid(PATH, seconds, "must be less than or equal to previous value");
        }
        (None, Some(_)) => {
            let detail = "must not update from a positive integer to nil value";
            errors.invalid(PATH, Value::Null, detail);
        }
        _ => {}
    }
}

/// Tolerations may only be added; one that is there may only get other seconds.
fn tolerations(new: &Value, old: &Value, errors: &mut Errors) {
    const PATH: &str = "spec.tolerations";
    let bare = |t: &Value| {
        let mut t = t.clone();
        remove(&mut t, "tolerationSeconds");
        t
    };
    let now: Vec<Value> = items(new, PATH).iter().map(bare).collect();
    let kept = |before: &Value| now.iter().any(|t| same(t, &bare(before)));
    if !items(old, PATH).iter().all(kept) {
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        errors.forbidden(PATH, detail);
    }
}

fn scheduling_gates(new: &Value, old: &Value, errors: &mut Errors) {
    const PATH: &str = "spec.schedulingGates";
    let known: Vec<&str> = items(old, PATH).iter().map(|g| text(g, "name")).collect();
    let mut added: Vec<&str> = items(new, PATH).iter().map(|g| text(g, "name")).collect();
    added.retain(|name| !known.contains(name));
    if !added.is_empty() {
        let list: Vec<String> = added.iter().map(|n| format!("{n:?}")).collect();
        let detail =
            format!("only deletion is allowed, but found new scheduling gates '{}'", list.join(", "));
        errors.forbidden(PATH, detail);
    }
}

/// A gated pod's node selector and node affinity may become narrower.
fn gated(new: &Value, old: &Value, munged: &mut Value, errors: &mut Errors) {
    const SELECTOR: &str = "spec.nodeSelector";
    for (key, value) in crate::value::members(old, SELECTOR) {
        if get(new, SELECTOR).get(key) != Some(value) {
            let detail = "only additions to spec.nodeSelector are allowed (no deletions or mutations)";
            errors.invalid(SELECTOR, get(new, SELECTOR).clone(), detail);
            break;
        }
    }
    copy(old, munged, SELECTOR);
    copy(old, munged, "spec.affinity.nodeAffinity");
}

/// Refusals of a status update.
pub fn validate_status(new: &Value, old: &Value, errors: &mut Errors) {
    let node = text(old, "spec.nodeName");
    let nominated = text(new, "status.nominatedNodeName");
    if !nominated.is_empty() {
        let path = "status.nominatedNodeName";
        errors.reasons(path, nominated, names::subdomain(nominated));
        if !node.is_empty() && nominated != text(old, path) {
            errors.forbidden(path, "may not be set on pods that are already bound to a node");
        }
    }
    const QOS: &str = "status.qosClass";
    if text(new, QOS) != text(old, QOS) && !text(old, QOS).is_empty() {
        errors.invalid(QOS, text(new, QOS), IMMUTABLE);
    }
    for (i, ip) in items(new, "status.podIPs").iter().enumerate() {
        errors.ip(&format!("status.podIPs[{i}]"), text(ip, "ip"));
    }
    let policy = text(old, "spec.restartPolicy");
    if policy != "Always" {
        no_resurrection(new, old, policy, errors);
    }
}

/// A container that ended for good does not come back.
fn no_resurrection(new: &Value, old: &Value, policy: &str, errors: &mut Errors) {
    const PATH: &str = "status.containerStatuses";
    for before in items(old, PATH) {
        let ended = get(before, "state.terminated");
        let again = policy == "OnFailure" && int(ended, "exitCode").unwrap_or_default() != 0;
        if ended.is_null() || again {
            continue;
        }
        let spec = items(old, "spec.containers").iter();
        let mut spec = spec.filter(|c| text(c, "name") == text(before, "name"));
        if spec.any(|c| has(c, "restartPolicy")) {
            continue;
        }
        let now = items(new, PATH).iter().enumerate();
        let mut now = now.filter(|(_, c)| text(c, "name") == text(before, "name"));
        if let Some((i, now)) = now.next()
            && !has(now, "state.terminated")
        {
            let detail = "may not be transitioned to non-terminated state";
            errors.forbidden(format!("{PATH}[{i}].state"), detail);
        }
    }
}

/// Refusals of added ephemeral containers: those that are there stay as they are.
pub fn validate_ephemeral(new: &Value, old: &Value, errors: &mut Errors) {
    const PATH: &str = "spec.ephemeralContainers";
    for before in items(old, PATH) {
        let name = text(before, "name");
        match items(new, PATH).iter().find(|c| text(c, "name") == name) {
            None => {
                let detail = format!("existing ephemeral containers {name:?} may not be removed\n");
                errors.forbidden(PATH, detail);
            }
            Some(now) if !same(now, before) => {
                let detail = format!("existing ephemeral containers {name:?} may not be changed\n");
                errors.forbidden(PATH, detail);
            }
            Some(_) => {}
        }
    }
}

/// Keeps all of the old pod but the resources and resize policies of containers.
pub fn keep_for_resize(new: &mut Value, old: &Value) {
    let given = new.clone();
    super::keep_all_but_managed(new, old);
    for list in ["spec.containers", "spec.initContainers"] {
        for container in items_mut(new, list) {
            let name = text(container, "name").to_owned();
            let wanted = items(&given, list).iter().find(|c| text(c, "name") == name);
            if let Some(wanted) = wanted {
                for field in ["resources", "resizePolicy"] {
                    copy(wanted, container, field);
                }
            }
        }
    }
}

/// Refusals of a resize: only cpu and memory may change, and the class of service may not.
pub fn validate_resize(new: &Value, old: &Value, errors: &mut Errors) {
    if qos_class(get(new, "spec")) != qos_class(get(old, "spec")) {
        let detail = "Pod QOS Class may not change as a result of resizing";
        errors.invalid("spec", text(old, "status.qosClass"), detail);
    }
    let mut munged = new.clone();
    for list in ["containers", "initContainers"] {
        let path = format!("spec.{list}");
        for (i, (container, before)) in items_mut(&mut munged, &path).zip(items(old, &path)).enumerate() {
            let at = format!("{path}[{i}].resources");
            for kind in ["requests", "limits"] {
                kept(container, before, kind, &at, errors);
            }
            let changed = !same(container, before);
            let sidecar = text(before, "restartPolicy") == "Always";
            for kind in ["requests", "limits"] {
                for name in ["cpu", "memory"] {
                    copy(before, container, &format!("resources.{kind}.{name}"));
                }
            }
            if list == "initContainers" && changed && !sidecar {
                let detail = "resources for non-sidecar init containers are immutable";
                errors.forbidden("spec", detail);
            }
        }
    }
    if !same(get(&munged, "spec"), get(old, "spec")) {
        errors.forbidden("spec", "only cpu and memory resources are mutable");
    }
}

/// A request or limit that was there can change but not go.
fn kept(new: &Value, old: &Value, kind: &str, path: &str, errors: &mut Errors) {
    let list = format!("resources.{kind}");
    for (name, _) in crate::value::members(old, &list) {
        if matches!(name.as_str(), "cpu" | "memory") && get(new, &list).get(name).is_none() {
            errors.forbidden(format!("{path}.{kind}"), format!("resource {kind} cannot be removed"));
        }
    }
}
