//! Pod and Binding.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::builtin::{Builtin, Col, GET_PATCH_UPDATE};
use super::checks::Errors;
use super::pod_spec::{self, Holder};
use super::warn;
use crate::field::FieldError;
use crate::meta;
use crate::pipeline::Ctx;
use crate::resource::Resource;
use crate::strategy::Strategy;
use crate::value::{copy, get, has, int, items, remove, set, set_default, set_text, text};

pub const BINDING: Builtin =
    Builtin::new("", "v1", "Binding", "bindings", "").namespaced().verbs(&["create"]);

pub const POD: Builtin = Builtin::new("", "v1", "Pod", "pods", "xPOwRZ+Yhw8=")
    .namespaced()
    .short(&["po"])
    .categories(&["all"])
    .subresources(&[
        ("attach", "PodAttachOptions", &["create", "get"]),
        ("binding", "Binding", &["create"]),
        ("ephemeralcontainers", "Pod", GET_PATCH_UPDATE),
        ("eviction", "policy/v1.Eviction", &["create"]),
        ("exec", "PodExecOptions", &["create", "get"]),
        ("log", "Pod", &["get"]),
        ("portforward", "PodPortForwardOptions", &["create", "get"]),
        ("proxy", "PodProxyOptions", &["create", "delete", "get", "patch", "update"]),
        ("resize", "Pod", GET_PATCH_UPDATE),
        ("status", "Pod", GET_PATCH_UPDATE),
    ])
    .columns(POD_COLUMNS)
    .selectable(&[
        ("spec.nodeName", ""),
        ("spec.restartPolicy", ""),
        ("spec.schedulerName", ""),
        ("spec.serviceAccountName", ""),
        ("spec.hostNetwork", "false"),
        ("status.phase", ""),
        ("status.podIP", ""),
        ("status.nominatedNodeName", ""),
    ])
    .generation()
    .strategy(&Pod);

const POD_COLUMNS: &[Col] = &[
    ("Name", "string", "name", 0),
    ("Ready", "string", "", 0),
    ("Status", "string", "", 0),
    ("Restarts", "string", "", 0),
    ("Age", "string", "", 0),
    ("IP", "string", "", 1),
    ("Node", "string", "", 1),
    ("Nominated Node", "string", "", 1),
    ("Readiness Gates", "string", "", 1),
];

mod status;
mod update;

struct Pod;

impl Strategy for Pod {
    fn default(&self, _r: &Resource, pod: &mut Value) {
        pod_spec::default_spec(pod, "spec");
        if let Some(spec) = crate::value::get_mut(pod, "spec") {
            pod_spec::default_pod(spec);
        }
    }

    fn prepare_create(&self, _r: &Resource, pod: &mut Value, ctx: &Ctx) {
        if let Some(spec) = crate::value::get_mut(pod, "spec") {
            pod_spec::mirror_service_account(spec);
        }
        let class = pod_spec::qos_class(get(pod, "spec"));
        let mut status = json!({"phase": "Pending", "qosClass": class});
        if !items(pod, "spec.schedulingGates").is_empty() {
            status["conditions"] = json!([{
                "type": "PodScheduled",
                "status": "False",
                "reason": "SchedulingGated",
                "message": "Scheduling is blocked due to non-empty scheduling gates",
                "lastProbeTime": null,
                "lastTransitionTime": meta::time(ctx.now),
            }]);
        }
        set(pod, "status", status);
    }

    fn prepare_update(&self, _r: &Resource, new: &mut Value, _old: &Value, _ctx: &Ctx) {
        if let Some(spec) = crate::value::get_mut(new, "spec") {
            pod_spec::mirror_service_account(spec);
        }
    }

    fn prepare_subresource(
        &self,
        _r: &Resource,
        subresource: &str,
        new: &mut Value,
        old: &Value,
        _ctx: &Ctx,
    ) {
        match subresource {
            "status" => {
                copy(old, new, "metadata.ownerReferences");
                let class = text(old, "status.qosClass").to_owned();
                set_text(new, "status.qosClass", class);
                if has(old, "status.observedGeneration") {
                    let generation = get(old, "status.observedGeneration").clone();
                    set_default(new, "status.observedGeneration", generation);
                }
            }
            "ephemeralcontainers" => {
                let added = get(new, "spec.ephemeralContainers").clone();
                keep_all_but_managed(new, old);
                if !added.is_null() {
                    set(new, "spec.ephemeralContainers", added);
                }
            }
            "resize" => update::keep_for_resize(new, old),
            _ => {}
        }
    }

    fn validate(&self, _r: &Resource, pod: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        let holder = Holder { name: meta::name(pod), is_pod: true };
        pod_spec::validate_spec(get(pod, "spec"), "spec", holder, &mut errors);
        errors.0
    }

    fn validate_update(&self, _r: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        update::validate(new, old, &mut errors);
        errors.0
    }

    fn validate_subresource(
        &self,
        r: &Resource,
        subresource: &str,
        new: &Value,
        old: &Value,
    ) -> Vec<FieldError> {
        let mut errors = Errors::default();
        match subresource {
            "status" => update::validate_status(new, old, &mut errors),
            "ephemeralcontainers" => {
                errors.0 = self.validate(r, new);
                update::validate_ephemeral(new, old, &mut errors);
            }
            "resize" => {
                errors.0 = self.validate(r, new);
                update::validate_resize(new, old, &mut errors);
            }
            _ => {}
        }
        errors.0
    }

    fn warnings(&self, _r: &Resource, pod: &Value, old: Option<&Value>) -> Vec<String> {
        let mut found = Vec::new();
        // Pods are changed often, and by programs.
        if old.is_none() {
            warn::pod_names(pod, "the Pod's hostname", &mut found);
            found.extend(pod_spec::warnings(pod, ""));
        }
        found
    }

    fn is_graceful(&self) -> bool {
        true
    }

    /// The pod's own period when none is asked for; none for a pod that no node runs.
    fn grace_period(&self, pod: &Value, requested: Option<i64>) -> Option<i64> {
        let own = int(pod, "spec.terminationGracePeriodSeconds").map(|s| if s < 0 { 1 } else { s });
        let period = requested.or(own).unwrap_or_default();
        let finished = matches!(text(pod, "status.phase"), "Failed" | "Succeeded");
        match text(pod, "spec.nodeName").is_empty() || finished {
            true => Some(0),
            false => Some(period),
        }
    }

    fn row(&self, _r: &Resource, pod: &Value, now: Timestamp) -> Vec<Value> {
        status::row(pod, now)
    }

    fn row_conditions(&self, pod: &Value) -> Value {
        let phase = text(pod, "status.phase");
        let message = match phase {
            "Succeeded" => "The pod has completed successfully.",
            "Failed" => "The pod failed.",
            _ => return Value::Null,
        };
        json!([{"type": "Completed", "status": "True", "reason": phase, "message": message}])
    }
}

/// Makes `new` what `old` is, but for managedFields.
fn keep_all_but_managed(new: &mut Value, old: &Value) {
    let managed = get(new, "metadata.managedFields").clone();
    *new = old.clone();
    if managed.is_null() {
        remove(new, "metadata.managedFields");
    } else {
        set(new, "metadata.managedFields", managed);
    }
}
