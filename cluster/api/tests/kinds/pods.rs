//! Pods: defaults, validation, what may change and through what.

use serde_json::{Value, json};

use crate::{create, refusal, resource, update};

const PODS: &str = "/v1/pods";

const SIMPLE: &str = "
metadata: {name: p}
spec:
  containers:
  - name: c
    image: nginx
    ports: [{containerPort: 80}]
    livenessProbe: {httpGet: {port: 80}}
    resources: {limits: {cpu: 1000m}}
  volumes:
  - {name: v, configMap: {name: m}}
  - {name: e}
";

#[test]
fn defaults() {
    let pod = create(PODS, SIMPLE).unwrap();
    let container = json!({
        "name": "c", "image": "nginx", "imagePullPolicy": "Always",
        "ports": [{"containerPort": 80, "protocol": "TCP"}],
        "livenessProbe": {
            "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
            "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
        },
        "resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "1"}},
        "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
    });
    assert_eq!(
        pod["spec"],
        json!({
            "containers": [container],
            "volumes": [{"name": "v", "configMap": {"name": "m", "defaultMode": 420}}, {"name": "e", "emptyDir": {}}],
            "dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "schedulerName": "default-scheduler",
            "securityContext": {}, "terminationGracePeriodSeconds": 30, "enableServiceLinks": true,
        })
    );
    assert_eq!(pod["status"], json!({"phase": "Pending", "qosClass": "Burstable"}));
    assert_eq!(pod["metadata"]["generation"], 1);
}

#[test]
fn both_names_of_the_service_account() {
    let pod =
        create(PODS, "{metadata: {name: p}, spec: {serviceAccount: s, containers: [{name: c, image: i}]}}")
            .unwrap();
    assert_eq!(pod["spec"]["serviceAccountName"], "s");
}

#[test]
fn refusals() {
    let cases = [
        ("spec: {}", "spec.containers: Required value"),
        ("spec: {containers: [{name: c, image: ''}]}", "spec.containers[0].image: Required value"),
        (
            "spec: {containers: [{name: c, image: i}, {name: c, image: i}]}",
            "spec.containers[1].name: Duplicate value: \"c\"",
        ),
        (
            "spec: {containers: [{name: c, image: i, volumeMounts: [{name: v, mountPath: /x}]}]}",
            "spec.containers[0].volumeMounts[0].name: Not found: \"v\"",
        ),
        (
            "spec: {restartPolicy: Sometimes, containers: [{name: c, image: i}]}",
            "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", \"Never\"",
        ),
        (
            "spec: {containers: [{name: c, image: i, ports: [{containerPort: 70000}]}]}",
            "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
        ),
        (
            "spec: {containers: [{name: c, image: i, resources: {requests: {cpu: 2}, limits: {cpu: 1}}}]}",
            "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
        ),
        (
            "spec: {containers: [{name: c, image: i, resources: {requests: {gpu: 2}}}]}",
            "spec.containers[0].resources.requests[gpu]: Invalid value: \"gpu\": must be a standard resource for containers",
        ),
        (
            "spec: {containers: [{name: c, image: i, readinessProbe: {}}]}",
            "spec.containers[0].readinessProbe: Required value: must specify a handler type",
        ),
        (
            "spec: {containers: [{name: c, image: i, env: [{name: A, valueFrom: {}}]}]}",
            "spec.containers[0].env[0].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        ),
        (
            "spec: {dnsPolicy: None, containers: [{name: c, image: i}]}",
            "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None",
        ),
        (
            "spec: {containers: [{name: c, image: i}], volumes: [{name: v, secret: {}, emptyDir: {}}]}",
            "spec.volumes[0].secret: Forbidden: may not specify more than 1 volume type",
        ),
        (
            "spec: {containers: [{name: c, image: i}], tolerations: [{}]}",
            "spec.tolerations[0].operator: Invalid value: \"\": operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
        ),
    ];
    for (spec, error) in cases {
        let message = refusal(create(PODS, &format!("metadata: {{name: p}}\n{spec}")));
        assert_eq!(message, format!("Pod \"p\" is invalid: {error}"), "{spec}");
    }
}

#[test]
fn what_may_change() {
    let old = create(PODS, SIMPLE).unwrap();
    let new = update(PODS, None, &old, |p| p["spec"]["containers"][0]["image"] = "nginx:2".into()).unwrap();
    assert_eq!(new["metadata"]["generation"], 2);
    let labelled = update(PODS, None, &old, |p| p["metadata"]["labels"] = json!({"a": "b"})).unwrap();
    assert_eq!(labelled["metadata"]["generation"], 1);
    let message = refusal(update(PODS, None, &old, |p| p["spec"]["hostNetwork"] = true.into()));
    assert!(message.contains("spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`"), "{message}");
    let message = refusal(update(PODS, None, &old, |p| {
        p["spec"]["containers"].as_array_mut().unwrap().push(json!({"name": "d", "image": "i"}));
    }));
    assert!(message.contains("spec.containers: Forbidden: pod updates may not add or remove containers"));
    let tolerated = update(PODS, None, &old, |p| p["spec"]["tolerations"] = json!([{"operator": "Exists"}]));
    assert!(tolerated.is_ok());
}

#[test]
fn a_status_update_changes_only_the_status_and_metadata() {
    let old = create(PODS, SIMPLE).unwrap();
    let new = update(PODS, Some("status"), &old, |p| {
        p["spec"]["nodeName"] = "n".into();
        p["metadata"]["annotations"] = json!({"a": "b"});
        p["status"] = json!({"phase": "Running"});
    })
    .unwrap();
    assert_eq!(new["spec"], old["spec"]);
    assert_eq!(new["metadata"]["annotations"], json!({"a": "b"}));
    assert_eq!(new["status"], json!({"phase": "Running", "qosClass": "Burstable"}));
    let back = update(PODS, None, &new, |p| p["status"]["phase"] = "Failed".into()).unwrap();
    assert_eq!(back["status"]["phase"], "Running");
}

#[test]
fn ephemeral_containers_are_added_by_their_subresource() {
    let old = create(PODS, SIMPLE).unwrap();
    let add = |p: &mut Value| {
        p["spec"]["ephemeralContainers"] = json!([{"name": "debug", "image": "busybox"}]);
        p["spec"]["hostNetwork"] = true.into();
    };
    let new = update(PODS, Some("ephemeralcontainers"), &old, add).unwrap();
    assert_eq!(new["spec"]["ephemeralContainers"][0]["imagePullPolicy"], "Always");
    assert_eq!(new["spec"].get("hostNetwork"), None);
    let gone = |p: &mut Value| p["spec"]["ephemeralContainers"] = json!([]);
    let message = refusal(update(PODS, Some("ephemeralcontainers"), &new, gone));
    assert!(message.contains("existing ephemeral containers \"debug\" may not be removed"), "{message}");
}

#[test]
fn resize_changes_cpu_and_memory() {
    let old = create(PODS, SIMPLE).unwrap();
    let grow = |p: &mut Value| {
        p["spec"]["containers"][0]["resources"] = json!({"limits": {"cpu": "2"}, "requests": {"cpu": "2"}});
        p["spec"]["containers"][0]["image"] = "other".into();
    };
    let new = update(PODS, Some("resize"), &old, grow).unwrap();
    assert_eq!(new["spec"]["containers"][0]["resources"]["limits"]["cpu"], "2");
    assert_eq!(new["spec"]["containers"][0]["image"], "nginx");
    assert_eq!(new["metadata"]["generation"], 2);
    let class = |p: &mut Value| {
        p["spec"]["containers"][0]["resources"] =
            json!({"limits": {"cpu": "1", "memory": "1"}, "requests": {"cpu": "1", "memory": "1"}});
    };
    let message = refusal(update(PODS, Some("resize"), &old, class));
    assert!(message.contains("Pod QOS Class may not change as a result of resizing"), "{message}");
}

#[test]
fn selectable_fields() {
    let mut pod = create(PODS, SIMPLE).unwrap();
    pod["spec"]["nodeName"] = "n".into();
    let r = resource(PODS);
    let fields = r.fields(&pod);
    let value = |name: &str| fields.iter().find(|(n, _)| n == name).unwrap().1.as_str();
    assert_eq!((value("spec.nodeName"), value("status.phase")), ("n", "Pending"));
    assert_eq!((value("spec.hostNetwork"), value("status.podIP")), ("false", ""));
    let selector = api::selector::FieldSelector::parse("spec.foo=1").unwrap();
    let error = r.check_field_selector(&selector).unwrap_err();
    assert_eq!(error.message, "field label not supported: spec.foo");
}

#[test]
fn warnings() {
    let pod = create(
        PODS,
        "
metadata: {name: p.q}
spec:
  containers:
  - name: c
    image: i
    env: [{name: A, value: b}, {name: A, value: c}]
    ports: [{containerPort: 1}, {containerPort: 1}]
    resources: {limits: {memory: 100m}}
",
    )
    .unwrap();
    let warnings = api::pipeline::validate_create(&resource(PODS), &pod).unwrap();
    assert_eq!(
        warnings,
        [
            "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]",
            "spec.containers[0].resources.limits[memory]: fractional byte value \"100m\" is invalid, must be an integer",
            "spec.containers[0].resources.requests[memory]: fractional byte value \"100m\" is invalid, must be an integer",
            "spec.containers[0].env[1]: hides previous definition of \"A\", which may be dropped when using apply",
            "spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]",
        ]
    );
}
