//! The revisions of a template, as ControllerRevisions: for DaemonSets and StatefulSets.

use crate::{
    Acting,
    drive::{gone_is_fine, is_code},
    objects::{Labels, api_in, labels, name, only, owner_reference, template_hash, uid},
};
use k8s_openapi::{
    api::{apps::v1::ControllerRevision, core::v1::PodTemplateSpec},
    apimachinery::pkg::runtime::RawExtension,
};
use kube::{
    Api, Resource,
    api::{ObjectMeta, PostParams},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::Arc};

/// The label of revisions, and of the pods made of them.
pub(crate) const HASH_LABEL: &str = "controller-revision-hash";

/// The revisions of one owner.
#[derive(Debug)]
pub(crate) struct History {
    /// The revision of the template as it is, perhaps one that is yet to be made.
    pub current: ControllerRevision,
    /// What to write to get there.
    pub write: Option<Write>,
    /// The others, oldest first.
    pub others: Vec<Arc<ControllerRevision>>,
}

#[derive(Debug)]
pub(crate) enum Write {
    Create,
    Renumber,
}

/// What a revision keeps: a patch that brings the template back.
fn data(template: &PodTemplateSpec) -> Value {
    let mut template = serde_json::to_value(template).expect("a pod template is JSON");
    template["$patch"] = json!("replace");
    json!({ "spec": { "template": template } })
}

/// The template that a revision keeps.
pub(crate) fn template_of(revision: &ControllerRevision) -> Option<PodTemplateSpec> {
    let mut template = revision.data.as_ref()?.0.get("spec")?.get("template")?.clone();
    template.as_object_mut()?.remove("$patch");
    serde_json::from_value(template).ok()
}

/// The hash of a revision, as its pods carry it.
pub(crate) fn hash_of(revision: &ControllerRevision) -> &str {
    labels(&revision.metadata).get(HASH_LABEL).map_or("", String::as_str)
}

/// Finds the revision of `template` among `revisions` (those of the owner), or makes one.
pub(crate) fn history<K: Resource<DynamicType = ()>>(
    owner: &K,
    template: &PodTemplateSpec,
    collisions: Option<i32>,
    mut revisions: Vec<Arc<ControllerRevision>>,
) -> History {
    revisions.sort_by_key(|revision| (revision.revision, name(&revision.metadata).to_owned()));
    let last = revisions.last().map_or(0, |revision| revision.revision);
    let same = |revision: &Arc<ControllerRevision>| template_of(revision).as_ref() == Some(template);
    if let Some(at) = revisions.iter().rposition(same) {
        let found = revisions.remove(at);
        let mut current = (*found).clone();
        let write = (current.revision != last).then(|| {
            current.revision = last + 1;
            Write::Renumber
        });
        return History { current, write, others: revisions };
    }
    let hash = template_hash(template, collisions);
    let mut labels: Labels = template.metadata.as_ref().and_then(|m| m.labels.clone()).unwrap_or_default();
    labels.insert(HASH_LABEL.into(), hash.clone());
    let current = ControllerRevision {
        metadata: ObjectMeta {
            name: Some(format!("{}-{hash}", name(owner.meta()))),
            namespace: owner.meta().namespace.clone(),
            labels: Some(labels),
            owner_references: Some(vec![owner_reference(owner)]),
            ..ObjectMeta::default()
        },
        data: Some(RawExtension(data(template))),
        revision: last + 1,
    };
    History { current, write: Some(Write::Create), others: revisions }
}

impl History {
    /// The oldest revisions beyond `limit` that no pod was made of.
    pub fn surplus(&self, limit: Option<i32>, in_use: &BTreeSet<String>) -> Vec<Arc<ControllerRevision>> {
        // A negative limit keeps all.
        let limit = usize::try_from(limit.unwrap_or(10)).unwrap_or(usize::MAX);
        let idle = self
            .others
            .iter()
            .filter(|r| !in_use.contains(hash_of(r)) && !in_use.contains(name(&r.metadata)));
        let idle: Vec<_> = idle.cloned().collect();
        let surplus = idle.len().saturating_sub(limit);
        idle.into_iter().take(surplus).collect()
    }

    /// Writes what is to be written. `false` when another object has the name: another hash is
    /// needed.
    pub async fn settle(&self, acting: &Acting, namespace: &str) -> Result<bool, kube::Error> {
        let api: Api<ControllerRevision> = api_in(&acting.client, namespace);
        let cache = &acting.caches.revisions;
        let revision = &self.current;
        match self.write {
            None => {}
            Some(Write::Renumber) => {
                cache.note(api.replace(name(&revision.metadata), &PostParams::default(), revision).await?);
            }
            Some(Write::Create) => match api.create(&PostParams::default(), revision).await {
                Ok(made) => cache.note(made),
                Err(error) if is_code(&error, 409) => {
                    let found = api.get(name(&revision.metadata)).await?;
                    let owner = |r: &ControllerRevision| {
                        r.metadata.owner_references.iter().flatten().map(|o| o.uid.clone()).next()
                    };
                    return Ok(
                        template_of(&found) == template_of(revision) && owner(&found) == owner(revision)
                    );
                }
                Err(error) => return Err(error),
            },
        }
        Ok(true)
    }
}

/// Deletes revisions.
pub(crate) async fn forget(
    acting: &Acting,
    namespace: &str,
    surplus: &[Arc<ControllerRevision>],
) -> Result<(), kube::Error> {
    let api: Api<ControllerRevision> = api_in(&acting.client, namespace);
    for revision in surplus {
        tracing::debug!(
            revision = name(&revision.metadata),
            uid = uid(&revision.metadata),
            "beyond the history limit"
        );
        gone_is_fine(api.delete(name(&revision.metadata), &only(&revision.metadata)).await)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::object;
    use k8s_openapi::api::apps::v1::DaemonSet;

    #[test]
    fn a_template_has_one_revision() {
        let owner: DaemonSet = object(json!({ "metadata": { "name": "d", "namespace": "ns", "uid": "u" } }));
        let template = |image: &str| -> PodTemplateSpec {
            object(
                json!({ "metadata": { "labels": { "app": "d" } }, "spec": { "containers": [{ "name": "c", "image": image }] } }),
            )
        };
        let first = history(&owner, &template("a"), None, Vec::new());
        assert_eq!((first.current.revision, template_of(&first.current)), (1, Some(template("a"))));
        let stored = Arc::new(first.current);
        let second = history(&owner, &template("b"), None, vec![stored.clone()]);
        assert_eq!((second.current.revision, second.others.len()), (2, 1));
        let both = vec![Arc::new(second.current), stored];
        assert!(history(&owner, &template("b"), None, both.clone()).write.is_none());
        // Going back gives the old revision a new number.
        let back = history(&owner, &template("a"), None, both);
        assert!(matches!(back.write, Some(Write::Renumber)));
        assert_eq!(back.current.revision, 3);
        assert_eq!(back.surplus(Some(0), &BTreeSet::new()).len(), 1);
        assert_eq!(back.surplus(Some(-1), &BTreeSet::new()).len(), 0);
        assert_eq!(back.surplus(Some(0), &BTreeSet::from([hash_of(&back.others[0]).to_owned()])).len(), 0);
    }
}
