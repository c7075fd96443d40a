//! IPA103: a node's tunnel address that another node, a pod or a service has too.

use crate::checks::affinities::stale_calico_node;
use crate::checks::natural;
use crate::checks::prelude::*;
use crate::ledger::NamedTunnel;
use crate::model::number::grouped;
use crate::model::{CalicoNode, Service, Tunnel};

pub static CHECK: Check = Check {
    code: Code(103),
    name: "duplicate-tunnel-address",
    severity: Severity::Critical,
    needs: Needs::N.and(Needs::P).and(Needs::W),
    steady: Steady::KubernetesReadApart,
    subject: SubjectKind::Address,
    finds: "Two different nodes have one tunnel address, or a node's tunnel address is also held for certain by a pod \
        or a managed service.",
    matters: "The other nodes send the tunnel's traffic and the pod's to one of the two. Everything from the host's \
        own network to pods of other nodes breaks, for the whole node.",
    arises: "A node was deleted and made again under one name; a collector freed the tunnel address while it was in \
        use, and IPAM gave it to the next pod; an address was copied by hand from one Node to another.",
    action: "The one that IPAM's allocation names keeps it. A pod gets a new address when it is restarted, a node when \
        its calico-node is.",
    silent: "One of the two nodes is gone from Kubernetes (IPA409 tells it), both are another cluster's, or both are \
        Calico Nodes of one Kubernetes node.",
    ties: Ties {
        harm: Harm::Outage,
        many: "tunnel addresses that others hold too",
        explained_by: Some(explained_by),
        ..Ties::OURS
    },
    run,
};

/// A node that is gone explains the address that it has still.
fn explained_by(finding: &Finding, causes: &Causes<'_>) -> Option<Root> {
    finding.evidence.texts("nodes").find_map(|node| causes.any(stale_calico_node::CHECK.code, node.raw()))
}

fn run(world: &World<'_>, findings: &mut FindingSink) {
    let of_tunnels = |claims: &[Claim]| claims.iter().any(|c| matches!(c.by, Claimant::Tunnel(..)));
    let claims = world.claims_by_address().filter(|(_, claims)| of_tunnels(claims));
    findings.extend(claims.filter_map(|(address, claims)| judge(world, address, claims)));
}

/// Who else holds a tunnel's address for certain.
#[derive(Default)]
struct Others<'w> {
    pods: Vec<&'w Pod>,
    services: Vec<&'w Service>,
}

fn judge(world: &World<'_>, address: Addr, claims: &[Claim]) -> Option<Finding> {
    let machines = world.ledger.machines_at(address);
    let mut others = Others::default();
    for claim in claims.iter().filter(|c| c.grade == Grade::Certain) {
        match claim.by {
            Claimant::Pod(index) => others.pods.extend(world.snapshot.pods.get(index as usize)),
            Claimant::Service(index) => others.services.extend(world.snapshot.services.get(index as usize)),
            _ => {}
        }
    }
    others.pods.sort_by(|a, b| natural(&world.pod_id(a), &world.pod_id(b)));
    others.services.sort_by_key(|s| world.pair(s.namespace, s.name));
    // Pods and services are this cluster's own; of two nodes at least one must be.
    let held = !others.pods.is_empty() || !others.services.is_empty();
    let ours = machines.iter().any(|(node, _)| world.ledger.scope.standing(node.name) == Standing::Ours);
    let duplicate = (machines.len() > 1 && ours) || (!machines.is_empty() && held);
    duplicate.then(|| report(world, address, &machines, &others))
}

fn report(world: &World<'_>, address: Addr, machines: &[(&CalicoNode, Tunnel)], others: &Others<'_>) -> Finding {
    let ledger = world.ledger;
    let allocations = ledger.allocations_at(address);
    let tunnels = machines.iter();
    let tunnels = tunnels.map(|(node, tunnel)| format!("{} tunnel of {}", tunnel.word(), world.text(node.name)));
    let pods = others.pods.iter().map(|pod| format!("pod {}", world.pod_id(pod)));
    let services = others.services.iter().map(|s| format!("service {}", world.pair(s.namespace, s.name)));
    let holders: Vec<String> = tunnels.chain(pods).chain(services).collect();
    // A very old allocation, which names nobody, chooses none of them.
    let is_named = |node: &CalicoNode, tunnel: Tunnel| {
        let by_name = |n: &NamedTunnel| n.tunnel == tunnel && n.name == node.name;
        allocations.iter().any(|a| ledger.tunnels_named(a).iter().any(by_name))
    };
    let named = machines.iter().find(|(node, tunnel)| is_named(node, *tunnel));
    let keeps_pod = |pod: &Pod| allocations.iter().any(|a| ledger.names_pod(a, pod));
    let endpoints: Vec<_> = others.pods.iter().flat_map(|pod| ledger.endpoints_at_home(pod)).collect();
    let leaving: Vec<&Pod> = others.pods.iter().copied().filter(|pod| !keeps_pod(pod)).collect();
    let mut moving: Vec<Name> = machines
        .iter()
        .filter(|(node, tunnel)| !is_named(node, *tunnel))
        .map(|(node, _)| ledger.scope.kubernetes_name(node.name))
        .collect();
    moving.dedup();
    let keep = named.map(|(node, _)| format!("the tunnel of {}", world.text(node.name)));
    let keep = keep.or_else(|| others.pods.iter().find(|pod| keeps_pod(pod)).map(|pod| world.pod_id(pod)));
    let restart: Vec<String> = leaving
        .iter()
        .map(|pod| world.pod_id(pod))
        .chain(moving.iter().map(|node| format!("calico-node on {}", world.text(*node))))
        .collect();
    world
        .draft(&CHECK, address, few(&holders, ", "))
        .advice(advice(keep.as_deref(), &restart))
        .fact("keep", keep)
        .fact("restart", restart)
        .list("nodes", machines.iter(), |(node, _)| world.text(node.name))
        .list("tunnels", machines.iter(), |(node, tunnel)| facts(world, node, *tunnel))
        .list("pods", others.pods.iter(), |pod| world.pod_facts(pod))
        .list("services", others.services.iter(), |s| world.pair(s.namespace, s.name))
        .list("ipam", allocations.iter(), |a| world.allocation_facts(a))
        .on_node(machines.first().map(|(node, _)| node.name).unwrap_or_default())
        .in_pool_of(address)
        .with_each(machines, |d, (node, _)| d.rests_on_calico_node(node).looks_at_whose(node.name))
        .with_each(&others.pods, |d, pod| d.rests_on_pod(pod))
        .with_each(endpoints, |d, endpoint| d.rests_on_endpoint(endpoint))
        .with_each(&others.services, |d, service| d.rests_on_service(service))
        .with_each(allocations, |d, a| d.rests_on_allocation(a))
        .restart_each(leaving)
        .with_each(moving, |d, node| d.restart_calico_node(node))
        .next(format!("ipaudit who {address}"))
        .done()
}

/// Who keeps the address, and what is restarted for another one; a service gets one by none.
fn advice(keep: Option<&str>, restart: &[String]) -> String {
    let restart = match (restart, keep) {
        ([], _) => "the service must get another one".to_owned(),
        ([one], _) => format!("restart {one}"),
        ([_, _], None) => "restart both".to_owned(),
        (many, None) => format!("restart all {}", grouped(many.len() as u64)),
        (many, Some(_)) => format!("restart the other {}", grouped(many.len() as u64)),
    };
    match keep {
        Some(keep) => format!("IPAM gave it to {keep}: keep that, {restart}"),
        None => format!("IPAM gave it to none of them: {restart}"),
    }
}

fn facts(world: &World<'_>, node: &CalicoNode, tunnel: Tunnel) -> Evidence {
    Evidence::new()
        .with("node", world.text(node.name))
        .with("tunnel", tunnel.word())
        .with("kubernetes_node", node.kubernetes_name.map(|name| world.text(name)))
        .with("ours", world.ledger.scope.standing(node.name) == Standing::Ours)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, addr};
    use crate::ledger::ScopeFlag;
    use crate::model::Foreign;

    fn tunnel(c: &mut Cluster, node: &str, address: &str) {
        let node = c.name(node);
        let node = c.snapshot.calico_nodes.iter_mut().find(|n| n.name == node).unwrap();
        node.tunnels = [(Tunnel::Ipip, addr(address))].into();
    }

    /// web-2, on node-2, has node-1's tunnel address.
    fn thief() -> Cluster {
        let mut c = Cluster::healthy();
        c.pod_mut("web-2").addresses = [addr("10.65.0.0")].into();
        c.endpoint_mut("web-2").addresses = [addr("10.65.0.0")].into();
        c
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn a_pod_on_a_tunnels_address_must_go_when_ipam_names_the_tunnel() {
        let found = thief().find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "10.65.0.0"));
        assert_eq!(found[0].summary, "IPIP tunnel of node-1, pod shop/web-2");
        assert_eq!(found[0].next, ["kubectl -n shop delete pod web-2", "ipaudit who 10.65.0.0"]);
        assert_eq!(found[0].advice, "IPAM gave it to the tunnel of node-1: keep that, restart shop/web-2");
        assert_eq!(found[0].evidence.texts("restart").map(Foreign::raw).collect::<Vec<_>>(), ["shop/web-2"]);
        // pod, its endpoint, the node and the allocation
        assert_eq!(found[0].rests.len(), 5);
    }

    #[test]
    fn a_tunnel_on_a_pods_address_must_go_when_ipam_names_the_pod() {
        let mut c = Cluster::healthy();
        tunnel(&mut c, "node-2", "10.65.0.1");
        let found = c.find(&CHECK);
        assert_eq!(found[0].subject.id, "10.65.0.1");
        assert_eq!(found[0].advice, "IPAM gave it to shop/web-0: keep that, restart calico-node on node-2");
        assert_eq!(found[0].evidence.texts("restart").map(Foreign::raw).collect::<Vec<_>>(), ["calico-node on node-2"]);
        assert!(found[0].next[0].raw().contains("spec.nodeName=node-2"), "{:?}", found[0].next);
        assert!(!found[0].next.iter().any(|n| n.raw().contains("web-0")));
    }

    #[test]
    fn what_is_restarted_is_named_or_counted() {
        let names = |number: usize| (0..number).map(|i| format!("calico-node on node-{i}")).collect::<Vec<_>>();
        let says = |keep, number| advice(keep, &names(number));
        assert_eq!(says(Some("a/b"), 3), "IPAM gave it to a/b: keep that, restart the other 3");
        assert_eq!(says(Some("a/b"), 0), "IPAM gave it to a/b: keep that, the service must get another one");
        assert_eq!(says(None, 1), "IPAM gave it to none of them: restart calico-node on node-0");
        assert_eq!(says(None, 2), "IPAM gave it to none of them: restart both");
        assert_eq!(says(None, 3), "IPAM gave it to none of them: restart all 3");
    }

    #[test]
    fn two_nodes_with_one_address_are_one_finding_that_names_both() {
        let mut c = Cluster::healthy();
        tunnel(&mut c, "node-2", "10.65.0.0");
        let found = c.find(&CHECK);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].evidence.get("nodes"), Some(&vec!["node-1", "node-2"].into()));
        assert!(found[0].next[0].raw().contains("spec.nodeName=node-2"));
    }

    #[test]
    fn a_managed_service_holds_its_address_for_certain() {
        let mut c = Cluster::healthy();
        c.service("edge", "api", "10.65.0.0");
        assert_eq!(c.find(&CHECK)[0].summary, "IPIP tunnel of node-1, service edge/api");
        let class = c.name("metallb.io/metallb");
        c.snapshot.services[0].class = Some(class);
        assert!(c.find(&CHECK).is_empty(), "another class's may only protect");
    }

    #[test]
    fn a_stale_node_is_ipa409s_work() {
        let mut c = Cluster::healthy();
        c.node("node-3", "192.168.0.3");
        tunnel(&mut c, "node-3", "10.65.0.0");
        c.remove_kube_node("node-3");
        c.scope = ScopeFlag::Exclusive;
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn of_two_nodes_one_must_be_ours() {
        let mut c = Cluster::healthy();
        for (name, internal) in [("east-1", "192.168.9.1"), ("east-2", "192.168.9.2")] {
            c.node(name, internal);
            c.remove_kube_node(name);
            tunnel(&mut c, name, "10.65.0.9");
        }
        assert!(c.find(&CHECK).is_empty(), "both are another cluster's");
        tunnel(&mut c, "east-2", "10.65.0.0");
        assert_eq!(c.subjects(&CHECK), ["10.65.0.0"], "one is another cluster's");
        tunnel(&mut c, "east-2", "10.65.0.1");
        assert_eq!(c.subjects(&CHECK), ["10.65.0.1"], "the other cluster's tunnel and our pod");
    }

    #[test]
    fn two_names_of_one_kubernetes_node_are_one_node() {
        let mut c = Cluster::healthy();
        c.node("node-1.old", "192.168.0.9");
        c.remove_kube_node("node-1.old");
        let kubernetes = c.name("node-1");
        c.snapshot.calico_nodes.last_mut().unwrap().kubernetes_name = Some(kubernetes);
        tunnel(&mut c, "node-1.old", "10.65.0.0");
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn a_possible_holder_does_not_accuse() {
        let mut c = thief();
        let now = c.snapshot.now;
        c.pod_mut("web-2").deleting = Some(now);
        assert!(c.find(&CHECK).is_empty());
    }
}
