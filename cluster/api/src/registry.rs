//! `Registry`: all resources a server knows, as one immutable value.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use crate::kinds;
use crate::resource::Resource;
use crate::value::text;

/// Groups in discovery order, as Kubernetes' group priorities put them; custom groups follow,
/// by name.
const GROUP_ORDER: [&str; 22] = [
    "",
    "apiregistration.k8s.io",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "resource.k8s.io",
    "internal.apiserver.k8s.io",
];

/// Cheap to clone; changing it (a CRD came or went) makes a new one.
#[derive(Clone, Default)]
pub struct Registry {
    all: Vec<Arc<Resource>>,
    by_path: Arc<HashMap<Key, Arc<Resource>>>,
    by_kind: Arc<HashMap<Key, Arc<Resource>>>,
}

/// Group, version, plural or kind.
type Key = (String, String, String);

/// A group with its versions, preferred first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub name: String,
    pub versions: Vec<String>,
}

impl Registry {
    /// The built-in resources.
    pub fn builtin() -> Registry {
        Self::of(kinds::TABLE.iter().map(|facts| Arc::new(facts.resource())).collect())
    }

    fn of(mut all: Vec<Arc<Resource>>) -> Registry {
        all.sort_by_cached_key(|r| order(r));
        let key = |r: &Resource, last: &str| (r.group.clone(), r.version.clone(), last.to_owned());
        let by_path = all.iter().map(|r| (key(r, &r.plural), r.clone()));
        let by_kind = all.iter().map(|r| (key(r, &r.kind), r.clone()));
        Registry { by_path: Arc::new(by_path.collect()), by_kind: Arc::new(by_kind.collect()), all }
    }

    /// By request path: group (empty for core), version, plural.
    pub fn get(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        let key = (group.to_owned(), version.to_owned(), plural.to_owned());
        self.by_path.get(&key)
    }

    /// By `apiVersion` parts and kind.
    pub fn by_kind(&self, group: &str, version: &str, kind: &str) -> Option<&Arc<Resource>> {
        let key = (group.to_owned(), version.to_owned(), kind.to_owned());
        self.by_kind.get(&key)
    }

    /// Every resource, in discovery order: by group, version (preferred first), plural.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.all.iter()
    }

    /// Any served version of a resource: the preferred one.
    pub fn preferred(&self, group: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.all.iter().find(|r| r.group == group && r.plural == plural)
    }

    /// The resource in whose version the pipeline's stages after decoding work: the stored one for
    /// built-in kinds, the requested one for custom resources, which are converted when they are
    /// written and read.
    pub fn storage_of(&self, resource: &Resource) -> Option<&Arc<Resource>> {
        let s = &resource.storage;
        if resource.custom.is_some() {
            return self.get(&resource.group, &resource.version, &resource.plural);
        }
        self.get(&s.group, &s.version, &s.plural)
    }

    /// Named groups (not core) in discovery order.
    pub fn groups(&self) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        for r in self.all.iter().filter(|r| !r.group.is_empty()) {
            match groups.last_mut() {
                Some(group) if group.name == r.group => {
                    if !group.versions.contains(&r.version) {
                        group.versions.push(r.version.clone());
                    }
                }
                _ => groups.push(Group { name: r.group.clone(), versions: vec![r.version.clone()] }),
            }
        }
        groups
    }

    /// With the served versions of an Established custom resource definition, replacing what the
    /// same definition brought before.
    pub fn with_crd(&self, crd: &Value) -> Registry {
        let name = text(crd, "metadata.name");
        let known = self.all.iter().filter_map(|r| r.custom.as_ref()).find(|c| c.definition == name);
        if known.is_some_and(|custom| kinds::brings_the_same(&custom.family, crd)) {
            return self.clone();
        }
        let mut all = self.others(name);
        all.extend(kinds::custom_resources(crd).into_iter().map(Arc::new));
        Self::of(all)
    }

    /// True for a registry that nothing was changed in.
    pub fn is_same(&self, other: &Registry) -> bool {
        Arc::ptr_eq(&self.by_path, &other.by_path)
    }

    /// Without the resources of the definition `PLURAL.GROUP`.
    pub fn without_crd(&self, name: &str) -> Registry {
        let others = self.others(name);
        if others.len() == self.all.len() { self.clone() } else { Self::of(others) }
    }

    fn others(&self, definition: &str) -> Vec<Arc<Resource>> {
        let of_it = |r: &Resource| r.custom.as_ref().is_some_and(|c| c.definition == definition);
        self.all.iter().filter(|r| !of_it(r)).cloned().collect()
    }
}

type Order = (usize, String, VersionOrder, String);

fn order(r: &Resource) -> Order {
    let rank = GROUP_ORDER.iter().position(|g| *g == r.group);
    let rank = rank.unwrap_or(GROUP_ORDER.len());
    (rank, r.group.clone(), version_order(&r.version), r.plural.clone())
}

/// Sorts versions as Kubernetes does: GA before beta before alpha, newest first, others last by
/// name.
pub(crate) type VersionOrder = (u8, i64, i64, String);

pub(crate) fn version_order(version: &str) -> VersionOrder {
    let odd = || (3, 0, 0, version.to_owned());
    let Some(rest) = version.strip_prefix('v') else {
        return odd();
    };
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (major, rest) = rest.split_at(digits);
    let Ok(major) = major.parse::<i64>() else {
        return odd();
    };
    let (stage, minor) = match rest {
        "" => return (0, -major, 0, String::new()),
        rest => match (rest.strip_prefix("beta"), rest.strip_prefix("alpha")) {
            (Some(minor), _) => (1, minor),
            (_, Some(minor)) => (2, minor),
            _ => return odd(),
        },
    };
    match minor.parse::<i64>() {
        Ok(minor) => (stage, -major, -minor, String::new()),
        Err(_) => odd(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_builtin_kinds_are_there() {
        let registry = Registry::builtin();
        assert_eq!(registry.iter().count(), 68);
        assert_eq!(registry.groups().len(), 20);
        let pods = registry.get("", "v1", "pods").unwrap();
        assert_eq!(pods.key("a", "b"), "/core/pods/a/b");
        assert!(pods.subresource("eviction").is_some());
        let v1 = registry.get("autoscaling", "v1", "horizontalpodautoscalers").unwrap();
        assert!(v1.converts());
        assert_eq!(registry.storage_of(v1).unwrap().version, "v2");
    }

    #[test]
    fn versions_sort_by_maturity() {
        let mut versions = ["foo", "v1alpha1", "v1beta2", "v1", "v10", "v2", "v1beta10"];
        versions.sort_by_key(|v| version_order(v));
        assert_eq!(versions, ["v10", "v2", "v1", "v1beta10", "v1beta2", "v1alpha1", "foo"]);
    }
}
