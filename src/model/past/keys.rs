//! The keys of the last complete audit.

use std::collections::HashMap;

use crate::model::finding::hash128;
use crate::model::hash::HashSet;
use crate::model::{ByHash, Meta, keys};

/// What the history says of one key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PastKey {
    /// etcd's revision at which it was made.
    pub create_revision: i64,
    /// Etcd's revision of its last write.
    pub mod_revision: i64,
    /// Writes since its creation; 0: not known.
    pub version: i64,
    /// 0: not known, or the value did not decode when it was recorded.
    pub value_hash: u64,
}

/// A key as etcd has it, and what is recorded of it; `None`: nothing.
pub type RecordedKey = (Vec<u8>, Option<PastKey>);

impl PastKey {
    /// Whether a key is what was recorded: the same revision, and the same value as far as it was known.
    pub fn is(&self, now: &Meta) -> bool {
        let same_value = self.value_hash == 0 || now.value_hash == 0 || self.value_hash == now.value_hash;
        self.mod_revision == now.mod_revision && same_value
    }
}

impl From<Meta> for PastKey {
    fn from(meta: Meta) -> PastKey {
        let Meta { create_revision, mod_revision, version, value_hash } = meta;
        PastKey { create_revision, mod_revision, version, value_hash }
    }
}

/// The keys of the last complete audit. Most of them did not change since, and then they need not be in memory twice: what
/// this audit read of them is what was recorded.
#[derive(Clone, Debug, Default)]
pub struct PastKeys {
    by_hash: ByHash<PastKey>,
    /// Handles of containers alone were recorded under their names: an old history.
    partial: bool,
    /// Every key that is not among these is recorded as this audit's first look read it. `None`: no other one is recorded.
    asked: Option<AskedKeys>,
}

/// Keys that were looked up, whether or not they are recorded.
#[derive(Clone, Debug, Default)]
struct AskedKeys {
    /// Their bytes by the hash of these.
    bytes: HashMap<u128, Vec<u8>>,
    read: ReadKeys,
    /// So many others are recorded.
    others: u64,
}

/// How the first look read keys that are asked for.
#[derive(Clone, Debug, Default)]
pub struct ReadKeys {
    /// The last writes of those that were there.
    pub revisions: HashSet<i64>,
    /// The revision of the look: what was written later was written since.
    pub at: i64,
}

impl PastKeys {
    /// Room for so many; `partial`: of other keys than handles of containers nothing is known.
    pub fn with_capacity(keys: usize, partial: bool) -> PastKeys {
        PastKeys { by_hash: ByHash::with_capacity(keys), partial, asked: None }
    }

    /// Every key is recorded as the first look read it, `others` of them, but for those that were asked for, which that
    /// look `read` so.
    pub fn as_read_but(asked: Vec<RecordedKey>, others: u64, read: ReadKeys) -> PastKeys {
        let mut by_hash = ByHash::default();
        let mut bytes = HashMap::with_capacity(asked.len());
        for (key, recorded) in asked {
            let hash = hash128(&key);
            recorded.into_iter().for_each(|recorded| by_hash.insert(hash, recorded));
            bytes.insert(hash, key);
        }
        PastKeys { by_hash, partial: false, asked: Some(AskedKeys { bytes, read, others }) }
    }

    /// What was recorded of the key with these bytes, which the first look read as `now`.
    pub fn get(&self, key: &[u8], now: &Meta) -> Option<PastKey> {
        let hash = hash128(key);
        if self.is_as_read(hash) { Some((*now).into()) } else { self.by_hash.get(hash).copied() }
    }

    /// Whether the key of this hash, which the first look read, is recorded as that read it.
    pub fn is_as_read(&self, hash: u128) -> bool {
        self.asked.as_ref().is_some_and(|asked| !asked.bytes.contains_key(&hash))
    }

    /// Whether a key of which etcd says this need not be spelled to know that it is recorded as it was read.
    pub fn is_surely_as_read(&self, now: &Meta) -> bool {
        let may_be_asked = |asked: &AskedKeys| {
            let ReadKeys { revisions, at } = &asked.read;
            !asked.bytes.is_empty() && (now.mod_revision > *at || revisions.contains(&now.mod_revision))
        };
        self.asked.as_ref().is_some_and(|asked| !may_be_asked(asked))
    }

    /// Whether all but those that were asked for are.
    pub fn are_as_read_but(&self) -> bool {
        self.asked.is_some()
    }

    /// How many are recorded.
    pub fn count(&self) -> usize {
        self.by_hash.len() + self.asked.as_ref().map_or(0, |asked| asked.others as usize)
    }

    /// Whether a key that [`PastKeys::get`] does not find was not there; else nobody knows.
    pub fn knows(&self, key: &[u8]) -> bool {
        !self.partial || keys::is_container_handle(key)
    }

    /// By the hash of their bytes, those that are not as they were read.
    pub fn by_hash(&self) -> &ByHash<PastKey> {
        &self.by_hash
    }

    /// The bytes of a key that was asked for.
    pub fn bytes(&self, hash: u128) -> Option<&[u8]> {
        self.asked.as_ref()?.bytes.get(&hash).map(Vec::as_slice)
    }

    /// Enters one.
    pub fn insert(&mut self, key: &[u8], recorded: impl Into<PastKey>) {
        self.by_hash.insert(hash128(key), recorded.into());
    }

    /// Forgets one.
    #[cfg(test)]
    pub fn remove(&mut self, key: &[u8]) {
        self.by_hash.remove(hash128(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_asked_for_is_as_it_was_read() {
        let meta = |mod_revision| Meta { create_revision: 1, mod_revision, version: 2, value_hash: 3 };
        let asked = vec![(b"changed".to_vec(), Some(meta(5).into())), (b"new".to_vec(), None)];
        let read = ReadKeys { revisions: [9].into_iter().collect(), at: 12 };
        let keys = PastKeys::as_read_but(asked, 7, read);
        let surely = |revision| keys.is_surely_as_read(&meta(revision));
        assert_eq!([surely(4), surely(9), surely(12), surely(13)], [true, false, true, false]);
        assert_eq!(keys.get(b"changed", &meta(9)), Some(meta(5).into()));
        assert_eq!(keys.get(b"new", &meta(9)), None);
        assert_eq!(keys.get(b"other", &meta(4)), Some(meta(4).into()));
        assert_eq!(keys.count(), 8);
        assert_eq!(keys.bytes(hash128(b"new")), Some(&b"new"[..]));
        assert!(keys.bytes(hash128(b"other")).is_none() && keys.is_as_read(hash128(b"other")));
        let all = PastKeys::as_read_but(Vec::new(), 9, ReadKeys::default());
        assert!(all.is_surely_as_read(&meta(1)) && !PastKeys::default().is_surely_as_read(&meta(1)));
        assert!(all.count() == 9 && all.get(b"x", &meta(1)).is_some());
        assert!(PastKeys::default().get(b"x", &meta(1)).is_none());
    }
}
