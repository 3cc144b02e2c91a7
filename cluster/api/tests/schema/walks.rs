//! Prune, default, type check, parse.

use api::schema;
use serde_json::json;

use crate::yaml;

#[test]
fn prune_names_unknown_fields_and_drops_what_go_would_not_write() {
    let deployment = schema::builtin("apps", "v1", "Deployment").unwrap();
    let mut value = yaml(
        "
apiVersion: apps/v1
kind: Deployment
metadata: {name: a, creationTimestamp: null, labels: {}, annotations: {x: null}, foo: 1}
spec:
  replicas: 0
  template:
    spec:
      hostNetwork: false
      nodeName: ''
      containers:
      - {name: c, image: i, imagee: j, resources: {limits: {cpu: 1000m, memory: 1024Mi}, requests: {cpu: 0.5}}, securityContext: {}}
      volumes:
      - {name: v, emptyDir: {}}
bar: {a: 1}
",
    );
    let mut unknown = schema::prune(&deployment, &mut value);
    unknown.sort();
    assert_eq!(unknown, ["bar", "metadata.foo", "spec.template.spec.containers[0].imagee"]);
    let expected = yaml(
        "
apiVersion: apps/v1
kind: Deployment
metadata: {name: a, annotations: {x: ''}}
spec:
  replicas: 0
  template:
    spec:
      containers:
      - {name: c, image: i, resources: {limits: {cpu: '1', memory: 1Gi}, requests: {cpu: 500m}}, securityContext: {}}
      volumes:
      - {name: v, emptyDir: {}}
",
    );
    assert_eq!(value, expected);
}

#[test]
fn default_writes_what_go_always_writes() {
    let service = schema::builtin("", "v1", "Service").unwrap();
    let mut value = yaml("{metadata: {name: a}, spec: {ports: [{port: 80}]}}");
    schema::default(&service, &mut value);
    let expected =
        yaml("{metadata: {name: a}, spec: {ports: [{port: 80, protocol: TCP}]}, status: {loadBalancer: {}}}");
    assert_eq!(value, expected);
}

#[test]
fn times_are_written_as_kubernetes_writes_them() {
    let lease = schema::builtin("coordination.k8s.io", "v1", "Lease").unwrap();
    let mut value = yaml(
        "{metadata: {creationTimestamp: '2024-01-01T02:00:00+02:00'}, spec: {renewTime: '2024-01-01T00:00:00.5Z'}}",
    );
    schema::prune(&lease, &mut value);
    assert_eq!(value["metadata"]["creationTimestamp"], "2024-01-01T00:00:00Z");
    assert_eq!(value["spec"]["renewTime"], "2024-01-01T00:00:00.500000Z");
}

#[test]
fn type_errors_read_as_gos() {
    let cases = [
        (
            "apps",
            "Deployment",
            json!({"spec": {"replicas": "3"}}),
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            "",
            "ConfigMap",
            json!({"data": {"a": 1}}),
            "json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
        ),
        (
            "",
            "Pod",
            json!({"spec": {"containers": {"name": "a"}}}),
            "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container",
        ),
        ("", "Secret", json!({"data": {"a": "%"}}), "illegal base64 data at input byte 0"),
        (
            "",
            "Pod",
            json!({"spec": {"containers": [{"resources": {"limits": {"cpu": "a lot"}}}]}}),
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
    ];
    for (group, kind, value, message) in cases {
        let kind = schema::builtin(group, "v1", kind).unwrap();
        assert_eq!(schema::check_types(&kind, &value), Err(message.to_string()));
    }
}

#[test]
fn int_or_string_quantities_and_raw_extensions_are_fine() {
    let cases = [
        ("", "Service", json!({"spec": {"ports": [{"targetPort": "http"}, {"targetPort": 80}]}})),
        ("", "Pod", json!({"spec": {"overhead": {"cpu": 1, "memory": "1Gi", "x": "1e3"}}})),
        ("apps", "ControllerRevision", json!({"data": {"any": [1, {"thing": null}]}})),
        ("", "Secret", json!({"data": {"a": "YQ==", "b": ""}})),
    ];
    for (group, kind, mut value) in cases {
        let kind = schema::builtin(group, "v1", kind).unwrap();
        assert_eq!(schema::check_types(&kind, &value), Ok(()));
        assert_eq!(schema::prune(&kind, &mut value), [""; 0]);
    }
    let revision = schema::builtin("apps", "v1", "ControllerRevision").unwrap();
    let mut value = json!({"data": {"any": [1, {"thing": null}]}});
    schema::prune(&revision, &mut value);
    assert_eq!(value, json!({"data": {"any": [1, {"thing": null}]}}));
}

#[test]
fn duplicate_fields_are_noted_and_the_last_wins() {
    let parsed = schema::parse_json(br#"{"a":{"b":1,"b":2},"l":[{"x":1},{"x":1,"x":3,"x":4}]}"#);
    let parsed = parsed.unwrap();
    assert_eq!(parsed.value, json!({"a": {"b": 2}, "l": [{"x": 1}, {"x": 4}]}));
    let paths: Vec<&str> = parsed.duplicates.iter().map(|d| d.path.as_str()).collect();
    assert_eq!(paths, ["a.b", "l[1].x"]);
    let parsed = schema::parse_yaml("a:\n  b: 1\n  c: {d: 1, d: 2}\n  b: 3\n").unwrap();
    assert_eq!(parsed.value, json!({"a": {"b": 3, "c": {"d": 2}}}));
    let lines: Vec<_> = parsed.duplicates.iter().map(|d| (d.name.as_str(), d.line)).collect();
    assert_eq!(lines, [("d", Some(3)), ("b", Some(4))]);
    assert!(schema::parse_json(b"{} x").is_err());
}
