//! IPAddress and ServiceCIDR.

use jiff::Timestamp;
use serde_json::Value;

use super::checks::Errors;
use crate::field::FieldError;
use crate::resource::Resource;
use crate::strategy::Strategy;

use super::builtin::{Builtin, Col, GET_PATCH_UPDATE};
use crate::meta::NameRule;
use crate::table::{age_cell, name_cell};
use crate::value::{get, text, texts};

pub const IP_ADDRESS: Builtin =
    Builtin::new("networking.k8s.io", "v1", "IPAddress", "ipaddresses", "3f/plJFChNE=")
        .short(&["ip"])
        .columns(IP_ADDRESS_COLUMNS)
        .names(NameRule::PathSegment)
        .strategy(&Address);

pub const SERVICE_CIDR: Builtin =
    Builtin::new("networking.k8s.io", "v1", "ServiceCIDR", "servicecidrs", "gNLvruQhW2g=")
        .subresources(&[("status", "ServiceCIDR", GET_PATCH_UPDATE)])
        .columns(SERVICE_CIDR_COLUMNS)
        .status_keeps_metadata()
        .strategy(&Cidr);

const IP_ADDRESS_COLUMNS: &[Col] = &[("Name", "string", "name", 0), ("ParentRef", "string", "", 0)];

const SERVICE_CIDR_COLUMNS: &[Col] =
    &[("Name", "string", "name", 0), ("CIDRs", "string", "", 0), ("Age", "string", "", 0)];

struct Address;

impl Strategy for Address {
    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        errors.ip("metadata.name", crate::meta::name(object));
        let parent = get(object, "spec.parentRef");
        if parent.is_null() {
            errors.required("spec.parentRef", "");
        } else {
            errors.present(parent, "spec.parentRef", "resource");
            errors.present(parent, "spec.parentRef", "name");
        }
        errors.0
    }

    fn validate_update(&self, _r: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        errors.immutable(new, old, "spec.parentRef");
        errors.0
    }

    fn row(&self, _r: &Resource, object: &Value, _now: Timestamp) -> Vec<Value> {
        let parent = get(object, "spec.parentRef");
        let shown = match parent.is_null() {
            true => "<none>".into(),
            false => {
                let kind = crate::status::qualified(text(parent, "resource"), text(parent, "group"));
                let parts = [kind.as_str(), text(parent, "namespace"), text(parent, "name")];
                let parts: Vec<&str> = parts.into_iter().filter(|p| !p.is_empty()).collect();
                parts.join("/").to_lowercase()
            }
        };
        vec![name_cell(object), shown.into()]
    }
}

struct Cidr;

impl Strategy for Cidr {
    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        let cidrs: Vec<&str> = texts(object, "spec.cidrs").collect();
        match cidrs.len() {
            0 => errors.required("spec.cidrs", "at least one CIDR required"),
            1 | 2 => {}
            _ => {
                let detail = "may only hold up to 2 values";
                errors.invalid("spec", get(object, "spec").clone(), detail);
            }
        }
        for (i, cidr) in cidrs.iter().enumerate() {
            errors.cidr(&format!("spec.cidrs[{i}]"), cidr);
        }
        errors.0
    }

    fn validate_update(&self, _r: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        errors.immutable(new, old, "spec.cidrs");
        errors.0
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        let cidrs: Vec<&str> = texts(object, "spec.cidrs").collect();
        vec![name_cell(object), cidrs.join(",").into(), age_cell(object, now)]
    }
}
