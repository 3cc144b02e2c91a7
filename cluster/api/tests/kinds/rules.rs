//! What is refused of the rarer kinds, with Kubernetes' paths and words: a row for each rule.

use serde_json::{Value, json};

use crate::{create, refusal, update};

/// A kind, a body with something wrong in it, and parts of the refusal.
pub type Row = (&'static str, &'static str, &'static [&'static str]);

pub fn check(rows: &[Row]) {
    for (path, body, parts) in rows {
        let message = match create(path, body) {
            Ok(object) => panic!("{body} is accepted: {object}"),
            Err(status) => status.message,
        };
        for part in *parts {
            assert!(message.contains(part), "{body}\n{part}\nis not in\n{message}");
        }
    }
}

/// A change of an object that is there, and the refusal.
pub fn check_change(path: &str, body: &str, at: &str, value: Value, wanted: &str) {
    let old = create(path, body).unwrap();
    let message = refusal(update(path, None, &old, |new| *new.pointer_mut(at).unwrap() = value));
    assert!(message.contains(wanted), "{at}: {wanted}\nis not in\n{message}");
}

const CLASS: &str = "storage.k8s.io/v1/storageclasses";
const DRIVER: &str = "storage.k8s.io/v1/csidrivers";
const NODE: &str = "storage.k8s.io/v1/csinodes";
const ATTACHMENT: &str = "storage.k8s.io/v1/volumeattachments";
const VOLUME: &str = "/v1/persistentvolumes";

const STORAGE: &[Row] = &[
    (
        CLASS,
        "{metadata: {name: c}, provisioner: 'a b', reclaimPolicy: Recycle}",
        &[
            "provisioner: Invalid value: \"a b\": name part must consist of",
            "reclaimPolicy: Unsupported value: \"Recycle\": supported values: \"Delete\", \"Retain\"",
        ],
    ),
    (
        CLASS,
        "{metadata: {name: c}, provisioner: p, parameters: {'': x}}",
        &["parameters: Invalid value: \"\": field can not be empty."],
    ),
    (
        CLASS,
        "{metadata: {name: c}, provisioner: p, allowedTopologies: [{matchLabelExpressions: [{key: k, values: [a, a]}, {key: k, values: []}]}, {matchLabelExpressions: [{key: z, values: [b]}]}, {matchLabelExpressions: [{key: z, values: [b]}]}]}",
        &[
            "allowedTopologies[0].matchLabelExpressions[0].values[1]: Duplicate value: \"a\"",
            "allowedTopologies[0].matchLabelExpressions[1].values: Required value",
            "allowedTopologies[0].matchLabelExpressions[1].key: Duplicate value: \"k\"",
            "allowedTopologies[2].matchLabelExpressions: Duplicate value: \"\"",
        ],
    ),
    (
        "storage.k8s.io/v1/volumeattributesclasses",
        "{metadata: {name: c}, driverName: d}",
        &["parameters: Required value: must contain at least one key/value pair"],
    ),
    (
        DRIVER,
        "{metadata: {name: d}, spec: {fsGroupPolicy: Some, tokenRequests: [{audience: a, expirationSeconds: 1}, {audience: a}], nodeAllocatableUpdatePeriodSeconds: 9}}",
        &[
            "spec.fsGroupPolicy: Unsupported value: \"Some\": supported values: \"File\", \"None\", \"ReadWriteOnceWithFSType\"",
            "spec.tokenRequests[0].expirationSeconds: Invalid value: 1: may not specify a duration less than 10 minutes",
            "spec.tokenRequests[1].audience: Duplicate value: \"a\"",
            "spec.nodeAllocatableUpdatePeriodSeconds: Invalid value: 9: must be greater than or equal to 10 seconds",
        ],
    ),
    (
        NODE,
        "{metadata: {name: n}, spec: {drivers: [{name: '', nodeID: ''}, {name: d, nodeID: n, allocatable: {count: -1}, topologyKeys: [a, a]}, {name: d, nodeID: n}]}}",
        &[
            "spec.drivers[0].name: Required value",
            "spec.drivers[0].nodeID: Required value",
            "spec.drivers[1].allocatable.count: Invalid value: -1: must be greater than or equal to 0",
            "spec.drivers[1]: Duplicate value: \"a\"",
            "spec.drivers[2].name: Duplicate value: \"d\"",
        ],
    ),
    (
        "storage.k8s.io/v1/csistoragecapacities",
        "{metadata: {name: c}, storageClassName: s, nodeTopology: {matchExpressions: [{key: k, operator: Is}]}, capacity: '-1'}",
        &[
            "nodeTopology.matchExpressions[0].operator: Invalid value: \"Is\": not a valid selector operator",
            "capacity: Invalid value: \"-1\": must be greater than or equal to 0",
        ],
    ),
    (
        ATTACHMENT,
        "{metadata: {name: a}, spec: {attacher: 'a b', nodeName: n, source: {}}}",
        &[
            "spec.attacher: Invalid value: \"a b\": a lowercase RFC 1123 subdomain",
            "spec.source: Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName",
        ],
    ),
    (
        ATTACHMENT,
        "{metadata: {name: a}, spec: {attacher: a, nodeName: n, source: {inlineVolumeSpec: {accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, nfs: {server: s, path: /p}, persistentVolumeReclaimPolicy: Delete, volumeMode: Block}}}}",
        &[
            "spec.source.inlineVolumeSpec.capacity: Forbidden: may not be specified in the context of inline volumes",
            "spec.source.inlineVolumeSpec.csi: Required value: has to be specified in the context of inline volumes",
            "spec.source.inlineVolumeSpec.persistentVolumeReclaimPolicy: Forbidden: may only be Retain in the context of inline volumes",
            "spec.source.inlineVolumeSpec.volumeMode: Forbidden: may not specify volumeMode other than Filesystem",
        ],
    ),
    (
        VOLUME,
        "{metadata: {name: v}, spec: {accessModes: [ReadWriteOncePod, ReadOnlyMany], capacity: {storage: 0, cpu: 1}, csi: {driver: d, volumeHandle: '', nodePublishSecretRef: {name: s}}, nfs: {server: s, path: p}}}",
        &[
            "spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes",
            "spec.capacity: Unsupported value: {",
            "spec.capacity[storage]: Invalid value: \"0\": must be greater than zero",
            "spec.nfs.path: Invalid value: \"p\": must be an absolute path",
            "spec.csi: Forbidden: may not specify more than 1 volume type",
        ],
    ),
    (
        VOLUME,
        "{metadata: {name: v}, spec: {accessModes: [ReadWriteOnce], capacity: {storage: 1}, csi: {driver: d, nodePublishSecretRef: {name: s}}, storageClassName: A_b}}",
        &[
            "spec.csi.volumeHandle: Required value",
            "spec.csi.nodePublishSecretRef.namespace: Required value",
            "spec.storageClassName: Invalid value: \"A_b\": a lowercase RFC 1123 subdomain",
        ],
    ),
    (
        VOLUME,
        "{metadata: {name: v}, spec: {accessModes: [ReadWriteOnce], capacity: {storage: 1}, hostPath: {path: /./}, persistentVolumeReclaimPolicy: Recycle, volumeAttributesClassName: '', nodeAffinity: {}}}",
        &[
            "spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'",
            "spec.volumeAttributesClassName: Required value: an empty string is disallowed",
            "spec.csi: Required value: has to be specified when using volumeAttributesClassName",
            "spec.nodeAffinity.required: Required value: must specify required node constraints",
        ],
    ),
    (
        VOLUME,
        "{metadata: {name: v}, spec: {accessModes: [ReadWriteOnce], capacity: {storage: 1}, iscsi: {targetPortal: p, iqn: x, lun: 256, chapAuthSession: true}}}",
        &[
            "spec.iscsi.iqn: Invalid value: \"x\": must be valid format",
            "spec.iscsi.lun: Invalid value: 256: must be between 0 and 255, inclusive",
            "spec.iscsi.secretRef: Required value",
        ],
    ),
    (
        VOLUME,
        "{metadata: {name: v}, spec: {accessModes: [ReadWriteOnce], capacity: {storage: 1}, fc: {targetWWNs: [a], wwids: [b]}}}",
        &[
            "spec.fc.targetWWNs: Invalid value: [\"a\"]: targetWWNs and wwids can not be specified simultaneously",
            "spec.fc.lun: Required value: lun is required if targetWWNs is specified",
        ],
    ),
];

#[test]
fn storage() {
    check(STORAGE);
}

#[test]
fn what_stays_of_storage() {
    let class = "{metadata: {name: c}, provisioner: p, parameters: {a: b}}";
    for (field, value) in [("reclaimPolicy", json!("Retain")), ("parameters", json!({"a": "c"}))] {
        let wanted = format!("{field}: Invalid value: {value}: field is immutable");
        check_change(CLASS, class, &format!("/{field}"), value, &wanted);
    }
    let node = "{metadata: {name: n}, spec: {drivers: [{name: d, nodeID: a, allocatable: {count: 1}}]}}";
    check_change(NODE, node, "/spec/drivers/0/nodeID", json!("b"), "spec.drivers: Invalid value: ");
    let old = create(NODE, node).unwrap();
    update(NODE, None, &old, |new| new["spec"]["drivers"][0]["allocatable"]["count"] = 2.into()).unwrap();
    let volume = "{metadata: {name: v}, spec: {accessModes: [ReadWriteOnce], capacity: {storage: 1}, csi: {driver: d, volumeHandle: h}, volumeAttributesClassName: c, nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: beta.kubernetes.io/os, operator: Exists}]}]}}}}";
    let key = "/spec/nodeAffinity/required/nodeSelectorTerms/0/matchExpressions/0/key";
    let detail = "field is immutable, except for updating from beta label to GA";
    check_change(VOLUME, volume, key, json!("x"), detail);
    check_change(
        VOLUME,
        volume,
        "/spec/csi/volumeHandle",
        json!("i"),
        "spec.persistentvolumesource: Forbidden",
    );
    let old = create(VOLUME, volume).unwrap();
    update(VOLUME, None, &old, |new| {
        *new.pointer_mut(key).unwrap() = "kubernetes.io/os".into();
        new["spec"]["csi"]["controllerExpandSecretRef"] = json!({"name": "s", "namespace": "n"});
    })
    .unwrap();
    let message = refusal(update(VOLUME, None, &old, |new| {
        new["spec"]["volumeAttributesClassName"] = Value::Null;
    }));
    assert!(message.contains("update from non-nil value to nil is forbidden"), "{message}");
}

const FLOW: &str = "flowcontrol.apiserver.k8s.io/v1/flowschemas";
const LEVEL: &str = "flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations";

const FLOW_CONTROL: &[Row] = &[
    (
        FLOW,
        "{metadata: {name: f}, spec: {matchingPrecedence: 1, priorityLevelConfiguration: {name: 'A'}, distinguisherMethod: {type: X}}}",
        &[
            "spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1",
            "spec.distinguisherMethod.type: Unsupported value: {\"type\":\"X\"}: supported values: \"ByNamespace\", \"ByUser\"",
            "spec.priorityLevelConfiguration.name: Invalid value: \"A\"",
        ],
    ),
    (
        FLOW,
        "{metadata: {name: f}, spec: {matchingPrecedence: 10001, priorityLevelConfiguration: {name: p}, rules: [{subjects: []}, {subjects: [{kind: User, group: {name: g}}, {kind: Robot}, {kind: ServiceAccount, serviceAccount: {name: '*', namespace: ''}}]}]}}",
        &[
            "spec.matchingPrecedence: Invalid value: 10001: must not be greater than 10000",
            "spec.rules[0].subjects: Required value: subjects must contain at least one value",
            "spec.rules[0]: Required value: at least one of resourceRules and nonResourceRules has to be non-empty",
            "spec.rules[1].subjects[0].user: Required value: user is required when subject kind is 'User'",
            "spec.rules[1].subjects[0].group: Forbidden: group is forbidden when subject kind is not 'Group'",
            "spec.rules[1].subjects[1].kind: Unsupported value: \"Robot\": supported values: \"Group\", \"ServiceAccount\", \"User\"",
            "spec.rules[1].subjects[2].serviceAccount.namespace: Required value: must specify namespace for service account",
        ],
    ),
    (
        FLOW,
        "{metadata: {name: f}, spec: {priorityLevelConfiguration: {name: p}, rules: [{subjects: [{kind: Group, group: {name: g}}], resourceRules: [{verbs: ['*', get], apiGroups: [], resources: ['*', pods], namespaces: [A]}, {verbs: [fly], apiGroups: [''], resources: [pods]}], nonResourceRules: [{verbs: [get], nonResourceURLs: ['a', '/a b', '//', '/a*']}]}]}}",
        &[
            "resourceRules[0].verbs: Invalid value: [\"*\",\"get\"]: if '*' is present, must not specify other verbs",
            "resourceRules[0].apiGroups: Required value: resource rules must supply at least one api group",
            "resourceRules[0].resources: Invalid value: [\"*\",\"pods\"]: if '*' is present, must not specify other resources",
            "resourceRules[0].namespaces[0]: Invalid value: \"A\": each member of this list must be '*' or a DNS-1123 label; a lowercase RFC 1123 label",
            "resourceRules[1].verbs: Unsupported value: [\"fly\"]: supported values: \"create\", \"delete\"",
            "resourceRules[1].namespaces: Required value: resource rules that are not cluster scoped must supply at least one namespace",
            "nonResourceURLs[0]: Invalid value: \"a\": must start with slash",
            "nonResourceURLs[1]: Invalid value: \"/a b\": must not contain white-space",
            "nonResourceURLs[2]: Invalid value: \"//\": must not contain double slash",
            "nonResourceURLs[3]: Invalid value: \"/a*\": wildcard can only do suffix matching",
        ],
    ),
    (
        LEVEL,
        "{metadata: {name: l}, spec: {type: Exempt, limited: {}}}",
        &[
            "spec.type: Invalid value: \"Exempt\": must be 'Exempt' if and only if `name` is 'exempt'",
            "spec.limited: Forbidden: must be nil if the type is not Limited",
        ],
    ),
    (
        LEVEL,
        "{metadata: {name: l}, spec: {type: Limited, limited: {nominalConcurrencyShares: -1, lendablePercent: 101, borrowingLimitPercent: -1, limitResponse: {type: Queue, queuing: {queues: 4, handSize: 5, queueLengthLimit: -1}}}}}",
        &[
            "spec.limited.nominalConcurrencyShares: Invalid value: -1: must be a non-negative integer",
            "spec.limited.lendablePercent: Invalid value: 101: must be between 0 and 100, inclusive",
            "spec.limited.borrowingLimitPercent: Invalid value: -1: if specified, must be a non-negative integer",
            "spec.limited.limitResponse.queuing.queueLengthLimit: Invalid value: -1: must be positive",
            "spec.limited.limitResponse.queuing.handSize: Invalid value: 5: should not be greater than queues (4)",
        ],
    ),
    (
        LEVEL,
        "{metadata: {name: l}, spec: {type: Limited, limited: {limitResponse: {type: Reject, queuing: {}}}}}",
        &[
            "spec.limited.limitResponse.queuing: Forbidden: must be nil if limited.limitResponse.type is not Limited",
        ],
    ),
    (
        LEVEL,
        "{metadata: {name: l}, spec: {type: Limited, limited: {limitResponse: {type: Queue, queuing: {queues: 512, handSize: 8}}}}}",
        &[
            "handSize: Invalid value: 8: required entropy bits of deckSize 512 and handSize 8 should not be greater than 60",
        ],
    ),
];

#[test]
fn flow_control() {
    check(FLOW_CONTROL);
}

const SCALER: &str = "autoscaling/v2/horizontalpodautoscalers";

const SCALERS: &[Row] = &[
    (
        SCALER,
        "{metadata: {name: h}, spec: {minReplicas: 0, scaleTargetRef: {kind: Deployment, name: d}}}",
        &[
            "spec.minReplicas: Invalid value: 0: must be greater than or equal to 1",
            "spec.maxReplicas: Required value: must be set and greater than 0",
            "spec.scaleTargetRef.apiVersion: Invalid value: \"\": apiVersion must specify API group",
            "spec.metrics: Forbidden: must specify at least one Object or External metric to support scaling to zero replicas",
        ],
    ),
    (
        SCALER,
        "{metadata: {name: h}, spec: {maxReplicas: 1, minReplicas: 2, scaleTargetRef: {apiVersion: a/b/c, kind: a/b, name: ''}}}",
        &[
            "spec.maxReplicas: Invalid value: 1: must be greater than or equal to `minReplicas`",
            "spec.scaleTargetRef.kind: Invalid value: \"a/b\": may not contain '/'",
            "spec.scaleTargetRef.name: Required value",
            "spec.scaleTargetRef.apiVersion: Invalid value: \"a/b/c\": unexpected GroupVersion string: a/b/c",
        ],
    ),
    (
        SCALER,
        "{metadata: {name: h}, spec: {maxReplicas: 1, scaleTargetRef: {apiVersion: apps/v1, kind: D, name: d}, metrics: [{type: Resource, resource: {name: cpu, target: {type: X, averageUtilization: 0, averageValue: '0'}}, pods: {}}, {type: Pods}, {type: Fancy}, {type: External, external: {metric: {name: ''}, target: {type: Value}}}, {type: ContainerResource, containerResource: {name: cpu, container: A, target: {type: Utilization, averageUtilization: 1}}}]}}",
        &[
            "spec.metrics[0].pods.metric.name: Required value: must specify a metric name",
            "spec.metrics[0].pods: Forbidden: must populate the given metric source only",
            "spec.metrics[1].pods: Required value: must populate information for the given metric source",
            "spec.metrics[2].type: Unsupported value: \"Fancy\": supported values: \"ContainerResource\", \"External\", \"Object\", \"Pods\", \"Resource\"",
            "spec.metrics[3].external.target.averageValue: Required value: must set either a target value for metric or a per-pod target",
            "spec.metrics[4].containerResource.container: Invalid value: \"A\"",
        ],
    ),
    (
        SCALER,
        "{metadata: {name: h}, spec: {maxReplicas: 1, scaleTargetRef: {apiVersion: apps/v1, kind: D, name: d}, metrics: [{type: Resource, resource: {name: cpu, target: {type: X, averageUtilization: 0, averageValue: '0'}}}], behavior: {scaleUp: {stabilizationWindowSeconds: 3601, selectPolicy: Any, policies: [{type: Pods, value: 0, periodSeconds: 1801}]}}}}",
        &[
            "resource.target.type: Invalid value: \"X\": must be either Utilization, Value, or AverageValue",
            "resource.target.averageValue: Invalid value: \"0\": must be positive",
            "resource.target.averageUtilization: Invalid value: 0: must be greater than 0",
            "resource.target.averageValue: Forbidden: may not set both a target raw value and a target utilization",
            "spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: 3601: must be less than or equal to 3600",
            "spec.behavior.scaleUp.selectPolicy: Unsupported value: \"Any\": supported values: \"Disabled\", \"Max\", \"Min\"",
            "spec.behavior.scaleUp.policies[0].value: Invalid value: 0: must be greater than zero",
            "spec.behavior.scaleUp.policies[0].periodSeconds: Invalid value: 1801: must be less than or equal to 1800",
        ],
    ),
];

#[test]
fn autoscalers() {
    check(SCALERS);
}

const CIDR: &str = "networking.k8s.io/v1/servicecidrs";

const NETWORKS: &[Row] = &[
    (
        "networking.k8s.io/v1/ipaddresses",
        "{metadata: {name: 10.0.0.1}, spec: {parentRef: {group: A_, resource: a/b, name: '..'}}}",
        &[
            "spec.parentRef.group: Invalid value: \"A_\"",
            "spec.parentRef.resource: Invalid value: \"a/b\": may not contain '/'",
            "spec.parentRef.name: Invalid value: \"..\": may not be '..'",
        ],
    ),
    (
        CIDR,
        "{metadata: {name: c}, spec: {cidrs: [10.0.0.0/8, 11.0.0.0/8]}}",
        &[
            "spec.cidrs: Invalid value: [\"10.0.0.0/8\",\"11.0.0.0/8\"]: may specify no more than one IP for each IP family",
        ],
    ),
];

#[test]
fn networks() {
    check(NETWORKS);
    let one = "{metadata: {name: c}, spec: {cidrs: [10.0.0.0/8]}}";
    let immutable = "spec.cidrs[0]: Invalid value: \"11.0.0.0/8\": field is immutable";
    check_change(CIDR, one, "/spec/cidrs", json!(["11.0.0.0/8"]), immutable);
    check_change(CIDR, one, "/spec/cidrs", json!([]), "spec.cidrs: ");
    let old = create(CIDR, one).unwrap();
    update(CIDR, None, &old, |new| new["spec"]["cidrs"] = json!(["10.0.0.0/8", "fd00::/112"])).unwrap();
}

const HOOKS: &str = "admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
const MUTATING_HOOKS: &str = "admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
const POLICY: &str = "admissionregistration.k8s.io/v1/validatingadmissionpolicies";
const MUTATION: &str = "admissionregistration.k8s.io/v1/mutatingadmissionpolicies";
const BINDING: &str = "admissionregistration.k8s.io/v1/validatingadmissionpolicybindings";

const ADMISSION: &[Row] = &[
    (
        HOOKS,
        "{metadata: {name: h}, webhooks: [{name: a.b, admissionReviewVersions: [v1, v1, V_2], sideEffects: Some, clientConfig: {url: 'http://u@/p?q#f'}}, {name: a.b.c, admissionReviewVersions: [v7], sideEffects: None, clientConfig: {service: {name: s, namespace: n, path: '/a//B/', port: 65536}}}, {name: a.b.c, admissionReviewVersions: [v1], sideEffects: None, clientConfig: {}, timeoutSeconds: 31}]}",
        &[
            "webhooks[0].name: Invalid value: \"a.b\": should be a domain with at least three segments separated by dots",
            "webhooks[0].sideEffects: Unsupported value: \"Some\": supported values: \"None\", \"NoneOnDryRun\"",
            "webhooks[0].clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; desired format: https://host[/path]",
            "webhooks[0].clientConfig.url: Invalid value: \"\": host must be specified",
            "webhooks[0].clientConfig.url: Invalid value: \"u\": user information is not permitted in the URL",
            "webhooks[0].clientConfig.url: Invalid value: \"f\": fragments are not permitted in the URL",
            "webhooks[0].clientConfig.url: Invalid value: \"q\": query parameters are not permitted in the URL",
            "webhooks[0].admissionReviewVersions[1]: Invalid value: \"v1\": duplicate version",
            "webhooks[0].admissionReviewVersions[2]: Invalid value: \"V_2\": a DNS-1035 label",
            "webhooks[1].clientConfig.service.port: Invalid value: 65536: port is not valid: must be between 1 and 65535, inclusive",
            "webhooks[1].clientConfig.service.path: Invalid value: \"/a//B/\": segment[1] may not be empty",
            "webhooks[1].clientConfig.service.path: Invalid value: \"/a//B/\": segment[2]: a lowercase RFC 1123 subdomain",
            "webhooks[1].admissionReviewVersions: Invalid value: [\"v7\"]: must include at least one of v1, v1beta1",
            "webhooks[2].clientConfig: Required value: exactly one of url or service is required",
            "webhooks[2].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds",
            "webhooks[2].name: Duplicate value: \"a.b.c\"",
        ],
    ),
    (
        HOOKS,
        "{metadata: {name: h}, webhooks: [{name: a.b.c, admissionReviewVersions: [v1], sideEffects: None, clientConfig: {url: 'https://h'}, rules: [{operations: ['*', CREATE], apiGroups: ['*', apps], apiVersions: [''], resources: [pods/*, pods/status, '*/scale', x/scale]}, {operations: [GROW], apiGroups: [''], apiVersions: [v1], resources: ['*', pods], scope: Here}, {operations: ['*'], apiGroups: [''], apiVersions: [v1], resources: ['*/*', pods]}], matchConditions: [{name: 'a b', expression: ' '}, {name: c, expression: 'true'}, {name: c, expression: 'true'}]}]}",
        &[
            "webhooks[0].rules[0].operations: Invalid value: [\"*\",\"CREATE\"]: if '*' is present, must not specify other operations",
            "webhooks[0].rules[0].apiGroups: Invalid value: [\"*\",\"apps\"]: if '*' is present, must not specify other API groups",
            "webhooks[0].rules[0].apiVersions[0]: Required value",
            "webhooks[0].rules[0].resources[1]: Invalid value: \"pods/status\": if 'pods/*' is present, must not specify pods/status",
            "webhooks[0].rules[0].resources[3]: Invalid value: \"x/scale\": if '*/scale' is present, must not specify x/scale",
            "webhooks[0].rules[1].operations[0]: Unsupported value: \"GROW\": supported values: \"*\", \"CONNECT\", \"CREATE\", \"DELETE\", \"UPDATE\"",
            "webhooks[0].rules[1].resources: Invalid value: [\"*\",\"pods\"]: if '*' is present, must not specify other resources without subresources",
            "webhooks[0].rules[1].scope: Unsupported value: \"Here\"",
            "webhooks[0].rules[2].resources: Invalid value: [\"*/*\",\"pods\"]: if '*/*' is present, must not specify other resources",
            "webhooks[0].matchConditions[0].expression: Required value",
            "webhooks[0].matchConditions[0].name: Invalid value: \"a b\": name part must consist of",
            "webhooks[0].matchConditions[2].name: Duplicate value: \"c\"",
        ],
    ),
    (
        MUTATING_HOOKS,
        "{metadata: {name: h}, webhooks: [{name: a.b.c, admissionReviewVersions: [v1], clientConfig: {url: 'https://h'}, reinvocationPolicy: Often}]}",
        &[
            "webhooks[0].reinvocationPolicy: Unsupported value: \"Often\": supported values: \"IfNeeded\", \"Never\"",
            "webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun",
        ],
    ),
    (
        POLICY,
        "{metadata: {name: p}, spec: {failurePolicy: Shrug, paramKind: {apiVersion: a/b/c, kind: 1K}, matchConstraints: {matchPolicy: Guess, resourceRules: []}}}",
        &[
            "spec.failurePolicy: Unsupported value: \"Shrug\": supported values: \"Fail\", \"Ignore\"",
            "spec.paramKind.apiVersion: Invalid value: \"a/b/c\": unexpected GroupVersion string: a/b/c",
            "spec.paramKind.kind: Invalid value: \"1K\": may have mixed case, but should otherwise match: a DNS-1035 label",
            "spec.matchConstraints.matchPolicy: Unsupported value: \"Guess\": supported values: \"Equivalent\", \"Exact\"",
            "spec.matchConstraints.resourceRules: Required value",
            "spec.validations: Required value: validations or auditAnnotations must contain at least one item",
            "spec.auditAnnotations: Required value: validations or auditAnnotations must contain at least one item",
        ],
    ),
    (
        POLICY,
        "{metadata: {name: p}, spec: {matchConstraints: {resourceRules: [{operations: [CREATE], apiGroups: [''], apiVersions: [v1], resources: [pods], resourceNames: [a, a, ..]}]}, variables: [{name: in, expression: x}, {name: v, expression: ' '}], validations: [{expression: ' ', message: ' ', reason: Because}], auditAnnotations: [{key: a b, valueExpression: v}, {key: k, valueExpression: v}, {key: k, valueExpression: ''}]}}",
        &[
            "resourceRules[0].resourceNames[1]: Duplicate value: \"a\"",
            "resourceRules[0].resourceNames[2]: Invalid value: \"..\": may not be '..'",
            "spec.variables[0].name: Invalid value: \"in\": must be a valid CEL identifier",
            "spec.variables[1].expression: Required value: expression is not specified",
            "spec.validations[0].expression: Required value: expression is not specified",
            "spec.validations[0].message: Invalid value: \" \": must be non-empty if specified",
            "spec.validations[0].reason: Unsupported value: \"Because\": supported values: \"Forbidden\", \"Invalid\", \"RequestEntityTooLarge\"",
            "spec.auditAnnotations[0].key: Invalid value: \"p/a b\": name part must consist of",
            "spec.auditAnnotations[2].key: Duplicate value: \"k\"",
            "spec.auditAnnotations[2].valueExpression: Required value: valueExpression is not specified",
        ],
    ),
    (
        MUTATION,
        "{metadata: {name: p}, spec: {matchConstraints: {resourceRules: [{operations: [DELETE], apiGroups: [''], apiVersions: [v1], resources: [pods]}]}, mutations: [{patchType: JSONPatch, applyConfiguration: {expression: x}}, {patchType: Glue}]}}",
        &[
            "spec.matchConstraints.resourceRules.operations: Unsupported value: \"DELETE\": supported values: \"*\", \"CONNECT\", \"CREATE\", \"UPDATE\"",
            "spec.mutations[0].jsonPatch: Required value: must be specified when patchType is JSONPatch",
            "spec.mutations[0].applyConfiguration: Invalid value: \"{applyConfiguration}\": must not be specified when patchType is JSONPatch",
            "spec.mutations[1].patchType: Unsupported value: \"Glue\": supported values: \"ApplyConfiguration\", \"JSONPatch\"",
            "spec.reinvocationPolicy: Required value",
        ],
    ),
    (
        BINDING,
        "{metadata: {name: b}, spec: {policyName: P, paramRef: {name: a, selector: {}}, validationActions: [Deny, Warn, Deny, Shout]}}",
        &[
            "spec.policyName: Invalid value: \"P\"",
            "spec.paramRef.name: Forbidden: name and selector are mutually exclusive",
            "spec.paramRef.parameterNotFoundAction: Required value",
            "spec.validationActions[2]: Duplicate value: \"Deny\"",
            "spec.validationActions[3]: Unsupported value: \"Shout\": supported values: \"Audit\", \"Deny\", \"Warn\"",
            "spec.validationActions: Invalid value: [\"Deny\",\"Warn\",\"Deny\",\"Shout\"]: must not contain both Deny and Warn",
        ],
    ),
];

#[test]
fn admission() {
    check(ADMISSION);
}

/// What an update may keep that a create could not have.
#[test]
fn webhooks_keep_what_was_there() {
    let body = "{metadata: {name: h}, webhooks: [{name: a.b.c, admissionReviewVersions: [v1], sideEffects: None, clientConfig: {url: 'https://h'}}]}";
    let mut old = create(HOOKS, body).unwrap();
    old["webhooks"][0]["sideEffects"] = "Some".into();
    old["webhooks"][0]["matchConditions"] = json!([{"name": "", "expression": ""}]);
    update(HOOKS, None, &old, |new| new["webhooks"][0]["timeoutSeconds"] = 5.into()).unwrap();
    let message = refusal(update(HOOKS, None, &old, |new| {
        new["webhooks"][0]["matchConditions"][0]["name"] = "n".into();
    }));
    assert!(message.ends_with("webhooks[0].matchConditions[0].expression: Required value"), "{message}");
}

const LIMITS: &str = "/v1/limitranges";
const QUOTA: &str = "/v1/resourcequotas";

const AMOUNTS: &[Row] = &[
    (
        LIMITS,
        "{metadata: {name: l}, spec: {limits: [{type: Pod, default: {cpu: 1}}, {type: Robot, max: {'a b': 1}}, {type: PersistentVolumeClaim}, {type: PersistentVolumeClaim, max: {storage: 1}}]}}",
        &[
            "spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'",
            "spec.limits[1].type: Invalid value: \"Robot\": must be a standard limit type or fully qualified",
            "spec.limits[1].max[a b]: Invalid value: \"a b\": name part must consist of",
            "spec.limits[2].limits: Required value: either minimum or maximum storage value is required, but neither was provided",
            "spec.limits[3].type: Duplicate value: \"PersistentVolumeClaim\"",
        ],
    ),
    (
        LIMITS,
        "{metadata: {name: l}, spec: {limits: [{type: Container, max: {cpu: 1, gold: 1}, min: {cpu: 2}, default: {cpu: 500m}, defaultRequest: {cpu: 3}, maxLimitRequestRatio: {cpu: 800m}}]}}",
        &[
            "spec.limits[0].max[gold]: Invalid value: \"gold\": must be a standard resource type or fully qualified",
            "spec.limits[0].max[gold]: Invalid value: \"gold\": must be a standard resource for containers",
            "spec.limits[0].min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1",
            "spec.limits[0].defaultRequest[cpu]: Invalid value: \"3\": default request value 3 is greater than max value 1",
            "spec.limits[0].defaultRequest[cpu]: Invalid value: \"3\": default request value 3 is greater than default limit value 500m",
            "spec.limits[0].default[cpu]: Invalid value: \"2\": min value 2 is greater than default value 500m",
            "spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: \"800m\": ratio 800m is less than 1",
            "spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: \"800m\": ratio 800m is greater than max/min = 0.500000",
        ],
    ),
    (
        LIMITS,
        "{metadata: {name: l}, spec: {limits: [{type: Container, default: {x.io/gpu: 2}, defaultRequest: {x.io/gpu: 1}}]}}",
        &[
            "spec.limits[0].defaultRequest[x.io/gpu]: Invalid value: \"1\": default value 2 must equal to defaultRequest value 1 in x.io/gpu",
        ],
    ),
    (
        QUOTA,
        "{metadata: {name: q}, spec: {hard: {pods: 1500m, gold: 1, storage: 1, 'a b': 1, cpu: '-1'}, scopes: [BestEffort, NotBestEffort, Some]}}",
        &[
            "spec.hard[pods]: Invalid value: \"1500m\": must be an integer",
            "spec.hard[gold]: Invalid value: \"gold\": must be a standard resource type or fully qualified",
            "spec.hard[storage]: Invalid value: \"storage\": must be a standard resource for quota",
            "spec.hard[a b]: Invalid value: \"a b\": name part must consist of",
            "spec.hard[cpu]: Invalid value: \"-1\": must be greater than or equal to 0",
            "spec.scopes: Invalid value: [\"BestEffort\",\"NotBestEffort\",\"Some\"]: unsupported scope,",
            "spec.scopes: Invalid value: [\"BestEffort\",\"NotBestEffort\",\"Some\"]: unsupported scope applied to resource",
            "spec.scopes: Invalid value: [\"BestEffort\",\"NotBestEffort\",\"Some\"]: conflicting scopes",
        ],
    ),
    (
        QUOTA,
        "{metadata: {name: q}, spec: {scopeSelector: {matchExpressions: [{scopeName: Terminating, operator: In}, {scopeName: PriorityClass, operator: Exists, values: [a]}, {scopeName: PriorityClass, operator: Like}]}}}",
        &[
            "spec.scopeSelector.matchExpressions.operator: Invalid value: \"In\": must be 'Exists' when scope is any of",
            "spec.scopeSelector.matchExpressions.values: Required value: must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
            "spec.scopeSelector.matchExpressions.values: Invalid value: [\"a\"]: must be no value when",
            "spec.scopeSelector.matchExpressions.operator: Invalid value: \"Like\": not a valid selector operator",
        ],
    ),
];

#[test]
fn amounts() {
    check(AMOUNTS);
    for hard in [
        "requests.storage: 1",
        "limits.memory: 1Gi",
        "requests.hugepages-2Mi: 1",
        "x.io/gpu: 1",
        "count/jobs.batch: 3",
    ] {
        let body = format!("{{metadata: {{name: q}}, spec: {{hard: {{{hard}}}}}}}");
        create(QUOTA, &body).unwrap_or_else(|status| panic!("{hard}: {}", status.message));
    }
}
