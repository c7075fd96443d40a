//! A case over a cluster that a test builds and breaks by name.

use std::cell::RefCell;

use super::case::{Case, Observed};
use super::choose::Quarry;
use crate::checks::World;
use crate::checks::testing::Cluster;
use crate::ledger::Ledger;
use crate::model::{AllocationTuple, Code, HandleId, Observation, Patch};
use crate::plan::circumstances::OperatorWord;
use crate::plan::confirm::{Candidate, Plan};
use crate::plan::refusal::Objection;

/// A history that has seen everything so often, and what it was asked.
#[derive(Default)]
pub struct Remembered {
    pub seen: Option<Observation>,
    pub asked: RefCell<Vec<String>>,
}

impl Observed for Remembered {
    fn handle(&self, id: &str, _: u128) -> Option<Observation> {
        self.asked.borrow_mut().push(id.to_owned());
        self.seen
    }

    fn address(&self, code: Code, tuple: &AllocationTuple, node: &str) -> Option<Observation> {
        self.asked.borrow_mut().push(format!("{code} {} {node}", tuple.address));
        self.seen
    }
}

/// A cluster at its second look, a history, a word.
pub struct Scene {
    pub c: Cluster,
    pub before: Patch,
    pub live: bool,
    pub memory: Remembered,
    pub word: OperatorWord,
    pub exclusive: bool,
}

impl Scene {
    /// Seen in three audits over an hour; Kubernetes is asked, and the operator says nothing.
    pub fn of(mut c: Cluster) -> Scene {
        let snapshot = c.snapshot();
        let seen = Some(Observation { audits: 3, first: c.ago(3600), last: c.snapshot.now });
        let before = Patch::of(&snapshot);
        let (memory, word) = (Remembered { seen, ..Remembered::default() }, OperatorWord::default());
        Scene { c, before, live: true, memory, word, exclusive: false }
    }

    /// The healthy cluster whose web-0 is gone, with its endpoint: 10.65.0.1 is leaked.
    pub fn leaked() -> Scene {
        let mut c = Cluster::healthy();
        c.remove_pod("web-0");
        c.remove_endpoint("web-0");
        Scene::of(c)
    }

    /// The healthy cluster and a handle of this id that no block has an address of.
    pub fn orphaned(ids: &[&str]) -> Scene {
        let mut c = Cluster::healthy();
        ids.iter().for_each(|id| _ = c.handle(id, &[]));
        Scene::of(c)
    }

    pub fn with<T>(&mut self, then: impl FnOnce(&Case<'_>) -> T) -> T {
        let snapshot = &self.c.snapshot();
        let past = self.c.past.as_ref();
        let ledger = Ledger::build(snapshot, self.c.scope, past);
        let world = World { snapshot, ledger: &ledger, past };
        let Scene { before, live, memory, word, exclusive, .. } = self;
        then(&Case { world, before, live: *live, observed: memory, word, exclusive: *exclusive })
    }

    /// Judges handles by id and addresses.
    pub fn judge(&mut self, wanted: &[&str]) -> (Plan, Vec<Candidate>) {
        self.with(|case| {
            let quarry = |text: &&str| match text.parse() {
                Ok(address) => Quarry::Address(address),
                Err(_) => Quarry::Handle(HandleId::find(&case.world.snapshot.names, text).expect("a known id")),
            };
            let mut plan = Plan::default();
            let candidates = case.judge(&wanted.iter().map(quarry).collect::<Vec<_>>(), &mut plan);
            (plan, candidates)
        })
    }

    /// The one candidate for what passes without a refusal.
    pub fn passes(&mut self, wanted: &[&str]) -> Candidate {
        let (plan, mut candidates) = self.judge(wanted);
        assert_eq!((plan.refusals, candidates.len()), (vec![], 1));
        candidates.remove(0)
    }

    /// Subjects and objections of what does not pass at all.
    pub fn refused(&mut self, wanted: &[&str]) -> Vec<(String, Objection)> {
        let (plan, candidates) = self.judge(wanted);
        assert_eq!(candidates, [], "it passes");
        plan.refusals.into_iter().map(|r| (r.subject.raw().to_owned(), r.objection)).collect()
    }
}
