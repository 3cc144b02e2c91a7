//! Watch-driven copies of a resource.

use crate::{
    Changes,
    changes::Mailbox,
    contents::{Contents, Index},
};
use futures::{StreamExt, TryStreamExt};
use kube::{
    Api, Resource,
    api::{WatchEvent, WatchParams},
    core::watch::Bookmark,
};
use parking_lot::RwLock;
use serde::de::DeserializeOwned;
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The delay before a broken watch is made again: the first, doubled up to the longest.
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const LONGEST_BACKOFF: Duration = Duration::from_secs(2);
/// How long the server is asked to keep a watch open, in seconds.
const WATCH_SECONDS: u32 = 290;
/// A watch on which nothing came for this long (servers send bookmarks in between) is made anew.
const IDLE_LIMIT: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 5);
/// The annotation of the bookmark that ends the initial events of a streaming list.
const INITIAL_END: &str = "k8s.io/initial-events-end";

/// The namespace (empty for cluster-scoped objects) and name of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// Empty for cluster-scoped objects.
    pub namespace: Arc<str>,
    /// `metadata.name`.
    pub name: Arc<str>,
}

impl ObjectKey {
    /// The key of `namespace/name`; `namespace` is empty for cluster-scoped objects.
    pub fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// The key of `object`.
    pub fn of<K: Resource>(object: &K) -> Self {
        let meta = object.meta();
        Self::new(meta.namespace.as_deref().unwrap_or(""), meta.name.as_deref().unwrap_or(""))
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

/// What a cache can hold: any typed or dynamic Kubernetes object.
pub trait Cacheable: Resource + Clone + DeserializeOwned + fmt::Debug + Send + Sync + 'static {}
impl<K: Resource + Clone + DeserializeOwned + fmt::Debug + Send + Sync + 'static> Cacheable for K {}

/// A copy of one resource (or of a selection of it), kept current by a watch. Clones share it; the
/// watch ends with the last clone.
pub struct Cache<K> {
    shared: Arc<Shared<K>>,
    _watch: Arc<DropGuard>,
}

impl<K> Clone for Cache<K> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), _watch: self._watch.clone() }
    }
}

struct Shared<K> {
    contents: RwLock<Contents<K>>,
    subscribers: parking_lot::Mutex<Vec<Weak<Mailbox<K>>>>,
    /// The revision up to which everything is in; 0 before the first complete list.
    revision: watch::Sender<u64>,
    trim: Option<fn(&mut K)>,
}

/// How a cache is to be filled.
pub struct CacheBuilder<K> {
    api: Api<K>,
    params: WatchParams,
    indexes: Vec<(&'static str, Index<K>)>,
    trim: Option<fn(&mut K)>,
}

impl<K: Cacheable> CacheBuilder<K> {
    /// Only objects that match this label selector.
    pub fn labels(mut self, selector: &str) -> Self {
        self.params.label_selector = Some(selector.to_owned());
        self
    }

    /// Only objects that match this field selector, for example `spec.nodeName=n1`.
    pub fn fields(mut self, selector: &str) -> Self {
        self.params.field_selector = Some(selector.to_owned());
        self
    }

    /// Objects can be looked up by what `values` says of them: see [`Cache::by_index`].
    pub fn index(mut self, name: &'static str, values: Index<K>) -> Self {
        self.indexes.push((name, values));
        self
    }

    /// Changes each object before it is stored, to drop what is never read (managed fields are
    /// always dropped).
    pub fn trim(mut self, trim: fn(&mut K)) -> Self {
        self.trim = Some(trim);
        self
    }

    /// Starts the watch. Must be called within a tokio runtime.
    pub fn start(self) -> Cache<K> {
        let shared = Arc::new(Shared {
            contents: RwLock::new(Contents::new(self.indexes)),
            subscribers: parking_lot::Mutex::default(),
            revision: watch::Sender::new(0),
            trim: self.trim,
        });
        let stop = CancellationToken::new();
        let watcher = Watcher { api: self.api, params: self.params, shared: shared.clone() };
        let stopped = stop.clone();
        tokio::spawn(async move {
            stopped.run_until_cancelled(watcher.run()).await;
        });
        Cache { shared, _watch: Arc::new(stop.drop_guard()) }
    }
}

impl<K: Cacheable> Cache<K> {
    /// A cache of everything that `api` lists.
    pub fn builder(api: Api<K>) -> CacheBuilder<K> {
        let params = WatchParams { bookmarks: true, timeout: Some(WATCH_SECONDS), ..WatchParams::default() };
        CacheBuilder { api, params, indexes: Vec::new(), trim: None }
    }

    /// A cache of everything that `api` lists, started.
    pub fn start(api: Api<K>) -> Cache<K> {
        Self::builder(api).start()
    }

    /// The object `namespace/name`; `namespace` is empty for cluster-scoped objects.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.shared.contents.read().get(namespace, name).cloned()
    }

    /// All objects, ordered by namespace and name.
    pub fn list(&self) -> Vec<Arc<K>> {
        self.shared.contents.read().iter().cloned().collect()
    }

    /// All objects of a namespace, ordered by name.
    pub fn list_in(&self, namespace: &str) -> Vec<Arc<K>> {
        self.shared.contents.read().iter_in(namespace).cloned().collect()
    }

    /// The objects for which the index function `index` names `value`, ordered by namespace and name.
    /// Panics when the cache was built without that index.
    pub fn by_index(&self, index: &'static str, value: &str) -> Vec<Arc<K>> {
        self.shared.contents.read().by_index(index, value)
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.shared.contents.read().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns once the first complete list has arrived.
    pub async fn synced(&self) {
        self.reached(1).await;
    }

    /// Whether the first complete list has arrived.
    pub fn is_synced(&self) -> bool {
        *self.shared.revision.borrow() > 0
    }

    /// The revision up to which everything is in; 0 before the first complete list.
    pub fn revision(&self) -> u64 {
        *self.shared.revision.borrow()
    }

    /// Returns once everything up to `revision` is in. An idle resource learns of revisions by
    /// bookmarks only, which may take a second.
    pub async fn reached(&self, revision: u64) {
        // The sender lives as long as `self`, so this can not fail.
        let _ = self.shared.revision.subscribe().wait_for(|r| *r >= revision).await;
    }

    /// A stream of changes, which begins with every object that is there.
    pub fn changes(&self) -> Changes<K> {
        let mailbox = Mailbox::new();
        let contents = self.shared.contents.read();
        for object in contents.iter() {
            mailbox.push(&ObjectKey::of(&**object), None, Some(object));
        }
        self.shared.subscribers.lock().push(Arc::downgrade(&mailbox));
        Changes::new(mailbox)
    }

    /// Puts in what the caller's own write gave back, before the watch brings it; ignored when the
    /// cache already knows something newer. Not for caches of a selection.
    pub fn note(&self, mut object: K) {
        let seen = self.revision();
        if seen == 0 || revision_of(&object) <= seen {
            return;
        }
        self.shared.tidy(&mut object);
        self.shared.put(object);
    }
}

impl<K> Drop for Shared<K> {
    fn drop(&mut self) {
        for mailbox in self.subscribers.lock().iter().filter_map(Weak::upgrade) {
            mailbox.close();
        }
    }
}

impl<K: Cacheable> Shared<K> {
    fn tidy(&self, object: &mut K) {
        object.meta_mut().managed_fields = None;
        if let Some(trim) = self.trim {
            trim(object);
        }
    }

    /// Stores `object` unless what is there is as new, and tells the subscribers.
    fn put(&self, object: K) {
        let mut contents = self.contents.write();
        let key = ObjectKey::of(&object);
        let revision = revision_of(&object);
        if contents.get(&key.namespace, &key.name).is_some_and(|old| revision_of(&**old) >= revision) {
            return;
        }
        let object = Arc::new(object);
        let old = contents.insert(&key, object.clone());
        self.tell(&key, old.as_ref(), Some(&object));
    }

    fn remove(&self, object: &K) {
        let mut contents = self.contents.write();
        let key = ObjectKey::of(object);
        let newer = |old: &Arc<K>| revision_of(&**old) > revision_of(object);
        if contents.get(&key.namespace, &key.name).is_some_and(newer) {
            return;
        }
        if let Some(old) = contents.remove(&key) {
            self.tell(&key, Some(&old), None);
        }
    }

    /// Replaces everything by a complete list of `revision`; what was noted since stays.
    fn replace(&self, mut list: BTreeMap<ObjectKey, Arc<K>>, revision: u64) {
        let mut contents = self.contents.write();
        let gone: Vec<ObjectKey> = contents
            .iter()
            .filter(|old| revision_of(&***old) <= revision)
            .map(|old| ObjectKey::of(&**old))
            .filter(|key| !list.contains_key(key))
            .collect();
        for key in gone {
            let old = contents.remove(&key);
            self.tell(&key, old.as_ref(), None);
        }
        while let Some((key, object)) = list.pop_first() {
            let old = contents.get(&key.namespace, &key.name);
            if old.is_some_and(|old| revision_of(&**old) >= revision_of(&*object)) {
                continue;
            }
            let old = contents.insert(&key, object.clone());
            self.tell(&key, old.as_ref(), Some(&object));
        }
    }

    /// Called under the lock of the contents, so that every subscriber sees the same order.
    fn tell(&self, key: &ObjectKey, old: Option<&Arc<K>>, new: Option<&Arc<K>>) {
        self.subscribers.lock().retain(|subscriber| match subscriber.upgrade() {
            Some(mailbox) => {
                mailbox.push(key, old, new);
                true
            }
            None => false,
        });
    }

    fn seen(&self, revision: u64) {
        self.revision.send_if_modified(|r| {
            let newer = revision > *r;
            *r = revision.max(*r);
            newer
        });
    }
}

/// Keeps one cache current.
struct Watcher<K> {
    api: Api<K>,
    params: WatchParams,
    shared: Arc<Shared<K>>,
}

/// Why one watch request ended.
enum Ended {
    /// The server closed it in an orderly way, or nothing came for too long.
    Closed,
    /// The revision to resume from is not in the server's history.
    Expired,
    Failed(kube::Error),
}

impl<K: Cacheable> Watcher<K> {
    async fn run(self) {
        let mut backoff = FIRST_BACKOFF;
        let mut resume: Option<u64> = None;
        loop {
            let before = self.shared.revision.borrow().to_owned();
            match self.watch(&mut resume).await {
                Ended::Closed => {}
                Ended::Expired => resume = None,
                Ended::Failed(error) => tracing::debug!(%error, "watch broke"),
            }
            if *self.shared.revision.borrow() > before {
                backoff = FIRST_BACKOFF;
            }
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(LONGEST_BACKOFF);
        }
    }

    /// One watch request, from `resume` on or with a complete list first.
    async fn watch(&self, resume: &mut Option<u64>) -> Ended {
        let mut params = self.params.clone();
        params.send_initial_events = resume.is_none();
        let from = resume.map_or_else(|| "0".to_owned(), |r| r.to_string());
        let stream = match self.api.watch(&params, &from).await {
            Ok(stream) => stream.into_stream(),
            Err(error) => return ended(error),
        };
        let mut stream = std::pin::pin!(stream);
        let mut list = resume.is_none().then(BTreeMap::new);
        loop {
            let event = match tokio::time::timeout(IDLE_LIMIT, stream.next()).await {
                Err(_) | Ok(None) => return Ended::Closed,
                Ok(Some(Err(error))) => return ended(error),
                Ok(Some(Ok(WatchEvent::Error(status)))) => return ended(kube::Error::Api(status)),
                Ok(Some(Ok(event))) => event,
            };
            self.apply(event, &mut list, resume);
        }
    }

    fn apply(
        &self,
        event: WatchEvent<K>,
        list: &mut Option<BTreeMap<ObjectKey, Arc<K>>>,
        resume: &mut Option<u64>,
    ) {
        match event {
            WatchEvent::Added(mut object) | WatchEvent::Modified(mut object) => {
                self.shared.tidy(&mut object);
                if let Some(list) = list {
                    list.insert(ObjectKey::of(&object), Arc::new(object));
                    return;
                }
                let revision = revision_of(&object);
                self.shared.put(object);
                self.advance(revision, resume);
            }
            WatchEvent::Deleted(object) => {
                if let Some(list) = list {
                    list.remove(&ObjectKey::of(&object));
                    return;
                }
                self.shared.remove(&object);
                self.advance(revision_of(&object), resume);
            }
            WatchEvent::Bookmark(Bookmark { metadata, .. }) => {
                let revision = metadata.resource_version.parse().unwrap_or(0);
                if list.is_some() && !metadata.annotations.contains_key(INITIAL_END) {
                    return;
                }
                if let Some(list) = list.take() {
                    self.shared.replace(list, revision);
                }
                self.advance(revision, resume);
            }
            WatchEvent::Error(_) => {}
        }
    }

    fn advance(&self, revision: u64, resume: &mut Option<u64>) {
        *resume = Some(resume.unwrap_or(0).max(revision));
        // An empty cluster is at revision 0: its list is complete all the same.
        self.shared.seen(revision.max(1));
    }
}

fn ended(error: kube::Error) -> Ended {
    match &error {
        kube::Error::Api(status) if status.code == 410 => Ended::Expired,
        kube::Error::Api(status) => {
            tracing::warn!(%status.message, code = status.code, "watch refused");
            Ended::Failed(error)
        }
        _ => Ended::Failed(error),
    }
}

/// The revision of an object; 0 when it has none. Revisions of one cluster are comparable.
fn revision_of<K: Resource>(object: &K) -> u64 {
    object.meta().resource_version.as_deref().and_then(|r| r.parse().ok()).unwrap_or(0)
}
