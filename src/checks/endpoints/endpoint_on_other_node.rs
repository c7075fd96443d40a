//! IPA502: an endpoint on a node where its pod is not.

use super::common::{with_removal, workload};
use crate::checks::endpoints::twin_endpoints;
use crate::checks::prelude::*;
use crate::model::Orchestrator;

pub static CHECK: Check = Check {
    code: Code(502),
    name: "endpoint-on-other-node",
    severity: Severity::Error,
    needs: Needs::W.and(Needs::P).and(Needs::N),
    steady: Steady::KubernetesReadApart,
    subject: SubjectKind::Endpoint,
    finds: "A Kubernetes endpoint on one node (ours or departed) while the pod of its name is on another node, after \
        Calico's node names were mapped to Kubernetes'.",
    matters: "The endpoint is its predecessor's: a StatefulSet pod comes back under its name. Interface names depend \
        on the pod's name alone, so the stale endpoint looks right on its node, keeps its route, and protects an \
        address that nobody uses.",
    arises: "The node died or was cut off, the pod was deleted by force, and its successor was scheduled elsewhere: \
        CNI DEL never ran on the old node.",
    action: "Make sure that no sandbox of it is left on the old node, then release its handle (the endpoint goes \
        along), or delete the endpoint when IPAM knows nothing of it any more.",
    silent: "Endpoints of other clusters, plain hosts and other orchestrators; a pod that is not scheduled yet, or \
        finished (IPA501); a pair of nodes of which neither has a Calico Node that tells its Kubernetes name.",
    ties: Ties { explained_by: Some(explained_by), many: "endpoints on another node than their pod", ..Ties::OURS },
    run,
};

/// The twins of its workload.
fn explained_by(finding: &Finding, causes: &Causes<'_>) -> Option<Root> {
    causes.no_milder(finding, twin_endpoints::CHECK.code, finding.evidence.text("workload")?.raw())
}

fn run(world: &World<'_>, findings: &mut FindingSink) {
    let endpoints = world.snapshot.endpoints.iter();
    findings.extend(endpoints.filter_map(|e| pod_elsewhere(world, e).map(|pod| report(world, e, pod))));
}

/// The endpoint's pod, when it lives on another node.
fn pod_elsewhere<'w>(world: &World<'w>, endpoint: &Endpoint) -> Option<&'w Pod> {
    let scope = &world.ledger.scope;
    if endpoint.orchestrator() != Orchestrator::Kubernetes || !scope.judged(endpoint.node) {
        return None;
    }
    let pod = world.ledger.pod(endpoint.namespace, endpoint.pod)?;
    let node = pod.node.some()?;
    let here = scope.kubernetes_name(endpoint.node);
    (!pod.phase.is_finished() && node != here && mapped(world, endpoint, pod)).then_some(pod)
}

/// Whether the two names are two nodes for certain. Calico's name can differ from Kubernetes': without any Calico
/// Node the one may be the other.
fn mapped(world: &World<'_>, endpoint: &Endpoint, pod: &Pod) -> bool {
    let nodes = &world.snapshot.calico_nodes;
    !world.ledger.scope.calico_names(pod.node).is_empty() || nodes.iter().any(|n| n.name == endpoint.node)
}

fn report(world: &World<'_>, endpoint: &Endpoint, pod: &Pod) -> Finding {
    let scope = &world.ledger.scope;
    let (there, here) = (world.text(pod.node), world.text(scope.kubernetes_name(endpoint.node)));
    let summary = format!("pod {} is on {there}, this endpoint on {here}", world.pod_id(pod));
    let draft = world
        .draft(&CHECK, world.snapshot.endpoint_id(endpoint), summary)
        .fact("workload", workload(world, endpoint))
        .fact("endpoint", world.endpoint_facts(endpoint))
        .fact("pod", world.pod_facts(pod))
        .since(endpoint.created())
        .at_endpoint(endpoint)
        .rests_on_endpoint(endpoint)
        .rests_on_pod(pod)
        .looks_at(Look::CalicoNode(endpoint.node))
        .looks_at(Look::KubeNode(scope.kubernetes_name(endpoint.node)))
        .with_each(scope.calico_names(pod.node), |d, &home| d.looks_at(Look::CalicoNode(home)));
    with_removal(draft, world, endpoint, "the old node").done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, addr};
    use crate::model::{Foreign, Name, Phase, PodFields};

    /// web-0 moved to node-2 and holds another address there; nothing of node-1 was cleaned up.
    fn moved() -> Cluster {
        let mut c = Cluster::healthy();
        c.remove_pod("web-0");
        c.workload("shop", "web-0", "node-2", &["10.65.0.70"]);
        c
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn the_endpoint_of_the_old_node_is_told() {
        let found = moved().find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "shop/node--1-k8s-web--0-eth0"));
        assert_eq!(found[0].summary, "pod shop/web-0 is on node-2, this endpoint on node-1");
        assert_eq!(found[0].evidence.get("workload"), Some(&"shop/web-0/eth0".into()));
        assert_eq!((found[0].node.as_ref().map(Foreign::raw), found[0].severity), (Some("node-1"), Severity::Error));
    }

    #[test]
    fn whatever_the_pods_grade() {
        for change in [
            (|p: &mut PodFields| p.addresses = [].into()) as fn(&mut PodFields),
            |p| p.ready = false,
            |p| p.phase = Phase::Pending,
            |p| p.host_network = true,
            |p| p.deleting = p.created,
        ] {
            let mut c = moved();
            c.snapshot.endpoints.retain(|e| e.addresses()[0] != addr("10.65.0.70"));
            change(&mut c.pod_mut("web-0"));
            assert_eq!(c.find(&CHECK).len(), 1);
        }
    }

    #[test]
    fn a_pod_that_is_nowhere_or_finished_lives_on_no_other_node() {
        let mut c = moved();
        c.pod_mut("web-0").node = Name::NONE;
        assert!(c.find(&CHECK).is_empty());
        let mut c = moved();
        c.pod_mut("web-0").phase = Phase::Failed;
        assert!(c.find(&CHECK).is_empty());
    }

    /// Calico knows Kubernetes' node-1 as rack-b.1.
    #[test]
    fn names_are_mapped_before_they_are_compared() {
        let mut c = Cluster::healthy();
        let calico = c.name("rack-b.1");
        c.snapshot.calico_nodes[0].name = calico;
        for pod in ["web-0", "web-1"] {
            c.endpoint_mut(pod).node = calico;
        }
        assert!(c.find(&CHECK).is_empty());
        // Without that Calico Node nobody can say that the two names are two nodes.
        c.scope = crate::ledger::ScopeFlag::Exclusive;
        c.remove_calico_node("rack-b.1");
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn a_namesake_of_another_cluster_is_another_workload() {
        let mut c = moved();
        c.remove_kube_node("node-1");
        assert!(c.find(&CHECK).is_empty());
        c.scope = crate::ledger::ScopeFlag::Exclusive;
        assert_eq!(c.find(&CHECK).len(), 1, "departed");
    }
}
