//! ConfigMaps and Secrets that pods of this node refer to: each watched by name while a pod needs it (a node may not
//! read others).

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Weak};
use std::time::Duration;

use client::{Cache, Cacheable};
use futures::stream::{BoxStream, SelectAll, StreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use parking_lot::Mutex;

use crate::env::{Objects, SourceRef};

/// How long the first answer about an object may take before its user is told to try again.
const FIRST_ANSWER: Duration = Duration::from_secs(10);

/// The objects do not arrive: no server, or no permission.
#[derive(Debug, thiserror::Error)]
#[error("failed to sync {0} cache: timed out waiting for the condition")]
pub struct NotSynced(&'static str);

/// All watched objects of the node. Clones share them.
#[derive(Clone)]
pub struct Sources {
    client: kube::Client,
    watched: Arc<Mutex<ByName>>,
}

/// By namespace and reference.
type ByName = HashMap<(String, SourceRef), Weak<Watched>>;

enum Watched {
    ConfigMap(Cache<ConfigMap>),
    Secret(Cache<Secret>),
}

/// What one pod refers to; the watches live as long as this.
pub struct PodSources {
    namespace: String,
    watched: Vec<(SourceRef, Arc<Watched>)>,
}

fn watch_one<K>(client: &kube::Client, namespace: &str, name: &str) -> Cache<K>
where
    K: Cacheable + kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
{
    let api = Api::namespaced(client.clone(), namespace);
    Cache::builder(api).fields(&format!("metadata.name={name}")).start()
}

impl Sources {
    pub fn new(client: kube::Client) -> Self {
        Sources { client, watched: Arc::default() }
    }

    /// Begins to watch what a pod of `namespace` refers to.
    pub fn open(&self, namespace: &str, refs: BTreeSet<SourceRef>) -> PodSources {
        let mut all = self.watched.lock();
        all.retain(|_, w| w.strong_count() > 0);
        let watched = refs
            .into_iter()
            .map(|r| {
                let key = (namespace.to_owned(), r.clone());
                if let Some(known) = all.get(&key).and_then(Weak::upgrade) {
                    return (r, known);
                }
                let new = Arc::new(match &r {
                    SourceRef::ConfigMap(name) => {
                        Watched::ConfigMap(watch_one(&self.client, namespace, name))
                    }
                    SourceRef::Secret(name) => Watched::Secret(watch_one(&self.client, namespace, name)),
                });
                all.insert(key, Arc::downgrade(&new));
                (r, new)
            })
            .collect();
        PodSources { namespace: namespace.to_owned(), watched }
    }
}

impl PodSources {
    /// The objects as they are now; waits for the first answer about each.
    pub async fn objects(&self) -> Result<Objects, NotSynced> {
        let mut objects = Objects::default();
        for (r, watched) in &self.watched {
            match (&**watched, r) {
                (Watched::ConfigMap(cache), SourceRef::ConfigMap(name)) => {
                    synced(cache, "configmap").await?;
                    if let Some(object) = cache.get(&self.namespace, name) {
                        objects.config_maps.insert(name.clone(), object);
                    }
                }
                (Watched::Secret(cache), SourceRef::Secret(name)) => {
                    synced(cache, "secret").await?;
                    if let Some(object) = cache.get(&self.namespace, name) {
                        objects.secrets.insert(name.clone(), object);
                    }
                }
                (Watched::ConfigMap(_) | Watched::Secret(_), _) => {}
            }
        }
        Ok(objects)
    }

    /// Yields whenever one of them changed (and once for each that is there).
    pub fn changes(&self) -> SelectAll<BoxStream<'static, ()>> {
        let one = |watched: &Watched| match watched {
            Watched::ConfigMap(cache) => cache.changes().map(|_| ()).boxed(),
            Watched::Secret(cache) => cache.changes().map(|_| ()).boxed(),
        };
        futures::stream::select_all(self.watched.iter().map(|(_, w)| one(w)))
    }
}

async fn synced<K: Cacheable>(cache: &Cache<K>, kind: &'static str) -> Result<(), NotSynced> {
    if cache.is_synced() {
        return Ok(());
    }
    tokio::time::timeout(FIRST_ANSWER, cache.synced()).await.map_err(|_| NotSynced(kind))
}
