//! Roles and their bindings.

use jiff::Timestamp;
use serde_json::Value;

use super::checks::Errors;
use crate::field::FieldError;
use crate::resource::Resource;
use crate::strategy::Strategy;

use super::builtin::{Builtin, Col};
use crate::meta::NameRule;
use crate::names;
use crate::table::{age_cell, default_row, name_cell};
use crate::value::{get, get_mut, items, items_mut, set_text, text};

pub const CLUSTER_ROLE_BINDING: Builtin = Builtin::new(
    "rbac.authorization.k8s.io",
    "v1",
    "ClusterRoleBinding",
    "clusterrolebindings",
    "48tpQ8gZHFc=",
)
.columns(CLUSTER_ROLE_BINDING_COLUMNS)
.names(NameRule::PathSegment)
.create_on_update()
.strategy(&Binding);

pub const CLUSTER_ROLE: Builtin =
    Builtin::new("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", "bYE5ZWDrJ44=")
        .names(NameRule::PathSegment)
        .create_on_update()
        .strategy(&Role);

pub const ROLE_BINDING: Builtin =
    Builtin::new("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings", "eGsCzGH6b1g=")
        .namespaced()
        .columns(ROLE_BINDING_COLUMNS)
        .names(NameRule::PathSegment)
        .create_on_update()
        .strategy(&Binding);

pub const ROLE: Builtin = Builtin::new("rbac.authorization.k8s.io", "v1", "Role", "roles", "7FuwZcIIItM=")
    .namespaced()
    .names(NameRule::PathSegment)
    .create_on_update()
    .strategy(&Role);

const CLUSTER_ROLE_BINDING_COLUMNS: &[Col] = &[
    ("Name", "string", "name", 0),
    ("Role", "string", "", 0),
    ("Age", "string", "", 0),
    ("Users", "string", "", 1),
    ("Groups", "string", "", 1),
    ("ServiceAccounts", "string", "", 1),
];

const ROLE_BINDING_COLUMNS: &[Col] = &[
    ("Name", "string", "name", 0),
    ("Role", "string", "", 0),
    ("Age", "string", "", 0),
    ("Users", "string", "", 1),
    ("Groups", "string", "", 1),
    ("ServiceAccounts", "string", "", 1),
];

const GROUP: &str = "rbac.authorization.k8s.io";

struct Role;

impl Strategy for Role {
    fn validate(&self, r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        for (i, rule) in items(object, "rules").iter().enumerate() {
            validate_rule(rule, r.namespaced, &format!("rules[{i}]"), &mut errors);
        }
        let selectors = items(object, "aggregationRule.clusterRoleSelectors");
        if !get(object, "aggregationRule").is_null() && selectors.is_empty() {
            let path = "aggregationRule.clusterRoleSelectors";
            errors.required(path, "at least one clusterRoleSelector required if aggregationRule is non-nil");
        }
        for (i, selector) in selectors.iter().enumerate() {
            errors.label_selector(selector, &format!("aggregationRule.clusterRoleSelectors[{i}]"));
        }
        errors.0
    }

    fn row(&self, r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        default_row(r, object, now)
    }
}

fn validate_rule(rule: &Value, namespaced: bool, path: &str, errors: &mut Errors) {
    let empty = |field| items(rule, field).is_empty();
    if empty("verbs") {
        errors.required(format!("{path}.verbs"), "verbs must contain at least one value");
    }
    if !empty("nonResourceURLs") {
        if namespaced {
            let urls = get(rule, "nonResourceURLs").clone();
            let detail = "namespaced rules cannot apply to non-resource URLs";
            errors.invalid(format!("{path}.nonResourceURLs"), urls, detail);
        }
        if !empty("apiGroups") || !empty("resources") || !empty("resourceNames") {
            let urls = get(rule, "nonResourceURLs").clone();
            let detail = "rules cannot apply to both regular resources and non-resource URLs";
            errors.invalid(format!("{path}.nonResourceURLs"), urls, detail);
        }
        return;
    }
    if empty("apiGroups") {
        let detail = "resource rules must supply at least one api group";
        errors.required(format!("{path}.apiGroups"), detail);
    }
    if empty("resources") {
        let detail = "resource rules must supply at least one resource";
        errors.required(format!("{path}.resources"), detail);
    }
}

struct Binding;

impl Strategy for Binding {
    fn default(&self, _r: &Resource, object: &mut Value) {
        if let Some(reference) = get_mut(object, "roleRef") {
            set_text(reference, "apiGroup", GROUP);
        }
        for subject in items_mut(object, "subjects") {
            if matches!(text(subject, "kind"), "User" | "Group") {
                set_text(subject, "apiGroup", GROUP);
            }
        }
    }

    fn validate(&self, r: &Resource, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        let reference = get(object, "roleRef");
        let group = text(reference, "apiGroup");
        if group != GROUP {
            errors.0.push(FieldError::not_supported("roleRef.apiGroup", group, [GROUP]));
        }
        let kind = text(reference, "kind");
        let kinds: &[&str] = match r.namespaced {
            true => &["Role", "ClusterRole"],
            false => &["ClusterRole"],
        };
        if !kinds.contains(&kind) {
            errors.0.push(FieldError::not_supported("roleRef.kind", kind, kinds));
        }
        match text(reference, "name") {
            "" => errors.required("roleRef.name", ""),
            name => errors.reasons("roleRef.name", name, names::path_segment(name)),
        }
        for (i, subject) in items(object, "subjects").iter().enumerate() {
            validate_subject(subject, r.namespaced, &format!("subjects[{i}]"), &mut errors);
        }
        errors.0
    }

    fn validate_update(&self, _r: &Resource, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::default();
        if get(new, "roleRef") != get(old, "roleRef") {
            errors.invalid("roleRef", get(new, "roleRef").clone(), "cannot change roleRef");
        }
        errors.0
    }

    fn row(&self, _r: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
        let subjects = items(object, "subjects");
        let of = |kind: &str| {
            let of_kind = subjects.iter().filter(|s| text(s, "kind") == kind);
            let names: Vec<String> = of_kind
                .map(|s| match kind {
                    "ServiceAccount" => format!("{}/{}", text(s, "namespace"), text(s, "name")),
                    _ => text(s, "name").to_owned(),
                })
                .collect();
            names.join(", ")
        };
        let reference = get(object, "roleRef");
        vec![
            name_cell(object),
            format!("{}/{}", text(reference, "kind"), text(reference, "name")).into(),
            age_cell(object, now),
            of("User").into(),
            of("Group").into(),
            of("ServiceAccount").into(),
        ]
    }
}

fn validate_subject(subject: &Value, namespaced: bool, path: &str, errors: &mut Errors) {
    let (name, group) = (text(subject, "name"), text(subject, "apiGroup"));
    if name.is_empty() {
        errors.required(format!("{path}.name"), "");
    }
    let expected = match text(subject, "kind") {
        "ServiceAccount" => {
            if !name.is_empty() {
                errors.reasons(&format!("{path}.name"), name, names::subdomain(name));
            }
            if !namespaced && text(subject, "namespace").is_empty() {
                errors.required(format!("{path}.namespace"), "");
            }
            ""
        }
        "User" | "Group" => GROUP,
        other => {
            let kinds = ["ServiceAccount", "User", "Group"];
            errors.0.push(FieldError::not_supported(format!("{path}.kind"), other, kinds));
            return;
        }
    };
    if group != expected {
        errors.0.push(FieldError::not_supported(format!("{path}.apiGroup"), group, [expected]));
    }
}
