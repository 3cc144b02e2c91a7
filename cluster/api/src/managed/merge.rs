//! Merging an applied configuration into an object, and taking items out of one.

use serde_json::{Map, Value};

use super::set::{Element, Set};
use super::typed::{Place, Shape, identify};
use crate::schema::Schema;

/// `config` over `live`: nothing is removed; lists are ordered as the configuration has them,
/// with the items it does not name where they stood between the shared ones.
pub(super) fn merge(place: Place<'_>, live: &Value, config: &Value) -> Value {
    match (place.shape(live), place.shape(config)) {
        (Shape::Map(live), Shape::Map(config)) => {
            let mut merged = Map::new();
            for (name, value) in live {
                let out = match config.get(name) {
                    Some(wanted) => merge(place.child(name), value, wanted),
                    None => value.clone(),
                };
                merged.insert(name.clone(), out);
            }
            for (name, wanted) in config {
                if !live.contains_key(name) {
                    merged.insert(name.clone(), wanted.clone());
                }
            }
            Value::Object(merged)
        }
        (Shape::List(list, live), Shape::List(_, config)) => {
            Value::Array(merge_lists(place, list, live, config))
        }
        // A null can not remove a map or list, only its items can be given up.
        (Shape::Map(_) | Shape::List(..), Shape::Leaf) if config.is_null() => live.clone(),
        _ => config.clone(),
    }
}

fn merge_lists(place: Place<'_>, list: &Schema, live: &[Value], config: &[Value]) -> Vec<Value> {
    let index = |items: &[Value]| -> Vec<Option<Element>> {
        items.iter().map(|item| identify(list, item).ok()).collect()
    };
    let (live_ids, config_ids) = (index(live), index(config));
    let in_live = |id: &Option<Element>| live_ids.iter().any(|other| other == id);
    let in_config = |id: &Option<Element>| config_ids.iter().any(|other| other == id);
    let take = |at: usize| -> Value {
        let mut same = live_ids.iter().enumerate();
        let found = same.find(|(_, id)| **id == config_ids[at]);
        let twice = same.any(|(_, id)| *id == config_ids[at]);
        match found {
            Some((i, _)) if !twice => merge(place.item(), &live[i], &config[at]),
            _ => config[at].clone(),
        }
    };
    let mut shared = config_ids.iter().filter(|id| in_live(id)).peekable();
    let mut merged: Vec<&Option<Element>> = Vec::with_capacity(config.len());
    let mut out = Vec::with_capacity(live.len().max(config.len()));
    let (mut l, mut r) = (0, 0);
    while l < live.len() || r < config.len() {
        if l < live.len() && r < config.len() {
            if live_ids[l] == config_ids[r] {
                merged.push(&config_ids[r]);
                out.push(take(r));
                l += 1;
                r += 1;
                shared.next();
                continue;
            }
            let next = shared.peek();
            if in_config(&live_ids[l]) && next.is_some_and(|next| **next != live_ids[l]) {
                // Shared, but its turn comes later.
                l += 1;
                continue;
            }
        }
        if l < live.len() {
            if !in_config(&live_ids[l]) {
                out.push(live[l].clone());
                l += 1;
                continue;
            }
            if merged.contains(&&live_ids[l]) {
                l += 1;
            }
        }
        if r < config.len() {
            merged.push(&config_ids[r]);
            out.push(take(r));
            if shared.peek().is_some_and(|next| **next == config_ids[r]) {
                shared.next();
            }
            r += 1;
        }
    }
    out
}

/// The object without the items and fields of the set. `None`: nothing is left of it.
pub(super) fn remove(place: Place<'_>, value: &Value, doomed: &Set) -> Option<Value> {
    match value {
        Value::Object(map) if !matches!(place.shape(value), Shape::Leaf) => {
            remove_fields(place, map, doomed).map(Value::Object)
        }
        Value::Array(items) => match place.shape(value) {
            Shape::List(list, _) => remove_items(place, list, items, doomed).map(Value::Array),
            _ => None,
        },
        Value::Object(_) => None,
        scalar => Some(scalar.clone()),
    }
}

/// What is left of a value when something below it was removed: an emptied container stays.
fn remove_below(place: Place<'_>, value: &Value, doomed: &Set) -> Value {
    remove(place, value, doomed).unwrap_or_else(|| match value {
        Value::Object(_) => Value::Object(Map::new()),
        Value::Array(_) => Value::Array(Vec::new()),
        _ => Value::Null,
    })
}

fn remove_fields(place: Place<'_>, map: &Map<String, Value>, doomed: &Set) -> Option<Map<String, Value>> {
    let mut left = Map::new();
    let mut matched = false;
    for (name, value) in map {
        let node = doomed.0.get(&Element::Field(name.clone()));
        match node {
            Some(node) if node.member => {}
            Some(node) => {
                matched = true;
                let value = remove_below(place.child(name), value, &node.children);
                left.insert(name.clone(), value);
            }
            None => {
                left.insert(name.clone(), value.clone());
            }
        }
    }
    (matched || !left.is_empty()).then_some(left)
}

fn remove_items(place: Place<'_>, list: &Schema, items: &[Value], doomed: &Set) -> Option<Vec<Value>> {
    let mut left = Vec::with_capacity(items.len());
    let mut matched = false;
    for item in items {
        let node = identify(list, item).ok().and_then(|id| doomed.0.get(&id));
        match node {
            Some(node) if node.member => {}
            Some(node) => {
                matched = true;
                left.push(remove_below(place.item(), item, &node.children));
            }
            None => left.push(item.clone()),
        }
    }
    (matched || !left.is_empty()).then_some(left)
}
