//! Pruning, normalising and defaulting.

use serde_json::{Map, Value};

use super::scalar;
use super::tree::{Default, Field, Schema, Type};

pub(super) fn prune(schema: &Schema, value: &mut Value) -> Vec<String> {
    let mut pruner = Pruner::default();
    pruner.node(schema, value);
    pruner.unknown
}

#[derive(std::default::Default)]
struct Pruner {
    /// Where the walk is: `spec.containers[0]`.
    path: String,
    unknown: Vec<String>,
}

impl Pruner {
    fn node(&mut self, schema: &Schema, value: &mut Value) {
        match value {
            Value::Object(map) if schema.embedded => self.embedded(schema, map),
            Value::Object(map) if schema.kind == Type::Object => self.object(schema, map),
            Value::Array(items) if schema.kind == Type::Array => {
                let Some(item_schema) = schema.item() else {
                    return;
                };
                for (i, item) in items.iter_mut().enumerate() {
                    let end = self.path.len();
                    self.path.push_str(&format!("[{i}]"));
                    self.member(item_schema, item, schema.builtin);
                    self.path.truncate(end);
                }
            }
            _ if schema.builtin => scalar::normalise(schema.kind, value),
            _ => {}
        }
    }

    /// An item of a list or a value of a map: null is the zero value in a built-in kind.
    fn member(&mut self, schema: &Schema, value: &mut Value, builtin: bool) {
        if builtin && value.is_null() {
            *value = scalar::zero(schema.kind);
        }
        self.node(schema, value);
    }

    fn object(&mut self, schema: &Schema, map: &mut Map<String, Value>) {
        if schema.is_untyped() {
            return;
        }
        map.retain(|name, value| {
            let end = self.path.len();
            let keep = self.property(schema, name, value);
            self.path.truncate(end);
            keep
        });
    }

    /// Whether the property stays.
    fn property(&mut self, schema: &Schema, name: &str, value: &mut Value) -> bool {
        if !self.path.is_empty() {
            self.path.push('.');
        }
        self.path.push_str(name);
        if let Some(field) = schema.field(name) {
            if schema.builtin && value.is_null() {
                return false;
            }
            self.node(field.link.get(), value);
            return !(schema.builtin && field.drop_empty && scalar::is_empty(value));
        }
        if let Some(values) = &schema.additional {
            self.member(values.get(), value, schema.builtin);
            return true;
        }
        if !schema.preserve_unknown {
            self.unknown.push(self.path.clone());
        }
        schema.preserve_unknown
    }

    /// An object inside an object: apiVersion, kind and metadata are always known.
    fn embedded(&mut self, schema: &Schema, map: &mut Map<String, Value>) {
        map.retain(|name, value| {
            let end = self.path.len();
            let keep = match name.as_str() {
                "apiVersion" | "kind" if schema.field(name).is_none() => true,
                "metadata" if schema.field(name).is_none() => {
                    self.path.push_str(".metadata");
                    let meta = super::builtin::object_meta();
                    self.node(meta.get(), value);
                    true
                }
                _ => self.property(schema, name, value),
            };
            self.path.truncate(end);
            keep
        });
    }
}

/// Fills in defaults, outermost first, so that a default object gets its own fields' defaults.
pub(super) fn default(schema: &Schema, value: &mut Value) {
    match value {
        Value::Object(map) => {
            for field in &schema.properties {
                default_field(schema, field, map);
            }
            if let Some(values) = &schema.additional {
                let values = values.get();
                for (name, value) in map.iter_mut() {
                    if schema.field(name).is_none() {
                        default_member(values, value);
                    }
                }
            }
        }
        Value::Array(items) => {
            if let Some(item_schema) = schema.item() {
                for item in items {
                    default_member(item_schema, item);
                }
            }
        }
        _ => {}
    }
}

fn default_member(schema: &Schema, value: &mut Value) {
    if value.is_null()
        && !schema.nullable
        && let Some(default) = &schema.default
    {
        *value = default.clone();
    }
    default(schema, value);
}

/// A null is "not given" unless the schema allows it.
fn default_field(schema: &Schema, field: &Field, map: &mut Map<String, Value>) {
    let child = field.link.get();
    if !schema.builtin && !child.nullable && map.get(&*field.name).is_some_and(Value::is_null) {
        map.remove(&*field.name);
    }
    if let Some(given) = map.get_mut(&*field.name) {
        return default(child, given);
    }
    let mut filled = match &field.default {
        Some(Default::Value(value)) => value.clone(),
        // An absent scalar stays absent, so that validation can tell it from a given zero.
        Some(Default::Zero(value)) if value.is_object() => value.clone(),
        _ => return,
    };
    default(child, &mut filled);
    map.insert(field.name.to_string(), filled);
}
