//! IPA790: evidence that says too little of now, or of too little.

use super::common::sight::{NodeSight, all_sights, is_unseen};
use crate::checks::prelude::*;
use crate::model::node_evidence::EvidenceDoubt;
use crate::model::nodes_taken::{CAPTURE_AGAIN, OLDEST};

pub static CHECK: Check = Check {
    code: Code(790),
    name: "node-evidence-old",
    severity: Severity::Note,
    needs: Needs::E,
    steady: Steady::OneMoment,
    subject: SubjectKind::Node,
    finds: "A node whose evidence does not count, or not in all: it is more than ten minutes apart from now, of another boot \
        of the machine, of a node that Calico does not know, or of one whose endpoints and interfaces have nothing to do \
        with each other; or a part of it could not be read. Where a folder of captures was given, also a node of the \
        cluster without any.",
    matters: "A node that was not read is not clean: what the other checks of nodes would find there, nobody looked for.",
    arises: "The node's clock is wrong, the capture was kept too long, the machine was booted since, a capture was made under \
        another node's name, or a right is missing on the node.",
    action: "Capture again, on that node and with its name; see the node's clock.",
    silent: "Parts that nobody asked for; evidence without a time; nodes with Windows.",
    ties: Ties { also: Needs::N.and(Needs::K).and(Needs::W), many: "nodes without full evidence", ..Ties::ANYBODYS },
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    let doubtful = all_sights(world).filter(|sight| !sight.doubts.is_empty());
    findings.extend(doubtful.map(|sight| report(&sight)));
    let nodes = world.snapshot.calico_nodes.iter().map(|node| node.name);
    findings.extend(nodes.filter(|node| is_unseen(world, *node)).map(|node| absent(world, node)));
}

fn report(sight: &NodeSight<'_>) -> Finding {
    let reasons: Vec<&str> = sight.doubts.iter().map(|doubt| doubt.kind.word()).collect();
    sight
        .world
        .draft(&CHECK, sight.name(), EvidenceDoubt::sentence(sight.doubts))
        .advice(CAPTURE_AGAIN)
        .fact("reasons", reasons)
        .fact("from", &sight.evidence.from)
        .fact("oldest_seconds", OLDEST.as_secs())
        .at_node(sight.evidence)
        .done()
}

fn absent(world: &World<'_>, node: Name) -> Finding {
    world
        .draft(&CHECK, world.text(node), "no evidence of this node: it was not read")
        .advice("capture there too")
        .fact("reasons", vec!["no-evidence"])
        .fact("node", world.text(node))
        .on_node(node)
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::node::testing::{NodeUnderTest, seen};
    use crate::checks::node::wrong_interface_route;
    use crate::checks::testing::Cluster;
    use crate::model::node_evidence::{Dump, InsideFailed};
    use crate::model::{NodeEvidence, NodesSeen};

    #[test]
    fn clean_gives_nothing() {
        assert!(seen().find(&CHECK).is_empty());
        let mut c = seen();
        c.node_mut().taken.clear();
        c.node_mut().verdicts = Dump::NotAsked;
        assert!(c.find(&CHECK).is_empty());
    }

    fn told(change: impl Fn(&mut Cluster)) -> String {
        let mut c = seen();
        change(&mut c);
        let [finding] = c.find(&CHECK).try_into().unwrap();
        finding.summary.raw().to_owned()
    }

    #[test]
    fn what_does_not_count_is_told_and_judged_by_nobody() {
        let old = |c: &mut Cluster| c.node_mut().taken = vec![c.ago(1_200)];
        assert_eq!(told(old), "not judged: 20 minutes old");
        let ahead =
            |c: &mut Cluster| c.node_mut().taken = vec![c.snapshot.now.plus(std::time::Duration::from_secs(1_200))];
        assert_eq!(told(ahead), "not judged: 20 minutes ahead of now: see the node's clock");
        let boot = |c: &mut Cluster| {
            let boot = c.name("boot-2");
            c.snapshot.kube_nodes[0].boot_id = boot;
            c.node_mut().boot_id = "boot-1".into();
        };
        assert_eq!(told(boot), "not judged: of another boot of the machine");
        let unknown = |c: &mut Cluster| c.node_mut().node = "node-9".into();
        assert_eq!(told(unknown), "not judged: Calico knows no node of this name");
        let mut c = seen();
        let other = c.interface_of("web-1");
        c.node_mut().route_mut("10.65.0.1").hops[0].dev = other;
        assert_eq!(c.find(&wrong_interface_route::CHECK).len(), 1);
        old(&mut c);
        assert!(c.find(&wrong_interface_route::CHECK).is_empty());
    }

    /// Of a name that nobody knows no block is the node's own: its blackholes are no fault of it.
    #[test]
    fn a_node_under_a_name_that_calico_does_not_know_is_judged_by_nobody() {
        let mut c = seen();
        c.node_mut().node = "node-9".into();
        assert_eq!(c.subjects(&CHECK), ["node-9"]);
        for check in crate::checks::node::FAMILY.1.iter().filter(|check| check.code != CHECK.code) {
            assert!(c.find(check).is_empty(), "{}", check.code);
        }
        assert!(!c.snapshot().nodes_seen.is_judged(0));
    }

    #[test]
    fn what_could_not_be_read_is_told() {
        assert_eq!(told(|c| c.node_mut().routes4 = Dump::NotRead("errno 13".into())), "IPv4 routes not read: errno 13");
        let failed = InsideFailed { interface: "cali1".into(), why: "EACCES".into() };
        assert_eq!(
            told(|c| c.node_mut().inside.failed.push(failed.clone())),
            "1 pods could not be looked into: EACCES"
        );
    }

    #[test]
    fn a_node_without_a_capture_is_told_where_all_were_asked_for() {
        let mut c = seen();
        c.snapshot.nodes_seen.of_every_node = true;
        assert_eq!(c.subjects(&CHECK), ["node-2"]);
        c.snapshot.kube_nodes[1].windows = true;
        assert!(c.find(&CHECK).is_empty());
    }

    /// A capture has Calico's name of its node, the pod that printed it Kubernetes'.
    #[test]
    fn a_pod_is_a_witness_of_the_node_that_it_runs_on_by_either_name() {
        let mut c = seen();
        let evidence = c.node_mut().clone();
        let is_taken = |c: &mut Cluster, on: &str| {
            let mut snapshot = c.snapshot();
            let printed = NodeEvidence { printed_on: on.into(), ..evidence.clone() };
            snapshot.take_nodes(NodesSeen::newest(vec![printed], true));
            let seen = &snapshot.nodes_seen;
            (seen.nodes.len(), seen.not_taken.len(), snapshot.coverage.complete(crate::model::Input::NodeEvidence))
        };
        assert_eq!((is_taken(&mut c, "Node-1"), is_taken(&mut c, "node-2")), ((1, 0, true), (0, 1, false)));
        let machine = c.snapshot.names.intern("machine");
        let own = c.snapshot.names.find("node-1");
        c.snapshot.calico_nodes.iter_mut().find(|n| Some(n.name) == own).unwrap().kubernetes_name = Some(machine);
        assert_eq!((is_taken(&mut c, "machine"), is_taken(&mut c, "node-1")), ((1, 0, true), (0, 1, false)));
    }
}
