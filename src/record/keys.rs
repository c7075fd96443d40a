//! Keys and blocks: their last state, of which only what changed is written.

use super::diff::Diff;
use crate::checks::datastore::datastore_went_back::keyed;
use crate::model::finding::hash128;
use crate::model::hash::HashSet;
use crate::model::keys::put_key;
use crate::model::past::KEPT_BY_KEY;
use crate::model::record::{Changes, KeyRow};
use crate::model::row::BlockRow;
use crate::model::{Block, Meta, PastKey};

impl Diff<'_> {
    /// Keys that are new, were written or are gone since the last audit that read them all.
    pub(super) fn keys(&self) -> Option<Changes<KeyRow, u128>> {
        if !self.complete(&KEPT_BY_KEY) || self.snapshot.etcd.revision <= 0 {
            return None;
        }
        let (snapshot, names, past) = (self.snapshot, &self.snapshot.names, self.past.keys.by_hash());
        let mut changes = Changes::default();
        let (mut seen, mut new) = (past.marks(), HashSet::<u128>::new());
        let mut enter = |key: &[u8], meta: Meta| {
            let hash = hash128(key);
            let known = past.find(hash);
            let first = known.map_or_else(|| new.insert(hash), |(bucket, _)| seen.mark(bucket));
            if first && known.is_none_or(|(_, known)| *known != PastKey::from(meta)) {
                changes.opened.push(KeyRow { key: key.to_vec(), meta });
            }
        };
        let mut key = Vec::new();
        keyed(snapshot).for_each(|(thing, meta)| {
            put_key(&mut key, names, thing);
            enter(&key, meta);
        });
        for bad in snapshot.bad_values.iter().filter(|bad| KEPT_BY_KEY.contains(&bad.input)) {
            enter(&bad.key, Meta { mod_revision: bad.mod_revision, ..Meta::default() });
        }
        changes.closed = past.unmarked(&seen).map(|(hash, _)| hash).collect();
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
