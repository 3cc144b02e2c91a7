//! What a namespace's objects may use: quotas, limit ranges, runtime classes.

use crate::support::{Client, Cluster};
use futures::future::join_all;
use serde_json::{Value, json};

const PODS: &str = "/api/v1/namespaces/default/pods";
const QUOTAS: &str = "/api/v1/namespaces/default/resourcequotas";

fn pod(name: &str, resources: Value) -> Value {
    let container = json!({"name": "c", "image": "busybox", "resources": resources});
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [container]}})
}

/// A quota with the status that the controller would write.
async fn quota(admin: &Client, hard: Value) {
    let none: Value = hard.as_object().unwrap().keys().map(|name| (name.clone(), json!("0"))).collect();
    let object = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": hard}});
    admin.post(QUOTAS, &object).await.expect(201);
    let status = json!({"status": {"hard": hard, "used": none}});
    admin.merge(&format!("{QUOTAS}/q/status"), &status).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_created_is_charged_and_what_exceeds_is_refused() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    quota(&admin, json!({"pods": "5", "cpu": "1", "count/configmaps": "40"})).await;
    admin.post(PODS, &pod("a", json!({"requests": {"cpu": "500m"}}))).await.expect(201);
    let used = async || admin.get(&format!("{QUOTAS}/q")).await.expect(200)["status"]["used"].clone();
    assert_eq!(used().await, json!({"pods": "1", "cpu": "500m", "count/configmaps": "0"}));
    let refused = admin.post(PODS, &pod("b", json!({"requests": {"cpu": "600m"}}))).await.expect(403);
    assert_eq!(
        refused["message"],
        "pods \"b\" is forbidden: exceeded quota: q, requested: cpu=600m, used: cpu=500m, limited: cpu=1"
    );
    let silent = admin.post(PODS, &pod("b", json!({}))).await.expect(403);
    assert_eq!(silent["message"], "pods \"b\" is forbidden: failed quota: q: must specify cpu for: c");
    admin
        .post(&format!("{PODS}?dryRun=All"), &pod("b", json!({"requests": {"cpu": "1m"}})))
        .await
        .expect(201);
    assert_eq!(used().await["pods"], "1", "a dry run is not charged");
    // Each room is given once, however many ask at the same time, and nobody has to ask again.
    let maps = "/api/v1/namespaces/default/configmaps";
    let asks = (0..64).map(|n| {
        let (admin, name) = (admin.clone(), format!("m{n}"));
        async move {
            let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
            admin.post(maps, &map).await.code.as_u16()
        }
    });
    let codes = join_all(asks).await;
    let counted = |code: u16| codes.iter().filter(|c| **c == code).count();
    assert_eq!((counted(201), counted(403)), (40, 24), "{codes:?}");
    assert_eq!(used().await["count/configmaps"], "40");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_fill_in_and_refuse() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let limit = json!({
        "type": "Container", "default": {"cpu": "500m"}, "defaultRequest": {"cpu": "100m"}, "max": {"cpu": "1"},
    });
    let range = json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "r"}, "spec": {"limits": [limit]}});
    admin.post("/api/v1/namespaces/default/limitranges", &range).await.expect(201);
    let made = admin.post(PODS, &pod("a", json!({}))).await.expect(201);
    let expected = json!({"requests": {"cpu": "100m"}, "limits": {"cpu": "500m"}});
    assert_eq!(made["spec"]["containers"][0]["resources"], expected);
    let refused = admin.post(PODS, &pod("b", json!({"limits": {"cpu": "2"}}))).await.expect(403);
    let why = "pods \"b\" is forbidden: maximum cpu usage per Container is 1, but limit is 2";
    assert_eq!(refused["message"], why);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runtime_classes_give_pods_their_overhead_and_place() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let class = json!({
        "apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "sandboxed"}, "handler": "h",
        "overhead": {"podFixed": {"cpu": "10m"}},
        "scheduling": {"nodeSelector": {"kind": "sandbox"}, "tolerations": [{"key": "sandbox", "operator": "Exists"}]},
    });
    admin.post("/apis/node.k8s.io/v1/runtimeclasses", &class).await.expect(201);
    let of_class = |class: &str| {
        let mut pod = pod("p", json!({}));
        pod["spec"]["runtimeClassName"] = class.into();
        pod
    };
    let made = admin.post(PODS, &of_class("sandboxed")).await.expect(201);
    assert_eq!(made["spec"]["overhead"], json!({"cpu": "10m"}));
    assert_eq!(made["spec"]["nodeSelector"], json!({"kind": "sandbox"}));
    assert_eq!(made["spec"]["tolerations"].as_array().unwrap().len(), 3);
    let refused = admin.post(PODS, &of_class("none")).await.expect(403);
    let why = "pods \"p\" is forbidden: pod rejected: RuntimeClass \"none\" not found";
    assert_eq!(refused["message"], why);
    let mut elsewhere = of_class("sandboxed");
    elsewhere["spec"]["nodeSelector"] = json!({"kind": "other"});
    admin.post(PODS, &elsewhere).await.expect(403);
    let mut heavier = of_class("sandboxed");
    heavier["spec"]["overhead"] = json!({"cpu": "20m"});
    admin.post(PODS, &heavier).await.expect(403);
    let mut unclassed = pod("p", json!({}));
    unclassed["spec"]["overhead"] = json!({"cpu": "20m"});
    admin.post(PODS, &unclassed).await.expect(403);
    cluster.stop().await;
}
