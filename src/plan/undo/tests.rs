use super::super::block::Freed;
use super::super::circumstances::Claimer;
use super::super::refusal::Rule;
use super::super::testing::{Store, cidr};
use super::*;
use crate::ledger::Grade;
use crate::model::keys::{CLUSTER_INFORMATION, handle_key};

const BLOCK: &str = "10.65.0.0/30";

/// Releases ordinal 0 (`n.a`) of a block; what the history would have recorded.
fn released(affinity: &str, neighbour: Option<&str>, freed: Freed) -> (Store, Vec<Written>) {
    let mut store = Store::new();
    let key = store.block(BLOCK, affinity, [Some("n.a"), neighbour, None, None]);
    let (handle, _) = store.handle("n.a", &[BLOCK]);
    let before = store.stored(&key).unwrap().value.clone();
    let after = block::release(&before, &[0], freed).unwrap();
    let deleted = neighbour.is_none() && affinity == "null" && freed == Freed::AtOnce;
    match deleted {
        true => store.absent(&key),
        false => drop(store.put(&key, std::str::from_utf8(&after).unwrap())),
    }
    let counted = store.stored(&handle).unwrap().value.clone();
    store.absent(&handle);
    let written = vec![
        Written { key: CLUSTER_INFORMATION.into(), before: Some(b"{}".to_vec()), after: Some(b"{}".to_vec()) },
        Written { key: key.into_bytes(), before: Some(before), after: (!deleted).then_some(after) },
        Written { key: handle.into_bytes(), before: Some(counted), after: None },
    ];
    (store, written)
}

fn put_back(store: &mut Store, written: &[Written]) -> Decision {
    let decision = Undoing::of("release 1", written).unwrap().decide(&store.fresh);
    if let Decision::Write(transaction) = &decision {
        store.apply(transaction);
    }
    decision
}

#[test]
fn the_block_as_it_is_now_is_edited() {
    let (mut store, written) = released("\"host:n\"", Some("n.b"), Freed::AtOnce);
    // Somebody took ordinal 2 meanwhile.
    let now = store
        .text(&block_key(cidr(BLOCK)))
        .unwrap()
        .replace("[2,3,0]", "[3,0]")
        .replace("[null,0,null,null]", "[null,0,0,null]");
    store.put(&block_key(cidr(BLOCK)), &now);
    assert!(matches!(put_back(&mut store, &written), Decision::Write(_)));
    let (block, names) = store.read(BLOCK);
    let back = block.allocation(0).unwrap().unwrap();
    assert_eq!(back.handle.unwrap().text(&names), "n.a");
    assert_eq!((block.sequence, block.allocation_sequence(0)), (Some(202), Some(201)));
    assert_eq!((&*block.unallocated, block.allocation(2).is_some()), (&[3][..], true));
    assert_eq!(store.text(&handle_key("n.a")).unwrap(), r#"{"block":{"10.65.0.0/30":1},"deleted":false}"#);
}

#[test]
fn out_of_our_own_cooldown_and_no_other() {
    let freed = Freed::Cooling(Time(1_700_000_000_000_000_000));
    let (mut store, written) = released("\"host:n\"", Some("n.b"), freed);
    let mut other = store.clone();
    let theirs = other.text(&block_key(cidr(BLOCK))).unwrap().replace("2023-11-14T22:13:20Z", "2023-11-14T22:13:21Z");
    other.put(&block_key(cidr(BLOCK)), &theirs);
    assert!(matches!(put_back(&mut other, &written), Decision::Refused(_)));
    assert!(matches!(put_back(&mut store, &written), Decision::Write(_)));
    assert!(!store.text(&block_key(cidr(BLOCK))).unwrap().contains("releasedAt"));
}

#[test]
fn an_address_that_is_allocated_again_is_not_taken() {
    let (mut store, written) = released("\"host:n\"", Some("n.b"), Freed::AtOnce);
    store.block(BLOCK, "\"host:n\"", [Some("n.new"), Some("n.b"), None, None]);
    assert!(
        matches!(put_back(&mut store, &written), Decision::Refused(refusal) if refusal.rule() == Rule::Transaction)
    );
}

#[test]
fn a_deleted_block_comes_back_with_its_address_and_higher_numbers() {
    let (mut store, written) = released("null", None, Freed::AtOnce);
    assert!(store.text(&block_key(cidr(BLOCK))).is_none());
    assert!(matches!(put_back(&mut store, &written), Decision::Write(_)));
    let (block, _) = store.read(BLOCK);
    assert_eq!((block.sequence, &*block.unallocated), (Some(202), &[1, 2, 3][..]));
    assert!(block.allocation(0).is_some());
}

#[test]
fn a_block_that_somebody_else_deleted_stays_away() {
    let (mut store, written) = released("\"host:n\"", None, Freed::AtOnce);
    store.absent(&block_key(cidr(BLOCK)));
    assert!(matches!(put_back(&mut store, &written), Decision::Changed(_)));
}

#[test]
fn orphans_are_not_put_back() {
    let (_, written) = released("null", None, Freed::AtOnce);
    assert_eq!(Undoing::of("release 1", &written[2..]), Err(NothingBack::NoAddress));
}

#[test]
fn each_circumstance_that_forbids_it() {
    let site = Site { pool_covers: true, overlapped: false, claimed: false };
    let good = UndoStanding {
        same_pair: true,
        fork: None,
        under_way: false,
        unknown: false,
        undone: false,
        holders: Vec::new(),
        sites: [(cidr(BLOCK), site)].into(),
    };
    let said = |standing: UndoStanding| {
        refusals("release 1", &standing).into_iter().map(|r| (r.rule().number(), r.objection)).collect::<Vec<_>>()
    };
    assert_eq!(said(good.clone()), []);
    assert_eq!(said(UndoStanding { same_pair: false, ..good.clone() }), [(2, Objection::OtherPair)]);
    let forked = UndoStanding { fork: Some(Fork::SinceRelease), ..good.clone() };
    assert_eq!(said(forked), [(2, Objection::ForkedSince(Fork::SinceRelease))]);
    assert_eq!(said(UndoStanding { under_way: true, unknown: true, ..good.clone() }), [(9, Objection::UnderWay)]);
    assert_eq!(said(UndoStanding { unknown: true, ..good.clone() }), [(9, Objection::OutcomeUnknown)]);
    assert_eq!(said(UndoStanding { undone: true, ..good.clone() }), [(9, Objection::Undone)]);
    let (address, holder) =
        ("10.65.0.0".parse().unwrap(), HolderNow { who: Claimer::HostEndpoint, grade: Grade::Certain });
    let held = UndoStanding { holders: vec![(address, holder.clone())], ..good.clone() };
    assert_eq!(said(held), [(3, Objection::HeldNow(address, holder))]);
    for (bad, obstacle) in [
        (Site { pool_covers: false, ..site }, Obstacle::NoPool),
        (Site { overlapped: true, ..site }, Obstacle::Overlapped),
        (Site { claimed: true, ..site }, Obstacle::Claimed),
    ] {
        let standing = UndoStanding { sites: [(cidr(BLOCK), bad)].into(), ..good.clone() };
        assert_eq!(said(standing), [(6, Objection::NoWayBack(cidr(BLOCK), obstacle))]);
    }
}
