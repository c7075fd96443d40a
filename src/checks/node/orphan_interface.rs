//! IPA706: an interface of a pod that neither etcd nor Kubernetes knows.

use super::common::sight::{NodeSight, sights};
use crate::checks::evidence::node::link_facts;
use crate::checks::prelude::*;
use crate::model::node_evidence::HostLink;

pub static CHECK: Check = Check {
    code: Code(706),
    name: "orphan-interface",
    severity: Severity::Warning,
    needs: Needs::E.and(Needs::W).and(Needs::P),
    steady: Steady::KubernetesReadApart,
    subject: SubjectKind::Interface,
    finds: "A workload interface of a node of this cluster that no endpoint there names, though every pod of the node has \
        its endpoint.",
    matters: "A sandbox may still run behind it, with an address that IPAM gives to somebody else, and without policy: \
        Felix knows nothing of it. Nothing ever removes the interface.",
    arises: "CNI DEL removed the endpoint and not the interface, or the endpoint was deleted by hand or by the DEL of an \
        older container while the sandbox lived on.",
    action: "Look on the node whether a sandbox still has the namespace behind it; when none does, delete the interface.",
    silent: "While a pod of the node is younger than a minute or has no endpoint of its own, since the interface may be \
        its; interfaces whose names begin otherwise than those of the cluster's workloads.",
    ties: Ties { many: "interfaces that nobody knows", ..Ties::OURS },
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    for sight in sights(world).filter(|sight| sight.knows_endpoints && world.ledger.scope.judged(sight.calico)) {
        let mut orphans = sight.workload_links().filter(|link| sight.endpoints_of(&link.name).is_empty()).peekable();
        if orphans.peek().is_some() && !sight.has_unsettled_pod() {
            orphans.for_each(|link| findings.push(report(&sight, link)));
        }
    }
}

fn report(sight: &NodeSight<'_>, link: &HostLink) -> Finding {
    let world = sight.world;
    let namespace = sight.inside(&link.name);
    let inside: Vec<Addr> = namespace.map(|inside| inside.addresses.each().copied().collect()).unwrap_or_default();
    let named = namespace.filter(|inside| !inside.netns.is_empty());
    let place = named.map(|inside| format!(", in {}", inside.place().raw())).unwrap_or_default();
    // No evidence of use: it stays for as long as the interface.
    let neighbours = sight.evidence.neighbours.each().filter(|n| n.dev == link.name && n.is_permanent());
    let neighbours: Vec<Addr> = neighbours.map(|n| n.address).collect();
    let words = |addresses: &[Addr]| addresses.iter().map(Addr::to_string).collect::<Vec<_>>().join(" ");
    let summary = match (inside.as_slice(), neighbours.as_slice()) {
        ([], []) => "no endpoint and no pod".to_owned(),
        ([], left) => format!("no endpoint and no pod; {} was behind it", words(left)),
        (has, _) => format!("no endpoint and no pod; {} is still behind it{place}", words(has)),
    };
    let asked = if inside.is_empty() { &neighbours } else { &inside };
    let home = world.ledger.scope.kubernetes_name(sight.calico);
    world
        .draft(&CHECK, sight.id(link.name.raw()), summary)
        .advice("when no sandbox is left behind it, delete the interface on the node")
        .fact("interfaces", vec![&link.name])
        .fact("link", link_facts(link))
        .fact("addresses_inside", inside.clone())
        .fact("netns", named.map(|inside| &inside.netns))
        .fact("permanent_neighbours", neighbours.clone())
        .at_node(sight.evidence)
        .with_each(asked.first(), |d, address| d.in_pool_of(*address))
        .with_each(asked, |d, address| d.next(format!("ipaudit who {address}")))
        .looks_at(Look::CalicoNode(sight.calico))
        .looks_at(Look::KubeNode(home))
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::node::testing::{NodeUnderTest, seen};
    use crate::checks::testing::{Cluster, addr};

    #[test]
    fn clean_gives_nothing() {
        assert!(seen().find(&CHECK).is_empty());
    }

    /// web-0 was deleted, and only half of its sandbox.
    fn half_deleted() -> Cluster {
        let mut c = seen();
        c.remove_pod("web-0");
        c.remove_endpoint("web-0");
        c
    }

    #[test]
    fn what_is_inside_is_in_use_and_what_is_left_behind_was() {
        let found = half_deleted().find(&CHECK);
        assert_eq!((found.len(), found[0].severity), (1, Severity::Warning));
        assert_eq!(found[0].summary, "no endpoint and no pod; 10.65.0.1 is still behind it");
        let mut c = half_deleted();
        c.node_mut().insides().iter_mut().for_each(|inside| inside.netns = "cni-1b2c".into());
        let words = "no endpoint and no pod; 10.65.0.1 is still behind it, in network namespace cni-1b2c";
        assert_eq!(c.find(&CHECK)[0].summary, words);
        let mut c = half_deleted();
        c.node_mut().without_inside();
        assert_eq!(c.find(&CHECK)[0].summary, "no endpoint and no pod; 10.65.0.1 was behind it");
        c.node_mut().neighbours().retain(|n| n.address != addr("10.65.0.1"));
        assert_eq!(c.find(&CHECK)[0].summary, "no endpoint and no pod");
    }

    #[test]
    fn while_a_pod_has_no_endpoint_or_is_young_it_may_be_its() {
        for change in [
            (|c: &mut Cluster| drop(c.pod("shop", "new-0", "node-1", &[]))) as fn(&mut Cluster),
            |c| c.pod_mut("web-1").created = Some(c.ago(30)),
            |c| c.node_mut().links().iter_mut().for_each(|link| link.seen = 0),
            |c| c.remove_kube_node("node-1"),
        ] {
            let mut c = half_deleted();
            change(&mut c);
            assert!(c.find(&CHECK).is_empty());
        }
    }
}
