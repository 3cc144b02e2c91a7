//! Validation of where a pod may run: tolerations, affinity, topology spread.

use serde_json::Value;

use crate::kinds::checks::Errors;
use crate::names;
use crate::value::{get, has, int, items, text, texts};

/// Effects of taints.
pub const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

pub fn validate(spec: &Value, path: &str, errors: &mut Errors) {
    affinity(get(spec, "affinity"), &format!("{path}.affinity"), errors);
    spread(items(spec, "topologySpreadConstraints"), path, errors);
    for (i, toleration) in items(spec, "tolerations").iter().enumerate() {
        self::toleration(toleration, &format!("{path}.tolerations[{i}]"), errors);
    }
}

/// One toleration.
pub fn toleration(toleration: &Value, path: &str, errors: &mut Errors) {
    let (key, operator) = (text(toleration, "key"), text(toleration, "operator"));
    let (value, effect) = (text(toleration, "value"), text(toleration, "effect"));
    let at = format!("{path}.operator");
    if !key.is_empty() {
        errors.reasons(&format!("{path}.key"), key, names::qualified(key));
    } else if operator != "Exists" {
        let detail =
            "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
        errors.invalid(at.as_str(), operator, detail);
    }
    if has(toleration, "tolerationSeconds") && effect != "NoExecute" {
        let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
        errors.invalid(format!("{path}.effect"), effect, detail);
    }
    match operator {
        "" | "Equal" => {
            let reasons = names::label_value(value);
            if !reasons.is_empty() {
                errors.invalid(at, value, reasons.join(";"));
            }
        }
        "Exists" if !value.is_empty() => {
            errors.invalid(at, value, "value must be empty when `operator` is 'Exists'");
        }
        operator => errors.one_of_or_empty(&at, operator, &["Equal", "Exists"]),
    }
    errors.one_of_or_empty(&format!("{path}.effect"), effect, &EFFECTS);
}

fn affinity(affinity: &Value, path: &str, errors: &mut Errors) {
    node_affinity(get(affinity, "nodeAffinity"), &format!("{path}.nodeAffinity"), errors);
    for kind in ["podAffinity", "podAntiAffinity"] {
        let rules = get(affinity, kind);
        let at = format!("{path}.{kind}.{REQUIRED}");
        for (i, term) in items(rules, REQUIRED).iter().enumerate() {
            pod_affinity_term(term, &format!("{at}[{i}]"), errors);
        }
        let at = format!("{path}.{kind}.{PREFERRED}");
        for (i, preferred) in items(rules, PREFERRED).iter().enumerate() {
            weight(preferred, &format!("{at}[{i}]"), errors);
            let term = get(preferred, "podAffinityTerm");
            pod_affinity_term(term, &format!("{at}[{i}].podAffinityTerm"), errors);
        }
    }
}

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

fn weight(preferred: &Value, path: &str, errors: &mut Errors) {
    let weight = int(preferred, "weight").unwrap_or_default();
    if !(1..=100).contains(&weight) {
        errors.invalid(format!("{path}.weight"), weight, "must be in the range 1-100");
    }
}

fn node_affinity(affinity: &Value, path: &str, errors: &mut Errors) {
    if has(affinity, REQUIRED) {
        node_selector(get(affinity, REQUIRED), &format!("{path}.{REQUIRED}"), errors);
    }
    for (i, preferred) in items(affinity, PREFERRED).iter().enumerate() {
        let at = format!("{path}.{PREFERRED}[{i}]");
        weight(preferred, &at, errors);
        node_selector_term(get(preferred, "preference"), &format!("{at}.preference"), errors);
    }
}

/// A `NodeSelector`: at least one term.
pub fn node_selector(selector: &Value, path: &str, errors: &mut Errors) {
    let terms = items(selector, "nodeSelectorTerms");
    let at = format!("{path}.nodeSelectorTerms");
    if terms.is_empty() {
        errors.required(at, "must have at least one node selector term");
        return;
    }
    for (i, term) in terms.iter().enumerate() {
        node_selector_term(term, &format!("{at}[{i}]"), errors);
    }
}

fn node_selector_term(term: &Value, path: &str, errors: &mut Errors) {
    for (i, requirement) in items(term, "matchExpressions").iter().enumerate() {
        let at = format!("{path}.matchExpressions[{i}]");
        let key = text(requirement, "key");
        node_requirement(requirement, &at, errors);
        errors.reasons(&format!("{at}.key"), key, names::qualified(key));
    }
    for (i, requirement) in items(term, "matchFields").iter().enumerate() {
        let at = format!("{path}.matchFields[{i}]");
        let values = items(requirement, "values");
        match text(requirement, "operator") {
            "In" | "NotIn" if values.len() != 1 => {
                let detail =
                    "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
                errors.required(format!("{at}.values"), detail);
            }
            "In" | "NotIn" => {}
            other => {
                let detail = "not a valid selector operator";
                errors.invalid(format!("{at}.operator"), other, detail);
            }
        }
        let key = text(requirement, "key");
        if key != "metadata.name" {
            errors.invalid(format!("{at}.key"), key, "not a valid field selector key");
        }
    }
}

fn node_requirement(requirement: &Value, path: &str, errors: &mut Errors) {
    let count = texts(requirement, "values").count();
    let at = format!("{path}.values");
    match text(requirement, "operator") {
        "In" | "NotIn" if count == 0 => {
            errors.required(at, "must be specified when `operator` is 'In' or 'NotIn'");
        }
        "Exists" | "DoesNotExist" if count > 0 => {
            errors.forbidden(at, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
        }
        "Gt" | "Lt" if count != 1 => {
            errors.required(at, "must be specified single value when `operator` is 'Lt' or 'Gt'");
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        other => {
            errors.invalid(format!("{path}.operator"), other, "not a valid selector operator");
        }
    }
}

fn pod_affinity_term(term: &Value, path: &str, errors: &mut Errors) {
    errors.label_selector(get(term, "labelSelector"), &format!("{path}.labelSelector"));
    errors.label_selector(get(term, "namespaceSelector"), &format!("{path}.namespaceSelector"));
    for (i, namespace) in texts(term, "namespaces").enumerate() {
        let reasons = names::label(namespace);
        errors.reasons(&format!("{path}.namespaces[{i}]"), namespace, reasons);
    }
    match text(term, "topologyKey") {
        "" => errors.required(format!("{path}.topologyKey"), "can not be empty"),
        key => errors.reasons(&format!("{path}.topologyKey"), key, names::qualified(key)),
    }
}

fn spread(constraints: &[Value], path: &str, errors: &mut Errors) {
    for (i, constraint) in constraints.iter().enumerate() {
        let at = format!("{path}.topologySpreadConstraints[{i}]");
        let skew = int(constraint, "maxSkew").unwrap_or_default();
        if skew <= 0 {
            errors.invalid(format!("{at}.maxSkew"), skew, "must be greater than zero");
        }
        let key = text(constraint, "topologyKey");
        match key {
            "" => errors.required(format!("{at}.topologyKey"), "can not be empty"),
            key => errors.reasons(&format!("{at}.topologyKey"), key, names::qualified(key)),
        }
        let action = text(constraint, "whenUnsatisfiable");
        let actions = ["DoNotSchedule", "ScheduleAnyway"];
        errors.one_of(&format!("{at}.whenUnsatisfiable"), action, &actions);
        let same =
            |other: &&Value| text(other, "topologyKey") == key && text(other, "whenUnsatisfiable") == action;
        if constraints[i + 1..].iter().any(|other| same(&other)) {
            let path = format!("{at}.{{topologyKey, whenUnsatisfiable}}");
            errors.duplicate(path, format!("{{{key}, {action}}}"));
        }
        if let Some(domains) = int(constraint, "minDomains") {
            if domains <= 0 {
                errors.invalid(format!("{at}.minDomains"), domains, "must be greater than zero");
            }
            if action != "DoNotSchedule" {
                let detail =
                    format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}");
                errors.invalid(format!("{at}.minDomains"), domains, detail);
            }
        }
        for field in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            let policy = text(constraint, field);
            errors.one_of_or_empty(&format!("{at}.{field}"), policy, &["Honor", "Ignore"]);
        }
        errors.label_selector(get(constraint, "labelSelector"), &format!("{at}.labelSelector"));
    }
}
