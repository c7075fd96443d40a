//! Blocks (domain facts, section 2).
//!
//! What is inconsistent in itself is no matter of decoding (IPA301, IPA306): only what Calico could not read either
//! is bad. Without `cidr` Calico's read panics, so that is bad too.

use serde_json::value::RawValue;

use super::json::{Bad, Ordinal, Pairs, Text, given, object};
use super::{Kv, keys, values};
use crate::model::handle::sanitised;
use crate::model::{Attribute, Block, Cidr, HandleId, Host, HostKind, Name, Names, Owner, Time};

object! {
    [fold serde::de::IgnoredAny] struct RawBlock<'a> {
        cidr: Text<'a> = "cidr",
        affinity: Text<'a> = "affinity",
        claimed: Text<'a> = "affinity_claim_time",
        host_affinity: Text<'a> = "hostAffinity",
        /// Nothing reads it any more, so nothing in it can be wrong.
        strict_affinity: &'a RawValue = "strictAffinity",
        allocations: Vec<Option<Ordinal>> = "allocations",
        unallocated: Vec<Option<Ordinal>> = "unallocated",
        attributes: Vec<Option<RawAttribute<'a>>> = "attributes",
        sequence: u64 = "sequenceNumber",
        sequences: Pairs<'a, u64> = "sequenceNumberForAllocation",
        deleted: bool = "deleted",
    }
}

object! {
    [fold serde::de::IgnoredAny] struct RawAttribute<'a> {
        handle: Text<'a> = "handle_id",
        owner: RawOwner<'a> = "secondary",
        alternate: RawOwner<'a> = "alternateOwnerAttrs",
        released: Text<'a> = "releasedAt",
    }
}

object! {
    /// A Go map of texts, of which these are known.
    [exact Option<Text<'_>>] struct RawOwner<'a> {
        namespace: Text<'a> = "namespace",
        pod: Text<'a> = "pod",
        node: Text<'a> = "node",
        service: Text<'a> = "service",
        kind: Text<'a> = "type",
        vmi: Text<'a> = "vmi-name",
        note: Text<'a> = "note",
        timestamp: Text<'a> = "timestamp",
    }
}

/// The block of a key with this CIDR.
pub(super) fn decode(names: &mut Names, kv: &Kv<'_>, cidr: Cidr) -> Result<Block, Bad> {
    let raw: RawBlock<'_> = super::json::parse(kv.value)?;
    let written = given(&raw.cidr).ok_or_else(|| Bad::new("the block has no cidr"))?;
    let value_cidr = values::cidr_or_address(written).ok_or_else(|| Bad::text(kv.value, "cidr", written, "network"))?;
    let odd_value_cidr = (value_cidr.to_string() != written).then(|| written.into());
    let claimed_at = values::time(kv.value, "affinity_claim_time", &raw.claimed)?;

    let mut attributes = Vec::new();
    for attribute in raw.attributes.unwrap_or_default() {
        attributes.push(decode_attribute(names, kv.value, &attribute.unwrap_or_default())?);
    }
    let (affinity, odd_affinity) = decode_affinity(names, given(&raw.affinity).unwrap_or_default());
    Ok(Block {
        meta: kv.meta(),
        cidr,
        odd_key: (keys::block_key(cidr).as_bytes() != kv.key).then(|| kv.key.into()),
        value_cidr,
        odd_value_cidr,
        affinity,
        odd_affinity,
        host_affinity: names.intern(given(&raw.host_affinity).unwrap_or_default()),
        strict_affinity: raw.strict_affinity.is_some_and(|flag| flag.get() == "true"),
        allocations: raw.allocations.unwrap_or_default().into_iter().map(|index| index.map(|i| i.0)).collect(),
        // Go reads null in a list of numbers as 0, and hands ordinal 0 out.
        unallocated: raw.unallocated.unwrap_or_default().into_iter().map(|o| o.map_or(0, |o| o.0)).collect(),
        attributes: attributes.into(),
        sequence: raw.sequence,
        allocation_sequences: sequences(raw.sequences),
        claimed_at,
        deleted: raw.deleted.unwrap_or_default(),
    })
}

fn decode_affinity(names: &mut Names, text: &str) -> (Option<Host>, Name) {
    let kinds = [HostKind::Host, HostKind::Virtual];
    let host = kinds.into_iter().find_map(|kind| {
        let name = text.strip_prefix(kind.word())?.strip_prefix(':').filter(|name| !name.is_empty())?;
        Some((kind, name))
    });
    match host {
        Some((kind, name)) => (Some(Host { kind, name: names.intern(name) }), Name::NONE),
        None => (None, names.intern(text)),
    }
}

fn decode_attribute(names: &mut Names, value: &[u8], raw: &RawAttribute<'_>) -> Result<Attribute, Bad> {
    let id = given(&raw.handle).unwrap_or_default();
    let alternate = raw.alternate.as_ref().map(|owner| decode_owner(names, value, owner)).transpose()?;
    Ok(Attribute {
        handle: HandleId::intern(names, id),
        odd_handle: (sanitised(id) != id).then(|| id.into()),
        owner: raw.owner.as_ref().map(|owner| decode_owner(names, value, owner)).transpose()?.unwrap_or_default(),
        alternate: alternate.filter(|owner| !owner.is_empty()).map(Box::new),
        released_at: released(value, &raw.released)?,
    })
}

/// `releasedAt`: that it is there says that the address cools down, so Go's zero time is a time here.
fn released(value: &[u8], text: &Option<Text<'_>>) -> Result<Option<Time>, Bad> {
    let Some(text) = given(text) else { return Ok(None) };
    values::rfc3339(text).map(Some).ok_or_else(|| Bad::text(value, "releasedAt", text, "time"))
}

fn decode_owner(names: &mut Names, value: &[u8], raw: &RawOwner<'_>) -> Result<Owner, Bad> {
    let mut name = |text: &Option<Text<'_>>| names.intern(given(text).unwrap_or_default());
    Ok(Owner {
        namespace: name(&raw.namespace),
        pod: name(&raw.pod),
        node: name(&raw.node),
        service: name(&raw.service),
        kind: name(&raw.kind),
        vmi: name(&raw.vmi),
        note: name(&raw.note),
        timestamp: values::go_time(value, "timestamp", &raw.timestamp)?,
    })
}

/// By ordinal. A key that is no ordinal as Calico spells it is never looked up, and a null number is Go's 0,
/// which is what an absent one reads as: neither is there.
fn sequences(raw: Option<Pairs<'_, u64>>) -> Box<[(u32, u64)]> {
    let Some(raw) = raw else { return Box::default() };
    let ordinal = |key: &str| key.parse::<u32>().ok().filter(|ordinal| ordinal.to_string() == key);
    let mut list: Vec<(u32, u64)> =
        raw.last().into_iter().filter_map(|(key, number)| Some((ordinal(&key)?, number?))).collect();
    list.sort_unstable();
    list.into()
}

/// The first `cidr` of a value that does not decode, when it reads like a block's: what the value was about.
pub(super) fn scan_cidr(value: &[u8]) -> Option<Cidr> {
    const FIELD: &[u8] = b"\"cidr\"";
    let mut rest = value;
    while let Some(at) = rest.windows(FIELD.len()).position(|window| window.eq_ignore_ascii_case(FIELD)) {
        rest = rest.get(at + FIELD.len()..)?;
        let after = rest.trim_ascii_start().strip_prefix(b":").map(<[u8]>::trim_ascii_start);
        let Some(text) = after.and_then(|after| after.strip_prefix(b"\"")) else { continue };
        // The longest CIDR has 43 characters.
        let end = text.iter().take(44).position(|b| *b == b'"');
        let text = end.and_then(|end| std::str::from_utf8(text.get(..end)?).ok());
        let cidr = text.and_then(values::cidr_or_address);
        // Calico makes no block wider than this; a wider one would darken the whole audit.
        if let Some(cidr) = cidr.filter(|cidr| cidr.prefix() >= if cidr.is_v4() { 20 } else { 116 }) {
            return Some(cidr);
        }
    }
    None
}
