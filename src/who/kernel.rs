//! What nodes' kernels have of one address: the commands that people would type there, side by side.

use super::dossier::{GatewaySheet, KernelSheet};
use crate::checks::evidence::node::{route_words, verdict_words};
use crate::ledger::Ledger;
use crate::model::endpoint::mac_text;
use crate::model::foreign::foreign;
use crate::model::node_evidence::{KernelNeighbour, NodeEvidence, RouteTable, Way};
use crate::model::{Addr, Foreign};

/// One sheet for each node whose kernel knows the address, by itself or by a neighbour, a pod or a verdict.
pub fn sheets(ledger: &Ledger<'_>, address: Addr) -> Vec<KernelSheet> {
    let sheets = ledger.snapshot.nodes_seen.nodes.iter().map(|node| sheet(node, address));
    sheets.filter(|sheet| !sheet.is_nothing()).collect()
}

fn sheet(node: &NodeEvidence, address: Addr) -> KernelSheet {
    let hosts = node.routes_of(address.is_v4()).each().filter(|route| route.is_to(address));
    let table = node.routes_of(address.is_v4()).read().map(|routes| RouteTable::of(routes, node.readings));
    let way = table.map(|table| table.way(address)).and_then(Way::route);
    let neighbours = node.neighbours.each().filter(|n| n.address == address).map(neighbour);
    let insides = node.inside.pods.each().filter(|pod| pod.addresses.each().any(|a| *a == address));
    let verdicts = node.verdicts.each().filter(|verdict| verdict.from == address);
    KernelSheet {
        node: node.node.clone(),
        captured: node.taken_at(),
        routes: hosts.map(route_words).collect(),
        in_force: way.map(route_words),
        winner: way.filter(|way| way.is_host()).and_then(|way| way.dev()).cloned(),
        neighbours: neighbours.collect(),
        inside: insides.map(|pod| pod.name()).collect(),
        gateway: verdicts
            .map(|v| GatewaySheet { interface: v.dev.clone(), errno: v.errno, says: verdict_words(v.errno) })
            .collect(),
    }
}

fn neighbour(n: &KernelNeighbour) -> Foreign {
    let mac = n.mac.map(mac_text).unwrap_or_default();
    foreign!("{} {mac} {}", &n.dev, n.state.clone())
}
