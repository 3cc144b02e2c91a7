//! What a custom resource definition may say in its `openAPIV3Schema`, beyond being structural.

mod rules;

use serde_json::{Map, Value};

use super::structural::{MAX_DEPTH, child, junctors, key, object, properties, truth, word};
use super::{crd, structural, validate, walk};
use crate::field::FieldError;

type Node = Map<String, Value>;

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];

/// All that is wrong with the schema at `path`.
pub(super) fn check(schema: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = structural::check(schema, path);
    let Some(root) = schema.as_object() else { return errors };
    if truth(root, "nullable") {
        errors.push(FieldError::forbidden(child(path, "nullable"), "nullable cannot be true at the root"));
    }
    let mut checker = Checker { errors: Vec::new(), rules: Vec::new(), costs: Vec::new() };
    if errors.is_empty() {
        let mut defaults = Vec::new();
        check_defaults(root, path, true, false, &mut defaults);
        errors.extend(defaults);
    }
    let place = Place { root: true, cardinality: Some(1), ..Place::default() };
    checker.node(root, path, &place, 0);
    // Rules can be judged only where the schema is sound.
    let sound = errors.is_empty() && checker.errors.is_empty();
    errors.extend(checker.errors);
    if sound {
        errors.extend(checker.rules);
        errors.extend(rules::total_cost(checker.costs, path));
    }
    errors
}

/// What is above a node.
#[derive(Clone, Default)]
struct Place {
    root: bool,
    /// Why no default may stand here.
    no_default: Option<String>,
    in_metadata: bool,
    /// Within an alternative.
    nested: bool,
    /// The first list or map above whose members can not be told apart between two revisions.
    uncorrelatable: Option<String>,
    /// How often the node can occur; none when nothing bounds it.
    cardinality: Option<u64>,
}

struct Checker {
    errors: Vec<FieldError>,
    rules: Vec<FieldError>,
    /// What each rule may cost.
    costs: Vec<(String, u64)>,
}

impl Checker {
    fn forbidden(&mut self, path: String, detail: impl Into<String>) {
        self.errors.push(FieldError::forbidden(path, detail));
    }

    fn node(&mut self, node: &Node, path: &str, place: &Place, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        self.unsupported(node, path, place);
        self.children(node, path, place, depth);
        let inside = Place { root: false, nested: true, ..place.clone() };
        for (_, _, path, member) in junctors(node, path) {
            self.node(member, &path, &inside, depth + 1);
        }
        if node.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)) {
            let at = child(path, "x-kubernetes-preserve-unknown-fields");
            self.errors.push(FieldError::invalid(at, false, "must be true or undefined"));
        }
        self.map_type(node, path);
        self.list_type(node, path);
        self.map_list(node, path);
        self.associative_items(node, path);
        self.validations(node, path, place);
    }

    fn unsupported(&mut self, node: &Node, path: &str, place: &Place) {
        let kind = word(node, "type");
        if !kind.is_empty() && !TYPES.contains(&kind) {
            self.errors.push(FieldError::not_supported(child(path, "type"), kind, TYPES));
        }
        let default = node.get("default").filter(|d| !d.is_null());
        if let Some(reason) = place.no_default.as_ref().filter(|_| default.is_some()) {
            self.forbidden(child(path, "default"), format!("must not be set {reason}"));
        }
        for name in ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"] {
            if node.contains_key(name) {
                self.forbidden(child(path, name), format!("{name} is not supported"));
            }
        }
        if kind == "null" {
            self.forbidden(child(path, "type"), "type cannot be set to null, use nullable as an alternative");
        }
        if node.get("items").is_some_and(Value::is_array) {
            self.forbidden(child(path, "items"), "items must be a schema object and not an array");
        }
        if place.in_metadata && truth(node, "x-kubernetes-embedded-resource") {
            let at = child(path, "x-kubernetes-embedded-resource");
            self.forbidden(at, "must not be used inside of resource meta");
        }
        if truth(node, "uniqueItems") {
            let detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
            self.forbidden(child(path, "uniqueItems"), detail);
        }
        let named = object(node, "properties").is_some_and(|p| !p.is_empty());
        match node.get("additionalProperties") {
            Some(Value::Bool(false)) if !named => {
                let detail = "additionalProperties cannot be set to false";
                self.forbidden(child(path, "additionalProperties"), detail);
            }
            Some(Value::Bool(false) | Value::Object(_)) if named => {
                let detail = "additionalProperties and properties are mutual exclusive";
                self.forbidden(child(path, "additionalProperties"), detail);
            }
            _ => {}
        }
    }

    fn children(&mut self, node: &Node, path: &str, place: &Place, depth: usize) {
        let below = Place { root: false, ..place.clone() };
        if let Some(values) = object(node, "additionalProperties") {
            let mut inside = below.clone();
            inside.cardinality = times(place.cardinality, node.get("maxProperties"));
            if place.in_metadata {
                let reason = "inside additionalProperties applying to object metadata";
                inside.no_default = Some(reason.into());
            }
            self.node(values, &child(path, "additionalProperties"), &inside, depth + 1);
        }
        let embedded = place.root || truth(node, "x-kubernetes-embedded-resource");
        for (name, property) in properties(node) {
            let mut inside = below.clone();
            if word(node, "x-kubernetes-map-type") == "atomic" {
                inside.uncorrelatable.get_or_insert_with(|| path.to_owned());
            }
            if embedded && !place.nested && matches!(name.as_str(), "apiVersion" | "kind" | "metadata") {
                inside.in_metadata = true;
                if place.root {
                    inside.no_default = Some(format!("in top-level {name}"));
                }
            }
            self.node(property, &key(path, "properties", name), &inside, depth + 1);
        }
        if let Some(items) = object(node, "items") {
            let mut inside = below;
            inside.cardinality = times(place.cardinality, node.get("maxItems"));
            if word(node, "x-kubernetes-list-type") != "map" {
                inside.uncorrelatable.get_or_insert_with(|| path.to_owned());
            }
            self.node(items, &child(path, "items"), &inside, depth + 1);
        }
    }

    /// The type that an extension demands.
    fn demand(&mut self, node: &Node, path: &str, wanted: &str, extension: &str) {
        let detail = format!("must be {wanted} if {extension} is specified");
        match word(node, "type") {
            kind if kind == wanted => {}
            "" => self.errors.push(FieldError::required(child(path, "type"), detail)),
            kind => self.errors.push(FieldError::invalid(child(path, "type"), kind, detail)),
        }
    }

    fn map_type(&mut self, node: &Node, path: &str) {
        const NAME: &str = "x-kubernetes-map-type";
        let Some(given) = node.get(NAME).and_then(Value::as_str) else { return };
        self.demand(node, path, "object", NAME);
        if !matches!(given, "atomic" | "granular") {
            let error = FieldError::not_supported(child(path, NAME), given, ["atomic", "granular"]);
            self.errors.push(error);
        }
    }

    fn list_type(&mut self, node: &Node, path: &str) {
        const NAME: &str = "x-kubernetes-list-type";
        let Some(given) = node.get(NAME).and_then(Value::as_str) else { return };
        self.demand(node, path, "array", NAME);
        if word(node, "type") == "array" && given == "set" {
            let detail = "must be atomic as item of a list with x-kubernetes-list-type=set";
            let at = child(path, "items");
            let items = object(node, "items");
            let list = items.map(|items| word(items, NAME)).unwrap_or_default();
            let map = items.map(|items| word(items, "x-kubernetes-map-type")).unwrap_or_default();
            match items.map(|items| word(items, "type")) {
                Some("array") if !matches!(list, "" | "atomic") => {
                    self.errors.push(FieldError::invalid(child(&at, NAME), list, detail));
                }
                Some("object") if map != "atomic" => {
                    let at = child(&at, "x-kubernetes-map-type");
                    self.errors.push(FieldError::invalid(at, Value::Null, detail));
                }
                _ => {}
            }
        }
        if !matches!(given, "atomic" | "set" | "map") {
            let error = FieldError::not_supported(child(path, NAME), given, ["atomic", "set", "map"]);
            self.errors.push(error);
        }
    }

    fn map_list(&mut self, node: &Node, path: &str) {
        const KEYS: &str = "x-kubernetes-list-map-keys";
        let keys = list_keys(node);
        let kind = node.get("x-kubernetes-list-type").and_then(Value::as_str);
        if !keys.is_empty() && kind != Some("map") {
            let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
            let at = child(path, "x-kubernetes-list-type");
            self.errors.push(match kind {
                None => FieldError::required(at, detail),
                Some(kind) => FieldError::invalid(at, kind, detail),
            });
        }
        if kind != Some("map") {
            return;
        }
        let at = child(path, KEYS);
        if keys.is_empty() {
            let detail = "must not be empty if x-kubernetes-list-type is map";
            self.errors.push(FieldError::required(at.clone(), detail));
        }
        let Some(items) = object(node, "items") else {
            let detail = "must have a schema if x-kubernetes-list-type is map";
            self.errors.push(FieldError::required(child(path, "items"), detail));
            return;
        };
        if word(items, "type") != "object" {
            let detail = "must be object if parent array's x-kubernetes-list-type is map";
            let at = child(&child(path, "items"), "type");
            self.errors.push(FieldError::invalid(at, word(items, "type"), detail));
            return;
        }
        for (i, name) in keys.iter().enumerate() {
            let shown = node[KEYS].clone();
            match object(items, "properties").and_then(|p| object(p, name)) {
                None => {
                    let detail = "entries must all be names of item properties";
                    self.errors.push(FieldError::invalid(at.clone(), shown.clone(), detail));
                }
                Some(field) if matches!(word(field, "type"), "array" | "object") => {
                    let detail = "must be a scalar type if parent array's x-kubernetes-list-type is map";
                    let at = child(&key(&child(path, "items"), "properties", name), "type");
                    self.errors.push(FieldError::invalid(at, word(items, "type"), detail));
                }
                Some(_) => {}
            }
            if keys[..i].contains(name) {
                self.errors.push(FieldError::invalid(
                    at.clone(),
                    shown,
                    "must not contain duplicate entries",
                ));
            }
        }
    }

    /// Items of sets and map lists, and the keys of the latter, are always there.
    fn associative_items(&mut self, node: &Node, path: &str) {
        let kind = word(node, "x-kubernetes-list-type");
        let Some(items) = object(node, "items").filter(|_| matches!(kind, "set" | "map")) else { return };
        let at = child(path, "items");
        if truth(items, "nullable") {
            let detail = format!("cannot be nullable when x-kubernetes-list-type is {kind}");
            self.forbidden(child(&at, "nullable"), detail);
        }
        if kind != "map" {
            return;
        }
        let required = items.get("required").and_then(Value::as_array);
        for name in list_keys(node) {
            let Some(field) = object(items, "properties").and_then(|p| object(p, name)) else { continue };
            let at = key(&at, "properties", name);
            let given = required.is_some_and(|r| r.iter().any(|r| r == name));
            if !given && field.get("default").is_none_or(Value::is_null) {
                let detail = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
                self.errors.push(FieldError::required(child(&at, "default"), detail));
            }
            if truth(field, "nullable") {
                let detail = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
                self.forbidden(child(&at, "nullable"), detail);
            }
        }
    }
}

/// How often something inside a list or map can occur.
fn times(outside: Option<u64>, most: Option<&Value>) -> Option<u64> {
    Some(outside?.saturating_mul(most?.as_u64()?))
}

fn list_keys(node: &Node) -> Vec<&str> {
    let keys = node.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
    keys.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The node that a path like `.spec.a['b.c']` leads to.
pub(super) fn find_field<'a>(node: &'a Node, path: &str, brackets: bool) -> Result<&'a Node, String> {
    let mut at = node;
    let mut rest = path.trim();
    if !(rest.starts_with('.') || brackets && rest.starts_with('[')) {
        return Err("does not start with .".into());
    }
    while !rest.is_empty() {
        let name;
        if let Some(tail) = rest.strip_prefix('.') {
            let end = tail.find(['.', '[']).unwrap_or(tail.len());
            (name, rest) = tail.split_at(end);
        } else if let Some(tail) = rest.strip_prefix("['").filter(|_| brackets) {
            let end = tail.find("']").ok_or("unterminated bracket")?;
            (name, rest) = (&tail[..end], &tail[end + 2..]);
        } else {
            return Err(format!("unexpected {rest:?}"));
        }
        let property = object(at, "properties").and_then(|p| object(p, name));
        let value = object(at, "additionalProperties");
        at = property.or(value).ok_or("does not refer to a valid field")?;
    }
    Ok(at)
}

/// See [`super::check_selectable`].
pub(super) fn check_selectable(schema: &Value, path: &str) -> Result<(), String> {
    let Some(root) = schema.as_object() else { return Ok(()) };
    let invalid = |why: String| format!("is an invalid path: {why}");
    let first = path.trim_start_matches('.').split('.').next();
    if first == Some("metadata") {
        return Err("must not point to fields in metadata".into());
    }
    let field = find_field(root, path, false).map_err(invalid)?;
    match word(field, "type") {
        "string" | "boolean" | "integer" => Ok(()),
        _ => Err("must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.".into()),
    }
}

/// Each default is itself a valid value, and has no fields that the schema would drop.
fn check_defaults(node: &Node, path: &str, root: bool, in_metadata: bool, errors: &mut Vec<FieldError>) {
    let embedded = root || truth(node, "x-kubernetes-embedded-resource");
    let in_metadata = in_metadata && !embedded;
    if let Some(default) = node.get("default").filter(|d| !d.is_null()) {
        let at = child(path, "default");
        let schema = crd::node(&Value::Object(node.clone()));
        let mut pruned = default.clone();
        let unknown = walk::prune(&schema, &mut pruned);
        if !in_metadata && (!unknown.is_empty() || pruned != *default) {
            let detail = "must not have unknown fields";
            errors.push(FieldError::invalid(at.clone(), default.clone(), detail));
        }
        errors.extend(validate::validate_at(&schema, default, &at));
    }
    if let Some(items) = object(node, "items") {
        check_defaults(items, &child(path, "items"), false, in_metadata, errors);
    }
    for (name, property) in properties(node) {
        let meta = in_metadata || (embedded && matches!(name.as_str(), "apiVersion" | "kind" | "metadata"));
        check_defaults(property, &key(path, "properties", name), false, meta, errors);
    }
}
