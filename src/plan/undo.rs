//! Putting a wrong release back: never old bytes, always an edit of the block as it is now.
//!
//! The address must be free still, or in the very cooldown that we wrote, and nobody else may hold it (the edge tells).
//! A block that the release deleted comes back only where its pool still covers it at that size, nothing overlaps it
//! and nobody claims it. An endpoint is never created again: the CNI plugin writes it when the pod starts anew.

use std::collections::{BTreeMap, BTreeSet};

use super::block::{self, Freed};
use super::circumstances::{Fork, HolderNow};
use super::fresh::{Decision, FreshKeys};
use super::handle;
use super::json::Broken;
use super::refusal::{Hands, NothingBack, Objection, Obstacle, Refusal};
use super::transaction::{After, Change, Fresh};
use super::verify::{self, Meant};
use crate::decode::keys::{Key, parse};
use crate::model::keys::{block_key, handle_key};
use crate::model::{Addr, Cidr, Names, Time};

/// One key of a release as the history recorded it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    /// Etcd's key, its bytes.
    pub key: Vec<u8>,
    /// `None`: it was absent.
    pub before: Option<Vec<u8>>,
    /// `None`: it was deleted, or only compared while absent.
    pub after: Option<Vec<u8>>,
}

/// One address that is put back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Back {
    pub address: Addr,
    pub block: Cidr,
    /// Its place in the block, from 0.
    pub ordinal: u32,
    /// Its attribute, byte for byte.
    pub attribute: String,
    /// The sanitised handle id that it names.
    pub handle: Option<String>,
    /// Namespace and name of the owner pod: when the release was wrong, it holds the address still.
    pub owner: Option<(String, String)>,
    /// `releasedAt` as we wrote it; `None`: it was freed at once.
    pub cooling: Option<String>,
}

/// One release that is undone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Undoing {
    /// `release 17 of k8s-pod-network.3f2c`.
    pub subject: String,
    /// What is put back.
    pub places: Vec<Back>,
    /// Blocks that the release deleted: the value that it would have had instead.
    pub deleted: BTreeMap<Cidr, Vec<u8>>,
}

/// What must hold for a deleted block to come back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Site {
    /// Some pool covers it, with blocks of that size.
    pub pool_covers: bool,
    /// Another block shares addresses with it.
    pub overlapped: bool,
    /// An affinity for it exists.
    pub claimed: bool,
}

/// Undo: the state of things around one release. Each refusal names the rule that it falls under.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UndoStanding {
    /// GUID and Kubernetes UID are those of the release.
    pub same_pair: bool,
    /// IPA903 since the release.
    pub fork: Option<Fork>,
    /// It is still under way.
    pub under_way: bool,
    /// Nobody knows what became of one of its transactions.
    pub unknown: bool,
    /// It was undone already.
    pub undone: bool,
    /// Everybody but its owner who holds one of its addresses now, certainly or possibly, with the address.
    pub holders: Vec<(Addr, HolderNow)>,
    /// Of blocks that the release deleted.
    pub sites: BTreeMap<Cidr, Site>,
}

/// Everything that forbids an undo.
pub fn refusals(subject: &str, standing: &UndoStanding) -> Vec<Refusal> {
    let mut found = Vec::new();
    found.extend((!standing.same_pair).then_some(Objection::OtherPair));
    found.extend(standing.fork.clone().map(Objection::ForkedSince));
    match standing {
        UndoStanding { under_way: true, .. } => found.push(Objection::UnderWay),
        UndoStanding { unknown: true, .. } => found.push(Objection::OutcomeUnknown),
        _ => {}
    }
    found.extend(standing.undone.then_some(Objection::Undone));
    found.extend(standing.holders.iter().map(|(address, holding)| Objection::HeldNow(*address, holding.clone())));
    for (block, site) in &standing.sites {
        let obstacle = match site {
            Site { pool_covers: false, .. } => Obstacle::NoPool,
            Site { overlapped: true, .. } => Obstacle::Overlapped,
            Site { claimed: true, .. } => Obstacle::Claimed,
            _ => continue,
        };
        found.push(Objection::NoWayBack(*block, obstacle));
    }
    found.into_iter().map(|objection| Refusal::new(subject, objection)).collect()
}

impl Undoing {
    /// From what the release wrote.
    ///
    /// # Errors
    /// When there is nothing to put back, or the record does not decode.
    pub fn of(subject: &str, written: &[Written]) -> Result<Undoing, NothingBack> {
        let mut undoing = Undoing { subject: subject.to_owned(), places: Vec::new(), deleted: BTreeMap::new() };
        for one in written {
            let (Some(Ok(Key::Block(cidr))), Some(before)) = (parse(&one.key), &one.before) else { continue };
            if Some(before) != one.after.as_ref() {
                undoing.add(cidr, one, before).map_err(|e| NothingBack::Unreadable(cidr, e.to_string().into()))?;
            }
        }
        // An ADD creates its handle anew.
        if undoing.places.is_empty() { Err(NothingBack::NoAddress) } else { Ok(undoing) }
    }

    fn add(&mut self, cidr: Cidr, one: &Written, before: &[u8]) -> Result<(), Broken> {
        let (old, names) = verify::block(&Names::default(), &one.key, before)?;
        let new = one.after.as_deref().map(|after| verify::block(&names, &one.key, after)).transpose()?;
        let cooling_now = |o: u32| new.as_ref().and_then(|(b, _)| b.allocation(o)??.released_at());
        let mut released = Vec::new();
        for (ordinal, attribute) in old.allocated() {
            let Some(attribute) = attribute.filter(|a| a.released_at().is_none()) else { continue };
            let windows = attribute.handle.is_some_and(|h| h.is_windows(&names));
            let is_out = match &new {
                // A deleted block held nothing else but what is reserved for Windows.
                None => !windows,
                Some((block, _)) => block.allocation(ordinal).is_none() || cooling_now(ordinal).is_some(),
            };
            let Some(address) = cidr.nth(u128::from(ordinal)).filter(|_| is_out) else { continue };
            released.push(ordinal);
            self.places.push(Back {
                address,
                block: cidr,
                ordinal,
                attribute: block::attribute(before, ordinal)?,
                handle: attribute.handle.map(|h| h.text(&names)),
                owner: attribute.owner().pod_name().map(|(ns, pod)| (names.get(ns).into(), names.get(pod).into())),
                cooling: cooling_now(ordinal).and_then(|t: Time| Freed::Cooling(t).released_at()),
            });
        }
        if new.is_none() {
            self.deleted.insert(cidr, block::release(before, &released, Freed::AtOnce)?);
        }
        Ok(())
    }

    fn blocks(&self) -> BTreeSet<Cidr> {
        self.places.iter().map(|p| p.block).collect()
    }

    fn handles(&self) -> BTreeSet<&String> {
        self.places.iter().filter_map(|p| p.handle.as_ref()).collect()
    }

    /// The keys that are needed.
    pub fn keys(&self) -> Vec<Vec<u8>> {
        let blocks = self.blocks().into_iter().map(|b| block_key(b).into_bytes());
        blocks.chain(self.handles().into_iter().map(|h| handle_key(h).into_bytes())).collect()
    }

    /// Decides from fresh bytes.
    pub fn decide(&self, fresh: &Fresh) -> Decision {
        match self.changes(&FreshKeys::of(fresh)) {
            Ok(changes) => Decision::of(&self.subject, changes),
            Err(decision) => decision,
        }
    }

    fn changes(&self, reading: &FreshKeys<'_>) -> Result<Vec<Change>, Decision> {
        let refuse = |e: Broken| Decision::refused(&self.subject, Objection::Uneditable(None, e.to_string().into()));
        let mut changes = vec![reading.open(&self.subject)?];
        let cidrs: Vec<Cidr> = self.blocks().into_iter().collect();
        for (cidr, found) in reading.blocks(&self.subject, &cidrs)? {
            let (before, old) = match (&found, self.deleted.get(&cidr)) {
                (Some(block), _) => {
                    verify::is_sound(&block.block).map_err(refuse)?;
                    (Some(block.stored), &block.stored.value)
                }
                (None, Some(empty)) => (None, empty),
                (None, None) => return Err(Decision::Changed(Hands::BlockGone(cidr))),
            };
            let value = self.put_back(cidr, old).map_err(refuse)?;
            let why = self.places.iter().filter(|p| p.block == cidr).map(|p| p.address.to_string());
            let why = format!("{} put back", why.collect::<Vec<_>>().join(", "));
            changes.push(Change::of(block_key(cidr), before, After::Put(value), why));
        }
        for id in self.handles() {
            let key = handle_key(id).into_bytes();
            let stored = reading.stored(&key);
            let mut value = stored.map(|s| s.value.clone());
            for place in self.places.iter().filter(|p| p.handle.as_ref() == Some(id)) {
                let more = handle::add(value.as_deref(), place.block).map_err(refuse)?;
                let meant = |n: i64| n.max(0).saturating_add(1);
                verify::counts_but(&key, value.as_deref(), &more, place.block, meant).map_err(refuse)?;
                value = Some(more);
            }
            let after = value.map_or(After::Same, After::Put);
            changes.push(Change::of(key, stored, after, "counted again"));
        }
        Ok(changes)
    }

    fn put_back(&self, cidr: Cidr, old: &[u8]) -> Result<Vec<u8>, Broken> {
        let key = block_key(cidr).into_bytes();
        let mut value = old.to_vec();
        for place in self.places.iter().filter(|p| p.block == cidr) {
            let next = block::take_back(&value, place.ordinal, &place.attribute, place.cooling.as_deref())?;
            verify::same_but(&key, &value, &next, &Meant::TakeBack { ordinal: place.ordinal })?;
            value = next;
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests;
