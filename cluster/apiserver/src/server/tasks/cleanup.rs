//! Deleting a definition deletes its objects: the finalizer that keeps the definition goes when the
//! last of them is gone. Done by the replica that leads the store.

use std::sync::Arc;

use api::Status;
use api::delete::DeleteOptions;
use futures::StreamExt;
use serde_json::Value;
use store::{WatchItem, WatchRequest};

use super::{Backoff, write_of};
use crate::admission::CLEANUP;
use crate::bootstrap::server_user;
use crate::pipeline::{Decoded, Stored, attempt};
use crate::server::{DEFINITIONS, Server};
use crate::verbs::delete_one;

pub(super) async fn task(server: Arc<Server>) {
    let mut backoff = Backoff::new();
    loop {
        let Ok(view) = server.local_view().await else {
            backoff.pause().await;
            continue;
        };
        let request = WatchRequest { prefix: DEFINITIONS.to_owned(), from: view.revision(), field: None };
        let Ok(mut events) = server.store.watch(request) else { continue };
        sweep(&server).await;
        // Progress comes about once a second: objects with finalizers of their own are looked at again.
        while let Some(Ok(item)) = events.next().await {
            if matches!(item, WatchItem::Event(_)) || any_terminating(&server).await {
                sweep(&server).await;
            }
        }
        backoff.pause().await;
    }
}

async fn terminating(server: &Arc<Server>) -> Vec<Stored> {
    let Ok(view) = server.local_view().await else { return Vec::new() };
    let all = view.range(DEFINITIONS, None).filter_map(|o| Stored::parse(o).ok());
    let leaving = |d: &Stored| {
        let finalizers = d.value["metadata"]["finalizers"].as_array();
        d.value["metadata"]["deletionTimestamp"].is_string()
            && finalizers.is_some_and(|f| f.iter().any(|f| f == CLEANUP))
    };
    all.filter(leaving).collect()
}

async fn any_terminating(server: &Arc<Server>) -> bool {
    !terminating(server).await.is_empty()
}

async fn sweep(server: &Arc<Server>) {
    if !server.store.leadership().borrow().is_self {
        return;
    }
    if let Err(status) = reconsider_names(server).await {
        tracing::warn!("names of definitions: {status}");
    }
    for definition in terminating(server).await {
        let name = definition.value["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        if let Err(status) = clean(server, &definition.value, &name).await {
            tracing::warn!(definition = name, "cleaning up: {status}");
        }
    }
}

/// Definitions whose names were refused may have them when others have given them up.
async fn reconsider_names(server: &Arc<Server>) -> Result<(), Status> {
    let view = server.local_view().await?;
    for object in view.range(DEFINITIONS, None) {
        let definition = Stored::parse(object)?.value;
        let mut conditions = definition["status"]["conditions"].as_array().into_iter().flatten();
        if !conditions.any(|c| c["type"] == "NamesAccepted" && c["status"] == "False") {
            continue;
        }
        let name = definition["metadata"]["name"].as_str().unwrap_or_default();
        change(server, name, |_| {}).await?;
    }
    Ok(())
}

/// Writes a definition again with a change; its conditions are set by admission.
async fn change(server: &Arc<Server>, name: &str, edit: impl Fn(&mut Value)) -> Result<(), Status> {
    let serving = server.serving.get();
    let Some(kind) = serving.registry.get("apiextensions.k8s.io", "v1", "customresourcedefinitions") else {
        return Ok(());
    };
    let user = server_user();
    let (write, edit) = (&write_of(server, kind, "", &user), &edit);
    attempt(server, |view| async move {
        let Some(old) = Stored::read(&view, &write.key(name))? else { return Ok(()) };
        let mut next = old.value.clone();
        edit(&mut next);
        let decoded = Decoded::new(kind, next, Vec::new());
        let valid = decoded.admit(write, &view, Some(&old))?.validate(write, &view, Some(&old))?;
        valid.update(write, &view, &old, false).await.map(|_| ())
    })
    .await
}

async fn clean(server: &Arc<Server>, definition: &Value, name: &str) -> Result<(), Status> {
    let group = definition["spec"]["group"].as_str().unwrap_or_default();
    let plural = definition["spec"]["names"]["plural"].as_str().unwrap_or_default();
    let user = server_user();
    let serving = server.serving.get();
    let view = server.fresh_view().await?;
    let prefix = format!("/{group}/{plural}/");
    if let Some(resource) = serving.registry.preferred(group, plural) {
        let storage = serving.registry.storage_of(resource).unwrap_or(resource);
        for object in view.range(&prefix, None) {
            let rest = object.key.strip_prefix(&prefix).unwrap_or_default();
            let (namespace, object_name) =
                if storage.namespaced { rest.split_once('/').unwrap_or(("", rest)) } else { ("", rest) };
            let write = write_of(server, storage, namespace, &user);
            match delete_one(&write, object_name, &DeleteOptions::default()).await {
                Err(status) if status.code != 404 => return Err(status),
                _ => {}
            }
        }
    }
    if server.fresh_view().await?.count(&prefix) > 0 {
        return Ok(());
    }
    change(server, name, |definition| {
        if let Some(list) = definition["metadata"]["finalizers"].as_array_mut() {
            list.retain(|f| f != CLEANUP);
        }
    })
    .await
}
