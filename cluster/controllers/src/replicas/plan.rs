//! How many pods to make, which to delete, and what the status says.

use super::rank::rank;
use crate::{
    objects::{Claim, Labels, claim, labels, owner_reference, selector, time},
    pods::{is_active, is_available, is_deleting, is_ready, is_terminal, next_available},
};
use jiff::Timestamp;
use k8s_openapi::{
    api::{
        apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus},
        core::v1::{
            Pod, PodTemplateSpec, ReplicationController, ReplicationControllerCondition,
            ReplicationControllerStatus,
        },
    },
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::{
    api::ObjectMeta,
    core::{Selector, SelectorExt},
};
use std::{sync::Arc, time::Duration};

/// What a ReplicaSet and a ReplicationController have in common.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    pub meta: ObjectMeta,
    pub reference: OwnerReference,
    pub replicas: i32,
    pub min_ready_seconds: i32,
    pub selector: Selector,
    pub template: PodTemplateSpec,
    pub status: Status,
}

/// The status of both kinds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Status {
    pub replicas: i32,
    pub fully_labeled: i32,
    pub ready: i32,
    pub available: i32,
    /// Only ReplicaSets have it.
    pub terminating: Option<i32>,
    pub observed_generation: Option<i64>,
    pub conditions: Vec<ReplicaSetCondition>,
}

impl Owner {
    /// `None` when the object is not valid: there is nothing to do for it.
    pub fn of_set(set: &ReplicaSet) -> Option<Self> {
        let spec = set.spec.as_ref()?;
        let status = set.status.clone().unwrap_or_default();
        Some(Self {
            meta: set.metadata.clone(),
            reference: owner_reference(set),
            replicas: spec.replicas.unwrap_or(1),
            min_ready_seconds: spec.min_ready_seconds.unwrap_or(0),
            selector: selector(&spec.selector).filter(|s| !s.selects_all())?,
            template: spec.template.clone().unwrap_or_default(),
            status: Status {
                replicas: status.replicas,
                fully_labeled: status.fully_labeled_replicas.unwrap_or(0),
                ready: status.ready_replicas.unwrap_or(0),
                available: status.available_replicas.unwrap_or(0),
                terminating: status.terminating_replicas,
                observed_generation: status.observed_generation,
                conditions: status.conditions.unwrap_or_default(),
            },
        })
    }

    /// `None` when the object is not valid: there is nothing to do for it.
    pub fn of_controller(rc: &ReplicationController) -> Option<Self> {
        let spec = rc.spec.as_ref()?;
        let status = rc.status.clone().unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default().into_iter().map(|c| ReplicaSetCondition {
            last_transition_time: c.last_transition_time,
            message: c.message,
            reason: c.reason,
            status: c.status,
            type_: c.type_,
        });
        Some(Self {
            meta: rc.metadata.clone(),
            reference: owner_reference(rc),
            replicas: spec.replicas.unwrap_or(1),
            min_ready_seconds: spec.min_ready_seconds.unwrap_or(0),
            selector: Some(spec.selector.clone()?.into_iter().collect())
                .filter(|s: &Selector| !s.selects_all())?,
            template: spec.template.clone().unwrap_or_default(),
            status: Status {
                replicas: status.replicas,
                fully_labeled: status.fully_labeled_replicas.unwrap_or(0),
                ready: status.ready_replicas.unwrap_or(0),
                available: status.available_replicas.unwrap_or(0),
                terminating: None,
                observed_generation: status.observed_generation,
                conditions: conditions.collect(),
            },
        })
    }
}

impl Status {
    pub fn of_set(self) -> ReplicaSetStatus {
        ReplicaSetStatus {
            replicas: self.replicas,
            fully_labeled_replicas: Some(self.fully_labeled),
            ready_replicas: Some(self.ready),
            available_replicas: Some(self.available),
            terminating_replicas: self.terminating,
            observed_generation: self.observed_generation,
            conditions: (!self.conditions.is_empty()).then_some(self.conditions),
        }
    }

    pub fn of_controller(self) -> ReplicationControllerStatus {
        let conditions = self.conditions.into_iter().map(|c| ReplicationControllerCondition {
            last_transition_time: c.last_transition_time,
            message: c.message,
            reason: c.reason,
            status: c.status,
            type_: c.type_,
        });
        ReplicationControllerStatus {
            replicas: self.replicas,
            fully_labeled_replicas: Some(self.fully_labeled),
            ready_replicas: Some(self.ready),
            available_replicas: Some(self.available),
            observed_generation: self.observed_generation,
            conditions: Some(conditions.collect()),
        }
    }
}

/// What to do for one owner.
#[derive(Debug)]
pub(crate) struct Plan {
    pub claim: Claim<Pod>,
    /// How many pods to make.
    pub create: usize,
    /// Which pods to delete.
    pub delete: Vec<Arc<Pod>>,
    /// When a pod that is ready becomes available.
    pub again_after: Option<Duration>,
    /// The counts of the pods as they are, before anything is made or deleted.
    counted: Status,
}

/// Decides for `owner`, given all pods of its namespace and the pods `related` to it (those of its
/// sibling sets, itself included).
pub(crate) fn plan(owner: &Owner, candidates: &[Arc<Pod>], related: &[Arc<Pod>], now: Timestamp) -> Plan {
    let living: Vec<Arc<Pod>> = candidates.iter().filter(|pod| !is_terminal(pod)).cloned().collect();
    let mut claim = claim(&owner.meta, &owner.selector, &living);
    let terminating = claim.mine.iter().filter(|pod| is_deleting(pod)).count() as i32;
    claim.mine.retain(|pod| is_active(pod));
    claim.release.retain(|pod| is_active(pod));
    let active = &claim.mine;
    let counted = count(owner, active, terminating, now);
    let wanted = usize::try_from(owner.replicas).unwrap_or(0);
    let mut create = 0;
    let mut delete = Vec::new();
    if owner.meta.deletion_timestamp.is_none() {
        create = wanted.saturating_sub(active.len());
        delete = rank(active, related, now);
        delete.truncate(active.len().saturating_sub(wanted));
    }
    let waiting =
        active.iter().filter(|pod| !is_available(pod, owner.min_ready_seconds, now)).map(|pod| &**pod);
    let again_after = next_available(waiting, owner.min_ready_seconds, now);
    Plan { claim, create, delete, again_after, counted }
}

fn count(owner: &Owner, active: &[Arc<Pod>], terminating: i32, now: Timestamp) -> Status {
    let template = owner.template.metadata.clone().unwrap_or_default();
    let template: Selector = labels(&template).clone().into_iter().collect::<Labels>().into_iter().collect();
    let number = |keep: &dyn Fn(&Pod) -> bool| active.iter().filter(|pod| keep(pod)).count() as i32;
    Status {
        replicas: active.len() as i32,
        fully_labeled: number(&|pod| template.matches(labels(&pod.metadata))),
        ready: number(&is_ready),
        available: number(&|pod| is_available(pod, owner.min_ready_seconds, now)),
        terminating: Some(terminating),
        observed_generation: owner.meta.generation,
        conditions: owner.status.conditions.clone(),
    }
}

impl Plan {
    /// The status to write, given how the plan's execution failed; `None` when it is what it was.
    pub fn status(&self, owner: &Owner, failure: Option<&kube::Error>, now: Timestamp) -> Option<Status> {
        let mut status = self.counted.clone();
        if owner.reference.kind == "ReplicationController" {
            status.terminating = None;
        }
        let known = status.conditions.iter().any(|c| c.type_ == "ReplicaFailure");
        match failure {
            None => status.conditions.retain(|c| c.type_ != "ReplicaFailure"),
            Some(error) if !known => {
                let reason = if self.create > 0 { "FailedCreate" } else { "FailedDelete" };
                status.conditions.push(ReplicaSetCondition {
                    type_: "ReplicaFailure".into(),
                    status: "True".into(),
                    reason: Some(reason.into()),
                    message: Some(crate::drive::cause(error)),
                    last_transition_time: time(now),
                });
            }
            Some(_) => {}
        }
        (status != owner.status).then_some(status)
    }
}

#[cfg(test)]
mod tests;
