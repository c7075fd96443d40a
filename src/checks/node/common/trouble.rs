//! What several checks of nodes ask of one interface and one address.

use super::sight::NodeSight;
use crate::checks::addresses::duplicate_pod_address;
use crate::checks::evidence::node::verdict_words;
use crate::checks::evidence::shell;
use crate::checks::{Causes, World};
use crate::model::hash::HashMap;
use crate::model::node_evidence::Way;
use crate::model::{Addr, Block, Endpoint, Evidence, Finding, Foreign, Host, HostKind, Name, Root};

/// `EHOSTUNREACH`: the interface's packets are not handed on.
pub const NOT_FORWARDED: i32 = 113;
/// `ENETUNREACH`: nothing leads to the pods' gateway.
pub const NO_DEFAULT: i32 = 101;

/// Why a node would not answer a pod that asks for its gateway.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Silence {
    /// Its kernel refuses.
    Refused(i32),
    /// Nothing makes it answer for others: what its kernel says does not see this.
    NoProxyArp,
    /// IPv6: the host's end has no link-local address.
    NoLinkLocal,
}

impl Silence {
    /// As a reason.
    pub const fn words(self) -> &'static str {
        match self {
            Silence::Refused(errno) => verdict_words(errno),
            Silence::NoProxyArp => "proxy_arp is 0, of the interface and of all",
            Silence::NoLinkLocal => "the host's end has no link-local address",
        }
    }

    /// Whether its own way to the pod's address is at fault: elsewhere, missing, or dropping.
    pub const fn is_of_route(self) -> bool {
        matches!(self, Silence::Refused(22 | 18))
    }

    /// What ends it.
    pub const fn cure(self) -> &'static str {
        match self {
            Silence::Refused(NO_DEFAULT) => "give it a default route",
            Silence::Refused(NOT_FORWARDED) => "set forwarding to 1",
            Silence::Refused(_) => "see what keeps it from having a way to its gateway",
            Silence::NoProxyArp => "set proxy_arp to 1",
            Silence::NoLinkLocal => "set the host's end down and up again",
        }
    }

    /// The kernel's number, where that is the reason.
    pub const fn errno(self) -> Option<i32> {
        if let Silence::Refused(errno) = self { Some(errno) } else { None }
    }
}

/// Why the node would not answer at this interface; nothing: it would, or nobody knows.
pub fn silences(sight: &NodeSight<'_>, interface: &Foreign, address: Addr) -> Vec<Silence> {
    if !address.is_v4() {
        return no_link_local(sight, interface).into_iter().collect();
    }
    // A pod that speaks BGP with the node asks for the node's own address.
    if sight.has_own_address(interface) {
        return Vec::new();
    }
    let refused = sight.verdict(interface, address).filter(|errno| *errno != 0).map(Silence::Refused);
    let proxy_arp = sight.evidence.sysctls.read().and_then(|sysctls| sysctls.proxy_arp(interface));
    let silent = (proxy_arp == Some(false)).then_some(Silence::NoProxyArp);
    refused.into_iter().chain(silent).collect()
}

fn no_link_local(sight: &NodeSight<'_>, interface: &Foreign) -> Option<Silence> {
    let addresses = sight.evidence.addresses.read()?;
    let works = sight.link(interface).is_some_and(|link| link.works());
    let has_any = addresses.iter().any(|a| a.dev == *interface && is_link_local(a.address));
    (works && !has_any).then_some(Silence::NoLinkLocal)
}

/// `169.254.0.0/16` and `fe80::/10`.
pub fn is_link_local(address: Addr) -> bool {
    match address.to_v4_bits() {
        Some(bits) => bits >> 16 == 0xa9fe,
        None => address.bits() >> 118 == 0x3fa,
    }
}

/// Whether anything is wrong with the way between the node and the pod of this interface.
pub fn is_cut_off(sight: &NodeSight<'_>, interface: &Foreign, address: Addr) -> bool {
    let is_elsewhere = match sight.way(address) {
        Some(Way::By(route)) => route.hops.is_empty() || route.hops.iter().any(|hop| hop.dev != *interface),
        Some(Way::Nowhere) => true,
        Some(Way::Unsettled) | None => false,
    };
    is_elsewhere || !silences(sight, interface, address).is_empty()
}

/// The address of a subject `NODE ADDRESS`, as text.
fn address_of(finding: &Finding) -> &str {
    finding.subject.id.raw().rsplit(' ').next().unwrap_or_default()
}

/// The datastore's own word of it: two live pods have the address.
pub fn by_duplicate(finding: &Finding, causes: &Causes<'_>) -> Option<Root> {
    causes.no_milder(finding, duplicate_pod_address::CHECK.code, address_of(finding))
}

/// The kernel's verdicts at these interfaces, as evidence.
pub fn verdict_facts(sight: &NodeSight<'_>, interfaces: &[Foreign], address: Addr) -> Vec<Evidence> {
    let of = |interface: &Foreign| {
        let errno = sight.verdict(interface, address)?;
        let facts = Evidence::new().with("interface", interface).with("errno", errno);
        Some(facts.with("says", verdict_words(errno)))
    };
    interfaces.iter().filter_map(of).collect()
}

/// Sets a setting of an interface, typed on its node. With slashes: an interface's name may have dots.
pub fn sysctl(family: &str, interface: &Foreign, setting: &str, value: i64) -> String {
    format!("sysctl -w net/{family}/conf/{}/{setting}={value}", shell(interface.raw()))
}

/// Sets an interface up, typed on its node.
pub fn set_up(interface: &Foreign) -> String {
    format!("ip link set {} up", shell(interface.raw()))
}

/// `shop/web-0`, or the interface where no endpoint is known.
pub fn pod_or_interface(sight: &NodeSight<'_>, interface: &Foreign) -> Foreign {
    match sight.endpoints_of(interface) {
        [endpoint, ..] => pod_name(sight, endpoint).into(),
        [] => interface.clone(),
    }
}

/// `shop/web-0`.
pub fn pod_name(sight: &NodeSight<'_>, endpoint: &Endpoint) -> String {
    sight.world.pair(endpoint.namespace, endpoint.pod)
}

/// The node whose block it is, by the block's own word.
pub fn owner(block: &Block) -> Option<Host> {
    block.affinity.filter(|host| host.kind == HostKind::Host)
}

/// The first address of a block that an endpoint on its owner's node holds.
pub fn held_by_owner(world: &World<'_>, block: &Block, owner: Host) -> Option<Addr> {
    let ledger = world.ledger;
    let is_held = |address: &Addr| {
        ledger.endpoints_at(*address).any(|(e, grade)| e.node == owner.name && grade != crate::ledger::Grade::Stale)
    };
    block.allocated().filter_map(|(ordinal, _)| block.cidr.nth(ordinal.into())).find(is_held)
}

/// The Calico Nodes by their addresses: the machines', and those of their tunnels.
pub fn nodes_by_address(world: &World<'_>) -> HashMap<Addr, Vec<Name>> {
    let mut nodes: HashMap<Addr, Vec<Name>> = HashMap::default();
    for node in &world.snapshot.calico_nodes {
        let tunnels = node.tunnels.iter().map(|(_, address)| *address);
        for address in node.addresses.iter().copied().chain(tunnels) {
            nodes.entry(address).or_default().push(node.name);
        }
    }
    nodes
}
