//! Deletes finished Jobs after their `ttlSecondsAfterFinished`.

use crate::{
    Acting,
    drive::{Controller, drive, gone_is_fine, on_self},
    objects::{api_in, name, only, remaining},
};
use async_trait::async_trait;
use client::ObjectKey;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use kube::{
    Api,
    api::{DeleteParams, PropagationPolicy},
};
use std::time::Duration;

pub(crate) async fn run(acting: Acting) {
    let sources = vec![on_self(&acting.caches.jobs)];
    drive(acting.clone(), Runner { acting }, sources).await;
}

struct Runner {
    acting: Acting,
}

#[async_trait]
impl Controller for Runner {
    fn name(&self) -> &'static str {
        "ttl-after-finished"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Option<Duration>, kube::Error> {
        let Some(job) = self.acting.caches.jobs.get(&key.namespace, &key.name) else { return Ok(None) };
        match plan(&job, Timestamp::now()) {
            None => Ok(None),
            Some(delay) if !delay.is_zero() => Ok(Some(delay)),
            Some(_) => {
                let api: Api<Job> = api_in(&self.acting.client, &key.namespace);
                let policy = Some(PropagationPolicy::Foreground);
                let params = DeleteParams { propagation_policy: policy, ..only(&job.metadata) };
                gone_is_fine(api.delete(name(&job.metadata), &params).await)?;
                Ok(None)
            }
        }
    }
}

/// In how long the Job goes; `None` if it stays.
fn plan(job: &Job, now: Timestamp) -> Option<Duration> {
    let ttl = job.spec.as_ref()?.ttl_seconds_after_finished?;
    if job.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let finished = |kind: &str| matches!(kind, "Complete" | "Failed");
    let condition = conditions.iter().find(|c| finished(&c.type_) && c.status == "True")?;
    let since = condition.last_transition_time.as_ref()?.0;
    let ttl = Duration::from_secs(u64::try_from(ttl).ok()?);
    Some(remaining(since, ttl, now).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{START, at, object};
    use serde_json::json;

    #[test]
    fn only_finished_jobs_go() {
        let job = |kind: &str, ttl: i32| -> Job {
            object(json!({ "spec": { "ttlSecondsAfterFinished": ttl, "template": {} },
                "status": { "conditions": [{ "type": kind, "status": "True", "lastTransitionTime": START }] } }))
        };
        assert_eq!(plan(&job("Suspended", 5), at(9)), None);
        assert_eq!(plan(&job("Complete", 5), at(3)), Some(Duration::from_secs(2)));
        assert_eq!(plan(&job("Failed", 5), at(5)), Some(Duration::ZERO));
        assert_eq!(plan(&Job::default(), at(5)), None);
    }
}
