//! Deployments: roll a template out over ReplicaSets, one per revision.

mod plan;
mod revision;
mod rollout;
mod status;

use crate::{
    Acting,
    caches::BY_CONTROLLER,
    drive::{Controller, Keys, cause, drive, gone_is_fine, is_code, on, on_self},
    objects::{
        annotation, api_in, controller_key, controller_of, labels, name, namespace, only, owner_reference,
        put_status, selector, settle, uid,
    },
};
use async_trait::async_trait;
use client::{EventType, ObjectKey, Recorder};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
    core::SelectorExt,
};
use plan::{Plan, Snapshot, plan};
use std::time::Duration;

pub(crate) async fn run(acting: Acting) {
    let recorder = acting.recorder("deployment-controller");
    let sources = vec![on_self(&acting.caches.deployments), from_sets(&acting), from_pods(&acting)];
    drive(acting.clone(), Runner { acting, recorder }, sources).await;
}

fn from_sets(acting: &Acting) -> Keys {
    let deployments = acting.caches.deployments.clone();
    on(&acting.caches.replica_sets, move |change| {
        let mut keys: Vec<ObjectKey> =
            change.both().filter_map(|set| controller_key(&**set, "Deployment")).collect();
        if let Some(set) = change.new.as_ref().filter(|set| controller_of(&set.metadata).is_none()) {
            for deployment in deployments.list_in(namespace(&set.metadata)) {
                let selector = deployment.spec.as_ref().and_then(|spec| selector(&spec.selector));
                if selector.is_some_and(|s| !s.selects_all() && s.matches(labels(&set.metadata))) {
                    keys.push(ObjectKey::of(&*deployment));
                }
            }
        }
        keys
    })
}

/// A Recreate rollout waits for old pods to end: those that do wake it.
fn from_pods(acting: &Acting) -> Keys {
    let sets = acting.caches.replica_sets.clone();
    let deployments = acting.caches.deployments.clone();
    on(&acting.caches.pods, move |change| {
        let ended = change.new.as_ref().is_none_or(|pod| crate::pods::is_terminal(pod));
        let key = controller_key(&**change.latest(), "ReplicaSet").filter(|_| ended);
        let set = key.and_then(|key| sets.get(&key.namespace, &key.name));
        set.and_then(|set| controller_key(&*set, "Deployment")).filter(|key| {
            let deployment = deployments.get(&key.namespace, &key.name);
            deployment.is_some_and(|d| rollout::is_recreate(&d))
        })
    })
}

struct Runner {
    acting: Acting,
    recorder: Recorder,
}

#[async_trait]
impl Controller for Runner {
    fn name(&self) -> &'static str {
        "deployment"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Option<Duration>, kube::Error> {
        let caches = &self.acting.caches;
        let Some(deployment) = caches.deployments.get(&key.namespace, &key.name) else { return Ok(None) };
        let replica_sets = caches.replica_sets.list_in(&key.namespace);
        let owned_pods = |uid: &str| caches.pods.by_index(BY_CONTROLLER, uid);
        let snapshot =
            Snapshot { deployment: &deployment, replica_sets: &replica_sets, owned_pods: &owned_pods };
        let Some(plan) = plan(&snapshot, Timestamp::now()) else {
            let message = "This deployment is selecting all pods. A non-empty selector is required.";
            self.recorder.about(&*deployment, EventType::Warning, "SelectingAll", message);
            return Ok(None);
        };
        self.act(&deployment, &plan).await?;
        Ok(plan.again_after)
    }
}

impl Runner {
    async fn act(&self, deployment: &Deployment, plan: &Plan) -> Result<(), kube::Error> {
        let caches = &self.acting.caches;
        let sets: Api<ReplicaSet> = api_in(&self.acting.client, namespace(&deployment.metadata));
        let api: Api<Deployment> = api_in(&self.acting.client, namespace(&deployment.metadata));
        settle(&sets, &caches.replica_sets, &owner_reference(deployment), &plan.claim).await?;
        if let Some(set) = &plan.create {
            self.create(deployment, &sets, &api, set).await?;
        }
        for update in &plan.update {
            let written =
                sets.replace(name(&update.set.metadata), &PostParams::default(), &update.set).await?;
            caches.replica_sets.note(written);
            if let Some(message) = &update.event {
                self.recorder.about(deployment, EventType::Normal, "ScalingReplicaSet", message.clone());
            }
        }
        for set in &plan.delete {
            gone_is_fine(sets.delete(name(&set.metadata), &only(&set.metadata)).await)?;
        }
        let mut current = deployment.clone();
        if let Some(revision) = &plan.revision {
            let patch =
                serde_json::json!({ "metadata": { "annotations": { revision::REVISION: revision } } });
            current =
                api.patch(name(&deployment.metadata), &PatchParams::default(), &Patch::Merge(patch)).await?;
            caches.deployments.note(current.clone());
        }
        if let Some(status) = &plan.status {
            current.status = Some(status.clone());
            put_status(&api, &caches.deployments, &current).await?;
        }
        Ok(())
    }

    async fn create(
        &self,
        deployment: &Deployment,
        sets: &Api<ReplicaSet>,
        api: &Api<Deployment>,
        set: &ReplicaSet,
    ) -> Result<(), kube::Error> {
        let error = match sets.create(&PostParams::default(), set).await {
            Ok(made) => {
                let count = made.spec.as_ref().and_then(|s| s.replicas).unwrap_or(0);
                if count > 0 {
                    let message = format!("Scaled up replica set {} from 0 to {count}", name(&made.metadata));
                    self.recorder.about(deployment, EventType::Normal, "ScalingReplicaSet", message);
                }
                self.acting.caches.replica_sets.note(made);
                return Ok(());
            }
            Err(error) => error,
        };
        if is_code(&error, 409) {
            return self.collided(deployment, sets, api, set, error).await;
        }
        let message =
            format!("Failed to create new replica set {:?}: {}", name(&set.metadata), cause(&error));
        self.recorder.about(deployment, EventType::Warning, "ReplicaSetCreateError", message.clone());
        let mut failed = deployment.clone();
        let status = failed.status.get_or_insert_default();
        status::set(status, "Progressing", "False", "ReplicaSetCreateError", &message, Timestamp::now());
        put_status(api, &self.acting.caches.deployments, &failed).await?;
        Err(error)
    }

    /// There is a ReplicaSet of this name: ours from an answer that was lost, or one with the same
    /// hash by accident, which another hash avoids.
    async fn collided(
        &self,
        deployment: &Deployment,
        sets: &Api<ReplicaSet>,
        api: &Api<Deployment>,
        set: &ReplicaSet,
        error: kube::Error,
    ) -> Result<(), kube::Error> {
        let existing = sets.get(name(&set.metadata)).await?;
        let ours =
            controller_of(&existing.metadata).is_some_and(|owner| owner.uid == uid(&deployment.metadata));
        if ours && revision::same_template(&existing, deployment) {
            self.acting.caches.replica_sets.note(existing);
            return Ok(());
        }
        let mut bumped = deployment.clone();
        let status: &mut DeploymentStatus = bumped.status.get_or_insert_default();
        status.collision_count = Some(status.collision_count.unwrap_or(0) + 1);
        put_status(api, &self.acting.caches.deployments, &bumped).await?;
        tracing::info!(
            deployment = name(&deployment.metadata),
            replicaset = name(&set.metadata),
            annotation = annotation(&set.metadata, revision::REVISION),
            "name is taken, another hash follows"
        );
        Err(error)
    }
}
