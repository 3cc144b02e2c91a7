//! PodTemplate.

use jiff::Timestamp;
use serde_json::Value;

use super::checks::Errors;
use crate::field::FieldError;
use crate::resource::Resource;
use crate::strategy::Strategy;

use super::builtin::{Builtin, Col};
use super::pod_spec;
use crate::selector;
use crate::table::{name_cell, template_cells};
use crate::value::get;

pub const POD_TEMPLATE: Builtin = Builtin::new("", "v1", "PodTemplate", "podtemplates", "LIXB2x4IFpk=")
    .namespaced()
    .columns(POD_TEMPLATE_COLUMNS)
    .generation()
    .strategy(&PodTemplate);

const POD_TEMPLATE_COLUMNS: &[Col] = &[
    ("Name", "string", "name", 0),
    ("Containers", "string", "", 0),
    ("Images", "string", "", 0),
    ("Pod Labels", "string", "", 0),
];

struct PodTemplate;

impl Strategy for PodTemplate {
    fn default(&self, _r: &Resource, object: &mut Value) {
        pod_spec::default_template(object, "template");
    }

    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        pod_spec::validate_template(object, "template", &mut errors);
        errors.0
    }

    fn warnings(&self, _r: &Resource, object: &Value, old: Option<&Value>) -> Vec<String> {
        pod_spec::of_template(object, old, "template")
    }

    fn row(&self, _r: &Resource, object: &Value, _now: Timestamp) -> Vec<Value> {
        let [names, images] = template_cells(object, "template.spec");
        let labels = selector::format_map(get(object, "template.metadata.labels"));
        vec![name_cell(object), names, images, labels.into()]
    }
}
