//! ReplicaSets and ReplicationControllers: so many pods of a template, no more and no fewer.

mod plan;
mod rank;

use plan::{Owner, Plan, Status, plan};
pub(crate) use rank::rank;

use crate::{
    Acting,
    caches::BY_CONTROLLER,
    drive::{Controller, Keys, cause, drive, gone_is_fine, on, on_self},
    objects::{
        api_in, controller_key, controller_of, labels, name, namespace, only, put_status, selector, settle,
        uid,
    },
    pods,
};
use async_trait::async_trait;
use client::{Cache, EventType, ObjectKey, Recorder};
use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::ReplicaSet,
    core::v1::{ObjectReference, Pod, ReplicationController},
};
use kube::{
    Api, Resource,
    api::PostParams,
    core::{Selector, SelectorExt},
};
use std::{sync::Arc, time::Duration};

/// At most so many pods are made or deleted in one look.
const BURST: usize = 500;

pub(crate) async fn run_replica_sets(acting: Acting) {
    let sets = acting.caches.replica_sets.clone();
    let orphans = sets.clone();
    let matching = move |pod: &Pod| {
        orphans
            .list_in(namespace(&pod.metadata))
            .into_iter()
            .filter_map(|set| {
                let selector = selector(&set.spec.as_ref()?.selector)?;
                selector.matches(labels(&pod.metadata)).then(|| ObjectKey::of(&*set))
            })
            .collect()
    };
    let sources = vec![on_self(&sets), from_pods(&acting, "ReplicaSet", matching)];
    let runner = Runner::new(&acting, "replicaset", sets, Owner::of_set);
    drive(acting, runner, sources).await;
}

pub(crate) async fn run_replication_controllers(acting: Acting) {
    let all = acting.caches.replication_controllers.clone();
    let orphans = all.clone();
    let matching = move |pod: &Pod| {
        orphans
            .list_in(namespace(&pod.metadata))
            .into_iter()
            .filter_map(|rc| {
                let selector: Selector = rc.spec.as_ref()?.selector.clone()?.into_iter().collect();
                (!selector.selects_all() && selector.matches(labels(&pod.metadata)))
                    .then(|| ObjectKey::of(&*rc))
            })
            .collect()
    };
    let sources = vec![on_self(&all), from_pods(&acting, "ReplicationController", matching)];
    let runner = Runner::new(&acting, "replicationmanager", all, Owner::of_controller);
    drive(acting, runner, sources).await;
}

/// The owners of changed pods; of a pod without one, those that may adopt it.
fn from_pods(
    acting: &Acting,
    kind: &'static str,
    matching: impl Fn(&Pod) -> Vec<ObjectKey> + Send + 'static,
) -> Keys {
    on(&acting.caches.pods, move |change| {
        let mut keys: Vec<ObjectKey> = change.both().filter_map(|pod| controller_key(&**pod, kind)).collect();
        if let Some(pod) = change.new.as_ref().filter(|pod| controller_of(&pod.metadata).is_none()) {
            keys.extend(matching(pod));
        }
        keys
    })
}

/// What differs between the two kinds.
pub(crate) trait Kind:
    client::Cacheable + Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope> + serde::Serialize
{
    fn with_status(&self, status: Status) -> Self;
}

impl Kind for ReplicaSet {
    fn with_status(&self, status: Status) -> Self {
        Self { status: Some(status.of_set()), ..self.clone() }
    }
}

impl Kind for ReplicationController {
    fn with_status(&self, status: Status) -> Self {
        Self { status: Some(status.of_controller()), ..self.clone() }
    }
}

struct Runner<K> {
    name: &'static str,
    acting: Acting,
    owners: Cache<K>,
    view: fn(&K) -> Option<Owner>,
    recorder: Recorder,
}

#[async_trait]
impl<K: Kind> Controller for Runner<K> {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Option<Duration>, kube::Error> {
        let Some(object) = self.owners.get(&key.namespace, &key.name) else { return Ok(None) };
        let Some(owner) = (self.view)(&object) else { return Ok(None) };
        let candidates = self.acting.caches.pods.list_in(&key.namespace);
        let related = self.related(&owner);
        let plan = plan(&owner, &candidates, &related, Timestamp::now());
        let failure = self.act(&object, &owner, &plan).await;
        if let Some(status) = plan.status(&owner, failure.as_ref().err(), Timestamp::now()) {
            let api: Api<K> = api_in(&self.acting.client, &key.namespace);
            put_status(&api, &self.owners, &object.with_status(status)).await?;
        }
        failure.map(|()| plan.again_after)
    }
}

impl<K: Kind> Runner<K> {
    fn new(acting: &Acting, name: &'static str, owners: Cache<K>, view: fn(&K) -> Option<Owner>) -> Self {
        let recorder = acting.recorder(&format!("{name}-controller"));
        Self { name, acting: acting.clone(), owners, view, recorder }
    }

    /// The pods of all owners that the same Deployment manages: where they are many, one goes first.
    fn related(&self, owner: &Owner) -> Vec<Arc<Pod>> {
        let caches = &self.acting.caches;
        let Some(manager) = controller_of(&owner.meta) else {
            return caches.pods.by_index(BY_CONTROLLER, uid(&owner.meta));
        };
        let siblings = caches.replica_sets.by_index(BY_CONTROLLER, &manager.uid);
        siblings.iter().flat_map(|set| caches.pods.by_index(BY_CONTROLLER, uid(&set.metadata))).collect()
    }

    async fn act(&self, object: &K, owner: &Owner, plan: &Plan) -> Result<(), kube::Error> {
        let pods = &self.acting.caches.pods;
        let api: Api<Pod> = api_in(&self.acting.client, namespace(&owner.meta));
        settle(&api, pods, &owner.reference, &plan.claim).await?;
        let about = about(object);
        // Slow start: when the first one is refused (by a quota for example), the rest would be too.
        let mut batch = 1;
        let mut left = plan.create.min(BURST);
        while left > 0 {
            let size = batch.min(left);
            let pod = pods::from_template(
                &owner.template,
                name(&owner.meta),
                namespace(&owner.meta),
                owner.reference.clone(),
            );
            let creations = (0..size).map(|_| self.create(&api, &about, &pod));
            futures::future::try_join_all(creations).await?;
            left -= size;
            batch *= 2;
        }
        let deletions = plan.delete.iter().take(BURST).map(|pod| self.delete(&api, &about, pod));
        futures::future::try_join_all(deletions).await?;
        Ok(())
    }

    async fn create(&self, api: &Api<Pod>, about: &ObjectReference, pod: &Pod) -> Result<(), kube::Error> {
        match api.create(&PostParams::default(), pod).await {
            Ok(made) => {
                let message = format!("Created pod: {}", name(&made.metadata));
                self.recorder.event(about, EventType::Normal, "SuccessfulCreate", message);
                self.acting.caches.pods.note(made);
                Ok(())
            }
            Err(error) => {
                self.recorder.event(
                    about,
                    EventType::Warning,
                    "FailedCreate",
                    format!("Error creating: {}", cause(&error)),
                );
                Err(error)
            }
        }
    }

    async fn delete(&self, api: &Api<Pod>, about: &ObjectReference, pod: &Pod) -> Result<(), kube::Error> {
        match gone_is_fine(api.delete(name(&pod.metadata), &only(&pod.metadata)).await) {
            Ok(answer) => {
                if let Some(deleted) = answer.and_then(|answer| answer.left()).filter(pods::is_deleting) {
                    self.acting.caches.pods.note(deleted);
                }
                let message = format!("Deleted pod: {}", name(&pod.metadata));
                self.recorder.event(about, EventType::Normal, "SuccessfulDelete", message);
                Ok(())
            }
            Err(error) => {
                self.recorder.event(
                    about,
                    EventType::Warning,
                    "FailedDelete",
                    format!("Error deleting: {}", cause(&error)),
                );
                Err(error)
            }
        }
    }
}

fn about<K: Resource<DynamicType = ()>>(object: &K) -> ObjectReference {
    let mut reference = object.object_ref(&());
    reference.resource_version = object.meta().resource_version.clone();
    reference
}
