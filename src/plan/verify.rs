//! The second pair of eyes: an edited value is read again and must mean exactly what was intended.
//!
//! The edits work on text, the judgement on the model. Whatever an edit misunderstands (an odd spelling, a doubled
//! member, a broken block) shows here as a difference, and a difference is a refusal. Nothing is written that did not
//! pass.

use std::collections::BTreeMap;

use super::block::Freed;
use super::json::Broken;
use crate::decode::{self, Kv};
use crate::model::{Block, Cidr, Gathering, Handle, Names, Time};

/// What an edit of a block was meant to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Meant<'a> {
    Fence,
    Release { ordinals: &'a [u32], freed: Freed },
    TakeBack { ordinal: u32 },
}

/// The block of a key and value, and the names in it (those of `names` keep their numbers).
///
/// # Errors
/// When they do not decode to a block.
pub fn block(names: &Names, key: &[u8], value: &[u8]) -> Result<(Block, Names), Broken> {
    let mut read = decoded(names, key, value).map_err(undecoded)?;
    let block = read.blocks.pop().ok_or_else(|| Broken::new("the key is no block's"))?;
    Ok((block, read.names))
}

/// The same for a handle.
///
/// # Errors
/// When they do not decode to a handle.
pub fn handle(names: &Names, key: &[u8], value: &[u8]) -> Result<(Handle, Names), Broken> {
    let mut read = decoded(names, key, value).map_err(undecoded)?;
    let handle = read.handles.pop().ok_or_else(|| Broken::new("the key is no handle's"))?;
    Ok((handle, read.names))
}

/// One key and value, decoded; the names of `names` keep their numbers.
///
/// # Errors
/// Why they do not decode.
pub fn decoded(names: &Names, key: &[u8], value: &[u8]) -> Result<Gathering, String> {
    let mut snapshot = Gathering { names: names.clone(), ..Gathering::default() };
    decode::insert(&mut snapshot, &Kv { key, value, create_revision: 0, mod_revision: 0, version: 0 });
    match snapshot.bad_values.pop() {
        Some(bad) => Err(bad.reason),
        None => Ok(snapshot),
    }
}

fn undecoded(reason: String) -> Broken {
    Broken::new(format!("it does not decode: {reason}"))
}

/// Compares a handle before and after an edit: `block` counts what `meant` makes of the old number, and nothing else
/// has changed. An absent handle counts nothing.
///
/// # Errors
/// The first difference.
pub fn counts_but(
    key: &[u8],
    before: Option<&[u8]>,
    after: &[u8],
    block: Cidr,
    meant: impl Fn(i64) -> i64,
) -> Result<(), Broken> {
    let counts = |value: &[u8]| -> Result<(BTreeMap<Cidr, i64>, bool), Broken> {
        let (read, _) = handle(&Names::default(), key, value)?;
        Ok((read.counts().iter().copied().collect(), read.deleted()))
    };
    let (mut old, was_deleted) = before.map_or(Ok((BTreeMap::new(), false)), counts)?;
    let (mut new, is_deleted) = counts(after)?;
    let wanted = meant(old.remove(&block).unwrap_or(0));
    match new.remove(&block).unwrap_or(0) == wanted && old == new && was_deleted == is_deleted {
        true => Ok(()),
        false => Err(Broken::new("the edit would have changed the handle in another way")),
    }
}

/// Whether a block is whole enough for an ordinal to be moved in it (domain facts, section 2; IPA301).
///
/// # Errors
/// What is wrong with it.
pub fn is_sound(block: &Block) -> Result<(), Broken> {
    let size = block.size() as usize;
    let broken = |words: &str| Err(Broken::new(format!("the block is invalid: {words}")));
    if block.allocations.len() != size {
        return broken("its allocations are not one an address");
    }
    if block.odd_value_cidr.is_some() || block.value_cidr != block.cidr {
        return broken("its cidr is not its key's");
    }
    if block.allocated().any(|(_, attribute)| attribute.is_none()) {
        return broken("an allocation has no attribute");
    }
    let mut queued = vec![false; size];
    for &ordinal in &block.unallocated {
        match usize::try_from(ordinal).ok().and_then(|o| queued.get_mut(o)) {
            Some(seen) if !*seen => *seen = true,
            Some(_) => return broken("an ordinal is twice in its free queue"),
            None => return broken("its free queue holds an ordinal outside of it"),
        }
    }
    match block.allocations.iter().zip(&queued).all(|(slot, queued)| slot.is_some() != *queued) {
        true => Ok(()),
        false => broken("its free queue is not what its allocations leave free"),
    }
}

/// Compares a block before and after an edit with what was meant.
///
/// # Errors
/// The first difference.
pub fn same_but(key: &[u8], before: &[u8], after: &[u8], meant: &Meant<'_>) -> Result<(), Broken> {
    let (old, names) = block(&Names::default(), key, before)?;
    let (new, _) = block(&names, key, after)?;
    let ordinals = match meant {
        Meant::Fence => &[][..],
        Meant::Release { ordinals, .. } => ordinals,
        Meant::TakeBack { ordinal } => std::slice::from_ref(ordinal),
    };
    let differs = |what: &str| Err(Broken::new(format!("the edit would have changed {what}")));
    if head(&old) != head(&new) {
        return differs("something that it must not");
    }
    if new.sequence != old.sequence.unwrap_or(0).checked_add(1) {
        return differs("the block's number by another step than one");
    }
    if *new.unallocated != *queue(&old, meant) {
        return differs("the free queue in another way");
    }
    if old.allocations.len() != new.allocations.len() || unused(&new) > unused(&old) {
        return differs("the lists in another way");
    }
    for ordinal in (0u32..).take(old.allocations.len()) {
        let touched = ordinals.contains(&ordinal);
        if !touched && slot(&old, ordinal) != slot(&new, ordinal) {
            return differs(&format!("ordinal {ordinal}"));
        }
        if touched && !is_as_meant(&old, &new, ordinal, meant) {
            return differs(&format!("ordinal {ordinal} in another way"));
        }
    }
    Ok(())
}

/// Everything of a block that no edit touches.
fn head(b: &Block) -> impl PartialEq {
    let names = (b.affinity, b.odd_affinity, b.host_affinity);
    (b.cidr, b.value_cidr, b.odd_value_cidr.clone(), names, b.strict_affinity, b.claimed_at, b.deleted)
}

fn slot(block: &Block, ordinal: u32) -> impl PartialEq {
    (block.allocation(ordinal).map(|a| a.cloned()), block.allocation_sequence(ordinal))
}

/// How many attributes nothing indexes.
fn unused(block: &Block) -> usize {
    let indexed: std::collections::HashSet<i32> = block.allocations.iter().flatten().copied().collect();
    block.attributes.len().saturating_sub(indexed.len())
}

fn queue(old: &Block, meant: &Meant<'_>) -> Vec<i32> {
    let number = |o: &u32| i32::try_from(*o).unwrap_or(i32::MAX);
    let mut queue = old.unallocated.to_vec();
    match meant {
        Meant::Release { ordinals, freed: Freed::AtOnce } => {
            let mut tail: Vec<i32> = ordinals.iter().map(number).collect();
            tail.sort_unstable();
            queue.extend(tail);
        }
        Meant::TakeBack { ordinal } => queue.retain(|o| *o != number(ordinal)),
        Meant::Fence | Meant::Release { .. } => {}
    }
    queue
}

fn is_as_meant(old: &Block, new: &Block, ordinal: u32, meant: &Meant<'_>) -> bool {
    let attribute = new.allocation(ordinal).flatten();
    match meant {
        Meant::Fence => false,
        Meant::Release { freed: Freed::AtOnce, .. } => {
            new.allocation(ordinal).is_none() && new.allocation_sequence(ordinal).is_none()
        }
        Meant::Release { freed: Freed::Cooling(since), .. } => {
            let cooling =
                attribute.is_some_and(|a| a.handle.is_none() && a.owner().is_empty() && is_at(a.released_at(), *since));
            cooling && new.allocation_sequence(ordinal) == old.sequence
        }
        Meant::TakeBack { .. } => {
            let held = attribute.is_some_and(|a| a.released_at().is_none());
            held && new.allocation_sequence(ordinal) == old.sequence
        }
    }
}

fn is_at(written: Option<Time>, meant: Time) -> bool {
    written.is_some_and(|w| w.seconds() == meant.seconds())
}
