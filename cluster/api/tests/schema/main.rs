//! Schemas, patches, managed fields and OpenAPI, with expectations from Kubernetes' behaviour.

mod custom;
mod managed;
mod openapi;
mod patches;
mod walks;

use serde_json::Value;

/// YAML to JSON, for readable tables.
pub fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).expect("the test's YAML is well-formed")
}
