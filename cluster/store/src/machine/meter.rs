//! What takes up the memory: bytes and objects by kind, which is the first two segments of a key.

use std::collections::HashMap;
use std::sync::Arc;

use prometheus::IntGauge;

use super::root::Root;
use crate::metrics::Metrics;
use crate::object::Revision;
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
                let first = root.position_after(upto);
                for change in root.history.focus().narrow(first..) {
                    let put = change.kind == EventKind::Put;
                    let (mut bytes, mut objects) = (0, 0);
                    if put {
                        (bytes, objects) = (change.object.weight() as i64, 1);
                    }
                    if let Some(previous) = &change.previous {
                        (bytes, objects) = (bytes - previous.weight() as i64, objects - 1);
                    }
                    self.add(&change.object.key, bytes, objects);
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
        root.objects.values().for_each(|object| self.add(&object.key, object.weight() as i64, 1));
        self.upto = Some(root.revision);
    }

    fn add(&mut self, key: &str, bytes: i64, objects: i64) {
        let mut name = kind_of(key);
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
            kind.bytes.add(bytes);
            kind.objects.add(objects);
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
