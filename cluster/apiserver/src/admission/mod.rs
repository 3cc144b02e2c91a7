//! Admission: what the cluster adds to an object, and what it refuses although the object is valid.
//!
//! Not here yet: webhooks, admission policies.

mod definition;
mod escalation;
mod limit_range;
mod namespace;
mod priority;
mod quota;
mod runtime_class;
mod service_account;
mod tolerations;

pub(crate) use definition::CLEANUP;

use api::Status;
use serde_json::Value;
use store::View;

use crate::pipeline::{Companions, Operation, Write};

/// Changes the object as it came.
pub(crate) fn mutate(
    write: &Write<'_>,
    view: &View,
    operation: Operation,
    object: &mut Value,
) -> Result<(), Status> {
    if write.subresource.is_some() {
        return Ok(());
    }
    let kind = (write.storage.group.as_str(), write.storage.kind.as_str());
    match (kind, operation) {
        (("", "Pod"), Operation::Create) => {
            // Admission looks at the namespace before anything in it.
            namespace::require_active(write, view, object)?;
            limit_range::mutate(write, view, object)?;
            service_account::mutate(write, view, object)?;
            tolerations::mutate(object);
            priority::mutate(view, object)?;
            runtime_class::mutate(view, object)
        }
        _ => Ok(()),
    }
}

/// Sets what only the server may set, after the kind has dropped what clients may not.
pub(crate) fn complete(write: &Write<'_>, view: &View, object: &mut Value, old: Option<&Value>) {
    let group = write.storage.group.as_str();
    if group == "apiextensions.k8s.io" && write.subresource.is_none() {
        definition::complete(write, view, object, old);
    }
}

/// Checks a valid object, and names what must still hold when it is stored.
pub(crate) fn check(
    write: &Write<'_>,
    view: &View,
    object: &Value,
    old: Option<&Value>,
    companions: &mut Companions,
) -> Result<(), Status> {
    if old.is_none() {
        namespace::check_create(write, view, object, companions)?;
    }
    if write.storage.group == "rbac.authorization.k8s.io" {
        escalation::check(write, object, old)?;
    }
    limit_range::check(write, view, object, old)?;
    // Last: what another plugin refuses is not charged.
    quota::check(write, view, object, old, companions)
}

/// Checks a deletion.
pub(crate) fn check_delete(write: &Write<'_>, _view: &View, object: &Value) -> Result<(), Status> {
    namespace::check_delete(write, object)
}
