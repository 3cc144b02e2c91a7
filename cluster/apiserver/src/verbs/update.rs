//! `update`: a PUT of the whole object, or of the part a subresource owns.

use api::Status;
use api::pipeline::decode;
use serde_json::Value;
use store::View;

use crate::call::Call;
use crate::failure::Failure;
use crate::pipeline::{Committed, Decoded, Stored, Write, attempt};
use crate::reply::Reply;

pub(crate) async fn update(call: &Call, subresource: Option<&str>) -> Result<Reply, Status> {
    let (body, content_type) = call.request.read_body().await?;
    let decoded = decode(&body, content_type, &call.resource, call.field_validation()?)?;
    let mut object = decoded.object;
    check_identity(call, &mut object)?;
    let manager = call.manager();
    let write = call.write(&manager, subresource)?;
    let (write, object, name) = (&write, &object, call.name());
    let mut committed = attempt(&call.server, |view| async move {
        match Stored::read(&view, &write.key(name))? {
            Some(old) => replace(write, &view, &old.served(write).await?, object).await,
            None if write.resource.create_on_update && subresource.is_none() => {
                create_absent(write, &view, object).await
            }
            None => Err(Failure::Final(write.not_found(name))),
        }
    })
    .await?;
    committed.warnings.splice(0..0, decoded.warnings);
    call.committed_reply(committed).await
}

/// The name and namespace of the body are those of the path; a missing namespace is filled in.
fn check_identity(call: &Call, object: &mut Value) -> Result<(), Status> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    if name != call.name() {
        let message = match name {
            "" => "name must be provided".to_owned(),
            name => format!(
                "the name of the object ({name}) does not match the name on the URL ({})",
                call.name()
            ),
        };
        return Err(Status::bad_request(message));
    }
    if call.resource.namespaced {
        match object["metadata"]["namespace"].as_str().unwrap_or_default() {
            "" => object["metadata"]["namespace"] = call.namespace().into(),
            ns if ns == call.namespace() => {}
            ns => {
                return Err(Status::bad_request(format!(
                    "the namespace of the object ({ns}) does not match the namespace on the URL ({})",
                    call.namespace()
                )));
            }
        }
    }
    Ok(())
}

async fn replace(write: &Write<'_>, view: &View, old: &Stored, object: &Value) -> Result<Committed, Failure> {
    let conditional = check_preconditions(write, old, object)?;
    let decoded = Decoded::new(write.resource, object.clone(), Vec::new());
    let mut valid = decoded.admit(write, view, Some(old))?.validate(write, view, Some(old))?;
    valid.yield_across_versions(write, old).await?;
    valid.update(write, view, old, conditional).await
}

/// The uid and the version that the client's object names must be the stored ones; true when it
/// names a version.
fn check_preconditions(write: &Write<'_>, old: &Stored, object: &Value) -> Result<bool, Status> {
    let name = old.value["metadata"]["name"].as_str().unwrap_or_default();
    let meta = &object["metadata"];
    let current = old.value["metadata"]["uid"].as_str().unwrap_or_default();
    if let Some(uid) = meta["uid"].as_str().filter(|uid| !uid.is_empty() && *uid != current) {
        return Err(Status::conflict(
            &write.resource.group,
            &write.resource.plural,
            name,
            format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {current}"),
        ));
    }
    match meta["resourceVersion"].as_str().unwrap_or_default() {
        "" | "0" if write.resource.unconditional_update => Ok(false),
        "" | "0" => {
            let error =
                api::FieldError::invalid("metadata.resourceVersion", 0, "must be specified for an update");
            Err(Status::invalid(&write.resource.group, &write.resource.kind, name, vec![error]))
        }
        version if version == old.object.revision.to_string() => Ok(true),
        _ => Err(write.modified(name)),
    }
}

async fn create_absent(write: &Write<'_>, view: &View, object: &Value) -> Result<Committed, Failure> {
    let decoded = Decoded::new(write.resource, object.clone(), Vec::new());
    let valid = decoded.admit(write, view, None)?.validate(write, view, None)?;
    valid.create(write, false).await
}
