//! Namespace.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::checks::Errors;
use crate::field::FieldError;
use crate::pipeline::Ctx;
use crate::resource::Resource;
use crate::strategy::Strategy;

use super::builtin::{Builtin, Col, GET_PATCH_UPDATE};
use crate::meta;
use crate::meta::NameRule;
use crate::table::{age_cell, name_cell, text_cell};
use crate::value::{copy, items, set, text, texts};

pub const NAMESPACE: Builtin = Builtin::new("", "v1", "Namespace", "namespaces", "Q3oi5N2YM8M=")
    .short(&["ns"])
    .verbs(&["create", "delete", "get", "list", "patch", "update", "watch"])
    .subresources(&[("finalize", "Namespace", &["update"]), ("status", "Namespace", GET_PATCH_UPDATE)])
    .columns(NAMESPACE_COLUMNS)
    .names(NameRule::Label)
    .selectable(&[("status.phase", "")])
    .strategy(&Namespace);

const NAMESPACE_COLUMNS: &[Col] =
    &[("Name", "string", "name", 0), ("Status", "string", "", 0), ("Age", "string", "", 0)];

/// The label that carries a namespace's name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

struct Namespace;

impl Strategy for Namespace {
    fn default(&self, _r: &Resource, object: &mut Value) {
        let name = meta::name(object).to_owned();
        if !name.is_empty() {
            crate::value::ensure(object, "metadata.labels").insert(NAME_LABEL.into(), name.into());
        }
    }

    fn prepare_create(&self, r: &Resource, object: &mut Value, _ctx: &Ctx) {
        // The name may have been generated since the defaults.
        self.default(r, object);
        set(object, "status", json!({"phase": "Active"}));
        let mut finalizers = items(object, "spec.finalizers").to_vec();
        if !finalizers.iter().any(|f| f == "kubernetes") {
            finalizers.push("kubernetes".into());
        }
        set(object, "spec.finalizers", finalizers);
    }

    fn prepare_update(&self, _r: &Resource, new: &mut Value, old: &Value, _ctx: &Ctx) {
        copy(old, new, "spec.finalizers");
    }

    fn prepare_subresource(
        &self,
        _r: &Resource,
        subresource: &str,
        new: &mut Value,
        old: &Value,
        _ctx: &Ctx,
    ) {
        if subresource == "finalize" {
            copy(old, new, "status");
        }
    }

    fn validate_subresource(&self, _r: &Resource, s: &str, new: &Value, _old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        if s == "finalize" {
            for (i, finalizer) in texts(new, "spec.finalizers").enumerate() {
                let path = format!("spec.finalizers[{i}]");
                errors.reasons(&path, finalizer, crate::names::qualified(finalizer));
            }
            return errors.0;
        }
        let phase = text(new, "status.phase");
        match meta::is_deleting(new) {
            true if phase != "Terminating" => {
                let detail = "may only be 'Terminating' if `deletionTimestamp` is not empty";
                errors.invalid("status.Phase", phase, detail);
            }
            false if phase != "Active" => {
                let detail = "may only be 'Active' if `deletionTimestamp` is empty";
                errors.invalid("status.Phase", phase, detail);
            }
            _ => {}
        }
        errors.0
    }

    fn prepare_delete(&self, _r: &Resource, object: &mut Value, _ctx: &Ctx) {
        set(object, "status.phase", "Terminating");
        crate::value::remove(object, "metadata.deletionGracePeriodSeconds");
    }

    fn waits_for_spec_finalizers(&self) -> bool {
        true
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![name_cell(object), text_cell(object, "status.phase"), age_cell(object, now)]
    }
}
