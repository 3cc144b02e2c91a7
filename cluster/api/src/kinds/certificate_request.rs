//! CertificateSigningRequest.

mod validate;

use jiff::Timestamp;
use serde_json::Value;

use crate::field::FieldError;
use crate::pipeline::Ctx;
use crate::resource::Resource;
use crate::strategy::Strategy;

use super::builtin::{Builtin, Col, GET_PATCH_UPDATE};
use crate::meta;
use crate::table::{age_cell, human_duration, name_cell, or_none, text_cell};
use crate::value::{copy, has, int, items, remove, set, set_default, text};

pub const CERTIFICATE_SIGNING_REQUEST: Builtin = Builtin::new(
    "certificates.k8s.io",
    "v1",
    "CertificateSigningRequest",
    "certificatesigningrequests",
    "95fRKMXA+00=",
)
.short(&["csr"])
.subresources(&[
    ("approval", "CertificateSigningRequest", GET_PATCH_UPDATE),
    ("status", "CertificateSigningRequest", GET_PATCH_UPDATE),
])
.columns(CERTIFICATE_SIGNING_REQUEST_COLUMNS)
.selectable(&[("spec.signerName", "")])
.strategy(&Request);

const CERTIFICATE_SIGNING_REQUEST_COLUMNS: &[Col] = &[
    ("Name", "string", "name", 0),
    ("Age", "string", "", 0),
    ("SignerName", "string", "", 0),
    ("Requestor", "string", "", 0),
    ("RequestedDuration", "string", "", 0),
    ("Condition", "string", "", 0),
];

struct Request;

impl Strategy for Request {
    fn default(&self, _r: &Resource, object: &mut Value) {
        if items(object, "spec.usages").is_empty() {
            set(object, "spec.usages", serde_json::json!(["digital signature", "key encipherment"]));
        }
        for condition in crate::value::items_mut(object, "status.conditions") {
            set_default(condition, "status", "True");
        }
    }

    /// Who asks is what the server knows, not what the request says.
    fn prepare_create(&self, _r: &Resource, object: &mut Value, ctx: &Ctx) {
        let user = &ctx.user;
        for path in ["spec.username", "spec.uid", "spec.groups", "spec.extra"] {
            remove(object, path);
        }
        set(object, "spec.username", user.name.as_str());
        if !user.uid.is_empty() {
            set(object, "spec.uid", user.uid.as_str());
        }
        if !user.groups.is_empty() {
            set(object, "spec.groups", user.groups.clone());
        }
        for (key, values) in &user.extra {
            let extra = crate::value::ensure(object, "spec.extra");
            extra.insert(key.clone(), values.clone().into());
        }
    }

    fn prepare_update(&self, _r: &Resource, new: &mut Value, old: &Value, _ctx: &Ctx) {
        copy(old, new, "spec");
    }

    fn prepare_subresource(&self, _r: &Resource, subresource: &str, new: &mut Value, old: &Value, ctx: &Ctx) {
        if subresource == "approval" {
            copy(old, new, "spec");
            copy(old, new, "status.certificate");
        } else {
            // Approval and denial come through `approval` only.
            let decided = |c: &Value| matches!(text(c, "type"), "Approved" | "Denied");
            let mut conditions: Vec<Value> = items(new, "status.conditions").to_vec();
            conditions.retain(|c| !decided(c));
            let kept = items(old, "status.conditions").iter().filter(|c| decided(c)).cloned();
            let all: Vec<Value> = kept.chain(conditions).collect();
            if !all.is_empty() {
                set(new, "status.conditions", all);
            }
        }
        let at = meta::time(ctx.now);
        for condition in crate::value::items_mut(new, "status.conditions") {
            set_default(condition, "status", "True");
            set_default(condition, "lastUpdateTime", at.as_str());
            set_default(condition, "lastTransitionTime", at.as_str());
        }
    }

    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        validate::request(object)
    }

    fn validate_update(&self, _r: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
        validate::conditions(new, Some(old))
    }

    fn validate_subresource(&self, _r: &Resource, s: &str, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = validate::conditions(new, Some(old));
        if s == "status" {
            errors.extend(validate::certificate(new, old));
        }
        errors
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        let duration = match int(object, "spec.expirationSeconds") {
            Some(seconds) => human_duration(seconds),
            None => "<none>".into(),
        };
        vec![
            name_cell(object),
            age_cell(object, now),
            or_none(text(object, "spec.signerName")).into(),
            text_cell(object, "spec.username"),
            duration.into(),
            status(object).into(),
        ]
    }
}

fn status(object: &Value) -> String {
    let is = |kind: &str| items(object, "status.conditions").iter().any(|c| text(c, "type") == kind);
    let mut word = match (is("Denied"), is("Approved")) {
        (true, _) => "Denied".to_owned(),
        (false, true) => "Approved".to_owned(),
        (false, false) => "Pending".to_owned(),
    };
    if is("Failed") {
        word.push_str(",Failed");
    }
    if has(object, "status.certificate") {
        word.push_str(",Issued");
    }
    word
}
