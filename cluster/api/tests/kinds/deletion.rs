//! What a delete does.

use api::delete::{DeleteOptions, Deletion, before_delete, finished_by_update};
use serde_json::{Value, json};

use crate::{create, ctx, resource};

const PODS: &str = "/v1/pods";
const CONFIG_MAPS: &str = "/v1/configmaps";

fn delete(path: &str, object: &Value, options: &str) -> Deletion {
    let r = resource(path);
    let options = DeleteOptions::parse(&crate::yaml(options)).unwrap();
    before_delete(&r, object, &options, &ctx(&r)).unwrap()
}

fn updated(deletion: Deletion) -> Value {
    match deletion {
        Deletion::Update(object) => object,
        other => panic!("not an update: {other:?}"),
    }
}

fn running() -> Value {
    let mut pod = create(PODS, "{metadata: {name: p}, spec: {containers: [{name: c, image: i}]}}").unwrap();
    pod["spec"]["nodeName"] = "n".into();
    pod["status"]["phase"] = "Running".into();
    pod
}

#[test]
fn running_pods_get_their_grace_period() {
    let pod = running();
    let marked = updated(delete(PODS, &pod, "{}"));
    assert_eq!(marked["metadata"]["deletionTimestamp"], "2026-01-02T03:04:35Z");
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 30);
    assert_eq!(marked["metadata"]["generation"], 2);
    assert_eq!(delete(PODS, &marked, "{}"), Deletion::Pending);
    assert_eq!(delete(PODS, &marked, "{gracePeriodSeconds: 60}"), Deletion::Pending);
    let sooner = updated(delete(PODS, &marked, "{gracePeriodSeconds: 5}"));
    assert_eq!(sooner["metadata"]["deletionTimestamp"], "2026-01-02T03:04:10Z");
    assert_eq!(sooner["metadata"]["deletionGracePeriodSeconds"], 5);
    assert_eq!(delete(PODS, &marked, "{gracePeriodSeconds: 0}"), Deletion::Remove);
    assert_eq!(delete(PODS, &pod, "{gracePeriodSeconds: 0}"), Deletion::Remove);
}

#[test]
fn pods_that_no_node_runs_go_at_once() {
    let mut pod = running();
    pod["spec"].as_object_mut().unwrap().remove("nodeName");
    assert_eq!(delete(PODS, &pod, "{}"), Deletion::Remove);
    let mut done = running();
    done["status"]["phase"] = "Succeeded".into();
    assert_eq!(delete(PODS, &done, "{}"), Deletion::Remove);
}

#[test]
fn finalizers_hold_an_object() {
    let object = create(CONFIG_MAPS, "{metadata: {name: a}}").unwrap();
    assert_eq!(delete(CONFIG_MAPS, &object, "{}"), Deletion::Remove);
    for (policy, finalizer) in [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")] {
        let marked = updated(delete(CONFIG_MAPS, &object, &format!("propagationPolicy: {policy}")));
        assert_eq!(marked["metadata"]["finalizers"], json!([finalizer]));
        assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 0);
        assert_eq!(marked["metadata"]["deletionTimestamp"], crate::NOW);
    }
    let mut held = object.clone();
    held["metadata"]["finalizers"] = json!(["a/b"]);
    let marked = updated(delete(CONFIG_MAPS, &held, "{}"));
    assert_eq!(delete(CONFIG_MAPS, &marked, "{}"), Deletion::Pending);
    let mut freed = marked.clone();
    freed["metadata"].as_object_mut().unwrap().remove("finalizers");
    let r = resource(CONFIG_MAPS);
    assert!(finished_by_update(&r, &freed, &marked));
    assert!(!finished_by_update(&r, &marked, &marked));
}

#[test]
fn namespaces_end_when_their_finalizer_goes() {
    let namespace = create("/v1/namespaces", "{metadata: {name: n}}").unwrap();
    let marked = updated(delete("/v1/namespaces", &namespace, "{}"));
    assert_eq!(marked["status"]["phase"], "Terminating");
    assert_eq!(delete("/v1/namespaces", &marked, "{}"), Deletion::Pending);
    let mut done = marked.clone();
    done["spec"]["finalizers"] = json!([]);
    assert!(finished_by_update(&resource("/v1/namespaces"), &done, &marked));
}

#[test]
fn jobs_orphan_their_pods_by_default() {
    let body = "{metadata: {name: j}, spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}}";
    let job = create("batch/v1/jobs", body).unwrap();
    let marked = updated(delete("batch/v1/jobs", &job, "{}"));
    assert_eq!(marked["metadata"]["finalizers"], json!(["orphan"]));
    assert_eq!(delete("batch/v1/jobs", &job, "propagationPolicy: Background"), Deletion::Remove);
}

#[test]
fn preconditions_and_options() {
    let object = create(CONFIG_MAPS, "{metadata: {name: a}}").unwrap();
    let r = resource(CONFIG_MAPS);
    let options = DeleteOptions::parse(&crate::yaml("preconditions: {uid: other}")).unwrap();
    let error = before_delete(&r, &object, &options, &ctx(&r)).unwrap_err();
    assert_eq!(error.code, 409);
    assert!(error.message.contains("the UID in the precondition (other) does not match the UID in record"));
    let error = DeleteOptions::parse(&crate::yaml("{propagationPolicy: Orphan, orphanDependents: true}"));
    assert_eq!(
        error.unwrap_err().message,
        "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Invalid value: \"Orphan\": orphanDependents and deletionPropagation cannot be both set"
    );
}
