//! DaemonSets: one pod on every node that fits.

mod plan;

use crate::{
    Acting,
    caches::BY_CONTROLLER,
    drive::{Controller, cause, drive, gone_is_fine, on, on_self},
    history::{forget, history},
    objects::{api_in, controller_key, name, namespace, only, owner_reference, put_status, settle, uid},
    pods::is_deleting,
};
use async_trait::async_trait;
use client::{EventType, ObjectKey, Recorder};
use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::DaemonSet,
    core::v1::{Node, Pod},
};
use kube::{Api, api::PostParams};
use plan::{Plan, Snapshot, plan};
use std::time::Duration;

pub(crate) async fn run(acting: Acting) {
    let caches = &acting.caches;
    let pods = on(&caches.pods, |change| {
        change.both().filter_map(|pod| controller_key(&**pod, "DaemonSet")).collect::<Vec<_>>()
    });
    let all = caches.daemon_sets.clone();
    let nodes = on(&caches.nodes, move |change| {
        let matters = |node: &Node| {
            let spec = node.spec.clone().unwrap_or_default();
            (node.metadata.labels.clone(), spec.taints, spec.unschedulable)
        };
        let same = change.old.as_deref().map(matters) == change.new.as_deref().map(matters);
        let sets = if same { Vec::new() } else { all.list() };
        sets.iter().map(|set| ObjectKey::of(&**set)).collect::<Vec<_>>()
    });
    let recorder = acting.recorder("daemonset-controller");
    let sources = vec![on_self(&caches.daemon_sets), pods, nodes];
    drive(acting.clone(), Runner { acting, recorder }, sources).await;
}

struct Runner {
    acting: Acting,
    recorder: Recorder,
}

#[async_trait]
impl Controller for Runner {
    fn name(&self) -> &'static str {
        "daemonset"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Option<Duration>, kube::Error> {
        let caches = &self.acting.caches;
        let Some(set) = caches.daemon_sets.get(&key.namespace, &key.name) else { return Ok(None) };
        let Some(spec) = &set.spec else { return Ok(None) };
        let collisions = set.status.as_ref().and_then(|status| status.collision_count);
        let revisions = caches.revisions.by_index(BY_CONTROLLER, uid(&set.metadata));
        let history = history(&*set, &spec.template, collisions, revisions);
        if set.metadata.deletion_timestamp.is_none() && !history.settle(&self.acting, &key.namespace).await? {
            return self.avoid_collision(&set).await;
        }
        let snapshot = Snapshot {
            set: &set,
            nodes: &caches.nodes.list(),
            pods: &caches.pods.list_in(&key.namespace),
            hash: crate::history::hash_of(&history.current),
        };
        let Some(plan) = plan(&snapshot, Timestamp::now()) else { return Ok(None) };
        self.act(&set, &plan).await?;
        let surplus = history.surplus(spec.revision_history_limit, &plan.hashes_in_use);
        forget(&self.acting, &key.namespace, &surplus).await?;
        Ok(plan.again_after)
    }
}

impl Runner {
    async fn act(&self, set: &DaemonSet, plan: &Plan) -> Result<(), kube::Error> {
        let caches = &self.acting.caches;
        let pods: Api<Pod> = api_in(&self.acting.client, namespace(&set.metadata));
        settle(&pods, &caches.pods, &owner_reference(set), &plan.claim).await?;
        for pod in &plan.delete {
            let deleted = gone_is_fine(pods.delete(name(&pod.metadata), &only(&pod.metadata)).await)?;
            if let Some(deleted) = deleted.and_then(|d| d.left()).filter(is_deleting) {
                caches.pods.note(deleted);
            }
            let message = format!("Deleted pod: {}", name(&pod.metadata));
            self.recorder.about(set, EventType::Normal, "SuccessfulDelete", message);
        }
        for pod in &plan.create {
            match pods.create(&PostParams::default(), pod).await {
                Ok(made) => {
                    let message = format!("Created pod: {}", name(&made.metadata));
                    self.recorder.about(set, EventType::Normal, "SuccessfulCreate", message);
                    caches.pods.note(made);
                }
                Err(error) => {
                    self.recorder.about(
                        set,
                        EventType::Warning,
                        "FailedCreate",
                        format!("Error creating: {}", cause(&error)),
                    );
                    return Err(error);
                }
            }
        }
        if let Some(status) = &plan.status {
            let api: Api<DaemonSet> = api_in(&self.acting.client, namespace(&set.metadata));
            put_status(&api, &caches.daemon_sets, &DaemonSet { status: Some(status.clone()), ..set.clone() })
                .await?;
        }
        Ok(())
    }

    async fn avoid_collision(&self, set: &DaemonSet) -> Result<Option<Duration>, kube::Error> {
        let mut bumped = set.clone();
        let status = bumped.status.get_or_insert_default();
        status.collision_count = Some(status.collision_count.unwrap_or(0) + 1);
        let api: Api<DaemonSet> = api_in(&self.acting.client, namespace(&set.metadata));
        put_status(&api, &self.acting.caches.daemon_sets, &bumped).await?;
        Ok(None)
    }
}
