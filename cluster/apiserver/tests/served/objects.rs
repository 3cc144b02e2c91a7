//! The verbs on stored objects, against a real store.

use crate::support::{Cluster, JSON};
use serde_json::{Value, json};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn config_map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"k": value}})
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_live_and_change() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let made = admin.post(MAPS, &config_map("a", "1")).await.expect(201);
    assert_eq!(made["metadata"]["namespace"], "default");
    assert!(made["metadata"]["uid"].is_string() && made["metadata"]["creationTimestamp"].is_string());
    let again = admin.post(MAPS, &config_map("a", "1")).await;
    assert_eq!(again.expect(409)["reason"], "AlreadyExists");
    let path = format!("{MAPS}/a");
    let read = admin.get(&path).await.expect(200);
    assert_eq!(read, made);

    // A PUT of the version that was read succeeds once.
    let mut next = read.clone();
    next["data"]["k"] = "2".into();
    let updated = admin.put(&path, &next).await.expect(200);
    assert_ne!(updated["metadata"]["resourceVersion"], read["metadata"]["resourceVersion"]);
    assert_eq!(admin.put(&path, &next).await.expect(409)["reason"], "Conflict");
    // Without a version it is unconditional; without a change nothing is written.
    next["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    let same = admin.put(&path, &next).await.expect(200);
    assert_eq!(same["metadata"]["resourceVersion"], updated["metadata"]["resourceVersion"]);

    let merged = admin.merge(&path, &json!({"data": {"k": null, "l": "3"}})).await.expect(200);
    assert_eq!(merged["data"], json!({"l": "3"}));
    let patch = json!([{"op": "add", "path": "/data/m", "value": "4"}]).to_string();
    let headers = [("content-type", "application/json-patch+json")];
    let patched = admin.request(http::Method::PATCH, &path, &headers, &patch).await.expect(200);
    assert_eq!(patched["data"], json!({"l": "3", "m": "4"}));

    let status = admin.delete(&path).await.expect(200);
    assert_eq!((status["kind"].as_str(), status["status"].as_str()), (Some("Status"), Some("Success")));
    assert_eq!(status["details"]["uid"], made["metadata"]["uid"]);
    assert_eq!(admin.get(&path).await.expect(404)["reason"], "NotFound");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_merges_and_finds_conflicts() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let headers = [("content-type", "application/apply-patch+yaml")];
    let apply = |manager: &str, force: bool, value: &str| {
        let path = format!("{MAPS}/a?fieldManager={manager}&force={force}");
        let body = config_map("a", value).to_string();
        let admin = admin.clone();
        async move { admin.request(http::Method::PATCH, &path, &headers, &body).await }
    };
    apply("one", false, "1").await.expect(201);
    apply("one", false, "2").await.expect(200);
    let conflict = apply("two", false, "3").await.expect(409);
    assert_eq!(conflict["details"]["causes"][0]["reason"], "FieldManagerConflict");
    let forced = apply("two", true, "3").await.expect(200);
    assert_eq!(forced["data"]["k"], "3");
    let path = format!("{MAPS}/a");
    assert_eq!(admin.request(http::Method::PATCH, &path, &headers, "{}").await.code, 422);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_generated_and_dry_runs_leave_nothing() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let mut object = config_map("x", "1");
    object["metadata"] = json!({"generateName": "g-"});
    let one = admin.post(MAPS, &object).await.expect(201);
    let two = admin.post(MAPS, &object).await.expect(201);
    assert_ne!(one["metadata"]["name"], two["metadata"]["name"]);
    assert!(one["metadata"]["name"].as_str().unwrap().starts_with("g-"));
    let dry = format!("{MAPS}?dryRun=All");
    admin.post(&dry, &config_map("dry", "1")).await.expect(201);
    admin.get(&format!("{MAPS}/dry")).await.expect(404);
    admin.post(MAPS, &config_map("real", "1")).await.expect(201);
    admin.post(&dry, &config_map("real", "1")).await.expect(409);
    admin.delete(&format!("{MAPS}/real?dryRun=All")).await.expect(200);
    admin.get(&format!("{MAPS}/real")).await.expect(200);
    admin.post(&format!("{MAPS}?dryRun=some"), &config_map("y", "1")).await.expect(400);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_come_in_pages_of_one_revision() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    for n in 0..5 {
        let mut map = config_map(&format!("m{n}"), "1");
        map["metadata"]["labels"] = json!({"odd": (n % 2 == 1).to_string()});
        admin.post(MAPS, &map).await.expect(201);
    }
    let names = |list: &Value| -> Vec<String> {
        let items = list["items"].as_array().unwrap().iter();
        items.map(|i| i["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    };
    let first = admin.get(&format!("{MAPS}?limit=2")).await.expect(200);
    assert_eq!(names(&first), ["m0", "m1"]);
    assert_eq!(first["metadata"]["remainingItemCount"], 3);
    // A new object does not show in the pages that follow.
    admin.post(MAPS, &config_map("m9", "1")).await.expect(201);
    let token = first["metadata"]["continue"].as_str().unwrap();
    let second = admin.get(&format!("{MAPS}?limit=9&continue={token}")).await.expect(200);
    assert_eq!(names(&second), ["m2", "m3", "m4"]);
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    let odd = admin.get(&format!("{MAPS}?labelSelector=odd%3Dtrue")).await.expect(200);
    assert_eq!(names(&odd), ["m1", "m3"]);
    let named = admin.get(&format!("{MAPS}?fieldSelector=metadata.name%3Dm3")).await.expect(200);
    assert_eq!(names(&named), ["m3"]);
    let version = first["metadata"]["resourceVersion"].as_str().unwrap();
    let exact = format!("{MAPS}?resourceVersion={version}&resourceVersionMatch=Exact");
    assert_eq!(names(&admin.get(&exact).await.expect(200)), ["m0", "m1", "m2", "m3", "m4"]);
    admin.get(&format!("{MAPS}?resourceVersion=99999999&resourceVersionMatch=Exact")).await.expect(504);
    let gone = admin.delete(&format!("{MAPS}?labelSelector=odd")).await.expect(200);
    assert_eq!(gone["items"].as_array().unwrap().len(), 5);
    assert_eq!(names(&admin.get(MAPS).await.expect(200)), ["m9"]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_goes_on_after_its_revision_has_expired() {
    let limits = store::Limits { history_events: 4, ..store::Limits::default() };
    let cluster = Cluster::start_within(limits).await;
    let admin = cluster.admin();
    for n in 0..5 {
        admin.post(MAPS, &config_map(&format!("m{n}"), "1")).await.expect(201);
    }
    let first = admin.get(&format!("{MAPS}?limit=2")).await.expect(200);
    let token = first["metadata"]["continue"].as_str().unwrap();
    for n in 0..8 {
        admin.merge(&format!("{MAPS}/m4"), &json!({"data": {"k": n.to_string()}})).await.expect(200);
    }
    let expired = admin.get(&format!("{MAPS}?limit=2&continue={token}")).await.expect(410);
    assert_eq!(expired["reason"], "Expired");
    // What the refusal offers goes on in the newest state, and further pages stay there.
    let token = expired["metadata"]["continue"].as_str().unwrap();
    let second = admin.get(&format!("{MAPS}?limit=2&continue={token}")).await.expect(200);
    assert_ne!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    assert_eq!(second["items"][0]["metadata"]["name"], "m2");
    assert_eq!(second["metadata"]["remainingItemCount"], 1);
    let token = second["metadata"]["continue"].as_str().unwrap();
    let third = admin.get(&format!("{MAPS}?limit=2&continue={token}")).await.expect(200);
    assert_eq!(third["metadata"]["resourceVersion"], second["metadata"]["resourceVersion"]);
    assert_eq!(third["items"][0]["data"]["k"], "7");
    admin.get(&format!("{MAPS}?continue=nonsense")).await.expect(400);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_refused_with_reasons() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    admin.get("/api/v1/nonsense").await.expect(404);
    admin.get("/nonsense").await.expect(404);
    admin.post("/api/v1/namespaces/none/configmaps", &config_map("a", "1")).await.expect(404);
    let xml = [("content-type", "text/xml")];
    assert_eq!(admin.request(http::Method::POST, MAPS, &xml, "<x/>").await.code, 415);
    let big = "x".repeat(4 << 20);
    assert_eq!(admin.request(http::Method::POST, MAPS, &JSON, &big).await.code, 413);
    let large = config_map("large", &"x".repeat(2 << 20));
    assert!(matches!(admin.post(MAPS, &large).await.code.as_u16(), 413 | 422));
    let mut unknown = config_map("u", "1");
    unknown["nonsense"] = 1.into();
    let warned = admin.post(&format!("{MAPS}?fieldValidation=Warn"), &unknown).await;
    assert_eq!(warned.code, 201);
    assert!(warned.headers["warning"].to_str().unwrap().contains(r#"unknown field \"nonsense\""#));
    admin.post(&format!("{MAPS}?fieldValidation=Strict"), &unknown).await.expect(400);
    admin.put(&format!("{MAPS}/other"), &config_map("u", "1")).await.expect(400);
    admin.delete("/api/v1/namespaces/default").await.expect(403);
    assert_eq!(admin.put("/api/v1/namespaces/default/pods", &json!({})).await.code, 405);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_metadata_and_documents() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let get = || http::Method::GET;
    let accept = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let table = admin.request(get(), "/api/v1/namespaces", &accept, "").await.expect(200);
    assert_eq!(table["kind"], "Table");
    assert!(table["rows"].as_array().unwrap().len() >= 4);
    let accept = [("accept", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io")];
    let list = admin.request(get(), "/api/v1/namespaces", &accept, "").await.expect(200);
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert!(list["items"][0].get("spec").is_none());
    let accept = [("accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")];
    let discovery = admin.request(get(), "/apis", &accept, "").await;
    assert_eq!(discovery.expect(200)["kind"], "APIGroupDiscoveryList");
    for path in
        ["/api", "/apis", "/api/v1", "/apis/apps", "/apis/apps/v1", "/version", "/openapi/v2", "/openapi/v3"]
    {
        admin.get(path).await.expect(200);
    }
    let index = admin.get("/openapi/v3").await.expect(200);
    let url = index["paths"]["apis/apps/v1"]["serverRelativeURL"].as_str().unwrap().to_owned();
    admin.get(&url).await.expect(200);
    let ready = admin.get("/readyz?verbose").await;
    assert!(
        ready.text.contains("[+]ping ok") && ready.text.contains("readyz check passed"),
        "{}",
        ready.text
    );
    assert_eq!(admin.get("/readyz/ping").await.text, "ok");
    admin.get("/readyz/nonsense").await.expect(404);
    let metrics = admin.get("/metrics").await.text;
    for name in
        ["apiserver_request_total", "apiserver_request_duration_seconds_bucket", "apiserver_storage_objects"]
    {
        assert!(metrics.contains(name), "{name}");
    }
    cluster.stop().await;
}
