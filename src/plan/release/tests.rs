use super::super::circumstances::NodeNow;
use super::super::fresh::Decision;
use super::super::refusal::Rule;
use super::super::testing::{Store, cidr};
use super::super::transaction::Transaction;
use super::*;
use crate::model::keys::{CLUSTER_INFORMATION, IPAM_CONFIG, handle_key};

const V4: &str = "10.65.0.0/30";
const V6: &str = "fd00:65::/126";

fn place(store: &Store, range: &str, ordinal: u32, handle: &str) -> ReleasePlace {
    let block = cidr(range);
    let address = block.nth(u128::from(ordinal)).unwrap();
    let block_create_revision = store.stored(&block_key(block)).map_or(0, |s| s.create_revision);
    let tuple = AllocationTuple {
        address,
        handle: Some(handle.to_owned()),
        sequence: Some(100 + u64::from(ordinal)),
        block_create_revision,
    };
    ReleasePlace { address, block, ordinal, tuple }
}

fn target(handle: &str, places: Vec<ReleasePlace>) -> ReleaseTarget {
    ReleaseTarget {
        handle: Some(handle.to_owned()),
        handle_keys: vec![handle_key(handle).into_bytes()],
        places,
        endpoints: Vec::new(),
        extent: Extent::Whole,
        claimed: Vec::new(),
        others: Vec::new(),
        witnesses: Vec::new(),
    }
}

/// Dual stack: `n.a` has one address in each family, `n.b` another one.
fn dual() -> (Store, ReleaseTarget) {
    let mut store = Store::new();
    store.block(V4, "\"host:n\"", [Some("n.a"), Some("n.b"), None, None]);
    store.block(V6, "\"host:n\"", [None, Some("n.a"), None, None]);
    store.handle("n.a", &[V4, V6]);
    let places = vec![place(&store, V4, 0, "n.a"), place(&store, V6, 1, "n.a")];
    (store, target("n.a", places))
}

fn write(target: &ReleaseTarget, store: &Store) -> Transaction {
    match target.decide(&store.fresh, Time(0)) {
        Decision::Write(transaction) => transaction,
        other => panic!("{other:?}"),
    }
}

fn changed(target: &ReleaseTarget, store: &Store) -> Hands {
    match target.decide(&store.fresh, Time(0)) {
        Decision::Changed(hands) => hands,
        other => panic!("{other:?}"),
    }
}

fn refused(target: &ReleaseTarget, store: &Store) -> Objection {
    match target.decide(&store.fresh, Time(0)) {
        Decision::Refused(refusal) => refusal.objection,
        other => panic!("{other:?}"),
    }
}

#[test]
fn rule_8_a_dual_stack_handle_goes_in_one_transaction() {
    let (mut store, target) = dual();
    let transaction = write(&target, &store);
    // Two blocks, the handle and the lock, each by mod revision and value.
    assert_eq!((transaction.compares(), transaction.operations()), (8, 3));
    store.apply(&transaction);
    assert_eq!(store.text(&handle_key("n.a")), None);
    assert_eq!(&*store.read(V4).0.unallocated, [2, 3, 0]);
    assert_eq!(&*store.read(V6).0.unallocated, [0, 2, 3, 1]);
    assert!(store.read(V4).0.allocation(1).is_some(), "the neighbour stays");
}

#[test]
fn rule_8_the_fence_rewrites_every_block_that_the_handle_names() {
    let (mut store, target) = dual();
    let other = store.block("10.65.0.8/30", "null", [Some("n.z"), None, None, None]);
    store.handle("n.a", &[V4, V6, "10.65.0.8/30", "10.65.0.12/30"]);
    let Decision::Read(more) = target.decide(&store.fresh, Time(0)) else { panic!("a block was not read") };
    assert_eq!(more, [block_key(cidr("10.65.0.12/30")).into_bytes()]);
    store.absent(&block_key(cidr("10.65.0.12/30")));
    let transaction = write(&target, &store);
    assert_eq!(transaction.compares(), 11, "the absent block by its create revision");
    let before = store.text(&other).unwrap().to_owned();
    store.apply(&transaction);
    assert_eq!(store.text(&other).unwrap(), before.replace("\"sequenceNumber\":200", "\"sequenceNumber\":201"));
}

#[test]
fn rule_9_only_the_same_tuple() {
    let (good, target) = dual();
    let with = |from: &str, to: &str| {
        let mut store = good.clone();
        let value = store.text(&block_key(cidr(V4))).unwrap().replace(from, to);
        store.put(&block_key(cidr(V4)), &value);
        store
    };
    assert_eq!(write(&target, &with("\"new\":1", "\"new\":2")).operations(), 3, "another field is no other holder");
    for (from, to) in [
        ("\"0\":100", "\"0\":150"),
        ("n.a", "n.c"),
        ("[0,1,null,null]", "[null,1,null,null]"),
        ("\"new\":1}", "\"releasedAt\":\"2026-01-01T00:00:00Z\"}"),
    ] {
        assert!(matches!(changed(&target, &with(from, to)), Hands::OtherAllocation(_)), "{to}");
    }
    let mut anew = good.clone();
    let value = anew.text(&block_key(cidr(V4))).unwrap().to_owned();
    anew.absent(&block_key(cidr(V4)));
    assert_eq!(changed(&target, &anew), Hands::BlockGone(cidr(V4)));
    anew.put(&block_key(cidr(V4)), &value);
    assert!(matches!(changed(&target, &anew), Hands::OtherAllocation(_)), "another create revision");
}

#[test]
fn rule_6_another_address_of_the_handle_stops_it() {
    let (mut store, target) = dual();
    store.block(V6, "\"host:n\"", [Some("n.a"), Some("n.a"), None, None]);
    assert_eq!(changed(&target, &store), Hands::MoreOfHandle(cidr(V6)));
}

#[test]
fn rule_2_locked_meanwhile_or_unreadable() {
    let (good, target) = dual();
    for value in [r#"{"spec":{"datastoreReady":false}}"#, r#"{"spec":{}}"#, "{", r#"{"spec":{"datastoreReady":null}}"#]
    {
        let mut store = good.clone();
        store.put(CLUSTER_INFORMATION, value);
        assert_eq!(refused(&target, &store), Objection::LockedMeanwhile, "{value}");
    }
    let mut store = good.clone();
    store.absent(CLUSTER_INFORMATION);
    assert_eq!(refused(&target, &store).rule(), Rule::Gates);
    for key in [IPAM_CONFIG.to_owned(), block_key(cidr(V4)), handle_key("n.a")] {
        let mut store = good.clone();
        store.put(&key, "{");
        assert_eq!(refused(&target, &store).rule(), Rule::Gates, "{key}");
    }
}

#[test]
fn a_broken_block_is_not_touched() {
    let (mut store, target) = dual();
    let value = store.text(&block_key(cidr(V4))).unwrap().replace("\"unallocated\":[2,3]", "\"unallocated\":[2,3,0]");
    store.put(&block_key(cidr(V4)), &value);
    let said = refused(&target, &store);
    assert!(matches!(&said, Objection::Uneditable(Some(_), why) if why.raw().contains("invalid")), "{said:?}");
}

#[test]
fn the_cooldown_form() {
    let (mut store, target) = dual();
    store.put(IPAM_CONFIG, r#"{"ipCooldownSeconds":30}"#);
    store.apply(&write(&target, &store));
    let (block, _) = store.read(V4);
    let cooling = block.allocation(0).unwrap().unwrap();
    assert_eq!(cooling.released_at(), Some(Time(0)));
    assert_eq!((block.allocation_sequence(0), &*block.unallocated), (Some(200), &[2, 3][..]));
}

#[test]
fn an_empty_block_of_nobody_goes_with_its_last_address() {
    let gone = |affinity: &str, claimed: bool, cooldown: bool, second: Option<&str>| {
        let mut store = Store::new();
        store.block(V4, affinity, [Some("n.a"), second, None, None]);
        store.handle("n.a", &[V4]);
        if cooldown {
            store.put(IPAM_CONFIG, r#"{"ipCooldownSeconds":30}"#);
        }
        let mut target = target("n.a", vec![place(&store, V4, 0, "n.a")]);
        target.claimed.extend(claimed.then_some(cidr(V4)));
        store.apply(&write(&target, &store));
        store.text(&block_key(cidr(V4))).is_none()
    };
    assert!(gone("null", false, false, None));
    assert!(gone("null", false, false, Some("windows-reserved-ipam-handle")), "Windows' reservations are empty");
    assert!(!gone("\"host:n\"", false, false, None), "somebody's");
    assert!(!gone("null", true, false, None), "an affinity object exists");
    assert!(!gone("null", false, true, None), "a cooling address is in it");
    assert!(!gone("null", false, false, Some("n.b")), "not empty");
}

#[test]
fn a_handle_that_counts_too_little_or_is_missing() {
    let (mut store, mut target) = dual();
    store.handle("n.a", &[V4]);
    store.apply(&write(&target, &store));
    assert_eq!(store.text(&handle_key("n.a")), None);
    assert!(store.read(V6).0.allocation(1).is_none(), "found by scanning, not by the handle");

    let (mut store, _) = dual();
    store.absent(&handle_key("n.a"));
    let transaction = write(&target, &store);
    assert_eq!((transaction.compares(), transaction.operations()), (7, 2));
    target.handle = None;
    target.handle_keys = Vec::new();
    target.extent = Extent::One;
    assert_eq!(write(&target, &store).operations(), 2, "an allocation without a handle");
}

#[test]
fn one_address_by_the_operators_word_counts_the_handle_down() {
    let one = |counts: &[&str]| {
        let (mut store, mut target) = dual();
        store.handle("n.a", counts);
        (target.extent, target.places) = (Extent::One, vec![place(&store, V4, 0, "n.a")]);
        store.apply(&write(&target, &store));
        assert!(store.read(V6).0.allocation(1).is_some());
        store.text(&handle_key("n.a")).map(str::to_owned)
    };
    assert_eq!(one(&[V4, V6]).unwrap(), r#"{"block":{"fd00:65::/126":1},"deleted":false}"#);
}

#[test]
fn an_endpoint_goes_as_it_was_judged_or_nothing_goes() {
    let (mut store, mut target) = dual();
    let mod_revision = store.put("/calico/e", "{}");
    target.endpoints = vec![LeftEndpoint {
        key: b"/calico/e".to_vec(),
        name: "shop/e".into(),
        is_stale: true,
        mod_revision,
        node: "n".into(),
        node_now: NodeNow::Ready,
    }];
    assert_eq!(write(&target, &store).operations(), 4);
    let mut rewritten = store.clone();
    rewritten.put("/calico/e", "{}");
    assert_eq!(changed(&target, &rewritten), Hands::Written("endpoint shop/e".into()));
    store.absent("/calico/e");
    assert_eq!(write(&target, &store).operations(), 3);
}

/// The proof "its pod has another container now" is the endpoint's word.
#[test]
fn what_a_proof_rests_on_is_compared() {
    let (mut store, mut target) = dual();
    let mod_revision = store.put("/calico/e", "{}");
    let witness = |mod_revision| Witness { key: b"/calico/e".to_vec(), mod_revision, name: "endpoint shop/e".into() };
    target.witnesses = vec![witness(Some(mod_revision))];
    let transaction = write(&target, &store);
    assert_eq!((transaction.compares(), transaction.operations()), (10, 3), "compared, not written");
    let mut rewritten = store.clone();
    rewritten.put("/calico/e", "{}");
    assert_eq!(changed(&target, &rewritten), Hands::Written("endpoint shop/e".into()));
    let mut gone = store.clone();
    gone.absent("/calico/e");
    assert_eq!(changed(&target, &gone), Hands::Written("endpoint shop/e".into()));
    target.witnesses = vec![witness(None)];
    assert_eq!(changed(&target, &store), Hands::Written("endpoint shop/e".into()), "there was none");
    assert_eq!(write(&target, &gone).compares(), 9);
}

/// A handle that counts too little is not taken from under an address in a block that it does not name.
#[test]
fn one_address_leaves_the_handle_to_others_that_it_does_not_count() {
    let (mut store, mut target) = dual();
    store.handle("n.a", &[V4]);
    (target.extent, target.places, target.others) = (Extent::One, vec![place(&store, V4, 0, "n.a")], vec![cidr(V6)]);
    store.apply(&write(&target, &store));
    assert!(store.read(V4).0.allocation(0).is_none() && store.read(V6).0.allocation(1).is_some());
    assert!(store.text(&handle_key("n.a")).is_some());
}
