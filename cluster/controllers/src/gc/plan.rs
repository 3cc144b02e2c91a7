//! What becomes of one object, given its owners and its dependents.

use super::graph::Item;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::PropagationPolicy;

/// The finalizer of an object that goes after its dependents.
pub(crate) const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer of an object whose dependents are let go.
pub(crate) const ORPHAN: &str = "orphan";

/// What is known of one owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnerState {
    Present,
    /// It is being deleted, and waits for its dependents.
    Waiting,
    Absent,
    /// Nobody can say: it counts as present.
    Unknown,
}

impl OwnerState {
    pub fn of(owner: &Item) -> Self {
        if owner.deleting && owner.foreground { Self::Waiting } else { Self::Present }
    }
}

/// What to do about an object.
#[derive(Debug, PartialEq)]
pub(crate) enum Action {
    Nothing,
    /// Others have to go first.
    Look(Vec<String>),
    /// Forget these owners.
    RemoveOwners(Vec<String>),
    /// Let these dependents go, and then the object.
    Orphan(Vec<Item>),
    /// Its dependents are gone: it may go.
    Release,
    /// It and its owners wait for each other in a circle.
    Unblock(PropagationPolicy),
    Delete(PropagationPolicy),
}

/// Decides about `item`. `owners` need not be known of an item that is being deleted.
pub(crate) fn plan(item: &Item, owners: &[(OwnerReference, OwnerState)], dependents: &[Item]) -> Action {
    if item.deleting {
        return plan_deleting(item, dependents);
    }
    let of = |states: &[OwnerState]| -> Vec<String> {
        owners
            .iter()
            .filter(|(_, state)| states.contains(state))
            .map(|(owner, _)| owner.uid.clone())
            .collect()
    };
    let solid = of(&[OwnerState::Present, OwnerState::Unknown]);
    let waiting = of(&[OwnerState::Waiting]);
    let useless = of(&[OwnerState::Waiting, OwnerState::Absent]);
    if owners.is_empty() || useless.is_empty() {
        return Action::Nothing;
    }
    if !solid.is_empty() {
        return Action::RemoveOwners(useless);
    }
    if !waiting.is_empty() && !dependents.is_empty() {
        let circle = dependents.iter().any(|d| d.deleting && d.foreground);
        let policy = PropagationPolicy::Foreground;
        return if circle { Action::Unblock(policy) } else { Action::Delete(policy) };
    }
    Action::Delete(match (item.orphan, item.foreground) {
        (true, _) => PropagationPolicy::Orphan,
        (_, true) => PropagationPolicy::Foreground,
        _ => PropagationPolicy::Background,
    })
}

fn plan_deleting(item: &Item, dependents: &[Item]) -> Action {
    if item.orphan {
        return Action::Orphan(dependents.to_vec());
    }
    if !item.foreground {
        return Action::Nothing;
    }
    let blocks = |dependent: &&Item| {
        dependent.owners.iter().any(|o| o.uid == item.uid && o.block_owner_deletion == Some(true))
    };
    if !dependents.iter().any(|dependent| blocks(&dependent)) {
        return Action::Release;
    }
    let rest = dependents.iter().filter(|d| !(d.deleting && d.foreground));
    Action::Look(rest.map(|d| d.uid.clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{discovered::Discovered, gc::graph::Graph};
    use kube::core::ApiResource;
    use std::sync::Arc;

    fn item(uid: &str, owners: &[&str]) -> Item {
        let resource = Discovered {
            resource: ApiResource::erase::<k8s_openapi::api::core::v1::ConfigMap>(&()),
            namespaced: true,
            watchable: true,
            deletes_collections: true,
        };
        Item {
            uid: uid.into(),
            resource: Arc::new(resource),
            namespace: "ns".into(),
            name: uid.into(),
            owners: owners.iter().map(|uid| reference(uid)).collect(),
            deleting: false,
            foreground: false,
            orphan: false,
        }
    }

    fn reference(uid: &str) -> OwnerReference {
        OwnerReference { uid: uid.into(), block_owner_deletion: Some(true), ..OwnerReference::default() }
    }

    fn decide(states: &[OwnerState], dependents: &[Item]) -> Action {
        let names = ["a", "b", "c"];
        let owners: Vec<_> = states.iter().zip(names).map(|(state, uid)| (reference(uid), *state)).collect();
        plan(&item("x", &names[..states.len()]), &owners, dependents)
    }

    #[test]
    fn an_object_goes_with_its_last_owner() {
        use OwnerState::*;
        let uids = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        for (states, expected) in [
            (&[][..], Action::Nothing),
            (&[Present], Action::Nothing),
            (&[Unknown], Action::Nothing),
            (&[Absent], Action::Delete(PropagationPolicy::Background)),
            (&[Absent, Present], Action::RemoveOwners(uids(&["a"]))),
            (&[Absent, Waiting, Unknown], Action::RemoveOwners(uids(&["a", "b"]))),
            (&[Waiting], Action::Delete(PropagationPolicy::Background)),
        ] {
            assert_eq!(decide(states, &[]), expected, "{states:?}");
        }
        // Its own dependents go first when its owner waits for it.
        assert_eq!(decide(&[Waiting], &[item("y", &["x"])]), Action::Delete(PropagationPolicy::Foreground));
        let circle = Item { deleting: true, foreground: true, ..item("y", &["x"]) };
        assert_eq!(decide(&[Waiting], &[circle]), Action::Unblock(PropagationPolicy::Foreground));
    }

    #[test]
    fn what_is_being_deleted() {
        let deleting = Item { deleting: true, ..item("x", &["a"]) };
        let foreground = Item { foreground: true, ..deleting.clone() };
        let orphan = Item { orphan: true, ..deleting.clone() };
        let dependent = item("y", &["x"]);
        let mut loose = item("z", &["x"]);
        loose.owners[0].block_owner_deletion = None;
        assert_eq!(plan(&deleting, &[], std::slice::from_ref(&dependent)), Action::Nothing);
        assert_eq!(plan(&foreground, &[], &[]), Action::Release);
        assert_eq!(plan(&foreground, &[], std::slice::from_ref(&loose)), Action::Release);
        let both = [dependent.clone(), loose];
        assert_eq!(plan(&foreground, &[], &both), Action::Look(vec!["y".into(), "z".into()]));
        assert_eq!(plan(&orphan, &[], std::slice::from_ref(&dependent)), Action::Orphan(vec![dependent]));
    }

    #[test]
    fn the_graph_says_whom_to_look_at() {
        let mut graph = Graph::default();
        assert_eq!(graph.put(item("y", &["x"])), ["y"], "its owner is not known");
        assert!(graph.put(item("x", &[])).is_empty());
        assert!(graph.put(item("x", &[])).is_empty(), "nothing changed");
        let waits = Item { deleting: true, foreground: true, ..item("x", &[]) };
        assert_eq!(graph.put(waits), ["x"]);
        assert_eq!(graph.remove("y"), ["x"], "the owner waited for it");
        graph.put(item("z", &["x"]));
        assert_eq!(graph.remove("x"), ["z"]);
        assert_eq!(graph.owned(), ["z"]);
    }
}
