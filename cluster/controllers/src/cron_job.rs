//! CronJobs: a Job at every moment that a schedule names.

mod plan;

use crate::{
    Acting,
    caches::BY_CONTROLLER,
    drive::{Controller, cause, drive, gone_is_fine, is_code, on, on_self},
    objects::{api_in, controller_key, name, namespace, only, put_status, uid},
};
use async_trait::async_trait;
use client::{EventType, ObjectKey, Recorder};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use kube::{
    Api,
    api::{DeleteParams, PostParams, PropagationPolicy},
};
use plan::{Plan, plan};
use std::time::Duration;

pub(crate) async fn run(acting: Acting) {
    let jobs = on(&acting.caches.jobs, |change| {
        change.both().filter_map(|job| controller_key(&**job, "CronJob")).collect::<Vec<_>>()
    });
    let recorder = acting.recorder("cronjob-controller");
    let sources = vec![on_self(&acting.caches.cron_jobs), jobs];
    drive(acting.clone(), Runner { acting, recorder }, sources).await;
}

struct Runner {
    acting: Acting,
    recorder: Recorder,
}

#[async_trait]
impl Controller for Runner {
    fn name(&self) -> &'static str {
        "cronjob"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Option<Duration>, kube::Error> {
        let caches = &self.acting.caches;
        let Some(cron) = caches.cron_jobs.get(&key.namespace, &key.name) else { return Ok(None) };
        if cron.metadata.deletion_timestamp.is_some() {
            return Ok(None);
        }
        let jobs = caches.jobs.by_index(BY_CONTROLLER, uid(&cron.metadata));
        let plan = plan(&cron, &jobs, Timestamp::now());
        self.act(&cron, &plan).await?;
        Ok(plan.again_after)
    }
}

impl Runner {
    async fn act(&self, cron: &CronJob, plan: &Plan) -> Result<(), kube::Error> {
        let caches = &self.acting.caches;
        let jobs: Api<Job> = api_in(&self.acting.client, namespace(&cron.metadata));
        for (kind, reason, message) in &plan.events {
            self.recorder.about(cron, *kind, reason, message.clone());
        }
        for job in &plan.delete {
            let policy = Some(PropagationPolicy::Background);
            let params = DeleteParams { propagation_policy: policy, ..only(&job.metadata) };
            gone_is_fine(jobs.delete(name(&job.metadata), &params).await)?;
            let message = format!("Deleted job {}", name(&job.metadata));
            self.recorder.about(cron, EventType::Normal, "SuccessfulDelete", message);
        }
        if let Some(job) = &plan.create {
            // Its name says for which moment it is: one that is there already is the one.
            match jobs.create(&PostParams::default(), job).await {
                Ok(made) => {
                    let message = format!("Created job {}", name(&made.metadata));
                    self.recorder.about(cron, EventType::Normal, "SuccessfulCreate", message);
                    caches.jobs.note(made);
                }
                Err(error) if is_code(&error, 409) => {}
                Err(error) => {
                    let message = format!("Error creating job: {}", cause(&error));
                    self.recorder.about(cron, EventType::Warning, "FailedCreate", message);
                    return Err(error);
                }
            }
        }
        if let Some(status) = &plan.status {
            let api: Api<CronJob> = api_in(&self.acting.client, namespace(&cron.metadata));
            put_status(&api, &caches.cron_jobs, &CronJob { status: Some(status.clone()), ..cron.clone() })
                .await?;
        }
        Ok(())
    }
}
