//! Devices: DeviceClass, ResourceClaim, ResourceClaimTemplate, ResourceSlice.

mod claim;
mod slice;

use jiff::Timestamp;
use serde_json::Value;

use super::checks::Errors;
use crate::field::FieldError;
use crate::resource::Resource;
use crate::strategy::Strategy;

use super::builtin::{Builtin, Col, GET_PATCH_UPDATE};
use crate::meta;
use crate::table::{age_cell, name_cell, or_none, text_cell};
use crate::value::{get_mut, has, int, items, items_mut, set, set_text, text};

pub const DEVICE_CLASS: Builtin =
    Builtin::new("resource.k8s.io", "v1", "DeviceClass", "deviceclasses", "Yk2PTc1Ybxk=")
        .columns(DEVICE_CLASS_COLUMNS)
        .generation()
        .strategy(&Class);

pub const RESOURCE_CLAIM: Builtin =
    Builtin::new("resource.k8s.io", "v1", "ResourceClaim", "resourceclaims", "wgAZaHcZxUg=")
        .namespaced()
        .subresources(&[("status", "ResourceClaim", GET_PATCH_UPDATE)])
        .columns(RESOURCE_CLAIM_COLUMNS)
        .status_keeps_metadata()
        .strategy(&CLAIM);

pub const RESOURCE_CLAIM_TEMPLATE: Builtin =
    Builtin::new("resource.k8s.io", "v1", "ResourceClaimTemplate", "resourceclaimtemplates", "TuzjC49aUfM=")
        .namespaced()
        .columns(RESOURCE_CLAIM_TEMPLATE_COLUMNS)
        .strategy(&TEMPLATE);

pub const RESOURCE_SLICE: Builtin =
    Builtin::new("resource.k8s.io", "v1", "ResourceSlice", "resourceslices", "KsC072WgaEY=")
        .columns(RESOURCE_SLICE_COLUMNS)
        .selectable(&[("spec.nodeName", ""), ("spec.driver", "")])
        .generation()
        .strategy(&Slice);

const DEVICE_CLASS_COLUMNS: &[Col] = &[("Name", "string", "name", 0), ("Age", "string", "", 0)];

const RESOURCE_CLAIM_COLUMNS: &[Col] =
    &[("Name", "string", "name", 0), ("State", "string", "", 0), ("Age", "string", "", 0)];

const RESOURCE_CLAIM_TEMPLATE_COLUMNS: &[Col] = &[("Name", "string", "name", 0), ("Age", "string", "", 0)];

const RESOURCE_SLICE_COLUMNS: &[Col] = &[
    ("Name", "string", "name", 0),
    ("Node", "string", "", 0),
    ("Driver", "string", "", 0),
    ("Pool", "string", "", 0),
    ("Age", "string", "", 0),
];

struct Class;

impl Strategy for Class {
    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        claim::class(object)
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![name_cell(object), age_cell(object, now)]
    }
}

struct Claim {
    /// Where the claim's spec is.
    spec: &'static str,
}

const CLAIM: Claim = Claim { spec: "spec" };
const TEMPLATE: Claim = Claim { spec: "spec.spec" };

impl Strategy for Claim {
    fn default(&self, _r: &Resource, object: &mut Value) {
        let path = format!("{}.devices.requests", self.spec);
        for request in items_mut(object, &path) {
            if let Some(exact) = get_mut(request, "exactly") {
                default_request(exact);
            }
            items_mut(request, "firstAvailable").for_each(default_request);
        }
    }

    fn validate_create(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        claim::spec(object, self.spec)
    }

    fn validate_update(&self, _r: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        errors.immutable(new, old, "spec");
        errors.0
    }

    fn validate_subresource(&self, _r: &Resource, _s: &str, new: &Value, old: &Value) -> Vec<FieldError> {
        claim::status(new, old)
    }

    fn row(&self, r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        match r.kind.as_str() {
            "ResourceClaim" => vec![name_cell(object), state(object).into(), age_cell(object, now)],
            _ => vec![name_cell(object), age_cell(object, now)],
        }
    }
}

fn default_request(request: &mut Value) {
    set_text(request, "allocationMode", "ExactCount");
    let exact = text(request, "allocationMode") == "ExactCount";
    if exact && int(request, "count").unwrap_or_default() == 0 {
        set(request, "count", 1);
    }
}

fn state(object: &Value) -> String {
    let mut states = Vec::new();
    if meta::is_deleting(object) {
        states.push("deleted");
    }
    if !has(object, "status.allocation") {
        if states.is_empty() {
            states.push("pending");
        }
    } else {
        states.push("allocated");
        if !items(object, "status.reservedFor").is_empty() {
            states.push("reserved");
        }
    }
    states.join(",")
}

struct Slice;

impl Strategy for Slice {
    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        slice::validate(object)
    }

    fn validate_update(&self, _r: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        for path in ["spec.driver", "spec.pool.name", "spec.nodeName"] {
            errors.immutable(new, old, path);
        }
        errors.0
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![
            name_cell(object),
            or_none(text(object, "spec.nodeName")).into(),
            text_cell(object, "spec.driver"),
            text_cell(object, "spec.pool.name"),
            age_cell(object, now),
        ]
    }
}
