//! Stored objects in the version a client asked for, and its objects in the version that is stored.
//! Built-in kinds convert in memory; custom resources may ask their conversion webhook.

use std::sync::Arc;
use std::time::Duration;

use api::resource::Family;
use api::{Resource, Status, conversion};
use serde_json::Value;
use store::Object;

use crate::server::Server;
use crate::webhook;

/// A conversion webhook must answer within this time.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(30);

/// A stored object as `resource` serves it.
pub(crate) async fn served(
    server: &Arc<Server>,
    resource: &Resource,
    stored: Value,
) -> Result<Value, Status> {
    let mut all = served_all(server, resource, vec![stored]).await?;
    all.pop().ok_or_else(|| Status::internal("a conversion lost its object"))
}

/// Stored objects as `resource` serves them, in the same order; a webhook is called once.
pub(crate) async fn served_all(
    server: &Arc<Server>,
    resource: &Resource,
    mut stored: Vec<Value>,
) -> Result<Vec<Value>, Status> {
    let Some(custom) = &resource.custom else {
        return Ok(stored.into_iter().map(|object| resource.convert_stored(object)).collect());
    };
    for object in &mut stored {
        conversion::settle(&custom.family, object);
    }
    convert(server, &custom.family, &resource.api_version(), stored).await
}

/// Parses and converts what the store holds.
pub(crate) async fn served_objects(
    server: &Arc<Server>,
    resource: &Resource,
    objects: &[Arc<Object>],
) -> Result<Vec<Value>, Status> {
    let parse = |object: &Arc<Object>| {
        serde_json::from_slice(&object.value)
            .map_err(|e| Status::internal(format!("the stored object {} does not parse: {e}", object.key)))
    };
    let values: Vec<Value> = objects.iter().map(parse).collect::<Result<_, _>>()?;
    served_all(server, resource, values).await
}

/// An object of a custom resource in the version that is stored; others are there already.
pub(crate) async fn storable(
    server: &Arc<Server>,
    resource: &Resource,
    object: &Value,
) -> Result<Option<Value>, Status> {
    let Some(custom) = &resource.custom else { return Ok(None) };
    let wanted = conversion::storage_api_version(resource);
    if object["apiVersion"] == wanted.as_str() {
        return Ok(None);
    }
    let mut all = convert(server, &custom.family, &wanted, vec![object.clone()]).await?;
    Ok(all.pop())
}

/// Objects of a custom resource, which are in one of its versions, in another.
pub(crate) async fn convert(
    server: &Arc<Server>,
    family: &Family,
    wanted: &str,
    mut objects: Vec<Value>,
) -> Result<Vec<Value>, Status> {
    let others: Vec<usize> = (0..objects.len()).filter(|i| objects[*i]["apiVersion"] != wanted).collect();
    if others.is_empty() {
        return Ok(objects);
    }
    match &family.webhook {
        None => {
            for i in &others {
                objects[*i]["apiVersion"] = wanted.into();
            }
        }
        Some(config) => {
            let originals: Vec<Value> = others.iter().map(|i| objects[*i].clone()).collect();
            let converted = ask(server, config, wanted, &originals).await?;
            for (i, object) in others.iter().zip(converted) {
                objects[*i] = object;
            }
        }
    }
    for i in others {
        conversion::prune(family, &mut objects[i]);
    }
    Ok(objects)
}

async fn ask(
    server: &Arc<Server>,
    config: &Value,
    wanted: &str,
    originals: &[Value],
) -> Result<Vec<Value>, Status> {
    let refused = |why: String| Status::failure(500, "", why);
    let uid = uuid::Uuid::new_v4().to_string();
    let review = conversion::review(config, &uid, wanted, originals).map_err(|e| refused(e.to_string()))?;
    let answer = webhook::call(server, &config["clientConfig"], &review, WEBHOOK_TIMEOUT).await;
    let answer = answer.map_err(|error| {
        let kind = conversion::gvk(&originals[0]);
        refused(format!("conversion webhook for {kind} failed: {error}"))
    })?;
    conversion::converted(&review, &answer, originals).map_err(|e| refused(e.to_string()))
}
