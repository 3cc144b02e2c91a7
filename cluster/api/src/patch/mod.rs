//! The three patch formats of PATCH that are not server-side apply.

mod lists;
mod strategic;

use serde_json::Value;

use crate::schema::Schema;

/// The longest JSON patch, in operations.
pub const MAX_JSON_PATCH_OPERATIONS: usize = 10_000;

/// Why a patch could not be applied.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum PatchError {
    /// The patch is not a well-formed document of its format (400).
    #[error("{0}")]
    Malformed(String),
    /// A JSON patch's `test` failed or its path does not exist (422).
    #[error("{0}")]
    NotApplicable(String),
    /// More operations than [`MAX_JSON_PATCH_OPERATIONS`] (413).
    #[error("the allowed maximum operations in a JSON patch is {max}, got {count}")]
    TooManyOperations { count: usize, max: usize },
    /// A strategic merge patch was sent for a custom resource (415).
    #[error("strategic merge patch is not supported for this kind")]
    Unsupported,
}

/// JSON patch, RFC 6902. `patch` is the request body.
pub fn json(current: &Value, patch: &[u8]) -> Result<Value, PatchError> {
    let operations: Vec<Value> = serde_json::from_slice(patch)
        .map_err(|e| PatchError::Malformed(format!("error decoding patch: {e}")))?;
    if operations.len() > MAX_JSON_PATCH_OPERATIONS {
        return Err(PatchError::TooManyOperations {
            count: operations.len(),
            max: MAX_JSON_PATCH_OPERATIONS,
        });
    }
    let operations: json_patch::Patch = serde_json::from_value(Value::Array(operations))
        .map_err(|e| PatchError::Malformed(format!("error decoding patch: {e}")))?;
    let mut patched = current.clone();
    json_patch::patch(&mut patched, &operations).map_err(|e| PatchError::NotApplicable(e.to_string()))?;
    Ok(patched)
}

/// JSON merge patch, RFC 7396.
pub fn merge(current: &Value, patch: &Value) -> Value {
    let mut merged = current.clone();
    json_patch::merge(&mut merged, patch);
    merged
}

/// Kubernetes' strategic merge patch, with its `$patch`, `$retainKeys`, `$setElementOrder/` and
/// `$deleteFromPrimitiveList/` directives. Only built-in kinds have one.
pub fn strategic(schema: &Schema, current: &Value, patch: &Value) -> Result<Value, PatchError> {
    if !schema.builtin {
        return Err(PatchError::Unsupported);
    }
    let (Value::Object(current), Value::Object(patch)) = (current, patch) else {
        return Err(PatchError::Malformed("invalid JSON document".into()));
    };
    let merged = strategic::merge_map(schema, current.clone(), patch.clone())?;
    Ok(Value::Object(merged))
}
