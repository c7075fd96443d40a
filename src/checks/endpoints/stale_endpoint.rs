//! IPA501: an endpoint whose pod is gone.

use super::common::{with_removal, workload};
use crate::checks::prelude::*;
use crate::ledger::EndpointState;
use crate::model::Attribute;

pub static CHECK: Check = Check {
    code: Code(501),
    name: "stale-endpoint",
    severity: Severity::Error,
    needs: Needs::W.and(Needs::P).and(Needs::N),
    steady: Steady::KubernetesReadApart,
    subject: SubjectKind::Endpoint,
    finds: "A Kubernetes endpoint on a node of this cluster, or on one that departed, whose pod does not exist or is \
        finished. Critical when its address belongs to another handle by now.",
    matters: "Felix still routes its address to its node and keeps its policy: once IPAM has given the address to \
        somebody else, the traffic goes to whichever node's name sorts first. `calicoctl ipam check` takes the \
        endpoint for use and hides the leak behind it. A pod that asks for that address by annotation frees it by \
        address alone.",
    arises: "CNI DEL never ran or failed at its first step: the node died or was cut off, the pod was deleted by \
        force, etcd was away. In etcd mode no controller of Calico removes endpoints.",
    action: "Make sure that no sandbox of it is left on the node, then release its handle (the endpoint goes along), \
        or delete the endpoint when IPAM knows nothing of it any more.",
    silent: "Endpoints of other clusters, plain hosts and other orchestrators; pods that are terminating or not yet \
        scheduled. A pod that lives on another node is IPA502.",
    ties: Ties { many: "endpoints whose pod is gone", ..Ties::OURS },
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    for (_, endpoint, state) in world.ledger.endpoints_with_states() {
        if matches!(state, EndpointState::NoPod | EndpointState::Finished) {
            findings.push(report(world, endpoint, state == EndpointState::Finished));
        }
    }
}

fn report(world: &World<'_>, endpoint: &Endpoint, finished: bool) -> Finding {
    let ledger = world.ledger;
    let names = &world.snapshot.names;
    let id = world.pair(endpoint.namespace, endpoint.pod);
    let pod = ledger.pod(endpoint.namespace, endpoint.pod).filter(|_| finished);
    let others = others_allocations(world, endpoint);
    let why = match pod {
        Some(pod) => format!("pod {id} is finished ({})", pod.phase.word()),
        None => format!("pod {id} does not exist"),
    };
    let new_owner = others.first().and_then(|a| ledger.handle_of(a)).map(|h| h.text(names));
    let summary = match (others.first(), &new_owner) {
        (Some(a), Some(handle)) => format!("{why}; {} is handle {handle}'s now", a.address),
        _ => why,
    };
    let draft = world
        .draft(&CHECK, world.snapshot.endpoint_id(endpoint), summary)
        .severity(if others.is_empty() { Severity::Error } else { Severity::Critical })
        .fact("reason", if finished { "finished" } else { "no-such-pod" })
        .fact("workload", workload(world, endpoint))
        .fact("endpoint", world.endpoint_facts(endpoint))
        .fact("pod", pod.map(|p| world.pod_facts(p)))
        .list("allocated_to_others", others.iter(), |a| world.allocation_facts(a))
        .since(endpoint.created())
        .at_endpoint(endpoint)
        .rests_on_endpoint(endpoint)
        .looks_at(Look::CalicoNode(endpoint.node))
        .looks_at(Look::KubeNode(ledger.scope.kubernetes_name(endpoint.node)))
        .with_each(endpoint.addresses().iter().flat_map(|&a| ledger.blocks_covering(a)), |d, block| {
            d.looks_at(Look::Block(block.cidr))
        })
        .rests_on_pod_named(endpoint.namespace, endpoint.pod);
    with_removal(draft, world, endpoint, "the node").done()
}

/// The allocations of the endpoint's addresses that are another handle's by now.
fn others_allocations<'w>(world: &World<'w>, endpoint: &Endpoint) -> Vec<&'w Allocation> {
    let ledger = world.ledger;
    let addresses = endpoint.addresses();
    let allocations = addresses.iter().flat_map(|&address| ledger.allocations_at(address));
    let others = allocations.filter(|a| a.used_for != Use::Cooling).filter(|a| {
        let Some(attribute) = ledger.attribute_of(a) else { return false };
        attribute.handle.is_some_and(|handle| !is_own(world, endpoint, attribute, handle))
    });
    others.collect()
}

/// Whether a handle is the endpoint's own: it names its container; or, as very old ones do, its pod; or it is that of
/// the KubeVirt machine, which outlives every launcher pod.
fn is_own(world: &World<'_>, endpoint: &Endpoint, attribute: &Attribute, handle: HandleId) -> bool {
    let names = &world.snapshot.names;
    let text = handle.text(names);
    let of_pod = text.strip_prefix(world.text(endpoint.namespace)).and_then(|rest| rest.strip_prefix('.'));
    handle.tail == endpoint.container
        || of_pod == Some(world.text(endpoint.pod))
        || handle.is_vm(names) && is_launcher_of(world, endpoint, attribute, &text)
}

/// Whether the endpoint's pod was a launcher of the machine that a `.vmi.` handle belongs to: `virt-launcher-<vm>-`
/// (cut off when long) and five characters. The hashed form of a handle does not tell the machine.
fn is_launcher_of(world: &World<'_>, endpoint: &Endpoint, attribute: &Attribute, handle: &str) -> bool {
    const LAUNCHER: &str = "virt-launcher-";
    let pod = world.text(endpoint.pod);
    let Some(machine) = handle.split_once(".vmi.").map(|(_, machine)| machine) else { return false };
    let base = pod.char_indices().rev().nth(4).map_or("", |(at, _)| &pod[..at]);
    if !base.starts_with(LAUNCHER) {
        return false;
    }
    let vm = match attribute.owner().vmi.some() {
        Some(vmi) => world.text(vmi),
        None if machine.starts_with('_') => return true,
        None => match machine.split_once('.') {
            Some((namespace, vm)) if namespace == world.text(endpoint.namespace) => vm,
            _ => return false,
        },
    };
    format!("{LAUNCHER}{vm}-").starts_with(base)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::evidence::sandbox;
    use crate::checks::testing::{Cluster, addr};
    use crate::model::{AttributeFields, Orchestrator, Phase};

    const WEB_0: &str = "shop/node--1-k8s-web--0-eth0";

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn a_pod_that_is_gone_or_finished_leaves_a_stale_endpoint() {
        let mut c = Cluster::healthy();
        c.remove_pod("web-0");
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw(), found[0].severity), (1, WEB_0, Severity::Error));
        assert_eq!(found[0].summary, "pod shop/web-0 does not exist");
        assert_eq!(found[0].evidence.get("workload"), Some(&"shop/web-0/eth0".into()));
        let release = format!("ipaudit release --handle {}", Cluster::handle_id("shop", "web-0"));
        assert_eq!(found[0].next[0], release);
        let told: Vec<_> = sandbox::told(&found[0]).map(|(node, _, command)| (node.raw(), command.raw())).collect();
        let [(node, command)] = told.as_slice() else { panic!("{told:?}") };
        assert_eq!(*node, "node-1");
        assert!(command.starts_with("crictl pods --state ready --quiet --id "), "{command}");
        let mut c = Cluster::healthy();
        c.pod_mut("web-0").phase = Phase::Succeeded;
        assert_eq!(c.find(&CHECK)[0].summary, "pod shop/web-0 is finished (Succeeded)");
    }

    #[test]
    fn an_endpoint_that_ipam_forgot_is_deleted_by_its_name() {
        let mut c = Cluster::healthy();
        c.remove_pod("web-0");
        c.free("10.65.0.1");
        c.remove_handle(&Cluster::handle_id("shop", "web-0"));
        let found = c.find(&CHECK);
        assert_eq!(found[0].severity, Severity::Error);
        assert_eq!(found[0].next[0], "calicoctl delete workloadendpoint node--1-k8s-web--0-eth0 --namespace=shop");
    }

    #[test]
    fn critical_when_the_address_is_another_handles_by_now() {
        let mut c = Cluster::healthy();
        c.remove_pod("web-0");
        c.endpoint_mut("web-0").addresses = [addr("10.65.0.66")].into();
        let found = c.find(&CHECK);
        assert_eq!(found[0].severity, Severity::Critical);
        assert!(found[0].summary.raw().contains("10.65.0.66 is handle k8s-pod-network."), "{:?}", found[0].summary);
        let now = c.snapshot.now;
        c.attribute_mut("10.65.0.66").released_at = Some(now);
        assert_eq!(c.find(&CHECK)[0].severity, Severity::Error, "cooling");
    }

    /// Another cluster's node, a plain host, and what only another orchestrator knows.
    #[test]
    fn what_is_not_ours_is_never_accused() {
        let mut c = Cluster::healthy();
        c.remove_pod("web-0");
        c.remove_kube_node("node-1");
        assert!(c.find(&CHECK).is_empty(), "another cluster's");
        c.scope = crate::ledger::ScopeFlag::Exclusive;
        assert_eq!(c.subjects(&CHECK), [WEB_0, "shop/node--1-k8s-web--1-eth0"][..1], "departed");
        let mut c = Cluster::healthy();
        c.remove_pod("web-0");
        c.endpoint_mut("web-0").orchestrator = Orchestrator::Cni;
        assert!(c.find(&CHECK).is_empty(), "not Kubernetes'");
    }

    #[test]
    fn a_node_that_departed_without_a_trace_is_judged_in_an_exclusive_scope() {
        let mut c = Cluster::healthy();
        c.endpoint("shop", "ring-0", "node-9", "0123", &["10.65.9.1"]);
        assert_eq!(c.subjects(&CHECK), ["shop/node--9-k8s-ring--0-eth0"]);
        c.snapshot.bad_values.push(crate::checks::testing::undecodable_node(&mut c.snapshot.names, "node-9"));
        assert!(c.find(&CHECK).is_empty(), "its Calico Node does not decode: nobody knows whose it is");
    }

    #[test]
    fn a_terminating_pending_or_unscheduled_pod_is_not_gone() {
        for change in [
            (|c: &mut Cluster| c.pod_mut("web-0").deleting = Some(c.snapshot.now)) as fn(&mut Cluster),
            |c| c.pod_mut("web-0").phase = Phase::Pending,
            |c| c.pod_mut("web-0").phase = Phase::Other,
            |c| c.pod_mut("web-0").node = crate::model::Name::NONE,
            |c| c.endpoint_mut("web-0").pod = crate::model::Name::NONE,
        ] {
            let mut c = Cluster::healthy();
            change(&mut c);
            assert!(c.find(&CHECK).is_empty());
        }
    }

    #[test]
    fn the_endpoints_own_handle_is_no_others() {
        let mut c = Cluster::healthy();
        c.remove_pod("web-0");
        let old = HandleId::intern(&mut c.snapshot.names, "shop.web-0");
        c.attribute_mut("10.65.0.1").handle = old;
        c.endpoint_mut("web-0").container = crate::model::Name::NONE;
        assert_eq!(c.find(&CHECK)[0].severity, Severity::Error, "named after the pod");
        let other = HandleId::intern(&mut c.snapshot.names, "shop.web-00");
        c.attribute_mut("10.65.0.1").handle = other;
        assert_eq!(c.find(&CHECK)[0].severity, Severity::Critical);
    }

    #[test]
    fn a_machines_handle_is_that_of_all_its_launchers() {
        let severity = |pod: &str, handle: &str| {
            let mut c = Cluster::healthy();
            c.endpoint("vms", pod, "node-1", "0123", &["10.65.0.9"]);
            let attribute = AttributeFields {
                handle: HandleId::intern(&mut c.snapshot.names, handle),
                ..AttributeFields::default()
            };
            c.allocate("10.65.0.9", attribute);
            c.find(&CHECK)[0].severity
        };
        let fedora = "k8s-pod-network.vmi.vms.fedora";
        assert_eq!(severity("virt-launcher-fedora-hztsv", fedora), Severity::Error);
        assert_eq!(severity("virt-launcher-fedora-2-hztsv", fedora), Severity::Critical);
        assert_eq!(severity("virt-launcher-debian-hztsv", fedora), Severity::Critical);
        assert_eq!(severity("virt-launcher-fedora-hztsv", "k8s-pod-network.vmi.other.fedora"), Severity::Critical);
        assert_eq!(severity("virt-launcher-fedora-hztsv", "k8s-pod-network.vmi._0f3a"), Severity::Error);
        assert_eq!(severity("web-9", fedora), Severity::Critical);
    }
}
