//! Reading the `openAPIV3Schema` of a custom resource definition.
//!
//! Only structural schemas are accepted (Kubernetes' documentation, "Specifying a structural
//! schema"): every node outside alternatives has a type or is left open, and alternatives only
//! restrict what the structure already says.

use std::sync::Arc;

use regex::Regex;
use serde_json::{Map, Value};

use super::builtin::object_meta;
use super::cel::CelRule;
use super::formats::Format;
use super::rules::{Bound, Rules};
use super::tree::{Default, Field, Link, ListType, MapType, PatchStrategy, Schema, Type};
use crate::field::FieldError;

/// Schemas nested deeper than this are refused.
const MAX_DEPTH: usize = 100;

const UNSUPPORTED: &[&str] = &[
    "$ref",
    "additionalItems",
    "definitions",
    "dependencies",
    "deprecated",
    "discriminator",
    "id",
    "patternProperties",
    "readOnly",
    "writeOnly",
    "xml",
];

pub(super) fn read(json: &Value) -> Result<Schema, Vec<FieldError>> {
    let mut reader = Reader::default();
    let mut schema = reader.node(json, "", true, 0);
    let open = schema.kind == Type::Any && schema.preserve_unknown;
    if schema.kind != Type::Object && !open {
        let given = json.get("type").cloned().unwrap_or_default();
        reader.errors.push(match given.as_str() {
            None | Some("") => FieldError::required("type", "must not be empty at the root"),
            Some(_) => FieldError::invalid("type", given, "must be object at the root"),
        });
    }
    schema.kind = Type::Object;
    complete_object(&mut schema, json, &mut reader);
    match reader.errors.is_empty() {
        true => Ok(schema),
        false => Err(reader.errors),
    }
}

/// What every object has: apiVersion, kind and metadata. What a schema says of the metadata only
/// restricts it.
fn complete_object(schema: &mut Schema, json: &Value, reader: &mut Reader) {
    let mut fields: Vec<Field> = std::mem::take(&mut schema.properties).into_vec();
    fields.retain(|field| !matches!(&*field.name, "apiVersion" | "kind" | "metadata"));
    let text = || {
        let schema = Schema { kind: Type::String, ..Schema::default() };
        Link::Owned(Arc::new(schema))
    };
    for (name, link) in [("apiVersion", text()), ("kind", text()), ("metadata", object_meta())] {
        fields.push(field(name, link, None));
    }
    fields.sort_by(|a, b| a.name.cmp(&b.name));
    schema.properties = fields.into();
    if let Some(metadata) = json.get("properties").and_then(|p| p.get("metadata")) {
        let limits = reader.node(metadata, "properties[metadata]", false, 1);
        let limits = field("metadata", Link::Owned(Arc::new(limits)), None);
        let part = Schema { properties: vec![limits].into(), preserve_unknown: true, ..Schema::default() };
        let rules = schema.rules.get_or_insert_default();
        rules.all_of.push(part);
    }
}

fn field(name: &str, link: Link, default: Option<Value>) -> Field {
    Field {
        name: Arc::from(name),
        link,
        default: default.map(Default::Value),
        map: None,
        patch: PatchStrategy::default(),
        replace: false,
        drop_empty: false,
    }
}

#[derive(std::default::Default)]
struct Reader {
    errors: Vec<FieldError>,
}

fn child(path: &str, name: &str) -> String {
    match path.is_empty() {
        true => name.to_string(),
        false => format!("{path}.{name}"),
    }
}

impl Reader {
    /// `structural`: outside of alternatives, where types are demanded.
    fn node(&mut self, json: &Value, path: &str, structural: bool, depth: usize) -> Schema {
        let mut schema = Schema::default();
        let Some(map) = json.as_object() else {
            self.errors.push(FieldError::invalid(path, json.clone(), "must be a schema"));
            return schema;
        };
        if depth > MAX_DEPTH {
            self.errors.push(FieldError::invalid(path, "", "schema is nested too deep"));
            return schema;
        }
        let truth = |name: &str| map.get(name) == Some(&Value::Bool(true));
        schema.nullable = truth("nullable");
        schema.preserve_unknown = truth("x-kubernetes-preserve-unknown-fields");
        schema.embedded = truth("x-kubernetes-embedded-resource");
        schema.default = map.get("default").cloned();
        self.check_unsupported(map, path);
        schema.kind = self.kind(map, path, structural && depth > 0);
        self.children(map, path, structural, depth, &mut schema);
        self.list(map, path, &mut schema);
        if map.get("x-kubernetes-map-type").and_then(Value::as_str) == Some("atomic") {
            schema.map = MapType::Atomic;
        }
        let required = map.get("required").and_then(Value::as_array);
        schema.required =
            required.into_iter().flatten().filter_map(|name| name.as_str().map(Arc::from)).collect();
        schema.rules = self.rules(map, path, depth).map(Box::new);
        schema
    }

    fn check_unsupported(&mut self, map: &Map<String, Value>, path: &str) {
        for name in UNSUPPORTED {
            if map.contains_key(*name) {
                let detail = format!("{name} is not supported");
                self.errors.push(FieldError::forbidden(child(path, name), detail));
            }
        }
        if map.get("uniqueItems") == Some(&Value::Bool(true)) {
            let detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
            let path = child(path, "uniqueItems");
            self.errors.push(FieldError::forbidden(path, detail));
        }
        if map.contains_key("properties") && map.contains_key("additionalProperties") {
            let detail = "additionalProperties and properties are mutual exclusive";
            let path = child(path, "additionalProperties");
            self.errors.push(FieldError::forbidden(path, detail));
        }
        if map.get("additionalProperties") == Some(&Value::Bool(false)) {
            let detail = "additionalProperties cannot be set to false";
            let path = child(path, "additionalProperties");
            self.errors.push(FieldError::forbidden(path, detail));
        }
    }

    fn kind(&mut self, map: &Map<String, Value>, path: &str, demanded: bool) -> Type {
        let truth = |name: &str| map.get(name) == Some(&Value::Bool(true));
        let given = map.get("type").and_then(Value::as_str).unwrap_or_default();
        match given {
            "object" => Type::Object,
            "array" => Type::Array,
            "string" => Type::String,
            "integer" => Type::Int64,
            "number" => Type::Number,
            "boolean" => Type::Boolean,
            "" if truth("x-kubernetes-int-or-string") => Type::IntOrString,
            "" if truth("x-kubernetes-preserve-unknown-fields") => Type::Any,
            "" => {
                if demanded {
                    let detail = "must not be empty for specified object fields";
                    self.errors.push(FieldError::required(child(path, "type"), detail));
                }
                Type::Any
            }
            other => {
                let known = ["array", "boolean", "integer", "number", "object", "string"];
                let path = child(path, "type");
                self.errors.push(FieldError::not_supported(path, other, known));
                Type::Any
            }
        }
    }

    fn children(
        &mut self,
        map: &Map<String, Value>,
        path: &str,
        structural: bool,
        depth: usize,
        schema: &mut Schema,
    ) {
        if let Some(properties) = map.get("properties").and_then(Value::as_object) {
            let base = child(path, "properties");
            let mut fields = Vec::with_capacity(properties.len());
            for (name, json) in properties {
                // What a root says of the metadata is read as a restriction.
                if depth == 0 && name == "metadata" {
                    continue;
                }
                let node = self.node(json, &format!("{base}[{name}]"), structural, depth + 1);
                let default = json.get("default").cloned();
                fields.push(field(name, Link::Owned(Arc::new(node)), default));
            }
            fields.sort_by(|a, b| a.name.cmp(&b.name));
            schema.properties = fields.into();
        }
        match map.get("additionalProperties") {
            Some(Value::Bool(true)) => {
                let open = Schema { preserve_unknown: true, ..Schema::default() };
                schema.additional = Some(Link::Owned(Arc::new(open)));
            }
            Some(json @ Value::Object(_)) => {
                let path = child(path, "additionalProperties");
                let node = self.node(json, &path, structural, depth + 1);
                schema.additional = Some(Link::Owned(Arc::new(node)));
            }
            _ => {}
        }
        match map.get("items") {
            Some(Value::Array(_)) => {
                let detail = "items must be a schema object and not an array";
                self.errors.push(FieldError::forbidden(child(path, "items"), detail));
            }
            Some(json) => {
                let node = self.node(json, &child(path, "items"), structural, depth + 1);
                schema.items = Some(Link::Owned(Arc::new(node)));
            }
            None if structural && schema.kind == Type::Array => {
                let path = child(path, "items");
                self.errors.push(FieldError::required(path, "must be specified"));
            }
            None => {}
        }
    }

    fn list(&mut self, map: &Map<String, Value>, path: &str, schema: &mut Schema) {
        let keys = map.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
        let keys = keys.into_iter().flatten().filter_map(Value::as_str);
        schema.list_keys = keys.map(Arc::from).collect();
        let path_of = |name: &str| child(path, name);
        match map.get("x-kubernetes-list-type").and_then(Value::as_str) {
            None | Some("atomic") => {}
            Some("set") => schema.list = ListType::Set,
            Some("map") => {
                schema.list = ListType::Map;
                if schema.list_keys.is_empty() {
                    let detail = "must not be empty if x-kubernetes-list-type is map";
                    let path = path_of("x-kubernetes-list-map-keys");
                    self.errors.push(FieldError::required(path, detail));
                }
                let item = schema.items.as_ref().map(|items| items.get().clone());
                for key in &schema.list_keys {
                    let known = item.as_ref().is_some_and(|item| item.field(key).is_some());
                    if !known {
                        let detail = "entries must all be names of item properties";
                        let path = path_of("x-kubernetes-list-map-keys");
                        self.errors.push(FieldError::invalid(path, &**key, detail));
                    }
                }
            }
            Some(other) => {
                let path = path_of("x-kubernetes-list-type");
                let known = ["atomic", "map", "set"];
                self.errors.push(FieldError::not_supported(path, other, known));
            }
        }
        if schema.list != ListType::Map && !schema.list_keys.is_empty() {
            let detail = "must be empty if x-kubernetes-list-type is not map";
            let path = path_of("x-kubernetes-list-map-keys");
            self.errors.push(FieldError::invalid(path, "", detail));
            schema.list_keys = Box::default();
        }
    }

    fn rules(&mut self, map: &Map<String, Value>, path: &str, depth: usize) -> Option<Rules> {
        let count = |name: &str| map.get(name).and_then(Value::as_u64);
        let bound = |name: &str, exclusive: &str| {
            let at = map.get(name).and_then(Value::as_f64)?;
            let exclusive = map.get(exclusive) == Some(&Value::Bool(true));
            Some(Bound { at, exclusive })
        };
        let text = |name: &str| map.get(name).and_then(Value::as_str);
        let pattern = text("pattern").and_then(|source| match Regex::new(source) {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                let detail = format!("must be a valid regular expression, but isn't: {error}");
                let path = child(path, "pattern");
                self.errors.push(FieldError::invalid(path, source, detail));
                None
            }
        });
        let rules = Rules {
            format: text("format").and_then(Format::of),
            values: map.get("enum").and_then(Value::as_array).cloned().unwrap_or_default(),
            minimum: bound("minimum", "exclusiveMinimum"),
            maximum: bound("maximum", "exclusiveMaximum"),
            multiple_of: map.get("multipleOf").and_then(Value::as_f64),
            min_length: count("minLength"),
            max_length: count("maxLength"),
            pattern,
            min_items: count("minItems"),
            max_items: count("maxItems"),
            min_properties: count("minProperties"),
            max_properties: count("maxProperties"),
            all_of: self.parts(map, "allOf", path, depth),
            any_of: self.parts(map, "anyOf", path, depth),
            one_of: self.parts(map, "oneOf", path, depth),
            not: map.get("not").map(|json| Box::new(self.node(json, &child(path, "not"), false, depth + 1))),
            cel: self.cel(map, path),
        };
        let names = [
            "format",
            "enum",
            "minimum",
            "maximum",
            "multipleOf",
            "minLength",
            "maxLength",
            "pattern",
            "minItems",
            "maxItems",
            "minProperties",
            "maxProperties",
            "allOf",
            "anyOf",
            "oneOf",
            "not",
            "x-kubernetes-validations",
        ];
        names.iter().any(|name| map.contains_key(*name)).then_some(rules)
    }

    fn parts(&mut self, map: &Map<String, Value>, name: &str, path: &str, depth: usize) -> Vec<Schema> {
        let list = map.get(name).and_then(Value::as_array);
        let mut parts = Vec::new();
        for (i, json) in list.into_iter().flatten().enumerate() {
            let path = child(path, &format!("{name}[{i}]"));
            parts.push(self.node(json, &path, false, depth + 1));
        }
        parts
    }

    fn cel(&mut self, map: &Map<String, Value>, path: &str) -> Vec<CelRule> {
        let list = map.get("x-kubernetes-validations").and_then(Value::as_array);
        let mut rules = Vec::new();
        for (i, json) in list.into_iter().flatten().enumerate() {
            match CelRule::read(json) {
                Ok(rule) => rules.push(rule),
                Err(mut error) => {
                    let at = child(path, &format!("x-kubernetes-validations[{i}]"));
                    error.path = child(&at, &error.path);
                    self.errors.push(error);
                }
            }
        }
        rules
    }
}
