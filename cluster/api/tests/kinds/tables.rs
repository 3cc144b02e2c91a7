//! The rows of server-side tables.

use api::table::{IncludeObject, table};
use serde_json::{Value, json};

use crate::{NOW, resource, yaml};

fn cells(path: &str, object: &str) -> Value {
    let object = yaml(object);
    let table =
        table(&resource(path), &[object], json!({}), IncludeObject::Metadata, true, NOW.parse().unwrap());
    let row = &table["rows"][0];
    assert_eq!(row["object"]["kind"], "PartialObjectMetadata");
    let columns = table["columnDefinitions"].as_array().unwrap().len();
    assert_eq!(row["cells"].as_array().unwrap().len(), columns, "{path}");
    row["cells"].clone()
}

/// STATUS, READY and RESTARTS of a pod.
fn pod(spec: &str, status: &str, metadata: &str) -> (String, String, String) {
    let cells =
        cells("/v1/pods", &format!("{{metadata: {{name: p, {metadata}}}, spec: {spec}, status: {status}}}"));
    let text = |i: usize| cells[i].as_str().unwrap().to_owned();
    (text(2), text(1), text(3))
}

/// Expects STATUS, READY and RESTARTS of a pod.
fn check(spec: &str, status: &str, metadata: &str, (word, ready, restarts): (&str, &str, &str)) {
    let expected = (word.to_owned(), ready.to_owned(), restarts.to_owned());
    assert_eq!(pod(spec, status, metadata), expected, "{status}");
}

#[test]
fn pods() {
    let one = "{containers: [{name: c}]}";
    let cases = [
        (one, "{phase: Pending}", "", ("Pending", "0/1", "0")),
        (
            one,
            "{phase: Running, containerStatuses: [{name: c, ready: true, restartCount: 0, state: {running: {}}}]}",
            "",
            ("Running", "1/1", "0"),
        ),
        (
            one,
            "{phase: Running, containerStatuses: [{name: c, restartCount: 2, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {finishedAt: '2026-01-02T03:04:00Z'}}}]}",
            "",
            ("CrashLoopBackOff", "0/1", "2 (5s ago)"),
        ),
        (
            one,
            "{phase: Succeeded, containerStatuses: [{name: c, state: {terminated: {reason: Completed, exitCode: 0}}}]}",
            "",
            ("Completed", "0/1", "0"),
        ),
        (
            one,
            "{phase: Failed, containerStatuses: [{name: c, state: {terminated: {exitCode: 3}}}]}",
            "",
            ("ExitCode:3", "0/1", "0"),
        ),
        (one, "{phase: Running}", "deletionTimestamp: '2026-01-02T03:04:00Z'", ("Terminating", "0/1", "0")),
        (
            one,
            "{phase: Running, reason: NodeLost}",
            "deletionTimestamp: '2026-01-02T03:04:00Z'",
            ("Unknown", "0/1", "0"),
        ),
        (
            one,
            "{phase: Pending, conditions: [{type: PodScheduled, reason: SchedulingGated}]}",
            "",
            ("SchedulingGated", "0/1", "0"),
        ),
    ];
    for (spec, status, metadata, expected) in cases {
        check(spec, status, metadata, expected);
    }
}

#[test]
fn pods_with_init_containers() {
    let with_init = "{initContainers: [{name: i}, {name: j}], containers: [{name: c}]}";
    let cases = [
        (
            with_init,
            "{phase: Pending, initContainerStatuses: [{name: i, state: {running: {}}}, {name: j, state: {waiting: {reason: PodInitializing}}}]}",
            "",
            ("Init:0/2", "0/1", "0"),
        ),
        (
            with_init,
            "{phase: Pending, initContainerStatuses: [{name: i, state: {terminated: {exitCode: 0}}}, {name: j, state: {waiting: {reason: ImagePullBackOff}}}]}",
            "",
            ("Init:ImagePullBackOff", "0/1", "0"),
        ),
        (
            with_init,
            "{phase: Pending, initContainerStatuses: [{name: i, state: {terminated: {exitCode: 1, reason: Error}}}]}",
            "",
            ("Init:Error", "0/1", "0"),
        ),
        (
            "{initContainers: [{name: i, restartPolicy: Always}], containers: [{name: c}]}",
            "{phase: Running, initContainerStatuses: [{name: i, started: true, ready: true, state: {running: {}}}], containerStatuses: [{name: c, ready: true, state: {running: {}}}]}",
            "",
            ("Running", "2/2", "0"),
        ),
    ];
    for (spec, status, metadata, expected) in cases {
        check(spec, status, metadata, expected);
    }
}

#[test]
fn pods_wide() {
    let wide = cells(
        "/v1/pods",
        "{metadata: {name: p, creationTimestamp: '2026-01-02T03:00:00Z'}, spec: {nodeName: n, containers: []}, status: {podIPs: [{ip: 10.0.0.1}]}}",
    );
    assert_eq!(wide, json!(["p", "0/0", "", "0", "4m5s", "10.0.0.1", "n", "<none>", "<none>"]));
}

#[test]
fn finished_pods_are_marked() {
    let object = yaml("{metadata: {name: p}, status: {phase: Succeeded}}");
    let table =
        table(&resource("/v1/pods"), &[object], json!({}), IncludeObject::None, false, NOW.parse().unwrap());
    assert_eq!(table["rows"][0]["conditions"][0]["reason"], "Succeeded");
    assert_eq!(table["rows"][0]["object"], Value::Null);
    assert_eq!(table["columnDefinitions"], json!([]));
}

#[test]
fn other_kinds() {
    let template = "template: {spec: {containers: [{name: c, image: i}, {name: d, image: j}]}}";
    let cases = [
        ("apps/v1/deployments", format!("{{metadata: {{name: d}}, spec: {{replicas: 3, selector: {{matchLabels: {{a: b}}}}, {template}}}, status: {{readyReplicas: 2, updatedReplicas: 3, availableReplicas: 2}}}}"),
         json!(["d", "2/3", 3, 2, "<unknown>", "c,d", "i,j", "a=b"])),
        ("/v1/services", "{metadata: {name: s}, spec: {type: LoadBalancer, clusterIPs: [10.0.0.1], selector: {a: b}, ports: [{port: 80, nodePort: 30000, protocol: TCP}]}}".into(),
         json!(["s", "LoadBalancer", "10.0.0.1", "<pending>", "80:30000/TCP", "<unknown>", "a=b"])),
        ("/v1/nodes", "{metadata: {name: n, labels: {node-role.kubernetes.io/control-plane: ''}}, spec: {unschedulable: true}, status: {conditions: [{type: Ready, status: 'True'}], addresses: [{type: InternalIP, address: 10.0.0.2}], nodeInfo: {kubeletVersion: v1, osImage: O, kernelVersion: '6', architecture: amd64, containerRuntimeVersion: trireme}}}".into(),
         json!(["n", "Ready,SchedulingDisabled", "control-plane", "<unknown>", "v1", "10.0.0.2", "<none>", "O", "6 (amd64)", "trireme"])),
        ("/v1/events", "{metadata: {name: e}, involvedObject: {kind: Pod, name: p}, type: Normal, reason: Started, message: ' hi ', lastTimestamp: '2026-01-02T03:04:00Z', firstTimestamp: '2026-01-02T03:03:00Z', count: 4, source: {component: agent, host: n}}".into(),
         json!(["5s", "Normal", "Started", "pod/p", "", "agent, n", "hi", "65s", 4, "e"])),
        ("batch/v1/jobs", format!("{{metadata: {{name: j}}, spec: {{completions: 2, {template}}}, status: {{succeeded: 2, startTime: '2026-01-02T03:03:00Z', completionTime: '2026-01-02T03:03:30Z', conditions: [{{type: Complete, status: 'True'}}]}}}}"),
         json!(["j", "Complete", "2/2", "30s", "<unknown>", "c,d", "i,j", "<none>"])),
        ("/v1/endpoints", "{metadata: {name: e}, subsets: [{addresses: [{ip: 10.0.0.1}, {ip: 10.0.0.2}, {ip: 10.0.0.3}, {ip: 10.0.0.4}], ports: [{port: 80}]}]}".into(),
         json!(["e", "10.0.0.1:80,10.0.0.2:80,10.0.0.3:80 + 1 more...", "<unknown>"])),
        ("/v1/secrets", "{metadata: {name: s}, type: Opaque, data: {a: ''}}".into(), json!(["s", "Opaque", 1, "<unknown>"])),
        ("rbac.authorization.k8s.io/v1/roles", "{metadata: {name: r, creationTimestamp: '2026-01-02T03:03:00Z'}}".into(), json!(["r", "2026-01-02T03:03:00Z"])),
        ("autoscaling/v2/horizontalpodautoscalers", "{metadata: {name: h}, spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: d}, minReplicas: 1, maxReplicas: 3, metrics: [{type: Resource, resource: {name: cpu, target: {averageUtilization: 80}}}]}, status: {currentReplicas: 2, currentMetrics: [{type: Resource, resource: {name: cpu, current: {averageUtilization: 40}}}]}}".into(),
         json!(["h", "Deployment/d", "cpu: 40%/80%", "1", 3, 2, "<unknown>"])),
        ("coordination.k8s.io/v1/leases", "{metadata: {name: l}, spec: {holderIdentity: h}}".into(), json!(["l", "h", "<unknown>"])),
        ("storage.k8s.io/v1/storageclasses", "{metadata: {name: s, annotations: {storageclass.kubernetes.io/is-default-class: 'true'}}, provisioner: p, reclaimPolicy: Delete, volumeBindingMode: Immediate}".into(),
         json!(["s (default)", "p", "Delete", "Immediate", false, "<unknown>"])),
    ];
    for (path, object, expected) in cases {
        assert_eq!(cells(path, &object), expected, "{path}");
    }
}

#[test]
fn every_kind_prints_as_many_cells_as_it_has_columns() {
    let registry = api::Registry::builtin();
    for r in registry.iter().filter(|r| r.allows("list")) {
        let object = json!({"metadata": {"name": "x"}});
        let table = table(r, &[object], json!({}), IncludeObject::None, true, NOW.parse().unwrap());
        let row = table["rows"][0]["cells"].as_array().unwrap();
        assert_eq!(row.len(), r.columns.len(), "{r:?}");
    }
}
