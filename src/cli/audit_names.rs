//! The names that an audit is narrowed to, held against those that the cluster and its history know: nothing found under
//! a name that was mistyped is no all-clear.

use std::collections::BTreeSet;

use super::memory::Memory;
use crate::checks::Outcome;
use crate::history::query::NameOf;
use crate::ledger::Ledger;
use crate::model::near::near;
use crate::model::pool::near_pools;
use crate::model::{Foreign, KeptFinding, Name, Narrow, Snapshot};
use crate::render::UnknownName;

/// What is wanted of this cluster. Findings name a node as Kubernetes does, where that is known: Calico's name means it too,
/// and a pool's range the pool.
pub fn of_cluster(snapshot: &Snapshot, wanted: Narrow) -> Narrow {
    let pool = wanted.pool.as_ref().and_then(|word| snapshot.pools.iter().find(|p| p.is_called(word, &snapshot.names)));
    let wanted = match pool {
        Some(pool) => wanted.in_pool(&snapshot.named(pool.name)),
        None => wanted,
    };
    let called = wanted.node.as_deref().and_then(|node| snapshot.names.find(node));
    let calico = snapshot.calico_nodes.iter().find(|node| Some(node.name) == called);
    let node = calico.and_then(|node| node.kubernetes_name).or(called);
    let wanted = match calico.and_then(|node| node.kubernetes_name) {
        Some(kubernetes) => wanted.on_node(&snapshot.named(kubernetes)),
        None => wanted,
    };
    if wanted.has_place() { wanted.in_cluster(snapshot.spellings(node)) } else { wanted }
}

/// The names that neither the cluster nor an audit of it has seen. Where the history cannot be asked, nobody can say that
/// of any.
pub fn unknown(ledger: &Ledger<'_>, outcome: &Outcome, wanted: &Narrow, memory: &mut Memory) -> Vec<UnknownName> {
    let mut unknown = Vec::new();
    for (kind, of, name) in [
        ("node", NameOf::Node, &wanted.node),
        ("namespace", NameOf::Namespace, &wanted.namespace),
        ("pool", NameOf::Pool, &wanted.pool),
    ] {
        let Some(name) = name else { continue };
        let mut known = now(ledger, outcome, of);
        if known.iter().any(|known| known == name) {
            continue;
        }
        let Some(before) = memory.names(ledger.snapshot, of) else { continue };
        known.extend(before);
        if known.iter().all(|known| known != name) {
            let near = match of {
                NameOf::Pool => near_pools(&ledger.snapshot.pools, &ledger.snapshot.names, name),
                _ => near(name, &known),
            };
            unknown.push(UnknownName {
                kind,
                by: "Neither cluster nor history knows the",
                name: name.as_str().into(),
                near,
            });
        }
    }
    unknown
}

/// Every name of this kind in what was read, each once.
fn now(ledger: &Ledger<'_>, outcome: &Outcome, of: NameOf) -> Vec<Foreign> {
    let snapshot = ledger.snapshot;
    let names: BTreeSet<Name> = match of {
        NameOf::Node => {
            let calico =
                snapshot.calico_nodes.iter().flat_map(|node| node.kubernetes_name.into_iter().chain([node.name]));
            let kubernetes = snapshot.kube_nodes.iter().map(|node| node.name);
            let hosts = snapshot.affinities.iter().map(|affinity| affinity.host.name);
            let blocks = snapshot.blocks.iter().filter_map(|block| block.affinity.map(|host| host.name));
            let endpoints = snapshot.endpoints.iter().map(|endpoint| endpoint.node);
            calico.chain(kubernetes).chain(hosts).chain(blocks).chain(endpoints).collect()
        }
        NameOf::Namespace => {
            let named = snapshot.namespaces.iter().map(|namespace| namespace.name);
            let pods = snapshot.pods.iter().map(|pod| pod.namespace);
            let endpoints = snapshot.endpoints.iter().map(|endpoint| endpoint.namespace);
            let services = snapshot.services.iter().map(|service| service.namespace);
            let owned = snapshot.blocks.iter().flat_map(|block| block.attributes.iter());
            let owners = owned.filter_map(|attribute| attribute.owner().pod_name()).map(|(namespace, _)| namespace);
            named.chain(pods).chain(endpoints).chain(services).chain(owners).collect()
        }
        NameOf::Pool => snapshot.pools.iter().map(|pool| pool.name).collect(),
    };
    let of_finding = |finding: &KeptFinding| match of {
        NameOf::Node => finding.node.clone(),
        NameOf::Namespace => finding.namespace.clone(),
        NameOf::Pool => finding.pool.clone(),
    };
    let found: BTreeSet<Foreign> = outcome.findings.iter().filter_map(of_finding).collect();
    names.into_iter().map(|name| snapshot.named(name)).chain(found).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::Cluster;

    #[test]
    fn a_node_is_meant_by_either_name() {
        let mut cluster = Cluster::healthy();
        let renamed = cluster.name("kube-1");
        let calico = cluster.name("node-1");
        let nodes = &mut cluster.snapshot.calico_nodes;
        nodes.iter_mut().filter(|node| node.name == calico).for_each(|node| node.kubernetes_name = Some(renamed));
        let snapshot = cluster.snapshot();
        let ledger = Ledger::build(&snapshot, cluster.scope, None);
        for (said, meant) in [("node-1", "kube-1"), ("kube-1", "kube-1"), ("node-2", "node-2"), ("nosuch", "nosuch")] {
            let narrow = of_cluster(&snapshot, Narrow { node: Some(said.to_owned()), ..Narrow::default() });
            assert_eq!(narrow.node.as_deref(), Some(meant));
            let unknown = unknown(&ledger, &Outcome::default(), &narrow, &mut Memory::none());
            assert_eq!(unknown.is_empty(), said != "nosuch", "{said}: {unknown:?}");
        }
    }
}
