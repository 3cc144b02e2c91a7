//! What the objects of a namespace use of its ResourceQuotas. The API server charges what is
//! created; nothing gives back what goes, so it is counted here.

use crate::{
    Acting,
    caches::CATCH_UP_LIMIT,
    discovered::{Meta, discover},
    drive::{Controller, Keys, drive, on, on_self},
    objects::{api_in, put_status},
    pods::is_terminal,
};
use api::{
    amounts::{amounts, written},
    quota::{Of, counts, total, usage},
};
use async_trait::async_trait;
use client::{Cache, Cacheable, Change, ObjectKey};
use futures::StreamExt;
use k8s_openapi::api::core::v1::{Pod, ResourceQuota};
use kube::Api;
use serde::Serialize;
use serde_json::{Value, json};
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};
use tokio::sync::{Mutex, mpsc};

/// Changes of counted objects that wait to be looked at.
const WAITING_LIMIT: usize = 64;
/// What quotas count with more than the number of objects; the controllers know these objects.
const KNOWN: [&str; 3] = ["pods", "services", "persistentvolumeclaims"];

pub(crate) async fn run(acting: Acting) {
    let caches = &acting.caches;
    let (wake, woken) = mpsc::channel(WAITING_LIMIT);
    let woken = futures::stream::unfold(woken, async |mut woken| Some((woken.recv().await?, woken))).boxed();
    let sources = vec![
        on_self(&caches.quotas),
        in_namespace(&caches.quotas, &caches.pods, pod_counts_anew),
        in_namespace(&caches.quotas, &caches.services, |_| true),
        in_namespace(&caches.quotas, &caches.claims, |_| true),
        woken,
    ];
    let others = Others { acting: acting.clone(), running: Mutex::default(), wake };
    drive(acting.clone(), Runner { acting, others }, sources).await;
}

/// The quotas of the namespace in which something changed that matters.
fn in_namespace<K: Cacheable>(
    quotas: &Cache<ResourceQuota>,
    cache: &Cache<K>,
    matters: fn(&Change<K>) -> bool,
) -> Keys {
    let quotas = quotas.clone();
    on(cache, move |change| {
        let found = if matters(change) { quotas.list_in(&change.key.namespace) } else { Vec::new() };
        found.iter().map(|quota| ObjectKey::of(&**quota)).collect::<Vec<_>>()
    })
}

/// Status changes do not matter, but for the last.
fn pod_counts_anew(change: &Change<Pod>) -> bool {
    match (&change.old, &change.new) {
        (Some(old), Some(new)) => {
            old.metadata.generation != new.metadata.generation || is_terminal(old) != is_terminal(new)
        }
        _ => true,
    }
}

struct Runner {
    acting: Acting,
    others: Others,
}

#[async_trait]
impl Controller for Runner {
    fn name(&self) -> &'static str {
        "resource_quota"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Option<Duration>, kube::Error> {
        let Some(quota) = self.acting.caches.quotas.get(&key.namespace, &key.name) else { return Ok(None) };
        let seen = value(&*quota);
        let mut contents = Vec::new();
        for (group, plural) in counted(&seen) {
            let of = Of::new(&group, &plural);
            let objects = self.objects(of, &key.namespace, &quota).await?;
            contents.push(((group, plural), objects));
        }
        if let Some(status) = plan(&seen, &contents) {
            let mut next = (*quota).clone();
            next.status = Some(serde_json::from_value(status).map_err(kube::Error::SerdeError)?);
            let api: Api<ResourceQuota> = api_in(&self.acting.client, &key.namespace);
            put_status(&api, &self.acting.caches.quotas, &next).await?;
        }
        Ok(None)
    }
}

impl Runner {
    /// The objects of one resource, at least as new as what the quota was charged for. Where only
    /// the number matters they are empty.
    async fn objects(
        &self,
        of: Of<'_>,
        namespace: &str,
        quota: &ResourceQuota,
    ) -> Result<Vec<Value>, kube::Error> {
        let caches = &self.acting.caches;
        Ok(match (of.group, of.plural) {
            ("", "pods") => {
                in_step(&caches.pods, quota, namespace).await.iter().map(|o| value(&**o)).collect()
            }
            ("", "services") => {
                in_step(&caches.services, quota, namespace).await.iter().map(|o| value(&**o)).collect()
            }
            ("", "persistentvolumeclaims") => {
                in_step(&caches.claims, quota, namespace).await.iter().map(|o| value(&**o)).collect()
            }
            _ => match self.others.cache(of).await? {
                Some(cache) => vec![Value::Null; in_step(&cache, quota, namespace).await.len()],
                None => Vec::new(),
            },
        })
    }
}

/// The objects of the namespace, when the cache is as new as the quota: otherwise what was charged
/// for an object that is not in yet would be given back. An idle cache is not waited for.
async fn in_step<K: Cacheable>(cache: &Cache<K>, quota: &ResourceQuota, namespace: &str) -> Vec<Arc<K>> {
    let revision = quota.metadata.resource_version.as_deref().and_then(|r| r.parse().ok()).unwrap_or(0);
    if tokio::time::timeout(CATCH_UP_LIMIT, cache.reached(revision)).await.is_err() {
        tracing::debug!(revision, "counting for a quota: a cache has not confirmed the revision yet");
    }
    cache.list_in(namespace)
}

/// Watches of resources that a quota has named, each begun when it is first needed.
struct Others {
    acting: Acting,
    running: Mutex<HashMap<(String, String), Cache<Meta>>>,
    wake: mpsc::Sender<ObjectKey>,
}

impl Others {
    /// `None` when the resource is not served.
    async fn cache(&self, of: Of<'_>) -> Result<Option<Cache<Meta>>, kube::Error> {
        let key = (of.group.to_owned(), of.plural.to_owned());
        let mut running = self.running.lock().await;
        if let Some(cache) = running.get(&key) {
            return Ok(Some(cache.clone()));
        }
        let found = discover(&self.acting.client).await?.into_iter().find(|r| {
            r.namespaced && r.watchable && r.resource.group == of.group && r.resource.plural == of.plural
        });
        let Some(found) = found else { return Ok(None) };
        let api: Api<Meta> = Api::all_with(self.acting.client.clone(), &found.resource);
        let cache = Cache::builder(api).trim(trim).start();
        cache.synced().await;
        let mut changed = in_namespace(&self.acting.caches.quotas, &cache, came_or_went);
        let (wake, stop) = (self.wake.clone(), self.acting.stop.clone());
        tokio::spawn(async move {
            let forward = async {
                while let Some(key) = changed.next().await {
                    if wake.send(key).await.is_err() {
                        break;
                    }
                }
            };
            stop.run_until_cancelled(forward).await;
        });
        running.insert(key, cache.clone());
        Ok(Some(cache))
    }
}

fn came_or_went(change: &Change<Meta>) -> bool {
    change.old.is_some() != change.new.is_some()
}

/// Only how many there are is asked.
fn trim(object: &mut Meta) {
    object.metadata.labels = None;
    object.metadata.annotations = None;
    object.metadata.owner_references = None;
}

fn value<K: Serialize>(object: &K) -> Value {
    serde_json::to_value(object).expect("an object of the API is JSON")
}

/// The resources whose objects count, as `(group, plural)`.
fn counted(quota: &Value) -> BTreeSet<(String, String)> {
    let hard = amounts(&quota["spec"]["hard"]);
    let named = |name: &str| {
        let plain = name.strip_prefix("count/").unwrap_or(name);
        let (plural, group) = plain.split_once('.').unwrap_or((plain, ""));
        (group.to_owned(), plural.to_owned())
    };
    let mut found: BTreeSet<_> = KNOWN
        .iter()
        .filter(|plural| api::quota::limits(Of::new("", plural), &hard).next().is_some())
        .map(|plural| (String::new(), (*plural).to_owned()))
        .collect();
    let others = hard.keys().map(|name| named(name));
    found.extend(
        others.filter(|(group, plural)| api::quota::limits(Of::new(group, plural), &hard).next().is_some()),
    );
    found
}

/// The status to write; `None` when it is right.
fn plan(quota: &Value, contents: &[((String, String), Vec<Value>)]) -> Option<Value> {
    let hard = amounts(&quota["spec"]["hard"]);
    let used: Vec<_> = contents
        .iter()
        .flat_map(|((group, plural), objects)| {
            let of = Of::new(group, plural);
            objects
                .iter()
                .filter(move |object| counts(quota, of, object))
                .map(move |object| usage(of, object))
        })
        .collect();
    let used = total(&hard, used.iter());
    let told = |list: &str| amounts(&quota["status"][list]);
    let same = told("hard") == hard && told("used") == used;
    (!same).then(|| json!({"hard": quota["spec"]["hard"], "used": written(&used)}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(group: &str, plural: &str) -> (String, String) {
        (group.to_owned(), plural.to_owned())
    }

    #[test]
    fn what_is_counted_for_which_names() {
        let hard =
            json!({"limits.cpu": "1", "services.nodeports": "1", "secrets": "1", "count/jobs.batch": "1"});
        let quota = json!({"spec": {"hard": hard}});
        let expected = [key("", "pods"), key("", "secrets"), key("", "services"), key("batch", "jobs")];
        assert_eq!(counted(&quota).into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn used_is_counted_anew() {
        let hard = json!({"pods": "5", "cpu": "2", "secrets": "9"});
        let pod = |phase: &str| {
            let container = json!({"name": "c", "resources": {"requests": {"cpu": "250m"}}});
            json!({"spec": {"containers": [container]}, "status": {"phase": phase}})
        };
        let contents = [
            (key("", "pods"), vec![pod("Running"), pod("Succeeded"), pod("Pending")]),
            (key("", "secrets"), vec![Value::Null; 3]),
        ];
        let mut quota = json!({"spec": {"hard": hard}, "status": {}});
        let status = plan(&quota, &contents).expect("nothing was told yet");
        assert_eq!(status, json!({"hard": hard, "used": {"pods": "2", "cpu": "500m", "secrets": "3"}}));
        quota["status"] = status;
        assert_eq!(plan(&quota, &contents), None, "it says so already");
        quota["spec"]["hard"]["pods"] = "6".into();
        assert_eq!(plan(&quota, &contents).unwrap()["hard"]["pods"], "6");
    }
}
