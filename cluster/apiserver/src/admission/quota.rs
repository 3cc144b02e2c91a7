//! The ResourceQuota plugin: an object is created only when the quotas of its namespace have room,
//! and what it uses is charged in the same transaction, so that two servers can not both give the
//! last room away.

use api::Status;
use api::amounts::written;
use api::pipeline::track_update;
use api::quota::{Of, charge};
use serde_json::Value;
use store::{Op, View};

use crate::pipeline::{Companions, Stored, Write, put};

/// In whose name `status` is written, as in Kubernetes.
const MANAGER: &str = "kube-apiserver";

pub(super) fn check(
    write: &Write<'_>,
    view: &View,
    object: &Value,
    old: Option<&Value>,
    companions: &mut Companions,
) -> Result<(), Status> {
    if !write.storage.namespaced || !matches!(write.subresource, None | Some("resize")) {
        return Ok(());
    }
    let of = Of::new(&write.storage.group, &write.storage.plural);
    for found in view.range(&format!("/core/resourcequotas/{}/", write.namespace), None) {
        let quota = Stored::parse(found)?;
        let used = charge(&quota.value, of, object, old).map_err(|refusal| {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            let resource = write.resource;
            Status::forbidden(&resource.group, &resource.plural, name, refusal.to_string())
        })?;
        if let Some(used) = used {
            let mut next = quota.value.clone();
            next["status"]["used"] = written(&used);
            companions.ops.push(charged(write, &quota, next)?);
            companions.guards.push(quota.guard());
        }
    }
    Ok(())
}

fn charged(write: &Write<'_>, quota: &Stored, mut next: Value) -> Result<Op, Status> {
    let serving = write.server.serving.get();
    let quotas = serving
        .registry
        .get("", "v1", "resourcequotas")
        .ok_or_else(|| Status::internal("resource quotas are not served"))?;
    track_update(quotas, Some("status"), Some(&quota.value), &mut next, MANAGER, jiff::Timestamp::now());
    let write = Write { resource: quotas, storage: quotas, subresource: Some("status"), ..*write };
    Ok(Op::Put(put(&write, quota.object.key.to_string(), &next)?))
}
