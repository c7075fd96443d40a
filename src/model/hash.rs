//! Maps and sets for joins, with a hasher made for short keys.
//!
//! The standard library's SipHash costs more than the rest of a look-up when a key is a number or two. This one is
//! seeded too, as keys are foreign. The order of iteration is random in both: whoever shows something sorts it.

use std::hash::{BuildHasher, Hash};

use hashbrown::{DefaultHashBuilder, HashTable};

pub use hashbrown::{HashMap, HashSet};

/// Where the things of a list stand, by a key that they have in themselves: so the table holds places alone.
#[derive(Clone, Default)]
pub struct PlaceTable {
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl PlaceTable {
    /// Of several things with one key the first one.
    pub fn of_first<T, K: Hash + Eq>(list: &[T], key: impl Fn(&T) -> K) -> PlaceTable {
        let mut places =
            PlaceTable { table: HashTable::with_capacity(list.len()), hasher: DefaultHashBuilder::default() };
        for (thing, place) in list.iter().zip(0u32..) {
            places.enter(list, key(thing), place, &key);
        }
        places
    }

    /// Of several things with one key the last one.
    pub fn of_last<T, K: Hash + Eq>(list: &[T], key: impl Fn(&T) -> K) -> PlaceTable {
        let mut places =
            PlaceTable { table: HashTable::with_capacity(list.len()), hasher: DefaultHashBuilder::default() };
        for (place, thing) in list.iter().enumerate().rev() {
            places.enter(list, key(thing), place as u32, &key);
        }
        places
    }

    fn enter<T, K: Hash + Eq>(&mut self, list: &[T], wanted: K, place: u32, key: impl Fn(&T) -> K) {
        if self.find(list, &wanted, &key).is_none() {
            let hash = |place: &u32| list.get(*place as usize).map_or(0, |thing| self.hasher.hash_one(key(thing)));
            self.table.insert_unique(self.hasher.hash_one(&wanted), place, hash);
        }
    }

    /// The place of the thing with this key; `list` and `key` are those that the table was made of.
    pub fn find<T, K: Hash + Eq>(&self, list: &[T], wanted: &K, key: impl Fn(&T) -> K) -> Option<u32> {
        let is = |place: &u32| list.get(*place as usize).is_some_and(|thing| key(thing) == *wanted);
        self.table.find(self.hasher.hash_one(wanted), is).copied()
    }
}

/// Tells of many keys those that stand among them more than once, without a table: perhaps another one by chance.
pub struct Repeated {
    /// Sorted.
    hashes: Vec<u64>,
    hasher: DefaultHashBuilder,
}

impl Repeated {
    /// Among these.
    pub fn among<K: Hash>(keys: impl Iterator<Item = K>) -> Repeated {
        let hasher = DefaultHashBuilder::default();
        let mut hashes: Vec<u64> = keys.map(|key| hasher.hash_one(key)).collect();
        hashes.sort_unstable();
        let hashes = hashes.chunk_by(|a, b| a == b).filter(|same| same.len() > 1).map(|same| same[0]).collect();
        Repeated { hashes, hasher }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Whether this may be one.
    pub fn has<K: Hash>(&self, key: &K) -> bool {
        self.hashes.binary_search(&self.hasher.hash_one(key)).is_ok()
    }
}

impl std::fmt::Debug for PlaceTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PlaceTable({})", self.table.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_twice_is_told() {
        let repeated = Repeated::among((0..1_000u32).chain([7, 993, 7]));
        assert_eq!((0..1_000).filter(|n| repeated.has(n)).collect::<Vec<u32>>(), [7, 993]);
        assert!(Repeated::among(0..1_000u32).is_empty() && !repeated.is_empty());
    }

    #[test]
    fn things_are_found_by_their_key_the_first_or_the_last() {
        let list = [(1, 'a'), (2, 'b'), (1, 'c')];
        let key = |thing: &(i32, char)| thing.0;
        let (first, last) = (PlaceTable::of_first(&list, key), PlaceTable::of_last(&list, key));
        assert_eq!([1, 2, 3].map(|k| first.find(&list, &k, key)), [Some(0), Some(1), None]);
        assert_eq!([1, 2, 3].map(|k| last.find(&list, &k, key)), [Some(2), Some(1), None]);
    }
}
