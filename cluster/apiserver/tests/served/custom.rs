//! Custom resources: what their definition says, in requests, in storage and on open watches.

use http::Method;
use serde_json::{Value, json};

use crate::support::converter::Converter;
use crate::support::{Answer, Client, Cluster};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// A definition of `PLURAL.example.com` in the versions given as (name, schema).
fn definition(plural: &str, kind: &str, versions: &[(&str, Value)]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .enumerate()
        .map(|(i, (name, schema))| {
            json!({"name": name, "served": true, "storage": i == 0, "schema": {"openAPIV3Schema": schema}})
        })
        .collect();
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.example.com")},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind}, "versions": versions,
        },
    })
}

fn object(version: &str, kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": format!("example.com/{version}"), "kind": kind, "metadata": {"name": name}, "spec": spec})
}

fn path(version: &str, plural: &str) -> String {
    format!("/apis/example.com/{version}/namespaces/default/{plural}")
}

async fn apply(client: &Client, path: &str, body: &str) -> Answer {
    let headers = [("content-type", "application/apply-patch+yaml")];
    client.request(Method::PATCH, path, &headers, body).await
}

async fn json_patch(client: &Client, path: &str, patch: Value) -> Answer {
    let headers = [("content-type", "application/json-patch+json")];
    client.request(Method::PATCH, path, &headers, &patch.to_string()).await
}

/// What an answer must come to: replicas and servers learn of a definition a moment after its writer.
async fn until(mut ask: impl AsyncFnMut() -> bool, what: &str) {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    while !ask().await {
        assert!(tokio::time::Instant::now() < deadline, "{what}");
        tokio::task::yield_now().await;
    }
}

fn open() -> Value {
    json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "a": {"type": "string"}, "b": {"type": "string"},
    }}}})
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_objects_are_read_as_their_definition_is_now() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    admin.post(DEFINITIONS, &definition("boats", "Boat", &[("v1", open())])).await.expect(201);
    let boats = path("v1", "boats");
    admin.post(&boats, &object("v1", "Boat", "one", json!({"b": "x"}))).await.expect(201);
    let one = format!("{boats}/one");
    let at = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
    let changed = json!([
        {"op": "add", "path": format!("{at}/a/default"), "value": "A"},
        {"op": "remove", "path": format!("{at}/b")},
    ]);
    let crd = format!("{DEFINITIONS}/boats.example.com");
    json_patch(&admin, &crd, changed).await.expect(200);
    let wanted = json!({"a": "A"});
    until(async || admin.get(&one).await.expect(200)["spec"] == wanted, "defaulted and pruned").await;
    let list = admin.get(&boats).await.expect(200);
    assert_eq!(list["items"][0]["spec"], wanted);
    let events = admin.watch(&format!("{boats}?watch=1"), |events| !events.is_empty()).await;
    assert_eq!(events[0]["object"]["spec"], wanted);
    // A default that was written stays when it is one no more.
    admin.post(&boats, &object("v1", "Boat", "two", json!({}))).await.expect(201);
    json_patch(&admin, &crd, json!([{"op": "remove", "path": format!("{at}/a/default")}])).await.expect(200);
    let two = format!("{boats}/two");
    until(async || admin.get(&one).await.expect(200)["spec"] != wanted, "no default").await;
    assert_eq!(admin.get(&two).await.expect(200)["spec"], wanted);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_definition_ends_the_watches() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    admin.post(DEFINITIONS, &definition("boats", "Boat", &[("v1", open())])).await.expect(201);
    let boats = path("v1", "boats");
    admin.post(&boats, &object("v1", "Boat", "one", json!({}))).await.expect(201);
    let (tell, open_now) = tokio::sync::oneshot::channel();
    let watching = {
        let (admin, path) = (admin.clone(), format!("{boats}?watch=1"));
        let mut tell = Some(tell);
        // Never enough: the stream itself must end.
        let enough = move |events: &[Value]| {
            if let Some(tell) = tell.take_if(|_| !events.is_empty()) {
                tell.send(()).unwrap();
            }
            false
        };
        tokio::spawn(async move { admin.watch(&path, enough).await })
    };
    open_now.await.unwrap();
    let crd = format!("{DEFINITIONS}/boats.example.com");
    admin.merge(&crd, &json!({"metadata": {"labels": {"a": "b"}}})).await.expect(200);
    let short = json!({"spec": {"names": {"shortNames": ["bt"]}}});
    admin.merge(&crd, &short).await.expect(200);
    let events = watching.await.unwrap();
    assert_eq!(events.len(), 1, "{events:?}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_taken_and_given_up() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let condition = |crd: &Value, kind: &str| {
        let list = crd["status"]["conditions"].as_array().unwrap().iter();
        list.filter(|c| c["type"] == kind).map(|c| (c["status"].clone(), c["reason"].clone())).next().unwrap()
    };
    let first = admin.post(DEFINITIONS, &definition("boats", "Boat", &[("v1", open())])).await.expect(201);
    assert_eq!(condition(&first, "Established"), (json!("True"), json!("InitialNamesAccepted")));
    let second = admin.post(DEFINITIONS, &definition("ships", "Boat", &[("v1", open())])).await.expect(201);
    assert_eq!(condition(&second, "NamesAccepted"), (json!("False"), json!("ListKindConflict")));
    assert_eq!(condition(&second, "Established"), (json!("False"), json!("NotAccepted")));
    assert_eq!(second["status"]["acceptedNames"]["plural"], "ships");
    assert_eq!(admin.get(&path("v1", "ships")).await.code, 404);
    admin.delete(&format!("{DEFINITIONS}/boats.example.com")).await.expect(200);
    let ships = format!("{DEFINITIONS}/ships.example.com");
    until(
        async || {
            let crd = admin.get(&ships).await.expect(200);
            condition(&crd, "Established").0 == "True" && admin.get(&path("v1", "ships")).await.code == 200
        },
        "the names are free",
    )
    .await;
    cluster.stop().await;
}

/// v1 says `hostPort`, v2 says `host` and `port`.
async fn hosts(cluster: &Cluster) -> Converter {
    let converter = Converter::start(&cluster.pki).await;
    let text = |names: &[&str]| {
        let fields = names.iter().map(|n| ((*n).to_owned(), json!({"type": "string"})));
        json!({"type": "object", "properties": {"spec": {"type": "object", "properties": fields.collect::<serde_json::Map<_, _>>()}}})
    };
    let versions = [("v1", text(&["hostPort"])), ("v2", text(&["host", "port"]))];
    let mut crd = definition("hosts", "Host", &versions);
    crd["spec"]["conversion"] = converter.conversion();
    crd["spec"]["versions"][0]["selectableFields"] = json!([{"jsonPath": ".spec.hostPort"}]);
    crd["spec"]["versions"][1]["selectableFields"] = json!([{"jsonPath": ".spec.host"}]);
    cluster.admin().post(DEFINITIONS, &crd).await.expect(201);
    converter
}

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|i| i["metadata"]["name"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_converts_between_versions() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let _converter = hosts(&cluster).await;
    let (v1, v2) = (path("v1", "hosts"), path("v2", "hosts"));
    let made = object("v2", "Host", "one", json!({"host": "a", "port": "80"}));
    let made = admin.post(&v2, &made).await.expect(201);
    let (tell, first) = tokio::sync::oneshot::channel();
    let watching = {
        let (admin, mut tell) = (admin.clone(), Some(tell));
        let watch = format!("{v2}?watch=1&fieldSelector=spec.host%3Da");
        let enough = move |events: &[Value]| {
            if let Some(tell) = tell.take_if(|_| !events.is_empty()) {
                tell.send(()).unwrap();
            }
            events.len() == 3
        };
        tokio::spawn(async move { admin.watch(&watch, enough).await })
    };
    first.await.unwrap();
    assert_eq!(
        (&made["spec"], &made["apiVersion"]),
        (&json!({"host": "a", "port": "80"}), &json!("example.com/v2"))
    );
    admin.post(&v1, &object("v1", "Host", "two", json!({"hostPort": "b:81"}))).await.expect(201);
    assert_eq!(admin.get(&format!("{v1}/one")).await.expect(200)["spec"], json!({"hostPort": "a:80"}));
    let list = admin.get(&v2).await.expect(200);
    assert_eq!(list["items"][1]["spec"], json!({"host": "b", "port": "81"}));
    let by_host = admin.get(&format!("{v2}?fieldSelector=spec.host%3Da")).await.expect(200);
    assert_eq!(names(&by_host), ["one"]);
    let stored = admin.get(&format!("{v1}?fieldSelector=spec.hostPort%3Db:81")).await.expect(200);
    assert_eq!(names(&stored), ["two"]);
    assert_eq!(admin.get(&format!("{v1}?fieldSelector=spec.host%3Da")).await.code, 400);
    // A patch works on the version it names.
    let patched = admin.merge(&format!("{v2}/two"), &json!({"spec": {"host": "a"}})).await.expect(200);
    assert_eq!(patched["spec"], json!({"host": "a", "port": "81"}));
    admin.merge(&format!("{v2}/one"), &json!({"spec": {"host": "c"}})).await.expect(200);
    let events = watching.await.unwrap();
    let seen: Vec<(&str, &str)> = events
        .iter()
        .map(|e| (e["type"].as_str().unwrap(), e["object"]["metadata"]["name"].as_str().unwrap()))
        .collect();
    assert_eq!(seen, [("ADDED", "one"), ("ADDED", "two"), ("DELETED", "one")]);
    assert_eq!(events[2]["object"]["spec"]["host"], "a");
    admin.delete(&format!("{v2}?fieldSelector=spec.host%3Dc")).await.expect(200);
    assert_eq!(names(&admin.get(&v1).await.expect(200)), ["two"]);
    cluster.stop().await;
}

/// The fields that a manager owns, in the version it wrote in.
fn owned<'o>(object: &'o Value, manager: &str) -> Option<(&'o str, &'o Value)> {
    let list = object["metadata"]["managedFields"].as_array()?;
    let entry = list.iter().find(|e| e["manager"] == manager)?;
    Some((entry["apiVersion"].as_str()?, &entry["fieldsV1"]["f:spec"]))
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_are_owned_in_the_version_of_their_writer() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let _converter = hosts(&cluster).await;
    let at = |version: &str, manager: &str, more: &str| {
        format!("{}/h?fieldManager={manager}{more}", path(version, "hosts"))
    };
    let first = object("v1", "Host", "h", json!({"hostPort": "a:80"})).to_string();
    apply(&admin, &at("v1", "old", ""), &first).await.expect(201);
    let second = object("v2", "Host", "h", json!({"host": "b"})).to_string();
    let conflict = apply(&admin, &at("v2", "new", ""), &second).await.expect(409);
    assert_eq!(conflict["message"], "Apply failed with 1 conflict: conflict with \"old\": .spec.hostPort");
    // What changes nothing takes nothing.
    let same = object("v2", "Host", "h", json!({"port": "80"})).to_string();
    let both = apply(&admin, &at("v2", "new", ""), &same).await.expect(200);
    assert_eq!(owned(&both, "old"), Some(("example.com/v1", &json!({"f:hostPort": {}}))));
    assert_eq!(owned(&both, "new"), Some(("example.com/v2", &json!({"f:port": {}}))));
    // Others' fields of the version of the request stay with them, too.
    let merged = admin.merge(&at("v1", "third", ""), &json!({"metadata": {"labels": {"a": "b"}}})).await;
    let merged = merged.expect(200);
    assert_eq!(owned(&merged, "new"), Some(("example.com/v2", &json!({"f:port": {}}))));
    let forced = apply(&admin, &at("v2", "new", "&force=true"), &second).await.expect(200);
    assert_eq!(forced["spec"]["host"], "b");
    assert_eq!(owned(&forced, "old"), None);
    // A change in v1 is a change of what it means in v2.
    let changed = admin.merge(&at("v1", "third", ""), &json!({"spec": {"hostPort": "c:81"}})).await;
    assert_eq!(owned(&changed.expect(200), "new"), None);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_webhook_may_not_do_is_refused() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let converter = hosts(&cluster).await;
    let v2 = path("v2", "hosts");
    let create = async |name: &str| {
        let made = object("v2", "Host", name, json!({"host": "a", "port": "80"}));
        let message = admin.post(&v2, &made).await.expect(500)["message"].clone();
        message.as_str().unwrap().to_owned()
    };
    for (mode, expected) in [
        ("renames", "returned invalid converted object at index 0: must have the same name"),
        ("refuses", "conversion webhook for example.com/v2, Kind=Host failed: no such host"),
        ("loses", "returned 0 objects, expected 1"),
        ("strays", "invalid groupVersion (expected example.com/v1, received example.com/v2)"),
    ] {
        converter.set(mode);
        let message = create("x").await;
        assert!(message.contains(expected), "{mode}: {message}");
    }
    // Labels may change, other metadata is put back.
    converter.set("labels");
    let mut made = object("v2", "Host", "y", json!({"host": "a", "port": "80"}));
    made["metadata"]["finalizers"] = json!(["example.com/keep"]);
    let made = admin.post(&v2, &made).await.expect(201);
    assert_eq!(made["metadata"]["labels"], json!({"converted": "true"}));
    assert_eq!(made["metadata"]["finalizers"], json!(["example.com/keep"]));
    converter.set("away");
    let message = admin.get(&format!("{v2}/y")).await.expect(500)["message"].clone();
    assert!(
        message.as_str().unwrap().contains("conversion webhook for example.com/v1, Kind=Host failed"),
        "{message}"
    );
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_are_validated_as_the_client_asks() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let schema = json!({"type": "object", "properties": {"spec": {
        "type": "object", "x-kubernetes-preserve-unknown-fields": true,
        "properties": {"foo": {"type": "string"}},
    }}});
    admin.post(DEFINITIONS, &definition("boats", "Boat", &[("v1", schema)])).await.expect(201);
    let boats = path("v1", "boats");
    let strict = |name: &str| format!("{boats}/{name}?fieldManager=m&fieldValidation=Strict");
    let head = "apiVersion: example.com/v1\nkind: Boat\nmetadata:\n  name: b\n";
    let twice =
        apply(&admin, &strict("b"), &format!("\n{head}spec:\n  unknown: u\n  foo: a\n  foo: b\n")).await;
    let message = twice.expect(400)["message"].clone();
    assert_eq!(
        message,
        "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n  line 9: key \"foo\" already set in map"
    );
    let unknown = apply(&admin, &strict("b"), &format!("{head}unknownField: x\nspec: {{foo: a}}\n")).await;
    let message = unknown.expect(500)["message"].clone();
    assert!(message.as_str().unwrap().ends_with(".unknownField: field not declared in schema"), "{message}");
    let wrong = apply(&admin, &strict("b"), &format!("{head}spec: {{foo: 1}}\n")).await;
    let message = wrong.expect(500)["message"].clone();
    assert!(
        message
            .as_str()
            .unwrap()
            .ends_with(".spec.foo: expected string, got &value.valueUnstructured{Value:1}"),
        "{message}"
    );
    let warned =
        apply(&admin, &format!("{boats}/b?fieldManager=m"), &format!("{head}spec:\n  foo: a\n  foo: b\n"))
            .await;
    assert!(
        warned.headers["warning"].to_str().unwrap().contains(r#"line 7: key \"foo\" already set in map"#)
    );
    assert_eq!(warned.expect(201)["spec"]["foo"], "b");
    let patch = r#"[{"op": "add", "path": "/x", "path": "/y", "value": 1}]"#;
    let headers = [("content-type", "application/json-patch+json")];
    let refused = admin.request(Method::PATCH, &strict("b"), &headers, patch).await.expect(422);
    let message = refused["message"].as_str().unwrap();
    assert!(message.starts_with(" \"\" is invalid: patch: Invalid value: "), "{message}");
    assert!(
        message
            .ends_with(r#"strict decoding error: json patch duplicate field "[0].path", unknown field "y""#),
        "{message}"
    );
    // Of a strategic patch the patch is quoted.
    let maps = "/api/v1/namespaces/default/configmaps";
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}});
    admin.post(maps, &map).await.expect(201);
    let headers = [("content-type", "application/strategic-merge-patch+json")];
    let patch = r#"{"spec": {"x": [1, null]}, "data": {"b": "2"}}"#;
    let path = format!("{maps}/m?fieldValidation=Strict");
    let refused = admin.request(Method::PATCH, &path, &headers, patch).await.expect(422);
    assert_eq!(
        refused["message"],
        r#" "" is invalid: patch: Invalid value: "map[data:map[b:2] spec:map[x:[1 <nil>]]]": strict decoding error: unknown field "spec""#
    );
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scale_can_be_applied() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let sets = "/apis/apps/v1/namespaces/default/replicasets";
    let set = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "r"},
        "spec": {
            "replicas": 1, "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
        },
    });
    apply(&admin, &format!("{sets}/r?fieldManager=owner"), &set.to_string()).await.expect(201);
    let scale = |n: u32| {
        json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "spec": {"replicas": n}}).to_string()
    };
    let at = |force: bool| format!("{sets}/r/scale?fieldManager=scaler&force={force}");
    let conflict = apply(&admin, &at(false), &scale(3)).await.expect(409);
    assert_eq!(conflict["message"], "Apply failed with 1 conflict: conflict with \"owner\": .spec.replicas");
    assert_eq!(apply(&admin, &at(true), &scale(3)).await.expect(200)["spec"]["replicas"], 3);
    let managers = admin.get(&format!("{sets}/r")).await.expect(200)["metadata"]["managedFields"].clone();
    let scaler = managers.as_array().unwrap().iter().find(|m| m["manager"] == "scaler").unwrap();
    assert_eq!(
        (&scaler["operation"], &scaler["subresource"], &scaler["fieldsV1"]),
        (&json!("Apply"), &json!("scale"), &json!({"f:spec": {"f:replicas": {}}}))
    );
    admin.merge(&format!("{sets}/r/scale"), &json!({"spec": {"replicas": 4}})).await.expect(200);
    let managers = admin.get(&format!("{sets}/r")).await.expect(200)["metadata"]["managedFields"].clone();
    let last = managers.as_array().unwrap().iter().find(|m| m["operation"] == "Update").unwrap();
    assert_eq!(last["subresource"], "scale");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_events_are_selected_by_what_they_regard() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let event = |name: &str, of: &str| {
        json!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": name},
            "regarding": {"kind": "Pod", "name": of, "namespace": "default"}, "reason": "Tested",
            "action": "Testing", "type": "Normal", "reportingController": "example.com/test",
            "reportingInstance": "one", "eventTime": "2026-01-01T00:00:00.000000Z",
        })
    };
    let (new, core) =
        ("/apis/events.k8s.io/v1/namespaces/default/events", "/api/v1/namespaces/default/events");
    admin.post(new, &event("e", "p")).await.expect(201);
    admin.post(new, &event("f", "q")).await.expect(201);
    let found = admin
        .get(&format!("{new}?fieldSelector=regarding.name%3Dq,reportingController%3Dexample.com/test"))
        .await;
    assert_eq!(names(&found.expect(200)), ["f"]);
    let found =
        admin.get(&format!("{core}?fieldSelector=involvedObject.name%3Dp,source%3Dexample.com/test")).await;
    assert_eq!(names(&found.expect(200)), ["e"]);
    let refused = admin.get(&format!("{new}?fieldSelector=involvedObject.name%3Dp")).await.expect(400);
    assert_eq!(refused["message"], "field label not supported: involvedObject.name");
    cluster.stop().await;
}
