//! Kinds through the stages of a request, with expectations from Kubernetes' behaviour.

mod configuration;
mod custom;
mod deletion;
mod devices;
mod metadata;
mod more_rules;
mod pods;
mod rules;
mod services;
mod tables;
mod versions;
mod warnings;
mod workloads;

use std::sync::{Arc, LazyLock};

use api::pipeline::{self, Ctx, FieldValidation, User, decode, default, prepare_create, prepare_update};
use api::{Registry, Resource, Status};
use serde_json::Value;

static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::builtin);

/// The time of all tests.
pub const NOW: &str = "2026-01-02T03:04:05Z";

/// YAML to JSON, for readable tables (where `n` is a name, not a boolean).
pub fn yaml(text: &str) -> Value {
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options).expect("the test's YAML is well-formed")
}

/// A built-in resource by `GROUP/VERSION/PLURAL`.
pub fn resource(path: &str) -> Arc<Resource> {
    let parts: Vec<&str> = path.split('/').collect();
    let [group, version, plural] = parts[..] else {
        panic!("{path} is no GROUP/VERSION/PLURAL");
    };
    REGISTRY.get(group, version, plural).expect("a built-in resource").clone()
}

pub fn ctx(r: &Resource) -> Ctx {
    Ctx {
        now: NOW.parse().expect("a time"),
        uid: "00000000-0000-0000-0000-000000000001".into(),
        name_suffix: "bcdfg".into(),
        namespace: r.namespaced.then(|| "ns".to_owned()),
        user: User { name: "jane".into(), groups: vec!["dev".into()], ..User::default() },
        dry_run: false,
    }
}

/// A body through all stages of a create.
pub fn create(path: &str, body: &str) -> Result<Value, Status> {
    create_in(&resource(path), &yaml(body))
}

pub fn create_in(r: &Resource, body: &Value) -> Result<Value, Status> {
    create_warned(r, body).map(|(object, _)| object)
}

/// As [`create_in`], with the warnings.
pub fn create_warned(r: &Resource, body: &Value) -> Result<(Value, Vec<String>), Status> {
    let body = body.to_string();
    let decoded = decode(body.as_bytes(), "application/json", r, FieldValidation::Strict)?;
    let mut object = r.convert_to_stored(decoded.object);
    default(r, &mut object);
    prepare_create(r, &mut object, &ctx(r))?;
    pipeline::validate_requested(r, &object, None)?;
    let warnings = pipeline::validate_create(r, &object)?;
    object["metadata"]["resourceVersion"] = "7".into();
    Ok((object, warnings))
}

/// A change of a stored object through all stages of an update.
pub fn update(
    path: &str,
    subresource: Option<&str>,
    old: &Value,
    change: impl FnOnce(&mut Value),
) -> Result<Value, Status> {
    update_in(&resource(path), subresource, old, change)
}

pub fn update_in(
    r: &Resource,
    subresource: Option<&str>,
    old: &Value,
    change: impl FnOnce(&mut Value),
) -> Result<Value, Status> {
    let mut new = old.clone();
    change(&mut new);
    default(r, &mut new);
    prepare_update(r, subresource, &mut new, old, &ctx(r))?;
    pipeline::validate_requested(r, &new, Some(old))?;
    pipeline::validate_update(r, subresource, &new, old)?;
    Ok(new)
}

/// The message of a refusal.
pub fn refusal(result: Result<Value, Status>) -> String {
    result.expect_err("a refusal").message
}
