//! IPA409: Calico still has a node that Kubernetes has not.

use crate::checks::evidence::ask_who;
use crate::checks::evidence::operand::calicoctl_node;
use crate::checks::prelude::*;
use crate::model::CalicoNode;

pub static CHECK: Check = Check {
    code: Code(409),
    name: "stale-calico-node",
    severity: Severity::Warning,
    needs: Needs::N.and(Needs::K),
    steady: Steady::KubernetesReadApart,
    subject: SubjectKind::Node,
    finds: "A Calico Node that refers to Kubernetes and whose Kubernetes node is gone; or a machine's former name: \
        Kubernetes does not know it, its host address is that of a Calico Node which Kubernetes knows, and nothing \
        under it is younger than that node.",
    matters: "Felix programs tunnels and routes to it, BGP peers with it, its tunnel addresses stay taken, and nothing \
        of it is collected while it exists. Two Calico Nodes with one host address: calico-node refuses to start.",
    arises: "The node was removed from Kubernetes while calico-kube-controllers did not run, or without its node \
        controller; or the machine was renamed.",
    action: "When the machine is gone for good, delete the Calico Node; its blocks and addresses are then collected.",
    silent: "Nodes of other clusters in the same datastore, and hosts without a reference to Kubernetes. Unless every \
        node here is ours or the scope is exclusive, only a node that an earlier audit knew as ours and a former name \
        count. An address that several machines here have, or an ExternalIP, names no machine.",
    ties: Ties { many: "Calico Nodes whose node is gone", ..Ties::OURS },
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    let nodes = world.snapshot.calico_nodes.iter();
    let stale = nodes.filter(|node| world.ledger.scope.standing(node.name) == Standing::Departed);
    findings.extend(stale.filter(|node| node.kubernetes_name.is_some()).map(|node| report(world, node)));
}

fn report(world: &World<'_>, node: &CalicoNode) -> Finding {
    let kubernetes = world.ledger.scope.kubernetes_name(node.name);
    let tunnels = node.tunnels.iter();
    let tunnels = tunnels.map(|(kind, address)| Evidence::new().with("type", kind.word()).with("address", *address));
    let present = world.ledger.scope.present_name(node.name);
    let (summary, advice) = match present {
        Some(present) => (
            format!("a former name of {}: both have one host address", world.text(present)),
            "delete the Calico Node of the former name: the machine has another one now",
        ),
        None => (
            format!("Kubernetes has no node {}, and Calico still has this one", world.text(kubernetes)),
            "when the machine is gone for good, delete the Calico Node",
        ),
    };
    world
        .draft(&CHECK, world.text(node.name), summary)
        .advice(advice)
        .fact("present_name", present.map(|name| world.text(name)))
        .fact("kubernetes_name", world.text(kubernetes))
        .fact("addresses", node.addresses.to_vec())
        .fact("tunnels", tunnels.collect::<Vec<_>>())
        .fact("created", node.created)
        .on_node(node.name)
        .next(ask_who(world.text(node.name)))
        .next(calicoctl_node("delete", world.text(node.name), ""))
        .rests_on_calico_node(node)
        .with_each(present, |d, name| d.looks_at(Look::CalicoNode(name)))
        .looks_at(Look::KubeNode(kubernetes))
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::Cluster;
    use crate::ledger::ScopeFlag;
    use crate::model::FindingKeeper;

    /// node-2 left Kubernetes; its Calico Node is still there.
    fn stale() -> Cluster {
        let mut c = Cluster::healthy();
        c.node("node-3", "192.168.0.3");
        c.remove_kube_node("node-2");
        c
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn it_is_ours_by_the_operators_word_or_by_an_earlier_audit() {
        let mut c = stale();
        assert!(c.find(&CHECK).is_empty(), "it may be another cluster's");
        c.scope = ScopeFlag::Exclusive;
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "node-2"));
        assert_eq!(found[0].next[1], "calicoctl delete node node-2");
        c.scope = ScopeFlag::Auto;
        c.remember().known_nodes.insert("node-2".to_owned());
        assert_eq!(c.subjects(&CHECK), ["node-2"]);
    }

    #[test]
    fn the_reference_counts_and_not_the_name() {
        let mut c = stale();
        c.scope = ScopeFlag::Exclusive;
        let renamed = c.name("node-3");
        c.snapshot.calico_nodes.iter_mut().for_each(|node| node.kubernetes_name = Some(renamed));
        assert!(c.find(&CHECK).is_empty());
        c.snapshot.calico_nodes.iter_mut().for_each(|node| node.kubernetes_name = None);
        c.past = None;
        let snapshot = c.snapshot();
        let ledger = crate::ledger::Ledger::build(&snapshot, c.scope, None);
        let world = World { snapshot: &snapshot, ledger: &ledger, past: None };
        let mut found = FindingSink::Kept(FindingKeeper::default(), Vec::new());
        run(&world, &mut found);
        assert!(matches!(&found, FindingSink::Kept(_, found) if found.is_empty()), "plain hosts");
    }
}
