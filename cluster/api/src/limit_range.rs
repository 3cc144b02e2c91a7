//! LimitRange: what containers get that ask for nothing, and how much pods and claims may ask for.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::amounts::{Amounts, amounts, of_pod};
use crate::quantity::Quantity;
use crate::value::{ensure, items, items_mut, text};

/// Tells what was filled in, and where.
const ANNOTATION: &str = "kubernetes.io/limit-ranger";

/// Gives each container of the pod the requests and limits it does not have.
pub fn fill(range: &Value, pod: &mut Value) {
    let (mut requests, mut limits) = (serde_json::Map::new(), serde_json::Map::new());
    for limit in items(range, "spec.limits").iter().filter(|limit| text(limit, "type") == "Container") {
        requests.extend(limit["defaultRequest"].as_object().cloned().unwrap_or_default());
        limits.extend(limit["default"].as_object().cloned().unwrap_or_default());
    }
    let mut notes = Vec::new();
    for (list, kind) in [("spec.containers", "container"), ("spec.initContainers", "init container")] {
        for container in items_mut(pod, list) {
            let name = text(container, "name").to_owned();
            for (what, defaults, word) in [("requests", &requests, "request"), ("limits", &limits, "limit")] {
                let set = merge(container, what, defaults);
                if !set.is_empty() {
                    let names: Vec<&str> = set.into_iter().collect();
                    notes.push(format!("{} {word} for {kind} {name}", names.join(", ")));
                }
            }
        }
    }
    if !notes.is_empty() {
        let note = format!("LimitRanger plugin set: {}", notes.join("; "));
        ensure(pod, "metadata.annotations").insert(ANNOTATION.to_owned(), note.into());
    }
}

/// Sets what is missing; the names of what was set.
fn merge<'d>(
    container: &mut Value,
    what: &str,
    defaults: &'d serde_json::Map<String, Value>,
) -> BTreeSet<&'d str> {
    let mut set = BTreeSet::new();
    for (name, amount) in defaults {
        let given = ensure(container, &format!("resources.{what}"));
        if !given.contains_key(name) {
            given.insert(name.clone(), amount.clone());
            set.insert(name.as_str());
        }
    }
    set
}

/// What the object may not be, by this range; the reasons as Kubernetes words them.
pub fn check(range: &Value, plural: &str, object: &Value) -> Result<(), String> {
    let mut reasons = Vec::new();
    for limit in items(range, "spec.limits") {
        let rule = Rule { limit, kind: text(limit, "type") };
        match (rule.kind, plural) {
            ("Container", "pods") => {
                let all = items(object, "spec.containers").iter().chain(items(object, "spec.initContainers"));
                for container in all {
                    let of = |what: &str| amounts(&container["resources"][what]);
                    rule.check(&of("requests"), &of("limits"), &mut reasons);
                }
            }
            ("Pod", "pods") => {
                rule.check(&of_pod(object, "requests"), &of_pod(object, "limits"), &mut reasons);
            }
            ("PersistentVolumeClaim", "persistentvolumeclaims") => {
                rule.check_requests(&amounts(&object["spec"]["resources"]["requests"]), &mut reasons);
            }
            _ => {}
        }
    }
    match reasons.as_slice() {
        [] => Ok(()),
        [one] => Err(one.clone()),
        several => Err(format!("[{}]", several.join(", "))),
    }
}

/// One entry of a range.
struct Rule<'r> {
    limit: &'r Value,
    kind: &'r str,
}

impl Rule<'_> {
    fn check(&self, requests: &Amounts, limits: &Amounts, reasons: &mut Vec<String>) {
        for (name, least) in amounts(&self.limit["min"]) {
            let (request, limit) = (requests.get(&name), limits.get(&name));
            let usage = format!("minimum {name} usage per {} is {least}", self.kind);
            reasons.extend(match (request, limit) {
                (None, _) => Some(format!("{usage}.  No request is specified")),
                (Some(given), _) if *given < least => Some(format!("{usage}, but request is {given}")),
                (_, Some(given)) if *given < least => Some(format!("{usage}, but limit is {given}")),
                _ => None,
            });
        }
        for (name, most) in amounts(&self.limit["max"]) {
            let (request, limit) = (requests.get(&name), limits.get(&name));
            let usage = format!("maximum {name} usage per {} is {most}", self.kind);
            reasons.extend(match (request, limit) {
                (_, None) => Some(format!("{usage}.  No limit is specified")),
                (_, Some(given)) if *given > most => Some(format!("{usage}, but limit is {given}")),
                (Some(given), _) if *given > most => Some(format!("{usage}, but request is {given}")),
                _ => None,
            });
        }
        for (name, ratio) in amounts(&self.limit["maxLimitRequestRatio"]) {
            let nonzero = |of: &Amounts| of.get(&name).copied().filter(|amount| !amount.is_zero());
            let rule = format!("{name} max limit to request ratio per {} is {ratio}", self.kind);
            reasons.extend(match (nonzero(requests), nonzero(limits)) {
                (None, _) => Some(format!("{rule}, but no request is specified or request is 0")),
                (_, None) => Some(format!("{rule}, but no limit is specified or limit is 0")),
                (Some(request), Some(limit)) => beyond(&ratio, &request, &limit)
                    .map(|given| format!("{rule}, but provided ratio is {given:.6}")),
            });
        }
    }

    fn check_requests(&self, requests: &Amounts, reasons: &mut Vec<String>) {
        for (bound, word) in [("min", "minimum"), ("max", "maximum")] {
            for (name, amount) in amounts(&self.limit[bound]) {
                let usage = format!("{word} {name} usage per {} is {amount}", self.kind);
                let outside =
                    |given: &Quantity| if bound == "min" { *given < amount } else { *given > amount };
                reasons.extend(match requests.get(&name) {
                    None => Some(format!("{usage}.  No request is specified")),
                    Some(given) if outside(given) => Some(format!("{usage}, but request is {given}")),
                    Some(_) => None,
                });
            }
        }
    }
}

/// The ratio of limit to request, when it is larger than allowed.
fn beyond(allowed: &Quantity, request: &Quantity, limit: &Quantity) -> Option<f64> {
    let ratio = limit.milli_value() as f64 / request.milli_value() as f64;
    (ratio * 1000.0 > allowed.milli_value() as f64).then_some(ratio)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn range(limit: Value) -> Value {
        json!({"spec": {"limits": [limit]}})
    }

    fn pod(resources: Value) -> Value {
        json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "resources": resources}]}})
    }

    #[test]
    fn containers_get_what_they_lack() {
        let range = range(json!({
            "type": "Container", "default": {"cpu": "500m", "memory": "1Gi"}, "defaultRequest": {"cpu": "100m"},
        }));
        let mut silent = pod(json!({}));
        fill(&range, &mut silent);
        assert_eq!(
            silent["spec"]["containers"][0]["resources"],
            json!({"requests": {"cpu": "100m"}, "limits": {"cpu": "500m", "memory": "1Gi"}})
        );
        assert_eq!(
            silent["metadata"]["annotations"][ANNOTATION],
            "LimitRanger plugin set: cpu request for container c; cpu, memory limit for container c"
        );
        let full = pod(json!({"requests": {"cpu": "1"}, "limits": {"cpu": "1", "memory": "1"}}));
        let mut same = full.clone();
        fill(&range, &mut same);
        assert_eq!(same, full, "nothing is replaced, nothing is noted");
    }

    #[test]
    fn what_is_outside_is_refused_with_the_reason() {
        let bounds = json!({"type": "Container", "min": {"cpu": "100m"}, "max": {"cpu": "1"}});
        let sum = json!({"type": "Pod", "max": {"memory": "1Gi"}});
        let ratio = json!({"type": "Container", "maxLimitRequestRatio": {"cpu": "2"}});
        for (limit, resources, expected) in [
            (&bounds, json!({"requests": {"cpu": "100m"}, "limits": {"cpu": "1"}}), None),
            (
                &bounds,
                json!({"requests": {"cpu": "50m"}, "limits": {"cpu": "1"}}),
                Some("minimum cpu usage per Container is 100m, but request is 50m"),
            ),
            (
                &bounds,
                json!({"requests": {"cpu": "500m"}, "limits": {"cpu": "2"}}),
                Some("maximum cpu usage per Container is 1, but limit is 2"),
            ),
            (
                &bounds,
                json!({}),
                Some(
                    "[minimum cpu usage per Container is 100m.  No request is specified, maximum cpu usage per Container is 1.  No limit is specified]",
                ),
            ),
            (&sum, json!({"limits": {"memory": "1Gi"}}), None),
            (
                &sum,
                json!({"limits": {"memory": "2Gi"}}),
                Some("maximum memory usage per Pod is 1Gi, but limit is 2Gi"),
            ),
            (&ratio, json!({"requests": {"cpu": "1"}, "limits": {"cpu": "2"}}), None),
            (
                &ratio,
                json!({"requests": {"cpu": "1"}, "limits": {"cpu": "3"}}),
                Some("cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000"),
            ),
        ] {
            let refused = check(&range(limit.clone()), "pods", &pod(resources)).err();
            assert_eq!(refused.as_deref(), expected, "{limit}");
        }
    }
}
