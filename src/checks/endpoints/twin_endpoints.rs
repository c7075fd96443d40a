//! IPA503: one workload, endpoints on several nodes. The incident of 2017.

use super::common::{removal, workload};
use crate::checks::counted_few;
use crate::checks::evidence::{ask_who, sandbox};
use crate::checks::prelude::*;
use crate::model::{Foreign, Interface, Orchestrator};

pub static CHECK: Check = Check {
    code: Code(503),
    name: "twin-endpoints",
    severity: Severity::Error,
    needs: Needs::W,
    steady: Steady::KubernetesReadApart,
    subject: SubjectKind::Workload,
    finds: "Endpoints of one Kubernetes workload (namespace, pod and interface) on two or more nodes of this cluster, \
        departed ones counted, with the same host interface name on each.",
    matters: "A pod has one home. The interface's name depends on the pod's name alone, so on every node the endpoint \
        looks right; each node announces and filters for the same workload, and what is stale hides in plain sight.",
    arises: "A StatefulSet pod came back on another node while CNI DEL had never run on the old one: the node died, \
        was cut off, or etcd was away.",
    action: "Keep the endpoint of the node where the pod lives; remove the others as IPA502 (or IPA501) says.",
    silent: "Endpoints of the same name in another cluster, on plain hosts, or of another orchestrator: another \
        workload. Different interface names.",
    ties: Ties {
        judges: Judges::OnlyOurs,
        shows,
        many: "pods with endpoints on several nodes",
        between: "node",
        ..Ties::OURS
    },
    run,
};

/// Each endpoint that is to go, or all where nobody knows which these are:
/// `slave-57: adqsdxadc/slave--57-k8s-store--mysql--0-eth0 192.168.201.71`.
fn shows(finding: &Finding) -> Shown {
    let line = |endpoint: &Evidence| {
        let addresses = endpoint.texts("addresses").map(Foreign::raw).collect::<Vec<_>>().join(" ");
        let line = format!("{}: {} {addresses}", endpoint.text("node")?.raw(), endpoint.text("endpoint")?.raw());
        Some(line.trim_end().into())
    };
    let home = finding.evidence.text("pod_node");
    let goes = |endpoint: &&Evidence| home.is_none() || endpoint.text("node") != home;
    let lines = finding.evidence.entries("endpoints").filter(goes).filter_map(line).collect();
    Shown { lines, ..Shown::default() }
}

fn run(world: &World<'_>, findings: &mut FindingSink) {
    let scope = &world.ledger.scope;
    let judged = |e: &&Endpoint| {
        e.orchestrator() == Orchestrator::Kubernetes
            && !e.pod.is_none()
            && !e.interface().is_none()
            && scope.judged(e.node)
    };
    let mut endpoints: Vec<&Endpoint> = world.snapshot.endpoints.iter().filter(judged).collect();
    // Stable: equal ones keep the snapshot's order.
    endpoints.sort_by_key(|e| key(e));
    for same_workload in endpoints.chunk_by(|a, b| key(a).0 == key(b).0) {
        let mut twins: Vec<&Endpoint> = Vec::new();
        for same_interface in same_workload.chunk_by(|a, b| a.interface() == b.interface()) {
            if nodes(world, same_interface).len() > 1 {
                twins.extend(same_interface);
            }
        }
        if !twins.is_empty() {
            twins.sort_by(|a, b| crate::checks::natural(world.text(a.node), world.text(b.node)));
            findings.push(report(world, &twins));
        }
    }
}

/// The workload, then the interface.
fn key(e: &Endpoint) -> ((Name, Name, Name), Interface) {
    ((e.namespace, e.pod, e.endpoint()), e.interface())
}

/// Kubernetes' names of the nodes, in natural order: two Calico names of one node are one node.
fn nodes<'w>(world: &World<'w>, endpoints: &[&Endpoint]) -> Vec<&'w str> {
    let scope = &world.ledger.scope;
    let text = |name: Name| world.snapshot.names.get(name);
    let mut nodes: Vec<&str> = endpoints.iter().map(|e| text(scope.kubernetes_name(e.node))).collect();
    nodes.sort_by(|a, b| crate::checks::natural(a, b));
    nodes.dedup();
    nodes
}

fn report(world: &World<'_>, twins: &[&Endpoint]) -> Finding {
    let id = workload(world, twins[0]);
    let nodes = nodes(world, twins);
    // A hint only: the check needs no pods.
    let home = world.ledger.pod(twins[0].namespace, twins[0].pod).and_then(|p| p.node.some());
    let home = home.map(|node| world.text(node));
    let kubernetes_name = |e: &Endpoint| world.text(world.ledger.scope.kubernetes_name(e.node));
    let elsewhere = || twins.iter().copied().filter(|e| home.is_some_and(|home| kubernetes_name(e) != home));
    let interface = twins[0].interface().text(&world.snapshot.names);
    let on = counted_few(&nodes, " and ", "nodes");
    let lives = home.map(|home| format!("; the pod is on {home}")).unwrap_or_default();
    let summary = format!("endpoints on {on}, interface {interface} on each{lives}");
    let mut left: Vec<&str> = elsewhere().map(kubernetes_name).collect();
    left.dedup();
    world
        .draft(&CHECK, id.clone(), summary)
        .advice(match (home, left.as_slice()) {
            (Some(_), [node]) => format!("{}{node}, remove the endpoint there", sandbox::WHEN_NONE),
            // On which nodes, `sandboxes` says.
            (Some(_), _) => "remove the others, each when its sandbox is gone".to_owned(),
            (None, _) => "find the node where the pod lives and remove the endpoints of the others".to_owned(),
        })
        .fact("workload", id)
        .fact("nodes", nodes)
        .fact("interface", interface)
        .fact("pod_node", home)
        .list("endpoints", twins, |e| world.endpoint_facts(e))
        .in_namespace(twins[0].namespace)
        // Each of them is judged once more by the release.
        .no_sandbox_of(world, elsewhere())
        .with_each(elsewhere(), |d, e| d.next(removal(world, e)))
        .next(ask_who(&world.pair(twins[0].namespace, twins[0].pod)))
        .with_each(twins, |d, e| {
            let scope = &world.ledger.scope;
            d.rests_on_endpoint(e)
                .looks_at(Look::CalicoNode(e.node))
                .looks_at(Look::KubeNode(scope.kubernetes_name(e.node)))
        })
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::Cluster;

    /// web-0 of node-1 has an endpoint on node-2 too.
    fn twins() -> Cluster {
        let mut c = Cluster::healthy();
        c.endpoint("shop", "web-0", "node-2", "0123", &["10.65.0.70"]);
        c
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn one_finding_a_workload_with_all_its_endpoints() {
        let mut c = twins();
        c.node("node-10", "192.168.0.10");
        c.endpoint("shop", "web-0", "node-10", "4567", &["10.65.0.71"]);
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "shop/web-0/eth0"));
        assert!(found[0].summary.raw().starts_with("endpoints on node-1 and node-2 and node-10, interface cali"));
        assert!(found[0].summary.raw().ends_with(" on each; the pod is on node-1"), "{:?}", found[0].summary);
        assert_eq!(found[0].advice, "remove the others, each when its sandbox is gone");
        assert_eq!(found[0].rests.len(), 9);
        let one = twins().find(&CHECK);
        assert_eq!(one[0].advice, "when no sandbox of it is left on node-2, remove the endpoint there");
    }

    #[test]
    fn other_interfaces_orchestrators_pods_or_attachments_are_no_twins() {
        for change in [
            (|c: &mut Cluster| c.last_endpoint().interface = Interface::Other(Name::NONE)) as fn(&mut Cluster),
            |c| c.last_endpoint().interface = Interface::Cali(7),
            |c| {
                let net1 = c.name("net1");
                c.last_endpoint().endpoint = net1;
            },
            |c| {
                let pod = c.name("web-9");
                c.last_endpoint().pod = pod;
            },
            |c| c.last_endpoint().orchestrator = Orchestrator::Cni,
        ] {
            let mut c = twins();
            change(&mut c);
            assert!(c.find(&CHECK).is_empty());
        }
    }

    #[test]
    fn a_namesake_of_another_cluster_is_another_workload() {
        let mut c = twins();
        c.remove_kube_node("node-2");
        assert!(c.find(&CHECK).is_empty());
        c.scope = crate::ledger::ScopeFlag::Exclusive;
        assert_eq!(c.subjects(&CHECK), ["shop/web-0/eth0"], "departed");
    }

    /// Ten thousand names are read by nobody.
    #[test]
    fn many_nodes_are_counted() {
        let mut c = twins();
        for number in 3..=200 {
            c.node(&format!("node-{number}"), &format!("192.168.1.{number}"));
            c.endpoint("shop", "web-0", &format!("node-{number}"), &format!("{number:064x}"), &[]);
        }
        let found = c.find(&CHECK);
        let summary = found[0].summary.raw();
        assert!(summary.starts_with("endpoints on 200 nodes (node-1, node-2, node-3, …), interface cali"), "{summary}");
        assert_eq!(found[0].evidence.texts("nodes").count(), 200, "all of them are in the evidence");
    }

    /// Two Calico names of one Kubernetes node.
    #[test]
    fn two_names_of_one_node_are_one_node() {
        let mut c = twins();
        let node_1 = c.name("node-1");
        c.snapshot.calico_nodes[1].kubernetes_name = Some(node_1);
        assert!(c.find(&CHECK).is_empty());
    }
}
