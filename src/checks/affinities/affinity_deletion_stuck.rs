//! IPA404: the release of a block that began and never ended; its route is still announced.

use super::common::{other_owner, standstill, survived};
use crate::checks::prelude::*;
use crate::model::AffinityState;

pub static CHECK: Check = Check {
    code: Code(404),
    name: "affinity-deletion-stuck",
    severity: Severity::Warning,
    needs: Needs::A.and(Needs::D),
    steady: Steady::EarlierAudit,
    subject: SubjectKind::Affinity,
    finds: "An affinity that is in `pendingDeletion` at the same mod revision as in the audit before. An error when \
        another host owns the block.",
    matters: "Calico's confd ignores pending affinities and announces those that are being deleted: the node draws \
        traffic for a block that it gave up, and takes it from the node that owns the block now.",
    arises: "Whoever released the block died, or etcd was away, between its three writes: the affinity's state, the \
        block, the affinity's deletion.",
    action: "When the block is gone or is another's, delete the affinity. When the block still names this host, \
        release it again; the node's next allocation takes the claim up again.",
    silent: "At a first audit nobody can tell how long it has been under way.",
    ties: Ties { harm: Harm::Outage, many: "affinities stuck in deletion", ..Ties::ANYBODYS },
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    let leaving = world.ledger.affinities().filter(|affinity| affinity.state == AffinityState::PendingDeletion);
    findings.extend(leaving.filter(|affinity| survived(world, affinity)).map(|affinity| report(world, affinity)));
}

fn report(world: &World<'_>, affinity: &Affinity) -> Finding {
    let (host, cidr) = (affinity.host, affinity.cidr);
    let block = world.ledger.block(cidr);
    let is_hers = block.is_some_and(|block| block.affinity == Some(host));
    let other = other_owner(world, affinity);
    let (says, advice) = match (block, other) {
        (_, Some(other)) => {
            (format!("{} owns the block", world.host_id(other)), "it draws that host's traffic: delete this affinity")
        }
        (Some(_), None) if is_hers => {
            ("the block still names it".to_owned(), "the node's next allocation takes the claim up again")
        }
        (Some(_), None) => {
            ("the block names nobody".to_owned(), "only the last write is missing: delete this affinity")
        }
        (None, None) => ("there is no such block".to_owned(), "only the last write is missing: delete this affinity"),
    };
    let draft = world
        .draft(
            &CHECK,
            world.affinity_id(host, cidr),
            format!("being deleted since before the last audit and still announced; {says}"),
        )
        .severity(if other.is_some() { Severity::Error } else { Severity::Warning })
        .advice(advice);
    standstill(draft, world, affinity, is_hers && other.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, cidr};

    const BLOCK: &str = "10.65.1.0/26";

    fn leaving(block_of: Option<&str>) -> Cluster {
        let mut c = Cluster::healthy();
        if let Some(node) = block_of {
            c.block(BLOCK, Some(node));
            c.snapshot.affinities.retain(|a| a.cidr != cidr(BLOCK));
        }
        let host = c.host("node-1");
        c.affinity(host, BLOCK, AffinityState::PendingDeletion);
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
    fn without_block_or_with_its_own_it_is_a_warning() {
        let found = leaving(None).find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "host:node-1 10.65.1.0/26"));
        assert_eq!(found[0].severity, Severity::Warning);
        assert!(found[0].summary.raw().ends_with("there is no such block"));
        assert!(found[0].next[1].raw().ends_with("| etcdctl txn"));
        let found = leaving(Some("node-1")).find(&CHECK);
        assert_eq!(found[0].severity, Severity::Warning);
        assert!(found[0].summary.raw().ends_with("the block still names it"));
        assert!(found[0].next[1].raw().starts_with("etcdctl get "));
    }

    #[test]
    fn another_owner_makes_it_an_error() {
        assert_eq!(leaving(Some("node-2")).find(&CHECK)[0].severity, Severity::Error);
        let mut c = leaving(None);
        let host = c.host("node-2");
        c.affinity(host, BLOCK, AffinityState::Pending);
        assert_eq!(c.find(&CHECK)[0].severity, Severity::Warning, "a claim owns nothing");
        c.affinity(host, BLOCK, AffinityState::Confirmed);
        c.snapshot.affinities.retain(|a| a.state != AffinityState::Pending);
        let found = c.find(&CHECK);
        assert_eq!(found[0].severity, Severity::Error);
        assert!(found[0].summary.raw().ends_with("host:node-2 owns the block"));
    }

    #[test]
    fn one_that_moves_is_none() {
        let mut c = leaving(None);
        c.snapshot.affinities.iter_mut().find(|a| a.cidr == cidr(BLOCK)).unwrap().meta.mod_revision += 100;
        assert!(c.find(&CHECK).is_empty());
        let mut c = leaving(None);
        c.snapshot.affinities.iter_mut().find(|a| a.cidr == cidr(BLOCK)).unwrap().state = AffinityState::Pending;
        assert!(c.find(&CHECK).is_empty());
    }
}
