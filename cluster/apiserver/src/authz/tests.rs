use serde_json::json;

use super::*;

fn index() -> Index {
    let mut index = Index::default();
    for (plural, object) in bootstrap_objects() {
        let m = &object["metadata"];
        let name = m["name"].as_str().unwrap();
        let key = match m["namespace"].as_str() {
            Some(ns) => format!("{PREFIX}{plural}/{ns}/{name}"),
            None => format!("{PREFIX}{plural}/{name}"),
        };
        index.set(&key, Some(object.to_string().as_bytes()));
    }
    index
}

fn on<'a>(
    verb: &'a str,
    group: &'a str,
    resource: &'a str,
    namespace: &'a str,
    name: &'a str,
) -> Attributes<'a> {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    Attributes {
        verb,
        target: Target::Resource { group, resource, subresource, namespace, name, fields: "" },
    }
}

fn bind(index: &mut Index, namespace: &str, role: &str, user: &str) {
    let binding = json!({
        "metadata": {"name": user, "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "User", "name": user}],
    });
    index.set(&format!("{PREFIX}rolebindings/{namespace}/{user}"), Some(binding.to_string().as_bytes()));
}

#[test]
fn bootstrap_policy_permits_what_kubernetes_permits() {
    let mut index = index();
    for (role, user) in [("view", "vera"), ("edit", "eddy"), ("admin", "ada")] {
        bind(&mut index, "shop", role, user);
    }
    let table = [
        ("vera", on("list", "", "pods", "shop", ""), true),
        ("vera", on("list", "", "pods", "other", ""), false),
        ("vera", on("get", "", "secrets", "shop", "s"), false),
        ("vera", on("get", "", "pods/log", "shop", "p"), true),
        ("vera", on("create", "", "pods", "shop", ""), false),
        ("eddy", on("get", "", "secrets", "shop", "s"), true),
        ("eddy", on("get", "", "pods/log", "shop", "p"), true),
        ("eddy", on("create", "apps", "deployments", "shop", ""), true),
        ("eddy", on("create", "rbac.authorization.k8s.io", "roles", "shop", ""), false),
        ("ada", on("create", "rbac.authorization.k8s.io", "roles", "shop", ""), true),
        ("ada", on("get", "", "nodes", "", "n"), false),
        ("system:kube-scheduler", on("create", "", "pods/binding", "shop", "p"), true),
        ("system:kube-scheduler", on("create", "", "pods", "shop", ""), false),
        ("system:kube-controller-manager", on("create", "apps", "replicasets", "shop", ""), true),
        ("system:kube-controller-manager", on("delete", "example.com", "widgets", "shop", "w"), true),
    ];
    for (user, attributes, expected) in table {
        let user = User::new(user, &[crate::identity::AUTHENTICATED]);
        assert_eq!(index.allows(&user, &attributes), expected, "{} {attributes:?}", user.name);
    }
}

#[test]
fn urls_and_groups() {
    let index = index();
    let url = |path| Attributes { verb: "get", target: Target::Url(path) };
    let known = User::new("x", &[crate::identity::AUTHENTICATED]);
    let anonymous = User::anonymous();
    let table = [
        (&known, "/api", true),
        (&known, "/apis/apps/v1", true),
        (&known, "/openapi/v2", true),
        (&known, "/metrics", false),
        (&anonymous, "/version", true),
        (&anonymous, "/healthz", true),
        (&anonymous, "/apis", false),
    ];
    for (user, path, expected) in table {
        assert_eq!(index.allows(user, &url(path)), expected, "{} {path}", user.name);
    }
    let monitor = User::new("m", &["system:monitoring"]);
    assert!(index.allows(&monitor, &url("/metrics")));
}

#[test]
fn roles_aggregate_as_soon_as_they_exist() {
    let mut index = index();
    bind(&mut index, "shop", "view", "vera");
    let vera = User::new("vera", &[]);
    let widgets = on("list", "example.com", "widgets", "shop", "");
    assert!(!index.allows(&vera, &widgets));
    let role = json!({
        "metadata": {"name": "w", "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}},
        "rules": [{"verbs": ["list"], "apiGroups": ["example.com"], "resources": ["widgets"]}],
    });
    index.set(&format!("{PREFIX}clusterroles/w"), Some(role.to_string().as_bytes()));
    assert!(index.allows(&vera, &widgets));
    index.set(&format!("{PREFIX}clusterroles/w"), None);
    assert!(!index.allows(&vera, &widgets));
}

#[test]
fn nobody_grants_more_than_he_has() {
    let rule = |verbs: &str, groups: &str, resources: &str, names: &str| {
        let words = |s: &str| {
            s.split_whitespace().map(|w| if w == "core" { String::new() } else { w.into() }).collect()
        };
        PolicyRule {
            verbs: words(verbs),
            api_groups: words(groups),
            resources: words(resources),
            resource_names: words(names),
            non_resource_urls: Vec::new(),
        }
    };
    let table = [
        (rule("get list", "core", "pods", ""), rule("get", "core", "pods", ""), true),
        (rule("get", "core", "pods", ""), rule("get list", "core", "pods", ""), false),
        (rule("*", "*", "*", ""), rule("get", "apps", "deployments/scale", "x"), true),
        (rule("get", "core", "pods", "a"), rule("get", "core", "pods", ""), false),
        (rule("get", "core", "pods", "a"), rule("get", "core", "pods", "a"), true),
        (rule("get", "core", "pods", ""), rule("get", "core", "pods", "a"), true),
        (rule("get", "core", "*/scale", ""), rule("get", "core", "pods/scale", ""), true),
        (rule("get", "core", "pods", ""), rule("get", "core", "pods/log", ""), false),
        (rule("get", "core", "pods", ""), rule("get", "core", "*", ""), false),
    ];
    for (held, wanted, covered) in table {
        let missing = uncovered(std::slice::from_ref(&held), std::slice::from_ref(&wanted));
        assert_eq!(missing.is_empty(), covered, "{held:?} {wanted:?}");
    }
}
