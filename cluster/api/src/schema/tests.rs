//! The tables of facts and k8s-openapi speak of the same API.

use super::builtin::{facts, generator};
use super::facts::FACTS;
use super::kinds::KINDS;
use super::tree::{Default, ListType};

#[test]
fn every_fact_is_about_a_field_that_exists() {
    let mut generator = generator();
    for kind in KINDS {
        (kind.describe)(&mut generator);
    }
    let described = generator.take_definitions(false);
    for line in FACTS.lines().filter(|line| !line.is_empty() && !line.starts_with(' ')) {
        let head = line.split(' ').next().unwrap();
        let name = format!("io.k8s.{}", head.trim_end_matches("@atomic"));
        let Some(definition) = described.get(&name) else {
            continue;
        };
        let properties = definition["properties"].as_object();
        for field in facts(&name).fields.keys() {
            let known = properties.is_some_and(|p| p.contains_key(*field));
            assert!(known, "{name} has no {field}");
        }
    }
}

#[test]
fn every_kind_has_a_schema() {
    for kind in KINDS {
        let schema = super::builtin(kind.group, kind.version, kind.kind).unwrap();
        assert_eq!(schema.name, kind.definition);
        assert!(schema.field("apiVersion").is_some(), "{}", kind.kind);
    }
    assert!(super::builtin("apps", "v1beta1", "Deployment").is_none());
}

#[test]
fn the_table_sorts_for_the_search() {
    let keys = KINDS.iter().map(|k| (k.group, k.version, k.kind));
    assert!(keys.is_sorted());
}

#[test]
fn facts_reach_the_tree() {
    let service = super::builtin("", "v1", "Service").unwrap();
    let ports = service.at(&["spec", "ports"]).unwrap();
    assert_eq!(ports.list, ListType::Map);
    assert_eq!(ports.list_keys.iter().map(|k| &**k).collect::<Vec<_>>(), ["port", "protocol"]);
    assert_eq!(ports.merge_key.as_deref(), Some("port"));
    let protocol = ports.item().unwrap().field("protocol").unwrap();
    assert_eq!(protocol.default, Some(Default::Value("TCP".into())));
    assert!(protocol.drop_empty);
    let volume = super::builtin("", "v1", "PersistentVolume").unwrap();
    let spec = volume.at(&["spec"]).unwrap();
    let claim = spec.field("claimRef").unwrap();
    assert!(!claim.link.get().is_atomic(Some(claim)));
    assert!(claim.link.get().is_atomic(None));
    let deployment = super::builtin("apps", "v1", "Deployment").unwrap();
    let strategy = deployment.at(&["spec"]).unwrap().field("strategy").unwrap();
    assert!(strategy.patch.retain_keys && !strategy.patch.merge);
}
