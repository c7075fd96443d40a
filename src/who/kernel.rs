//! What nodes' kernels have of one address: the commands that people would type there, side by side.

use super::dossier::{GatewaySheet, KernelSheet, NodeKernelSheet};
use crate::checks::evidence::node::{pod_behind, route_words, verdict_words};
use crate::ledger::Ledger;
use crate::model::endpoint::mac_text;
use crate::model::foreign::foreign;
use crate::model::node_evidence::{DumpState, KernelNeighbour, NodeEvidence, PodInside, Way};
use crate::model::{Addr, Foreign, Name, Snapshot};

/// One sheet for each node whose kernel knows the address, by itself or by a neighbour, a pod or a verdict; and for each that
/// should know it and of which not all was read.
pub fn sheets(ledger: &Ledger<'_>, address: Addr) -> Vec<KernelSheet> {
    let nodes = &ledger.snapshot.nodes_seen.nodes;
    let sheets = nodes.iter().enumerate().map(|at| sheet(ledger.snapshot, at, address));
    let sheets: Vec<KernelSheet> = sheets.collect();
    let homes = homes(ledger, address);
    let is_home = |node: &Foreign| homes.is_empty() || homes.iter().any(|home| *ledger.text(*home) == *node.raw());
    let is_told = |sheet: &KernelSheet| !sheet.is_nothing() || !sheet.doubts.is_empty() && is_home(&sheet.node);
    sheets.into_iter().filter(is_told).collect()
}

/// The nodes on which an address should be, by IPAM and whoever claims it.
fn homes(ledger: &Ledger<'_>, address: Addr) -> Vec<Name> {
    let allocated = ledger.allocations_at(address).iter().map(|allocation| ledger.owner_node(allocation));
    let listed = ledger.endpoints_at(address).map(|(endpoint, _)| endpoint.node);
    allocated.chain(listed).filter(|node| !node.is_none()).collect()
}

/// What was read of a node's kernel; `None`: nobody gave evidence of it.
pub fn of_node(snapshot: &Snapshot, node: Name) -> Option<NodeKernelSheet> {
    let seen = &snapshot.nodes_seen;
    let at = seen.place_of(snapshot.text(node))?;
    let evidence = seen.nodes.get(at)?;
    let read = evidence.dumps().into_iter().filter(|(_, state)| *state == DumpState::Read);
    Some(NodeKernelSheet {
        captured: evidence.taken_at(),
        judged: seen.is_judged(at),
        doubts: seen.doubts(at).iter().map(|doubt| doubt.words.clone()).collect(),
        read: read.map(|(name, _)| name.into()).collect(),
    })
}

fn sheet(snapshot: &Snapshot, (at, node): (usize, &NodeEvidence), address: Addr) -> KernelSheet {
    let table = snapshot.nodes_seen.table(at, address.is_v4());
    let hosts = table.iter().flat_map(|table| table.hosts(address));
    let whole = table.filter(|_| node.routes_of(address.is_v4()).read().is_some());
    let way = whole.map(|table| table.way(address)).and_then(Way::route);
    let neighbours = node.neighbours.each().filter(|n| n.address == address).map(neighbour);
    let insides = node.inside.pods.each_had().filter(|pod| pod.addresses.each_had().any(|a| *a == address));
    let verdicts = node.verdicts.each().filter(|verdict| verdict.from == address);
    let seen = &snapshot.nodes_seen;
    KernelSheet {
        node: node.node.clone(),
        captured: node.taken_at(),
        judged: seen.is_judged(at),
        doubts: seen.doubts(at).iter().map(|doubt| doubt.words.clone()).collect(),
        routes_read: whole.is_some(),
        routes: hosts.map(route_words).collect(),
        in_force: way.map(route_words),
        winner: way.filter(|way| way.is_host()).and_then(|way| way.dev()).cloned(),
        neighbours: neighbours.collect(),
        inside: insides.map(|pod| inside(snapshot, node, pod)).collect(),
        gateway: verdicts
            .map(|v| GatewaySheet { interface: v.dev.clone(), errno: v.errno, says: verdict_words(v.errno) })
            .collect(),
    }
}

/// A pod that was looked into: live evidence seldom knows its name, but the interface behind which it is.
fn inside(snapshot: &Snapshot, node: &NodeEvidence, pod: &PodInside) -> Foreign {
    let interface = node.interface_of(pod).map(|link| &link.name);
    let of_endpoint = || interface.and_then(|interface| pod_behind(snapshot, &node.node, interface));
    match (pod.name().some().cloned().or_else(of_endpoint), interface) {
        (Some(name), Some(interface)) => foreign!("{} behind {}", name, interface),
        (Some(name), None) => name,
        (None, Some(interface)) => foreign!("{} behind {}, of no endpoint", pod.place(), interface),
        (None, None) => foreign!("{} that nobody names", pod.place()),
    }
}

fn neighbour(n: &KernelNeighbour) -> Foreign {
    let mac = n.mac.map(mac_text).unwrap_or_default();
    foreign!("{} {mac} {}", &n.dev, n.state.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::node::testing::{NodeUnderTest, seen};
    use crate::checks::testing::addr;
    use crate::ledger::Ledger;

    /// What was read on the node itself knows interfaces, and of pods no name.
    #[test]
    fn a_pod_without_a_name_is_named_by_its_interface_and_by_etcds_endpoint_of_it() {
        let mut c = seen();
        let dev = c.interface_of("web-0");
        let inside = c.node_mut().inside_of("web-0");
        (inside.namespace, inside.pod) = Default::default();
        let mut told = || {
            let snapshot = c.snapshot();
            let ledger = Ledger::build(&snapshot, c.scope, None);
            sheets(&ledger, addr("10.65.0.1")).remove(0).inside
        };
        assert_eq!(told(), [format!("shop/web-0 behind {}", dev.raw())]);
        c.snapshot.endpoints.clear();
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, c.scope, None);
        let number = ledger.snapshot.nodes_seen.nodes[0].inside.pods.read().unwrap()[0].nsid.unwrap();
        let place = format!("network namespace number {number} behind {}, of no endpoint", dev.raw());
        assert_eq!(sheets(&ledger, addr("10.65.0.1")).remove(0).inside, [place]);
        c.node_mut().inside_of("").netns = "cni-1b2c".into();
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, c.scope, None);
        let place = format!("network namespace cni-1b2c behind {}, of no endpoint", dev.raw());
        assert_eq!(sheets(&ledger, addr("10.65.0.1")).remove(0).inside, [place]);
    }
}
