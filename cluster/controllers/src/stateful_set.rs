//! StatefulSets: pods with names and volumes of their own, made and ended in order.

mod plan;

use crate::{
    Acting,
    caches::BY_CONTROLLER,
    drive::{Controller, cause, drive, gone_is_fine, is_code, on, on_self},
    history::{forget, hash_of, history, template_of},
    objects::{api_in, controller_key, name, namespace, only, owner_reference, put_status, settle, uid},
    pods::is_deleting,
};
use async_trait::async_trait;
use client::{EventType, ObjectKey, Recorder};
use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{PersistentVolumeClaim, Pod},
};
use kube::{Api, api::PostParams};
use plan::{Plan, Revisions, Snapshot, plan};
use std::time::Duration;

pub(crate) async fn run(acting: Acting) {
    let pods = on(&acting.caches.pods, |change| {
        change.both().filter_map(|pod| controller_key(&**pod, "StatefulSet")).collect::<Vec<_>>()
    });
    let recorder = acting.recorder("statefulset-controller");
    let sources = vec![on_self(&acting.caches.stateful_sets), pods];
    drive(acting.clone(), Runner { acting, recorder }, sources).await;
}

struct Runner {
    acting: Acting,
    recorder: Recorder,
}

#[async_trait]
impl Controller for Runner {
    fn name(&self) -> &'static str {
        "statefulset"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Option<Duration>, kube::Error> {
        let caches = &self.acting.caches;
        let Some(set) = caches.stateful_sets.get(&key.namespace, &key.name) else { return Ok(None) };
        let Some(spec) = &set.spec else { return Ok(None) };
        let collisions = set.status.as_ref().and_then(|status| status.collision_count);
        let revisions = caches.revisions.by_index(BY_CONTROLLER, uid(&set.metadata));
        let history = history(&*set, &spec.template, collisions, revisions);
        if set.metadata.deletion_timestamp.is_none() && !history.settle(&self.acting, &key.namespace).await? {
            return self.avoid_collision(&set).await;
        }
        let update = name(&history.current.metadata).to_owned();
        let noted = set.status.as_ref().and_then(|status| status.current_revision.clone());
        let old = history.others.iter().find(|r| Some(name(&r.metadata)) == noted.as_deref());
        let old_template = old.and_then(|revision| template_of(revision));
        let revisions = Revisions {
            current: old_template.as_ref().and(noted).unwrap_or_else(|| update.clone()),
            current_template: old_template.unwrap_or_else(|| spec.template.clone()),
            update,
        };
        let snapshot = Snapshot { set: &set, pods: &caches.pods.list_in(&key.namespace), revisions };
        let Some(plan) = plan(&snapshot, Timestamp::now()) else { return Ok(None) };
        self.act(&set, &plan).await?;
        let mut in_use = plan.revisions_in_use.clone();
        in_use.insert(hash_of(&history.current).to_owned());
        forget(&self.acting, &key.namespace, &history.surplus(spec.revision_history_limit, &in_use)).await?;
        Ok(plan.again_after)
    }
}

impl Runner {
    async fn act(&self, set: &StatefulSet, plan: &Plan) -> Result<(), kube::Error> {
        let caches = &self.acting.caches;
        let pods: Api<Pod> = api_in(&self.acting.client, namespace(&set.metadata));
        settle(&pods, &caches.pods, &owner_reference(set), &plan.claim).await?;
        // The counts first: what follows may have to wait.
        if let Some(status) = &plan.status {
            let api: Api<StatefulSet> = api_in(&self.acting.client, namespace(&set.metadata));
            put_status(
                &api,
                &caches.stateful_sets,
                &StatefulSet { status: Some(status.clone()), ..set.clone() },
            )
            .await?;
        }
        for claim in &plan.volumes {
            self.make_volume(set, claim).await?;
        }
        for pod in &plan.create {
            self.create(set, &pods, pod).await?;
        }
        for pod in &plan.delete {
            let deleted = gone_is_fine(pods.delete(name(&pod.metadata), &only(&pod.metadata)).await)?;
            if let Some(deleted) = deleted.and_then(|d| d.left()).filter(is_deleting) {
                caches.pods.note(deleted);
            }
            let (pod, set_name) = (name(&pod.metadata), name(&set.metadata));
            let message = format!("delete Pod {pod} in StatefulSet {set_name} successful");
            self.recorder.about(set, EventType::Normal, "SuccessfulDelete", message);
        }
        Ok(())
    }

    async fn create(&self, set: &StatefulSet, pods: &Api<Pod>, pod: &Pod) -> Result<(), kube::Error> {
        let (pod_name, set_name) = (name(&pod.metadata), name(&set.metadata));
        match pods.create(&PostParams::default(), pod).await {
            Ok(made) => {
                let message = format!("create Pod {pod_name} in StatefulSet {set_name} successful");
                self.recorder.about(set, EventType::Normal, "SuccessfulCreate", message);
                self.acting.caches.pods.note(made);
                Ok(())
            }
            Err(error) => {
                let message = format!(
                    "create Pod {pod_name} in StatefulSet {set_name} failed error: {}",
                    cause(&error)
                );
                self.recorder.about(set, EventType::Warning, "FailedCreate", message);
                Err(error)
            }
        }
    }

    async fn make_volume(&self, set: &StatefulSet, claim: &PersistentVolumeClaim) -> Result<(), kube::Error> {
        let claims = &self.acting.caches.claims;
        if claims.get(namespace(&claim.metadata), name(&claim.metadata)).is_some() {
            return Ok(());
        }
        let api: Api<PersistentVolumeClaim> = api_in(&self.acting.client, namespace(&claim.metadata));
        match api.create(&PostParams::default(), claim).await {
            Ok(made) => {
                let message = format!(
                    "create Claim {} in StatefulSet {} success",
                    name(&claim.metadata),
                    name(&set.metadata)
                );
                self.recorder.about(set, EventType::Normal, "SuccessfulCreate", message);
                claims.note(made);
                Ok(())
            }
            Err(error) if is_code(&error, 409) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn avoid_collision(&self, set: &StatefulSet) -> Result<Option<Duration>, kube::Error> {
        let mut bumped = set.clone();
        let status = bumped.status.get_or_insert_default();
        status.collision_count = Some(status.collision_count.unwrap_or(0) + 1);
        let api: Api<StatefulSet> = api_in(&self.acting.client, namespace(&set.metadata));
        put_status(&api, &self.acting.caches.stateful_sets, &bumped).await?;
        Ok(None)
    }
}
