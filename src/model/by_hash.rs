//! A table of the past, found by 128-bit hashes of what names its entries, and a mark for each entry that is there still.
//!
//! A big cluster's past has hundreds of thousands of entries, and nearly all of them are seen again: a bit each says so,
//! where a set of what was seen would be as big as the table.

use hashbrown::HashTable;

/// Entries by hash.
#[derive(Clone, Debug)]
pub struct ByHash<V>(HashTable<(u128, V)>);

/// Which entries of one table were seen. It says nothing about another one, or after the table has changed.
#[derive(Debug)]
pub struct Marks(Vec<u64>);

/// Where a table has an entry, which [`Marks`] knows it by.
#[derive(Clone, Copy, Debug)]
pub struct Bucket(usize);

impl<V> ByHash<V> {
    /// Room for so many.
    pub fn with_capacity(entries: usize) -> ByHash<V> {
        ByHash(HashTable::with_capacity(entries))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Enters one, in the place of what was entered under this hash.
    pub fn insert(&mut self, hash: u128, value: V) {
        let entry = self.0.entry(short(hash), |(other, _)| *other == hash, |(other, _)| short(*other));
        entry.insert((hash, value));
    }

    /// Takes one out.
    #[cfg(test)]
    pub fn remove(&mut self, hash: u128) {
        if let Ok(entry) = self.0.find_entry(short(hash), |(other, _)| *other == hash) {
            entry.remove();
        }
    }

    /// What was entered under this hash.
    pub fn get(&self, hash: u128) -> Option<&V> {
        self.find(hash).map(|(_, value)| value)
    }

    /// The same with its bucket.
    pub fn find(&self, hash: u128) -> Option<(Bucket, &V)> {
        let at = self.0.find_bucket_index(short(hash), |(other, _)| *other == hash)?;
        self.0.get_bucket(at).map(|(_, value)| (Bucket(at), value))
    }

    /// None marked yet.
    pub fn marks(&self) -> Marks {
        Marks(vec![0; self.0.num_buckets().div_ceil(64)])
    }

    /// The entries that were not marked, in no order.
    pub fn unmarked<'a>(&'a self, marks: &'a Marks) -> impl Iterator<Item = (u128, &'a V)> {
        let unmarked = (0..self.0.num_buckets()).filter(|at| !marks.has(Bucket(*at)));
        unmarked.filter_map(|at| self.0.get_bucket(at)).map(|(hash, value)| (*hash, value))
    }
}

/// The table's own hash; the whole of ours is compared all the same.
fn short(hash: u128) -> u64 {
    hash as u64
}

impl Marks {
    /// Marks an entry; whether it was not yet marked.
    pub fn mark(&mut self, bucket: Bucket) -> bool {
        let new = !self.has(bucket);
        if let Some(word) = self.0.get_mut(bucket.0 / 64) {
            *word |= 1 << (bucket.0 % 64);
        }
        new
    }

    fn has(&self, bucket: Bucket) -> bool {
        self.0.get(bucket.0 / 64).is_some_and(|word| word >> (bucket.0 % 64) & 1 == 1)
    }
}

impl<V> Default for ByHash<V> {
    fn default() -> ByHash<V> {
        ByHash(HashTable::new())
    }
}

impl<V> FromIterator<(u128, V)> for ByHash<V> {
    fn from_iter<T: IntoIterator<Item = (u128, V)>>(entries: T) -> ByHash<V> {
        let mut table = ByHash::default();
        entries.into_iter().for_each(|(hash, value)| table.insert(hash, value));
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::finding::hash128;

    #[test]
    fn what_was_not_seen_again_is_told() {
        let hash = |n: u32| hash128(&n.to_le_bytes());
        let mut table: ByHash<u32> = (0..10_000).map(|n| (hash(n), n)).collect();
        table.insert(hash(7), 70);
        assert_eq!((table.len(), table.get(hash(7)), table.get(hash(10_000))), (10_000, Some(&70), None));
        let mut marks = table.marks();
        for n in (0..10_000).filter(|n| n % 1_000 != 3) {
            let (bucket, _) = table.find(hash(n)).unwrap();
            assert!(marks.mark(bucket) && !marks.mark(bucket), "{n}");
        }
        let mut rest: Vec<(u128, u32)> = table.unmarked(&marks).map(|(hash, n)| (hash, *n)).collect();
        rest.sort_unstable_by_key(|(_, n)| *n);
        assert_eq!(rest, (0..10).map(|n| (hash(n * 1_000 + 3), n * 1_000 + 3)).collect::<Vec<_>>());
        assert_eq!(ByHash::<u32>::default().unmarked(&ByHash::<u32>::default().marks()).count(), 0);
    }
}
