//! PriorityClass.

use jiff::Timestamp;
use serde_json::Value;

use super::checks::Errors;
use crate::field::FieldError;
use crate::resource::Resource;
use crate::strategy::Strategy;

use super::builtin::{Builtin, Col};
use crate::meta;
use crate::table::{age_cell, int_cell, name_cell, text_cell};
use crate::value::{flag, int, set_default};

pub const PRIORITY_CLASS: Builtin =
    Builtin::new("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", "1QwjyaZjj3Y=")
        .short(&["pc"])
        .columns(PRIORITY_CLASS_COLUMNS)
        .generation()
        .strategy(&PriorityClass);

const PRIORITY_CLASS_COLUMNS: &[Col] = &[
    ("Name", "string", "name", 0),
    ("Value", "integer", "", 0),
    ("Global-Default", "boolean", "", 0),
    ("Age", "string", "", 0),
    ("PreemptionPolicy", "string", "", 0),
];

/// The highest priority that users may define.
const MAX_USER_PRIORITY: i64 = 1_000_000_000;

/// Names that only the system's own classes have.
const SYSTEM_PREFIX: &str = "system-";

struct PriorityClass;

impl Strategy for PriorityClass {
    fn default(&self, _r: &Resource, object: &mut Value) {
        set_default(object, "preemptionPolicy", "PreemptLowerPriority");
        set_default(object, "value", 0);
    }

    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        let (name, value) = (meta::name(object), int(object, "value").unwrap_or_default());
        if name.starts_with(SYSTEM_PREFIX) {
            let known = [("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)];
            if !known.contains(&(name, value)) {
                let detail = format!(
                    "priority class names with '{SYSTEM_PREFIX}' prefix are reserved for system use only. error: {name} is not a known system priority class"
                );
                errors.forbidden("metadata.name", detail);
            }
        } else if value > MAX_USER_PRIORITY {
            let detail = format!("maximum allowed value of a user defined priority is {MAX_USER_PRIORITY}");
            errors.forbidden("value", detail);
        }
        let policy = crate::value::text(object, "preemptionPolicy");
        errors.one_of_or_empty("preemptionPolicy", policy, &["Never", "PreemptLowerPriority"]);
        errors.0
    }

    fn validate_update(&self, _r: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        if int(new, "value") != int(old, "value") {
            errors.forbidden("value", "may not be changed in an update.");
        }
        errors.immutable(new, old, "preemptionPolicy");
        errors.0
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![
            name_cell(object),
            int_cell(object, "value"),
            flag(object, "globalDefault").into(),
            age_cell(object, now),
            text_cell(object, "preemptionPolicy"),
        ]
    }
}
