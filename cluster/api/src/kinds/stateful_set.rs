//! StatefulSet.

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
use super::warn;
use crate::table::{age_cell, name_cell, template_cells};
use crate::value::{copy, get, get_mut, int, items, items_mut, same, set, set_default, set_text, text};

pub const STATEFUL_SET: Builtin = Builtin::new("apps", "v1", "StatefulSet", "statefulsets", "H+vl74LkKdo=")
    .namespaced()
    .short(&["sts"])
    .categories(&["all"])
    .subresources(&[
        ("scale", "autoscaling/v1.Scale", GET_PATCH_UPDATE),
        ("status", "StatefulSet", GET_PATCH_UPDATE),
    ])
    .columns(STATEFUL_SET_COLUMNS)
    .generation()
    .strategy(&StatefulSet);

const STATEFUL_SET_COLUMNS: &[Col] = &[
    ("Name", "string", "name", 0),
    ("Ready", "string", "", 0),
    ("Age", "string", "", 0),
    ("Containers", "string", "", 1),
    ("Images", "string", "", 1),
];

struct StatefulSet;

impl Strategy for StatefulSet {
    fn default(&self, _r: &Resource, object: &mut Value) {
        pod_spec::default_template(object, "spec.template");
        set_text(object, "spec.podManagementPolicy", "OrderedReady");
        const STRATEGY: &str = "spec.updateStrategy";
        if text(object, "spec.updateStrategy.type").is_empty() {
            set(object, "spec.updateStrategy.type", "RollingUpdate");
            set_default(object, "spec.updateStrategy.rollingUpdate", json!({}));
        }
        if text(object, "spec.updateStrategy.type") == "RollingUpdate"
            && let Some(strategy) = get_mut(object, STRATEGY)
            && let Some(rolling) = get_mut(strategy, "rollingUpdate")
        {
            set_default(rolling, "partition", 0);
        }
        set_text(object, "spec.persistentVolumeClaimRetentionPolicy.whenDeleted", "Retain");
        set_text(object, "spec.persistentVolumeClaimRetentionPolicy.whenScaled", "Retain");
        set_default(object, "spec.replicas", 1);
        set_default(object, "spec.revisionHistoryLimit", 10);
        for claim in items_mut(object, "spec.volumeClaimTemplates") {
            set_text(claim, "apiVersion", "v1");
            set_text(claim, "kind", "PersistentVolumeClaim");
            set_text(claim, "spec.volumeMode", "Filesystem");
            set_text(claim, "status.phase", "Pending");
        }
    }

    fn prepare_create(&self, _r: &Resource, object: &mut Value, _ctx: &Ctx) {
        set(object, "status", json!({"replicas": 0, "availableReplicas": 0}));
    }

    fn validate(&self, _r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        let spec = get(object, "spec");
        let policy = text(spec, "podManagementPolicy");
        errors.one_of("spec.podManagementPolicy", policy, &["OrderedReady", "Parallel"]);
        validate_strategy(get(spec, "updateStrategy"), &mut errors);
        for field in ["whenDeleted", "whenScaled"] {
            let path = format!("persistentVolumeClaimRetentionPolicy.{field}");
            errors.one_of(&format!("spec.{path}"), text(spec, &path), &["Retain", "Delete"]);
        }
        errors.non_negative(spec, "spec", "replicas");
        errors.non_negative(spec, "spec", "minReadySeconds");
        errors.non_negative(get(spec, "ordinals"), "spec.ordinals", "start");
        workload_selector(&mut errors, object, "empty selector is invalid for statefulset");
        validate_template(object, &mut errors);
        super::replication::validate_template_policy(object, &mut errors);
        errors.0
    }

    fn validate_update(&self, _r: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        let mut munged = new.clone();
        for field in UPDATABLE {
            copy(old, &mut munged, &format!("spec.{field}"));
        }
        if !same(get(&munged, "spec"), get(old, "spec")) {
            let detail = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
            errors.forbidden("spec", detail);
        }
        errors.0
    }

    fn validate_subresource(&self, _r: &Resource, _s: &str, new: &Value, _old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        let status = get(new, "status");
        let counts = [
            "replicas",
            "readyReplicas",
            "currentReplicas",
            "updatedReplicas",
            "availableReplicas",
            "observedGeneration",
            "collisionCount",
        ];
        for field in counts {
            errors.non_negative(status, "status", field);
        }
        let count = |field| int(status, field).unwrap_or_default();
        for field in ["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"] {
            if count(field) > count("replicas") {
                let detail = "cannot be greater than status.replicas";
                errors.invalid(format!("status.{field}"), count(field), detail);
            }
        }
        if count("availableReplicas") > count("readyReplicas") {
            let detail = "cannot be greater than status.readyReplicas";
            errors.invalid("status.availableReplicas", count("availableReplicas"), detail);
        }
        errors.0
    }

    fn warnings(&self, _r: &Resource, object: &Value, old: Option<&Value>) -> Vec<String> {
        let mut found = pod_spec::of_template(object, old, "spec.template");
        for (i, claim) in items(object, "spec.volumeClaimTemplates").iter().enumerate() {
            // The field's name in the message is Kubernetes'.
            let place = if old.is_some() { ".Spec" } else { "" };
            let path = format!("spec.volumeClaimTemplates[{i}]{place}");
            warn::claim_spec(get(claim, "spec"), &path, &mut found);
        }
        if int(object, "spec.revisionHistoryLimit").is_some_and(|limit| limit < 0) {
            found.push("spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended".into());
        }
        found
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        let ready = int(object, "status.readyReplicas").unwrap_or_default();
        let wanted = int(object, "spec.replicas").unwrap_or_default();
        let [names, images] = template_cells(object, "spec.template.spec");
        vec![name_cell(object), format!("{ready}/{wanted}").into(), age_cell(object, now), names, images]
    }
}

const UPDATABLE: [&str; 7] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

/// Pods may mount the claims of the set as if they were volumes.
fn validate_template(object: &Value, errors: &mut Errors) {
    let mut with_claims = object.clone();
    let claims: Vec<Value> = items(object, "spec.volumeClaimTemplates")
        .iter()
        .map(|c| text(c, "metadata.name"))
        .map(|name| json!({"name": name, "persistentVolumeClaim": {"claimName": name}}))
        .collect();
    let mut volumes = items(object, "spec.template.spec.volumes").to_vec();
    volumes.retain(|v| !claims.iter().any(|c| text(c, "name") == text(v, "name")));
    volumes.extend(claims);
    set(&mut with_claims, "spec.template.spec.volumes", volumes);
    pod_spec::validate_template(&with_claims, "spec.template", errors);
}

fn validate_strategy(strategy: &Value, errors: &mut Errors) {
    const PATH: &str = "spec.updateStrategy";
    let rolling = get(strategy, "rollingUpdate");
    match text(strategy, "type") {
        "" => errors.required(PATH, ""),
        "OnDelete" if !rolling.is_null() => {
            let detail = "only allowed for updateStrategy 'RollingUpdate'";
            errors.invalid(format!("{PATH}.rollingUpdate"), rolling.clone(), detail);
        }
        "OnDelete" => {}
        "RollingUpdate" => {
            let at = format!("{PATH}.rollingUpdate");
            errors.non_negative(rolling, &at, "partition");
            errors.count_or_percent(get(rolling, "maxUnavailable"), &format!("{at}.maxUnavailable"));
        }
        other => {
            errors.invalid(PATH, other, "must be 'RollingUpdate' or 'OnDelete'");
        }
    }
}
