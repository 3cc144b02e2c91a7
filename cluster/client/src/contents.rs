//! What a cache holds: objects by namespace and name, and by index.

use crate::ObjectKey;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// Says under which values an object can be looked up.
pub(crate) type Index<K> = fn(&K) -> Vec<String>;

pub(crate) struct Contents<K> {
    namespaces: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Arc<K>>>,
    indexes: Vec<Indexed<K>>,
    len: usize,
}

struct Indexed<K> {
    name: &'static str,
    values: Index<K>,
    objects: HashMap<String, BTreeMap<ObjectKey, Arc<K>>>,
}

impl<K> Indexed<K> {
    fn remove(&mut self, key: &ObjectKey, object: &K) {
        for value in (self.values)(object) {
            if let Some(objects) = self.objects.get_mut(&value) {
                objects.remove(key);
                if objects.is_empty() {
                    self.objects.remove(&value);
                }
            }
        }
    }
}

impl<K> Contents<K> {
    pub fn new(indexes: Vec<(&'static str, Index<K>)>) -> Self {
        let indexes = indexes
            .into_iter()
            .map(|(name, values)| Indexed { name, values, objects: HashMap::new() })
            .collect();
        Self { namespaces: BTreeMap::new(), indexes, len: 0 }
    }

    pub fn get(&self, namespace: &str, name: &str) -> Option<&Arc<K>> {
        self.namespaces.get(namespace)?.get(name)
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<K>> {
        self.namespaces.values().flat_map(BTreeMap::values)
    }

    pub fn iter_in(&self, namespace: &str) -> impl Iterator<Item = &Arc<K>> {
        self.namespaces.get(namespace).into_iter().flat_map(BTreeMap::values)
    }

    pub fn by_index(&self, index: &'static str, value: &str) -> Vec<Arc<K>> {
        let indexed = self.indexes.iter().find(|i| i.name == index);
        let indexed = indexed.unwrap_or_else(|| panic!("the cache was built without the index {index:?}"));
        indexed.objects.get(value).map(|objects| objects.values().cloned().collect()).unwrap_or_default()
    }

    /// Puts `object` in; the one that was there before.
    pub fn insert(&mut self, key: &ObjectKey, object: Arc<K>) -> Option<Arc<K>> {
        let objects = self.namespaces.entry(key.namespace.clone()).or_default();
        let old = objects.insert(key.name.clone(), object.clone());
        for indexed in &mut self.indexes {
            if let Some(old) = &old {
                indexed.remove(key, old);
            }
            for value in (indexed.values)(&object) {
                indexed.objects.entry(value).or_default().insert(key.clone(), object.clone());
            }
        }
        self.len += usize::from(old.is_none());
        old
    }

    /// Takes an object out.
    pub fn remove(&mut self, key: &ObjectKey) -> Option<Arc<K>> {
        let objects = self.namespaces.get_mut(&key.namespace)?;
        let old = objects.remove(&key.name)?;
        if objects.is_empty() {
            self.namespaces.remove(&key.namespace);
        }
        for indexed in &mut self.indexes {
            indexed.remove(key, &old);
        }
        self.len -= 1;
        Some(old)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lookups_follow_the_objects() {
        let mut contents: Contents<u32> = Contents::new(vec![("parity", |n| vec![(n % 2).to_string()])]);
        for (namespace, name, n) in [("b", "x", 1), ("a", "y", 2), ("a", "x", 3)] {
            contents.insert(&ObjectKey::new(namespace, name), Arc::new(n));
        }
        let all = |contents: &Contents<u32>| contents.iter().map(|n| **n).collect::<Vec<_>>();
        assert_eq!(all(&contents), [3, 2, 1]);
        assert_eq!(contents.iter_in("a").map(|n| **n).collect::<Vec<_>>(), [3, 2]);
        assert_eq!(contents.by_index("parity", "1"), [Arc::new(3), Arc::new(1)]);
        contents.insert(&ObjectKey::new("a", "x"), Arc::new(4));
        assert_eq!(contents.by_index("parity", "1"), [Arc::new(1)]);
        contents.remove(&ObjectKey::new("b", "x"));
        assert_eq!(contents.by_index("parity", "1"), []);
        assert_eq!((contents.len(), all(&contents)), (2, vec![4, 2]));
        assert_eq!(contents.get("b", "x"), None);
    }
}
