//! IPA701: the route of a pod's address leads past the pod.

use std::collections::BTreeSet;

use super::common::sight::{NodeSight, sights};
use super::common::trouble::{by_duplicate, pod_name, verdict_facts};
use crate::checks::addresses::duplicate_pod_address::{restart_advice, to_restart};
use crate::checks::evidence::count;
use crate::checks::evidence::node::{route_facts, route_words};
use crate::checks::prelude::*;
use crate::model::Foreign;
use crate::model::node_evidence::KernelRoute;

pub static CHECK: Check = Check {
    code: Code(701),
    name: "wrong-interface-route",
    severity: Severity::Critical,
    needs: Needs::E.and(Needs::W),
    steady: Steady::NodeReadApart,
    subject: SubjectKind::NodeAddress,
    finds: "An endpoint of this node whose address the node's kernel routes elsewhere: the host route in force (lowest \
        metric, of equal ones the first) leads to another pod's interface, to a tunnel or to the uplink, shares the traffic out \
        between the pod and others, or drops it before the pod's own route.",
    matters: "Whatever is sent to the address reaches another pod, or leaves the node. The pod itself gets no answer \
        when it asks for its gateway, since the kernel checks the way back first, and so it has no network at all.",
    arises: "Several pods of the node have one address: Felix gives the route to the newest interface (IPA704). Somebody \
        put a route there by hand; or a route with metric 0 by the uplink, of a borrowed address or of a stale endpoint on \
        another node, stands before the pod's own.",
    action: "Where pods share the address, keep the one that IPAM's allocation names and restart the others: each takes an \
        address of its own. A route to \
        an interface whose endpoint does not list the address goes within 100 seconds while Felix works; one by the uplink \
        never does: find who makes it, by its protocol, and delete it.",
    silent: "A machine that is being moved to another node (Felix routes it with metric 512, and its target has no route); \
        several endpoints of one pod; pods younger than a minute, and what the two readings of the node do not agree on; \
        an interface that is missing, down or without carrier (IPA705).",
    ties: Ties {
        harm: Harm::Outage,
        also: Needs::P.and(Needs::B),
        explained_by: Some(by_duplicate),
        many: "addresses that are routed past their pods",
        ..Ties::OURS
    },
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    for sight in sights(world).filter(|sight| sight.knows_endpoints) {
        let addresses: BTreeSet<Addr> = sight.endpoints.iter().flat_map(|e| e.addresses().to_vec()).collect();
        for address in addresses {
            let has_other = || sight.host_routes(address).any(|route| route.is_unicast());
            let counts = |r: &&KernelRoute| r.is_host() && (r.is_unicast() || r.drops() && has_other());
            let route = sight.way(address).and_then(|way| way.route()).filter(counts);
            let Some(route) = route else { continue };
            let cut_off = cut_off(&sight, address, route);
            if !cut_off.is_empty() {
                findings.push(report(&sight, address, route, &cut_off));
            }
        }
    }
}

/// The endpoints that list the address and do not have its route.
fn cut_off<'w>(sight: &NodeSight<'w>, address: Addr, route: &KernelRoute) -> Vec<&'w Endpoint> {
    let ledger = sight.world.ledger;
    let here = sight.endpoints_at(address);
    // Another interface of the very same pod is as good; one hop elsewhere takes a part of the traffic away.
    let is_its = |dev: &Foreign, e: &Endpoint| {
        *dev == sight.interface(e)
            || sight.endpoints_of(dev).iter().any(|other| ledger.workload_of(other) == ledger.workload_of(e))
    };
    let has_route = |e: &Endpoint| !route.hops.is_empty() && route.hops.iter().all(|hop| is_its(&hop.dev, e));
    let winners: Vec<_> = here.iter().filter(|e| has_route(e)).map(|e| ledger.workload_of(e)).collect();
    let works = |e: &&&Endpoint| sight.link_of(e).is_some_and(|link| link.works()) && sight.may_live(e);
    let cut = here.iter().filter(works).filter(|e| !winners.contains(&ledger.workload_of(e)));
    cut.copied().collect()
}

/// What becomes of it when nobody does anything.
fn heals(sight: &NodeSight<'_>, address: Addr, route: &KernelRoute) -> &'static str {
    match route.dev() {
        Some(dev) if sight.endpoints_of(dev).iter().any(|e| e.addresses().contains(&address)) => {
            "never: an endpoint of that interface lists the address too"
        }
        Some(dev) if sight.evidence.is_workload(dev) => "within 100 s, while Felix works",
        _ => "never: Felix leaves routes alone that lead to no pod's interface",
    }
}

fn report(sight: &NodeSight<'_>, address: Addr, route: &KernelRoute, cut_off: &[&Endpoint]) -> Finding {
    let world = sight.world;
    let heals = heals(sight, address, route);
    let is_shared = heals.contains("lists the address");
    let is_foreign = heals.starts_with("never") && !is_shared;
    let who = match cut_off {
        [one] => format!("{} is cut off", pod_name(sight, one)),
        many => format!("{} are cut off", count(many.len(), "pod")),
    };
    let interfaces: Vec<Foreign> = cut_off.iter().map(|e| sight.interface(e)).collect();
    let is_shared_out = route.hops.iter().any(|hop| interfaces.contains(&hop.dev));
    let to = match route.dev().map(|dev| (dev, sight.endpoints_of(dev))) {
        Some((dev, [winner, ..])) => format!("{} of {}", dev.raw(), pod_name(sight, winner)),
        Some((dev, [])) => dev.raw().to_owned(),
        None => "several interfaces".to_owned(),
    };
    let summary = match () {
        () if route.drops() => {
            format!("{who}: the route in force drops what is sent to it: {}", route_words(route).raw())
        }
        () if is_shared_out => {
            format!("{who} from a part of its traffic: the route shares it out: {}", route_words(route).raw())
        }
        // Its protocol and gateway say who made it.
        () if is_foreign => format!("{who}: the route leads to {to}: {}", route_words(route).raw()),
        () => format!("{who}: the route leads to {to}"),
    };
    let here = sight.endpoints_at(address).iter().copied();
    let (keep, pods) = to_restart(world, address, here, |e| cut_off.iter().all(|cut| !std::ptr::eq(*cut, e)));
    let advice = match is_shared {
        true => restart_advice(world, keep),
        false if is_foreign => "find who makes this route, by its protocol, and delete it".to_owned(),
        false => format!("it heals {heals}"),
    };
    world
        .draft(&CHECK, sight.id(address), summary)
        .advice(advice)
        .restarts_pods(is_shared)
        .fact("address", address)
        .fact("route", route_facts(route))
        .fact("route_words", route_words(route))
        .fact("heals", heals)
        .fact("interfaces", interfaces.clone())
        .fact("verdicts", verdict_facts(sight, &interfaces, address))
        .list("endpoints", cut_off, |e| world.endpoint_facts(e))
        .at_node(sight.evidence)
        .in_namespace(if let [one] = cut_off { one.namespace } else { Name::NONE })
        .in_pool_of(address)
        .next(format!("ipaudit who {address}"))
        .restart_each(pods.into_iter().filter(|_| is_shared))
        .with_each(world.ledger.allocations_at(address), |d, a| d.rests_on_allocation(a))
        .with_each(cut_off, |d, e| d.rests_on_endpoint(e).rests_on_pod_named(e.namespace, e.pod))
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::node::testing::{NodeUnderTest, keeps_ipams_own, seen};
    use crate::checks::testing::{Cluster, addr};
    use crate::model::node_evidence::{Hop, RouteKind};

    #[test]
    fn clean_gives_nothing() {
        assert!(seen().find(&CHECK).is_empty());
    }

    #[test]
    fn a_route_to_another_pods_interface_cuts_the_pod_off() {
        let mut c = seen();
        let other = c.interface_of("web-1");
        c.node_mut().route_mut("10.65.0.1").hops[0].dev = other.clone();
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "node-1 10.65.0.1"));
        let words = format!("shop/web-0 is cut off: the route leads to {} of shop/web-1", other.raw());
        assert_eq!(found[0].summary, words);
        assert_eq!(found[0].evidence.text("heals").unwrap(), "within 100 s, while Felix works");
        assert_eq!(found[0].node.as_ref().unwrap(), "node-1");
    }

    #[test]
    fn the_twins_of_2017_are_one_finding_that_never_heals() {
        let mut c = twins();
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].severity), (1, Severity::Critical));
        assert_eq!(found[0].evidence.entries("endpoints").count(), 1);
        assert!(found[0].evidence.text("heals").unwrap().raw().starts_with("never: an endpoint"));
        assert!(found[0].restarts_pods);
    }

    /// web-9 has the route, and IPA101 keeps the one that IPAM names.
    #[test]
    fn the_pod_that_ipam_names_is_kept_whoever_has_the_route() {
        keeps_ipams_own(&CHECK, &mut twins());
    }

    /// web-9 came later with web-0's address: the route is its.
    fn twins() -> Cluster {
        let mut c = Cluster::healthy();
        c.pod("shop", "web-9", "node-1", &["10.65.0.1"]);
        c.endpoint("shop", "web-9", "node-1", "9999", &["10.65.0.1"]);
        c.see("node-1");
        c
    }

    #[test]
    fn a_metric_0_route_by_the_uplink_is_in_force() {
        let mut c = seen();
        let by_uplink = c.node_mut().gateway_route("10.65.0.1/32", "192.168.0.2", "eth0");
        c.node_mut().routes().push(by_uplink);
        let found = c.find(&CHECK);
        let words = "shop/web-0 is cut off: the route leads to eth0: 10.65.0.1 via 192.168.0.2 dev eth0 proto bird";
        assert_eq!(found[0].summary, words);
        assert!(found[0].evidence.text("heals").unwrap().raw().starts_with("never: Felix leaves"));
        assert_eq!(found[0].evidence.text("route_words").unwrap(), "10.65.0.1 via 192.168.0.2 dev eth0 proto bird");
    }

    #[test]
    fn a_route_that_drops_stands_before_the_pods_own() {
        for kind in [RouteKind::Blackhole, RouteKind::Unreachable, RouteKind::Prohibit, RouteKind::Throw] {
            let mut c = seen();
            let dev = c.interface_of("web-0");
            let drops = c.node_mut().pod_route("10.65.0.1", &dev, 5);
            c.node_mut().routes().insert(0, KernelRoute { kind: kind.into(), hops: Vec::new(), ..drops });
            let found = c.find(&CHECK);
            assert_eq!((found.len(), found[0].subject.id.raw()), (1, "node-1 10.65.0.1"));
            let words = format!("drops what is sent to it: {} 10.65.0.1 proto boot metric 5", kind.word());
            assert!(found[0].summary.raw().ends_with(&words), "{:?}", found[0].summary);
            assert!(c.find(&super::super::missing_route::CHECK).is_empty(), "one of the two");
            // One that stands behind the pod's own drops nothing.
            c.node_mut().routes()[0].metric = 2_000;
            assert!(c.find(&CHECK).is_empty());
        }
    }

    #[test]
    fn a_route_that_shares_out_takes_a_part_of_the_pods_traffic_away() {
        let with = |hops: fn(&mut Cluster) -> Vec<Hop>| {
            let mut c = seen();
            let dev = c.interface_of("web-0");
            let mut shared = c.node_mut().pod_route("10.65.0.1", &dev, 5);
            shared.hops.extend(hops(&mut c));
            c.node_mut().routes().push(shared);
            c.find(&CHECK)
        };
        let uplink = with(|_| vec![Hop { dev: "eth0".into(), gateway: Some(addr("192.168.0.2")) }]);
        assert_eq!((uplink.len(), uplink[0].severity), (1, Severity::Critical));
        assert!(uplink[0].summary.raw().starts_with("shop/web-0 is cut off from a part of its traffic: "));
        let other = with(|c| vec![Hop { dev: c.interface_of("web-1"), gateway: None }]);
        assert_eq!(other.len(), 1);
        assert!(with(|c| vec![Hop { dev: c.interface_of("web-0"), gateway: None }]).is_empty());
    }

    /// Packets of one TOS, or of some senders: nobody else's.
    #[test]
    fn a_route_for_some_packets_alone_is_no_ones_way() {
        let mut c = seen();
        let other = c.interface_of("web-1");
        let narrow = c.node_mut().pod_route("10.65.0.1", &other, 0);
        c.node_mut().routes().insert(0, KernelRoute { narrow: true, ..narrow });
        assert!(c.find(&CHECK).is_empty());
        c.node_mut().routes()[0].narrow = false;
        assert_eq!(c.find(&CHECK).len(), 1);
    }

    #[test]
    fn what_is_young_moves_or_is_unsettled_is_not_judged() {
        for change in [
            (|c: &mut Cluster| c.pod_mut("web-0").created = Some(c.ago(30))) as fn(&mut Cluster),
            |c| c.pod_mut("web-0").deleting = Some(c.ago(1)),
            |c| c.remove_pod("web-0"),
            |c| c.node_mut().route_mut("10.65.0.1").metric = 512,
            |c| {
                c.node_mut().readings = 2;
                c.node_mut().route_mut("10.65.0.1").seen = 1;
            },
            |c| {
                let interface = c.interface_of("web-0");
                c.node_mut().link_mut(&interface).carrier = false;
            },
        ] {
            let mut c = seen();
            let other = c.interface_of("web-1");
            c.node_mut().route_mut("10.65.0.1").hops[0].dev = other;
            change(&mut c);
            assert!(c.find(&CHECK).is_empty());
        }
    }

    #[test]
    fn routes_that_were_not_read_accuse_nobody() {
        let mut c = seen();
        c.node_mut().routes4 = crate::model::node_evidence::Dump::NotRead("errno 13".into());
        assert!(c.find(&CHECK).is_empty());
    }
}
