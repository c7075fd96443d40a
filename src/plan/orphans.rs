//! Orphaned handles, many in one transaction: the batches, and what each writes.
//!
//! An orphaned handle was proven so on a whole snapshot: no block anywhere has an address of it. Calico counts a handle
//! up *before* it writes a block, so a handle object that was not written since is still an orphan unless one of the
//! blocks that it names has an address of it now; these are read and rewritten (the fence) anyhow.

use std::collections::{BTreeMap, BTreeSet};

use super::fresh::{Decision, FreshBlock, FreshKeys};
use super::refusal::{Hands, Objection, Refusal};
use super::transaction::{After, Change, Fresh, OPERATIONS};
use crate::model::Cidr;
use crate::model::handle::sanitised;
use crate::model::keys::block_key;

/// Handles in one transaction at most; with the fence and the lock they stay below etcd's limit.
pub const PER_BATCH: usize = 60;
/// Blocks in one transaction at most: each is a chance to lose against somebody's write.
const BLOCKS_PER_BATCH: usize = 8;
/// Bytes of blocks that are taken for granted when batches are made: twice a full /26.
const BLOCK_BYTES: usize = 32_000;

/// One orphaned handle object, as it was judged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Orphan {
    /// The id as it stands in the key.
    pub id: String,
    /// Etcd's key, its bytes.
    pub key: Vec<u8>,
    /// With which the transaction compares.
    pub mod_revision: i64,
    /// The blocks that it names.
    pub blocks: Vec<Cidr>,
}

/// What a batch comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decided {
    pub decision: Decision,
    /// Handles of the batch that are left alone, and why.
    pub dropped: Vec<Refusal>,
    /// Handles of the batch that are gone already.
    pub gone: usize,
}

/// Cuts orphans into batches by the blocks that they name.
pub fn batches(mut orphans: Vec<Orphan>) -> Vec<Vec<Orphan>> {
    orphans.sort_by(|a, b| (&a.blocks, &a.key).cmp(&(&b.blocks, &b.key)));
    let mut batches: Vec<Vec<Orphan>> = Vec::new();
    let mut blocks: BTreeSet<Cidr> = BTreeSet::new();
    for orphan in orphans {
        let more = orphan.blocks.iter().filter(|b| !blocks.contains(b)).count();
        let fits = batches.last().is_some_and(|batch| fits(batch.len() + 1, blocks.len() + more));
        match batches.last_mut().filter(|_| fits) {
            Some(batch) => {
                blocks.extend(&orphan.blocks);
                batch.push(orphan);
            }
            None => {
                blocks = orphan.blocks.iter().copied().collect();
                batches.push(vec![orphan]);
            }
        }
    }
    batches
}

fn fits(handles: usize, blocks: usize) -> bool {
    // Two compares a key, and two for the lock.
    handles <= PER_BATCH
        && blocks <= BLOCKS_PER_BATCH
        && 2 * (handles + blocks) + 2 <= OPERATIONS
        && blocks * BLOCK_BYTES < super::transaction::BYTES / 2
}

/// The keys that are known to be needed before anything is read.
pub fn keys(batch: &[Orphan]) -> Vec<Vec<u8>> {
    let blocks: BTreeSet<Cidr> = batch.iter().flat_map(|o| &o.blocks).copied().collect();
    let handles = batch.iter().map(|o| o.key.clone());
    handles.chain(blocks.into_iter().map(|b| block_key(b).into_bytes())).collect()
}

/// Decides from fresh bytes; who is no orphan any more is left out, the others go.
pub fn decide(batch: &[Orphan], fresh: &Fresh) -> Decided {
    let mut decided = Decided { decision: Decision::Nothing, dropped: Vec::new(), gone: 0 };
    decided.decision = match changes(batch, &FreshKeys::of(fresh), &mut decided) {
        Ok(changes) if changes.is_empty() => Decision::Nothing,
        Ok(changes) => Decision::of(&subject(batch), changes),
        Err(decision) => decision,
    };
    decided
}

/// What a batch is called.
pub fn subject(batch: &[Orphan]) -> String {
    match batch {
        [one] => one.id.clone(),
        _ => format!("{} orphaned handles", batch.len()),
    }
}

fn changes(batch: &[Orphan], reading: &FreshKeys<'_>, decided: &mut Decided) -> Result<Vec<Change>, Decision> {
    let open = reading.open(&subject(batch))?;
    let all: BTreeSet<Cidr> = batch.iter().flat_map(|o| &o.blocks).copied().collect();
    let blocks = reading.blocks(&subject(batch), &all.into_iter().collect::<Vec<_>>())?;
    let mut changes = Vec::new();
    let mut fenced = BTreeSet::new();
    for orphan in batch {
        let Some(found) = reading.handle(&orphan.id, &orphan.key)? else {
            decided.gone += 1;
            continue;
        };
        if let Some(hands) = changed_hands(orphan, found.mod_revision, &blocks) {
            decided.dropped.push(Refusal::new(orphan.id.as_str(), Objection::ChangedHands(hands)));
            continue;
        }
        fenced.extend(&orphan.blocks);
        let stored = reading.stored(&orphan.key);
        changes.push(Change::of(&*orphan.key, stored, After::Delete, "no block has an address of it"));
    }
    if changes.is_empty() {
        return Ok(changes);
    }
    for cidr in fenced {
        changes.push(match blocks.get(&cidr).and_then(Option::as_ref) {
            None => reading.absent(block_key(cidr).into_bytes(), "it does not exist: compared only"),
            Some(block) => block
                .fence()
                .map_err(|e| Decision::refused(&cidr.to_string(), Objection::Uneditable(None, e.to_string().into())))?,
        });
    }
    changes.push(open);
    Ok(changes)
}

fn changed_hands(orphan: &Orphan, mod_revision: i64, blocks: &BTreeMap<Cidr, Option<FreshBlock<'_>>>) -> Option<Hands> {
    if mod_revision != orphan.mod_revision {
        return Some(Hands::Written("the handle".into()));
    }
    let id = sanitised(&orphan.id);
    let holding = blocks.values().flatten().find(|b| !b.ordinals_of(id).is_empty())?;
    Some(Hands::TakenUp(holding.cidr))
}

#[cfg(test)]
mod tests;
