//! What is refused of the rarer kinds, with Kubernetes' paths and words: a row for each rule.

use serde_json::{Value, json};

use crate::{create, refusal, update};

/// A kind, a body with something wrong in it, and parts of the refusal.
type Row = (&'static str, &'static str, &'static [&'static str]);

fn check(rows: &[Row]) {
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
fn check_change(path: &str, body: &str, at: &str, value: Value, wanted: &str) {
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
