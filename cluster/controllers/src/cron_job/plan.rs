//! Which moment is due, and what to do about it.

use crate::objects::{created, name, owner_reference, time};
use client::EventType;
use croner::Cron;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use k8s_openapi::api::{
    batch::v1::{CronJob, CronJobSpec, CronJobStatus, Job},
    core::v1::ObjectReference,
};
use kube::{Resource, api::ObjectMeta};
use std::{str::FromStr, sync::Arc, time::Duration};

/// The annotation of a Job that says for which moment it was made.
const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";
/// So many missed moments are looked through; of more, nobody can want them.
const MISSED_LIMIT: usize = 100;

#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub create: Option<Job>,
    pub delete: Vec<Arc<Job>>,
    pub status: Option<CronJobStatus>,
    pub events: Vec<(EventType, &'static str, String)>,
    /// Until the next moment.
    pub again_after: Option<Duration>,
}

/// Decides about `cron`, given the Jobs that it made.
pub(crate) fn plan(cron: &CronJob, jobs: &[Arc<Job>], now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let spec = &cron.spec;
    let mut status = cron.status.clone().unwrap_or_default();
    let mut running: Vec<&Arc<Job>> = jobs.iter().filter(|job| ended(job).is_none()).collect();
    running.sort_by_key(|job| created(&job.metadata));
    let successes = jobs.iter().filter(|job| ended(job) == Some(true));
    let last_success = successes.filter_map(|job| job.status.as_ref()?.completion_time.clone()).max();
    status.last_successful_time = last_success.max(status.last_successful_time.take());
    plan.delete = surplus(spec, jobs);
    if !spec.suspend.unwrap_or(false) {
        match due(cron, spec, now) {
            Err(error) => plan.events.push((EventType::Warning, "UnparseableSchedule", error)),
            Ok(due) => {
                plan.again_after =
                    due.next.and_then(|next| Duration::try_from(next.duration_since(now)).ok());
                if due.missed > MISSED_LIMIT {
                    let message = "too many missed start times: set or decrease .spec.startingDeadlineSeconds, or check the clock";
                    plan.events.push((EventType::Warning, "TooManyMissedTimes", message.into()));
                }
                if let Some(moment) = due.last {
                    start(cron, spec, moment, &running, &mut status, &mut plan);
                }
            }
        }
    }
    let gone: Vec<_> = plan.delete.iter().map(|job| job.metadata.uid.clone()).collect();
    running.retain(|job| !gone.contains(&job.metadata.uid));
    let reference = |job: &&Arc<Job>| ObjectReference {
        resource_version: job.metadata.resource_version.clone(),
        ..job.object_ref(&())
    };
    let known = status.active.take().unwrap_or_default();
    let same = |a: &ObjectReference, b: &ObjectReference| a.uid == b.uid;
    let active: Vec<_> = running.iter().map(reference).collect();
    let unchanged = known.len() == active.len() && known.iter().zip(&active).all(|(a, b)| same(a, b));
    status.active = Some(if unchanged { known } else { active }).filter(|list| !list.is_empty());
    plan.status = (cron.status.as_ref() != Some(&status)).then_some(status);
    plan
}

/// Whether the Job has ended, and well.
fn ended(job: &Job) -> Option<bool> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let ending = conditions
        .iter()
        .find(|c| matches!(c.type_.as_str(), "Complete" | "Failed") && c.status == "True")?;
    Some(ending.type_ == "Complete")
}

struct Due {
    /// The last moment that has passed without a Job, and is not too late.
    last: Option<Timestamp>,
    missed: usize,
    next: Option<Timestamp>,
}

fn due(cron: &CronJob, spec: &CronJobSpec, now: Timestamp) -> Result<Due, String> {
    let schedule = Cron::from_str(&spec.schedule)
        .map_err(|e| format!("unparseable schedule {:?}: {e}", spec.schedule))?;
    let zone = match spec.time_zone.as_deref() {
        None => TimeZone::UTC,
        Some(zone) => TimeZone::get(zone).map_err(|e| format!("unknown time zone {zone:?}: {e}"))?,
    };
    let last = cron.status.as_ref().and_then(|s| s.last_schedule_time.as_ref()).map(|t| t.0);
    let mut from = last.unwrap_or_else(|| created(&cron.metadata)).max(Timestamp::UNIX_EPOCH);
    let limit = spec.starting_deadline_seconds.map(|s| now - SignedDuration::from_secs(s));
    from = limit.map_or(from, |limit| from.max(limit));
    let after = |moment: Timestamp| {
        let found = schedule.find_next_occurrence(&moment.to_zoned(zone.clone()), false);
        found.ok().map(|zoned| zoned.timestamp())
    };
    let mut due = Due { last: None, missed: 0, next: None };
    let mut moment = after(from);
    while let Some(passed) = moment.filter(|m| *m <= now) {
        due.last = Some(passed);
        due.missed += 1;
        // After a long time only the last moment matters: jump there.
        moment = if due.missed > MISSED_LIMIT { None } else { after(passed) };
    }
    if due.missed > MISSED_LIMIT {
        let found = schedule.find_previous_occurrence(&now.to_zoned(zone.clone()), true);
        due.last = found.ok().map(|zoned| zoned.timestamp());
    }
    due.next = after(now);
    Ok(due)
}

fn start(
    cron: &CronJob,
    spec: &CronJobSpec,
    moment: Timestamp,
    running: &[&Arc<Job>],
    status: &mut CronJobStatus,
    plan: &mut Plan,
) {
    match spec.concurrency_policy.as_deref() {
        Some("Forbid") if !running.is_empty() => {
            let message =
                "Not starting job because prior execution is running and concurrency policy is Forbid";
            plan.events.push((EventType::Normal, "JobAlreadyActive", message.into()));
            return;
        }
        Some("Replace") => plan.delete.extend(running.iter().map(|job| (*job).clone())),
        _ => {}
    }
    plan.create = Some(make(cron, spec, moment));
    status.last_schedule_time = time(moment);
}

fn make(cron: &CronJob, spec: &CronJobSpec, moment: Timestamp) -> Job {
    let template = spec.job_template.clone();
    let meta = template.metadata.unwrap_or_default();
    let mut annotations = meta.annotations.unwrap_or_default();
    annotations.insert(SCHEDULED.into(), moment.strftime("%FT%TZ").to_string());
    Job {
        metadata: ObjectMeta {
            name: Some(format!("{}-{}", name(&cron.metadata), moment.as_second() / 60)),
            namespace: cron.metadata.namespace.clone(),
            labels: meta.labels,
            annotations: Some(annotations),
            owner_references: Some(vec![owner_reference(cron)]),
            ..ObjectMeta::default()
        },
        spec: template.spec,
        status: None,
    }
}

/// Ended Jobs beyond the history limits.
fn surplus(spec: &CronJobSpec, jobs: &[Arc<Job>]) -> Vec<Arc<Job>> {
    let mut surplus = Vec::new();
    for (well, limit) in [
        (true, spec.successful_jobs_history_limit.unwrap_or(3)),
        (false, spec.failed_jobs_history_limit.unwrap_or(1)),
    ] {
        let mut ended: Vec<_> = jobs.iter().filter(|job| ended(job) == Some(well)).cloned().collect();
        ended.retain(|job| job.metadata.deletion_timestamp.is_none());
        ended.sort_by_key(|job| job.status.as_ref().and_then(|s| s.start_time.clone()));
        let number = ended.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
        surplus.extend(ended.into_iter().take(number));
    }
    surplus
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{START, at, object};
    use serde_json::{Value, json};

    fn cron(spec: Value, last: Option<i64>) -> CronJob {
        let mut value = json!({
            "metadata": { "name": "tick", "namespace": "ns", "uid": "u", "creationTimestamp": START },
            "spec": { "schedule": "*/5 * * * *", "jobTemplate": { "metadata": { "labels": { "a": "b" } }, "spec": { "template": {} } } },
            "status": { "lastScheduleTime": last.map(|s| at(s).to_string()) },
        });
        for (key, part) in spec.as_object().unwrap() {
            value["spec"][key] = part.clone();
        }
        object(value)
    }

    fn job(name: &str, ending: Option<&str>) -> Arc<Job> {
        let conditions: Vec<_> =
            ending.iter().map(|kind| json!({ "type": kind, "status": "True" })).collect();
        Arc::new(object(
            json!({ "metadata": { "name": name, "uid": name }, "status": { "conditions": conditions } }),
        ))
    }

    #[test]
    fn one_job_for_each_moment() {
        let early = plan(&cron(json!({}), None), &[], at(299));
        assert!(early.create.is_none());
        assert_eq!(early.again_after, Some(Duration::from_secs(1)));
        let due = plan(&cron(json!({}), None), &[], at(300));
        let made = due.create.unwrap();
        assert_eq!(made.metadata.name, Some(format!("tick-{}", at(300).as_second() / 60)));
        assert_eq!(made.metadata.annotations.unwrap()[SCHEDULED], "2026-01-01T00:05:00Z");
        assert_eq!(due.status.unwrap().last_schedule_time, time(at(300)));
        assert!(plan(&cron(json!({}), Some(300)), &[], at(301)).create.is_none(), "once");
        // Of several missed moments only the last.
        let late = plan(&cron(json!({}), None), &[], at(1000));
        assert_eq!(late.status.unwrap().last_schedule_time, time(at(900)));
        assert!(
            plan(&cron(json!({ "startingDeadlineSeconds": 50 }), None), &[], at(1000)).create.is_none(),
            "too late"
        );
        assert!(plan(&cron(json!({ "suspend": true }), None), &[], at(300)).create.is_none());
    }

    #[test]
    fn a_long_absence_is_told() {
        let plan = plan(&cron(json!({}), None), &[], at(86_400 * 3 + 7));
        assert_eq!(plan.events[0].1, "TooManyMissedTimes");
        assert_eq!(plan.status.unwrap().last_schedule_time, time(at(86_400 * 3)));
    }

    #[test]
    fn concurrency() {
        let running = [job("a", None)];
        let decide =
            |policy: &str| plan(&cron(json!({ "concurrencyPolicy": policy }), None), &running, at(300));
        assert!(decide("Allow").create.is_some());
        let forbidden = decide("Forbid");
        assert!(forbidden.create.is_none());
        assert_eq!(forbidden.events[0].1, "JobAlreadyActive");
        let replaced = decide("Replace");
        assert_eq!((replaced.create.is_some(), replaced.delete.len()), (true, 1));
    }

    #[test]
    fn history_and_what_is_active() {
        let jobs = [
            job("a", Some("Complete")),
            job("b", Some("Complete")),
            job("c", Some("Failed")),
            job("d", Some("Failed")),
            job("e", None),
        ];
        let decided = plan(&cron(json!({ "successfulJobsHistoryLimit": 1 }), None), &jobs, at(10));
        let gone: Vec<_> = decided.delete.iter().map(|job| name(&job.metadata)).collect();
        assert_eq!(gone, ["a", "c"]);
        assert_eq!(decided.status.unwrap().active.unwrap()[0].name.as_deref(), Some("e"));
    }

    #[test]
    fn time_zones() {
        let berlin = cron(json!({ "schedule": "0 2 * * *", "timeZone": "Europe/Berlin" }), None);
        assert_eq!(plan(&berlin, &[], at(0)).again_after, Some(Duration::from_secs(3600)));
        let wrong = plan(&cron(json!({ "schedule": "every day" }), None), &[], at(0));
        assert_eq!(wrong.events[0].1, "UnparseableSchedule");
    }
}
