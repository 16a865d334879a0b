//! What belongs together, found without walking over everything.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

#[cfg(test)]
thread_local! {
    /// Values that were walked over in this thread, for tests that count work.
    pub(super) static WALKED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

fn walk() {
    #[cfg(test)]
    WALKED.set(WALKED.get() + 1);
}

/// Values under keys, several under each.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound(deserialize = "K: Ord + Deserialize<'de>, V: Ord + Deserialize<'de>"))]
pub(super) struct Index<K, V> {
    sets: BTreeMap<K, BTreeSet<V>>,
}

impl<K: Ord + Clone, V: Ord + Clone> Index<K, V> {
    pub(super) fn insert(&mut self, key: &K, value: &V) {
        match self.sets.get_mut(key) {
            Some(set) => drop(set.insert(value.clone())),
            None => drop(self.sets.insert(key.clone(), BTreeSet::from([value.clone()]))),
        }
    }

    pub(super) fn remove(&mut self, key: &K, value: &V) {
        if let Some(set) = self.sets.get_mut(key) {
            set.remove(value);
            if set.is_empty() {
                self.sets.remove(key);
            }
        }
    }

    /// Everything under `key`, in order.
    pub(super) fn of<'a>(&'a self, key: &K) -> impl Iterator<Item = &'a V> + use<'a, K, V> {
        self.sets.get(key).into_iter().flatten().inspect(|_| walk())
    }

    /// Keys under which there is something.
    pub(super) fn keys(&self) -> impl Iterator<Item = &K> {
        self.sets.keys().inspect(|_| walk())
    }
}

impl<K, V> Default for Index<K, V> {
    fn default() -> Self {
        Self { sets: BTreeMap::new() }
    }
}
