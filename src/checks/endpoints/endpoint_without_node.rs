//! IPA508: an endpoint whose node Calico does not know.

use super::common::workload;
use crate::checks::affinities::node_without_calico_node;
use crate::checks::evidence::operand::operand;
use crate::checks::evidence::{Draft, ask_who, delete_endpoint};
use crate::checks::prelude::*;
use crate::model::hash::HashSet;

pub static CHECK: Check = Check {
    code: Code(508),
    name: "endpoint-without-node",
    severity: Severity::Warning,
    needs: Needs::W.and(Needs::N),
    steady: Steady::TwoWrites,
    subject: SubjectKind::Endpoint,
    finds: "An endpoint of any orchestrator and any cluster whose node has no Calico Node.",
    matters: "Nobody programs it, and nobody collects it: Felix of that name does not run here, and what removes a \
        node's leftovers looks at Calico Nodes. Where the node still lives, its pods get no policy from the others and \
        its routes are not announced.",
    arises: "The Calico Node was deleted, by hand or by another cluster's kube-controllers that share the datastore, \
        and the endpoints stayed.",
    action: "When the node is gone: remove its endpoints (IPA501 says which are stale). When it lives: restart \
        calico-node there, it registers its node again.",
    silent: "Nodes of which a value does not decode.",
    ties: Ties { many: "endpoints whose node has no Calico Node", explained_by, ..Ties::ANYBODYS },
    run,
};

/// Both by Kubernetes' name of the node.
fn explained_by(finding: &Finding, causes: &Causes<'_>) -> Option<Root> {
    causes.no_milder(finding, node_without_calico_node::CHECK.code, finding.node.as_ref()?.raw())
}

fn run(world: &World<'_>, findings: &mut Vec<Finding>) {
    let known: HashSet<Name> = world.snapshot.calico_nodes.iter().map(|n| n.name).collect();
    for endpoint in &world.snapshot.endpoints {
        let node = endpoint.node;
        if !node.is_none() && !known.contains(&node) && !world.ledger.dark.node(node) {
            findings.push(report(world, endpoint));
        }
    }
}

fn report(world: &World<'_>, endpoint: &Endpoint) -> Finding {
    let node = world.text(endpoint.node);
    let lives = world.ledger.scope.is_known_to_kubernetes(endpoint.node);
    let delete = || delete_endpoint(world.text(endpoint.namespace), world.text(endpoint.name));
    // Of a node that may be another cluster's somebody looks first.
    let is_ours = world.ledger.scope.standing(endpoint.node) != Standing::Foreign;
    world
        .draft(&CHECK, world.pair(endpoint.namespace, endpoint.name), format!("no Calico Node {node}"))
        .advice(match lives {
            true => "Kubernetes knows the node: restart calico-node there, it registers its node again",
            false => "when the node is gone for good, remove its endpoints",
        })
        .restarts_pods(lives)
        .fact("workload", workload(world, endpoint))
        .fact("endpoint", world.endpoint_facts(endpoint))
        .fact("known_to_kubernetes", world.ledger.scope.known.then_some(lives))
        .since(endpoint.created)
        .at_endpoint(endpoint)
        .rests_on_endpoint(endpoint)
        .looks_at(Look::CalicoNode(endpoint.node))
        .with_each((!lives && is_ours).then(delete), Draft::next)
        .next(ask_who(node))
        .next(format!("kubectl get nodes --ignore-not-found {}", operand(node)))
        .with_each((!lives && !is_ours).then(delete), Draft::next)
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, undecodable_endpoint, undecodable_node};
    use crate::model::Orchestrator;

    fn lost() -> Cluster {
        let mut c = Cluster::healthy();
        c.endpoint("shop", "ring-0", "node-9", "0123", &["10.65.9.1"]);
        c
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn whoever_made_it_and_wherever() {
        let found = lost().find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "shop/node--9-k8s-ring--0-eth0"));
        assert_eq!(found[0].summary, "no Calico Node node-9");
        let delete = "calicoctl delete workloadendpoint node--9-k8s-ring--0-eth0 --namespace=shop";
        let place = |found: &[Finding]| found[0].next.iter().position(|command| command.raw() == delete);
        assert_eq!(place(&found), Some(0), "nobody else has the datastore");
        let mut c = lost();
        c.remove_kube_node("node-2");
        assert_eq!(place(&c.find(&CHECK)), Some(2), "it may be another cluster's: look first");
        let mut c = lost();
        c.endpoint_mut("ring-0").orchestrator = Orchestrator::Cni;
        assert_eq!(c.find(&CHECK).len(), 1);
        let mut c = Cluster::healthy();
        c.remove_calico_node("node-2");
        let found = c.find(&CHECK);
        assert_eq!(found.len(), 2);
        assert!(found[0].advice.raw().starts_with("Kubernetes knows the node"), "{:?}", found[0].advice);
        assert_eq!(place(&found), None);
    }

    #[test]
    fn what_may_be_in_the_dark_is_not_absent() {
        for dark in [undecodable_node, undecodable_endpoint] {
            let mut c = lost();
            let bad = dark(&mut c.snapshot.names, "node-9");
            c.snapshot.bad_values.push(bad);
            assert!(c.find(&CHECK).is_empty());
        }
    }
}
