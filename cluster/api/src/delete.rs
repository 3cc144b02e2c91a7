//! What a delete does to an object: at once, gracefully, or waiting for finalizers.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::field::FieldError;
use crate::meta::{self, FOREGROUND, ORPHAN};
use crate::pipeline::Ctx;
use crate::resource::Resource;
use crate::status::Status;
use crate::value::{get, has, int, items, remove, set, text, texts};

/// `DeleteOptions`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    pub grace_period_seconds: Option<i64>,
    /// `Orphan`, `Background` or `Foreground`.
    pub propagation_policy: Option<String>,
    pub orphan_dependents: Option<bool>,
    pub precondition_uid: Option<String>,
    pub precondition_resource_version: Option<String>,
    pub dry_run: bool,
}

/// What the server must do.
#[derive(Clone, Debug, PartialEq)]
pub enum Deletion {
    /// Remove the object from the store (as it is now).
    Remove,
    /// Write this object; it goes away later (grace period, finalizers).
    Update(Value),
    /// Nothing to write: the deletion is under way already.
    Pending,
}

impl DeleteOptions {
    /// From a body (`DeleteOptions` JSON; null and absent fields are fine), checked.
    pub fn parse(body: &Value) -> Result<DeleteOptions, Status> {
        let owned = |path| get(body, path).as_str().map(str::to_owned);
        let options = DeleteOptions {
            grace_period_seconds: int(body, "gracePeriodSeconds"),
            propagation_policy: owned("propagationPolicy"),
            orphan_dependents: get(body, "orphanDependents").as_bool(),
            precondition_uid: owned("preconditions.uid"),
            precondition_resource_version: owned("preconditions.resourceVersion"),
            dry_run: !items(body, "dryRun").is_empty(),
        };
        let kind = text(body, "kind");
        if !matches!(kind, "" | "DeleteOptions") {
            let message = "decoded object cannot be converted to DeleteOptions";
            return Err(Status::bad_request(message));
        }
        if let Some(value) = texts(body, "dryRun").find(|value| *value != "All") {
            let error = FieldError::not_supported("dryRun", json!([value]), ["All"]);
            return Err(options.refuse(vec![error]));
        }
        options.check()?;
        Ok(options)
    }

    /// Refuses what contradicts itself.
    pub fn check(&self) -> Result<(), Status> {
        let mut errors = Vec::new();
        if self.propagation_policy.is_some() && self.orphan_dependents.is_some() {
            let policy = self.propagation_policy.as_deref().unwrap_or_default();
            let detail = "orphanDependents and deletionPropagation cannot be both set".to_owned();
            errors.push(FieldError::invalid("propagationPolicy", policy, detail));
        }
        match self.propagation_policy.as_deref() {
            None | Some("Foreground" | "Background" | "Orphan") => {}
            Some(other) => errors.push(FieldError::not_supported(
                "propagationPolicy",
                other,
                ["Foreground", "Background", "Orphan", "nil"],
            )),
        }
        match errors.is_empty() {
            true => Ok(()),
            false => Err(self.refuse(errors)),
        }
    }

    fn refuse(&self, errors: Vec<FieldError>) -> Status {
        Status::invalid("meta.k8s.io", "DeleteOptions", "", errors)
    }
}

/// Refuses a delete whose preconditions do not hold.
pub fn check_preconditions(
    resource: &Resource,
    object: &Value,
    options: &DeleteOptions,
) -> Result<(), Status> {
    let conflict = |why: String| Status::conflict(&resource.group, &resource.plural, meta::name(object), why);
    let uid = text(object, "metadata.uid");
    if let Some(wanted) = &options.precondition_uid
        && wanted != uid
    {
        return Err(conflict(format!(
            "the UID in the precondition ({wanted}) does not match the UID in record ({uid}). The object might have been deleted and then recreated"
        )));
    }
    let version = text(object, "metadata.resourceVersion");
    if let Some(wanted) = &options.precondition_resource_version
        && wanted != version
    {
        return Err(conflict(format!(
            "the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record ({version}). The object might have been modified"
        )));
    }
    Ok(())
}

/// Decides a delete. Checks the preconditions.
pub fn before_delete(
    resource: &Resource,
    object: &Value,
    options: &DeleteOptions,
    ctx: &Ctx,
) -> Result<Deletion, Status> {
    options.check()?;
    check_preconditions(resource, object, options)?;
    let mut next = object.clone();
    let requested = options.grace_period_seconds.map(|s| if s < 0 { 1 } else { s });
    let grace = grace(resource, object, requested, ctx.now);
    let deleting = meta::is_deleting(object);
    set_finalizers(resource, &mut next, options);
    let waits = !items(&next, "metadata.finalizers").is_empty()
        || !items(&next, "spec.finalizers").is_empty() && resource.strategy.waits_for_spec_finalizers();
    match grace {
        Grace::Pending if next == *object => return Ok(Deletion::Pending),
        Grace::Pending => return Ok(Deletion::Update(next)),
        Grace::Until(at, seconds) => {
            mark(resource, &mut next, at, seconds, deleting);
            resource.strategy.prepare_delete(resource, &mut next, ctx);
            return Ok(Deletion::Update(next));
        }
        Grace::None if !waits => return Ok(Deletion::Remove),
        Grace::None => {}
    }
    // Only finalizers hold it: mark it deleted without a grace period.
    if !deleting {
        mark(resource, &mut next, ctx.now, 0, false);
        resource.strategy.prepare_delete(resource, &mut next, ctx);
    } else if int(&next, "metadata.deletionGracePeriodSeconds").unwrap_or_default() != 0 {
        set(&mut next, "metadata.deletionGracePeriodSeconds", 0);
        set(&mut next, "metadata.deletionTimestamp", meta::time(ctx.now));
    }
    Ok(match next == *object {
        true => Deletion::Pending,
        false => Deletion::Update(next),
    })
}

/// What the grace period of a kind says about a delete.
enum Grace {
    None,
    /// Marked already, and this delete does not shorten the wait.
    Pending,
    Until(Timestamp, i64),
}

fn grace(resource: &Resource, object: &Value, requested: Option<i64>, now: Timestamp) -> Grace {
    let Some(current) = int(object, "metadata.deletionGracePeriodSeconds") else {
        return match resource.strategy.grace_period(object, requested) {
            None | Some(0) => Grace::None,
            Some(seconds) => Grace::Until(later(now, seconds), seconds),
        };
    };
    if current == 0 || !resource.strategy.is_graceful() {
        return Grace::None;
    }
    match requested {
        Some(0) => Grace::None,
        Some(seconds) if seconds < current => {
            let at = meta::parse_time(text(object, "metadata.deletionTimestamp"));
            match at.map(|at| later(at, seconds - current)) {
                Some(at) if at >= now => Grace::Until(at, seconds),
                // The shorter period is over already: the shortest that is still graceful.
                _ => Grace::Until(now, 1),
            }
        }
        _ => Grace::Pending,
    }
}

fn later(at: Timestamp, seconds: i64) -> Timestamp {
    at.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(at)
}

/// Marks the object as being deleted at the end of its grace period.
fn mark(r: &Resource, object: &mut Value, at: Timestamp, seconds: i64, deleting: bool) {
    set(object, "metadata.deletionTimestamp", meta::time(at));
    set(object, "metadata.deletionGracePeriodSeconds", seconds);
    let generation = int(object, "metadata.generation").unwrap_or_default();
    if !deleting && generation > 0 && r.generation {
        meta::set_generation(object, generation + 1);
    }
}

/// Adds and removes the finalizers that the propagation policy asks for.
fn set_finalizers(resource: &Resource, object: &mut Value, options: &DeleteOptions) {
    let had = |wanted| texts(object, "metadata.finalizers").any(|f| f == wanted);
    let (orphan, foreground) = match (options.orphan_dependents, options.propagation_policy.as_deref()) {
        (Some(orphan), _) => (orphan, false),
        (None, Some("Orphan")) => (true, false),
        (None, Some("Foreground")) => (false, true),
        (None, Some(_)) => (false, false),
        // Without a wish, finalizers that are there stay, or the kind's own default holds.
        (None, None) if had(ORPHAN) || had(FOREGROUND) => (had(ORPHAN), had(FOREGROUND)),
        (None, None) => (resource.strategy.orphans_by_default(), false),
    };
    let mut finalizers: Vec<Value> = texts(object, "metadata.finalizers")
        .filter(|f| *f != ORPHAN && *f != FOREGROUND)
        .map(Value::from)
        .collect();
    if orphan {
        finalizers.push(ORPHAN.into());
    }
    if foreground {
        finalizers.push(FOREGROUND.into());
    }
    if finalizers.is_empty() {
        if has(object, "metadata.finalizers") {
            remove(object, "metadata.finalizers");
        }
    } else if finalizers.as_slice() != items(object, "metadata.finalizers") {
        set(object, "metadata.finalizers", finalizers);
    }
}

/// True when an update leaves nothing that keeps the object: it carries a deletionTimestamp, no
/// finalizers and no grace period, so the write must become a delete.
pub fn finished_by_update(resource: &Resource, new: &Value, old: &Value) -> bool {
    let grace = int(new, "metadata.deletionGracePeriodSeconds").unwrap_or_default();
    let spec_holds =
        resource.strategy.waits_for_spec_finalizers() && !items(new, "spec.finalizers").is_empty();
    meta::is_deleting(new)
        && meta::is_deleting(old)
        && grace == 0
        && items(new, "metadata.finalizers").is_empty()
        && !spec_holds
}
