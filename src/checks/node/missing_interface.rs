//! IPA705: a live pod whose interface on the node is gone or dead.

use std::collections::BTreeMap;

use super::common::sight::{NodeSight, sights};
use super::common::trouble::{pod_name, set_up};
use crate::checks::evidence::node::link_facts;
use crate::checks::prelude::*;
use crate::model::Foreign;

pub static CHECK: Check = Check {
    code: Code(705),
    name: "missing-interface",
    severity: Severity::Error,
    needs: Needs::E.and(Needs::W).and(Needs::P),
    steady: Steady::KubernetesReadApart,
    subject: SubjectKind::Interface,
    finds: "A live pod of this node, with an endpoint there, whose interface on the host does not exist, is down, or has \
        no carrier: its other end, inside of the pod, is down.",
    matters: "The pod has no network. Felix has taken its route away, and puts it back as soon as the interface works.",
    arises: "The interface was deleted or set down by hand or by another tool; the interface inside was set down; the \
        pod's network namespace was torn down under it.",
    action: "Set the interface up where it is only down; else restart the pod.",
    silent: "Pods younger than a minute, terminating, or of a machine that moves; what the two readings do not agree on; a \
        node of which no endpoint has an interface in the kernel at all (another node's evidence, or VPP).",
    ties: Ties { harm: Harm::Outage, many: "interfaces that are missing or dead", ..Ties::OURS },
    run,
};

/// What is wrong with an interface.
#[derive(Clone, Copy, PartialEq, Eq)]
enum InterfaceFault {
    Missing,
    Down,
    NoCarrier,
}

impl InterfaceFault {
    const fn word(self) -> &'static str {
        match self {
            InterfaceFault::Missing => "missing",
            InterfaceFault::Down => "down",
            InterfaceFault::NoCarrier => "no-carrier",
        }
    }

    const fn words(self) -> &'static str {
        match self {
            InterfaceFault::Missing => "does not exist",
            InterfaceFault::Down => "is set down",
            InterfaceFault::NoCarrier => "has no carrier",
        }
    }
}

fn run(world: &World<'_>, findings: &mut FindingSink) {
    for sight in sights(world).filter(|sight| sight.knows_endpoints && sight.evidence.links.read().is_some()) {
        let mut of: BTreeMap<Foreign, Vec<&Endpoint>> = BTreeMap::new();
        for endpoint in sight.endpoints.iter().filter(|e| !e.interface().is_none() && sight.lives(e)) {
            of.entry(sight.interface(endpoint)).or_default().push(endpoint);
        }
        for (interface, endpoints) in of {
            if let Some(fault) = fault(&sight, &interface) {
                findings.push(report(&sight, &interface, fault, &endpoints));
            }
        }
    }
}

fn fault(sight: &NodeSight<'_>, interface: &Foreign) -> Option<InterfaceFault> {
    if !sight.has_link(interface) {
        return Some(InterfaceFault::Missing);
    }
    let link = sight.link(interface)?;
    match (link.up, link.carrier) {
        (false, _) => Some(InterfaceFault::Down),
        (true, false) => Some(InterfaceFault::NoCarrier),
        (true, true) => None,
    }
}

fn report(sight: &NodeSight<'_>, interface: &Foreign, fault: InterfaceFault, endpoints: &[&Endpoint]) -> Finding {
    let world = sight.world;
    let pods: Vec<String> = endpoints.iter().map(|e| pod_name(sight, e)).collect();
    let addresses: Vec<String> = endpoints.iter().flat_map(|e| e.addresses().to_vec()).map(|a| a.to_string()).collect();
    let (what, instead) = match fault {
        InterfaceFault::Down => ("set it up, on the node itself", true),
        InterfaceFault::Missing | InterfaceFault::NoCarrier => ("restart the pod", false),
    };
    let pod = endpoints.iter().find_map(|e| world.ledger.pod(e.namespace, e.pod)).filter(|_| !instead);
    let summary = format!("of {}, {}: {}", pods.join(", "), addresses.join(" "), fault.words());
    world
        .draft(&CHECK, sight.id(interface.raw()), summary)
        .advice(what)
        .restarts_pods(!instead)
        .fact("interfaces", vec![interface])
        .fact("fault", fault.word())
        .fact("link", sight.link(interface).map(link_facts))
        .list("endpoints", endpoints, |e| world.endpoint_facts(e))
        .at_node(sight.evidence)
        .in_namespace(endpoints.first().map(|e| e.namespace).unwrap_or_default())
        .with_each(endpoints.first().and_then(|e| e.addresses().first().copied()), |d, a| d.in_pool_of(a))
        .restart_each(pod)
        .with_each(instead.then(|| set_up(interface)), |d, command| d.next(command))
        .with_each(&addresses, |d, a| d.next(format!("ipaudit who {a}")))
        .with_each(endpoints, |d, e| d.rests_on_endpoint(e).rests_on_pod_named(e.namespace, e.pod))
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::node::testing::{NodeUnderTest, seen};
    use crate::checks::testing::Cluster;
    use crate::model::node_evidence::Dump;

    #[test]
    fn clean_gives_nothing() {
        assert!(seen().find(&CHECK).is_empty());
    }

    fn with(change: impl Fn(&mut Cluster, &Foreign)) -> Vec<Finding> {
        let mut c = seen();
        let interface = c.interface_of("web-0");
        change(&mut c, &interface);
        c.find(&CHECK)
    }

    #[test]
    fn an_interface_that_is_missing_down_or_without_carrier_is_told_once() {
        let told = |found: Vec<Finding>| {
            let [finding] = found.try_into().unwrap();
            (finding.evidence.text("fault").unwrap().raw().to_owned(), finding.restarts_pods)
        };
        let gone = with(|c, interface| c.node_mut().links().retain(|link| link.name != *interface));
        assert_eq!(gone[0].summary, "of shop/web-0, 10.65.0.1: does not exist");
        assert_eq!(told(gone), ("missing".to_owned(), true));
        let down = with(|c, interface| {
            (c.node_mut().link_mut(interface).up, c.node_mut().link_mut(interface).carrier) = (false, false)
        });
        assert_eq!(
            down[0].next[0].raw(),
            format!("ip link set {} up", down[0].subject.id.raw().split(' ').next_back().unwrap())
        );
        assert_eq!(told(down), ("down".to_owned(), false));
        assert_eq!(told(with(|c, i| c.node_mut().link_mut(i).carrier = false)), ("no-carrier".to_owned(), true));
    }

    #[test]
    fn what_is_young_gone_changing_unread_or_of_another_node_is_not_told() {
        for change in [
            (|c: &mut Cluster| c.pod_mut("web-0").created = Some(c.ago(30))) as fn(&mut Cluster),
            |c| c.remove_pod("web-0"),
            |c| c.node_mut().links = Dump::NotRead("torn".into()),
            |c| {
                c.node_mut().readings = 2;
                let interface = c.interface_of("web-0");
                c.node_mut().link_mut(&interface).seen = 1;
            },
            // None of the node's endpoints is in its kernel.
            |c| {
                c.node_mut().links().iter_mut().for_each(|link| link.name = format!("x{}", link.name.raw()).into());
            },
        ] {
            let found = with(|c, interface| {
                c.node_mut().link_mut(interface).carrier = false;
                change(c);
            });
            assert!(found.is_empty(), "{found:?}");
        }
    }
}
