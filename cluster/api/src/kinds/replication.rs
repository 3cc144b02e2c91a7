//! ReplicationController and ReplicaSet.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::checks::Errors;
use super::pod_spec;
use crate::field::FieldError;
use crate::pipeline::Ctx;
use crate::resource::Resource;
use crate::strategy::Strategy;

use super::builtin::{Builtin, Col, GET_PATCH_UPDATE};
use super::checks::workload_selector;
use crate::selector::{self, LabelSelector};
use crate::table::{age_cell, int_cell, name_cell, template_cells};
use crate::value::{get, has, int, set, set_default, text};

pub const REPLICATION_CONTROLLER: Builtin =
    Builtin::new("", "v1", "ReplicationController", "replicationcontrollers", "Jond2If31h0=")
        .namespaced()
        .short(&["rc"])
        .categories(&["all"])
        .subresources(&[
            ("scale", "autoscaling/v1.Scale", GET_PATCH_UPDATE),
            ("status", "ReplicationController", GET_PATCH_UPDATE),
        ])
        .columns(REPLICATION_CONTROLLER_COLUMNS)
        .selectable(&[("status.replicas", "0")])
        .generation()
        .strategy(&ReplicationController);

pub const REPLICA_SET: Builtin = Builtin::new("apps", "v1", "ReplicaSet", "replicasets", "P1RzHs8/mWQ=")
    .namespaced()
    .short(&["rs"])
    .categories(&["all"])
    .subresources(&[
        ("scale", "autoscaling/v1.Scale", GET_PATCH_UPDATE),
        ("status", "ReplicaSet", GET_PATCH_UPDATE),
    ])
    .columns(REPLICA_SET_COLUMNS)
    .generation()
    .strategy(&ReplicaSet);

const REPLICATION_CONTROLLER_COLUMNS: &[Col] = &[
    ("Name", "string", "name", 0),
    ("Desired", "integer", "", 0),
    ("Current", "integer", "", 0),
    ("Ready", "integer", "", 0),
    ("Age", "string", "", 0),
    ("Containers", "string", "", 1),
    ("Images", "string", "", 1),
    ("Selector", "string", "", 1),
];

const REPLICA_SET_COLUMNS: &[Col] = &[
    ("Name", "string", "name", 0),
    ("Desired", "integer", "", 0),
    ("Current", "integer", "", 0),
    ("Ready", "integer", "", 0),
    ("Age", "string", "", 0),
    ("Containers", "string", "", 1),
    ("Images", "string", "", 1),
    ("Selector", "string", "", 1),
];

struct ReplicaSet;

impl Strategy for ReplicaSet {
    fn default(&self, _r: &Resource, object: &mut Value) {
        pod_spec::default_template(object, "spec.template");
        set_default(object, "spec.replicas", 1);
    }

    fn prepare_create(&self, _r: &Resource, object: &mut Value, _ctx: &Ctx) {
        set(object, "status", json!({"replicas": 0}));
    }

    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        let spec = get(object, "spec");
        errors.non_negative(spec, "spec", "replicas");
        errors.non_negative(spec, "spec", "minReadySeconds");
        workload_selector(&mut errors, object, "empty selector is invalid for deployment");
        pod_spec::validate_template(object, "spec.template", &mut errors);
        validate_template_policy(object, &mut errors);
        errors.0
    }

    fn validate_update(&self, _r: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        errors.immutable(new, old, "spec.selector");
        errors.0
    }

    fn validate_subresource(&self, _r: &Resource, _s: &str, new: &Value, _old: &Value) -> Vec<FieldError> {
        validate_status(get(new, "status"))
    }

    fn warnings(&self, _r: &Resource, object: &Value, old: Option<&Value>) -> Vec<String> {
        pod_spec::of_workload(object, old, "spec.template")
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        row(object, selector::format_value(get(object, "spec.selector")), now)
    }
}

struct ReplicationController;

impl Strategy for ReplicationController {
    fn default(&self, _r: &Resource, object: &mut Value) {
        pod_spec::default_template(object, "spec.template");
        set_default(object, "spec.replicas", 1);
        let labels = get(object, "spec.template.metadata.labels").clone();
        if labels.as_object().is_some_and(|l| !l.is_empty()) {
            for path in ["spec.selector", "metadata.labels"] {
                if get(object, path).as_object().is_none_or(|l| l.is_empty()) {
                    set(object, path, labels.clone());
                }
            }
        }
    }

    fn prepare_create(&self, _r: &Resource, object: &mut Value, _ctx: &Ctx) {
        set(object, "status", json!({"replicas": 0}));
    }

    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        let spec = get(object, "spec");
        errors.non_negative(spec, "spec", "minReadySeconds");
        const SELECTOR: &str = "spec.selector";
        let selector = LabelSelector::from_map(get(object, SELECTOR)).unwrap_or_default();
        errors.labels(get(object, SELECTOR), SELECTOR);
        if selector.is_empty() {
            errors.required(SELECTOR, "");
        }
        errors.non_negative(spec, "spec", "replicas");
        if !has(spec, "template") {
            errors.required("spec.template", "");
            return errors.0;
        }
        let labels = get(object, "spec.template.metadata.labels");
        if !selector.is_empty() && !selector.matches_map(labels) {
            let detail = "`selector` does not match template `labels`";
            errors.invalid("spec.template.metadata.labels", labels.clone(), detail);
        }
        pod_spec::validate_template(object, "spec.template", &mut errors);
        validate_template_policy(object, &mut errors);
        errors.0
    }

    fn validate_subresource(&self, _r: &Resource, _s: &str, new: &Value, _old: &Value) -> Vec<FieldError> {
        validate_status(get(new, "status"))
    }

    /// As ever in `v1`: pods of a deleted controller stay unless the client asks otherwise.
    fn orphans_by_default(&self) -> bool {
        true
    }

    fn warnings(&self, _r: &Resource, object: &Value, old: Option<&Value>) -> Vec<String> {
        pod_spec::of_workload(object, old, "spec.template")
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        row(object, selector::format_map(get(object, "spec.selector")), now)
    }
}

fn row(object: &Value, selector: String, now: Timestamp) -> Vec<Value> {
    let [names, images] = template_cells(object, "spec.template.spec");
    vec![
        name_cell(object),
        int_cell(object, "spec.replicas"),
        int_cell(object, "status.replicas"),
        int_cell(object, "status.readyReplicas"),
        age_cell(object, now),
        names,
        images,
        selector.into(),
    ]
}

/// Pods that a controller replaces always restart and have no deadline of their own.
pub fn validate_template_policy(object: &Value, errors: &mut Errors) {
    let spec = get(object, "spec.template.spec");
    let policy = text(spec, "restartPolicy");
    if policy != "Always" && !policy.is_empty() {
        errors.one_of("spec.template.spec.restartPolicy", policy, &["Always"]);
    }
    if has(spec, "activeDeadlineSeconds") {
        let path = "spec.template.spec.activeDeadlineSeconds";
        errors.forbidden(path, format!("activeDeadlineSeconds in {} is not Supported", text(object, "kind")));
    }
}

fn validate_status(status: &Value) -> Vec<FieldError> {
    let mut errors = Errors::default();
    let counts =
        ["replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration"];
    for field in counts {
        errors.non_negative(status, "status", field);
    }
    let count = |field| int(status, field).unwrap_or_default();
    for field in ["fullyLabeledReplicas", "readyReplicas", "availableReplicas"] {
        if count(field) > count("replicas") {
            let detail = "cannot be greater than status.replicas";
            errors.invalid(format!("status.{field}"), count(field), detail);
        }
    }
    if count("availableReplicas") > count("readyReplicas") {
        let detail = "cannot be greater than readyReplicas";
        errors.invalid("status.availableReplicas", count("availableReplicas"), detail);
    }
    errors.0
}
