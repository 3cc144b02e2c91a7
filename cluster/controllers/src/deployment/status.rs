//! What a Deployment's status says, and when a rollout counts as stuck.

use super::rollout::{available, desired, fences, size};
use crate::objects::{name, remaining, time};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet};
use std::{sync::Arc, time::Duration};

/// Why a rollout progresses, or does not.
pub(crate) const COMPLETE: &str = "NewReplicaSetAvailable";
const MOVING: &str = "ReplicaSetUpdated";
const TIMED_OUT: &str = "ProgressDeadlineExceeded";
const PAUSED: &str = "DeploymentPaused";
const RESUMED: &str = "DeploymentResumed";

/// How long a rollout may stand still, if that is limited.
pub(crate) fn deadline(deployment: &Deployment) -> Option<Duration> {
    let seconds = deployment.spec.as_ref()?.progress_deadline_seconds?;
    (seconds != i32::MAX).then(|| Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

pub(crate) fn condition<'a>(status: &'a DeploymentStatus, kind: &str) -> Option<&'a DeploymentCondition> {
    status.conditions.iter().flatten().find(|c| c.type_ == kind)
}

/// Sets a condition. One with the same status and reason stays as it is; with the same status it
/// keeps its transition time.
pub(crate) fn set(
    status: &mut DeploymentStatus,
    kind: &str,
    value: &str,
    reason: &str,
    message: &str,
    now: Timestamp,
) {
    let old = condition(status, kind).cloned();
    if old.as_ref().is_some_and(|c| c.status == value && c.reason.as_deref() == Some(reason)) {
        return;
    }
    let since = old.filter(|c| c.status == value).and_then(|c| c.last_transition_time);
    let conditions = status.conditions.get_or_insert_default();
    conditions.retain(|c| c.type_ != kind);
    conditions.push(DeploymentCondition {
        type_: kind.into(),
        status: value.into(),
        reason: Some(reason.into()),
        message: Some(message.into()),
        last_update_time: time(now),
        last_transition_time: since.or_else(|| time(now)),
    });
}

fn remove(status: &mut DeploymentStatus, kind: &str) {
    if let Some(conditions) = &mut status.conditions {
        conditions.retain(|c| c.type_ != kind);
    }
}

fn sum(sets: &[Arc<ReplicaSet>], of: impl Fn(&ReplicaSet) -> i32) -> i32 {
    sets.iter().map(|set| of(set)).sum()
}

fn actual(set: &ReplicaSet) -> i32 {
    set.status.as_ref().map_or(0, |status| status.replicas)
}

/// The counts of all ReplicaSets and the condition Available; other conditions as in `known`.
pub(crate) fn count(
    deployment: &Deployment,
    new: Option<&Arc<ReplicaSet>>,
    all: &[Arc<ReplicaSet>],
    known: &DeploymentStatus,
    now: Timestamp,
) -> DeploymentStatus {
    let usable = sum(all, available);
    let positive = |n: i32| (n != 0).then_some(n);
    let terminating = sum(all, |set| set.status.as_ref().and_then(|s| s.terminating_replicas).unwrap_or(0));
    let mut status = DeploymentStatus {
        observed_generation: deployment.metadata.generation,
        replicas: positive(sum(all, actual)),
        updated_replicas: positive(new.map_or(0, |set| actual(set))),
        ready_replicas: positive(sum(all, |set| {
            set.status.as_ref().and_then(|s| s.ready_replicas).unwrap_or(0)
        })),
        available_replicas: positive(usable),
        unavailable_replicas: positive((sum(all, size) - usable).max(0)),
        terminating_replicas: Some(terminating),
        collision_count: known.collision_count,
        conditions: known.conditions.clone(),
    };
    if usable >= desired(deployment) - fences(deployment).1 {
        let message = "Deployment has minimum availability.";
        set(&mut status, "Available", "True", "MinimumReplicasAvailable", message, now);
    } else {
        let message = "Deployment does not have minimum availability.";
        set(&mut status, "Available", "False", "MinimumReplicasUnavailable", message, now);
    }
    status
}

/// Whether the rollout has reached its goal.
pub(crate) fn is_complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let wanted = desired(deployment);
    status.updated_replicas.unwrap_or(0) == wanted
        && status.replicas.unwrap_or(0) == wanted
        && status.available_replicas.unwrap_or(0) == wanted
        && status.observed_generation >= deployment.metadata.generation
}

fn has_moved(old: &DeploymentStatus, new: &DeploymentStatus) -> bool {
    let outdated = |s: &DeploymentStatus| s.replicas.unwrap_or(0) - s.updated_replicas.unwrap_or(0);
    new.updated_replicas > old.updated_replicas
        || outdated(new) < outdated(old)
        || new.ready_replicas > old.ready_replicas
        || new.available_replicas > old.available_replicas
}

fn has_timed_out(deployment: &Deployment, status: &DeploymentStatus, now: Timestamp) -> bool {
    let (Some(limit), Some(progress)) = (deadline(deployment), condition(status, "Progressing")) else {
        return false;
    };
    match progress.reason.as_deref() {
        // A rollout that was complete can not time out.
        Some(COMPLETE) => false,
        Some(TIMED_OUT) => true,
        _ => progress.last_update_time.as_ref().is_some_and(|t| remaining(t.0, limit, now).is_none()),
    }
}

/// Says in the condition Progressing how the rollout goes, and in ReplicaFailure what hinders it.
pub(crate) fn judge(
    deployment: &Deployment,
    new: Option<&Arc<ReplicaSet>>,
    all: &[Arc<ReplicaSet>],
    status: &mut DeploymentStatus,
    now: Timestamp,
) {
    let subject = match new {
        Some(set) => format!("ReplicaSet {:?}", name(&set.metadata)),
        None => format!("Deployment {:?}", name(&deployment.metadata)),
    };
    let old = deployment.status.clone().unwrap_or_default();
    let was_complete = status.replicas == status.updated_replicas
        && condition(status, "Progressing").is_some_and(|c| c.reason.as_deref() == Some(COMPLETE));
    if deadline(deployment).is_none() {
        remove(status, "Progressing");
    } else if !was_complete {
        if is_complete(deployment, status) {
            let message = format!("{subject} has successfully progressed.");
            set(status, "Progressing", "True", COMPLETE, &message, now);
        } else if has_moved(&old, status) {
            let since = condition(status, "Progressing").filter(|c| c.status == "True");
            let since = since.and_then(|c| c.last_transition_time.clone());
            remove(status, "Progressing");
            set(status, "Progressing", "True", MOVING, &format!("{subject} is progressing."), now);
            let added = status.conditions.iter_mut().flatten().last();
            if let (Some(condition), Some(since)) = (added, since) {
                condition.last_transition_time = Some(since);
            }
        } else if has_timed_out(deployment, status, now) {
            let message = format!("{subject} has timed out progressing.");
            set(status, "Progressing", "False", TIMED_OUT, &message, now);
        }
    }
    let failures = |set: &ReplicaSet| {
        let conditions = set.status.as_ref().and_then(|s| s.conditions.clone()).unwrap_or_default();
        conditions.into_iter().find(|c| c.type_ == "ReplicaFailure" && c.status == "True")
    };
    match new.into_iter().chain(all).find_map(|set| failures(set)) {
        None => remove(status, "ReplicaFailure"),
        Some(failure) => {
            let (reason, message) = (failure.reason.unwrap_or_default(), failure.message.unwrap_or_default());
            set(status, "ReplicaFailure", "True", &reason, &message, now);
        }
    }
}

/// Says in the condition Progressing that the rollout is paused, or goes on after a pause.
pub(crate) fn judge_pause(deployment: &Deployment, status: &mut DeploymentStatus, now: Timestamp) {
    if deadline(deployment).is_none() {
        return;
    }
    let paused = deployment.spec.as_ref().and_then(|spec| spec.paused).unwrap_or(false);
    let reason = condition(status, "Progressing").and_then(|c| c.reason.clone());
    match (paused, reason.as_deref()) {
        (_, Some(TIMED_OUT)) => {}
        (true, reason) if reason != Some(PAUSED) => {
            set(status, "Progressing", "Unknown", PAUSED, "Deployment is paused", now);
        }
        (false, Some(PAUSED)) => set(status, "Progressing", "Unknown", RESUMED, "Deployment is resumed", now),
        _ => {}
    }
}

/// When the rollout will have stood still for too long, if nothing moves until then.
pub(crate) fn due(deployment: &Deployment, status: &DeploymentStatus, now: Timestamp) -> Option<Duration> {
    let limit = deadline(deployment)?;
    let progress = condition(status, "Progressing")?;
    if is_complete(deployment, status) || matches!(progress.reason.as_deref(), Some(TIMED_OUT | COMPLETE)) {
        return None;
    }
    let since = progress.last_update_time.as_ref()?.0;
    Some(remaining(since, limit, now).unwrap_or(Duration::ZERO) + Duration::from_secs(1))
}
