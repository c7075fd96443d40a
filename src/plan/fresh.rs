//! Keys that were read right now, decoded one by one, and what was decided from them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::block;
use super::json::Broken;
use super::refusal::{Hands, Objection, Refusal};
use super::transaction::{After, Change, Fresh, StoredKey, Transaction};
use super::verify::{self, Meant};
use crate::model::keys::{CLUSTER_INFORMATION, IPAM_CONFIG, block_key};
use crate::model::{self, Addr, AllocationTuple, Cidr, Foreign, Names};

/// What is to be done with fresh bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decision {
    /// This may be written.
    Write(Transaction),
    /// These keys must be read too, all at one moment with the others.
    Read(Vec<Vec<u8>>),
    /// It is not the same thing any more: changed hands. Leave it alone.
    Changed(Hands),
    Refused(Box<Refusal>),
    /// All of it is done already.
    Nothing,
}

impl Decision {
    /// The keys that must be read too.
    pub fn wants(&self) -> Option<&[Vec<u8>]> {
        match self {
            Decision::Read(keys) => Some(keys),
            _ => None,
        }
    }

    /// Why nothing is written, where that is a refusal of the thing of this name.
    pub fn refusal(self, subject: Foreign) -> Option<Refusal> {
        match self {
            Decision::Refused(refusal) => Some(*refusal),
            Decision::Changed(hands) => Some(Refusal::new(subject, Objection::ChangedHands(hands))),
            Decision::Read(_) => Some(Refusal::new(subject, Objection::MoreBlocks)),
            Decision::Write(_) | Decision::Nothing => None,
        }
    }

    pub(super) fn refused(subject: &str, objection: Objection) -> Decision {
        Decision::Refused(Box::new(Refusal::new(subject, objection)))
    }

    /// The transaction of these changes, or why it cannot be one.
    pub(super) fn of(subject: &str, changes: Vec<Change>) -> Decision {
        match Transaction::of(changes) {
            Ok(transaction) => Decision::Write(transaction),
            Err(words) => Decision::refused(subject, Objection::Uneditable(None, words.into())),
        }
    }
}

/// The keys that every write reads beside its own: the lock, which is compared too, and the cooldown's length.
pub fn settings_keys() -> [Vec<u8>; 2] {
    [CLUSTER_INFORMATION.into(), IPAM_CONFIG.into()]
}

/// A block read right now.
#[derive(Clone, Debug)]
pub struct FreshBlock<'f> {
    pub cidr: Cidr,
    pub key: Vec<u8>,
    pub stored: &'f StoredKey,
    pub block: model::Block,
    pub names: Names,
}

impl FreshBlock<'_> {
    /// The allocation of `address` at `ordinal`, as the tuple that names it through time; `None` when it is free or
    /// cooling.
    pub fn tuple(&self, address: Addr, ordinal: u32) -> Option<AllocationTuple> {
        let attribute = self.block.allocation(ordinal)??;
        let tuple = AllocationTuple {
            address,
            handle: attribute.handle.map(|h| h.text(&self.names)),
            sequence: self.block.allocation_sequence(ordinal),
            block_create_revision: self.stored.create_revision,
        };
        (attribute.released_at().is_none() && self.cidr.nth(u128::from(ordinal)) == Some(address)).then_some(tuple)
    }

    /// The ordinals that are allocated to a handle (sanitised id) and not cooling.
    pub fn ordinals_of(&self, id: &str) -> Vec<u32> {
        let is =
            |a: &model::Attribute| a.released_at().is_none() && a.handle.is_some_and(|h| h.text(&self.names) == id);
        self.block.allocated().filter(|(_, a)| a.is_some_and(is)).map(|(ordinal, _)| ordinal).collect()
    }

    /// The block with its number one up, and nothing else.
    ///
    /// # Errors
    /// When that cannot be written without changing anything else.
    pub fn fence(&self) -> Result<Change, Broken> {
        let value = block::fence(&self.stored.value)?;
        verify::same_but(&self.key, &self.stored.value, &value, &Meant::Fence)?;
        Ok(Change::of(&*self.key, Some(self.stored), After::Put(value), "fence"))
    }
}

/// A handle read right now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FreshHandle {
    /// The blocks that it names, whatever it counts there.
    pub blocks: Vec<Cidr>,
    /// With which a transaction compares.
    pub mod_revision: i64,
}

/// Access to what was read; every question that needs a key which was not read is answered by asking for it.
#[derive(Clone, Copy, Debug)]
pub struct FreshKeys<'f> {
    fresh: &'f Fresh,
}

impl<'f> FreshKeys<'f> {
    pub fn of(fresh: &'f Fresh) -> FreshKeys<'f> {
        FreshKeys { fresh }
    }

    /// The key, when it was read and exists.
    pub fn stored(&self, key: &[u8]) -> Option<&'f StoredKey> {
        self.fresh.get(key).and_then(Option::as_ref)
    }

    fn read(&self, key: &[u8]) -> Result<Option<&'f StoredKey>, Decision> {
        self.fresh.get(key).map(Option::as_ref).ok_or_else(|| Decision::Read(vec![key.to_vec()]))
    }

    /// A key that must still be absent.
    pub fn absent(&self, key: Vec<u8>, why: &str) -> Change {
        Change::of(key, None, After::Same, why)
    }

    /// The compare that holds the datastore open: somebody who locks it meanwhile wins.
    ///
    /// # Errors
    /// When it is locked, or that was not read.
    pub fn open(&self, subject: &str) -> Result<Change, Decision> {
        let stored = self.read(CLUSTER_INFORMATION.as_bytes())?;
        let read = |s: &StoredKey| verify::decoded(&Names::default(), CLUSTER_INFORMATION.as_bytes(), &s.value).ok();
        let ready = stored.and_then(read).and_then(|read| read.cluster.ready);
        match (stored, ready) {
            (Some(_), Some(true)) => {
                Ok(Change::of(CLUSTER_INFORMATION, stored, After::Same, "the datastore is not locked: compared only"))
            }
            _ => Err(Decision::refused(subject, Objection::LockedMeanwhile)),
        }
    }

    /// How long released addresses cool down.
    ///
    /// # Errors
    /// When the setting does not decode, or was not read.
    pub fn cooldown(&self, subject: &str) -> Result<Duration, Decision> {
        match self.read(IPAM_CONFIG.as_bytes())? {
            None => Ok(Duration::ZERO),
            Some(stored) => match verify::decoded(&Names::default(), IPAM_CONFIG.as_bytes(), &stored.value) {
                Ok(read) => Ok(read.ipam_config.cooldown()),
                Err(e) => Err(Decision::refused(subject, Objection::SettingsUndecoded(e.into()))),
            },
        }
    }

    /// The handle of a key; `None` when it is absent.
    ///
    /// # Errors
    /// When it does not decode, or was not read.
    pub fn handle(&self, subject: &str, key: &[u8]) -> Result<Option<FreshHandle>, Decision> {
        let Some(stored) = self.read(key)? else { return Ok(None) };
        let refuse = |e: Broken| Decision::refused(subject, Objection::HandleUndecoded(e.to_string().into()));
        let (handle, _) = verify::handle(&Names::default(), key, &stored.value).map_err(refuse)?;
        let blocks = handle.counts().iter().map(|(cidr, _)| *cidr).collect();
        Ok(Some(FreshHandle { blocks, mod_revision: stored.mod_revision }))
    }

    /// These blocks under their canonical keys, where Calico's writes go; `None` for an absent one.
    ///
    /// # Errors
    /// When one does not decode; all that were not read are asked for together.
    pub fn blocks(&self, subject: &str, cidrs: &[Cidr]) -> Result<BTreeMap<Cidr, Option<FreshBlock<'f>>>, Decision> {
        let keys = || cidrs.iter().map(|cidr| (*cidr, block_key(*cidr).into_bytes()));
        let missing: Vec<Vec<u8>> = keys().map(|(_, k)| k).filter(|k| !self.fresh.contains_key(k)).collect();
        if !missing.is_empty() {
            return Err(Decision::Read(missing));
        }
        let mut blocks = BTreeMap::new();
        for (cidr, key) in keys() {
            let Some(stored) = self.read(&key)? else {
                blocks.insert(cidr, None);
                continue;
            };
            let refuse = |e: Broken| Decision::refused(subject, Objection::BlockUndecoded(cidr, e.to_string().into()));
            let (block, names) = verify::block(&Names::default(), &key, &stored.value).map_err(refuse)?;
            blocks.insert(cidr, Some(FreshBlock { cidr, key, stored, block, names }));
        }
        Ok(blocks)
    }
}
