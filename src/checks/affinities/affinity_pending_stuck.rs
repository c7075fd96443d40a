//! IPA403: a claim of a block that began and never ended.

use super::common::{other_owner, standstill, survived};
use crate::checks::prelude::*;
use crate::model::AffinityState;

pub static CHECK: Check = Check {
    code: Code(403),
    name: "affinity-pending-stuck",
    severity: Severity::Warning,
    needs: Needs::A.and(Needs::D),
    steady: Steady::EarlierAudit,
    subject: SubjectKind::Affinity,
    finds: "An affinity that is `pending` at the same mod revision as in the audit before.",
    matters: "A claim takes seconds. While it is pending the node does not announce the block, though the block may \
        name it already and hold its pods' addresses.",
    arises: "The CNI plugin or the node died, or etcd was away, between the writes of a claim: the affinity, the \
        block, the confirmation.",
    action: "When the block names this host, its next allocation confirms the affinity: start a pod there. When the \
        block is another's, or does not exist, the affinity can be deleted.",
    silent: "At a first audit nobody can tell how long it has been pending. One that was written since the last audit \
        moves.",
    ties: Ties { harm: Harm::Threat, many: "affinities stuck in pending", ..Ties::ANYBODYS },
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    let pending = world.ledger.affinities().filter(|affinity| affinity.state == AffinityState::Pending);
    findings.extend(pending.filter(|affinity| survived(world, affinity)).map(|affinity| report(world, affinity)));
}

fn report(world: &World<'_>, affinity: &Affinity) -> Finding {
    let (host, cidr) = (affinity.host, affinity.cidr);
    let block = world.ledger.block(cidr);
    let is_hers = block.is_some_and(|block| block.affinity == Some(host));
    let other = other_owner(world, affinity);
    let (says, advice) = match (block, other) {
        (_, Some(other)) => {
            let other = world.host_id(other);
            (format!("the block is owned by {other}"), format!("{other} is right: delete this affinity"))
        }
        (Some(_), None) if is_hers => (
            "the block names it already".to_owned(),
            "the node's next allocation confirms it: start a pod there".to_owned(),
        ),
        (Some(_), None) => ("the block names nobody".to_owned(), "delete this affinity".to_owned()),
        (None, None) => (
            "there is no block yet".to_owned(),
            "the node's next allocation ends the claim; or delete this affinity".to_owned(),
        ),
    };
    let draft = world
        .draft(&CHECK, world.affinity_id(host, cidr), format!("pending since before the last audit; {says}"))
        .advice(advice)
        .restarts_pods(is_hers && other.is_none());
    standstill(draft, world, affinity, is_hers && other.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, cidr};

    const BLOCK: &str = "10.65.1.0/26";

    /// node-1's claim of a block that does not exist yet, seen by an earlier audit.
    fn stuck() -> Cluster {
        let mut c = Cluster::healthy();
        let host = c.host("node-1");
        c.affinity(host, BLOCK, AffinityState::Pending);
        c.remember();
        c
    }

    #[test]
    fn clean_gives_nothing() {
        let mut c = Cluster::healthy();
        c.remember();
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn pending_at_the_same_revision_in_two_audits_is_stuck() {
        let mut c = stuck();
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "host:node-1 10.65.1.0/26"));
        assert_eq!(found[0].summary, "pending since before the last audit; there is no block yet");
        assert!(found[0].next[1].raw().ends_with("| etcdctl txn"), "{:?}", found[0].next);
    }

    #[test]
    fn one_that_moved_or_is_new_or_is_another_etcds_is_none() {
        let mut c = stuck();
        c.snapshot.affinities.iter_mut().find(|a| a.cidr == cidr(BLOCK)).unwrap().meta.mod_revision += 100;
        assert!(c.find(&CHECK).is_empty());
        let mut c = stuck();
        let host = c.host("node-2");
        c.affinity(host, "10.65.2.0/26", AffinityState::Pending);
        assert_eq!(c.subjects(&CHECK), ["host:node-1 10.65.1.0/26"]);
        let mut c = stuck();
        c.snapshot.etcd.cluster_id = 7;
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn the_block_says_what_to_do() {
        let mut c = Cluster::healthy();
        c.block(BLOCK, Some("node-1"));
        c.snapshot.affinities.iter_mut().find(|a| a.cidr == cidr(BLOCK)).unwrap().state = AffinityState::Pending;
        c.remember();
        let found = c.find(&CHECK);
        assert!(found[0].summary.raw().ends_with("the block names it already"));
        assert_eq!(found[0].next[1], "etcdctl get /calico/ipam/v2/host/node-1/ipv4/block/10.65.1.0-26");
        let host = c.host("node-2");
        c.block_mut(BLOCK).affinity = Some(host);
        let found = c.find(&CHECK);
        assert_eq!(found[0].advice, "host:node-2 is right: delete this affinity");
        assert!(found[0].next[1].raw().ends_with("| etcdctl txn"));
    }

    #[test]
    fn other_states_are_other_findings() {
        for state in [AffinityState::Confirmed, AffinityState::PendingDeletion] {
            let mut c = Cluster::healthy();
            let host = c.host("node-1");
            c.affinity(host, BLOCK, state);
            c.remember();
            assert!(c.find(&CHECK).is_empty());
        }
    }
}
