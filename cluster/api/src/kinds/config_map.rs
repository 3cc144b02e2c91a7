//! ConfigMap.

use jiff::Timestamp;
use serde_json::Value;

use super::checks::Errors;
use crate::field::FieldError;
use crate::resource::Resource;
use crate::strategy::Strategy;

use super::builtin::{Builtin, Col};
use crate::names;
use crate::table::{age_cell, name_cell};
use crate::value::{get, members, same};

pub const CONFIG_MAP: Builtin = Builtin::new("", "v1", "ConfigMap", "configmaps", "qFsyl6wFWjQ=")
    .namespaced()
    .short(&["cm"])
    .columns(CONFIG_MAP_COLUMNS)
    .strategy(&ConfigMap);

const CONFIG_MAP_COLUMNS: &[Col] =
    &[("Name", "string", "name", 0), ("Data", "string", "", 0), ("Age", "string", "", 0)];

/// Bytes that a ConfigMap or a Secret may hold.
pub const MAX_SIZE: usize = 1024 * 1024;

struct ConfigMap;

impl Strategy for ConfigMap {
    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        let mut size = 0;
        for (key, value) in members(object, "data") {
            let path = format!("data[{key}]");
            errors.reasons(&path, key, names::config_key(key));
            if get(object, "binaryData").get(key).is_some() {
                errors.invalid(path, key.as_str(), "duplicate of key present in binaryData");
            }
            size += value.as_str().map_or(0, str::len);
        }
        for (key, value) in members(object, "binaryData") {
            errors.reasons(&format!("binaryData[{key}]"), key, names::config_key(key));
            size += value.as_str().map_or(0, str::len) / 4 * 3;
        }
        if size > MAX_SIZE {
            errors.0.push(FieldError::too_long("", MAX_SIZE));
        }
        errors.0
    }

    fn validate_update(&self, _r: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        immutable_data(&["data", "binaryData"], new, old, &mut errors);
        errors.0
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        let count = members(object, "data").count() + members(object, "binaryData").count();
        vec![name_cell(object), count.into(), age_cell(object, now)]
    }
}

/// What is marked immutable keeps its data, and the mark.
pub fn immutable_data(fields: &[&str], new: &Value, old: &Value, errors: &mut Errors) {
    const DETAIL: &str = "field is immutable when `immutable` is set";
    if !crate::value::flag(old, "immutable") {
        return;
    }
    if !crate::value::flag(new, "immutable") {
        errors.forbidden("immutable", DETAIL);
    }
    for field in fields {
        if !same(get(new, field), get(old, field)) {
            errors.forbidden(*field, DETAIL);
        }
    }
}
