//! Writes a pod's status to the API: only when it changed, the newest only, and the final delete after the last status.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use super::spec;
use super::status::condition;

/// Changes that nobody waits for are held back this long: more of them may follow.
const SETTLE: Duration = Duration::from_millis(100);
const FIRST_RETRY: Duration = Duration::from_millis(100);
const MAX_RETRY: Duration = Duration::from_secs(5);

/// What is to be written.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    pub status: Option<Arc<PodStatus>>,
    /// Delete the object once the status is written.
    pub delete: bool,
}

/// Writes for one pod until it is gone from the API, or `wishes` ends. Then `gone` hears of it.
pub async fn run(
    client: kube::Client,
    pod: Arc<Pod>,
    mut wishes: watch::Receiver<Wish>,
    gone: mpsc::UnboundedSender<()>,
) {
    let api: Api<Pod> = Api::namespaced(client, spec::namespace(&pod));
    let mut written = pod.status.clone().unwrap_or_default();
    let mut retry = FIRST_RETRY;
    loop {
        let wish = wishes.borrow_and_update().clone();
        let due = wish.status.as_deref().filter(|s| differs(s, &written)).cloned();
        let outcome = match (&due, wish.delete) {
            (Some(new), delete) => {
                if !delete && !is_urgent(&written, new) && settle(&mut wishes).await {
                    continue;
                }
                write(&api, &pod, &written, new).await.map(|()| written = new.clone())
            }
            (None, true) => delete(&api, &pod).await.map_or_else(Err, |()| Err(Failure::Gone)),
            (None, false) => {
                if wishes.changed().await.is_err() {
                    return;
                }
                continue;
            }
        };
        match outcome {
            Ok(()) => retry = FIRST_RETRY,
            Err(Failure::Gone) => {
                // The worker may have ended: then nobody waits for the news.
                let _ = gone.send(());
                return;
            }
            Err(Failure::Again(error)) => {
                tracing::warn!(pod = %spec::display(&pod), %error, "pod status not written");
                tokio::time::sleep(retry).await;
                retry = (retry * 2).min(MAX_RETRY);
            }
        }
    }
}

/// Whether the API would see a difference: it keeps times in whole seconds.
fn differs(a: &PodStatus, b: &PodStatus) -> bool {
    a != b && serde_json::to_value(a).ok() != serde_json::to_value(b).ok()
}

/// Waits for another change; whether one came.
async fn settle(wishes: &mut watch::Receiver<Wish>) -> bool {
    matches!(tokio::time::timeout(SETTLE, wishes.changed()).await, Ok(Ok(())))
}

/// Whether somebody waits for this change: the phase, readiness, or an end.
fn is_urgent(old: &PodStatus, new: &PodStatus) -> bool {
    let ready = |s: &PodStatus| condition(s, "Ready").map(|c| c.status.clone());
    let ends = |s: &PodStatus| {
        let all = s.container_statuses.iter().chain(&s.init_container_statuses).flatten();
        all.filter(|c| c.state.as_ref().is_some_and(|s| s.terminated.is_some())).count()
    };
    let first = old.phase.is_none() || old.start_time.is_none();
    let phase_changed = old.phase != new.phase && !(first && new.phase.as_deref() == Some("Pending"));
    let ready_changed = ready(old) != ready(new) && !(first && ready(new).as_deref() == Some("False"));
    phase_changed || ready_changed || ends(old) != ends(new)
}

enum Failure {
    /// The object is gone, or another one has its name.
    Gone,
    Again(kube::Error),
}

fn failure(error: kube::Error) -> Failure {
    match &error {
        kube::Error::Api(status) if status.code == 404 => Failure::Gone,
        kube::Error::Api(status) if status.code == 409 && status.message.to_lowercase().contains("uid") => {
            Failure::Gone
        }
        _ => Failure::Again(error),
    }
}

async fn write(api: &Api<Pod>, pod: &Pod, old: &PodStatus, new: &PodStatus) -> Result<(), Failure> {
    let patch = patch(pod, old, new);
    let done = api.patch_status(spec::name(pod), &PatchParams::default(), &Patch::Strategic(patch)).await;
    done.map(drop).map_err(failure)
}

async fn delete(api: &Api<Pod>, pod: &Pod) -> Result<(), Failure> {
    let preconditions = Preconditions { uid: pod.metadata.uid.clone(), resource_version: None };
    let params = DeleteParams {
        grace_period_seconds: Some(0),
        preconditions: Some(preconditions),
        ..DeleteParams::default()
    };
    api.delete(spec::name(pod), &params).await.map(drop).map_err(failure)
}

/// A strategic merge patch: what the agent owns, and nothing of others (conditions merge by type).
fn patch(pod: &Pod, old: &PodStatus, new: &PodStatus) -> Value {
    let mut status = serde_json::to_value(new).unwrap_or_default();
    let before = serde_json::to_value(old).unwrap_or_default();
    if let (Some(now), Some(before)) = (status.as_object_mut(), before.as_object()) {
        const OWNED: [&str; 8] = [
            "reason",
            "message",
            "podIP",
            "podIPs",
            "containerStatuses",
            "initContainerStatuses",
            "ephemeralContainerStatuses",
            "observedGeneration",
        ];
        for field in OWNED.into_iter().filter(|f| before.contains_key(*f)) {
            now.entry(field).or_insert(Value::Null);
        }
        for (list, key) in [("podIPs", "ip"), ("hostIPs", "ip")] {
            drop_left_out(now.get_mut(list), before.get(list), key);
        }
    }
    json!({"metadata": {"uid": pod.metadata.uid}, "status": status})
}

/// Entries of a merged list that are no longer there must be deleted by name.
fn drop_left_out(now: Option<&mut Value>, before: Option<&Value>, key: &str) {
    let (Some(Value::Array(now)), Some(Value::Array(before))) = (now, before) else { return };
    let left_out: Vec<Value> = before
        .iter()
        .filter(|b| !now.iter().any(|n| n.get(key) == b.get(key)))
        .map(|b| json!({"$patch": "delete", key: b.get(key)}))
        .collect();
    now.extend(left_out);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(value: Value) -> PodStatus {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_was_there_and_is_not_is_removed() {
        let old = status(json!({"phase": "Failed", "reason": "x", "podIPs": [{"ip": "1.1.1.1"}]}));
        let new = status(json!({"phase": "Running", "podIPs": [{"ip": "2.2.2.2"}]}));
        let patch = patch(&Pod::default(), &old, &new);
        assert_eq!(patch["status"]["reason"], Value::Null);
        assert_eq!(
            patch["status"]["podIPs"],
            json!([{"ip": "2.2.2.2"}, {"$patch": "delete", "ip": "1.1.1.1"}])
        );
        assert!(patch["status"].get("nominatedNodeName").is_none());
    }

    #[test]
    fn what_users_wait_for_is_written_at_once() {
        let ready = |v: &str| json!([{"type": "Ready", "status": v}]);
        let base = status(
            json!({"phase": "Running", "startTime": "2026-01-01T00:00:00Z", "conditions": ready("False")}),
        );
        let cases = [
            (json!({"phase": "Running", "conditions": ready("True")}), true),
            (json!({"phase": "Succeeded", "conditions": ready("False")}), true),
            (json!({"phase": "Running", "podIP": "1.1.1.1", "conditions": ready("False")}), false),
        ];
        for (new, urgent) in cases {
            assert_eq!(is_urgent(&base, &status(new.clone())), urgent, "{new}");
        }
        let first = status(json!({"phase": "Pending", "conditions": ready("False")}));
        assert!(!is_urgent(&PodStatus::default(), &first));
    }
}
