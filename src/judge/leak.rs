//! Judges each wanted thing once: what passes is a candidate for a step, what does not is refused by its rules.

use std::collections::{BTreeSet, HashSet};

use super::case::Case;
use super::choose::Quarry;
use super::files;
use crate::checks::handles::orphaned_handle;
use crate::decode::keys::key_of;
use crate::ledger::{self, Allocation, Tally};
use crate::model::{Addr, Cidr, Few, Foreign, Handle, HandleId, keys::key_text};
use crate::plan::circumstances::{Address, Ground, HolderNow, OperatorWord, Recurring, Special};
use crate::plan::confirm::{Candidate, Plan, Work};
use crate::plan::orphans::{self, Orphan};
use crate::plan::refusal::{ByWord, Note, Objection, Refusal};
use crate::plan::release::Extent;
use crate::plan::rules;

/// So many things that the operator's word lets go are told with their commands.
const BY_WORD: usize = 3;

/// What one handle or address came to.
#[derive(Debug)]
pub enum Judged<'w> {
    Go(Passed<'w>),
    /// Most telling first; and what the operator's word alone would let go, with its command.
    Refused(Vec<Refusal>, Vec<Note>),
    /// There is nothing of it (any more).
    Nothing(Note),
}

/// What passes. What a release of it needs beyond that is found out when it is made: an audit that judges thousands asks
/// for none of it.
#[derive(Debug)]
pub enum Passed<'w> {
    Orphans(Vec<Orphan>, Ground),
    Leak { id: Option<HandleId>, allocations: Vec<&'w Allocation>, addresses: Vec<Address>, extent: Extent },
}

impl<'w> Case<'w> {
    /// Judges each wanted thing once, and gathers orphans into batches. Refusals and notes go into the plan; what passes
    /// comes back, without its bytes.
    pub fn judge(&self, wanted: &[Quarry], plan: &mut Plan) -> Vec<Candidate> {
        let mut candidates: Vec<Candidate> = Vec::new();
        let mut orphaned: Vec<Orphan> = Vec::new();
        let mut grounds = Vec::new();
        // An address and its handle, or two addresses of it, are refused for the same reasons: each is told once.
        let mut told: HashSet<Refusal> = plan.refusals.iter().cloned().collect();
        for wanted in wanted {
            let judged = match wanted {
                Quarry::Handle(id) => self.handle(*id),
                Quarry::Address(address) => self.address(*address),
            };
            match judged {
                Judged::Nothing(note) => plan.notes.push(note),
                Judged::Refused(refused, by_word) => {
                    plan.refusals.extend(refused.into_iter().filter(|r| told.insert(r.clone())));
                    let is_new = |note: &Note| !plan.notes.contains(note);
                    let by_word: Vec<Note> = by_word.into_iter().filter(is_new).collect();
                    plan.notes.extend(by_word);
                }
                Judged::Go(Passed::Orphans(list, ground)) => {
                    grounds = vec![ground];
                    orphaned.extend(list);
                }
                Judged::Go(Passed::Leak { id, allocations, addresses, extent }) => {
                    let candidate = self.release(id, &allocations, &addresses, extent);
                    // An address and its handle may both have been named.
                    if !candidates.iter().any(|c| c.work == candidate.work) {
                        candidates.push(candidate);
                    }
                }
            }
        }
        fold(&mut plan.notes);
        orphaned.sort_by(|a, b| a.key.cmp(&b.key));
        orphaned.dedup();
        candidates.extend(orphans::batches(orphaned).into_iter().map(|batch| Candidate {
            work: Work::Orphans(batch),
            grounds: grounds.clone(),
            holders: Vec::new(),
            again: Vec::new(),
            // No address goes, so none can be anybody's still.
            sandboxes: Vec::new(),
        }));
        candidates
    }

    /// Judges everything of one handle id. The operator's word lets an orphan of this id go, and no address.
    pub fn handle(&self, id: HandleId) -> Judged<'w> {
        let text = id.text(&self.world.snapshot.names);
        let allocations: Vec<&'w Allocation> = self.world.ledger.allocations_of(id).collect();
        match allocations.is_empty() {
            true => self.orphan(id, &text),
            false => self.leak(Some(id), &text, allocations, Extent::Whole),
        }
    }

    /// Judges one address: with the rest of its handle, or alone by the operator's word.
    pub fn address(&self, address: Addr) -> Judged<'w> {
        let found = self.world.ledger.allocations_at(address);
        let Some(allocation) = found.first() else {
            return Judged::Nothing(Note::NotAllocated(address));
        };
        let handle = self.world.ledger.handle_of(allocation);
        // The operator's word is for what is special; anything else goes as a whole or not at all (rule 6).
        let is_special = self.special(allocation).is_some();
        let alone = self.word.knows && is_special;
        match handle.filter(|_| !alone) {
            Some(id) => match self.handle(id) {
                // Who asked for one is told of no other: its command would give that back.
                Judged::Refused(mut refused, mut by_word) => {
                    // The word would let this one go alone: what speaks against the others is nothing to it.
                    let own = address.to_string();
                    let is_told =
                        |refusal: &Refusal| !is_special || refusal.of_handle.is_none() || refusal.subject == own;
                    if refused.iter().any(|refusal| refusal.subject == own) {
                        refused.retain(is_told);
                    }
                    by_word.retain(|note| !matches!(note, Note::AddressByWord(other) if other.address != address));
                    Judged::Refused(refused, by_word)
                }
                other => other,
            },
            None => self.leak(handle, &address.to_string(), vec![allocation], Extent::One),
        }
    }

    /// The orphaned objects of a handle id.
    fn orphan(&self, id: HandleId, text: &str) -> Judged<'w> {
        let Some(tally) = self.tally(id) else {
            return Judged::Nothing(Note::NoSuchHandle(text.into()));
        };
        let refuse = |objection| Judged::Refused(vec![Refusal::new(text, objection)], Vec::new());
        if !orphaned_handle::is_orphaned(&self.world, &tally) {
            return refuse(Objection::NotOrphaned);
        }
        if let Some(key) = self.shadow(id) {
            return refuse(Objection::Shadowed(key));
        }
        let grace = self.world.snapshot.kube_controllers.grace();
        let whose = Recurring::of(&self.world.snapshot.names, id);
        // The age first: the word does not waive it.
        let mut objections: Vec<Objection> = Vec::new();
        for object in tally.objects {
            let asked = whose.is_some() || !self.word.skip_age;
            let very = || orphaned_handle::stamp(&self.world, &tally, object);
            let seen = if asked { self.observed.handle(&self.orphan_of(object).id, very()) } else { None };
            objections.extend(rules::observed(whose, seen, grace, self.word.skip_age, self.world.snapshot.now).err());
        }
        let by_word = rules::automatically(whose, self.word.knows).err();
        let note = by_word.as_ref().map(|_| Note::OrphanByWord { id: text.into(), waits: !objections.is_empty() });
        objections.extend(by_word);
        if !objections.is_empty() {
            let refused = objections.into_iter().map(|objection| Refusal::new(text, objection));
            return Judged::Refused(refused.collect(), note.into_iter().collect());
        }
        let orphans = tally.objects.iter().map(|object| self.orphan_of(object)).collect();
        Judged::Go(Passed::Orphans(orphans, Ground::Orphaned(whose)))
    }

    /// A block under a second, non-canonical key that names the handle: every scan sees it and nobody can write it.
    fn shadow(&self, id: HandleId) -> Option<Foreign> {
        let names = &self.world.snapshot.names;
        self.world.ledger.shadow_of(id).map(|block| key_text(&key_of(names, block)).into())
    }

    pub(super) fn tally(&self, id: HandleId) -> Option<Tally<'w>> {
        let objects: &'w [Handle] = ledger::equal(&self.world.snapshot.handles, id, |handle| handle.id);
        objects.first()?;
        let counted = Few::Own(objects.iter().flat_map(|o| o.counts().to_vec()).collect());
        Some(Tally { id, objects, counted, held: Few::Own(self.world.ledger.held(id)) })
    }

    pub(super) fn orphan_of(&self, object: &Handle) -> Orphan {
        let names = &self.world.snapshot.names;
        let id = match object.odd_id() {
            Some(bytes) => key_text(bytes),
            None => object.id.text(names),
        };
        let mut blocks: Vec<Cidr> = object.counts().iter().map(|(cidr, _)| *cidr).collect();
        blocks.dedup();
        Orphan { id, key: key_of(names, object), mod_revision: object.meta().mod_revision, blocks }
    }

    fn leak(
        &self,
        id: Option<HandleId>,
        subject: &str,
        allocations: Vec<&'w Allocation>,
        extent: Extent,
    ) -> Judged<'w> {
        if !self.live {
            return Judged::Refused(files::refusals(subject, &allocations), Vec::new());
        }
        let addresses: Vec<Address> = allocations.iter().map(|a| self.facts(a)).collect();
        let snapshot = self.world.snapshot;
        // One at a time: the word is for the address that was named, not for the others of its handle.
        let word = OperatorWord { knows: self.word.knows && extent == Extent::One, ..self.word.clone() };
        let mut refused = rules::refusals(&addresses, &word, snapshot.now, snapshot.kube_controllers.grace());
        let failing: BTreeSet<&str> = refused.iter().map(|r| r.subject.raw()).collect();
        let passing = addresses.iter().filter(|a| !failing.contains(a.address.to_string().as_str())).count();
        let mut of_handle: Vec<Objection> =
            id.and_then(|id| self.shadow(id)).map(Objection::Shadowed).into_iter().collect();
        let is_shadowed = !of_handle.is_empty();
        if passing > 0 {
            of_handle.extend(rules::all_or_none(passing, addresses.len()).err());
        }
        refused.extend(of_handle.into_iter().map(|objection| Refusal::new(subject, objection)));
        if !refused.is_empty() {
            for refusal in refused.iter_mut().filter(|r| r.subject != subject) {
                refusal.of_handle = Some(subject.into());
            }
            let by_word = self.by_word(&addresses, is_shadowed, &mut refused);
            return Judged::Refused(refused, by_word);
        }
        Judged::Go(Passed::Leak { id, allocations, addresses, extent })
    }

    /// Of special addresses that are refused: what the operator's word would not waive comes first, so that who gives
    /// it is not told the next reason then. Comes back what words would let go, now or as soon as audits have seen it.
    fn by_word(&self, addresses: &[Address], is_shadowed: bool, refused: &mut [Refusal]) -> Vec<Note> {
        let (now, grace) = (self.world.snapshot.now, self.world.snapshot.kube_controllers.grace());
        let word = OperatorWord { knows: true, ..self.word.clone() };
        let mut stands: HashSet<Refusal> = HashSet::new();
        let mut notes = Vec::new();
        for address in addresses {
            if address.special.as_ref().is_none_or(Special::is_never) {
                continue;
            }
            let mut against = rules::refusals(std::slice::from_ref(address), &word, now, grace);
            against.retain(|refusal| refusal.objection != Objection::Unwatched);
            let (mut waits, mut is_forbidden, mut doubtful) = (false, is_shadowed, Vec::new());
            for refusal in &against {
                match &refusal.objection {
                    Objection::TooYoung(_) => waits = true,
                    Objection::Node(node, _) | Objection::EndpointOn { node, .. } => doubtful.push(node.clone()),
                    _ => is_forbidden = true,
                }
            }
            doubtful.sort();
            doubtful.dedup();
            // Who has said all of it has nothing to do but wait.
            if !(is_forbidden || self.word.knows && waits && doubtful.is_empty()) {
                notes.push(Note::AddressByWord(ByWord {
                    address: address.address,
                    is_watched: address.is_watched,
                    waits,
                    said_off: self.said_off(),
                    doubtful,
                }));
            }
            stands.extend(against);
        }
        let stays =
            |refusal: &Refusal| stands.contains(&Refusal::new(refusal.subject.clone(), refusal.objection.clone()));
        refused.sort_by_key(|refusal| !stays(refusal));
        notes
    }

    /// The nodes that were said to be off, each once: one may be meant by both of its names.
    fn said_off(&self) -> Vec<Foreign> {
        let mut off: Vec<Foreign> = self.word.nodes_off.iter().map(|node| node.as_str().into()).collect();
        off.sort();
        off.dedup();
        off
    }

    /// The release of what passes, without its bytes.
    fn release(
        &self,
        id: Option<HandleId>,
        allocations: &[&Allocation],
        addresses: &[Address],
        extent: Extent,
    ) -> Candidate {
        let mut holders: Vec<HolderNow> = addresses.iter().flat_map(|a| a.holders.clone()).collect();
        holders.dedup();
        let ground = |a: &Address| match &a.proof {
            Some(proof) => Ground::Leaked(proof.clone()),
            None => Ground::Word(a.special.clone()),
        };
        let grounds = addresses.iter().map(ground).collect();
        let again = self.again(allocations, addresses);
        let work = Work::Release(self.target(id, allocations, addresses, extent));
        let sandboxes = self.sandboxes(allocations);
        Candidate { work, grounds, holders, again, sandboxes }
    }
}

/// Of what goes one at a time a few are told with their commands, the others counted.
fn fold(notes: &mut Vec<Note>) {
    let (mut told, mut more) = (0, 0);
    notes.retain(|note| {
        let is_one = matches!(note, Note::AddressByWord(_) | Note::OrphanByWord { .. });
        told += usize::from(is_one);
        let stays = !is_one || told <= BY_WORD;
        more += usize::from(!stays);
        stays
    });
    notes.extend((more > 0).then_some(Note::MoreByWord(more)));
}

#[cfg(test)]
mod tests;
