//! An audit that failed is recorded as one that failed: nobody could look is not nobody looked.

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::names::{audit, first, history};
use crate::report;
use crate::servers::command::{ipaudit, json, stderr};

/// An audit at this time that reaches nobody.
fn fail(db: &Path, now: &str, more: &[&str]) -> Output {
    let mut command = ipaudit();
    command.env_remove("IPAUDIT_NO_HISTORY").args(["audit", "--now", now, "--db"]).arg(db).args(more);
    command.args(["--etcd-endpoints", "http://127.0.0.1:1"]).output().unwrap()
}

fn audits(db: &Path, args: &[&str]) -> Value {
    let output = report(db, &[args, &["-o", "json"]].concat());
    let document = json(&output);
    assert_eq!(output.status.code().map(i64::from), document["exit_code"].as_i64());
    document["clusters"][0]["audits"].clone()
}

#[test]
fn a_failed_audit_is_told_with_its_cause_and_nobody_says_that_nobody_looked() {
    let (_folder, db) = history();
    let failed = fail(&db, "2026-11-24T13:15:00Z", &[]);
    assert_eq!(failed.status.code(), Some(3), "{}", stderr(&failed));
    let hour = ["--now", "2026-11-24T13:20:00Z", "--since", "1h"];
    let table = report(&db, &hour);
    assert_eq!(table.status.code(), Some(3), "the last word is that nobody could look");
    let says = first(&table);
    assert!(says.starts_with("An audit failed, 13:15: ") && says.contains("127.0.0.1:1"), "{says}");
    assert!(says.contains(" Open before: 2 critical, 1 error"), "{says}");
    let told = audits(&db, &hour);
    assert_eq!((&told["count"], told["failed"].as_array().unwrap().len()), (&1.into(), 1), "{told}");
    assert_eq!(told["failed"][0]["at"], "2026-11-24T13:15:00Z");
    assert!(told["failed"][0]["why"].as_str().unwrap().contains("127.0.0.1:1"), "{told}");

    // In a time without any other.
    for format in ["table", "markdown"] {
        let alone = report(&db, &["--now", "2026-11-24T13:20:00Z", "--since", "10m", "-o", format]);
        let text = String::from_utf8_lossy(&alone.stdout).replace("\n  ", " ");
        assert_eq!(alone.status.code(), Some(3));
        assert!(text.contains("Nobody could look in this time: the only audit failed, "), "{text}");
        assert!(!text.contains("obody looked"), "{text}");
    }

    // Settings that are wrong end an audit before it has looked.
    let broken = fail(&db, "2026-11-24T13:30:00Z", &["--etcd-cert", "/nonexistent/cert.pem"]);
    assert_eq!(broken.status.code(), Some(2), "{}", stderr(&broken));
    let told = audits(&db, &["--now", "2026-11-24T13:35:00Z", "--since", "1h"]);
    let why: Vec<&str> = told["failed"].as_array().unwrap().iter().map(|f| f["why"].as_str().unwrap()).collect();
    assert!(why.len() == 2 && why[1].contains("without its key"), "{why:?}");

    // Somebody looks again: the findings are the answer, and the failures stand with the gaps.
    audit(&db, "2026-11-24T13:45:00Z");
    let again = report(&db, &["--now", "2026-11-24T13:50:00Z", "--since", "1h"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(first(&again).starts_with("Open: 2 critical"), "{}", first(&again));
    let text = String::from_utf8_lossy(&again.stdout).into_owned();
    assert!(text.contains("13:15  1 audit failed: ") && text.contains("13:30  1 audit failed: "), "{text}");
    // What was found is as if nobody had failed between.
    let document = json(&report(&db, &["--now", "2026-11-24T13:50:00Z", "--since", "1h", "-o", "json"]));
    let seen = document["clusters"][0]["findings"].as_array().unwrap().iter().find(|f| f["code"] == "IPA101").unwrap();
    assert_eq!((&seen["audits_seen"], &seen["state"]), (&2.into(), &"open".into()));
}

#[test]
fn the_time_of_failed_audits_is_no_gap() {
    let (_folder, db) = history();
    for minute in ["13:15", "13:30"] {
        audit(&db, &format!("2026-11-24T{minute}:00Z"));
    }
    let now = ["--now", "2026-11-24T15:00:00Z", "--since", "2h"];
    assert_eq!(audits(&db, &now)["gaps"].as_array().unwrap().len(), 1);
    for minute in ["13:45", "14:00", "14:15", "14:30", "14:45"] {
        fail(&db, &format!("2026-11-24T{minute}:00Z"), &[]);
    }
    let told = audits(&db, &now);
    assert_eq!((told["gaps"].as_array().unwrap().len(), told["failed"].as_array().unwrap().len()), (0, 5), "{told}");
    let text = String::from_utf8(report(&db, &now).stdout).unwrap();
    assert!(!text.contains("nobody looked"), "{text}");
}

#[test]
fn failed_audits_are_kept_as_long_as_others_and_make_no_history() {
    let (folder, db) = history();
    fail(&db, "2026-11-24T13:15:00Z", &[]);
    let run = |args: &[&str]| {
        let mut command = ipaudit();
        command.env_remove("IPAUDIT_NO_HISTORY").arg("history").args(args).arg("--db").arg(&db).output().unwrap()
    };
    let rows = || {
        let text = String::from_utf8(run(&["export"]).stdout).unwrap();
        let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        rows.filter(|row| row["table"] == "failed_audit").collect::<Vec<_>>()
    };
    assert_eq!(rows().len(), 1);
    assert_eq!((&rows()[0]["judged"], rows()[0]["tool"].is_string()), (&"2026-11-24T13:15:00Z".into(), true));
    assert_eq!(run(&["check"]).status.code(), Some(0));
    assert_eq!(run(&["prune", "--keep", "30d", "--yes"]).status.code(), Some(0));
    assert_eq!(rows().len(), 1, "it has just been made");
    assert_eq!(run(&["prune", "--keep", "0s", "--yes"]).status.code(), Some(0));
    assert_eq!(rows().len(), 0);
    // Nobody has looked yet: there is no cluster, and settings that are wrong make no file.
    let none = folder.path().join("none.db");
    fail(&none, "2026-11-24T13:15:00Z", &["--etcd-cert", "/nonexistent/cert.pem"]);
    assert!(!none.exists());
    let asked_not_to = fail(&db, "2026-11-24T13:15:00Z", &["--no-history"]);
    assert_eq!((asked_not_to.status.code(), rows().len()), (Some(3), 0));
}

/// The first night: nobody has seen a cluster yet, and none was asked for.
#[test]
fn a_failed_audit_is_told_before_any_has_seen_a_cluster() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("new.db");
    assert_eq!(fail(&db, "2026-11-24T13:15:00Z", &[]).status.code(), Some(3));
    let hour = ["--now", "2026-11-24T13:20:00Z", "--since", "1h"];
    let table = report(&db, &hour);
    let text = String::from_utf8_lossy(&table.stdout).into_owned();
    assert_eq!(table.status.code(), Some(3), "{text}");
    let says = first(&table);
    assert!(says.starts_with("1 audit failed: ") && says.contains("127.0.0.1:1"), "{text}");
    assert!(says.contains("refused") && says.contains("(13:15)."), "{text}");
    assert!(!text.contains("no such cluster"), "{text}");
    let markdown = report(&db, &[&hour[..], &["-o", "markdown"]].concat());
    assert!(String::from_utf8_lossy(&markdown.stdout).starts_with("**1 audit failed: "), "{markdown:?}");
    let output = report(&db, &[&hour[..], &["-o", "json"]].concat());
    let document = json(&output);
    assert_eq!((output.status.code(), &document["exit_code"]), (Some(3), &3.into()));
    assert_eq!((&document["clusters"], document["failed"].as_array().unwrap().len()), (&Value::Array(vec![]), 1));
    assert_eq!(document["failed"][0]["at"], "2026-11-24T13:15:00Z");
    assert!(document["failed"][0]["why"].as_str().unwrap().contains("127.0.0.1:1"), "{document}");
    let lines = report(&db, &[&hour[..], &["-o", "jsonl"]].concat());
    assert!(lines.stdout.is_empty() && stderr(&lines).contains("1 audit failed: "), "{}", stderr(&lines));
    let later = report(&db, &["--now", "2026-11-24T13:20:00Z", "--since", "1m"]);
    assert_eq!(
        (later.status.code(), first(&later).as_str()),
        (Some(3), "No audit of this history has seen a cluster.")
    );
    let named = report(&db, &[&hour[..], &["--cluster", "x"]].concat());
    assert!(String::from_utf8_lossy(&named.stdout).contains("\nThe history knows no such cluster."), "{named:?}");

    // The first one that sees a cluster takes it.
    audit(&db, "2026-11-24T13:30:00Z");
    let taken = audits(&db, &["--now", "2026-11-24T13:35:00Z", "--since", "1h"]);
    assert_eq!((&taken["count"], &taken["failed"][0]["at"]), (&1.into(), &"2026-11-24T13:15:00Z".into()), "{taken}");
    let table = report(&db, &["--now", "2026-11-24T13:35:00Z", "--since", "1h"]);
    let text = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(table.status.code() == Some(1) && text.contains("13:15  1 audit failed: "), "{text}");
}
