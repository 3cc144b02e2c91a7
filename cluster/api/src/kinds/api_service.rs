//! APIService.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Value;

use super::checks::Errors;
use crate::field::FieldError;
use crate::resource::Resource;
use crate::strategy::Strategy;

use super::builtin::{Builtin, Col, GET_PATCH_UPDATE};
use crate::meta::NameRule;
use crate::names;
use crate::table::{age_cell, name_cell};
use crate::value::{flag, get, has, int, items, set_default, text};

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
        if group.is_empty() && version != "v1" {
            let detail = "only v1 may have an empty group and it better be legacy kube";
            errors.required("spec.group", detail);
        }
        if !group.is_empty() {
            errors.reasons("spec.group", group, names::subdomain(group));
        }
        errors.reasons("spec.version", version, names::label_1035(version));
        for (field, max) in [("groupPriorityMinimum", 20_000), ("versionPriority", 1000)] {
            let value = int(spec, field).unwrap_or_default();
            if !(1..=max).contains(&value) {
                let detail = format!("must be positive and less than {max}");
                errors.invalid(format!("spec.{field}"), value, detail);
            }
        }
        backend(spec, &mut errors);
        errors.0
    }

    fn validate_subresource(&self, _r: &Resource, _s: &str, new: &Value, _old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        for (i, condition) in items(new, "status.conditions").iter().enumerate() {
            let (status, known) = (text(condition, "status"), ["True", "False", "Unknown"]);
            if !known.contains(&status) {
                let at = format!("status.conditions[{i}].status");
                errors.0.push(FieldError::not_supported(at, status, known));
            }
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

/// The service that answers, or nothing for a group of this server.
fn backend(spec: &Value, errors: &mut Errors) {
    let (service, bundle) = (get(spec, "service"), text(spec, "caBundle"));
    let insecure = flag(spec, "insecureSkipTLSVerify");
    const INSECURE: &str = "spec.insecureSkipTLSVerify";
    if service.is_null() {
        if !bundle.is_empty() {
            let bytes = STANDARD.decode(bundle).map_or(bundle.len(), |bytes| bytes.len());
            let detail = "local APIServices may not have a caBundle";
            errors.invalid("spec.caBundle", format!("{bytes} bytes"), detail);
        }
        if insecure {
            errors.invalid(INSECURE, true, "local APIServices may not have insecureSkipTLSVerify");
        }
        return;
    }
    errors.present(service, "spec.service", "namespace");
    errors.present(service, "spec.service", "name");
    let port = int(service, "port").unwrap_or_default();
    let reasons = names::port(port);
    if !reasons.is_empty() {
        let detail = format!("port is not valid: {}", reasons.join(", "));
        errors.invalid("spec.service.port", port, detail);
    }
    if insecure && !bundle.is_empty() {
        errors.invalid(INSECURE, true, "may not be true if caBundle is present");
    }
}
