//! StorageClass and VolumeAttributesClass.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use super::checks::Errors;
use crate::field::FieldError;
use crate::resource::Resource;
use crate::strategy::Strategy;

use super::builtin::{Builtin, Col};
use super::ingress::with_default_mark;
use super::warn;
use crate::table::{age_cell, name_cell, text_cell};
use crate::value::{flag, items, members, set_default, text, texts};

pub const STORAGE_CLASS: Builtin =
    Builtin::new("storage.k8s.io", "v1", "StorageClass", "storageclasses", "K+m6uJwbjGY=")
        .short(&["sc"])
        .columns(STORAGE_CLASS_COLUMNS)
        .strategy(&StorageClass);

pub const VOLUME_ATTRIBUTES_CLASS: Builtin =
    Builtin::new("storage.k8s.io", "v1", "VolumeAttributesClass", "volumeattributesclasses", "tIjydgKBC5w=")
        .short(&["vac"])
        .columns(VOLUME_ATTRIBUTES_CLASS_COLUMNS)
        .strategy(&AttributesClass);

const STORAGE_CLASS_COLUMNS: &[Col] = &[
    ("Name", "string", "name", 0),
    ("Provisioner", "string", "", 0),
    ("ReclaimPolicy", "string", "", 0),
    ("VolumeBindingMode", "string", "", 0),
    ("AllowVolumeExpansion", "string", "", 0),
    ("Age", "string", "", 0),
];

const VOLUME_ATTRIBUTES_CLASS_COLUMNS: &[Col] =
    &[("Name", "string", "name", 0), ("DriverName", "string", "", 0), ("Age", "string", "", 0)];

struct StorageClass;

impl Strategy for StorageClass {
    fn default(&self, _r: &Resource, object: &mut Value) {
        set_default(object, "reclaimPolicy", "Delete");
        set_default(object, "volumeBindingMode", "Immediate");
    }

    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        provisioner(object, "provisioner", &mut errors);
        parameters(object, &mut errors);
        errors.one_of_or_empty("reclaimPolicy", text(object, "reclaimPolicy"), &["Delete", "Retain"]);
        let mode = text(object, "volumeBindingMode");
        errors.one_of("volumeBindingMode", mode, &["Immediate", "WaitForFirstConsumer"]);
        topologies(items(object, "allowedTopologies"), &mut errors);
        errors.0
    }

    fn validate_update(&self, _r: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        for field in ["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"] {
            errors.immutable(new, old, field);
        }
        errors.0
    }

    fn warnings(&self, _r: &Resource, object: &Value, _old: Option<&Value>) -> Vec<String> {
        let mut found = Vec::new();
        for (i, term) in items(object, "allowedTopologies").iter().enumerate() {
            for (j, expression) in items(term, "matchLabelExpressions").iter().enumerate() {
                if let Some(words) = warn::node_label(text(expression, "key")) {
                    found.push(format!("allowedTopologies[{i}].matchLabelExpressions[{j}].key: {words}"));
                }
            }
        }
        found
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![
            with_default_mark(object, "storageclass.kubernetes.io/is-default-class"),
            text_cell(object, "provisioner"),
            text_cell(object, "reclaimPolicy"),
            text_cell(object, "volumeBindingMode"),
            flag(object, "allowVolumeExpansion").into(),
            age_cell(object, now),
        ]
    }
}

/// Parameters of a class: so many, and so many bytes of names and values.
const MAX_PARAMETERS: usize = 512;
const MAX_PARAMETER_BYTES: usize = 256 << 10;

fn provisioner(object: &Value, field: &str, errors: &mut Errors) {
    match text(object, field) {
        "" => errors.required(field, ""),
        name => {
            let name = name.to_lowercase();
            errors.reasons(field, &name, crate::names::qualified(&name));
        }
    }
}

fn parameters(object: &Value, errors: &mut Errors) {
    const PATH: &str = "parameters";
    if members(object, PATH).count() > MAX_PARAMETERS {
        errors.0.push(FieldError::too_long(PATH, MAX_PARAMETERS));
        return;
    }
    let mut size = 0;
    for (name, value) in members(object, PATH) {
        if name.is_empty() {
            errors.invalid(PATH, name.as_str(), "field can not be empty.");
        }
        size += name.len() + value.as_str().map_or(0, str::len);
    }
    if size > MAX_PARAMETER_BYTES {
        errors.0.push(FieldError::too_long(PATH, MAX_PARAMETER_BYTES));
    }
}

/// Terms of keys and values; no key and no term stands twice.
fn topologies(terms: &[Value], errors: &mut Errors) {
    let mut known: Vec<BTreeMap<&str, BTreeSet<&str>>> = Vec::new();
    for (i, term) in terms.iter().enumerate() {
        let path = format!("allowedTopologies[{i}].matchLabelExpressions");
        let mut keys = BTreeMap::new();
        for (i, requirement) in items(term, "matchLabelExpressions").iter().enumerate() {
            let (at, key) = (format!("{path}[{i}]"), text(requirement, "key"));
            let mut values = BTreeSet::new();
            if items(requirement, "values").is_empty() {
                errors.required(format!("{at}.values"), "");
            }
            for (i, value) in texts(requirement, "values").enumerate() {
                if !values.insert(value) {
                    errors.duplicate(format!("{at}.values[{i}]"), value);
                }
            }
            errors.reasons(&format!("{at}.key"), key, crate::names::qualified(key));
            if keys.insert(key, values).is_some() {
                errors.duplicate(format!("{at}.key"), key);
            }
        }
        if known.contains(&keys) {
            errors.duplicate(path, "");
        }
        known.push(keys);
    }
}

struct AttributesClass;

impl Strategy for AttributesClass {
    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        provisioner(object, "driverName", &mut errors);
        parameters(object, &mut errors);
        if members(object, "parameters").next().is_none() {
            errors.required("parameters", "must contain at least one key/value pair");
        }
        errors.0
    }

    fn validate_update(&self, _r: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        for field in ["driverName", "parameters"] {
            if new[field] != old[field] {
                errors.forbidden(field, format!("updates to {field} are forbidden."));
            }
        }
        errors.0
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![name_cell(object), text_cell(object, "driverName"), age_cell(object, now)]
    }
}
