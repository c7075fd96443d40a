//! Keys and blocks: their last state, of which only what changed is written.

use std::cmp::Ordering;

use super::diff::Diff;
use super::seen::{self, UnderKey};
use crate::model::finding::hash128;
use crate::model::hash::HashSet;
use crate::model::keys::Keyed;
use crate::model::record::{Changes, KeyRow, LazyRows};
use crate::model::row::BlockRow;
use crate::model::{Block, Meta, Names, PastKey};

impl<'l> Diff<'l, '_> {
    /// Keys that are new, were written or are gone since the last audit that read them all.
    pub(super) fn keys(&self) -> Option<Changes<LazyRows<'l, KeyRow>, u128>> {
        seen::are_keys_read(self.snapshot).then_some(())?;
        let (keys, names, mut opened) = (&self.past.keys, &self.snapshot.names, Vec::new());
        let past = keys.by_hash();
        let (mut marks, mut new) = (past.marks(), HashSet::<u128>::new());
        let wanted = |meta: &Meta| !keys.is_surely_as_read(meta);
        seen::recorded_keys(names, self.snapshot, wanted, |key, meta, recorded| {
            let hash = hash128(key);
            if keys.is_as_read(hash) {
                return;
            }
            let known = past.find(hash);
            let first = known.map_or_else(|| new.insert(hash), |(bucket, _)| marks.mark(bucket));
            if first && known.is_none_or(|(_, known)| *known != PastKey::from(meta)) {
                opened.push(recorded);
            }
        });
        let closed = past.unmarked(&marks).map(|(hash, _)| hash).collect();
        drop((marks, new));
        sort(&mut opened, names);
        let row = |recorded: UnderKey<'l>| {
            let mut key = Vec::new();
            recorded.put_key(&mut key, names);
            Some(KeyRow { key, meta: recorded.meta() })
        };
        Some(Changes { opened: LazyRows::of(opened, row), closed })
    }

    /// Blocks that are new or were written.
    pub(super) fn blocks(&self) -> Vec<BlockRow> {
        let known = &self.past.last.blocks;
        let changed = self.ledger.blocks().filter(|b| {
            let numbers = (b.meta.create_revision, b.meta.version);
            known.get(&b.cidr) != Some(&numbers) || b.meta.create_revision == 0
        });
        let row = |b: &Block| BlockRow {
            cidr: b.cidr,
            create_revision: b.meta.create_revision,
            version: b.meta.version,
            sequence: b.sequence,
        };
        changed.map(row).collect()
    }
}

/// In the order of the table, so that a first audit fills it from front to back. They come in runs, which are put behind each
/// other first: so hardly a key is spelled for it.
fn sort(keys: &mut [UnderKey<'_>], names: &Names) {
    keys.sort_by_key(|recorded| match recorded {
        UnderKey::Thing(Keyed::Block(_)) => 1,
        UnderKey::Thing(Keyed::Handle(_)) => 2,
        UnderKey::Thing(Keyed::CalicoNode(_)) => 4,
        UnderKey::Thing(Keyed::Endpoint(_)) => 5,
        UnderKey::Thing(_) => 3,
        UnderKey::Bad(_) => 0,
    });
    let is_handle = |recorded: &UnderKey<'_>| matches!(recorded, UnderKey::Thing(Keyed::Handle(_)));
    let handles = keys.iter().position(is_handle).zip(keys.iter().rposition(is_handle));
    if let Some(handles) = handles.and_then(|(first, last)| keys.get_mut(first..=last)) {
        handles.sort_by_cached_key(|recorded| match recorded {
            UnderKey::Thing(Keyed::Handle(handle)) => {
                let begins = names.get(handle.id.tail).as_bytes().iter().take(8);
                (handle.id.head, begins.fold(0, |all, byte| all << 8 | u64::from(*byte)))
            }
            _ => Default::default(),
        });
    }
    keys.sort_by(|a, b| order(names, *a, *b));
}

/// The order of two keys' bytes.
fn order(names: &Names, a: UnderKey<'_>, b: UnderKey<'_>) -> Ordering {
    match (a, b) {
        (UnderKey::Thing(Keyed::Endpoint(a)), UnderKey::Thing(Keyed::Endpoint(b))) if a.namespace == b.namespace => {
            a.name().order(b.name(), names)
        }
        (UnderKey::Thing(Keyed::Handle(a)), UnderKey::Thing(Keyed::Handle(b)))
            if a.id.dotted && b.id.dotted && a.id.head == b.id.head && a.odd_id().or(b.odd_id()).is_none() =>
        {
            names.get(a.id.tail).cmp(names.get(b.id.tail))
        }
        _ => {
            let [mut one, mut other] = [Vec::new(), Vec::new()];
            a.put_key(&mut one, names);
            b.put_key(&mut other, names);
            one.cmp(&other)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::Cluster;

    /// However they stood before.
    #[test]
    fn keys_are_in_the_order_of_their_bytes() {
        let snapshot = Cluster::healthy().snapshot();
        let mut keys = Vec::new();
        seen::recorded_keys(&snapshot.names, &snapshot, |_| true, |_, _, recorded| keys.push(recorded));
        let spelled = |recorded: &UnderKey<'_>| {
            let mut key = Vec::new();
            recorded.put_key(&mut key, &snapshot.names);
            key
        };
        let mut wanted: Vec<Vec<u8>> = keys.iter().map(spelled).collect();
        wanted.sort_unstable();
        for turn in 0..keys.len() {
            keys.rotate_left(turn);
            sort(&mut keys, &snapshot.names);
            assert_eq!(keys.iter().map(spelled).collect::<Vec<_>>(), wanted);
            keys.reverse();
        }
        assert!(wanted.len() > 10, "{}", wanted.len());
    }
}
