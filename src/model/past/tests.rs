use super::super::finding::tests::ordinary_names;
use super::super::index::PodAddress;
use super::super::{Addr, ByHash, Meta};
use super::*;

const NOW: Time = Time(7);

/// 10^5 addresses, keys, names of nodes and handles, of the forms in which an earlier hash met itself.
#[test]
fn no_two_ordinary_names_are_one_thing() {
    let names = ordinary_names();
    let mut open = OpenFindings::default();
    let mut keys = PastKeys::default();
    let mut seen = FirstSeen::default();
    let mut pods = ByHash::<()>::default();
    let tuple = |name: &str| AllocationTuple {
        address: Addr::from_bits(1),
        handle: Some(name.to_owned()),
        sequence: None,
        block_create_revision: 5,
    };
    for (name, revision) in names.iter().zip(1..) {
        open.insert(Code(110), SubjectKind::Address, name, PastFinding::seen_once(NOW, 1, NOW));
        keys.insert(name.as_bytes(), Meta { mod_revision: revision, ..Meta::default() });
        seen.insert(tuple(name), Time(revision));
        let address = Addr::from_bits(1);
        pods.insert(PodAddress { address, uid: b"u", namespace: "", pod: name, node: "", grade: "" }.index(), ());
    }
    let all = names.len();
    assert!(all > 200_000);
    assert_eq!([open.iter().count(), keys.by_hash().len(), seen.rows.table().len(), pods.len()], [all; 4]);
    for (name, revision) in names.iter().zip(1..) {
        assert!(open.get(Code(110), SubjectKind::Address, name).is_some());
        assert_eq!(keys.get(name.as_bytes(), &Meta::default()).map(|k| k.mod_revision), Some(revision));
        assert_eq!(seen.get(&tuple(name)), Some(Time(revision)));
    }
    assert!(open.get(Code(110), SubjectKind::Address, "10.66.0.1").is_none());
    assert!(open.get(Code(110), SubjectKind::Handle, "10.65.0.1").is_none(), "a handle of an address's name");
    assert!(open.get(Code(111), SubjectKind::Address, "10.65.0.1").is_none());
}

/// Each of its four values is a part of the tuple, and none of them runs into the next.
#[test]
fn a_tuple_is_all_of_its_values() {
    let tuple = |address: u128, handle: Option<&str>, sequence, block_create_revision| AllocationTuple {
        address: Addr::from_bits(address),
        handle: handle.map(str::to_owned),
        sequence,
        block_create_revision,
    };
    let all = [
        tuple(1, Some("a"), Some(3), 4),
        tuple(2, Some("a"), Some(3), 4),
        tuple(1, Some("b"), Some(3), 4),
        tuple(1, Some(""), Some(3), 4),
        tuple(1, None, Some(3), 4),
        tuple(1, Some("a"), None, 4),
        tuple(1, Some("a"), Some(u64::MAX), 4),
        tuple(1, Some("a"), Some(3), 5),
        tuple(1, Some("a"), Some(4), 3),
    ];
    let indices: HashSet<u128> = all.iter().map(AllocationTuple::index).collect();
    assert_eq!(indices.len(), all.len());
}

/// What an old history knew of no key by its name is not absent.
#[test]
fn of_a_partial_past_only_handles_of_containers_are_known_to_be_absent() {
    let container = format!("/calico/ipam/v2/handle/k8s-pod-network.{}", "0123456789abcdef".repeat(4));
    for (key, known) in [
        (container.as_str(), true),
        (&container[..container.len() - 1], false),
        ("/calico/ipam/v2/handle/ipip-tunnel-addr-node-1", false),
        ("/calico/ipam/v2/assignment/ipv4/block/10.65.0.0-26", false),
    ] {
        assert_eq!(PastKeys::with_capacity(0, true).knows(key.as_bytes()), known, "{key}");
        assert!(PastKeys::default().knows(key.as_bytes()));
    }
}

impl PastFinding {
    /// One that a single audit saw.
    pub fn seen_once(first_seen: Time, stamp: u128, stamp_since: Time) -> PastFinding {
        PastFinding {
            first_seen,
            stamp: Some(stamp),
            stamp_since,
            row: 0,
            face: 0,
            confirmed: true,
            hidden: false,
            audits_seen: 1,
            last_seen: stamp_since,
            episode: 1,
        }
    }
}

impl<'a> FromIterator<(Code, SubjectKind, &'a str, PastFinding)> for OpenFindings {
    fn from_iter<T: IntoIterator<Item = (Code, SubjectKind, &'a str, PastFinding)>>(all: T) -> OpenFindings {
        let mut open = OpenFindings::default();
        all.into_iter().for_each(|(code, kind, subject, finding)| open.insert(code, kind, subject, finding));
        open
    }
}

impl<K: AsRef<[u8]>> FromIterator<(K, Meta)> for PastKeys {
    fn from_iter<T: IntoIterator<Item = (K, Meta)>>(all: T) -> PastKeys {
        let mut keys = PastKeys::default();
        all.into_iter().for_each(|(key, meta)| keys.insert(key.as_ref(), meta));
        keys
    }
}
