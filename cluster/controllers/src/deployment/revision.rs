//! Which ReplicaSet is which revision of a Deployment, and the annotations that say so.

use crate::objects::{Labels, annotation, created, labels, name, owner_reference, template_hash, uid};
use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet, ReplicaSetSpec},
    core::v1::PodTemplateSpec,
};
use kube::api::ObjectMeta;
use std::sync::Arc;

pub(crate) const REVISION: &str = "deployment.kubernetes.io/revision";
const HISTORY: &str = "deployment.kubernetes.io/revision-history";
pub(crate) const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
pub(crate) const MAX: &str = "deployment.kubernetes.io/max-replicas";
pub(crate) const HASH_LABEL: &str = "pod-template-hash";

/// Annotations of a Deployment that its ReplicaSets do not take over.
const OWN: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    HISTORY,
    DESIRED,
    MAX,
    "deprecated.deployment.rollback.to",
];

/// The template without the label that tells ReplicaSets apart.
fn without_hash(template: &PodTemplateSpec) -> PodTemplateSpec {
    let mut template = template.clone();
    if let Some(meta) = &mut template.metadata
        && let Some(labels) = &mut meta.labels
    {
        labels.remove(HASH_LABEL);
        if labels.is_empty() {
            meta.labels = None;
        }
    }
    if template.metadata.as_ref().is_some_and(|meta| *meta == ObjectMeta::default()) {
        template.metadata = None;
    }
    template
}

/// Whether the ReplicaSet runs the Deployment's template as it is now.
pub(crate) fn same_template(set: &ReplicaSet, deployment: &Deployment) -> bool {
    let Some(theirs) = set.spec.as_ref().and_then(|spec| spec.template.as_ref()) else { return false };
    let Some(ours) = deployment.spec.as_ref().map(|spec| &spec.template) else { return false };
    without_hash(theirs) == without_hash(ours)
}

/// The oldest ReplicaSet with the Deployment's template, and the others, oldest first.
pub(crate) fn split(
    deployment: &Deployment,
    sets: &[Arc<ReplicaSet>],
) -> (Option<Arc<ReplicaSet>>, Vec<Arc<ReplicaSet>>) {
    let mut sets = sets.to_vec();
    sets.sort_by(|a, b| {
        (created(&a.metadata), name(&a.metadata)).cmp(&(created(&b.metadata), name(&b.metadata)))
    });
    let new = sets.iter().find(|set| same_template(set, deployment)).cloned();
    sets.retain(|set| new.as_ref().is_none_or(|new| uid(&new.metadata) != uid(&set.metadata)));
    (new, sets)
}

/// The revision number that a ReplicaSet (or Deployment) carries; 0 for none.
pub(crate) fn revision_of(meta: &ObjectMeta) -> i64 {
    annotation(meta, REVISION).and_then(|r| r.parse().ok()).unwrap_or(0)
}

/// Brings the annotations of the new ReplicaSet up to date; whether any changed.
pub(crate) fn annotate(set: &mut ReplicaSet, deployment: &Deployment, revision: i64) -> bool {
    let ours = set.metadata.annotations.clone().unwrap_or_default();
    let mut theirs = ours.clone();
    for (key, value) in deployment.metadata.annotations.iter().flatten() {
        if !OWN.contains(&key.as_str()) {
            theirs.insert(key.clone(), value.clone());
        }
    }
    let old = revision_of(&set.metadata);
    if old < revision {
        theirs.insert(REVISION.into(), revision.to_string());
        if old > 0 {
            let history = theirs.get(HISTORY).map(|h| format!("{h},{old}"));
            theirs.insert(HISTORY.into(), history.unwrap_or_else(|| old.to_string()));
        }
    }
    let changed = theirs != ours;
    set.metadata.annotations = (!theirs.is_empty()).then_some(theirs);
    changed
}

/// Notes on a ReplicaSet for which size of the Deployment it was made; whether that changed.
pub(crate) fn annotate_size(set: &mut ReplicaSet, desired: i32, max: i32) -> bool {
    let annotations = set.metadata.annotations.get_or_insert_default();
    let mut changed = false;
    for (key, value) in [(DESIRED, desired), (MAX, max)] {
        let value = value.to_string();
        if annotations.get(key) != Some(&value) {
            annotations.insert(key.into(), value);
            changed = true;
        }
    }
    changed
}

/// The size that was noted under `key`.
pub(crate) fn noted_size(set: &ReplicaSet, key: &str) -> Option<i32> {
    annotation(&set.metadata, key)?.parse().ok()
}

/// A ReplicaSet for the Deployment's template, yet without replicas.
pub(crate) fn make(deployment: &Deployment, revision: i64) -> ReplicaSet {
    let spec = deployment.spec.clone().unwrap_or_default();
    let collisions = deployment.status.as_ref().and_then(|status| status.collision_count);
    let hash = template_hash(&without_hash(&spec.template), collisions);
    let mut template = spec.template;
    let meta = template.metadata.get_or_insert_default();
    let with_hash = |labels: &Labels| {
        let mut labels = labels.clone();
        labels.insert(HASH_LABEL.into(), hash.clone());
        labels
    };
    meta.labels = Some(with_hash(labels(meta)));
    let template_labels = meta.labels.clone();
    let mut selector = spec.selector;
    selector.match_labels = Some(with_hash(&selector.match_labels.unwrap_or_default()));
    let mut set = ReplicaSet {
        metadata: ObjectMeta {
            name: Some(format!("{}-{hash}", name(&deployment.metadata))),
            namespace: deployment.metadata.namespace.clone(),
            labels: template_labels,
            owner_references: Some(vec![owner_reference(deployment)]),
            ..ObjectMeta::default()
        },
        spec: Some(ReplicaSetSpec {
            min_ready_seconds: spec.min_ready_seconds,
            replicas: Some(0),
            selector,
            template: Some(template),
        }),
        status: None,
    };
    annotate(&mut set, deployment, revision);
    set
}
