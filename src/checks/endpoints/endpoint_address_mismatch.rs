//! IPA506: an endpoint and its pod's status name different addresses.

use super::common::workload;
use crate::checks::evidence::restarts::restart_it;
use crate::checks::evidence::shell;
use crate::checks::prelude::*;
use crate::ledger::EndpointState;

pub static CHECK: Check = Check {
    code: Code(506),
    name: "endpoint-address-mismatch",
    severity: Severity::Error,
    needs: Needs::W.and(Needs::P),
    steady: Steady::KubernetesReadApart,
    subject: SubjectKind::Endpoint,
    finds: "An endpoint of this cluster and the status of the pod that lives on its node list different addresses of a \
        family that both list.",
    matters: "Kubernetes sends traffic to the address of the status, Felix routes and filters that of the endpoint: \
        the pod is unreachable or unfiltered, and IPAM may give the other address away.",
    arises: "A node rebooted and the sandbox was made anew while an old status stayed; a second Calico attachment \
        overwrote the endpoint; somebody edited it.",
    action: "Look at the address of the pod's interface (`kubectl exec … ip addr`), then restart the pod.",
    silent: "A family that only one of them lists; pods in the host's network, finished, on another node (IPA502) or \
        without any address yet; a pod whose own address is another CNI plugin's, with Calico as its secondary \
        network.",
    ties: Ties { harm: Harm::Outage, many: "endpoints with other addresses than their pods", ..Ties::OURS },
    run,
};

/// What the two say in one family.
struct Difference {
    family: &'static str,
    endpoint: Vec<Addr>,
    status: Vec<Addr>,
}

fn run(world: &World<'_>, findings: &mut FindingSink) {
    for (_, endpoint, state) in world.ledger.endpoints_with_states() {
        let pod = world.ledger.pod(endpoint.namespace, endpoint.pod).filter(|_| state == EndpointState::Live);
        let Some(pod) = pod.filter(|pod| *pod.addresses() != *endpoint.addresses()) else { continue };
        let differences: Vec<Difference> =
            ["IPv4", "IPv6"].into_iter().filter_map(|family| difference(world, endpoint, pod, family)).collect();
        if !differences.is_empty() {
            findings.push(report(world, endpoint, pod, &differences));
        }
    }
}

fn difference(world: &World<'_>, endpoint: &Endpoint, pod: &Pod, family: &'static str) -> Option<Difference> {
    let of_family = |list: &[Addr]| -> Vec<Addr> {
        let mut list: Vec<Addr> = list.iter().copied().filter(|a| a.is_v4() == (family == "IPv4")).collect();
        list.sort_unstable();
        list.dedup();
        list
    };
    let (endpoint, status) = (of_family(&endpoint.addresses()), of_family(&pod.addresses()));
    let both = !endpoint.is_empty() && !status.is_empty();
    (both && endpoint != status && !is_secondary(world, pod, &endpoint, &status)).then_some(Difference {
        family,
        endpoint,
        status,
    })
}

/// Calico is the pod's secondary network: the endpoint's addresses stand in `network-status`, and the status names
/// addresses of another plugin, outside every pool.
fn is_secondary(world: &World<'_>, pod: &Pod, endpoint: &[Addr], status: &[Addr]) -> bool {
    let pools = &world.snapshot.pools;
    endpoint.iter().all(|a| pod.network_status().contains(a))
        && !status.iter().any(|&a| pools.iter().any(|p| p.cidr.contains(a)))
}

fn report(world: &World<'_>, endpoint: &Endpoint, pod: &Pod, differences: &[Difference]) -> Finding {
    let list = |addresses: &[Addr]| few(&addresses.iter().map(Addr::to_string).collect::<Vec<_>>(), ", ");
    let tell =
        |d: &Difference| format!("the endpoint lists {}, the pod's status {}", list(&d.endpoint), list(&d.status));
    let told: Vec<String> = differences.iter().map(tell).collect();
    let facts = |d: &Difference| {
        let facts = Evidence::new().with("family", d.family).with("endpoint", d.endpoint.clone());
        facts.with("status", d.status.clone())
    };
    let all = || differences.iter().flat_map(|d| d.endpoint.iter().chain(&d.status)).copied();
    let (namespace, name) = (shell(world.text(pod.namespace)), shell(world.text(pod.name)));
    world
        .draft(&CHECK, world.snapshot.endpoint_id(endpoint), told.join("; "))
        .advice(format!("look at the address of the pod's interface, then {}", restart_it(Some(pod))))
        .fact("workload", workload(world, endpoint))
        .list("differences", differences, facts)
        .fact("endpoint", world.endpoint_facts(endpoint))
        .fact("pod", world.pod_facts(pod))
        .list("ipam", all().flat_map(|a| world.ledger.allocations_at(a)), |a| world.allocation_facts(a))
        .on_node(endpoint.node)
        .in_namespace(endpoint.namespace)
        .with_each(all().next(), |d, a| d.in_pool_of(a))
        .rests_on_endpoint(endpoint)
        .rests_on_pod(pod)
        .looks_at(Look::CalicoNode(endpoint.node))
        .next(format!("kubectl -n {namespace} exec {name} -- ip addr"))
        .restart(&[pod])
        .with_each(all(), |d, a| d.next(format!("ipaudit who {a}")))
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, addr};
    use crate::model::{Foreign, Phase, PodFields};

    fn list(texts: &[&str]) -> Box<[Addr]> {
        texts.iter().map(|t| addr(t)).collect()
    }

    /// web-0's status says something else than its endpoint's 10.65.0.1.
    fn differ() -> Cluster {
        let mut c = Cluster::healthy();
        c.pod_mut("web-0").addresses = list(&["10.65.0.9"]);
        c
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn both_addresses_are_told() {
        let found = differ().find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "shop/node--1-k8s-web--0-eth0"));
        assert_eq!(found[0].summary, "the endpoint lists 10.65.0.1, the pod's status 10.65.0.9");
        assert_eq!(found[0].next[0], "kubectl -n shop exec web-0 -- ip addr");
    }

    #[test]
    fn each_family_is_compared_where_both_list_it() {
        let of = |endpoint: &[&str], status: &[&str]| {
            let mut c = Cluster::healthy();
            c.endpoint_mut("web-0").addresses = list(endpoint);
            c.pod_mut("web-0").addresses = list(status);
            c.find(&CHECK).first().map(|f| f.summary.clone())
        };
        assert_eq!(of(&["10.65.0.1", "fd00::1"], &["10.65.0.1"]), None);
        assert_eq!(of(&["10.65.0.1"], &["fd00::1"]), None);
        assert_eq!(of(&["fd00::1", "10.65.0.1"], &["10.65.0.1", "fd00::1"]), None);
        assert_eq!(of(&[], &["10.65.0.1"]), None);
        assert_eq!(of(&["10.65.0.1"], &[]), None);
        let both = of(&["10.65.0.1", "fd00::1"], &["10.65.0.2", "fd00::2"]);
        assert_eq!(both.map(|s| s.raw().matches("the endpoint lists").count()), Some(2));
        let six = of(&["10.65.0.1", "fd00::1"], &["10.65.0.1", "fd00::2"]);
        assert_eq!(six.as_ref().map(Foreign::raw), Some("the endpoint lists fd00::1, the pod's status fd00::2"));
    }

    #[test]
    fn only_the_pod_that_lives_there_is_compared() {
        for change in [
            (|p: &mut PodFields| p.host_network = true) as fn(&mut PodFields),
            |p| p.phase = Phase::Failed,
            |p| p.node = crate::model::Name::NONE,
        ] {
            let mut c = differ();
            change(&mut c.pod_mut("web-0"));
            assert!(c.find(&CHECK).is_empty());
        }
        let mut c = differ();
        c.remove_kube_node("node-1");
        assert!(c.find(&CHECK).is_empty(), "another cluster's node");
    }

    #[test]
    fn calico_as_a_secondary_network_is_no_mismatch() {
        let mut c = Cluster::healthy();
        c.pod_mut("web-0").addresses = list(&["172.16.0.5"]);
        c.pod_mut("web-0").network_status = list(&["10.65.0.1"]);
        assert!(c.find(&CHECK).is_empty());
        // With two Calico networks the second attachment has overwritten the endpoint.
        c.pod_mut("web-0").addresses = list(&["10.65.0.9"]);
        assert_eq!(c.find(&CHECK).len(), 1);
    }
}
