//! What a Job counts, makes and ends.

use super::TRACKING;
use crate::{
    objects::{
        Claim, annotation, claim, created, name, namespace, owner_reference, remaining, selector, time, uid,
    },
    pods::{self, is_active, is_deleting, is_ready, is_terminal, phase, restarts},
};
use client::EventType;
use jiff::Timestamp;
use k8s_openapi::api::{
    batch::v1::{Job, JobCondition, JobSpec, JobStatus, UncountedTerminatedPods},
    core::v1::{EnvVar, EnvVarSource, ObjectFieldSelector, Pod},
};
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

const INDEX_KEY: &str = "batch.kubernetes.io/job-completion-index";
const INDEX_VARIABLE: &str = "JOB_COMPLETION_INDEX";
/// The delay before a failed pod is replaced, doubled with each further failure.
const FIRST_BACKOFF: Duration = Duration::from_secs(10);
const LONGEST_BACKOFF: Duration = Duration::from_secs(600);

#[derive(Debug)]
pub(crate) struct Plan {
    pub claim: Claim<Pod>,
    pub create: Vec<Pod>,
    pub delete: Vec<Arc<Pod>>,
    /// Pods that are counted once the status is written.
    pub release: Vec<Arc<Pod>>,
    pub status: Option<JobStatus>,
    pub events: Vec<(EventType, &'static str, String)>,
    pub again_after: Option<Duration>,
}

/// Decides; `None` for a Job that is not valid, or that somebody else manages.
pub(crate) fn plan(job: &Job, pods: &[Arc<Pod>], now: Timestamp) -> Option<Plan> {
    let spec = job.spec.as_ref()?;
    if spec.managed_by.as_deref().is_some_and(|by| by != "kubernetes.io/job-controller") {
        return None;
    }
    let selector = selector(spec.selector.as_ref()?).filter(|s| !s.selects_all())?;
    let claim = claim(&job.metadata, &selector, pods);
    let mut step = Step::new(job, spec, claim.mine.clone(), now);
    step.count();
    if step.finished().is_none() {
        step.judge();
        step.staff();
    } else {
        step.delete.extend(step.active.clone());
    }
    Some(step.done(claim))
}

struct Step<'a> {
    job: &'a Job,
    spec: &'a JobSpec,
    pods: Vec<Arc<Pod>>,
    active: Vec<Arc<Pod>>,
    now: Timestamp,
    status: JobStatus,
    create: Vec<Pod>,
    delete: Vec<Arc<Pod>>,
    release: Vec<Arc<Pod>>,
    events: Vec<(EventType, &'static str, String)>,
    again_after: Option<Duration>,
    /// Counted ones, and those that are noted.
    succeeded: i32,
    failed: i32,
    indexes: BTreeSet<i32>,
}

impl<'a> Step<'a> {
    fn new(job: &'a Job, spec: &'a JobSpec, pods: Vec<Arc<Pod>>, now: Timestamp) -> Self {
        let active = pods.iter().filter(|pod| is_active(pod)).cloned().collect();
        Self {
            job,
            spec,
            pods,
            active,
            now,
            status: job.status.clone().unwrap_or_default(),
            create: Vec::new(),
            delete: Vec::new(),
            release: Vec::new(),
            events: Vec::new(),
            again_after: None,
            succeeded: 0,
            failed: 0,
            indexes: BTreeSet::new(),
        }
    }

    fn is_indexed(&self) -> bool {
        self.spec.completion_mode.as_deref() == Some("Indexed")
    }

    fn is_suspended(&self) -> bool {
        self.spec.suspend.unwrap_or(false)
    }

    /// The condition that ended the Job.
    fn finished(&self) -> Option<&JobCondition> {
        let conditions = self.status.conditions.iter().flatten();
        conditions
            .into_iter()
            .find(|c| matches!(c.type_.as_str(), "Complete" | "Failed") && c.status == "True")
    }

    fn has(&self, kind: &str) -> bool {
        self.status.conditions.iter().flatten().any(|c| c.type_ == kind && c.status == "True")
    }

    /// Turns notes into numbers, notes new pods that ended, and lets noted ones go.
    fn count(&mut self) {
        let tracked = |pod: &Pod| pod.metadata.finalizers.iter().flatten().any(|f| f == TRACKING);
        let held: HashMap<&str, &Arc<Pod>> =
            self.pods.iter().filter(|pod| tracked(pod)).map(|pod| (uid(&pod.metadata), pod)).collect();
        let mut notes = self.status.uncounted_terminated_pods.take().unwrap_or_default();
        self.indexes = parse_indexes(self.status.completed_indexes.as_deref().unwrap_or(""));
        let keep = |list: &mut Option<Vec<String>>, number: &mut Option<i32>| {
            let all = list.take().unwrap_or_default();
            let (still, counted): (Vec<_>, Vec<_>) =
                all.into_iter().partition(|uid| held.contains_key(uid.as_str()));
            *number = Some(number.unwrap_or(0) + counted.len() as i32).filter(|n| *n > 0);
            still
        };
        let mut succeeded = keep(&mut notes.succeeded, &mut self.status.succeeded);
        let mut failed = keep(&mut notes.failed, &mut self.status.failed);
        let replaces_terminating = self.spec.pod_replacement_policy.as_deref() != Some("Failed");
        for (pod_uid, pod) in held {
            let known = succeeded.iter().chain(&failed).any(|noted| noted == pod_uid);
            let index = index_of(pod);
            if phase(pod) == "Succeeded" {
                let repeated = self.is_indexed() && index.is_none_or(|index| self.indexes.contains(&index));
                self.indexes.extend(index);
                if !known && !repeated && !self.is_indexed() {
                    succeeded.push(pod_uid.to_owned());
                }
                self.release.push(pod.clone());
            } else if phase(pod) == "Failed" || (is_deleting(pod) && replaces_terminating) {
                if !known {
                    failed.push(pod_uid.to_owned());
                }
                self.release.push(pod.clone());
            }
        }
        succeeded.sort();
        failed.sort();
        self.release.sort_by_key(|pod| name(&pod.metadata).to_owned());
        self.succeeded = self.status.succeeded.unwrap_or(0) + succeeded.len() as i32;
        if self.is_indexed() {
            let completions = self.spec.completions.unwrap_or(0);
            self.indexes.retain(|index| *index < completions);
            self.succeeded = self.indexes.len() as i32;
            self.status.succeeded = Some(self.succeeded).filter(|n| *n > 0);
            self.status.completed_indexes =
                Some(format_indexes(&self.indexes)).filter(|text| !text.is_empty());
        }
        self.failed = self.status.failed.unwrap_or(0) + failed.len() as i32;
        let some = |list: Vec<String>| Some(list).filter(|list| !list.is_empty());
        self.status.uncounted_terminated_pods =
            Some(UncountedTerminatedPods { succeeded: some(succeeded), failed: some(failed) });
        self.status.active = Some(self.active.len() as i32).filter(|n| *n > 0);
        self.status.ready = Some(self.active.iter().filter(|pod| is_ready(pod)).count() as i32);
        self.status.terminating =
            Some(self.pods.iter().filter(|pod| is_deleting(pod) && !is_terminal(pod)).count() as i32);
    }

    /// Ends the Job when it has reached its goal or its limits.
    fn judge(&mut self) {
        let failure = self.failure();
        if let Some((reason, message)) = failure {
            if !self.has("FailureTarget") {
                self.set("FailureTarget", "True", reason, &message);
            }
            self.delete.extend(self.active.clone());
            if self.active.is_empty() && self.status.terminating.unwrap_or(0) == 0 {
                self.set("Failed", "True", reason, &message);
                self.events.push((EventType::Warning, reason, message));
            }
            return;
        }
        let reached = match self.spec.completions {
            Some(completions) => self.succeeded >= completions,
            None => self.succeeded > 0 && self.active.is_empty(),
        };
        if !reached {
            return;
        }
        let message = "Reached expected number of succeeded pods";
        if !self.has("SuccessCriteriaMet") {
            self.set("SuccessCriteriaMet", "True", "CompletionsReached", message);
        }
        self.delete.extend(self.active.clone());
        if self.active.is_empty() && self.status.terminating.unwrap_or(0) == 0 {
            self.set("Complete", "True", "CompletionsReached", message);
            self.status.completion_time = time(self.now);
            self.events.push((EventType::Normal, "Completed", "Job completed".into()));
        }
    }

    fn failure(&mut self) -> Option<(&'static str, String)> {
        if let Some(target) = self.status.conditions.iter().flatten().find(|c| c.type_ == "FailureTarget") {
            let reason = match target.reason.as_deref() {
                Some("DeadlineExceeded") => "DeadlineExceeded",
                _ => "BackoffLimitExceeded",
            };
            return Some((reason, target.message.clone().unwrap_or_default()));
        }
        let limit = self.spec.backoff_limit.unwrap_or(6);
        let on_failure =
            self.spec.template.spec.as_ref().and_then(|s| s.restart_policy.as_deref()) == Some("OnFailure");
        let restarted: i32 = if on_failure { self.active.iter().map(|pod| restarts(pod)).sum() } else { 0 };
        if self.failed > limit
            || (on_failure && limit > 0 && restarted >= limit)
            || (on_failure && limit == 0 && restarted > 0)
        {
            return Some(("BackoffLimitExceeded", "Job has reached the specified backoff limit".into()));
        }
        let deadline =
            self.spec.active_deadline_seconds.and_then(|s| u64::try_from(s).ok()).map(Duration::from_secs)?;
        let start = self.status.start_time.as_ref().filter(|_| !self.is_suspended())?.0;
        match remaining(start, deadline, self.now) {
            None => Some(("DeadlineExceeded", "Job was active longer than specified deadline".into())),
            Some(left) => {
                self.wake_in(left);
                None
            }
        }
    }

    fn wake_in(&mut self, delay: Duration) {
        self.again_after = Some(self.again_after.map_or(delay, |now| now.min(delay)));
    }

    /// Starts, stops, makes and ends pods.
    fn staff(&mut self) {
        if self.finished().is_some() || self.has("FailureTarget") || self.has("SuccessCriteriaMet") {
            return;
        }
        if self.is_suspended() {
            self.delete.extend(self.active.clone());
            if !self.has("Suspended") {
                self.set("Suspended", "True", "JobSuspended", "Job suspended");
                self.events.push((EventType::Normal, "Suspended", "Job suspended".into()));
                self.status.start_time = None;
            }
            return;
        }
        if self.has("Suspended") {
            self.set("Suspended", "False", "JobResumed", "Job resumed");
            self.events.push((EventType::Normal, "Resumed", "Job resumed".into()));
            self.status.start_time = None;
        }
        if self.status.start_time.is_none() {
            self.status.start_time = time(self.now);
        }
        let wanted = self.wanted();
        let active = self.active.len();
        if active > wanted {
            let mut surplus = crate::replicas::rank(&self.active, &[], self.now);
            surplus.truncate(active - wanted);
            self.delete.extend(surplus);
        } else if active < wanted {
            match self.backoff() {
                Some(delay) => self.wake_in(delay),
                None => self.make(wanted - active),
            }
        }
    }

    fn wanted(&self) -> usize {
        let parallel = usize::try_from(self.spec.parallelism.unwrap_or(1)).unwrap_or(0);
        let waiting = match self.spec.pod_replacement_policy.as_deref() {
            Some("Failed") => self.status.terminating.unwrap_or(0) as usize,
            _ => 0,
        };
        match self.spec.completions {
            None if self.succeeded > 0 => self.active.len(),
            None => parallel.saturating_sub(waiting),
            Some(completions) => {
                let left = usize::try_from(completions - self.succeeded).unwrap_or(0);
                left.min(parallel).saturating_sub(waiting)
            }
        }
    }

    /// How long to wait before the next pod, because pods failed.
    fn backoff(&self) -> Option<Duration> {
        let failures: Vec<&Arc<Pod>> = self.pods.iter().filter(|pod| phase(pod) == "Failed").collect();
        let last = failures.iter().map(|pod| ended(pod)).max()?;
        let last_success =
            self.pods.iter().filter(|pod| phase(pod) == "Succeeded").map(|pod| ended(pod)).max();
        let in_a_row = failures.iter().filter(|pod| Some(ended(pod)) > last_success).count().max(1);
        let delay = FIRST_BACKOFF.saturating_mul(1 << (in_a_row - 1).min(10)).min(LONGEST_BACKOFF);
        remaining(last, delay, self.now)
    }

    fn make(&mut self, number: usize) {
        if !self.is_indexed() {
            let pod = self.pod();
            self.create = vec![pod; number];
            return;
        }
        let taken: BTreeSet<i32> = self.active.iter().filter_map(|pod| index_of(pod)).collect();
        let completions = self.spec.completions.unwrap_or(0);
        let free = (0..completions).filter(|index| !taken.contains(index) && !self.indexes.contains(index));
        self.create = free.take(number).map(|index| self.indexed_pod(index)).collect();
    }

    fn pod(&self) -> Pod {
        let meta = &self.job.metadata;
        let mut pod =
            pods::from_template(&self.spec.template, name(meta), namespace(meta), owner_reference(self.job));
        pod.metadata.finalizers.get_or_insert_default().push(TRACKING.into());
        pod
    }

    fn indexed_pod(&self, index: i32) -> Pod {
        let mut pod = self.pod();
        let prefix = format!("{}-{index}", name(&self.job.metadata));
        pod.metadata.generate_name = Some(format!("{prefix}-"));
        pod.metadata.annotations.get_or_insert_default().insert(INDEX_KEY.into(), index.to_string());
        pod.metadata.labels.get_or_insert_default().insert(INDEX_KEY.into(), index.to_string());
        let spec = pod.spec.get_or_insert_default();
        spec.hostname = Some(prefix);
        let variable = EnvVar {
            name: INDEX_VARIABLE.into(),
            value_from: Some(EnvVarSource {
                field_ref: Some(ObjectFieldSelector {
                    api_version: None,
                    field_path: format!("metadata.labels['{INDEX_KEY}']"),
                }),
                ..EnvVarSource::default()
            }),
            ..EnvVar::default()
        };
        for container in spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()) {
            let env = container.env.get_or_insert_default();
            if !env.iter().any(|known| known.name == INDEX_VARIABLE) {
                env.push(variable.clone());
            }
        }
        pod
    }

    fn set(&mut self, kind: &str, value: &str, reason: &str, message: &str) {
        let conditions = self.status.conditions.get_or_insert_default();
        conditions.retain(|c| c.type_ != kind);
        conditions.push(JobCondition {
            type_: kind.into(),
            status: value.into(),
            reason: Some(reason.into()),
            message: Some(message.into()),
            last_probe_time: time(self.now),
            last_transition_time: time(self.now),
        });
    }

    fn done(self, claim: Claim<Pod>) -> Plan {
        let status = (self.job.status.as_ref() != Some(&self.status)).then_some(self.status);
        Plan {
            claim,
            create: self.create,
            delete: self.delete,
            release: self.release,
            status,
            events: self.events,
            again_after: self.again_after,
        }
    }
}

/// When the last container of the pod ended.
fn ended(pod: &Pod) -> Timestamp {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let times =
        statuses.filter_map(|c| c.state.as_ref()?.terminated.as_ref()?.finished_at.as_ref().map(|t| t.0));
    times.max().unwrap_or_else(|| created(&pod.metadata))
}

fn index_of(pod: &Pod) -> Option<i32> {
    annotation(&pod.metadata, INDEX_KEY)?.parse().ok()
}

/// `1,3-5,7` as a set.
fn parse_indexes(text: &str) -> BTreeSet<i32> {
    let mut indexes = BTreeSet::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse::<i32>(), last.parse::<i32>()) {
            indexes.extend(first..=last);
        }
    }
    indexes
}

/// A set as `1,3-5,7`.
fn format_indexes(indexes: &BTreeSet<i32>) -> String {
    let mut runs: Vec<(i32, i32)> = Vec::new();
    for index in indexes {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *index => *last = *index,
            _ => runs.push((*index, *index)),
        }
    }
    let text = runs.into_iter().map(|(first, last)| match last - first {
        0 => first.to_string(),
        1 => format!("{first},{last}"),
        _ => format!("{first}-{last}"),
    });
    text.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests;
