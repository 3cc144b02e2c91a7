//! RuntimeClass.

use jiff::Timestamp;
use serde_json::Value;

use super::checks::Errors;
use crate::field::FieldError;
use crate::resource::Resource;
use crate::strategy::Strategy;

use super::builtin::{Builtin, Col};
use super::{pod_spec, warn};
use crate::names;
use crate::table::{age_cell, name_cell, text_cell};
use crate::value::{get, items, text};

pub const RUNTIME_CLASS: Builtin =
    Builtin::new("node.k8s.io", "v1", "RuntimeClass", "runtimeclasses", "WQTu1GL3T2Q=")
        .columns(RUNTIME_CLASS_COLUMNS)
        .create_on_update()
        .conditional_update()
        .strategy(&RuntimeClass);

const RUNTIME_CLASS_COLUMNS: &[Col] =
    &[("Name", "string", "name", 0), ("Handler", "string", "", 0), ("Age", "string", "", 0)];

struct RuntimeClass;

impl Strategy for RuntimeClass {
    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        match text(object, "handler") {
            "" => errors.required("handler", ""),
            handler => errors.reasons("handler", handler, names::label(handler)),
        }
        pod_spec::overhead(get(object, "overhead.podFixed"), "overhead", &mut errors);
        errors.labels(get(object, "scheduling.nodeSelector"), "scheduling.nodeSelector");
        let tolerations = items(object, "scheduling.tolerations");
        let key = |t: &Value| ["key", "operator", "value", "effect"].map(|field| text(t, field).to_owned());
        for (i, of) in tolerations.iter().enumerate() {
            let at = format!("scheduling.tolerations[{i}]");
            pod_spec::toleration(of, &at, &mut errors);
            if tolerations[..i].iter().any(|other| key(other) == key(of)) {
                errors.duplicate(at, of.clone());
            }
        }
        errors.0
    }

    fn validate_update(&self, _r: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        errors.immutable(new, old, "handler");
        errors.0
    }

    fn warnings(&self, _r: &Resource, object: &Value, _old: Option<&Value>) -> Vec<String> {
        let mut found = Vec::new();
        let labels = get(object, "scheduling.nodeSelector");
        warn::node_labels(labels, |_| "scheduling.nodeSelector".into(), &mut found);
        found
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![name_cell(object), text_cell(object, "handler"), age_cell(object, now)]
    }
}
