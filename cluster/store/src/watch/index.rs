//! Which watchers an event is for, without asking all of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::machine::Change;
use crate::sabotage::{self, Sabotage};
use crate::watch::WatchRequest;
use crate::watch::stream::Watcher;

/// Watchers by prefix, and below that by the value of one field.
#[derive(Default)]
pub(super) struct Index {
    by_prefix: HashMap<String, Interested>,
    /// How many prefixes have this length: an event tries each length that occurs, once.
    lengths: BTreeMap<usize, usize>,
}

#[derive(Default)]
struct Interested {
    in_all: Vec<Arc<Watcher>>,
    in_field: HashMap<String, HashMap<String, Vec<Arc<Watcher>>>>,
}

impl Interested {
    fn is_empty(&self) -> bool {
        self.in_all.is_empty() && self.in_field.is_empty()
    }
}

impl Index {
    pub(super) fn insert(&mut self, watcher: &Arc<Watcher>) {
        let request = &watcher.request;
        if !self.by_prefix.contains_key(&request.prefix) {
            *self.lengths.entry(request.prefix.len()).or_default() += 1;
        }
        let interested = self.by_prefix.entry(request.prefix.clone()).or_default();
        let list = match &request.field {
            None => &mut interested.in_all,
            Some((name, value)) => {
                interested.in_field.entry(name.clone()).or_default().entry(value.clone()).or_default()
            }
        };
        list.push(watcher.clone());
    }

    pub(super) fn remove(&mut self, request: &WatchRequest, id: u64) {
        let Some(interested) = self.by_prefix.get_mut(&request.prefix) else { return };
        match &request.field {
            None => interested.in_all.retain(|w| w.id != id),
            Some((name, value)) => {
                if let Some(values) = interested.in_field.get_mut(name) {
                    if let Some(list) = values.get_mut(value) {
                        list.retain(|w| w.id != id);
                        if list.is_empty() {
                            values.remove(value);
                        }
                    }
                    if values.is_empty() {
                        interested.in_field.remove(name);
                    }
                }
            }
        }
        if interested.is_empty() {
            self.by_prefix.remove(&request.prefix);
            if let Some(count) = self.lengths.get_mut(&request.prefix.len()) {
                *count -= 1;
                if *count == 0 {
                    self.lengths.remove(&request.prefix.len());
                }
            }
        }
    }

    /// Calls `found` for each watcher whose prefix and field fit; each at most once.
    pub(super) fn find(&self, change: &Change, mut found: impl FnMut(&Arc<Watcher>)) {
        let key: &str = &change.object.key;
        for &length in self.lengths.keys() {
            if length > key.len() {
                break;
            }
            let Some(interested) = key.get(..length).and_then(|p| self.by_prefix.get(p)) else { continue };
            interested.in_all.iter().for_each(&mut found);
            for (name, values) in &interested.in_field {
                let now = change.object.field(name);
                let before = change.previous.as_ref().and_then(|p| p.field(name));
                let mut offer = |value: Option<&str>| {
                    if let Some(list) = value.and_then(|v| values.get(v)) {
                        list.iter().for_each(&mut found);
                    }
                };
                offer(now);
                if before != now && !sabotage::is(Sabotage::FieldWatchMissesLeavers) {
                    offer(before);
                }
            }
        }
    }
}
