//! The bootstrap policy as objects.

use serde_json::{Value, json};

use super::bootstrap::{BINDINGS, ROLES};

/// One rule; every field is a list of words.
pub(super) struct Rule {
    verbs: &'static str,
    groups: &'static str,
    resources: &'static str,
    names: &'static str,
    urls: &'static str,
}

impl Rule {
    pub(super) const fn of(verbs: &'static str, groups: &'static str, resources: &'static str) -> Self {
        Self { verbs, groups, resources, names: "", urls: "" }
    }

    pub(super) const fn named(
        verbs: &'static str,
        groups: &'static str,
        resources: &'static str,
        names: &'static str,
    ) -> Self {
        Self { verbs, groups, resources, names, urls: "" }
    }

    pub(super) const fn urls(verbs: &'static str, urls: &'static str) -> Self {
        Self { verbs, groups: "", resources: "", names: "", urls }
    }

    fn object(&self) -> Value {
        let words = |list: &str| -> Vec<String> {
            list.split_whitespace().map(|w| if w == "core" { String::new() } else { w.to_owned() }).collect()
        };
        if !self.urls.is_empty() {
            return json!({"verbs": words(self.verbs), "nonResourceURLs": words(self.urls)});
        }
        let mut rule = json!({
            "verbs": words(self.verbs), "apiGroups": words(self.groups), "resources": words(self.resources),
        });
        if !self.names.is_empty() {
            rule["resourceNames"] = words(self.names).into();
        }
        rule
    }
}

/// A role or, without a namespace, a cluster role.
pub(super) struct Role {
    pub namespace: &'static str,
    pub name: &'static str,
    /// The roles that collect this one's rules.
    pub feeds: &'static str,
    /// The label by which this one collects rules.
    pub collects: &'static str,
    pub rules: &'static [Rule],
}

/// A role binding or, without a namespace, a cluster role binding.
pub(super) struct Binding {
    pub namespace: &'static str,
    pub name: &'static str,
    pub role_kind: &'static str,
    pub role: &'static str,
    pub subjects: &'static str,
}

const RBAC: &str = "rbac.authorization.k8s.io";

/// All roles and bindings of the bootstrap policy, as objects to be created: (plural, object).
pub(crate) fn bootstrap_objects() -> Vec<(&'static str, Value)> {
    ROLES.iter().map(role_object).chain(BINDINGS.iter().map(binding_object)).collect()
}

fn metadata(namespace: &str, name: &str) -> Value {
    let mut metadata = json!({
        "name": name,
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
    });
    if !namespace.is_empty() {
        metadata["namespace"] = namespace.into();
    }
    metadata
}

/// The rules of a role, with those it collects, transitively.
fn rules_of(role: &Role) -> Vec<Value> {
    let mut rules: Vec<Value> = role.rules.iter().map(Rule::object).collect();
    if !role.collects.is_empty() {
        let feeds = |r: &&Role| r.feeds.split_whitespace().any(|f| f == role.collects);
        for rule in ROLES.iter().filter(feeds).flat_map(rules_of) {
            if !rules.contains(&rule) {
                rules.push(rule);
            }
        }
    }
    rules
}

fn role_object(role: &Role) -> (&'static str, Value) {
    let (plural, kind) =
        if role.namespace.is_empty() { ("clusterroles", "ClusterRole") } else { ("roles", "Role") };
    let mut object = json!({
        "apiVersion": format!("{RBAC}/v1"),
        "kind": kind,
        "metadata": metadata(role.namespace, role.name),
        "rules": rules_of(role),
    });
    for feed in role.feeds.split_whitespace() {
        object["metadata"]["labels"][format!("{RBAC}/aggregate-to-{feed}")] = "true".into();
    }
    if !role.collects.is_empty() {
        let label = format!("{RBAC}/aggregate-to-{}", role.collects);
        object["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {label: "true"}}]});
    }
    (plural, object)
}

fn binding_object(binding: &Binding) -> (&'static str, Value) {
    let (plural, kind) = if binding.namespace.is_empty() {
        ("clusterrolebindings", "ClusterRoleBinding")
    } else {
        ("rolebindings", "RoleBinding")
    };
    let subject = |text: &str| {
        let (kind, name) = text.split_once(':').unwrap_or(("user", text));
        match (kind, name.split_once('/')) {
            ("account", Some((namespace, name))) => {
                json!({"kind": "ServiceAccount", "namespace": namespace, "name": name})
            }
            ("group", _) => json!({"kind": "Group", "apiGroup": RBAC, "name": name}),
            _ => json!({"kind": "User", "apiGroup": RBAC, "name": name}),
        }
    };
    let subjects: Vec<Value> = binding.subjects.split_whitespace().map(subject).collect();
    let mut object = json!({
        "apiVersion": format!("{RBAC}/v1"),
        "kind": kind,
        "metadata": metadata(binding.namespace, binding.name),
        "roleRef": {"apiGroup": RBAC, "kind": binding.role_kind, "name": binding.role},
    });
    if !subjects.is_empty() {
        object["subjects"] = subjects.into();
    }
    (plural, object)
}
