//! StorageClass and VolumeAttributesClass.

use jiff::Timestamp;
use serde_json::Value;

use super::checks::Errors;
use crate::field::FieldError;
use crate::resource::Resource;
use crate::strategy::Strategy;

use super::builtin::{Builtin, Col};
use super::ingress::with_default_mark;
use crate::table::{age_cell, name_cell, text_cell};
use crate::value::{flag, set_default, text};

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
        match text(object, "provisioner") {
            "" => errors.required("provisioner", ""),
            name => {
                let name = name.to_lowercase();
                errors.reasons("provisioner", &name, crate::names::qualified(&name));
            }
        }
        errors.one_of_or_empty("reclaimPolicy", text(object, "reclaimPolicy"), &["Delete", "Retain"]);
        let mode = text(object, "volumeBindingMode");
        errors.one_of("volumeBindingMode", mode, &["Immediate", "WaitForFirstConsumer"]);
        errors.0
    }

    fn validate_update(&self, _r: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        for field in ["parameters", "provisioner", "reclaimPolicy"] {
            if !crate::value::same(&new[field], &old[field]) {
                errors.forbidden(field, format!("updates to {field} are forbidden."));
            }
        }
        errors.immutable(new, old, "volumeBindingMode");
        errors.0
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

struct AttributesClass;

impl Strategy for AttributesClass {
    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        if text(object, "driverName").is_empty() {
            errors.required("driverName", "");
        }
        if object.get("parameters").is_none() {
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
