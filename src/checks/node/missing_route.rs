//! IPA702: a live pod to which the node has no route.

use std::collections::BTreeSet;

use super::common::sight::{NodeSight, sights};
use super::common::trouble::{pod_name, verdict_facts};
use crate::checks::endpoints::interface_clash;
use crate::checks::evidence::count;
use crate::checks::evidence::node::{route_facts, route_words};
use crate::checks::prelude::*;
use crate::model::Foreign;
use crate::model::node_evidence::Way;

pub static CHECK: Check = Check {
    code: Code(702),
    name: "missing-route",
    severity: Severity::Error,
    needs: Needs::E.and(Needs::W).and(Needs::P),
    steady: Steady::KubernetesReadApart,
    subject: SubjectKind::NodeAddress,
    finds: "A live pod of this node whose interface is up, and of whose address the node has no host route at all.",
    matters: "Nothing reaches the pod, not even from its own node: the block's blackhole swallows the address, so \
        connect() says \"Invalid argument\". The pod gets no answer when it asks for its gateway.",
    arises: "Felix lost the endpoint or never had it: it was busy when the node booted, a Typha was stale, or two \
        endpoints of the node have one interface name, of which only the lower id counts. Somebody deleted the route.",
    action: "A Felix that works puts back within 90 seconds what was deleted. What stays missing is put there when \
        calico-node starts anew on the node; where another endpoint has the interface's name, delete the one of the two \
        that is no pod's.",
    silent: "An interface that is missing, down or without carrier is IPA705 alone, a route elsewhere IPA701. Pods younger \
        than a minute, terminating, or of a machine that moves; interfaces of other networks than Calico's; a route that \
        only one reading missed.",
    ties: Ties {
        harm: Harm::Outage,
        explained_by: Some(explained_by),
        many: "addresses without a route",
        ..Ties::OURS
    },
    run,
};

/// Another endpoint of the node has the interface's name, and Felix takes that one.
fn explained_by(finding: &Finding, causes: &Causes<'_>) -> Option<Root> {
    let node = finding.evidence.text("node")?.raw();
    let mut interfaces = finding.evidence.texts("interfaces");
    let clash = |i: &Foreign| causes.no_milder(finding, interface_clash::CHECK.code, &format!("{node} {}", i.raw()));
    interfaces.find_map(clash)
}

fn run(world: &World<'_>, findings: &mut FindingSink) {
    for sight in sights(world).filter(|sight| sight.knows_endpoints) {
        let addresses: BTreeSet<Addr> = sight.endpoints.iter().flat_map(|e| e.addresses().to_vec()).collect();
        for address in addresses.into_iter().filter(|address| has_no_route(&sight, *address)) {
            let lost = sight.endpoints_at(address).iter().copied().filter(|e| is_wired(&sight, e));
            let lost: Vec<&Endpoint> = lost.collect();
            if !lost.is_empty() {
                findings.push(report(&sight, address, &lost));
            }
        }
    }
}

/// Whether no reading saw a host route of it, whichever table it is in.
fn has_no_route(sight: &NodeSight<'_>, address: Addr) -> bool {
    sight.table(address.is_v4()).is_some() && !sight.host_routes(address).any(|route| route.is_unicast())
}

/// Whether everything is there but the route.
fn is_wired(sight: &NodeSight<'_>, endpoint: &Endpoint) -> bool {
    let link = sight.link_of(endpoint);
    let is_calicos = link.is_some_and(|link| link.works() && sight.evidence.is_workload(&link.name));
    is_calicos && sight.lives(endpoint)
}

fn report(sight: &NodeSight<'_>, address: Addr, lost: &[&Endpoint]) -> Finding {
    let world = sight.world;
    let interfaces: Vec<Foreign> = lost.iter().map(|e| sight.interface(e)).collect();
    let is_lost = |e: &&&Endpoint| lost.iter().any(|own| std::ptr::eq(*own, **e));
    let others = interfaces.iter().flat_map(|interface| sight.endpoints_of(interface));
    let shadow = others.filter(|e| !is_lost(e)).copied().next();
    let way = sight.way(address);
    let route = way.and_then(Way::route);
    let is_kept = sight
        .evidence
        .neighbours
        .each()
        .any(|n| n.address == address && n.is_permanent() && interfaces.contains(&n.dev));
    let goes = match route {
        Some(route) if route.is_blackhole() => format!("{} swallows it", route_words(route).raw()),
        Some(route) if route.drops() => format!("{} drops it", route_words(route).raw()),
        Some(route) => format!("it leaves by {}", route_words(route).raw()),
        None => "there is no way at all".to_owned(),
    };
    let who = match lost {
        [one] => pod_name(sight, one),
        many => count(many.len(), "pod"),
    };
    let advice = match shadow {
        Some(e) => format!(
            "endpoint {} has the same interface name; remove the one that is no pod's",
            world.snapshot.endpoint_id(e)
        ),
        None => "when it is not back after 90 s, restart calico-node on the node".to_owned(),
    };
    let home = world.ledger.scope.kubernetes_name(sight.calico);
    world
        .draft(&CHECK, sight.id(address), format!("no route to {who}: {goes}"))
        .advice(advice)
        .fact("address", address)
        .fact("interfaces", interfaces.clone())
        .fact("instead", route.map(route_facts))
        // With one the route was lost, or the carrier; without, Felix never had the endpoint, or the interface was down.
        .fact("permanent_neighbour", is_kept)
        .fact("shadowed_by", shadow.map(|e| world.snapshot.endpoint_id(e)))
        .fact("verdicts", verdict_facts(sight, &interfaces, address))
        .list("endpoints", lost, |e| world.endpoint_facts(e))
        .at_node(sight.evidence)
        .in_namespace(lost.first().map(|e| e.namespace).unwrap_or_default())
        .in_pool_of(address)
        .with_each(shadow.is_none().then_some(home), |d, home| d.restart_calico_node(home))
        .next(format!("ipaudit who {address}"))
        .with_each(lost, |d, e| d.rests_on_endpoint(e).rests_on_pod_named(e.namespace, e.pod))
        .with_each(shadow, |d, e| d.rests_on_endpoint(e))
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::node::testing::{NodeUnderTest, seen};
    use crate::checks::testing::Cluster;

    /// What Felix keeps while a machine moves is a route of the main table to an interface, and nothing else.
    #[test]
    fn another_route_of_the_migrations_metric_hides_no_lost_pod() {
        let mut c = seen();
        let dev = c.interface_of("web-0");
        let mut other = c.node_mut().pod_route("10.65.0.1", &dev, 512);
        (other.table, other.hops, other.kind) =
            (77, Vec::new(), crate::model::node_evidence::RouteKind::Blackhole.into());
        c.node_mut().remove_route("10.65.0.1");
        c.node_mut().routes().push(other.clone());
        assert_eq!(c.subjects(&CHECK), ["node-1 10.65.0.1"]);
        other.table = crate::model::node_evidence::MAIN_TABLE;
        c.node_mut().routes().push(other);
        assert_eq!(c.subjects(&CHECK), ["node-1 10.65.0.1"]);
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(seen().find(&CHECK).is_empty());
    }

    fn without_route() -> Cluster {
        let mut c = seen();
        c.node_mut().remove_route("10.65.0.1");
        c
    }

    #[test]
    fn the_blocks_blackhole_swallows_the_address() {
        let found = without_route().find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "node-1 10.65.0.1"));
        assert_eq!(found[0].summary, "no route to shop/web-0: blackhole 10.65.0.0/26 proto bird swallows it");
        assert_eq!(found[0].evidence.get("permanent_neighbour"), Some(&true.into()));
        assert!(found[0].next[0].raw().starts_with("kubectl delete pods"));
    }

    #[test]
    fn a_shadowing_endpoint_is_named() {
        let mut c = without_route();
        let interface = c.endpoint_mut("web-0").interface;
        c.endpoint("shop", "ghost-0", "node-1", "7777", &["10.65.0.9"]).interface = interface;
        let found = c.find(&CHECK);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].evidence.text("shadowed_by").unwrap(), "shop/node--1-k8s-ghost--0-eth0");
    }

    #[test]
    fn what_is_no_fault_of_the_route_is_not_told() {
        for change in [
            (|c: &mut Cluster| c.pod_mut("web-0").created = Some(c.ago(30))) as fn(&mut Cluster),
            |c| c.pod_mut("web-0").deleting = Some(c.ago(1)),
            |c| c.remove_pod("web-0"),
            |c| {
                let interface = c.interface_of("web-0");
                c.node_mut().link_mut(&interface).up = false;
            },
            |c| {
                let other = c.interface_of("web-1");
                let mut route = c.node_mut().route_mut("10.65.0.2").clone();
                route.dst = Cidr::parse("10.65.0.1/32").unwrap().0;
                (route.hops[0].dev, route.seen) = (other, 1);
                c.node_mut().routes().push(route);
            },
            // Routed in a table of its own.
            |c| {
                let mut route = c.node_mut().route_mut("10.65.0.2").clone();
                (route.dst, route.table) = (Cidr::parse("10.65.0.1/32").unwrap().0, 77);
                c.node_mut().routes().push(route);
            },
            |c| c.node_mut().routes4 = crate::model::node_evidence::Dump::NotRead("torn".into()),
        ] {
            let mut c = without_route();
            change(&mut c);
            assert!(c.find(&CHECK).is_empty());
        }
    }
}
