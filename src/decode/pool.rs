//! IP pools and reservations (domain facts, section 1).

use super::json::{Bad, Metadata, Text, given, object};
use super::{Kv, values};
use crate::model::{Cidr, Names, Pool, Reservation};

object! {
    [fold serde::de::IgnoredAny] struct RawPool<'a> {
        metadata: Metadata<'a> = "metadata",
        spec: RawPoolSpec<'a> = "spec",
    }
}

object! {
    [fold serde::de::IgnoredAny] struct RawPoolSpec<'a> {
        cidr: Text<'a> = "cidr",
        block_size: i64 = "blockSize",
        disabled: bool = "disabled",
        mode: Text<'a> = "assignmentMode",
        node_selector: Text<'a> = "nodeSelector",
        namespace_selector: Text<'a> = "namespaceSelector",
        uses: Vec<Option<Text<'a>>> = "allowedUses",
    }
}

object! {
    [fold serde::de::IgnoredAny] struct RawReservation<'a> {
        metadata: Metadata<'a> = "metadata",
        spec: RawReservationSpec<'a> = "spec",
    }
}

object! {
    [fold serde::de::IgnoredAny] struct RawReservationSpec<'a> {
        cidrs: Vec<Option<Text<'a>>> = "reservedCIDRs",
    }
}

/// The pool of a key with this name.
pub(super) fn decode_pool(names: &mut Names, kv: &Kv<'_>, name: &str) -> Result<Pool, Bad> {
    let raw: RawPool<'_> = super::json::parse(kv.value)?;
    let spec = raw.spec.unwrap_or_default();
    let written = given(&spec.cidr).ok_or_else(|| Bad::new("the pool has no cidr"))?;
    let (cidr, _) = values::cidr(written).ok_or_else(|| Bad::text(kv.value, "spec: cidr", written, "network"))?;
    let block_size = block_size(cidr, spec.block_size.unwrap_or_default())?;
    let (created, deleting) = values::metadata(kv.value, &raw.metadata)?;
    let uses = spec.uses.unwrap_or_default();
    let has = |word: &str| uses.iter().flatten().any(|u| &**u == word);
    Ok(Pool {
        meta: kv.meta(),
        name: names.intern(name),
        cidr,
        block_size,
        disabled: spec.disabled.unwrap_or_default(),
        manual: given(&spec.mode) == Some("Manual"),
        node_selector: names.intern(given(&spec.node_selector).unwrap_or_default()),
        namespace_selector: names.intern(given(&spec.namespace_selector).unwrap_or_default()),
        workloads: uses.is_empty() || has("Workload"),
        tunnels: uses.is_empty() || has("Tunnel"),
        load_balancers: has("LoadBalancer"),
        created,
        deleting,
    })
}

/// The prefix length of the pool's blocks: 20 to 32 or 116 to 128; 0 is Go's "not given".
fn block_size(cidr: Cidr, given: i64) -> Result<u8, Bad> {
    let (range, default) = if cidr.is_v4() { (20..=32, 26) } else { (116..=128, 122) };
    match u8::try_from(given) {
        Ok(0) => Ok(default),
        Ok(size) if range.contains(&size) => Ok(size),
        _ => Err(Bad::new(format!("spec: blockSize {given} is not between {} and {}", range.start(), range.end()))),
    }
}

/// The reservation of a key with this name.
pub(super) fn decode_reservation(names: &mut Names, kv: &Kv<'_>, name: &str) -> Result<Reservation, Bad> {
    let raw: RawReservation<'_> = super::json::parse(kv.value)?;
    let (created, _) = values::metadata(kv.value, &raw.metadata)?;
    let mut cidrs = Vec::new();
    for text in raw.spec.unwrap_or_default().cidrs.unwrap_or_default() {
        let text = text.as_deref().unwrap_or_default();
        let (cidr, _) =
            values::cidr(text).ok_or_else(|| Bad::text(kv.value, "spec: reservedCIDRs", text, "network"))?;
        cidrs.push(cidr);
    }
    Ok(Reservation { meta: kv.meta(), name: names.intern(name), cidrs: cidrs.into(), created })
}
