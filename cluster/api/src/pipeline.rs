//! The stages of a request, in the order the API server calls them. All pure.
//!
//! The stages after `decode` take the object in its stored version: where `resource.converts()`,
//! the server converts first ([`Resource::convert_to_stored`]) and passes the storage resource
//! ([`crate::Registry::storage_of`]).

use serde_json::Value;

pub use crate::codec::{Decoded, Encoded, FieldValidation, PatchKind, decode, encode};
use crate::managed::{self, ApplyError, Writer};
use crate::meta;
use crate::patch::{self, PatchError};
use crate::resource::Resource;
use crate::schema;
use crate::status::{Cause, Status};
use crate::value::{copy, get, has, remove, same, set_default};

/// Who makes the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub uid: String,
    pub groups: Vec<String>,
    pub extra: Vec<(String, Vec<String>)>,
}

/// What a stage may not find out itself.
#[derive(Clone, Debug)]
pub struct Ctx {
    pub now: jiff::Timestamp,
    /// A fresh UUID, used when an object is created.
    pub uid: String,
    /// Five characters of Kubernetes' alphabet, used for `generateName`.
    pub name_suffix: String,
    /// The namespace of the request path.
    pub namespace: Option<String>,
    pub user: User,
    pub dry_run: bool,
}

/// Text of a `Warning: 299` header.
pub type Warning = String;

/// Fills in the defaults of the kind.
pub fn default(resource: &Resource, object: &mut Value) {
    if resource.custom.is_some() {
        schema::default(&resource.schema(), object);
        resource.strategy.default(resource, object);
    } else {
        // What is decided comes before what is only always written.
        resource.strategy.default(resource, object);
        schema::default(&resource.schema(), object);
    }
}

/// Before a create: checks the namespace against the request, fills in server-side metadata
/// (name from generateName, uid, creationTimestamp, generation), drops what clients may not set.
pub fn prepare_create(resource: &Resource, object: &mut Value, ctx: &Ctx) -> Result<(), Status> {
    meta::match_namespace(resource, object, ctx)?;
    if !resource.is_stored() {
        return Ok(());
    }
    meta::fill_new(object, ctx);
    if resource.has_status && !resource.status_on_create {
        remove(object, "status");
        if resource.custom.is_none() {
            set_default(object, "status", serde_json::json!({}));
        }
    }
    if resource.generation {
        meta::set_generation(object, 1);
    }
    resource.strategy.prepare_create(resource, object, ctx);
    Ok(())
}

/// Before an update: keeps immutable metadata, the parts owned by other subresources, and raises
/// the generation when the spec changed.
pub fn prepare_update(
    resource: &Resource,
    subresource: Option<&str>,
    new: &mut Value,
    old: &Value,
    ctx: &Ctx,
) -> Result<(), Status> {
    meta::match_namespace(resource, new, ctx)?;
    meta::keep_on_update(resource, new, old)?;
    match subresource {
        None | Some("scale") => {
            if resource.has_status {
                copy(old, new, "status");
            }
            resource.strategy.prepare_update(resource, new, old, ctx);
        }
        Some("status") => {
            keep_for_status(resource, new, old);
            resource.strategy.prepare_subresource(resource, "status", new, old, ctx);
        }
        Some(other) => resource.strategy.prepare_subresource(resource, other, new, old, ctx),
    }
    if resource.generation && subresource != Some("status") && spec_changed(new, old) {
        meta::raise_generation(new, old);
    }
    Ok(())
}

/// What a status update keeps: everything but the status; metadata as the kind's facts say.
fn keep_for_status(resource: &Resource, new: &mut Value, old: &Value) {
    use crate::resource::StatusMetadata;
    let managed = get(new, "metadata.managedFields").clone();
    let status = get(new, "status").clone();
    let metadata = get(new, "metadata").clone();
    *new = old.clone();
    if status.is_null() {
        remove(new, "status");
    } else {
        new["status"] = status;
    }
    match resource.status_metadata {
        StatusMetadata::Kept => {
            match managed.is_null() {
                true => remove(new, "metadata.managedFields"),
                false => {
                    new["metadata"].as_object_mut().and_then(|m| m.insert("managedFields".into(), managed))
                }
            };
        }
        StatusMetadata::Editable => new["metadata"] = metadata,
    }
}

/// True when anything but metadata and status differs.
fn spec_changed(new: &Value, old: &Value) -> bool {
    let counted = |key: &&String| !matches!(key.as_str(), "metadata" | "status" | "apiVersion" | "kind");
    let keys = |object: &Value| -> Vec<String> {
        let keys = object.as_object().into_iter().flat_map(|m| m.keys());
        keys.filter(counted).cloned().collect()
    };
    let differs = |key: &String| !same(&new[key.as_str()], &old[key.as_str()]);
    keys(new).iter().any(differs) || keys(old).iter().any(differs)
}

/// Validates a new object.
pub fn validate_create(resource: &Resource, object: &Value) -> Result<Vec<Warning>, Status> {
    let mut errors = Vec::new();
    if resource.is_stored() {
        errors.extend(meta::validate(resource, object));
    }
    if resource.custom.is_some() {
        errors.extend(schema::validate(&resource.schema(), object, None));
    }
    errors.extend(resource.strategy.validate(resource, object));
    errors.extend(resource.strategy.validate_create(resource, object));
    refuse(resource, object, errors)?;
    Ok(resource.strategy.warnings(resource, object, None))
}

/// Validates a change.
pub fn validate_update(
    resource: &Resource,
    subresource: Option<&str>,
    new: &Value,
    old: &Value,
) -> Result<Vec<Warning>, Status> {
    let strategy = resource.strategy;
    let mut errors = meta::validate_update(resource, new, old);
    if resource.custom.is_some() {
        errors.extend(schema::validate(&resource.schema(), new, Some(old)));
    }
    match subresource {
        None | Some("scale") => {
            errors.extend(strategy.validate(resource, new));
            errors.extend(strategy.validate_update(resource, new, old));
        }
        Some(name) => errors.extend(strategy.validate_subresource(resource, name, new, old)),
    }
    refuse(resource, new, errors)?;
    match subresource {
        None => Ok(strategy.warnings(resource, new, Some(old))),
        Some(_) => Ok(Vec::new()),
    }
}

/// Refusals that only the version of the request has, of a built-in kind that is stored in another one. The
/// objects are in the stored version; `old` is what a change is about.
pub fn validate_requested(requested: &Resource, object: &Value, old: Option<&Value>) -> Result<(), Status> {
    if !requested.converts() {
        return Ok(());
    }
    let errors = match old {
        None => requested.strategy.validate_create(requested, object),
        Some(old) => requested.strategy.validate_update(requested, object, old),
    };
    refuse(requested, object, errors)
}

fn refuse(resource: &Resource, object: &Value, mut errors: Vec<crate::FieldError>) -> Result<(), Status> {
    let mut seen: Vec<crate::FieldError> = Vec::new();
    errors.retain(|error| {
        let fresh = !seen.contains(error);
        if fresh {
            seen.push(error.clone());
        }
        fresh
    });
    match errors.is_empty() {
        true => Ok(()),
        false => {
            let name = meta::name(object);
            Err(Status::invalid(&resource.group, &resource.kind, name, errors))
        }
    }
}

/// The current object with the patch applied (not yet decoded, defaulted or validated).
pub fn apply_patch(
    resource: &Resource,
    kind: PatchKind,
    current: &Value,
    patch: &[u8],
) -> Result<Value, Status> {
    let parse = || -> Result<Value, Status> {
        serde_json::from_slice(patch).map_err(|e| Status::bad_request(format!("error decoding patch: {e}")))
    };
    let patched = match kind {
        PatchKind::Json => patch::json(current, patch),
        PatchKind::Merge => {
            let patch = parse()?;
            if !patch.is_object() {
                let message = "error decoding patch: the patch must be a JSON object";
                return Err(Status::bad_request(message));
            }
            Ok(patch::merge(current, &patch))
        }
        PatchKind::Strategic if resource.custom.is_some() => Err(PatchError::Unsupported),
        PatchKind::Strategic => patch::strategic(&resource.schema(), current, &parse()?),
    };
    patched.map_err(|error| match error {
        PatchError::Malformed(message) => Status::bad_request(message),
        PatchError::NotApplicable(message) => {
            let text = "the server rejected our request due to an error in our request";
            Status::failure(422, "Invalid", text).with_cause(Cause {
                reason: "UnexpectedServerResponse".into(),
                message,
                field: String::new(),
            })
        }
        error @ PatchError::TooManyOperations { .. } => Status::request_entity_too_large(error.to_string()),
        PatchError::Unsupported => Status::unsupported_media_type(&[
            "application/json-patch+json",
            "application/merge-patch+json",
            "application/apply-patch+yaml",
        ]),
    })
}

/// Server-side apply: the merged object with its managedFields; a conflict lists the managers.
pub fn server_side_apply(
    resource: &Resource,
    subresource: Option<&str>,
    current: Option<&Value>,
    patch: Value,
    manager: &str,
    force: bool,
    now: jiff::Timestamp,
) -> Result<Value, Status> {
    if has(&patch, "metadata.managedFields") {
        let message = "metadata.managedFields must be nil";
        return Err(Status::bad_request(message));
    }
    let api_version = resource.api_version();
    let writer = writer(resource, &api_version, subresource, manager, now);
    let merged = managed::apply(&resource.schema(), current, patch, &writer, force);
    let mut merged = merged.map_err(refused_apply)?;
    // What the kind's own types refuse: quantities, times, numbers that are too large.
    let fitted = crate::codec::fit(&mut merged, resource);
    fitted.map_err(|why| Status::failure(500, "", format!("failed to convert new object: {why}")))?;
    Ok(merged)
}

/// How the refusal of an apply reads.
pub fn refused_apply(error: ApplyError) -> Status {
    match error {
        ApplyError::Conflicts { message, conflicts } => {
            let causes = conflicts.into_iter().map(|conflict| Cause {
                reason: "FieldManagerConflict".into(),
                message: conflict.message,
                field: conflict.field,
            });
            Status::apply_conflict(causes.collect(), message)
        }
        ApplyError::Invalid(message) => Status::bad_request(message),
        ApplyError::Typed(message) => Status::failure(500, "", message),
    }
}

/// Records in managedFields what `manager` changed by a create, update or patch.
pub fn track_update(
    resource: &Resource,
    subresource: Option<&str>,
    old: Option<&Value>,
    new: &mut Value,
    manager: &str,
    now: jiff::Timestamp,
) {
    let api_version = resource.api_version();
    let writer = writer(resource, &api_version, subresource, manager, now);
    managed::update(&resource.schema(), old, new, &writer);
}

fn writer<'a>(
    resource: &Resource,
    api_version: &'a str,
    subresource: Option<&'a str>,
    manager: &'a str,
    now: jiff::Timestamp,
) -> Writer<'a> {
    let subresource = subresource.unwrap_or_default();
    let custom = resource.custom.is_some() && resource.subresource("status").is_some();
    Writer {
        manager,
        api_version,
        subresource,
        now,
        reset: managed::reset_fields(&resource.group, &resource.kind, subresource, custom),
    }
}
