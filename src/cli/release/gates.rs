//! Fills the circumstances of a run (rule 2) from what was read, remembered, and told by clocks.

use std::collections::HashMap;

use super::record::nameless;
use crate::checks::addresses::leaked_address;
use crate::checks::datastore::datastore_went_back;
use crate::checks::{self, World};
use crate::cli::gather::present;
use crate::decode::keys::record_key;
use crate::ledger::Pairing;
use crate::model::{Block, Input, Name, Snapshot, SubjectKind, keys::key_text};
use crate::plan::circumstances::{Ask, Circumstances, Clocks, Lock, Surge};

/// The circumstances of this run.
pub fn circumstances(world: &World<'_>, ask: Ask, live: bool, known: bool) -> Circumstances {
    let snapshot = world.snapshot;
    let required = Input::ALL.into_iter().filter(|i| !matches!(i, Input::History | Input::Namespaces));
    let inputs = required.map(|i| (i, snapshot.coverage.state(i), snapshot.coverage.detail(i).to_owned()));
    Circumstances {
        ask,
        pairing: match &world.ledger.pairing {
            Pairing::Paired(_) => Ok(()),
            Pairing::Mismatch(why) | Pairing::Unknown(why) => Err(why.clone()),
        },
        scope_known: world.ledger.scope.known,
        identity: identity(world, known),
        fork: fork(world),
        inputs: inputs.collect(),
        bad_values: snapshot.bad_values.iter().map(|bad| key_text(&bad.key)).collect(),
        broken_blocks: broken(snapshot),
        clocks: Clocks {
            local: present(),
            last_audit: world.past.and_then(|past| past.last_started),
            api: snapshot.kube.clocks.closest(),
            from_files: !live,
        },
        lock: if snapshot.cluster.ready == Some(true) { Lock::Open } else { Lock::Locked },
        alarms: snapshot.etcd.status.alarms.clone(),
        surges: world.past.filter(|past| past.audits > 0).map(|_| surges(world)),
        grace: snapshot.kube_controllers.grace(),
    }
}

/// Blocks with an allocation that leads nowhere, or lies outside of the block.
fn broken(snapshot: &Snapshot) -> Vec<String> {
    let outside =
        |b: &Block| b.allocations.get(b.size() as usize..).is_some_and(|rest| rest.iter().any(Option::is_some));
    let nowhere = |b: &Block| b.allocated().any(|(_, attribute)| attribute.is_none());
    let broken = snapshot.blocks.iter().filter(|b| nowhere(b) || outside(b));
    broken.map(|b| key_text(&record_key(&snapshot.names, b))).collect()
}

fn identity(world: &World<'_>, known: bool) -> Result<(), String> {
    match () {
        () if world.snapshot.guid() == "unknown" => Err(nameless(world.snapshot)),
        () if !known => Err("neither Kubernetes nor the history says which cluster this is".to_owned()),
        () => Ok(()),
    }
}

/// IPA903 now: the datastore is not the one that was observed, or an older state of it.
fn fork(world: &World<'_>) -> Option<String> {
    let past = world.past?.etcd?;
    let now = &world.snapshot.etcd;
    if now.cluster_id != past.cluster_id {
        return Some("another etcd cluster than at the last audit".to_owned());
    }
    if now.revision < past.revision {
        return Some(format!("etcd's revision is {} and was {} at the last audit", now.revision, past.revision));
    }
    let code = datastore_went_back::CHECK.code;
    let found = checks::run_these(world, &[&datastore_went_back::CHECK]).findings;
    if let Some(finding) = found.first() {
        return Some(format!("{code}: {}", finding.summary));
    }
    let only = || format!("{code} at the last audit, and none has looked since: run `ipaudit audit` once more");
    world.past.is_some_and(|past| past.restored_last).then(only)
}

/// Per node and pool: allocations, and those that are leaked and were not so at the last audit.
fn surges(world: &World<'_>) -> Vec<Surge> {
    let ledger = world.ledger;
    let mut nodes: HashMap<Name, (u64, u64)> = HashMap::new();
    let mut pools: Vec<(u64, u64)> = vec![(0, 0); world.snapshot.pools.len()];
    for allocation in &ledger.allocations {
        let known = |address: String| {
            world
                .past
                .is_some_and(|past| past.open.get(leaked_address::CHECK.code, SubjectKind::Address, &address).is_some())
        };
        let leaked = leaked_address::proof(world, allocation).is_some() && !known(allocation.address.to_string());
        let node = nodes.entry(ledger.owner_node(allocation)).or_default();
        let pool = world.snapshot.pools.iter().position(|p| p.cidr.contains(allocation.address));
        let pool = pool.and_then(|i| pools.get_mut(i));
        for (newly, all) in [Some(node), pool].into_iter().flatten() {
            *newly += u64::from(leaked);
            *all += 1;
        }
    }
    let of_nodes = nodes.into_iter().map(|(name, counts)| (format!("node {}", ledger.text(name)), counts));
    let of_pools = world.snapshot.pools.iter().map(|p| format!("pool {}", ledger.text(p.name))).zip(pools);
    let mut surges: Vec<Surge> = of_nodes
        .chain(of_pools)
        .map(|(place, (newly_leaked, allocations))| Surge { place, newly_leaked, allocations })
        .collect();
    surges.sort_by(|a, b| a.place.cmp(&b.place));
    surges
}
