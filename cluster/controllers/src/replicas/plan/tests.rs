use super::*;
use crate::testing::{at, object, pod};
use serde_json::json;

fn set(replicas: i32, extra: serde_json::Value) -> Owner {
    let mut set = json!({
        "metadata": { "name": "web", "namespace": "ns", "uid": "rs-uid", "generation": 3 },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": "web" } },
            "template": { "metadata": { "labels": { "app": "web" } }, "spec": { "containers": [] } },
        },
    });
    json_patch(&mut set, extra);
    Owner::of_set(&object(set)).unwrap()
}

fn json_patch(target: &mut serde_json::Value, patch: serde_json::Value) {
    match (target, patch) {
        (serde_json::Value::Object(target), serde_json::Value::Object(patch)) => {
            for (key, value) in patch {
                json_patch(target.entry(key).or_insert(serde_json::Value::Null), value);
            }
        }
        (target, patch) => *target = patch,
    }
}

fn names(pods: &[Arc<Pod>]) -> Vec<&str> {
    pods.iter().map(|pod| pod.metadata.name.as_deref().unwrap()).collect()
}

#[test]
fn makes_what_is_missing_and_counts_only_its_own() {
    let owner = set(4, json!({}));
    let pods = [
        pod("a", json!({ "owner": "rs-uid", "ready": true })),
        pod("ended", json!({ "owner": "rs-uid", "phase": "Failed" })),
        pod("leaving", json!({ "owner": "rs-uid", "deleting": true })),
        pod("others", json!({ "owner": "other-uid" })),
        pod("orphan", json!({})),
        pod("strayed", json!({ "owner": "rs-uid", "labels": { "app": "else" } })),
    ];
    let plan = plan(&owner, &pods, &[], at(0));
    assert_eq!(plan.create, 2);
    assert_eq!(names(&plan.claim.mine), ["a", "orphan"]);
    assert_eq!(names(&plan.claim.adopt), ["orphan"]);
    assert_eq!(names(&plan.claim.release), ["strayed"]);
    let status = plan.status(&owner, None, at(0)).unwrap();
    assert_eq!((status.replicas, status.ready, status.available, status.terminating), (2, 1, 1, Some(1)));
    assert_eq!(status.observed_generation, Some(3));
}

#[test]
fn deletes_the_least_missed_first() {
    let owner = set(1, json!({}));
    let pods = [
        pod("ready", json!({ "owner": "rs-uid", "ready": true, "node": "n1" })),
        pod("ready-crowded", json!({ "owner": "rs-uid", "ready": true, "node": "n2" })),
        pod("cheap", json!({ "owner": "rs-uid", "ready": true, "node": "n1", "cost": "-5" })),
        pod("not-ready", json!({ "owner": "rs-uid", "node": "n1" })),
        pod("pending", json!({ "owner": "rs-uid", "node": "n1", "phase": "Pending" })),
        pod("unbound", json!({ "owner": "rs-uid", "phase": "Pending" })),
    ];
    let mut related = pods.to_vec();
    related.extend((0..9).map(|n| pod(&format!("r{n}"), json!({ "owner": "sibling", "node": "n2" }))));
    let plan = plan(&owner, &pods, &related, at(0));
    assert_eq!(names(&plan.delete), ["unbound", "pending", "not-ready", "cheap", "ready-crowded"]);
    assert_eq!(plan.create, 0);
}

#[test]
fn a_set_that_is_deleted_does_nothing_but_count() {
    let owner = set(3, json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" } }));
    let pods = [pod("a", json!({ "owner": "rs-uid" })), pod("orphan", json!({}))];
    let plan = plan(&owner, &pods, &[], at(0));
    assert_eq!((plan.create, plan.delete.len(), plan.claim.adopt.len()), (0, 0, 0));
    assert_eq!(plan.status(&owner, None, at(0)).unwrap().replicas, 1);
}

#[test]
fn availability_takes_its_time() {
    let owner = set(1, json!({ "spec": { "minReadySeconds": 10 } }));
    let pods = [pod("a", json!({ "owner": "rs-uid", "ready": true }))];
    let early = plan(&owner, &pods, &[], at(4));
    assert_eq!(early.again_after, Some(Duration::from_secs(6)));
    assert_eq!(early.status(&owner, None, at(4)).unwrap().available, 0);
    let late = plan(&owner, &pods, &[], at(10));
    assert_eq!(late.again_after, None);
    assert_eq!(late.status(&owner, None, at(10)).unwrap().available, 1);
}

#[test]
fn a_failure_shows_until_it_is_over() {
    let owner = set(1, json!({}));
    let decide = |owner: &Owner| plan(owner, &[], &[], at(0));
    let refused = kube::Error::Api(Box::new(kube::core::Status::failure("exceeded quota", "Forbidden")));
    let status = decide(&owner).status(&owner, Some(&refused), at(0)).unwrap();
    let shown: Vec<_> =
        status.conditions.iter().map(|c| (c.reason.as_deref(), c.message.as_deref())).collect();
    assert_eq!(shown, [(Some("FailedCreate"), Some("exceeded quota"))]);
    let failed = Owner { status, ..owner };
    assert!(decide(&failed).status(&failed, Some(&refused), at(5)).is_none(), "nothing new to say");
    assert!(decide(&failed).status(&failed, None, at(5)).unwrap().conditions.is_empty());
}
