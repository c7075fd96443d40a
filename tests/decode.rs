//! The decoders against real data: every golden datastore, and whatever bytes may stand in etcd.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ipaudit::decode::{self, Kv, keys};
use ipaudit::model::snapshot::Dark;
use ipaudit::model::{Cidr, Gathering, HostKind, Input};
use proptest::prelude::*;

type Pair = (Vec<u8>, Vec<u8>);

/// The pairs of one `etcd….jsonl`.
fn pairs(path: &Path) -> Vec<Pair> {
    let bytes = |object: &serde_json::Value, field: &str| match &object[field] {
        serde_json::Value::String(text) => text.clone().into_bytes(),
        _ => STANDARD.decode(object[format!("{field}_base64")].as_str().unwrap()).unwrap(),
    };
    let text = std::fs::read_to_string(path).unwrap();
    let objects = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    objects.map(|object| (bytes(&object, "key"), bytes(&object, "value"))).collect()
}

/// All golden moments: the case's name and its pairs.
fn golden() -> Vec<(String, Vec<Pair>)> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut moments = Vec::new();
    for folder in std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        for file in std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            let name = file.file_name().unwrap().to_str().unwrap();
            if name.starts_with("etcd") && name.ends_with(".jsonl") {
                moments.push((folder.file_name().unwrap().to_str().unwrap().to_owned(), pairs(&file)));
            }
        }
    }
    assert!(moments.len() >= 18, "{} golden moments", moments.len());
    moments
}

fn case(name: &str) -> Vec<Pair> {
    golden().into_iter().find(|(case, _)| case == name).unwrap().1
}

fn insert(snapshot: &mut Gathering, key: &[u8], value: &[u8]) {
    decode::insert(snapshot, &Kv { key, value, create_revision: 1, mod_revision: 2, version: 1 });
}

fn read(pairs: &[Pair]) -> Gathering {
    let mut snapshot = Gathering::default();
    for (key, value) in pairs {
        insert(&mut snapshot, key, value);
    }
    Gathering::clone(&snapshot.sorted())
}

/// How many keys have left something in the snapshot.
fn count(s: &Gathering) -> usize {
    let lists = [
        s.blocks.len(),
        s.handles.len(),
        s.affinities.len(),
        s.endpoints.len(),
        s.calico_nodes.len(),
        s.pools.len(),
        s.reservations.len(),
        s.host_endpoints.len(),
        s.bad_values.len(),
    ];
    let single = [
        s.ipam_config.meta.is_some(),
        s.ipam_config_resource.meta.is_some(),
        s.cluster.meta.is_some(),
        s.kube_controllers.meta.is_some(),
    ];
    lists.iter().sum::<usize>() + single.iter().filter(|there| **there).count()
}

/// The key of every record and bad value with a key of its own.
fn record_keys(s: &Gathering) -> Vec<Vec<u8>> {
    let names = &s.names;
    let mut list: Vec<Vec<u8>> = Vec::new();
    list.extend(s.blocks.iter().map(|r| keys::key_of(names, r)));
    list.extend(s.handles.iter().map(|r| keys::key_of(names, r)));
    list.extend(s.affinities.iter().map(|r| keys::key_of(names, r)));
    list.extend(s.endpoints.iter().map(|r| keys::key_of(names, r)));
    list.extend(s.calico_nodes.iter().map(|r| keys::key_of(names, r)));
    list.extend(s.pools.iter().map(|r| keys::key_of(names, r)));
    list.extend(s.reservations.iter().map(|r| keys::key_of(names, r)));
    list.extend(s.host_endpoints.iter().map(|r| keys::key_of(names, r)));
    list.extend(s.bad_values.iter().map(|bad| bad.key.clone()));
    list
}

fn is_ours(key: &[u8]) -> bool {
    keys::PREFIXES.iter().any(|(_, prefix)| key.starts_with(prefix.as_bytes())) || is_single(key)
}

fn is_single(key: &[u8]) -> bool {
    keys::SINGLE_KEYS.iter().any(|(_, single)| single.as_bytes() == key)
}

fn is_ipam_host(key: &[u8]) -> bool {
    matches!(keys::parse(key), Some(Ok(keys::Key::IpamHost(_))))
}

#[test]
fn golden_data_gives_the_expected_bad_values_and_no_other() {
    for (name, pairs) in golden() {
        let found: BTreeSet<Vec<u8>> = read(&pairs).bad_values.into_iter().map(|bad| bad.key).collect();
        let case: serde_json::Value = serde_json::from_str(
            &std::fs::read_to_string(
                Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(&name).join("case.json"),
            )
            .unwrap(),
        )
        .unwrap();
        let expected: BTreeSet<Vec<u8>> =
            case["expect"].as_array().into_iter().flatten().filter_map(subject_901).collect();
        assert_eq!(found, expected, "{name}");
        assert_eq!(expected.is_empty(), name != "undecodable", "{name}");
    }
}

/// The key of an expected IPA901; `\xNN` in it stands for that byte.
fn subject_901(entry: &serde_json::Value) -> Option<Vec<u8>> {
    (entry["code"] == "IPA901").then(|| {
        let mut parts = entry["subject"].as_str().unwrap().split("\\x");
        let mut key = parts.next().unwrap().as_bytes().to_vec();
        for part in parts {
            let (hex, rest) = part.split_at(2);
            key.push(u8::from_str_radix(hex, 16).unwrap());
            key.extend_from_slice(rest.as_bytes());
        }
        key
    })
}

#[test]
fn golden_records_know_their_keys() {
    for (name, pairs) in golden() {
        let ours: BTreeSet<Vec<u8>> =
            pairs.iter().map(|(key, _)| key.clone()).filter(|key| is_ours(key) && !is_ipam_host(key)).collect();
        let snapshot = read(&pairs);
        assert_eq!(count(&snapshot), ours.len(), "{name}");
        let found: BTreeSet<Vec<u8>> = record_keys(&snapshot).into_iter().collect();
        let lists: BTreeSet<Vec<u8>> = ours.iter().filter(|key| !is_single(key)).cloned().collect();
        assert_eq!(found, lists, "{name}");
    }
}

#[test]
fn what_does_not_decode_says_what_it_hides() {
    let mut snapshot = read(&case("undecodable"));
    let node = |snapshot: &mut Gathering, name: &str| Dark::Node(snapshot.names.intern(name));
    let cidr = |text: &str| Cidr::parse(text).unwrap().0;
    let (node_1, node_3, broken) =
        (node(&mut snapshot, "node-1"), node(&mut snapshot, "node-3"), node(&mut snapshot, "broken"));
    let blocks = "/calico/ipam/v2/assignment/ipv4/block/";
    let resources = "/calico/resources/v3/projectcalico.org/";
    let want = [
        (format!("{blocks}10.77.84.128-26"), vec![Dark::Range(cidr("10.77.84.128/26"))]),
        (format!("{blocks}10.77.200.64-26"), vec![Dark::Range(cidr("10.77.200.64/26"))]),
        (blocks.to_owned(), vec![Dark::Range(cidr("10.77.203.192/26"))]),
        ("/calico/ipam/v2/host/node-1/ipv4/block/10.77.204.0-26".into(), vec![Dark::Affinity(cidr("10.77.204.0/26"))]),
        ("/calico/ipam/v2/host/node-3/ipv4/block/10.77.204-26".into(), vec![]),
        (format!("{resources}workloadendpoints/shop/node--3-k8s-badwep--0-eth0"), vec![node_3]),
        (format!("{resources}workloadendpoints/shop/node--1-k8s-ghost--0-eth0"), vec![node_1]),
        (format!("{resources}nodes/broken"), vec![broken]),
        (format!("{resources}ippools/broken"), vec![Dark::All(Input::Pools)]),
        (format!("{resources}ipreservations/broken"), vec![Dark::All(Input::Pools)]),
    ];
    for (key, dark) in want {
        let bad = snapshot.bad_values.iter().find(|bad| bad.key == key.as_bytes()).unwrap();
        assert_eq!(bad.dark, dark, "{key}");
        assert!(!bad.reason.is_empty());
    }
}

#[test]
fn old_formats_decode() {
    let snapshot = read(&case("old-formats"));
    let names = &snapshot.names;
    let block = |text: &str| snapshot.blocks.iter().find(|b| b.cidr == Cidr::parse(text).unwrap().0).unwrap();

    let deprecated = block("10.70.67.0/26");
    assert!(deprecated.affinity.is_none());
    assert_eq!(names.get(deprecated.host_affinity), "old-2");
    assert!(deprecated.attributes[3].handle.is_none() && deprecated.attributes[3].owner().is_empty());

    let numberless = block("10.70.97.64/26");
    assert!(numberless.sequence.is_none() && numberless.allocation_sequences.is_empty());

    let unknown_fields = block("10.70.66.64/26");
    assert_eq!(unknown_fields.sequence, Some(1_795_522_371_796_227_190));
    let odd = unknown_fields.attributes[3].odd_handle().unwrap();
    assert!(odd.ends_with("\r\neth0"));
    let handle = snapshot.handles.iter().find(|h| h.odd_id().is_some()).unwrap();
    assert_eq!(Some(handle.id), unknown_fields.attributes[3].handle);

    assert_eq!(snapshot.affinities.len(), 3);
    assert!(snapshot.endpoints.iter().any(|e| e.created().is_none() && e.container.is_none() && e.mac().is_none()));
}

#[test]
fn builders_and_the_parser_agree() {
    use keys::Key;
    let cidr = |text: &str| Cidr::parse(text).unwrap().0;
    let (v4, v6) = (cidr("10.65.0.0/26"), cidr("fd00:65::8:f700/122"));
    assert_eq!(keys::block_key(v6), "/calico/ipam/v2/assignment/ipv6/block/fd00:65::8:f700-122");
    let pairs = [
        (keys::block_key(v4), Key::Block(v4)),
        (keys::block_key(v6), Key::Block(v6)),
        (keys::handle_key("a.b"), Key::Handle("a.b")),
        (keys::affinity_key(HostKind::Host, "n.1", v6), Key::Affinity(HostKind::Host, "n.1", v6)),
        (keys::affinity_key(HostKind::Virtual, "v", v4), Key::Affinity(HostKind::Virtual, "v", v4)),
        (keys::affinity_key(HostKind::At, "x", v4), Key::Affinity(HostKind::At, "x", v4)),
        (keys::endpoint_key("ns", "n"), Key::Endpoint("ns", "n")),
        (keys::node_key("n"), Key::Node("n")),
        (format!("{}p", keys::POOLS), Key::Pool("p")),
        (format!("{}r", keys::RESERVATIONS), Key::Reservation("r")),
        (format!("{}h", keys::HOST_ENDPOINTS), Key::HostEndpoint("h")),
    ];
    for (text, key) in &pairs {
        assert_eq!(keys::parse(text.as_bytes()), Some(Ok(*key)), "{text}");
    }
    for (_, single) in keys::SINGLE_KEYS {
        assert!(matches!(keys::parse(single.as_bytes()), Some(Ok(_))), "{single}");
    }
}

/// All golden pairs under our prefixes.
fn golden_pairs() -> &'static [Pair] {
    static PAIRS: OnceLock<Vec<Pair>> = OnceLock::new();
    PAIRS.get_or_init(|| golden().into_iter().flat_map(|(_, pairs)| pairs).filter(|(key, _)| is_ours(key)).collect())
}

/// One key and value leave exactly one thing behind (or nothing, as the key says).
fn exactly_one(key: &[u8], value: &[u8]) -> Result<(), TestCaseError> {
    let mut snapshot = Gathering::default();
    insert(&mut snapshot, key, value);
    let want = usize::from(is_ours(key) && !is_ipam_host(key));
    prop_assert_eq!(count(&snapshot), want);
    for bad in &snapshot.bad_values {
        prop_assert!(!bad.reason.is_empty() && !bad.reason.contains(char::is_control), "{:?}", bad.reason);
        prop_assert!(bad.offset.is_none_or(|at| at <= value.len()));
    }
    let keys = record_keys(&snapshot);
    prop_assert!(is_single(key) || keys == vec![key.to_vec(); want], "{:?}", keys);
    Ok(())
}

fn prefix() -> impl Strategy<Value = Vec<u8>> {
    let all: Vec<&str> = keys::PREFIXES.iter().chain(keys::SINGLE_KEYS).map(|(_, text)| *text).collect();
    proptest::sample::select(all).prop_map(|text| text.as_bytes().to_vec())
}

/// Rests of keys that look like Calico's, more or less.
fn rest() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..24),
        "(ipv[46x])?/?(block)?/?[0-9a-f.:]{0,12}-?[0-9]{0,3}".prop_map(String::into_bytes),
        "[a-z/.-]{0,3}[/]?ipv4/block/10\\.0\\.[0-9]{1,3}\\.[0-9]{1,3}[-/][0-9]{1,2}".prop_map(String::into_bytes),
        "[a-z]{1,4}/[a-z]{1,3}(--[a-z])?-k8s-[a-z]{1,3}-eth0".prop_map(String::into_bytes),
        "[a-z0-9\r\n.]{0,8}".prop_map(String::into_bytes),
    ]
}

/// Values that are JSON of the right fields with wrong things in them.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let atom = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("{}".to_owned()),
        Just("[]".to_owned()),
        Just("[null]".to_owned()),
        any::<i64>().prop_map(|n| n.to_string()),
        any::<u64>().prop_map(|n| format!("[{n}]")),
        any::<f64>().prop_map(|n| format!("{n:e}")),
        "[0-9./:-]{0,12}".prop_map(|t| format!("{t:?}")),
        "[a-zé\\\\\"\r\n]{0,12}".prop_map(|t| serde_json::to_string(&t).unwrap()),
        Just("\"10.0.0.0/26\"".to_owned()),
        Just("{\"10.0.0.0/26\":1}".to_owned()),
        Just("\"2026-11-24T12:12:51Z\"".to_owned()),
    ];
    let field = proptest::sample::select(vec![
        "cidr",
        "affinity",
        "allocations",
        "unallocated",
        "attributes",
        "sequenceNumber",
        "sequenceNumberForAllocation",
        "deleted",
        "block",
        "state",
        "spec",
        "metadata",
        "ipNetworks",
        "ipNATs",
        "bgp",
        "addresses",
        "reservedCIDRs",
        "blockSize",
        "strict_affinity",
        "controllers",
        "creationTimestamp",
        "handle_id",
        "secondary",
        "DELETED",
    ]);
    let json = atom.prop_recursive(3, 24, 5, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(|list| format!("[{}]", list.join(","))),
            proptest::collection::vec((field.clone(), inner), 0..5).prop_map(|list| {
                let fields: Vec<String> = list.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
                format!("{{{}}}", fields.join(","))
            }),
        ]
    });
    prop_oneof![proptest::collection::vec(any::<u8>(), 0..64), json.prop_map(String::into_bytes)]
}

/// Damage to real bytes: a byte changed, a piece cut out or doubled, the end cut off.
fn damaged(bytes: &[u8], kind: u8, at: usize, length: usize, byte: u8) -> Vec<u8> {
    let at = at % (bytes.len() + 1);
    let end = (at + length).min(bytes.len());
    let (head, piece, tail) = (&bytes[..at], &bytes[at..end], &bytes[end..]);
    match kind % 4 {
        0 => [head, &[byte], bytes.get(at + 1..).unwrap_or_default()].concat(),
        1 => [head, tail].concat(),
        2 => [head, piece, piece, tail].concat(),
        _ => head.to_vec(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_leave_exactly_one_thing(prefix in prefix(), rest in rest(), value in value()) {
        exactly_one(&[prefix.as_slice(), &rest].concat(), &value)?;
        exactly_one(&prefix, &value)?;
    }

    #[test]
    fn damaged_golden_data_leaves_exactly_one_thing(
        index in any::<prop::sample::Index>(),
        (kind, at, length, byte) in (any::<u8>(), any::<usize>(), 0..40usize, any::<u8>()),
        damage_key in proptest::bool::weighted(0.2),
    ) {
        let (key, value) = index.get(golden_pairs());
        if damage_key {
            exactly_one(&damaged(key, kind, at, length, byte), value)?;
        } else {
            exactly_one(key, &damaged(value, kind, at, length, byte))?;
        }
    }
}
