//! IPA121: an endpoint's address that no pool covers.

use std::cell::LazyCell;

use crate::checks::evidence::count;
use crate::checks::prelude::*;
use crate::ledger::Via;
use crate::model::hash::HashSet;
use crate::model::{Input, Orchestrator};

pub static CHECK: Check = Check {
    code: Code(121),
    name: "address-outside-pools",
    severity: Severity::Warning,
    needs: Needs::W.and(Needs::O),
    steady: Steady::KubernetesReadApart,
    subject: SubjectKind::Address,
    finds: "No pool at all, enabled or not, covers the address of an endpoint, on a node whose pods get their \
        addresses from Calico's IPAM.",
    matters: "Felix neither encapsulates nor translates traffic of an address outside all pools: it may not reach \
        other nodes or the world. IPAM cannot account for it.",
    arises: "A pool was deleted or shrunk under its pods, or the address came from elsewhere (an IPAM chained before \
        Calico's, a hand that edited the endpoint).",
    action: "Create the pool again, disabled if no new pods shall use it, then move its pods by restarting them.",
    silent: "Addresses in disabled pools (normal while pods move to another pool), nodes on which no pod has a handle \
        of Calico's IPAM (host-local, another CNI), other clusters' nodes, other orchestrators than Kubernetes and the \
        CNI plugin. While a pool does not decode, nobody can say what it covers.",
    ties: Ties { harm: Harm::Threat, many: "addresses outside of all pools", judges: Judges::OnlyOurs, ..Ties::OURS },
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    if world.ledger.dark.all(Input::Pools) {
        return;
    }
    // Made only when there is something to ask it.
    let nodes = LazyCell::new(|| nodes_with_handles(world));
    for (address, claims) in world.claims_by_address().filter(|(address, _)| world.pool_of(*address).is_none()) {
        let endpoints = claims.iter().filter_map(|c| endpoint(world, c));
        let endpoints: Vec<&Endpoint> = endpoints.filter(|e| nodes.contains(&e.node)).collect();
        if !endpoints.is_empty() {
            findings.push(report(world, address, &endpoints));
        }
    }
}

/// The endpoint that lists the address, when it is one that the CNI plugin made on a node of ours.
fn endpoint<'w>(world: &World<'w>, claim: &Claim) -> Option<&'w Endpoint> {
    let Claimant::Endpoint(index) = claim.by else { return None };
    let endpoint = world.snapshot.endpoints.get(index as usize)?;
    let made_by_cni = matches!(endpoint.orchestrator(), Orchestrator::Kubernetes | Orchestrator::Cni);
    (claim.via == Via::Object && made_by_cni && world.ledger.scope.judged(endpoint.node)).then_some(endpoint)
}

/// Calico's names of the nodes where some container has a handle of Calico's IPAM. A block or an affinity is not
/// enough: beside host-local IPAM a node still has them for its tunnels.
fn nodes_with_handles(world: &World<'_>) -> HashSet<Name> {
    let ledger = world.ledger;
    let of_pods = |used_for| matches!(used_for, Use::Pod | Use::Vm | Use::Unattributed);
    let allocations = ledger.allocations.iter().filter(|a| of_pods(a.used_for) && ledger.handle_of(a).is_some());
    let endpoints = world.snapshot.endpoints.iter().filter(|e| ledger.has_handle(e.container));
    let mut nodes: HashSet<Name> = allocations.map(|a| ledger.owner_node(a)).collect();
    nodes.extend(endpoints.map(|e| e.node));
    nodes.remove(&Name::NONE);
    nodes
}

fn report(world: &World<'_>, address: Addr, endpoints: &[&Endpoint]) -> Finding {
    let whose = match endpoints {
        [one] => format!("the endpoint {} lists", world.snapshot.endpoint_id(one)),
        many => format!("{} list", count(many.len(), "endpoint")),
    };
    let first = endpoints.first();
    world
        .draft(&CHECK, address, format!("{whose} it, and no pool covers it"))
        .list("endpoints", endpoints.iter(), |e| world.endpoint_facts(e))
        .list("ipam", world.ledger.allocations_at(address).iter(), |a| world.allocation_facts(a))
        .on_node(first.map(|e| e.node).unwrap_or_default())
        .in_namespace(first.map(|e| e.namespace).unwrap_or_default())
        .with_each(endpoints, |d, e| d.rests_on_endpoint(e).looks_at_whose(e.node))
        .looks_at(Look::Settings)
        .next("calicoctl get ippools -o wide")
        .next(format!("ipaudit who {address}"))
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, addr};
    use crate::model::Foreign;
    use crate::model::snapshot::Dark;

    /// The pool ends before node-2's block.
    fn shrunk() -> Cluster {
        let mut c = Cluster::healthy();
        c.snapshot.pools.clear();
        c.pool("default", "10.65.0.0/26");
        c
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn every_address_that_no_pool_covers_and_no_tunnel() {
        let mut c = shrunk();
        assert_eq!(c.subjects(&CHECK), ["10.65.0.65", "10.65.0.66"]);
        let found = c.find(&CHECK);
        assert_eq!(found[0].summary, "the endpoint shop/node--2-k8s-web--2-eth0 lists it, and no pool covers it");
        assert_eq!(found[0].node.as_ref().map(Foreign::raw), Some("node-2"));
        c.endpoint_mut("web-3").orchestrator = Orchestrator::Cni;
        assert_eq!(c.find(&CHECK).len(), 2);
    }

    #[test]
    fn one_finding_an_address() {
        let mut c = shrunk();
        c.endpoint_mut("web-3").addresses = [addr("10.65.0.65")].into();
        assert_eq!(c.find(&CHECK)[0].summary, "2 endpoints list it, and no pool covers it");
        assert_eq!(c.find(&CHECK).len(), 1);
    }

    #[test]
    fn a_disabled_pool_covers_all_the_same() {
        let mut c = shrunk();
        c.pool("switched-off", "10.65.0.64/26").disabled = true;
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn a_node_without_handles_uses_another_ipam() {
        let mut c = shrunk();
        for (pod, address) in [("web-2", "10.65.0.65"), ("web-3", "10.65.0.66")] {
            c.free(address);
            c.remove_handle(&Cluster::handle_id("shop", pod));
        }
        assert!(c.find(&CHECK).is_empty(), "node-2 has a block and a tunnel, and no pod's handle");
        c.handle(&Cluster::handle_id("shop", "web-3"), &["10.65.0.66"]);
        assert_eq!(c.find(&CHECK).len(), 2);
    }

    #[test]
    fn others_orchestrators_and_clusters_are_not_judged() {
        let mut c = shrunk();
        for pod in ["web-2", "web-3"] {
            let openstack = c.name("openstack");
            c.endpoint_mut(pod).orchestrator = Orchestrator::Other(openstack);
        }
        assert!(c.find(&CHECK).is_empty());
        let mut c = shrunk();
        c.remove_kube_node("node-2");
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn a_pool_that_does_not_decode_may_cover_it() {
        let mut c = shrunk();
        c.bad(Input::Pools, Dark::All(Input::Pools));
        assert!(c.find(&CHECK).is_empty());
    }
}
