//! Affinities of blocks (domain facts, section 4).

use super::json::{Bad, GoString, given, object};
use super::{Kv, keys};
use crate::model::{Affinity, AffinityState, Cidr, Host, HostKind, Names};

object! {
    [fold serde::de::IgnoredAny] struct RawAffinity<'a> {
        state: GoString<'a> = "state",
        deleted: bool = "deleted",
    }
}

/// The affinity of a key with this owner and CIDR.
pub(super) fn decode(
    names: &mut Names,
    kv: &Kv<'_>,
    (kind, name, cidr): (HostKind, &str, Cidr),
) -> Result<Affinity, Bad> {
    // Before affinities had a state their values were empty; Calico reads that as `{}`.
    let raw = if kv.value.is_empty() { RawAffinity::default() } else { super::json::parse(kv.value)? };
    Ok(Affinity {
        meta: kv.meta(),
        host: Host { kind, name: names.intern(name) },
        cidr,
        odd_key: (keys::affinity_key(kind, name, cidr).as_bytes() != kv.key).then(|| kv.key.into()),
        state: match given(&raw.state) {
            None | Some("confirmed") => AffinityState::Confirmed,
            Some("pending") => AffinityState::Pending,
            Some("pendingDeletion") => AffinityState::PendingDeletion,
            Some(word) => AffinityState::Unknown(names.intern(word)),
        },
        deleted: raw.deleted.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::keys::key_of;
    use crate::decode::testing::{bad, snapshot};
    use crate::model::snapshot::Dark;

    #[test]
    fn states_and_owners() {
        let path = "ipv4/block/10.65.0.0-26";
        for (owner, kind, name) in [
            ("host/node-1.dc1", HostKind::Host, "node-1.dc1"),
            ("virtual/load-balancer", HostKind::Virtual, "load-balancer"),
            ("@/x", HostKind::At, "x"),
        ] {
            let key = format!("/calico/ipam/v2/{owner}/{path}");
            let mut snapshot = snapshot(&[(&key, r#"{"state":"confirmed"}"#)]);
            let host = Host { kind, name: snapshot.names.intern(name) };
            let affinity = &snapshot.affinities[0];
            assert_eq!((affinity.host, affinity.odd_key.is_none(), affinity.deleted), (host, true, false));
            assert_eq!(key_of(&snapshot.names, affinity), key.as_bytes());
        }
        let key = format!("/calico/ipam/v2/host/n/{path}");
        let state = |value: &str| snapshot(&[(&key, value)]).affinities[0].state;
        for value in ["", "{}", r#"{"state":""}"#, r#"{"state":null}"#, r#"{"state":"confirmed"}"#] {
            assert_eq!(state(value), AffinityState::Confirmed, "{value}");
        }
        assert_eq!(state(r#"{"state":"pending"}"#), AffinityState::Pending);
        assert_eq!(state(r#"{"state":"pendingDeletion"}"#), AffinityState::PendingDeletion);
        assert!(matches!(state(r#"{"state":"Confirmed"}"#), AffinityState::Unknown(_)));
    }

    #[test]
    fn odd_keys_are_kept_and_bad_values_are_dark() {
        for key in ["/calico/ipam/v2/host/n/ipv4/block/10.65.0.9-26", "/calico/ipam/v2/host/n/ipv6/block/10.65.0.0-26"]
        {
            let snapshot = snapshot(&[(key, r#"{"deleted":true}"#)]);
            let affinity = &snapshot.affinities[0];
            assert_eq!(affinity.cidr.to_string(), "10.65.0.0/26");
            assert!(affinity.deleted);
            assert_eq!(key_of(&snapshot.names, affinity), key.as_bytes());
            let bad = bad(key, r#"{"state":7}"#);
            assert_eq!(bad.dark, [Dark::Affinity(affinity.cidr)]);
        }
    }
}
