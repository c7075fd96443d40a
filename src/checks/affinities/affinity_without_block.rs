//! IPA405: a confirmed affinity for a block that does not exist: a route into nothing.

use super::common::delete_affinity;
use crate::checks::prelude::*;
use crate::model::AffinityState;

pub static CHECK: Check = Check {
    code: Code(405),
    name: "affinity-without-block",
    severity: Severity::Warning,
    needs: Needs::A.and(Needs::B),
    steady: Steady::TwoWrites,
    subject: SubjectKind::Affinity,
    finds: "A confirmed affinity whose block does not exist.",
    matters: "The node announces the block and drops what arrives: a blackhole route, until its next allocation \
        creates the block. When the pool is gone as well, it stays for ever.",
    arises: "The block was deleted and its affinity was not: an interrupted release, a deleted pool, a restored \
        backup, a key deleted by hand.",
    action: "Delete the affinity, compared with its revision; a node that wants the block claims it again.",
    silent: "Affinities that are pending or being deleted are IPA403 and IPA404. A block that does not decode exists, \
        and so does one under another spelling of its key (IPA307).",
    ties: Ties { many: "affinities without a block", ..Ties::ANYBODYS },
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    let confirmed = world.ledger.affinities().filter(|affinity| affinity.state == AffinityState::Confirmed);
    let bare = confirmed.filter(|a| world.ledger.block(a.cidr).is_none() && !world.ledger.dark.block(a.cidr));
    findings.extend(bare.map(|affinity| report(world, affinity)));
}

fn report(world: &World<'_>, affinity: &Affinity) -> Finding {
    let (host, cidr) = (affinity.host, affinity.cidr);
    let covered = world.snapshot.pools.iter().any(|pool| pool.cidr.covers(cidr));
    let summary = match host.kind {
        HostKind::Host => "confirmed, and there is no such block: the node announces a route into nothing",
        _ => "confirmed, and there is no such block",
    };
    world
        .draft(&CHECK, world.affinity_id(host, cidr), summary)
        .advice("delete the affinity, or let the owner's next allocation create the block")
        .fact("affinity", world.affinity_facts(affinity))
        .fact("in_a_pool", covered)
        .on_node(host.name)
        .in_pool_of(cidr.first())
        .next(delete_affinity(world, affinity))
        .rests_on_affinity(affinity)
        .looks_at(Look::Block(cidr))
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, bad, cidr};
    use crate::model::snapshot::Dark;
    use crate::model::{Foreign, Host, Input, Look};

    const BLOCK: &str = "10.65.1.0/26";

    fn bare(state: AffinityState) -> Cluster {
        let mut c = Cluster::healthy();
        let host = c.host("node-1");
        c.affinity(host, BLOCK, state);
        c
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn a_confirmed_affinity_needs_its_block() {
        let mut c = bare(AffinityState::Confirmed);
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "host:node-1 10.65.1.0/26"));
        assert_eq!(found[0].node.as_ref().map(Foreign::raw), Some("node-1"));
        assert!(found[0].rests.iter().any(|rest| rest.look == Look::Block(cidr(BLOCK))), "the absent block too");
        c.block(BLOCK, None);
        assert!(c.find(&CHECK).is_empty());
        c.block_mut(BLOCK).odd_key = Some(b"/calico/ipam/v2/assignment/ipv4/block/10.65.1.9-26".as_slice().into());
        assert!(c.find(&CHECK).is_empty(), "it exists, under another spelling");
    }

    #[test]
    fn virtual_hosts_too() {
        let mut c = Cluster::healthy();
        let host = Host { kind: HostKind::Virtual, name: c.name("load-balancer") };
        c.affinity(host, BLOCK, AffinityState::Confirmed);
        assert_eq!(c.subjects(&CHECK), ["virtual:load-balancer 10.65.1.0/26"]);
    }

    #[test]
    fn only_confirmed_and_only_where_blocks_can_be_read() {
        for state in [AffinityState::Pending, AffinityState::PendingDeletion] {
            assert!(bare(state).find(&CHECK).is_empty());
        }
        let mut c = bare(AffinityState::Confirmed);
        c.snapshot.bad_values.push(bad(
            "/calico/ipam/v2/assignment/ipv4/block/10.65.1.0-26",
            Input::Blocks,
            Dark::Range(cidr(BLOCK)),
        ));
        assert!(c.find(&CHECK).is_empty());
    }
}
