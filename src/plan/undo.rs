//! Putting a wrong release back: never old bytes, always an edit of the block as it is now.
//!
//! The address must be free still, or in the very cooldown that we wrote, and nobody else may hold it (the edge tells).
//! A block that the release deleted comes back only where its pool still covers it at that size, nothing overlaps it
//! and nobody claims it. An endpoint is never created again: the CNI plugin writes it when the pod starts anew.

use std::collections::{BTreeMap, BTreeSet};

use super::block::{self, Freed};
use super::circumstances::{Holder, Refusal};
use super::fresh::{Decision, Reading};
use super::handle;
use super::json::Broken;
use super::transaction::{After, Change, Fresh};
use super::verify::{self, Meant};
use crate::checks::addresses::duplicate_pod_address;
use crate::decode::keys::{Key, parse};
use crate::model::keys::{block_key, handle_key};
use crate::model::{Addr, Cidr, Names, Time};

/// One key of a release as the history recorded it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
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
pub struct Standing {
    /// GUID and Kubernetes UID are those of the release.
    pub same_pair: bool,
    /// IPA903 since the release.
    pub fork: Option<String>,
    /// The release's outcome is known, and it was done.
    pub done: Result<(), String>,
    /// It was undone already.
    pub undone: bool,
    pub locked: bool,
    /// Everybody but its owner who holds one of its addresses now, certainly or possibly, with the address.
    pub holders: Vec<(Addr, Holder)>,
    pub sites: BTreeMap<Cidr, Site>,
}

/// Everything that forbids an undo.
pub fn refusals(subject: &str, standing: &Standing) -> Vec<Refusal> {
    let mut found = Vec::new();
    let mut refuse = |rule, words: String| found.push(Refusal::new(rule, subject, words));
    if !standing.same_pair {
        refuse(2, "it was released in another datastore, or for another Kubernetes cluster".to_owned());
    }
    if let Some(what) = &standing.fork {
        refuse(2, format!("the datastore was restored or replaced since the release ({what})"));
    }
    if standing.locked {
        refuse(2, "the datastore is locked (datastoreReady is not true)".to_owned());
    }
    if let Err(why) = &standing.done {
        refuse(9, why.clone());
    }
    if standing.undone {
        refuse(9, "it was undone already".to_owned());
    }
    for (address, holder) in &standing.holders {
        let Holder { who, grade } = holder;
        let code = duplicate_pod_address::CHECK.code;
        refuse(3, format!("{address} is held by {who} ({grade}): putting it back would give it to two ({code})"));
    }
    for (block, site) in &standing.sites {
        let words = match site {
            Site { pool_covers: false, .. } => "no pool covers it with blocks of that size any more",
            Site { overlapped: true, .. } => "another block overlaps it",
            Site { claimed: true, .. } => "a node has claimed it",
            _ => continue,
        };
        refuse(6, format!("block {block} was deleted and cannot come back: {words}"));
    }
    found
}

impl Undoing {
    /// From what the release wrote.
    ///
    /// # Errors
    /// When there is nothing to put back, or the record does not decode; in words.
    pub fn of(subject: &str, written: &[Written]) -> Result<Undoing, String> {
        let mut undoing = Undoing { subject: subject.to_owned(), places: Vec::new(), deleted: BTreeMap::new() };
        for one in written {
            let (Some(Ok(Key::Block(cidr))), Some(before)) = (parse(&one.key), &one.before) else { continue };
            if Some(before) != one.after.as_ref() {
                undoing.add(cidr, one, before).map_err(|e| format!("block {cidr} as it was recorded: {e}"))?;
            }
        }
        match undoing.places.is_empty() {
            true => {
                Err("no address was released: an ADD creates its handle anew, nothing is to be put back".to_owned())
            }
            false => Ok(undoing),
        }
    }

    fn add(&mut self, cidr: Cidr, one: &Written, before: &[u8]) -> Result<(), Broken> {
        let (old, names) = verify::block(&Names::default(), &one.key, before)?;
        let new = one.after.as_deref().map(|after| verify::block(&names, &one.key, after)).transpose()?;
        let cooling_now = |o: u32| new.as_ref().and_then(|(b, _)| b.allocation(o)??.released_at);
        let mut released = Vec::new();
        for (ordinal, attribute) in old.allocated() {
            let Some(attribute) = attribute.filter(|a| a.released_at.is_none()) else { continue };
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
                owner: attribute.owner.pod_name().map(|(ns, pod)| (names.get(ns).into(), names.get(pod).into())),
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
        match self.changes(&Reading::of(fresh)) {
            Ok(changes) => Decision::of(&self.subject, changes),
            Err(decision) => decision,
        }
    }

    fn changes(&self, reading: &Reading<'_>) -> Result<Vec<Change>, Decision> {
        let refuse = |e: Broken| Decision::Refused(Refusal::new(8, &*self.subject, e.to_string()));
        let mut changes = vec![reading.open(&self.subject)?];
        let cidrs: Vec<Cidr> = self.blocks().into_iter().collect();
        for (cidr, found) in reading.blocks(&self.subject, &cidrs)? {
            let (before, old) = match (&found, self.deleted.get(&cidr)) {
                (Some(block), _) => {
                    verify::is_sound(&block.block).map_err(refuse)?;
                    (Some(block.stored.clone()), &block.stored.value)
                }
                (None, Some(empty)) => (None, empty),
                (None, None) => return Err(Decision::Changed(format!("block {cidr} is gone"))),
            };
            let value = self.put_back(cidr, old).map_err(refuse)?;
            let why = self.places.iter().filter(|p| p.block == cidr).map(|p| p.address.to_string());
            let why = format!("{} put back", why.collect::<Vec<_>>().join(", "));
            changes.push(Change { key: block_key(cidr).into_bytes(), before, after: After::Put(value), why });
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
            changes.push(Change { key, before: stored.cloned(), after, why: "counted again".to_owned() });
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
