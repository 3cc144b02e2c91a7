//! Validation of a HorizontalPodAutoscaler's spec.

use serde_json::Value;

use crate::field::FieldError;
use crate::kinds::checks::Errors;
use crate::names;
use crate::value::{get, has, int, items, text};

/// Seconds that a policy may look back, and that a recommendation may be held.
const MAX_PERIOD: i64 = 1800;
const MAX_WINDOW: i64 = 3600;

/// Types of metrics and their fields, in the order in which the first of several counts.
const SOURCES: [(&str, &str); 5] = [
    ("Object", "object"),
    ("External", "external"),
    ("Pods", "pods"),
    ("Resource", "resource"),
    ("ContainerResource", "containerResource"),
];

/// What is wrong with the spec, given what it was.
pub fn spec(object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Errors::default();
    let spec = get(object, "spec");
    replicas(spec, old, &mut errors);
    let target = get(spec, "scaleTargetRef");
    let unchanged = |field: &str| old.is_some_and(|o| get(o, "spec.scaleTargetRef")[field] == target[field]);
    let group = match text(target, "kind") {
        // What was accepted once stays.
        _ if unchanged("apiVersion") && unchanged("kind") => Group::Any,
        "ReplicationController" => Group::Optional,
        _ => Group::Required,
    };
    reference(target, "spec.scaleTargetRef", group, &mut errors);
    let was_wrong = |metric: &Value| api_version(text(metric, "object.describedObject.apiVersion")).is_err();
    let objects = old.map_or(&[][..], |o| items(o, "spec.metrics")).iter();
    let group = match objects.filter(|m| has(m, "object")).any(was_wrong) {
        true => Group::Any,
        false => Group::Optional,
    };
    let metrics = items(spec, "metrics");
    for (i, of) in metrics.iter().enumerate() {
        metric(of, &format!("spec.metrics[{i}]"), group, &mut errors);
    }
    let kinds = |m: &Value| matches!(text(m, "type"), "Object" | "External");
    if int(spec, "minReplicas") == Some(0) && !metrics.iter().any(kinds) {
        let detail =
            "must specify at least one Object or External metric to support scaling to zero replicas";
        errors.forbidden("spec.metrics", detail);
    }
    for direction in ["scaleUp", "scaleDown"] {
        let rules = get(get(spec, "behavior"), direction);
        if !rules.is_null() {
            scaling_rules(rules, &format!("spec.behavior.{direction}"), &mut errors);
        }
    }
    errors.0
}

fn replicas(spec: &Value, old: Option<&Value>, errors: &mut Errors) {
    let (low, high) = (int(spec, "minReplicas"), int(spec, "maxReplicas").unwrap_or_default());
    let had_none = old.is_some_and(|o| int(o, "spec.minReplicas") == Some(0));
    let least = if had_none { 0 } else { 1 };
    if let Some(low) = low.filter(|low| *low < least) {
        errors.invalid("spec.minReplicas", low, format!("must be greater than or equal to {least}"));
    }
    match high {
        0 => errors.required("spec.maxReplicas", "must be set and greater than 0"),
        ..0 => errors.invalid("spec.maxReplicas", high, "must be greater than or equal to 1"),
        _ => {}
    }
    if low.is_some_and(|low| high < low) {
        errors.invalid("spec.maxReplicas", high, "must be greater than or equal to `minReplicas`");
    }
}

/// Whether an apiVersion must name a group.
#[derive(Clone, Copy, PartialEq)]
enum Group {
    Required,
    Optional,
    /// The apiVersion is not looked at.
    Any,
}

fn reference(reference: &Value, path: &str, group: Group, errors: &mut Errors) {
    for field in ["kind", "name"] {
        let value = text(reference, field);
        if errors.present(reference, path, field) {
            errors.reasons(&format!("{path}.{field}"), value, names::path_segment(value));
        }
    }
    let version = text(reference, "apiVersion");
    let wrong = match api_version(version) {
        _ if group == Group::Any => None,
        Err(why) => Some(why),
        Ok("") if group == Group::Required => Some("apiVersion must specify API group".to_owned()),
        Ok(_) => None,
    };
    if let Some(why) = wrong {
        errors.invalid(format!("{path}.apiVersion"), version, why);
    }
}

/// The group of an apiVersion.
fn api_version(text: &str) -> Result<&str, String> {
    match text.split('/').collect::<Vec<_>>().as_slice() {
        [_] => Ok(""),
        [group, _] => Ok(group),
        _ => Err(format!("unexpected GroupVersion string: {text}")),
    }
}

fn metric(metric: &Value, path: &str, group: Group, errors: &mut Errors) {
    let kind = text(metric, "type");
    if kind.is_empty() {
        errors.required(format!("{path}.type"), "must specify a metric source type");
    }
    let wanted = SOURCES.iter().find(|(known, _)| *known == kind).map(|(_, field)| *field);
    if wanted.is_none() {
        let mut kinds = SOURCES.map(|(kind, _)| kind);
        kinds.sort_unstable();
        errors.0.push(FieldError::not_supported(format!("{path}.type"), kind, kinds));
    }
    let given: Vec<&str> =
        SOURCES.iter().map(|(_, field)| *field).filter(|field| has(metric, field)).collect();
    if let Some(first) = given.first() {
        source(first, get(metric, first), &format!("{path}.{first}"), group, errors);
    }
    if let Some(wanted) = wanted.filter(|wanted| !given.contains(wanted)) {
        let detail = "must populate information for the given metric source";
        errors.required(format!("{path}.{wanted}"), detail);
    }
    if given.len() > 1 {
        for other in given.into_iter().filter(|other| Some(*other) != wanted) {
            errors.forbidden(format!("{path}.{other}"), "must populate the given metric source only");
        }
    }
}

fn source(field: &str, source: &Value, path: &str, group: Group, errors: &mut Errors) {
    let of_resource = matches!(field, "resource" | "containerResource");
    if field == "object" {
        reference(get(source, "describedObject"), &format!("{path}.describedObject"), group, errors);
    }
    match text(source, if of_resource { "name" } else { "metric.name" }) {
        "" if of_resource => errors.required(format!("{path}.name"), "must specify a resource name"),
        "" => errors.required(format!("{path}.metric.name"), "must specify a metric name"),
        _ if of_resource => {}
        name => errors.reasons(&format!("{path}.metric.name"), name, names::path_segment(name)),
    }
    if field == "containerResource" {
        match text(source, "container") {
            "" => errors.required(format!("{path}.container"), "must specify a container"),
            name => errors.reasons(&format!("{path}.container"), name, names::label(name)),
        }
    }
    let target = get(source, "target");
    let path = format!("{path}.target");
    metric_target(target, &path, errors);
    let (value, average) = (has(target, "value"), has(target, "averageValue"));
    let utilization = has(target, "averageUtilization");
    let (missing, detail) = match field {
        "object" if !value && !average => ("averageValue", "must set either a target value or averageValue"),
        "external" if !value && !average => {
            ("averageValue", "must set either a target value for metric or a per-pod target")
        }
        "pods" if !average => ("averageValue", "must specify a positive target averageValue"),
        _ if of_resource && !utilization && !average => {
            ("averageUtilization", "must set either a target raw value or a target utilization")
        }
        _ => ("", ""),
    };
    if !missing.is_empty() {
        errors.required(format!("{path}.{missing}"), detail);
    }
    if field == "external" && value && average {
        let detail = "may not set both a target value for metric and a per-pod target";
        errors.forbidden(format!("{path}.value"), detail);
    }
    if of_resource && utilization && average {
        let detail = "may not set both a target raw value and a target utilization";
        errors.forbidden(format!("{path}.averageValue"), detail);
    }
}

fn metric_target(target: &Value, path: &str, errors: &mut Errors) {
    let kind = text(target, "type");
    if kind.is_empty() {
        errors.required(format!("{path}.type"), "must specify a metric target type");
    }
    if !matches!(kind, "Utilization" | "Value" | "AverageValue") {
        let detail = "must be either Utilization, Value, or AverageValue";
        errors.invalid(format!("{path}.type"), kind, detail);
    }
    errors.positive_quantity(target, path, "value");
    errors.positive_quantity(target, path, "averageValue");
    errors.positive(target, path, "averageUtilization");
}

fn scaling_rules(rules: &Value, path: &str, errors: &mut Errors) {
    let at = format!("{path}.stabilizationWindowSeconds");
    match int(rules, "stabilizationWindowSeconds") {
        Some(seconds) if seconds < 0 => {
            errors.invalid(at, seconds, "must be greater than or equal to zero");
        }
        Some(seconds) if seconds > MAX_WINDOW => {
            errors.invalid(at, seconds, format!("must be less than or equal to {MAX_WINDOW}"));
        }
        _ => {}
    }
    let select = text(rules, "selectPolicy");
    errors.one_of_or_empty(&format!("{path}.selectPolicy"), select, &["Disabled", "Max", "Min"]);
    let policies = items(rules, "policies");
    if policies.is_empty() {
        errors.required(format!("{path}.policies"), "must specify at least one Policy");
    }
    for (i, policy) in policies.iter().enumerate() {
        let at = format!("{path}.policies[{i}]");
        let kind = text(policy, "type");
        if !matches!(kind, "Pods" | "Percent") {
            errors.0.push(FieldError::not_supported(format!("{at}.type"), kind, ["Percent", "Pods"]));
        }
        for field in ["value", "periodSeconds"] {
            if let Some(number) = int(policy, field).filter(|n| *n <= 0) {
                errors.invalid(format!("{at}.{field}"), number, "must be greater than zero");
            }
        }
        if let Some(seconds) = int(policy, "periodSeconds").filter(|s| *s > MAX_PERIOD) {
            let detail = format!("must be less than or equal to {MAX_PERIOD}");
            errors.invalid(format!("{at}.periodSeconds"), seconds, detail);
        }
    }
    if has(rules, "tolerance") {
        errors.quantity(get(rules, "tolerance"), &format!("{path}.tolerance"));
    }
}
