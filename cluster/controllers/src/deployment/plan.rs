//! The next step of a Deployment.

use super::{
    revision::{annotate, annotate_size, make, revision_of, split},
    rollout::{Sizes, desired, grow, is_recreate, most, rescale, shrink, size, was_resized},
    status,
};
use crate::{
    objects::{Claim, claim, name, selector, uid},
    pods::is_terminal,
};
use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{Deployment, DeploymentStatus, ReplicaSet},
    core::v1::Pod,
};
use std::{sync::Arc, time::Duration};

/// What a decision is made from.
pub(crate) struct Snapshot<'a> {
    pub deployment: &'a Deployment,
    /// All ReplicaSets of the namespace.
    pub replica_sets: &'a [Arc<ReplicaSet>],
    /// The pods that a ReplicaSet manages, by its uid.
    pub owned_pods: &'a (dyn Fn(&str) -> Vec<Arc<Pod>> + Sync),
}

/// A ReplicaSet to write.
#[derive(Debug)]
pub(crate) struct Update {
    pub set: ReplicaSet,
    /// The message of the event ScalingReplicaSet, when its size changes.
    pub event: Option<String>,
}

/// What to do, in this order.
#[derive(Debug)]
pub(crate) struct Plan {
    pub claim: Claim<ReplicaSet>,
    /// The ReplicaSet of a new revision.
    pub create: Option<ReplicaSet>,
    pub update: Vec<Update>,
    /// Revisions beyond the history limit.
    pub delete: Vec<Arc<ReplicaSet>>,
    /// The revision to note on the Deployment.
    pub revision: Option<String>,
    pub status: Option<DeploymentStatus>,
    /// When the rollout will be stuck.
    pub again_after: Option<Duration>,
}

/// Decides the next step; `None` for a Deployment that selects everything.
pub(crate) fn plan(snapshot: &Snapshot, now: Timestamp) -> Option<Plan> {
    let deployment = snapshot.deployment;
    let selector = selector(&deployment.spec.as_ref()?.selector).filter(|s| !s.selects_all())?;
    let claim = claim(&deployment.metadata, &selector, snapshot.replica_sets);
    let (new, old) = split(deployment, &claim.mine);
    let status = deployment.status.clone().unwrap_or_default();
    let mut step = Step {
        snapshot,
        now,
        new,
        old,
        create: None,
        update: Vec::new(),
        delete: Vec::new(),
        status,
        rolls: false,
    };
    let mut revision = None;
    if deployment.metadata.deletion_timestamp.is_none() {
        status::judge_pause(deployment, &mut step.status, now);
        revision = step.roll();
    }
    let mut status = status::count(deployment, step.new.as_ref(), &step.all(), &step.status, now);
    if step.rolls {
        status::judge(deployment, step.new.as_ref(), &step.all(), &mut status, now);
    }
    let again_after = status::due(deployment, &status, now);
    Some(Plan {
        claim,
        create: step.create,
        update: step.update,
        delete: step.delete,
        revision,
        status: (Some(&status) != deployment.status.as_ref()).then_some(status),
        again_after,
    })
}

/// A step as it is put together.
struct Step<'a> {
    snapshot: &'a Snapshot<'a>,
    now: Timestamp,
    /// The ReplicaSet of the current template, perhaps one that is yet to be made.
    new: Option<Arc<ReplicaSet>>,
    /// The others, oldest first.
    old: Vec<Arc<ReplicaSet>>,
    create: Option<ReplicaSet>,
    update: Vec<Update>,
    delete: Vec<Arc<ReplicaSet>>,
    status: DeploymentStatus,
    /// Whether it is a step of a rollout, of which the condition Progressing tells.
    rolls: bool,
}

impl Step<'_> {
    fn all(&self) -> Vec<Arc<ReplicaSet>> {
        self.new.iter().chain(&self.old).cloned().collect()
    }

    /// Decides; the revision to note on the Deployment, when it changes.
    fn roll(&mut self) -> Option<String> {
        let deployment = self.snapshot.deployment;
        let paused = deployment.spec.as_ref().and_then(|spec| spec.paused).unwrap_or(false);
        if paused || was_resized(deployment, &self.all()) {
            let revision = self.identify();
            let sizes = rescale(deployment, self.new.as_ref(), &self.old);
            self.scale(&sizes);
            if paused {
                self.clean_up();
            }
            return revision;
        }
        self.rolls = true;
        if is_recreate(deployment) { self.recreate() } else { self.rolling_update() }
    }

    fn rolling_update(&mut self) -> Option<String> {
        let revision = self.identify().or_else(|| self.make());
        let deployment = self.snapshot.deployment;
        let Some(new) = self.new.clone() else { return revision };
        let grown = grow(deployment, &self.all(), size(&new));
        if grown != size(&new) && self.create.is_none() {
            self.scale(&Sizes::from([(name(&new.metadata).to_owned(), grown)]));
            return revision;
        }
        let shrunk = shrink(deployment, &new, &self.old);
        if self.create.is_none() && !shrunk.is_empty() {
            self.scale(&shrunk);
            return revision;
        }
        self.clean_up_when_complete();
        revision
    }

    fn recreate(&mut self) -> Option<String> {
        let revision = self.identify();
        let down: Sizes = self
            .old
            .iter()
            .filter(|set| size(set) > 0)
            .map(|set| (name(&set.metadata).to_owned(), 0))
            .collect();
        if !down.is_empty() {
            self.scale(&down);
            return revision;
        }
        let running = |set: &Arc<ReplicaSet>| {
            (self.snapshot.owned_pods)(uid(&set.metadata)).iter().any(|pod| !is_terminal(pod))
        };
        if self.old.iter().any(running) {
            return revision;
        }
        let revision = revision.or_else(|| self.make());
        if let Some(new) = self.new.clone()
            && self.create.is_none()
        {
            self.scale(&Sizes::from([(name(&new.metadata).to_owned(), desired(self.snapshot.deployment))]));
        }
        self.clean_up_when_complete();
        revision
    }

    fn next_revision(&self) -> i64 {
        self.old.iter().map(|set| revision_of(&set.metadata)).max().unwrap_or(0) + 1
    }

    /// Brings the annotations of an existing new ReplicaSet up to date.
    fn identify(&mut self) -> Option<String> {
        let deployment = self.snapshot.deployment;
        let new = self.new.clone()?;
        let mut set = (*new).clone();
        let min_ready = deployment.spec.as_ref().and_then(|spec| spec.min_ready_seconds);
        let mut changed = annotate(&mut set, deployment, self.next_revision());
        if let Some(spec) = &mut set.spec
            && spec.min_ready_seconds.unwrap_or(0) != min_ready.unwrap_or(0)
        {
            spec.min_ready_seconds = min_ready;
            changed = true;
        }
        if changed {
            self.put(set.clone(), None);
        }
        if status::deadline(deployment).is_some() && status::condition(&self.status, "Progressing").is_none()
        {
            let message = format!("Found new replica set {:?}", name(&set.metadata));
            status::set(&mut self.status, "Progressing", "True", "FoundNewReplicaSet", &message, self.now);
        }
        let revision = revision_of(&set.metadata);
        (revision != revision_of(&deployment.metadata)).then(|| revision.to_string())
    }

    /// Makes a ReplicaSet for a new revision when there is none.
    fn make(&mut self) -> Option<String> {
        if self.new.is_some() {
            return None;
        }
        let deployment = self.snapshot.deployment;
        let revision = self.next_revision();
        let mut set = make(deployment, revision);
        if let Some(spec) = &mut set.spec {
            spec.replicas = Some(grow(deployment, &self.old, 0));
        }
        annotate_size(&mut set, desired(deployment), most(deployment));
        if status::deadline(deployment).is_some() {
            let message = format!("Created new replica set {:?}", name(&set.metadata));
            status::set(&mut self.status, "Progressing", "True", "NewReplicaSetCreated", &message, self.now);
        }
        self.new = Some(Arc::new(set.clone()));
        self.create = Some(set);
        Some(revision.to_string())
    }

    /// Writes new sizes, and for which size of the Deployment they are.
    fn scale(&mut self, sizes: &Sizes) {
        let deployment = self.snapshot.deployment;
        for set in self.all() {
            let Some(to) = sizes.get(name(&set.metadata)).copied() else { continue };
            let from = size(&set);
            let mut set = (*set).clone();
            let noted = annotate_size(&mut set, desired(deployment), most(deployment));
            if from == to && !noted {
                continue;
            }
            if let Some(spec) = &mut set.spec {
                spec.replicas = Some(to);
            }
            let direction = if to > from { "up" } else { "down" };
            let event = (from != to).then(|| {
                format!("Scaled {direction} replica set {} from {from} to {to}", name(&set.metadata))
            });
            self.put(set, event);
        }
    }

    fn put(&mut self, set: ReplicaSet, event: Option<String>) {
        let same = |other: &ReplicaSet| uid(&other.metadata) == uid(&set.metadata);
        let shared = Arc::new(set.clone());
        for known in self.new.iter_mut().chain(self.old.iter_mut()) {
            if same(known) {
                *known = shared.clone();
            }
        }
        match self.update.iter_mut().find(|update| same(&update.set)) {
            Some(update) => {
                update.event = event.or(update.event.take());
                update.set = set;
            }
            None => self.update.push(Update { set, event }),
        }
    }

    fn clean_up_when_complete(&mut self) {
        let deployment = self.snapshot.deployment;
        let status = status::count(deployment, self.new.as_ref(), &self.all(), &self.status, self.now);
        if status::is_complete(deployment, &status) {
            self.clean_up();
        }
    }

    /// Drops the oldest revisions beyond the limit that have no pods any more.
    fn clean_up(&mut self) {
        let limit = self.snapshot.deployment.spec.as_ref().and_then(|spec| spec.revision_history_limit);
        let Some(limit) = limit.and_then(|limit| usize::try_from(limit).ok()) else { return };
        let mut old: Vec<_> =
            self.old.iter().filter(|set| set.metadata.deletion_timestamp.is_none()).collect();
        old.sort_by_key(|set| revision_of(&set.metadata));
        let surplus = old.len().saturating_sub(limit);
        let idle = |set: &ReplicaSet| {
            let status = set.status.clone().unwrap_or_default();
            status.replicas == 0 && size(set) == 0 && status.observed_generation >= set.metadata.generation
        };
        self.delete = old.into_iter().take(surplus).filter(|set| idle(set)).cloned().collect();
    }
}

#[cfg(test)]
mod tests;
