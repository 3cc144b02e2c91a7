//! PodDisruptionBudget.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::checks::Errors;
use crate::field::FieldError;
use crate::pipeline::Ctx;
use crate::resource::Resource;
use crate::strategy::Strategy;

use super::builtin::{Builtin, Col, GET_PATCH_UPDATE};
use crate::table::{age_cell, int_cell, name_cell};
use crate::value::{get, set};

pub const POD_DISRUPTION_BUDGET: Builtin =
    Builtin::new("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", "EVWiDmWqyJw=")
        .namespaced()
        .short(&["pdb"])
        .subresources(&[("status", "PodDisruptionBudget", GET_PATCH_UPDATE)])
        .columns(POD_DISRUPTION_BUDGET_COLUMNS)
        .conditional_update()
        .generation()
        .strategy(&Budget);

const POD_DISRUPTION_BUDGET_COLUMNS: &[Col] = &[
    ("Name", "string", "name", 0),
    ("Min Available", "string", "", 0),
    ("Max Unavailable", "string", "", 0),
    ("Allowed Disruptions", "integer", "", 0),
    ("Age", "string", "", 0),
];

struct Budget;

impl Strategy for Budget {
    fn prepare_create(&self, _r: &Resource, object: &mut Value, _ctx: &Ctx) {
        let status = json!({
            "disruptionsAllowed": 0,
            "currentHealthy": 0,
            "desiredHealthy": 0,
            "expectedPods": 0,
        });
        set(object, "status", status);
    }

    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        let (least, most) = (get(object, "spec.minAvailable"), get(object, "spec.maxUnavailable"));
        if !least.is_null() && !most.is_null() {
            let detail = "minAvailable and maxUnavailable cannot be both set";
            errors.invalid("spec", get(object, "spec").clone(), detail);
        }
        errors.count_or_percent(least, "spec.minAvailable");
        errors.count_or_percent(most, "spec.maxUnavailable");
        errors.label_selector(get(object, "spec.selector"), "spec.selector");
        let policy = crate::value::text(object, "spec.unhealthyPodEvictionPolicy");
        let policies = ["AlwaysAllow", "IfHealthyBudget"];
        errors.one_of_or_empty("spec.unhealthyPodEvictionPolicy", policy, &policies);
        errors.0
    }

    fn validate_subresource(&self, _r: &Resource, _s: &str, new: &Value, _old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        for field in ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"] {
            errors.non_negative(get(new, "status"), "status", field);
        }
        errors.0
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        let bound = |path: &str| match get(object, path) {
            Value::Null => Value::from("N/A"),
            Value::String(text) => text.clone().into(),
            number => number.to_string().into(),
        };
        vec![
            name_cell(object),
            bound("spec.minAvailable"),
            bound("spec.maxUnavailable"),
            int_cell(object, "status.disruptionsAllowed"),
            age_cell(object, now),
        ]
    }
}
