//! Blocks (domain facts, section 2).
//!
//! What is inconsistent in itself is no matter of decoding (IPA301, IPA306): only what Calico could not read either
//! is bad. Without `cidr` Calico's read panics, so that is bad too.

use serde_json::value::RawValue;

use super::json::{Bad, GoString, Ordinal, given, object};
use super::sequences::Sequences;
use super::{Kv, keys, quick, values};
use crate::model::handle::sanitised;
use crate::model::{Attribute, AttributeFields, Block, Cidr, HandleId, Host, HostKind, Name, Names, Owner, Time};

object! {
    [fold serde::de::IgnoredAny] struct RawBlock<'a> {
        cidr: GoString<'a> = "cidr",
        affinity: GoString<'a> = "affinity",
        claimed: GoString<'a> = "affinity_claim_time",
        host_affinity: GoString<'a> = "hostAffinity",
        /// Nothing reads it any more, so nothing in it can be wrong.
        strict_affinity: &'a RawValue = "strictAffinity",
        allocations: Vec<Option<Ordinal>> = "allocations",
        unallocated: Vec<Option<Ordinal>> = "unallocated",
        attributes: Vec<Option<RawAttribute<'a>>> = "attributes",
        sequence: u64 = "sequenceNumber",
        sequences: Sequences = "sequenceNumberForAllocation",
        deleted: bool = "deleted",
    }

    [fold serde::de::IgnoredAny] struct RawAttribute<'a> {
        handle: GoString<'a> = "handle_id",
        owner: RawOwner<'a> = "secondary",
        alternate: RawOwner<'a> = "alternateOwnerAttrs",
        released: GoString<'a> = "releasedAt",
    }

    /// A Go map of texts, of which these are known.
    [exact Option<GoString<'_>>] struct RawOwner<'a> {
        namespace: GoString<'a> = "namespace",
        pod: GoString<'a> = "pod",
        node: GoString<'a> = "node",
        service: GoString<'a> = "service",
        kind: GoString<'a> = "type",
        vmi: GoString<'a> = "vmi-name",
        note: GoString<'a> = "note",
        timestamp: GoString<'a> = "timestamp",
    }
}

/// The block of a key with this CIDR.
pub(super) fn decode(names: &mut Names, kv: &Kv<'_>, cidr: Cidr) -> Result<Block, Bad> {
    let raw: RawBlock<'_> = match quick::block(kv.value) {
        Some(usual) => usual,
        None => super::json::parse(kv.value)?,
    };
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
        allocation_sequences: raw.sequences.unwrap_or_default().0,
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
    let fields = AttributeFields {
        handle: HandleId::intern(names, id),
        odd_handle: (sanitised(id) != id).then(|| id.into()),
        owner: raw.owner.as_ref().map(|owner| decode_owner(names, value, owner)).transpose()?.unwrap_or_default(),
        reserved: raw.owner.as_ref().is_some_and(is_note_alone),
        alternate: alternate.filter(|owner| !owner.is_empty()).map(Box::new),
        released_at: released(value, &raw.released)?,
    };
    Ok(fields.into())
}

/// Whether a `secondary` is nothing but `note`: ordinals that the host keeps back (`HostReservedAttr`).
fn is_note_alone(raw: &RawOwner<'_>) -> bool {
    let RawOwner { namespace, pod, node, service, kind, vmi, note, timestamp, has_others, .. } = raw;
    let others = [namespace, pod, node, service, kind, vmi, timestamp];
    note.is_some() && !has_others && others.iter().all(|text| text.is_none())
}

/// `releasedAt`: that it is there says that the address cools down, so Go's zero time is a time here.
fn released(value: &[u8], text: &Option<GoString<'_>>) -> Result<Option<Time>, Bad> {
    let Some(text) = given(text) else { return Ok(None) };
    values::rfc3339(text).map(Some).ok_or_else(|| Bad::text(value, "releasedAt", text, "time"))
}

fn decode_owner(names: &mut Names, value: &[u8], raw: &RawOwner<'_>) -> Result<Owner, Bad> {
    let mut name = |text: &Option<GoString<'_>>| names.intern(given(text).unwrap_or_default());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::testing::{bad, snapshot};
    use crate::model::snapshot::Dark;
    use crate::model::{Gathering, Input};

    const KEY: &str = "/calico/ipam/v2/assignment/ipv4/block/10.65.0.0-26";

    fn block(key: &str, value: &str) -> (Gathering, Block) {
        let mut snapshot = snapshot(&[(key, value)]);
        assert!(snapshot.bad_values.is_empty(), "{:?}", snapshot.bad_values);
        let block = snapshot.blocks.pop().unwrap();
        (snapshot, block)
    }

    fn cidr(text: &str) -> Cidr {
        Cidr::parse(text).unwrap().0
    }

    #[test]
    fn everything_that_checks_need_comes_through() {
        let (snapshot, block) = block(
            KEY,
            r#"{"cidr":"10.65.0.0/26","affinity":"host:node-1","affinity_claim_time":"2026-11-24T12:12:51Z",
            "allocations":[null,0,1,2],"unallocated":[5,3,-1,9999999999,null,-9223372036854775808],
            "attributes":[
              {"handle_id":"k8s-pod-network.3f2c\r\neth0","secondary":{"namespace":"prod","node":"node-1","pod":"web-0",
                "timestamp":"2026-11-22 08:00:00.5 +0000 UTC","vmi-name":"v","foreign":"x"}},
              {"releasedAt":"2026-11-24T12:12:49Z","handle_id":null,"secondary":null},
              {"handle_id":"lb-x","secondary":{"service":"s","type":"LoadBalancer","note":"n"},
                "alternateOwnerAttrs":{"pod":"web-1","namespace":"prod","node":"node-2"}},
              null],
            "sequenceNumber":1795522366247311999,
            "sequenceNumberForAllocation":{"10":18446744073709551615,"2":7,"2":8,"03":1,"x":2,"4":null},
            "deleted":true,"strictAffinity":true,"hostAffinity":"node-1","future":{"a":[1,{}]}}"#,
        );
        let name = |n: Name| snapshot.text(n).to_owned();
        assert_eq!((block.cidr, block.value_cidr), (cidr("10.65.0.0/26"), cidr("10.65.0.0/26")));
        assert!(block.odd_key.is_none() && block.odd_value_cidr.is_none() && block.odd_affinity.is_none());
        let host = block.affinity.unwrap();
        assert_eq!((host.kind, name(host.name)), (HostKind::Host, "node-1".into()));
        assert_eq!(block.claimed_at, Time::parse_rfc3339("2026-11-24T12:12:51Z"));
        assert_eq!(*block.allocations, [None, Some(0), Some(1), Some(2)]);
        assert_eq!(*block.unallocated, [5, 3, -1, i32::MAX, 0, i32::MIN]);
        assert_eq!(block.sequence, Some(1_795_522_366_247_311_999));
        assert_eq!(*block.allocation_sequences, [(2, 8), (10, u64::MAX)]);
        assert!(block.deleted && block.strict_affinity && name(block.host_affinity) == "node-1");

        let fields: Vec<AttributeFields> = block.attributes.iter().map(Attribute::fields).collect();
        let [pod, cooling, service, empty] = &fields[..] else { unreachable!("{fields:?}") };
        assert_eq!(pod.handle.unwrap().text(&snapshot.names), "k8s-pod-network.3f2c");
        assert_eq!(pod.odd_handle.as_deref(), Some("k8s-pod-network.3f2c\r\neth0"));
        assert_eq!(pod.owner.pod_name().map(|(a, b)| (name(a), name(b))), Some(("prod".into(), "web-0".into())));
        assert_eq!((name(pod.owner.node), name(pod.owner.vmi)), ("node-1".into(), "v".into()));
        assert_eq!(pod.owner.timestamp, Time::parse_rfc3339("2026-11-22T08:00:00.5Z"));
        assert!(pod.alternate.is_none() && pod.released_at.is_none());
        assert!(cooling.handle.is_none() && cooling.odd_handle.is_none() && cooling.owner.is_empty());
        assert_eq!(cooling.released_at, Time::parse_rfc3339("2026-11-24T12:12:49Z"));
        assert_eq!((name(service.owner.service), name(service.owner.kind)), ("s".into(), "LoadBalancer".into()));
        assert_eq!(name(service.owner.note), "n");
        assert_eq!(service.alternate.as_ref().map(|o| name(o.pod)), Some("web-1".into()));
        assert!(empty.handle.is_none() && empty.owner.is_empty());
    }

    /// An ordinal that its host keeps back has a note and nothing else.
    #[test]
    fn a_note_alone_is_a_reservation() {
        for (secondary, reserved) in [
            (r#"{"note":"edge host rsvd"}"#, true),
            (r#"{"note":""}"#, true),
            (r#"{"note":"n","node":"edge-7"}"#, false),
            (r#"{"note":"n","future":"x"}"#, false),
            (r#"{}"#, false),
            ("null", false),
        ] {
            let attributes = format!(r#"[{{"handle_id":"edge","secondary":{secondary}}}]"#);
            let (_, block) = block(KEY, &format!(r#"{{"cidr":"10.65.0.0/26","attributes":{attributes}}}"#));
            assert_eq!(block.attributes[0].reserved(), reserved, "{secondary}");
        }
    }

    #[test]
    fn what_old_versions_leave_out_is_absent() {
        let (_, block) = block(
            KEY,
            r#"{"cidr":"10.65.0.0/26","affinity":null,"allocations":null,"unallocated":null,"attributes":null,
            "sequenceNumberForAllocation":null,"affinity_claim_time":"","strictAffinity":"what"}"#,
        );
        assert!(block.affinity.is_none() && block.odd_affinity.is_none() && block.claimed_at.is_none());
        assert!(block.allocations.is_empty() && block.unallocated.is_empty() && block.attributes.is_empty());
        assert!(block.sequence.is_none() && block.allocation_sequences.is_empty() && !block.strict_affinity);
    }

    #[test]
    fn keys_are_read_leniently_and_kept() {
        let odd = [
            ("/calico/ipam/v2/assignment/ipv4/block/10.65.0.5-26", "10.65.0.0/26"),
            ("/calico/ipam/v2/assignment/ipv6/block/10.65.0.0-26", "10.65.0.0/26"),
            ("/calico/ipam/v2/assignment/ipv4/block/fd00:65:0::-122", "fd00:65::/122"),
        ];
        for (key, want) in odd {
            let (snapshot, block) = block(key, r#"{"cidr":"10.65.0.0/26"}"#);
            assert_eq!(block.cidr, cidr(want), "{key}");
            assert_eq!(keys::key_of(&snapshot.names, &block), key.as_bytes());
            assert!(block.odd_key.is_some());
        }
        let key = "/calico/ipam/v2/assignment/ipv6/block/fd00:65::8:f700-122";
        let (snapshot, block) = block(key, r#"{"cidr":"fd00:65::8:f700/122"}"#);
        assert!(block.odd_key.is_none());
        assert_eq!(keys::key_of(&snapshot.names, &block), key.as_bytes());
    }

    #[test]
    fn a_values_cidr_with_host_bits_is_not_the_keys() {
        let (_, odd) = block(KEY, r#"{"cidr":"10.65.0.7/26"}"#);
        assert_eq!((odd.value_cidr, odd.odd_value_cidr.as_deref()), (odd.cidr, Some("10.65.0.7/26")));
        let (_, bare) = block(KEY, r#"{"cidr":"10.65.0.7"}"#);
        assert_eq!(bare.value_cidr, cidr("10.65.0.7/32"));
    }

    #[test]
    fn affinities_of_no_known_form_name_nobody() {
        for (text, want) in [("virtual:load-balancer", true), ("host:", false), ("node-1", false), ("@:x", false)] {
            let (snapshot, block) = block(KEY, &format!(r#"{{"cidr":"10.65.0.0/26","affinity":"{text}"}}"#));
            assert_eq!(block.affinity.is_some(), want, "{text}");
            assert_eq!(snapshot.text(block.odd_affinity), if want { "" } else { text });
        }
    }

    #[test]
    fn what_calico_cannot_read_is_bad_and_dark() {
        for field in [
            r#""sequenceNumber":1.5"#,
            r#""sequenceNumber":18446744073709551616"#,
            r#""sequenceNumber":-1"#,
            r#""sequenceNumberForAllocation":{"1":"2"}"#,
            r#""sequenceNumberForAllocation":{"1":1e3}"#,
            r#""allocations":[1.0]"#,
            r#""allocations":[9223372036854775808]"#,
            r#""unallocated":["0"]"#,
            r#""attributes":{}"#,
            r#""attributes":[{"handle_id":7}]"#,
            r#""attributes":[{"secondary":{"foreign":7}}]"#,
            r#""attributes":[{"secondary":{"timestamp":"yesterday"}}]"#,
            r#""attributes":[{"releasedAt":"2026-11-24 12:12:49"}]"#,
            r#""affinity":7"#,
            r#""hostAffinity":[]"#,
            r#""affinity_claim_time":"soon""#,
            r#""deleted":"no""#,
        ] {
            let bad = bad(KEY, &format!(r#"{{"cidr":"10.65.0.0/26",{field}}}"#));
            assert_eq!((bad.input, bad.dark), (Input::Blocks, vec![Dark::Range(cidr("10.65.0.0/26"))]), "{field}");
            assert!(bad.offset.is_some_and(|at| at >= 23), "{field} {:?}", bad.offset);
        }
        for none in ["{}", r#"{"cidr":null}"#, r#"{"cidr":""}"#] {
            assert_eq!(bad(KEY, none).reason, "the block has no cidr");
        }
        assert_eq!(bad(KEY, r#"{"cidr":"x"}"#).reason, "cidr: \"x\" is no network");
    }

    #[test]
    fn a_value_that_does_not_decode_still_says_its_cidr() {
        let both = [Dark::Range(cidr("10.65.0.0/26")), Dark::Range(cidr("10.66.0.64/26"))];
        assert_eq!(bad(KEY, r#"{"x":"cidr","cidr" : "10.66.0.64/26","allocations":[nul"#).dark, both);
        assert_eq!(scan_cidr(b"\xff\"CIDR\":\"10.66.0.65/26\""), Some(cidr("10.66.0.64/26")));
        for nothing in [r#""cidr":"0.0.0.0/0""#, r#""cidr":"10.66.0.64/26"#, r#""cidr""#, r#""cidr":7"#, ""] {
            assert_eq!(scan_cidr(nothing.as_bytes()), None, "{nothing}");
        }
    }
}
