//! IPA410: a node of this cluster that works, and of which Calico has no Node.

use std::time::Duration;

use crate::checks::evidence::{ask_who, count};
use crate::checks::prelude::*;
use crate::model::KubeNode;

pub static CHECK: Check = Check {
    code: Code(410),
    name: "node-without-calico-node",
    severity: Severity::Error,
    needs: Needs::N.and(Needs::K).and(Needs::P).and(Needs::B).and(Needs::A).and(Needs::W),
    steady: Steady::KubernetesReadApart,
    subject: SubjectKind::Node,
    finds: "A Ready Kubernetes node with live pods that Calico networks, and with endpoints, blocks or affinities of \
        its own, to which no Calico Node refers. The subject is Kubernetes' name.",
    matters: "Felix and BGP learn of other machines from Calico Nodes alone: no other node has a route to this one, \
        and all of its pods are cut off from the rest of the cluster.",
    arises: "The node was deleted from Kubernetes and registered again: Calico's node controller deleted the Calico \
        Node, and calico-node, which writes it at its start only, was not restarted. Or another cluster's controller \
        on the same datastore deleted it.",
    action: "Restart calico-node on that node: it registers its node again. The addresses and endpoints stay as they \
        are.",
    silent: "Nodes that are not Ready or younger than 5 minutes (calico-node is still starting), nodes with pods of \
        the host's network alone or of another CNI plugin, and nodes whose Calico Node may be one that does not \
        decode.",
    ties: Ties { harm: Harm::Outage, many: "nodes without a Calico Node", ..Ties::OURS },
    run,
};

/// A node younger than this may not have been registered by its calico-node yet.
const YOUNG: Duration = Duration::from_secs(5 * 60);
/// So many pods are shown.
const SHOWN: usize = 10;

fn run(world: &World<'_>, findings: &mut FindingSink) {
    let mut hosts: Vec<Name> = world.ledger.scope.unregistered().collect();
    hosts.sort_by(|a, b| world.text(*a).cmp(world.text(*b)));
    findings.extend(hosts.into_iter().filter_map(|host| judge(world, host)));
}

fn judge(world: &World<'_>, host: Name) -> Option<Finding> {
    let ledger = world.ledger;
    let node = ledger.kube_node(ledger.scope.kubernetes_name(host))?;
    let young = node.created.is_some_and(|created| world.snapshot.now.since(created) < YOUNG);
    if node.ready != Some(true) || young || ledger.dark.node(host) {
        return None;
    }
    let pods: Vec<&Pod> = world.snapshot.pods.iter().filter(|p| p.node == node.name && is_cut_off(p)).collect();
    // A leftover of Calico on a node that another plugin networks now is no outage.
    let by_calico: Vec<&Pod> = pods.iter().copied().filter(|p| is_calicos(world, p)).collect();
    (!by_calico.is_empty()).then(|| report(world, host, node, &pods, &by_calico))
}

/// Whether a pod works: it has an address, and is not about to go.
fn is_cut_off(pod: &Pod) -> bool {
    pod.may_hold() && !pod.is_terminating() && !pod.addresses().is_empty()
}

/// Whether Calico networks a pod: it has an endpoint on this node, or an address of one of Calico's blocks.
fn is_calicos(world: &World<'_>, pod: &Pod) -> bool {
    let ledger = world.ledger;
    ledger.endpoints_at_home(pod).next().is_some()
        || pod.addresses().iter().any(|&address| !ledger.blocks_covering(address).is_empty())
}

fn report(world: &World<'_>, host: Name, node: &KubeNode, pods: &[&Pod], by_calico: &[&Pod]) -> Finding {
    let (ledger, snapshot) = (world.ledger, world.snapshot);
    let name = world.text(node.name);
    let endpoints = snapshot.endpoints.iter().filter(|e| e.node == host).count();
    let is_host = |h: &Host| h.kind == HostKind::Host && h.name == host;
    let blocks: Vec<_> = ledger.blocks().filter(|b| b.affinity.as_ref().is_some_and(is_host)).map(|b| b.cidr).collect();
    let mut shown: Vec<&Pod> = by_calico.to_vec();
    // The oldest ones: those that come and go meanwhile make no other finding of it.
    shown.sort_by_key(|p| (p.created(), world.pod_id(p)));
    shown.truncate(SHOWN);
    let live = count(pods.len(), "live pod");
    let summary = format!("Ready with {live}, and Calico has no Node of it: no other node has a route to them");
    world
        .draft(&CHECK, name, summary)
        .advice("restart calico-node there: it registers its node again")
        .fact("calico_name", world.text(host))
        .fact("pods", pods.len())
        .list("examples", shown.iter(), |p| world.pod_id(p))
        .fact("endpoints", endpoints)
        .fact("blocks", blocks)
        .fact("addresses", node.internal_addresses.to_vec())
        .fact("created", node.created)
        .on_node(host)
        .restart_calico_node(node.name)
        .next(ask_who(name))
        .rests_on_kube_node(node)
        .looks_at(Look::CalicoNode(host))
        // One pod is enough for the claim, and it must be the same one again.
        .with_each(shown.first(), |draft, pod| {
            draft.rests_on_pod(pod).with_each(ledger.endpoints_at_home(pod), |d, e| d.rests_on_endpoint(e))
        })
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::endpoints::endpoint_without_node;
    use crate::checks::run_these;
    use crate::checks::testing::{Cluster, addr, undecodable_endpoint, undecodable_node};
    use crate::ledger::Ledger;

    /// node-1 registered again without its calico-node being restarted; another cluster's node is there too.
    fn lost() -> Cluster {
        let mut c = Cluster::healthy();
        c.node("east-1", "172.31.0.1");
        c.remove_kube_node("east-1");
        c.remove_calico_node("node-1");
        c
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn a_node_with_live_pods_and_no_calico_node_is_an_outage() {
        let found = lost().find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw(), found[0].severity), (1, "node-1", Severity::Error));
        let summary = "Ready with 2 live pods, and Calico has no Node of it: no other node has a route to them";
        assert_eq!(found[0].summary, summary);
        assert!(found[0].next[0].raw().contains("k8s-app=calico-node"), "{:?}", found[0].next);
    }

    #[test]
    fn its_endpoints_findings_are_told_under_it() {
        let mut c = lost();
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, c.scope, None);
        let world = World { snapshot: &snapshot, ledger: &ledger, past: None };
        let outcome = run_these(&world, &[&CHECK, &endpoint_without_node::CHECK]);
        let roots = outcome.findings.iter().filter(|f| f.code == Code(508)).map(|f| f.root.clone().unwrap());
        let roots: Vec<_> = roots.map(|r| (r.code.0, r.id)).collect();
        assert_eq!(roots, [(410, "node-1".into()), (410, "node-1".into())]);
    }

    #[test]
    fn its_leaks_are_judged_as_ours() {
        let mut c = lost();
        c.remove_pod("web-0");
        assert_eq!(c.subjects(&crate::checks::addresses::leaked_address::CHECK), ["10.65.0.1"]);
    }

    #[test]
    fn its_tunnel_is_not_called_left_behind() {
        let mut c = lost();
        use crate::checks::addresses::{leaked_tunnel_address, unattributed_allocation};
        assert!(c.find(&leaked_tunnel_address::CHECK).is_empty());
        // The very old form of a tunnel's allocation: only the Calico Node says whose it is.
        *c.attribute_mut("10.65.0.0") = crate::model::AttributeFields::default();
        assert!(c.find(&unattributed_allocation::CHECK).is_empty());
        assert!(c.find(&leaked_tunnel_address::CHECK).is_empty());
    }

    #[test]
    fn innocent_nodes() {
        let young = |c: &mut Cluster| c.snapshot.kube_nodes[0].created = Some(c.ago(200));
        for change in [
            (|c: &mut Cluster| c.snapshot.kube_nodes[0].ready = Some(false)) as fn(&mut Cluster),
            |c| c.snapshot.kube_nodes[0].ready = None,
            young,
            |c| c.snapshot.pods.iter_mut().for_each(|p| p.host_network = true),
            |c| c.each_pod(|p| p.deleting = p.created),
            |c| c.snapshot.pods.iter_mut().for_each(|p| p.phase = crate::model::Phase::Succeeded),
            |c| c.each_pod(|p| p.addresses = [].into()),
            |c| {
                // Calico was here once; another plugin networks the pods now.
                c.snapshot.endpoints.clear();
                c.each_pod(|p| p.addresses = [addr("172.16.0.9")].into());
            },
            |c| {
                let bad = undecodable_node(&mut c.snapshot.names, "node-1");
                c.snapshot.bad_values.push(bad);
            },
            |c| {
                let bad = undecodable_endpoint(&mut c.snapshot.names, "node-1");
                c.snapshot.bad_values.push(bad);
            },
        ] {
            let mut c = lost();
            change(&mut c);
            assert!(c.find(&CHECK).is_empty());
        }
    }

    /// A node of another CNI plugin that Calico knows nothing of.
    #[test]
    fn a_node_without_any_trace_of_calico_is_none() {
        let mut c = Cluster::healthy();
        c.node("edge-1", "192.168.0.9");
        c.remove_calico_node("edge-1");
        c.pod("shop", "edge-0", "edge-1", &["172.16.0.9"]);
        assert!(c.find(&CHECK).is_empty());
    }
}
