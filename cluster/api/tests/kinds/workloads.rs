//! Deployments, replica sets, stateful and daemon sets, jobs, cron jobs, autoscalers.

use serde_json::json;

use crate::{create, refusal, resource, update};

const TEMPLATE: &str = "{metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: 'i:1'}]}}";

fn workload(spec: &str) -> String {
    format!(
        "
metadata: {{name: x}}
spec:
  selector: {{matchLabels: {{a: b}}}}
  template: {TEMPLATE}
{spec}"
    )
}

#[test]
fn defaults() {
    let template = json!({
        "metadata": {"labels": {"a": "b"}},
        "spec": {
            "containers": [{
                "name": "c", "image": "i:1", "imagePullPolicy": "IfNotPresent", "resources": {},
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            }],
            "dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "schedulerName": "default-scheduler",
            "securityContext": {}, "terminationGracePeriodSeconds": 30,
        },
    });
    let selector = json!({"matchLabels": {"a": "b"}});
    let cases = [
        (
            "apps/v1/deployments",
            json!({
                "replicas": 1, "selector": selector, "template": template, "revisionHistoryLimit": 10,
                "progressDeadlineSeconds": 600,
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
            }),
        ),
        ("apps/v1/replicasets", json!({"replicas": 1, "selector": selector, "template": template})),
        (
            "apps/v1/daemonsets",
            json!({
                "selector": selector, "template": template, "revisionHistoryLimit": 10,
                "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
            }),
        ),
        (
            "apps/v1/statefulsets",
            json!({
                "replicas": 1, "selector": selector, "template": template, "revisionHistoryLimit": 10,
                "podManagementPolicy": "OrderedReady", "serviceName": "",
                "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
                "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
            }),
        ),
    ];
    for (path, spec) in cases {
        let object = create(path, &workload("")).unwrap();
        let mut given = object["spec"].clone();
        // Whether an unset name is written is the schema's business.
        if path.ends_with("statefulsets") {
            given["serviceName"] = "".into();
        }
        assert_eq!(given, spec, "{path}");
        assert_eq!(object["metadata"]["generation"], 1, "{path}");
        assert!(object["status"].is_object(), "{path}");
    }
}

#[test]
fn refusals() {
    let deployments = "apps/v1/deployments";
    let cases = [
        (
            "  minReadySeconds: -1",
            "spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            "  strategy: {type: Other}",
            "spec.strategy: Unsupported value: \"Other\": supported values: \"Recreate\", \"RollingUpdate\"",
        ),
        (
            "  strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 0}}",
            "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0",
        ),
    ];
    for (spec, error) in cases {
        let message = refusal(create(deployments, &workload(spec)));
        assert_eq!(message, format!("Deployment.apps \"x\" is invalid: {error}"));
    }
    let body = format!(
        "{{metadata: {{name: x}}, spec: {{selector: {{matchLabels: {{a: c}}}}, template: {TEMPLATE}}}}}"
    );
    assert_eq!(
        refusal(create(deployments, &body)),
        "Deployment.apps \"x\" is invalid: spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match template `labels`"
    );
}

#[test]
fn selectors_stay() {
    for path in ["apps/v1/deployments", "apps/v1/replicasets", "apps/v1/daemonsets"] {
        let old = create(path, &workload("")).unwrap();
        let message = refusal(update(path, None, &old, |o| {
            o["spec"]["selector"]["matchLabels"]["x"] = "y".into();
            o["spec"]["template"]["metadata"]["labels"]["x"] = "y".into();
        }));
        assert!(message.ends_with("spec.selector: Invalid value: {\"matchLabels\":{\"a\":\"b\",\"x\":\"y\"}}: field is immutable"), "{message}");
    }
    let path = "apps/v1/statefulsets";
    let old = create(path, &workload("")).unwrap();
    let message = refusal(update(path, None, &old, |o| o["spec"]["serviceName"] = "s".into()));
    assert!(
        message.contains("spec: Forbidden: updates to statefulset spec for fields other than 'replicas'"),
        "{message}"
    );
}

#[test]
fn generations_count_changes_of_the_spec() {
    let path = "apps/v1/deployments";
    let old = create(path, &workload("")).unwrap();
    let generation = |subresource, change: fn(&mut serde_json::Value)| {
        update(path, subresource, &old, change).unwrap()["metadata"]["generation"].clone()
    };
    assert_eq!(generation(None, |o| o["spec"]["replicas"] = 3.into()), 2);
    assert_eq!(generation(None, |o| o["metadata"]["annotations"] = json!({"a": "b"})), 2);
    assert_eq!(generation(None, |o| o["metadata"]["labels"] = json!({"a": "b"})), 1);
    assert_eq!(generation(Some("status"), |o| o["status"] = json!({"replicas": 1})), 1);
}

#[test]
fn scale_is_read_and_written() {
    let r = resource("apps/v1/deployments");
    let mut object = create("apps/v1/deployments", &workload("  replicas: 3")).unwrap();
    object["status"]["replicas"] = 2.into();
    let scale = api::scale::read(&r, &object).unwrap();
    assert_eq!(scale["kind"], "Scale");
    assert_eq!(scale["spec"], json!({"replicas": 3}));
    assert_eq!(scale["status"], json!({"replicas": 2, "selector": "a=b"}));
    let mut wanted = scale.clone();
    wanted["spec"]["replicas"] = 5.into();
    assert_eq!(api::scale::write(&r, &object, &wanted).unwrap()["spec"]["replicas"], 5);
    wanted["metadata"]["resourceVersion"] = "1".into();
    assert_eq!(api::scale::write(&r, &object, &wanted).unwrap_err().code, 409);
}

#[test]
fn jobs_select_their_own_pods() {
    let path = "batch/v1/jobs";
    let body = "{metadata: {name: j}, spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}}";
    let job = create(path, body).unwrap();
    let uid = "00000000-0000-0000-0000-000000000001";
    assert_eq!(job["spec"]["selector"], json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}));
    assert_eq!(
        job["spec"]["template"]["metadata"]["labels"],
        json!({
            "controller-uid": uid, "batch.kubernetes.io/controller-uid": uid,
            "job-name": "j", "batch.kubernetes.io/job-name": "j",
        })
    );
    for (field, value) in [
        ("completions", json!(1)),
        ("parallelism", json!(1)),
        ("backoffLimit", json!(6)),
        ("completionMode", json!("NonIndexed")),
        ("suspend", json!(false)),
    ] {
        assert_eq!(job["spec"][field], value, "{field}");
    }
    let message = refusal(update(path, None, &job, |j| {
        j["spec"]["template"]["spec"]["containers"][0]["image"] = "x".into()
    }));
    assert!(message.contains("spec.template: Invalid value:") && message.ends_with("field is immutable"));
    let message = refusal(create(path, &body.replace("Never", "Always")));
    assert_eq!(
        message,
        "Job.batch \"j\" is invalid: spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\""
    );
}

#[test]
fn cron_jobs() {
    let body = "{metadata: {name: j}, spec: {schedule: '*/5 * * * *', jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}}}}";
    let cron = create("batch/v1/cronjobs", body).unwrap();
    assert_eq!(cron["spec"]["concurrencyPolicy"], "Allow");
    assert_eq!(cron["spec"]["successfulJobsHistoryLimit"], 3);
    assert_eq!(cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]["dnsPolicy"], "ClusterFirst");
    let message = refusal(create("batch/v1/cronjobs", &body.replace("*/5", "61")));
    assert_eq!(
        message,
        "CronJob.batch \"j\" is invalid: spec.schedule: Invalid value: \"61 * * * *\": end of range (61) above maximum (59): 61"
    );
}
