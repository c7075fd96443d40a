//! How old the things are that findings advise to release, by the very rule of a release (rule 4): what is advised for its
//! age is let through for its age.

use super::case::{Case, Observed};
use super::choose::Quarry;
use super::refused::wanted;
use crate::checks::addresses::leaked_address;
use crate::checks::evidence::is_release;
use crate::checks::handles::orphaned_handle;
use crate::checks::{self, World};
use crate::ledger::{Allocation, Ledger};
use crate::model::hash::HashMap;
use crate::model::{Addr, Code, Finding, Gist, HandleId, KeptFinding, Observation, Patch, SubjectKind};
use crate::plan::circumstances::{Lacking, OperatorWord, Recurring};
use crate::plan::rules;

/// The age of what one finding advises to release.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Age {
    /// Audits have seen all of it often enough and for long enough, or its release does not ask.
    Enough,
    /// What is missing until a release lets it through.
    Lacks(Lacking),
    /// Nobody has asked: there is no history, or nothing to release.
    Unasked,
}

impl Age {
    /// Whether a release lets it through for its age.
    pub const fn is_enough(self) -> bool {
        matches!(self, Age::Enough)
    }

    /// What is missing, if anything is known to be.
    pub const fn lacking(self) -> Option<Lacking> {
        match self {
            Age::Lacks(lacking) => Some(lacking),
            Age::Enough | Age::Unasked => None,
        }
    }

    /// Of two things that go together.
    fn and(self, other: Age) -> Age {
        let later = |a: Lacking, b: Lacking| Lacking { audits: a.audits.max(b.audits), from: a.from.max(b.from) };
        match (self, other) {
            (Age::Lacks(a), Age::Lacks(b)) => Age::Lacks(later(a, b)),
            (Age::Lacks(lacking), _) | (_, Age::Lacks(lacking)) => Age::Lacks(lacking),
            (Age::Unasked, age) | (age, Age::Unasked) => age,
            (Age::Enough, Age::Enough) => Age::Enough,
        }
    }
}

/// The age of each finding, in their order. `observed`: the history as this look's audit, if one was recorded, has left it;
/// `None`: there is none, and nobody has seen anything.
pub fn of(ledger: &Ledger<'_>, findings: &[KeptFinding], observed: Option<&dyn Observed>) -> Vec<Age> {
    let Some(observed) = observed else { return vec![Age::Unasked; findings.len()] };
    let (before, word) = (Patch::default(), OperatorWord::default());
    let world = World { snapshot: ledger.snapshot, ledger, past: None };
    let case = Case { world, before: &before, live: true, observed, word: &word, exclusive: false };
    let mut ages = Ages { case, handles: HashMap::default() };
    findings.iter().map(|finding| ages.of(finding)).collect()
}

struct Ages<'c> {
    case: Case<'c>,
    /// An endpoint, its twins and each address of a handle say the same one.
    handles: HashMap<HandleId, Age>,
}

impl Ages<'_> {
    fn of(&mut self, finding: &KeptFinding) -> Age {
        let is_releasable = checks::find(finding.code).is_some_and(|check| check.ties.releasable);
        let opened = finding.open();
        match self.of_commands(&opened) {
            // What is not released for another reason has its age all the same.
            Age::Unasked if is_releasable => self.of_subject(finding),
            age => age,
        }
    }

    fn of_commands(&mut self, finding: &Finding) -> Age {
        let names = &self.case.world.snapshot.names;
        let releases = finding.next.iter().filter(|command| is_release(command.raw()));
        let wanted: Vec<_> = releases.filter_map(|command| wanted(names, command.raw())).collect();
        let mut age = Age::Unasked;
        for wanted in &wanted {
            if wanted.word.skip_age {
                age = age.and(Age::Enough);
                continue;
            }
            for id in &wanted.handles {
                age = age.and(self.of_handle(*id));
            }
            for address in &wanted.addresses {
                // What the operator's word lets go goes by itself; anything else with its handle.
                age = age.and(match wanted.word.knows {
                    true => self.of_address_alone(*address, finding.code),
                    false => self.of_quarry(Quarry::Address(*address)),
                });
            }
        }
        age
    }

    fn of_subject(&mut self, finding: &Gist) -> Age {
        let subject = finding.subject.id.raw();
        let quarry = match finding.subject.kind {
            SubjectKind::Handle => HandleId::find(&self.case.world.snapshot.names, subject).map(Quarry::Handle),
            _ => subject.parse().ok().map(Quarry::Address),
        };
        quarry.map_or(Age::Unasked, |quarry| self.of_quarry(quarry))
    }

    fn of_quarry(&mut self, quarry: Quarry) -> Age {
        let ledger = self.case.world.ledger;
        match quarry {
            Quarry::Handle(id) => self.of_handle(id),
            Quarry::Address(address) => {
                let Some(allocation) = ledger.allocations_at(address).first() else { return Age::Unasked };
                match ledger.handle_of(allocation) {
                    Some(id) => self.of_handle(id),
                    None => self.case.age_of_allocation(allocation, leaked_address::CHECK.code),
                }
            }
        }
    }

    fn of_handle(&mut self, id: HandleId) -> Age {
        if let Some(known) = self.handles.get(&id) {
            return *known;
        }
        let age = self.case.age_of_handle(id);
        self.handles.insert(id, age);
        age
    }

    /// Of what is special its own finding is what audits have seen.
    fn of_address_alone(&self, address: Addr, code: Code) -> Age {
        let found = self.case.world.ledger.allocations_at(address).first();
        found.map_or(Age::Unasked, |allocation| self.case.age_of_allocation(allocation, code))
    }
}

impl Case<'_> {
    /// Of all that a handle has, or of its object where it has nothing.
    fn age_of_handle(&self, id: HandleId) -> Age {
        let allocations = self.world.ledger.allocations_of(id);
        let leaked = allocations.map(|a| self.age_of_allocation(a, leaked_address::CHECK.code)).reduce(Age::and);
        leaked.or_else(|| self.age_of_orphan(id)).unwrap_or(Age::Unasked)
    }

    fn age_of_allocation(&self, allocation: &Allocation, code: Code) -> Age {
        let ledger = self.world.ledger;
        let node = ledger.attribute_of(allocation).map(|a| a.owner().node).unwrap_or_default();
        let seen = self.observed.address(code, &ledger.tuple_of(allocation), self.text(node));
        self.age(None, seen)
    }

    fn age_of_orphan(&self, id: HandleId) -> Option<Age> {
        let tally = self.tally(id)?;
        let whose = Recurring::of(&self.world.snapshot.names, id);
        let ages = tally.objects.iter().map(|object| {
            let stamp = orphaned_handle::stamp(&self.world, &tally, object);
            self.age(whose, self.observed.handle(&self.orphan_of(object).id, stamp))
        });
        ages.reduce(Age::and)
    }

    fn age(&self, whose: Option<Recurring>, seen: Option<Observation>) -> Age {
        let snapshot = self.world.snapshot;
        match rules::observed(whose, seen, snapshot.kube_controllers.grace(), false, snapshot.now) {
            Ok(()) => Age::Enough,
            Err(objection) => objection.lacking().map_or(Age::Unasked, Age::Lacks),
        }
    }
}
