//! IPA908: Calico's IPAM is not what gives pods their addresses.

use crate::checks::evidence::count;
use crate::checks::prelude::*;
use crate::model::KubeNode;

pub static CHECK: Check = Check {
    code: Code(908),
    name: "ipam-not-used",
    severity: Severity::Note,
    needs: Needs::B.and(Needs::P).and(Needs::W).and(Needs::O),
    steady: Steady::KubernetesReadApart,
    subject: SubjectKind::Cluster,
    finds: "Live pods have endpoints here and addresses of Calico's pools, not one live pod has an allocation of its \
        own (of its endpoint's container, or at its address and in its name), and every such pod's addresses lie in \
        its node's `podCIDR`: host-local IPAM, whatever stale allocations lie about.",
    matters: "The addresses come from elsewhere: Calico's blocks say nothing about them, and thousands of addresses \
        that look unallocated (IPA120) are so by design. This note stands for these, and for the IPA130, IPA131 and \
        IPA110 of live pods.",
    arises: "The CNI configuration names `host-local` with `usePodCidr`, as with Flannel.",
    action: "Nothing, when that is how the cluster is meant to be. Else look at the `ipam` section of the CNI \
        configuration on a node. Allocations of pods that are gone are leaks as everywhere.",
    silent: "One live pod has an allocation or a handle, or an address that its node's podCIDR does not explain: then \
        blocks were wiped or restored, and IPA120 says so. Pods in the host's network, terminating ones, and those \
        whose block does not decode say nothing.",
    ties: Ties { also: Needs::N.and(Needs::K), ..Ties::ANYBODYS },
    run,
};

/// So many pods are shown.
const SHOWN: usize = 10;

fn run(world: &World<'_>, findings: &mut FindingSink) {
    findings.extend(report(world, world.ledger.host_local_pods()));
}

fn report(world: &World<'_>, mut pods: Vec<&Pod>) -> Option<Finding> {
    // The oldest ones first: those that come and go meanwhile make no other finding of it.
    pods.sort_by_key(|p| (p.created(), world.pod_id(p)));
    let first = pods.first()?;
    let mut nodes: Vec<Name> = pods.iter().map(|p| p.node).collect();
    nodes.sort_unstable();
    nodes.dedup();
    let (who, on) = (count(pods.len(), "pod"), count(nodes.len(), "node"));
    let summary = format!("{who} on {on} with pool addresses out of podCIDRs and no allocation: host-local IPAM");
    let example = world.ledger.kube_node(first.node);
    let cidrs: Vec<Cidr> = example.map(|node: &KubeNode| node.pod_cidrs.to_vec()).unwrap_or_default();
    let draft = world
        .draft(&CHECK, world.snapshot.guid(), summary)
        .advice("nothing, when host-local IPAM is meant")
        .fact("pods", pods.len())
        .fact("nodes", nodes.len())
        .fact("blocks", world.snapshot.blocks.len())
        .fact("allocations", world.ledger.allocations.len())
        .list("examples", pods.iter().take(SHOWN), |p| world.pod_id(p))
        .fact("example_node", world.text(first.node))
        .fact("example_pod_cidrs", cidrs)
        .rests_on_pod(first)
        .with_each(world.ledger.endpoints_at_home(first), |d, endpoint| d.rests_on_endpoint(endpoint))
        .with_each(first.addresses().iter(), |d, &address| d.looks_at_blocks_of(address))
        .looks_at(Look::KubeNode(first.node))
        .looks_at(Look::Settings)
        .next("kubectl -n kube-system get configmap calico-config -o yaml")
        .next("ipaudit blocks");
    Some(draft.done())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, addr, cidr, undecodable_block};

    /// Pods with addresses of their nodes' podCIDRs, and blocks that hold tunnels alone.
    fn host_local() -> Cluster {
        let mut c = Cluster::healthy();
        for address in ["10.65.0.1", "10.65.0.2", "10.65.0.65", "10.65.0.66"] {
            c.free(address);
        }
        c.snapshot.handles.clear();
        for (node, range) in c.snapshot.kube_nodes.iter_mut().zip(["10.65.0.0/26", "10.65.0.64/26"]) {
            node.pod_cidrs = [cidr("10.200.0.0/24"), cidr(range)].into();
        }
        c
    }

    #[test]
    fn clean_gives_nothing_whatever_the_pod_cidrs() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
        let mut c = Cluster::healthy();
        c.snapshot.kube_nodes.iter_mut().for_each(|n| n.pod_cidrs = [cidr("10.65.0.0/16")].into());
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn one_note_stands_for_all_pods_at_the_first_audit() {
        let found = host_local().find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "guid-1"));
        let summary = "4 pods on 2 nodes with pool addresses out of podCIDRs and no allocation: host-local IPAM";
        assert_eq!((found[0].summary.raw(), found[0].severity), (summary, Severity::Note));
    }

    #[test]
    fn what_the_dead_left_does_not_speak_against_it() {
        let mut c = host_local();
        // One of a pod that is gone, one in a live pod's name elsewhere, one of a dead pod at a live one's address.
        for (pod, address) in [("gone", "10.65.0.9"), ("web-1", "10.65.0.10"), ("gone-too", "10.65.0.1")] {
            let attribute = c.pod_attribute(&format!("k8s-pod-network.of-{pod}"), "shop", pod, "node-1");
            c.allocate(address, attribute);
        }
        assert_eq!(c.find(&CHECK).len(), 1);
        use crate::checks::addresses::{
            container_mismatch, leaked_address, owner_mismatch, unallocated_address_in_use,
        };
        // Nor one that names no owner: its handle is another container's.
        let id = format!("k8s-pod-network.{}", Cluster::container("shop", "long-gone"));
        let handle = crate::model::HandleId::intern(&mut c.snapshot.names, &id);
        c.allocate("10.65.0.65", crate::model::AttributeFields { handle, ..Default::default() });
        assert_eq!(c.find(&CHECK).len(), 1);
        assert_eq!(c.subjects(&leaked_address::CHECK), ["10.65.0.9"], "only what concerns live pods is silenced");
        for check in [&unallocated_address_in_use::CHECK, &owner_mismatch::CHECK, &container_mismatch::CHECK] {
            assert!(c.find(check).is_empty(), "{}", check.code);
        }
    }

    #[test]
    fn one_live_pods_allocation_speaks_against_it() {
        let container = Cluster::container("shop", "web-2");
        let id = format!("k8s-pod-network.{container}");
        for damage in [
            (|c, id| {
                // The handle is left where only the blocks were wiped.
                c.handle(id, &["10.65.0.66"]);
            }) as fn(&mut Cluster, &str),
            |c, id| {
                let attribute = c.pod_attribute(id, "shop", "web-2", "node-2");
                c.allocate("10.65.0.65", attribute);
            },
            |c, _| {
                let attribute = c.pod_attribute("k8s-pod-network.other", "shop", "web-2", "node-2");
                c.allocate("10.65.0.65", attribute);
            },
            |c, _| {
                let handle = crate::model::HandleId::intern(&mut c.snapshot.names, "shop.web-2");
                c.allocate("10.65.0.65", crate::model::AttributeFields { handle, ..Default::default() });
            },
        ] {
            let mut c = host_local();
            damage(&mut c, &id);
            assert!(c.find(&CHECK).is_empty());
        }
    }

    #[test]
    fn a_wiped_ipam_is_none() {
        let mut c = host_local();
        c.snapshot.kube_nodes[1].pod_cidrs = [cidr("10.244.1.0/24")].into();
        assert!(c.find(&CHECK).is_empty(), "node-2's pods are not explained");
        let mut c = host_local();
        c.snapshot.kube_nodes.iter_mut().for_each(|n| n.pod_cidrs = [].into());
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn what_does_not_decode_says_nothing_of_the_rest() {
        let mut c = host_local();
        c.snapshot.bad_values.push(undecodable_block("10.65.9.0/26"));
        assert_eq!(c.find(&CHECK).len(), 1, "their blocks are known");
        let mut c = host_local();
        c.snapshot.bad_values.push(undecodable_block("10.65.0.0/24"));
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn without_live_pods_in_pools_there_is_nothing_to_say() {
        for change in [
            (|c: &mut Cluster| c.each_endpoint(|e| e.addresses = [addr("172.16.0.9")].into())) as fn(&mut Cluster),
            |c| c.snapshot.pods.iter_mut().for_each(|p| p.host_network = true),
            |c| c.each_pod(|p| p.deleting = p.created),
            |c| c.snapshot.pools.clear(),
        ] {
            let mut c = host_local();
            change(&mut c);
            assert!(c.find(&CHECK).is_empty());
        }
    }
}
