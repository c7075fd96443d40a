//! Words of another version: kept as they are, or an error; never taken for something else, and never a panic.

use std::time::Duration;

use ipaudit::history::query::{About, Which, Whose, Window};
use ipaudit::history::{Db, Journal, PATIENCE, ToRead};
use ipaudit::model::release::{Intent, NewRelease};
use ipaudit::model::row::Ending;
use ipaudit::model::{InputState, Narrow, SubjectKind, Term, Time};
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
    let subjects = vec![(SubjectKind::Handle, "k8s-pod-network.a".into())];
    db.intend(release, &Intent { subjects, ..Intent::default() }, Time(1)).unwrap();
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
    let open = db.findings(1, Which::Open, Window::ALL, &Narrow::default()).unwrap();
    assert!(!open.is_empty());
    let told = open.iter().map(|e| (e.finding.kind.raw(), e.finding.state.raw())).collect::<Vec<_>>();
    assert!(told.iter().all(|told| *told == ("vlan", "sworn")), "{told:?}");
    let about = About { subjects: vec![open[0].finding.subject.raw().to_owned()], ..About::default() };
    assert_eq!(db.findings_about(1, &about).unwrap()[0].finding.state.known(), None);
    let uses = db.allocations(1, &Whose::All).unwrap();
    assert!(!uses.is_empty() && uses.iter().all(|i| i.row.used_for.raw() == "borrowed"));
    let pods = db.pod_addresses(1, &Whose::All).unwrap();
    assert!(!pods.is_empty() && pods.iter().all(|i| i.row.grade.raw() == "sworn" && i.row.grade.known().is_none()));
}

/// An ending that nobody here knows is not "resolved".
#[test]
fn an_unknown_ending_is_no_other_one() {
    let (_work, _, db) =
        history("UPDATE finding SET ended = 1, ended_at = 5, last_seen = 1, audits_seen = 1, ending = 'forgiven'");
    let db = db.read().unwrap();
    let ended = db.findings(1, Which::Alive, Window::ALL, &Narrow::default()).unwrap();
    assert!(!ended.is_empty() && ended.iter().all(|e| e.ending == Ending::Other("forgiven".into())), "{ended:?}");
}

/// A release that ended as only a newer version knows has not ended otherwise, nor is it still under way.
#[test]
fn an_unknown_conclusion_is_kept() {
    let (_work, _, db) = history("UPDATE release SET outcome = 'half', finished = 5");
    let releases = db.read().unwrap().releases(1, Window::ALL).unwrap();
    assert_eq!(releases[0].outcome, Some(Term::Other("half".into())));
    assert_eq!(releases[0].outcome.as_ref().unwrap().known(), None);
}

const REACH: &str = "UPDATE audit SET complete = 0; UPDATE about SET text = '{\"inputs\": [\
    {\"input\": \"quotas\", \"state\": \"forbidden\"}, {\"input\": \"pods\", \"state\": \"half\r\", \"undecodable\": 2}]}'";

/// What a newer version read, and how far it came, is told in its words: it was not all that this one reads.
#[test]
fn unknown_inputs_and_states_of_an_audit_are_kept_and_told() {
    let (work, _, db) = history(&REACH.replace('\r', "\\r"));
    let tx = db.read().unwrap();
    let audits = tx.audits(1, Window::ALL).unwrap();
    let inputs = audits[0].about.inputs.iter().map(|i| (i.input.raw(), i.state.raw(), i.undecodable));
    assert_eq!(inputs.collect::<Vec<_>>(), [("quotas", "forbidden", 0), ("pods", "half\r", 2)]);
    assert_eq!(audits[0].about.inputs[0].state.known(), Some(InputState::Forbidden));
    drop(tx);
    drop(db);
    let report = |output| {
        let args = ["report", "--since", "2000-01-01", "--until", "2100-01-01", "-o", output, "--db"];
        let output = crate::ipaudit().args(args).arg(work.path().join("history.db")).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let document: serde_json::Value = serde_json::from_str(&report("json")).unwrap();
    assert_eq!(document["clusters"][0]["audits"]["incomplete"][0]["why"], "quotas: forbidden; pods: half\r");
    for shown in [report("table"), report("markdown")] {
        assert!(shown.contains("half\\r") || shown.contains("half\\\\r"), "{shown}");
        assert!(!shown.contains('\r'), "{shown:?}");
    }
}

/// By these something is decided: who asks is told.
#[test]
fn what_cannot_be_read_is_an_error_and_not_none() {
    let told = |damage: &str| {
        let (_work, _, db) = history(damage);
        let found = db.read().unwrap().findings(1, Which::Open, Window::ALL, &Narrow::default());
        ipaudit::error::chain(&found.unwrap_err())
    };
    let root = told("UPDATE finding SET root = 'because of it'");
    assert!(root.contains("\"because of it\" names no finding"), "{root}");
    let about = told("UPDATE about SET text = 'everything'");
    assert!(about.contains("is of another ipaudit"), "{about}");
}

/// By these something is decided: who asks is told.
#[test]
fn an_unknown_severity_outcome_or_subject_is_an_error() {
    let (_work, _, db) = history("UPDATE finding SET severity = 'fatal'");
    let db = db.read().unwrap();
    let error = db.findings(1, Which::Open, Window::ALL, &Narrow::default()).unwrap_err();
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
    let open = db.findings(1, Which::Open, Window::ALL, &Narrow::default()).unwrap();
    let kinds: Vec<_> = open.iter().map(|e| e.finding.kind.raw()).collect();
    assert!(!kinds.is_empty() && kinds.iter().all(|kind| *kind == "vlan"), "{kinds:?}");
    assert!(db.check().unwrap().is_empty());
}
