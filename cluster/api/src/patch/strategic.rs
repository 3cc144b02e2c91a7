//! Strategic merge patch.
//!
//! Semantics: the design proposals "strategic-merge-patch" and
//! "preserve-order-in-strategic-merge-patch" of Kubernetes' SIG CLI, as apimachinery does them.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::PatchError;
use super::lists::{self, Items};
use crate::schema::{PatchStrategy, Schema};

pub(super) const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const SET_ORDER: &str = "$setElementOrder/";
const DELETE_FROM_PRIMITIVES: &str = "$deleteFromPrimitiveList/";

/// Stands for what no schema describes: maps are merged, lists are replaced.
static UNTYPED: LazyLock<Schema> = LazyLock::new(Schema::default);

type Object = Map<String, Value>;

/// What a patch needs to know about one field.
struct Meta<'a> {
    /// The field's own schema; for a list that of its items.
    schema: &'a Schema,
    strategy: PatchStrategy,
    replace: bool,
    merge_key: Option<&'a str>,
}

fn meta<'a>(owner: &'a Schema, name: &str) -> Meta<'a> {
    let Some(schema) = owner.child(name) else {
        return Meta {
            schema: &UNTYPED,
            strategy: PatchStrategy::default(),
            replace: false,
            merge_key: None,
        };
    };
    let field = owner.field(name);
    Meta {
        schema: schema.item().unwrap_or(schema),
        strategy: field.map(|f| f.patch).unwrap_or(schema.patch),
        replace: field.is_some_and(|f| f.replace),
        merge_key: schema.merge_key.as_deref(),
    }
}

pub(super) fn merge_map(
    schema: &Schema,
    mut original: Object,
    mut patch: Object,
) -> Result<Object, PatchError> {
    if let Some(directive) = patch.remove(DIRECTIVE) {
        return match directive.as_str() {
            Some("replace") => Ok(patch),
            Some("delete") => Ok(Object::new()),
            _ => Err(unknown_directive(&directive, &patch)),
        };
    }
    retain_keys(&mut original, &mut patch)?;
    merge_ordered_lists(schema, &mut original, &mut patch)?;
    for (key, value) in patch {
        match key.strip_prefix(DELETE_FROM_PRIMITIVES) {
            Some(name) => delete_from_primitives(&mut original, name, value)?,
            None => merge_field(schema, &mut original, key, value)?,
        }
    }
    Ok(original)
}

fn merge_field(schema: &Schema, original: &mut Object, key: String, value: Value) -> Result<(), PatchError> {
    if value.is_null() {
        original.remove(&key);
        return Ok(());
    }
    let current = original.remove(&key);
    let merged = match (current, value) {
        (Some(Value::Object(current)), Value::Object(patch)) => {
            let meta = meta(schema, &key);
            match meta.replace {
                true => Some(Value::Object(patch)),
                false => Some(Value::Object(merge_map(meta.schema, current, patch)?)),
            }
        }
        (Some(Value::Array(current)), Value::Array(patch)) => {
            let meta = meta(schema, &key);
            match meta.strategy.merge {
                true => Some(Value::Array(merge_list(&meta, current, patch)?)),
                false => Some(Value::Array(patch)),
            }
        }
        (_, mut value) => {
            discard_nulls(&mut value);
            without_directives(value)
        }
    };
    if let Some(merged) = merged {
        original.insert(key, merged);
    }
    Ok(())
}

/// `$retainKeys`: all other keys of the original go.
fn retain_keys(original: &mut Object, patch: &mut Object) -> Result<(), PatchError> {
    let Some(keys) = patch.remove(RETAIN_KEYS) else {
        return Ok(());
    };
    let malformed = || PatchError::Malformed("invalid patch format of retainKeys".into());
    let keys = keys.as_array().ok_or_else(malformed)?;
    let retained = |name: &str| keys.iter().any(|key| key.as_str() == Some(name));
    for (name, value) in patch.iter() {
        let directive = name.starts_with(DELETE_FROM_PRIMITIVES) || name.starts_with(SET_ORDER);
        if !value.is_null() && !directive && !retained(name) {
            return Err(malformed());
        }
    }
    original.retain(|name, _| retained(name));
    Ok(())
}

/// `$setElementOrder/LIST`: merges the list it speaks of and puts the result into that order.
fn merge_ordered_lists(schema: &Schema, original: &mut Object, patch: &mut Object) -> Result<(), PatchError> {
    let directives: Vec<String> = patch.keys().filter(|key| key.starts_with(SET_ORDER)).cloned().collect();
    for directive in directives {
        let name = &directive[SET_ORDER.len()..];
        let order = match patch.remove(&directive) {
            Some(Value::Array(order)) => order,
            _ => return Err(bad_order()),
        };
        let patch_list = take_list(patch, name)?;
        let original_list = take_list(original, name)?;
        let meta = meta(schema, name);
        let items = Items { merge_key: meta.merge_key };
        items.check_order(patch_list.as_deref().unwrap_or_default(), &order)?;
        let server_order = original_list.clone().unwrap_or_default();
        let merged = match (original_list, patch_list) {
            (None, None) => continue,
            (Some(original), None) => original,
            (None, Some(patch)) => without_directives_in_list(patch),
            (Some(original), Some(patch)) => match meta.strategy.merge {
                true => merge_list(&meta, original, patch)?,
                false => patch,
            },
        };
        let sorted = items.sort(merged, &order, &server_order)?;
        original.insert(name.to_string(), Value::Array(sorted));
    }
    Ok(())
}

fn take_list(map: &mut Object, name: &str) -> Result<Option<Vec<Value>>, PatchError> {
    match map.remove(name) {
        None => Ok(None),
        Some(Value::Array(items)) => Ok(Some(items)),
        Some(_) => Err(bad_order()),
    }
}

fn bad_order() -> PatchError {
    PatchError::Malformed("invalid patch format of setElementOrder list".into())
}

fn delete_from_primitives(original: &mut Object, name: &str, value: Value) -> Result<(), PatchError> {
    let Value::Array(doomed) = value else {
        let text = "invalid patch format of primitive list";
        return Err(PatchError::Malformed(text.into()));
    };
    if let Some(Value::Array(items)) = original.get_mut(name) {
        items.retain(|item| !doomed.contains(item));
    }
    Ok(())
}

fn merge_list(meta: &Meta<'_>, original: Vec<Value>, patch: Vec<Value>) -> Result<Vec<Value>, PatchError> {
    if original.is_empty() && patch.is_empty() {
        return Ok(original);
    }
    let items = Items { merge_key: meta.merge_key };
    let are_maps = original.iter().chain(&patch).any(Value::is_object);
    if !are_maps {
        let server_order = original.clone();
        let mut both = original;
        both.extend(patch.iter().cloned());
        let merged = lists::deduplicate(both);
        return Items { merge_key: None }.sort(merged, &patch, &server_order);
    }
    let Some(key) = meta.merge_key else {
        let text = format!("cannot merge lists without merge key for {}", meta.schema.name);
        return Err(PatchError::Malformed(text));
    };
    let (original, patch) = apply_item_directives(&items, key, original, patch)?;
    let server_order = original.clone();
    let mut merged = original;
    for item in &patch {
        let wanted = lists::key_of(item, key)?;
        let found = merged.iter().position(|other| other.get(key).is_some_and(|k| k == wanted));
        match found {
            Some(at) => {
                let current = lists::take_object(&mut merged[at])?;
                let change = lists::as_object(item)?.clone();
                merged[at] = Value::Object(merge_map(meta.schema, current, change)?);
            }
            None => merged.push(item.clone()),
        }
    }
    items.sort(merged, &patch, &server_order)
}

/// `$patch: delete` and `$patch: replace` among the items of a list of maps.
fn apply_item_directives(
    items: &Items<'_>,
    key: &str,
    mut original: Vec<Value>,
    patch: Vec<Value>,
) -> Result<(Vec<Value>, Vec<Value>), PatchError> {
    let mut plain = Vec::with_capacity(patch.len());
    let mut replace = false;
    for item in patch {
        let map = lists::as_object(&item)?;
        match map.get(DIRECTIVE) {
            None => plain.push(item),
            Some(Value::String(word)) if word == "delete" => {
                let doomed = lists::key_of(&item, key)?;
                items.check_maps(&original)?;
                original.retain(|other| other.get(key) != Some(doomed));
            }
            Some(Value::String(word)) if word == "replace" => replace = true,
            Some(Value::String(word)) if word == "merge" => {
                let text = "merging lists cannot yet be specified in the patch";
                return Err(PatchError::Malformed(text.into()));
            }
            Some(directive) => return Err(unknown_directive(directive, map)),
        }
    }
    match replace {
        true => Ok((plain, Vec::new())),
        false => Ok((original, plain)),
    }
}

fn unknown_directive(directive: &Value, map: &Object) -> PatchError {
    let map = Value::Object(map.clone());
    PatchError::Malformed(format!("unknown patch type: {directive} in map: {map}"))
}

/// Nulls in what is new to the object mean nothing.
fn discard_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(discard_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(discard_nulls),
        _ => {}
    }
}

/// Removes maps that carry a directive from what is new to the object.
fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(map) if map.contains_key(DIRECTIVE) => None,
        Value::Object(map) => {
            let kept =
                map.into_iter().filter_map(|(name, value)| without_directives(value).map(|v| (name, v)));
            Some(Value::Object(kept.collect()))
        }
        Value::Array(items) => Some(Value::Array(without_directives_in_list(items))),
        scalar => Some(scalar),
    }
}

fn without_directives_in_list(items: Vec<Value>) -> Vec<Value> {
    items.into_iter().filter_map(without_directives).collect()
}
