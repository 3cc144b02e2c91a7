//! Discovery documents.

use serde_json::{Map, Value, json};

use crate::registry::{Group, Registry};
use crate::resource::{Resource, Subresource, api_version};

/// `/api`: `APIVersions`.
pub fn core_versions(server_address: &str) -> Value {
    json!({
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [
            {"clientCIDR": "0.0.0.0/0", "serverAddress": server_address}
        ],
    })
}

/// `/apis`: `APIGroupList`.
pub fn groups(registry: &Registry) -> Value {
    let groups = registry.groups();
    let groups: Vec<Value> = groups.iter().map(group_value).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/GROUP`: `APIGroup`; `None` for an unknown group.
pub fn group(registry: &Registry, group: &str) -> Option<Value> {
    let groups = registry.groups();
    let found = groups.iter().find(|g| g.name == group)?;
    let mut value = group_value(found);
    value["kind"] = "APIGroup".into();
    value["apiVersion"] = "v1".into();
    Some(value)
}

fn group_value(group: &Group) -> Value {
    let version = |v: &String| json!({"groupVersion": api_version(&group.name, v), "version": v});
    let versions: Vec<Value> = group.versions.iter().map(version).collect();
    json!({"name": group.name, "versions": versions, "preferredVersion": versions[0]})
}

/// `/api/v1` and `/apis/GROUP/VERSION`: `APIResourceList`; `None` for an unknown one.
pub fn resources(registry: &Registry, group: &str, version: &str) -> Option<Value> {
    let mut list = Vec::new();
    for r in registry.iter().filter(|r| r.group == group && r.version == version) {
        list.push(resource_value(r));
        let mut subresources: Vec<&Subresource> = r.subresources.iter().collect();
        subresources.sort_by(|a, b| a.name.cmp(&b.name));
        list.extend(subresources.into_iter().map(|s| subresource_value(r, s)));
    }
    (!list.is_empty()).then(|| {
        json!({
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": api_version(group, version),
            "resources": list,
        })
    })
}

fn resource_value(r: &Resource) -> Value {
    let mut value = Map::new();
    value.insert("name".into(), r.plural.clone().into());
    value.insert("singularName".into(), r.singular.clone().into());
    value.insert("namespaced".into(), r.namespaced.into());
    value.insert("kind".into(), r.kind.clone().into());
    value.insert("verbs".into(), r.verbs.clone().into());
    if !r.short_names.is_empty() {
        value.insert("shortNames".into(), r.short_names.clone().into());
    }
    if !r.categories.is_empty() {
        value.insert("categories".into(), r.categories.clone().into());
    }
    if !r.storage_version_hash.is_empty() {
        value.insert("storageVersionHash".into(), r.storage_version_hash.clone().into());
    }
    value.into()
}

fn subresource_value(r: &Resource, s: &Subresource) -> Value {
    let mut value = json!({
        "name": format!("{}/{}", r.plural, s.name),
        "singularName": "",
        "namespaced": r.namespaced,
        "kind": s.kind,
        "verbs": s.verbs,
    });
    if let Some((group, version)) = &s.group_version {
        value["group"] = group.clone().into();
        value["version"] = version.clone().into();
    }
    value
}

/// `/api` (`core` true) or `/apis` as `apidiscovery.k8s.io/v2` APIGroupDiscoveryList.
pub fn aggregated(registry: &Registry, core: bool) -> Value {
    let groups = match core {
        true => vec![Group { name: String::new(), versions: vec!["v1".into()] }],
        false => registry.groups(),
    };
    let items: Vec<Value> = groups.iter().map(|g| aggregated_group(registry, g)).collect();
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    })
}

fn aggregated_group(registry: &Registry, group: &Group) -> Value {
    let versions = group.versions.iter().map(|version| {
        let of_it = registry.iter().filter(|r| r.group == group.name && r.version == *version);
        let resources: Vec<Value> = of_it.map(|r| aggregated_resource(r)).collect();
        json!({"version": version, "resources": resources, "freshness": "Current"})
    });
    let versions: Vec<Value> = versions.collect();
    let metadata = match group.name.as_str() {
        "" => json!({"creationTimestamp": null}),
        name => json!({"name": name, "creationTimestamp": null}),
    };
    json!({"metadata": metadata, "versions": versions})
}

fn kind_value(group: &str, version: &str, kind: &str) -> Value {
    json!({"group": group, "version": version, "kind": kind})
}

fn aggregated_resource(r: &Resource) -> Value {
    let mut value = json!({
        "resource": r.plural,
        "responseKind": kind_value(&r.group, &r.version, &r.kind),
        "scope": if r.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": r.singular,
        "verbs": r.verbs,
    });
    if !r.short_names.is_empty() {
        value["shortNames"] = r.short_names.clone().into();
    }
    if !r.categories.is_empty() {
        value["categories"] = r.categories.clone().into();
    }
    let mut subresources: Vec<&Subresource> = r.subresources.iter().collect();
    subresources.sort_by(|a, b| a.name.cmp(&b.name));
    if !subresources.is_empty() {
        let values = subresources.into_iter().map(|s| {
            let (group, version) = match &s.group_version {
                Some((group, version)) => (group.as_str(), version.as_str()),
                None => (r.group.as_str(), r.version.as_str()),
            };
            json!({
                "subresource": s.name,
                "responseKind": kind_value(group, version, &s.kind),
                "verbs": s.verbs,
            })
        });
        value["subresources"] = values.collect();
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_have_the_shape_clients_read() {
        let registry = Registry::builtin();
        let core = resources(&registry, "", "v1").unwrap();
        let names: Vec<&str> =
            core["resources"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect();
        assert_eq!(&names[..3], ["bindings", "componentstatuses", "configmaps"]);
        assert!(names.contains(&"serviceaccounts/token"));
        assert!(resources(&registry, "nope", "v1").is_none());
        let autoscaling = group(&registry, "autoscaling").unwrap();
        assert_eq!(autoscaling["preferredVersion"]["groupVersion"], "autoscaling/v2");
        let all = aggregated(&registry, false);
        assert_eq!(all["items"][1]["metadata"]["name"], "apps");
        let scale = &all["items"][1]["versions"][0]["resources"][2]["subresources"][0];
        assert_eq!(scale["responseKind"]["group"], "autoscaling");
    }
}
