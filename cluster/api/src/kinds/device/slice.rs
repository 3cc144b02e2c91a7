//! Validation of a ResourceSlice: the devices that a driver offers.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::claim::{bounded, effect, pool_name, qualified};
use crate::field::FieldError;
use crate::kinds::checks::Errors;
use crate::kinds::pod_spec::node_selector;
use crate::names;
use crate::value::{flag, get, has, int, items, members, text, texts};

const MAX_DEVICES: usize = 128;
/// The same for slices whose devices have taints, counters or lists.
const MAX_RICH_DEVICES: usize = 64;
const MAX_COUNTER_SETS: usize = 8;
const MAX_COUNTERS: usize = 32;
const MAX_CONSUMPTIONS: usize = 2;
const MAX_FACTS: usize = 32;
const MAX_VALUES: usize = 48;
const MAX_VALUE: usize = 64;
const MAX_TAINTS: usize = 16;
const MAX_CONDITIONS: usize = 4;

/// Values of an attribute that are one, and that are lists.
const SINGLE: [&str; 4] = ["bool", "int", "string", "version"];
const LISTS: [&str; 4] = ["bools", "ints", "strings", "versions"];

static SEMVER: LazyLock<Regex> = LazyLock::new(|| {
    const NUMBER: &str = r"(0|[1-9]\d*)";
    const PRERELEASE: &str = r"(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)";
    const BUILD: &str = "[0-9a-zA-Z-]+";
    let pattern =
        format!(r"^{NUMBER}\.{NUMBER}\.{NUMBER}(-{PRERELEASE}(\.{PRERELEASE})*)?(\+{BUILD}(\.{BUILD})*)?$");
    Regex::new(&pattern).expect("a valid pattern")
});

pub fn validate(object: &Value) -> Vec<FieldError> {
    let mut errors = Errors::default();
    let spec = get(object, "spec");
    errors.driver_name(text(spec, "driver"), "spec.driver");
    pool_name(text(spec, "pool.name"), "spec.pool.name", &mut errors);
    let (slices, generation) = (int(spec, "pool.resourceSliceCount"), int(spec, "pool.generation"));
    if slices.unwrap_or_default() <= 0 {
        let detail = "must be greater than zero";
        errors.invalid("spec.pool.resourceSliceCount", slices.unwrap_or_default(), detail);
    }
    if let Some(generation) = generation.filter(|g| *g < 0) {
        errors.invalid("spec.pool.generation", generation, "must be greater than or equal to zero");
    }
    let all = ["nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection"];
    let set = where_from(spec, "spec", &all, &mut errors);
    let terms = get(spec, "nodeSelector.nodeSelectorTerms");
    if has(spec, "nodeSelector") && terms.as_array().is_none_or(|terms| terms.len() != 1) {
        let detail = "must have exactly one node selector term";
        errors.invalid("spec.nodeSelector.nodeSelectorTerms", terms.clone(), detail);
    }
    const ONE: &str =
        "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
    match set.as_slice() {
        [] => errors.required("spec", ONE),
        [_] => {}
        several => {
            let shown = format!("{{{}}}", several.join(", "));
            errors.invalid("spec", shown, format!("{ONE}, but multiple fields are set"));
        }
    }
    if has(spec, "sharedCounters") && has(spec, "devices") {
        errors.invalid("spec", "", "only one of `sharedCounters` or `devices` is allowed");
    }
    devices(spec, &mut errors);
    let sets = bounded(spec, "spec", "sharedCounters", MAX_COUNTER_SETS, &mut errors);
    for (i, set) in sets.iter().enumerate() {
        counters(set, "name", &format!("spec.sharedCounters[{i}]"), &mut errors);
        if sets[..i].iter().any(|other| other["name"] == set["name"]) {
            errors.duplicate(format!("spec.sharedCounters[{i}]"), text(set, "name"));
        }
    }
    errors.0
}

fn devices(spec: &Value, errors: &mut Errors) {
    let rich = |device: &Value| {
        let lists = |(_, value): (&String, &Value)| LISTS.iter().any(|list| has(value, list));
        !items(device, "taints").is_empty()
            || !items(device, "consumesCounters").is_empty()
            || members(device, "attributes").any(lists)
    };
    let max = if items(spec, "devices").iter().any(rich) { MAX_RICH_DEVICES } else { MAX_DEVICES };
    let devices = bounded(spec, "spec", "devices", max, errors);
    for (i, of) in devices.iter().enumerate() {
        let path = format!("spec.devices[{i}]");
        device(of, flag(spec, "perDeviceNodeSelection"), &path, errors);
    }
    for (i, of) in devices.iter().enumerate() {
        if devices[..i].iter().any(|other| other["name"] == of["name"]) {
            errors.duplicate(format!("spec.devices[{i}]"), text(of, "name"));
        }
    }
}

/// Checks which nodes reach a device; the fields that say so.
fn where_from(of: &Value, path: &str, fields: &[&str], errors: &mut Errors) -> Vec<String> {
    let mut set = Vec::new();
    for field in fields.iter().filter(|field| has(of, field)) {
        let (value, at) = (get(of, field), format!("{path}.{field}"));
        match value {
            Value::String(name) if name.is_empty() => {
                let detail = match path {
                    "spec" => "must be either unset or set to a non-empty string",
                    _ => "must not be empty",
                };
                errors.invalid(at, "", detail);
                continue;
            }
            Value::String(name) => errors.reasons(&at, name, names::subdomain(name)),
            Value::Bool(false) => {
                errors.invalid(at, false, "must be either unset or set to true");
                continue;
            }
            Value::Object(_) => node_selector(value, &at, errors),
            _ => {}
        }
        set.push(format!("`{field}`"));
    }
    set
}

fn device(device: &Value, by_device: bool, path: &str, errors: &mut Errors) {
    let name = text(device, "name");
    errors.reasons(&format!("{path}.name"), name, names::label(name));
    facts(device, path, errors);
    for (i, taint) in bounded(device, path, "taints", MAX_TAINTS, errors).iter().enumerate() {
        let at = format!("{path}.taints[{i}]");
        let (key, value) = (text(taint, "key"), text(taint, "value"));
        errors.reasons(&format!("{at}.key"), key, names::qualified(key));
        errors.reasons(&format!("{at}.value"), value, names::label_value(value));
        errors.present(taint, &at, "effect");
        effect(text(taint, "effect"), &at, errors);
    }
    let consumptions = bounded(device, path, "consumesCounters", MAX_CONSUMPTIONS, errors);
    for (i, consumption) in consumptions.iter().enumerate() {
        let at = format!("{path}.consumesCounters[{i}]");
        counters(consumption, "counterSet", &at, errors);
        if consumptions[..i].iter().any(|other| other["counterSet"] == consumption["counterSet"]) {
            errors.duplicate(at, text(consumption, "counterSet"));
        }
    }
    const FIELDS: [&str; 3] = ["nodeName", "nodeSelector", "allNodes"];
    const ONE: &str = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the ResourceSlice spec";
    if !by_device {
        if FIELDS.iter().any(|field| has(device, field)) {
            let detail = "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec";
            errors.invalid(path, Value::Null, detail);
        }
    } else {
        match where_from(device, path, &FIELDS, errors).as_slice() {
            [] => errors.required(path, ONE),
            [_] => {}
            several => errors.invalid(path, format!("{{{}}}", several.join(", ")), ONE),
        }
    }
    binding(device, path, errors);
}

/// Attributes and capacities.
fn facts(device: &Value, path: &str, errors: &mut Errors) {
    let known = members(device, "attributes").count() + members(device, "capacity").count();
    if known > MAX_FACTS {
        let detail = format!("the total number of attributes and capacities must not exceed {MAX_FACTS}");
        errors.invalid(path, known, detail);
    }
    let listed = |value: &Value| LISTS.iter().map(|list| items(value, list).len()).sum::<usize>().max(1);
    let values: usize = members(device, "attributes").map(|(_, value)| listed(value)).sum();
    if values > MAX_VALUES {
        let detail = format!("the total number of attribute values must not exceed {MAX_VALUES}");
        errors.invalid(path, values, detail);
    }
    for (name, value) in members(device, "attributes") {
        let at = format!("{path}.attributes");
        qualified(name, &at, errors);
        attribute(value, &format!("{at}[{name}]"), errors);
    }
    for (name, value) in members(device, "capacity") {
        let at = format!("{path}.capacity");
        qualified(name, &at, errors);
        if has(value, "requestPolicy") && !flag(device, "allowMultipleAllocations") {
            let detail = "allowMultipleAllocations must be true";
            errors.forbidden(format!("{at}[{name}].requestPolicy"), detail);
        }
    }
}

fn attribute(attribute: &Value, path: &str, errors: &mut Errors) {
    let values = |list: &str, single: &str| {
        let one = get(attribute, single).as_str().map(|value| (format!("{path}.{single}"), value));
        let all = texts(attribute, list).enumerate();
        one.into_iter()
            .chain(all.map(|(i, value)| (format!("{path}.{list}[{i}]"), value)))
            .collect::<Vec<_>>()
    };
    for (at, value) in values("versions", "version") {
        if !SEMVER.is_match(value) {
            let detail = "must be a string compatible with semver.org spec 2.0.0";
            errors.invalid(at, value, detail);
        }
    }
    for (at, value) in values("strings", "string").into_iter().chain(values("versions", "version")) {
        if value.len() > MAX_VALUE {
            errors.0.push(FieldError::too_long(at, MAX_VALUE));
        }
    }
    for list in LISTS.iter().filter(|list| has(attribute, list) && items(attribute, list).is_empty()) {
        errors.invalid(format!("{path}.{list}"), Value::Array(Vec::new()), "must not be empty if specified");
    }
    match SINGLE.iter().chain(&LISTS).filter(|field| has(attribute, field)).count() {
        1 => {}
        0 => errors.invalid(path, "", "exactly one value must be specified"),
        _ => errors.invalid(path, attribute.clone(), "exactly one value must be specified"),
    }
}

/// A named set of counters.
fn counters(set: &Value, field: &str, path: &str, errors: &mut Errors) {
    let name = text(set, field);
    if errors.present(set, path, field) {
        errors.reasons(&format!("{path}.{field}"), name, names::label(name));
    }
    let at = format!("{path}.counters");
    match members(set, "counters").count() {
        0 => errors.required(at, ""),
        many if many > MAX_COUNTERS => errors.0.push(FieldError::too_many(at, many, MAX_COUNTERS)),
        _ => {
            for (name, _) in members(set, "counters") {
                errors.reasons(&at, name, names::label(name));
            }
        }
    }
}

/// Conditions that a pod waits for before it is bound, and those that tell it to give up.
fn binding(device: &Value, path: &str, errors: &mut Errors) {
    const FIELDS: [&str; 2] = ["bindingConditions", "bindingFailureConditions"];
    let [ready, failed] = FIELDS.map(|field| texts(device, field).collect::<Vec<_>>());
    for (field, list) in FIELDS.iter().zip([&ready, &failed]) {
        for (i, condition) in bounded(device, path, field, MAX_CONDITIONS, errors).iter().enumerate() {
            let name = condition.as_str().unwrap_or_default();
            errors.reasons(&format!("{path}.{field}[{i}]"), name, names::qualified(name));
        }
        for (i, name) in list.iter().enumerate() {
            let at = format!("{path}.{field}[{i}]");
            if list[..i].contains(name) {
                errors.duplicate(at.as_str(), *name);
            }
            if *field == FIELDS[1] && ready.contains(name) {
                let detail = "bindingFailureConditions must not overlap with bindingConditions";
                errors.invalid(at, *name, detail);
            }
        }
    }
    for (field, other, missing) in [
        (FIELDS[0], FIELDS[1], ready.is_empty() && !failed.is_empty()),
        (FIELDS[1], FIELDS[0], failed.is_empty() && !ready.is_empty()),
    ] {
        if missing {
            let detail = format!("{field} are required to use {other}");
            errors.invalid(format!("{path}.{field}"), Value::Array(Vec::new()), detail);
        }
    }
}
