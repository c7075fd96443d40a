//! What somebody may have meant by a word that nothing is called by.

use std::collections::{BTreeMap, BTreeSet};

use super::word::{Word, WordKind};
use crate::ledger::Ledger;
use crate::model::foreign::foreign;
use crate::model::near::near;
use crate::model::{Foreign, Name};

/// So many are told: of one name in many namespaces not all.
const MOST: usize = 5;
/// A container's handle is nothing that anybody types from memory.
const TYPED: usize = 40;

/// Names of the snapshot that are near, as they can be asked for, nearest first.
pub fn meant(ledger: &Ledger<'_>, word: &Word<'_>) -> Vec<Foreign> {
    let snapshot = ledger.snapshot;
    let in_full = word.name.contains('/');
    let mut known: BTreeMap<Foreign, BTreeSet<Foreign>> = BTreeMap::new();
    let mut add = |name: Foreign, asked: Foreign| {
        known.entry(name).or_default().insert(asked);
    };
    let of_pair = |namespace: Name, name: Name| match in_full {
        true => Foreign::from(snapshot.pair(namespace, name)),
        false => snapshot.named(name),
    };
    if word.may_be(WordKind::Pod) {
        let pods = snapshot.pods.iter().map(|pod| (pod.namespace, pod.name));
        let endpoints = snapshot.endpoints.iter().map(|e| (e.namespace, e.pod));
        for (namespace, pod) in pods.chain(endpoints).filter(|(_, pod)| !pod.is_none()) {
            add(of_pair(namespace, pod), snapshot.pair(namespace, pod).into());
        }
    }
    if word.may_be(WordKind::Node) {
        ledger.named_all(ledger.node_names()).into_iter().for_each(|node| add(node.clone(), node));
    }
    if word.may_be(WordKind::Handle) {
        let ids = snapshot.handles.iter().map(|handle| handle.id).filter(|id| id.comes_again(&snapshot.names));
        let ids = ids.map(|id| id.text(&snapshot.names)).filter(|id| id.len() <= TYPED);
        ids.for_each(|id| add(id.as_str().into(), id.as_str().into()));
    }
    if word.may_be(WordKind::Pool) {
        for pool in snapshot.pools.iter().map(|pool| snapshot.named(pool.name)) {
            add(pool.clone(), foreign!("pool/{}", pool));
        }
    }
    if word.may_be(WordKind::Service) {
        for service in &snapshot.services {
            let asked = format!("service/{}", snapshot.pair(service.namespace, service.name));
            add(of_pair(service.namespace, service.name), asked.into());
        }
    }
    if word.may_be(WordKind::Vm) {
        for (namespace, machine) in machines(ledger) {
            let pair = foreign!("{}/{}", namespace, machine);
            let asked = foreign!("vm/{}", pair);
            add(if in_full { pair } else { machine }, asked);
        }
    }
    let names: Vec<Foreign> = known.keys().cloned().collect();
    let near = near(word.name, &names);
    near.iter().filter_map(|name| known.get(name)).flatten().take(MOST).cloned().collect()
}

/// Namespace and name of every machine, by pods, allocations and handles: of a stopped one perhaps the handle alone tells.
fn machines(ledger: &Ledger<'_>) -> BTreeSet<(Foreign, Foreign)> {
    let snapshot = ledger.snapshot;
    let owners = ledger.allocations.iter().flat_map(|allocation| ledger.owners_of(allocation));
    let named = owners.filter(|owner| !owner.vmi.is_none()).map(|owner| (owner.namespace, owner.vmi));
    let pods = snapshot.pods.iter().filter(|pod| !pod.vmi().is_none()).map(|pod| (pod.namespace, pod.vmi()));
    let by_name = named.chain(pods).map(|(namespace, vm)| (snapshot.named(namespace), snapshot.named(vm)));
    let ids = snapshot.handles.iter().map(|handle| handle.id).filter(|id| id.is_vm(&snapshot.names));
    let by_handle = ids.filter_map(|id| {
        let text = id.text(&snapshot.names);
        let (namespace, vm) = text.split_once(".vmi.")?.1.split_once('.')?;
        Some((Foreign::from(namespace), Foreign::from(vm)))
    });
    by_name.chain(by_handle).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::Cluster;

    #[test]
    fn what_is_near_is_told_as_it_can_be_asked_for() {
        let mut c = Cluster::healthy();
        c.pod("stage", "web-0", "node-1", &[]);
        c.handle("ipip-tunnel-addr-node-1", &["10.65.0.0"]);
        c.service("shop", "front", "10.65.9.9");
        c.handle("k8s-pod-network.vmi.lab.cursed", &[]);
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, c.scope, None);
        let says = |typed: &str| meant(&ledger, &Word::of(typed));
        assert_eq!(says("wbe-0")[..2], ["shop/web-0", "stage/web-0"]);
        assert_eq!(says("shop/web-9")[0], "shop/web-0");
        assert_eq!(says("pod/wbe-1")[0], "shop/web-1");
        assert_eq!(says("node/nod-2")[0], "node-2");
        assert_eq!(says("node-l")[..2], ["node-1", "node-2"]);
        assert_eq!(says("handle/ipip-tunel-addr-node-1")[0], "ipip-tunnel-addr-node-1");
        assert_eq!(says("svc/fornt"), ["service/shop/front"]);
        assert_eq!(says("fornt"), ["service/shop/front"]);
        assert_eq!(says("defualt"), ["pool/default"]);
        assert_eq!(says("pool/defualt"), ["pool/default"]);
        assert_eq!(says("vm/curse"), ["vm/lab/cursed"]);
        assert_eq!(says("vm/lab/cursd"), ["vm/lab/cursed"]);
        assert!(says("node/web-0").is_empty() && says("nothing-like-it").is_empty() && says("").is_empty());
    }
}
