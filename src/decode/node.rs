//! Calico nodes and their tunnels (domain facts, sections 1 and 7).

use super::json::{Bad, GoString, given, object};
use super::{Kv, values};
use crate::model::{CalicoNode, Names, Tunnel};

object! {
    [fold serde::de::IgnoredAny] struct RawSpec<'a> {
        bgp: RawBgp<'a> = "bgp",
        vxlan: GoString<'a> = "ipv4VXLANTunnelAddr",
        vxlan_v6: GoString<'a> = "ipv6VXLANTunnelAddr",
        wireguard: RawWireguard<'a> = "wireguard",
        orch_refs: Vec<Option<RawOrchRef<'a>>> = "orchRefs",
        addresses: Vec<Option<RawAddress<'a>>> = "addresses",
    }

    [fold serde::de::IgnoredAny] struct RawBgp<'a> {
        v4: GoString<'a> = "ipv4Address",
        v6: GoString<'a> = "ipv6Address",
        ipip: GoString<'a> = "ipv4IPIPTunnelAddr",
    }

    [fold serde::de::IgnoredAny] struct RawWireguard<'a> {
        v4: GoString<'a> = "interfaceIPv4Address",
        v6: GoString<'a> = "interfaceIPv6Address",
    }

    [fold serde::de::IgnoredAny] struct RawOrchRef<'a> {
        node: GoString<'a> = "nodeName",
        orchestrator: GoString<'a> = "orchestrator",
    }

    [fold serde::de::IgnoredAny] struct RawAddress<'a> {
        address: GoString<'a> = "address",
        kind: GoString<'a> = "type",
    }
}

/// The node of a key with this name.
pub(super) fn decode(names: &mut Names, kv: &Kv<'_>, name: &str) -> Result<CalicoNode, Bad> {
    let (metadata, spec): (_, RawSpec<'_>) = super::json::resource(kv.value)?;
    let bgp = spec.bgp.unwrap_or_default();
    let wireguard = spec.wireguard.unwrap_or_default();
    let address = |field: &str, text: &Option<GoString<'_>>| values::address(kv.value, field, text);

    let (mut addresses, mut host_addresses) = (Vec::new(), Vec::new());
    for entry in spec.addresses.unwrap_or_default().into_iter().flatten() {
        let found = address("addresses", &entry.address)?;
        addresses.extend(found);
        host_addresses.extend(found.filter(|_| matches!(given(&entry.kind), Some("CalicoNodeIP" | "InternalIP"))));
    }
    for (field, text) in [("bgp: ipv4Address", &bgp.v4), ("bgp: ipv6Address", &bgp.v6)] {
        let found = address(field, text)?;
        addresses.extend(found);
        host_addresses.extend(found);
    }
    host_addresses.sort_unstable();
    host_addresses.dedup();
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
    let (created, _) = values::metadata(kv.value, &metadata)?;
    let orch_refs = spec.orch_refs.unwrap_or_default();
    let kubernetes = orch_refs.iter().flatten().filter(|r| given(&r.orchestrator) == Some("k8s"));
    let kubernetes_name = kubernetes.filter_map(|r| given(&r.node)).next().map(|node| names.intern(node));
    Ok(CalicoNode {
        meta: kv.meta(),
        name: names.intern(name),
        kubernetes_name,
        addresses: addresses.into(),
        host_addresses: host_addresses.into(),
        tunnels: tunnels.into(),
        created,
    })
}

#[cfg(test)]
mod tests {
    use crate::decode::keys::{key_of, node_key};
    use crate::decode::testing::{bad, snapshot};
    use crate::model::snapshot::Dark;
    use crate::model::{Addr, Time, Tunnel};

    #[test]
    fn addresses_tunnels_and_the_kubernetes_name() {
        let value = r#"{"metadata":{"creationTimestamp":"2026-10-15T12:12:50Z"},"spec":{
            "bgp":{"ipv4Address":"172.20.0.7/24","ipv6Address":"","ipv4IPIPTunnelAddr":"10.65.247.1"},
            "ipv4VXLANTunnelAddr":"10.165.8.224","ipv6VXLANTunnelAddr":"fd00::1",
            "wireguard":{"interfaceIPv4Address":"10.65.247.0","interfaceIPv6Address":"fd00::2"},
            "orchRefs":[null,{"nodeName":"x","orchestrator":"other"},{"nodeName":"kube-2","orchestrator":"k8s"}],
            "addresses":[{"address":"172.20.0.7/24","type":"CalicoNodeIP"},{"address":"172.20.0.9"},{},null]}}"#;
        let snapshot = snapshot(&[(&node_key("node-2"), value), (&node_key("node-3"), r#"{"spec":{}}"#)]);
        assert!(snapshot.bad_values.is_empty(), "{:?}", snapshot.bad_values);
        let [node, bare] = &snapshot.calico_nodes[..] else { unreachable!("two nodes") };
        assert_eq!(snapshot.text(node.name), "node-2");
        assert_eq!(node.kubernetes_name.map(|name| snapshot.text(name)), Some("kube-2"));
        let texts: Vec<String> = node.addresses.iter().map(Addr::to_string).collect();
        assert_eq!(texts, ["172.20.0.7", "172.20.0.9", "172.20.0.7"]);
        let tunnels: Vec<(Tunnel, String)> = node.tunnels.iter().map(|(t, a)| (*t, a.to_string())).collect();
        let addresses = ["10.65.247.1", "10.165.8.224", "fd00::1", "10.65.247.0", "fd00::2"].map(str::to_owned);
        assert_eq!(tunnels, Tunnel::ALL.into_iter().zip(addresses).collect::<Vec<_>>());
        assert_eq!(node.created, Time::parse_rfc3339("2026-10-15T12:12:50Z"));
        assert_eq!(key_of(&snapshot.names, node), node_key("node-2").as_bytes());
        assert!(bare.kubernetes_name.is_none() && bare.addresses.is_empty() && bare.tunnels.is_empty());
    }

    #[test]
    fn only_a_machines_own_addresses_are_its_hosts() {
        let value = r#"{"spec":{"bgp":{"ipv4Address":"172.20.0.7/24","ipv6Address":"fd00::7/64"},"addresses":[
            {"address":"172.20.0.7/24","type":"CalicoNodeIP"},{"address":"192.168.0.7","type":"InternalIP"},
            {"address":"203.0.113.7","type":"ExternalIP"},{"address":"10.9.9.9"},{"address":"10.9.9.8","type":null}]}}"#;
        let snapshot = snapshot(&[(&node_key("node-2"), value)]);
        let texts: Vec<String> = snapshot.calico_nodes[0].host_addresses.iter().map(Addr::to_string).collect();
        assert_eq!(texts, ["172.20.0.7", "192.168.0.7", "fd00::7"]);
        assert_eq!(snapshot.calico_nodes[0].addresses.len(), 7, "pairing looks at all of them");
    }

    #[test]
    fn an_address_that_does_not_parse_darkens_the_node() {
        for spec in [
            r#""bgp":[]"#,
            r#""bgp":{"ipv4Address":"172.20.0.7/33"}"#,
            r#""bgp":{"ipv4IPIPTunnelAddr":"none"}"#,
            r#""addresses":[{"address":"host.example"}]"#,
            r#""wireguard":{"interfaceIPv6Address":7}"#,
        ] {
            let bad = bad(&node_key("node-2"), &format!(r#"{{"spec":{{{spec}}}}}"#));
            assert!(matches!(bad.dark[..], [Dark::Node(_)]), "{bad:?}");
        }
    }
}
