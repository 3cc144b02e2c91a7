//! Structural schemas and the walkers over them.
//!
//! One [`Schema`] tree describes a kind, built-in or custom. Every walker (prune, default, check,
//! validate; strategic merge in `patch`; server-side apply in `managed`) reads the same tree.

pub(crate) mod builtin;
mod cel;
mod crd;
mod facts;
mod formats;
pub(crate) mod kinds;
mod parse;
mod rules;
mod scalar;
#[cfg(test)]
mod tests;
mod tree;
mod types;
mod validate;
mod walk;

use std::sync::Arc;

use serde_json::Value;

use crate::field::FieldError;
pub use tree::{Default, Field, ListType, MapType, PatchStrategy, Schema, Type};

/// The schema of a built-in kind; `None` when this release does not know it. Built on first use
/// and kept for the life of the process.
pub fn builtin(group: &str, version: &str, kind: &str) -> Option<Arc<Schema>> {
    builtin::lookup(group, version, kind)
}

/// Reads the `openAPIV3Schema` of a custom resource definition. Errors carry paths relative to
/// the schema; the caller prefixes them.
pub fn from_crd(open_api_v3_schema: &Value) -> Result<Schema, Vec<FieldError>> {
    crd::read(open_api_v3_schema)
}

/// A JSON document with the paths that occur twice in it (`spec.replicas`), last value kept.
#[derive(Debug, Default)]
pub struct Parsed {
    pub value: Value,
    pub duplicates: Vec<String>,
}

/// Parses JSON and notes duplicate fields on the way (Kubernetes keeps the last one).
pub fn parse_json(body: &[u8]) -> Result<Parsed, serde_json::Error> {
    parse::parse(body)
}

/// Drops what the schema does not know, and for built-in kinds also nulls. Answers the paths of
/// the unknown fields (`spec.containers[0].foo`), in document order.
pub fn prune(schema: &Schema, value: &mut Value) -> Vec<String> {
    walk::prune(schema, value)
}

/// Fills in the schema's defaults; for built-in kinds also the objects that Go always writes
/// (`status: {}`).
pub fn default(schema: &Schema, value: &mut Value) {
    walk::default(schema, value);
}

/// Checks JSON types of a built-in kind, as decoding into Go structs does. The error is the
/// message of the 400 answer.
pub fn check_types(schema: &Schema, value: &Value) -> Result<(), String> {
    types::check(schema, value)
}

/// Checks all that a custom resource's schema says: types, required fields, enums, ranges, patterns, formats,
/// uniqueness, CEL rules (transition rules when `old` is given).
pub fn validate(schema: &Schema, value: &Value, old: Option<&Value>) -> Vec<FieldError> {
    validate::validate(schema, value, old)
}
