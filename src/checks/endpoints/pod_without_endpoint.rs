//! IPA505: a pod that works without its endpoint.

use crate::checks::addresses::{duplicate_pod_address, unallocated_address_in_use};
use crate::checks::prelude::*;
use crate::model::Phase;
use crate::model::hash::HashSet;

pub static CHECK: Check = Check {
    code: Code(505),
    name: "pod-without-endpoint",
    severity: Severity::Error,
    needs: Needs::W.and(Needs::P).and(Needs::N).and(Needs::O),
    steady: Steady::KubernetesReadApart,
    subject: SubjectKind::Pod,
    finds: "A running, ready pod with an address of a Calico pool, on a node of this cluster that has other endpoints, \
        without an endpoint of its own there.",
    matters: "Felix knows nothing of it: its policy does not hold, its route goes at Felix's next start, and its CNI \
        DEL will find nothing to take back. Most often its allocation is lost as well (IPA120).",
    arises: "etcd was restored from a backup that is older than the pod, or a DEL for an older container took the new \
        pod's endpoint along.",
    action: "Restart the pod; it comes back with an endpoint and an allocation.",
    silent: "Pods in the host's network, not ready, terminating or finished, without a pool address, on nodes without \
        any endpoint (another CNI plugin), on nodes of other clusters, and on nodes of which a value does not decode.",
    ties: Ties { harm: Harm::Outage, explained_by: Some(explained_by), many: "pods without an endpoint", ..Ties::OURS },
    run,
};

/// The pod shares its address, or lost its allocation: restarting it once is the cure of both.
fn explained_by(finding: &Finding, causes: &Causes<'_>) -> Option<Root> {
    let restarted = [duplicate_pod_address::CHECK.code, unallocated_address_in_use::CHECK.code];
    restarted
        .into_iter()
        .find_map(|code| causes.no_milder(finding, code, causes.listing(code, "restart", finding.subject.id.raw())?))
}

fn run(world: &World<'_>, findings: &mut FindingSink) {
    findings.extend(suspects(world).into_iter().map(|(pod, addresses)| report(world, pod, &addresses)));
}

/// Every pod that works without its endpoint, with its pool addresses.
pub fn suspects<'w>(world: &World<'w>) -> Vec<(&'w Pod, Vec<Addr>)> {
    let scope = &world.ledger.scope;
    let with_endpoints: HashSet<Name> =
        world.snapshot.endpoints.iter().map(|e| scope.kubernetes_name(e.node)).collect();
    let on_networked_node = |p: &&Pod| scope.kubernetes_node_is_ours(p.node) && with_endpoints.contains(&p.node);
    let bare = |p: &&Pod| !is_dark(world, p) && world.ledger.endpoints_at_home(p).next().is_none();
    let pods = world.snapshot.pods.iter().filter(|p| works(p)).filter(on_networked_node).filter(bare);
    let with_addresses =
        pods.map(|p| (p, p.addresses().iter().copied().filter(|&a| world.pool_of(a).is_some()).collect()));
    with_addresses.filter(|(_, addresses): &(&Pod, Vec<Addr>)| !addresses.is_empty()).collect()
}

fn works(pod: &Pod) -> bool {
    pod.phase == Phase::Running && pod.ready && !pod.is_terminating() && pod.may_hold()
}

fn is_dark(world: &World<'_>, pod: &Pod) -> bool {
    let ledger = world.ledger;
    ledger.scope.calico_names(pod.node).iter().any(|&home| ledger.dark.node(home))
}

fn report(world: &World<'_>, pod: &Pod, pool_addresses: &[Addr]) -> Finding {
    let ledger = world.ledger;
    let homes = ledger.scope.calico_names(pod.node);
    let id = world.pod_id(pod);
    let elsewhere: Vec<_> = ledger.endpoints_of_pod(pod.namespace, pod.name).collect();
    let allocations = pool_addresses.iter().flat_map(|&a| ledger.allocations_at(a));
    let addresses: Vec<String> = pool_addresses.iter().map(Addr::to_string).collect();
    let summary = format!("ready on {} with {}, no endpoint there", world.text(pod.node), few(&addresses, " and "));
    world
        .draft(&CHECK, id, summary)
        .advice("restart the pod")
        .fact("pod", world.pod_facts(pod))
        .fact("pool_addresses", pool_addresses.to_vec())
        .list("ipam", allocations, |a| world.allocation_facts(a))
        .list("endpoints_elsewhere", elsewhere.iter(), |e| world.endpoint_facts(e))
        .on_node(homes.first().copied().unwrap_or(pod.node))
        .in_namespace(pod.namespace)
        .in_pool_of(pool_addresses[0])
        .restart(&[pod])
        .with_each(&addresses, |d, a| d.next(format!("ipaudit who {a}")))
        .rests_on_pod(pod)
        .looks_at_endpoints_at_home(pod)
        .looks_at(Look::KubeNode(pod.node))
        .looks_at(Look::Settings)
        .with_each(homes, |d, &home| d.looks_at(Look::CalicoNode(home)))
        .with_each(elsewhere, |d, e| d.rests_on_endpoint(e))
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, addr};
    use crate::model::{Look, PodFields};

    fn bare() -> Cluster {
        let mut c = Cluster::healthy();
        c.remove_endpoint("web-0");
        c
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn a_ready_pod_without_endpoint_is_told_with_what_is_absent() {
        let mut c = bare();
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "shop/web-0"));
        assert_eq!(found[0].summary, "ready on node-1 with 10.65.0.1, no endpoint there");
        assert_eq!(found[0].next[0], "kubectl -n shop delete pod web-0");
        let absent = Look::EndpointsOfPod(c.name("node-1"), c.name("shop"), c.name("web-0"));
        assert!(found[0].rests.iter().any(|r| r.look == absent));
    }

    #[test]
    fn an_endpoint_on_another_node_does_not_help() {
        let mut c = bare();
        c.endpoint("shop", "web-0", "node-2", "0123", &["10.65.0.1"]);
        assert_eq!(c.subjects(&CHECK), ["shop/web-0"]);
    }

    #[test]
    fn every_false_positive_of_the_row() {
        for change in [
            (|p: &mut PodFields| p.ready = false) as fn(&mut PodFields),
            |p| p.phase = Phase::Pending,
            |p| p.phase = Phase::Succeeded,
            |p| p.host_network = true,
            |p| p.deleting = p.created,
            |p| p.addresses = [].into(),
            |p| p.addresses = [addr("172.16.0.9")].into(),
        ] {
            let mut c = bare();
            change(&mut c.pod_mut("web-0"));
            assert!(c.find(&CHECK).is_empty());
        }
    }

    #[test]
    fn a_node_without_any_endpoint_uses_another_plugin() {
        let mut c = bare();
        c.remove_endpoint("web-1");
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn another_clusters_node_or_one_in_the_dark_is_not_judged() {
        let mut c = bare();
        c.remove_kube_node("node-1");
        assert!(c.find(&CHECK).is_empty());
        let mut c = bare();
        let dark = crate::checks::testing::undecodable_endpoint(&mut c.snapshot.names, "node-1");
        c.snapshot.bad_values.push(dark);
        assert!(c.find(&CHECK).is_empty());
        let mut c = bare();
        let dark = crate::checks::testing::undecodable_endpoint(&mut c.snapshot.names, "node-2");
        c.snapshot.bad_values.push(dark);
        assert_eq!(c.subjects(&CHECK), ["shop/web-0"], "another node's");
    }
}
