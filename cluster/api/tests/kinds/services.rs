//! Services and what backs them.

use serde_json::json;

use crate::{create, refusal, update};

const SERVICES: &str = "/v1/services";
const SIMPLE: &str = "{metadata: {name: s}, spec: {selector: {a: b}, ports: [{port: 80}]}}";

#[test]
fn defaults() {
    let service = create(SERVICES, SIMPLE).unwrap();
    assert_eq!(
        service["spec"],
        json!({
            "type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
            "ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv4"], "selector": {"a": "b"},
            "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
        })
    );
    assert_eq!(service["status"], json!({"loadBalancer": {}}));
    let node = create(
        SERVICES,
        "{metadata: {name: s}, spec: {type: NodePort, sessionAffinity: ClientIP, ports: [{port: 80}]}}",
    )
    .unwrap();
    assert_eq!(node["spec"]["externalTrafficPolicy"], "Cluster");
    assert_eq!(node["spec"]["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"], 10800);
    let headless = create(SERVICES, "{metadata: {name: s}, spec: {clusterIP: None}}").unwrap();
    assert_eq!(headless["spec"]["clusterIPs"], json!(["None"]));
    assert_eq!(headless["spec"]["ipFamilyPolicy"], "RequireDualStack");
}

#[test]
fn refusals() {
    let cases = [
        ("{}", "spec.ports: Required value"),
        (
            "{ports: [{port: 0}]}",
            "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
        ),
        ("{ports: [{port: 1}, {port: 2, name: b}]}", "spec.ports[0].name: Required value"),
        (
            "{type: Odd, ports: [{port: 1}]}",
            "spec.type: Unsupported value: \"Odd\": supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \"NodePort\"",
        ),
        ("{type: ExternalName}", "spec.externalName: Required value"),
        (
            "{ports: [{port: 1, nodePort: 30000}]}",
            "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
        ),
        (
            "{clusterIP: None, type: NodePort, ports: [{port: 1}]}",
            "spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services",
        ),
    ];
    for (spec, error) in cases {
        let message = refusal(create(SERVICES, &format!("{{metadata: {{name: s}}, spec: {spec}}}")));
        assert!(message.contains(error), "{message}\n{error}");
    }
    let message = refusal(create(SERVICES, "{metadata: {name: 1.s}, spec: {ports: [{port: 1}]}}"));
    assert!(message.contains("metadata.name: Invalid value: \"1.s\": must not contain dots"), "{message}");
}

#[test]
fn addresses_stay_with_the_service() {
    let mut old = create(SERVICES, SIMPLE).unwrap();
    old["spec"]["clusterIP"] = "10.96.0.5".into();
    old["spec"]["clusterIPs"] = json!(["10.96.0.5"]);
    let new = update(SERVICES, None, &old, |s| {
        s["spec"].as_object_mut().unwrap().remove("clusterIP");
        s["spec"].as_object_mut().unwrap().remove("clusterIPs");
    })
    .unwrap();
    assert_eq!(new["spec"]["clusterIPs"], json!(["10.96.0.5"]));
    let message = refusal(update(SERVICES, None, &old, |s| s["spec"]["clusterIP"] = "10.96.0.6".into()));
    assert!(
        message.contains("spec.clusterIPs[0]: Invalid value: [\"10.96.0.6\"]: may not change once set"),
        "{message}"
    );
    let external = update(SERVICES, None, &old, |s| {
        s["spec"]["type"] = "ExternalName".into();
        s["spec"]["externalName"] = "example.com".into();
    })
    .unwrap();
    assert_eq!(external["spec"].get("clusterIP"), None);
}

#[test]
fn node_ports_stay_with_their_ports() {
    let mut old =
        create(SERVICES, "{metadata: {name: s}, spec: {type: NodePort, ports: [{port: 80}]}}").unwrap();
    old["spec"]["ports"][0]["nodePort"] = 30001.into();
    let new = update(SERVICES, None, &old, |s| s["spec"]["ports"] = json!([{"port": 81}])).unwrap();
    assert_eq!(new["spec"]["ports"][0]["nodePort"], 30001);
    let inner = update(SERVICES, None, &old, |s| s["spec"]["type"] = "ClusterIP".into()).unwrap();
    assert_eq!(inner["spec"]["ports"][0].get("nodePort"), None);
    assert_eq!(inner["spec"].get("externalTrafficPolicy"), None);
}

#[test]
fn endpoint_slices() {
    let path = "discovery.k8s.io/v1/endpointslices";
    let slice = create(
        path,
        "{metadata: {name: s}, addressType: IPv4, endpoints: [{addresses: [10.0.0.1]}], ports: [{port: 80}]}",
    )
    .unwrap();
    assert_eq!(slice["ports"], json!([{"port": 80, "name": "", "protocol": "TCP"}]));
    let message = refusal(create(
        path,
        "{metadata: {name: s}, addressType: IPv4, endpoints: [{addresses: [127.0.0.1]}]}",
    ));
    assert!(message.contains("endpoints[0].addresses[0]: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)"), "{message}");
    let message = refusal(update(path, None, &slice, |s| s["addressType"] = "FQDN".into()));
    assert!(message.contains("addressType: Invalid value: \"FQDN\": field is immutable"), "{message}");
}
