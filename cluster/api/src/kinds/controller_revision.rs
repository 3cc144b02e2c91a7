//! ControllerRevision.

use jiff::Timestamp;
use serde_json::Value;

use super::checks::Errors;
use crate::field::FieldError;
use crate::resource::Resource;
use crate::strategy::Strategy;

use super::builtin::{Builtin, Col};
use crate::status::qualified;
use crate::table::{age_cell, int_cell, name_cell};
use crate::value::{flag, get, items, text};

pub const CONTROLLER_REVISION: Builtin =
    Builtin::new("apps", "v1", "ControllerRevision", "controllerrevisions", "85nkx63pcBU=")
        .namespaced()
        .columns(CONTROLLER_REVISION_COLUMNS)
        .strategy(&ControllerRevision);

const CONTROLLER_REVISION_COLUMNS: &[Col] = &[
    ("Name", "string", "name", 0),
    ("Controller", "string", "", 0),
    ("Revision", "string", "", 0),
    ("Age", "string", "", 0),
];

struct ControllerRevision;

impl Strategy for ControllerRevision {
    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        errors.non_negative(object, "", "revision");
        if get(object, "data").is_null() {
            errors.required("data", "data is mandatory");
        }
        for error in &mut errors.0 {
            error.path = error.path.trim_start_matches('.').to_owned();
        }
        errors.0
    }

    fn validate_update(&self, _r: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        errors.immutable(new, old, "data");
        errors.0
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        let owners = items(object, "metadata.ownerReferences");
        let shown = match owners.iter().find(|o| flag(o, "controller")) {
            None => "<none>".to_owned(),
            Some(owner) => {
                let group = text(owner, "apiVersion").rsplit_once('/').map_or("", |(g, _)| g);
                let kind = qualified(text(owner, "kind"), group).to_lowercase();
                format!("{kind}/{}", text(owner, "name"))
            }
        };
        vec![name_cell(object), shown.into(), int_cell(object, "revision"), age_cell(object, now)]
    }
}
