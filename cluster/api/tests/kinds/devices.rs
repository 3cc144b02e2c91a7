//! What is refused of claims for devices, their classes, and slices of devices.

use serde_json::{Value, json};

use crate::rules::{Row, check, check_change};
use crate::{create, refusal, update};

const CLASS: &str = "resource.k8s.io/v1/deviceclasses";
const CLAIM: &str = "resource.k8s.io/v1/resourceclaims";
const TEMPLATE: &str = "resource.k8s.io/v1/resourceclaimtemplates";
const SLICE: &str = "resource.k8s.io/v1/resourceslices";

const CLAIMS: &[Row] = &[
    (
        CLASS,
        "{metadata: {name: c}, spec: {selectors: [{}], config: [{opaque: {driver: ''}}, {}], extendedResourceName: cpu}}",
        &[
            "spec.selectors[0].cel: Required value",
            "spec.config[0].opaque.driver: Required value",
            "spec.config[0].opaque.parameters: Required value",
            "spec.config[1].opaque: Required value",
            "spec.extendedResourceName: Invalid value: \"cpu\": must be a valid extended resource name",
        ],
    ),
    (
        CLAIM,
        "{metadata: {name: c}, spec: {devices: {requests: [{name: A, exactly: {deviceClassName: 'b c', count: -1}}, {name: r}, {name: r, exactly: {deviceClassName: ''}, firstAvailable: [{name: x, deviceClassName: c}]}]}}}",
        &[
            "spec.devices.requests[0].name: Invalid value: \"A\": a lowercase RFC 1123 label",
            "spec.devices.requests[0].exactly.deviceClassName: Invalid value: \"b c\"",
            "spec.devices.requests[0].exactly.count: Invalid value: -1: must be greater than zero",
            "spec.devices.requests[1]: Required value: exactly one of `exactly` or `firstAvailable` is required",
            "spec.devices.requests[2]: Invalid value: exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set",
            "spec.devices.requests[2]: Duplicate value: \"r\"",
        ],
    ),
    (
        CLAIM,
        "{metadata: {name: c}, spec: {devices: {requests: [{name: r, firstAvailable: [{name: x, deviceClassName: '', allocationMode: All, count: 2, tolerations: [{operator: Exists, value: v}, {operator: Is, effect: Stop}]}, {name: x, deviceClassName: c, allocationMode: Some}]}], constraints: [{requests: [r/y, q, a/b/c, r, r], matchAttribute: name}, {requests: [r]}], config: [{requests: [r/x], opaque: {driver: d}}]}}}",
        &[
            "spec.devices.requests[0].firstAvailable[0].deviceClassName: Required value",
            "spec.devices.requests[0].firstAvailable[0].count: Invalid value: 2: must not be specified when allocationMode is 'All'",
            "spec.devices.requests[0].firstAvailable[0].tolerations[0].value: Invalid value: \"v\": must be empty for operator `Exists`",
            "spec.devices.requests[0].firstAvailable[0].tolerations[1].operator: Unsupported value: \"Is\": supported values: \"Equal\", \"Exists\"",
            "spec.devices.requests[0].firstAvailable[0].tolerations[1].effect: Unsupported value: \"Stop\": supported values: \"NoExecute\", \"NoSchedule\", \"None\"",
            "spec.devices.requests[0].firstAvailable[1].allocationMode: Unsupported value: \"Some\": supported values: \"All\", \"ExactCount\"",
            "spec.devices.requests[0].firstAvailable[1]: Duplicate value: \"x\"",
            "spec.devices.constraints[0].requests[0]: Invalid value: \"r/y\": must be the name of a request in the claim",
            "spec.devices.constraints[0].requests[1]: Invalid value: \"q\": must be the name of a request in the claim",
            "spec.devices.constraints[0].requests[2]: Invalid value: \"a/b/c\": must be the name of a request in the claim",
            "spec.devices.constraints[0].requests[4]: Duplicate value: \"r\"",
            "spec.devices.constraints[0].matchAttribute: Invalid value: \"name\": a fully qualified name must be a domain and a name separated by a slash",
            "spec.devices.constraints[1]: Required value: exactly one of \"matchAttribute\" or \"distinctAttribute\" is required",
            "spec.devices.config[0].opaque.parameters: Required value",
        ],
    ),
    (
        TEMPLATE,
        "{metadata: {name: t}, spec: {spec: {devices: {requests: [{name: r}]}}}}",
        &["spec.spec.devices.requests[0]: Required value"],
    ),
];

#[test]
fn claims() {
    check(CLAIMS);
    let many: Vec<Value> =
        (0..33).map(|i| json!({"name": format!("r{i}"), "exactly": {"deviceClassName": "c"}})).collect();
    let body = json!({"metadata": {"name": "c"}, "spec": {"devices": {"requests": many}}}).to_string();
    let message = refusal(create(CLAIM, &body));
    assert!(message.contains("spec.devices.requests: Too many: 33: must have at most 32 items"), "{message}");
}

const SLICES: &[Row] = &[
    (
        SLICE,
        "{metadata: {name: s}, spec: {driver: d, pool: {name: p//q, resourceSliceCount: 0, generation: -1}}}",
        &[
            "spec.pool.name: Invalid value: \"\": a lowercase RFC 1123 subdomain",
            "spec.pool.resourceSliceCount: Invalid value: 0: must be greater than zero",
            "spec.pool.generation: Invalid value: -1: must be greater than or equal to zero",
            "spec: Required value: exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required",
        ],
    ),
    (
        SLICE,
        "{metadata: {name: s}, spec: {driver: d, pool: {name: p, resourceSliceCount: 1, generation: 1}, nodeName: n, allNodes: true, perDeviceNodeSelection: false, sharedCounters: [{name: c}], devices: [{name: d}]}}",
        &[
            "spec.perDeviceNodeSelection: Invalid value: false: must be either unset or set to true",
            "spec: Invalid value: \"{`nodeName`, `allNodes`}\": exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required, but multiple fields are set",
            "spec: Invalid value: \"\": only one of `sharedCounters` or `devices` is allowed",
            "spec.sharedCounters[0].counters: Required value",
        ],
    ),
    (
        SLICE,
        "{metadata: {name: s}, spec: {driver: d, pool: {name: p, resourceSliceCount: 1, generation: 1}, nodeName: n, devices: [{name: D, nodeName: m, attributes: {a-b: {bool: true}, /x: {int: 1}, v: {version: '1'}, none: {}, both: {int: 1, string: s}}, capacity: {mem: {value: 1, requestPolicy: {}}}, taints: [{key: 'k l', effect: Stop}, {key: k, effect: ''}], consumesCounters: [{counterSet: s, counters: {}}], bindingConditions: [a], bindingFailureConditions: []}, {name: D}]}}",
        &[
            "spec.devices[0].name: Invalid value: \"D\"",
            "spec.devices[0].attributes: Invalid value: \"a-b\": a valid C identifier must start with",
            "spec.devices[0].attributes: Invalid value: \"\": the domain must not be empty",
            "spec.devices[0].attributes[v].version: Invalid value: \"1\": must be a string compatible with semver.org spec 2.0.0",
            "spec.devices[0].attributes[none]: Invalid value: \"\": exactly one value must be specified",
            "spec.devices[0].attributes[both]: Invalid value: {",
            "spec.devices[0].capacity[mem].requestPolicy: Forbidden: allowMultipleAllocations must be true",
            "spec.devices[0].taints[0].key: Invalid value: \"k l\"",
            "spec.devices[0].taints[0].effect: Unsupported value: \"Stop\"",
            "spec.devices[0].taints[1].effect: Required value",
            "spec.devices[0].consumesCounters[0].counters: Required value",
            "spec.devices[0]: Invalid value: `nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec",
            "spec.devices[0].bindingFailureConditions: Invalid value: []: bindingFailureConditions are required to use bindingConditions",
            "spec.devices[1]: Duplicate value: \"D\"",
        ],
    ),
];

#[test]
fn slices() {
    check(SLICES);
    let sound = "{metadata: {name: s}, spec: {driver: gpu.example.com, pool: {name: a/b, resourceSliceCount: 1, generation: 1}, perDeviceNodeSelection: true, devices: [{name: d, nodeName: n, attributes: {example.com/model: {string: x}, version: {version: 1.2.3-rc.1+b}}, capacity: {memory: {value: 1Gi}}, taints: [{key: k, effect: NoSchedule}]}]}}";
    create(SLICE, sound).unwrap();
    check_change(
        SLICE,
        sound,
        "/spec/driver",
        json!("other"),
        "spec.driver: Invalid value: \"other\": field is immutable",
    );
}

#[test]
fn an_allocation_stays() {
    let body =
        "{metadata: {name: c}, spec: {devices: {requests: [{name: r, exactly: {deviceClassName: c}}]}}}";
    let new = create(CLAIM, body).unwrap();
    let change = |old: &Value, status: Value| update(CLAIM, Some("status"), old, |c| c["status"] = status);
    let consumer = json!({"resource": "pods", "name": "p", "uid": "1"});
    let message = refusal(change(&new, json!({"reservedFor": [consumer]})));
    assert!(
        message.contains("status.reservedFor: Forbidden: may not be specified when `allocated` is not set"),
        "{message}"
    );
    let allocation = |request: &str| json!({"devices": {"results": [{"request": request, "driver": "d", "pool": "p", "device": "x"}]}});
    let message = refusal(change(&new, json!({"allocation": allocation("q")})));
    assert!(
        message.contains("results[0].request: Invalid value: \"q\": must be the name of a request"),
        "{message}"
    );
    let allocated = change(&new, json!({"allocation": allocation("r"), "reservedFor": [consumer]})).unwrap();
    let other = json!({"driver": "d", "pool": "p", "device": "y"});
    let status = json!({"allocation": allocation("r"), "devices": [other]});
    let message = refusal(change(&allocated, status));
    assert!(
        message.contains(
            "status.devices[0]: Invalid value: \"d/p/y\": must be an allocated device in the claim"
        ),
        "{message}"
    );
    let mut moved = allocation("r");
    moved["devices"]["results"][0]["device"] = "z".into();
    let message = refusal(change(&allocated, json!({"allocation": moved})));
    assert!(message.contains("field is immutable"), "{message}");
    change(&allocated, json!({})).unwrap();
}
