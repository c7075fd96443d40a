//! IPA908: Calico's IPAM is not what gives pods their addresses.

use super::cluster;
use crate::checks::evidence::count;
use crate::checks::{Check, Docs, Steady, World};
use crate::model::{Code, Finding, Input, Name, Needs, Past, Pod, Severity, SubjectKind};

pub static CHECK: Check = Check {
    code: Code(908),
    name: "ipam-not-used",
    severity: Severity::Note,
    needs: Needs::B.and(Needs::P).and(Needs::O).and(Needs::D),
    steady: Steady::KubernetesReadEarlier,
    subject: SubjectKind::Cluster,
    docs: Docs {
        finds: "No block holds an allocation of any pod, now or in an earlier audit, while pods of this cluster have \
            addresses of Calico's pools.",
        matters: "The addresses come from elsewhere (`host-local` IPAM, as with Flannel's ranges): Calico's blocks say \
            nothing about them, and thousands of addresses that look unallocated (IPA120) are so by design.",
        arises: "The CNI configuration names `host-local`; or all of IPAM's data were lost before the first audit.",
        action: "Nothing, when that is how the cluster is meant to be. Else look at the `ipam` section of the CNI \
            configuration on a node.",
        silent: "Any pod's allocation, ever; any block that does not decode; pods in the host's network.",
    },
    run,
};

/// So many pods are shown.
const SHOWN: usize = 10;

fn run(world: &World<'_>, findings: &mut Vec<Finding>) {
    if holds(world, world.past) {
        findings.extend(report(world));
    }
}

/// Whether no pod's allocation is known, now or ever, as far as anybody can tell.
fn holds(world: &World<'_>, past: Option<&Past>) -> bool {
    let dark = world.snapshot.bad_values.iter().any(|bad| bad.input == Input::Blocks);
    !world.ledger.any_pod_allocation && !dark && past.is_some_and(|p| !p.saw_pod_allocation)
}

fn report(world: &World<'_>) -> Option<Finding> {
    let snapshot = world.snapshot;
    let in_a_pool = |p: &Pod| p.addresses.iter().any(|&a| snapshot.pools.iter().any(|pool| pool.cidr.contains(a)));
    let ours = |p: &&Pod| p.may_hold() && world.ledger.scope.kubernetes_node_is_ours(p.node) && in_a_pool(p);
    let pods: Vec<&Pod> = snapshot.pods.iter().filter(ours).collect();
    let first = pods.first()?;
    let mut nodes: Vec<Name> = pods.iter().map(|p| p.node).collect();
    nodes.sort_unstable();
    nodes.dedup();
    let summary = format!(
        "{} on {} with pool addresses, and no pod's allocation in any block",
        count(pods.len(), "pod"),
        count(nodes.len(), "node")
    );
    let mut shown: Vec<String> = pods.iter().map(|p| world.pod_id(p)).collect();
    shown.sort_by(|a, b| crate::checks::natural(a, b));
    shown.truncate(SHOWN);
    let draft = world
        .draft(&CHECK, cluster(world), summary)
        .advice("nothing, when host-local IPAM is meant")
        .fact("pods", pods.len())
        .fact("nodes", nodes.len())
        .fact("blocks", snapshot.blocks.len())
        .fact("examples", shown)
        .looks_at_pod(first.namespace, first.name)
        .looks_at_settings()
        .next("kubectl -n kube-system get configmap calico-config -o yaml")
        .next("calicoctl ipam show --show-blocks");
    Some(draft.done())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, addr, undecodable_block};

    /// Pods with pool addresses, and blocks that hold tunnels alone.
    fn host_local() -> Cluster {
        let mut c = Cluster::healthy();
        for address in ["10.65.0.1", "10.65.0.2", "10.65.0.65", "10.65.0.66"] {
            c.free(address);
        }
        c.past = Some(Past { audits: 1, ..Past::default() });
        c
    }

    #[test]
    fn clean_gives_nothing() {
        let mut c = Cluster::healthy();
        c.past = Some(Past { audits: 1, ..Past::default() });
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn one_note_stands_for_all_pods() {
        let found = host_local().find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.as_str()), (1, "guid-1"));
        assert_eq!(found[0].summary, "4 pods on 2 nodes with pool addresses, and no pod's allocation in any block");
        assert_eq!(found[0].severity, Severity::Note);
    }

    #[test]
    fn one_allocation_of_any_pod_ever_speaks_against_it() {
        let mut c = host_local();
        c.past.as_mut().unwrap().saw_pod_allocation = true;
        assert!(c.find(&CHECK).is_empty());
        let mut c = host_local();
        let attribute = c.pod_attribute("k8s-pod-network.0123", "shop", "other", "node-1");
        c.allocate("10.65.0.9", attribute);
        assert!(c.find(&CHECK).is_empty());
        let mut c = host_local();
        c.snapshot.bad_values.push(undecodable_block("10.65.9.0/26"));
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn without_pods_in_pools_there_is_nothing_to_say() {
        let mut c = host_local();
        for pod in &mut c.snapshot.pods {
            pod.addresses = [addr("172.16.0.9")].into();
        }
        assert!(c.find(&CHECK).is_empty());
        let mut c = host_local();
        c.snapshot.pods.iter_mut().for_each(|p| p.host_network = true);
        assert!(c.find(&CHECK).is_empty());
    }
}
