//! Workload endpoints (domain facts, section 5).
//!
//! The hottest of all decoders: a big cluster has 150,000 of them.

use super::endpoint_name::parse_endpoint_name;
use super::json::{Bad, GoString, given, object};
use super::{Kv, quick, values};
use crate::model::{Addr, Endpoint, EndpointFields, EndpointKey, Interface, Names, Nat, Orchestrator};

object! {
    [fold serde::de::IgnoredAny] struct RawSpec<'a> {
        orchestrator: GoString<'a> = "orchestrator",
        node: GoString<'a> = "node",
        pod: GoString<'a> = "pod",
        workload: GoString<'a> = "workload",
        endpoint: GoString<'a> = "endpoint",
        container: GoString<'a> = "containerID",
        interface: GoString<'a> = "interfaceName",
        mac: GoString<'a> = "mac",
        networks: Vec<Option<GoString<'a>>> = "ipNetworks",
        nats: Vec<Option<RawNat<'a>>> = "ipNATs",
    }

    [fold serde::de::IgnoredAny] struct RawNat<'a> {
        internal: GoString<'a> = "internalIP",
        external: GoString<'a> = "externalIP",
    }
}

/// The endpoint of a key with this namespace and name.
pub(super) fn decode(names: &mut Names, kv: &Kv<'_>, namespace: &str, name: &str) -> Result<Endpoint, Bad> {
    let (metadata, spec): (_, RawSpec<'_>) = match quick::endpoint(kv.value) {
        Some((metadata, spec)) => (Some(metadata), spec),
        None => super::json::resource(kv.value)?,
    };
    let (created, _) = values::metadata(kv.value, &metadata)?;
    let addresses = values::addresses(kv.value, "ipNetworks", spec.networks.as_deref().unwrap_or_default())?;
    let nats = spec.nats.as_deref().unwrap_or_default().iter().map(|nat| decode_nat(kv.value, nat));
    let nats: Box<[Nat]> = nats.collect::<Result<_, _>>()?;
    let mut intern = |text: &Option<GoString<'_>>| names.intern(given(text).unwrap_or_default());
    let orchestrator = match given(&spec.orchestrator) {
        Some("k8s") => Orchestrator::Kubernetes,
        Some("cni") => Orchestrator::Cni,
        _ => Orchestrator::Other(intern(&spec.orchestrator)),
    };
    let pod = intern(if given(&spec.pod).is_some() { &spec.pod } else { &spec.workload });
    let (endpoint, container) = (intern(&spec.endpoint), intern(&spec.container));
    // Calico itself goes by the name where it needs the node.
    let node = match given(&spec.node) {
        Some(node) => names.intern(node),
        None => names.intern(&parse_endpoint_name(name).map(|parts| parts.node).unwrap_or_default()),
    };
    let fields = EndpointFields {
        meta: kv.meta(),
        namespace: names.intern(namespace),
        name: EndpointKey::intern(names, name, node, pod),
        orchestrator,
        node,
        pod,
        endpoint,
        container,
        interface: Interface::intern(names, given(&spec.interface).unwrap_or_default()),
        mac: given(&spec.mac).and_then(mac),
        addresses,
        nats,
        created,
    };
    Ok(fields.into())
}

fn decode_nat(value: &[u8], raw: &Option<RawNat<'_>>) -> Result<Nat, Bad> {
    let part = |field: &str, text: Option<&Option<GoString<'_>>>| -> Result<Addr, Bad> {
        let text = text.and_then(given).unwrap_or_default();
        text.parse().map_err(|_| Bad::text(value, field, text, "address"))
    };
    Ok(Nat {
        internal: part("ipNATs: internalIP", raw.as_ref().map(|nat| &nat.internal))?,
        external: part("ipNATs: externalIP", raw.as_ref().map(|nat| &nat.external))?,
    })
}

/// The number of `aa:bb:cc:dd:ee:ff` (or with dashes); `None` when it is something else.
fn mac(text: &str) -> Option<u64> {
    let mut number = 0;
    let mut parts = 0;
    for part in text.split([':', '-']) {
        let byte = u8::from_str_radix(part, 16).ok().filter(|_| part.len() == 2 && !part.starts_with('+'))?;
        number = number << 8 | u64::from(byte);
        parts += 1;
    }
    (parts == 6).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::keys::{endpoint_key, key_of};
    use crate::decode::testing::{bad, snapshot};
    use crate::model::snapshot::Dark;
    use crate::model::{EndpointFields, Gathering, Input, Name, Time, endpoint};

    const NAME: &str = "node--1-k8s-web--0-eth0";

    fn one(value: &str) -> (Gathering, EndpointFields) {
        let mut snapshot = snapshot(&[(&endpoint_key("shop", NAME), value)]);
        assert!(snapshot.bad_values.is_empty(), "{:?}", snapshot.bad_values);
        let endpoint = snapshot.endpoints.pop().unwrap().fields();
        (snapshot, endpoint)
    }

    #[test]
    fn everything_that_checks_need_comes_through() {
        let (snapshot, endpoint) = one(
            r#"{"kind":"WorkloadEndpoint","metadata":{"name":"x","creationTimestamp":"2026-11-24T07:56:58Z",
            "labels":{"node":"other"}},"spec":{"orchestrator":"k8s","node":"node\u002d1","containerID":"b2e7","pod":"web-0",
            "endpoint":"eth0","ipNetworks":["10.75.241.133/32","fd00:75::6/128","10.0.0.1"],
            "ipNATs":[{"internalIP":"10.75.241.133","externalIP":"10.75.255.1"}],"profiles":["kns.shop"],
            "interfaceName":"cali4de82754ef9","mac":"56:41:9A:7f:d0:33","ports":[{"port":1}]}}"#,
        );
        let name = |n: Name| snapshot.text(n);
        assert_eq!((name(endpoint.namespace), endpoint.name.text(&snapshot.names).as_str()), ("shop", NAME));
        assert_eq!(endpoint.orchestrator, Orchestrator::Kubernetes);
        assert_eq!((name(endpoint.node), name(endpoint.pod), name(endpoint.endpoint)), ("node-1", "web-0", "eth0"));
        let interface = endpoint.interface.text(&snapshot.names);
        assert_eq!((name(endpoint.container), interface.as_str()), ("b2e7", "cali4de82754ef9"));
        assert_eq!(endpoint.mac.map(endpoint::mac_text).as_deref(), Some("56:41:9a:7f:d0:33"));
        let addresses: Vec<String> = endpoint.addresses.iter().map(Addr::to_string).collect();
        assert_eq!(addresses, ["10.75.241.133", "fd00:75::6", "10.0.0.1"]);
        assert_eq!(endpoint.nats[0].external.to_string(), "10.75.255.1");
        assert_eq!(endpoint.created, Time::parse_rfc3339("2026-11-24T07:56:58Z"));
        assert_eq!(key_of(&snapshot.names, &Endpoint::from(endpoint)), endpoint_key("shop", NAME).as_bytes());
    }

    #[test]
    fn what_is_absent_stays_absent_but_the_name_tells_the_node() {
        for value in ["{}", r#"{"spec":null,"metadata":null}"#, r#"{"spec":{"node":"","ipNetworks":null,"mac":""}}"#] {
            let (snapshot, endpoint) = one(value);
            assert_eq!(snapshot.text(endpoint.node), "node-1");
            assert_eq!(endpoint.orchestrator, Orchestrator::Other(Name::NONE));
            assert!(endpoint.addresses.is_empty() && endpoint.mac.is_none() && endpoint.created.is_none());
        }
        let (snapshot, other) = one(r#"{"spec":{"orchestrator":"openstack","workload":"vm-1","node":"other"}}"#);
        assert_eq!((snapshot.text(other.pod), snapshot.text(other.node)), ("vm-1", "other"));
        assert!(matches!(other.orchestrator, Orchestrator::Other(name) if snapshot.text(name) == "openstack"));
    }

    #[test]
    fn a_wrong_mac_is_none() {
        for (text, want) in [("aa-bb-cc-dd-ee-ff", true), ("+a:bb:cc:dd:ee:ff", false), ("aa:bb:cc:dd:ee", false)] {
            assert_eq!(mac(text).is_some(), want, "{text}");
        }
        for text in ["aa:bb:cc:dd:ee:ff:00:11", "aabbccddeeff", "aä:bb:cc:dd:ee:ff", ":::::"] {
            assert_eq!(mac(text), None, "{text}");
        }
    }

    #[test]
    fn what_does_not_decode_darkens_its_node() {
        for value in [
            r#"{"spec":{"ipNetworks":"10.0.0.1/32"}}"#,
            r#"{"spec":{"ipNetworks":["10.0.0.300/32"]}}"#,
            r#"{"spec":{"ipNetworks":[""]}}"#,
            r#"{"spec":{"ipNetworks":[null]}}"#,
            r#"{"spec":{"ipNATs":[{"internalIP":"10.0.0.1"}]}}"#,
            r#"{"spec":{"ipNATs":[null]}}"#,
            r#"{"metadata":{"creationTimestamp":"yesterday"}}"#,
            r#"{"metadata":[]}"#,
        ] {
            let mut snapshot = snapshot(&[(&endpoint_key("shop", NAME), value)]);
            let bad = snapshot.bad_values.pop().expect(value);
            let node = Dark::Node(snapshot.names.intern("node-1"));
            assert_eq!((bad.input, bad.dark), (Input::Endpoints, vec![node]), "{value}");
        }
        assert_eq!(bad(&endpoint_key("shop", "x"), "x").dark, [Dark::All(Input::Endpoints)]);
    }
}
