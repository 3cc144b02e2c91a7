//! Whether an `openAPIV3Schema` is structural: what must hold outside of alternatives, and that
//! alternatives only restrict what stands there (Kubernetes' documentation, "Specifying a structural
//! schema").

use regex::Regex;
use serde_json::{Map, Value, json};

use crate::field::FieldError;

type Node = Map<String, Value>;

/// Where a node is: decides how the refusal of a missing type reads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

/// The refusals, sorted; `path` is that of the schema.
pub(super) fn check(schema: &Value, path: &str) -> Vec<FieldError> {
    let mut checker = Checker { errors: Vec::new() };
    let Some(root) = schema.as_object() else {
        return vec![FieldError::invalid(path, schema.clone(), "must be a schema")];
    };
    checker.invariants(root, Level::Root, path, 0);
    checker.complete_junctors(root, Some(root), path, path, 0);
    checker.errors.sort_by_cached_key(ToString::to_string);
    checker.errors
}

/// Schemas nested deeper than this are refused.
pub(super) const MAX_DEPTH: usize = 100;

pub(super) fn child(path: &str, name: &str) -> String {
    match path.is_empty() {
        true => name.to_string(),
        false => format!("{path}.{name}"),
    }
}

pub(super) fn key(path: &str, list: &str, name: &str) -> String {
    format!("{}[{name}]", child(path, list))
}

pub(super) fn truth(node: &Node, name: &str) -> bool {
    node.get(name) == Some(&Value::Bool(true))
}

pub(super) fn word<'a>(node: &'a Node, name: &str) -> &'a str {
    node.get(name).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn object<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    node.get(name).and_then(Value::as_object)
}

/// The properties of a node, by name.
pub(super) fn properties(node: &Node) -> impl Iterator<Item = (&String, &Node)> {
    let map = object(node, "properties").into_iter().flatten();
    map.filter_map(|(name, value)| value.as_object().map(|value| (name, value)))
}

/// The alternatives of a node: word, and path of each.
pub(super) fn junctors<'a>(node: &'a Node, path: &str) -> Vec<(&'static str, usize, String, &'a Node)> {
    let mut all = Vec::new();
    if let Some(not) = object(node, "not") {
        all.push(("not", 0, child(path, "not"), not));
    }
    for list in ["allOf", "anyOf", "oneOf"] {
        let members = node.get(list).and_then(Value::as_array).into_iter().flatten();
        for (i, member) in members.enumerate() {
            if let Some(member) = member.as_object() {
                all.push((list, i, format!("{}[{i}]", child(path, list)), member));
            }
        }
    }
    all
}

fn int_or_string(list: Option<&Value>) -> bool {
    list == Some(&json!([{"type": "integer"}, {"type": "string"}]))
}

struct Checker {
    errors: Vec<FieldError>,
}

impl Checker {
    fn required(&mut self, path: String, detail: &str) {
        self.errors.push(FieldError::required(path, detail));
    }

    fn forbidden(&mut self, path: String, detail: &str) {
        self.errors.push(FieldError::forbidden(path, detail));
    }

    fn invariants(&mut self, node: &Node, level: Level, path: &str, depth: usize) {
        if depth > MAX_DEPTH {
            self.errors.push(FieldError::invalid(path, "", "schema is nested too deep"));
            return;
        }
        let items = object(node, "items");
        if word(node, "type") == "array" && items.is_none() {
            self.required(child(path, "items"), "must be specified");
        }
        if let Some(items) = items {
            self.invariants(items, Level::Item, &child(path, "items"), depth + 1);
        }
        for (name, property) in properties(node) {
            self.invariants(property, Level::Field, &key(path, "properties", name), depth + 1);
        }
        if let Some(values) = node.get("additionalProperties").filter(|v| **v != Value::Bool(false)) {
            let at = child(path, "additionalProperties");
            if level == Level::Root {
                self.forbidden(at.clone(), "must not be used at the root");
            }
            if truth(node, "x-kubernetes-embedded-resource") {
                self.forbidden(at.clone(), "must not be used if x-kubernetes-embedded-resource is set");
            }
            if let Some(values) = values.as_object() {
                self.invariants(values, Level::Field, &at, depth + 1);
            }
        }
        self.extensions(node, path);
        self.alternatives(node, path, depth);
        self.kind(node, level, path);
        self.metadata(node, level, path);
    }

    fn extensions(&mut self, node: &Node, path: &str) {
        if truth(node, "x-kubernetes-int-or-string") {
            for name in ["x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"] {
                if truth(node, name) {
                    let detail = "must be false if x-kubernetes-int-or-string is true";
                    self.errors.push(FieldError::invalid(child(path, name), true, detail));
                }
            }
        }
        let open = truth(node, "x-kubernetes-preserve-unknown-fields");
        let known = object(node, "properties").is_some_and(|p| !p.is_empty());
        if truth(node, "x-kubernetes-embedded-resource") && !open && !known {
            self.required(
                child(path, "properties"),
                "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields",
            );
        }
    }

    fn kind(&mut self, node: &Node, level: Level, path: &str) {
        let kind = word(node, "type");
        let at = || child(path, "type");
        let open =
            truth(node, "x-kubernetes-int-or-string") || truth(node, "x-kubernetes-preserve-unknown-fields");
        if truth(node, "x-kubernetes-embedded-resource") && kind != "object" {
            let detail = "must be object if x-kubernetes-embedded-resource is true";
            match kind {
                "" => self.required(at(), detail),
                kind => self.errors.push(FieldError::invalid(at(), kind, detail)),
            }
        } else if kind.is_empty() && !open {
            let detail = match level {
                Level::Root => "must not be empty at the root",
                Level::Item => "must not be empty for specified array items",
                Level::Field => "must not be empty for specified object fields",
            };
            self.required(at(), detail);
        }
        if level == Level::Root && !kind.is_empty() && kind != "object" {
            self.errors.push(FieldError::invalid(at(), kind, "must be object at the root"));
        }
    }

    /// What a schema may say of the fields that every object has.
    fn metadata(&mut self, node: &Node, level: Level, path: &str) {
        if level != Level::Root && !truth(node, "x-kubernetes-embedded-resource") {
            return;
        }
        for (name, wanted) in [("kind", "string"), ("apiVersion", "string"), ("metadata", "object")] {
            let Some(field) = object(node, "properties").and_then(|p| object(p, name)) else { continue };
            let kind = word(field, "type");
            if kind != wanted {
                let at = child(&key(path, "properties", name), "type");
                self.errors.push(FieldError::invalid(at, kind, format!("must be {wanted}")));
            }
        }
        let metadata = object(node, "properties").and_then(|p| object(p, "metadata"));
        let Some(metadata) = metadata.filter(|_| level == Level::Root) else { return };
        let named = |name: &String| matches!(name.as_str(), "name" | "generateName");
        let only_names = object(metadata, "properties").is_none_or(|p| p.is_empty() || p.keys().all(named));
        let plain = |name: &String| matches!(name.as_str(), "type" | "properties" | "default");
        if !only_names || !metadata.keys().all(plain) {
            self.forbidden(
                key(path, "properties", "metadata"),
                "must not specify anything other than name and generateName, but metadata is implicitly specified",
            );
        }
    }

    fn alternatives(&mut self, node: &Node, path: &str, depth: usize) {
        let first = node.get("allOf").and_then(Value::as_array).and_then(|list| list.first());
        let first_is_either = first.is_some_and(|first| int_or_string(first.get("anyOf")));
        for (list, i, at, member) in junctors(node, path) {
            match (list, i) {
                ("anyOf", _) if int_or_string(node.get("anyOf")) => {}
                ("allOf", 0) if first_is_either => {
                    let mut rest = member.clone();
                    rest.remove("anyOf");
                    self.nested(&rest, &at, depth + 1);
                }
                _ => self.nested(member, &at, depth + 1),
            }
        }
        if let Some(source) = node.get("pattern").and_then(Value::as_str)
            && let Err(error) = Regex::new(source)
        {
            let detail = format!("must be a valid regular expression, but isn't: {error}");
            self.errors.push(FieldError::invalid(child(path, "pattern"), source, detail));
        }
    }

    /// A node of an alternative, which only restricts.
    fn nested(&mut self, node: &Node, path: &str, depth: usize) {
        if depth > MAX_DEPTH {
            self.errors.push(FieldError::invalid(path, "", "schema is nested too deep"));
            return;
        }
        self.alternatives(node, path, depth);
        if let Some(items) = object(node, "items") {
            self.nested(items, &child(path, "items"), depth + 1);
        }
        for (name, property) in properties(node) {
            self.nested(property, &key(path, "properties", name), depth + 1);
        }
        let rules: [(&str, &str, bool); 11] = [
            ("type", "must be empty", !word(node, "type").is_empty()),
            ("additionalProperties", "must be undefined", node.contains_key("additionalProperties")),
            ("default", "must be undefined", node.get("default").is_some_and(|d| !d.is_null())),
            ("title", "must be empty", !word(node, "title").is_empty()),
            ("description", "must be empty", !word(node, "description").is_empty()),
            ("nullable", "must be false", truth(node, "nullable")),
            (
                "x-kubernetes-preserve-unknown-fields",
                "must be false",
                truth(node, "x-kubernetes-preserve-unknown-fields"),
            ),
            (
                "x-kubernetes-embedded-resource",
                "must be false",
                truth(node, "x-kubernetes-embedded-resource"),
            ),
            ("x-kubernetes-int-or-string", "must be false", truth(node, "x-kubernetes-int-or-string")),
            ("x-kubernetes-list-type", "must be undefined", node.contains_key("x-kubernetes-list-type")),
            ("x-kubernetes-map-type", "must be undefined", node.contains_key("x-kubernetes-map-type")),
        ];
        for (name, detail, broken) in rules {
            if broken {
                self.forbidden(child(path, name), &format!("{detail} to be structural"));
            }
        }
        for name in ["x-kubernetes-list-map-keys", "x-kubernetes-validations"] {
            if node.get(name).and_then(Value::as_array).is_some_and(|list| !list.is_empty()) {
                self.forbidden(child(path, name), "must be empty to be structural");
            }
        }
        if object(node, "properties").is_some_and(|p| p.contains_key("metadata")) {
            self.forbidden(key(path, "properties", "metadata"), "must not be specified in a nested context");
        }
    }

    /// Whatever an alternative names is named outside of it, too.
    fn complete_junctors(&mut self, node: &Node, outside: Option<&Node>, at: &str, path: &str, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        for (_, _, path, member) in junctors(node, path) {
            self.complete(member, outside, at, &path, depth + 1);
        }
    }

    fn complete(&mut self, node: &Node, outside: Option<&Node>, at: &str, path: &str, depth: usize) {
        let Some(outside) = outside else {
            self.required(at.to_owned(), &format!("because it is defined in {path}"));
            return;
        };
        self.complete_junctors(node, Some(outside), at, path, depth);
        if let Some(items) = object(node, "items") {
            self.complete(
                items,
                object(outside, "items"),
                &child(at, "items"),
                &child(path, "items"),
                depth + 1,
            );
        }
        for (name, property) in properties(node) {
            let known = object(outside, "properties").and_then(|p| object(p, name));
            let (at, path) = (key(at, "properties", name), key(path, "properties", name));
            self.complete(property, known, &at, &path, depth + 1);
        }
    }
}
