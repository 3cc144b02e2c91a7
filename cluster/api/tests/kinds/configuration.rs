//! Config maps, secrets, namespaces, nodes, roles, leases, budgets, policies.

use serde_json::json;

use crate::more_rules::{CERTIFICATE, PEM};
use crate::{create, refusal, resource, update};

#[test]
fn string_data_becomes_data() {
    let secret =
        create("/v1/secrets", "{metadata: {name: s}, stringData: {k: v}, data: {k: eA==, l: eQ==}}").unwrap();
    assert_eq!(secret["data"], json!({"k": "dg==", "l": "eQ=="}));
    assert_eq!(secret.get("stringData"), None);
    assert_eq!(secret["type"], "Opaque");
    let message = refusal(create("/v1/secrets", "{metadata: {name: s}, type: kubernetes.io/tls}"));
    assert_eq!(
        message,
        "Secret \"s\" is invalid: [data[tls.crt]: Required value, data[tls.key]: Required value]"
    );
    let message = refusal(update("/v1/secrets", None, &secret, |s| s["type"] = "x".into()));
    assert_eq!(message, "Secret \"s\" is invalid: type: Invalid value: \"x\": field is immutable");
}

#[test]
fn immutable_data_stays() {
    for path in ["/v1/configmaps", "/v1/secrets"] {
        let old = create(path, "{metadata: {name: x}, immutable: true, data: {k: dg==}}").unwrap();
        let message = refusal(update(path, None, &old, |o| {
            o["immutable"] = false.into();
            o["data"]["k"] = "eA==".into();
        }));
        assert!(message.ends_with("is invalid: [immutable: Forbidden: field is immutable when `immutable` is set, data: Forbidden: field is immutable when `immutable` is set]"), "{message}");
    }
}

#[test]
fn keys_of_config_maps() {
    let message = refusal(create("/v1/configmaps", "{metadata: {name: x}, data: {a/b: c}}"));
    assert_eq!(
        message,
        "ConfigMap \"x\" is invalid: data[a/b]: Invalid value: \"a/b\": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
    );
}

#[test]
fn namespaces_have_their_finalizer_and_label() {
    let path = "/v1/namespaces";
    let namespace = create(path, "{metadata: {generateName: n-}}").unwrap();
    assert_eq!(namespace["metadata"]["labels"], json!({"kubernetes.io/metadata.name": "n-bcdfg"}));
    assert_eq!(namespace["spec"], json!({"finalizers": ["kubernetes"]}));
    assert_eq!(namespace["status"], json!({"phase": "Active"}));
    let kept = update(path, None, &namespace, |n| n["spec"]["finalizers"] = json!([])).unwrap();
    assert_eq!(kept["spec"]["finalizers"], json!(["kubernetes"]));
    let done = update(path, Some("finalize"), &namespace, |n| n["spec"]["finalizers"] = json!([])).unwrap();
    assert_eq!(done["spec"]["finalizers"], json!([]));
    let message =
        refusal(update(path, Some("status"), &namespace, |n| n["status"]["phase"] = "Terminating".into()));
    assert!(message.contains("may only be 'Active' if `deletionTimestamp` is empty"), "{message}");
}

#[test]
fn roles_and_bindings() {
    let bindings = "rbac.authorization.k8s.io/v1/rolebindings";
    let binding = create(bindings, "{metadata: {name: 'a:b'}, roleRef: {kind: Role, name: r}, subjects: [{kind: User, name: u}, {kind: ServiceAccount, name: s, namespace: n}]}").unwrap();
    let group = "rbac.authorization.k8s.io";
    assert_eq!(binding["roleRef"]["apiGroup"], group);
    assert_eq!(binding["subjects"][0]["apiGroup"], group);
    assert_eq!(binding["subjects"][1].get("apiGroup"), None);
    let message = refusal(update(bindings, None, &binding, |b| b["roleRef"]["name"] = "q".into()));
    assert!(message.ends_with("cannot change roleRef"), "{message}");
    let message = refusal(create(
        "rbac.authorization.k8s.io/v1/roles",
        "{metadata: {name: r}, rules: [{resources: [pods]}]}",
    ));
    assert_eq!(
        message,
        "Role.rbac.authorization.k8s.io \"r\" is invalid: [rules[0].verbs: Required value: verbs must contain at least one value, rules[0].apiGroups: Required value: resource rules must supply at least one api group]"
    );
}

#[test]
fn leases_carry_their_epoch() {
    let path = "coordination.k8s.io/v1/leases";
    let lease =
        create(path, "{metadata: {name: l}, spec: {holderIdentity: a/b, leaseTransitions: 3}}").unwrap();
    let fields = resource(path).fields(&lease);
    assert!(fields.contains(&("epoch".to_owned(), "a/b/3".to_owned())));
}

#[test]
fn nodes() {
    let node =
        create("/v1/nodes", "{metadata: {name: n}, spec: {podCIDRs: [10.0.0.0/24], podCIDR: 10.0.0.0/24}}")
            .unwrap();
    let message =
        refusal(update("/v1/nodes", None, &node, |n| n["spec"]["podCIDRs"] = json!(["10.0.1.0/24"])));
    assert_eq!(
        message,
        "Node \"n\" is invalid: spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid"
    );
    let message =
        refusal(create("/v1/nodes", "{metadata: {name: n}, spec: {taints: [{key: a, effect: Odd}]}}"));
    assert!(message.contains("metadata.taints[0].effect: Unsupported value: \"Odd\": supported values: \"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\""), "{message}");
}

#[test]
fn claims_keep_their_spec() {
    let path = "/v1/persistentvolumeclaims";
    let claim = create(
        path,
        "{metadata: {name: c}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}",
    )
    .unwrap();
    assert_eq!(claim["spec"]["volumeMode"], "Filesystem");
    assert_eq!(claim["status"], json!({"phase": "Pending"}));
    let message = refusal(update(path, None, &claim, |c| c["spec"]["accessModes"] = json!(["ReadOnlyMany"])));
    assert!(
        message.contains("spec: Forbidden: spec is immutable after creation except resources.requests"),
        "{message}"
    );
}

#[test]
fn certificate_requests_carry_who_asks() {
    let path = "certificates.k8s.io/v1/certificatesigningrequests";
    let body = format!(
        "{{metadata: {{name: r}}, spec: {{signerName: a.b/c, request: {PEM}, usages: [client auth], username: root}}}}"
    );
    let request = create(path, &body).unwrap();
    assert_eq!(request["spec"]["username"], "jane");
    assert_eq!(request["spec"]["groups"], json!(["dev"]));
    let approved = update(path, Some("approval"), &request, |r| {
        r["status"]["conditions"] = json!([{"type": "Approved", "status": "True"}]);
    })
    .unwrap();
    assert_eq!(approved["status"]["conditions"][0]["lastUpdateTime"], crate::NOW);
    let kept = update(path, Some("status"), &approved, |r| r["status"] = json!({"certificate": CERTIFICATE}))
        .unwrap();
    assert_eq!(kept["status"]["conditions"][0]["type"], "Approved");
}

/// A resource, and what an object of it holds at the least.
const PLAIN_OBJECTS: &[(&str, &str)] = &[
    ("networking.k8s.io/v1/networkpolicies", "spec: {podSelector: {}}"),
    (
        "networking.k8s.io/v1/ingresses",
        "spec: {rules: [{host: a.b, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: s, port: {number: 80}}}}]}}]}",
    ),
    ("networking.k8s.io/v1/ingressclasses", "spec: {controller: a.b/c}"),
    ("networking.k8s.io/v1/servicecidrs", "spec: {cidrs: [10.0.0.0/16]}"),
    ("policy/v1/poddisruptionbudgets", "spec: {minAvailable: 1, selector: {matchLabels: {a: b}}}"),
    ("storage.k8s.io/v1/storageclasses", "provisioner: a.b/c"),
    ("storage.k8s.io/v1/csidrivers", "spec: {}"),
    ("storage.k8s.io/v1/csinodes", "spec: {drivers: []}"),
    (
        "storage.k8s.io/v1/volumeattachments",
        "spec: {attacher: a, nodeName: n, source: {persistentVolumeName: p}}",
    ),
    ("storage.k8s.io/v1/volumeattributesclasses", "{driverName: a.b, parameters: {a: b}}"),
    ("scheduling.k8s.io/v1/priorityclasses", "value: 5"),
    ("node.k8s.io/v1/runtimeclasses", "handler: h"),
    ("flowcontrol.apiserver.k8s.io/v1/flowschemas", "spec: {priorityLevelConfiguration: {name: p}}"),
    (
        "flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations",
        "spec: {type: Limited, limited: {limitResponse: {type: Queue, queuing: {}}}}",
    ),
    (
        "admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
        "webhooks: [{name: a.b.c, clientConfig: {url: 'https://x'}, sideEffects: None, admissionReviewVersions: [v1], rules: [{operations: [CREATE], apiGroups: [''], apiVersions: [v1], resources: [pods]}]}]",
    ),
    ("admissionregistration.k8s.io/v1/mutatingwebhookconfigurations", "webhooks: []"),
    (
        "admissionregistration.k8s.io/v1/validatingadmissionpolicybindings",
        "spec: {policyName: p, validationActions: [Deny]}",
    ),
    ("resource.k8s.io/v1/deviceclasses", "spec: {}"),
    (
        "resource.k8s.io/v1/resourceclaims",
        "spec: {devices: {requests: [{name: r, exactly: {deviceClassName: c}}]}}",
    ),
    (
        "apiregistration.k8s.io/v1/apiservices",
        "{metadata: {name: v1.g}, spec: {group: g, version: v1, groupPriorityMinimum: 1, versionPriority: 1}}",
    ),
    (
        "autoscaling/v2/horizontalpodautoscalers",
        "spec: {maxReplicas: 3, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: d}}",
    ),
    ("apps/v1/controllerrevisions", "{revision: 1, data: {}}"),
    ("/v1/limitranges", "spec: {limits: [{type: Container, max: {cpu: 1}}]}"),
    ("/v1/resourcequotas", "spec: {hard: {pods: 5}}"),
    ("/v1/serviceaccounts", "{}"),
    ("/v1/podtemplates", "template: {spec: {containers: [{name: c, image: i}]}}"),
    (
        "/v1/replicationcontrollers",
        "spec: {template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}}",
    ),
    (
        "/v1/persistentvolumes",
        "spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], hostPath: {path: /x}}",
    ),
    ("/v1/endpoints", "subsets: [{addresses: [{ip: 10.0.0.1}], ports: [{port: 80}]}]"),
    ("/v1/events", "involvedObject: {namespace: ns}"),
];

#[test]
fn every_kind_takes_a_plain_object() {
    for (path, body) in PLAIN_OBJECTS {
        let mut object = crate::yaml(body);
        if object["metadata"]["name"].is_null() {
            object["metadata"]["name"] = "x".into();
        }
        let created = crate::create_in(&resource(path), &object);
        let object = created.unwrap_or_else(|e| panic!("{path}: {}", e.message));
        let same = update(path, None, &object, |_| {});
        let same = same.unwrap_or_else(|e| panic!("{path}: {}", e.message));
        assert_eq!(same, object, "an update without a change changes nothing: {path}");
    }
}
