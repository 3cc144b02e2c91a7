//! Watches the metadata of every resource that there is, as resources come and go.

use super::{Collector, graph::Item};
use crate::discovered::{Discovered, Meta, discover};
use client::{Cache, Change};
use futures::{StreamExt, stream::BoxStream};
use kube::{
    Api,
    core::{ApiResource, GroupVersionKind},
};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How long a custom resource that was just defined may take to be served: then it is looked for.
const SETTLE: Duration = Duration::from_millis(200);
/// When discovery is tried again after it failed.
const RETRY: Duration = Duration::from_secs(1);
/// Resources whose objects own nothing and are owned by nobody, but change all the time.
const IGNORED: [&str; 2] = ["events", "events.events.k8s.io"];

pub(crate) struct Watches {
    collector: Collector,
    running: HashMap<Discovered, (Cache<Meta>, DropGuard)>,
    /// Told when resources may have come or gone.
    changed: mpsc::Receiver<()>,
    _definitions: Vec<Cache<Meta>>,
}

impl Watches {
    pub fn new(collector: Collector) -> Self {
        let (sender, changed) = mpsc::channel(1);
        let mut definitions = Vec::new();
        for (group, version, kind) in [
            ("apiextensions.k8s.io", "v1", "CustomResourceDefinition"),
            ("apiregistration.k8s.io", "v1", "APIService"),
        ] {
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
            let cache: Cache<Meta> = Cache::start(Api::all_with(collector.client.clone(), &resource));
            let mut changes: BoxStream<'static, Change<Meta>> = cache.changes().boxed();
            let sender = sender.clone();
            tokio::spawn(async move {
                while changes.next().await.is_some() {
                    // A full channel means that somebody was told already.
                    let _ = sender.try_send(());
                }
            });
            definitions.push(cache);
        }
        Self { collector, running: HashMap::new(), changed, _definitions: definitions }
    }

    /// Returns when every resource was listed once.
    pub async fn begin(&mut self) {
        while let Err(error) = self.refresh().await {
            tracing::warn!(%error, "garbage collection can not find out what there is");
            tokio::time::sleep(RETRY).await;
        }
        let caches: Vec<Cache<Meta>> = self.running.values().map(|(cache, _)| cache.clone()).collect();
        futures::future::join_all(caches.iter().map(Cache::synced)).await;
    }

    /// Follows definitions as they come and go.
    pub async fn follow(&mut self) {
        while self.changed.recv().await.is_some() {
            tokio::time::sleep(SETTLE).await;
            if let Err(error) = self.refresh().await {
                tracing::warn!(%error, "garbage collection can not find out what changed");
                tokio::time::sleep(RETRY).await;
                continue;
            }
            // Owners of kinds that were not served before can be asked for now.
            let owned = self.collector.graph.lock().owned();
            owned.into_iter().for_each(|uid| self.collector.queue.add(uid));
        }
    }

    async fn refresh(&mut self) -> Result<(), kube::Error> {
        let mut resources = discover(&self.collector.client).await?;
        self.collector.resources.lock().clone_from(&resources);
        resources.retain(|resource| resource.watchable && !IGNORED.contains(&resource.name().as_str()));
        let gone: Vec<Discovered> = self.running.keys().filter(|r| !resources.contains(r)).cloned().collect();
        for resource in gone {
            self.running.remove(&resource);
            let uids = self.collector.graph.lock().of_resource(&resource);
            uids.iter().for_each(|uid| self.forget(uid));
        }
        for resource in resources {
            if !self.running.contains_key(&resource) {
                let watch = self.watch(&resource);
                self.running.insert(resource, watch);
            }
        }
        Ok(())
    }

    fn forget(&self, uid: &str) {
        let look = self.collector.graph.lock().remove(uid);
        look.into_iter().for_each(|uid| self.collector.queue.add(uid));
    }

    fn watch(&self, resource: &Discovered) -> (Cache<Meta>, DropGuard) {
        let api: Api<Meta> = Api::all_with(self.collector.client.clone(), &resource.resource);
        let cache = Cache::builder(api).trim(trim).start();
        let mut changes = cache.changes();
        let (collector, resource) = (self.collector.clone(), Arc::new(resource.clone()));
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        tokio::spawn(async move {
            let listen = async {
                while let Some(change) = changes.next().await {
                    told(&collector, &resource, &change);
                }
            };
            stopped.run_until_cancelled(listen).await;
        });
        (cache, stop.drop_guard())
    }
}

fn told(collector: &Collector, resource: &Arc<Discovered>, change: &Change<Meta>) {
    let uid = |object: &Option<Arc<Meta>>| object.as_ref().and_then(|object| object.metadata.uid.clone());
    let (old, new) = (uid(&change.old), uid(&change.new));
    let mut graph = collector.graph.lock();
    let mut look = Vec::new();
    // An object of the same name is another object.
    if let Some(old) = old.filter(|old| Some(old) != new.as_ref()) {
        look.extend(graph.remove(&old));
    }
    if let Some(object) = &change.new {
        look.extend(graph.put(Item::of(resource.clone(), object)));
    }
    drop(graph);
    look.into_iter().for_each(|uid| collector.queue.add(uid));
}

/// Only what the graph is made of is kept.
fn trim(object: &mut Meta) {
    object.metadata.labels = None;
    object.metadata.annotations = None;
}
