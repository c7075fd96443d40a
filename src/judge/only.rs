//! `--node`, `--namespace`, `--pool`: which of the things that are found are meant.

use std::collections::BTreeSet;

use crate::checks::{World, natural};
use crate::model::near::{did_you_mean, nearest};
use crate::model::pool::near_pools;
use crate::model::{Foreign, Gist, Name, Names, SubjectKind};

/// What narrows a wish; an empty list takes all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Only {
    /// By Calico's or Kubernetes' name.
    pub nodes: Vec<String>,
    pub namespaces: Vec<String>,
    /// By name, or by the pool's range as it is written.
    pub pools: Vec<String>,
}

impl Only {
    /// Whether things of this kind belong to a namespace at all: neither a handle nor a node's claim says one.
    pub const fn have_namespaces(kind: SubjectKind) -> bool {
        matches!(kind, SubjectKind::Address | SubjectKind::Endpoint)
    }

    /// What of it nothing in the snapshot has, as sentences: a typing error must not look like health.
    pub fn unknown(&self, world: &World<'_>) -> Vec<String> {
        let nodes = self.nodes.iter().filter(|node| !is_node(world, node));
        let nodes = nodes.map(|node| {
            format!("neither Calico nor Kubernetes has a node {node}{}", meant(node, || node_names(world)))
        });
        let namespaces = self.namespaces.iter().filter(|namespace| !is_namespace(world, namespace));
        let namespaces = namespaces.map(|ns| {
            format!("no pod, endpoint or allocation is of a namespace {ns}{}", meant(ns, || namespace_names(world)))
        });
        let pools = self.pools.iter().filter(|pool| pool_name(world, pool).is_none());
        let pools = pools.map(|pool| {
            let pools = &world.snapshot.pools;
            let near = near_pools(pools, &world.snapshot.names, pool);
            let told = match near.is_empty() {
                true => there_are(named(world, pools.iter().map(|pool| pool.name))),
                false => did_you_mean(&near).raw().to_owned(),
            };
            format!("there is no pool {pool}{told}")
        });
        nodes.chain(namespaces).chain(pools).collect()
    }

    /// Which findings are meant.
    pub fn keeps<'w>(&self, world: &'w World<'w>) -> impl Fn(&Gist) -> bool + use<'w> {
        // Findings name nodes as Kubernetes does.
        let kubernetes = |node: &String| {
            let name = world.snapshot.names.find(node).map(|n| world.ledger.scope.kubernetes_name(n));
            [Some(node.clone()), name.map(|n| world.ledger.text(n).to_owned())]
        };
        let nodes: BTreeSet<String> = self.nodes.iter().flat_map(kubernetes).flatten().collect();
        let namespaces: BTreeSet<String> = self.namespaces.iter().cloned().collect();
        let pools = self.pools.iter().filter_map(|pool| pool_name(world, pool));
        let pools: BTreeSet<String> = pools.map(|pool| world.ledger.text(pool).to_owned()).collect();
        let narrowed = !self.pools.is_empty();
        move |finding| {
            let among = |set: &BTreeSet<String>, has: &Option<Foreign>| {
                set.is_empty() || has.as_ref().is_some_and(|has| set.contains(has.raw()))
            };
            among(&nodes, &finding.node)
                && among(&namespaces, &finding.namespace)
                && (!narrowed || !pools.is_empty() && among(&pools, &finding.pool))
        }
    }
}

/// So many names are told where none is near.
const TOLD: usize = 10;

/// Those that are near, and where none is, some that there are.
fn meant<'w, I: Iterator<Item = &'w str>>(word: &str, all: impl Fn() -> I) -> String {
    let near: Vec<Foreign> = nearest(word, all()).into_iter().map(Foreign::from).collect();
    if near.is_empty() { there_are(all()) } else { did_you_mean(&near).raw().to_owned() }
}

/// `; there are a, b and 3 more`.
fn there_are<'w>(all: impl Iterator<Item = &'w str>) -> String {
    let mut all: Vec<&str> = all.collect();
    all.sort_by(|a, b| natural(a, b));
    all.dedup();
    let told = all.iter().take(TOLD).copied().collect::<Vec<_>>().join(", ");
    match all.len() {
        0 => String::new(),
        1 => format!("; there is {told} alone"),
        more if more > TOLD => format!("; there are {told} and {} more", more - TOLD),
        _ => format!("; there are {told}"),
    }
}

fn known(names: &Names, text: &str) -> Option<Name> {
    names.find(text).filter(|name| !name.is_none())
}

fn node_names<'w>(world: &World<'w>) -> impl Iterator<Item = &'w str> {
    let calico = world.snapshot.calico_nodes.iter().map(|node| node.name);
    let kubernetes = world.snapshot.kube_nodes.iter().map(|node| node.name);
    let made = world.ledger.allocations.iter().map(|allocation| world.ledger.owner_node(allocation));
    let claimed = world.ledger.affinities().map(|affinity| affinity.host.name);
    named(world, calico.chain(kubernetes).chain(made).chain(claimed))
}

fn namespace_names<'w>(world: &World<'w>) -> impl Iterator<Item = &'w str> {
    let pods = world.snapshot.pods.iter().map(|pod| pod.namespace);
    let endpoints = world.snapshot.endpoints.iter().map(|endpoint| endpoint.namespace);
    let attributes = world.ledger.allocations.iter().filter_map(|a| world.ledger.attribute_of(a));
    let owners = attributes.filter_map(|attribute| attribute.owner().pod_name()).map(|(namespace, _)| namespace);
    named(world, pods.chain(endpoints).chain(owners))
}

/// Each once: there are many allocations and few names.
fn named<'w>(world: &World<'w>, names: impl Iterator<Item = Name>) -> impl Iterator<Item = &'w str> {
    let names: BTreeSet<Name> = names.filter(|name| !name.is_none()).collect();
    let all = &world.snapshot.names;
    names.into_iter().map(|name| all.get(name))
}

fn is_node(world: &World<'_>, text: &str) -> bool {
    let Some(name) = known(&world.snapshot.names, text) else { return false };
    world.ledger.calico_node(name).is_some()
        || world.snapshot.kube_nodes.iter().any(|node| node.name == name)
        || world.ledger.allocations.iter().any(|a| world.ledger.owner_node(a) == name)
        || world.ledger.affinities().any(|a| a.host.name == name)
}

fn is_namespace(world: &World<'_>, text: &str) -> bool {
    let Some(name) = known(&world.snapshot.names, text) else { return false };
    let owner = |a| world.ledger.attribute_of(a).and_then(|a| a.owner().pod_name()).map(|(namespace, _)| namespace);
    world.snapshot.pods.iter().any(|pod| pod.namespace == name)
        || world.snapshot.endpoints.iter().any(|endpoint| endpoint.namespace == name)
        || world.ledger.allocations.iter().any(|a| owner(a) == Some(name))
}

fn pool_name(world: &World<'_>, text: &str) -> Option<Name> {
    world.snapshot.pools.iter().find(|pool| pool.is_called(text, &world.snapshot.names)).map(|pool| pool.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::addresses::leaked_address;
    use crate::checks::run_these;
    use crate::checks::testing::Cluster;
    use crate::ledger::{Ledger, ScopeFlag};

    /// web-0 of node-1 is gone.
    fn kept(only: &Only) -> (Vec<String>, Vec<String>) {
        let mut c = Cluster::healthy();
        c.remove_pod("web-0");
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, ScopeFlag::Auto, None);
        let world = World { snapshot: &snapshot, ledger: &ledger, past: None };
        let found = run_these(&world, &[&leaked_address::CHECK]).findings;
        let keeps = only.keeps(&world);
        let kept = found.iter().filter(|f| keeps(f)).map(|f| f.subject.id.raw().to_owned());
        (kept.collect(), only.unknown(&world))
    }

    #[test]
    fn what_is_meant_fits_each_flag() {
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        let of = |nodes: &[&str], namespaces: &[&str], pools: &[&str]| {
            kept(&Only { nodes: words(nodes), namespaces: words(namespaces), pools: words(pools) })
        };
        let one = (vec!["10.65.0.1".to_owned()], vec![]);
        let none = (vec![], vec![]);
        assert_eq!(of(&[], &[], &[]), one);
        assert_eq!(of(&["node-2", "node-1"], &["shop"], &["default"]), one);
        assert_eq!(of(&["node-2"], &[], &[]), none);
        let (kept, unknown) = of(&["node-l"], &["shpo"], &["defualt"]);
        assert!(kept.is_empty(), "{kept:?}");
        let told = [
            "node node-l; did you mean node-1 or node-2?",
            "namespace shpo; did you mean shop?",
            "pool defualt; did you mean default?",
        ];
        assert_eq!(of(&[], &[], &["10.65.0.0/16"]), one);
        let host_bits = of(&[], &[], &["10.65.0.5/16"]);
        assert_eq!(host_bits, (vec![], vec!["there is no pool 10.65.0.5/16; did you mean 10.65.0.0/16?".to_owned()]));
        assert!(unknown.len() == 3 && unknown.iter().zip(told).all(|(u, t)| u.ends_with(t)), "{unknown:?}");
        let (_, none_near) = of(&["elsewhere"], &["xyz"], &["unlike"]);
        let told = [
            "node elsewhere; there are node-1, node-2",
            "namespace xyz; there is shop alone",
            "pool unlike; there is default alone",
        ];
        assert!(none_near.iter().zip(told).all(|(u, t)| u.ends_with(t)), "{none_near:?}");
    }
}
