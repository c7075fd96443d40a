//! The history as its users meet it: the binary, real etcd servers, one file over many audits.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "history/faults.rs"]
mod faults;
#[path = "../benches/generator/mod.rs"]
mod generator;
#[path = "history/life.rs"]
mod life;
#[path = "history/mixed.rs"]
mod mixed;
#[path = "history/old.rs"]
mod old;
#[path = "history/rows.rs"]
mod rows;
mod servers;
#[path = "history/sharing.rs"]
mod sharing;
#[path = "history/size.rs"]
mod size;
#[path = "history/tight.rs"]
mod tight;
#[path = "history/words.rs"]
mod words;
#[path = "history/world.rs"]
mod world;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ipaudit::model::Time;
use rusqlite::Connection;
use serde_json::Value;
use servers::command::{ipaudit, json, stderr};
use servers::golden::{Case, Expected, Moment};
use servers::{Etcd, EtcdVersion};

const HOUR: i64 = 3_600;

/// `captured_at` and so many seconds.
fn later(moment: &Moment, seconds: i64) -> String {
    let at = Time::parse_rfc3339(&moment.captured_at).unwrap();
    Time(at.0 + seconds * 1_000_000_000).to_rfc3339()
}

fn command(db: &Path, etcd: &Etcd, moment: &Moment, now: &str) -> Command {
    command_at(db, &etcd.endpoint(), moment, now)
}

fn command_at(db: &Path, endpoint: &str, moment: &Moment, now: &str) -> Command {
    let mut command = ipaudit();
    // As variables, so that a test's flags win.
    command.env_remove("IPAUDIT_NO_HISTORY").env("IPAUDIT_SETTLE", "100ms").env("IPAUDIT_OUTPUT", "json");
    command.args(["audit", "--etcd-endpoints", endpoint, "--now", now]);
    command.arg("--db").arg(db).arg("--kube-objects").arg(&moment.cluster_file);
    command
}

fn audit(db: &Path, etcd: &Etcd, moment: &Moment, now: &str) -> Value {
    let output = command(db, etcd, moment, now).output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 1 | 3)), "{}", stderr(&output));
    json(&output)
}

fn history(db: &Path, args: &[&str]) -> Output {
    let mut command = ipaudit();
    command.arg("history").args(args).arg("--db").arg(db).output().unwrap()
}

/// The file is whole by `history check`.
fn whole(db: &Path) {
    let output = history(db, &["check"]);
    let says = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{says}{}", stderr(&output));
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("state/history.db");
    (folder, db)
}

/// Code and subject of every finding.
fn found(document: &Value) -> BTreeSet<(String, String)> {
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    let findings = document["findings"].as_array().unwrap();
    findings.iter().map(|f| (text(&f["code"]), text(&f["subject"]["id"]))).collect()
}

fn expected<'a>(lists: impl IntoIterator<Item = &'a Vec<Expected>>) -> BTreeSet<(String, String)> {
    let known = ipaudit::checks::ALL.iter().map(|c| c.code.to_string()).collect::<BTreeSet<_>>();
    let all = lists.into_iter().flatten().map(|e| (e.code.clone(), e.subject.clone()));
    all.filter(|(code, _)| known.contains(code)).collect()
}

fn differ(found: &BTreeSet<(String, String)>, wanted: &BTreeSet<(String, String)>, what: &str) {
    let (more, less): (Vec<_>, Vec<_>) =
        (found.difference(wanted).take(9).collect(), wanted.difference(found).take(9).collect());
    assert!(more.is_empty() && less.is_empty(), "{what}: unexpected {more:?}, missing {less:?}");
}

fn number(db: &Path, what: &str) -> i64 {
    Connection::open(db).unwrap().query_row(what, [], |row| row.get(0)).unwrap()
}

/// Every case of one moment, audited again two hours later: what needed a past is found too, and nothing else.
fn every_case_twice(version: EtcdVersion) {
    let etcd = Etcd::start(version);
    for name in Case::names() {
        let case = Case::load(&name);
        let [moment] = case.moments.as_slice() else { continue };
        let (_folder, db) = folder();
        moment.load_into(&etcd);
        let first = audit(&db, &etcd, moment, &moment.captured_at);
        differ(&found(&first), &expected([&moment.expect]), &name);
        let second = audit(&db, &etcd, moment, &later(moment, 2 * HOUR));
        // Nothing wrote the blocks in two hours: that alone makes cooling addresses overdue, past or no past.
        let overdue = |(code, _): &(String, String)| code == "IPA114";
        let again: BTreeSet<_> =
            found(&second).into_iter().filter(|f| found(&first).contains(f) || !overdue(f)).collect();
        differ(&again, &expected([&moment.expect, &moment.expect_with_history]), &format!("{name}, two hours later"));
        if moment.expect.iter().any(|e| matches!(e.code.as_str(), "IPA901" | "IPA905"))
            || first["audit"]["id"].is_null()
        {
            continue;
        }
        let known = found(&first);
        for finding in second["findings"].as_array().unwrap() {
            let id =
                (finding["code"].as_str().unwrap().to_owned(), finding["subject"]["id"].as_str().unwrap().to_owned());
            let (seen, since) = if known.contains(&id) { (2, 0) } else { (1, 2 * HOUR) };
            assert_eq!(finding["audits_seen"], seen, "{name} {id:?}");
            assert_eq!(finding["first_seen"], later(moment, since), "{name} {id:?}");
            assert_eq!(finding["last_seen"], later(moment, 2 * HOUR), "{name} {id:?}");
        }
        let changes = &second["history"];
        assert_eq!(changes["ongoing"], known.len(), "{name}");
        assert_eq!((&changes["resolved"], &changes["came_back"]), (&0.into(), &0.into()), "{name}");
        whole(&db);
    }
}

#[test]
fn every_case_twice_through_etcd_3_4() {
    servers::need!(Etcd3_4);
    every_case_twice(EtcdVersion::V3_4);
}

#[test]
fn every_case_twice_through_etcd_3_7() {
    servers::need!(Etcd3_7);
    every_case_twice(EtcdVersion::V3_7);
}

/// Moment 0 in one etcd; then the backup in a fresh one, and what came after it in that one too.
#[test]
fn a_restored_datastore_is_seen_once_and_begins_a_new_epoch() {
    servers::need!(Etcd3_7);
    let case = Case::load("restored-backup");
    let (before, after) = (Etcd::start(EtcdVersion::V3_7), Etcd::start(EtcdVersion::V3_7));
    let (_folder, db) = folder();
    for (i, moment) in case.moments.iter().enumerate() {
        let etcd = if i == 0 { &before } else { &after };
        moment.load_into(etcd);
        let document = audit(&db, etcd, moment, &moment.captured_at);
        let wanted = expected([&moment.expect, &moment.expect_with_history]);
        assert_eq!(found(&document), wanted, "moment {i}");
        assert_eq!(number(&db, "SELECT epoch FROM pair"), i64::from(i > 0) + 1);
    }
    assert_eq!(number(&db, "SELECT epoch_audit FROM pair"), 2);
    whole(&db);
}
