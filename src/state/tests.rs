use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use proptest::prelude::*;

use super::bytes::StateWriter;
use super::*;
use crate::decode::{self, Kv};
use crate::model::InputState;

/// Datastores in which every kind of thing stands, in every spelling, and much that does not decode.
const GOLDEN: [&str; 4] = [
    include_str!("../../tests/golden/undecodable/etcd.jsonl"),
    include_str!("../../tests/golden/old-formats/etcd.jsonl"),
    include_str!("../../tests/golden/block-damage/etcd.jsonl"),
    include_str!("../../tests/golden/tunnels-and-services/etcd.jsonl"),
];

fn golden() -> Vec<(Vec<u8>, Vec<u8>)> {
    let bytes = |entry: &serde_json::Value, field: &str| match entry[field].as_str() {
        Some(text) => text.as_bytes().to_vec(),
        None => BASE64.decode(entry[format!("{field}_base64")].as_str().unwrap()).unwrap(),
    };
    let lines = GOLDEN.iter().flat_map(|file| file.lines()).filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_str(line).unwrap()).map(|e| (bytes(&e, "key"), bytes(&e, "value"))).collect()
}

fn snapshot(keys: &[(Vec<u8>, Vec<u8>)], before: &[&str]) -> Snapshot {
    let mut snapshot = Gathering::default();
    before.iter().for_each(|text| _ = snapshot.names.intern(text));
    for (number, (key, value)) in (1..).zip(keys) {
        let (create_revision, mod_revision, version) = (number, number * 3, number % 5 + 1);
        decode::insert(&mut snapshot, &Kv { key, value, create_revision, mod_revision, version });
    }
    for input in Input::ALL {
        snapshot.coverage.set(input, InputState::Complete, "");
    }
    snapshot.sorted()
}

fn mark() -> Mark {
    Mark { guid: "guid-1".to_owned(), uids: vec!["uid".to_owned()], revision: 7, raft_term: 2, ..Mark::default() }
}

fn bytes(snapshot: &Snapshot) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(snapshot, &mark(), "build", &mut bytes).unwrap();
    bytes
}

fn read(bytes: &[u8], before: &[&str]) -> Snapshot {
    let mut snapshot = Gathering::default();
    before.iter().for_each(|text| _ = snapshot.names.intern(text));
    let saved = open(bytes.to_vec(), "build").unwrap();
    assert_eq!(saved.mark, mark());
    saved.put_into(&mut snapshot).unwrap();
    snapshot.sorted()
}

/// Every thing by itself, its texts spelled out: what does not depend on the numbers of names.
fn things(snapshot: &Snapshot) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let spelled = |thing: &dyn Fn(&mut Out<'_, '_>)| {
        let mut bytes = Vec::new();
        let mut out = Out::begin(&snapshot.names, (b"", 0, ""), &mut bytes);
        thing(&mut out);
        out.texts.put(&mut out.bytes);
        out.bytes.finish().unwrap();
        bytes
    };
    let mut one = |thing: &dyn Fn(&mut Out<'_, '_>)| all.push(spelled(thing));
    macro_rules! each {
        ($($list:ident),+) => { $(snapshot.$list.iter().for_each(|thing| one(&|out| thing.put(out)));)+ };
    }
    each!(blocks, affinities, endpoints, calico_nodes, pools, reservations, host_endpoints, bad_values, idle_keys);
    one(&|out| snapshot.ipam_config.put(out));
    one(&|out| snapshot.ipam_config_resource.put(out));
    one(&|out| snapshot.cluster.put(out));
    one(&|out| snapshot.kube_controllers.put(out));
    one(&|out| snapshot.host_endpoint_addresses.put(out));
    // Sorted by the numbers of names.
    let ordered = all.len();
    all.extend(snapshot.handles.iter().map(|handle| spelled(&|out| handle.put(out))));
    all[ordered..].sort_unstable();
    all
}

#[test]
fn what_was_read_is_what_was_written() {
    let whole = snapshot(&golden(), &[]);
    assert!(whole.bad_values.len() > 10 && !whole.idle_keys.is_empty(), "the cases hold all kinds");
    let written = bytes(&whole);
    for before in [&[][..], &["node-1", "eth0", "cali", "k8s-pod-network"]] {
        let back = read(&written, before);
        assert_eq!(things(&back), things(&whole));
        assert_eq!(counts(&back), counts(&whole));
    }
}

#[test]
fn no_bit_can_be_other_than_it_was() {
    let mut written = bytes(&snapshot(&golden()[..12], &[]));
    for place in 0..written.len() * 8 {
        written[place / 8] ^= 1 << (place % 8);
        assert_eq!(open(written.clone(), "build").err(), Some(Refused::Damaged), "bit {place}");
        written[place / 8] ^= 1 << (place % 8);
    }
    for length in 0..written.len() {
        assert_eq!(open(written[..length].to_vec(), "build").err(), Some(Refused::Damaged), "{length} bytes");
    }
    assert_eq!(open(written.clone(), "another").err(), Some(Refused::OtherBuild));
    assert!(open(written.clone(), "build").is_ok());
}

/// Also where the checksum is right, as somebody's who wrote it by himself: nothing panics, and what is cut off is none.
#[test]
fn a_state_that_is_cut_off_does_not_decode() {
    let written = bytes(&snapshot(&golden()[..30], &[]));
    let body = &written[..written.len() - 16];
    for length in MAGIC.len()..body.len() {
        let mut cut = Vec::new();
        let mut out = StateWriter::new(&mut cut);
        out.raw(&body[..length]);
        out.finish().unwrap();
        let opened = open(cut, "build");
        assert!(opened.is_err() || opened.is_ok_and(|saved| saved.put_into(&mut Gathering::default()).is_none()));
    }
    let mut longer = Vec::new();
    let mut out = StateWriter::new(&mut longer);
    out.raw(body);
    out.raw(&[0]);
    out.finish().unwrap();
    assert!(open(longer, "build").unwrap().put_into(&mut Gathering::default()).is_none(), "something is left over");
}

#[test]
fn keys_are_taken_out_one_by_one() {
    let keys = golden();
    let mut left = Gathering::clone(&snapshot(&keys, &[]));
    let total = |snapshot: &Gathering| counts(snapshot).iter().map(|(_, count)| count).sum::<usize>();
    let distinct: std::collections::BTreeSet<&Vec<u8>> = keys.iter().map(|(key, _)| key).collect();
    for key in distinct {
        let before = total(&left);
        let removed = decode::remove(&mut left, &[key.clone()].into_iter().collect());
        assert_eq!(total(&left) + removed, before, "{}", String::from_utf8_lossy(key));
        assert_eq!(removed > 0, decode::keys::parse(key).is_some(), "{}", String::from_utf8_lossy(key));
        assert_eq!(decode::remove(&mut left, &[key.clone()].into_iter().collect()), 0);
    }
    assert_eq!(total(&left), 0);
}

#[test]
fn known_keys_are_met_once_and_the_others_are_gone() {
    let whole = snapshot(&golden()[..60], &[]);
    let mut known = KnownKeys::of(&whole);
    let newest = newest(&whole, 3);
    assert!(newest.is_sorted_by_key(|(_, meta)| -meta.mod_revision) && newest.len() == 3);
    let all = known.unmet();
    let (key, meta) = newest[0].clone();
    assert!(known.meet(&key, meta) && !known.meet(&key, meta), "once");
    let (other, meta) = newest[1].clone();
    assert!(!known.meet(&other, crate::model::Meta { mod_revision: meta.mod_revision + 1, ..meta }), "written again");
    let gone = known.gone(&whole);
    assert!(gone.len() == all - 2 && !gone.contains(&key) && !gone.contains(&other));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Values that are cut off, changed, or of another key: whatever decodes comes back as it was.
    #[test]
    fn drawn_datastores_come_back(changes in proptest::collection::vec((0..5000usize, 0..5000usize, 0..4u8), 0..60)) {
        let mut keys = golden();
        for (place, at, how) in changes {
            let (place, other) = (place % keys.len(), keys[at % keys.len()].1.clone());
            let value = &mut keys[place].1;
            let at = at % value.len().max(1);
            match how {
                0 => value.truncate(at),
                1 => *value = other,
                2 => value.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1),
                _ => drop(keys.remove(place)),
            }
        }
        let whole = snapshot(&keys, &["first"]);
        let written = bytes(&whole);
        let back = read(&written, &[]);
        prop_assert_eq!(things(&back), things(&whole));
    }
}

#[test]
fn numbers_at_their_ends_come_back() {
    use crate::model::usual::AllocatedTo;
    use crate::model::{Meta, Names, Time};
    let mut written = Vec::new();
    let names = Names::default();
    let mut out = Out::begin(&names, (b"", 0, ""), &mut written);
    let times = [0, 1, -1, 1_000_000_000, -5_000_000_000, i64::MAX, i64::MIN, 1_795_000_000_123_456_789].map(Time);
    let metas =
        [Meta::default(), Meta { create_revision: i64::MIN, mod_revision: i64::MAX, version: -1, value_hash: 1 }];
    let slots = [None, Some(0), Some(-1), Some(i32::MAX), Some(i32::MIN)];
    times.to_vec().put(&mut out);
    metas.to_vec().put(&mut out);
    AllocatedTo::from(&slots[..]).put(&mut out);
    out.bytes.finish().unwrap();
    let body = super::bytes::checked(&written).unwrap();
    let mut input = In::behind(body, (0, "")).unwrap();
    assert_eq!(Vec::<Time>::take(&mut input).unwrap(), times);
    assert_eq!(Vec::<Meta>::take(&mut input).unwrap(), metas);
    assert_eq!(*AllocatedTo::take(&mut input).unwrap(), slots);
    assert!(input.bytes.is_empty());
}
