//! What a node's kernel says, as evidence.

use super::Draft;
use crate::model::node_evidence::{HostLink, KernelRoute, NodeEvidence};
use crate::model::{Evidence, Foreign, Interface, Snapshot};

impl Draft<'_> {
    /// The node whose evidence it was found in.
    pub fn at_node(mut self, evidence: &NodeEvidence) -> Self {
        match self.world.snapshot.names.find(evidence.node.raw()) {
            Some(calico) => self = self.on_node(calico),
            None => self.finding.node = evidence.node.some().cloned(),
        }
        self.fact("node", &evidence.node)
            .fact("captured", evidence.taken_at())
            .fact("readings", i64::from(evidence.readings))
    }
}

/// `shop/web-0`: the pod of a node's interface, as etcd's endpoints know it. A kernel knows the interface alone.
pub fn pod_behind(snapshot: &Snapshot, node: &Foreign, interface: &Foreign) -> Option<Foreign> {
    let names = &snapshot.names;
    let (node, interface) = (names.find(node.raw())?, Interface::find(names, interface.raw())?);
    let endpoint = snapshot.endpoints.iter().find(|e| e.node == node && e.interface().some() == Some(interface))?;
    Some(snapshot.pair(endpoint.namespace, endpoint.pod).into())
}

/// A route as evidence.
pub fn route_facts(route: &KernelRoute) -> Evidence {
    let devices: Vec<&Foreign> = route.hops.iter().map(|hop| &hop.dev).filter(|dev| !dev.is_empty()).collect();
    let gateways: Vec<String> = route.hops.iter().filter_map(|hop| hop.gateway).map(|gw| gw.to_string()).collect();
    Evidence::new()
        .with("range", route.dst)
        .with("type", route.kind.raw())
        .with("devices", devices)
        .with("gateways", gateways)
        .with("protocol", route.protocol.raw())
        .with("metric", i64::from(route.metric))
}

/// The same as `ip route` prints it.
pub fn route_words(route: &KernelRoute) -> Foreign {
    let range = if route.is_host() { route.dst.first().to_string() } else { route.dst.to_string() };
    let mut words = if route.is_unicast() { range } else { format!("{} {range}", route.kind.raw()) };
    for hop in &route.hops {
        words.extend(hop.gateway.map(|gateway| format!(" via {gateway}")));
        words.extend(hop.dev.some().map(|dev| format!(" dev {}", dev.raw())));
    }
    words.push_str(&format!(" proto {}", route.protocol.raw()));
    if route.metric > 0 {
        words.push_str(&format!(" metric {}", route.metric));
    }
    words.into()
}

/// A link as evidence.
pub fn link_facts(link: &HostLink) -> Evidence {
    Evidence::new().with("interface", &link.name).with("up", link.up).with("carrier", link.carrier)
}

/// What the kernel's answer means for the pod.
pub const fn verdict_words(errno: i32) -> &'static str {
    match errno {
        0 => "it would answer",
        22 => "its own route to the pod's address does not lead to this interface (EINVAL)",
        101 => "it has no default route (ENETUNREACH)",
        113 => "forwarding is off (EHOSTUNREACH)",
        18 => "its own route to the pod's address does not lead to this interface (EXDEV)",
        _ => "the kernel refuses the route",
    }
}
