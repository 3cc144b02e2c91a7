//! The three patch formats of PATCH that are not server-side apply.

mod lists;
mod strategic;

use json_patch::PatchOperation;
use serde_json::Value;

use crate::schema::Schema;

/// The longest JSON patch, in operations.
pub const MAX_JSON_PATCH_OPERATIONS: usize = 10_000;

/// What the copies of a JSON patch may add (Kubernetes' limit is that of a body).
pub const MAX_COPIED_BYTES: usize = 3 << 20;
/// No body that can be read is deeper.
const DEEPEST_BODY: usize = 128;
/// Deeper than this nothing gets while it is patched: values are walked and dropped by recursion.
const DEEPEST: usize = 1000;

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
    let mut growth = Growth { copied: 0, depth: DEEPEST_BODY };
    for operation in &operations.0 {
        growth.allow(&patched, operation)?;
        // The document is a copy: nobody sees what a failed patch leaves of it.
        json_patch::patch_unsafe(&mut patched, std::slice::from_ref(operation))
            .map_err(|e| PatchError::NotApplicable(e.to_string()))?;
    }
    if depth_of(&patched) > DEEPEST_BODY { Err(too_deep()) } else { Ok(patched) }
}

/// What a JSON patch, small as it is, could make of an object: copies of copies double it, moves into
/// what was moved deepen it.
struct Growth {
    /// Bytes that copies have added.
    copied: usize,
    /// The document is not deeper than this.
    depth: usize,
}

impl Growth {
    fn allow(&mut self, document: &Value, operation: &PatchOperation) -> Result<(), PatchError> {
        match operation {
            PatchOperation::Copy(copy) => {
                let source = document.pointer(copy.from.as_str());
                self.copied += source.map_or(0, |value| value.to_string().len());
                if self.copied > MAX_COPIED_BYTES {
                    return Err(PatchError::NotApplicable(format!(
                        "Unable to complete the copy, the accumulated size increase of copy is {}, exceeding the limit {MAX_COPIED_BYTES}",
                        self.copied
                    )));
                }
                self.check_depth(document, copy.path.count())
            }
            PatchOperation::Move(moved) => self.check_depth(document, moved.path.count()),
            PatchOperation::Add(add) => self.check_depth(document, add.path.count()),
            PatchOperation::Replace(replace) => self.check_depth(document, replace.path.count()),
            _ => Ok(()),
        }
    }

    /// A value that is not deeper than a body, or a part of the document, is put so deep into it. The
    /// document is only looked at when it may have become too deep.
    fn check_depth(&mut self, document: &Value, place: usize) -> Result<(), PatchError> {
        self.depth += place;
        if self.depth > DEEPEST {
            self.depth = depth_of(document).max(DEEPEST_BODY) + place;
        }
        if self.depth > DEEPEST { Err(too_deep()) } else { Ok(()) }
    }
}

fn too_deep() -> PatchError {
    PatchError::NotApplicable("the patched object is nested too deeply".into())
}

fn depth_of(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(depth_of).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth_of).max().unwrap_or(0),
        _ => 0,
    }
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
