//! Custom resource definitions, and the resources they bring.

use api::Registry;
use api::table::IncludeObject;
use serde_json::{Value, json};

use crate::{create, create_in, refusal, resource, update, update_in, yaml};

const DEFINITIONS: &str = "apiextensions.k8s.io/v1/customresourcedefinitions";

const DEFINITION: &str = "
metadata: {name: boats.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: boats, kind: Boat, shortNames: [bt]}
  versions:
  - name: v1beta1
    served: true
    storage: false
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
  - name: v1
    served: true
    storage: true
    subresources: {status: {}, scale: {specReplicasPath: .spec.rowers, statusReplicasPath: .status.rowers}}
    additionalPrinterColumns:
    - {name: Rowers, type: integer, jsonPath: .spec.rowers}
    - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
    selectableFields: [{jsonPath: .spec.color}]
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              rowers: {type: integer, minimum: 1, default: 3}
              color: {type: string}
          status: {type: object, properties: {rowers: {type: integer}}}
";

fn boats() -> Registry {
    let definition = create(DEFINITIONS, DEFINITION).unwrap();
    Registry::builtin().with_crd(&definition)
}

#[test]
fn definitions_are_completed() {
    let definition = create(DEFINITIONS, DEFINITION).unwrap();
    assert_eq!(definition["spec"]["names"]["singular"], "boat");
    assert_eq!(definition["spec"]["names"]["listKind"], "BoatList");
    assert_eq!(definition["spec"]["conversion"], json!({"strategy": "None"}));
    assert_eq!(definition["status"]["storedVersions"], json!(["v1"]));
    assert_eq!(definition["metadata"]["generation"], 1);
}

#[test]
fn definitions_are_refused() {
    let cases = [
        (
            "boats.example.com",
            "ships.example.com",
            "metadata.name: Invalid value: \"ships.example.com\": must be spec.names.plural+\".\"+spec.group",
        ),
        ("storage: true", "storage: false", "must have exactly one version marked as storage version"),
        (
            "scope: Namespaced",
            "scope: Odd",
            "spec.scope: Unsupported value: \"Odd\": supported values: \"Cluster\", \"Namespaced\"",
        ),
        (
            "jsonPath: .spec.rowers",
            "jsonPath: spec.rowers",
            "spec.versions[1].additionalPrinterColumns[0].JSONPath: Invalid value: \"spec.rowers\": must be a simple json path starting with .",
        ),
        ("specReplicasPath: .spec.rowers", "specReplicasPath: .rowers", "should be a json path under .spec"),
    ];
    for (from, to, error) in cases {
        let message = refusal(create(DEFINITIONS, &DEFINITION.replacen(from, to, 1)));
        assert!(message.contains(error), "{message}");
    }
}

#[test]
fn custom_resources_are_resources() {
    let registry = boats();
    let v1 = registry.get("example.com", "v1", "boats").unwrap();
    let beta = registry.get("example.com", "v1beta1", "boats").unwrap();
    assert!(!beta.is_storage_version() && v1.is_storage_version());
    // The stages work in the version of the request.
    assert_eq!(registry.storage_of(beta).unwrap().version, "v1beta1");
    assert!(!v1.serves_stored(u64::MAX), "defaults are filled in on reading");
    assert_eq!(registry.groups().last().unwrap().versions, ["v1", "v1beta1"]);
    assert!(registry.without_crd("boats.example.com").get("example.com", "v1", "boats").is_none());

    let boat = create_in(v1, &yaml("{metadata: {name: b}, spec: {}, status: {rowers: 9}}")).unwrap();
    assert_eq!(boat["spec"], json!({"rowers": 3}));
    assert_eq!(boat.get("status"), None);
    assert_eq!(boat["metadata"]["generation"], 1);
    let error = create_in(v1, &yaml("{metadata: {name: b}, spec: {rowers: 0}}"));
    assert_eq!(
        refusal(error),
        "Boat.example.com \"b\" is invalid: spec.rowers: Invalid value: 0: spec.rowers in body should be greater than or equal to 1"
    );

    let new = update_in(v1, Some("status"), &boat, |b| {
        b["status"] = json!({"rowers": 2});
        b["spec"]["rowers"] = 7.into();
        b["metadata"]["labels"] = json!({"a": "b"});
    })
    .unwrap();
    assert_eq!((&new["status"]["rowers"], &new["spec"]["rowers"]), (&json!(2), &json!(3)));
    assert_eq!(new["metadata"].get("labels"), None);
    assert_eq!(new["metadata"]["generation"], 1);
    let scale = api::scale::read(v1, &new).unwrap();
    assert_eq!((&scale["spec"]["replicas"], &scale["status"]["replicas"]), (&json!(3), &json!(2)));
    let mut red = new.clone();
    red["spec"]["color"] = "red".into();
    assert!(v1.fields(&red).contains(&("spec.color".to_owned(), "red".to_owned())));
}

#[test]
fn what_was_accepted_once_can_be_written_again() {
    let mut stored = create(DEFINITIONS, DEFINITION).unwrap();
    // As a release with laxer rules may have left it.
    stored["spec"]["versions"][1]["schema"]["openAPIV3Schema"]["type"] = "string".into();
    let labelled = update(DEFINITIONS, None, &stored, |d| d["metadata"]["labels"] = json!({"a": "b"}));
    labelled.unwrap();
    let another = |d: &mut Value| d["spec"]["names"]["shortNames"] = json!(["b"]);
    update(DEFINITIONS, None, &stored, another).unwrap();
    let worse =
        |d: &mut Value| d["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = json!({"type": "array"});
    assert!(refusal(update(DEFINITIONS, None, &stored, worse)).contains("must be object at the root"));
}

#[test]
fn deprecated_versions_say_so() {
    let text = DEFINITION.replacen("served: true", "served: true\n    deprecated: true", 1);
    let registry = Registry::builtin().with_crd(&create(DEFINITIONS, &text).unwrap());
    let warning = |version: &str| registry.get("example.com", version, "boats").unwrap().deprecation();
    let expected = "example.com/v1beta1 Boat is deprecated; use example.com/v1 Boat";
    assert_eq!((warning("v1beta1").as_deref(), warning("v1")), (Some(expected), None));
    assert!(
        resource("/v1/endpoints").deprecation().unwrap().starts_with("v1 Endpoints is deprecated in v1.33+")
    );
    assert_eq!(resource("/v1/pods").deprecation(), None);
}

#[test]
fn custom_tables_and_discovery() {
    let registry = boats();
    let v1 = registry.get("example.com", "v1", "boats").unwrap();
    let boat = create_in(v1, &yaml("{metadata: {name: b}, spec: {rowers: 4}}")).unwrap();
    let now = "2026-01-02T03:09:05Z".parse().unwrap();
    let table = api::table::table(v1, &[boat], json!({}), IncludeObject::None, true, now);
    assert_eq!(table["rows"][0]["cells"], json!(["b", 4, "5m"]));
    let names: Vec<&Value> =
        table["columnDefinitions"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
    assert_eq!(names, ["Name", "Rowers", "Age"]);
    let list = api::discovery::resources(&registry, "example.com", "v1").unwrap();
    assert_eq!(list["resources"][0]["shortNames"], json!(["bt"]));
    assert_eq!(list["resources"][1]["name"], "boats/scale");
    assert_eq!(list["resources"][1]["group"], "autoscaling");
}

#[test]
fn metadata_of_custom_resources_is_object_metadata() {
    let registry = boats();
    let v1 = registry.get("example.com", "v1", "boats").unwrap();
    let error = create_in(v1, &yaml("{metadata: {name: b, labels: {a: 1}}}"));
    assert!(refusal(error).contains(
        "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string"
    ));
    let error = create_in(v1, &yaml("{metadata: {name: b, color: red}}"));
    assert!(refusal(error).contains("strict decoding error: unknown field \"metadata.color\""));
}
