//! What an administrator does with the store: its members, its snapshots.

use crate::support::Cluster;
use http::Method;
use serde_json::json;

const MEMBERS: &str = "/trireme/v1/members";

#[tokio::test(flavor = "multi_thread")]
async fn members_are_listed_and_unsafe_changes_refused() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let told = admin.get(MEMBERS).await.expect(200);
    let me = told["members"][0].clone();
    assert_eq!(
        (&me["voter"], &me["leader"], &me["behind"]),
        (&json!(true), &json!(true), &json!(0)),
        "{told}"
    );
    assert_eq!(told["problem"], json!(null));
    let own = format!("{MEMBERS}/{}", me["id"]);
    let refused = admin.delete(&own).await.expect(422);
    assert!(refused["message"].to_string().contains("last one that votes"), "{refused}");
    let refused = admin.post(&format!("{MEMBERS}/99/promote"), &json!({})).await.expect(422);
    assert!(refused["message"].to_string().contains("add it first"), "{refused}");
    admin.post(&format!("{own}/lead"), &json!({})).await.expect(200);
    let refused = admin.post(&format!("{MEMBERS}/99/lead"), &json!({})).await.expect(422);
    assert!(refused["message"].to_string().contains("does not vote"), "{refused}");
    admin.post(&format!("{MEMBERS}/x/promote"), &json!({})).await.expect(400);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_streamed_whole() {
    let cluster = Cluster::start().await;
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept"}});
    cluster.admin().post("/api/v1/namespaces/default/configmaps", &object).await.expect(201);
    let request = http::Request::get("/trireme/v1/snapshot").body(http_body_util::Full::default()).unwrap();
    let response = cluster.admin().send(request).await;
    assert_eq!(response.status(), 200);
    let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("saved");
    std::fs::write(&file, &body).unwrap();
    let summary = store::offline::verify(&file).unwrap();
    assert!(summary.objects > 1 && summary.voters.len() == 1, "{summary:?}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_administrator_may() {
    let cluster = Cluster::start().await;
    let user = cluster.user("alice", &["system:authenticated"]);
    for (method, path) in [
        (Method::GET, MEMBERS),
        (Method::POST, MEMBERS),
        (Method::DELETE, "/trireme/v1/members/1"),
        (Method::POST, "/trireme/v1/members/1/lead"),
        (Method::GET, "/trireme/v1/snapshot"),
    ] {
        user.request(method, path, &[], "{}").await.expect(403);
    }
    cluster.stop().await;
}
