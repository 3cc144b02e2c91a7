//! Managed fields: who last set which field, and server-side apply.
//!
//! Semantics are those of structured-merge-diff v6 and apimachinery's managedfields: sets of
//! field paths per manager, conflicts, removal of what the only owner no longer applies.

mod apply;
mod compare;
mod entries;
mod merge;
mod misfit;
mod reset;
mod set;
mod typed;
mod update;
mod versions;

use jiff::Timestamp;
use serde_json::Value;

use crate::schema::Schema;

/// Who writes, through what, and when.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    /// The `fieldManager` parameter, or the first word of the User-Agent.
    pub manager: &'a str,
    /// The apiVersion of the request's object (`apps/v1`).
    pub api_version: &'a str,
    /// Empty for the object itself, else `status`, `scale`...
    pub subresource: &'a str,
    pub now: Timestamp,
    /// Fields this writer can not own through this (sub)resource: paths of property names.
    pub reset: &'a [&'a [&'a str]],
}

/// One field that another manager owns with a different value.
#[derive(Clone, Debug, PartialEq)]
pub struct Conflict {
    /// The other manager, as Kubernetes describes it: `conflict with "NAME" using apps/v1`.
    pub message: String,
    /// `.spec.replicas`
    pub field: String,
}

/// Why an apply was refused.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// 409 with reason Conflict; the message is ready, the conflicts become `details.causes` of
    /// type FieldManagerConflict.
    #[error("{message}")]
    Conflicts { message: String, conflicts: Vec<Conflict> },
    /// A request that can not be an apply of this kind (400).
    #[error("{0}")]
    Invalid(String),
    /// The applied object does not fit the schema (Kubernetes answers 500).
    #[error("{0}")]
    Typed(String),
}

/// Server-side apply. `live` is the stored object (`None`: the apply creates it), `patch` the
/// applied configuration. The answer has managedFields in it, and the schema's defaults not yet.
/// An apply that changes nothing answers an object equal to `live`.
pub fn apply(
    schema: &Schema,
    live: Option<&Value>,
    patch: Value,
    writer: &Writer<'_>,
    force: bool,
) -> Result<Value, ApplyError> {
    apply::apply(schema, live, patch, writer, force)
}

/// Tracks the owner of what a create, update or patch changed, in `new.metadata.managedFields`.
///
/// Call it after defaulting and before the server fills in what nobody owns (uid, generation,
/// status of a new object).
pub fn update(schema: &Schema, old: Option<&Value>, new: &mut Value, writer: &Writer<'_>) {
    update::update(schema, old, new, writer);
}

/// The versions other than `own` in which owners wrote that `old` and `new` both know.
pub fn other_versions(old: &Value, new: &Value, own: &str) -> Vec<String> {
    versions::others(old, new, own)
}

/// Forgets the owners who wrote in a version that is no more.
pub fn forget_version(object: &mut Value, version: &str) {
    versions::forget(object, version);
}

/// Takes from the owners who wrote in `version` what has changed, as that version sees it. `old` is
/// what was stored and `object` what is to be stored, in the version of the request; `seen` are both in
/// `version`. Answers the conflicts, which are for an apply that is not forced.
pub fn yield_in_version(
    schema: &Schema,
    version: &str,
    seen: [&Value; 2],
    old: &Value,
    object: &mut Value,
) -> Option<ApplyError> {
    let change = versions::Change { schema, version, old: seen[0], new: seen[1] };
    versions::yield_in(&change, old, object)
}

/// The paths that a writer through this (sub)resource can not own (`spec` through `status`,
/// `status` through the object itself). `subresource` is empty for the object itself; `custom` says
/// that it is a custom resource with a status subresource.
pub fn reset_fields(
    group: &str,
    kind: &str,
    subresource: &str,
    custom: bool,
) -> &'static [&'static [&'static str]] {
    reset::fields(group, kind, subresource, custom)
}
