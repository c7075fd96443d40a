//! Affinities of blocks (domain facts, section 4).

use super::json::{Bad, Text, given, object};
use super::{Kv, keys};
use crate::model::{Affinity, AffinityState, Cidr, Host, HostKind, Names};

object! {
    [fold serde::de::IgnoredAny] struct RawAffinity<'a> {
        state: Text<'a> = "state",
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
