use super::*;
use crate::testing::{at, object, pod};
use serde_json::{Value, json};

fn deployment(replicas: i32, image: &str, extra: Value) -> Deployment {
    let mut value = json!({
        "metadata": { "name": "web", "namespace": "ns", "uid": "d-uid", "generation": 1 },
        "spec": {
            "replicas": replicas, "progressDeadlineSeconds": 600, "revisionHistoryLimit": 10,
            "selector": { "matchLabels": { "app": "web" } },
            "template": { "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "c", "image": image }] } },
            "strategy": { "type": "RollingUpdate",
                "rollingUpdate": { "maxSurge": "25%", "maxUnavailable": "25%" } },
        },
    });
    for (key, add) in extra.as_object().into_iter().flatten() {
        for (name, add) in add.as_object().unwrap() {
            value[key][name] = add.clone();
        }
    }
    object(value)
}

/// The ReplicaSet that `deployment` makes for its template, at a size, of which `available` work.
fn set(deployment: &Deployment, revision: i64, size: i32, available: i32) -> Arc<ReplicaSet> {
    let mut set = make(deployment, revision);
    set.metadata.uid = Some(format!("rs{revision}-uid"));
    set.metadata.creation_timestamp = crate::objects::time(at(revision));
    set.metadata.generation = Some(1);
    annotate_size(&mut set, desired(deployment), most(deployment));
    set.spec.as_mut().unwrap().replicas = Some(size);
    set.status =
        Some(object(json!({ "replicas": size, "readyReplicas": available, "availableReplicas": available,
        "observedGeneration": 1 })));
    Arc::new(set)
}

fn decide(deployment: &Deployment, sets: &[Arc<ReplicaSet>]) -> Plan {
    decide_with(deployment, sets, &|_| Vec::new(), 100)
}

fn decide_with(
    deployment: &Deployment,
    sets: &[Arc<ReplicaSet>],
    owned_pods: &(dyn Fn(&str) -> Vec<Arc<Pod>> + Sync),
    seconds: i64,
) -> Plan {
    plan(&Snapshot { deployment, replica_sets: sets, owned_pods }, at(seconds)).unwrap()
}

/// `REVISION:SIZE` of what is written.
fn sizes(plan: &Plan) -> Vec<String> {
    let one = |set: &ReplicaSet| format!("{}:{}", revision_of(&set.metadata), size(set));
    plan.create.iter().chain(plan.update.iter().map(|u| &u.set)).map(one).collect()
}

fn progress(status: &DeploymentStatus) -> (String, String, String) {
    let c = status::condition(status, "Progressing").unwrap();
    (c.status.clone(), c.reason.clone().unwrap(), c.message.clone().unwrap())
}

#[test]
fn a_new_deployment_makes_its_first_revision() {
    let d = deployment(
        3,
        "a:1",
        json!({ "metadata": { "annotations": { "note": "x",
        "kubectl.kubernetes.io/last-applied-configuration": "{}" } } }),
    );
    let plan = decide(&d, &[]);
    let made = plan.create.as_ref().unwrap();
    let hash = made.metadata.labels.as_ref().unwrap()["pod-template-hash"].clone();
    assert_eq!(made.metadata.name.as_deref(), Some(format!("web-{hash}").as_str()));
    let spec = made.spec.as_ref().unwrap();
    assert_eq!(
        (spec.replicas, &spec.selector.match_labels.as_ref().unwrap()["pod-template-hash"]),
        (Some(3), &hash)
    );
    let annotations = serde_json::to_value(&made.metadata.annotations).unwrap();
    assert_eq!(
        annotations,
        json!({ "note": "x", "deployment.kubernetes.io/revision": "1",
        "deployment.kubernetes.io/desired-replicas": "3", "deployment.kubernetes.io/max-replicas": "4" })
    );
    assert_eq!(plan.revision.as_deref(), Some("1"));
    let status = plan.status.unwrap();
    assert_eq!(progress(&status).1, "NewReplicaSetCreated");
    assert_eq!(status::condition(&status, "Available").unwrap().status, "False");
    assert_eq!((status.unavailable_replicas, status.observed_generation), (Some(3), Some(1)));
    assert_eq!(plan.again_after, Some(Duration::from_secs(601)));
}

#[test]
fn the_hash_does_not_depend_on_what_is_not_in_the_template() {
    let a = make(&deployment(3, "a:1", json!({})), 1);
    let b = make(&deployment(9, "a:1", json!({ "spec": { "paused": true } })), 4);
    assert_eq!(a.metadata.name, b.metadata.name);
    let c = make(&deployment(3, "a:1", json!({ "status": { "collisionCount": 1 } })), 1);
    assert_ne!(a.metadata.name, c.metadata.name);
}

#[test]
fn a_rolling_update_keeps_its_fences() {
    let old = set(&deployment(4, "a:1", json!({})), 1, 4, 4);
    let d = deployment(4, "a:2", json!({}));
    // One more than 4 is allowed: the new revision begins with 1.
    assert_eq!(sizes(&decide(&d, std::slice::from_ref(&old))), ["2:1"]);
    // One less than 4 is allowed: an old one may go although the new one does not work yet.
    let new = set(&d, 2, 1, 0);
    let plan = decide(&d, &[old.clone(), new]);
    assert_eq!(sizes(&plan), ["1:3"]);
    let message = plan.update[0].event.as_deref().unwrap();
    assert!(
        message.starts_with("Scaled down replica set web-") && message.ends_with("from 4 to 3"),
        "{message}"
    );
    // Then the new one has room.
    let old = set(&deployment(4, "a:1", json!({})), 1, 3, 3);
    assert_eq!(sizes(&decide(&d, &[old.clone(), set(&d, 2, 1, 0)])), ["2:2"]);
    // Nothing moves while the fences are touched.
    assert_eq!(sizes(&decide(&d, &[old.clone(), set(&d, 2, 2, 0)])), [""; 0]);
    assert_eq!(sizes(&decide(&d, &[old, set(&d, 2, 2, 2)])), ["1:1"]);
}

#[test]
fn old_pods_that_do_not_work_go_first() {
    let d = deployment(4, "a:3", json!({}));
    let good = set(&deployment(4, "a:1", json!({})), 1, 3, 3);
    let broken = set(&deployment(4, "a:2", json!({})), 2, 1, 0);
    let new = set(&d, 3, 1, 1);
    assert_eq!(sizes(&decide(&d, &[good, broken, new])), ["1:2", "2:0"]);
}

#[test]
fn a_rollback_renumbers_the_old_revision() {
    let first = deployment(2, "a:1", json!({}));
    let sets = [set(&first, 1, 0, 0), set(&deployment(2, "a:2", json!({})), 2, 2, 2)];
    let plan = decide(&first, &sets);
    assert_eq!(sizes(&plan), ["3:1"]);
    let annotations = plan.update[0].set.metadata.annotations.as_ref().unwrap();
    assert_eq!(annotations["deployment.kubernetes.io/revision-history"], "1");
    assert_eq!(plan.revision.as_deref(), Some("3"));
}

#[test]
fn resizing_in_the_middle_of_a_rollout_is_shared() {
    let before = |image: &str| deployment(10, image, json!({}));
    let sets = [set(&before("a:1"), 1, 8, 8), set(&before("a:2"), 2, 5, 3)];
    let up = deployment(20, "a:2", json!({}));
    assert_eq!(sizes(&decide(&up, &sets)), ["2:10", "1:15"]);
    let one = [set(&deployment(3, "a:1", json!({})), 1, 3, 3)];
    assert_eq!(sizes(&decide(&deployment(5, "a:1", json!({})), &one)), ["1:5"]);
    assert_eq!(sizes(&decide(&deployment(0, "a:1", json!({})), &one)), ["1:0"]);
}

#[test]
fn recreate_waits_until_the_old_pods_are_gone() {
    let recreate =
        |image: &str| deployment(2, image, json!({ "spec": { "strategy": { "type": "Recreate" } } }));
    let d = recreate("a:2");
    assert_eq!(sizes(&decide(&d, &[set(&recreate("a:1"), 1, 2, 2)])), ["1:0"]);
    let down = [set(&recreate("a:1"), 1, 0, 0)];
    let running = |_: &str| vec![pod("p", json!({ "deleting": true }))];
    assert_eq!(sizes(&decide_with(&d, &down, &running, 100)), [""; 0]);
    let ended = |_: &str| vec![pod("p", json!({ "phase": "Failed" }))];
    assert_eq!(sizes(&decide_with(&d, &down, &ended, 100)), ["2:2"]);
}

#[test]
fn conditions_follow_the_rollout() {
    let d = deployment(2, "a:1", json!({}));
    let with_status = |status: Option<DeploymentStatus>| Deployment { status, ..d.clone() };
    let start = decide(&with_status(None), &[]).status.unwrap();
    let half = decide(&with_status(Some(start)), &[set(&d, 1, 2, 1)]).status.unwrap();
    assert_eq!(progress(&half).1, "ReplicaSetUpdated");
    assert_eq!(status::condition(&half, "Available").unwrap().status, "False");
    // 10 minutes without any movement:
    let stuck = decide_with(&with_status(Some(half.clone())), &[set(&d, 1, 2, 1)], &|_| Vec::new(), 701);
    let (value, reason, message) = progress(stuck.status.as_ref().unwrap());
    assert_eq!((value.as_str(), reason.as_str()), ("False", "ProgressDeadlineExceeded"));
    assert!(message.ends_with("has timed out progressing."), "{message}");
    assert_eq!(stuck.again_after, None);
    let done = decide(&with_status(Some(half)), &[set(&d, 1, 2, 2)]).status.unwrap();
    let (value, reason, message) = progress(&done);
    assert_eq!((value.as_str(), reason.as_str()), ("True", "NewReplicaSetAvailable"));
    let name = set(&d, 1, 2, 2).metadata.name.clone().unwrap();
    assert_eq!(message, format!("ReplicaSet {name:?} has successfully progressed."));
    let again = decide(&with_status(Some(done)), &[set(&d, 1, 2, 2)]);
    assert!(again.status.is_none() && again.again_after.is_none(), "nothing left to say");
}

#[test]
fn a_paused_deployment_scales_but_does_not_roll() {
    let first = set(&deployment(2, "a:1", json!({})), 1, 2, 2);
    let d = deployment(3, "a:2", json!({ "spec": { "paused": true } }));
    let plan = decide(&d, &[first]);
    assert_eq!((sizes(&plan), plan.create.is_none()), (vec!["1:3".to_owned()], true));
    assert_eq!(progress(&plan.status.unwrap()).1, "DeploymentPaused");
}

#[test]
fn old_revisions_beyond_the_limit_go() {
    let limited = |image: &str| deployment(1, image, json!({ "spec": { "revisionHistoryLimit": 1 } }));
    let sets: Vec<_> =
        (1..=4).map(|n| set(&limited(&format!("a:{n}")), n, i32::from(n == 4), i32::from(n == 4))).collect();
    let plan = decide(&limited("a:4"), &sets);
    let gone: Vec<_> = plan.delete.iter().map(|set| revision_of(&set.metadata)).collect();
    assert_eq!(gone, [1, 2]);
}
