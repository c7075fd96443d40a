use super::super::testing::{Store, cidr};
use super::*;
use crate::model::keys::handle_key;

const BLOCK: &str = "10.65.0.0/30";

fn orphan(store: &mut Store, id: &str, blocks: &[&str]) -> Orphan {
    let (key, mod_revision) = store.handle(id, blocks);
    Orphan { id: id.to_owned(), key: key.into_bytes(), mod_revision, blocks: blocks.iter().map(|b| cidr(b)).collect() }
}

fn store() -> Store {
    let mut store = Store::new();
    store.block(BLOCK, "\"host:n\"", [Some("n.live"), None, None, None]);
    store
}

fn written(decided: &Decided) -> &super::super::transaction::Transaction {
    match &decided.decision {
        Decision::Write(transaction) => transaction,
        other => panic!("{other:?}"),
    }
}

#[test]
fn rule_8_orphans_of_a_block_go_together_behind_one_fence() {
    let mut store = store();
    let batch: Vec<Orphan> = ["n.a", "n.b", "n.c"].map(|id| orphan(&mut store, id, &[BLOCK])).into();
    let decided = decide(&batch, &store.fresh);
    assert_eq!((written(&decided).compares(), written(&decided).operations()), (10, 4));
    let before = store.read(BLOCK).0;
    store.apply(written(&decided));
    assert_eq!(store.read(BLOCK).0.sequence, before.sequence.map(|n| n + 1));
    assert!(["n.a", "n.b", "n.c"].iter().all(|id| store.text(&handle_key(id)).is_none()));
}

#[test]
fn who_is_no_orphan_any_more_is_left_out_and_the_others_go() {
    let mut store = store();
    let mut batch: Vec<Orphan> = ["n.a", "n.b", "n.c", "n.d"].map(|id| orphan(&mut store, id, &[BLOCK])).into();
    store.handle("n.a", &[BLOCK]);
    store.absent(&handle_key("n.b"));
    store.block(BLOCK, "\"host:n\"", [Some("n.live"), Some("n.c"), None, None]);
    let decided = decide(&batch, &store.fresh);
    let dropped: Vec<(u8, &str)> = decided.dropped.iter().map(|r| (r.rule().number(), r.subject.raw())).collect();
    assert_eq!((dropped, decided.gone), (vec![(9, "n.a"), (9, "n.c")], 1));
    store.apply(written(&decided));
    assert!(store.text(&handle_key("n.d")).is_none() && store.text(&handle_key("n.a")).is_some());
    batch.truncate(3);
    assert!(matches!(decide(&batch, &store.fresh).decision, Decision::Nothing));
}

#[test]
fn a_handle_whose_block_does_not_exist_or_that_names_none() {
    let mut store = store();
    store.absent(&block_key(cidr("10.99.0.0/30")));
    let batch = vec![orphan(&mut store, "n.a", &["10.99.0.0/30"]), orphan(&mut store, "n.b", &[])];
    let decided = decide(&batch, &store.fresh);
    assert_eq!((written(&decided).compares(), written(&decided).operations()), (7, 2));
}

#[test]
fn a_malformed_id_is_compared_by_its_sanitised_form() {
    let mut store = store();
    let odd = orphan(&mut store, "n.live\r\neth0", &[BLOCK]);
    let decided = decide(&[odd], &store.fresh);
    assert_eq!(decided.dropped[0].objection, Objection::ChangedHands(Hands::TakenUp(cidr(BLOCK))));
}

#[test]
fn locked_or_not_read_writes_nothing() {
    let mut store = store();
    let batch = vec![orphan(&mut store, "n.a", &[BLOCK])];
    let mut locked = store.clone();
    locked.put(crate::model::keys::CLUSTER_INFORMATION, "{}");
    let refused = Decision::refused("n.a", Objection::LockedMeanwhile);
    assert_eq!(decide(&batch, &locked.fresh).decision, refused);
    store.fresh.remove(block_key(cidr(BLOCK)).as_bytes());
    assert_eq!(decide(&batch, &store.fresh).decision, Decision::Read(vec![block_key(cidr(BLOCK)).into_bytes()]));
}

#[test]
fn batches_are_by_block_and_within_the_limits() {
    let make = |id: usize, blocks: Vec<Cidr>| Orphan {
        id: format!("n.{id}"),
        key: format!("/h/{id:06}").into_bytes(),
        mod_revision: 1,
        blocks,
    };
    let block = |i: usize| cidr(&format!("10.{}.{}.0/26", i / 256, i % 256));
    let many: Vec<Orphan> = (0..200).map(|i| make(i, vec![block(i % 2)])).collect();
    let cut = batches(many);
    let sizes: Vec<usize> = cut.iter().map(Vec::len).collect();
    assert_eq!((sizes.iter().sum::<usize>(), sizes[0]), (200, 60));
    for batch in batches((0..500).map(|i| make(i, vec![block(i), block(i + 1000)])).collect()) {
        let blocks: BTreeSet<Cidr> = batch.iter().flat_map(|o| o.blocks.clone()).collect();
        assert!(blocks.len() <= 8 && 2 * (batch.len() + blocks.len()) + 2 <= OPERATIONS);
    }
    assert_eq!(batches(vec![make(0, (0..20).map(block).collect())]).len(), 1, "too many blocks: alone");
    assert!(batches(Vec::new()).is_empty());
}
