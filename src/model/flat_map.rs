//! A map of few entries, in order of their keys, that takes no more room than they do.
//!
//! A node of a `BTreeMap` has room for eleven entries from the first on. Where thousands of clusters have a map of one
//! to three each, most of what they take would be that. Finding an entry takes as long as in a tree, adding one moves
//! those behind it; so this is for what is added to rarely, such as when a probe ends for the first time.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::ops::Index;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlatMap<K, V>(Vec<(K, V)>);

impl<K, V> FlatMap<K, V> {
    /// Whether there is nothing in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many entries there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// All entries, in order of their keys.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> + Clone {
        self.into_iter()
    }

    /// All keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = &K> + Clone {
        self.iter().map(|(key, _)| key)
    }

    /// All values, in order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> + Clone {
        self.iter().map(|(_, value)| value)
    }

    /// The same, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    /// All entries, in order of their keys, the values to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.0.iter_mut().map(|(key, value)| (&*key, value))
    }

    /// Keeps the entries for which `is_kept` holds.
    pub fn retain(&mut self, mut is_kept: impl FnMut(&K, &mut V) -> bool) {
        self.0.retain_mut(|(key, value)| is_kept(key, value));
        self.0.shrink_to_fit();
    }

    /// Removes everything.
    pub fn clear(&mut self) {
        self.0 = Vec::new();
    }
}

impl<K: Ord, V> FlatMap<K, V> {
    /// The value of `key`.
    #[must_use]
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.position(key).ok().map(|at| &self.0[at].1)
    }

    /// The same, to be changed.
    #[must_use]
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.position(key).ok().map(|at| &mut self.0[at].1)
    }

    /// Whether `key` has a value.
    #[must_use]
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.position(key).is_ok()
    }

    /// Entries whose keys follow `key`; all of them without one.
    pub fn after(&self, key: Option<&K>) -> impl Iterator<Item = (&K, &V)> {
        let from = key.map_or(0, |key| self.position(key).map_or_else(|free| free, |at| at + 1));
        self.0[from..].iter().map(|(key, value)| (key, value))
    }

    /// Gives `key` a value, and returns the one it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.position(&key) {
            Ok(at) => Some(std::mem::replace(&mut self.0[at].1, value)),
            Err(free) => {
                self.put(free, key, value);
                None
            }
        }
    }

    /// The value of `key`, which is made where it has none.
    pub fn or_default(&mut self, key: &K) -> &mut V
    where
        K: Clone,
        V: Default,
    {
        let at = self.position(key).unwrap_or_else(|free| {
            self.put(free, key.clone(), V::default());
            free
        });
        &mut self.0[at].1
    }

    fn put(&mut self, at: usize, key: K, value: V) {
        // Most are never joined by another one.
        self.0.reserve_exact(1);
        self.0.insert(at, (key, value));
    }

    fn position<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        self.0.binary_search_by(|(known, _)| known.borrow().cmp(key))
    }
}

impl<K, V> Default for FlatMap<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// Of entries with the same key the last one counts.
impl<K: Ord, V> FromIterator<(K, V)> for FlatMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut all: Vec<_> = entries.into_iter().collect::<BTreeMap<K, V>>().into_iter().collect();
        all.shrink_to_fit();
        Self(all)
    }
}

impl<K: Ord, V, const N: usize> From<[(K, V); N]> for FlatMap<K, V> {
    fn from(entries: [(K, V); N]) -> Self {
        entries.into_iter().collect()
    }
}

impl<K: Ord, V> Extend<(K, V)> for FlatMap<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        *self = std::mem::take(&mut self.0).into_iter().chain(entries).collect();
    }
}

impl<'a, K, V> IntoIterator for &'a FlatMap<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = std::iter::Map<std::slice::Iter<'a, (K, V)>, fn(&'a (K, V)) -> (&'a K, &'a V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().map(|(key, value)| (key, value))
    }
}

/// Panics where there is no such entry, as every map does.
impl<K: Borrow<Q> + Ord, Q: Ord + ?Sized, V> Index<&Q> for FlatMap<K, V> {
    type Output = V;

    fn index(&self, key: &Q) -> &V {
        &self.0[self.position(key).unwrap_or(usize::MAX)].1
    }
}

impl<K: Serialize, V: Serialize> Serialize for FlatMap<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self)
    }
}

impl<'de, K: Ord + Deserialize<'de>, V: Deserialize<'de>> Deserialize<'de> for FlatMap<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::deserialize(deserializer).map(|entries| entries.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_what_a_tree_would_hold(
            added in proptest::collection::vec((0_u8..12, any::<u8>()), 0..24),
            asked in 0_u8..12,
        ) {
            let tree: BTreeMap<u8, u8> = added.iter().copied().collect();
            let mut flat = FlatMap::default();
            for (key, value) in added.iter().copied() {
                flat.insert(key, value);
            }

            prop_assert_eq!(&flat, &added.into_iter().collect());
            prop_assert!(flat.iter().eq(&tree));
            prop_assert_eq!(flat.get(&asked), tree.get(&asked));
            prop_assert!(flat.after(Some(&asked)).eq(tree.range(asked + 1..)));
            prop_assert_eq!(serde_json::to_string(&flat).unwrap(), serde_json::to_string(&tree).unwrap());
            *flat.or_default(&asked) = 7;
            prop_assert_eq!(flat[&asked], 7);
            flat.retain(|key, _| *key != asked);
            prop_assert!(!flat.contains_key(&asked) && flat.len() == tree.keys().filter(|key| **key != asked).count());
        }
    }
}
