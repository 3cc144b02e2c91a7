//! `Strategy`: the hooks of a kind. The engine calls them; a kind overrides what differs.

use jiff::Timestamp;
use serde_json::Value;

use crate::field::FieldError;
use crate::pipeline::Ctx;
use crate::resource::{Resource, api_version};

/// What is particular about a kind. All hooks are pure. Facts that are mere values (columns,
/// selectable fields, name rule) are in [`Resource`].
pub trait Strategy: Send + Sync {
    /// Fills in defaults of the kind (beyond those of a custom resource's schema).
    fn default(&self, _r: &Resource, _object: &mut Value) {}

    /// Before a create: drops what clients may not set. Metadata and an empty status are in.
    fn prepare_create(&self, _r: &Resource, _object: &mut Value, _ctx: &Ctx) {}

    /// Before an update of the main resource: keeps what it may not change. Metadata and status
    /// are kept already; the generation is raised after.
    fn prepare_update(&self, _r: &Resource, _new: &mut Value, _old: &Value, _ctx: &Ctx) {}

    /// Before an update through a subresource. For `status`, all but status (and metadata where
    /// it is editable) is kept already; for others nothing is.
    fn prepare_subresource(
        &self,
        _r: &Resource,
        _subresource: &str,
        _new: &mut Value,
        _old: &Value,
        _ctx: &Ctx,
    ) {
    }

    /// Refusals of the object as such (create, and update of the main resource); the engine
    /// validates metadata.
    fn validate(&self, _r: &Resource, _object: &Value) -> Vec<FieldError> {
        Vec::new()
    }

    /// Refusals of a new object only; in addition to [`Strategy::validate`].
    fn validate_create(&self, _r: &Resource, _object: &Value) -> Vec<FieldError> {
        Vec::new()
    }

    /// Refusals of a change; in addition to [`Strategy::validate`].
    fn validate_update(&self, _r: &Resource, _new: &Value, _old: &Value) -> Vec<FieldError> {
        Vec::new()
    }

    /// Refusals of a change through a subresource.
    fn validate_subresource(
        &self,
        _r: &Resource,
        _subresource: &str,
        _new: &Value,
        _old: &Value,
    ) -> Vec<FieldError> {
        Vec::new()
    }

    /// Warning headers for a create (`old` is `None`) or update.
    fn warnings(&self, _r: &Resource, _object: &Value, _old: Option<&Value>) -> Vec<String> {
        Vec::new()
    }

    /// Adds indexed fields that are computed (not simply at a path).
    fn more_fields(&self, _object: &Value, _fields: &mut Vec<(String, String)>) {}

    /// Cells of the table row, one per column of the kind.
    fn row(&self, r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::table::default_row(r, object, now)
    }

    /// Conditions of the table row (`Completed` for a pod that has finished), or null.
    fn row_conditions(&self, _object: &Value) -> Value {
        Value::Null
    }

    /// True for kinds that are deleted with a grace period (pods).
    fn is_graceful(&self) -> bool {
        false
    }

    /// The grace period of a first delete, in seconds.
    fn grace_period(&self, _object: &Value, _requested: Option<i64>) -> Option<i64> {
        None
    }

    /// Changes an object that is being marked as deleted (a namespace's phase).
    fn prepare_delete(&self, _r: &Resource, _object: &mut Value, _ctx: &Ctx) {}

    /// True when `spec.finalizers` hold an object too (namespaces).
    fn waits_for_spec_finalizers(&self) -> bool {
        false
    }

    /// True when a delete without a propagation policy orphans the dependents.
    fn orphans_by_default(&self) -> bool {
        false
    }

    /// A stored object in the served version of `r`.
    fn convert_stored(&self, r: &Resource, mut stored: Value) -> Value {
        stored["apiVersion"] = r.api_version().into();
        stored
    }

    /// The reverse of [`Strategy::convert_stored`].
    fn convert_to_stored(&self, r: &Resource, mut object: Value) -> Value {
        object["apiVersion"] = api_version(&r.storage.group, &r.storage.version).into();
        object
    }
}

/// A kind without particulars.
pub struct Plain;

impl Strategy for Plain {}
