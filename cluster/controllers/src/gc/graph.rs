//! Who owns whom, as far as it was seen.

use super::plan::{FOREGROUND, ORPHAN};
use crate::{
    discovered::{Discovered, Meta},
    objects::{name, namespace, uid},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// What matters of an object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Item {
    pub uid: String,
    pub resource: Arc<Discovered>,
    pub namespace: String,
    pub name: String,
    pub owners: Vec<OwnerReference>,
    pub deleting: bool,
    /// It goes after its dependents.
    pub foreground: bool,
    /// Its dependents are let go when it goes.
    pub orphan: bool,
}

impl Item {
    pub fn new(resource: &Discovered, object: &Meta) -> Self {
        Self::of(Arc::new(resource.clone()), object)
    }

    pub fn of(resource: Arc<Discovered>, object: &Meta) -> Self {
        let meta = &object.metadata;
        let has = |finalizer: &str| meta.finalizers.iter().flatten().any(|f| f == finalizer);
        Self {
            uid: uid(meta).to_owned(),
            resource,
            namespace: namespace(meta).to_owned(),
            name: name(meta).to_owned(),
            owners: meta.owner_references.clone().unwrap_or_default(),
            deleting: meta.deletion_timestamp.is_some(),
            foreground: has(FOREGROUND),
            orphan: has(ORPHAN),
        }
    }
}

/// All items, and who depends on whom. Owners may be named before they are seen.
#[derive(Default)]
pub(crate) struct Graph {
    items: HashMap<String, Item>,
    dependents: HashMap<String, HashSet<String>>,
}

impl Graph {
    pub fn get(&self, uid: &str) -> Option<&Item> {
        self.items.get(uid)
    }

    pub fn dependents(&self, uid: &str) -> impl Iterator<Item = &Item> {
        self.dependents.get(uid).into_iter().flatten().filter_map(|uid| self.items.get(uid))
    }

    /// An item came or changed; which ones to look at now.
    pub fn put(&mut self, item: Item) -> Vec<String> {
        let old = self.items.get(&item.uid);
        if old == Some(&item) {
            return Vec::new();
        }
        let mut look = Vec::new();
        for owner in old.map(|old| old.owners.clone()).unwrap_or_default() {
            // It may have been what its owner waited for.
            look.extend(self.waiting(&owner.uid));
            if let Some(dependents) = self.dependents.get_mut(&owner.uid) {
                dependents.remove(&item.uid);
            }
        }
        for owner in &item.owners {
            self.dependents.entry(owner.uid.clone()).or_default().insert(item.uid.clone());
        }
        if !item.owners.is_empty() || (item.deleting && (item.foreground || item.orphan)) {
            look.push(item.uid.clone());
        }
        self.items.insert(item.uid.clone(), item);
        look
    }

    /// An item went; which ones to look at now.
    pub fn remove(&mut self, uid: &str) -> Vec<String> {
        let Some(item) = self.items.remove(uid) else { return Vec::new() };
        let mut look: Vec<String> = self.dependents.get(uid).into_iter().flatten().cloned().collect();
        for owner in &item.owners {
            look.extend(self.waiting(&owner.uid));
            if let Some(dependents) = self.dependents.get_mut(&owner.uid) {
                dependents.remove(uid);
                if dependents.is_empty() {
                    self.dependents.remove(&owner.uid);
                }
            }
        }
        look
    }

    /// The item, if it waits for its dependents.
    fn waiting(&self, uid: &str) -> Option<String> {
        self.items.get(uid).filter(|item| item.deleting && item.foreground).map(|item| item.uid.clone())
    }

    /// The uids of all items of a resource.
    pub fn of_resource(&self, resource: &Discovered) -> Vec<String> {
        self.items.values().filter(|item| *item.resource == *resource).map(|item| item.uid.clone()).collect()
    }

    /// All uids that may have something to do with ownership.
    pub fn owned(&self) -> Vec<String> {
        self.items.values().filter(|item| !item.owners.is_empty()).map(|item| item.uid.clone()).collect()
    }
}
