use super::*;
use crate::testing::{node, pod};
use serde_json::{Value, json};

fn cluster(nodes: &[(&str, Value)]) -> Cluster {
    let mut cluster = Cluster::default();
    for (name, has) in nodes {
        cluster.put_node(node(name, has.clone()));
    }
    cluster
}

fn decide(cluster: &Cluster, has: Value) -> String {
    match plan(cluster, &pod("p", has)) {
        Decision::Bind(node) => node,
        Decision::Wait(message) => message,
    }
}

#[test]
fn reasons_are_told_as_kubernetes_tells_them() {
    let taint = json!([{ "key": "k", "value": "v", "effect": "NoSchedule" }]);
    let three = cluster(&[
        ("n1", json!({ "taints": taint })),
        ("n2", json!({ "cpu": "1" })),
        ("n3", json!({ "unschedulable": true })),
    ]);
    assert_eq!(
        decide(&three, json!({ "cpu": "2" })),
        "0/3 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s), 1 node(s) were unschedulable."
    );
    assert_eq!(decide(&Cluster::default(), json!({})), "no nodes available to schedule pods");
    let full = cluster(&[("n1", json!({ "pods": "0", "cpu": "0" }))]);
    assert_eq!(
        decide(&full, json!({ "cpu": "1", "spec": { "nodeSelector": { "a": "b" } } })),
        "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
    );
    assert_eq!(
        decide(&full, json!({ "cpu": "1" })),
        "0/1 nodes are available: 1 Insufficient cpu, 1 Too many pods."
    );
}

#[test]
fn filters() {
    let taint = json!([{ "key": "k", "value": "v", "effect": "NoSchedule" }]);
    let two = cluster(&[("n1", json!({ "taints": taint, "labels": { "zone": "a" } })), ("n2", json!({}))]);
    let tolerant = json!([{ "key": "k", "operator": "Exists" }]);
    let in_zone = json!({ "nodeSelector": { "zone": "a" }, "tolerations": tolerant });
    assert_eq!(decide(&two, json!({})), "n2");
    assert_eq!(decide(&two, json!({ "spec": in_zone })), "n1");
    assert_eq!(decide(&two, json!({ "spec": { "nodeName": "n2" } })), "n2");
    let cordoned = cluster(&[("n1", json!({ "unschedulable": true }))]);
    let daemon = json!([{ "key": "node.kubernetes.io/unschedulable", "operator": "Exists" }]);
    assert_eq!(decide(&cordoned, json!({ "spec": { "tolerations": daemon } })), "n1");
}

#[test]
fn host_ports_are_taken_once() {
    let mut two = cluster(&[("n1", json!({})), ("n2", json!({}))]);
    let ports = |ip: &str| json!({ "ports": [{ "containerPort": 80, "hostPort": 8080, "hostIP": ip }] });
    two.put_pod("n1", pod("a", ports("")));
    assert_eq!(decide(&two, ports("10.0.0.1")), "n2");
    two.put_pod("n2", pod("b", ports("10.0.0.1")));
    assert_eq!(
        decide(&two, ports("10.0.0.1")),
        "0/2 nodes are available: 2 node(s) didn't have free ports for the requested pod ports."
    );
    assert_eq!(decide(&two, ports("10.0.0.2")), "n2");
}

#[test]
fn pods_of_one_owner_are_spread() {
    let mut three = cluster(&[("n1", json!({})), ("n2", json!({})), ("n3", json!({}))]);
    let mut used = Vec::new();
    for n in 0..3 {
        let next = pod(&format!("p{n}"), json!({ "owner": "rs", "cpu": "100m" }));
        let Decision::Bind(node) = plan(&three, &next) else { panic!("there is room") };
        three.put_pod(&node, next);
        used.push(node);
    }
    used.sort();
    assert_eq!(used, ["n1", "n2", "n3"]);
}

#[test]
fn the_emptier_node_and_the_one_with_the_image_are_better() {
    let mut two = cluster(&[("n1", json!({})), ("n2", json!({}))]);
    two.put_pod("n1", pod("a", json!({ "cpu": "2" })));
    assert_eq!(decide(&two, json!({ "cpu": "100m" })), "n2");
    let image = json!([{ "names": ["i:latest"], "sizeBytes": 900 << 20 }]);
    let two = cluster(&[("n1", json!({ "images": image })), ("n2", json!({}))]);
    assert_eq!(decide(&two, json!({ "cpu": "100m" })), "n1");
}

#[test]
fn preferences_count() {
    let soft = json!([{ "key": "k", "effect": "PreferNoSchedule" }]);
    let two = cluster(&[("n1", json!({ "taints": soft })), ("n2", json!({}))]);
    assert_eq!(decide(&two, json!({})), "n2");
    let two = cluster(&[("n1", json!({ "labels": { "disk": "ssd" } })), ("n2", json!({}))]);
    let ssd = json!({ "matchExpressions": [{ "key": "disk", "operator": "In", "values": ["ssd"] }] });
    let preferred = json!([{ "weight": 10, "preference": ssd }]);
    let affinity =
        json!({ "nodeAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": preferred } });
    assert_eq!(decide(&two, json!({ "spec": { "affinity": affinity } })), "n1");
}

fn term(app: &str) -> Value {
    json!([{ "topologyKey": "kubernetes.io/hostname", "labelSelector": { "matchLabels": { "app": app } } }])
}

#[test]
fn pods_near_and_away_from_pods() {
    let mut two = cluster(&[("n1", json!({})), ("n2", json!({}))]);
    let affine = |kind: &str, app: &str| {
        json!({ "labels": { "app": "web" }, "spec": { "affinity": {
            kind: { "requiredDuringSchedulingIgnoredDuringExecution": term(app) } } } })
    };
    assert_eq!(
        decide(&two, affine("podAffinity", "db")),
        "0/2 nodes are available: 2 node(s) didn't match pod affinity rules."
    );
    two.put_pod("n2", pod("db", json!({ "labels": { "app": "db" } })));
    assert_eq!(decide(&two, affine("podAffinity", "db")), "n2");
    assert_eq!(decide(&two, affine("podAntiAffinity", "db")), "n1");
    // The first of a group that wants to be together has nobody to be with.
    assert!(decide(&two, affine("podAffinity", "web")).starts_with('n'));
    // Those that are there may not want the new one.
    two.put_pod("n1", pod("shy", affine("podAntiAffinity", "web")));
    assert_eq!(decide(&two, json!({ "labels": { "app": "web" } })), "n2");
}

#[test]
fn hard_spread_constraints() {
    let mut two = cluster(&[("n1", json!({})), ("n2", json!({}))]);
    let constraint = json!([{ "maxSkew": 1, "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "DoNotSchedule", "labelSelector": { "matchLabels": { "app": "web" } } }]);
    let web = json!({ "labels": { "app": "web" }, "spec": { "topologySpreadConstraints": constraint } });
    two.put_pod("n1", pod("a", json!({ "labels": { "app": "web" } })));
    two.put_pod("n2", pod("big", json!({ "cpu": "3900m" })));
    assert_eq!(decide(&two, web.clone()), "n2");
    let mut greedy = web;
    greedy["cpu"] = json!("500m");
    assert_eq!(
        decide(&two, greedy),
        "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) didn't match pod topology spread constraints."
    );
}

#[test]
fn which_changes_of_a_node_help() {
    let plain = node("n1", json!({}));
    assert!(may_help(None, &plain));
    assert!(!may_help(Some(&plain), &plain));
    for has in [json!({ "cpu": "8" }), json!({ "labels": { "a": "b" } }), json!({ "unschedulable": true })] {
        assert!(may_help(Some(&plain), &node("n1", has.clone())), "{has}");
    }
}
