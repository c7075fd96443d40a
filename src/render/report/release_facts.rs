//! What the history knows of whether a release would be let through: its gates, rule 4 for all that goes together, nodes and
//! blocks by the release's own rules, as the last audit saw them. The rest the release asks itself.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::checks::addresses::{address_awaited, surplus_service_address, unattributed_allocation};
use crate::checks::affinities::stale_calico_node;
use crate::checks::blocks::{invalid_block, non_canonical_key, overlapping_blocks};
use crate::checks::datastore::{
    datastore_locked, datastore_went_back, etcd_alarm, kubernetes_mismatch, undecodable_value,
};
use crate::checks::{self, Check};
use crate::model::given_back::TakenAway;
use crate::model::release::{NodeKnown, SeenWhole};
use crate::model::row::{AuditAt, Ending, Episode};
use crate::model::{Cidr, Code, Foreign, Observation, SubjectKind, Time};
use crate::plan::circumstances::{NodeDoubt, NodeNow, NodeUnknown};
use crate::plan::rules::{AUDITS, OVER, doubt};

/// What the history says of releases of one cluster, whatever a report is narrowed to.
#[derive(Clone, Debug, Default)]
pub struct ReleaseFacts {
    /// Those of [`closing`] that are open.
    pub closed_by: Vec<Code>,
    /// A block has an allocation that leads nowhere: nothing is let through either.
    pub leads_nowhere: bool,
    /// The last audit's clock and the API server's were apart.
    pub wrong_clock: bool,
    /// Every audit until the end, oldest first.
    pub audits: Vec<AuditAt>,
    /// The last audit that found etcd gone back to an older state: what was seen until then counts for nothing.
    pub restored: Option<i64>,
    /// What audits have observed of open findings that a release takes, by [`Episode::id`]: of all that goes together.
    pub observed: HashMap<i64, Observation>,
    /// Those of them that would be refused whatever their age.
    pub held_back: HashMap<i64, HeldBack>,
    /// What our releases have taken away since the last audit: no audit has ended what is found of it yet.
    pub given_back: TakenAway,
    /// Open findings (by [`Episode::id`]) between endpoints of which so many went with it that nothing is left to clash.
    pub parted: HashSet<i64>,
}

/// Why a release would refuse what audits have seen for long enough.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum HeldBack {
    /// Its node, or that of an endpoint in its evidence (rule 3).
    NotReady,
    GoneLately,
    Lost,
    NeverOurs,
    /// Addresses of its handle are in two blocks (rule 7).
    TwoBlocks,
}

impl HeldBack {
    /// In words.
    pub fn says(self) -> String {
        match self {
            HeldBack::NotReady => "its node is not Ready".to_owned(),
            HeldBack::GoneLately => "its node is not known to be gone for an hour".to_owned(),
            HeldBack::Lost => {
                format!("Kubernetes has lost its node and Calico has not: {}", stale_calico_node::CHECK.code)
            }
            HeldBack::NeverOurs => "no audit has seen its node as this cluster's".to_owned(),
            HeldBack::TwoBlocks => "two blocks have its address".to_owned(),
        }
    }
}

impl From<NodeDoubt> for HeldBack {
    fn from(doubt: NodeDoubt) -> HeldBack {
        match doubt {
            NodeDoubt::NotReady => HeldBack::NotReady,
            NodeDoubt::GoneSince(_) | NodeDoubt::GoneUnknownSince => HeldBack::GoneLately,
            NodeDoubt::Unknown(NodeUnknown::Lost) => HeldBack::Lost,
            NodeDoubt::Unknown(NodeUnknown::NeverOurs | NodeUnknown::Foreign) => HeldBack::NeverOurs,
        }
    }
}

/// Nodes and blocks as the last audit saw them.
#[derive(Clone, Debug, Default)]
pub struct PlacesKnown {
    /// By Calico's name.
    pub nodes: HashMap<Foreign, NodeKnown>,
    /// The operator said that no other cluster uses the datastore.
    pub exclusive: bool,
    /// Ranges that a second block, or a second spelling of the same one, has too.
    pub twice: Vec<Cidr>,
    pub now: Time,
}

impl PlacesKnown {
    /// Why a release refuses all that goes together, whatever its age; `named`: the nodes in its evidence.
    pub fn hold_back(&self, whole: &SeenWhole, named: &[Foreign]) -> Option<HeldBack> {
        let is_twice = |range: &Cidr| whole.addresses.iter().any(|address| range.contains(*address));
        if self.twice.iter().any(is_twice) {
            return Some(HeldBack::TwoBlocks);
        }
        let doubts = whole.nodes.iter().chain(named).filter_map(|node| doubt(&self.node_now(node), self.now));
        doubts.map(HeldBack::from).max()
    }

    /// A node by a release's rules (`judge/nodes`), as far as the history has it.
    fn node_now(&self, node: &Foreign) -> NodeNow {
        let known = self.nodes.get(node).copied().unwrap_or_default();
        match known {
            NodeKnown { is_former: true, gone_since, .. } => NodeNow::Departed(gone_since),
            NodeKnown { in_kubernetes: true, is_ours: false, .. } => NodeNow::Unknown(NodeUnknown::Foreign),
            NodeKnown { in_kubernetes: true, is_ready: true, .. } => NodeNow::Ready,
            NodeKnown { in_kubernetes: true, .. } => NodeNow::NotReady,
            NodeKnown { was_ours: false, .. } if !self.exclusive => NodeNow::Unknown(NodeUnknown::NeverOurs),
            NodeKnown { in_calico: true, gone_since: None, .. } => NodeNow::Unknown(NodeUnknown::Lost),
            NodeKnown { gone_since, .. } => NodeNow::Departed(gone_since),
        }
    }
}

/// The findings that say of a range that a second block has it, or a second spelling of its own.
pub fn in_two_blocks() -> [Code; 2] {
    [overlapping_blocks::CHECK.code, non_canonical_key::CHECK.code]
}

/// The finding, and the words in its evidence, of blocks with an allocation of which nobody can say whose it is.
pub fn leading_nowhere() -> (Code, [&'static str; 3]) {
    (invalid_block::CHECK.code, invalid_block::LEADS_NOWHERE)
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
    facts.observed.get(&line.id).filter(|_| line.ending == Ending::Open).and_then(long_enough)
}

/// For how long, where that is enough.
pub fn long_enough(seen: &Observation) -> Option<Duration> {
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
