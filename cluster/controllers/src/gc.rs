//! The garbage collector: deletes objects whose owners are gone, and keeps owners that wait for
//! their dependents until those are gone, or have been let go.
//!
//! It watches the metadata of every resource, custom ones included.

mod graph;
mod plan;
mod watches;

use crate::{
    Acting,
    discovered::{Discovered, Meta},
    drive::{WORKERS, cause, gone_is_fine, is_code},
    objects::name,
};
use client::Queue;
use futures::FutureExt;
use graph::{Graph, Item};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{
    Api,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, Preconditions, PropagationPolicy},
};
use parking_lot::Mutex;
use plan::{Action, OwnerState, plan};
use std::{panic::AssertUnwindSafe, sync::Arc};
use tokio::task::JoinSet;
use watches::Watches;

/// What the workers share.
#[derive(Clone)]
struct Collector {
    client: kube::Client,
    graph: Arc<Mutex<Graph>>,
    queue: Queue<String>,
    resources: Arc<Mutex<Vec<Discovered>>>,
}

pub(crate) async fn run(acting: Acting) {
    let collector = Collector {
        client: acting.client.clone(),
        graph: Arc::default(),
        queue: Queue::named("garbage_collector", &acting.metrics),
        resources: Arc::default(),
    };
    let mut tasks = JoinSet::new();
    let mut watches = Watches::new(collector.clone());
    let stopped = acting.stop.clone();
    let work = async {
        // Nothing is decided before everything was seen once.
        watches.begin().await;
        for _ in 0..WORKERS {
            tasks.spawn(collector.clone().work());
        }
        watches.follow().await;
    };
    stopped.run_until_cancelled(work).await;
    collector.queue.close();
    tasks.shutdown().await;
}

impl Collector {
    async fn work(self) {
        while let Some(uid) = self.queue.next().await {
            match AssertUnwindSafe(self.look(&uid)).catch_unwind().await {
                Ok(Ok(())) => self.queue.forget(&uid),
                Ok(Err(error)) => {
                    tracing::debug!(%uid, error = cause(&error), "garbage collection will look again");
                    self.queue.retry(uid.clone());
                }
                Err(_) => {
                    tracing::error!(%uid, "garbage collection panicked");
                    self.queue.retry(uid.clone());
                }
            }
            self.queue.done(&uid);
        }
    }

    /// Decides about one object, and acts.
    async fn look(&self, uid: &str) -> Result<(), kube::Error> {
        let (item, dependents) = {
            let graph = self.graph.lock();
            let Some(item) = graph.get(uid).cloned() else { return Ok(()) };
            let dependents: Vec<Item> = graph.dependents(uid).cloned().collect();
            (item, dependents)
        };
        let mut owners = Vec::new();
        if !item.deleting {
            for owner in &item.owners {
                owners.push((owner.clone(), self.state(&item, owner).await?));
            }
        }
        self.act(&item, plan(&item, &owners, &dependents)).await
    }

    /// Whether an owner exists; asks the API when the graph does not know it.
    async fn state(&self, item: &Item, owner: &OwnerReference) -> Result<OwnerState, kube::Error> {
        if let Some(known) = self.graph.lock().get(&owner.uid)
            && (known.namespace.is_empty() || known.namespace == item.namespace)
        {
            return Ok(OwnerState::of(known));
        }
        let Some(resource) = self.resource_of(owner) else {
            // Its kind is not served (any more, or yet): nobody can say.
            return Ok(OwnerState::Unknown);
        };
        if resource.namespaced && item.namespace.is_empty() {
            return Ok(OwnerState::Unknown);
        }
        let api: Api<Meta> = match resource.namespaced {
            true => Api::namespaced_with(self.client.clone(), &item.namespace, &resource.resource),
            false => Api::all_with(self.client.clone(), &resource.resource),
        };
        match api.get(&owner.name).await {
            Ok(found) if found.metadata.uid.as_deref() == Some(&owner.uid) => {
                Ok(OwnerState::of(&Item::new(&resource, &found)))
            }
            Ok(_) => Ok(OwnerState::Absent),
            Err(error) if is_code(&error, 404) => Ok(OwnerState::Absent),
            Err(error) => Err(error),
        }
    }

    fn resource_of(&self, owner: &OwnerReference) -> Option<Discovered> {
        let group = owner.api_version.rsplit_once('/').map_or("", |(group, _)| group);
        let resources = self.resources.lock();
        resources.iter().find(|r| r.resource.group == group && r.resource.kind == owner.kind).cloned()
    }

    fn api(&self, item: &Item) -> Api<DynamicObject> {
        match item.namespace.as_str() {
            "" => Api::all_with(self.client.clone(), &item.resource.resource),
            namespace => Api::namespaced_with(self.client.clone(), namespace, &item.resource.resource),
        }
    }

    async fn act(&self, item: &Item, action: Action) -> Result<(), kube::Error> {
        match action {
            Action::Nothing => {}
            Action::Look(uids) => uids.into_iter().for_each(|uid| self.queue.add(uid)),
            Action::RemoveOwners(uids) => self.remove_owners(item, &uids).await?,
            Action::Orphan(dependents) => {
                for dependent in &dependents {
                    self.remove_owners(dependent, std::slice::from_ref(&item.uid)).await?;
                }
                self.remove_finalizer(item, plan::ORPHAN).await?;
            }
            Action::Release => self.remove_finalizer(item, plan::FOREGROUND).await?,
            Action::Unblock(foreground) => {
                self.unblock(item).await?;
                self.delete(item, foreground).await?;
            }
            Action::Delete(policy) => self.delete(item, policy).await?,
        }
        Ok(())
    }

    async fn delete(&self, item: &Item, policy: PropagationPolicy) -> Result<(), kube::Error> {
        let preconditions = Preconditions { uid: Some(item.uid.clone()), resource_version: None };
        let params = DeleteParams {
            propagation_policy: Some(policy),
            preconditions: Some(preconditions),
            ..DeleteParams::default()
        };
        tracing::debug!(resource = %item.resource.name(), namespace = %item.namespace, name = %item.name, "collected");
        gone_is_fine(self.api(item).delete(&item.name, &params).await)?;
        Ok(())
    }

    async fn remove_owners(&self, item: &Item, uids: &[String]) -> Result<(), kube::Error> {
        self.edit(item, |meta| {
            if let Some(owners) = &mut meta.owner_references {
                owners.retain(|owner| !uids.contains(&owner.uid));
            }
        })
        .await
    }

    async fn remove_finalizer(&self, item: &Item, finalizer: &str) -> Result<(), kube::Error> {
        self.edit(item, |meta| {
            if let Some(finalizers) = &mut meta.finalizers {
                finalizers.retain(|f| f != finalizer);
            }
        })
        .await
    }

    /// The object does not keep its owners from going any more.
    async fn unblock(&self, item: &Item) -> Result<(), kube::Error> {
        self.edit(item, |meta| {
            for owner in meta.owner_references.iter_mut().flatten() {
                owner.block_owner_deletion = Some(false);
            }
        })
        .await
    }

    /// Changes owner references and finalizers of the object as it is now.
    async fn edit(
        &self,
        item: &Item,
        change: impl Fn(&mut kube::api::ObjectMeta),
    ) -> Result<(), kube::Error> {
        let api = self.api(item);
        let Some(now) = api.get_metadata_opt(&item.name).await? else { return Ok(()) };
        let mut meta = now.metadata.clone();
        change(&mut meta);
        let unchanged = (&meta.owner_references, &meta.finalizers)
            == (&now.metadata.owner_references, &now.metadata.finalizers);
        if meta.uid.as_deref() != Some(&item.uid) || unchanged {
            return Ok(());
        }
        let patch = serde_json::json!({ "metadata": { "uid": meta.uid, "resourceVersion": meta.resource_version,
            "ownerReferences": meta.owner_references, "finalizers": meta.finalizers } });
        gone_is_fine(api.patch(name(&meta), &PatchParams::default(), &Patch::Merge(patch)).await)?;
        Ok(())
    }
}
