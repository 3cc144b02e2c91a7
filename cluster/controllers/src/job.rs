//! Jobs: pods that run until enough of them have succeeded.
//!
//! Every pod of a Job carries a finalizer until it was counted, so that none is counted twice and
//! none is missed: first its uid is noted in the status, then the finalizer goes, then the note
//! becomes a number.

mod plan;

use crate::{
    Acting,
    drive::{Controller, cause, drive, gone_is_fine, on, on_self},
    objects::{api_in, controller_key, name, namespace, only, owner_reference, put_status, settle},
    pods::is_deleting,
};
use async_trait::async_trait;
use client::{EventType, ObjectKey, Recorder};
use jiff::Timestamp;
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use plan::{Plan, plan};
use std::time::Duration;

/// The finalizer of a pod that was not counted yet.
pub(crate) const TRACKING: &str = "batch.kubernetes.io/job-tracking";

pub(crate) async fn run(acting: Acting) {
    let pods = on(&acting.caches.pods, |change| {
        change.both().filter_map(|pod| controller_key(&**pod, "Job")).collect::<Vec<_>>()
    });
    let recorder = acting.recorder("job-controller");
    let sources = vec![on_self(&acting.caches.jobs), pods];
    drive(acting.clone(), Runner { acting, recorder }, sources).await;
}

struct Runner {
    acting: Acting,
    recorder: Recorder,
}

#[async_trait]
impl Controller for Runner {
    fn name(&self) -> &'static str {
        "job"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Option<Duration>, kube::Error> {
        let caches = &self.acting.caches;
        let pods = caches.pods.list_in(&key.namespace);
        let job = caches.jobs.get(&key.namespace, &key.name);
        let Some(job) = job.filter(|job| job.metadata.deletion_timestamp.is_none()) else {
            // Nobody counts these pods any more.
            let orphans = pods.iter().filter(|pod| controller_key(&***pod, "Job").as_ref() == Some(key));
            for pod in orphans {
                self.release(pod).await?;
            }
            return Ok(None);
        };
        let Some(plan) = plan(&job, &pods, Timestamp::now()) else { return Ok(None) };
        self.act(&job, &plan).await?;
        Ok(plan.again_after)
    }
}

impl Runner {
    async fn act(&self, job: &Job, plan: &Plan) -> Result<(), kube::Error> {
        let caches = &self.acting.caches;
        let pods: Api<Pod> = api_in(&self.acting.client, namespace(&job.metadata));
        settle(&pods, &caches.pods, &owner_reference(job), &plan.claim).await?;
        if let Some(status) = &plan.status {
            let api: Api<Job> = api_in(&self.acting.client, namespace(&job.metadata));
            put_status(&api, &caches.jobs, &Job { status: Some(status.clone()), ..job.clone() }).await?;
        }
        for (kind, reason, message) in &plan.events {
            self.recorder.about(job, *kind, reason, message.clone());
        }
        for pod in &plan.release {
            self.release(pod).await?;
        }
        for pod in &plan.delete {
            let deleted = gone_is_fine(pods.delete(name(&pod.metadata), &only(&pod.metadata)).await)?;
            if let Some(deleted) = deleted.and_then(|d| d.left()).filter(is_deleting) {
                caches.pods.note(deleted);
            }
            let message = format!("Deleted pod: {}", name(&pod.metadata));
            self.recorder.about(job, EventType::Normal, "SuccessfulDelete", message);
        }
        let creations = plan.create.iter().map(|pod| self.create(job, &pods, pod));
        futures::future::try_join_all(creations).await?;
        Ok(())
    }

    async fn create(&self, job: &Job, pods: &Api<Pod>, pod: &Pod) -> Result<(), kube::Error> {
        match pods.create(&PostParams::default(), pod).await {
            Ok(made) => {
                let message = format!("Created pod: {}", name(&made.metadata));
                self.recorder.about(job, EventType::Normal, "SuccessfulCreate", message);
                self.acting.caches.pods.note(made);
                Ok(())
            }
            Err(error) => {
                self.recorder.about(
                    job,
                    EventType::Warning,
                    "FailedCreate",
                    format!("Error creating: {}", cause(&error)),
                );
                Err(error)
            }
        }
    }

    /// The pod was counted, and may go.
    async fn release(&self, pod: &Pod) -> Result<(), kube::Error> {
        let Some(finalizers) = &pod.metadata.finalizers else { return Ok(()) };
        if !finalizers.iter().any(|f| f == TRACKING) {
            return Ok(());
        }
        let left: Vec<&String> = finalizers.iter().filter(|f| *f != TRACKING).collect();
        let patch = serde_json::json!({ "metadata": { "uid": pod.metadata.uid,
            "resourceVersion": pod.metadata.resource_version, "finalizers": left } });
        let pods: Api<Pod> = api_in(&self.acting.client, namespace(&pod.metadata));
        let patched = pods.patch(name(&pod.metadata), &PatchParams::default(), &Patch::Merge(patch)).await;
        if let Some(patched) = gone_is_fine(patched)?
            && !(is_deleting(&patched) && left.is_empty())
        {
            self.acting.caches.pods.note(patched);
        }
        Ok(())
    }
}
