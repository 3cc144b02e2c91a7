//! Role-based access control over an index of the roles and bindings, kept by watching the store.

use std::collections::HashMap;

use serde::Deserialize;

use super::rules::PolicyRule;
use super::{Attributes, Target};
use crate::identity::User;

/// Prefix of the keys this index is made of.
pub(crate) const PREFIX: &str = "/rbac.authorization.k8s.io/";

#[derive(Debug, Deserialize)]
struct Metadata {
    #[serde(default)]
    labels: HashMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Role {
    metadata: Metadata,
    #[serde(default)]
    rules: Option<Vec<PolicyRule>>,
    aggregation_rule: Option<Aggregation>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Aggregation {
    #[serde(default)]
    cluster_role_selectors: Vec<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Binding {
    #[serde(default)]
    subjects: Vec<Subject>,
    role_ref: RoleRef,
}

#[derive(Debug, Deserialize)]
struct Subject {
    kind: String,
    name: String,
    namespace: Option<String>,
}

/// What a binding refers to.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct RoleRef {
    pub kind: String,
    pub name: String,
}

/// The roles and bindings, ready to be asked.
#[derive(Default)]
pub(crate) struct Index {
    cluster_roles: HashMap<String, Role>,
    roles: HashMap<String, HashMap<String, Role>>,
    cluster_bindings: HashMap<String, Binding>,
    bindings: HashMap<String, HashMap<String, Binding>>,
}

impl Subject {
    fn is(&self, user: &User, binding_namespace: &str) -> bool {
        match self.kind.as_str() {
            "User" => self.name == user.name,
            "Group" => user.groups.contains(&self.name),
            "ServiceAccount" => {
                let namespace = self.namespace.as_deref().unwrap_or(binding_namespace);
                user.name
                    .strip_prefix("system:serviceaccount:")
                    .and_then(|rest| rest.split_once(':'))
                    .is_some_and(|(ns, name)| ns == namespace && name == self.name)
            }
            _ => false,
        }
    }
}

impl Binding {
    fn applies(&self, user: &User, namespace: &str) -> bool {
        self.subjects.iter().any(|s| s.is(user, namespace))
    }
}

impl Index {
    /// Takes in the object at `key`, or its absence. Objects that do not parse grant nothing.
    pub(crate) fn set(&mut self, key: &str, value: Option<&[u8]>) {
        let Some((plural, rest)) = key.strip_prefix(PREFIX).and_then(|k| k.split_once('/')) else { return };
        let (namespace, name) = rest.split_once('/').unwrap_or(("", rest));
        match plural {
            "clusterroles" => put(&mut self.cluster_roles, key, name, value),
            "clusterrolebindings" => put(&mut self.cluster_bindings, key, name, value),
            "roles" => put(self.roles.entry(namespace.to_owned()).or_default(), key, name, value),
            "rolebindings" => put(self.bindings.entry(namespace.to_owned()).or_default(), key, name, value),
            _ => {}
        }
    }

    /// Rules of a role as bound in `namespace`; a role that does not exist has none.
    pub(crate) fn rules_of(&self, role: &RoleRef, namespace: &str) -> Vec<PolicyRule> {
        let mut rules = Vec::new();
        self.visit_role(role, namespace, &mut |rule| {
            rules.push(rule.clone());
            false
        });
        rules
    }

    pub(crate) fn role_exists(&self, role: &RoleRef, namespace: &str) -> bool {
        match role.kind.as_str() {
            "ClusterRole" => self.cluster_roles.contains_key(&role.name),
            _ => self.roles.get(namespace).is_some_and(|r| r.contains_key(&role.name)),
        }
    }

    pub(crate) fn allows(&self, user: &User, attributes: &Attributes<'_>) -> bool {
        let namespace = match &attributes.target {
            Target::Resource { namespace, .. } => namespace,
            Target::Url(_) => "",
        };
        self.visit(user, namespace, &mut |rule| rule.allows(attributes))
    }

    /// All rules that hold for a user in a namespace (cluster-wide ones only when it is empty).
    pub(crate) fn rules_for(&self, user: &User, namespace: &str) -> Vec<PolicyRule> {
        let mut rules = Vec::new();
        self.visit(user, namespace, &mut |rule| {
            rules.push(rule.clone());
            false
        });
        rules
    }

    /// Shows the user's rules to `found` until it says true.
    fn visit(&self, user: &User, namespace: &str, found: &mut dyn FnMut(&PolicyRule) -> bool) -> bool {
        let cluster = self.cluster_bindings.values().filter(|b| b.applies(user, ""));
        if cluster.into_iter().any(|b| self.visit_role(&b.role_ref, "", found)) {
            return true;
        }
        let Some(bindings) = self.bindings.get(namespace).filter(|_| !namespace.is_empty()) else {
            return false;
        };
        let mut local = bindings.values().filter(|b| b.applies(user, namespace));
        local.any(|b| self.visit_role(&b.role_ref, namespace, found))
    }

    fn visit_role(
        &self,
        role: &RoleRef,
        namespace: &str,
        found: &mut dyn FnMut(&PolicyRule) -> bool,
    ) -> bool {
        let role = match role.kind.as_str() {
            "ClusterRole" => self.cluster_roles.get(&role.name),
            "Role" => self.roles.get(namespace).and_then(|r| r.get(&role.name)),
            _ => None,
        };
        role.is_some_and(|role| self.visit_rules(role, found))
    }

    /// The role's own rules, and those of the roles it aggregates: they hold from the moment the
    /// other role exists, not only after a controller has copied them.
    fn visit_rules(&self, role: &Role, found: &mut dyn FnMut(&PolicyRule) -> bool) -> bool {
        if role.rules.iter().flatten().any(&mut *found) {
            return true;
        }
        let Some(aggregation) = &role.aggregation_rule else { return false };
        let collected = |other: &&Role| {
            aggregation
                .cluster_role_selectors
                .iter()
                .any(|s| label_selector_matches(s, &other.metadata.labels))
        };
        let mut others = self.cluster_roles.values().filter(collected).filter(|o| !std::ptr::eq(*o, role));
        others.any(|other| other.rules.iter().flatten().any(&mut *found))
    }
}

fn put<T: for<'de> Deserialize<'de>>(
    map: &mut HashMap<String, T>,
    key: &str,
    name: &str,
    value: Option<&[u8]>,
) {
    match value.map(serde_json::from_slice) {
        Some(Ok(parsed)) => {
            map.insert(name.to_owned(), parsed);
        }
        Some(Err(error)) => {
            tracing::error!(key, %error, "a role or binding does not parse and grants nothing");
            map.remove(name);
        }
        None => {
            map.remove(name);
        }
    }
}

fn label_selector_matches(selector: &serde_json::Value, labels: &HashMap<String, String>) -> bool {
    let exact = selector["matchLabels"].as_object();
    let exact = exact.is_none_or(|m| m.iter().all(|(k, v)| labels.get(k).map(String::as_str) == v.as_str()));
    let expressions = selector["matchExpressions"].as_array();
    exact && expressions.is_none_or(|list| list.iter().all(|e| expression_matches(e, labels)))
}

fn expression_matches(expression: &serde_json::Value, labels: &HashMap<String, String>) -> bool {
    let value = expression["key"].as_str().and_then(|k| labels.get(k));
    let listed = || {
        let values = expression["values"].as_array();
        values.is_some_and(|l| l.iter().any(|v| v.as_str() == value.map(String::as_str)))
    };
    match expression["operator"].as_str() {
        Some("In") => value.is_some() && listed(),
        Some("NotIn") => value.is_none() || !listed(),
        Some("Exists") => value.is_some(),
        Some("DoesNotExist") => value.is_none(),
        _ => false,
    }
}
