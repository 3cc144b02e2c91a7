//! The schemas of a document.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{Served, Version, custom};
use crate::schema::builtin::{Fact, Facts, facts, generator};
use crate::schema::kinds::{KINDS, Kind};
use crate::schema::{ListType, MapType};

pub(super) const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";
pub(super) const PATCH: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";
pub(super) const STATUS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";
pub(super) const DELETE_OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";

/// Group, version, kind.
type Gvk = (String, String, String);

/// The name of a kind's definition; `None` when there is none (`PodExecOptions`).
pub(super) fn name_of(group: &str, version: &str, kind: &str) -> Option<&'static str> {
    find(group, version, kind).map(|k| k.definition)
}

fn find(group: &str, version: &str, kind: &str) -> Option<&'static Kind> {
    let wanted = (group, version, kind);
    let at = KINDS.binary_search_by(|k| (k.group, k.version, k.kind).cmp(&wanted));
    at.ok().map(|i| &KINDS[i])
}

/// The definition of a served resource: `io.k8s.api.core.v1.Pod`, `com.example.v1.Foo`.
pub(super) fn name(resource: &Served) -> String {
    let (group, version, kind) = (&resource.group, &resource.version, &resource.kind);
    match name_of(group, version, kind) {
        Some(name) if resource.custom.is_none() => name.to_string(),
        _ => {
            let reversed: Vec<&str> = group.rsplit('.').collect();
            format!("{}.{version}.{kind}", reversed.join("."))
        }
    }
}

/// What the definitions of a document are made from.
pub(super) struct Definitions {
    /// k8s-openapi's descriptions, by definition.
    described: Map<String, Value>,
    kinds: BTreeMap<String, Vec<Gvk>>,
    /// List definitions: name, and item's name and kind.
    lists: Vec<(String, String, Gvk)>,
    customs: Vec<(String, Value)>,
}

impl Definitions {
    pub(super) fn of(served: &[&Served]) -> Self {
        let mut generator = generator();
        let mut all =
            Self { described: Map::new(), kinds: BTreeMap::new(), lists: Vec::new(), customs: Vec::new() };
        let mut versions = BTreeSet::from([(String::new(), "v1".to_string())]);
        generator.subschema_for::<k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta>();
        generator.subschema_for::<k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta>();
        let mut describe = |group: &str, version: &str, kind: &str| {
            if let Some(kind) = find(group, version, kind) {
                (kind.describe)(&mut generator);
                let gvk = (kind.group.into(), kind.version.into(), kind.kind.into());
                let list: &mut Vec<Gvk> = all.kinds.entry(kind.definition.into()).or_default();
                if !list.contains(&gvk) {
                    list.push(gvk);
                }
            }
        };
        describe("", "v1", "Status");
        describe("", "v1", "DeleteOptions");
        for resource in served {
            versions.insert((resource.group.clone(), resource.version.clone()));
            if resource.custom.is_none() {
                describe(&resource.group, &resource.version, &resource.kind);
            }
            for sub in &resource.subresources {
                describe(&sub.group, &sub.version, &sub.kind);
            }
        }
        for resource in served {
            all.add_custom_and_list(resource);
        }
        let everywhere = versions.into_iter().map(|(g, v)| (g, v, "DeleteOptions".into()));
        all.kinds.insert(DELETE_OPTIONS.into(), everywhere.collect());
        all.described = generator.take_definitions(false);
        all
    }

    fn add_custom_and_list(&mut self, resource: &Served) {
        let name = name(resource);
        let gvk = |kind: String| (resource.group.clone(), resource.version.clone(), kind);
        if let Some(schema) = &resource.custom {
            let kinds = vec![gvk(resource.kind.clone())];
            self.kinds.insert(name.clone(), kinds);
            self.customs.push((name.clone(), schema.clone()));
        }
        if resource.allows("list") {
            let list = format!("{name}List");
            let kind = gvk(format!("{}List", resource.kind));
            self.lists.push((list, name, kind));
        }
    }

    /// Calls `visit` with every definition, by name.
    pub(super) fn each(self, version: Version, visit: &mut dyn FnMut(&str, &Value)) {
        let kinds = self.kinds;
        let mut made: BTreeMap<String, Value> = BTreeMap::new();
        for (name, item, kind) in self.lists {
            made.insert(name, list(version, &item, kind));
        }
        for (name, schema) in self.customs {
            let mut schema = custom::definition(version, &schema);
            add_kinds(&mut schema, &kinds[&name]);
            made.insert(name, schema);
        }
        made.insert(PATCH.into(), patch());
        // Both are sorted: they are merged, and each description is dropped once it is written.
        let mut made = made.into_iter().peekable();
        for (name, described) in sorted(self.described) {
            while let Some((first, schema)) = made.next_if(|(other, _)| *other < name) {
                visit(&first, &schema);
            }
            let mut schema = definition(version, &name, described);
            if let Some(kinds) = kinds.get(&name) {
                add_kinds(&mut schema, kinds);
            }
            visit(&name, &schema);
        }
        for (name, schema) in made {
            visit(&name, &schema);
        }
    }
}

fn sorted(map: Map<String, Value>) -> Vec<(String, Value)> {
    let mut list: Vec<(String, Value)> = map.into_iter().collect();
    list.sort_by(|a, b| a.0.cmp(&b.0));
    list
}

fn patch() -> Value {
    json!({
        "type": "object",
        "description": "Patch is provided to give a concrete name and type to the Kubernetes PATCH request body.",
    })
}

fn add_kinds(schema: &mut Value, kinds: &[Gvk]) {
    let list = kinds
        .iter()
        .map(|(group, version, kind)| json!({ "group": group, "version": version, "kind": kind }));
    schema["x-kubernetes-group-version-kind"] = Value::Array(list.collect());
}

fn list(version: Version, item: &str, kind: Gvk) -> Value {
    let of = kind.2.strip_suffix("List").unwrap_or(&kind.2);
    let mut schema = json!({
        "type": "object",
        "description": format!("A list of {of} objects."),
        "required": ["items"],
        "properties": {
            "apiVersion": { "type": "string", "description": "Version of the list's schema." },
            "kind": { "type": "string", "description": "Kind of the list." },
            "metadata": reference(version, LIST_META, "Standard list metadata."),
            "items": {
                "type": "array",
                "description": format!("The {of} objects."),
                "items": { "$ref": version.reference(item) },
            },
        },
    });
    add_kinds(&mut schema, &[kind]);
    schema
}

/// A property that is a reference.
pub(super) fn reference(version: Version, name: &str, description: &str) -> Value {
    let mut property = match version {
        Version::V2 => json!({ "$ref": version.reference(name) }),
        Version::V3 => json!({ "allOf": [{ "$ref": version.reference(name) }], "default": {} }),
    };
    property["description"] = description.into();
    property
}

/// A definition in Kubernetes' form, from k8s-openapi's.
fn definition(version: Version, name: &str, described: Value) -> Value {
    let facts = facts(name);
    let mut schema = convert(version, described, &facts);
    special(version, name, &mut schema);
    if facts.atomic {
        schema["x-kubernetes-map-type"] = "atomic".into();
    }
    schema
}

/// Definitions that Kubernetes describes otherwise than k8s-openapi.
fn special(version: Version, name: &str, schema: &mut Value) {
    let Some(map) = schema.as_object_mut() else {
        return;
    };
    let forms = |map: &mut Map<String, Value>, types: [&str; 2], format: Option<&str>| {
        map.remove("x-kubernetes-int-or-string");
        if let Some(format) = format {
            map.insert("format".into(), format.into());
        }
        match version {
            Version::V2 => map.insert("type".into(), "string".into()),
            Version::V3 => {
                let types = types.map(|t| json!({ "type": t }));
                map.insert("oneOf".into(), Value::Array(types.into()))
            }
        };
    };
    match name.rsplit('.').next().unwrap_or_default() {
        "Quantity" => forms(map, ["string", "number"], None),
        "IntOrString" => forms(map, ["integer", "string"], Some("int-or-string")),
        "JSON" | "JSONSchemaPropsOrArray" | "JSONSchemaPropsOrBool" | "JSONSchemaPropsOrStringArray" => {
            map.retain(|key, _| key == "description");
        }
        _ => {}
    }
}

fn convert(version: Version, described: Value, facts: &Facts) -> Value {
    let Value::Object(described) = described else {
        return described;
    };
    let mut schema = Map::new();
    for (key, value) in described {
        let value = match (key.as_str(), value) {
            ("properties", Value::Object(properties)) => {
                let converted = properties.into_iter().map(|(name, property)| {
                    let fact = facts.fields.get(name.as_str());
                    let property = property_of(version, property, fact);
                    (name, property)
                });
                Value::Object(converted.collect())
            }
            ("items" | "additionalProperties", value) => property_of(version, value, None),
            ("required", Value::Array(mut names)) => {
                // Kubernetes requires neither metadata nor what it does not write when empty.
                names.retain(|name| name != "metadata" && !is_optional(facts, name));
                if names.is_empty() {
                    continue;
                }
                Value::Array(names)
            }
            (_, value) => value,
        };
        schema.insert(key, value);
    }
    Value::Object(schema)
}

fn is_optional(facts: &Facts, name: &Value) -> bool {
    let fact = name.as_str().and_then(|name| facts.fields.get(name));
    fact.is_some_and(|fact| fact.drop_empty == Some(true))
}

fn property_of(version: Version, described: Value, fact: Option<&Fact>) -> Value {
    let mut property = convert(version, described, &Facts::default());
    let Some(map) = property.as_object_mut() else {
        return property;
    };
    let is_list = map.get("type").is_some_and(|t| t == "array");
    if let Some(Value::String(reference)) = map.remove("$ref") {
        let name = reference.rsplit('/').next().unwrap_or(&reference);
        let reference = json!({ "$ref": version.reference(name) });
        match (version, map.is_empty()) {
            (Version::V3, false) => {
                map.insert("allOf".into(), json!([reference]));
            }
            _ => {
                map.insert("$ref".into(), reference["$ref"].clone());
            }
        }
    }
    if is_list {
        let list = fact.and_then(|f| f.list).unwrap_or_default();
        let word = match list {
            ListType::Atomic => "atomic",
            ListType::Set => "set",
            ListType::Map => "map",
        };
        map.insert("x-kubernetes-list-type".into(), word.into());
    }
    if let Some(fact) = fact {
        add_fact(version, map, fact);
    }
    property
}

fn add_fact(version: Version, map: &mut Map<String, Value>, fact: &Fact) {
    if !fact.list_keys.is_empty() {
        let keys = fact.list_keys.iter().map(|key| Value::from(*key));
        map.insert("x-kubernetes-list-map-keys".into(), keys.collect());
    }
    if let Some(map_type) = fact.map {
        let word = match map_type {
            MapType::Atomic => "atomic",
            MapType::Granular => "granular",
        };
        map.insert("x-kubernetes-map-type".into(), word.into());
    }
    if !fact.strategy.is_empty() {
        let strategy = fact.strategy.as_str();
        map.insert("x-kubernetes-patch-strategy".into(), strategy.into());
    }
    if let Some(key) = fact.merge_key {
        map.insert("x-kubernetes-patch-merge-key".into(), key.into());
    }
    if let (Version::V3, Some(text)) = (version, fact.default) {
        let default = match (text, map.get("type").and_then(Value::as_str)) {
            ("", Some("string")) => Value::from(""),
            ("", Some("integer" | "number")) => Value::from(0),
            ("", Some("boolean")) => Value::from(false),
            ("", _) => Value::Object(Map::new()),
            (text, _) => serde_json::from_str(text).unwrap_or_default(),
        };
        map.insert("default".into(), default);
    }
}
