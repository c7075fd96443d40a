//! IPA723: a node does not know the way to another node's block.

use super::common::sight::{NodeSight, sights};
use super::common::trouble::{held_by_owner, owner};
use super::tunnel_address_mismatch;
use crate::checks::evidence::node::{route_facts, route_words};
use crate::checks::prelude::*;
use crate::model::Foreign;
use crate::model::node_evidence::{KernelRoute, RoutesKept, Way};

pub static CHECK: Check = Check {
    code: Code(723),
    name: "missing-block-route",
    severity: Severity::Error,
    needs: Needs::E.and(Needs::B).and(Needs::N).and(Needs::W),
    steady: Steady::NodeReadApart,
    subject: SubjectKind::NodeBlock,
    finds: "A block that another node of this cluster owns and has pods in, to which this node has no route but the default \
        one, or a blackhole. The capture must hold all routes. Where nothing shows how other nodes' blocks are reached from \
        here, one note says that it was not judged.",
    matters: "No pod of this node reaches any pod in the block.",
    arises: "The tunnel's address was changed, and the kernel dropped all its routes (IPA722); Felix or BIRD is dead, or has \
        not come round to a new block.",
    action: "What is not back after 90 seconds needs calico-node to start anew on the node.",
    silent: "What the two readings do not agree on.",
    ties: Ties { harm: Harm::Outage, explained_by: Some(explained_by), many: "blocks without a route", ..Ties::OURS },
    run,
};

/// The tunnel lost its address, and with it its routes.
fn explained_by(finding: &Finding, causes: &Causes<'_>) -> Option<Root> {
    let node = finding.evidence.text("node")?.raw();
    let devices = [VXLAN, VXLAN_V6, "tunl0"];
    let id = |dev: &str| format!("{node} {dev}");
    devices.into_iter().find_map(|dev| causes.no_milder(finding, tunnel_address_mismatch::CHECK.code, &id(dev)))
}

const VXLAN: &str = "vxlan.calico";
const VXLAN_V6: &str = "vxlan-v6.calico";

fn run(world: &World<'_>, findings: &mut FindingSink) {
    // Asked once for all nodes: an address by which a block can be tried.
    let held = world.ledger.blocks().filter_map(|block| {
        let owner = owner(block).filter(|host| is_there(world, *host))?;
        Some(OwnedBlock { block, owner, held: held_by_owner(world, block, owner)? })
    });
    let owned: Vec<OwnedBlock<'_>> =
        if world.snapshot.nodes_seen.nodes.is_empty() { Vec::new() } else { held.collect() };
    for sight in
        sights(world).filter(|s| s.evidence.routes_kept == RoutesKept::All && world.ledger.scope.judged(s.calico))
    {
        for v4 in [true, false].into_iter().filter(|v4| sight.table(*v4).is_some()) {
            let mut has_some = false;
            let mut missing = Vec::new();
            for owned in owned.iter().filter(|o| o.block.cidr.is_v4() == v4 && o.owner.name != sight.calico) {
                // WireGuard has a table of its own, which rules put before the main one.
                if sight.table(v4).is_some_and(|table| table.is_routed_beside(owned.held)) {
                    continue;
                }
                match sight.way(owned.held) {
                    Some(Way::By(route)) if leads(route) => has_some = true,
                    Some(Way::By(route)) => missing.push((owned, Some(route))),
                    Some(Way::Nowhere) => missing.push((owned, None)),
                    Some(Way::Unsettled) | None => {}
                }
            }
            let vxlan: Foreign = if v4 { VXLAN } else { VXLAN_V6 }.into();
            if has_some || sight.has_link(&vxlan) {
                findings.extend(missing.into_iter().map(|(owned, route)| report(&sight, owned, route)));
            } else if let Some((owned, route)) = missing.iter().find(|(_, r)| !r.is_some_and(KernelRoute::is_blackhole))
            {
                // The network around the nodes may route the pods, or the only route that there was is gone.
                findings.push(not_judged(&sight, owned, *route, missing.len()));
            }
        }
    }
}

/// A block with pods on its owner's node.
struct OwnedBlock<'w> {
    block: &'w Block,
    owner: Host,
    /// One of their addresses.
    held: Addr,
}

/// Whether the owner is a node of ours that there is.
fn is_there(world: &World<'_>, owner: Host) -> bool {
    world.ledger.scope.judged(owner.name) && world.ledger.calico_node(owner.name).is_some()
}

/// Whether a route leads somewhere on purpose.
fn leads(route: &KernelRoute) -> bool {
    route.is_unicast() && route.dst.prefix() > 0
}

fn not_judged(sight: &NodeSight<'_>, owned: &OwnedBlock<'_>, route: Option<&KernelRoute>, number: usize) -> Finding {
    let (world, OwnedBlock { block, owner, held }) = (sight.world, owned);
    let blocks = if number == 1 { "block" } else { "blocks" };
    let words = format!(
        "not judged: nothing here shows how {number} {blocks} of other nodes would be reached, as {}'s",
        world.text(owner.name)
    );
    world
        .draft(&CHECK, sight.id(block.cidr), words)
        .severity(Severity::Note)
        .advice("where the network around the nodes routes the pods this is as it should be; else the routes are gone")
        .fact("block", block.cidr)
        .fact("owner", world.host_id(*owner))
        .fact("unrouted", number)
        .fact("instead", route.map(route_facts))
        .at_node(sight.evidence)
        .in_pool_of(*held)
        .next(format!("ipaudit who {}", block.cidr))
        .rests_on_owner(block)
        .done()
}

fn report(sight: &NodeSight<'_>, owned: &OwnedBlock<'_>, route: Option<&KernelRoute>) -> Finding {
    let (world, OwnedBlock { block, owner, held }) = (sight.world, owned);
    let goes = match route {
        Some(route) => format!("{held} goes by {}", route_words(route).raw()),
        None => "there is no default route either".to_owned(),
    };
    let home = world.ledger.scope.kubernetes_name(sight.calico);
    world
        .draft(&CHECK, sight.id(block.cidr), format!("no route to {}'s block: {goes}", world.text(owner.name)))
        .advice("when it is not back after 90 s, restart calico-node on the node")
        .fact("block", block.cidr)
        .fact("owner", world.host_id(*owner))
        .fact("unreachable", *held)
        .fact("instead", route.map(route_facts))
        .at_node(sight.evidence)
        .in_pool_of(*held)
        .restart_calico_node(home)
        .next(format!("ipaudit who {}", block.cidr))
        .rests_on_owner(block)
        .with_each(world.ledger.endpoints_at(*held), |d, (e, _)| d.rests_on_endpoint(e))
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::node::testing::{NodeUnderTest, seen};
    use crate::checks::testing::{Cluster, cidr};
    use crate::model::node_evidence::HostLink;

    #[test]
    fn clean_gives_nothing() {
        assert!(seen().find(&CHECK).is_empty());
    }

    /// node-3 has a block of its own with a pod in it, and node-1 no route to it.
    fn missing() -> Cluster {
        let mut c = Cluster::healthy();
        c.node("node-3", "192.168.0.3");
        c.block("10.65.0.128/26", Some("node-3"));
        c.workload("shop", "web-8", "node-3", &["10.65.0.129"]);
        c.see("node-1");
        c.node_mut().routes().retain(|route| route.dst != cidr("10.65.0.128/26"));
        c
    }

    #[test]
    fn a_block_without_a_route() {
        let found = missing().find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "node-1 10.65.0.128/26"));
        let way = "no route to node-3's block: 10.65.0.129 goes by 0.0.0.0/0 via 192.168.0.254 dev eth0 proto boot";
        assert_eq!(found[0].summary, way);
    }

    #[test]
    fn where_the_network_around_may_route_the_pods_a_note_says_that_it_was_not_judged() {
        let mut c = missing();
        c.node_mut().routes().retain(|route| route.dst != cidr("10.65.0.64/26"));
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].severity), (1, Severity::Note));
        assert!(found[0].summary.raw().starts_with("not judged: nothing here shows how 2 blocks of other nodes"));
        let vxlan = HostLink { name: VXLAN.into(), up: true, carrier: true, seen: 3, ..HostLink::default() };
        c.node_mut().links().push(vxlan);
        assert_eq!(c.find(&CHECK).len(), 2);
    }

    #[test]
    fn empty_blocks_partial_captures_and_unsettled_routes_are_not_judged() {
        for change in [
            (|c: &mut Cluster| c.remove_endpoint("web-8")) as fn(&mut Cluster),
            |c| c.node_mut().routes_kept = RoutesKept::Workload,
            |c| {
                let mut route = c.node_mut().gateway_route("10.65.0.128/26", "192.168.0.3", "tunl0");
                route.seen = 1;
                c.node_mut().readings = 2;
                c.node_mut().routes().push(route);
            },
            |c| {
                let route = c.node_mut().gateway_route("10.65.0.0/16", "192.168.0.3", "tunl0");
                c.node_mut().routes().push(route);
            },
        ] {
            let mut c = missing();
            change(&mut c);
            assert!(c.find(&CHECK).is_empty());
        }
    }

    #[test]
    fn a_block_that_another_table_leads_to_is_none() {
        let mut c = missing();
        assert_eq!(c.find(&CHECK).len(), 1);
        let mut route = c.node_mut().gateway_route("10.65.0.128/26", "192.168.0.3", "wireguard.cali");
        route.table = 52_000;
        c.node_mut().routes().push(route);
        assert!(c.find(&CHECK).is_empty());
    }
}
