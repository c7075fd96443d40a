//! Keys and blocks: their last state, of which only what changed is written.

use super::diff::Diff;
use super::seen;
use crate::model::finding::hash128;
use crate::model::hash::HashSet;
use crate::model::record::{Changes, KeyRow};
use crate::model::row::BlockRow;
use crate::model::{Block, Meta, PastKey};

impl Diff<'_> {
    /// Keys that are new, were written or are gone since the last audit that read them all.
    pub(super) fn keys(&self) -> Option<Changes<KeyRow, u128>> {
        seen::are_keys_read(self.snapshot).then_some(())?;
        let mut changes = Changes::default();
        let keys = &self.past.keys;
        let past = keys.by_hash();
        let (mut marks, mut new) = (past.marks(), HashSet::<u128>::new());
        let wanted = |meta: &Meta| !keys.is_surely_as_read(meta);
        seen::recorded_keys(&self.snapshot.names, self.snapshot, wanted, |key, meta| {
            let hash = hash128(key);
            if keys.is_as_read(hash) {
                return;
            }
            let known = past.find(hash);
            let first = known.map_or_else(|| new.insert(hash), |(bucket, _)| marks.mark(bucket));
            if first && known.is_none_or(|(_, known)| *known != PastKey::from(meta)) {
                changes.opened.push(KeyRow { key: key.to_vec(), meta });
            }
        });
        changes.closed = past.unmarked(&marks).map(|(hash, _)| hash).collect();
        // In the order of the table, so that a first audit fills it from front to back.
        changes.opened.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        Some(changes)
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
