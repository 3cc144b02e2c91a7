//! `patch`: JSON, merge and strategic patches, and server-side apply.

use api::Status;
use api::codec::{decode_applied, decode_patched, duplicates_of_patch};
use api::pipeline::{FieldValidation, PatchKind, apply_patch, server_side_apply};
use bytes::Bytes;
use serde_json::Value;
use store::View;

use crate::call::Call;
use crate::failure::Failure;
use crate::pipeline::{Committed, Decoded, Stored, Write, attempt};
use crate::reply::Reply;

const ACCEPTED: [&str; 4] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

/// A body, understood as far as it can be without the object.
enum Patch {
    Diff(Diff),
    Apply { object: Value, force: bool, warnings: Vec<String> },
}

/// A patch that is applied to whatever is there.
struct Diff {
    kind: PatchKind,
    bytes: Bytes,
    validation: FieldValidation,
    /// Fields that stand twice in it, in words.
    duplicates: Vec<String>,
}

pub(crate) async fn patch(call: &Call, subresource: Option<&str>) -> Result<Reply, Status> {
    let patch = read(call).await?;
    let manager = call.manager();
    let write = call.write(&manager, subresource)?;
    let (write, patch, name) = (&write, &patch, call.name());
    let committed = attempt(&call.server, |view| async move {
        let old = match Stored::read(&view, &write.key(name))? {
            Some(old) => Some(old.served(write).await?),
            None => None,
        };
        match patch {
            Patch::Diff(patch) => {
                let old = old.ok_or_else(|| write.not_found(name))?;
                diff(write, &view, &old, patch).await
            }
            Patch::Apply { object, force, warnings } => {
                apply(write, &view, old, object, *force, warnings).await
            }
        }
    })
    .await?;
    call.committed_reply(committed).await
}

async fn read(call: &Call) -> Result<Patch, Status> {
    let kind = match call.request.content_type() {
        "application/json-patch+json" => Some(PatchKind::Json),
        "application/merge-patch+json" => Some(PatchKind::Merge),
        "application/strategic-merge-patch+json" if call.resource.custom.is_none() => {
            Some(PatchKind::Strategic)
        }
        "application/apply-patch+yaml" => None,
        _ if call.resource.custom.is_some() => {
            return Err(Status::unsupported_media_type(&[ACCEPTED[0], ACCEPTED[1], ACCEPTED[3]]));
        }
        _ => return Err(Status::unsupported_media_type(&ACCEPTED)),
    };
    let bytes = call.request.body.read().await?;
    let query = &call.request.query;
    let invalid = invalid_options;
    if let Some(kind) = kind {
        if query.flag("force") {
            return Err(invalid("force: Forbidden: may not be specified for non-apply patch"));
        }
        let validation = call.field_validation()?;
        let duplicates = match validation {
            FieldValidation::Ignore => Vec::new(),
            _ => duplicates_of_patch(kind, &bytes)?,
        };
        return Ok(Patch::Diff(Diff { kind, bytes, validation, duplicates }));
    }
    if query.get("fieldManager").is_empty() {
        return Err(invalid("fieldManager: Required value: is required for apply patch"));
    }
    let decoded = decode_applied(&bytes, &call.resource, call.field_validation()?)?;
    let mut object = decoded.object;
    identify(call, &mut object)?;
    Ok(Patch::Apply { object, force: query.flag("force"), warnings: decoded.warnings })
}

/// The refusal of a patch's options.
pub(super) fn invalid_options(message: &str) -> Status {
    Status::failure(422, "Invalid", format!("PatchOptions.meta.k8s.io \"\" is invalid: {message}"))
}

/// An applied object is the one of the path.
fn identify(call: &Call, object: &mut Value) -> Result<(), Status> {
    let meta = object["metadata"].take();
    let mut meta = if meta.is_object() { meta } else { serde_json::json!({}) };
    match meta["name"].as_str().unwrap_or_default() {
        "" => meta["name"] = call.name().into(),
        name if name == call.name() => {}
        name => {
            return Err(Status::bad_request(format!(
                "the name of the object ({name}) does not match the name on the URL ({})",
                call.name()
            )));
        }
    }
    if call.resource.namespaced && meta["namespace"].as_str().unwrap_or_default().is_empty() {
        meta["namespace"] = call.namespace().into();
    }
    object["metadata"] = meta;
    Ok(())
}

async fn diff(write: &Write<'_>, view: &View, old: &Stored, patch: &Diff) -> Result<Committed, Failure> {
    let current = write.resource.convert_stored(old.value.clone());
    let patched = apply_patch(write.resource, patch.kind, &current, &patch.bytes)?;
    let name = old.value["metadata"]["name"].as_str().unwrap_or_default();
    // A version in the patch is a precondition; the one that was there all along is none.
    match patched["metadata"]["resourceVersion"].as_str().unwrap_or_default() {
        "" => {}
        version if version == old.object.revision.to_string() => {}
        _ => return Err(Failure::Final(write.modified(name))),
    }
    let decoded = decode_patched(
        patched,
        write.resource,
        (patch.kind, &patch.bytes),
        patch.duplicates.clone(),
        patch.validation,
    )?;
    let decoded = Decoded::new(write.resource, decoded.object, decoded.warnings);
    let mut valid = decoded.admit(write, view, Some(old))?.validate(write, view, Some(old))?;
    valid.yield_across_versions(write, old).await?;
    valid.update(write, view, old, false).await
}

async fn apply(
    write: &Write<'_>,
    view: &View,
    old: Option<Stored>,
    object: &Value,
    force: bool,
    warnings: &[String],
) -> Result<Committed, Failure> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    if old.is_none() && write.subresource.is_some() {
        return Err(Failure::Final(write.not_found(name)));
    }
    let current = old.as_ref().map(|o| write.resource.convert_stored(o.value.clone()));
    check_apply_version(write, old.as_ref(), object, name)?;
    let now = jiff::Timestamp::now();
    let merged = server_side_apply(
        write.resource,
        write.subresource,
        current.as_ref(),
        object.clone(),
        write.manager,
        force,
        now,
    )?;
    let decoded = Decoded::applied(write.resource, merged);
    let mut valid = decoded.admit(write, view, old.as_ref())?.validate(write, view, old.as_ref())?;
    if let Some(old) = &old
        && let Some(conflicts) = valid.yield_across_versions(write, old).await?
        && !force
    {
        return Err(Failure::Final(conflicts));
    }
    if old.is_none() {
        super::create::refuse_terminating(write)?;
    }
    let mut committed = match &old {
        None => match valid.create(write, false).await {
            // Somebody was faster: merge with what he created.
            Err(Failure::Final(status)) if status.reason == "AlreadyExists" => {
                return Err(Failure::Stale(status));
            }
            other => other?,
        },
        Some(old) => valid.update(write, view, old, false).await?,
    };
    committed.warnings.splice(0..0, warnings.iter().cloned());
    Ok(committed)
}

/// A version in an applied object is a precondition.
fn check_apply_version(
    write: &Write<'_>,
    old: Option<&Stored>,
    object: &Value,
    name: &str,
) -> Result<(), Status> {
    let version = object["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    match old {
        _ if version.is_empty() => Ok(()),
        Some(old) if version == old.object.revision.to_string() => Ok(()),
        _ => Err(write.modified(name)),
    }
}
