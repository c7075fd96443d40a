//! IPA709: the MAC that the node uses for a pod is not the pod's.

use std::collections::BTreeMap;

use super::common::sight::{NodeSight, sights};
use super::common::trouble::pod_name;
use crate::checks::evidence::restarts::restart_it;
use crate::checks::prelude::*;
use crate::ledger::Workload;
use crate::model::endpoint::mac_text;
use crate::model::node_evidence::{KernelNeighbour, PodInside};

pub static CHECK: Check = Check {
    code: Code(709),
    name: "neighbour-mismatch",
    severity: Severity::Warning,
    needs: Needs::E,
    steady: Steady::NodeReadApart,
    subject: SubjectKind::NodeAddress,
    finds: "A PERMANENT neighbour of an address that the interface's endpoint lists, with another MAC than the endpoint \
        has, or than the pod's own interface, where the pod was looked into: that is an error, whatever the endpoint has, and \
        needs no etcd.",
    matters: "The node sends the pod's packets to a MAC that the pod does not have, and the pod drops them.",
    arises: "Felix has not followed a change of the endpoint, or the pod was made again and the endpoint kept its old MAC.",
    action: "When it lasts, restart calico-node on the node: it writes the neighbours anew. When the endpoint has the wrong \
        MAC too, restart the pod.",
    silent: "Addresses that the endpoint does not list, or without etcd the pod does not have (leftovers); neighbours that \
        were learned; pods that were not looked into whose endpoint has no MAC; virtual machines, whose guests have their own; pods younger than a minute.",
    ties: Ties {
        harm: Harm::Outage,
        also: Needs::W.and(Needs::P),
        many: "neighbours with another MAC than their pods",
        ..Ties::ANYBODYS
    },
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    for sight in sights(world) {
        let evidence = sight.evidence;
        let mut wrong: BTreeMap<Addr, Mismatch<'_>> = BTreeMap::new();
        for neighbour in evidence.neighbours.each().filter(|n| n.is_permanent() && evidence.lasts(n.seen)) {
            if let Some(mismatch) = mismatch(&sight, neighbour) {
                wrong.insert(neighbour.address, mismatch);
            }
        }
        wrong.values().for_each(|mismatch| findings.push(report(&sight, mismatch)));
    }
}

/// A neighbour with another MAC than its pod.
struct Mismatch<'w> {
    neighbour: &'w KernelNeighbour,
    /// The first of those that list the address; none where endpoints are not known.
    endpoint: Option<&'w Endpoint>,
    /// What the pod's own interface has, where it is another one.
    inside: Option<u64>,
}

fn mismatch<'w>(sight: &NodeSight<'w>, neighbour: &'w KernelNeighbour) -> Option<Mismatch<'w>> {
    neighbour.mac?;
    let differs = |mac: Option<u64>| mac.filter(|mac| Some(*mac) != neighbour.mac);
    let has = |inside: &&PodInside| inside.addresses.each().any(|address| *address == neighbour.address);
    let inside = sight.inside(&neighbour.dev).filter(has).and_then(|inside| differs(inside.mac));
    if !sight.knows_endpoints {
        let is_its = inside.is_some() && sight.evidence.is_workload(&neighbour.dev);
        return is_its.then_some(Mismatch { neighbour, endpoint: None, inside });
    }
    let lists = |e: &&&Endpoint| e.addresses().contains(&neighbour.address) && sight.may_live(e);
    let own: Vec<&Endpoint> = sight.endpoints_of(&neighbour.dev).iter().filter(lists).copied().collect();
    let first = *own.first()?;
    // A guest has a MAC of its own.
    let is_machine = matches!(sight.world.ledger.workload_of(first), Workload::Machine { .. });
    let is_wrong = inside.is_some() || own.iter().all(|e| differs(e.mac()).is_some());
    (is_wrong && !is_machine).then_some(Mismatch { neighbour, endpoint: Some(first), inside })
}

fn report(sight: &NodeSight<'_>, mismatch: &Mismatch<'_>) -> Finding {
    let (world, Mismatch { neighbour, endpoint, inside }) = (sight.world, mismatch);
    // The pod's own word comes first: the endpoint may be as old as the neighbour.
    let own = inside.or(endpoint.and_then(|e| e.mac())).map(mac_text).unwrap_or_default();
    let theirs = neighbour.mac.map(mac_text).unwrap_or_default();
    let is_followed = endpoint.is_some_and(|e| e.mac().is_some() && e.mac() == neighbour.mac);
    let pod = endpoint.and_then(|e| world.ledger.pod(e.namespace, e.pod)).filter(|_| is_followed);
    let home = world.ledger.scope.kubernetes_name(sight.calico);
    let whose = endpoint.map_or_else(|| neighbour.dev.raw().to_owned(), |e| pod_name(sight, e));
    let seen = sight.inside(&neighbour.dev).and_then(|inside| inside.mac);
    let advice = match is_followed {
        true => format!("its endpoint has the wrong MAC too: {}", restart_it(pod)),
        false => "when it lasts, restart calico-node on the node".to_owned(),
    };
    world
        .draft(&CHECK, sight.id(neighbour.address), format!("{theirs} on the node, {whose} has {own}"))
        .severity(if inside.is_some() { Severity::Error } else { Severity::Warning })
        .advice(advice)
        .restarts_pods(is_followed)
        .fact("address", neighbour.address)
        .fact("interfaces", vec![&neighbour.dev])
        .fact("neighbour_mac", theirs)
        .fact("inside_mac", seen.map(mac_text))
        .fact("endpoint", endpoint.map(|e| world.endpoint_facts(e)))
        .at_node(sight.evidence)
        .in_namespace(endpoint.map(|e| e.namespace).unwrap_or_default())
        .in_pool_of(neighbour.address)
        .restart_each(pod)
        .with_each((!is_followed).then_some(home), |d, home| d.restart_calico_node(home))
        .with_each(*endpoint, |d, e| d.rests_on_endpoint(e).rests_on_pod_named(e.namespace, e.pod))
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::node::testing::{NodeUnderTest, seen};
    use crate::checks::testing::{Cluster, addr};
    use crate::model::node_evidence::{Dump, NeighbourState};
    use crate::model::{Input, InputState};

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
            |c| {
                c.endpoint_mut("web-0").mac = None;
                c.node_mut().without_inside();
            },
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

    /// Felix follows the endpoint, and the endpoint kept the MAC of the pod's former sandbox.
    #[test]
    fn a_pod_with_another_mac_than_neighbour_and_endpoint_is_an_error_with_and_without_etcd() {
        let mut c = seen();
        c.node_mut().inside_of("web-0").mac = Some(0x0200_0000_0002);
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].severity, found[0].restarts_pods), (1, Severity::Error, true));
        assert!(found[0].summary.raw().ends_with(" on the node, shop/web-0 has 02:00:00:00:00:02"));
        c.snapshot.endpoints.clear();
        c.snapshot.coverage.set(Input::Endpoints, InputState::NotAsked, "");
        let dev = c.node_mut().neighbours().iter().find(|n| n.address == addr("10.65.0.1")).unwrap().dev.clone();
        let alone = c.find(&CHECK);
        assert_eq!((alone.len(), alone[0].severity), (1, Severity::Error));
        assert!(alone[0].summary.raw().ends_with(&format!(" on the node, {} has 02:00:00:00:00:02", dev.raw())));
        // A leftover is of an address that the pod does not have any more.
        c.node_mut().inside_of("web-0").addresses = Dump::Read(vec![addr("10.65.0.9")]);
        assert!(c.find(&CHECK).is_empty());
    }
}
