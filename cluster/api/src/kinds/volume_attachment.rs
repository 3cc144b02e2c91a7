//! VolumeAttachment.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::checks::Errors;
use crate::field::FieldError;
use crate::pipeline::Ctx;
use crate::resource::Resource;
use crate::strategy::Strategy;

use super::builtin::{Builtin, Col, GET_PATCH_UPDATE};
use super::volume_spec;
use crate::table::{age_cell, name_cell, text_cell};
use crate::value::{flag, get, has, members, set, text};

pub const VOLUME_ATTACHMENT: Builtin =
    Builtin::new("storage.k8s.io", "v1", "VolumeAttachment", "volumeattachments", "tJx/ezt6UDU=")
        .subresources(&[("status", "VolumeAttachment", GET_PATCH_UPDATE)])
        .columns(VOLUME_ATTACHMENT_COLUMNS)
        .conditional_update()
        .status_keeps_metadata()
        .strategy(&VolumeAttachment);

const VOLUME_ATTACHMENT_COLUMNS: &[Col] = &[
    ("Name", "string", "name", 0),
    ("Attacher", "string", "name", 0),
    ("PV", "string", "", 0),
    ("Node", "string", "", 0),
    ("Attached", "boolean", "", 0),
    ("Age", "string", "", 0),
];

/// Bytes of what an attacher says about a volume, and of an error's message.
const MAX_METADATA: usize = 256 << 10;
const MAX_MESSAGE: usize = 1024;

struct VolumeAttachment;

impl Strategy for VolumeAttachment {
    fn prepare_create(&self, _r: &Resource, object: &mut Value, _ctx: &Ctx) {
        set(object, "status", json!({"attached": false}));
    }

    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        let spec = get(object, "spec");
        errors.driver_name(text(spec, "attacher"), "spec.attacher");
        let (name, inline) =
            (text(spec, "source.persistentVolumeName"), has(spec, "source.inlineVolumeSpec"));
        match (name.is_empty(), inline) {
            (true, false) => {
                errors.required(
                    "spec.source",
                    "must specify exactly one of inlineVolumeSpec and persistentVolumeName",
                );
            }
            (false, true) => {
                errors.forbidden(
                    "spec.source",
                    "must specify exactly one of inlineVolumeSpec and persistentVolumeName",
                );
            }
            (false, false) => {
                let reasons = crate::names::subdomain(name);
                errors.reasons("spec.source.persistentVolumeName", name, reasons);
            }
            (true, true) => {
                let volume = get(spec, "source.inlineVolumeSpec");
                volume_spec::validate_inline(volume, "spec.source.inlineVolumeSpec", &mut errors);
            }
        }
        let node = text(spec, "nodeName");
        errors.reasons("spec.nodeName", node, crate::names::subdomain(node));
        errors.0
    }

    fn validate_subresource(&self, _r: &Resource, _s: &str, new: &Value, _old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        let metadata = members(new, "status.attachmentMetadata");
        let size: usize = metadata.map(|(k, v)| k.len() + v.as_str().map_or(0, str::len)).sum();
        if size > MAX_METADATA {
            errors.0.push(FieldError::too_long("status.attachmentMetadata", MAX_METADATA));
        }
        for field in ["status.attachError", "status.detachError"] {
            let error = get(new, field);
            if text(error, "message").len() > MAX_MESSAGE {
                errors.0.push(FieldError::too_long(format!("{field}.message"), MAX_METADATA));
            }
            errors.in_range(error, field, "errorCode", 0, i64::from(i32::MAX));
        }
        errors.0
    }

    fn validate_update(&self, _r: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        errors.immutable(new, old, "spec");
        errors.0
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![
            name_cell(object),
            text_cell(object, "spec.attacher"),
            text_cell(object, "spec.source.persistentVolumeName"),
            text_cell(object, "spec.nodeName"),
            flag(object, "status.attached").into(),
            age_cell(object, now),
        ]
    }
}
