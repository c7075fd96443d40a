//! Edits of a block's value: an ordinal goes out, the number goes up, an ordinal comes back.
//!
//! The steps are those of a release that Calico itself would accept (domain facts, section 9). Only the bytes that
//! must change do; whatever else the value holds stays as it was. Nothing here decides whether an edit is allowed, and
//! nothing relies on it alone: [`super::verify`] reads the result again and compares it with what was meant.

use std::collections::BTreeSet;
use std::ops::Range;

use super::json::{Broken, Edits, Member, elements, entry, field, members, whole};
use crate::model::Time;

/// How an address goes out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Freed {
    /// `ipCooldownSeconds` is 0, or Calico predates it: free at once, at the queue's tail.
    AtOnce,
    /// Cooling down since this moment; written with whole seconds, as Calico does.
    Cooling(Time),
}

/// One entry of `allocations`: where it stands, and the attribute that it indexes.
type Slot = (Range<usize>, Option<usize>);

impl Freed {
    /// `releasedAt` as it is written: RFC 3339 in UTC.
    pub fn released_at(self) -> Option<String> {
        match self {
            Freed::AtOnce => None,
            Freed::Cooling(time) => Some(time.to_string()),
        }
    }
}

/// A block's value and where its parts stand.
struct BlockText<'t> {
    text: &'t str,
    span: Range<usize>,
    members: Vec<Member>,
}

impl<'t> BlockText<'t> {
    fn read(value: &'t [u8]) -> Result<BlockText<'t>, Broken> {
        let (text, span) = whole(value)?;
        let members = members(text, &span)?;
        Ok(BlockText { text, span, members })
    }

    fn get(&self, span: &Range<usize>) -> &'t str {
        self.text.get(span.clone()).unwrap_or_default()
    }

    /// The place of a field; `None` when it is absent or null, which is the same to Go.
    fn given(&self, name: &str) -> Result<Option<&Member>, Broken> {
        Ok(field(&self.members, name)?.filter(|m| self.get(&m.value) != "null"))
    }

    fn list(&self, name: &str) -> Result<Vec<Range<usize>>, Broken> {
        self.given(name)?.map_or(Ok(Vec::new()), |m| elements(self.text, &m.value))
    }

    /// `allocations` as indices; a null is `None`.
    fn allocations(&self) -> Result<Vec<Slot>, Broken> {
        let read = |span: Range<usize>| match self.get(&span) {
            "null" => Ok((span, None)),
            number => match number.parse() {
                Ok(index) => Ok((span, Some(index))),
                Err(_) => Err(Broken::new(format!("allocations: {number} is no index"))),
            },
        };
        self.list("allocations")?.into_iter().map(read).collect()
    }

    fn sequence(&self) -> Result<u64, Broken> {
        let Some(member) = self.given("sequenceNumber")? else { return Ok(0) };
        let text = self.get(&member.value);
        text.parse().map_err(|_| Broken::new(format!("sequenceNumber: {text} is no 64-bit number")))
    }

    /// Puts `new` in the place of a field, adding the field at the object's end when it is absent.
    fn set(&self, edits: &mut Edits<'_>, name: &str, new: &str) -> Result<(), Broken> {
        match field(&self.members, name)? {
            Some(member) => edits.replace(member.value.clone(), new),
            None => edits.members(&self.span, &self.members, &[], &[format!("{name:?}:{new}")]),
        }
        Ok(())
    }

    /// Every write adds one to the block's number.
    fn count_up(&self, edits: &mut Edits<'_>) -> Result<(), Broken> {
        let next = self.sequence()?.checked_add(1).ok_or_else(|| Broken::new("sequenceNumber is at its end"))?;
        self.set(edits, "sequenceNumber", &next.to_string())
    }

    /// Keeps, drops and adds elements of a list; adds the list when there is none.
    fn change_list(&self, edits: &mut Edits<'_>, name: &str, keep: &[bool], new: &[String]) -> Result<(), Broken> {
        match self.given(name)? {
            Some(member) => edits.items(&member.value, &elements(self.text, &member.value)?, keep, new),
            None if new.is_empty() => {}
            None => self.set(edits, name, &format!("[{}]", new.join(",")))?,
        }
        Ok(())
    }

    /// Sets (or drops) the numbers of ordinals in `sequenceNumberForAllocation`.
    fn change_numbers(&self, edits: &mut Edits<'_>, ordinals: &[u32], number: Option<u64>) -> Result<(), Broken> {
        let name = "sequenceNumberForAllocation";
        let written = |o: &u32| number.map(|n| format!("\"{o}\":{n}"));
        let Some(member) = self.given(name)? else {
            let all: Vec<String> = ordinals.iter().filter_map(written).collect();
            return if all.is_empty() { Ok(()) } else { self.set(edits, name, &format!("{{{}}}", all.join(","))) };
        };
        let entries = members(self.text, &member.value)?;
        let mut keep = vec![true; entries.len()];
        let mut new = Vec::new();
        for ordinal in ordinals {
            let text = ordinal.to_string();
            match (entry(&entries, &text)?, number) {
                (Some(found), Some(number)) => edits.replace(found.value.clone(), number.to_string()),
                (Some(_), None) => {
                    entries.iter().zip(&mut keep).filter(|(e, _)| e.name == text).for_each(|(_, k)| *k = false)
                }
                (None, _) => new.extend(written(ordinal)),
            }
        }
        edits.members(&member.value, &entries, &keep, &new);
        Ok(())
    }
}

/// The fence: the block's number goes up by one and nothing else changes, so that whoever has read the block before
/// loses his compare-and-swap.
///
/// # Errors
/// When the value is no block whose number can go up.
pub fn fence(value: &[u8]) -> Result<Vec<u8>, Broken> {
    let block = BlockText::read(value)?;
    let mut edits = Edits::of(block.text);
    block.count_up(&mut edits)?;
    Ok(edits.finish()?.into_bytes())
}

/// Whether the value names no owner: `affinity` is absent or null. (An empty text is an owner to Calico.)
///
/// # Errors
/// When the value cannot be read.
pub fn is_ownerless(value: &[u8]) -> Result<bool, Broken> {
    Ok(BlockText::read(value)?.given("affinity")?.is_none())
}

/// Releases these allocated ordinals.
///
/// # Errors
/// When one of them is not allocated, or the value cannot be edited.
pub fn release(value: &[u8], ordinals: &[u32], freed: Freed) -> Result<Vec<u8>, Broken> {
    let block = BlockText::read(value)?;
    let ordinals: Vec<u32> = ordinals.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    let allocations = block.allocations()?;
    let attributes = block.list("attributes")?.len();
    let gone = unused_after(&allocations, &ordinals, attributes)?;
    let shift = |index: usize| index - gone.range(..index).count();

    let mut edits = Edits::of(block.text);
    let cooling = freed.released_at().map(|time| (shift(attributes), format!("{{\"releasedAt\":\"{time}\"}}")));
    for ((span, index), ordinal) in allocations.iter().zip(0u32..) {
        let Some(index) = index else { continue };
        if ordinals.binary_search(&ordinal).is_ok() {
            edits.replace(span.clone(), cooling.as_ref().map_or("null".to_owned(), |(at, _)| at.to_string()));
        } else if shift(*index) != *index {
            edits.replace(span.clone(), shift(*index).to_string());
        }
    }
    let keep: Vec<bool> = (0..attributes).map(|i| !gone.contains(&i)).collect();
    let added: Vec<String> = cooling.iter().map(|(_, attribute)| attribute.clone()).collect();
    block.change_list(&mut edits, "attributes", &keep, &added)?;
    if cooling.is_none() {
        let tail: Vec<String> = ordinals.iter().map(ToString::to_string).collect();
        block.change_list(&mut edits, "unallocated", &[], &tail)?;
    }
    // The number at the release itself, so that a later one can be told from it.
    let number = if cooling.is_some() { Some(block.sequence()?) } else { None };
    if number == Some(0) && block.given("sequenceNumber")?.is_none() {
        return Err(Broken::new("the block has no sequenceNumber, and a cooldown needs one"));
    }
    block.change_numbers(&mut edits, &ordinals, number)?;
    block.count_up(&mut edits)?;
    Ok(edits.finish()?.into_bytes())
}

/// The attributes that only these ordinals index.
fn unused_after(
    allocations: &[(Range<usize>, Option<usize>)],
    ordinals: &[u32],
    attributes: usize,
) -> Result<BTreeSet<usize>, Broken> {
    let mut gone = BTreeSet::new();
    for &ordinal in ordinals {
        match allocations.get(ordinal as usize) {
            Some((_, Some(index))) if *index < attributes => drop(gone.insert(*index)),
            Some((_, Some(_))) => return Err(Broken::new(format!("ordinal {ordinal} has no attribute"))),
            _ => return Err(Broken::new(format!("ordinal {ordinal} is not allocated"))),
        }
    }
    for ((_, index), ordinal) in allocations.iter().zip(0u32..) {
        if let Some(index) = index.filter(|_| ordinals.binary_search(&ordinal).is_err()) {
            gone.remove(&index);
        }
    }
    Ok(gone)
}

/// The attribute of an allocated ordinal, byte for byte, as `release` is about to drop it.
///
/// # Errors
/// When the ordinal is not allocated, or the value cannot be read.
pub fn attribute(value: &[u8], ordinal: u32) -> Result<String, Broken> {
    let block = BlockText::read(value)?;
    let not = || Broken::new(format!("ordinal {ordinal} is not allocated"));
    let index = block.allocations()?.get(ordinal as usize).and_then(|(_, index)| *index).ok_or_else(not)?;
    let attributes = block.list("attributes")?;
    Ok(block.get(attributes.get(index).ok_or_else(not)?).to_owned())
}

/// Takes an ordinal back (undo): the old attribute is added, the ordinal leaves the free queue or its cooldown, its
/// number is the block's current one.
///
/// # Errors
/// When the ordinal is neither free nor in the cooldown that began at `cooling`, or the value cannot be edited.
pub fn take_back(value: &[u8], ordinal: u32, attribute: &str, cooling: Option<&str>) -> Result<Vec<u8>, Broken> {
    whole(attribute.as_bytes())?;
    let block = BlockText::read(value)?;
    let allocations = block.allocations()?;
    let attributes = block.list("attributes")?;
    let (slot, index) = allocations
        .get(ordinal as usize)
        .ok_or_else(|| Broken::new(format!("ordinal {ordinal} is outside the block")))?;
    let mut edits = Edits::of(block.text);
    let mut gone = BTreeSet::new();
    match index {
        None => {
            let queue = block.list("unallocated")?;
            let keep: Vec<bool> = queue.iter().map(|o| block.get(o) != ordinal.to_string()).collect();
            if keep.iter().filter(|kept| !**kept).count() != 1 {
                return Err(Broken::new(format!("ordinal {ordinal} is not once in the free queue")));
            }
            block.change_list(&mut edits, "unallocated", &keep, &[])?;
        }
        Some(index) => {
            let ours = attributes.get(*index).map(|span| is_cooldown(block.text, span, cooling));
            if ours.transpose()? != Some(true) {
                return Err(Broken::new(format!("ordinal {ordinal} is in use, or in a cooldown that is not ours")));
            }
            gone = unused_after(&allocations, &[ordinal], attributes.len())?;
        }
    }
    let shift = |index: usize| index - gone.range(..index).count();
    edits.replace(slot.clone(), shift(attributes.len()).to_string());
    for ((span, index), _) in allocations.iter().zip(0u32..).filter(|(_, o)| *o != ordinal) {
        if let Some(index) = index.filter(|i| shift(*i) != *i) {
            edits.replace(span.clone(), shift(index).to_string());
        }
    }
    let keep: Vec<bool> = (0..attributes.len()).map(|i| !gone.contains(&i)).collect();
    block.change_list(&mut edits, "attributes", &keep, &[attribute.to_owned()])?;
    let number = block.given("sequenceNumber")?.map(|_| block.sequence()).transpose()?;
    block.change_numbers(&mut edits, &[ordinal], number)?;
    block.count_up(&mut edits)?;
    Ok(edits.finish()?.into_bytes())
}

/// Whether an attribute is a cooldown that began at `cooling` and nothing else.
fn is_cooldown(text: &str, span: &Range<usize>, cooling: Option<&str>) -> Result<bool, Broken> {
    let members = members(text, span)?;
    let released = field(&members, "releasedAt")?.and_then(|m| text.get(m.value.clone()));
    let ours = cooling.map(|time| format!("\"{time}\""));
    Ok(members.len() == 1 && released.is_some() && released.map(str::to_owned) == ours)
}

#[cfg(test)]
mod tests;
