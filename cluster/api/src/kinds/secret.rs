//! Secret.

use jiff::Timestamp;
use serde_json::Value;

use super::checks::Errors;
use crate::field::FieldError;
use crate::pipeline::Ctx;
use crate::resource::Resource;
use crate::strategy::Strategy;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::builtin::{Builtin, Col};
use super::config_map::{MAX_SIZE, immutable_data};
use crate::names;
use crate::table::{age_cell, name_cell, text_cell};
use crate::value::{ensure, get, members, remove, set_text, text};

pub const SECRET: Builtin = Builtin::new("", "v1", "Secret", "secrets", "S6u1pOWzb84=")
    .namespaced()
    .columns(SECRET_COLUMNS)
    .selectable(&[("type", "")])
    .strategy(&Secret);

const SECRET_COLUMNS: &[Col] = &[
    ("Name", "string", "name", 0),
    ("Type", "string", "", 0),
    ("Data", "string", "", 0),
    ("Age", "string", "", 0),
];

struct Secret;

impl Strategy for Secret {
    fn default(&self, _r: &Resource, object: &mut Value) {
        set_text(object, "type", "Opaque");
        // `stringData` is for writing only: it becomes data, and wins over it.
        let Some(Value::Object(plain)) = remove(object, "stringData") else {
            return;
        };
        for (key, value) in plain {
            let encoded = STANDARD.encode(value.as_str().unwrap_or_default());
            ensure(object, "data").insert(key, encoded.into());
        }
    }

    fn prepare_update(&self, _r: &Resource, new: &mut Value, old: &Value, _ctx: &Ctx) {
        let kind = text(old, "type").to_owned();
        if text(new, "type").is_empty() {
            set_text(new, "type", kind);
        }
    }

    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        let mut size = 0;
        for (key, value) in members(object, "data") {
            errors.reasons(&format!("data[{key}]"), key, names::config_key(key));
            size += value.as_str().map_or(0, str::len) / 4 * 3;
        }
        if size > MAX_SIZE {
            errors.0.push(FieldError::too_long("data", MAX_SIZE));
        }
        validate_type(object, &mut errors);
        errors.0
    }

    fn validate_update(&self, _r: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        errors.immutable(new, old, "type");
        immutable_data(&["data"], new, old, &mut errors);
        errors.0
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![
            name_cell(object),
            text_cell(object, "type"),
            members(object, "data").count().into(),
            age_cell(object, now),
        ]
    }
}

/// Secrets of a known type have the keys that the type is for.
fn validate_type(object: &Value, errors: &mut Errors) {
    let holds = |key: &str| get(object, "data").get(key);
    let mut needs = |keys: &[&str]| {
        for key in keys.iter().filter(|key| holds(key).is_none()) {
            errors.required(format!("data[{key}]"), "");
        }
    };
    match text(object, "type") {
        "kubernetes.io/service-account-token" => {
            let account = "kubernetes.io/service-account.name";
            let given = get(object, "metadata.annotations").get(account).and_then(Value::as_str);
            if given.unwrap_or_default().is_empty() {
                errors.required(format!("metadata.annotations[{account}]"), "");
            }
        }
        "kubernetes.io/dockercfg" => json_key(object, ".dockercfg", errors),
        "kubernetes.io/dockerconfigjson" => json_key(object, ".dockerconfigjson", errors),
        "kubernetes.io/basic-auth" if holds("username").is_none() && holds("password").is_none() => {
            needs(&["username", "password"]);
        }
        "kubernetes.io/ssh-auth" => needs(&["ssh-privatekey"]),
        "kubernetes.io/tls" => needs(&["tls.crt", "tls.key"]),
        _ => {}
    }
}

fn json_key(object: &Value, key: &str, errors: &mut Errors) {
    let path = format!("data[{key}]");
    let Some(encoded) = get(object, "data").get(key).and_then(Value::as_str) else {
        errors.required(path, "");
        return;
    };
    let parsed = STANDARD.decode(encoded).map_err(|e| e.to_string());
    let parsed = parsed.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).map_err(|e| e.to_string()));
    if let Err(error) = parsed {
        errors.invalid(path, "<secret contents redacted>", error);
    }
}
