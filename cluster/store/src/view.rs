//! An immutable snapshot of every object at one revision.

use std::ops::Bound;
use std::sync::Arc;

use imbl::OrdMap;

use crate::object::{Object, Revision};

/// How fresh a [`View`] must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consistency {
    /// It has every write acknowledged before the call, by any member.
    Linearizable,
    /// It is what this member has applied; never goes backwards on one member.
    Local,
}

/// The whole store at one revision. Taking one is O(1), holding one blocks nobody.
#[derive(Debug, Clone)]
pub struct View {
    pub(crate) revision: Revision,
    pub(crate) objects: OrdMap<Arc<str>, Arc<Object>>,
}

impl View {
    /// The revision this view shows.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The object at a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Arc<Object>> {
        self.objects.get(key).cloned()
    }

    /// The objects whose key begins with `prefix`, in key order; those after `start_after` when it
    /// is given (it need not exist any more).
    pub fn range<'a>(
        &'a self,
        prefix: &'a str,
        start_after: Option<&'a str>,
    ) -> impl Iterator<Item = Arc<Object>> + 'a {
        let from = match start_after {
            Some(key) if key >= prefix => Bound::Excluded(key),
            _ => Bound::Included(prefix),
        };
        self.objects
            .range::<(Bound<&str>, Bound<&str>), str>((from, Bound::Unbounded))
            .take_while(move |(key, _)| key.starts_with(prefix))
            .map(|(_, object)| object.clone())
    }

    /// Number of objects whose key begins with `prefix`.
    #[must_use]
    pub fn count(&self, prefix: &str) -> usize {
        if prefix.is_empty() {
            return self.objects.len();
        }
        self.objects
            .range::<(Bound<&str>, Bound<&str>), str>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .count()
    }
}
