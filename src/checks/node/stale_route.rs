//! IPA703: a route to an interface for an address that nobody has there.

use std::collections::BTreeSet;

use super::common::sight::{NodeSight, sights};
use crate::checks::evidence::node::{route_facts, route_words};
use crate::checks::prelude::*;
use crate::ledger::Via;
use crate::model::Foreign;
use crate::model::node_evidence::{KernelRoute, RouteProtocol};

pub static CHECK: Check = Check {
    code: Code(703),
    name: "stale-route",
    severity: Severity::Warning,
    needs: Needs::E.and(Needs::W).and(Needs::P),
    steady: Steady::KubernetesReadApart,
    subject: SubjectKind::NodeAddress,
    finds: "A host route to a workload interface that exists, of an address that no endpoint of this node lists. An error \
        when a pod on another node has the address.",
    matters: "What this node and its pods send to the address ends in an interface that does not have it: the pod on the \
        other node cannot be reached from here.",
    arises: "Felix takes such a route away within 100 seconds. One that stays means that Felix is dead, that Calico does \
        policy only, or that `RemoveExternalRoutes` is off.",
    action: "See whether calico-node works on the node (IPA724); at its start it removes the route.",
    silent: "Floating addresses of an endpoint; routes that BIRD learned from a pod which speaks BGP; CNI's own route \
        (metric 0) while a pod of the node is young or has no endpoint yet; an address that another endpoint of this node \
        lists (IPA701).",
    ties: Ties { harm: Harm::Outage, many: "stale routes", ..Ties::OURS },
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    for sight in sights(world).filter(|sight| sight.knows_endpoints && world.ledger.scope.judged(sight.calico)) {
        let floating: BTreeSet<Addr> = sight.endpoints.iter().flat_map(|e| e.nats()).map(|nat| nat.external).collect();
        let is_stale = |route: &KernelRoute| !floating.contains(&route.dst.first()) && is_stale(&sight, route);
        let stale = sight.workload_routes().filter(|(dev, r)| is_stale(r) && sight.has_link(dev));
        let stale: Vec<_> = stale.collect();
        let is_unsettled = stale.iter().any(|(_, route)| route.metric == 0) && sight.has_unsettled_pod();
        for (dev, route) in stale.into_iter().filter(|(_, route)| route.metric > 0 || !is_unsettled) {
            findings.push(report(&sight, dev, route));
        }
    }
}

fn is_stale(sight: &NodeSight<'_>, route: &KernelRoute) -> bool {
    let address = route.dst.first();
    let is_learned = route.protocol.known() == Some(RouteProtocol::Bird);
    sight.endpoints_at(address).is_empty() && !is_learned
}

fn report(sight: &NodeSight<'_>, dev: &Foreign, route: &KernelRoute) -> Finding {
    let (world, address) = (sight.world, route.dst.first());
    let holds = |claim: &&Claim| claim.grade == Grade::Certain && claim.via == Via::Object;
    let holder = world.ledger.claims_at(address).iter().find(holds);
    let elsewhere = world.ledger.endpoints_at(address).find(|(_, grade)| *grade == Grade::Certain).map(|(e, _)| e);
    let place = elsewhere.map(|e| format!("{} has it on {}", world.pair(e.namespace, e.pod), world.text(e.node)));
    let place = place.or_else(|| holder.map(|_| "a pod has it elsewhere".to_owned()));
    let words = place.unwrap_or_else(|| "no endpoint has it".to_owned());
    let home = world.ledger.scope.kubernetes_name(sight.calico);
    world
        .draft(&CHECK, sight.id(address), format!("routed to {}, {words}", dev.raw()))
        .severity(if holder.is_some() { Severity::Error } else { Severity::Warning })
        .advice("when it stays for more than 100 s, Felix does not work there: restart calico-node on the node")
        .fact("address", address)
        .fact("interfaces", vec![dev])
        .fact("route", route_facts(route))
        .fact("route_words", route_words(route))
        .fact("elsewhere", elsewhere.map(|e| world.endpoint_facts(e)))
        .list("interface_endpoints", sight.endpoints_of(dev), |e| world.endpoint_facts(e))
        .at_node(sight.evidence)
        .in_pool_of(address)
        .restart_calico_node(home)
        .next(format!("ipaudit who {address}"))
        .looks_at(Look::CalicoNode(sight.calico))
        .looks_at(Look::KubeNode(home))
        .with_each(elsewhere, |d, e| d.rests_on_endpoint(e).rests_on_pod_named(e.namespace, e.pod))
        .with_each(sight.endpoints_of(dev), |d, e| d.rests_on_endpoint(e))
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::node::testing::{NodeUnderTest, seen};
    use crate::checks::testing::{Cluster, addr};
    use crate::model::Nat;

    #[test]
    fn clean_gives_nothing() {
        assert!(seen().find(&CHECK).is_empty());
    }

    fn stale(address: &str) -> Cluster {
        let mut c = seen();
        let dev = c.interface_of("web-0");
        let route = c.node_mut().pod_route(address, &dev, 1024);
        c.node_mut().routes().push(route);
        c
    }

    #[test]
    fn a_warning_where_nobody_has_the_address_and_an_error_where_a_pod_elsewhere_does() {
        let mut c = stale("10.65.0.9");
        let found = c.find(&CHECK);
        assert_eq!(
            (found.len(), found[0].subject.id.raw(), found[0].severity),
            (1, "node-1 10.65.0.9", Severity::Warning)
        );
        let found = stale("10.65.0.65").find(&CHECK);
        assert_eq!(found[0].severity, Severity::Error);
        assert!(found[0].summary.raw().ends_with("shop/web-2 has it on node-2"), "{:?}", found[0].summary);
    }

    #[test]
    fn floating_learned_and_new_routes_are_not() {
        for change in [
            (|c: &mut Cluster| {
                let nat = Nat { internal: addr("10.65.0.1"), external: addr("10.65.0.9") };
                c.endpoint_mut("web-0").nats = [nat].into();
            }) as fn(&mut Cluster),
            |c| c.node_mut().route_mut("10.65.0.9").protocol = RouteProtocol::Bird.into(),
            |c| {
                c.node_mut().route_mut("10.65.0.9").metric = 0;
                c.pod("shop", "new-0", "node-1", &[]).created = None;
            },
            |c| {
                c.node_mut().readings = 2;
                c.node_mut().route_mut("10.65.0.9").seen = 2;
            },
            |c| c.remove_kube_node("node-1"),
        ] {
            let mut c = stale("10.65.0.9");
            change(&mut c);
            assert!(c.find(&CHECK).is_empty());
        }
    }
}
