//! What the history knows of whether a release would be let through: of its gates and of rule 4, never all of them. The rest
//! the release asks itself.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::checks::addresses::{address_awaited, surplus_service_address, unattributed_allocation};
use crate::checks::datastore::{
    datastore_locked, datastore_went_back, etcd_alarm, kubernetes_mismatch, undecodable_value,
};
use crate::checks::{self, Check};
use crate::model::given_back::TakenAway;
use crate::model::row::{AuditAt, Ending, Episode};
use crate::model::{Code, Foreign, Observation, SubjectKind};
use crate::plan::rules::{AUDITS, OVER};

/// What the history says of releases of one cluster, whatever a report is narrowed to.
#[derive(Clone, Debug, Default)]
pub struct ReleaseFacts {
    /// Those of [`closing`] that are open.
    pub closed_by: Vec<Code>,
    /// Every audit until the end, oldest first.
    pub audits: Vec<AuditAt>,
    /// The last audit that found etcd gone back to an older state: what was seen until then counts for nothing.
    pub restored: Option<i64>,
    /// What audits have observed of open findings that a release takes, by [`Episode::id`].
    pub observed: HashMap<i64, Observation>,
    /// Open findings (by [`Episode::id`]) whose evidence names a node that is not Ready now: an endpoint of the same pod there
    /// is one of which nobody can tell what runs.
    pub of_silent: HashSet<i64>,
    /// What our releases have taken away since the last audit: no audit has ended what is found of it yet.
    pub given_back: TakenAway,
    /// Open findings (by [`Episode::id`]) between endpoints of which so many went with it that nothing is left to clash.
    pub parted: HashSet<i64>,
}

impl ReleaseFacts {
    /// Whether a release of ours has given back what an open finding is about, and with it ended the finding: of what exists
    /// no more, nothing is left to be found.
    pub fn is_given_back(&self, line: &Episode) -> bool {
        let (code, kind) = (line.finding.code, line.finding.kind.known().map_or("", |kind| kind.word()));
        let thing = (kind, line.finding.subject.clone());
        let is_gone = || self.given_back.deleted.contains(&thing) && checks::find(code).is_some();
        let is_freed = || self.given_back.subjects.contains_key(&thing) && ends_with_it(code);
        line.ended.is_none() && (is_gone() || is_freed() || self.parted.contains(&line.id))
    }
}

/// The findings between endpoints that are over without those that are gone: the ones left have one and the same `field`
/// (the second of each). What cannot be told stays.
pub fn parted(between: HashMap<i64, Vec<(Foreign, Foreign)>>, gone: &TakenAway) -> impl Iterator<Item = i64> {
    let is_gone = |endpoint: &Foreign| gone.deleted.contains(&(SubjectKind::Endpoint.word(), endpoint.clone()));
    between.into_iter().filter_map(move |(id, endpoints)| {
        let (went, left): (Vec<_>, Vec<_>) = endpoints.into_iter().partition(|(endpoint, _)| is_gone(endpoint));
        let different: HashSet<Foreign> = left.into_iter().map(|(_, field)| field).collect();
        (!went.is_empty() && different.len() < 2).then_some(id)
    })
}

/// Whether a finding is about nothing but that a thing is still there: what else is wrong with an address, a release leaves.
fn ends_with_it(code: Code) -> bool {
    let alone = [&surplus_service_address::CHECK, &unattributed_allocation::CHECK, &address_awaited::CHECK];
    let is_leak = |check: &&Check| check.ties.proves_leak || check.ties.releasable;
    checks::find(code).is_some_and(|check| is_leak(&check) || alone.iter().any(|alone| alone.code == code))
}

/// The findings while which nothing is let through.
pub fn closing() -> Vec<Code> {
    let all = [
        &datastore_went_back::CHECK,
        &kubernetes_mismatch::CHECK,
        &datastore_locked::CHECK,
        &etcd_alarm::CHECK,
        &undecodable_value::CHECK,
    ];
    all.map(|check| check.code).into()
}

/// How long audits have seen it, as a release counts them (rule 4); `None`: too few, or not for long enough.
pub fn known_for(line: &Episode, facts: &ReleaseFacts) -> Option<Duration> {
    if line.ending != Ending::Open || facts.of_silent.contains(&line.id) {
        return None;
    }
    let seen = facts.observed.get(&line.id)?;
    let known_for = seen.last.since(seen.first);
    (seen.audits >= AUDITS && known_for >= OVER).then_some(known_for)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of three on three nodes two are still twins, and one is none; without a part of its evidence nobody knows.
    #[test]
    fn a_clash_is_over_when_what_is_left_agrees() {
        let endpoints = |nodes: &[&str]| {
            let each = nodes.iter().map(|node| (Foreign::from(format!("shop/{node}")), Foreign::from(*node)));
            each.collect::<Vec<_>>()
        };
        let over = |nodes: &[&str], gone: &[&str]| {
            let deleted = gone.iter().map(|node| ("endpoint", Foreign::from(format!("shop/{node}")))).collect();
            let taken = TakenAway { deleted, ..TakenAway::default() };
            parted([(7, endpoints(nodes))].into(), &taken).collect::<Vec<_>>() == [7]
        };
        assert!(over(&["a", "b"], &["a"]) && over(&["a", "b"], &["a", "b"]) && over(&["a", "b", "c"], &["a", "c"]));
        assert!(!over(&["a", "b", "c"], &["a"]) && !over(&["a", "b"], &["c"]) && !over(&["a"], &[]));
    }
}
