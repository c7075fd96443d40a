//! The transaction that releases one handle, made of fresh bytes for one and the same holder.
//!
//! The rules have judged the target before; here the same thing is decided again from what etcd has right now, as often
//! as a compare fails. What is not the same tuple any more has changed hands and is left alone. A handle is deleted and
//! all blocks that it names are rewritten in the same transaction (*the fence*, domain facts 9.6): a CNI ADD that has
//! counted the handle up and not yet written its block then loses, and creates the handle anew.

use std::collections::BTreeMap;

use super::block::{self, Freed};
use super::circumstances::LeftEndpoint;
use super::fresh::{Decision, FreshBlock, FreshKeys};
use super::handle;
use super::json::Broken;
use super::refusal::{Hands, Objection};
use super::transaction::{After, Change, Fresh, StoredKey};
use super::verify::{self, Meant};
use crate::model::keys::block_key;
use crate::model::{Addr, AllocationTuple, Cidr, Time};

/// One address that is to go, and where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReleasePlace {
    pub address: Addr,
    /// Which it was allocated from.
    pub block: Cidr,
    /// Its place in the block, from 0.
    pub ordinal: u32,
    /// The very allocation that was judged.
    pub tuple: AllocationTuple,
}

/// How much of a handle goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extent {
    /// All its addresses, and with them the handle.
    Whole,
    /// One address by the operator's word; the handle counts one less.
    One,
}

/// What is to be released together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReleaseTarget {
    /// The sanitised id; `None` for an allocation without a handle.
    pub handle: Option<String>,
    /// The keys of all objects of this id; the canonical one when there is none.
    pub handle_keys: Vec<Vec<u8>>,
    /// All addresses of the handle, or the one that was named.
    pub places: Vec<ReleasePlace>,
    /// Endpoints whose pod is proven gone.
    pub endpoints: Vec<LeftEndpoint>,
    pub extent: Extent,
    /// Blocks of which an affinity object exists, so that they are not deleted though they name no owner.
    pub claimed: Vec<Cidr>,
    /// With [`Extent::One`]: the blocks of the handle's other addresses, whatever the handle counts.
    pub others: Vec<Cidr>,
    /// Other endpoints of the owners, on which the proofs rest: they must be as they were judged.
    pub witnesses: Vec<Witness>,
}

/// A key that is only compared.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Witness {
    /// Etcd's key, its bytes.
    pub key: Vec<u8>,
    /// `None`: it was absent.
    pub mod_revision: Option<i64>,
    /// `endpoint shop/e`.
    pub name: String,
}

impl ReleaseTarget {
    /// What it is called in refusals and in the history.
    pub fn subject(&self) -> String {
        let address = || self.places.first().map(|p| p.address.to_string());
        self.handle.clone().filter(|_| self.extent == Extent::Whole).or_else(address).unwrap_or_default()
    }

    /// The keys that are known to be needed before anything is read.
    pub fn keys(&self) -> Vec<Vec<u8>> {
        let mut keys = self.handle_keys.clone();
        keys.extend(self.places.iter().map(|p| block_key(p.block).into_bytes()));
        keys.extend(self.others.iter().map(|b| block_key(*b).into_bytes()));
        keys.extend(self.endpoints.iter().map(|e| e.key.clone()));
        keys.extend(self.witnesses.iter().map(|w| w.key.clone()));
        keys
    }

    /// Decides from fresh bytes. `moment` is when the release counts as done: the later of our clock and the API's.
    pub fn decide(&self, fresh: &Fresh, moment: Time) -> Decision {
        match self.changes(&FreshKeys::of(fresh), moment) {
            Ok(changes) => Decision::of(&self.subject(), changes),
            Err(decision) => decision,
        }
    }

    fn changes(&self, reading: &FreshKeys<'_>, moment: Time) -> Result<Vec<Change>, Decision> {
        let subject = self.subject();
        let refuse = |e: Broken| Decision::refused(&subject, Objection::Uneditable(None, e.to_string().into()));
        let mut changes = vec![reading.open(&subject)?];
        let freed = match reading.cooldown(&subject)? {
            time if time.is_zero() => Freed::AtOnce,
            _ => Freed::Cooling(moment),
        };
        let blocks = self.blocks(reading)?;
        for (cidr, stored) in &blocks {
            let places: Vec<&ReleasePlace> = self.places.iter().filter(|p| p.block == *cidr).collect();
            let change = match stored {
                None if !places.is_empty() => return Err(Decision::Changed(Hands::BlockGone(*cidr))),
                None => reading.absent(block_key(*cidr).into_bytes(), "it does not exist: compared only"),
                Some(block) => self.block_change(block, &places, freed)?,
            };
            changes.push(change);
        }
        changes.extend(self.handle_changes(reading, &blocks).map_err(refuse)?);
        for left in &self.endpoints {
            changes.push(self.endpoint_change(reading, left)?);
        }
        for witness in &self.witnesses {
            changes.push(self.witnessed(reading, witness)?);
        }
        Ok(changes)
    }

    /// Every block with an address of ours, and every block that the handle names.
    fn blocks<'f>(&self, reading: &FreshKeys<'f>) -> Result<BTreeMap<Cidr, Option<FreshBlock<'f>>>, Decision> {
        let subject = self.subject();
        let mut named: Vec<Cidr> = self.places.iter().map(|p| p.block).chain(self.others.iter().copied()).collect();
        for key in &self.handle_keys {
            named.extend(reading.handle(&subject, key)?.into_iter().flat_map(|h| h.blocks));
        }
        named.sort_unstable();
        named.dedup();
        reading.blocks(&subject, &named)
    }

    /// The block without our ordinals; deleted when it is empty then and nobody's; or the fence alone.
    fn block_change(&self, block: &FreshBlock<'_>, places: &[&ReleasePlace], freed: Freed) -> Result<Change, Decision> {
        for place in places {
            if block.tuple(place.address, place.ordinal) != Some(place.tuple.clone()) {
                return Err(Decision::Changed(Hands::OtherAllocation(place.address)));
            }
        }
        let ours: Vec<u32> = places.iter().map(|p| p.ordinal).collect();
        let others = self.handle.as_deref().map_or(Vec::new(), |id| block.ordinals_of(id));
        if self.extent == Extent::Whole && others.iter().any(|o| !ours.contains(o)) {
            return Err(Decision::Changed(Hands::MoreOfHandle(block.cidr)));
        }
        let objection = |e: Broken| Objection::Uneditable(Some(block.cidr), e.to_string().into());
        let refuse = |e: Broken| Decision::refused(&self.subject(), objection(e));
        let change = |after, why: String| Change::of(&*block.key, Some(block.stored), after, why);
        if ours.is_empty() {
            return block.fence().map_err(refuse);
        }
        verify::is_sound(&block.block).map_err(refuse)?;
        let value = block::release(&block.stored.value, &ours, freed).map_err(refuse)?;
        verify::same_but(&block.key, &block.stored.value, &value, &Meant::Release { ordinals: &ours, freed })
            .map_err(refuse)?;
        let list: Vec<String> = places.iter().map(|p| p.address.to_string()).collect();
        let ownerless = block::is_ownerless(&value).map_err(refuse)? && !self.claimed.contains(&block.cidr);
        let (left, names) = verify::block(&block.names, &block.key, &value).map_err(refuse)?;
        Ok(match ownerless && left.is_empty(&names) {
            true => change(After::Delete, format!("{} released; the block is empty and nobody's", list.join(", "))),
            false => change(After::Put(value), format!("{} released", list.join(", "))),
        })
    }

    fn handle_changes(
        &self,
        reading: &FreshKeys<'_>,
        blocks: &BTreeMap<Cidr, Option<FreshBlock<'_>>>,
    ) -> Result<Vec<Change>, Broken> {
        let mut changes = Vec::new();
        for key in &self.handle_keys {
            let Some(stored) = reading.stored(key) else {
                changes.push(reading.absent(key.clone(), "the handle does not exist: compared only"));
                continue;
            };
            let change = match (self.extent, self.places.first()) {
                (Extent::One, Some(place)) => self.one_less(key, stored, place, blocks)?,
                _ => Change::of(&**key, Some(stored), After::Delete, "no address is left to the handle"),
            };
            changes.push(change);
        }
        Ok(changes)
    }

    fn one_less(
        &self,
        key: &[u8],
        stored: &StoredKey,
        place: &ReleasePlace,
        blocks: &BTreeMap<Cidr, Option<FreshBlock<'_>>>,
    ) -> Result<Change, Broken> {
        let id = self.handle.as_deref().unwrap_or_default();
        let held = |cidr: &Cidr| blocks.get(cidr).and_then(Option::as_ref).map_or(0, |b| b.ordinals_of(id).len());
        let here = held(&place.block).saturating_sub(1);
        let elsewhere: usize = blocks.keys().filter(|c| **c != place.block).map(held).sum();
        let here_as_number = i64::try_from(here).unwrap_or(i64::MAX);
        let left = handle::subtract(&stored.value, place.block, here_as_number)?;
        if let handle::Left::Value(value) = &left {
            verify::counts_but(key, Some(&stored.value), value, place.block, |n| here_as_number.max(n - 1).min(n))?;
        }
        let (after, why) = match left {
            handle::Left::Nothing if here + elsewhere == 0 => (After::Delete, "no address is left to the handle"),
            // It counts too little already; without it the others would have no handle at all.
            handle::Left::Nothing => (After::Same, "the handle counts too little already: compared only"),
            handle::Left::Value(value) if value == stored.value => {
                (After::Same, "the handle does not count the address: compared only")
            }
            handle::Left::Value(value) => (After::Put(value), "one address less"),
        };
        Ok(Change::of(key, Some(stored), after, why))
    }

    /// A proof that rests on an endpoint, or on there being none, holds only as long as that does.
    fn witnessed(&self, reading: &FreshKeys<'_>, witness: &Witness) -> Result<Change, Decision> {
        match (reading.stored(&witness.key), witness.mod_revision) {
            (None, None) => Ok(reading.absent(witness.key.clone(), "the owner has no endpoint: compared only")),
            (Some(stored), Some(judged)) if stored.mod_revision == judged => {
                let why = "the owner's endpoint is another container's: compared only";
                Ok(Change::of(&*witness.key, Some(stored), After::Same, why))
            }
            _ => Err(Decision::Changed(Hands::Written(witness.name.as_str().into()))),
        }
    }

    /// The endpoint goes only as it was judged.
    fn endpoint_change(&self, reading: &FreshKeys<'_>, left: &LeftEndpoint) -> Result<Change, Decision> {
        match reading.stored(&left.key) {
            None => Ok(reading.absent(left.key.clone(), "the endpoint is gone already: compared only")),
            Some(stored) if stored.mod_revision == left.mod_revision => {
                Ok(Change::of(&*left.key, Some(stored), After::Delete, "its pod is gone"))
            }
            Some(_) => Err(Decision::Changed(Hands::Written(format!("endpoint {}", left.name).into()))),
        }
    }
}

#[cfg(test)]
mod tests;
