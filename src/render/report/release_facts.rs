//! What the history knows of whether a release would be let through: of its gates and of rule 4, never all of them. The rest
//! the release asks itself.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::checks::addresses::{address_awaited, surplus_service_address, unattributed_allocation};
use crate::checks::datastore::{
    datastore_locked, datastore_went_back, etcd_alarm, kubernetes_mismatch, undecodable_value,
};
use crate::checks::{self, Check};
use crate::model::row::{AuditAt, Ending, Episode};
use crate::model::{Code, Foreign, Observation};
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
    /// What our releases have given back since the last audit, by kind and subject: no audit has ended it yet.
    pub given_back: HashSet<(&'static str, Foreign)>,
}

impl ReleaseFacts {
    /// Whether a release of ours has given back what an open finding is about, and with it ended the finding.
    pub fn is_given_back(&self, line: &Episode) -> bool {
        let kind = line.finding.kind.known().map_or("", |kind| kind.word());
        line.ended.is_none()
            && self.given_back.contains(&(kind, line.finding.subject.clone()))
            && ends_with_it(line.finding.code)
    }
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
