//! NamespaceLifecycle: nothing is created in a namespace that does not exist or is going away, not
//! even when it begins to go away at the same moment: the namespace's revision guards the write. A
//! new namespace comes with its `default` service account.

use api::pipeline::{default, prepare_create};
use api::status::Cause;
use api::{Ctx, Status};
use serde_json::{Value, json};
use store::{Guard, Object, Op, View};

use crate::pipeline::{Companions, Write, put};

/// These hold the cluster together.
const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

/// The namespace of the write, when it exists and is not going away.
pub(super) fn require_active(
    write: &Write<'_>,
    view: &View,
    object: &Value,
) -> Result<std::sync::Arc<Object>, Status> {
    let namespace = write.namespace;
    let found = view
        .get(&format!("/core/namespaces/{namespace}"))
        .ok_or_else(|| Status::not_found("", "namespaces", namespace))?;
    let value: Value = serde_json::from_slice(&found.value)
        .map_err(|e| Status::internal(format!("namespace {namespace} does not parse: {e}")))?;
    if value["metadata"]["deletionTimestamp"].is_string() || value["status"]["phase"] == "Terminating" {
        let why =
            format!("unable to create new content in namespace {namespace} because it is being terminated");
        let cause = Cause {
            reason: "NamespaceTerminating".into(),
            message: format!("namespace {namespace} is being terminated"),
            field: "metadata.namespace".into(),
        };
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        return Err(
            Status::forbidden(&write.resource.group, &write.resource.plural, name, why).with_cause(cause)
        );
    }
    Ok(found)
}

pub(super) fn check_create(
    write: &Write<'_>,
    view: &View,
    object: &Value,
    companions: &mut Companions,
) -> Result<(), Status> {
    if write.storage.kind == "Namespace" && write.storage.group.is_empty() {
        return with_default_account(write, view, object, companions);
    }
    if !write.storage.namespaced {
        return Ok(());
    }
    let namespace = require_active(write, view, object)?;
    let (key, revision) = (namespace.key.to_string(), namespace.revision);
    companions.guards.push(Guard::AtRevision { key, revision });
    Ok(())
}

fn with_default_account(
    write: &Write<'_>,
    view: &View,
    object: &Value,
    companions: &mut Companions,
) -> Result<(), Status> {
    let namespace = object["metadata"]["name"].as_str().unwrap_or_default();
    let serving = write.server.serving.get();
    let Some(accounts) = serving.registry.get("", "v1", "serviceaccounts") else { return Ok(()) };
    let key = accounts.key(namespace, "default");
    if view.get(&key).is_some() {
        return Ok(());
    }
    let mut account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "default", "namespace": namespace},
    });
    let ctx = Ctx { namespace: Some(namespace.to_owned()), ..write.ctx() };
    default(accounts, &mut account);
    prepare_create(accounts, &mut account, &ctx)?;
    let account_write = Write { resource: accounts, storage: accounts, namespace, ..*write };
    companions.ops.push(Op::Put(put(&account_write, key.clone(), &account)?));
    companions.guards.push(Guard::Absent { key });
    Ok(())
}

pub(super) fn check_delete(write: &Write<'_>, object: &Value) -> Result<(), Status> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let is_namespace = write.storage.kind == "Namespace" && write.storage.group.is_empty();
    match is_namespace && IMMORTAL.contains(&name) {
        true => Err(Status::forbidden("", "namespaces", name, "this namespace may not be deleted")),
        false => Ok(()),
    }
}
