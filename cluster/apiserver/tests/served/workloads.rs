//! Pods, services, custom resources: what the cluster adds, allocates and refuses.

use crate::support::{Client, Cluster};
use futures::future::join_all;
use serde_json::{Value, json};

const PODS: &str = "/api/v1/namespaces/default/pods";
const SERVICES: &str = "/api/v1/namespaces/default/services";

fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "x"}},
        "spec": {"containers": [{"name": "c", "image": "busybox"}]},
    })
}

async fn node(admin: &Client, name: &str, address: &str, port: u16) {
    let object = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
    admin.post("/api/v1/nodes", &object).await.expect(201);
    let status = json!({"status": {
        "addresses": [{"type": "InternalIP", "address": address}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
    }});
    admin.merge(&format!("/api/v1/nodes/{name}/status"), &status).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_get_an_account_tolerations_and_a_priority() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let made = admin.post(PODS, &pod("p")).await.expect(201);
    let spec = &made["spec"];
    assert_eq!(spec["serviceAccountName"], "default");
    assert_eq!(spec["priority"], 0);
    assert_eq!(spec["tolerations"].as_array().unwrap().len(), 2);
    let volume = &spec["volumes"][0];
    assert!(volume["name"].as_str().unwrap().starts_with("kube-api-access-"));
    assert_eq!(spec["containers"][0]["volumeMounts"][0]["name"], volume["name"]);
    let mut critical = pod("q");
    critical["spec"]["priorityClassName"] = "system-node-critical".into();
    assert_eq!(admin.post(PODS, &critical).await.expect(201)["spec"]["priority"], 2_000_001_000);
    critical["spec"]["priorityClassName"] = "none".into();
    admin.post(PODS, &critical).await.expect(403);
    let mut stranger = pod("r");
    stranger["spec"]["serviceAccountName"] = "nobody".into();
    admin.post(PODS, &stranger).await.expect(403);
    // A new namespace has its account at once.
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "new"}});
    admin.post("/api/v1/namespaces", &namespace).await.expect(201);
    admin.post("/api/v1/namespaces/new/pods", &pod("p")).await.expect(201);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_are_bound_once_and_unreachable_nodes_are_said_to_be() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    // A port nobody listens on.
    let dead = crate::support::free_address().port();
    node(&admin, "n1", "127.0.0.1", dead).await;
    admin.post(PODS, &pod("p")).await.expect(201);
    admin.get(&format!("{PODS}/p/log")).await.expect(400);
    let binding = json!({
        "apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"},
        "target": {"apiVersion": "v1", "kind": "Node", "name": "n1"},
    });
    admin.post(&format!("{PODS}/p/binding"), &binding).await.expect(201);
    assert_eq!(admin.post(&format!("{PODS}/p/binding"), &binding).await.expect(409)["reason"], "Conflict");
    let bound = admin.get(&format!("{PODS}/p")).await.expect(200);
    assert_eq!(bound["spec"]["nodeName"], "n1");
    assert_eq!(bound["status"]["conditions"][0]["type"], "PodScheduled");
    let by_node = admin.get("/api/v1/pods?fieldSelector=spec.nodeName%3Dn1").await.expect(200);
    assert_eq!(by_node["items"].as_array().unwrap().len(), 1);
    let log = admin.get(&format!("{PODS}/p/log")).await.expect(502);
    assert!(log["message"].as_str().unwrap().contains("node n1"), "{log}");
    // A bound pod goes gracefully: its agent says when it is gone.
    let leaving = admin.delete(&format!("{PODS}/p")).await.expect(200);
    assert!(leaving["metadata"]["deletionTimestamp"].is_string());
    admin.delete(&format!("{PODS}/p?gracePeriodSeconds=0")).await.expect(200);
    admin.get(&format!("{PODS}/p")).await.expect(404);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn evictions_respect_the_budget() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "x"}}},
    });
    let budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
    admin.post(budgets, &budget).await.expect(201);
    for name in ["p", "q"] {
        admin.post(PODS, &pod(name)).await.expect(201);
        let running =
            json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
        admin.merge(&format!("{PODS}/{name}/status"), &running).await.expect(200);
    }
    let allowed = |n: u32| {
        json!({"status": {
            "observedGeneration": 1, "disruptionsAllowed": n, "currentHealthy": 2, "desiredHealthy": 1,
            "expectedPods": 2,
        }})
    };
    admin.merge(&format!("{budgets}/b/status"), &allowed(1)).await.expect(200);
    let evict = |name: &'static str| {
        let admin = admin.clone();
        async move {
            let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}});
            admin.post(&format!("{PODS}/{name}/eviction"), &eviction).await
        }
    };
    evict("p").await.expect(201);
    let refused = evict("q").await.expect(429);
    assert_eq!(refused["details"]["causes"][0]["reason"], "DisruptionBudget");
    let charged = admin.get(&format!("{budgets}/b")).await.expect(200);
    assert_eq!(charged["status"]["disruptionsAllowed"], 0);
    assert!(charged["status"]["disruptedPods"]["p"].is_string());
    cluster.stop().await;
}

fn service(name: &str, kind: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"type": kind, "selector": {"app": "x"}, "ports": [{"port": 80}]},
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_and_ports_are_never_given_twice() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let made = join_all((0..20).map(|n| {
        let admin = admin.clone();
        async move { admin.post(SERVICES, &service(&format!("s{n}"), "NodePort")).await.expect(201) }
    }))
    .await;
    let mut addresses: Vec<&str> = made.iter().map(|s| s["spec"]["clusterIP"].as_str().unwrap()).collect();
    let mut ports: Vec<u64> =
        made.iter().map(|s| s["spec"]["ports"][0]["nodePort"].as_u64().unwrap()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!((addresses.len(), ports.len()), (20, 20));
    assert!(ports.iter().all(|p| (30000..=32767).contains(p)));

    let taken = made[0]["spec"]["clusterIP"].clone();
    let mut thief = service("thief", "ClusterIP");
    thief["spec"]["clusterIP"] = taken.clone();
    admin.post(SERVICES, &thief).await.expect(422);
    let held = format!("/apis/networking.k8s.io/v1/ipaddresses/{}", taken.as_str().unwrap());
    admin.get(&held).await.expect(200);
    admin.delete(&format!("{SERVICES}/s0")).await.expect(200);
    admin.get(&held).await.expect(404);
    admin.post(SERVICES, &thief).await.expect(201);

    // Another type gives the port back; the address stays.
    let path = format!("{SERVICES}/s1");
    let plain = admin.merge(&path, &json!({"spec": {"type": "ClusterIP"}})).await.expect(200);
    assert!(plain["spec"]["ports"][0]["nodePort"].is_null(), "{plain}");
    assert_eq!(plain["spec"]["clusterIP"], made[1]["spec"]["clusterIP"]);
    let mut heir = service("heir", "NodePort");
    heir["spec"]["ports"][0]["nodePort"] = made[1]["spec"]["ports"][0]["nodePort"].clone();
    admin.post(SERVICES, &heir).await.expect(201);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kubernetes_service_is_there() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let service = admin.get(&format!("{SERVICES}/kubernetes")).await.expect(200);
    assert_eq!(service["spec"]["clusterIP"], "10.96.0.1");
    let path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?watch=1";
    let events = admin.watch(path, |e| !e.is_empty()).await;
    assert_eq!(events[0]["object"]["endpoints"][0]["addresses"][0], "10.0.0.1");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn custom_resources_come_and_go() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "shortNames": ["wg"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "properties": {"size": {"type": "integer", "minimum": 1}}},
                }}},
                "subresources": {"status": {}},
            }],
        },
    });
    let widgets = "/apis/example.com/v1/namespaces/default/widgets";
    admin.get(widgets).await.expect(404);
    let made = admin.post(definitions, &definition).await.expect(201);
    let conditions = made["status"]["conditions"].as_array().unwrap();
    assert!(conditions.iter().any(|c| c["type"] == "Established" && c["status"] == "True"), "{made}");
    let widget = |size: i64| {
        json!({
            "apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"},
            "spec": {"size": size, "unknown": true},
        })
    };
    admin.post(widgets, &widget(0)).await.expect(422);
    let stored = admin.post(widgets, &widget(3)).await.expect(201);
    assert!(stored["spec"].get("unknown").is_none());
    admin.get("/apis/example.com/v1").await.expect(200);
    admin.delete(&format!("{definitions}/widgets.example.com")).await.expect(200);
    // Its objects go first; the server learns of the end by watching its store.
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    for path in [&format!("{definitions}/widgets.example.com"), widgets] {
        while admin.get(path).await.code != 404 {
            assert!(tokio::time::Instant::now() < deadline, "{path} is still served");
            tokio::task::yield_now().await;
        }
    }
    cluster.stop().await;
}
