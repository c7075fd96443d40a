//! IPA508: an endpoint whose node Calico does not know.

use super::common::{with_removal, workload};
use super::{endpoint_on_other_node, stale_endpoint};
use crate::checks::affinities::node_without_calico_node;
use crate::checks::evidence::operand::operand;
use crate::checks::evidence::{Draft, ask_who, delete_endpoint};
use crate::checks::prelude::*;
use crate::model::Input;
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
    action: "When it lives: restart calico-node there, it registers its node again. When the node is gone for good: \
        remove its endpoints as IPA501 says of those whose pods are gone. While Kubernetes' nodes and pods cannot be \
        read, remove none: nobody knows which of them live.",
    silent: "Nodes of which a value does not decode.",
    ties: Ties {
        also: Needs::P.and(Needs::K),
        many: "endpoints whose node has no Calico Node",
        explained_by: Some(explained_by),
        ..Ties::ANYBODYS
    },
    run,
};

/// A node without its Calico Node, both by Kubernetes' name of it; or an endpoint that is left behind: one is removed once,
/// and the way to do it stands with what says that its pod is gone.
fn explained_by(finding: &Finding, causes: &Causes<'_>) -> Option<Root> {
    let stale = [stale_endpoint::CHECK.code, endpoint_on_other_node::CHECK.code];
    let of_endpoint = |code| causes.no_milder(finding, code, finding.subject.id.raw());
    stale
        .into_iter()
        .find_map(of_endpoint)
        .or_else(|| causes.no_milder(finding, node_without_calico_node::CHECK.code, finding.node.as_ref()?.raw()))
}

fn run(world: &World<'_>, findings: &mut FindingSink) {
    let known: HashSet<Name> = world.snapshot.calico_nodes.iter().map(|n| n.name).collect();
    for endpoint in &world.snapshot.endpoints {
        let node = endpoint.node;
        if !node.is_none() && !known.contains(&node) && !world.ledger.dark.node(node) {
            findings.push(report(world, endpoint));
        }
    }
}

/// What is known of the node and of the pod.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NodeFate {
    /// Kubernetes was not read: nobody knows whether they live.
    Unread,
    /// Kubernetes knows the node.
    Lives,
    /// Its pod is gone from there, which IPA501 or IPA502 says as well.
    Stale,
    /// Kubernetes does not know the node. What runs there, if anything does, it cannot say.
    Gone,
}

fn fate(world: &World<'_>, endpoint: &Endpoint) -> NodeFate {
    let scope = &world.ledger.scope;
    if scope.is_known_to_kubernetes(endpoint.node) {
        NodeFate::Lives
    } else if !scope.known || !world.snapshot.coverage.complete(Input::Pods) {
        NodeFate::Unread
    } else if world.ledger.endpoint_state(endpoint).is_stale() {
        NodeFate::Stale
    } else {
        NodeFate::Gone
    }
}

fn report(world: &World<'_>, endpoint: &Endpoint) -> Finding {
    let node = world.text(endpoint.node);
    let fate = fate(world, endpoint);
    let lives = fate == NodeFate::Lives;
    // A pod of that name lives: what it says of its node, its own findings tell.
    let has_pod = world.ledger.pod(endpoint.namespace, endpoint.pod).is_some_and(|pod| !pod.phase.is_finished());
    let delete = || delete_endpoint(world.text(endpoint.namespace), &endpoint.name().text(&world.snapshot.names));
    let draft = world
        .draft(&CHECK, world.snapshot.endpoint_id(endpoint), format!("no Calico Node {node}"))
        .restarts_pods(lives)
        .fact("workload", workload(world, endpoint))
        .fact("endpoint", world.endpoint_facts(endpoint))
        .fact("known_to_kubernetes", world.ledger.scope.known.then_some(lives))
        .since(endpoint.created())
        .at_endpoint(endpoint)
        .rests_on_endpoint(endpoint)
        .looks_at(Look::CalicoNode(endpoint.node));
    if fate == NodeFate::Stale {
        return with_removal(draft, world, endpoint, node).done();
    }
    draft
        .advice(match fate {
            NodeFate::Unread => "first make Kubernetes readable: nobody knows whether the node and its pods live",
            NodeFate::Lives => "Kubernetes knows the node: restart calico-node there, it registers its node again",
            NodeFate::Stale | NodeFate::Gone => "look whose node it is; when it is gone for good, delete its endpoints",
        })
        .next(ask_who(node))
        .next(format!("kubectl get nodes --ignore-not-found {}", operand(node)))
        .with_each((fate == NodeFate::Gone && !has_pod).then(delete), Draft::next)
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::evidence::sandbox;
    use crate::checks::testing::{Cluster, undecodable_endpoint, undecodable_node};
    use crate::ledger::Ledger;
    use crate::model::{InputState, Orchestrator};

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
        assert_eq!(place(&found), Some(0), "nobody else has the datastore, and its pod is gone");
        assert_eq!(found[0].advice, "when no sandbox of it is left on node-9, delete the endpoint");
        assert_eq!(sandbox::told(&found[0]).count(), 1);
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

    /// Of what nobody has read nobody says that it is gone.
    #[test]
    fn nothing_is_deleted_while_kubernetes_was_not_read() {
        for input in [Input::Pods, Input::KubeNodes] {
            let mut c = lost();
            c.snapshot.coverage.set(input, InputState::Unreachable, "");
            match input {
                Input::Pods => c.snapshot.pods.clear(),
                _ => c.snapshot.kube_nodes.clear(),
            }
            let found = c.find(&CHECK);
            assert!(found[0].advice.raw().starts_with("first make Kubernetes readable"), "{:?}", found[0].advice);
            assert_eq!(found[0].next, ["ipaudit who node-9", "kubectl get nodes --ignore-not-found node-9"]);
        }
    }

    #[test]
    fn an_endpoint_that_is_left_behind_is_told_with_what_says_so() {
        let mut c = lost();
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, c.scope, None);
        let outcome = crate::checks::run(&World { snapshot: &snapshot, ledger: &ledger, past: None });
        let of = |code| outcome.opened().find(|f| f.code == code).unwrap();
        let (found, stale) = (of(CHECK.code), of(stale_endpoint::CHECK.code));
        assert_eq!(found.root.as_ref().map(|root| root.code), Some(stale_endpoint::CHECK.code));
        assert_eq!(found.next, stale.next, "one way to remove it");
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
