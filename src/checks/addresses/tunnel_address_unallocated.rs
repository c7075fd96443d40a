//! IPA115: a node's tunnel address that IPAM does not know as that tunnel's.

use std::collections::BTreeMap;

use crate::checks::evidence::Draft;
use crate::checks::prelude::*;
use crate::ledger::Belief;
use crate::model::number::grouped;
use crate::model::{CalicoNode, Input, Tunnel};

pub static CHECK: Check = Check {
    code: Code(115),
    name: "tunnel-address-unallocated",
    severity: Severity::Critical,
    needs: Needs::B.and(Needs::N).and(Needs::O),
    steady: Steady::TwoWrites,
    subject: SubjectKind::Address,
    finds: "A node's tunnel address inside a pool that IPAM has free, has cooling down, or has given to somebody else.",
    matters: "The next pod gets it, and then that pod and the node's tunnel have one address (IPA103).",
    arises: "A node was removed and added again under the same name, and the collector freed the address that the new \
        node had taken over; a restored etcd; a release by hand; `calicoctl ipam check`, which takes live IPv6 tunnels \
        for leaks.",
    action: "Restart calico-node on that node: it takes an address that is its own. Do it before the next pod starts.",
    silent: "The allocation's handle or attributes name this node and type; it is so old that it names nobody; ordinal \
        1 of a Windows node's block, which the Windows reservation holds; the node has departed; IPA103 already tells \
        two nodes with this address; the address lies in no pool, or in a block that does not decode.",
    ties: Ties {
        harm: Harm::Threat,
        many: "tunnel addresses that IPAM calls free",
        judges: Judges::OnlyOurs,
        also: Needs::P.and(Needs::W),
        ..Ties::OURS
    },
    run,
};

/// Tunnels whose address is not their own, by address.
type ByAddress<'w> = BTreeMap<Addr, Vec<(&'w CalicoNode, Tunnel)>>;

fn run(world: &World<'_>, findings: &mut FindingSink) {
    let mut unallocated = ByAddress::new();
    for node in &world.snapshot.calico_nodes {
        for &(tunnel, address) in &node.tunnels {
            if is_judged(world, node, address) && is_not_its_own(world, node, tunnel, address) {
                unallocated.entry(address).or_default().push((node, tunnel));
            }
        }
    }
    let told = |address: &Addr| !is_told_by_103(world, *address);
    findings.extend(unallocated.iter().filter(|(a, _)| told(a)).map(|(a, tunnels)| report(world, *a, tunnels)));
}

/// The node is ours; or another cluster's, and the address stands in our part of IPAM, where our pods get it.
fn is_judged(world: &World<'_>, node: &CalicoNode, address: Addr) -> bool {
    let scope = &world.ledger.scope;
    match scope.standing(node.name) {
        Standing::Ours => true,
        Standing::Departed => false,
        Standing::Foreign => scope.known && !in_our_part(world, address).is_empty(),
    }
}

/// The nodes of ours whom an allocation of the address, or a block that covers it, names.
fn in_our_part(world: &World<'_>, address: Addr) -> Vec<Name> {
    let ledger = world.ledger;
    let owners = ledger.allocations_at(address).iter().map(|a| ledger.owner_node(a));
    let hosts = ledger.blocks_covering(address).into_iter().filter_map(|b| b.affinity).map(|host| host.name);
    owners.chain(hosts).filter(|name| ledger.scope.standing(*name) == Standing::Ours).collect()
}

fn is_not_its_own(world: &World<'_>, node: &CalicoNode, tunnel: Tunnel, address: Addr) -> bool {
    let ledger = world.ledger;
    let excuses = |a: &Allocation| a.used_for == Use::Broken || ledger.is_of_tunnel(a, node, tunnel);
    let lost = match ledger.belief(address) {
        Belief::Unknown => false,
        Belief::Free(_) | Belief::Cooling => true,
        Belief::Allocated => {
            let allocations = ledger.allocations_at(address).iter();
            !allocations.filter(|a| a.used_for != Use::Cooling).any(excuses)
        }
    };
    lost && world.pool_of(address).is_some() && !is_windows_gateway(world, node, address)
}

/// On Windows, VXLAN takes ordinal 1 of the node's own block and never allocates it: the reservation holds it.
fn is_windows_gateway(world: &World<'_>, node: &CalicoNode, address: Addr) -> bool {
    let kubernetes = node.kubernetes_name.unwrap_or(node.name);
    let windows_node = || world.snapshot.kube_nodes.iter().any(|k| k.name == kubernetes && k.windows);
    let reserved = || world.ledger.allocations_at(address).iter().any(|a| a.used_for == Use::Windows);
    let gateway = world.ledger.blocks_covering(address).into_iter().any(|block| {
        block.cidr.ordinal(address) == Some(1) && block.affinity.is_none_or(|host| host.name == node.name)
    });
    gateway && (reserved() || windows_node())
}

/// Two nodes with one tunnel address are IPA103's finding, where that check could run.
fn is_told_by_103(world: &World<'_>, address: Addr) -> bool {
    let ledger = world.ledger;
    let ran = [Input::Pods, Input::Endpoints].into_iter().all(|input| world.snapshot.coverage.complete(input));
    let machines = ledger.machines_at(address);
    let ours = machines.iter().any(|(node, _)| ledger.scope.standing(node.name) == Standing::Ours);
    ran && ledger.pairing.holds() && machines.len() > 1 && ours
}

fn report(world: &World<'_>, address: Addr, tunnels: &[(&CalicoNode, Tunnel)]) -> Finding {
    let ledger = world.ledger;
    let belief = ledger.belief(address);
    let allocations = ledger.allocations_at(address);
    let whose: Vec<String> =
        tunnels.iter().map(|(node, tunnel)| format!("{} tunnel of {}", tunnel.word(), world.text(node.name))).collect();
    let how = match belief {
        Belief::Allocated => "given to somebody else".to_owned(),
        Belief::Cooling => "released and cooling down".to_owned(),
        Belief::Free(Some((_, 0))) => "free: the next pod gets it".to_owned(),
        Belief::Free(Some((_, place))) => format!("free: handed out after {} more", grouped(place as u64)),
        Belief::Free(None) | Belief::Unknown => "free: a pod may get it".to_owned(),
    };
    let place = if let Belief::Free(Some((_, place))) = belief { Some(place) } else { None };
    let nodes: Vec<Name> = tunnels.iter().map(|(node, _)| node.name).collect();
    world
        .draft(&CHECK, address, format!("{}, {how}", few(&whose, ", ")))
        .advice("restart calico-node there before the next pod starts: it takes an address of its own")
        .list("tunnels", tunnels, |(node, tunnel)| {
            Evidence::new().with("node", world.text(node.name)).with("tunnel", tunnel.word())
        })
        .fact("recorded", belief.word())
        .fact("queue_place", place)
        .list("ipam", allocations.iter(), |a| world.allocation_facts(a))
        .on_node(nodes.first().copied().unwrap_or_default())
        .in_pool_of(address)
        .with_each(tunnels, |d, (node, _)| d.rests_on_calico_node(node).looks_at_whose(node.name))
        .with_each(in_our_part(world, address), Draft::looks_at_whose)
        .with_each(allocations, |d, a| d.rests_on_allocation(a))
        .looks_at_blocks_of(address)
        .looks_at(Look::Settings)
        .with_each(&nodes, |d, node| d.restart_calico_node(ledger.scope.kubernetes_name(*node)))
        .next(format!("ipaudit who {address}"))
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, addr};
    use crate::ledger::ScopeFlag;
    use crate::model::{AttributeFields, BadValue, Fact, HandleId, InputState, Owner, snapshot::Dark};

    fn tunnels(c: &mut Cluster, node: &str, tunnels: &[(Tunnel, &str)]) {
        let node = c.name(node);
        let node = c.snapshot.calico_nodes.iter_mut().find(|n| n.name == node).unwrap();
        node.tunnels = tunnels.iter().map(|&(tunnel, address)| (tunnel, addr(address))).collect();
    }

    fn attribute(c: &mut Cluster, handle: &str, node: &str, kind: &str) -> AttributeFields {
        let handle = HandleId::intern(&mut c.snapshot.names, handle);
        let owner = Owner { node: c.name(node), kind: c.name(kind), ..Owner::default() };
        AttributeFields { handle, owner, ..AttributeFields::default() }
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn a_free_one_is_the_next_pods() {
        let mut c = Cluster::healthy();
        c.free("10.65.0.0");
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "10.65.0.0"));
        assert_eq!(found[0].summary, "IPIP tunnel of node-1, free: handed out after 61 more", "as `who` says it");
        assert_eq!(found[0].evidence.get("queue_place"), Some(&Fact::Sequence(61)));
        assert!(found[0].next[0].raw().contains("spec.nodeName=node-1"));
        // No block at all is free as well, whether or not the pool is enabled.
        let mut c = Cluster::healthy();
        tunnels(&mut c, "node-1", &[(Tunnel::Ipip, "10.65.7.7")]);
        c.snapshot.pools[0].disabled = true;
        assert_eq!(c.subjects(&CHECK), ["10.65.7.7"]);
        assert_eq!(c.find(&CHECK)[0].rests.len(), 4, "both nodes, the absent block, the pools");
    }

    #[test]
    fn one_in_a_free_queue_is_free_though_it_is_allocated() {
        let mut c = Cluster::healthy();
        let block = c.block_mut("10.65.0.0/26");
        block.unallocated = block.unallocated.iter().copied().chain([0]).collect();
        assert_eq!(c.subjects(&CHECK), ["10.65.0.0"]);
    }

    #[test]
    fn a_cooling_one_and_another_handles_are_not_its_own() {
        let mut c = Cluster::healthy();
        let now = c.snapshot.now;
        *c.attribute_mut("10.65.0.0") = AttributeFields { released_at: Some(now), ..AttributeFields::default() };
        assert_eq!(c.find(&CHECK)[0].summary, "IPIP tunnel of node-1, released and cooling down");
        let mut c = Cluster::healthy();
        tunnels(&mut c, "node-1", &[(Tunnel::Ipip, "10.65.0.1")]);
        assert_eq!(c.find(&CHECK)[0].summary, "IPIP tunnel of node-1, given to somebody else");
        // Another type of the same node, another node's of the same type: neither is this tunnel's.
        for (handle, node, kind) in [
            ("vxlan-tunnel-addr-node-1", "node-1", "vxlanTunnelAddress"),
            ("ipip-tunnel-addr-node-2", "node-2", "ipipTunnelAddress"),
        ] {
            let mut c = Cluster::healthy();
            let other = attribute(&mut c, handle, node, kind);
            *c.attribute_mut("10.65.0.0") = other;
            assert_eq!(c.subjects(&CHECK), ["10.65.0.0"], "{handle}");
        }
    }

    #[test]
    fn attributes_or_handle_are_enough_and_a_very_old_one_names_nobody() {
        for (handle, node, kind) in [
            ("by-hand", "node-1", "ipipTunnelAddress"),
            ("ipip-tunnel-addr-node-1", "", ""),
            ("", "", ""),
            ("", "node-1", ""),
        ] {
            let mut c = Cluster::healthy();
            let own = attribute(&mut c, handle, node, kind);
            *c.attribute_mut("10.65.0.0") = own;
            assert!(c.find(&CHECK).is_empty(), "{handle}");
        }
        let mut c = Cluster::healthy();
        let foreign = attribute(&mut c, "by-hand", "", "");
        *c.attribute_mut("10.65.0.0") = foreign;
        assert_eq!(c.subjects(&CHECK), ["10.65.0.0"], "another handle that names nobody");
    }

    #[test]
    fn outside_every_pool_nobody_hands_it_out() {
        let mut c = Cluster::healthy();
        tunnels(&mut c, "node-1", &[(Tunnel::Ipip, "10.66.0.1")]);
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn windows_takes_ordinal_1_of_its_block() {
        let mut c = Cluster::healthy();
        let reservation = attribute(&mut c, "windows-reserved-ipam-handle", "", "");
        *c.attribute_mut("10.65.0.1") = reservation;
        tunnels(&mut c, "node-1", &[(Tunnel::Vxlan, "10.65.0.1")]);
        assert!(c.find(&CHECK).is_empty());
        tunnels(&mut c, "node-2", &[(Tunnel::Vxlan, "10.65.0.1")]);
        tunnels(&mut c, "node-1", &[]);
        assert_eq!(c.subjects(&CHECK), ["10.65.0.1"], "of another node's block");
    }

    #[test]
    fn two_nodes_are_ipa103s_where_that_could_run() {
        let mut c = Cluster::healthy();
        tunnels(&mut c, "node-2", &[(Tunnel::Ipip, "10.65.0.0")]);
        assert!(c.find(&CHECK).is_empty());
        c.snapshot.coverage.set(Input::Pods, InputState::Forbidden, "");
        assert_eq!(c.subjects(&CHECK), ["10.65.0.0"]);
    }

    #[test]
    fn a_departed_node_has_none_and_a_foreign_one_only_in_our_part() {
        let mut c = Cluster::healthy();
        c.node("east-1", "192.168.9.1");
        c.remove_kube_node("east-1");
        c.block("10.65.0.128/26", Some("east-1"));
        tunnels(&mut c, "east-1", &[(Tunnel::Ipip, "10.65.0.130")]);
        assert!(c.find(&CHECK).is_empty(), "theirs, in their block");
        tunnels(&mut c, "east-1", &[(Tunnel::Ipip, "10.65.0.9")]);
        assert_eq!(c.subjects(&CHECK), ["10.65.0.9"], "our next pod gets their tunnel's address");
        c.scope = ScopeFlag::Exclusive;
        assert!(c.find(&CHECK).is_empty(), "departed");
    }

    #[test]
    fn a_block_that_does_not_decode_proves_nothing() {
        let mut c = Cluster::healthy();
        tunnels(&mut c, "node-1", &[(Tunnel::Ipip, "10.65.7.7")]);
        c.snapshot.bad_values.push(BadValue {
            key: b"/calico/ipam/v2/assignment/ipv4/block/10.65.7.0-26".to_vec(),
            input: Input::Blocks,
            offset: Some(3),
            reason: "no JSON".to_owned(),
            dark: vec![Dark::Range(crate::checks::testing::cidr("10.65.7.0/26"))],
            mod_revision: 1,
        });
        assert!(c.find(&CHECK).is_empty());
    }
}
