//! Custom resources between their versions: what the server does itself, and what it asks of and
//! believes from a conversion webhook (Kubernetes' documentation, "Versions in
//! CustomResourceDefinitions").
//!
//! A stored object is first settled in the version it was stored in (pruned and defaulted by that
//! version's schema as it is now), then converted. A converted object is pruned by the schema of
//! its new version.

use serde_json::{Map, Value, json};

use crate::resource::{Family, Resource, api_version};
use crate::schema;
use crate::value::{go_type, text};

/// Where a webhook's answer is refused, or the webhook itself refuses.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error("{0}")]
pub struct BadConversion(String);

fn bad(text: impl Into<String>) -> BadConversion {
    BadConversion(text.into())
}

/// The version in an object's `apiVersion`.
pub fn version_of(object: &Value) -> &str {
    text(object, "apiVersion").rsplit('/').next().unwrap_or_default()
}

/// Gives a stored object the form that its version has now.
pub fn settle(family: &Family, object: &mut Value) {
    if let Some(schema) = family.schema(version_of(object)) {
        schema::prune(&schema, object);
        schema::default(&schema, object);
    }
}

/// Drops from a converted object what its version does not know.
pub fn prune(family: &Family, object: &mut Value) {
    if let Some(schema) = family.schema(version_of(object)) {
        schema::prune(&schema, object);
    }
}

/// `apiVersion` of the version in which objects are stored.
pub fn storage_api_version(resource: &Resource) -> String {
    api_version(&resource.storage.group, &resource.storage.version)
}

/// A `ConversionReview` for objects, in the first version of it that both sides know.
pub fn review(webhook: &Value, uid: &str, wanted: &str, objects: &[Value]) -> Result<Value, BadConversion> {
    let versions = webhook["conversionReviewVersions"].as_array().into_iter().flatten();
    let known = versions.filter_map(Value::as_str).find(|v| matches!(*v, "v1" | "v1beta1"));
    let version = known.ok_or_else(|| bad("no supported conversion review versions"))?;
    Ok(json!({
        "kind": "ConversionReview",
        "apiVersion": format!("apiextensions.k8s.io/{version}"),
        "request": {"uid": uid, "desiredAPIVersion": wanted, "objects": objects},
    }))
}

/// The converted objects in the answer to `review`, each checked against its original.
pub fn converted(review: &Value, answer: &Value, originals: &[Value]) -> Result<Vec<Value>, BadConversion> {
    let failed = |why: String| bad(format!("conversion webhook for {} failed: {why}", gvk(&originals[0])));
    let response = &answer["response"];
    check_response(review, answer).map_err(failed)?;
    let objects = response["convertedObjects"].as_array().map(Vec::as_slice).unwrap_or_default();
    let kind = gvk(&originals[0]);
    if objects.len() != originals.len() {
        return Err(bad(format!(
            "conversion webhook for {kind} returned {} objects, expected {}",
            objects.len(),
            originals.len()
        )));
    }
    let wanted = text(review, "request.desiredAPIVersion");
    let mut out = Vec::with_capacity(objects.len());
    for (i, (original, object)) in originals.iter().zip(objects).enumerate() {
        check_object(original, object, wanted).map_err(|why| {
            bad(format!(
                "conversion webhook for {kind} returned invalid converted object at index {i}: {why}"
            ))
        })?;
        let restored = with_metadata_of(original, object.clone()).map_err(|why| {
            bad(format!(
                "conversion webhook for {kind} returned invalid metadata in object at index {i}: {why}"
            ))
        })?;
        out.push(restored);
    }
    Ok(out)
}

fn check_response(review: &Value, answer: &Value) -> Result<(), String> {
    let response = &answer["response"];
    if text(review, "apiVersion") == "apiextensions.k8s.io/v1" {
        let (version, kind) = (text(answer, "apiVersion"), text(answer, "kind"));
        if version != "apiextensions.k8s.io/v1" || kind != "ConversionReview" {
            return Err(format!(
                "expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview, got {version}, Kind={kind}"
            ));
        }
        let (expected, got) = (text(review, "request.uid"), text(response, "uid"));
        if response.is_object() && expected != got {
            return Err(format!("expected response.uid={expected:?}, got {got:?}"));
        }
    }
    if !response.is_object() {
        return Err("no response provided".into());
    }
    match (text(response, "result.status"), text(response, "result.message")) {
        ("Success", _) => Ok(()),
        (status, "") => Err(format!("response.result.status was '{status}', not 'Success'")),
        (_, message) => Err(message.to_owned()),
    }
}

/// What must not change.
fn check_object(original: &Value, object: &Value, wanted: &str) -> Result<(), String> {
    let version = text(object, "apiVersion");
    if version != wanted {
        return Err(format!("invalid groupVersion (expected {wanted}, received {version})"));
    }
    let (expected, kind) = (text(original, "kind"), text(object, "kind"));
    if kind != expected {
        return Err(format!("invalid kind (expected {expected}, received {kind})"));
    }
    for (field, word) in [("name", "name"), ("namespace", "namespace"), ("uid", "UID")] {
        let path = format!("metadata.{field}");
        let (before, after) = (text(original, &path), text(object, &path));
        if before != after {
            return Err(format!("must have the same {word}: {before} != {after}"));
        }
    }
    Ok(())
}

/// The original's metadata with the labels and annotations that the webhook made.
fn with_metadata_of(original: &Value, mut object: Value) -> Result<Value, String> {
    let answered = match &object["metadata"] {
        Value::Object(map) => map.clone(),
        Value::Null => return Err("missing metadata in converted object".into()),
        other => return Err(format!("invalid metadata of type {} in converted object", go_type(other))),
    };
    let mut metadata = original["metadata"].as_object().cloned().unwrap_or_default();
    for field in ["labels", "annotations"] {
        match answered.get(field) {
            None | Some(Value::Null) => {
                metadata.remove(field);
            }
            Some(Value::Object(map)) => {
                check_texts(field, map)?;
                metadata.insert(field.into(), map.clone().into());
            }
            Some(other) => {
                return Err(format!(
                    "invalid metadata.{field} of type {} in converted object",
                    go_type(other)
                ));
            }
        }
    }
    object["metadata"] = metadata.into();
    Ok(object)
}

fn check_texts(field: &str, map: &Map<String, Value>) -> Result<(), String> {
    match map.iter().find(|(_, value)| !value.is_string()) {
        None => Ok(()),
        Some((key, value)) => Err(format!(
            "metadata.{field}[{key}] must be a string, but is {} in converted object",
            go_type(value)
        )),
    }
}

/// `example.com/v1, Kind=Widget`
pub fn gvk(object: &Value) -> String {
    format!("{}, Kind={}", text(object, "apiVersion"), text(object, "kind"))
}
