//! IPA721: a block's route leads to a node that does not own it.

use super::common::sight::{NodeSight, sights};
use super::common::trouble::{nodes_by_address, owner};
use crate::checks::evidence::node::{route_facts, route_words};
use crate::checks::prelude::*;
use crate::model::hash::HashMap;
use crate::model::node_evidence::{KernelRoute, MAIN_TABLE};

pub static CHECK: Check = Check {
    code: Code(721),
    name: "block-route-mismatch",
    severity: Severity::Error,
    needs: Needs::E.and(Needs::B).and(Needs::N),
    steady: Steady::NodeReadApart,
    subject: SubjectKind::NodeBlock,
    finds: "A route of a block by a gateway that is another node than the block's owner, or by several of which one is; and a \
        route of a single address by a node that is not the one of its allocation.",
    matters: "What this node sends into the block arrives at the wrong node, which does not know what to do with it.",
    arises: "BIRD or Felix of this node is behind, or dead; a node took over an address of another one; somebody put a route \
        there by hand.",
    action: "Restart calico-node on the node; when the route comes back, look whose address the gateway is.",
    silent: "Gateways that are no node of Calico's (route reflectors, top-of-rack switches); routes that cover more than a \
        block; blocks without an owner, and addresses without an allocation or with two; pods' own host routes (IPA701).",
    ties: Ties { harm: Harm::Outage, many: "routes to nodes that do not own the block", ..Ties::OURS },
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    let nodes = nodes_by_address(world);
    for sight in sights(world).filter(|sight| world.ledger.scope.judged(sight.calico)) {
        for v4 in [true, false] {
            let Some(table) = sight.table(v4) else { continue };
            for block in world.ledger.blocks().filter(|block| block.cidr.is_v4() == v4) {
                let Some(owner) = owner(block) else { continue };
                let lasting = table.exactly(block.cidr).filter(|r| sight.evidence.lasts(r.seen));
                let route = lasting.min_by_key(|route| route.metric).filter(|route| route.is_unicast());
                let wrong = route.and_then(|route| Some((route, strangers(&nodes, route, owner.name)?)));
                findings.extend(wrong.map(|(route, others)| report(&sight, route, Some(block), owner.name, &others)));
            }
            // Of other tables, WireGuard's or a VRF's, nobody knows whom they are for.
            let hosts = sight.evidence.routes_of(v4).each();
            let hosts = hosts.filter(|r| r.is_host() && r.is_unicast() && r.table == MAIN_TABLE);
            for route in hosts.filter(|r| sight.evidence.lasts(r.seen) && sight.endpoints_at(r.dst.first()).is_empty())
            {
                let [allocation] = world.ledger.allocations_at(route.dst.first()) else { continue };
                let Some(owner) = world.ledger.owner_node(allocation).some() else { continue };
                if let Some(others) = strangers(&nodes, route, owner) {
                    findings.push(report(&sight, route, None, owner, &others));
                }
            }
        }
    }
}

/// The nodes to which a route leads that are not this one; `None`: it leads to the owner alone, or nobody knows where.
fn strangers(nodes: &HashMap<Addr, Vec<Name>>, route: &KernelRoute, owner: Name) -> Option<Vec<Name>> {
    let mut strangers = Vec::new();
    for hop in &route.hops {
        let there = nodes.get(&hop.gateway?)?;
        let first = *there.first()?;
        if !there.contains(&owner) {
            strangers.push(first);
        }
    }
    (!strangers.is_empty()).then_some(strangers)
}

fn report(sight: &NodeSight<'_>, route: &KernelRoute, block: Option<&Block>, owner: Name, others: &[Name]) -> Finding {
    let world = sight.world;
    let to: Vec<&str> = others.iter().map(|node| world.text(*node)).collect();
    let home = world.ledger.scope.kubernetes_name(sight.calico);
    let of = |node: &Name| world.ledger.calico_node(*node);
    let allocations = world.ledger.allocations_at(route.dst.first()).iter().filter(|_| block.is_none());
    let summary = format!("leads to {}, the owner is {}", to.join(" and "), world.text(owner));
    world
        .draft(&CHECK, sight.id(route.dst), summary)
        .advice("restart calico-node on the node")
        .fact("block", route.dst)
        .fact("route", route_facts(route))
        .fact("route_words", route_words(route))
        .fact("owner", world.text(owner))
        .fact("leads_to", to)
        .at_node(sight.evidence)
        .in_pool_of(route.dst.first())
        .restart_calico_node(home)
        .next(format!(
            "ipaudit who {}",
            if block.is_some() { route.dst.to_string() } else { route.dst.first().to_string() }
        ))
        .with_each(block, |d, block| d.rests_on_owner(block))
        .with_each(allocations, |d, allocation| d.rests_on_allocation(allocation))
        .with_each(others.iter().chain([&owner]).filter_map(of), |d, node| d.rests_on_calico_node(node))
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::node::testing::{NodeUnderTest, seen};
    use crate::checks::testing::{Cluster, addr};
    use crate::model::node_evidence::Hop;

    #[test]
    fn clean_gives_nothing() {
        assert!(seen().find(&CHECK).is_empty());
    }

    /// node-2's block, to node-3.
    fn wrong() -> Cluster {
        let mut c = Cluster::healthy();
        c.node("node-3", "192.168.0.3");
        c.see("node-1");
        c.node_mut().block_route_mut("10.65.0.64/26").hops[0].gateway = Some(addr("192.168.0.3"));
        c
    }

    #[test]
    fn a_route_to_another_node_than_the_owner() {
        let found = wrong().find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "node-1 10.65.0.64/26"));
        assert_eq!(found[0].summary, "leads to node-3, the owner is node-2");
        let mut c = wrong();
        let right = Hop { dev: "tunl0".into(), gateway: Some(addr("192.168.0.2")) };
        c.node_mut().block_route_mut("10.65.0.64/26").hops.push(right);
        assert_eq!(c.find(&CHECK).len(), 1, "one of several");
    }

    #[test]
    fn the_route_of_one_address_is_held_against_its_allocation() {
        let mut c = seen();
        let attribute = c.pod_attribute("k8s-pod-network.lent", "shop", "lent-0", "node-2");
        c.allocate("10.65.0.30", attribute);
        let route = c.node_mut().gateway_route("10.65.0.30/32", "192.168.0.2", "tunl0");
        c.node_mut().routes().push(route);
        assert!(c.find(&CHECK).is_empty(), "borrowed");
        c.node("node-3", "192.168.0.3");
        c.node_mut().route_mut("10.65.0.30").hops[0].gateway = Some(addr("192.168.0.3"));
        assert_eq!(c.subjects(&CHECK), ["node-1 10.65.0.30/32"]);
    }

    #[test]
    fn gateways_that_are_no_nodes_and_blocks_without_owner_are_not_judged() {
        for change in [
            (|c: &mut Cluster| {
                c.node_mut().block_route_mut("10.65.0.64/26").hops[0].gateway = Some(addr("192.168.0.254"))
            }) as fn(&mut Cluster),
            |c| c.block_mut("10.65.0.64/26").affinity = None,
            |c| c.node_mut().block_route_mut("10.65.0.64/26").seen = 0,
            |c| c.node_mut().block_route_mut("10.65.0.64/26").dst = Cidr::parse("10.65.0.0/24").unwrap().0,
        ] {
            let mut c = wrong();
            change(&mut c);
            assert!(c.find(&CHECK).is_empty());
        }
    }
}
