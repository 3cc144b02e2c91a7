//! Watches, against a real store.

use crate::support::{Client, Cluster};
use serde_json::{Value, json};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

async fn map(admin: &Client, name: &str, color: &str) -> Value {
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"color": color}},
    });
    admin.post(MAPS, &object).await.expect(201)
}

fn words(events: &[Value]) -> Vec<(String, String)> {
    let word = |e: &Value| {
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        (text(&e["type"]), text(&e["object"]["metadata"]["name"]))
    };
    events.iter().map(word).collect()
}

fn expected(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_in_order_and_selectors_decide_what_they_mean() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let first = map(&admin, "a", "red").await;
    let from = first["metadata"]["resourceVersion"].as_str().unwrap();
    admin.merge(&format!("{MAPS}/a"), &json!({"metadata": {"labels": {"color": "blue"}}})).await.expect(200);
    admin.merge(&format!("{MAPS}/a"), &json!({"metadata": {"labels": {"color": "red"}}})).await.expect(200);
    admin.merge(&format!("{MAPS}/a"), &json!({"data": {"x": "y"}})).await.expect(200);
    admin.delete(&format!("{MAPS}/a")).await.expect(200);
    let all = admin.watch(&format!("{MAPS}?watch=1&resourceVersion={from}"), |e| e.len() == 4).await;
    let list = [("MODIFIED", "a"), ("MODIFIED", "a"), ("MODIFIED", "a"), ("DELETED", "a")];
    assert_eq!(words(&all), expected(&list));
    let red = format!("{MAPS}?watch=1&resourceVersion={from}&labelSelector=color%3Dred");
    let red = admin.watch(&red, |e| e.len() == 4).await;
    let list = [("DELETED", "a"), ("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")];
    assert_eq!(words(&red), expected(&list));
    // What left the selection is shown as it last matched, at the revision of the change.
    assert_eq!(red[0]["object"]["metadata"]["labels"]["color"], "red");
    assert_eq!(
        red[0]["object"]["metadata"]["resourceVersion"],
        all[0]["object"]["metadata"]["resourceVersion"]
    );
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn initial_events_end_with_a_bookmark() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    map(&admin, "a", "red").await;
    map(&admin, "b", "red").await;
    let path = format!(
        "{MAPS}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    );
    let events = admin.watch(&path, |e| e.len() == 3).await;
    assert_eq!(words(&events[..2]), expected(&[("ADDED", "a"), ("ADDED", "b")]));
    assert_eq!(events[2]["type"], "BOOKMARK");
    assert_eq!(events[2]["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    let plain = admin.watch(&format!("{MAPS}?watch=1"), |e| e.len() == 2).await;
    assert_eq!(words(&plain), expected(&[("ADDED", "a"), ("ADDED", "b")]));
    admin.get(&format!("{MAPS}?watch=1&sendInitialEvents=true")).await.expect(422);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_object_is_watched_by_its_name() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let from = map(&admin, "a", "red").await["metadata"]["resourceVersion"].clone();
    map(&admin, "ab", "red").await;
    admin.merge(&format!("{MAPS}/a"), &json!({"data": {"x": "y"}})).await.expect(200);
    let path =
        format!("{MAPS}?watch=1&resourceVersion={}&fieldSelector=metadata.name%3Da", from.as_str().unwrap());
    let events = admin.watch(&path, |e| !e.is_empty()).await;
    assert_eq!(words(&events), expected(&[("MODIFIED", "a")]));
    let initial = format!("{MAPS}?watch=1&fieldSelector=metadata.name%3Da");
    assert_eq!(words(&admin.watch(&initial, |e| !e.is_empty()).await), expected(&[("ADDED", "a")]));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_end_by_time_and_old_versions_are_gone() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let none = admin.watch(&format!("{MAPS}?watch=1&timeoutSeconds=1"), |_| false).await;
    assert!(none.is_empty());
    cluster.stop().await;
}
