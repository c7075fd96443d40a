//! Words of another version: kept as they are, or an error; never taken for something else, and never a panic.

use std::time::Duration;

use ipaudit::history::query::{About, Filter, Which, Whose, Window};
use ipaudit::history::release::{Intent, NewRelease};
use ipaudit::history::{Db, Journal, PATIENCE, ToRead};
use ipaudit::model::row::Ending;
use ipaudit::model::{SubjectKind, Time};
use ipaudit::record;

use crate::world::Scene;

/// A history with findings, allocations and pods, and a release of one step; `damage` is SQL.
fn history(damage: &str) -> (tempfile::TempDir, Scene, Db<ToRead>) {
    let work = tempfile::tempdir().unwrap();
    let path = work.path().join("history.db");
    let mut scene = Scene::of(40, 3);
    scene.audit(&path, true);
    scene.later(Duration::from_secs(60));
    let mut db = Db::open_to_write(&path, Journal::Truncate, PATIENCE).unwrap();
    let release = db.begin_release(1, &NewRelease::default()).unwrap();
    let subjects = vec![(SubjectKind::Handle, "k8s-pod-network.a".to_owned())];
    db.intend(release, &Intent { subjects, ..Intent::default() }).unwrap();
    drop(db);
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.execute_batch(&format!("PRAGMA ignore_check_constraints = ON; {damage}")).unwrap();
    drop(raw);
    (work, scene, Db::open_to_read(&path, PATIENCE).unwrap())
}

fn named(word: &str, column: &str) -> String {
    format!("INSERT INTO name (text) VALUES ('{word}'); UPDATE {column} = (SELECT id FROM name WHERE text = '{word}')")
}

#[test]
fn what_says_something_of_another_version_is_kept_as_it_is() {
    let uses = named("borrowed", "allocation SET use");
    let grades = named("sworn", "pod_address SET grade");
    let (_work, _, db) = history(&format!("UPDATE finding SET kind = 'vlan', state = 'sworn'; {uses}; {grades}"));
    let db = db.read().unwrap();
    let open = db.findings(1, Which::Open, Window::ALL, &Filter::default()).unwrap();
    assert!(!open.is_empty());
    let told = open.iter().map(|e| (e.finding.kind.word(), e.finding.state.word())).collect::<Vec<_>>();
    assert!(told.iter().all(|told| *told == ("vlan", "sworn")), "{told:?}");
    let about = About { subjects: vec![open[0].finding.subject.raw().to_owned()], ..About::default() };
    assert_eq!(db.findings_about(1, &about).unwrap()[0].finding.state.known(), None);
    let uses = db.allocations(1, &Whose::All).unwrap();
    assert!(!uses.is_empty() && uses.iter().all(|i| i.row.used_for.word() == "borrowed"));
    let pods = db.pod_addresses(1, &Whose::All).unwrap();
    assert!(!pods.is_empty() && pods.iter().all(|i| i.row.grade.word() == "sworn" && i.row.grade.known().is_none()));
}

/// An ending that nobody here knows is not "resolved".
#[test]
fn an_unknown_ending_is_no_other_one() {
    let (_work, _, db) =
        history("UPDATE finding SET ended = 1, ended_at = 5, last_seen = 1, audits_seen = 1, ending = 'forgiven'");
    let db = db.read().unwrap();
    let ended = db.findings(1, Which::Alive, Window::ALL, &Filter::default()).unwrap();
    assert!(!ended.is_empty() && ended.iter().all(|e| e.ending == Ending::Other("forgiven".into())), "{ended:?}");
}

/// By these something is decided: who asks is told.
#[test]
fn an_unknown_severity_outcome_or_subject_is_an_error() {
    let (_work, _, db) = history("UPDATE finding SET severity = 'fatal'");
    let db = db.read().unwrap();
    let error = db.findings(1, Which::Open, Window::ALL, &Filter::default()).unwrap_err();
    assert!(ipaudit::error::chain(&error).contains("\"fatal\" is a word of another ipaudit"), "{error:?}");
    for damage in [
        "UPDATE release_step SET outcome = 'perhaps', settled = 1",
        "UPDATE release_subject SET kind = 'vlan'",
        "UPDATE allocation SET address = x'0a' WHERE id = (SELECT min(id) FROM allocation)",
        "UPDATE block SET cidr = 'somewhere' WHERE id = (SELECT min(id) FROM block)",
    ] {
        let (_work, scene, db) = history(damage);
        let key = record::cluster_key(&scene.snapshot.clone().sorted()).unwrap();
        let db = db.read().unwrap();
        let asked = [
            db.releases(1, Window { since: Time(i64::MIN), until: Time(i64::MAX) }).err(),
            db.allocations(1, &Whose::All).err(),
            db.past(&key).err(),
        ];
        assert!(asked.iter().any(Option::is_some), "{damage}");
    }
}

/// A finding of a kind that only a newer version knows: an audit of this one neither finds nor ends it.
#[test]
fn an_audit_ends_nothing_of_an_unknown_kind() {
    let (work, scene, db) = history("UPDATE finding SET kind = 'vlan' WHERE code = 201");
    drop(db);
    scene.audit(&work.path().join("history.db"), false);
    let db = Db::open_to_read(&work.path().join("history.db"), PATIENCE).unwrap();
    let db = db.read().unwrap();
    let open = db.findings(1, Which::Open, Window::ALL, &Filter::default()).unwrap();
    let kinds: Vec<_> = open.iter().map(|e| e.finding.kind.word()).collect();
    assert!(!kinds.is_empty() && kinds.iter().all(|kind| *kind == "vlan"), "{kinds:?}");
    assert!(db.check().unwrap().is_empty());
}
