//! What must hold when nobody is in the middle of anything: read from etcd, held against who lives.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::calico::{HANDLES, address_of, handle_key};
use super::cluster::{Cluster, SERVICES};

/// Addresses by handle, of all blocks; each ordinal is allocated or free, once.
pub fn allocated(cluster: &Cluster, story: &str) -> BTreeMap<String, Vec<(String, String)>> {
    let mut held: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for (_, value) in cluster.etcd.list("/calico/ipam/v2/assignment/") {
        let block: Value = serde_json::from_slice(&value).unwrap();
        let cidr = block["cidr"].as_str().unwrap();
        let allocations = block["allocations"].as_array().unwrap();
        let mut times = vec![0; allocations.len()];
        for (ordinal, index) in allocations.iter().enumerate() {
            let Some(index) = index.as_u64() else { continue };
            times[ordinal] += 1;
            let handle = block["attributes"][index as usize]["handle_id"].as_str().unwrap();
            held.entry(handle.to_owned()).or_default().push((cidr.to_owned(), address_of(cidr, ordinal)));
        }
        for free in block["unallocated"].as_array().unwrap() {
            times[free.as_u64().unwrap() as usize] += 1;
        }
        assert!(times.iter().all(|t| *t == 1), "an ordinal is not allocated or free, once: {block}\n{story}");
    }
    held
}

/// Who lives, as handle, block and address.
pub fn living(cluster: &Cluster) -> Vec<(String, String, String)> {
    let alive = cluster.alive();
    let pods = alive.pods.iter().map(|p| (p.workload.handle(), p.cidr.clone(), p.address.clone()));
    let machines = alive.machines.iter().map(|m| (m.handle(), m.cidr.clone(), m.address.clone()));
    let services = alive.services.iter().map(|s| (s.handle(), SERVICES.to_owned(), s.address.clone()));
    let tunnels = alive.tunnels.iter().filter_map(|t| Some((t.handle(), t.cidr.clone(), t.address.clone()?)));
    pods.chain(machines).chain(services).chain(tunnels).collect()
}

/// No live address is free or another's; no handle of a live address is lost or counts less than it has; nobody has two.
#[track_caller]
pub fn hold(cluster: &Cluster, story: &str) {
    let held = allocated(cluster, story);
    for (handle, cidr, address) in living(cluster) {
        let has = held.get(&handle).cloned().unwrap_or_default();
        assert_eq!(has, [(cidr.clone(), address.clone())], "{handle} lives at {address}\n{story}");
        let counted = cluster.value(&handle_key(&handle)).map(|value| value["block"][&cidr].clone());
        assert_eq!(counted, Some(Value::from(1)), "{handle} of the live {address} was lost or miscounted\n{story}");
    }
}

/// Beside who lives, leaks and orphans, there is nothing: nothing was lost, nothing was doubled.
#[track_caller]
pub fn nothing_else(cluster: &Cluster, story: &str) {
    let held: BTreeSet<String> = allocated(cluster, story).into_keys().collect();
    let handles: BTreeSet<String> = cluster
        .etcd
        .list(HANDLES)
        .into_iter()
        .map(|(key, _)| String::from_utf8(key).unwrap()[HANDLES.len()..].to_owned())
        .collect();
    let mut expected: BTreeSet<String> = living(cluster).into_iter().map(|(handle, ..)| handle).collect();
    let alive = cluster.alive();
    // A guest's own tunnel.
    let guests = alive.guests.iter().filter(|(_, here)| *here).map(|(n, _)| format!("ipip-tunnel-addr-node-{n}"));
    expected.extend(guests);
    expected.extend(alive.leaked.iter().map(|p| p.workload.handle()));
    assert_eq!(held, expected, "who has an address\n{story}");
    expected.extend(alive.orphans.iter().cloned());
    assert_eq!(handles, expected, "who has a handle\n{story}");
}
