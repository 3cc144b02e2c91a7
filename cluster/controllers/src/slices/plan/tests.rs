use super::*;
use crate::testing::{object, pod};
use serde_json::{Value, json};

fn service(spec: Value) -> Service {
    let mut value = json!({
        "metadata": { "name": "web", "namespace": "ns", "uid": "svc-uid", "labels": { "team": "a" } },
        "spec": { "selector": { "app": "web" }, "clusterIP": "10.96.0.7", "ipFamilies": ["IPv4"],
            "ports": [{ "name": "http", "port": 80, "targetPort": "http" }] },
    });
    for (key, part) in spec.as_object().unwrap() {
        value["spec"][key] = part.clone();
    }
    object(value)
}

fn backend(name: &str, ip: &str, port: i32, has: Value) -> Arc<Pod> {
    let mut all = json!({ "ip": ip, "node": "n1", "ready": true,
        "spec": { "containers": [{ "name": "c", "ports": [{ "name": "http", "containerPort": port }] }] } });
    for (key, part) in has.as_object().unwrap() {
        if part.is_null() {
            all.as_object_mut().unwrap().remove(key);
        } else {
            all[key] = part.clone();
        }
    }
    pod(name, all)
}

fn decide(service: &Service, pods: &[Arc<Pod>], slices: &[Arc<EndpointSlice>]) -> Vec<Edit> {
    plan(service, pods, slices, &|node| Some(format!("zone-of-{node}")))
}

/// The slice that the API made of a creation.
fn stored(edit: &Edit, name: &str) -> Arc<EndpointSlice> {
    let Edit::Create(slice) = edit else { panic!("not a creation: {edit:?}") };
    let mut slice = slice.clone();
    slice.metadata.name = Some(name.into());
    slice.metadata.uid = Some(format!("{name}-uid"));
    Arc::new(slice)
}

#[test]
fn a_slice_says_what_is_behind_a_service() {
    let pods = [
        backend("a", "10.244.0.1", 8080, json!({})),
        backend("starting", "10.244.0.2", 8080, json!({ "ready": null })),
        backend("leaving", "10.244.0.3", 8080, json!({ "deleting": true })),
        backend("other", "10.244.0.4", 8080, json!({ "labels": { "app": "db" } })),
        backend("ended", "10.244.0.5", 8080, json!({ "phase": "Succeeded" })),
        pod("unborn", json!({})),
    ];
    let edits = decide(&service(json!({})), &pods, &[]);
    let Edit::Create(slice) = &edits[0] else { panic!("{edits:?}") };
    assert_eq!(edits.len(), 1);
    assert_eq!(
        serde_json::to_value(&slice.metadata.labels).unwrap(),
        json!({ "team": "a",
        "kubernetes.io/service-name": "web", "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io" })
    );
    assert_eq!(
        serde_json::to_value(&slice.ports).unwrap(),
        json!([{ "name": "http", "port": 8080, "protocol": "TCP" }])
    );
    let conditions = |ready, serving, terminating| json!({ "ready": ready, "serving": serving, "terminating": terminating });
    let endpoint = |name: &str, ip: &str, conditions: Value| {
        json!({ "addresses": [ip], "conditions": conditions,
        "nodeName": "n1", "zone": "zone-of-n1",
        "targetRef": { "kind": "Pod", "namespace": "ns", "name": name, "uid": format!("{name}-uid") } })
    };
    assert_eq!(
        serde_json::to_value(&slice.endpoints).unwrap(),
        json!([
            endpoint("a", "10.244.0.1", conditions(true, true, false)),
            endpoint("leaving", "10.244.0.3", conditions(false, true, true)),
            endpoint("starting", "10.244.0.2", conditions(false, false, false)),
        ])
    );
    let stored = stored(&edits[0], "web-1");
    assert_eq!(
        decide(&service(json!({})), &pods, std::slice::from_ref(&stored)),
        [],
        "nothing left to write"
    );
    // One pod becomes ready: one write.
    let mut later = pods.to_vec();
    later[1] = backend("starting", "10.244.0.2", 8080, json!({}));
    let edits = decide(&service(json!({})), &later, &[stored]);
    assert!(matches!(edits.as_slice(), [Edit::Update(_)]), "{edits:?}");
}

#[test]
fn pods_with_different_ports_are_in_different_slices() {
    let pods = [backend("a", "10.244.0.1", 8080, json!({})), backend("b", "10.244.0.2", 9090, json!({}))];
    let edits = decide(&service(json!({})), &pods, &[]);
    assert_eq!(edits.len(), 2);
    let slices = [stored(&edits[0], "web-1"), stored(&edits[1], "web-2")];
    let edits = decide(&service(json!({})), &pods[..1], &slices);
    assert_eq!(edits, [Edit::Delete(slices[1].clone())]);
}

#[test]
fn slices_are_bounded_and_stay_as_they_are() {
    let service = service(json!({}));
    let pods: Vec<_> =
        (0..250).map(|n| backend(&format!("p{n:03}"), &format!("10.244.1.{n}"), 80, json!({}))).collect();
    let edits = decide(&service, &pods, &[]);
    let slices: Vec<_> = edits.iter().enumerate().map(|(n, e)| stored(e, &format!("web-{n}"))).collect();
    assert_eq!(
        slices.iter().map(|s| s.endpoints.as_ref().unwrap().len()).collect::<Vec<_>>(),
        [100, 100, 50]
    );
    // Of the first slice one goes, and a new one takes its place: one write.
    let mut later = pods[1..].to_vec();
    later.push(backend("new", "10.244.2.1", 80, json!({})));
    let edits = decide(&service, &later, &slices);
    let [Edit::Update(updated)] = edits.as_slice() else { panic!("{edits:?}") };
    assert_eq!(
        (updated.metadata.name.as_deref(), updated.endpoints.as_ref().unwrap().len()),
        (Some("web-0"), 100)
    );
}

#[test]
fn nothing_behind_a_service_is_said_too() {
    let headless = service(json!({ "clusterIP": "None" }));
    let edits = decide(&headless, &[], &[]);
    let Edit::Create(slice) = &edits[0] else { panic!("{edits:?}") };
    assert_eq!(slice.endpoints.as_deref(), Some(&[][..]));
    assert_eq!(slice.metadata.labels.as_ref().unwrap()["service.kubernetes.io/headless"], "");
    let mut empty = (*stored(&edits[0], "web-1")).clone();
    empty.endpoints = None;
    empty.ports = None;
    assert_eq!(decide(&headless, &[], &[Arc::new(empty.clone())]), []);
    // The first pod comes: its slice replaces the empty one.
    let edits = decide(&headless, &[backend("a", "10.244.0.1", 80, json!({}))], &[Arc::new(empty)]);
    assert!(matches!(edits.as_slice(), [Edit::Create(_), Edit::Delete(_)]), "{edits:?}");
}

#[test]
fn headless_services_without_ports_and_host_names() {
    let headless = service(json!({ "clusterIP": "None", "ports": [], "publishNotReadyAddresses": true }));
    let spec = json!({ "containers": [], "hostname": "db-0", "subdomain": "web" });
    let edits =
        decide(&headless, &[backend("a", "10.244.0.1", 80, json!({ "ready": null, "spec": spec }))], &[]);
    let Edit::Create(slice) = &edits[0] else { panic!("{edits:?}") };
    let endpoint = &slice.endpoints.as_ref().unwrap()[0];
    assert_eq!(
        (endpoint.hostname.as_deref(), endpoint.conditions.as_ref().unwrap().ready),
        (Some("db-0"), Some(true))
    );
    assert_eq!(slice.ports.as_deref(), Some(&[][..]));
}
