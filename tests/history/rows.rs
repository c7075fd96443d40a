//! Rows that an audit did not read: whoever asks for one is answered as of the audit whose past it is.

use std::time::Duration;

use ipaudit::history::{Db, Journal, Keeper, PATIENCE};
use ipaudit::ledger::{Ledger, ScopeFlag};
use ipaudit::model::AllocationTuple;
use ipaudit::model::past::RowKeeper;
use ipaudit::record;

use super::world::Scene;

fn tuples(scene: &Scene) -> Vec<AllocationTuple> {
    let snapshot = scene.snapshot.clone().sorted();
    let ledger = Ledger::build(&snapshot, ScopeFlag::Auto, None);
    ledger.allocations.iter().map(|allocation| ledger.tuple_of(allocation)).collect()
}

#[test]
fn a_keeper_answers_as_of_its_audit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let mut scene = Scene::of(60, 0);
    let key = record::cluster_key(&scene.snapshot.clone().sorted()).unwrap();
    let db = Db::open_to_write(&path, Journal::Wal, PATIENCE).unwrap();
    let keeper = || Keeper::of(&db.read().unwrap().past_without_rows(&key).unwrap(), path.clone(), PATIENCE);
    let (first, then) = (scene.snapshot.now, tuples(&scene));
    scene.audit(&path, false);
    let early = keeper();
    scene.later(Duration::from_secs(60));
    scene.replace_a_pod();
    scene.settle();
    scene.audit(&path, false);
    let (late, now) = (keeper(), tuples(&scene));
    let past = db.read().unwrap().past(&key).unwrap();
    let mut replaced = 0;
    for tuple in then.iter().chain(&now) {
        let (was, is) = (then.contains(tuple), now.contains(tuple));
        assert_eq!(early.first_seen(tuple), was.then_some(first), "{tuple:?}");
        assert_eq!(late.first_seen(tuple), past.allocations.get(tuple), "{tuple:?}");
        assert_eq!(late.first_seen(tuple).is_some(), is, "{tuple:?}");
        replaced += usize::from(was != is);
    }
    assert_eq!(replaced, 2, "the old one and the new one");
    assert!(early.take_failure().is_none() && late.take_failure().is_none());
}

#[test]
fn a_file_that_cannot_be_read_is_told_once_and_answers_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let scene = Scene::of(20, 0);
    let key = record::cluster_key(&scene.snapshot.clone().sorted()).unwrap();
    scene.audit(&path, false);
    let db = Db::open_to_write(&path, Journal::Wal, PATIENCE).unwrap();
    let past = db.read().unwrap().past_without_rows(&key).unwrap();
    let keeper = Keeper::of(&past, folder.path().join("no.db"), PATIENCE);
    assert!(tuples(&scene).iter().all(|tuple| keeper.first_seen(tuple).is_none()));
    assert!(keeper.take_failure().is_some() && keeper.take_failure().is_none());
}
