//! `delete` and `deletecollection`.

use api::Status;
use api::codec::parse_body;
use api::delete::{DeleteOptions, Deletion, before_delete};
use futures::{StreamExt, TryStreamExt, stream};
use http::StatusCode;
use serde_json::{Value, json};
use store::View;

use super::page::limit_of;
use super::select::Selection;
use crate::admission;
use crate::call::Call;
use crate::failure::Failure;
use crate::pipeline::{Stored, Write, attempt, overwrite, remove};
use crate::reply::{self, Reply};

/// Objects of a collection that are deleted at one time.
const AT_ONCE: usize = 16;

/// Kinds whose deletion answers the object itself and not a Status (Kubernetes'
/// ReturnDeletedObject): (group, plural).
const ANSWERED_WITH_OBJECT: [(&str, &str); 17] = [
    ("", "namespaces"),
    ("", "pods"),
    ("", "services"),
    ("", "serviceaccounts"),
    ("", "persistentvolumes"),
    ("", "persistentvolumeclaims"),
    ("", "podtemplates"),
    ("", "resourcequotas"),
    ("resource.k8s.io", "deviceclasses"),
    ("resource.k8s.io", "resourceclaims"),
    ("resource.k8s.io", "resourceclaimtemplates"),
    ("resource.k8s.io", "resourceslices"),
    ("storage.k8s.io", "csidrivers"),
    ("storage.k8s.io", "csinodes"),
    ("storage.k8s.io", "storageclasses"),
    ("storage.k8s.io", "volumeattachments"),
    ("storage.k8s.io", "volumeattributesclasses"),
];

/// What became of an object that was to be deleted.
pub(crate) struct Deleted {
    /// Its last bytes, in the stored version.
    pub object: bytes::Bytes,
    /// It is gone; otherwise something still keeps it.
    pub gone: bool,
}

pub(crate) async fn delete(call: &Call) -> Result<Reply, Status> {
    let options = options(call).await?;
    let manager = call.manager();
    let mut write = call.write(&manager, None)?;
    write.dry_run |= options.dry_run;
    let deleted = delete_one(&write, call.name(), &options).await?;
    let key = (call.resource.group.as_str(), call.resource.plural.as_str());
    if !deleted.gone || ANSWERED_WITH_OBJECT.contains(&key) {
        let waits = !deleted.gone && options.orphan_dependents == Some(false);
        let code = if waits { StatusCode::ACCEPTED } else { StatusCode::OK };
        return call.object_reply(code, deleted.object, 0).await;
    }
    let object: Value = serde_json::from_slice(&deleted.object).unwrap_or_default();
    let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
    let status = Status::success(key.0, key.1, call.name(), uid);
    Ok(reply::value(StatusCode::OK, call.accept.plain(), &status.to_json(), call.pretty()))
}

/// Deletes one object, or begins to.
pub(crate) async fn delete_one(
    write: &Write<'_>,
    name: &str,
    options: &DeleteOptions,
) -> Result<Deleted, Status> {
    attempt(write.server, |view| async move {
        let old = Stored::read(&view, &write.key(name))?.ok_or_else(|| write.not_found(name))?;
        once(write, &view, &old, options).await
    })
    .await
}

async fn once(
    write: &Write<'_>,
    view: &View,
    old: &Stored,
    options: &DeleteOptions,
) -> Result<Deleted, Failure> {
    admission::check_delete(write, view, &old.value)?;
    match before_delete(write.storage, &old.value, options, &write.ctx())? {
        Deletion::Remove => {
            let object = remove(write, view, old).await?;
            Ok(Deleted { object: object.value.clone(), gone: true })
        }
        Deletion::Update(next) => Ok(Deleted { object: overwrite(write, old, &next).await?, gone: false }),
        Deletion::Pending => Ok(Deleted { object: old.object.value.clone(), gone: false }),
    }
}

pub(crate) async fn delete_collection(call: &Call) -> Result<Reply, Status> {
    let options = options(call).await?;
    let selection = Selection::of(call)?;
    let view = call.server.fresh_view().await?;
    let manager = call.manager();
    let objects: Vec<_> = selection.objects(&view, None).collect();
    let mut objects = selection.only_served(call, objects).await?;
    if let Some(limit) = limit_of(call)? {
        objects.truncate(limit);
    }
    let names: Vec<(String, String)> = objects
        .iter()
        .filter_map(|o| {
            let rest = o.key.strip_prefix(&call.storage.key_prefix())?.to_owned();
            Some(match rest.split_once('/') {
                Some((namespace, name)) if call.storage.namespaced => (namespace.to_owned(), name.to_owned()),
                _ => (String::new(), rest),
            })
        })
        .collect();
    let (manager, options) = (&manager, &options);
    let objects: Vec<Option<Value>> = stream::iter(names)
        .map(|(namespace, name)| async move {
            let mut write = call.write(manager, None)?;
            write.namespace = &namespace;
            write.dry_run |= options.dry_run;
            match delete_one(&write, &name, options).await {
                Ok(deleted) => call.served(&deleted.object).await.map(Some),
                // Deleted by somebody else meanwhile.
                Err(status) if status.code == 404 => Ok(None),
                Err(status) => Err(status),
            }
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let items: Vec<Value> = objects.into_iter().flatten().collect();
    call.list_reply(json!({"resourceVersion": view.revision().to_string()}), items)
}

/// DeleteOptions of the body, or of the query when there is no body.
async fn options(call: &Call) -> Result<DeleteOptions, Status> {
    let (body, content_type) = call.request.read_body().await?;
    let query = &call.request.query;
    let mut options = if body.is_empty() {
        let mut value = json!({});
        if let Some(seconds) = query.number("gracePeriodSeconds")? {
            value["gracePeriodSeconds"] = seconds.into();
        }
        if !query.get("propagationPolicy").is_empty() {
            value["propagationPolicy"] = query.get("propagationPolicy").into();
        }
        if let Some(orphan) = query.optional_flag("orphanDependents") {
            value["orphanDependents"] = orphan.into();
        }
        DeleteOptions::parse(&value)?
    } else {
        let content_type = if content_type.is_empty() { "application/json" } else { content_type };
        DeleteOptions::parse(&parse_body(&body, content_type)?)?
    };
    options.dry_run |= query.dry_run()?;
    Ok(options)
}
