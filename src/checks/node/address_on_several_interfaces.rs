//! IPA704: one address on several interfaces of a node, by the node's own word. The incident of 2017.

use std::collections::{BTreeMap, BTreeSet};

use super::common::sight::{NodeSight, sights};
use super::common::trouble::{by_duplicate, is_link_local, pod_or_interface, verdict_facts};
use crate::checks::addresses::duplicate_pod_address::{restart_advice, to_restart};
use crate::checks::evidence::count;
use crate::checks::evidence::node::{route_facts, route_words};
use crate::checks::prelude::*;
use crate::ledger::{Use, Workload};
use crate::model::Foreign;
use crate::model::node_evidence::KernelRoute;

pub static CHECK: Check = Check {
    code: Code(704),
    name: "address-on-several-interfaces",
    severity: Severity::Critical,
    needs: Needs::E,
    steady: Steady::NodeReadApart,
    subject: SubjectKind::NodeAddress,
    finds: "One address on two or more workload interfaces of a node: host routes to them, PERMANENT neighbours behind \
        them, or the namespaces of their pods, where these were looked into. It needs no etcd. A neighbour counts where \
        the interface's endpoint lists the address or its pod has it; where neither was read, what rests on neighbours \
        is a warning. So is a second route behind the one in force to a pod that does not have the address.",
    matters: "One interface has the route, and with it the address; the pods behind all others are cut off: they are not \
        even answered when they ask for their gateway. Which pod wins changes with every restart.",
    arises: "IPAM gave one address to several pods, mostly after an address was released under a living one (IPA101). Since \
        Calico v3.32 no pod fails to start for it: Felix gives the route to the newest interface and keeps a neighbour for \
        each.",
    action: "Keep the pod that IPAM's allocation names, where etcd was read, and restart the others, one after the other: each \
        takes an address of its own. Then look for the cause, as IPA101 says.",
    silent: "What is left behind: a PERMANENT neighbour of an address that the interface's endpoint does not list (Felix \
        never removes one); neighbours that were learned; link-local addresses; what pods have inside and nothing \
        outside of them knows, neither a route or neighbour of the node nor an endpoint nor IPAM; several interfaces of one workload; a wrong route to a pod that was \
        looked into and has nothing to do with the address (IPA701, IPA703).",
    ties: Ties {
        harm: Harm::Outage,
        also: Needs::W.and(Needs::B),
        explained_by: Some(by_duplicate),
        many: "addresses on several interfaces",
        ..Ties::ANYBODYS
    },
    run,
};

/// What speaks for an address behind one interface.
#[derive(Clone, Copy, Default)]
struct Holds {
    route: bool,
    /// And it is the route in force.
    in_force: bool,
    neighbour: bool,
    /// The pod has it inside; `None`: nobody looked.
    inside: Option<bool>,
    /// An endpoint of the interface that may live lists it; `None`: endpoints were not read.
    listed: Option<bool>,
}

impl Holds {
    /// The kernel hands packets to it, or the pod or its endpoint says so too. A route to a pod that was looked into and has
    /// nothing to do with the address is a wrong route, and no second holder.
    fn is_sure(self) -> bool {
        let is_strange = match self.in_force {
            true => self.inside == Some(false) && self.listed == Some(false),
            // A second route hands nothing on: it is no holder where anybody says that the pod is none.
            false => self.inside == Some(false) || self.inside.is_none() && self.listed == Some(false),
        };
        self.route && !is_strange || self.inside == Some(true) || self.neighbour && self.listed == Some(true)
    }

    /// Whether it counts: also a neighbour of which nobody can say whether it is a leftover.
    fn counts(self) -> bool {
        self.is_sure() || self.neighbour && self.listed.is_none() && self.inside.is_none()
    }
}

type ByInterface = BTreeMap<Foreign, Holds>;

fn run(world: &World<'_>, findings: &mut FindingSink) {
    for sight in sights(world) {
        for (address, holds) in
            holds(&sight).into_iter().filter(|(address, holds)| is_anybodys(&sight, *address, holds))
        {
            // A second route takes the address as soon as the first one goes.
            let is_doubled = holds.values().filter(|holds| holds.route).count() > 1;
            let counts = |holds: &Holds| holds.counts() || is_doubled && holds.route;
            let counted: ByInterface = holds.into_iter().filter(|(_, holds)| counts(holds)).collect();
            if counted.len() > 1 && !are_of_one_workload(&sight, &counted) {
                findings.push(report(&sight, address, &counted));
            }
        }
    }
}

fn holds(sight: &NodeSight<'_>) -> BTreeMap<Addr, ByInterface> {
    let evidence = sight.evidence;
    let mut all: BTreeMap<Addr, ByInterface> = BTreeMap::new();
    let mut add = |address: Addr, dev: &Foreign, note: &dyn Fn(&mut Holds)| {
        if !is_link_local(address) && evidence.is_workload(dev) && sight.has_link(dev) {
            note(all.entry(address).or_default().entry(dev.clone()).or_default());
        }
    };
    for (dev, route) in sight.workload_routes() {
        add(route.dst.first(), dev, &|holds| holds.route = true);
    }
    for neighbour in evidence.neighbours.each().filter(|n| n.is_permanent() && evidence.lasts(n.seen)) {
        add(neighbour.address, &neighbour.dev, &|holds| holds.neighbour = true);
    }
    for (inside, dev) in sight.insides() {
        let Some(dev) = dev else { continue };
        inside.addresses.each().for_each(|address| add(*address, dev, &|holds| holds.inside = Some(true)));
    }
    all.retain(|_, devs| devs.len() > 1);
    for (address, devs) in &mut all {
        let winner = sight.way(*address).and_then(|way| way.route()).and_then(|route| route.dev());
        for (dev, holds) in devs {
            holds.in_force = holds.route && winner == Some(dev);
            holds.inside = sight.has_inside(dev, *address);
            let lists = |e: &&Endpoint| e.addresses().contains(address) && sight.may_live(e);
            holds.listed = sight.knows_endpoints.then(|| sight.endpoints_of(dev).iter().any(lists));
        }
    }
    all
}

/// Whether the node leads to it, an endpoint lists it or IPAM has given it away. What only pods have inside is their own
/// affair: a bridge in each of them, a second network, a service's address on the loopback.
fn is_anybodys(sight: &NodeSight<'_>, address: Addr, holds: &ByInterface) -> bool {
    let ledger = sight.world.ledger;
    holds.values().any(|holds| holds.route || holds.neighbour || holds.listed == Some(true))
        || ledger.endpoints_at(address).next().is_some()
        || ledger.allocations_at(address).iter().any(|given| given.used_for != Use::LoadBalancer)
}

fn are_of_one_workload(sight: &NodeSight<'_>, counted: &ByInterface) -> bool {
    let of = |dev: &Foreign| sight.endpoints_of(dev).first().map(|e| sight.world.ledger.workload_of(e));
    let workloads: BTreeSet<Option<Workload<'_>>> = counted.keys().map(of).collect();
    workloads.len() == 1 && !workloads.contains(&None)
}

/// The routes of an address to other workload interfaces than the one in force.
fn second_routes<'s>(
    sight: &'s NodeSight<'_>,
    address: Addr,
    winner: Option<&'s Foreign>,
) -> impl Iterator<Item = &'s KernelRoute> {
    let others = sight.workload_routes_to(address).filter(move |(dev, _)| winner.is_some_and(|winner| *dev != winner));
    others.map(|(_, route)| route)
}

fn report(sight: &NodeSight<'_>, address: Addr, counted: &ByInterface) -> Finding {
    let world = sight.world;
    let interfaces: Vec<Foreign> = counted.keys().cloned().collect();
    let sure = counted.values().filter(|holds| holds.is_sure()).count();
    let winner = sight.way(address).and_then(|way| way.route()).and_then(|route| route.dev());
    let winner = winner.filter(|dev| counted.contains_key(*dev));
    let refused = interfaces.iter().filter(|i| sight.verdict(i, address).is_some_and(|errno| errno != 0)).count();
    let mut summary = format!("on {}", count(interfaces.len(), "interface"));
    if let Some(dev) = winner {
        summary.push_str(&format!("; the route leads to {}", pod_or_interface(sight, dev).raw()));
    }
    let second = second_routes(sight, address, winner).next();
    if let Some(route) = second {
        summary.push_str(&format!("; a second route stands behind it: {}", route_words(route).raw()));
    }
    match refused {
        0 => {}
        1 => summary.push_str(", the kernel does not answer the other one"),
        many => summary.push_str(&format!(", the kernel answers none of the {many} others")),
    }
    let here = interfaces.iter().flat_map(|dev| sight.endpoints_of(dev)).copied();
    let (keep, pods) = to_restart(world, address, here, |e| Some(&sight.interface(e)) == winner);
    let advice = match (sure > 1, second) {
        (true, _) => restart_advice(world, keep),
        (false, Some(_)) => {
            "find who makes the second route, by its protocol, and delete it: no pod has to be restarted".to_owned()
        }
        (false, None) => "neighbours stay when an address goes: compare with etcd, or look into the pods".to_owned(),
    };
    let entry = |(dev, holds): (&Foreign, &Holds)| {
        Evidence::new()
            .with("interface", dev)
            .with("pod", pod_or_interface(sight, dev))
            .with("route", holds.route)
            .with("permanent_neighbour", holds.neighbour)
            .with("inside", holds.inside)
            .with("listed", holds.listed)
    };
    let endpoints = || interfaces.iter().flat_map(|dev| sight.endpoints_of(dev)).copied();
    world
        .draft(&CHECK, sight.id(address), summary)
        .severity(if sure > 1 { Severity::Critical } else { Severity::Warning })
        .advice(advice)
        .restarts_pods(sure > 1)
        .fact("address", address)
        .fact("interfaces", interfaces.clone())
        .fact("winner", winner)
        .fact("second_route", second.map(route_facts))
        .list("holds", counted, entry)
        .fact("verdicts", verdict_facts(sight, &interfaces, address))
        .at_node(sight.evidence)
        .in_pool_of(address)
        .next(format!("ipaudit who {address}"))
        .restart_each(pods.into_iter().filter(|_| sure > 1))
        .with_each(world.ledger.allocations_at(address), |d, a| d.rests_on_allocation(a))
        .with_each(endpoints(), |d, e| d.rests_on_endpoint(e).rests_on_pod_named(e.namespace, e.pod))
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::node::testing::{NodeUnderTest, keeps_ipams_own, seen};
    use crate::checks::testing::{Cluster, addr};
    use crate::model::node_evidence::{Dump, NeighbourState};
    use crate::model::{Input, InputState};

    #[test]
    fn clean_gives_nothing() {
        assert!(seen().find(&CHECK).is_empty());
    }

    /// web-0 to web-9, nine of them with web-0's address.
    fn incident() -> Cluster {
        let mut c = Cluster::healthy();
        for n in 4..13 {
            let pod = format!("web-{n}");
            c.pod("shop", &pod, "node-1", &["10.65.0.1"]);
            c.endpoint("shop", &pod, "node-1", &format!("{n:04}"), &["10.65.0.1"]);
        }
        c.see("node-1");
        c
    }

    #[test]
    fn ten_pods_are_one_finding_and_the_kernel_says_who_wins() {
        let mut c = incident();
        c.node_mut().without_inside();
        let found = c.find(&CHECK);
        assert_eq!(
            (found.len(), found[0].subject.id.raw(), found[0].severity),
            (1, "node-1 10.65.0.1", Severity::Critical)
        );
        let words = "on 10 interfaces; the route leads to shop/web-9, the kernel answers none of the 9 others";
        assert_eq!(found[0].summary, words);
        assert_eq!(found[0].evidence.entries("holds").count(), 10);
    }

    /// web-9 has the route, and IPA101 keeps the one that IPAM names.
    #[test]
    fn the_pod_that_ipam_names_is_kept_whoever_has_the_route() {
        keeps_ipams_own(&CHECK, &mut incident());
    }

    /// What a capture alone shows: neighbours may be leftovers, so it is a warning; what pods have inside is sure.
    #[test]
    fn without_etcd_neighbours_are_a_warning_and_the_insides_are_sure() {
        let mut c = incident();
        c.snapshot.endpoints.clear();
        c.snapshot.coverage.set(Input::Endpoints, InputState::NotAsked, "");
        assert_eq!(c.find(&CHECK)[0].severity, Severity::Critical, "looked into");
        c.node_mut().without_inside();
        let found = c.find(&CHECK);
        assert_eq!((found[0].severity, found[0].restarts_pods), (Severity::Warning, false));
    }

    /// The route in force is web-0's: nobody is cut off, and yet the second route waits for its turn.
    #[test]
    fn a_second_route_to_a_strange_pod_is_a_warning_that_names_it() {
        let doubled = |change: fn(&mut Cluster)| {
            let mut c = seen();
            let dev = c.interface_of("web-1");
            let second = c.node_mut().pod_route("10.65.0.1", &dev, 1024);
            c.node_mut().routes().push(second);
            change(&mut c);
            let [finding] = c.find(&CHECK).try_into().unwrap();
            assert_eq!((finding.severity, finding.restarts_pods), (Severity::Warning, false));
            let words = format!("a second route stands behind it: 10.65.0.1 dev {}", dev.raw());
            assert!(finding.summary.raw().contains(&words), "{}", finding.summary.raw());
            assert!(finding.advice.raw().starts_with("find who makes the second route"));
        };
        doubled(|_| {});
        doubled(|c| c.node_mut().without_inside());
        doubled(|c| {
            c.snapshot.endpoints.clear();
            c.snapshot.coverage.set(Input::Endpoints, InputState::NotAsked, "");
        });
    }

    #[test]
    fn one_other_is_told_as_one() {
        let mut c = Cluster::healthy();
        c.pod("shop", "web-9", "node-1", &["10.65.0.1"]);
        c.endpoint("shop", "web-9", "node-1", "9999", &["10.65.0.1"]);
        c.see("node-1");
        let words = "on 2 interfaces; the route leads to shop/web-9, the kernel does not answer the other one";
        assert_eq!(c.find(&CHECK)[0].summary, words);
    }

    #[test]
    fn two_routes_are_critical_by_themselves() {
        let mut c = seen();
        c.node_mut().without_inside();
        let dev = c.interface_of("web-1");
        let second = c.node_mut().pod_route("10.65.0.1", &dev, 0);
        c.node_mut().routes().push(second);
        c.snapshot.endpoints.clear();
        c.snapshot.coverage.set(Input::Endpoints, InputState::NotAsked, "");
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].severity), (1, Severity::Critical));
    }

    /// IPA701 tells of it; no pod has to be restarted.
    #[test]
    fn a_wrong_route_to_a_pod_that_does_not_have_the_address_is_no_second_holder() {
        let mut c = seen();
        let other = c.interface_of("web-1");
        c.node_mut().route_mut("10.65.0.1").hops[0].dev = other;
        assert!(c.find(&CHECK).is_empty());
        c.node_mut().without_inside();
        assert_eq!(c.find(&CHECK).len(), 1, "nobody looked whether it has it");
    }

    #[test]
    fn what_is_left_behind_is_no_holder() {
        let leftover = |change: fn(&mut Cluster)| {
            let mut c = seen();
            let dev = c.interface_of("web-1");
            let like = c.node_mut().neighbours()[0].clone();
            let neighbour = crate::model::node_evidence::KernelNeighbour { address: addr("10.65.0.1"), dev, ..like };
            c.node_mut().neighbours().push(neighbour);
            change(&mut c);
            c.find(&CHECK)
        };
        assert!(leftover(|_| {}).is_empty(), "the endpoint lists another address");
        assert!(leftover(|c| c.node_mut().without_inside()).is_empty());
        // Without endpoints, what the pod has inside tells.
        let no_etcd = |c: &mut Cluster| {
            c.snapshot.endpoints.clear();
            c.snapshot.coverage.set(Input::Endpoints, InputState::NotAsked, "");
        };
        assert!(leftover(no_etcd).is_empty());
        // A learned one never counts.
        assert!(
            leftover(|c| {
                c.node_mut().without_inside();
                c.node_mut().neighbours().last_mut().unwrap().state = NeighbourState::Stale.into();
                c.snapshot.endpoints.clear();
                c.snapshot.coverage.set(Input::Endpoints, InputState::NotAsked, "");
            })
            .is_empty()
        );
    }

    /// A bridge of Docker's in two pods, KubeVirt's in each of its launchers, one service's address on their loopbacks.
    #[test]
    fn what_only_pods_have_inside_is_their_own_affair() {
        let private = |change: fn(&mut Cluster)| {
            let mut c = seen();
            for pod in ["web-0", "web-1"] {
                let Dump::Read(inside) = &mut c.node_mut().inside_of(pod).addresses else { panic!("it was read") };
                inside.extend([addr("172.17.0.1"), addr("10.0.2.1"), addr("10.65.0.44")]);
            }
            change(&mut c);
            c.subjects(&CHECK)
        };
        assert!(private(|_| {}).is_empty());
        let no_etcd = |c: &mut Cluster| {
            c.snapshot.endpoints.clear();
            c.snapshot.coverage.set(Input::Endpoints, InputState::NotAsked, "");
        };
        assert!(private(no_etcd).is_empty());
        let routed = |c: &mut Cluster| {
            let dev = c.interface_of("web-1");
            let route = c.node_mut().pod_route("172.17.0.1", &dev, 0);
            c.node_mut().routes().push(route);
        };
        assert_eq!(private(routed), ["node-1 172.17.0.1"], "the node hands it to one of them");
    }

    #[test]
    fn one_pod_with_two_interfaces_and_a_pod_that_is_gone_are_none() {
        let mut c = Cluster::healthy();
        let net1 = c.name("net1");
        c.endpoint("shop", "web-0", "node-1", "7777", &["10.65.0.1"]).endpoint = net1;
        let other = crate::model::Interface::Cali(9);
        c.last_endpoint().interface = other;
        c.see("node-1");
        assert!(c.find(&CHECK).is_empty());
        let mut c = Cluster::healthy();
        c.endpoint("shop", "gone-0", "node-1", "7777", &["10.65.0.1"]);
        c.see("node-1");
        c.node_mut().without_inside();
        let dev = c.interface_of("web-0");
        let own = c.node_mut().pod_route("10.65.0.1", &dev, 1024);
        c.node_mut().remove_route("10.65.0.1");
        c.node_mut().routes().push(own);
        assert!(c.find(&CHECK).is_empty(), "the pod of the second endpoint does not exist");
    }

    #[test]
    fn neighbours_that_were_not_read_are_not_empty() {
        let mut c = incident();
        c.node_mut().without_inside();
        c.node_mut().neighbours = Dump::NotRead("errno 13".into());
        assert!(c.find(&CHECK).is_empty());
    }
}
