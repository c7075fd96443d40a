//! What the operator asked for, as handles and addresses of the snapshot.

use std::collections::BTreeSet;
use std::time::Duration;

use super::only::Only;
use crate::checks::addresses::leaked_address;
use crate::checks::handles::orphaned_handle;
use crate::checks::{Outcome, World, run_these};
use crate::model::{Addr, Code, Foreign, Gist, HandleId, KeptFinding, SubjectKind, Time};
use crate::plan::circumstances::Recurring;
use crate::plan::refusal::{Note, Objection, Refusal};
use crate::steady::{SecondLook, Settling};

/// What the operator asks to be released.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wish {
    /// `--handle`, `--address`.
    Named { handles: Vec<String>, addresses: Vec<Addr> },
    /// `--code … --older-than …`, `--max` of them, and those alone that are meant.
    Found { code: Code, older_than: Duration, max: usize, only: Only },
}

impl Wish {
    /// As many as are found, not what the operator named himself.
    pub const fn is_bulk(&self) -> bool {
        matches!(self, Wish::Found { .. })
    }

    /// How many handles and addresses are named.
    pub fn named(&self) -> usize {
        match self {
            Wish::Named { handles, addresses } => handles.len() + addresses.len(),
            Wish::Found { .. } => 0,
        }
    }

    /// What forbids it whatever is found: what the operator alone answers for (`knows`) goes one at a time (rule 7), and
    /// what is chosen by its age needs somebody who has watched (rule 4). `absent`: where the history would be.
    pub fn refusals(&self, knows: bool, audits: u64, absent: Option<&str>) -> Vec<Refusal> {
        let alone = (knows && self.named() != 1).then_some(Objection::OneAtATime);
        let unwatched = self.is_bulk() && audits == 0;
        let unwatched = unwatched.then(|| Objection::NoHistory(absent.map(Foreign::from)));
        [alone, unwatched].into_iter().flatten().map(Refusal::of_run).collect()
    }
}

/// One thing to be judged.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Quarry {
    Handle(HandleId),
    Address(Addr),
}

/// Everything that is to be judged.
#[derive(Debug, Default)]
pub struct Chosen {
    /// Each once; by code the longest known first, else handles before addresses.
    pub wanted: Vec<Quarry>,
    /// Named things that do not exist at all, and what is left out.
    pub notes: Vec<Note>,
    /// Found beyond `--max`.
    pub beyond_max: usize,
    /// Findings about what is wanted.
    pub findings: Vec<KeptFinding>,
}

impl Chosen {
    /// What the second look reads again: what the findings rest on.
    pub fn second_look(&mut self, now: Time) -> SecondLook {
        let findings = std::mem::take(&mut self.findings);
        let settling = Settling { past: None, now, settle: Duration::ZERO };
        settling.second_look(&Outcome { findings, ..Outcome::default() })
    }
}

/// Chooses by name or by code. `goes`: whether a thing would be let through as it looks now; asked only where there are more
/// than `--max`, so that what is refused takes nobody's place.
pub fn choose(wish: &Wish, world: &World<'_>, goes: impl Fn(Quarry) -> bool) -> Chosen {
    let findings = run_these(world, &[&leaked_address::CHECK, &orphaned_handle::CHECK]).findings;
    match wish {
        Wish::Named { handles, addresses } => by_name(handles, addresses, world, findings),
        Wish::Found { code, older_than, max, only } => {
            by_code(*code, &Selection { older_than: *older_than, max: *max, only }, world, findings, goes)
        }
    }
}

/// What is chosen of what is found.
#[derive(Clone, Copy, Debug)]
pub struct Selection<'o> {
    pub older_than: Duration,
    pub max: usize,
    pub only: &'o Only,
}

impl Selection<'_> {
    /// What is to be repaired by hand, and how many more there are. Without an age also what no audit has seen yet.
    pub fn of(&self, world: &World<'_>, findings: Vec<KeptFinding>) -> (Vec<KeptFinding>, usize) {
        let keeps = self.only.keeps(world);
        let mut wanted = match self.older_than.is_zero() {
            true => findings.into_iter().filter(|f| keeps(f)).collect(),
            false => self.oldest(world, findings),
        };
        let beyond_max = wanted.len().saturating_sub(self.max);
        wanted.truncate(self.max);
        (wanted, beyond_max)
    }

    /// What is meant and too young, if anything is: that nothing is chosen must not look as if nothing were there.
    fn too_new(&self, code: Code, world: &World<'_>, findings: &[KeptFinding]) -> Option<Note> {
        let keeps = self.only.keeps(world);
        let known_for =
            |f: &KeptFinding| first_seen(world, f).map_or(Duration::ZERO, |since| world.snapshot.now.since(since));
        let young = || findings.iter().filter(|f| keeps(f)).map(known_for).filter(|known| *known < self.older_than);
        young().max().map(|oldest| Note::TooNew(code, young().count(), oldest, self.older_than))
    }

    /// The findings that are meant and old enough, the longest known first.
    fn oldest(&self, world: &World<'_>, findings: Vec<KeptFinding>) -> Vec<KeptFinding> {
        let keeps = self.only.keeps(world);
        let mut old: Vec<(Time, KeptFinding)> = findings
            .into_iter()
            .filter(|f| keeps(f))
            .filter_map(|f| first_seen(world, &f).map(|since| (since, f)))
            .filter(|(since, _)| world.snapshot.now.since(*since) >= self.older_than)
            .collect();
        old.sort_by(|a, b| (a.0, &a.1.subject.id).cmp(&(b.0, &b.1.subject.id)));
        old.into_iter().map(|(_, finding)| finding).collect()
    }
}

fn by_name(handles: &[String], addresses: &[Addr], world: &World<'_>, findings: Vec<KeptFinding>) -> Chosen {
    let mut chosen = Chosen::default();
    let mut wanted = BTreeSet::new();
    for id in handles {
        match HandleId::find(&world.snapshot.names, id) {
            Some(id) => drop(wanted.insert(Quarry::Handle(id))),
            None => chosen.notes.push(Note::NoSuchHandle(id.as_str().into())),
        }
    }
    wanted.extend(addresses.iter().copied().map(Quarry::Address));
    let mut subjects: BTreeSet<String> = addresses.iter().map(ToString::to_string).collect();
    for wanted in &wanted {
        let id = match wanted {
            Quarry::Handle(id) => Some(*id),
            Quarry::Address(a) => world.ledger.allocations_at(*a).first().and_then(|a| world.ledger.handle_of(a)),
        };
        if let Some(id) = id {
            subjects.extend(world.ledger.allocations_of(id).map(|a| a.address.to_string()));
            subjects.insert(id.text(&world.snapshot.names));
        }
    }
    let about = |f: &KeptFinding| subjects.contains(crate::model::handle::sanitised(f.subject.id.raw()));
    chosen.findings = findings.into_iter().filter(about).collect();
    chosen.wanted = wanted.into_iter().collect();
    // Ids are numbered as they were read, and no two runs read alike: a plan must not differ for that.
    chosen.wanted.sort_by_cached_key(|wanted| match wanted {
        Quarry::Handle(id) => (false, id.text(&world.snapshot.names)),
        Quarry::Address(_) => (true, String::new()),
    });
    chosen
}

/// What goes first, of that the oldest, each handle once. Orphaned handles whose id comes again are left out, and told.
fn by_code(
    code: Code,
    found: &Selection<'_>,
    world: &World<'_>,
    findings: Vec<KeptFinding>,
    goes: impl Fn(Quarry) -> bool,
) -> Chosen {
    let of_code: Vec<KeptFinding> = findings.into_iter().filter(|f| f.code == code).collect();
    let mut chosen = Chosen::default();
    chosen.notes.extend(found.too_new(code, world, &of_code));
    let old = found.oldest(world, of_code);
    let (mut seen, mut recurring) = (BTreeSet::new(), BTreeSet::new());
    let mut about = Vec::new();
    for finding in old {
        let Some(wanted) = wanted_of(world, &finding) else { continue };
        if let Quarry::Handle(id) = wanted
            && code == orphaned_handle::CHECK.code
            && Recurring::of(&world.snapshot.names, id).is_some()
        {
            recurring.insert(id);
            continue;
        }
        if seen.insert(wanted) {
            chosen.wanted.push(wanted);
        }
        about.push((wanted, finding));
    }
    let first = recurring.iter().map(|id: &HandleId| id.text(&world.snapshot.names)).min();
    chosen.notes.extend(first.map(|first| Note::LeftOut(recurring.len(), first.into())));
    if chosen.wanted.len() > found.max {
        chosen.wanted.sort_by_cached_key(|wanted| !goes(*wanted));
    }
    // Rule 10.
    let now = chosen.wanted.len().min(found.max);
    chosen.beyond_max = chosen.wanted.len() - now;
    chosen.wanted.truncate(now);
    let chosen_ones: BTreeSet<Quarry> = chosen.wanted.iter().copied().collect();
    chosen.findings = about.into_iter().filter(|(w, _)| chosen_ones.contains(w)).map(|(_, f)| f).collect();
    chosen
}

fn first_seen(world: &World<'_>, finding: &Gist) -> Option<Time> {
    let open = &world.past?.open;
    open.get(finding.code, finding.subject.kind, finding.subject.id.raw()).map(|known| known.first_seen)
}

fn wanted_of(world: &World<'_>, finding: &Gist) -> Option<Quarry> {
    if finding.subject.kind == SubjectKind::Handle {
        return HandleId::find(&world.snapshot.names, finding.subject.id.raw()).map(Quarry::Handle);
    }
    let address: Addr = finding.subject.id.raw().parse().ok()?;
    let allocation = world.ledger.allocations_at(address).first()?;
    Some(world.ledger.handle_of(allocation).map_or(Quarry::Address(address), Quarry::Handle))
}

#[cfg(test)]
mod tests;
