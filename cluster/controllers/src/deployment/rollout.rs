//! How far each ReplicaSet goes in one step of a rollout.
//!
//! The arithmetic is Kubernetes': never more than replicas + maxSurge pods, never fewer than
//! replicas - maxUnavailable available ones, and pods that do not work go first.

use super::revision::{DESIRED, MAX, noted_size};
use crate::objects::{name, resolve};
use k8s_openapi::{
    api::apps::v1::{Deployment, ReplicaSet},
    apimachinery::pkg::util::intstr::IntOrString,
};
use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

pub(crate) fn is_recreate(deployment: &Deployment) -> bool {
    let strategy = deployment.spec.as_ref().and_then(|spec| spec.strategy.as_ref());
    strategy.and_then(|s| s.type_.as_deref()) == Some("Recreate")
}

/// The size the Deployment shall have.
pub(crate) fn desired(deployment: &Deployment) -> i32 {
    deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

/// `(maxSurge, maxUnavailable)` as counts.
pub(crate) fn fences(deployment: &Deployment) -> (i32, i32) {
    if is_recreate(deployment) {
        return (0, 0);
    }
    let strategy = deployment.spec.as_ref().and_then(|spec| spec.strategy.clone());
    let rolling = strategy.and_then(|s| s.rolling_update).unwrap_or_default();
    let quarter = || IntOrString::String("25%".into());
    let replicas = desired(deployment);
    let surge = resolve(&rolling.max_surge.unwrap_or_else(quarter), replicas, true);
    let unavailable = resolve(&rolling.max_unavailable.unwrap_or_else(quarter), replicas, false);
    match (surge, unavailable) {
        // Both may be 0 after rounding; then nothing could ever move.
        (0, 0) => (0, 1.min(replicas.max(0))),
        (surge, unavailable) => (surge, unavailable.min(replicas)),
    }
}

/// The most pods that there may be.
pub(crate) fn most(deployment: &Deployment) -> i32 {
    match desired(deployment) {
        0 => 0,
        replicas => replicas + fences(deployment).0,
    }
}

pub(crate) fn size(set: &ReplicaSet) -> i32 {
    set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

pub(crate) fn available(set: &ReplicaSet) -> i32 {
    set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0)
}

fn total(sets: &[Arc<ReplicaSet>], of: fn(&ReplicaSet) -> i32) -> i32 {
    sets.iter().map(|set| of(set)).sum()
}

/// New sizes by name of ReplicaSet.
pub(crate) type Sizes = BTreeMap<String, i32>;

/// The size of the new ReplicaSet (which has `now` replicas) in the next step.
pub(crate) fn grow(deployment: &Deployment, all: &[Arc<ReplicaSet>], now: i32) -> i32 {
    let wanted = desired(deployment);
    if is_recreate(deployment) || now > wanted {
        return wanted;
    }
    let room = wanted + fences(deployment).0 - total(all, size);
    if room <= 0 { now } else { now + room.min(wanted - now) }
}

/// How old ReplicaSets shrink in the next step of a rolling update: first what does not work, then
/// as much as leaves enough available pods.
pub(crate) fn shrink(deployment: &Deployment, new: &ReplicaSet, old: &[Arc<ReplicaSet>]) -> Sizes {
    let mut sizes = Sizes::new();
    if total(old, size) == 0 {
        return sizes;
    }
    let least = desired(deployment) - fences(deployment).1;
    let new_unavailable = size(new) - available(new);
    let mut spare = total(old, size) + size(new) - least - new_unavailable;
    for set in old {
        let broken = (size(set) - available(set)).min(spare);
        if spare <= 0 || size(set) == 0 || broken <= 0 {
            continue;
        }
        spare -= broken;
        sizes.insert(name(&set.metadata).to_owned(), size(set) - broken);
    }
    let mut surplus = total(old, available) + available(new) - least;
    for set in old {
        let now = sizes.get(name(&set.metadata)).copied().unwrap_or_else(|| size(set));
        let less = now.min(surplus);
        if less > 0 {
            surplus -= less;
            sizes.insert(name(&set.metadata).to_owned(), now - less);
        }
    }
    sizes
}

/// Whether the Deployment was resized since its ReplicaSets were last sized.
pub(crate) fn was_resized(deployment: &Deployment, all: &[Arc<ReplicaSet>]) -> bool {
    let noted = |set: &Arc<ReplicaSet>| noted_size(set, DESIRED).is_some_and(|n| n != desired(deployment));
    all.iter().any(|set| size(set) > 0 && noted(set))
}

/// Sizes after the Deployment was resized, or while it is paused: in the middle of a rollout every
/// ReplicaSet takes its share.
pub(crate) fn rescale(
    deployment: &Deployment,
    new: Option<&Arc<ReplicaSet>>,
    old: &[Arc<ReplicaSet>],
) -> Sizes {
    let wanted = desired(deployment);
    let all: Vec<&Arc<ReplicaSet>> = new.into_iter().chain(old).collect();
    let active: Vec<&Arc<ReplicaSet>> = all.iter().filter(|set| size(set) > 0).copied().collect();
    let only = match active.as_slice() {
        [] => new.or_else(|| old.last()),
        [one] => Some(*one),
        _ => None,
    };
    if let Some(set) = only {
        return Sizes::from([(name(&set.metadata).to_owned(), wanted)]);
    }
    let saturated = |set: &&Arc<ReplicaSet>| {
        size(set) == wanted && available(set) == wanted && noted_size(set, DESIRED) == Some(wanted)
    };
    if new.is_some_and(|set| saturated(&set)) {
        return old
            .iter()
            .filter(|set| size(set) > 0)
            .map(|set| (name(&set.metadata).to_owned(), 0))
            .collect();
    }
    if is_recreate(deployment) {
        return Sizes::new();
    }
    share(deployment, active)
}

/// Distributes the difference between what there is and what there may be over `sets`.
fn share(deployment: &Deployment, mut sets: Vec<&Arc<ReplicaSet>>) -> Sizes {
    let add = most(deployment) - sets.iter().map(|set| size(set)).sum::<i32>();
    // The largest first; of equals the newest when growing, the oldest when shrinking.
    sets.sort_by_key(|set| crate::objects::created(&set.metadata));
    if add > 0 {
        sets.reverse();
    }
    sets.sort_by_key(|set| Reverse(size(set)));
    let mut sizes = Sizes::new();
    let mut added = 0;
    for set in &sets {
        let portion = if add == 0 { 0 } else { portion(deployment, set, add, added) };
        added += portion;
        sizes.insert(name(&set.metadata).to_owned(), size(set) + portion);
    }
    if let Some(first) = sets.first().and_then(|set| sizes.get_mut(name(&set.metadata))) {
        *first = (*first + add - added).max(0);
    }
    sizes
}

/// The part of `add` that falls to one ReplicaSet when `added` is given out already.
fn portion(deployment: &Deployment, set: &ReplicaSet, add: i32, added: i32) -> i32 {
    let fraction = if desired(deployment) == 0 {
        -size(set)
    } else {
        let before = noted_size(set, MAX).filter(|n| *n > 0);
        let before = before.or_else(|| deployment.status.as_ref()?.replicas).filter(|n| *n > 0).unwrap_or(1);
        let after = desired(deployment) + fences(deployment).0;
        let scaled = f64::from(size(set)) * f64::from(after) / f64::from(before);
        scaled.round() as i32 - size(set)
    };
    let left = add - added;
    if add > 0 { fraction.min(left) } else { fraction.max(left) }
}
