//! The operations of the served resources.

use serde_json::{Map, Value, json};

use super::definitions::{self, DELETE_OPTIONS, PATCH, STATUS};
use super::{Served, Version};

const PATCH_TYPES: [&str; 3] =
    ["application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json"];
const STRATEGIC: &str = "application/strategic-merge-patch+json";

/// A query parameter: name, type, what it is for.
type Parameter = (&'static str, &'static str, &'static str);

const DRY_RUN: Parameter = ("dryRun", "string", "All: the request is processed and nothing is stored.");
const FIELD_MANAGER: Parameter =
    ("fieldManager", "string", "The name that owns the fields this request sets; required for apply.");
const FIELD_VALIDATION: Parameter = (
    "fieldValidation",
    "string",
    "What unknown and duplicate fields lead to: Ignore, Warn (the default) or Strict.",
);
const FORCE: Parameter = ("force", "boolean", "Apply only: take over fields that other managers own.");
const LIST: &[Parameter] = &[
    ("allowWatchBookmarks", "boolean", "Send bookmark events on a watch."),
    ("continue", "string", "The token of the next page."),
    ("fieldSelector", "string", "Restrict the answer by fields."),
    ("labelSelector", "string", "Restrict the answer by labels."),
    ("limit", "integer", "The most objects to answer at once."),
    ("resourceVersion", "string", "The version to read at or watch from."),
    ("resourceVersionMatch", "string", "How resourceVersion is meant on a list."),
    ("sendInitialEvents", "boolean", "Begin a watch with the objects that exist."),
    ("timeoutSeconds", "integer", "How long the call may take."),
    ("watch", "boolean", "Stream changes instead of answering a list."),
];
const DELETE: &[Parameter] = &[
    DRY_RUN,
    ("gracePeriodSeconds", "integer", "Seconds before the object is deleted."),
    ("orphanDependents", "boolean", "Deprecated: see propagationPolicy."),
    ("propagationPolicy", "string", "Orphan, Background or Foreground."),
];

/// What is done with one path.
struct Target<'a> {
    version: Version,
    resource: &'a Served,
    /// The kind of the bodies, with its definition if it has one.
    gvk: (&'a str, &'a str, &'a str),
    body: Option<String>,
    /// `Status` of `/status`, part of the operation's id.
    suffix: String,
}

/// Calls `visit` with every path, by resource.
pub(super) fn each(served: &[&Served], version: Version, visit: &mut dyn FnMut(&str, &Value)) {
    for resource in served {
        let base = format!("/{}", resource.document());
        let plural = &resource.plural;
        let scoped = match resource.namespaced {
            true => format!("{base}/namespaces/{{namespace}}/{plural}"),
            false => format!("{base}/{plural}"),
        };
        let own = Target {
            version,
            resource,
            gvk: (&resource.group, &resource.version, &resource.kind),
            body: Some(definitions::name(resource)),
            suffix: String::new(),
        };
        if resource.namespaced && resource.allows("list") {
            let all = format!("{base}/{plural}");
            visit(&all, &own.collection(&["list"], "ForAllNamespaces", false));
        }
        let verbs = ["list", "create", "deletecollection"];
        visit(&scoped, &own.collection(&verbs, "", resource.namespaced));
        let verbs = ["get", "update", "patch", "delete"];
        if verbs.iter().any(|verb| resource.allows(verb)) {
            visit(&format!("{scoped}/{{name}}"), &own.item(&resource.verbs));
        }
        for sub in &resource.subresources {
            let target = Target {
                version,
                resource,
                gvk: (&sub.group, &sub.version, &sub.kind),
                body: match sub.kind == resource.kind {
                    true => Some(definitions::name(resource)),
                    false => definitions::name_of(&sub.group, &sub.version, &sub.kind).map(str::to_string),
                },
                suffix: camel(&sub.name),
            };
            visit(&format!("{scoped}/{{name}}/{}", sub.name), &target.item(&sub.verbs));
        }
    }
}

fn camel(word: &str) -> String {
    let parts = word.split(['.', '-']).map(|part| {
        let mut letters = part.chars();
        let first = letters.next().map(|c| c.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    });
    parts.collect()
}

impl Target<'_> {
    fn collection(&self, verbs: &[&str], suffix: &str, namespaced: bool) -> Value {
        let mut item = Map::new();
        for verb in verbs.iter().filter(|verb| self.resource.allows(verb)) {
            let method = match *verb {
                "list" => "get",
                "create" => "post",
                _ => "delete",
            };
            item.insert(method.into(), self.operation(verb, suffix));
        }
        let path = if namespaced { &["namespace"][..] } else { &[] };
        item.insert("parameters".into(), self.path_parameters(path));
        Value::Object(item)
    }

    fn item(&self, verbs: &[String]) -> Value {
        let mut item = Map::new();
        for verb in verbs {
            let method = match verb.as_str() {
                "get" => "get",
                "update" => "put",
                "patch" => "patch",
                "delete" => "delete",
                "create" if !self.suffix.is_empty() => "post",
                _ => continue,
            };
            item.insert(method.into(), self.operation(verb, ""));
        }
        let path = match self.resource.namespaced {
            true => &["name", "namespace"][..],
            false => &["name"],
        };
        item.insert("parameters".into(), self.path_parameters(path));
        Value::Object(item)
    }

    fn operation(&self, verb: &str, suffix: &str) -> Value {
        let resource = self.resource;
        let group = match resource.group.as_str() {
            "" => "core".to_string(),
            group => group.strip_suffix(".k8s.io").unwrap_or(group).to_string(),
        };
        let (word, action) = match verb {
            "get" => ("read", "get"),
            "update" => ("replace", "put"),
            "create" => ("create", "post"),
            "deletecollection" => ("deleteCollection", "deletecollection"),
            verb => (verb, verb),
        };
        let scope = match resource.namespaced && suffix.is_empty() {
            true => "Namespaced",
            false => "",
        };
        let version = camel(&resource.version);
        let kind = &resource.kind;
        let id = format!("{word}{}{version}{scope}{kind}{}{suffix}", camel(&group), self.suffix);
        let mut operation = json!({
            "operationId": id,
            "description": format!("{word} {kind} {}", self.suffix).trim_end(),
            "tags": [format!("{group}_{}", resource.version)],
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": {
                "group": self.gvk.0, "version": self.gvk.1, "kind": self.gvk.2,
            },
        });
        self.add_parameters(verb, &mut operation);
        self.add_responses(verb, &mut operation);
        operation
    }

    fn path_parameters(&self, names: &[&str]) -> Value {
        let list = names.iter().map(|name| {
            let about = match *name {
                "name" => format!("Name of the {}.", self.resource.kind),
                _ => "Namespace of the object.".to_string(),
            };
            let mut parameter = json!({
                "name": name, "in": "path", "required": true, "description": about,
            });
            self.set_type(&mut parameter, "string");
            parameter
        });
        Value::Array(list.collect())
    }

    fn set_type(&self, parameter: &mut Value, kind: &str) {
        let kind = json!({ "type": kind, "uniqueItems": true });
        match (self.version, kind) {
            (Version::V3, kind) => parameter["schema"] = kind,
            (Version::V2, Value::Object(kind)) => {
                for (key, value) in kind {
                    parameter[key] = value;
                }
            }
            _ => {}
        }
    }

    fn add_parameters(&self, verb: &str, operation: &mut Value) {
        let own: &[Parameter] = match verb {
            "create" | "update" => &[DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION],
            "patch" => &[DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION, FORCE],
            "list" => LIST,
            "delete" | "deletecollection" => DELETE,
            _ => &[],
        };
        let also = if verb == "deletecollection" { LIST } else { &[] };
        let mut parameters = Vec::new();
        for (name, kind, about) in own.iter().chain(also) {
            let mut parameter = json!({ "name": name, "in": "query", "description": about });
            self.set_type(&mut parameter, kind);
            parameters.push(parameter);
        }
        let body = match verb {
            "create" | "update" => self.body.as_deref(),
            "patch" => Some(PATCH),
            "delete" | "deletecollection" => Some(DELETE_OPTIONS),
            _ => None,
        };
        if let Some(body) = body {
            let schema = json!({ "$ref": self.version.reference(body) });
            let required = !verb.starts_with("delete");
            let types = self.body_types(verb);
            match self.version {
                Version::V2 => {
                    parameters.push(json!({
                        "name": "body", "in": "body", "required": required, "schema": schema,
                    }));
                    operation["consumes"] = json!(types);
                }
                Version::V3 => {
                    let content = types.iter().map(|t| (t.to_string(), json!({ "schema": schema })));
                    let content: Map<String, Value> = content.collect();
                    operation["requestBody"] = json!({ "content": content });
                    if required {
                        operation["requestBody"]["required"] = true.into();
                    }
                }
            }
        }
        operation["parameters"] = Value::Array(parameters);
    }

    fn body_types(&self, verb: &str) -> Vec<&'static str> {
        match verb {
            "patch" => {
                let mut types = PATCH_TYPES.to_vec();
                if self.resource.custom.is_none() {
                    types.push(STRATEGIC);
                }
                types
            }
            _ => vec!["application/json", "application/yaml"],
        }
    }

    fn add_responses(&self, verb: &str, operation: &mut Value) {
        let answer = match verb {
            "list" => self.body.as_ref().map(|name| format!("{name}List")),
            "delete" | "deletecollection" => Some(STATUS.to_string()),
            _ => self.body.clone(),
        };
        let answered = |about: &str| match (&answer, self.version) {
            (None, _) => json!({ "description": about }),
            (Some(name), Version::V2) => {
                json!({ "description": about, "schema": { "$ref": self.version.reference(name) } })
            }
            (Some(name), Version::V3) => {
                let schema = json!({ "schema": { "$ref": self.version.reference(name) } });
                json!({
                    "description": about,
                    "content": { "application/json": schema, "application/yaml": schema },
                })
            }
        };
        let mut responses = json!({
            "200": answered("OK"),
            "401": { "description": "Unauthorized" },
        });
        if matches!(verb, "create" | "update" | "patch") {
            responses["201"] = answered("Created");
        }
        if matches!(verb, "create" | "delete") {
            responses["202"] = answered("Accepted");
        }
        operation["responses"] = responses;
        if self.version == Version::V2 {
            operation["produces"] = json!(["application/json", "application/yaml"]);
        }
    }
}
