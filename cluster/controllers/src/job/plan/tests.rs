use super::*;
use crate::testing::{START, at, object, pod};
use serde_json::{Value, json};

fn job(spec: Value, status: Value) -> Job {
    let mut value = json!({
        "metadata": { "name": "sum", "namespace": "ns", "uid": "job-uid" },
        "spec": { "selector": { "matchLabels": { "app": "web" } }, "completions": 1, "parallelism": 1,
            "template": { "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "c" }], "restartPolicy": "Never" } } },
        "status": status,
    });
    for (key, part) in spec.as_object().unwrap() {
        value["spec"][key] = part.clone();
    }
    object(value)
}

fn member(name: &str, phase: &str, tracked: bool) -> Arc<Pod> {
    let mut pod = (*pod(name, json!({ "owner": "job-uid", "kind": "Job", "phase": phase }))).clone();
    pod.metadata.finalizers = tracked.then(|| vec![TRACKING.to_owned()]);
    Arc::new(pod)
}

fn indexed(index: i32, phase: &str) -> Arc<Pod> {
    let mut pod = (*member(&format!("p{index}"), phase, true)).clone();
    pod.metadata.annotations.get_or_insert_default().insert(INDEX_KEY.into(), index.to_string());
    Arc::new(pod)
}

fn decide(job: &Job, pods: &[Arc<Pod>], seconds: i64) -> Plan {
    plan(job, pods, at(seconds)).unwrap()
}

fn names(pods: &[Arc<Pod>]) -> Vec<&str> {
    pods.iter().map(|pod| name(&pod.metadata)).collect()
}

fn conditions(plan: &Plan) -> Vec<String> {
    let status = plan.status.as_ref().unwrap();
    status
        .conditions
        .iter()
        .flatten()
        .map(|c| format!("{}={}:{}", c.type_, c.status, c.reason.as_deref().unwrap()))
        .collect()
}

#[test]
fn from_the_first_pod_to_completion() {
    let new = job(json!({ "completions": 3, "parallelism": 2 }), json!({}));
    let plan = decide(&new, &[], 0);
    assert_eq!(plan.create.len(), 2);
    assert_eq!(plan.create[0].metadata.finalizers.as_deref(), Some(&[TRACKING.to_owned()][..]));
    assert_eq!(plan.status.as_ref().unwrap().start_time, time(at(0)));

    // One succeeded: it is noted and let go; one of the two that are left may run beside the other.
    let running = job(json!({ "completions": 3, "parallelism": 2 }), json!({ "startTime": START }));
    let plan = decide(&running, &[member("a", "Succeeded", true), member("b", "Running", true)], 1);
    let status = plan.status.as_ref().unwrap();
    assert_eq!(
        status.uncounted_terminated_pods.as_ref().unwrap().succeeded.as_deref(),
        Some(&["a-uid".to_owned()][..])
    );
    assert_eq!((names(&plan.release), plan.create.len(), status.succeeded), (vec!["a"], 1, None));

    // It was let go: the note becomes a number. Nothing is counted twice.
    let noted = json!({ "startTime": START, "uncountedTerminatedPods": { "succeeded": ["a-uid"] } });
    let running = job(json!({ "completions": 3, "parallelism": 2 }), noted);
    let plan = decide(
        &running,
        &[member("a", "Succeeded", false), member("b", "Running", true), member("c", "Running", true)],
        2,
    );
    let status = plan.status.as_ref().unwrap();
    assert_eq!((status.succeeded, status.active, plan.create.len()), (Some(1), Some(2), 0));

    let last = job(json!({}), json!({ "startTime": START }));
    let plan = decide(&last, &[member("a", "Succeeded", true)], 3);
    assert_eq!(
        conditions(&plan),
        ["SuccessCriteriaMet=True:CompletionsReached", "Complete=True:CompletionsReached"]
    );
    assert_eq!(plan.status.as_ref().unwrap().completion_time, time(at(3)));
    assert_eq!(plan.events[0].1, "Completed");
}

#[test]
fn failures_are_retried_with_delay_and_limit() {
    let one = job(json!({ "backoffLimit": 1 }), json!({ "startTime": START }));
    let plan = decide(&one, &[member("a", "Failed", true)], 4);
    assert_eq!((plan.create.len(), plan.again_after), (0, Some(Duration::from_secs(6))));
    assert_eq!(decide(&one, &[member("a", "Failed", true)], 10).create.len(), 1);
    let two = [member("a", "Failed", true), member("b", "Failed", true)];
    assert_eq!(
        conditions(&decide(&one, &two, 30)),
        ["FailureTarget=True:BackoffLimitExceeded", "Failed=True:BackoffLimitExceeded"]
    );
    // Those that still run go first.
    let three = [two[0].clone(), two[1].clone(), member("c", "Running", true)];
    let plan = decide(&one, &three, 30);
    assert_eq!((conditions(&plan).len(), names(&plan.delete)), (1, vec!["c"]));
}

#[test]
fn deadlines_and_suspension() {
    let limited = job(json!({ "activeDeadlineSeconds": 5 }), json!({ "startTime": START }));
    let running = [member("a", "Running", true)];
    assert_eq!(decide(&limited, &running, 2).again_after, Some(Duration::from_secs(3)));
    assert_eq!(conditions(&decide(&limited, &running, 5)), ["FailureTarget=True:DeadlineExceeded"]);
    let suspended = job(json!({ "suspend": true }), json!({ "startTime": START }));
    let plan = decide(&suspended, &running, 2);
    assert_eq!(
        (conditions(&plan), names(&plan.delete)),
        (vec!["Suspended=True:JobSuspended".to_owned()], vec!["a"])
    );
    assert_eq!(plan.status.unwrap().start_time, None);
}

#[test]
fn every_index_once() {
    let spec = json!({ "completions": 4, "parallelism": 2, "completionMode": "Indexed" });
    let new = decide(&job(spec.clone(), json!({})), &[], 0);
    let made: Vec<_> = new.create.iter().filter_map(index_of).collect();
    assert_eq!(made, [0, 1]);
    let first = new.create[0].spec.as_ref().unwrap();
    assert_eq!(
        (first.hostname.as_deref(), first.containers[0].env.as_ref().unwrap()[0].name.as_str()),
        (Some("sum-0"), INDEX_VARIABLE)
    );
    let plan = decide(
        &job(spec, json!({ "startTime": START })),
        &[indexed(0, "Running"), indexed(1, "Succeeded")],
        1,
    );
    let status = plan.status.unwrap();
    assert_eq!((status.completed_indexes.as_deref(), status.succeeded), (Some("1"), Some(1)));
    assert_eq!(plan.create.iter().filter_map(index_of).collect::<Vec<_>>(), [2]);
}

#[test]
fn lists_of_indexes() {
    for text in ["", "1", "0,1", "1,3-5,7", "0-2"] {
        assert_eq!(format_indexes(&parse_indexes(text)), text);
    }
}
