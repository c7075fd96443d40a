//! Calico nodes and their tunnels (domain facts, sections 1 and 7).

use super::json::{Bad, Metadata, Text, given, object};
use super::{Kv, values};
use crate::model::{CalicoNode, Names, Tunnel};

object! {
    [fold serde::de::IgnoredAny] struct RawNode<'a> {
        metadata: Metadata<'a> = "metadata",
        spec: RawSpec<'a> = "spec",
    }
}

object! {
    [fold serde::de::IgnoredAny] struct RawSpec<'a> {
        bgp: RawBgp<'a> = "bgp",
        vxlan: Text<'a> = "ipv4VXLANTunnelAddr",
        vxlan_v6: Text<'a> = "ipv6VXLANTunnelAddr",
        wireguard: RawWireguard<'a> = "wireguard",
        orch_refs: Vec<Option<RawOrchRef<'a>>> = "orchRefs",
        addresses: Vec<Option<RawAddress<'a>>> = "addresses",
    }
}

object! {
    [fold serde::de::IgnoredAny] struct RawBgp<'a> {
        v4: Text<'a> = "ipv4Address",
        v6: Text<'a> = "ipv6Address",
        ipip: Text<'a> = "ipv4IPIPTunnelAddr",
    }
}

object! {
    [fold serde::de::IgnoredAny] struct RawWireguard<'a> {
        v4: Text<'a> = "interfaceIPv4Address",
        v6: Text<'a> = "interfaceIPv6Address",
    }
}

object! {
    [fold serde::de::IgnoredAny] struct RawOrchRef<'a> {
        node: Text<'a> = "nodeName",
        orchestrator: Text<'a> = "orchestrator",
    }
}

object! {
    [fold serde::de::IgnoredAny] struct RawAddress<'a> {
        address: Text<'a> = "address",
    }
}

/// The node of a key with this name.
pub(super) fn decode(names: &mut Names, kv: &Kv<'_>, name: &str) -> Result<CalicoNode, Bad> {
    let raw: RawNode<'_> = super::json::parse(kv.value)?;
    let spec = raw.spec.unwrap_or_default();
    let bgp = spec.bgp.unwrap_or_default();
    let wireguard = spec.wireguard.unwrap_or_default();
    let address = |field: &str, text: &Option<Text<'_>>| values::address(kv.value, field, text);

    let mut addresses = Vec::new();
    for entry in spec.addresses.unwrap_or_default().into_iter().flatten() {
        addresses.extend(address("addresses", &entry.address)?);
    }
    addresses.extend(address("bgp: ipv4Address", &bgp.v4)?);
    addresses.extend(address("bgp: ipv6Address", &bgp.v6)?);
    let fields = [
        (Tunnel::Ipip, "bgp: ipv4IPIPTunnelAddr", &bgp.ipip),
        (Tunnel::Vxlan, "ipv4VXLANTunnelAddr", &spec.vxlan),
        (Tunnel::VxlanV6, "ipv6VXLANTunnelAddr", &spec.vxlan_v6),
        (Tunnel::Wireguard, "wireguard: interfaceIPv4Address", &wireguard.v4),
        (Tunnel::WireguardV6, "wireguard: interfaceIPv6Address", &wireguard.v6),
    ];
    let mut tunnels = Vec::new();
    for (tunnel, field, text) in fields {
        tunnels.extend(address(field, text)?.map(|address| (tunnel, address)));
    }
    let (created, _) = values::metadata(kv.value, &raw.metadata)?;
    let orch_refs = spec.orch_refs.unwrap_or_default();
    let kubernetes = orch_refs.iter().flatten().filter(|r| given(&r.orchestrator) == Some("k8s"));
    let kubernetes_name = kubernetes.filter_map(|r| given(&r.node)).next().map(|node| names.intern(node));
    Ok(CalicoNode {
        meta: kv.meta(),
        name: names.intern(name),
        kubernetes_name,
        addresses: addresses.into(),
        tunnels: tunnels.into(),
        created,
    })
}
