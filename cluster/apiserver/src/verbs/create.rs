//! `create`.

use std::sync::atomic::Ordering;

use api::Status;
use api::pipeline::decode;
use serde_json::Value;

use crate::call::Call;
use crate::pipeline::{Committed, Decoded, Write, attempt};
use crate::reply::Reply;

/// How often another name is generated when one is taken (Kubernetes' RetryGenerateName).
const MOST_NAMES: usize = 8;

pub(crate) async fn create(call: &Call) -> Result<Reply, Status> {
    let (body, content_type) = call.request.read_body().await?;
    let decoded = decode(&body, content_type, &call.resource, call.field_validation()?)?;
    let manager = call.manager();
    let write = call.write(&manager, None)?;
    let mut committed = create_value(&write, decoded.object).await?;
    committed.warnings.splice(0..0, decoded.warnings);
    call.committed_reply(committed).await
}

/// Creates an object that is decoded.
pub(crate) async fn create_value(write: &Write<'_>, object: Value) -> Result<Committed, Status> {
    let meta = &object["metadata"];
    let generated = meta["name"].as_str().unwrap_or_default().is_empty()
        && meta["generateName"].as_str().is_some_and(|n| !n.is_empty());
    let mut last = None;
    for _ in 0..if generated { MOST_NAMES } else { 1 } {
        match once(write, &object).await {
            Err(status) if generated && status.reason == "AlreadyExists" => last = Some(status),
            other => return other,
        }
    }
    let name = last.and_then(|s| s.details).map(|d| d.name).unwrap_or_default();
    Err(Status::generate_name_conflict(&write.resource.group, &write.resource.plural, &name))
}

async fn once(write: &Write<'_>, object: &Value) -> Result<Committed, Status> {
    refuse_terminating(write)?;
    attempt(write.server, |view| async move {
        let decoded = Decoded::new(write.resource, object.clone(), Vec::new());
        let valid = decoded.admit(write, &view, None)?.validate(write, &view, None)?;
        let exists = view.get(&write.key(valid.name())).is_some();
        valid.create(write, exists).await
    })
    .await
}

/// Nothing new of a definition that is going away.
pub(super) fn refuse_terminating(write: &Write<'_>) -> Result<(), Status> {
    let custom = write.resource.custom.as_ref();
    if !custom.is_some_and(|c| c.family.terminating.load(Ordering::Relaxed)) {
        return Ok(());
    }
    let mut status = Status::method_not_allowed(&write.resource.group, &write.resource.plural, "create");
    status.message = "create not allowed while custom resource definition is terminating".into();
    Err(status)
}
