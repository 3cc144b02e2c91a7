//! APIService.

use jiff::Timestamp;
use serde_json::Value;

use super::checks::Errors;
use crate::field::FieldError;
use crate::resource::Resource;
use crate::strategy::Strategy;

use super::builtin::{Builtin, Col, GET_PATCH_UPDATE};
use crate::meta::NameRule;
use crate::table::{age_cell, name_cell};
use crate::value::{get, has, int, items, set_default, text};

pub const API_SERVICE: Builtin =
    Builtin::new("apiregistration.k8s.io", "v1", "APIService", "apiservices", "InPBPD7+PqM=")
        .categories(&["api-extensions"])
        .subresources(&[("status", "APIService", GET_PATCH_UPDATE)])
        .columns(API_SERVICE_COLUMNS)
        .names(NameRule::PathSegment)
        .conditional_update()
        .status_keeps_metadata()
        .strategy(&ApiService);

const API_SERVICE_COLUMNS: &[Col] = &[
    ("Name", "string", "name", 0),
    ("Service", "string", "", 0),
    ("Available", "string", "", 0),
    ("Age", "string", "", 0),
];

struct ApiService;

impl Strategy for ApiService {
    fn default(&self, _r: &Resource, object: &mut Value) {
        if has(object, "spec.service") {
            set_default(object, "spec.service.port", 443);
        }
    }

    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        let spec = get(object, "spec");
        let (group, version) = (text(spec, "group"), text(spec, "version"));
        let (name, wanted) = (crate::meta::name(object), format!("{version}.{group}"));
        if name != wanted {
            let detail = format!("must be `spec.version+\".\"+spec.group`: {wanted:?}");
            errors.invalid("metadata.name", name, detail);
        }
        if version.is_empty() {
            errors.required("spec.version", "");
        } else {
            errors.reasons("spec.version", version, crate::names::label_1035(version));
        }
        for (field, max) in [("groupPriorityMinimum", 20_000), ("versionPriority", 1000)] {
            let value = int(spec, field).unwrap_or_default();
            if !(1..=max).contains(&value) {
                let detail = format!("must be positive and less than {max}");
                errors.invalid(format!("spec.{field}"), value, detail);
            }
        }
        let service = get(spec, "service");
        if !service.is_null() {
            errors.present(service, "spec.service", "namespace");
            errors.present(service, "spec.service", "name");
        }
        errors.0
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        let service = get(object, "spec.service");
        let shown = match service.is_null() {
            true => "Local".to_owned(),
            false => format!("{}/{}", text(service, "namespace"), text(service, "name")),
        };
        let found = items(object, "status.conditions").iter().find(|c| text(c, "type") == "Available");
        let available = match found.map(|c| (text(c, "status"), text(c, "reason"))) {
            Some(("True", _)) => "True".to_owned(),
            Some((status, reason)) => format!("{status} ({reason})"),
            None => "Unknown".to_owned(),
        };
        vec![name_cell(object), shown.into(), available.into(), age_cell(object, now)]
    }
}
