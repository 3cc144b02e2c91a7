//! Deployment.

use jiff::Timestamp;
use serde_json::Value;

use super::checks::Errors;
use super::pod_spec;
use crate::field::FieldError;
use crate::pipeline::Ctx;
use crate::resource::Resource;
use crate::strategy::Strategy;

use super::builtin::{Builtin, Col, GET_PATCH_UPDATE};
use super::checks::{is_zero, workload_selector};
use crate::meta;
use crate::selector;
use crate::table::{age_cell, int_cell, name_cell, template_cells};
use crate::value::{copy, get, has, int, same, set_default, set_text, text};

pub const DEPLOYMENT: Builtin = Builtin::new("apps", "v1", "Deployment", "deployments", "8aSe+NMegvE=")
    .namespaced()
    .short(&["deploy"])
    .categories(&["all"])
    .subresources(&[
        ("scale", "autoscaling/v1.Scale", GET_PATCH_UPDATE),
        ("status", "Deployment", GET_PATCH_UPDATE),
    ])
    .columns(DEPLOYMENT_COLUMNS)
    .generation()
    .strategy(&Deployment);

const DEPLOYMENT_COLUMNS: &[Col] = &[
    ("Name", "string", "name", 0),
    ("Ready", "string", "", 0),
    ("Up-to-date", "string", "", 0),
    ("Available", "string", "", 0),
    ("Age", "string", "", 0),
    ("Containers", "string", "", 1),
    ("Images", "string", "", 1),
    ("Selector", "string", "", 1),
];

struct Deployment;

impl Strategy for Deployment {
    fn default(&self, _r: &Resource, object: &mut Value) {
        pod_spec::default_template(object, "spec.template");
        set_default(object, "spec.replicas", 1);
        set_text(object, "spec.strategy.type", "RollingUpdate");
        if text(object, "spec.strategy.type") == "RollingUpdate" {
            set_default(object, "spec.strategy.rollingUpdate.maxUnavailable", "25%");
            set_default(object, "spec.strategy.rollingUpdate.maxSurge", "25%");
        }
        set_default(object, "spec.revisionHistoryLimit", 10);
        set_default(object, "spec.progressDeadlineSeconds", 600);
    }

    fn prepare_update(&self, _r: &Resource, new: &mut Value, old: &Value, _ctx: &Ctx) {
        // Annotations are copied to the replica sets, so that a change of them is a change.
        let annotations = |o: &Value| get(o, "metadata.annotations").clone();
        if !same(&annotations(new), &annotations(old)) {
            meta::raise_generation(new, old);
        }
    }

    fn prepare_subresource(&self, _r: &Resource, _s: &str, new: &mut Value, old: &Value, _ctx: &Ctx) {
        copy(old, new, "metadata.labels");
    }

    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        let spec = get(object, "spec");
        errors.non_negative(spec, "spec", "replicas");
        workload_selector(&mut errors, object, "empty selector is invalid for deployment");
        pod_spec::validate_template(object, "spec.template", &mut errors);
        super::replication::validate_template_policy(object, &mut errors);
        validate_strategy(get(object, "spec.strategy"), &mut errors);
        errors.non_negative(spec, "spec", "minReadySeconds");
        errors.non_negative(spec, "spec", "revisionHistoryLimit");
        if let Some(deadline) = int(spec, "progressDeadlineSeconds") {
            errors.non_negative(spec, "spec", "progressDeadlineSeconds");
            if deadline <= int(spec, "minReadySeconds").unwrap_or_default() {
                let detail = "must be greater than minReadySeconds";
                errors.invalid("spec.progressDeadlineSeconds", deadline, detail);
            }
        }
        errors.0
    }

    fn validate_update(&self, _r: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        errors.immutable(new, old, "spec.selector");
        errors.0
    }

    fn validate_subresource(&self, _r: &Resource, _s: &str, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        validate_status(get(new, "status"), &mut errors);
        let collisions = |o: &Value| int(o, "status.collisionCount");
        if collisions(new).unwrap_or_default() < collisions(old).unwrap_or_default() {
            let value = get(new, "status.collisionCount").clone();
            errors.invalid("status.collisionCount", value, "cannot be decremented");
        }
        errors.0
    }

    fn warnings(&self, _r: &Resource, object: &Value, old: Option<&Value>) -> Vec<String> {
        pod_spec::of_workload(object, old, "spec.template")
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        let ready = int(object, "status.readyReplicas").unwrap_or_default();
        let wanted = int(object, "spec.replicas").unwrap_or_default();
        let [names, images] = template_cells(object, "spec.template.spec");
        vec![
            name_cell(object),
            format!("{ready}/{wanted}").into(),
            int_cell(object, "status.updatedReplicas"),
            int_cell(object, "status.availableReplicas"),
            age_cell(object, now),
            names,
            images,
            selector::format_value(get(object, "spec.selector")).into(),
        ]
    }
}

fn validate_strategy(strategy: &Value, errors: &mut Errors) {
    const PATH: &str = "spec.strategy.rollingUpdate";
    match text(strategy, "type") {
        "Recreate" if has(strategy, "rollingUpdate") => {
            let detail = "may not be specified when strategy `type` is 'Recreate'";
            errors.forbidden(PATH, detail);
        }
        "Recreate" => {}
        "RollingUpdate" => {
            let rolling = get(strategy, "rollingUpdate");
            if rolling.is_null() {
                errors.required(PATH, "this should be defaulted and never be nil");
                return;
            }
            let (unavailable, surge) = (get(rolling, "maxUnavailable"), get(rolling, "maxSurge"));
            errors.count_or_percent(unavailable, &format!("{PATH}.maxUnavailable"));
            if let Value::String(text) = surge {
                if super::checks::percent(text).is_none() {
                    errors.count_or_percent(surge, &format!("{PATH}.maxSurge"));
                }
            } else {
                errors.count_or_percent(surge, &format!("{PATH}.maxSurge"));
            }
            if is_zero(unavailable) && is_zero(surge) {
                let detail = "may not be 0 when `maxSurge` is 0";
                errors.invalid(format!("{PATH}.maxUnavailable"), unavailable.clone(), detail);
            }
        }
        other => errors.one_of("spec.strategy", other, &["Recreate", "RollingUpdate"]),
    }
}

fn validate_status(status: &Value, errors: &mut Errors) {
    const COUNTS: [&str; 6] = [
        "observedGeneration",
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
        "unavailableReplicas",
    ];
    for field in COUNTS {
        errors.non_negative(status, "status", field);
    }
    let count = |field| int(status, field).unwrap_or_default();
    let total = count("replicas");
    for field in ["updatedReplicas", "readyReplicas", "availableReplicas"] {
        if count(field) > total {
            let detail = "cannot be greater than status.replicas";
            errors.invalid(format!("status.{field}"), count(field), detail);
        }
    }
    if count("availableReplicas") > count("readyReplicas") {
        let detail = "cannot be greater than readyReplicas";
        errors.invalid("status.availableReplicas", count("availableReplicas"), detail);
    }
}
