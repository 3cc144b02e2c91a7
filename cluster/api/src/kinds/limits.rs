//! LimitRange and ResourceQuota.

mod validate;

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use super::checks::Errors;
use crate::field::FieldError;
use crate::pipeline::Ctx;
use crate::resource::Resource;
use crate::strategy::Strategy;

use super::builtin::{Builtin, Col, GET_PATCH_UPDATE};
use crate::meta::IMMUTABLE;
use crate::table::{age_cell, name_cell};
use crate::value::{ensure, get, items_mut, members, set, text, texts};

pub const LIMIT_RANGE: Builtin = Builtin::new("", "v1", "LimitRange", "limitranges", "EBKMFVe6cwo=")
    .namespaced()
    .short(&["limits"])
    .create_on_update()
    .strategy(&LimitRange);

pub const RESOURCE_QUOTA: Builtin = Builtin::new("", "v1", "ResourceQuota", "resourcequotas", "8uhSgffRX6w=")
    .namespaced()
    .short(&["quota"])
    .subresources(&[("status", "ResourceQuota", GET_PATCH_UPDATE)])
    .columns(RESOURCE_QUOTA_COLUMNS)
    .strategy(&ResourceQuota);

const RESOURCE_QUOTA_COLUMNS: &[Col] = &[
    ("Name", "string", "name", 0),
    ("Request", "string", "", 0),
    ("Limit", "string", "", 0),
    ("Age", "string", "", 0),
];

struct LimitRange;

impl Strategy for LimitRange {
    fn default(&self, _r: &Resource, object: &mut Value) {
        for limit in items_mut(object, "spec.limits") {
            if text(limit, "type") != "Container" {
                continue;
            }
            fill(limit, "max", "default");
            fill(limit, "default", "defaultRequest");
            fill(limit, "min", "defaultRequest");
        }
    }

    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        validate::limit_range(object)
    }
}

/// Fills what `to` lacks from `from`.
fn fill(limit: &mut Value, from: &str, to: &str) {
    let source: Vec<(String, Value)> = members(limit, from).map(|(k, v)| (k.clone(), v.clone())).collect();
    for (name, value) in source {
        ensure(limit, to).entry(name).or_insert(value);
    }
}

struct ResourceQuota;

impl Strategy for ResourceQuota {
    fn prepare_create(&self, _r: &Resource, object: &mut Value, _ctx: &Ctx) {
        set(object, "status", serde_json::json!({}));
    }

    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        validate::quota(get(object, "spec"), &mut errors);
        errors.0
    }

    fn validate_update(&self, _r: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        let scopes = |o| texts(o, "spec.scopes").collect::<BTreeSet<_>>();
        if scopes(new) != scopes(old) {
            errors.invalid("spec.scopes", get(new, "spec.scopes").clone(), IMMUTABLE);
        }
        errors.0
    }

    fn validate_subresource(&self, _r: &Resource, _s: &str, new: &Value, _old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        validate::amounts(new, "status.hard", &mut errors);
        validate::amounts(new, "status.used", &mut errors);
        errors.0
    }

    fn warnings(&self, _r: &Resource, object: &Value, old: Option<&Value>) -> Vec<String> {
        let hard = get(object, "spec.hard");
        let mut found = Vec::new();
        for name in ["cpu", "memory", "storage", "ephemeral-storage"].iter().filter(|_| old.is_none()) {
            let requests = format!("requests.{name}");
            let short = hard.get(&requests).is_none() && !name.ends_with("storage");
            let (request, limit) =
                (if short { (*name).to_owned() } else { requests }, format!("limits.{name}"));
            let amount = |name: &str| crate::amounts::quantity(hard.get(name)?);
            if let (Some(low), Some(high)) = (amount(&request), amount(&limit))
                && low > high
            {
                found.push(format!("ResourceQuota {request} ({low}) should be less than {limit} ({high})"));
            }
        }
        found
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        let (mut requests, mut limits) = (Vec::new(), Vec::new());
        for (name, hard) in members(object, "status.hard") {
            let used = get(object, "status.used").get(name).and_then(Value::as_str).unwrap_or("0");
            let part = format!("{name}: {used}/{}", hard.as_str().unwrap_or_default());
            match name.starts_with("limits.") {
                true => limits.push(part),
                false => requests.push(part),
            }
        }
        requests.sort_unstable();
        limits.sort_unstable();
        vec![name_cell(object), requests.join(", ").into(), limits.join(", ").into(), age_cell(object, now)]
    }
}
