//! OpenAPI documents, read the way kubectl and client-go read them.

use api::openapi::{self, Served, Subresource};
use serde_json::{Value, json};

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_string).collect()
}

fn served() -> Vec<Served> {
    let verbs = "create delete deletecollection get list patch update watch";
    let status = |group: &str, version: &str, kind: &str| Subresource {
        name: "status".into(),
        group: group.into(),
        version: version.into(),
        kind: kind.into(),
        verbs: words("get patch update"),
    };
    let resource = |group: &str, version: &str, kind: &str, plural: &str, namespaced| Served {
        group: group.into(),
        version: version.into(),
        kind: kind.into(),
        plural: plural.into(),
        namespaced,
        verbs: words(verbs),
        subresources: vec![status(group, version, kind)],
        custom: None,
    };
    let mut widget = resource("example.com", "v1", "Widget", "widgets", true);
    widget.custom = Some(json!({
        "type": "object",
        "description": "A widget.",
        "properties": {
            "spec": {
                "type": "object",
                "required": ["size"],
                "properties": {
                    "size": { "type": "integer", "minimum": 1, "default": 3 },
                    "port": { "x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}] },
                    "any": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
                },
            },
        },
    }));
    vec![
        resource("", "v1", "Namespace", "namespaces", false),
        resource("", "v1", "Service", "services", true),
        resource("apps", "v1", "Deployment", "deployments", true),
        widget,
    ]
}

fn v3(path: &str) -> Value {
    let document = openapi::v3_document(&served(), path).unwrap();
    serde_json::from_slice(&document).unwrap()
}

/// kubectl's question before it leaves validation to the server.
fn patch_takes(document: &Value, group: &str, version: &str, kind: &str, parameter: &str) -> bool {
    let wanted = json!({ "group": group, "version": version, "kind": kind });
    let paths = document["paths"].as_object().unwrap();
    let patches: Vec<&Value> = paths
        .values()
        .filter_map(|item| item.get("patch"))
        .filter(|op| op["x-kubernetes-group-version-kind"] == wanted)
        .collect();
    assert!(!patches.is_empty(), "no PATCH of {kind}");
    patches.iter().all(|op| {
        let parameters = op["parameters"].as_array().unwrap();
        parameters.iter().any(|p| p["name"] == parameter && p["in"] == "query")
    })
}

#[test]
fn the_patch_of_every_kind_takes_field_validation() {
    let v2: Value = serde_json::from_slice(&openapi::v2_json(&served())).unwrap();
    for (group, version, kind) in
        [("", "v1", "Namespace"), ("apps", "v1", "Deployment"), ("example.com", "v1", "Widget")]
    {
        let path = match group {
            "" => "api/v1".to_string(),
            group => format!("apis/{group}/{version}"),
        };
        for parameter in ["fieldValidation", "dryRun", "fieldManager", "force"] {
            assert!(patch_takes(&v3(&path), group, version, kind, parameter));
            assert!(patch_takes(&v2, group, version, kind, parameter));
        }
    }
}

#[test]
fn definitions_are_as_kubernetes_publishes_them() {
    let document = v3("apis/apps/v1");
    let schemas = &document["components"]["schemas"];
    let strategy = &schemas["io.k8s.api.apps.v1.DeploymentSpec"]["properties"]["strategy"];
    assert_eq!(
        strategy["allOf"],
        json!([{ "$ref": "#/components/schemas/io.k8s.api.apps.v1.DeploymentStrategy" }])
    );
    assert_eq!(strategy["default"], json!({}));
    assert_eq!(strategy["x-kubernetes-patch-strategy"], "retainKeys");
    assert!(strategy["description"].is_string());
    let ports = &schemas["io.k8s.api.core.v1.Container"]["properties"]["ports"];
    assert_eq!(ports["x-kubernetes-list-type"], "map");
    assert_eq!(ports["x-kubernetes-list-map-keys"], json!(["containerPort", "protocol"]));
    assert_eq!(ports["x-kubernetes-patch-merge-key"], "containerPort");
    assert_eq!(
        schemas["io.k8s.api.apps.v1.Deployment"]["x-kubernetes-group-version-kind"],
        json!([{ "group": "apps", "version": "v1", "kind": "Deployment" }])
    );
    assert!(schemas["io.k8s.api.apps.v1.DeploymentList"]["properties"]["items"].is_object());
    let key = &schemas["io.k8s.api.core.v1.ConfigMapKeySelector"];
    assert_eq!(key["required"], json!(["key"]));
    assert_eq!(key["x-kubernetes-map-type"], "atomic");
    assert_eq!(
        schemas["io.k8s.apimachinery.pkg.util.intstr.IntOrString"]["oneOf"],
        json!([{ "type": "integer" }, { "type": "string" }])
    );
}

/// Every `$ref` of the document leads somewhere.
fn check_references(value: &Value, known: &dyn Fn(&str) -> bool) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match (key.as_str(), value) {
                    ("$ref", Value::String(reference)) => {
                        let name = reference.rsplit('/').next().unwrap();
                        assert!(known(name), "{reference} leads nowhere");
                    }
                    _ => check_references(value, known),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|v| check_references(v, known)),
        _ => {}
    }
}

#[test]
fn documents_are_complete_in_themselves() {
    for path in ["api/v1", "apis/apps/v1", "apis/example.com/v1"] {
        let document = v3(path);
        let schemas = document["components"]["schemas"].as_object().unwrap();
        check_references(&document, &|name| schemas.contains_key(name));
    }
    let v2: Value = serde_json::from_slice(&openapi::v2_json(&served())).unwrap();
    let definitions = v2["definitions"].as_object().unwrap();
    check_references(&v2, &|name| definitions.contains_key(name));
}

#[test]
fn custom_resources_are_published() {
    let document = v3("apis/example.com/v1");
    let widget = &document["components"]["schemas"]["com.example.v1.Widget"];
    assert_eq!(widget["properties"]["spec"]["properties"]["size"]["default"], 3);
    assert!(widget["properties"]["metadata"]["allOf"].is_array());
    let text = |name: &str| widget["properties"][name]["description"].as_str().unwrap();
    assert!(text("apiVersion").starts_with("APIVersion defines the versioned schema"));
    assert!(text("metadata").starts_with("Standard object's metadata."));
    let port = &widget["properties"]["spec"]["properties"]["port"];
    assert_eq!(port["anyOf"], json!([{ "type": "integer" }, { "type": "string" }]));
    let v2: Value = serde_json::from_slice(&openapi::v2_json(&served())).unwrap();
    let spec = &v2["definitions"]["com.example.v1.Widget"]["properties"]["spec"]["properties"];
    assert_eq!(spec["size"], json!({ "type": "integer", "minimum": 1, "default": 3 }));
    assert_eq!(spec["port"], json!({ "x-kubernetes-int-or-string": true }));
    assert_eq!(spec["any"], json!({ "x-kubernetes-preserve-unknown-fields": true }));
}

#[test]
fn open_and_nullable_schemas_in_v2() {
    let v2 = |schema: Value| -> Value {
        let mut all = served();
        all.last_mut().unwrap().custom = Some(schema);
        let document: Value = serde_json::from_slice(&openapi::v2_json(&all)).unwrap();
        document["definitions"]["com.example.v1.Widget"].clone()
    };
    let open = json!({ "type": "object", "description": "x", "x-kubernetes-preserve-unknown-fields": true });
    let mut root = v2(open);
    root.as_object_mut().unwrap().remove("x-kubernetes-group-version-kind");
    assert_eq!(root, json!({ "type": "object" }));
    let given = json!({ "type": "object", "required": ["a", "b"], "properties": {
        "a": { "type": "string", "nullable": true },
        "b": { "type": "object", "x-kubernetes-embedded-resource": true, "properties": { "spec": { "type": "object" } } },
    }});
    let root = v2(given);
    assert_eq!(root["required"], json!(["b"]));
    assert_eq!(root["properties"]["a"], json!({}));
    let embedded = &root["properties"]["b"];
    assert_eq!(embedded["required"], json!(["kind", "apiVersion"]));
    assert!(embedded["properties"]["metadata"]["$ref"].is_string());
}

#[test]
fn the_index_names_each_document_and_its_content() {
    let index = openapi::v3_index(&served(), |path| format!("HASH-{path}"));
    let index: Value = serde_json::from_slice(&index).unwrap();
    assert_eq!(
        index["paths"]["apis/apps/v1"]["serverRelativeURL"],
        "/openapi/v3/apis/apps/v1?hash=HASH-apis/apps/v1"
    );
    assert_eq!(index["paths"].as_object().unwrap().len(), 3);
    assert_eq!(openapi::v3_document(&served(), "apis/nope/v1"), None);
    assert_eq!(openapi::etag(b"").len(), 128);
}

/// A protobuf message as its fields, in order.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    }
    let mut list = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let length = match tag & 7 {
            0 => {
                let value = varint(&mut bytes);
                list.push((tag >> 3, value.to_le_bytes().to_vec()));
                continue;
            }
            1 => 8,
            2 => varint(&mut bytes) as usize,
            wire => panic!("wire type {wire}"),
        };
        let (content, rest) = bytes.split_at(length);
        list.push((tag >> 3, content.to_vec()));
        bytes = rest;
    }
    list
}

fn field(message: &[u8], number: u64) -> Vec<u8> {
    let found = fields(message).into_iter().find(|(n, _)| *n == number);
    found.unwrap_or_else(|| panic!("no field {number}")).1
}

fn named(message: &[u8], list: u64, name: &str) -> Vec<u8> {
    let entries = fields(message).into_iter().filter(|(n, _)| *n == list);
    let found = entries.map(|(_, entry)| entry).find(|entry| field(entry, 1) == name.as_bytes());
    field(&found.unwrap_or_else(|| panic!("no {name}")), 2)
}

#[test]
fn the_protobuf_document_is_gnostics() {
    let document = openapi::v2_protobuf(&served());
    assert_eq!(field(&document, 1), b"2.0");
    let definitions = field(&document, 9);
    let deployment = named(&definitions, 1, "io.k8s.api.apps.v1.Deployment");
    assert_eq!(field(&field(&deployment, 22), 1), b"object");
    let gvk = named(&deployment, 31, "x-kubernetes-group-version-kind");
    let gvk: Value = serde_json::from_slice(&field(&gvk, 2)).unwrap();
    assert_eq!(gvk[0]["kind"], "Deployment");
    let spec = named(&field(&deployment, 25), 1, "spec");
    assert_eq!(field(&spec, 1), b"#/definitions/io.k8s.api.apps.v1.DeploymentSpec");
    let path = "/apis/apps/v1/namespaces/{namespace}/deployments/{name}";
    let item = named(&field(&document, 8), 2, path);
    let patch = field(&item, 8);
    assert_eq!(field(&patch, 5), b"patchAppsV1NamespacedDeployment");
    let queries: Vec<Vec<u8>> = fields(&patch)
        .into_iter()
        .filter(|(n, _)| *n == 8)
        .map(|(_, p)| field(&p, 1))
        .filter(|p| fields(p)[0].0 == 2)
        .map(|p| field(&field(&field(&p, 2), 3), 4))
        .collect();
    assert!(queries.contains(&b"fieldValidation".to_vec()));
}
