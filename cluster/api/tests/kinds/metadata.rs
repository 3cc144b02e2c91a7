//! Metadata: what the server fills in, what stays, what is refused; how refusals read.

use api::status::Status;
use serde_json::json;

use crate::{create, create_in, refusal, resource, update, yaml};

const CONFIG_MAPS: &str = "/v1/configmaps";

#[test]
fn the_server_fills_in_its_part() {
    let object = create(
        CONFIG_MAPS,
        "metadata: {generateName: a-, uid: mine, resourceVersion: '5', selfLink: /x, generation: 9}",
    )
    .unwrap();
    assert_eq!(
        object["metadata"],
        json!({
            "name": "a-bcdfg", "generateName": "a-", "namespace": "ns",
            "uid": "00000000-0000-0000-0000-000000000001",
            "creationTimestamp": "2026-01-02T03:04:05Z",
            "resourceVersion": "7",
        })
    );
    assert_eq!(object["kind"], "ConfigMap");
    assert_eq!(object["apiVersion"], "v1");
}

#[test]
fn long_base_names_are_cut() {
    let base = "x".repeat(70);
    let object = create(CONFIG_MAPS, &format!("metadata: {{generateName: {base}}}")).unwrap();
    assert_eq!(object["metadata"]["name"], format!("{}bcdfg", "x".repeat(58)));
}

#[test]
fn refusals_of_metadata() {
    let cases = [
        ("{}", "ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required"),
        (
            "metadata: {name: a, namespace: other}",
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
        (
            "metadata: {name: a, labels: {-x: y}}",
            "ConfigMap \"a\" is invalid: metadata.labels: Invalid value: \"-x\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        ),
        (
            "metadata: {name: a, finalizers: [orphan, foregroundDeletion]}",
            "ConfigMap \"a\" is invalid: metadata.finalizers: Invalid value: [\"orphan\",\"foregroundDeletion\"]: finalizer orphan and foregroundDeletion cannot be both set",
        ),
        (
            "metadata: {name: a, ownerReferences: [{apiVersion: v1, kind: Pod, name: p, uid: ''}]}",
            "ConfigMap \"a\" is invalid: metadata.ownerReferences.uid: Invalid value: \"\": must not be empty",
        ),
    ];
    for (body, message) in cases {
        assert_eq!(refusal(create(CONFIG_MAPS, body)), message);
    }
    let message = refusal(create(CONFIG_MAPS, "metadata: {name: A}"));
    assert!(message.starts_with(
        "ConfigMap \"A\" is invalid: metadata.name: Invalid value: \"A\": a lowercase RFC 1123 subdomain must"
    ));
}

#[test]
fn updates_keep_what_is_the_servers() {
    let old = create(CONFIG_MAPS, "metadata: {name: a}").unwrap();
    let new = update(CONFIG_MAPS, None, &old, |o| {
        let metadata = o["metadata"].as_object_mut().unwrap();
        metadata.remove("uid");
        metadata.remove("resourceVersion");
        metadata.insert("creationTimestamp".into(), "2000-01-01T00:00:00Z".into());
        metadata.insert("deletionTimestamp".into(), "2000-01-01T00:00:00Z".into());
        metadata.insert("labels".into(), json!({"x": "y"}));
    })
    .unwrap();
    let mut expected = old.clone();
    expected["metadata"]["labels"] = json!({"x": "y"});
    assert_eq!(new, expected);
}

#[test]
fn updates_of_something_else_are_conflicts() {
    let old = create(CONFIG_MAPS, "metadata: {name: a}").unwrap();
    let error = update(CONFIG_MAPS, None, &old, |o| o["metadata"]["resourceVersion"] = "6".into());
    let error = error.unwrap_err();
    assert_eq!((error.code, error.reason), (409, "Conflict"));
    assert_eq!(
        error.message,
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again"
    );
    let error = update(CONFIG_MAPS, None, &old, |o| o["metadata"]["uid"] = "other".into());
    assert!(
        refusal(error).contains("Precondition failed: UID in precondition: other, UID in object meta: 0000")
    );
    let error = update(CONFIG_MAPS, None, &old, |o| o["metadata"]["name"] = "b".into());
    assert_eq!(refusal(error), "the name of the object (b) does not match the name on the URL (a)");
    let leases = "coordination.k8s.io/v1/leases";
    let old = create(leases, "metadata: {name: a}").unwrap();
    let error = update(leases, None, &old, |o| o["metadata"]["resourceVersion"] = "".into());
    assert_eq!(
        refusal(error),
        "Lease.coordination.k8s.io \"a\" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update"
    );
}

#[test]
fn no_finalizers_are_added_to_what_is_deleted() {
    let mut old = create(CONFIG_MAPS, "metadata: {name: a, finalizers: [a/b]}").unwrap();
    old["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    let error = update(CONFIG_MAPS, None, &old, |o| o["metadata"]["finalizers"] = json!(["a/b", "c/d"]));
    assert_eq!(
        refusal(error),
        "ConfigMap \"a\" is invalid: metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{\"c/d\"}"
    );
}

#[test]
fn cluster_scoped_objects_have_no_namespace() {
    let object = create_in(&resource("/v1/nodes"), &yaml("metadata: {name: n, namespace: x}")).unwrap();
    assert_eq!(object["metadata"].get("namespace"), None);
}

#[test]
fn bodies_that_are_not_this_kind() {
    let cases = [
        (
            "apiVersion: apps/v1",
            "the API version in the data (apps/v1) does not match the expected API version (v1)",
        ),
        (
            "spek: {}",
            "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: unknown field \"spek\"",
        ),
    ];
    for (body, message) in cases {
        assert_eq!(refusal(create(CONFIG_MAPS, body)), message);
    }
}

#[test]
fn status_json_is_exact() {
    let not_found = Status::not_found("apps", "deployments", "x").to_json();
    assert_eq!(
        not_found,
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "deployments.apps \"x\" not found", "reason": "NotFound",
            "details": {"name": "x", "group": "apps", "kind": "deployments"}, "code": 404,
        })
    );
    let success = Status::success("", "pods", "x", "u").to_json();
    assert_eq!(
        success,
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
            "details": {"name": "x", "kind": "pods", "uid": "u"},
        })
    );
    let error = create(
        "apps/v1/deployments",
        "
metadata: {name: x}
spec:
  replicas: -1
  selector: {matchLabels: {a: b}}
  template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}
",
    )
    .unwrap_err();
    assert_eq!(
        error.to_json(),
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "Deployment.apps \"x\" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0",
            "reason": "Invalid",
            "details": {"name": "x", "group": "apps", "kind": "Deployment", "causes": [{
                "reason": "FieldValueInvalid",
                "message": "Invalid value: -1: must be greater than or equal to 0",
                "field": "spec.replicas",
            }]},
            "code": 422,
        })
    );
    assert_eq!(Status::forbidden("", "pods", "", "why").message, "pods is forbidden: why");
    assert_eq!(Status::already_exists("", "pods", "x").message, "pods \"x\" already exists");
}

#[test]
fn encoding_leaves_room_for_the_revision() {
    let object = create(CONFIG_MAPS, "{metadata: {name: a, labels: {x: y}}, data: {k: v}}").unwrap();
    let r = resource(CONFIG_MAPS);
    let encoded = api::pipeline::encode(&r, &object);
    let (head, tail) = encoded.bytes.split_at(encoded.splice_at as usize);
    let spliced = [head, b"42", tail].concat();
    let mut expected = object.clone();
    expected["metadata"]["resourceVersion"] = "42".into();
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&spliced).unwrap(), expected);
    assert_eq!(encoded.labels, [("x".to_owned(), "y".to_owned())]);
    assert_eq!(encoded.fields[0], ("metadata.name".to_owned(), "a".to_owned()));
}
