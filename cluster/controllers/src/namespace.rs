//! Empties namespaces that are deleted, and says what keeps one from going.

use crate::{
    Acting,
    discovered::{Discovered, Meta, discover},
    drive::{Controller, drive, gone_is_fine, is_code, on, on_self},
    objects::{name, time},
};
use async_trait::async_trait;
use client::ObjectKey;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, NamespaceCondition, NamespaceStatus};
use kube::{
    Api,
    api::{DeleteParams, DynamicObject, ListParams, PostParams},
};
use std::{collections::BTreeMap, time::Duration};

/// The finalizer that stands for the content of a namespace.
const FINALIZER: &str = "kubernetes";
/// When to look again while something is still there. Pods that go wake us before.
const AGAIN: Duration = Duration::from_millis(250);
const AGAIN_FOR_PODS: Duration = Duration::from_secs(2);
/// Objects that are asked for at one time: a namespace may hold any number.
const PAGE: u32 = 500;

pub(crate) async fn run(acting: Acting) {
    let namespaces = acting.caches.namespaces.clone();
    let pods = on(&acting.caches.pods, move |change| {
        let gone = change.new.is_none();
        let namespace = namespaces.get("", &change.key.namespace).filter(|_| gone)?;
        namespace
            .metadata
            .deletion_timestamp
            .as_ref()
            .map(|_| ObjectKey::new("", change.key.namespace.clone()))
    });
    let sources = vec![on_self(&acting.caches.namespaces), pods];
    drive(acting.clone(), Runner { acting }, sources).await;
}

struct Runner {
    acting: Acting,
}

/// What was found, and left, in a namespace.
#[derive(Debug, Default, PartialEq)]
struct Content {
    /// Number of objects by resource.
    remaining: BTreeMap<String, usize>,
    /// Number of objects by finalizer.
    finalizers: BTreeMap<String, usize>,
    /// What could not be found out.
    undiscovered: Option<String>,
    /// What could not be deleted.
    failures: Vec<String>,
}

/// What stays of one resource.
#[derive(Default)]
struct Left {
    objects: usize,
    /// Number of objects by finalizer.
    finalizers: BTreeMap<String, usize>,
}

impl Left {
    fn count(&mut self, objects: &[Meta]) {
        self.objects += objects.len();
        for finalizer in objects.iter().flat_map(|object| object.metadata.finalizers.iter().flatten()) {
            *self.finalizers.entry(finalizer.clone()).or_default() += 1;
        }
    }
}

impl Content {
    fn add(&mut self, resource: &Discovered, left: Left) {
        if left.objects > 0 {
            self.remaining.insert(resource.name(), left.objects);
        }
        for (finalizer, count) in left.finalizers {
            *self.finalizers.entry(finalizer).or_default() += count;
        }
    }

    fn is_gone(&self) -> bool {
        self.remaining.is_empty() && self.undiscovered.is_none() && self.failures.is_empty()
    }
}

#[async_trait]
impl Controller for Runner {
    fn name(&self) -> &'static str {
        "namespace"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Option<Duration>, kube::Error> {
        let Some(namespace) = self.acting.caches.namespaces.get("", &key.name) else { return Ok(None) };
        let finalizers = namespace.spec.as_ref().and_then(|spec| spec.finalizers.clone()).unwrap_or_default();
        if namespace.metadata.deletion_timestamp.is_none() || !finalizers.iter().any(|f| f == FINALIZER) {
            return Ok(None);
        }
        let content = self.empty(&key.name).await;
        let mut namespace = (*namespace).clone();
        if let Some(status) = plan(&namespace, &content, Timestamp::now()) {
            namespace.status = Some(status);
            let api: Api<Namespace> = Api::all(self.acting.client.clone());
            let Some(written) =
                gone_is_fine(api.replace_status(&key.name, &PostParams::default(), &namespace).await)?
            else {
                return Ok(None);
            };
            self.acting.caches.namespaces.note(written.clone());
            namespace = written;
        }
        if !content.is_gone() {
            let only_pods = content.remaining.keys().all(|resource| resource == "pods");
            return Ok(Some(if only_pods { AGAIN_FOR_PODS } else { AGAIN }));
        }
        self.finalize(namespace).await?;
        Ok(None)
    }
}

impl Runner {
    /// Deletes everything: first the pods, so that nothing that they use goes before they do.
    async fn empty(&self, namespace: &str) -> Content {
        let mut content = Content::default();
        let mut resources = match discover(&self.acting.client).await {
            Ok(resources) => resources,
            Err(error) => {
                content.undiscovered = Some(error.to_string());
                return content;
            }
        };
        resources.retain(|resource| resource.namespaced);
        let (pods, others): (Vec<_>, Vec<_>) = resources.into_iter().partition(|r| r.name() == "pods");
        for stage in [pods, others] {
            let deletions = stage.iter().map(|resource| self.delete_all(resource, namespace));
            for (resource, result) in stage.iter().zip(futures::future::join_all(deletions).await) {
                match result {
                    Ok(left) => content.add(resource, left),
                    // A resource that is not served any more has no objects.
                    Err(error) if is_code(&error, 404) || is_code(&error, 405) => {}
                    Err(error) => content.failures.push(format!("{}: {error}", resource.name())),
                }
            }
            if !content.is_gone() {
                break;
            }
        }
        content
    }

    /// Deletes all objects of one resource, and says what is still there.
    async fn delete_all(&self, resource: &Discovered, namespace: &str) -> Result<Left, kube::Error> {
        let client = self.acting.client.clone();
        let api: Api<Meta> = Api::namespaced_with(client.clone(), namespace, &resource.resource);
        let every: Api<DynamicObject> = Api::namespaced_with(client, namespace, &resource.resource);
        let page = ListParams::default().limit(PAGE);
        let delete = DeleteParams::background();
        let mut left = Left::default();
        let mut after = None;
        loop {
            let found = api.list(&ListParams { continue_token: after.clone(), ..page.clone() }).await?;
            let fresh = |object: &Meta| object.metadata.deletion_timestamp.is_none();
            if found.items.iter().any(fresh) {
                // A collection is deleted from its beginning; behind what stays there, one by one.
                if resource.deletes_collections && after.is_none() {
                    every.delete_collection(&delete, &page).await?;
                } else {
                    for object in found.items.iter().filter(|object| fresh(object)) {
                        gone_is_fine(every.delete(name(&object.metadata), &delete).await)?;
                    }
                }
                // What stays is counted when nothing of it is fresh.
                if after.is_none() {
                    continue;
                }
            }
            left.count(&found.items);
            after = found.metadata.continue_.filter(|token| !token.is_empty());
            if after.is_none() {
                return Ok(left);
            }
        }
    }

    async fn finalize(&self, mut namespace: Namespace) -> Result<(), kube::Error> {
        if let Some(finalizers) = namespace.spec.as_mut().and_then(|spec| spec.finalizers.as_mut()) {
            finalizers.retain(|f| f != FINALIZER);
        }
        let path = format!("/api/v1/namespaces/{}/finalize", name(&namespace.metadata));
        let body = serde_json::to_vec(&namespace).map_err(kube::Error::SerdeError)?;
        let request = http::Request::put(path).header("content-type", "application/json").body(body);
        let request = request.map_err(kube::Error::HttpError)?;
        gone_is_fine(self.acting.client.request::<serde_json::Value>(request).await)?;
        Ok(())
    }
}

/// The status that says what is left; `None` when it says so already.
fn plan(namespace: &Namespace, content: &Content, now: Timestamp) -> Option<NamespaceStatus> {
    let mut status = namespace.status.clone().unwrap_or_default();
    status.phase = Some("Terminating".into());
    let list = |of: &BTreeMap<String, usize>, text: &dyn Fn(&String, &usize) -> String| {
        of.iter().map(|(name, count)| text(name, count)).collect::<Vec<_>>().join(", ")
    };
    let remain =
        list(&content.remaining, &|resource, count| format!("{resource} has {count} resource instances"));
    let held =
        list(&content.finalizers, &|finalizer, count| format!("{finalizer} in {count} resource instances"));
    let failures = content.failures.join("; ");
    let says = |text: String, prefix: &str| (!text.is_empty()).then(|| format!("{prefix}{text}"));
    let facts = [
        (
            "NamespaceDeletionDiscoveryFailure",
            content.undiscovered.clone(),
            ("DiscoveryFailed", "ResourcesDiscovered", "All resources successfully discovered"),
        ),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            None,
            ("GroupVersionParsingFailed", "ParsedGroupVersions", "All legacy kube types successfully parsed"),
        ),
        (
            "NamespaceDeletionContentFailure",
            says(failures, "Failed to delete all resource types: "),
            (
                "ContentDeletionFailed",
                "ContentDeleted",
                "All content successfully deleted, may be waiting on finalization",
            ),
        ),
        (
            "NamespaceContentRemaining",
            says(remain, "Some resources are remaining: "),
            ("SomeResourcesRemain", "ContentRemoved", "All content successfully removed"),
        ),
        (
            "NamespaceFinalizersRemaining",
            says(held, "Some content in the namespace has finalizers remaining: "),
            ("SomeFinalizersRemain", "ContentHasNoFinalizers", "All content-preserving finalizers finished"),
        ),
    ];
    for (kind, problem, (bad, good, fine)) in facts {
        let value = if problem.is_some() { "True" } else { "False" };
        let reason = if problem.is_some() { bad } else { good };
        set(&mut status, kind, value, reason, problem.unwrap_or_else(|| fine.to_owned()), now);
    }
    (namespace.status.as_ref() != Some(&status)).then_some(status)
}

fn set(status: &mut NamespaceStatus, kind: &str, value: &str, reason: &str, message: String, now: Timestamp) {
    let conditions = status.conditions.get_or_insert_default();
    let found = conditions.iter_mut().find(|c| c.type_ == kind);
    match found {
        Some(c) if c.status == value && c.message.as_deref() == Some(&message) => {}
        Some(c) => {
            if c.status != value {
                c.last_transition_time = time(now);
            }
            c.status = value.into();
            c.reason = Some(reason.into());
            c.message = Some(message);
        }
        None => conditions.push(NamespaceCondition {
            type_: kind.into(),
            status: value.into(),
            reason: Some(reason.into()),
            message: Some(message),
            last_transition_time: time(now),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, object};
    use serde_json::json;

    #[test]
    fn the_status_names_what_is_left() {
        let namespace: Namespace =
            object(json!({ "metadata": { "name": "ns" }, "status": { "phase": "Terminating" } }));
        let content = Content {
            remaining: BTreeMap::from([("pods".into(), 2), ("widgets.example.com".into(), 1)]),
            finalizers: BTreeMap::from([("example.com/hold".into(), 1)]),
            ..Content::default()
        };
        let status = plan(&namespace, &content, at(0)).unwrap();
        let bad: Vec<_> = status.conditions.iter().flatten().filter(|c| c.status == "True").collect();
        let told: Vec<_> = bad.iter().map(|c| (c.type_.as_str(), c.message.as_deref().unwrap())).collect();
        assert_eq!(
            told,
            [
                (
                    "NamespaceContentRemaining",
                    "Some resources are remaining: pods has 2 resource instances, widgets.example.com has 1 resource instances"
                ),
                (
                    "NamespaceFinalizersRemaining",
                    "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances"
                ),
            ]
        );
        let told = Namespace { status: Some(status), ..namespace };
        assert!(plan(&told, &content, at(9)).is_none(), "nothing new to say");
        let status = plan(&told, &Content::default(), at(9)).unwrap();
        assert!(status.conditions.iter().flatten().all(|c| c.status == "False"));
    }
}
