//! What takes up the memory: bytes and objects by kind, which is the first two segments of a key.

use std::collections::HashMap;
use std::sync::Arc;

use prometheus::IntGauge;

use super::root::Root;
use crate::metrics::Metrics;
use crate::object::{Object, Revision};
use crate::watch::EventKind;

/// Most kinds that are told apart; what comes later is `other`.
const KINDS: usize = 512;

/// Follows the history, so that a write costs only its own kind.
pub(crate) struct Meter {
    metrics: Arc<Metrics>,
    kinds: HashMap<Box<str>, Kind>,
    /// Everything up to here is counted.
    upto: Option<Revision>,
}

struct Kind {
    bytes: IntGauge,
    objects: IntGauge,
}

impl Meter {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Meter {
        Meter { metrics, kinds: HashMap::new(), upto: None }
    }

    /// Counts what changed since the last call; everything, when the history does not reach back.
    pub(crate) fn count(&mut self, root: &Root) {
        match self.upto {
            Some(upto) if upto >= root.floor => {
                for index in root.position_after(upto)..root.history.len() {
                    let change = &root.history[index];
                    if let Some(previous) = &change.previous {
                        self.add(previous, -1);
                    }
                    if change.kind == EventKind::Put {
                        self.add(&change.object, 1);
                    }
                }
            }
            _ => self.recount(root),
        }
        self.upto = Some(root.revision);
    }

    /// Counts again from nothing, as after another state was loaded.
    pub(crate) fn recount(&mut self, root: &Root) {
        for kind in self.kinds.values() {
            kind.bytes.set(0);
            kind.objects.set(0);
        }
        root.objects.values().for_each(|object| self.add(object, 1));
        self.upto = Some(root.revision);
    }

    fn add(&mut self, object: &Object, times: i64) {
        let mut name = kind_of(&object.key);
        if !self.kinds.contains_key(name) {
            if self.kinds.len() >= KINDS {
                name = "other";
            }
            let kind = Kind {
                bytes: self.metrics.sizes.kind_bytes.with_label_values(&[name]),
                objects: self.metrics.sizes.kind_objects.with_label_values(&[name]),
            };
            self.kinds.entry(name.into()).or_insert(kind);
        }
        if let Some(kind) = self.kinds.get(name) {
            kind.bytes.add(times * object.weight() as i64);
            kind.objects.add(times);
        }
    }
}

/// `apps/deployments` of `/apps/deployments/default/web`.
fn kind_of(key: &str) -> &str {
    let key = key.strip_prefix('/').unwrap_or(key);
    let ends = key.match_indices('/').map(|(at, _)| at);
    ends.take(2).last().map_or(key, |end| &key[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_two_segments() {
        let cases = [
            ("/apps/deployments/default/web", "apps/deployments"),
            ("/core/nodes/n1", "core/nodes"),
            ("/k/1", "k"),
            ("/k", "k"),
            ("k", "k"),
            ("", ""),
        ];
        for (key, kind) in cases {
            assert_eq!(kind_of(key), kind, "{key:?}");
        }
    }
}
