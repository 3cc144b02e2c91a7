//! What differs between two objects.

use serde_json::{Map, Value};

use super::set::{Element, Set, compare_values};
use super::typed::{Place, Shape, identify};
use crate::schema::Schema;

/// No path is in more than one of the sets.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    pub removed: Set,
    pub modified: Set,
    pub added: Set,
}

impl Comparison {
    pub(super) fn without(self, reset: &Set) -> Self {
        Self {
            removed: self.removed.recursive_difference(reset),
            modified: self.modified.recursive_difference(reset),
            added: self.added.recursive_difference(reset),
        }
    }
}

pub(super) fn compare(place: Place<'_>, old: &Value, new: &Value) -> Comparison {
    let mut walker = Walker::default();
    walker.node(place, Some(old), Some(new));
    walker.found
}

#[derive(Default)]
struct Walker {
    path: Vec<Element>,
    found: Comparison,
}

impl Walker {
    fn node(&mut self, place: Place<'_>, old: Option<&Value>, new: Option<&Value>) {
        if let (Some(old), Some(new)) = (old, new)
            && old == new
        {
            return;
        }
        let empty_map = Map::new();
        match shapes(place, old, new) {
            Pair::Leaf => self.leaf(old, new),
            Pair::Maps(a, b) => {
                self.maps(place, a.unwrap_or(&empty_map), b.unwrap_or(&empty_map));
                self.container(old, new);
            }
            Pair::Lists(list, a, b) => {
                self.lists(place, list, a, b);
                self.container(old, new);
            }
        }
    }

    fn leaf(&mut self, old: Option<&Value>, new: Option<&Value>) {
        match (old, new) {
            (None, _) => self.found.added.insert(&self.path),
            (_, None) => self.found.removed.insert(&self.path),
            (Some(old), Some(new)) if compare_values(old, new).is_ne() => {
                self.found.modified.insert(&self.path);
            }
            _ => {}
        }
    }

    /// A map or list that came or went is itself a change.
    fn container(&mut self, old: Option<&Value>, new: Option<&Value>) {
        match (old, new) {
            (None, _) => self.found.added.insert(&self.path),
            (_, None) => self.found.removed.insert(&self.path),
            _ => {}
        }
    }

    fn maps(&mut self, place: Place<'_>, old: &Map<String, Value>, new: &Map<String, Value>) {
        for (name, value) in old {
            self.path.push(Element::Field(name.clone()));
            self.node(place.child(name), Some(value), new.get(name));
            self.path.pop();
        }
        for (name, value) in new {
            if !old.contains_key(name) {
                self.path.push(Element::Field(name.clone()));
                self.node(place.child(name), None, Some(value));
                self.path.pop();
            }
        }
    }

    fn lists(&mut self, place: Place<'_>, list: &Schema, old: &[Value], new: &[Value]) {
        let old = group(list, old);
        let new = group(list, new);
        for (element, old_items) in &old {
            let same = new.iter().find(|(other, _)| other == element);
            let new_items = same.map(|(_, items)| &items[..]).unwrap_or_default();
            self.items(place, element, old_items, new_items);
        }
        for (element, new_items) in &new {
            if !old.iter().any(|(other, _)| other == element) {
                self.items(place, element, &[], new_items);
            }
        }
    }

    /// One identity, with the items that have it before and after. Duplicates are one leaf.
    fn items(&mut self, place: Place<'_>, element: &Element, old: &[&Value], new: &[&Value]) {
        self.path.push(element.clone());
        match (old, new) {
            ([_, _, ..], [_, _, ..]) => {
                if old != new {
                    self.found.modified.insert(&self.path);
                }
            }
            ([_, _, ..], _) => {
                if let Some(item) = new.first() {
                    self.node(place.item(), None, Some(item));
                }
                self.found.removed.insert(&self.path);
            }
            (_, [_, _, ..]) => {
                if let Some(item) = old.first() {
                    self.node(place.item(), Some(item), None);
                }
                self.found.added.insert(&self.path);
            }
            _ => self.node(place.item(), old.first().copied(), new.first().copied()),
        }
        self.path.pop();
    }
}

enum Pair<'a> {
    Leaf,
    Maps(Option<&'a Map<String, Value>>, Option<&'a Map<String, Value>>),
    Lists(&'a Schema, &'a [Value], &'a [Value]),
}

/// The common shape of two values; null takes the shape of the other. Two empty containers are a
/// leaf, so that null and empty are told apart.
fn shapes<'a>(place: Place<'a>, old: Option<&'a Value>, new: Option<&'a Value>) -> Pair<'a> {
    let old = old.filter(|v| !v.is_null()).map(|v| place.shape(v));
    let new = new.filter(|v| !v.is_null()).map(|v| place.shape(v));
    match (old, new) {
        (Some(Shape::Map(a)), Some(Shape::Map(b))) if !a.is_empty() || !b.is_empty() => {
            Pair::Maps(Some(a), Some(b))
        }
        (Some(Shape::Map(a)), None) if !a.is_empty() => Pair::Maps(Some(a), None),
        (None, Some(Shape::Map(b))) if !b.is_empty() => Pair::Maps(None, Some(b)),
        (Some(Shape::List(list, a)), Some(Shape::List(_, b))) if !a.is_empty() || !b.is_empty() => {
            Pair::Lists(list, a, b)
        }
        (Some(Shape::List(list, a)), None) if !a.is_empty() => Pair::Lists(list, a, &[]),
        (None, Some(Shape::List(list, b))) if !b.is_empty() => Pair::Lists(list, &[], b),
        _ => Pair::Leaf,
    }
}

fn group<'v>(list: &Schema, items: &'v [Value]) -> Vec<(Element, Vec<&'v Value>)> {
    let mut groups: Vec<(Element, Vec<&Value>)> = Vec::with_capacity(items.len());
    for item in items {
        // An item that can not be identified has no owner.
        let Ok(element) = identify(list, item) else {
            continue;
        };
        match groups.iter_mut().find(|(other, _)| *other == element) {
            Some((_, group)) => group.push(item),
            None => groups.push((element, vec![item])),
        }
    }
    groups
}
