//! IPA711: what the pod itself sees of its gateway.

use super::common::folds::by_cut;
use super::common::sight::{NodeSight, sights};
use super::common::trouble::{is_cut_off, pod_or_interface};
use super::gateway_unanswered;
use crate::checks::prelude::*;
use crate::model::Foreign;
use crate::model::node_evidence::PodInside;

pub static CHECK: Check = Check {
    code: Code(711),
    name: "gateway-failed",
    severity: Severity::Warning,
    needs: Needs::E,
    steady: Steady::NodeReadApart,
    subject: SubjectKind::NodeAddress,
    finds: "A pod that was looked into and has its gateway, 169.254.1.1, as FAILED or INCOMPLETE among its neighbours, or \
        while the node's own side shows that it cannot be answered; or one that has no default route.",
    matters: "It is the pod's own word for being cut off.",
    arises: "What IPA701, IPA702, IPA704 and IPA707 say, under which it is folded. A default route that is missing where the \
        node would answer was deleted inside of the pod.",
    action: "Repair what explains it; where nothing does, find what deletes the route inside of the pod: a new pod has one again.",
    silent: "FAILED alone: on a small node such an entry stays for ever, so it may be old news; with more than 128 \
        neighbours on the node it goes within seconds, so that it is not there says nothing either.",
    ties: Ties {
        harm: Harm::Outage,
        also: Needs::W.and(Needs::P),
        explained_by: Some(explained_by),
        many: "pods that do not see their gateway",
        ..Ties::ANYBODYS
    },
    run,
};

/// What cuts the pod off, else that the node does not answer it.
fn explained_by(finding: &Finding, causes: &Causes<'_>) -> Option<Root> {
    let unanswered = || causes.no_milder(finding, gateway_unanswered::CHECK.code, finding.subject.id.raw());
    by_cut(finding, causes).or_else(unanswered)
}

/// Calico's gateway of every IPv4 pod.
const GATEWAY: u32 = 0xa9fe_0101;

fn run(world: &World<'_>, findings: &mut FindingSink) {
    for sight in sights(world) {
        for (inside, interface) in sight.insides() {
            let Some(interface) = interface else { continue };
            let Some(failure) = failure(inside) else { continue };
            let addresses = inside.addresses.each().copied().filter(|address| address.is_v4());
            let is_told = |address: &Addr| {
                is_cut_off(&sight, interface, *address)
                    || failure == GatewayFailure::NoDefault && is_its(&sight, interface, *address)
            };
            for address in addresses.filter(is_told) {
                findings.push(report(&sight, interface, address, failure));
            }
        }
    }
}

/// What is wrong inside.
#[derive(Clone, Copy, PartialEq, Eq)]
enum GatewayFailure {
    /// Its gateway does not answer, or did not once.
    Gateway,
    /// It does not even ask.
    NoDefault,
}

impl GatewayFailure {
    const fn words(self) -> &'static str {
        match self {
            GatewayFailure::Gateway => "does not get an answer from its gateway 169.254.1.1",
            GatewayFailure::NoDefault => "has no default route",
        }
    }
}

/// Whether an address is the one that Calico gave the pod of this interface, and the pod is neither new nor going.
fn is_its(sight: &NodeSight<'_>, interface: &Foreign, address: Addr) -> bool {
    let routed = || sight.workload_routes_to(address).any(|(dev, _)| dev == interface);
    match sight.knows_endpoints {
        true => sight.endpoints_of(interface).iter().any(|e| e.addresses().contains(&address) && sight.may_live(e)),
        false => routed(),
    }
}

fn failure(inside: &PodInside) -> Option<GatewayFailure> {
    let gateway = Addr::from_v4_bits(GATEWAY);
    let is_unanswered = inside.neighbours.each().any(|n| n.address == gateway && n.is_unanswered());
    let has_default = |routes: &Vec<_>| {
        let is_default =
            // A tunnel inside of a pod parts the default in two halves.
            |route: &crate::model::node_evidence::KernelRoute| route.dst.prefix() <= 1 && route.dst.is_v4();
        routes.iter().any(is_default)
    };
    match (is_unanswered, inside.routes.read().map(has_default)) {
        (true, _) => Some(GatewayFailure::Gateway),
        (false, Some(false)) => Some(GatewayFailure::NoDefault),
        _ => None,
    }
}

fn report(sight: &NodeSight<'_>, interface: &Foreign, address: Addr, failure: GatewayFailure) -> Finding {
    let world = sight.world;
    let endpoints = sight.endpoints_of(interface);
    let seen = failure.words();
    let is_open = failure == GatewayFailure::NoDefault && !is_cut_off(sight, interface, address);
    let advice =
        if is_open { "see inside of the pod what deletes its default route; a new pod has one again" } else { "" };
    world
        .draft(&CHECK, sight.id(address), format!("{} {seen}", pod_or_interface(sight, interface).raw()))
        .advice(advice)
        .fact("address", address)
        .fact("interfaces", vec![interface])
        .fact("seen", seen)
        .at_node(sight.evidence)
        .in_pool_of(address)
        .next(format!("ipaudit who {address}"))
        .with_each(endpoints, |d, e| d.rests_on_endpoint(e).rests_on_pod_named(e.namespace, e.pod))
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::node::testing::{NodeUnderTest, seen};
    use crate::checks::testing::{Cluster, addr};
    use crate::model::node_evidence::{Dump, KernelNeighbour, NeighbourState};

    fn failed() -> Cluster {
        let mut c = seen();
        let (address, state) = (addr("169.254.1.1"), NeighbourState::Failed.into());
        let neighbour = KernelNeighbour { address, dev: "eth0".into(), mac: None, state, seen: 1 };
        c.node_mut().inside_of("web-0").neighbours = Dump::Read(vec![neighbour]);
        c
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(seen().find(&CHECK).is_empty());
    }

    #[test]
    fn a_failed_gateway_alone_is_old_news() {
        assert!(failed().find(&CHECK).is_empty());
    }

    #[test]
    fn a_failed_gateway_of_a_pod_that_is_cut_off() {
        let mut c = failed();
        c.node_mut().remove_route("10.65.0.1");
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "node-1 10.65.0.1"));
        assert_eq!(found[0].summary, "shop/web-0 does not get an answer from its gateway 169.254.1.1");
    }

    #[test]
    fn a_pod_without_default_route() {
        let mut c = seen();
        c.node_mut().inside_of("web-0").routes = Dump::Read(Vec::new());
        // The node would answer it: it does not ask.
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].summary.raw()), (1, "shop/web-0 has no default route"));
        assert_eq!(found[0].severity, Severity::Warning);
        c.pod_mut("web-0").created = Some(c.ago(5));
        assert!(c.find(&CHECK).is_empty(), "it is being wired up");
        c.pod_mut("web-0").created = Some(c.ago(5_000));
        c.node_mut().verdict_mut("10.65.0.1").errno = 22;
        assert_eq!(c.find(&CHECK)[0].summary, "shop/web-0 has no default route");
        c.node_mut().inside_of("web-0").routes = Dump::NotAsked;
        assert!(c.find(&CHECK).is_empty());
    }
}
