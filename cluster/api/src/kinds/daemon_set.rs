//! DaemonSet.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::checks::Errors;
use super::pod_spec;
use crate::field::FieldError;
use crate::pipeline::Ctx;
use crate::resource::Resource;
use crate::strategy::Strategy;

use super::builtin::{Builtin, Col, GET_PATCH_UPDATE};
use super::checks::{is_zero, workload_selector};
use crate::selector;
use crate::table::{age_cell, int_cell, name_cell, template_cells};
use crate::value::{get, has, set, set_default, set_text, text};

pub const DAEMON_SET: Builtin = Builtin::new("apps", "v1", "DaemonSet", "daemonsets", "dd7pWHUlMKQ=")
    .namespaced()
    .short(&["ds"])
    .categories(&["all"])
    .subresources(&[("status", "DaemonSet", GET_PATCH_UPDATE)])
    .columns(DAEMON_SET_COLUMNS)
    .generation()
    .strategy(&DaemonSet);

const DAEMON_SET_COLUMNS: &[Col] = &[
    ("Name", "string", "name", 0),
    ("Desired", "integer", "", 0),
    ("Current", "integer", "", 0),
    ("Ready", "integer", "", 0),
    ("Up-to-date", "integer", "", 0),
    ("Available", "integer", "", 0),
    ("Node Selector", "string", "", 0),
    ("Age", "string", "", 0),
    ("Containers", "string", "", 1),
    ("Images", "string", "", 1),
    ("Selector", "string", "", 1),
];

struct DaemonSet;

impl Strategy for DaemonSet {
    fn default(&self, _r: &Resource, object: &mut Value) {
        pod_spec::default_template(object, "spec.template");
        set_text(object, "spec.updateStrategy.type", "RollingUpdate");
        if text(object, "spec.updateStrategy.type") == "RollingUpdate" {
            set_default(object, "spec.updateStrategy.rollingUpdate.maxUnavailable", 1);
            set_default(object, "spec.updateStrategy.rollingUpdate.maxSurge", 0);
        }
        set_default(object, "spec.revisionHistoryLimit", 10);
    }

    fn prepare_create(&self, _r: &Resource, object: &mut Value, _ctx: &Ctx) {
        let status = json!({
            "currentNumberScheduled": 0,
            "numberMisscheduled": 0,
            "desiredNumberScheduled": 0,
            "numberReady": 0,
        });
        set(object, "status", status);
    }

    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        let spec = get(object, "spec");
        workload_selector(&mut errors, object, "empty selector is invalid for daemonset");
        pod_spec::validate_template(object, "spec.template", &mut errors);
        super::replication::validate_template_policy(object, &mut errors);
        errors.non_negative(spec, "spec", "minReadySeconds");
        errors.non_negative(spec, "spec", "revisionHistoryLimit");
        validate_strategy(get(spec, "updateStrategy"), &mut errors);
        errors.0
    }

    fn validate_update(&self, _r: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        errors.immutable(new, old, "spec.selector");
        errors.0
    }

    fn validate_subresource(&self, _r: &Resource, _s: &str, new: &Value, _old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        for field in COUNTS {
            errors.non_negative(get(new, "status"), "status", field);
        }
        errors.0
    }

    fn warnings(&self, _r: &Resource, object: &Value, old: Option<&Value>) -> Vec<String> {
        pod_spec::of_template(object, old, "spec.template")
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        let [names, images] = template_cells(object, "spec.template.spec");
        vec![
            name_cell(object),
            int_cell(object, "status.desiredNumberScheduled"),
            int_cell(object, "status.currentNumberScheduled"),
            int_cell(object, "status.numberReady"),
            int_cell(object, "status.updatedNumberScheduled"),
            int_cell(object, "status.numberAvailable"),
            selector::format_map(get(object, "spec.template.spec.nodeSelector")).into(),
            age_cell(object, now),
            names,
            images,
            selector::format_value(get(object, "spec.selector")).into(),
        ]
    }
}

const COUNTS: [&str; 8] = [
    "currentNumberScheduled",
    "numberMisscheduled",
    "desiredNumberScheduled",
    "numberReady",
    "observedGeneration",
    "updatedNumberScheduled",
    "numberAvailable",
    "numberUnavailable",
];

fn validate_strategy(strategy: &Value, errors: &mut Errors) {
    const PATH: &str = "spec.updateStrategy.rollingUpdate";
    match text(strategy, "type") {
        "OnDelete" => {}
        "RollingUpdate" if !has(strategy, "rollingUpdate") => errors.required(PATH, ""),
        "RollingUpdate" => {
            let (unavailable, surge) =
                (get(strategy, "rollingUpdate.maxUnavailable"), get(strategy, "rollingUpdate.maxSurge"));
            errors.count_or_percent(unavailable, &format!("{PATH}.maxUnavailable"));
            errors.count_or_percent(surge, &format!("{PATH}.maxSurge"));
            match (is_zero(unavailable), is_zero(surge)) {
                (true, true) => {
                    let detail = "cannot be 0 when maxSurge is 0";
                    errors.invalid(format!("{PATH}.maxUnavailable"), unavailable.clone(), detail);
                }
                (false, false) => {
                    let detail = "may not be set when maxUnavailable is non-zero";
                    errors.invalid(format!("{PATH}.maxSurge"), surge.clone(), detail);
                }
                _ => {}
            }
        }
        other => errors.one_of("spec.updateStrategy.type", other, &["RollingUpdate", "OnDelete"]),
    }
}
