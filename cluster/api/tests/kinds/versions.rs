//! Kinds that are served in a version they are not stored in.

use serde_json::json;

use crate::{create, resource, yaml};

#[test]
fn autoscalers_of_v1() {
    let v1 = resource("autoscaling/v1/horizontalpodautoscalers");
    let old = yaml(
        "
apiVersion: autoscaling/v1
kind: HorizontalPodAutoscaler
metadata: {name: a}
spec: {maxReplicas: 5, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: d}, targetCPUUtilizationPercentage: 70}
",
    );
    let stored = v1.convert_to_stored(old.clone());
    assert_eq!(stored["apiVersion"], "autoscaling/v2");
    assert_eq!(stored["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 70);
    let back = v1.convert_stored(stored);
    assert_eq!(back["spec"], old["spec"]);
}

#[test]
fn what_v1_can_not_say_travels_in_annotations() {
    let v1 = resource("autoscaling/v1/horizontalpodautoscalers");
    let stored = create(
        "autoscaling/v2/horizontalpodautoscalers",
        "
metadata: {name: a}
spec:
  maxReplicas: 5
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: d}
  behavior: {scaleDown: {stabilizationWindowSeconds: 60}}
  metrics:
  - {type: Resource, resource: {name: memory, target: {type: Utilization, averageUtilization: 50}}}
",
    )
    .unwrap();
    let served = v1.convert_stored(stored.clone());
    assert_eq!(served["spec"].get("metrics"), None);
    assert_eq!(served["metadata"]["annotations"].as_object().unwrap().len(), 2);
    let back = v1.convert_to_stored(served);
    assert_eq!(back["spec"], stored["spec"]);
    assert_eq!(back["metadata"].get("annotations"), None);
}

#[test]
fn events_have_two_shapes() {
    let new = resource("events.k8s.io/v1/events");
    let stored = create(
        "/v1/events",
        "
metadata: {name: e}
involvedObject: {kind: Pod, name: p, namespace: ns}
message: hello
count: 3
source: {component: c}
",
    )
    .unwrap();
    assert!(new.converts());
    let served = new.convert_stored(stored.clone());
    assert_eq!(served["apiVersion"], "events.k8s.io/v1");
    assert_eq!(served["regarding"]["name"], "p");
    assert_eq!(served["note"], "hello");
    assert_eq!(served["deprecatedCount"], 3);
    assert_eq!(served["deprecatedSource"], json!({"component": "c"}));
    assert_eq!(new.convert_to_stored(served), stored);
}
