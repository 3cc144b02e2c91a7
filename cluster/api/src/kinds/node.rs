//! Node.

use jiff::Timestamp;
use serde_json::Value;

use super::checks::Errors;
use crate::field::{FieldError, FieldErrorKind};
use crate::resource::Resource;
use crate::strategy::Strategy;

use super::builtin::{Builtin, Col, GET_PATCH_UPDATE};
use super::pod_spec::EFFECTS;
use super::warn;
use crate::names;
use crate::quantity::Quantity;
use crate::table::{age_cell, name_cell, text_cell};
use crate::value::{flag, get, has, items, members, set, text, texts};

pub const NODE: Builtin = Builtin::new("", "v1", "Node", "nodes", "XwShjMxG9Fs=")
    .short(&["no"])
    .subresources(&[
        ("proxy", "NodeProxyOptions", &["create", "delete", "get", "patch", "update"]),
        ("status", "Node", GET_PATCH_UPDATE),
    ])
    .columns(NODE_COLUMNS)
    .selectable(&[("spec.unschedulable", "false")])
    .status_on_create()
    .strategy(&Node);

const NODE_COLUMNS: &[Col] = &[
    ("Name", "string", "name", 0),
    ("Status", "string", "", 0),
    ("Roles", "string", "", 0),
    ("Age", "string", "", 0),
    ("Version", "string", "", 0),
    ("Internal-IP", "string", "", 1),
    ("External-IP", "string", "", 1),
    ("OS-Image", "string", "", 1),
    ("Kernel-Version", "string", "", 1),
    ("Container-Runtime", "string", "", 1),
];

struct Node;

impl Strategy for Node {
    fn default(&self, _r: &Resource, object: &mut Value) {
        if has(object, "status.capacity") && !has(object, "status.allocatable") {
            let capacity = get(object, "status.capacity").clone();
            set(object, "status.allocatable", capacity);
        }
    }

    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        validate_taints(items(object, "spec.taints"), "metadata.taints", &mut errors);
        validate_resources(object, &mut errors);
        let mut families = Vec::new();
        for (i, cidr) in texts(object, "spec.podCIDRs").enumerate() {
            families.push(errors.cidr(&format!("spec.podCIDRs[{i}]"), cidr).map(|c| c.addr().is_ipv4()));
        }
        if families.len() > 2 || families.len() == 2 && families[0] == families[1] {
            let detail = "may specify no more than one CIDR for each IP family";
            errors.invalid("spec.podCIDRs", get(object, "spec.podCIDRs").clone(), detail);
        }
        errors.0
    }

    fn validate_update(&self, _r: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        let detail = "node updates may not change podCIDR except from \"\" to valid";
        if !items(old, "spec.podCIDRs").is_empty()
            && items(old, "spec.podCIDRs") != items(new, "spec.podCIDRs")
        {
            errors.forbidden("spec.podCIDRs", detail);
        }
        if text(new, "spec.externalID") != text(old, "spec.externalID") {
            errors.forbidden("spec.externalID", "may not be updated");
        }
        let provider = text(old, "spec.providerID");
        if !provider.is_empty() && provider != text(new, "spec.providerID") {
            let detail = "node updates may not change providerID except from \"\" to valid";
            errors.forbidden("spec.providerID", detail);
        }
        errors.0
    }

    fn validate_subresource(&self, _r: &Resource, _s: &str, new: &Value, _old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        validate_resources(new, &mut errors);
        let addresses = items(new, "status.addresses");
        for (i, address) in addresses.iter().enumerate() {
            if addresses[..i].contains(address) {
                errors.duplicate(format!("status.addresses[{i}]"), address.clone());
            }
        }
        errors.0
    }

    fn warnings(&self, _r: &Resource, object: &Value, _old: Option<&Value>) -> Vec<String> {
        let mut found = Vec::new();
        if has(object, "spec.configSource") {
            found.push("spec.configSource: the feature is removed".into());
        }
        if !text(object, "spec.externalID").is_empty() {
            found.push("spec.externalID: this field is deprecated, and is unused by Kubernetes".into());
        }
        for (i, range) in texts(object, "spec.podCIDRs").enumerate() {
            warn::cidr(&format!("spec.podCIDRs[{i}]"), range, &mut found);
        }
        found
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        let info = |field: &str| match text(object, &format!("status.nodeInfo.{field}")) {
            "" => "<unknown>".to_owned(),
            text => text.to_owned(),
        };
        let mut kernel = info("kernelVersion");
        let architecture = text(object, "status.nodeInfo.architecture");
        if !architecture.is_empty() {
            kernel.push_str(&format!(" ({architecture})"));
        }
        vec![
            name_cell(object),
            status(object).into(),
            roles(object).into(),
            age_cell(object, now),
            text_cell(object, "status.nodeInfo.kubeletVersion"),
            address(object, "InternalIP").into(),
            address(object, "ExternalIP").into(),
            info("osImage").into(),
            kernel.into(),
            info("containerRuntimeVersion").into(),
        ]
    }
}

fn status(object: &Value) -> String {
    let ready = items(object, "status.conditions").iter().find(|c| text(c, "type") == "Ready");
    let word = match ready.map(|c| text(c, "status")) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    };
    match flag(object, "spec.unschedulable") {
        true => format!("{word},SchedulingDisabled"),
        false => word.to_owned(),
    }
}

fn roles(object: &Value) -> String {
    let mut roles: Vec<&str> = Vec::new();
    for (key, value) in members(object, "metadata.labels") {
        match key.strip_prefix("node-role.kubernetes.io/") {
            Some("") => {}
            Some(role) => roles.push(role),
            None if key == "kubernetes.io/role" => roles.extend(value.as_str().filter(|v| !v.is_empty())),
            None => {}
        }
    }
    roles.sort_unstable();
    roles.dedup();
    crate::table::or_none(&roles.join(","))
}

fn address(object: &Value, kind: &str) -> String {
    let found = items(object, "status.addresses").iter().find(|a| text(a, "type") == kind);
    crate::table::or_none(found.map_or("", |a| text(a, "address")))
}

fn validate_resources(object: &Value, errors: &mut Errors) {
    for list in ["capacity", "allocatable"] {
        for (name, value) in members(object, &format!("status.{list}")) {
            let path = format!("status.{list}.{name}");
            let quantity: Option<Quantity> = errors.quantity(value, &path);
            let whole = quantity.is_none_or(|q| q.is_whole());
            if name.contains('/') && !name.starts_with("kubernetes.io/") && !whole {
                errors.invalid(path, value.clone(), "must be an integer");
            }
        }
    }
}

fn validate_taints(taints: &[Value], path: &str, errors: &mut Errors) {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for (i, taint) in taints.iter().enumerate() {
        let path = format!("{path}[{i}]");
        let (key, value, effect) = (text(taint, "key"), text(taint, "value"), text(taint, "effect"));
        errors.reasons(&format!("{path}.key"), key, names::qualified(key));
        let reasons = names::label_value(value);
        if !reasons.is_empty() {
            errors.invalid(format!("{path}.value"), value, reasons.join(";"));
        }
        errors.one_of(&format!("{path}.effect"), effect, &EFFECTS);
        if seen.contains(&(key, effect)) {
            let detail = "taints must be unique by key and effect pair";
            let kind = FieldErrorKind::Duplicate;
            errors.0.push(FieldError::new(kind, path, taint.clone(), detail));
        }
        seen.push((key, effect));
    }
}
