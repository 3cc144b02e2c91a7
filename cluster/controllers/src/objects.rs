//! Small questions about any object: who owns it, what selects it, what it is called.

use client::{Cache, Cacheable, ObjectKey};
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::PodTemplateSpec,
    apimachinery::pkg::{
        apis::meta::v1::{LabelSelector, OwnerReference, Time},
        util::intstr::IntOrString,
    },
};
use kube::{
    Api, Resource,
    api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions},
    core::{NamespaceResourceScope, Selector, SelectorExt},
};
use serde::Serialize;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

pub(crate) type Labels = BTreeMap<String, String>;

static NO_LABELS: Labels = BTreeMap::new();

/// The labels of an object.
pub(crate) fn labels(meta: &ObjectMeta) -> &Labels {
    meta.labels.as_ref().unwrap_or(&NO_LABELS)
}

/// One annotation of an object.
pub(crate) fn annotation<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.annotations.as_ref()?.get(key).map(String::as_str)
}

pub(crate) fn name(meta: &ObjectMeta) -> &str {
    meta.name.as_deref().unwrap_or("")
}

pub(crate) fn namespace(meta: &ObjectMeta) -> &str {
    meta.namespace.as_deref().unwrap_or("")
}

pub(crate) fn uid(meta: &ObjectMeta) -> &str {
    meta.uid.as_deref().unwrap_or("")
}

/// When the object was created; the earliest moment when that is not known.
pub(crate) fn created(meta: &ObjectMeta) -> Timestamp {
    meta.creation_timestamp.as_ref().map_or(Timestamp::MIN, |t| t.0)
}

/// The owner that manages the object.
pub(crate) fn controller_of(meta: &ObjectMeta) -> Option<&OwnerReference> {
    meta.owner_references.as_ref()?.iter().find(|owner| owner.controller == Some(true))
}

/// The uid of the owner that manages the object: an index function of caches.
pub(crate) fn controller_uid<K: Resource>(object: &K) -> Vec<String> {
    controller_of(object.meta()).map(|owner| owner.uid.clone()).into_iter().collect()
}

/// The key of the managing owner, when it is of this kind.
pub(crate) fn controller_key<K: Resource>(object: &K, kind: &str) -> Option<ObjectKey> {
    let owner = controller_of(object.meta()).filter(|owner| owner.kind == kind)?;
    Some(ObjectKey::new(namespace(object.meta()), owner.name.as_str()))
}

/// The reference with which `owner` manages what it makes.
pub(crate) fn owner_reference<K: Resource<DynamicType = ()>>(owner: &K) -> OwnerReference {
    OwnerReference {
        api_version: K::api_version(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        name: name(owner.meta()).to_owned(),
        uid: uid(owner.meta()).to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// A label selector ready to match; `None` for one that is not valid.
pub(crate) fn selector(selector: &LabelSelector) -> Option<Selector> {
    Selector::try_from(selector.clone()).ok()
}

/// The objects that an owner manages, and those whose ownership has to change first.
#[derive(Debug)]
pub(crate) struct Claim<K> {
    /// Managed already, and to be managed after `adopt`.
    pub mine: Vec<Arc<K>>,
    /// Selected and without an owner.
    pub adopt: Vec<Arc<K>>,
    /// Managed, but not selected any more.
    pub release: Vec<Arc<K>>,
}

/// Sorts `candidates` (objects of the owner's namespace) by what `owner` has to do with them.
pub(crate) fn claim<K: Resource>(owner: &ObjectMeta, selector: &Selector, candidates: &[Arc<K>]) -> Claim<K> {
    let mut claim = Claim { mine: Vec::new(), adopt: Vec::new(), release: Vec::new() };
    for candidate in candidates {
        let meta = candidate.meta();
        let selected = selector.matches(labels(meta));
        match controller_of(meta) {
            Some(other) if other.uid != uid(owner) => {}
            Some(_) if selected => claim.mine.push(candidate.clone()),
            Some(_) if owner.deletion_timestamp.is_none() => claim.release.push(candidate.clone()),
            None if selected && owner.deletion_timestamp.is_none() && meta.deletion_timestamp.is_none() => {
                claim.adopt.push(candidate.clone());
                claim.mine.push(candidate.clone());
            }
            _ => {}
        }
    }
    claim
}

/// Makes the ownership of objects what `claim` says.
pub(crate) async fn settle<K>(
    api: &Api<K>,
    cache: &Cache<K>,
    owner: &OwnerReference,
    claim: &Claim<K>,
) -> Result<(), kube::Error>
where
    K: Cacheable + Serialize,
{
    for object in &claim.adopt {
        let patch =
            serde_json::json!({ "metadata": { "uid": object.meta().uid, "ownerReferences": [owner] } });
        let adopted =
            api.patch(name(object.meta()), &PatchParams::default(), &Patch::Strategic(patch)).await?;
        cache.note(adopted);
    }
    for object in &claim.release {
        let reference = serde_json::json!({ "$patch": "delete", "uid": owner.uid });
        let patch =
            serde_json::json!({ "metadata": { "uid": object.meta().uid, "ownerReferences": [reference] } });
        let released =
            api.patch(name(object.meta()), &PatchParams::default(), &Patch::Strategic(patch)).await;
        if let Some(released) = crate::drive::gone_is_fine(released)? {
            cache.note(released);
        }
    }
    Ok(())
}

/// Writes the status of `object` when it differs from what `old` had.
pub(crate) async fn put_status<K>(api: &Api<K>, cache: &Cache<K>, object: &K) -> Result<(), kube::Error>
where
    K: Cacheable + Serialize,
{
    let written = api.replace_status(name(object.meta()), &PostParams::default(), object).await?;
    cache.note(written);
    Ok(())
}

/// Deletion of exactly this object, not of a later one of the same name.
pub(crate) fn only(meta: &ObjectMeta) -> DeleteParams {
    DeleteParams {
        preconditions: Some(Preconditions { uid: meta.uid.clone(), resource_version: None }),
        ..DeleteParams::default()
    }
}

/// The client for one namespace of a namespaced kind.
pub(crate) fn api_in<K>(client: &kube::Client, namespace: &str) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    Api::namespaced(client.clone(), namespace)
}

/// A count or a percentage of `total`, rounded up or down.
pub(crate) fn resolve(value: &IntOrString, total: i32, round_up: bool) -> i32 {
    match value {
        IntOrString::Int(count) => *count,
        IntOrString::String(text) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
            let scaled = percent * i64::from(total);
            let rounded = if round_up { (scaled + 99).div_euclid(100) } else { scaled.div_euclid(100) };
            rounded.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
        }
    }
}

/// From `now` until `after` has passed since `since`; `None` when it has.
pub(crate) fn remaining(since: Timestamp, after: Duration, now: Timestamp) -> Option<Duration> {
    let passed = Duration::try_from(now.duration_since(since)).unwrap_or(Duration::ZERO);
    after.checked_sub(passed).filter(|left| !left.is_zero())
}

pub(crate) fn time(at: Timestamp) -> Option<Time> {
    Some(Time(at))
}

/// A short hash of a pod template (and a collision count) for names and labels: FNV-1a over its
/// JSON, whose maps are ordered, in an alphabet without vowels, so that no words arise.
pub(crate) fn template_hash(template: &PodTemplateSpec, collisions: Option<i32>) -> String {
    let mut bytes = serde_json::to_vec(template).expect("a pod template is JSON");
    if let Some(count) = collisions {
        bytes.extend_from_slice(&count.to_le_bytes());
    }
    safe_hash(&bytes)
}

/// FNV-1a of `bytes` in an alphabet without vowels.
pub(crate) fn safe_hash(bytes: &[u8]) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let hash =
        bytes.iter().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    hash.to_string().bytes().map(|digit| ALPHABET[usize::from(digit) % ALPHABET.len()] as char).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages() {
        let percent = |text: &str| IntOrString::String(text.to_owned());
        for (value, total, up, expected) in [
            (IntOrString::Int(3), 10, true, 3),
            (percent("25%"), 10, true, 3),
            (percent("25%"), 10, false, 2),
            (percent("25%"), 0, true, 0),
            (percent("100%"), 7, false, 7),
        ] {
            assert_eq!(resolve(&value, total, up), expected, "{value:?} of {total}");
        }
    }

    #[test]
    fn hashes_do_not_change() {
        let template = PodTemplateSpec::default();
        assert_eq!(template_hash(&template, None), template_hash(&template, None));
        assert_ne!(template_hash(&template, None), template_hash(&template, Some(1)));
        assert_eq!(safe_hash(b"trireme"), "f87b57d7c");
    }
}
