//! Bootstrap objects that exist: a role gets the rules, a binding the subjects that it lacks, as
//! long as its annotation `autoupdate` is not `false` (Kubernetes' reconciliation).

use api::Status;
use serde_json::Value;

use crate::authz::{PolicyRule, uncovered};
use crate::failure::Failure;
use crate::pipeline::{Decoded, Stored, Write, attempt};

const AUTO_UPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";

pub(super) async fn existing(write: &Write<'_>, name: &str, wanted: &Value) -> Result<(), Status> {
    if write.storage.group != "rbac.authorization.k8s.io" {
        return Ok(());
    }
    attempt(write.server, |view| async move {
        let Some(old) = Stored::read(&view, &write.key(name))? else {
            return Err(Failure::Stale(write.not_found(name)));
        };
        let Some(next) = completed(&old.value, wanted) else { return Ok(()) };
        let decoded = Decoded::new(write.resource, next, Vec::new());
        let valid = decoded.admit(write, &view, Some(&old))?.validate(write, &view, Some(&old))?;
        valid.update(write, &view, &old, false).await.map(|_| ())
    })
    .await
}

/// The object with what it lacks; none when it lacks nothing or is not to be touched.
fn completed(old: &Value, wanted: &Value) -> Option<Value> {
    if old["metadata"]["annotations"][AUTO_UPDATE] == "false" {
        return None;
    }
    let mut next = old.clone();
    if wanted["rules"].is_array() && !old["aggregationRule"].is_object() {
        let rules =
            |v: &Value| serde_json::from_value::<Vec<PolicyRule>>(v["rules"].clone()).unwrap_or_default();
        let (mut held, wanted) = (rules(old), rules(wanted));
        let missing: Vec<PolicyRule> =
            wanted.into_iter().filter(|r| !uncovered(&held, std::slice::from_ref(r)).is_empty()).collect();
        if missing.is_empty() {
            return None;
        }
        held.extend(missing);
        next["rules"] = serde_json::to_value(held).ok()?;
        return Some(next);
    }
    let subjects = |v: &Value| v["subjects"].as_array().cloned().unwrap_or_default();
    let mut held = subjects(old);
    let missing: Vec<Value> = subjects(wanted).into_iter().filter(|s| !held.contains(s)).collect();
    if missing.is_empty() {
        return None;
    }
    held.extend(missing);
    next["subjects"] = held.into();
    Some(next)
}
