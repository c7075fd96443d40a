//! IPA720: a node swallows the packets for a block that is not its own.

use super::common::sight::{NodeSight, sights};
use super::common::trouble::{held_by_owner, owner};
use crate::checks::evidence::node::{route_facts, route_words};
use crate::checks::prelude::*;
use crate::model::node_evidence::{KernelRoute, MAIN_TABLE, RouteProtocol};

pub static CHECK: Check = Check {
    code: Code(720),
    name: "blackhole-mismatch",
    severity: Severity::Warning,
    needs: Needs::E.and(Needs::A).and(Needs::B).and(Needs::O),
    steady: Steady::NodeReadApart,
    subject: SubjectKind::NodeBlock,
    finds: "A blackhole route of a block that is not this node's: of Felix (proto 80) by the block's own `affinity`, of BIRD \
        (proto bird) by the affinity keys. An error when pods of the block's owner live in it.",
    matters: "This node and its pods reach no pod in the block, but for those with a host route of their own.",
    arises: "BIRD or Felix died or was stopped before it took the route away: BIRD's routes survive its exit; the block was \
        given to another node meanwhile.",
    action: "Restart calico-node on the node.",
    silent: "An affinity that is being deleted still has its blackhole (IPA404); routes of others, as BIRD's static ones for \
        services; ranges outside of all pools; blocks and affinities that do not decode; a single address.",
    ties: Ties { harm: Harm::Outage, many: "blackholes of others' blocks", ..Ties::OURS },
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    for sight in sights(world).filter(|sight| world.ledger.scope.judged(sight.calico)) {
        let evidence = sight.evidence;
        let routes = evidence.routes4.each().chain(evidence.routes6.each());
        let counts =
            |r: &&KernelRoute| r.is_blackhole() && !r.is_host() && r.table == MAIN_TABLE && evidence.lasts(r.seen);
        for route in routes.filter(counts).filter(|route| is_calicos(world, route.dst)) {
            let is_own = match route.protocol.known() {
                Some(RouteProtocol::Felix) => is_own_block(&sight, route.dst),
                Some(RouteProtocol::Bird) => has_affinity(&sight, route.dst),
                _ => true,
            };
            if !is_own {
                findings.push(report(&sight, route));
            }
        }
    }
}

/// A block's range: of the size that a pool's blocks have, or one that there is.
fn is_calicos(world: &World<'_>, range: Cidr) -> bool {
    let of_pool = |pool: &crate::model::Pool| pool.cidr.covers(range) && pool.block_size == range.prefix();
    let ledger = world.ledger;
    let is_dark = ledger.dark.block(range) || ledger.dark.affinity(range);
    !is_dark && (ledger.block(range).is_some() || world.snapshot.pools.iter().any(of_pool))
}

fn is_own_block(sight: &NodeSight<'_>, range: Cidr) -> bool {
    let block = sight.world.ledger.block(range);
    block.and_then(owner).is_some_and(|host| host.name == sight.calico)
}

fn has_affinity(sight: &NodeSight<'_>, range: Cidr) -> bool {
    let mut affinities = sight.world.ledger.affinities_for(range);
    affinities.any(|affinity| affinity.host.kind == HostKind::Host && affinity.host.name == sight.calico)
}

fn report(sight: &NodeSight<'_>, route: &KernelRoute) -> Finding {
    let (world, range) = (sight.world, route.dst);
    let ledger = world.ledger;
    let block = ledger.block(range);
    let owner = block.and_then(owner).filter(|host| host.name != sight.calico);
    let held = block.zip(owner).and_then(|(block, owner)| held_by_owner(world, block, owner));
    let whose = match (owner, block) {
        (Some(host), _) => format!("the block is {}'s", world.text(host.name)),
        (None, Some(_)) => "the node has no affinity for it".to_owned(),
        (None, None) => "there is no such block".to_owned(),
    };
    let home = ledger.scope.kubernetes_name(sight.calico);
    world
        .draft(&CHECK, sight.id(range), format!("{}, {whose}", route_words(route).raw()))
        .severity(if held.is_some() { Severity::Error } else { Severity::Warning })
        .advice("restart calico-node on the node")
        .fact("block", range)
        .fact("route", route_facts(route))
        .fact("owner", owner.map(|host| world.host_id(host)))
        .fact("unreachable", held)
        .list("affinities", ledger.affinities_for(range), |a| world.affinity_facts(a))
        .at_node(sight.evidence)
        .in_pool_of(range.first())
        .restart_calico_node(home)
        .next(format!("ipaudit who {range}"))
        .looks_at(Look::Affinity(Host { kind: HostKind::Host, name: sight.calico }, range))
        .looks_at(Look::Block(range))
        .with_each(block, |d, block| d.rests_on_owner(block))
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::node::testing::{NodeUnderTest, seen};
    use crate::checks::testing::{Cluster, cidr};
    use crate::model::AffinityState;
    use crate::model::node_evidence::RouteKind;

    #[test]
    fn clean_gives_nothing() {
        assert!(seen().find(&CHECK).is_empty());
    }

    /// node-1 swallows node-2's block.
    fn swallowed(protocol: RouteProtocol) -> Cluster {
        let mut c = seen();
        let route = c.node_mut().block_route_mut("10.65.0.64/26");
        (route.kind, route.protocol) = (RouteKind::Blackhole.into(), protocol.into());
        route.hops.clear();
        c
    }

    #[test]
    fn anothers_block_is_an_error_while_its_pods_live_in_it() {
        for protocol in [RouteProtocol::Felix, RouteProtocol::Bird] {
            let mut c = swallowed(protocol);
            let found = c.find(&CHECK);
            assert_eq!(
                (found.len(), found[0].subject.id.raw(), found[0].severity),
                (1, "node-1 10.65.0.64/26", Severity::Error)
            );
            assert!(found[0].summary.raw().ends_with("the block is node-2's"));
            ["web-2", "web-3"].into_iter().for_each(|pod| {
                c.remove_pod(pod);
                c.remove_endpoint(pod);
            });
            assert_eq!(c.find(&CHECK)[0].severity, Severity::Warning);
        }
    }

    /// Felix follows the block's own word, BIRD the affinity key.
    #[test]
    fn each_of_the_two_makers_is_held_against_what_it_reads() {
        let mut c = seen();
        c.snapshot.affinities.retain(|a| a.cidr != cidr("10.65.0.0/26"));
        assert_eq!(c.subjects(&CHECK), ["node-1 10.65.0.0/26"]);
        c.node_mut().block_route_mut("10.65.0.0/26").protocol = RouteProtocol::Felix.into();
        assert!(c.find(&CHECK).is_empty());
        c.block_mut("10.65.0.0/26").affinity = None;
        assert_eq!(c.subjects(&CHECK), ["node-1 10.65.0.0/26"]);
    }

    #[test]
    fn what_is_going_of_others_or_unknown_is_not_told() {
        let mut c = seen();
        let affinity = c.snapshot.affinities.iter_mut().find(|a| a.cidr == cidr("10.65.0.0/26")).unwrap();
        affinity.state = AffinityState::PendingDeletion;
        assert!(c.find(&CHECK).is_empty());
        assert!(swallowed(RouteProtocol::Static).find(&CHECK).is_empty());
        let mut c = swallowed(RouteProtocol::Bird);
        c.dark("10.65.0.64/26");
        assert!(c.find(&CHECK).is_empty());
        let mut c = swallowed(RouteProtocol::Bird);
        c.node_mut().readings = 2;
        c.node_mut().block_route_mut("10.65.0.64/26").seen = 1;
        assert!(c.find(&CHECK).is_empty());
        let mut c = swallowed(RouteProtocol::Bird);
        c.node_mut().block_route_mut("10.65.0.64/26").dst = cidr("172.20.0.0/26");
        assert!(c.find(&CHECK).is_empty(), "outside of all pools");
    }
}
