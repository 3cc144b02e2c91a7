//! Which objects a quota's scopes select.

use serde_json::Value;

use super::{Of, pod};
use crate::value::{get, has, items, text, texts};

/// Whether every scope of the quota selects the object. Scopes are about pods (and one about
/// claims): a quota with scopes counts nothing else.
pub(super) fn selects(quota: &Value, of: Of<'_>, object: &Value) -> bool {
    let plain = texts(quota, "spec.scopes").all(|scope| holds(of, object, scope, "Exists", &[]));
    plain
        && items(quota, "spec.scopeSelector.matchExpressions").iter().all(|expression| {
            let values: Vec<&str> = texts(expression, "values").collect();
            holds(of, object, text(expression, "scopeName"), text(expression, "operator"), &values)
        })
}

fn holds(of: Of<'_>, object: &Value, scope: &str, operator: &str, values: &[&str]) -> bool {
    if scope == "VolumeAttributesClass" && of.is("persistentvolumeclaims") {
        return matches(text(object, "spec.volumeAttributesClassName"), operator, values);
    }
    if !of.is("pods") {
        return false;
    }
    let terminating = get(object, "spec.activeDeadlineSeconds").as_i64().is_some_and(|s| s >= 0);
    match scope {
        "Terminating" => terminating,
        "NotTerminating" => !terminating,
        "BestEffort" => pod::is_best_effort(object),
        "NotBestEffort" => !pod::is_best_effort(object),
        "PriorityClass" => matches(text(object, "spec.priorityClassName"), operator, values),
        "CrossNamespacePodAffinity" => crosses_namespaces(object),
        _ => false,
    }
}

fn matches(value: &str, operator: &str, values: &[&str]) -> bool {
    match operator {
        "Exists" => !value.is_empty(),
        "DoesNotExist" => value.is_empty(),
        "In" => !value.is_empty() && values.contains(&value),
        "NotIn" => !values.contains(&value),
        _ => false,
    }
}

/// Whether an affinity term of the pod looks beyond the pod's own namespace.
fn crosses_namespaces(pod: &Value) -> bool {
    let crosses = |term: &Value| !items(term, "namespaces").is_empty() || has(term, "namespaceSelector");
    ["podAffinity", "podAntiAffinity"].iter().any(|kind| {
        let of = &get(pod, "spec.affinity")[kind];
        items(of, "requiredDuringSchedulingIgnoredDuringExecution").iter().any(crosses)
            || items(of, "preferredDuringSchedulingIgnoredDuringExecution")
                .iter()
                .any(|weighted| crosses(get(weighted, "podAffinityTerm")))
    })
}
