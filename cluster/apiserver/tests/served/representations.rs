//! One object in many forms: protobuf, YAML, tables, metadata alone, compressed.

use std::io::Read as _;

use api::protobuf::{PROTOBUF, from_json, to_json};
use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

use crate::support::{Client, Cluster, JSON};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const ACCEPT: [(&str, &str); 1] = [("accept", PROTOBUF)];
const BOTH: [(&str, &str); 2] = [("accept", PROTOBUF), ("content-type", PROTOBUF)];
const METADATA: &str = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const METADATA_LIST: &str =
    "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

fn config_map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"k": value}})
}

/// A request with protobuf on both ways.
async fn exchange(client: &Client, method: Method, path: &str, body: &Value) -> (StatusCode, Value) {
    let body = if body.is_null() { Bytes::new() } else { from_json(body.to_string().as_bytes()).unwrap() };
    let (parts, bytes) = client.bytes(method, path, &BOTH, body).await;
    assert_eq!(parts.headers["content-type"], PROTOBUF, "{path}");
    (parts.status, decoded(&bytes))
}

fn decoded(bytes: &[u8]) -> Value {
    serde_json::from_slice(&to_json(bytes).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn protobuf_both_ways() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let (code, made) = exchange(&admin, Method::POST, MAPS, &config_map("a", "1")).await;
    assert_eq!((code.as_u16(), &made["data"]["k"]), (201, &json!("1")));
    let path = format!("{MAPS}/a");
    let read = admin.get(&path).await.expect(200);
    assert_eq!(read["metadata"]["managedFields"], made["metadata"]["managedFields"]);
    assert_eq!(exchange(&admin, Method::GET, &path, &Value::Null).await.1, made);
    let mut next = made.clone();
    next["data"]["k"] = "2".into();
    let (code, updated) = exchange(&admin, Method::PUT, &path, &next).await;
    assert_eq!((code.as_u16(), &updated["data"]["k"]), (200, &json!("2")));
    let headers = [("accept", PROTOBUF), ("content-type", "application/merge-patch+json")];
    let patch = Bytes::from_static(br#"{"data":{"l":"3"}}"#);
    let (_, patched) = admin.bytes(Method::PATCH, &path, &headers, patch).await;
    assert_eq!(decoded(&patched)["data"], json!({"k": "2", "l": "3"}));
    let (code, list) = exchange(&admin, Method::GET, MAPS, &Value::Null).await;
    assert_eq!((code.as_u16(), &list["kind"]), (200, &json!("ConfigMapList")));
    assert_eq!(list["items"][0]["data"]["k"], "2");
    let (code, conflict) = exchange(&admin, Method::PUT, &path, &made).await;
    assert_eq!((code.as_u16(), &conflict["reason"]), (409, &json!("Conflict")));
    let options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": "other"}});
    assert_eq!(exchange(&admin, Method::DELETE, &path, &options).await.0, 409);
    let (code, status) = exchange(&admin, Method::DELETE, &path, &Value::Null).await;
    assert_eq!((code.as_u16(), &status["status"]), (200, &json!("Success")));
    let (code, missing) = exchange(&admin, Method::GET, &path, &Value::Null).await;
    assert_eq!((code.as_u16(), &missing["details"]["kind"]), (404, &json!("configmaps")));
    cluster.stop().await;
}

/// Every built-in kind has a list that can be answered in protobuf.
#[tokio::test(flavor = "multi_thread")]
async fn every_builtin_list_has_a_protobuf_form() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let mut count = 0;
    for resource in api::Registry::builtin().iter().filter(|r| r.is_stored() && r.allows("list")) {
        let base = match resource.group.as_str() {
            "" => "/api/v1".to_owned(),
            group => format!("/apis/{group}/{}", resource.version),
        };
        let path = format!("{base}/{}", resource.plural);
        let (parts, bytes) = admin.bytes(Method::GET, &path, &ACCEPT, Bytes::new()).await;
        assert_eq!(parts.status, 200, "{path}");
        assert_eq!(decoded(&bytes)["kind"], resource.list_kind, "{path}");
        count += 1;
    }
    assert!(count > 50, "{count}");
    cluster.stop().await;
}

/// Reads the frames of a protobuf watch until there are so many: the word and the object.
async fn frames(client: &Client, path: &str, accept: &str, enough: usize) -> Vec<(String, Value)> {
    let request = http::Request::get(path).header("accept", accept).body(Full::new(Bytes::new())).unwrap();
    let response = client.send(request).await;
    assert_eq!(response.headers()["content-type"], "application/vnd.kubernetes.protobuf;stream=watch");
    let (mut body, mut buffer, mut found) = (response.into_body(), Vec::new(), Vec::new());
    let reading = async {
        while found.len() < enough {
            let Some(frame) = body.frame().await else { break };
            buffer.extend_from_slice(&frame.unwrap().into_data().unwrap());
            while let Some((head, rest)) = buffer.split_first_chunk::<4>() {
                let length = u32::from_be_bytes(*head) as usize;
                if rest.len() < length {
                    break;
                }
                let event: Vec<u8> = buffer.drain(..4 + length).skip(4).collect();
                let word = String::from_utf8(event[2..2 + usize::from(event[1])].to_vec()).unwrap();
                let object = event.windows(4).position(|w| w == b"k8s\0").unwrap();
                found.push((word, decoded(&event[object..])));
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), reading).await.expect("frames within 20 s");
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_in_protobuf() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let first = admin.post(MAPS, &config_map("a", "1")).await.expect(201);
    let from = first["metadata"]["resourceVersion"].as_str().unwrap();
    admin.merge(&format!("{MAPS}/a"), &json!({"data": {"k": "2"}})).await.expect(200);
    admin.delete(&format!("{MAPS}/a")).await.expect(200);
    let path = format!("{MAPS}?watch=1&resourceVersion={from}");
    for (accept, kind) in [(PROTOBUF, "ConfigMap"), (METADATA, "PartialObjectMetadata")] {
        let events = frames(&admin, &path, accept, 2).await;
        let words: Vec<&str> = events.iter().map(|(word, _)| word.as_str()).collect();
        assert_eq!(words, ["MODIFIED", "DELETED"]);
        for (_, object) in &events {
            assert_eq!((&object["kind"], &object["metadata"]["name"]), (&json!(kind), &json!("a")));
            assert_eq!(object.get("data").is_some(), kind == "ConfigMap");
        }
    }
    let initial = format!(
        "{MAPS}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    );
    let events = frames(&admin, &initial, "application/vnd.kubernetes.protobuf;stream=watch", 1).await;
    assert_eq!(events[0].0, "BOOKMARK");
    assert_eq!(events[0].1["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    let yaml = [("accept", "application/yaml")];
    assert_eq!(admin.request(Method::GET, &path, &yaml, "").await.code, 406);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_lists_in_protobuf_are_measured_and_streamed() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let value = "x".repeat(1 << 20);
    for n in 0..6 {
        admin.post(MAPS, &config_map(&format!("m{n}"), &value)).await.expect(201);
    }
    let (parts, plain) = admin.bytes(Method::GET, MAPS, &ACCEPT, Bytes::new()).await;
    assert!(parts.headers.get("content-encoding").is_none());
    let list = decoded(&plain);
    let names: Vec<&str> =
        list["items"].as_array().unwrap().iter().filter_map(|i| i["metadata"]["name"].as_str()).collect();
    assert_eq!(names, ["m0", "m1", "m2", "m3", "m4", "m5"]);
    assert!(list["items"].as_array().unwrap().iter().all(|i| i["data"]["k"] == value.as_str()));
    let headers = [("accept", PROTOBUF), ("accept-encoding", "gzip")];
    for (path, size) in [(MAPS.to_owned(), 6 << 20), (format!("{MAPS}/m0"), 1 << 20)] {
        let (parts, packed) = admin.bytes(Method::GET, &path, &headers, Bytes::new()).await;
        assert_eq!(parts.headers["content-encoding"], "gzip");
        assert!(packed.len() < size / 50, "{}", packed.len());
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut unpacked).unwrap();
        assert!(decoded(&unpacked)["kind"].as_str().unwrap().starts_with("ConfigMap"));
    }
    let (parts, list) = admin.bytes(Method::GET, MAPS, &[("accept", METADATA_LIST)], Bytes::new()).await;
    assert_eq!((parts.status.as_u16(), list.len() < 10_000), (200, true));
    assert_eq!(decoded(&list)["items"].as_array().unwrap().len(), 6);
    assert_eq!(admin.bytes(Method::GET, MAPS, &[("accept", METADATA)], Bytes::new()).await.0.status, 406);
    cluster.stop().await;
}

/// A list; rows of a table without their last cell, the age.
fn ageless(bytes: &[u8]) -> Value {
    let mut list: Value = serde_json::from_slice(bytes).unwrap();
    for row in list["rows"].as_array_mut().into_iter().flatten() {
        assert_eq!(row["cells"].as_array_mut().unwrap().drain(2..).count(), 1);
    }
    list
}

/// Tables and metadata of many objects are made row by row, and are what a small list would have been.
#[tokio::test(flavor = "multi_thread")]
async fn large_tables_and_metadata_are_streamed() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let value = "x".repeat(100 << 10);
    for n in 0..5 {
        admin.post(MAPS, &config_map(&format!("m{n}"), &value)).await.expect(201);
    }
    for (form, rows, whole) in [
        ("application/json;as=Table;g=meta.k8s.io;v=v1", "rows", "object"),
        ("application/json;as=Table;g=meta.k8s.io;v=v1beta1", "rows", "object"),
        ("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", "items", ""),
        ("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1beta1", "items", ""),
    ] {
        let (parts, plain) = admin.bytes(Method::GET, MAPS, &[("accept", form)], Bytes::new()).await;
        assert_eq!((parts.status, parts.headers.get("content-encoding")), (StatusCode::OK, None));
        let list = ageless(&plain);
        let version = format!("meta.k8s.io/{}", form.rsplit('=').next().unwrap());
        assert_eq!(list["apiVersion"], version.as_str());
        let headers = [("accept", form), ("accept-encoding", "gzip")];
        let (parts, packed) = admin.bytes(Method::GET, MAPS, &headers, Bytes::new()).await;
        assert_eq!(parts.headers["content-encoding"], "gzip");
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut unpacked).unwrap();
        assert_eq!(ageless(&unpacked), list);
        // One by one they are too small to be streamed.
        for n in 0..5 {
            let name = format!("{MAPS}?fieldSelector=metadata.name=m{n}");
            let (_, one) = admin.bytes(Method::GET, &name, &[("accept", form)], Bytes::new()).await;
            let one = ageless(&one);
            assert_eq!(one[rows][0], list[rows][n]);
            let object = if whole.is_empty() { &list[rows][n] } else { &list[rows][n][whole] };
            assert_eq!(
                (&object["apiVersion"], &object["kind"]),
                (&json!(version), &json!("PartialObjectMetadata"))
            );
            assert_eq!(one["columnDefinitions"], list["columnDefinitions"]);
        }
    }
    let two = admin.delete(&format!("{MAPS}?limit=2")).await.expect(200);
    assert_eq!(two["items"].as_array().unwrap().len(), 2);
    let left = admin.get(MAPS).await.expect(200);
    assert_eq!(left["items"][0]["metadata"]["name"], "m2");
    cluster.stop().await;
}

const WIDGETS: &str = "/apis/example.com/v1/namespaces/default/widgets";

async fn define_widgets(admin: &Client) {
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true}}}],
        },
    });
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let (code, made) = exchange(admin, Method::POST, path, &definition).await;
    let version = &made["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    assert_eq!((code.as_u16(), &version["type"]), (201, &json!("object")));
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while admin.get(WIDGETS).await.code != 200 {
        assert!(tokio::time::Instant::now() < deadline, "the definition was never served");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn custom_resources_have_only_metadata_in_protobuf() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    define_widgets(&admin).await;
    let widget = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}});
    admin.post(WIDGETS, &widget).await.expect(201);
    let path = format!("{WIDGETS}/w");
    for path in [path.as_str(), WIDGETS, &format!("{WIDGETS}?watch=1&timeoutSeconds=1")] {
        let (parts, body) = admin.bytes(Method::GET, path, &ACCEPT, Bytes::new()).await;
        // The refusal itself is a Status, which has a form.
        assert_eq!((parts.status.as_u16(), decoded(&body)["reason"].as_str()), (406, Some("NotAcceptable")));
    }
    let either = format!("{PROTOBUF},application/json");
    let answer = admin.request(Method::GET, &path, &[("accept", &either)], "").await;
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.expect(200)["kind"], "Widget");
    let (_, body) = admin.bytes(Method::GET, &path, &[("accept", METADATA)], Bytes::new()).await;
    assert_eq!(decoded(&body)["metadata"]["name"], "w");
    let watch = format!("{WIDGETS}?watch=1&resourceVersion=0");
    assert_eq!(frames(&admin, &watch, METADATA, 1).await[0].1["kind"], "PartialObjectMetadata");
    let body = Bytes::from_static(b"k8s\0\x0a\x18\x0a\x0eexample.com/v1\x12\x06Widget\x12\0\x1a\0\x22\0");
    let (parts, _) = admin.bytes(Method::POST, WIDGETS, &[("content-type", PROTOBUF)], body).await;
    assert_eq!(parts.status, 400);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_yaml_and_what_is_not_acceptable() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let get = || Method::GET;
    let table = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let include = |what: &str| format!("/api/v1/namespaces?includeObject={what}");
    let row = |table: Value| table["rows"][0]["object"].clone();
    assert_eq!(row(admin.request(get(), &include("None"), &table, "").await.expect(200)), Value::Null);
    let object = row(admin.request(get(), &include("Object"), &table, "").await.expect(200));
    assert_eq!((&object["kind"], object["spec"].is_object()), (&json!("Namespace"), true));
    let metadata = row(admin.request(get(), &include("Metadata"), &table, "").await.expect(200));
    assert_eq!(metadata["kind"], "PartialObjectMetadata");
    admin.request(get(), &include("Other"), &table, "").await.expect(400);
    let beta = [("accept", "application/json;as=Table;v=v1beta1;g=meta.k8s.io")];
    let old = admin.request(get(), "/api/v1/namespaces", &beta, "").await.expect(200);
    assert_eq!(old["apiVersion"], "meta.k8s.io/v1beta1");
    // A review has no table, and the refusal can not be one either.
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}});
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let headers = [table[0], JSON[0]];
    let refused = admin.request(Method::POST, path, &headers, &review.to_string()).await.expect(406);
    assert_eq!((&refused["kind"], &refused["reason"]), (&json!("Status"), &json!("NotAcceptable")));
    let yaml = [("accept", "application/yaml"), ("content-type", "application/yaml")];
    let body = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: doc}\ndata:\n  k: |\n    one\n    two\n";
    let made = admin.request(Method::POST, MAPS, &yaml, body).await;
    assert_eq!(
        (made.code.as_u16(), &made.headers["content-type"]),
        (201, &"application/yaml".parse().unwrap())
    );
    assert!(made.text.contains("kind: ConfigMap"), "{}", made.text);
    assert_eq!(admin.get(&format!("{MAPS}/doc")).await.expect(200)["data"]["k"], "one\ntwo\n");
    let missing = admin.request(get(), &format!("{MAPS}/none"), &yaml, "").await;
    assert!(missing.code == 404 && missing.text.contains("reason: NotFound"), "{}", missing.text);
    let pretty = admin.get(&format!("{MAPS}/doc?pretty=true")).await;
    assert!(pretty.text.starts_with("{\n  \""), "{}", pretty.text);
    for accept in
        ["text/html", "application/json;as=Nonsense;g=meta.k8s.io;v=v1", "application/json;stream=x"]
    {
        let refused = admin.request(get(), MAPS, &[("accept", accept)], "").await;
        assert_eq!(
            (refused.code.as_u16(), &refused.body["reason"]),
            (406, &json!("NotAcceptable")),
            "{accept}"
        );
    }
    let weighted = [("accept", "text/html,application/yaml;q=0.2,application/json;q=0.7")];
    admin.request(get(), MAPS, &weighted, "").await.expect(200);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_not_sent_twice() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    for path in ["/openapi/v2", "/openapi/v3", "/openapi/v3/apis/apps/v1", "/api/v1"] {
        let first = admin.get(path).await;
        assert_eq!(first.code, 200, "{path}");
        let Some(tag) = first.headers.get("etag") else {
            assert_eq!(path, "/api/v1");
            continue;
        };
        let again = [("if-none-match", tag.to_str().unwrap())];
        let answer = admin.request(Method::GET, path, &again, "").await;
        assert_eq!((answer.code.as_u16(), answer.text.as_str()), (304, ""), "{path}");
        let other = admin.request(Method::GET, path, &[("if-none-match", "\"other\"")], "").await;
        assert_eq!(other.code, 200, "{path}");
    }
    let legacy = [("accept", "application/vnd.kubernetes.protobuf,application/json")];
    let (_, body) = admin.bytes(Method::GET, "/apis/apps/v1", &legacy, Bytes::new()).await;
    assert_eq!(decoded(&body)["groupVersion"], "apps/v1");
    cluster.stop().await;
}
