//! Validation of claims for devices and of their classes. Whether selectors compile is not looked at.

use serde_json::Value;

use crate::field::FieldError;
use crate::kinds::checks::Errors;
use crate::kinds::pod_spec::node_selector;
use crate::meta::IMMUTABLE;
use crate::names;
use crate::value::{get, has, int, items, same, text, texts};

const MAX_REQUESTS: usize = 32;
const MAX_CONSTRAINTS: usize = 32;
const MAX_CONFIGS: usize = 32;
const MAX_SELECTORS: usize = 32;
const MAX_ALTERNATIVES: usize = 8;
const MAX_RESULTS: usize = 32;
const MAX_CONSUMERS: usize = 256;
const MAX_CONDITIONS: usize = 8;
const MAX_EXPRESSION: usize = 10 << 10;
const MAX_PARAMETERS: usize = 10 << 10;
const MAX_IDENTIFIER: usize = 32;

/// The list at a path, unless it is longer than it may be.
pub(super) fn bounded<'v>(
    object: &'v Value,
    path: &str,
    field: &str,
    max: usize,
    errors: &mut Errors,
) -> &'v [Value] {
    let list = items(object, field);
    if list.len() > max {
        errors.0.push(FieldError::too_many(format!("{path}.{field}"), list.len(), max));
        return &[];
    }
    list
}

/// Refuses what stands twice; the key of an item is what it is told from others by.
fn distinct<'v>(list: &'v [Value], key: impl Fn(&'v Value) -> &'v str, path: &str, errors: &mut Errors) {
    for (i, item) in list.iter().enumerate() {
        if list[..i].iter().any(|other| key(other) == key(item)) {
            errors.duplicate(format!("{path}[{i}]"), key(item));
        }
    }
}

/// The spec of a claim, which may be the one of a template.
pub fn spec(object: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Errors::default();
    let (claim, path) = (get(get(object, path), "devices"), format!("{path}.devices"));
    let requests = bounded(claim, &path, "requests", MAX_REQUESTS, &mut errors);
    for (i, of) in requests.iter().enumerate() {
        request(of, &format!("{path}.requests[{i}]"), &mut errors);
    }
    distinct(requests, |r| text(r, "name"), &format!("{path}.requests"), &mut errors);
    let all = items(claim, "requests");
    for (i, constraint) in
        bounded(claim, &path, "constraints", MAX_CONSTRAINTS, &mut errors).iter().enumerate()
    {
        let at = format!("{path}.constraints[{i}]");
        references(constraint, all, &at, &mut errors);
        match (get(constraint, "matchAttribute").as_str(), get(constraint, "distinctAttribute").as_str()) {
            (Some(name), _) => attribute_name(name, &format!("{at}.matchAttribute"), &mut errors),
            (None, Some(name)) => attribute_name(name, &format!("{at}.distinctAttribute"), &mut errors),
            (None, None) => {
                let detail = "exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple fields are set";
                errors.required(at, detail);
            }
        }
    }
    for (i, config) in bounded(claim, &path, "config", MAX_CONFIGS, &mut errors).iter().enumerate() {
        let at = format!("{path}.config[{i}]");
        references(config, all, &at, &mut errors);
        configuration(config, &at, &mut errors);
    }
    errors.0
}

fn request(request: &Value, path: &str, errors: &mut Errors) {
    let name = text(request, "name");
    errors.reasons(&format!("{path}.name"), name, names::label(name));
    const ONE: &str = "exactly one of `exactly` or `firstAvailable` is required";
    match (has(request, "exactly"), !items(request, "firstAvailable").is_empty()) {
        (false, false) => errors.required(path, ONE),
        (true, true) => errors.invalid(path, Value::Null, format!("{ONE}, but multiple fields are set")),
        (true, false) => wanted(get(request, "exactly"), &format!("{path}.exactly"), errors),
        (false, true) => {
            let list = bounded(request, path, "firstAvailable", MAX_ALTERNATIVES, errors);
            for (i, alternative) in list.iter().enumerate() {
                let at = format!("{path}.firstAvailable[{i}]");
                let name = text(alternative, "name");
                errors.reasons(&format!("{at}.name"), name, names::label(name));
                wanted(alternative, &at, errors);
            }
            distinct(list, |a| text(a, "name"), &format!("{path}.firstAvailable"), errors);
        }
    }
}

/// Which devices and how many.
fn wanted(wanted: &Value, path: &str, errors: &mut Errors) {
    let class = text(wanted, "deviceClassName");
    if errors.present(wanted, path, "deviceClassName") {
        errors.reasons(&format!("{path}.deviceClassName"), class, names::subdomain(class));
    }
    selectors(wanted, path, errors);
    let (mode, count) = (text(wanted, "allocationMode"), int(wanted, "count").unwrap_or_default());
    let at = format!("{path}.count");
    match mode {
        "All" if count != 0 => {
            errors.invalid(at, count, "must not be specified when allocationMode is 'All'");
        }
        "ExactCount" if count <= 0 => errors.invalid(at, count, "must be greater than zero"),
        "All" | "ExactCount" => {}
        mode => {
            let modes = ["All", "ExactCount"];
            errors.0.push(FieldError::not_supported(format!("{path}.allocationMode"), mode, modes));
        }
    }
    for (i, of) in items(wanted, "tolerations").iter().enumerate() {
        toleration(of, &format!("{path}.tolerations[{i}]"), errors);
    }
}

fn selectors(of: &Value, path: &str, errors: &mut Errors) {
    for (i, selector) in bounded(of, path, "selectors", MAX_SELECTORS, errors).iter().enumerate() {
        let at = format!("{path}.selectors[{i}].cel");
        if !has(selector, "cel") {
            errors.required(at, "");
        } else if text(selector, "cel.expression").len() > MAX_EXPRESSION {
            errors.0.push(FieldError::too_long(format!("{at}.expression"), MAX_EXPRESSION));
        }
    }
}

fn toleration(toleration: &Value, path: &str, errors: &mut Errors) {
    let (key, value) = (text(toleration, "key"), text(toleration, "value"));
    if !key.is_empty() {
        errors.reasons(&format!("{path}.key"), key, names::qualified(key));
    }
    match text(toleration, "operator") {
        "Exists" if !value.is_empty() => {
            errors.invalid(format!("{path}.value"), value, "must be empty for operator `Exists`");
        }
        "Equal" => errors.reasons(&format!("{path}.value"), value, names::label_value(value)),
        operator => errors.one_of(&format!("{path}.operator"), operator, &["Equal", "Exists"]),
    }
    effect(text(toleration, "effect"), path, errors);
}

pub(super) fn effect(effect: &str, path: &str, errors: &mut Errors) {
    errors.one_of_or_empty(&format!("{path}.effect"), effect, &["NoExecute", "NoSchedule", "None"]);
}

/// Names of requests: `NAME`, or `NAME/ALTERNATIVE`.
fn references(of: &Value, requests: &[Value], path: &str, errors: &mut Errors) {
    let list = bounded(of, path, "requests", MAX_REQUESTS, errors);
    let path = format!("{path}.requests");
    for (i, name) in list.iter().enumerate() {
        reference(name.as_str().unwrap_or_default(), requests, &format!("{path}[{i}]"), errors);
    }
    distinct(list, |name| name.as_str().unwrap_or_default(), &path, errors);
}

fn reference(name: &str, requests: &[Value], path: &str, errors: &mut Errors) {
    const DETAIL: &str = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";
    let parts: Vec<&str> = name.split('/').collect();
    if parts.len() > 2 {
        return errors.invalid(path, name, DETAIL);
    }
    for part in &parts {
        errors.reasons(path, part, names::label(part));
    }
    let known = requests.iter().any(|request| {
        let alternative = |name: &&str| items(request, "firstAvailable").iter().any(|a| a["name"] == *name);
        request["name"] == parts[0] && parts.get(1).is_none_or(alternative)
    });
    if !known {
        errors.invalid(path, name, DETAIL);
    }
}

/// What is handed to a driver.
fn configuration(config: &Value, path: &str, errors: &mut Errors) {
    let path = format!("{path}.opaque");
    let opaque = get(config, "opaque");
    if opaque.is_null() {
        return errors.required(path, "");
    }
    errors.driver_name(text(opaque, "driver"), &format!("{path}.driver"));
    any_object(get(opaque, "parameters"), &format!("{path}.parameters"), errors);
}

fn any_object(value: &Value, path: &str, errors: &mut Errors) {
    if value.is_null() {
        errors.required(path, "");
    } else if value.to_string().len() > MAX_PARAMETERS {
        errors.0.push(FieldError::too_long(path, MAX_PARAMETERS));
    } else if !value.is_object() {
        errors.invalid(path, "<value omitted>", "must be a valid JSON object");
    }
}

/// `DOMAIN/NAME`.
fn attribute_name(name: &str, path: &str, errors: &mut Errors) {
    qualified(name, path, errors);
    if !name.contains('/') {
        let detail = "a fully qualified name must be a domain and a name separated by a slash";
        errors.invalid(path, name, detail);
    }
}

/// `NAME` or `DOMAIN/NAME`, the name a C identifier.
pub(super) fn qualified(name: &str, path: &str, errors: &mut Errors) {
    let identifier = |id: &str, errors: &mut Errors| {
        if id.len() > MAX_IDENTIFIER {
            errors.0.push(FieldError::too_long(path, MAX_IDENTIFIER));
        }
        errors.reasons(path, id, names::c_identifier(id));
    };
    match name.split('/').collect::<Vec<_>>().as_slice() {
        [id] => identifier(id, errors),
        [domain, id] => {
            match domain.is_empty() {
                true => errors.invalid(path, "", "the domain must not be empty"),
                false => errors.driver_name(domain, path),
            }
            match id.is_empty() {
                true => errors.invalid(path, "", "the name must not be empty"),
                false => identifier(id, errors),
            }
        }
        _ => {}
    }
}

pub(super) fn pool_name(name: &str, path: &str, errors: &mut Errors) {
    const LONGEST: usize = 253;
    if name.is_empty() {
        return errors.required(path, "");
    }
    if name.len() > LONGEST {
        errors.0.push(FieldError::too_long(path, LONGEST));
    }
    for part in name.split('/') {
        errors.reasons(path, part, names::subdomain(part));
    }
}

/// A DeviceClass.
pub fn class(object: &Value) -> Vec<FieldError> {
    let mut errors = Errors::default();
    let spec = get(object, "spec");
    selectors(spec, "spec", &mut errors);
    for (i, config) in bounded(spec, "spec", "config", MAX_CONFIGS, &mut errors).iter().enumerate() {
        configuration(config, &format!("spec.config[{i}]"), &mut errors);
    }
    if let Some(name) = get(spec, "extendedResourceName").as_str() {
        let native = !name.contains('/') || name.contains("kubernetes.io/");
        let counted = names::qualified(&format!("requests.{name}"));
        if native || name.starts_with("requests.") || !counted.is_empty() {
            errors.invalid("spec.extendedResourceName", name, "must be a valid extended resource name");
        }
    }
    errors.0
}

/// What an allocator writes: the allocation stays, and is there before anybody reserves it.
pub fn status(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Errors::default();
    let requests = items(new, "spec.devices.requests");
    let (is, was) = (get(new, "status"), get(old, "status"));
    let consumers = bounded(is, "status", "reservedFor", MAX_CONSUMERS, &mut errors);
    for (i, consumer) in consumers.iter().enumerate() {
        for field in ["resource", "name", "uid"] {
            errors.present(consumer, &format!("status.reservedFor[{i}]"), field);
        }
    }
    distinct(consumers, |c| text(c, "uid"), "status.reservedFor", &mut errors);
    let allocation = get(is, "allocation");
    for (i, device) in items(is, "devices").iter().enumerate() {
        device_status(device, allocation, &format!("status.devices[{i}]"), &mut errors);
    }
    let added = || consumers.iter().any(|c| !items(was, "reservedFor").contains(c));
    if !items(is, "reservedFor").is_empty() && allocation.is_null() {
        let detail = "may not be specified when `allocated` is not set";
        errors.forbidden("status.reservedFor", detail);
    } else if crate::meta::is_deleting(new) && added() {
        let detail =
            "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set";
        errors.forbidden("status.reservedFor", detail);
    }
    match (has(was, "allocation"), allocation.is_null()) {
        (true, false) if !same(allocation, get(was, "allocation")) => {
            errors.invalid("status.allocation", allocation.clone(), IMMUTABLE);
        }
        (false, false) => allocated(allocation, requests, &mut errors),
        _ => {}
    }
    errors.0
}

fn allocated(allocation: &Value, requests: &[Value], errors: &mut Errors) {
    const PATH: &str = "status.allocation.devices";
    let devices = get(allocation, "devices");
    for (i, result) in bounded(devices, PATH, "results", MAX_RESULTS, errors).iter().enumerate() {
        let at = format!("{PATH}.results[{i}]");
        reference(text(result, "request"), requests, &format!("{at}.request"), errors);
        device_id(result, &at, errors);
    }
    for (i, config) in bounded(devices, PATH, "config", 2 * MAX_CONFIGS, errors).iter().enumerate() {
        let at = format!("{PATH}.config[{i}]");
        let source = text(config, "source");
        errors.one_of(&format!("{at}.source"), source, &["FromClaim", "FromClass"]);
        references(config, requests, &at, errors);
        configuration(config, &at, errors);
    }
    let selector = get(allocation, "nodeSelector");
    if !selector.is_null() {
        node_selector(selector, "status.allocation.nodeSelector", errors);
    }
}

fn device_id(of: &Value, path: &str, errors: &mut Errors) {
    errors.driver_name(text(of, "driver"), &format!("{path}.driver"));
    pool_name(text(of, "pool"), &format!("{path}.pool"), errors);
    let device = text(of, "device");
    errors.reasons(&format!("{path}.device"), device, names::label(device));
}

fn device_status(device: &Value, allocation: &Value, path: &str, errors: &mut Errors) {
    device_id(device, path, errors);
    let id = |of: &Value| ["driver", "pool", "device", "shareID"].map(|field| text(of, field).to_owned());
    if !items(allocation, "devices.results").iter().any(|result| id(result) == id(device)) {
        let [driver, pool, name, _] = id(device);
        let detail = "must be an allocated device in the claim";
        errors.invalid(path, format!("{driver}/{pool}/{name}"), detail);
    }
    let conditions = bounded(device, path, "conditions", MAX_CONDITIONS, errors);
    errors.conditions(conditions, &format!("{path}.conditions"));
    if has(device, "data") {
        any_object(get(device, "data"), &format!("{path}.data"), errors);
    }
    let (network, at) = (get(device, "networkData"), format!("{path}.networkData"));
    for (field, longest) in [("interfaceName", 256), ("hardwareAddress", 128)] {
        if text(network, field).len() > longest {
            errors.0.push(FieldError::too_long(format!("{at}.{field}"), longest));
        }
    }
    for (i, address) in texts(network, "ips").enumerate() {
        errors.cidr(&format!("{at}.ips[{i}]"), address);
    }
}
