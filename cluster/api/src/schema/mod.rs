//! Structural schemas and the walkers over them.
//!
//! One [`Schema`] tree describes a kind, built-in or custom. Every walker (prune, default, check,
//! validate; strategic merge in `patch`; server-side apply in `managed`) reads the same tree.

pub(crate) mod builtin;
mod cel;
mod cel_check;
mod cel_types;
mod crd;
mod definition;
mod facts;
mod formats;
pub(crate) mod kinds;
mod parse;
mod rules;
mod scalar;
mod structural;
#[cfg(test)]
mod tests;
mod tree;
mod types;
mod validate;
mod walk;

use std::sync::Arc;

use serde_json::Value;

use crate::field::FieldError;
pub(crate) use cel::is_reserved as is_reserved_in_cel;
pub use parse::Duplicate;
pub use tree::{Default, Field, ListType, MapType, PatchStrategy, Schema, Type};

/// The schema of a built-in kind; `None` when this release does not know it. Built on first use
/// and kept for the life of the process.
pub fn builtin(group: &str, version: &str, kind: &str) -> Option<Arc<Schema>> {
    builtin::lookup(group, version, kind)
}

/// Reads the `openAPIV3Schema` of a stored custom resource definition, whatever is wrong with it.
pub fn from_crd(open_api_v3_schema: &Value) -> Schema {
    crd::read(open_api_v3_schema)
}

/// All that is wrong with the `openAPIV3Schema` at `path`.
pub fn check_definition(open_api_v3_schema: &Value, path: &str) -> Vec<FieldError> {
    definition::check(open_api_v3_schema, path)
}

/// Whether a field of type string, boolean or integer is at a path like `.spec.color`.
pub fn check_selectable(open_api_v3_schema: &Value, path: &str) -> Result<(), String> {
    definition::check_selectable(open_api_v3_schema, path)
}

/// A document with the fields that stand in it again, last value kept.
#[derive(Debug, Default)]
pub struct Parsed {
    pub value: Value,
    pub duplicates: Vec<Duplicate>,
}

/// Parses JSON and notes duplicate fields on the way (Kubernetes keeps the last one).
pub fn parse_json(body: &[u8]) -> Result<Parsed, serde_json::Error> {
    parse::json(body)
}

/// The paths of all fields of a JSON document, in the order they stand there.
pub fn fields_in_order(body: &[u8]) -> Vec<String> {
    parse::order(body)
}

/// As [`parse_json`], for YAML.
pub fn parse_yaml(text: &str) -> Result<Parsed, serde_saphyr::Error> {
    parse::yaml(text)
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
