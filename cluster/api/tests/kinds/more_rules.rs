//! More of what is refused of the rarer kinds.

use serde_json::json;

use crate::rules::{Row, check, check_change};
use crate::{create, refusal, update};

const INGRESS: &str = "networking.k8s.io/v1/ingresses";
const CLASS: &str = "networking.k8s.io/v1/ingressclasses";

const NETWORKS: &[Row] = &[
    (
        INGRESS,
        "{metadata: {name: i, annotations: {kubernetes.io/ingress.class: a}}, spec: {ingressClassName: b, tls: [{hosts: ['*'], secretName: A}]}}",
        &[
            "annotations.kubernetes.io/ingress.class: Invalid value: \"a\": must match `ingressClassName` when both are specified",
            "spec: Invalid value: []: either `defaultBackend` or `rules` must be specified",
            "spec.tls[0].hosts[0]: Invalid value: \"*\": a wildcard DNS-1123 subdomain must start with",
            "spec.tls[0].secretName: Invalid value: \"A\"",
        ],
    ),
    (
        INGRESS,
        "{metadata: {name: i}, spec: {rules: [{host: 1.2.3.4, http: {paths: [{path: 'a', pathType: Prefix, backend: {}}, {path: /a//b/.., pathType: Exact, backend: {service: {name: s, port: {}}}}, {pathType: Like, backend: {service: {name: s, port: {name: p, number: 1}}}}, {backend: {resource: {kind: k, name: n}}}, {pathType: ImplementationSpecific, backend: {resource: {apiGroup: A_, kind: a/b, name: ''}}}]}}, {http: {paths: []}}]}}",
        &[
            "spec.rules[0].host: Invalid value: \"1.2.3.4\": must be a DNS name, not an IP address",
            "spec.rules[0].http.paths[0].path: Invalid value: \"a\": must be an absolute path",
            "spec.rules[0].http.paths[0].backend: Invalid value: \"\": resource or service backend is required",
            "spec.rules[0].http.paths[1].path: Invalid value: \"/a//b/..\": must not contain '//'",
            "spec.rules[0].http.paths[1].path: Invalid value: \"/a//b/..\": cannot end with '/..'",
            "spec.rules[0].http.paths[1].backend: Required value: port name or number is required",
            "spec.rules[0].http.paths[2].pathType: Unsupported value: \"Like\": supported values: \"Exact\", \"ImplementationSpecific\", \"Prefix\"",
            "spec.rules[0].http.paths[2].backend: Invalid value: \"\": cannot set both port name & port number",
            "spec.rules[0].http.paths[3].pathType: Required value: pathType must be specified",
            "spec.rules[0].http.paths[4].backend.resource.apiGroup: Invalid value: \"A_\"",
            "spec.rules[0].http.paths[4].backend.resource.kind: Invalid value: \"a/b\": may not contain '/'",
            "spec.rules[0].http.paths[4].backend.resource.name: Required value",
            "spec.rules[1].http.paths: Required value",
        ],
    ),
    (
        CLASS,
        "{metadata: {name: c}, spec: {controller: 'A_/b c', parameters: {kind: k, name: n, scope: Namespace}}}",
        &[
            "spec.controller: Invalid value: \"A_\": a lowercase RFC 1123 subdomain",
            "spec.controller: Invalid value: \"b c\": Invalid path (regex used for validation is",
            "spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'",
        ],
    ),
    (
        CLASS,
        "{metadata: {name: c}, spec: {controller: x, parameters: {kind: '', name: n, namespace: m}}}",
        &[
            "spec.controller: Invalid value: \"x\": must be a domain-prefixed path (such as \"acme.io/foo\")",
            "spec.parameters.kind: Required value",
            "spec.parameters.namespace: Forbidden: `parameters.scope` is set to 'Cluster'",
        ],
    ),
    (
        "networking.k8s.io/v1/networkpolicies",
        "{metadata: {name: n}, spec: {podSelector: {}, policyTypes: [In], ingress: [{ports: [{port: 9, endPort: 8}, {protocol: X}], from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/8]}}]}]}}",
        &[
            "spec.ingress[0].ports[0].endPort: Invalid value: 9: must be greater than or equal to `port`",
            "spec.ingress[0].ports[1].protocol: Unsupported value: \"X\": supported values: \"TCP\", \"UDP\", \"SCTP\"",
            "spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: \"10.0.0.0/8\": must be a strict subset of `cidr`",
            "spec.policyTypes[0]: Unsupported value: \"In\": supported values: \"Ingress\", \"Egress\"",
        ],
    ),
];

#[test]
fn networks() {
    check(NETWORKS);
    create("/v1/services", "{metadata: {name: 1s}, spec: {ports: [{port: 80}]}}").unwrap();
}

const OTHERS: &[Row] = &[
    (
        "coordination.k8s.io/v1/leases",
        "{metadata: {name: l}, spec: {leaseDurationSeconds: 0, leaseTransitions: -1, strategy: Newest}}",
        &[
            "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
            "spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0",
            "spec.strategy.strategy: Unsupported value: \"Newest\": supported values: \"OldestEmulationVersion\"",
        ],
    ),
    (
        "coordination.k8s.io/v1/leases",
        "{metadata: {name: l}, spec: {preferredHolder: h}}",
        &["spec.preferredHolder: Forbidden: may only be specified if `strategy` is defined"],
    ),
    (
        "node.k8s.io/v1/runtimeclasses",
        "{metadata: {name: r}, handler: '', overhead: {podFixed: {gold: 1}}, scheduling: {tolerations: [{key: k, operator: Exists, value: v}, {key: k, operator: Exists, value: v}]}}",
        &[
            "handler: Required value",
            "overhead.limits[gold]: Invalid value: \"gold\": must be a standard resource for containers",
            "scheduling.tolerations[0].operator: Invalid value: \"v\": value must be empty when `operator` is 'Exists'",
            "scheduling.tolerations[1]: Duplicate value: {",
        ],
    ),
    (
        "apiregistration.k8s.io/v1/apiservices",
        "{metadata: {name: v2.}, spec: {version: v2, groupPriorityMinimum: 0, versionPriority: 1001, caBundle: eA==, insecureSkipTLSVerify: true}}",
        &[
            "spec.group: Required value: only v1 may have an empty group and it better be legacy kube",
            "spec.groupPriorityMinimum: Invalid value: 0: must be positive and less than 20000",
            "spec.versionPriority: Invalid value: 1001: must be positive and less than 1000",
            "spec.caBundle: Invalid value: \"1 bytes\": local APIServices may not have a caBundle",
            "spec.insecureSkipTLSVerify: Invalid value: true: local APIServices may not have insecureSkipTLSVerify",
        ],
    ),
    (
        "apiregistration.k8s.io/v1/apiservices",
        "{metadata: {name: V.A_}, spec: {group: A_, version: V, groupPriorityMinimum: 1, versionPriority: 1, service: {name: s, port: 65536}, caBundle: eA==, insecureSkipTLSVerify: true}}",
        &[
            "spec.group: Invalid value: \"A_\"",
            "spec.version: Invalid value: \"V\": a DNS-1035 label",
            "spec.service.namespace: Required value",
            "spec.service.port: Invalid value: 65536: port is not valid: must be between 1 and 65535, inclusive",
            "spec.insecureSkipTLSVerify: Invalid value: true: may not be true if caBundle is present",
        ],
    ),
];

#[test]
fn others() {
    check(OTHERS);
    // A released lease has no holder.
    let lease = "{metadata: {name: l}, spec: {holderIdentity: h}}";
    let old = create("coordination.k8s.io/v1/leases", lease).unwrap();
    update("coordination.k8s.io/v1/leases", None, &old, |l| l["spec"]["holderIdentity"] = "".into()).unwrap();
}

const REQUEST: &str = "certificates.k8s.io/v1/certificatesigningrequests";
/// Nothing but the frame of a request, in base64; and the same of a certificate.
pub const PEM: &str =
    "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KLS0tLS1FTkQgQ0VSVElGSUNBVEUgUkVRVUVTVC0tLS0tCg==";
pub const CERTIFICATE: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCi0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K";

const REQUESTS: &[Row] = &[
    (
        REQUEST,
        "{metadata: {name: r}, spec: {request: eA==, signerName: a/b/c, usages: [client auth, client auth, fishing], expirationSeconds: 599}}",
        &[
            "spec.request: Invalid value: \"eA==\": PEM block type must be CERTIFICATE REQUEST",
            "spec.usages[1]: Duplicate value: \"client auth\"",
            "spec.usages[2]: Unsupported value: \"fishing\": supported values: \"any\", \"cert sign\", \"client auth\"",
            "spec.signerName: Invalid value: \"a/b/c\": must be a fully qualified domain and path of the form 'example.com/signer-name'",
            "spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 600 seconds (10 minutes)",
        ],
    ),
    (
        REQUEST,
        "{metadata: {name: r}, spec: {request: eA==, signerName: a/B, usages: [any]}}",
        &[
            "spec.signerName: Invalid value: \"a\": should be a domain with at least two segments separated by dots",
            "spec.signerName: Invalid value: \"B\": a lowercase RFC 1123 subdomain",
        ],
    ),
    (
        REQUEST,
        "{metadata: {name: r}, spec: {request: eA==, signerName: kubernetes.io/legacy-unknown, usages: [any]}}",
        &["the legacy signerName is not allowed via this API version"],
    ),
];

#[test]
fn requests_for_certificates() {
    check(REQUESTS);
    let body = format!(
        "{{metadata: {{name: r}}, spec: {{request: {PEM}, signerName: a.b/c, usages: [client auth]}}}}"
    );
    let new = create(REQUEST, &body).unwrap();
    let both = json!([{"type": "Approved", "status": "True"}, {"type": "Denied", "status": "False"}]);
    let message = refusal(update(REQUEST, Some("approval"), &new, |r| r["status"]["conditions"] = both));
    assert!(
        message.contains(
            "status.conditions[1].status: Unsupported value: \"False\": supported values: \"True\""
        ),
        "{message}"
    );
    assert!(message.contains("status.conditions: Invalid value: \"Denied\": Approved and Denied conditions are mutually exclusive"), "{message}");
    let approved = update(REQUEST, Some("approval"), &new, |r| {
        r["status"]["conditions"] = json!([{"type": "Approved", "status": "True"}]);
    })
    .unwrap();
    let message =
        refusal(update(REQUEST, Some("approval"), &approved, |r| r["status"]["conditions"] = json!([])));
    assert!(
        message.contains(
            "status.conditions: Forbidden: updates may not remove a condition of type \"Approved\""
        ),
        "{message}"
    );
    let issue = |old: &serde_json::Value, certificate: &str| {
        update(REQUEST, Some("status"), old, |r| r["status"]["certificate"] = certificate.into())
    };
    for (certificate, wanted) in [
        ("eA==", "must contain at least one CERTIFICATE PEM block"),
        (PEM, "only CERTIFICATE PEM blocks are allowed, found \"CERTIFICATE REQUEST\""),
    ] {
        let message = refusal(issue(&approved, certificate));
        assert!(message.contains(wanted), "{message}");
    }
    let issued = issue(&approved, CERTIFICATE).unwrap();
    let message = refusal(issue(&issued, ""));
    assert!(
        message
            .contains("status.certificate: Forbidden: updates may not modify existing certificate content"),
        "{message}"
    );
    check_change(
        CLASS,
        "{metadata: {name: c}, spec: {controller: a.b/c}}",
        "/spec/controller",
        json!("a.b/d"),
        "spec.controller: Invalid value: \"a.b/d\": field is immutable",
    );
}

const CLAIM: &str = "/v1/persistentvolumeclaims";

const CORE: &[Row] = &[
    (
        CLAIM,
        "{metadata: {name: c}, spec: {accessModes: [ReadWriteOncePod, ReadOnlyMany, Any], resources: {requests: {storage: '-1'}}, volumeAttributesClassName: A_, dataSource: {kind: K, name: n}, dataSourceRef: {apiGroup: A_, kind: K, name: n}}}",
        &[
            "spec.accessModes: Unsupported value: \"Any\": supported values: \"ReadOnlyMany\", \"ReadWriteMany\", \"ReadWriteOnce\", \"ReadWriteOncePod\"",
            "spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes",
            "spec.resources[storage]: Invalid value: \"-1\": must be greater than zero",
            "spec.volumeAttributesClassName: Invalid value: \"A_\"",
            "spec.dataSource: Invalid value: \"K\": must be 'PersistentVolumeClaim' when referencing the default apiGroup",
            "spec.dataSourceRef.apiGroup: Invalid value: \"A_\"",
            "spec: Invalid value: \"spec.dataSource\": must match dataSourceRef",
        ],
    ),
    (
        "/v1/endpoints",
        "{metadata: {name: e}, subsets: [{addresses: [{ip: 'fe80::1', nodeName: A}, {ip: 'ff02::1'}], ports: [{port: 80, appProtocol: 'a b'}]}]}",
        &[
            "subsets[0].addresses[0].ip: Invalid value: \"fe80::1\": may not be in the link-local range (169.254.0.0/16, fe80::/10)",
            "subsets[0].addresses[0].nodeName: Invalid value: \"A\"",
            "subsets[0].addresses[1].ip: Invalid value: \"ff02::1\": may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)",
            "subsets[0].ports[0].appProtocol: Invalid value: \"a b\"",
        ],
    ),
    (
        "discovery.k8s.io/v1/endpointslices",
        "{metadata: {name: e}, addressType: IPv4, ports: [{name: p, appProtocol: 'a b'}], endpoints: [{addresses: [10.0.0.1], deprecatedTopology: {'a b': c}, hints: {forZones: [{name: z}, {name: z}], forNodes: [{name: N}]}}]}",
        &[
            "ports[0].appProtocol: Invalid value: \"a b\"",
            "endpoints[0].deprecatedTopology: Invalid value: \"a b\"",
            "endpoints[0].hints.forZones[1].name: Duplicate value: \"z\"",
            "endpoints[0].hints.forNodes[0].name: Invalid value: \"N\"",
        ],
    ),
    (
        "/v1/nodes",
        "{metadata: {name: n}, spec: {podCIDR: 10.0.0.0/24, podCIDRs: [10.0.0.0/24, 10.0.1.0/24], taints: [{key: k, effect: NoSchedule}, {key: k, effect: NoSchedule}]}}",
        &[
            "spec.podCIDRs: Invalid value: [\"10.0.0.0/24\",\"10.0.1.0/24\"]: may specify no more than one CIDR for each IP family",
            "taints must be unique by key and effect pair",
        ],
    ),
];

const EVENT: &str = "events.k8s.io/v1/events";

/// Stricter in the new version than in `v1`.
#[test]
fn new_events() {
    check(&[(
        EVENT,
        "{metadata: {name: e, namespace: ns}, type: Odd, deprecatedCount: 2, deprecatedFirstTimestamp: '2026-01-01T00:00:00Z', deprecatedSource: {host: h}, regarding: {namespace: ns}, series: {count: 1}}",
        &[
            "eventTime: Required value",
            "type: Invalid value: \"\": has invalid value: Odd",
            "firstTimestamp: Invalid value: \"\": needs to be unset",
            "count: Invalid value: \"\": needs to be unset",
            "source: Invalid value: \"\": needs to be unset",
            "series.count: Invalid value: \"\": should be at least 2",
            "series.lastObservedTime: Required value",
        ],
    )]);
    let body = "{metadata: {name: e, namespace: ns}, type: Normal, eventTime: '2026-01-01T00:00:00.123456Z', regarding: {namespace: ns, name: p}, reason: R, action: A, note: n, reportingController: c, reportingInstance: i}";
    let old = create(EVENT, body).unwrap();
    update(EVENT, None, &old, |e| {
        e["eventTime"] = "2026-01-01T00:00:00.123456000Z".into();
        e["series"] = json!({"count": 2, "lastObservedTime": "2026-01-01T00:00:01.000000Z"});
    })
    .unwrap();
    for (field, name) in
        [("reason", "reason"), ("message", "message"), ("reportingComponent", "reportingController")]
    {
        let message = refusal(update(EVENT, None, &old, |e| e[field] = "x".into()));
        assert!(message.contains(&format!("{name}: Invalid value: \"x\": field is immutable")), "{message}");
    }
}

#[test]
fn the_core() {
    check(CORE);
}

#[test]
fn claims_change_as_they_may() {
    let body = "{metadata: {name: c}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}, volumeAttributesClassName: v}}";
    let mut bound = create(CLAIM, body).unwrap();
    bound["status"] =
        json!({"phase": "Bound", "capacity": {"storage": "1Gi"}, "currentVolumeAttributesClassName": "v"});
    let resize = |old: &serde_json::Value, size: &str| {
        update(CLAIM, None, old, |c| c["spec"]["resources"]["requests"]["storage"] = size.into())
    };
    // Back from an expansion that failed, but not to what is there.
    resize(&bound, "1500Mi").unwrap();
    resize(&bound, "3Gi").unwrap();
    let message = refusal(resize(&bound, "1Gi"));
    assert!(
        message.contains(
            "spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"
        ),
        "{message}"
    );
    let message = refusal(update(CLAIM, None, &bound, |c| {
        c["spec"]["volumeAttributesClassName"] = json!(null);
    }));
    assert!(
        message
            .contains("update to nil is forbidden when status.currentVolumeAttributesClassName is not nil"),
        "{message}"
    );
    let mut beta = bound.clone();
    beta["metadata"]["annotations"] = json!({"volume.beta.kubernetes.io/storage-class": "s"});
    let class = |name: &str| update(CLAIM, None, &beta, |c| c["spec"]["storageClassName"] = name.into());
    class("s").unwrap();
    let message = refusal(class("t"));
    assert!(message.contains("spec: Forbidden: spec is immutable after creation"), "{message}");
    let message = refusal(update(CLAIM, Some("status"), &bound, |c| {
        c["status"]["allocatedResourceStatuses"] = json!({"cpu": "Waiting"});
    }));
    assert!(
        message.contains(
            "status.allocatedResourceStatuses: Unsupported value: \"cpu\": supported values: \"storage\""
        ),
        "{message}"
    );
}
