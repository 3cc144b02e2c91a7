//! Identity and order of list items in strategic merge patches.

use serde_json::{Map, Value};

use super::PatchError;
use super::strategic::DIRECTIVE;

/// How the items of a list are told apart: by a key, or by themselves.
pub(super) struct Items<'a> {
    pub merge_key: Option<&'a str>,
}

impl Items<'_> {
    /// What identifies the item; `None` for a map without its key.
    fn identity<'v>(&self, item: &'v Value) -> Option<&'v Value> {
        match self.merge_key {
            Some(key) => item.get(key),
            None => Some(item),
        }
    }

    fn index(&self, order: &[Value], item: &Value) -> Option<usize> {
        let wanted = self.identity(item);
        order.iter().position(|other| self.identity(other) == wanted)
    }

    pub(super) fn check_maps(&self, items: &[Value]) -> Result<(), PatchError> {
        if let Some(key) = self.merge_key {
            for item in items {
                key_of(item, key)?;
            }
        }
        Ok(())
    }

    /// The items of the patch must stand in the order list, in that order; deletions aside.
    pub(super) fn check_order(&self, patch: &[Value], order: &[Value]) -> Result<(), PatchError> {
        if patch.is_empty() || order.is_empty() {
            return Ok(());
        }
        if self.merge_key.is_some() {
            self.check_maps(order)?;
        }
        let mut places = order.iter();
        for item in patch {
            if item.get(DIRECTIVE).is_some() {
                continue;
            }
            if let Some(key) = self.merge_key {
                key_of(item, key)?;
            }
            let wanted = self.identity(item);
            if !places.any(|place| self.identity(place) == wanted) {
                return Err(PatchError::Malformed(format!(
                    "The order in patch list:\n{}\n doesn't match $setElementOrder list:\n{}\n",
                    Value::Array(patch.to_vec()),
                    Value::Array(order.to_vec()),
                )));
            }
        }
        Ok(())
    }

    /// Sorts the items that `order` names by it, the others as the server had them, and weaves
    /// the two together by the server's order.
    pub(super) fn sort(
        &self,
        merged: Vec<Value>,
        order: &[Value],
        server_order: &[Value],
    ) -> Result<Vec<Value>, PatchError> {
        self.check_maps(&merged)?;
        let (mut ordered, mut server_only): (Vec<Value>, Vec<Value>) =
            merged.into_iter().partition(|item| self.index(order, item).is_some());
        ordered.sort_by_key(|item| self.index(order, item).unwrap_or(usize::MAX));
        server_only.sort_by_key(|item| self.index(server_order, item).unwrap_or(usize::MAX));
        let mut sorted = Vec::with_capacity(ordered.len() + server_only.len());
        let mut left = server_only.into_iter().peekable();
        for right in ordered {
            let right_at = self.index(server_order, &right);
            while let Some(item) = left.peek() {
                let left_at = self.index(server_order, item);
                match (left_at, right_at) {
                    (Some(l), Some(r)) if l < r => sorted.extend(left.next()),
                    _ => break,
                }
            }
            sorted.push(right);
        }
        sorted.extend(left);
        Ok(sorted)
    }
}

pub(super) fn as_object(item: &Value) -> Result<&Map<String, Value>, PatchError> {
    item.as_object().ok_or_else(|| not_a_map(item))
}

pub(super) fn take_object(item: &mut Value) -> Result<Map<String, Value>, PatchError> {
    match item.take() {
        Value::Object(map) => Ok(map),
        other => Err(not_a_map(&other)),
    }
}

fn not_a_map(item: &Value) -> PatchError {
    PatchError::Malformed(format!("expected a map, but received {item}"))
}

pub(super) fn key_of<'v>(item: &'v Value, key: &str) -> Result<&'v Value, PatchError> {
    as_object(item)?.get(key).ok_or_else(|| {
        PatchError::Malformed(format!("map: {item} does not contain declared merge key: {key}"))
    })
}

/// The first of equal scalars stays.
pub(super) fn deduplicate(items: Vec<Value>) -> Vec<Value> {
    let mut unique: Vec<Value> = Vec::with_capacity(items.len());
    for item in items {
        if !unique.contains(&item) {
            unique.push(item);
        }
    }
    unique
}
