//! Objects seen through their schema: which paths they consist of.

use serde_json::{Map, Value};

use super::set::{Element, Node, Set};
use crate::schema::builtin;
use crate::schema::{Default as FieldDefault, Field, ListType, Schema, Type};

/// A schema as reached through a property, which may override whether its fields are one.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// `None`: nothing is known; lists are atomic, maps are not.
    pub schema: Option<&'a Schema>,
    pub field: Option<&'a Field>,
}

/// How a value is owned.
pub(super) enum Shape<'a> {
    Leaf,
    Map(&'a Map<String, Value>),
    List(&'a Schema, &'a [Value]),
}

impl<'a> Place<'a> {
    pub(super) fn root(schema: &'a Schema) -> Self {
        Self { schema: Some(schema), field: None }
    }

    pub(super) const UNTYPED: Place<'static> = Place { schema: None, field: None };

    /// The place of a property or map value.
    pub(super) fn child(&self, name: &str) -> Place<'a> {
        let Some(schema) = self.schema.filter(|s| s.embedded || !s.is_untyped()) else {
            return Place::UNTYPED;
        };
        if schema.embedded && name == "metadata" {
            return Place { schema: builtin::object_meta_schema(), field: None };
        }
        match schema.field(name) {
            Some(field) => Place { schema: Some(field.link.get()), field: Some(field) },
            None => Place { schema: schema.additional.as_ref().map(|values| &**values.get()), field: None },
        }
    }

    pub(super) fn item(&self) -> Place<'a> {
        Place { schema: self.schema.and_then(|s| s.item().map(|item| &**item)), field: None }
    }

    /// Whether the schema names this property.
    pub(super) fn names(&self, name: &str) -> bool {
        self.schema.is_some_and(|s| s.field(name).is_some())
    }

    /// Whether the schema says anything of this property.
    pub(super) fn knows(&self, name: &str) -> bool {
        match self.schema {
            None => true,
            Some(s) => {
                s.is_untyped()
                    || s.preserve_unknown
                    || s.child(name).is_some()
                    || (s.embedded && matches!(name, "apiVersion" | "kind" | "metadata"))
            }
        }
    }

    fn is_atomic_map(&self) -> bool {
        self.schema.is_some_and(|s| s.is_atomic(self.field))
    }

    pub(super) fn shape(&self, value: &'a Value) -> Shape<'a> {
        match (value, self.schema) {
            (Value::Object(map), _) if !self.is_atomic_map() => Shape::Map(map),
            (Value::Array(items), Some(schema)) => match schema.list {
                ListType::Atomic => Shape::Leaf,
                ListType::Set | ListType::Map => Shape::List(schema, items),
            },
            _ => Shape::Leaf,
        }
    }

    /// Whether the schema, value or no value, makes what is here one leaf.
    fn is_atomic(&self) -> bool {
        match self.schema {
            None => false,
            Some(s) if s.kind == Type::Array => s.list == ListType::Atomic,
            Some(_) => self.is_atomic_map(),
        }
    }
}

/// What identifies an item of a set or map list.
pub(super) fn identify(list: &Schema, item: &Value) -> Result<Element, String> {
    if list.list == ListType::Set {
        return match item {
            Value::Object(_) => Err("associative list without keys has an element that's a map type".into()),
            Value::Array(_) => Err("not supported: associative list with lists as elements".into()),
            Value::Null => Err("associative list without keys has an element that's an explicit null".into()),
            scalar => Ok(Element::Value(scalar.clone())),
        };
    }
    let Value::Object(map) = item else {
        return Err("associative list with keys may not have non-map elements".into());
    };
    let mut keys = Vec::with_capacity(list.list_keys.len());
    for name in &list.list_keys {
        if let Some(value) = map.get(&**name) {
            keys.push((name.to_string(), value.clone()));
            continue;
        }
        let field = list.item().and_then(|item| item.field(name));
        match field.and_then(|f| f.default.as_ref()) {
            Some(FieldDefault::Value(value) | FieldDefault::Zero(value)) => {
                keys.push((name.to_string(), value.clone()));
            }
            None => {}
        }
    }
    if keys.is_empty() {
        return Err(format!(
            "associative list with keys has an element that omits all key fields {:?} (and doesn't have default values for any key fields)",
            list.list_keys
        ));
    }
    keys.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Element::Key(keys))
}

/// All leaves and items of an object.
pub(super) fn to_set(place: Place<'_>, value: &Value) -> Set {
    let mut set = Set::default();
    if let Value::Object(map) = value {
        add_fields(place, map, &mut set);
    }
    set
}

fn add_fields(place: Place<'_>, map: &Map<String, Value>, set: &mut Set) {
    for (name, value) in map {
        let child = place.child(name);
        let mut node = Node::default();
        node.member = add(child, value, &mut node.children)
            || value.is_null()
            || value.as_object().is_some_and(Map::is_empty)
            || !place.names(name);
        insert(set, Element::Field(name.clone()), node);
    }
}

/// Adds what is below the value; answers whether the value itself is a leaf.
fn add(place: Place<'_>, value: &Value, below: &mut Set) -> bool {
    match place.shape(value) {
        Shape::Leaf => true,
        Shape::Map(map) => {
            add_fields(place, map, below);
            false
        }
        Shape::List(list, items) => {
            add_items(place, list, items, below);
            false
        }
    }
}

/// Items that stand there twice are owned as a whole.
fn add_items(place: Place<'_>, list: &Schema, items: &[Value], set: &mut Set) {
    let mut seen: Vec<(Element, bool, &Value)> = Vec::with_capacity(items.len());
    for item in items {
        let Ok(element) = identify(list, item) else {
            continue;
        };
        match seen.iter_mut().find(|(other, ..)| *other == element) {
            Some((_, twice, _)) => *twice = true,
            None => seen.push((element, false, item)),
        }
    }
    for (element, twice, item) in seen {
        let mut node = Node { member: true, children: Set::default() };
        if !twice {
            add(place.item(), item, &mut node.children);
        }
        insert(set, element, node);
    }
}

fn insert(set: &mut Set, element: Element, node: Node) {
    if node.member || !node.children.is_empty() {
        set.0.insert(element, node);
    }
}

fn below<'a>(place: Place<'a>, element: &Element) -> Place<'a> {
    match element {
        Element::Field(name) => place.child(name),
        _ => place.item(),
    }
}

/// The set with the named properties that lead to members made members too.
pub(super) fn with_named_fields(place: Place<'_>, set: &Set) -> Set {
    let mut out = Set::default();
    for (element, node) in &set.0 {
        let named = match element {
            Element::Field(name) => place.names(name),
            _ => false,
        };
        let grown = Node {
            member: node.member || (named && !node.children.is_empty()),
            children: with_named_fields(below(place, element), &node.children),
        };
        out.0.insert(element.clone(), grown);
    }
    out
}

/// The set with what became atomic since it was written owned as a whole.
pub(super) fn reconcile(place: Place<'_>, set: Set) -> Set {
    let mut out = Set::default();
    for (element, mut node) in set.0 {
        let here = below(place, &element);
        if node.children.is_empty() {
            out.0.insert(element, node);
        } else if here.is_atomic() {
            let member = true;
            let children = Set::default();
            out.0.insert(element, Node { member, children });
        } else {
            node.children = reconcile(here, node.children);
            out.0.insert(element, node);
        }
    }
    out
}

/// An object of a built-in kind that nobody wrote anything into, as Go would encode it; of a
/// custom one, nothing.
pub(super) fn blank(schema: &Schema) -> Value {
    let mut map = Map::new();
    if schema.builtin {
        for field in &schema.properties {
            let child = field.link.get();
            let collection = child.kind == Type::Array || child.additional.is_some();
            match &field.default {
                Some(FieldDefault::Zero(Value::Object(_))) => {
                    map.insert(field.name.to_string(), blank(child));
                }
                Some(FieldDefault::Zero(zero)) => {
                    map.insert(field.name.to_string(), zero.clone());
                }
                None if collection && !field.drop_empty => {
                    map.insert(field.name.to_string(), Value::Null);
                }
                _ => {}
            }
        }
    }
    Value::Object(map)
}
