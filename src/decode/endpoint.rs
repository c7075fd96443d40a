//! Workload endpoints (domain facts, section 5).
//!
//! The hottest of all decoders: a big cluster has 150,000 of them.

use super::endpoint_name::parse_endpoint_name;
use super::json::{Bad, Metadata, Text, given, object};
use super::{Kv, values};
use crate::model::{Addr, Endpoint, Names, Nat, Orchestrator};

object! {
    [fold serde::de::IgnoredAny] struct RawEndpoint<'a> {
        metadata: Metadata<'a> = "metadata",
        spec: RawSpec<'a> = "spec",
    }
}

object! {
    [fold serde::de::IgnoredAny] struct RawSpec<'a> {
        orchestrator: Text<'a> = "orchestrator",
        node: Text<'a> = "node",
        pod: Text<'a> = "pod",
        workload: Text<'a> = "workload",
        endpoint: Text<'a> = "endpoint",
        container: Text<'a> = "containerID",
        interface: Text<'a> = "interfaceName",
        mac: Text<'a> = "mac",
        networks: Vec<Option<Text<'a>>> = "ipNetworks",
        nats: Vec<Option<RawNat<'a>>> = "ipNATs",
    }
}

object! {
    [fold serde::de::IgnoredAny] struct RawNat<'a> {
        internal: Text<'a> = "internalIP",
        external: Text<'a> = "externalIP",
    }
}

/// The endpoint of a key with this namespace and name.
pub(super) fn decode(names: &mut Names, kv: &Kv<'_>, namespace: &str, name: &str) -> Result<Endpoint, Bad> {
    let raw: RawEndpoint<'_> = super::json::parse(kv.value)?;
    let spec = raw.spec.unwrap_or_default();
    let (created, _) = values::metadata(kv.value, &raw.metadata)?;
    let addresses = values::addresses(kv.value, "ipNetworks", spec.networks.as_deref().unwrap_or_default())?;
    let nats = spec.nats.as_deref().unwrap_or_default().iter().map(|nat| decode_nat(kv.value, nat));
    let nats: Box<[Nat]> = nats.collect::<Result<_, _>>()?;
    let mut intern = |text: &Option<Text<'_>>| names.intern(given(text).unwrap_or_default());
    Ok(Endpoint {
        meta: kv.meta(),
        orchestrator: match given(&spec.orchestrator) {
            Some("k8s") => Orchestrator::Kubernetes,
            Some("cni") => Orchestrator::Cni,
            _ => Orchestrator::Other(intern(&spec.orchestrator)),
        },
        pod: intern(if given(&spec.pod).is_some() { &spec.pod } else { &spec.workload }),
        endpoint: intern(&spec.endpoint),
        container: intern(&spec.container),
        interface: intern(&spec.interface),
        // Calico itself goes by the name where it needs the node.
        node: match given(&spec.node) {
            Some(node) => names.intern(node),
            None => names.intern(&parse_endpoint_name(name).map(|parts| parts.node).unwrap_or_default()),
        },
        namespace: names.intern(namespace),
        name: names.intern(name),
        mac: given(&spec.mac).and_then(mac),
        addresses,
        nats,
        created,
    })
}

fn decode_nat(value: &[u8], raw: &Option<RawNat<'_>>) -> Result<Nat, Bad> {
    let part = |field: &str, text: Option<&Option<Text<'_>>>| -> Result<Addr, Bad> {
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
