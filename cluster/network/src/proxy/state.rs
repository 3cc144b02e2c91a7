//! What the kernel is to know, and how it changes. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{Ipv4Addr, SocketAddrV4};

use super::service::{Backend, Frontend, ServiceRules, Target};
use crate::Protocol;

/// Whose frontends they are. When two claim the same one, the lesser owner has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    Service {
        namespace: String,
        name: String,
    },
    /// The host ports of the pod with this uid.
    Pod(String),
}

/// Which clients a frontend is for; see [`ServiceRules`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    Inside,
    Outside,
}

/// A place in the kernel's maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    pub scope: Scope,
    pub frontend: Frontend,
}

/// What must be different for a balancing chain to be another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Class {
    pub scope: Scope,
    pub any_address: bool,
    pub masquerade: bool,
    pub affinity_seconds: Option<u32>,
    pub endpoints: u32,
}

/// What is in a slot: a target, with the numbers by which the kernel's maps know its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    pub target: Target,
    /// Of the class; [`DROPPED`] for a target that is not balanced.
    pub class_id: u32,
    /// With affinity: one for each endpoint, in order. A number is never used again for another endpoint.
    pub endpoint_ids: Vec<u32>,
}

/// The class number of what is dropped.
pub const DROPPED: u32 = 0;

/// The difference between two states of the kernel's table. Classes come with their numbers.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Delta {
    pub slots: BTreeMap<Slot, (Option<Placed>, Option<Placed>)>,
    pub new_classes: BTreeMap<Class, u32>,
    pub old_classes: BTreeMap<Class, u32>,
    pub new_local: BTreeSet<Ipv4Addr>,
    pub old_local: BTreeSet<Ipv4Addr>,
}

impl Delta {
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.new_local.is_empty() && self.old_local.is_empty()
    }

    /// Whether flows of the connectionless protocol may have to be forgotten.
    pub fn concerns_udp(&self) -> bool {
        self.slots.keys().any(|s| s.frontend.protocol == Protocol::Udp)
    }
}

/// Everything the table is made from.
#[derive(Debug, Default)]
pub struct State {
    owners: HashMap<Owner, ServiceRules>,
    slots: HashMap<Slot, Claims>,
    classes: HashMap<Class, Chain>,
    /// How many owners have an endpoint on this node with that address.
    local: HashMap<Ipv4Addr, usize>,
    /// The last number given to a class or an endpoint.
    last_id: u32,
}

/// The chain of a class.
#[derive(Clone, Copy, Debug)]
struct Chain {
    id: u32,
    /// How many slots lead to it.
    users: usize,
}

/// Who wants a slot, and what is in it: the target of the least owner, with the kernel's numbering.
#[derive(Debug, Default)]
struct Claims {
    targets: BTreeMap<Owner, Target>,
    effective: Option<Placed>,
}

impl State {
    /// Takes in what the owners ask for now (`None`: nothing any more) and says what that changes.
    pub fn plan(&mut self, changes: impl IntoIterator<Item = (Owner, Option<ServiceRules>)>) -> Delta {
        let mut touched = BTreeSet::new();
        let mut local_before: BTreeMap<Ipv4Addr, bool> = BTreeMap::new();
        for (owner, rules) in changes {
            self.claim(owner, rules, &mut touched, &mut local_before);
        }
        let mut delta = Delta::default();
        let mut classes_before: BTreeMap<Class, Option<u32>> = BTreeMap::new();
        for slot in touched {
            self.settle(slot, &mut delta, &mut classes_before);
        }
        for (class, before) in classes_before {
            let now = self.classes.get(&class).map(|chain| chain.id);
            if before != now {
                delta.old_classes.extend(before.map(|id| (class, id)));
                delta.new_classes.extend(now.map(|id| (class, id)));
            }
        }
        for (address, was_local) in local_before {
            match (was_local, self.local.contains_key(&address)) {
                (false, true) => delta.new_local.insert(address),
                (true, false) => delta.old_local.insert(address),
                _ => continue,
            };
        }
        delta
    }

    /// The difference between an empty table and this state.
    pub fn everything(&self) -> Delta {
        let slots = self
            .slots
            .iter()
            .filter_map(|(slot, claims)| Some((*slot, (None, Some(claims.effective.clone()?)))));
        Delta {
            slots: slots.collect(),
            new_classes: self.classes.iter().map(|(class, chain)| (*class, chain.id)).collect(),
            new_local: self.local.keys().copied().collect(),
            ..Delta::default()
        }
    }

    /// What is in force for a frontend.
    pub fn target(&self, scope: Scope, frontend: Frontend) -> Option<&Target> {
        Some(&self.slots.get(&Slot { scope, frontend })?.effective.as_ref()?.target)
    }

    /// How many frontends are in force.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    fn claim(
        &mut self,
        owner: Owner,
        rules: Option<ServiceRules>,
        touched: &mut BTreeSet<Slot>,
        local_before: &mut BTreeMap<Ipv4Addr, bool>,
    ) {
        let old = self.owners.remove(&owner).unwrap_or_default();
        let new = rules.unwrap_or_default();
        if old == new {
            if new != ServiceRules::default() {
                self.owners.insert(owner, old);
            }
            return;
        }
        for slot in slots(&old).map(|(slot, _)| slot) {
            if let Some(claims) = self.slots.get_mut(&slot) {
                claims.targets.remove(&owner);
                touched.insert(slot);
            }
        }
        for (slot, target) in slots(&new) {
            self.slots.entry(slot).or_default().targets.insert(owner.clone(), target.clone());
            touched.insert(slot);
        }
        for &address in old.local_endpoints.iter().chain(&new.local_endpoints) {
            local_before.entry(address).or_insert_with(|| self.local.contains_key(&address));
        }
        new.local_endpoints.iter().for_each(|&a| retain(&mut self.local, a));
        old.local_endpoints.iter().for_each(|a| release(&mut self.local, a));
        if new != ServiceRules::default() {
            self.owners.insert(owner, new);
        }
    }

    /// Makes the target of the least owner the one in force.
    fn settle(&mut self, slot: Slot, delta: &mut Delta, classes_before: &mut BTreeMap<Class, Option<u32>>) {
        let Some(claims) = self.slots.get_mut(&slot) else { return };
        let old = claims.effective.take();
        let wanted = claims.targets.first_key_value();
        let wanted = wanted.map(|(_, target)| renumber(old.as_ref().map(|o| &o.target), target));
        if claims.targets.is_empty() {
            self.slots.remove(&slot);
        }
        if old.as_ref().map(|o| &o.target) == wanted.as_ref() {
            if let Some(claims) = self.slots.get_mut(&slot) {
                claims.effective = old;
            }
            return;
        }
        let old_class = old.as_ref().and_then(|o| class_of(slot, &o.target));
        let new_class = wanted.as_ref().and_then(|target| class_of(slot, target));
        for class in old_class.iter().chain(&new_class) {
            classes_before.entry(*class).or_insert_with(|| self.classes.get(class).map(|chain| chain.id));
        }
        let class_id = new_class.map_or(DROPPED, |class| self.retain_class(class));
        old_class.iter().for_each(|class| self.release_class(class));
        let new = wanted.map(|target| {
            let endpoint_ids = self.endpoint_ids(old.as_ref(), &target);
            Placed { target, class_id, endpoint_ids }
        });
        if let Some(claims) = self.slots.get_mut(&slot) {
            claims.effective = new.clone();
        }
        delta.slots.insert(slot, (old, new));
    }

    /// Numbers for the endpoints of a target with affinity; those that stay keep theirs.
    fn endpoint_ids(&mut self, old: Option<&Placed>, target: &Target) -> Vec<u32> {
        let Target::Balance(Backend { endpoints, affinity_seconds: Some(_), .. }) = target else {
            return Vec::new();
        };
        let known: HashMap<SocketAddrV4, u32> = match old {
            Some(Placed { target: Target::Balance(b), endpoint_ids, .. }) => {
                b.endpoints.iter().copied().zip(endpoint_ids.iter().copied()).collect()
            }
            _ => HashMap::new(),
        };
        endpoints.iter().map(|e| known.get(e).copied().unwrap_or_else(|| self.next_id())).collect()
    }

    fn retain_class(&mut self, class: Class) -> u32 {
        let id = match self.classes.get(&class) {
            Some(chain) => chain.id,
            None => self.next_id(),
        };
        self.classes.entry(class).or_insert(Chain { id, users: 0 }).users += 1;
        id
    }

    fn release_class(&mut self, class: &Class) {
        if let Some(chain) = self.classes.get_mut(class) {
            chain.users -= 1;
            if chain.users == 0 {
                self.classes.remove(class);
            }
        }
    }

    /// Four thousand million changes last longer than a process.
    fn next_id(&mut self) -> u32 {
        self.last_id = self.last_id.checked_add(1).unwrap_or(1);
        self.last_id
    }
}

/// The chain that a slot with this target leads to.
pub fn class_of(slot: Slot, target: &Target) -> Option<Class> {
    let Target::Balance(backend) = target else { return None };
    Some(Class {
        scope: slot.scope,
        any_address: slot.frontend.address.is_unspecified(),
        masquerade: backend.masquerade,
        affinity_seconds: backend.affinity_seconds,
        endpoints: backend.endpoints.len() as u32,
    })
}

fn slots(rules: &ServiceRules) -> impl Iterator<Item = (Slot, &Target)> {
    let of = |scope| move |(frontend, target): (&Frontend, _)| (Slot { scope, frontend: *frontend }, target);
    rules.inside.iter().map(of(Scope::Inside)).chain(rules.outside.iter().map(of(Scope::Outside)))
}

/// Orders the endpoints of `wanted` so that as many as possible keep the number they have.
fn renumber(current: Option<&Target>, wanted: &Target) -> Target {
    let (Some(Target::Balance(current)), Target::Balance(wanted)) = (current, wanted) else {
        return wanted.clone();
    };
    let wanted_set: BTreeSet<SocketAddrV4> = wanted.endpoints.iter().copied().collect();
    let mut places: Vec<Option<SocketAddrV4>> = vec![None; wanted_set.len()];
    for (place, endpoint) in places.iter_mut().zip(&current.endpoints) {
        *place = Some(*endpoint).filter(|e| wanted_set.contains(e));
    }
    let kept: BTreeSet<SocketAddrV4> = places.iter().flatten().copied().collect();
    let mut rest = wanted_set.difference(&kept).copied();
    let endpoints = places.into_iter().filter_map(|place| place.or_else(|| rest.next())).collect();
    Target::Balance(Backend { endpoints, ..wanted.clone() })
}

fn retain<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: K) {
    *counts.entry(key).or_default() += 1;
}

fn release<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}
