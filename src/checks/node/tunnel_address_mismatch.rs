//! IPA722: a tunnel has another address than Calico's Node says.

use super::common::sight::{NodeSight, sights};
use super::common::trouble::is_link_local;
use crate::checks::evidence::node::route_facts;
use crate::checks::prelude::*;
use crate::model::node_evidence::KernelRoute;
use crate::model::{Foreign, Tunnel};

pub static CHECK: Check = Check {
    code: Code(722),
    name: "tunnel-address-mismatch",
    severity: Severity::Error,
    needs: Needs::E.and(Needs::N),
    steady: Steady::NodeReadApart,
    subject: SubjectKind::Interface,
    finds: "A tunnel device of the node (tunl0, vxlan.calico, wireguard.cali and their IPv6 likes) that is up and does not \
        have the address that the Calico Node names for it; or a host route that leads this address to a pod.",
    matters: "What the node sends through the tunnel comes from an address that no other node knows. Felix puts a wrong one \
        right within 10 seconds by deleting it first: with the last IPv4 address of vxlan.calico the kernel drops all its \
        routes, and every block of other nodes is out of reach for up to 90 seconds.",
    arises: "The address was changed by hand or by a network manager; the Node was given another tunnel address and Felix \
        has not followed; a pod was given the tunnel's address (IPA103).",
    action: "Wait for Felix; when it stays, restart calico-node on the node.",
    silent: "Devices whose Node names no address: the mode was switched off and the device stayed. Devices that are absent \
        or down.",
    ties: Ties { harm: Harm::Outage, many: "tunnels with wrong addresses", ..Ties::OURS },
    run,
};

/// What Calico calls the device of each kind.
const fn device(tunnel: Tunnel) -> &'static str {
    match tunnel {
        Tunnel::Ipip => "tunl0",
        Tunnel::Vxlan => "vxlan.calico",
        Tunnel::VxlanV6 => "vxlan-v6.calico",
        Tunnel::Wireguard => "wireguard.cali",
        Tunnel::WireguardV6 => "wg-v6.cali",
    }
}

fn run(world: &World<'_>, findings: &mut FindingSink) {
    for sight in sights(world).filter(|sight| !world.ledger.dark.node(sight.calico)) {
        let Some(node) = world.ledger.calico_node(sight.calico) else { continue };
        for &(tunnel, wanted) in &node.tunnels {
            let dev: Foreign = device(tunnel).into();
            let is_up = sight.link(&dev).is_some_and(|link| link.up);
            let Some(addresses) = sight.evidence.addresses.read().filter(|_| is_up) else { continue };
            // Of any reading: one that comes and goes is being changed.
            let has = addresses.iter().any(|a| a.dev == dev && a.address == wanted);
            let own = addresses.iter().filter(|a| a.dev == dev && sight.evidence.lasts(a.seen));
            let own: Vec<Addr> =
                own.map(|a| a.address).filter(|a| a.is_v4() == wanted.is_v4() && !is_link_local(*a)).collect();
            let stolen = sight.workload_routes_to(wanted).next().map(|(_, route)| route);
            if !has || stolen.is_some() {
                findings.push(report(&sight, (tunnel, wanted), &dev, &own, stolen));
            }
        }
    }
}

fn report(
    sight: &NodeSight<'_>,
    (tunnel, wanted): (Tunnel, Addr),
    dev: &Foreign,
    own: &[Addr],
    stolen: Option<&KernelRoute>,
) -> Finding {
    let world = sight.world;
    let words: Vec<String> = own.iter().map(Addr::to_string).collect();
    let has = if words.is_empty() { "has no address".to_owned() } else { format!("has {}", words.join(" ")) };
    let summary = match stolen.and_then(KernelRoute::dev) {
        Some(pod) => format!("{wanted} is routed to {}", pod.raw()),
        None => format!("{has}, the Node says {wanted}"),
    };
    let home = world.ledger.scope.kubernetes_name(sight.calico);
    world
        .draft(&CHECK, sight.id(dev.raw()), summary)
        .advice("when it stays for more than 10 s, restart calico-node on the node")
        .fact("interfaces", vec![dev])
        .fact("tunnel", tunnel.word())
        .fact("wanted", wanted)
        .fact("addresses", own.to_vec())
        .fact("route", stolen.map(route_facts))
        .at_node(sight.evidence)
        .in_pool_of(wanted)
        .restart_calico_node(home)
        .next(format!("ipaudit who {wanted}"))
        .with_each(world.ledger.calico_node(sight.calico), |d, node| d.rests_on_calico_node(node))
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::node::testing::{NodeUnderTest, seen};
    use crate::checks::testing::{Cluster, addr};
    use crate::model::node_evidence::Dump;

    #[test]
    fn clean_gives_nothing() {
        assert!(seen().find(&CHECK).is_empty());
    }

    fn wrong() -> Cluster {
        let mut c = seen();
        c.node_mut().own_addresses()[0].address = addr("10.65.0.9");
        c
    }

    #[test]
    fn another_address_none_at_all_and_one_that_a_pod_has() {
        let found = wrong().find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "node-1 tunl0"));
        assert_eq!(found[0].summary, "has 10.65.0.9, the Node says 10.65.0.0");
        let mut c = seen();
        c.node_mut().own_addresses().remove(0);
        assert_eq!(c.find(&CHECK)[0].summary, "has no address, the Node says 10.65.0.0");
        let mut c = seen();
        let dev = c.interface_of("web-0");
        let route = c.node_mut().pod_route("10.65.0.0", &dev, 1024);
        c.node_mut().routes().push(route);
        assert_eq!(c.find(&CHECK)[0].summary, format!("10.65.0.0 is routed to {}", dev.raw()));
    }

    #[test]
    fn a_mode_that_is_off_and_what_was_not_read_is_not_judged() {
        for change in [
            (|c: &mut Cluster| c.snapshot.calico_nodes.iter_mut().for_each(|n| n.tunnels = [].into()))
                as fn(&mut Cluster),
            |c| c.node_mut().link_mut(&"tunl0".into()).up = false,
            |c| c.node_mut().links().retain(|link| link.name != *"tunl0"),
            |c| c.node_mut().addresses = Dump::NotRead("errno 13".into()),
        ] {
            let mut c = wrong();
            change(&mut c);
            assert!(c.find(&CHECK).is_empty());
        }
    }
}
