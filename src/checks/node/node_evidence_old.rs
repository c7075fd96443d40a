//! IPA790: evidence that says too little of now, or of too little.

use super::common::sight::{NodeSight, OLDEST, all_sights, is_of_another_boot, is_old};
use crate::checks::prelude::*;
use crate::model::{Foreign, Snapshot};

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
    for sight in all_sights(world) {
        let why = doubts(&sight);
        if !why.is_empty() {
            findings.push(report(&sight, &why));
        }
    }
    if world.snapshot.nodes_seen.of_every_node {
        findings.extend(unseen(world).map(|name| absent(world, name)));
    }
}

fn doubts(sight: &NodeSight<'_>) -> Vec<(&'static str, Foreign)> {
    let (snapshot, evidence) = (sight.world.snapshot, sight.evidence);
    let mut why = Vec::new();
    if is_old(snapshot, evidence) {
        let apart =
            evidence.taken_at().map(|at| snapshot.now.since(at).max(at.since(snapshot.now))).unwrap_or_default();
        let is_ahead = evidence.taken_at().is_some_and(|at| at > snapshot.now);
        let minutes = apart.as_secs() / 60;
        let words = if is_ahead { "ahead of now: see the node's clock" } else { "old" };
        why.push(("other-time", format!("{minutes} minutes {words}").into()));
    }
    if is_of_another_boot(snapshot, evidence) {
        why.push(("other-boot", "of another boot of the machine".into()));
    }
    if sight.is_unknown() {
        why.push(("unknown-node", "Calico knows no node of this name".into()));
    }
    if sight.is_mistaken() {
        why.push((
            "other-node",
            "not one of the node's endpoints is among its interfaces: another node's, or another data plane".into(),
        ));
    }
    why.extend(evidence.unread().map(|words| ("not-read", words)));
    let failed = &evidence.inside.failed;
    if let Some(first) = failed.first() {
        let words = crate::model::foreign::foreign!("{} pods could not be looked into: {}", failed.len(), &first.why);
        why.push(("not-read", words));
    }
    why
}

/// The nodes of this cluster of which there is no evidence, by Calico's name.
fn unseen<'w>(world: &'w World<'w>) -> impl Iterator<Item = Name> {
    let snapshot: &Snapshot = world.snapshot;
    let is_windows = |node: Name| {
        let kubernetes = world.ledger.scope.kubernetes_name(node);
        snapshot.kube_nodes.iter().any(|n| n.name == kubernetes && n.windows)
    };
    let ours = snapshot
        .calico_nodes
        .iter()
        .map(|node| node.name)
        .filter(|name| world.ledger.scope.judged(*name) && world.ledger.scope.is_known_to_kubernetes(*name));
    ours.filter(move |name| snapshot.nodes_seen.of(snapshot.text(*name)).is_none() && !is_windows(*name))
}

fn report(sight: &NodeSight<'_>, why: &[(&'static str, Foreign)]) -> Finding {
    let reasons: Vec<&str> = why.iter().map(|(reason, _)| *reason).collect();
    let is_out = reasons.iter().any(|reason| *reason != "not-read");
    let summary = Foreign::joined(why.iter().map(|(_, words)| words), "; ");
    let summary = if is_out { crate::model::foreign::foreign!("not judged: {}", summary) } else { summary };
    sight
        .world
        .draft(&CHECK, sight.name(), summary)
        .advice("capture again, on that node and with its name")
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
        let snapshot = c.snapshot();
        let ledger = crate::ledger::Ledger::build(&snapshot, c.scope, None);
        assert!(crate::checks::node::any_unjudged(&World { snapshot: &snapshot, ledger: &ledger, past: None }));
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
