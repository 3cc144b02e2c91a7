//! The `scale` subresource: an `autoscaling/v1` Scale read from and written into its parent.

use api::Status;
use api::codec::parse_body;
use api::pipeline::server_side_apply;
use api::scale::{applied_to_parent, read, write as write_scale};
use http::StatusCode;
use serde_json::Value;

use crate::call::Call;
use crate::failure::Failure;
use crate::pipeline::{Decoded, Stored, attempt};
use crate::reply::{self, Reply};

pub(crate) async fn scale(call: &Call) -> Result<Reply, Status> {
    if call.request.info.verb == "get" {
        let view = call.view().await?;
        let object = view.get(&call.key()).ok_or_else(|| call.not_found())?;
        let scale = read(&call.resource, &call.served(&object.value).await?)?;
        return Ok(reply::value(StatusCode::OK, call.accept.plain(), &scale, call.pretty()));
    }
    let is_patch = call.request.info.verb == "patch";
    let content_type = call.request.content_type();
    if is_patch && content_type == "application/apply-patch+yaml" {
        return apply(call).await;
    }
    let (body, body_type) = call.request.read_body().await?;
    let given = match content_type {
        _ if !is_patch => parse_body(&body, body_type)?,
        "application/json-patch+json"
        | "application/merge-patch+json"
        | "application/strategic-merge-patch+json" => Value::Null,
        _ => return Err(Status::unsupported_media_type(&["application/merge-patch+json"])),
    };
    let manager = call.manager();
    let write = call.write(&manager, Some("scale"))?;
    let (write, given, body, name) = (&write, &given, &body, call.name());
    let committed = attempt(&call.server, |view| async move {
        let old = Stored::read(&view, &write.key(name))?.ok_or_else(|| write.not_found(name))?;
        let old = old.served(write).await?;
        let current = write.resource.convert_stored(old.value.clone());
        let scale = match is_patch {
            true => patched(&read(write.resource, &current)?, content_type, body)?,
            false => given.clone(),
        };
        let version = scale["metadata"]["resourceVersion"].as_str().unwrap_or_default();
        if !version.is_empty() && version != old.object.revision.to_string() {
            return Err(Failure::Final(write.modified(name)));
        }
        let conditional = !is_patch && !version.is_empty();
        let next = write_scale(write.resource, &current, &scale)?;
        let decoded = Decoded::new(write.resource, next, Vec::new());
        let mut valid = decoded.admit(write, &view, Some(&old))?.validate(write, &view, Some(&old))?;
        valid.yield_across_versions(write, &old).await?;
        valid.update(write, &view, &old, conditional).await
    })
    .await?;
    let scale = read(&call.resource, &call.served(&committed.bytes).await?)?;
    Ok(reply::value(StatusCode::OK, call.accept.plain(), &scale, call.pretty()))
}

/// Server-side apply of a Scale: an apply of the replicas to the parent.
async fn apply(call: &Call) -> Result<Reply, Status> {
    let bytes = call.request.body.read().await?;
    let query = &call.request.query;
    if query.get("fieldManager").is_empty() {
        return Err(super::patch::invalid_options(
            "fieldManager: Required value: is required for apply patch",
        ));
    }
    let applied = parse_body(&bytes, "application/apply-patch+yaml")?;
    let version = applied["apiVersion"].as_str().unwrap_or_default();
    if version != SCALE_VERSION {
        return Err(Status::bad_request(format!(
            "Incorrect version specified in apply patch. Specified patch version: {version}, expected: {SCALE_VERSION}"
        )));
    }
    let manager = call.manager();
    let write = call.write(&manager, Some("scale"))?;
    let (write, applied, force) = (&write, &applied, query.flag("force"));
    let committed = attempt(&call.server, |view| async move {
        let old =
            Stored::read(&view, &write.key(call.name()))?.ok_or_else(|| write.not_found(call.name()))?;
        let old = old.served(write).await?;
        let current = write.resource.convert_stored(old.value.clone());
        let patch = applied_to_parent(write.resource, &current, applied);
        let now = jiff::Timestamp::now();
        let merged = server_side_apply(
            write.resource,
            Some("scale"),
            Some(&current),
            patch,
            write.manager,
            force,
            now,
        )
        .map_err(|status| as_of_scale(status, &write.resource.api_version()))?;
        let decoded = Decoded::applied(write.resource, merged);
        let mut valid = decoded.admit(write, &view, Some(&old))?.validate(write, &view, Some(&old))?;
        if let Some(conflicts) = valid.yield_across_versions(write, &old).await?
            && !force
        {
            return Err(Failure::Final(as_of_scale(conflicts, &write.resource.api_version())));
        }
        valid.update(write, &view, &old, false).await
    })
    .await?;
    let scale = read(&call.resource, &call.served(&committed.bytes).await?)?;
    Ok(reply::value(StatusCode::OK, call.accept.plain(), &scale, call.pretty()))
}

const SCALE_VERSION: &str = "autoscaling/v1";

/// Managers of the replicas own them in the Scale's own version, as far as conflicts tell.
fn as_of_scale(mut status: Status, parent: &str) -> Status {
    let (from, to) = (format!(" using {parent}"), format!(" using {SCALE_VERSION}"));
    status.message = status.message.replace(&from, &to);
    if let Some(details) = &mut status.details {
        for cause in &mut details.causes {
            cause.message = cause.message.replace(&from, &to);
        }
    }
    status
}

/// A Scale has no lists: a strategic patch of it is a merge patch.
fn patched(scale: &Value, content_type: &str, patch: &[u8]) -> Result<Value, Status> {
    if content_type == "application/json-patch+json" {
        return api::patch::json(scale, patch).map_err(|e| Status::bad_request(e.to_string()));
    }
    let patch = serde_json::from_slice(patch).map_err(|e| Status::bad_request(e.to_string()))?;
    Ok(api::patch::merge(scale, &patch))
}
