//! IPA111: a tunnel allocation whose node is gone or has taken another address.

use crate::checks::prelude::*;
use crate::ledger::NamedTunnel;

pub static CHECK: Check = Check {
    code: Code(111),
    name: "leaked-tunnel-address",
    severity: Severity::Warning,
    needs: Needs::B.and(Needs::N).and(Needs::K),
    steady: Steady::KubernetesReadApart,
    subject: SubjectKind::Address,
    finds: "An allocation for a node's tunnel (IPIP, VXLAN, WireGuard, of both families) whose node has departed, or \
        whose node has another address of that type now. Very old tunnels carry neither handle nor owner: they are \
        known by the address in the Calico Node.",
    matters: "It keeps an address, and often the last block of a dead node, whose affinity then is announced for ever. \
        Calico's own check reports live IPv6 tunnels as leaks and so teaches people to ignore this.",
    arises: "A node was removed without its clean-up: deleting a Calico Node does not give back its two IPv6 tunnel \
        addresses. Or calico-node took a second address because it could not read or use the first.",
    action: "Make sure that the node is off or uses the other address, then release this address by itself. Nothing \
        releases tunnel addresses automatically.",
    silent: "The node has no address of that type at all (a tunnel may be about to start), is another cluster's, is \
        known to Kubernetes while its Calico Node is missing, or does not decode; addresses that are cooling down; \
        Windows' reservation, whose VXLAN address has no allocation of its own.",
    ties: Ties { proves_leak: true, leak_of: "tunnels", many: "leaked tunnel addresses", ..Ties::OURS },
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    for allocation in &world.ledger.allocations {
        findings.extend(leak(world, allocation).map(|leak| report(world, allocation, &leak)));
    }
}

/// Whether this finds it.
pub fn is_leaked(world: &World<'_>, allocation: &Allocation) -> bool {
    leak(world, allocation).is_some()
}

fn leak(world: &World<'_>, allocation: &Allocation) -> Option<Leak> {
    match allocation.used_for {
        Use::Tunnel => named_leak(world, allocation),
        Use::Unattributed => old_leak(world, allocation),
        _ => None,
    }
}

/// Why a tunnel's allocation is left behind.
#[derive(Debug)]
enum Reason {
    Departed,
    /// The node's present address of that type.
    Moved(Addr),
}

#[derive(Debug)]
struct Leak {
    named: NamedTunnel,
    reason: Reason,
}

/// Handle and attributes may name two tunnels; none of those that they name may still have the address.
fn named_leak(world: &World<'_>, allocation: &Allocation) -> Option<Leak> {
    let named = world.ledger.tunnels_named(allocation);
    let leak = |one: NamedTunnel| Some(Leak { reason: reason(world, allocation, &one)?, named: one });
    let leaks: Option<Vec<Leak>> = named.into_iter().map(leak).collect();
    leaks?.into_iter().next()
}

fn reason(world: &World<'_>, allocation: &Allocation, named: &NamedTunnel) -> Option<Reason> {
    let ledger = world.ledger;
    match ledger.scope.standing(named.name) {
        Standing::Foreign => None,
        Standing::Departed => (!ledger.dark.node(named.name)).then_some(Reason::Departed),
        Standing::Ours => {
            let node = ledger.calico_node(named.name)?;
            let now = node.tunnels.iter().filter(|(tunnel, _)| *tunnel == named.tunnel);
            let mut now = now.map(|&(_, address)| address).peekable();
            let other = *now.peek()?;
            now.all(|address| address != allocation.address).then_some(Reason::Moved(other))
        }
    }
}

/// A very old tunnel: the stale Calico Node still shows the address, and nothing else says whose it is.
fn old_leak(world: &World<'_>, allocation: &Allocation) -> Option<Leak> {
    let ledger = world.ledger;
    let mut claims = ledger.tunnels_at(allocation.address).peekable();
    let (node, tunnel, _) = *claims.peek()?;
    let left = ledger.may_be_old_tunnel_of(allocation, node) && claims.all(|(_, _, grade)| grade == Grade::Stale);
    let named = || NamedTunnel { tunnel, node: world.text(node.name).to_owned(), name: node.name };
    left.then(|| Leak { named: named(), reason: Reason::Departed })
}

fn report(world: &World<'_>, allocation: &Allocation, leak: &Leak) -> Finding {
    let ledger = world.ledger;
    let address = allocation.address;
    let NamedTunnel { tunnel, node, name } = &leak.named;
    let tunnel = tunnel.word();
    let (reason, why, now) = match leak.reason {
        Reason::Departed => ("node-departed", format!("{tunnel} tunnel of {node}, which is gone"), None),
        Reason::Moved(now) => ("other-address", format!("{tunnel} tunnel of {node}, which uses {now} now"), Some(now)),
    };
    let held = ledger.is_held(address);
    let refused = held.then_some("somebody holds it: do not release it");
    world
        .draft(&CHECK, address, format!("{why}{}", held_words(held)))
        .fact("reason", reason)
        .fact("tunnel", tunnel)
        .fact("node", node.as_str())
        .fact("address_now", now)
        .fact("held", held)
        .fact("ipam", world.allocation_facts(allocation))
        .in_pool_of(address)
        .rests_on_allocation(allocation)
        .on_node(*name)
        .looks_at(Look::CalicoNode(*name))
        .looks_at_whose(*name)
        .release_alone(
            address,
            refused,
            "release it by itself, once the node is known to be off or to use the other address",
        )
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, addr};
    use crate::ledger::ScopeFlag;
    use crate::model::{AttributeFields, CalicoNode, HandleId, Owner, Past, Tunnel};

    fn node<'c>(c: &'c mut Cluster, name: &str) -> &'c mut CalicoNode {
        let name = c.name(name);
        c.snapshot.calico_nodes.iter_mut().find(|n| n.name == name).unwrap()
    }

    fn gone(c: &mut Cluster, name: &str) {
        c.remove_calico_node(name);
        c.remove_kube_node(name);
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn a_departed_nodes_tunnels_of_every_type_are_left_behind() {
        for tunnel in Tunnel::ALL {
            let mut c = Cluster::healthy();
            c.node("node-3", "192.168.0.3");
            c.block("10.65.0.128/26", Some("node-3"));
            c.tunnel("node-3", tunnel, "10.65.0.128");
            assert!(c.find(&CHECK).is_empty());
            gone(&mut c, "node-3");
            let found = c.find(&CHECK);
            assert_eq!((found.len(), found[0].subject.id.raw()), (1, "10.65.0.128"));
            assert_eq!(found[0].summary, format!("{} tunnel of node-3, which is gone", tunnel.word()));
            assert_eq!(found[0].next[1], "ipaudit release --address 10.65.0.128 --i-know-what-this-is");
            assert_eq!(found[0].rests.len(), 3);
        }
    }

    #[test]
    fn a_node_with_another_address_of_that_type_has_left_this_one() {
        let mut c = Cluster::healthy();
        node(&mut c, "node-1").tunnels = [(Tunnel::Ipip, addr("10.65.0.7"))].into();
        assert_eq!(c.find(&CHECK)[0].summary, "IPIP tunnel of node-1, which uses 10.65.0.7 now");
        // Of another type only: the tunnel may be about to start.
        node(&mut c, "node-1").tunnels = [(Tunnel::Vxlan, addr("10.65.0.7"))].into();
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn the_handle_alone_names_node_and_type() {
        let mut c = Cluster::healthy();
        c.attribute_mut("10.65.0.0").owner = Owner::default();
        node(&mut c, "node-1").tunnels = [(Tunnel::Ipip, addr("10.65.0.7"))].into();
        assert_eq!(c.subjects(&CHECK), ["10.65.0.0"]);
        // Nothing else in the snapshot names this node.
        let mut c = Cluster::healthy();
        let handle = HandleId::intern(&mut c.snapshot.names, "vxlan-tunnel-addr-rack.b-3");
        c.allocate("10.65.0.9", AttributeFields { handle, ..AttributeFields::default() });
        assert_eq!(c.find(&CHECK)[0].summary, "VXLAN tunnel of rack.b-3, which is gone");
    }

    #[test]
    fn neither_of_two_names_may_still_have_the_address() {
        let mut c = Cluster::healthy();
        let other = c.name("node-2");
        c.attribute_mut("10.65.0.0").owner.node = other;
        assert!(c.find(&CHECK).is_empty(), "the handle says node-1, which has it");
        node(&mut c, "node-1").tunnels = [(Tunnel::Ipip, addr("10.65.0.7"))].into();
        assert_eq!(c.subjects(&CHECK), ["10.65.0.0"]);
    }

    #[test]
    fn a_very_old_tunnel_is_known_by_the_nodes_address() {
        let mut c = Cluster::healthy();
        *c.attribute_mut("10.65.0.0") = AttributeFields::default();
        assert!(c.find(&CHECK).is_empty());
        c.remove_kube_node("node-1");
        c.scope = ScopeFlag::Exclusive;
        assert_eq!(c.find(&CHECK)[0].summary, "IPIP tunnel of node-1, which is gone");
        // Nobody's address: that is IPA113.
        node(&mut c, "node-1").tunnels = [].into();
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn other_clusters_and_nodes_that_kubernetes_knows_are_left_alone() {
        let mut c = Cluster::healthy();
        c.node("east-1", "192.168.9.1");
        c.remove_kube_node("east-1");
        gone(&mut c, "node-2");
        assert!(c.find(&CHECK).is_empty(), "not exclusive: nobody can say that node-2 was ours");
        let known_nodes = ["node-2".to_owned()].into();
        c.past = Some(Past { audits: 1, pair_known: true, known_nodes, ..Past::default() });
        assert_eq!(c.subjects(&CHECK), ["10.65.0.64"], "the history knows it as ours");
        let mut c = Cluster::healthy();
        c.remove_calico_node("node-2");
        assert!(c.find(&CHECK).is_empty(), "Kubernetes knows node-2");
    }

    #[test]
    fn cooling_windows_and_dark_ones_are_none() {
        let mut c = Cluster::healthy();
        gone(&mut c, "node-2");
        let now = c.snapshot.now;
        c.attribute_mut("10.65.0.64").released_at = Some(now);
        assert!(c.find(&CHECK).is_empty());
        let mut c = Cluster::healthy();
        gone(&mut c, "node-2");
        let handle = HandleId::intern(&mut c.snapshot.names, "Windows-reserved-ipam-handle");
        *c.attribute_mut("10.65.0.64") = AttributeFields { handle, ..AttributeFields::default() };
        assert!(c.find(&CHECK).is_empty());
        let mut c = Cluster::healthy();
        gone(&mut c, "node-2");
        c.scope = ScopeFlag::Exclusive;
        let dark = c.name("node-2");
        c.snapshot.bad_values.push(crate::model::BadValue {
            key: b"/calico/resources/v3/projectcalico.org/nodes/node-2".to_vec(),
            input: crate::model::Input::CalicoNodes,
            offset: None,
            reason: "no JSON".to_owned(),
            dark: vec![crate::model::snapshot::Dark::Node(dark)],
            mod_revision: 1,
        });
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn a_held_one_is_told_and_not_offered_for_release() {
        let mut c = Cluster::healthy();
        node(&mut c, "node-1").tunnels = [(Tunnel::Ipip, addr("10.65.0.7"))].into();
        c.pod_mut("web-2").addresses = [addr("10.65.0.0")].into();
        c.endpoint_mut("web-2").addresses = [addr("10.65.0.0")].into();
        let found = c.find(&CHECK);
        assert_eq!(found[0].next, ["ipaudit who 10.65.0.0"]);
        assert_eq!(found[0].advice, "somebody holds it: do not release it");
        // The history keeps the summary: it counts as many leaks as the audit does.
        assert!(!crate::checks::is_leak(&found[0]) && found[0].summary.raw().ends_with(held_words(true)));
    }
}
