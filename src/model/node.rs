//! A Calico Node and its tunnel addresses (domain facts, section 7).

use super::word::words;
use super::{Addr, Meta, Name, Time};

/// The five kinds of tunnel address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Tunnel {
    Ipip,
    Vxlan,
    VxlanV6,
    Wireguard,
    WireguardV6,
}

words!(Tunnel {
    Ipip = "IPIP",
    Vxlan = "VXLAN",
    VxlanV6 = "VXLAN IPv6",
    Wireguard = "WireGuard",
    WireguardV6 = "WireGuard IPv6",
});

impl Tunnel {
    /// The `type` that an allocation's owner attributes carry.
    pub const fn attribute(self) -> &'static str {
        match self {
            Tunnel::Ipip => "ipipTunnelAddress",
            Tunnel::Vxlan => "vxlanTunnelAddress",
            Tunnel::VxlanV6 => "vxlanV6TunnelAddress",
            Tunnel::Wireguard => "wireguardTunnelAddress",
            Tunnel::WireguardV6 => "wireguardV6TunnelAddress",
        }
    }

    /// What its handle's id begins with; the node's name follows.
    pub const fn handle_prefix(self) -> &'static str {
        match self {
            Tunnel::Ipip => "ipip-tunnel-addr-",
            Tunnel::Vxlan => "vxlan-tunnel-addr-",
            Tunnel::VxlanV6 => "vxlan-v6-tunnel-addr-",
            Tunnel::Wireguard => "wireguard-tunnel-addr-",
            Tunnel::WireguardV6 => "wireguard-v6-tunnel-addr-",
        }
    }

    /// The kind of an owner attribute's `type`.
    pub fn of_attribute(text: &str) -> Option<Tunnel> {
        Tunnel::ALL.into_iter().find(|t| t.attribute() == text)
    }

    /// Kind and node of a tunnel's handle id.
    pub fn of_handle(id: &str) -> Option<(Tunnel, &str)> {
        Tunnel::ALL.into_iter().find_map(|t| id.strip_prefix(t.handle_prefix()).map(|node| (t, node)))
    }
}

/// One Calico Node.
#[derive(Clone, Debug)]
pub struct CalicoNode {
    pub meta: Meta,
    /// Calico's name of it, which can differ from Kubernetes'.
    pub name: Name,
    /// `nodeName` of the orchRef with `orchestrator: k8s`; `None` without such a reference.
    pub kubernetes_name: Option<Name>,
    /// `spec.addresses`, `spec.bgp.ipv4Address` and `ipv6Address`, without prefix lengths.
    pub addresses: Box<[Addr]>,
    /// The addresses of the machine itself: `spec.bgp.ipv4Address` and `ipv6Address`, and those of type CalicoNodeIP
    /// or InternalIP. Never an ExternalIP: machines behind one NAT share it.
    pub host_addresses: Box<[Addr]>,
    /// Its tunnel addresses, in the order of [`Tunnel::ALL`].
    pub tunnels: Box<[(Tunnel, Addr)]>,
    /// `metadata.creationTimestamp`.
    pub created: Option<Time>,
}
