//! From a plan to a write there is one way: a person (or `--yes`) says yes, and the plan becomes a [`Confirmed`].
//!
//! A [`Ready`] transaction, which alone can be applied, comes only from a licence of a confirmed plan; so no code path
//! can write what nobody was shown, whatever flags it has read. A licence holds for the very things that were judged:
//! deciding again gives a transaction for the same holders, or "changed hands".

use super::circumstances::{Ground, HolderNow, LastLook, SandboxLeft};
use super::fresh::Decision;
use super::orphans::{self, Decided, Orphan};
use super::refusal::{Note, Refusal};
use super::release::ReleaseTarget;
use super::transaction::{Fresh, Transaction};
use super::undo::Undoing;
use crate::model::{Foreign, Time};

/// What one step does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Work {
    Release(ReleaseTarget),
    Orphans(Vec<Orphan>),
    Undo(Undoing),
}

impl Work {
    /// What it is called in messages and in the history.
    pub fn subject(&self) -> Foreign {
        match self {
            Work::Release(target) => target.subject().into(),
            Work::Orphans(batch) => orphans::subject(batch).into(),
            Work::Undo(undoing) => undoing.subject.as_str().into(),
        }
    }

    /// How many handles or addresses it settles.
    pub fn count(&self) -> usize {
        match self {
            Work::Orphans(batch) => batch.len(),
            Work::Release(_) | Work::Undo(_) => 1,
        }
    }

    /// The keys that are known to be needed before anything is read, the settings too.
    pub fn keys(&self) -> Vec<Vec<u8>> {
        let mut keys = match self {
            Work::Release(target) => target.keys(),
            Work::Orphans(batch) => orphans::keys(batch),
            Work::Undo(undoing) => undoing.keys(),
        };
        keys.extend(super::fresh::settings_keys());
        keys
    }

    /// What fresh bytes come to.
    pub fn decide(&self, fresh: &Fresh, moment: Time) -> Decided {
        let alone = |decision| Decided { decision, dropped: Vec::new(), gone: 0 };
        match self {
            Work::Release(target) => alone(target.decide(fresh, moment)),
            Work::Orphans(batch) => orphans::decide(batch, fresh),
            Work::Undo(undoing) => alone(undoing.decide(fresh)),
        }
    }
}

/// A step without the bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// What would be done.
    pub work: Work,
    /// Why it may be: one an address, or one for all orphans.
    pub grounds: Vec<Ground>,
    /// Everybody who claims one of the addresses, of every grade.
    pub holders: Vec<HolderNow>,
    /// What Kubernetes must say once more right before the write (rule 5).
    pub again: Vec<LastLook>,
    /// What the runtimes of nodes must not have any more.
    pub sandboxes: Vec<SandboxLeft>,
}

/// One transaction's worth of a plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlanStep {
    /// What it does.
    pub work: Work,
    /// What allows it, one a thing.
    pub grounds: Vec<Ground>,
    /// Everybody who claims one of the addresses, of every grade.
    pub holders: Vec<HolderNow>,
    /// What Kubernetes must say once more right before the write.
    pub again: Vec<LastLook>,
    /// What the runtimes of nodes must not have any more.
    pub sandboxes: Vec<SandboxLeft>,
    /// What it would write now; what is written is decided again from bytes read right before.
    pub shown: Transaction,
}

/// What would be done, and what not and why.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// In the order in which they are carried out; each is one transaction.
    pub steps: Vec<PlanStep>,
    /// What may not be released, and by which rule.
    pub refusals: Vec<Refusal>,
    /// What is said beside it.
    pub notes: Vec<Note>,
    /// How many more there are than `--max` lets through.
    pub beyond_max: usize,
}

/// Who said yes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Yes {
    /// A person at a terminal.
    Person,
    /// `--yes`.
    Flag,
}

impl Plan {
    /// Takes in what a candidate's bytes, read right now, came to: a step, a refusal, or nothing to do.
    pub fn add(&mut self, candidate: Candidate, decided: Decided) {
        let Candidate { work, grounds, holders, again, sandboxes } = candidate;
        self.refusals.extend(decided.dropped);
        match decided.decision {
            Decision::Write(shown) => self.steps.push(PlanStep { work, grounds, holders, again, sandboxes, shown }),
            Decision::Nothing => self.notes.push(Note::AllGone(work.subject())),
            refused => self.refusals.extend(refused.refusal(work.subject())),
        }
    }

    /// How many handles and addresses would be settled.
    pub fn count(&self) -> usize {
        self.steps.iter().map(|s| s.work.count()).sum()
    }

    /// The plan as something that may be done. `None` when the answer was no, or there is nothing to do.
    pub fn confirm(self, answer: Option<Yes>) -> Option<Confirmed> {
        let by = answer?;
        (!self.steps.is_empty()).then_some(Confirmed { plan: self, by })
    }
}

/// A plan that somebody said yes to. Only [`Plan::confirm`] makes one.
#[derive(Debug)]
pub struct Confirmed {
    plan: Plan,
    by: Yes,
}

impl Confirmed {
    /// Who said yes.
    pub fn by(&self) -> Yes {
        self.by
    }

    /// What may be done, step by step.
    pub fn licences(&self) -> impl Iterator<Item = Licence<'_>> {
        self.plan.steps.iter().map(|step| Licence { step })
    }
}

/// The permission for one step of a confirmed plan.
#[derive(Clone, Copy, Debug)]
pub struct Licence<'c> {
    step: &'c PlanStep,
}

/// A transaction that may be written; only a [`Licence`] makes one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ready {
    transaction: Transaction,
}

impl Ready {
    /// What is written, all of it or nothing.
    pub fn transaction(&self) -> &Transaction {
        &self.transaction
    }
}

/// What a licence says to fresh bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Permit {
    /// The transaction, or why there is none.
    pub ready: Result<Ready, Decision>,
    /// Handles of a batch that are left alone.
    pub dropped: Vec<Refusal>,
    /// Handles of a batch that are gone already.
    pub gone: usize,
}

impl<'c> Licence<'c> {
    /// The step that it is for.
    pub fn step(&self) -> &'c PlanStep {
        self.step
    }

    /// Decides from bytes read right now, for the very things that were confirmed.
    pub fn decide(&self, fresh: &Fresh, moment: Time) -> Permit {
        let Decided { decision, dropped, gone } = self.step.work.decide(fresh, moment);
        let ready = match decision {
            Decision::Write(transaction) => Ok(Ready { transaction }),
            other => Err(other),
        };
        Permit { ready, dropped, gone }
    }
}

#[cfg(test)]
mod tests {
    use super::super::refusal::Objection;
    use super::super::testing::{Store, cidr};
    use super::*;

    const BLOCK: &str = "10.65.0.0/30";

    /// A plan for one orphan, and the datastore.
    fn plan() -> (Plan, Store) {
        let mut store = Store::new();
        store.block(BLOCK, "\"host:n\"", [None; 4]);
        let (key, mod_revision) = store.handle("n.a", &[BLOCK]);
        let orphan = Orphan { id: "n.a".into(), key: key.into_bytes(), mod_revision, blocks: vec![cidr(BLOCK)] };
        let work = Work::Orphans(vec![orphan]);
        let Decision::Write(shown) = work.decide(&store.fresh, Time(0)).decision else { panic!("nothing to write") };
        let step = PlanStep {
            work,
            grounds: Vec::new(),
            holders: Vec::new(),
            again: Vec::new(),
            sandboxes: Vec::new(),
            shown,
        };
        (Plan { steps: vec![step], ..Plan::default() }, store)
    }

    #[test]
    fn rule_1_without_a_yes_there_is_nothing_that_could_write() {
        assert!(plan().0.confirm(None).is_none());
        assert!(Plan::default().confirm(Some(Yes::Flag)).is_none(), "there is nothing to do");
        for yes in [Yes::Flag, Yes::Person] {
            let (plan, store) = plan();
            let confirmed = plan.clone().confirm(Some(yes)).unwrap();
            assert_eq!((confirmed.by(), &confirmed.plan), (yes, &plan));
            let licence = confirmed.licences().next().unwrap();
            let ready = licence.decide(&store.fresh, Time(0)).ready.unwrap();
            assert_eq!(*ready.transaction(), plan.steps[0].shown, "what was shown is what is written");
        }
    }

    #[test]
    fn rule_9_a_licence_is_for_the_very_things_that_were_judged() {
        let (plan, mut store) = plan();
        let confirmed = plan.confirm(Some(Yes::Flag)).unwrap();
        store.handle("n.a", &[BLOCK]);
        let permit = confirmed.licences().next().unwrap().decide(&store.fresh, Time(0));
        assert!(permit.ready.is_err() && matches!(permit.dropped[0].objection, Objection::ChangedHands(_)));
    }
}
