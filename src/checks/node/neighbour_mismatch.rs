//! IPA709: the MAC that the node uses for a pod is not the pod's.

use std::collections::BTreeMap;

use super::common::sight::{NodeSight, sights};
use super::common::trouble::pod_name;
use crate::checks::prelude::*;
use crate::ledger::Workload;
use crate::model::endpoint::mac_text;
use crate::model::node_evidence::KernelNeighbour;

pub static CHECK: Check = Check {
    code: Code(709),
    name: "neighbour-mismatch",
    severity: Severity::Warning,
    needs: Needs::E.and(Needs::W),
    steady: Steady::NodeReadApart,
    subject: SubjectKind::NodeAddress,
    finds: "A PERMANENT neighbour of an address that the interface's endpoint lists, with another MAC than the endpoint \
        has. An error when the pod itself, where it was looked into, does not have the neighbour's MAC either.",
    matters: "The node sends the pod's packets to a MAC that the pod does not have, and the pod drops them.",
    arises: "Felix has not followed a change of the endpoint, or the pod was made again and the endpoint kept its old MAC.",
    action: "When it lasts, restart calico-node on the node: it writes the neighbours anew. When the endpoint is wrong, \
        restart the pod.",
    silent: "Addresses that the endpoint does not list (leftovers); neighbours that were learned; endpoints without a MAC; \
        virtual machines, whose guests have their own; pods younger than a minute.",
    ties: Ties {
        harm: Harm::Outage,
        also: Needs::P,
        many: "neighbours with another MAC than their pods",
        ..Ties::OURS
    },
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    for sight in sights(world).filter(|sight| sight.knows_endpoints) {
        let evidence = sight.evidence;
        let mut wrong: BTreeMap<Addr, (&KernelNeighbour, &Endpoint)> = BTreeMap::new();
        for neighbour in evidence.neighbours.each().filter(|n| n.is_permanent() && evidence.lasts(n.seen)) {
            let lists = |e: &&&Endpoint| e.addresses().contains(&neighbour.address) && sight.may_live(e);
            let mut own = sight.endpoints_of(&neighbour.dev).iter().filter(lists).peekable();
            let Some(first) = own.peek().copied().copied() else { continue };
            let is_machine = matches!(world.ledger.workload_of(first), Workload::Machine { .. });
            let fits = |e: &&Endpoint| e.mac().is_none() || e.mac() == neighbour.mac;
            if neighbour.mac.is_some() && !is_machine && !own.any(fits) {
                wrong.insert(neighbour.address, (neighbour, first));
            }
        }
        wrong.values().for_each(|(neighbour, endpoint)| findings.push(report(&sight, neighbour, endpoint)));
    }
}

fn report(sight: &NodeSight<'_>, neighbour: &KernelNeighbour, endpoint: &Endpoint) -> Finding {
    let world = sight.world;
    let inside = sight.inside(&neighbour.dev).and_then(|inside| inside.mac);
    let is_sure = inside.is_some_and(|mac| Some(mac) != neighbour.mac);
    let mac = |mac: Option<u64>| mac.map(mac_text).unwrap_or_default();
    let (theirs, own) = (mac(neighbour.mac), mac(endpoint.mac()));
    let home = world.ledger.scope.kubernetes_name(sight.calico);
    world
        .draft(
            &CHECK,
            sight.id(neighbour.address),
            format!("{theirs} on the node, {} has {own}", pod_name(sight, endpoint)),
        )
        .severity(if is_sure { Severity::Error } else { Severity::Warning })
        .advice("when it lasts, restart calico-node on the node")
        .fact("address", neighbour.address)
        .fact("interfaces", vec![&neighbour.dev])
        .fact("neighbour_mac", theirs)
        .fact("inside_mac", inside.map(mac_text))
        .fact("endpoint", world.endpoint_facts(endpoint))
        .at_node(sight.evidence)
        .in_namespace(endpoint.namespace)
        .in_pool_of(neighbour.address)
        .restart_calico_node(home)
        .rests_on_endpoint(endpoint)
        .rests_on_pod_named(endpoint.namespace, endpoint.pod)
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::node::testing::{NodeUnderTest, seen};
    use crate::checks::testing::{Cluster, addr};
    use crate::model::node_evidence::NeighbourState;

    #[test]
    fn clean_gives_nothing() {
        assert!(seen().find(&CHECK).is_empty());
    }

    fn wrong() -> Cluster {
        let mut c = seen();
        let own = c.node_mut().neighbours().iter_mut().find(|n| n.address == addr("10.65.0.1")).unwrap();
        own.mac = Some(0x0200_0000_0001);
        c
    }

    #[test]
    fn a_warning_by_the_endpoint_and_an_error_by_the_pod_itself() {
        let mut c = wrong();
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].severity), (1, Severity::Error));
        assert!(found[0].summary.raw().starts_with("02:00:00:00:00:01 on the node, shop/web-0 has "));
        c.node_mut().without_inside();
        assert_eq!(c.find(&CHECK)[0].severity, Severity::Warning);
    }

    #[test]
    fn leftovers_learned_ones_and_endpoints_without_mac_are_none() {
        for change in [
            (|c: &mut Cluster| c.endpoint_mut("web-0").addresses = [addr("10.65.0.9")].into()) as fn(&mut Cluster),
            |c| c.node_mut().neighbours().iter_mut().for_each(|n| n.state = NeighbourState::Reachable.into()),
            |c| c.endpoint_mut("web-0").mac = None,
            |c| c.pod_mut("web-0").created = Some(c.ago(5)),
            |c| {
                let vmi = c.name("fedora");
                c.pod_mut("web-0").vmi = vmi;
            },
        ] {
            let mut c = wrong();
            change(&mut c);
            assert!(c.find(&CHECK).is_empty());
        }
    }
}
