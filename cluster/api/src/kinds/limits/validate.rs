//! Validation of LimitRange and ResourceQuota.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::amounts::quantity;
use crate::field::FieldError;
use crate::kinds::checks::Errors;
use crate::names;
use crate::quantity::Quantity;
use crate::value::{get, has, items, members, text, texts};

/// Resources of containers, and of a quota; each also as `requests.` and `limits.` of it.
const COMPUTED: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
/// Things that are counted.
const COUNTED: [&str; 9] = [
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];

fn is_computed(name: &str) -> bool {
    COMPUTED.contains(&name) || name.starts_with("hugepages-")
}

fn is_for_quota(name: &str) -> bool {
    let plain = name.strip_prefix("requests.").or_else(|| name.strip_prefix("limits.")).unwrap_or(name);
    let storage = name == "requests.storage";
    let pages = name.starts_with("limits.hugepages-");
    COUNTED.contains(&name) || storage || is_computed(plain) && !pages
}

fn is_standard(name: &str) -> bool {
    is_for_quota(name) || name == "storage"
}

/// The name of a resource; without a domain it is one of the known ones.
fn resource_name(name: &str, path: &str, errors: &mut Errors) {
    let reasons = names::qualified(name);
    if reasons.is_empty() && !name.contains('/') && !is_standard(name) {
        errors.invalid(path, name, "must be a standard resource type or fully qualified");
    }
    errors.reasons(path, name, reasons);
}

const LISTS: [&str; 5] = ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"];

pub fn limit_range(object: &Value) -> Vec<FieldError> {
    let mut errors = Errors::default();
    let mut seen: Vec<&str> = Vec::new();
    for (i, limit) in items(object, "spec.limits").iter().enumerate() {
        let path = format!("spec.limits[{i}]");
        let kind = text(limit, "type");
        limit_type(kind, &format!("{path}.type"), &mut errors);
        if seen.contains(&kind) {
            errors.duplicate(format!("{path}.type"), kind);
        }
        seen.push(kind);
        let mut names = BTreeSet::new();
        for list in LISTS {
            let of_pod = kind == "Pod" && list.starts_with("default");
            if of_pod && members(limit, list).next().is_some() {
                let detail = "may not be specified when `type` is 'Pod'";
                errors.forbidden(format!("{path}.{list}"), detail);
                continue;
            }
            for (name, _) in members(limit, list) {
                limit_name(kind, name, &format!("{path}.{list}[{name}]"), &mut errors);
                names.insert(name.as_str());
            }
        }
        let sized = has(get(limit, "min"), "storage") || has(get(limit, "max"), "storage");
        if kind == "PersistentVolumeClaim" && !sized {
            let detail = "either minimum or maximum storage value is required, but neither was provided";
            errors.required(format!("{path}.limits"), detail);
        }
        for name in names {
            limits_of(limit, kind, name, &path, &mut errors);
        }
    }
    errors.0
}

fn limit_type(kind: &str, path: &str, errors: &mut Errors) {
    let reasons = names::qualified(kind);
    let standard = matches!(kind, "Pod" | "Container" | "PersistentVolumeClaim");
    if reasons.is_empty() && !kind.contains('/') && !standard {
        errors.invalid(path, kind, "must be a standard limit type or fully qualified");
    }
    errors.reasons(path, kind, reasons);
}

fn limit_name(kind: &str, name: &str, path: &str, errors: &mut Errors) {
    resource_name(name, path, errors);
    if matches!(kind, "Pod" | "Container") && !name.contains('/') && !is_computed(name) {
        errors.invalid(path, name, "must be a standard resource for containers");
    }
}

/// min <= defaultRequest <= default <= max of one resource, and a ratio that they allow.
fn limits_of(limit: &Value, kind: &str, name: &str, path: &str, errors: &mut Errors) {
    // A pod has no defaults.
    let of = |list: &str| match kind == "Pod" && list.starts_with("default") {
        true => None,
        false => quantity(get(limit, list).get(name)?),
    };
    let [max, min, default, request, ratio] = LISTS.map(of);
    let mut ordered = |low: (&str, &Option<Quantity>), high: (&str, &Option<Quantity>), at: &str, shown| {
        if let (Some(low_amount), Some(high_amount)) = (low.1, high.1)
            && low_amount > high_amount
        {
            let detail =
                format!("{} value {low_amount} is greater than {} value {high_amount}", low.0, high.0);
            let shown = if shown { low_amount } else { high_amount };
            errors.invalid(format!("{path}.{at}[{name}]"), shown.to_string(), detail);
        }
    };
    ordered(("min", &min), ("max", &max), "min", true);
    ordered(("min", &min), ("default request", &request), "defaultRequest", false);
    ordered(("default request", &request), ("max", &max), "defaultRequest", true);
    ordered(("default request", &request), ("default limit", &default), "defaultRequest", true);
    ordered(("min", &min), ("default", &default), "default", true);
    ordered(("default", &default), ("max", &max), "default", false);
    if let Some(ratio) = &ratio {
        ratio_of(ratio, min.as_ref(), max.as_ref(), &format!("{path}.maxLimitRequestRatio[{name}]"), errors);
    }
    let overcommit =
        !name.contains('/') && !name.starts_with("hugepages-") || name.contains("kubernetes.io/");
    if let (Some(default), Some(request)) = (&default, &request)
        && !overcommit
        && default != request
    {
        let detail =
            format!("default value {default} must equal to defaultRequest value {request} in {name}");
        errors.invalid(format!("{path}.defaultRequest[{name}]"), request.to_string(), detail);
    }
}

fn ratio_of(
    ratio: &Quantity,
    min: Option<&Quantity>,
    max: Option<&Quantity>,
    path: &str,
    errors: &mut Errors,
) {
    if ratio.milli_value() < 1000 {
        errors.invalid(path, ratio.to_string(), format!("ratio {ratio} is less than 1"));
    }
    let (Some(min), Some(max)) = (min, max) else { return };
    // Beyond this a thousandth does not count.
    const LARGE: i64 = i64::MAX / 1000;
    let fine = [ratio, min, max].iter().all(|q| q.value() < LARGE);
    let number = |q: &Quantity| match fine {
        true => q.milli_value() as f64,
        false => q.value() as f64,
    };
    let (allowed, given) = (number(max) / number(min), number(ratio) / if fine { 1000.0 } else { 1.0 });
    if given > allowed {
        let detail = format!("ratio {ratio} is greater than max/min = {allowed:.6}");
        errors.invalid(path, ratio.to_string(), detail);
    }
}

/// The spec of a ResourceQuota.
pub fn quota(spec: &Value, errors: &mut Errors) {
    of_resources(get(spec, "hard"), "spec.hard", errors);
    let scopes: Vec<&str> = texts(spec, "scopes").collect();
    let shown = get(spec, "scopes");
    for scope in &scopes {
        known_scope(scope, "spec.scopes", shown, errors);
        fits_resources(scope, spec, "spec.scopes", shown, errors);
    }
    contradictions(&scopes, "spec.scopes", shown, errors);
    let selector = get(spec, "scopeSelector");
    if !selector.is_null() {
        scope_selector(selector, spec, errors);
    }
}

/// Amounts at a path, by names that a quota may have.
pub fn amounts(object: &Value, path: &str, errors: &mut Errors) {
    of_resources(get(object, path), path, errors);
}

fn of_resources(amounts: &Value, path: &str, errors: &mut Errors) {
    for (name, value) in amounts.as_object().into_iter().flatten() {
        let at = format!("{path}[{name}]");
        resource_name(name, &at, errors);
        if !name.contains('/') && !is_for_quota(name) {
            errors.invalid(at.as_str(), name.as_str(), "must be a standard resource for quota");
        }
        let counted = COUNTED.contains(&name.as_str()) || is_extended(name);
        if errors.quantity(value, &at).is_some_and(|q| counted && !q.is_whole()) {
            errors.invalid(at, value.clone(), "must be an integer");
        }
    }
}

/// A resource of somebody's own domain.
fn is_extended(name: &str) -> bool {
    name.contains('/') && !name.contains("kubernetes.io/") && !name.starts_with("requests.")
}

fn known_scope(scope: &str, path: &str, shown: &Value, errors: &mut Errors) {
    const SCOPES: [&str; 7] = [
        "Terminating",
        "NotTerminating",
        "BestEffort",
        "NotBestEffort",
        "PriorityClass",
        "CrossNamespacePodAffinity",
        "VolumeAttributesClass",
    ];
    if !SCOPES.contains(&scope) {
        errors.invalid(path, shown.clone(), "unsupported scope");
    }
}

/// A scope is about pods or about claims: their resources alone can be counted within it.
fn fits_resources(scope: &str, spec: &Value, path: &str, shown: &Value, errors: &mut Errors) {
    let computed = ["cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"];
    let fits = |name: &str| match scope {
        "BestEffort" => name == "pods",
        "VolumeAttributesClass" => matches!(name, "persistentvolumeclaims" | "requests.storage"),
        "Terminating"
        | "NotTerminating"
        | "NotBestEffort"
        | "PriorityClass"
        | "CrossNamespacePodAffinity" => name == "pods" || computed.contains(&name),
        _ => true,
    };
    for _ in members(spec, "hard").filter(|(name, _)| is_for_quota(name) && !fits(name)) {
        errors.invalid(path, shown.clone(), "unsupported scope applied to resource");
    }
}

fn contradictions(scopes: &[&str], path: &str, shown: &Value, errors: &mut Errors) {
    for pair in [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]] {
        if pair.iter().all(|scope| scopes.contains(scope)) {
            errors.invalid(path, shown.clone(), "conflicting scopes");
        }
    }
}

fn scope_selector(selector: &Value, spec: &Value, errors: &mut Errors) {
    const PATH: &str = "spec.scopeSelector.matchExpressions";
    let mut scopes = Vec::new();
    for expression in items(selector, "matchExpressions") {
        let (scope, operator) = (text(expression, "scopeName"), text(expression, "operator"));
        known_scope(scope, &format!("{PATH}.scopeName"), &expression["scopeName"], errors);
        fits_resources(scope, spec, PATH, selector, errors);
        let with_values = matches!(scope, "PriorityClass" | "VolumeAttributesClass");
        if !with_values && operator != "Exists" {
            let detail = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
            errors.invalid(format!("{PATH}.operator"), operator, detail);
        }
        let values = items(expression, "values");
        match operator {
            "In" | "NotIn" if values.is_empty() => {
                let detail =
                    "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
                errors.required(format!("{PATH}.values"), detail);
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                let detail =
                    "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
                errors.invalid(format!("{PATH}.values"), values.to_vec(), detail);
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => errors.invalid(format!("{PATH}.operator"), other, "not a valid selector operator"),
        }
        scopes.push(scope);
    }
    contradictions(&scopes, PATH, get(spec, "scopes"), errors);
}
