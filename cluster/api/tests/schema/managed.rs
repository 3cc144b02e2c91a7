//! managedFields and server-side apply.

use std::sync::Arc;

use api::managed::{self, ApplyError, Writer};
use api::schema::{self, Schema};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::yaml;

fn kind(api_version: &str, kind: &str) -> Arc<Schema> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    schema::builtin(group, version, kind).unwrap()
}

fn schema_of(object: &Value) -> Arc<Schema> {
    let text = |name: &str| object[name].as_str().unwrap().to_string();
    kind(&text("apiVersion"), &text("kind"))
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn writer<'a>(manager: &'a str, object: &'a Value, second: i64) -> Writer<'a> {
    Writer {
        manager,
        api_version: object["apiVersion"].as_str().unwrap(),
        subresource: "",
        now: at(second),
        reset: &[&["status"]],
    }
}

fn apply(
    live: Option<&Value>,
    manager: &str,
    config: &Value,
    force: bool,
    second: i64,
) -> Result<Value, ApplyError> {
    let schema = schema_of(config);
    let writer = writer(manager, config, second);
    managed::apply(&schema, live, config.clone(), &writer, force)
}

fn update(live: Option<&Value>, manager: &str, new: &Value, second: i64) -> Value {
    let schema = schema_of(new);
    let mut tracked = new.clone();
    managed::update(&schema, live, &mut tracked, &writer(manager, new, second));
    tracked
}

/// The fieldsV1 of a manager.
fn fields(object: &Value, manager: &str) -> Value {
    let list = object["metadata"]["managedFields"].as_array();
    let entry = list.into_iter().flatten().find(|e| e["manager"] == manager);
    entry.map(|e| e["fieldsV1"].clone()).unwrap_or(Value::Null)
}

fn without_managers(object: &Value) -> Value {
    let mut object = object.clone();
    object["metadata"].as_object_mut().unwrap().remove("managedFields");
    object
}

fn config_map(data: &str) -> Value {
    let mut map = yaml("{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: d}}");
    map["data"] = yaml(data);
    map
}

fn conflicts(error: ApplyError) -> (String, Vec<(String, String)>) {
    match error {
        ApplyError::Conflicts { message, conflicts } => {
            let list = conflicts.into_iter().map(|c| (c.message, c.field));
            (message, list.collect())
        }
        other => panic!("not a conflict: {other}"),
    }
}

#[test]
fn a_created_deployment_is_owned_as_kubernetes_shows_it() {
    let deployment = yaml(
        "
apiVersion: apps/v1
kind: Deployment
metadata: {name: a, namespace: d, labels: {app: a}}
spec:
  replicas: 1
  selector: {matchLabels: {app: a}}
  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 25%, maxUnavailable: 25%}}
  template:
    metadata: {labels: {app: a}}
    spec:
      restartPolicy: Always
      securityContext: {}
      containers:
      - {name: c, image: i, resources: {}, ports: [{containerPort: 80, protocol: TCP}]}
      volumes:
      - {name: v, emptyDir: {}}
status: {}
",
    );
    let created = update(None, "kubectl-create", &deployment, 0);
    let expected = yaml(
        r#"
f:metadata: {f:labels: {".": {}, "f:app": {}}}
f:spec:
  f:replicas: {}
  f:selector: {}
  f:strategy: {"f:rollingUpdate": {".": {}, "f:maxSurge": {}, "f:maxUnavailable": {}}, "f:type": {}}
  f:template:
    f:metadata: {"f:labels": {".": {}, "f:app": {}}}
    f:spec:
      f:restartPolicy: {}
      f:securityContext: {}
      f:containers:
        'k:{"name":"c"}':
          .: {}
          f:name: {}
          f:image: {}
          f:resources: {}
          f:ports: {".": {}, 'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}, "f:protocol": {}}}
      f:volumes: {".": {}, 'k:{"name":"v"}': {".": {}, "f:emptyDir": {}, "f:name": {}}}
"#,
    );
    assert_eq!(fields(&created, "kubectl-create"), expected);
    let entry = &created["metadata"]["managedFields"][0];
    assert_eq!(entry["operation"], "Update");
    assert_eq!(entry["apiVersion"], "apps/v1");
    assert_eq!(entry["fieldsType"], "FieldsV1");
    assert_eq!(entry["time"], "2023-11-14T22:13:20Z");
}

#[test]
fn updates_take_ownership_and_only_changes_move_the_time() {
    let created = update(None, "one", &config_map("{a: x, b: v}"), 0);
    let mut changed = without_managers(&created);
    changed["data"] = json!({"a": "x", "b": "z", "c": "w"});
    let changed = update(Some(&created), "two", &changed, 5);
    assert_eq!(fields(&changed, "one"), yaml(r#"{"f:data": {".": {}, "f:a": {}}}"#));
    assert_eq!(fields(&changed, "two"), yaml(r#"{"f:data": {"f:b": {}, "f:c": {}}}"#));
    let again = update(Some(&changed), "three", &changed, 9);
    assert_eq!(again, changed);
    let mut removed = without_managers(&changed);
    removed["data"].as_object_mut().unwrap().remove("b");
    let removed = update(Some(&changed), "one", &removed, 20);
    assert_eq!(fields(&removed, "two"), yaml(r#"{"f:data": {"f:c": {}}}"#));
    let times: Vec<_> = removed["metadata"]["managedFields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| (e["manager"].as_str().unwrap(), e["time"].as_str().unwrap()))
        .collect();
    assert_eq!(times, [("one", "2023-11-14T22:13:20Z"), ("two", "2023-11-14T22:13:25Z")]);
}

#[test]
fn managed_fields_can_be_reset_and_not_be_lost_by_accident() {
    let created = update(None, "one", &config_map("{a: x}"), 0);
    let kept = update(Some(&created), "two", &without_managers(&created), 1);
    assert_eq!(kept, created);
    for reset in [json!([]), json!([{}])] {
        let mut bare = created.clone();
        bare["metadata"]["managedFields"] = reset;
        let bare = update(Some(&created), "two", &bare, 1);
        assert_eq!(bare, without_managers(&created));
        // And then nobody is tracked until the first apply.
        let mut changed = bare.clone();
        changed["data"]["a"] = json!("z");
        assert_eq!(update(Some(&bare), "three", &changed, 2), changed);
        let applied = apply(Some(&changed), "app", &config_map("{b: v}"), false, 3).unwrap();
        assert_eq!(fields(&applied, "before-first-apply"), yaml(r#"{"f:data": {".": {}, "f:a": {}}}"#));
    }
}

#[test]
fn apply_creates_merges_removes_and_stays_quiet() {
    let first = apply(None, "app", &config_map("{a: x, b: v}"), false, 0).unwrap();
    assert_eq!(without_managers(&first), config_map("{a: x, b: v}"));
    assert_eq!(fields(&first, "app"), yaml(r#"{"f:data": {"f:a": {}, "f:b": {}}}"#));
    let same = apply(Some(&first), "app", &config_map("{a: x, b: v}"), false, 5).unwrap();
    assert_eq!(same, first);
    let mut touched = without_managers(&first);
    touched["data"]["c"] = json!("other");
    let touched = update(Some(&first), "other", &touched, 6);
    let fewer = apply(Some(&touched), "app", &config_map("{a: x}"), false, 7).unwrap();
    assert_eq!(fewer["data"], json!({"a": "x", "c": "other"}));
    assert_eq!(fields(&fewer, "app"), yaml(r#"{"f:data": {"f:a": {}}}"#));
    assert_eq!(fields(&fewer, "other"), yaml(r#"{"f:data": {"f:c": {}}}"#));
}

#[test]
fn a_conflict_names_manager_and_field_and_force_takes_over() {
    let first = apply(None, "one", &config_map("{a: x, b: v}"), false, 0).unwrap();
    let error = apply(Some(&first), "two", &config_map("{a: z}"), false, 1).unwrap_err();
    let (message, list) = conflicts(error);
    assert_eq!(message, "Apply failed with 1 conflict: conflict with \"one\": .data.a");
    assert_eq!(list, [("conflict with \"one\"".into(), ".data.a".into())]);

    let mut changed = without_managers(&first);
    changed["data"]["b"] = json!("q");
    let changed = update(Some(&first), "editor", &changed, 2);
    let error = apply(Some(&changed), "two", &config_map("{a: z, b: z}"), false, 3).unwrap_err();
    let (message, _) = conflicts(error);
    assert_eq!(
        message,
        "Apply failed with 2 conflicts: conflicts with \"editor\" using v1:\n- .data.b\nconflicts with \"one\":\n- .data.a"
    );

    let forced = apply(Some(&first), "two", &config_map("{a: z}"), true, 1).unwrap();
    assert_eq!(forced["data"], json!({"a": "z", "b": "v"}));
    assert_eq!(fields(&forced, "one"), yaml(r#"{"f:data": {"f:b": {}}}"#));
    assert_eq!(fields(&forced, "two"), yaml(r#"{"f:data": {"f:a": {}}}"#));
}

#[test]
fn shared_fields_stay_until_the_last_owner_lets_go() {
    let one = apply(None, "one", &config_map("{a: x, b: v}"), false, 0).unwrap();
    let both = apply(Some(&one), "two", &config_map("{a: x}"), false, 1).unwrap();
    let left = apply(Some(&both), "one", &config_map("{b: v}"), false, 2).unwrap();
    assert_eq!(left["data"], json!({"a": "x", "b": "v"}));
    let gone = apply(Some(&left), "two", &config_map("{}"), false, 3).unwrap();
    assert_eq!(gone["data"], json!({"b": "v"}));
    // Left: the name of the empty map it still applies.
    assert_eq!(fields(&gone, "two"), yaml(r#"{"f:data": {}}"#));
}

fn pod(spec: &str) -> Value {
    let mut pod = yaml("{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: d}}");
    pod["spec"] = yaml(spec);
    pod
}

#[test]
fn list_items_have_owners_of_their_own() {
    let one = apply(None, "one", &pod("{containers: [{name: a, image: i}]}"), false, 0).unwrap();
    let two = pod("{containers: [{name: b, image: j}], tolerations: [{key: t}]}");
    let two = apply(Some(&one), "two", &two, false, 1).unwrap();
    assert_eq!(two["spec"]["containers"], json!([{"name": "a", "image": "i"}, {"name": "b", "image": "j"}]));
    assert_eq!(
        fields(&two, "two"),
        yaml(
            r#"{"f:spec": {"f:containers": {'k:{"name":"b"}': {".": {}, "f:image": {}, "f:name": {}}}, "f:tolerations": {}}}"#
        )
    );
    // Atomic lists conflict as a whole.
    let other = pod("{containers: [{name: b}], tolerations: [{key: t}, {key: u}]}");
    let (_, list) = conflicts(apply(Some(&two), "three", &other, false, 2).unwrap_err());
    assert_eq!(list, [("conflict with \"two\"".into(), ".spec.tolerations".into())]);
    // Items are removed with their only owner's last word.
    let gone = apply(Some(&two), "two", &pod("{}"), false, 3).unwrap();
    assert_eq!(gone["spec"], json!({"containers": [{"name": "a", "image": "i"}]}));
}

#[test]
fn the_key_of_an_item_may_be_a_default() {
    let service = |ports: &str| {
        let mut service = yaml("{apiVersion: v1, kind: Service, metadata: {name: s}}");
        service["spec"] = json!({"ports": yaml(ports)});
        service
    };
    let live = apply(None, "one", &service("[{port: 53, name: a}]"), false, 0).unwrap();
    assert_eq!(
        fields(&live, "one"),
        yaml(
            r#"{"f:spec": {"f:ports": {'k:{"port":53,"protocol":"TCP"}': {".": {}, "f:name": {}, "f:port": {}}}}}"#
        )
    );
    let udp = service("[{port: 53, protocol: UDP, name: b}]");
    let both = apply(Some(&live), "two", &udp, false, 1).unwrap();
    assert_eq!(both["spec"]["ports"].as_array().unwrap().len(), 2);
}

#[test]
fn sets_are_merged_by_value() {
    let with = |finalizers: &str| {
        let mut map = config_map("{}");
        map["metadata"]["finalizers"] = yaml(finalizers);
        map
    };
    let one = apply(None, "one", &with("[a/x, b/y]"), false, 0).unwrap();
    let two = apply(Some(&one), "two", &with("[c/z, a/x]"), false, 1).unwrap();
    assert_eq!(two["metadata"]["finalizers"], json!(["c/z", "a/x", "b/y"]));
    let less = apply(Some(&two), "one", &with("[b/y]"), false, 2).unwrap();
    assert_eq!(less["metadata"]["finalizers"], json!(["c/z", "a/x", "b/y"]));
    assert_eq!(
        fields(&less, "two")["f:metadata"],
        yaml(r#"{"f:finalizers": {'v:"a/x"': {}, 'v:"c/z"': {}}}"#)
    );
}

#[test]
fn status_is_not_owned_through_the_object() {
    let mut live = pod("{containers: [{name: a}]}");
    live["status"] = json!({});
    let live = update(None, "one", &live, 0);
    let mut config = pod("{hostname: h}");
    config["status"] = json!({"phase": "Running"});
    let applied = apply(Some(&live), "app", &config, false, 1).unwrap();
    assert_eq!(fields(&applied, "app"), yaml(r#"{"f:spec": {"f:hostname": {}}}"#));
    let schema = schema_of(&live);
    let mut new = live.clone();
    new["status"]["phase"] = json!("Running");
    new["spec"]["hostname"] = json!("x");
    let agent = Writer {
        manager: "agent",
        api_version: "v1",
        subresource: "status",
        now: at(2),
        reset: managed::reset_fields("", "Pod", "status", false),
    };
    managed::update(&schema, Some(&live), &mut new, &agent);
    assert_eq!(fields(&new, "agent"), yaml(r#"{"f:status": {"f:phase": {}}}"#));
    let list = new["metadata"]["managedFields"].as_array().unwrap();
    let entry = list.iter().find(|e| e["manager"] == "agent").unwrap();
    assert_eq!(entry["subresource"], "status");
}

#[test]
fn kubectl_takes_over_from_its_client_side_apply() {
    let last = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"annotations":{},"name":"a","namespace":"d"},"data":{"a":"x","b":"v"}}"#;
    let mut live = config_map("{a: x, b: v}");
    live["metadata"]["annotations"] = json!({"kubectl.kubernetes.io/last-applied-configuration": last});
    let live = update(None, "kubectl-client-side-apply", &live, 0);
    let wanted = config_map("{a: z, b: v}");
    let applied = apply(Some(&live), "kubectl", &wanted, false, 1).unwrap();
    assert_eq!(applied["data"], json!({"a": "z", "b": "v"}));
    let text = &applied["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"];
    let text = text.as_str().unwrap();
    assert!(text.ends_with('\n'));
    assert_eq!(serde_json::from_str::<Value>(text).unwrap(), wanted);
    // Not for other managers, nor for fields changed since.
    let error = apply(Some(&live), "helm", &wanted, false, 1).unwrap_err();
    assert_eq!(
        conflicts(error).0,
        "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using v1: .data.a"
    );
    let mut edited = without_managers(&live);
    edited["data"]["a"] = json!("edited");
    let edited = update(Some(&live), "editor", &edited, 2);
    let error = apply(Some(&edited), "kubectl", &wanted, false, 3).unwrap_err();
    assert_eq!(
        conflicts(error).0,
        "Apply failed with 1 conflict: conflict with \"editor\" using v1: .data.a"
    );
}

#[test]
fn an_apply_that_does_not_fit_is_refused() {
    let cases = [
        (
            yaml("{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: d}, spec: {bogus: 1}}"),
            "failed to create typed patch object (d/a; v1, Kind=Pod): .spec.bogus: field not declared in schema",
        ),
        (
            yaml("{apiVersion: v1, kind: Pod, metadata: {name: a, managedFields: []}}"),
            "metadata.managedFields must be nil",
        ),
        (
            yaml(
                "{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: d}, spec: {containers: [{name: x}, {name: x}]}}",
            ),
            "failed to create typed patch object (d/a; v1, Kind=Pod): .spec.containers: duplicate entries for key [name=\"x\"]",
        ),
    ];
    for (config, message) in cases {
        let error = apply(None, "app", &config, false, 0).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn too_many_updaters_become_one() {
    let mut live = update(None, "m0", &config_map("{k0: v}"), 0);
    for i in 1..13 {
        let mut new = without_managers(&live);
        new["data"][format!("k{i}")] = json!("v");
        live = update(Some(&live), &format!("m{i}"), &new, i);
    }
    let list = live["metadata"]["managedFields"].as_array().unwrap();
    assert_eq!(list.len(), 10);
    assert_eq!(
        fields(&live, "ancient-changes"),
        yaml(r#"{"f:data": {".": {}, "f:k0": {}, "f:k1": {}, "f:k2": {}, "f:k3": {}}}"#)
    );
}

#[test]
fn conflicts_come_by_leaf_and_atomic_values_as_a_whole() {
    let deployment = |label: &str, replicas: i32, image: &str| {
        yaml(&format!(
            "
apiVersion: apps/v1
kind: Deployment
metadata: {{name: my, namespace: d, labels: {{app: {label}}}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {label}}}}}
  template:
    metadata: {{labels: {{app: {label}}}}}
    spec: {{containers: [{{name: my-c, image: {image}}}]}}
"
        ))
    };
    let live = update(None, "editor", &deployment("old", 100, "v1"), 0);
    let error = apply(Some(&live), "other", &deployment("new", 333, "v2"), false, 1).unwrap_err();
    let fields: Vec<String> = conflicts(error).1.into_iter().map(|(_, field)| field).collect();
    assert_eq!(
        fields,
        [
            ".metadata.labels.app",
            ".spec.replicas",
            ".spec.selector",
            ".spec.template.metadata.labels.app",
            ".spec.template.spec.containers[name=\"my-c\"].image",
        ]
    );
    let forced = apply(Some(&live), "other", &deployment("new", 333, "v2"), true, 9).unwrap();
    let list = forced["metadata"]["managedFields"].as_array().unwrap();
    assert_eq!(list[0]["manager"], "other");
    assert_eq!(list[0]["operation"], "Apply");
    // Who loses fields keeps the time of its own last change.
    assert_eq!(list[1]["manager"], "editor");
    assert_eq!(list[1]["time"], live["metadata"]["managedFields"][0]["time"]);
}

#[test]
fn metadata_of_the_server_has_no_owner() {
    let mut new = config_map("{}");
    new["metadata"]["uid"] = json!("u");
    new["metadata"]["generation"] = json!(1);
    new["metadata"]["resourceVersion"] = json!("7");
    new["metadata"]["creationTimestamp"] = json!("2024-01-01T00:00:00Z");
    new.as_object_mut().unwrap().remove("data");
    assert_eq!(update(None, "one", &new, 0), new);
}
