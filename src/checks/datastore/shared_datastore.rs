//! IPA906: another Kubernetes cluster uses this datastore.

use super::datastore_went_back;
use crate::checks::evidence::count;
use crate::checks::prelude::*;
use crate::model::CalicoNode;
use crate::model::hash::HashMap;

/// How somebody says that there is no other cluster.
pub const EXCLUSIVE: &str = "ipaudit audit --scope exclusive";

pub static CHECK: Check = Check {
    code: Code(906),
    name: "shared-datastore",
    severity: Severity::Warning,
    needs: Needs::N.and(Needs::K),
    steady: Steady::KubernetesReadApart,
    subject: SubjectKind::Cluster,
    finds: "Calico nodes that refer to Kubernetes nodes which this API server does not know, and that have endpoints.",
    matters: "Calico's kube-controllers of either cluster takes the other's nodes for deleted ones, removes them, and \
        releases the addresses of their live pods.",
    arises: "Two Kubernetes clusters share one etcd; or a cluster was rebuilt and the old one's nodes were never \
        removed.",
    action: "Give each cluster a datastore of its own. If there is no other cluster, say so once with `--scope \
        exclusive`: then these nodes are judged as departed ones.",
    silent: "Nodes without endpoints, plain hosts without a `k8s` reference, nodes that were this cluster's in an \
        earlier audit, and the exclusive scope.",
    ties: Ties { harm: Harm::Threat, ..Ties::ANYBODYS },
    run,
};

/// So many nodes are shown.
const SHOWN: usize = 20;

fn run(world: &World<'_>, findings: &mut FindingSink) {
    let mut endpoints: HashMap<Name, Active<'_>> = HashMap::new();
    for endpoint in &world.snapshot.endpoints {
        endpoints.entry(endpoint.node).or_insert(Active { endpoints: 0, first: endpoint }).endpoints += 1;
    }
    let foreign =
        |n: &&CalicoNode| n.kubernetes_name.is_some() && world.ledger.scope.standing(n.name) == Standing::Foreign;
    let foreign = world.snapshot.calico_nodes.iter().filter(foreign);
    let active: Vec<(&CalicoNode, Active<'_>)> = foreign.filter_map(|n| Some((n, *endpoints.get(&n.name)?))).collect();
    if !active.is_empty() {
        findings.push(report(world, &active));
    }
}

/// A node's endpoints.
#[derive(Clone, Copy)]
struct Active<'w> {
    endpoints: usize,
    first: &'w Endpoint,
}

fn report(world: &World<'_>, active: &[(&CalicoNode, Active<'_>)]) -> Finding {
    let total: usize = active.iter().map(|(_, active)| active.endpoints).sum();
    let mut names: Vec<&str> = active.iter().map(|(n, _)| world.text(n.name)).collect();
    names.sort_by(|a, b| crate::checks::natural(a, b));
    let few = few(&names, ", ");
    let of = if active.len() == 1 { "has" } else { "have" };
    let (nodes, endpoints) = (count(active.len(), "node"), count(total, "endpoint"));
    let facts = |(node, active): &(&CalicoNode, Active<'_>)| {
        Evidence::new()
            .with("node", world.text(node.name))
            .with("kubernetes_name", node.kubernetes_name.map(|n| world.text(n)))
            .with("addresses", node.addresses.to_vec())
            .with("endpoints", active.endpoints)
    };
    // What a restored datastore says of nodes may be long over: nobody's word on whose they are is asked for then.
    let is_old = datastore_went_back::went_back(world);
    let advice = match is_old {
        true => "give each cluster its own datastore",
        false => "give each cluster its own datastore; if there is no other cluster, audit with --scope exclusive",
    };
    world
        .draft(&CHECK, world.snapshot.guid(), format!("{nodes} of another Kubernetes cluster {of} {endpoints}: {few}"))
        .advice(advice)
        .fact("foreign_nodes", active.len())
        .fact("endpoints", total)
        .list("nodes", active.iter().take(SHOWN), facts)
        // Each of them may be a node that joined since Kubernetes was read; its endpoints come and go.
        .with_each(active, |d, (node, active)| {
            let first = active.first;
            d.rests_on_calico_node(node)
                .looks_at_whose(node.name)
                .looks_at(Look::Endpoint(first.namespace, first.name()))
        })
        .with_each((!is_old).then_some(EXCLUSIVE), |draft, command| draft.next(command))
        .next("calicoctl get nodes -o wide")
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::Cluster;
    use crate::ledger::ScopeFlag;
    use crate::model::{Past, PastEtcd};

    /// Our two nodes, and east-1 of another cluster with two endpoints.
    fn shared() -> Cluster {
        let mut c = Cluster::healthy();
        c.node("east-1", "172.31.0.1");
        c.remove_kube_node("east-1");
        c.endpoint("shop", "web-0", "east-1", "0123", &["10.99.0.1"]);
        c.endpoint("shop", "web-1", "east-1", "4567", &["10.99.0.2"]);
        c
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn one_finding_names_the_foreign_nodes() {
        let found = shared().find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "guid-1"));
        assert_eq!(found[0].summary, "1 node of another Kubernetes cluster has 2 endpoints: east-1");
    }

    /// What is judged exclusive is released: nobody is asked for that word while the nodes may be of another time.
    #[test]
    fn a_restored_datastore_asks_for_no_word_on_whose_the_nodes_are() {
        let asks = |c: &mut Cluster| {
            let found = c.find(&CHECK);
            let texts = found[0].next.iter().chain([&found[0].advice]);
            texts.filter(|text| text.raw().contains("--scope exclusive")).count()
        };
        let mut c = shared();
        assert_eq!(asks(&mut c), 2);
        c.snapshot.etcd.revision = 999;
        c.remember().etcd = Some(PastEtcd { revision: 1000, ..PastEtcd::default() });
        assert_eq!(asks(&mut c), 0);
    }

    #[test]
    fn idle_plain_departed_and_exclusive_nodes_are_no_other_cluster() {
        let mut c = shared();
        c.snapshot.endpoints.truncate(4);
        assert!(c.find(&CHECK).is_empty(), "no endpoints");
        let mut c = shared();
        c.snapshot.calico_nodes.iter_mut().filter(|n| n.addresses[0].to_string() == "172.31.0.1").for_each(|n| {
            n.kubernetes_name = None;
        });
        assert!(c.find(&CHECK).is_empty(), "a plain host");
        let mut c = shared();
        c.past = Some(Past { known_nodes: ["east-1".to_owned()].into(), ..Past::default() });
        assert!(c.find(&CHECK).is_empty(), "departed");
        let mut c = shared();
        c.scope = ScopeFlag::Exclusive;
        assert!(c.find(&CHECK).is_empty(), "exclusive");
    }
}
