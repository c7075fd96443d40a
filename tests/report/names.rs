//! A report that is narrowed to a name that no audit has seen is no all-clear.

use std::path::{Path, PathBuf};
use std::process::Output;

use crate::report;
use crate::servers::command::{ipaudit, json, stderr};

pub const CAPTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/incident-2017/capture.gz");
const NOW: &str = "2026-11-24T13:05:00Z";

/// One audit of the incident at this time.
pub fn audit(db: &Path, now: &str) {
    let mut command = ipaudit();
    command.env_remove("IPAUDIT_NO_HISTORY").args(["audit", "--from", CAPTURE, "--now", now, "--db"]).arg(db);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
}

pub fn history() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("history.db");
    audit(&db, "2026-11-24T13:00:00Z");
    (folder, db)
}

pub fn first(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // A long first sentence goes on in lines that hang.
    let lines = text.lines().enumerate().take_while(|(at, line)| *at == 0 || line.starts_with("  "));
    lines.map(|(_, line)| line.trim()).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_name_that_no_audit_has_seen_is_told_first_and_exits_with_3_in_every_format() {
    let (_folder, db) = history();
    for (flag, wrong, says) in [
        ("--node", "slave-14", "The history knows no node slave-14 (did you mean slave-1"),
        ("--node", "nosuch\r", r"The history knows no node nosuch\r."),
        ("--namespace", "adqsdxad", "The history knows no namespace adqsdxad (did you mean adqsdxadc"),
        ("--pool", "192.168.0.0", "The history knows no pool 192.168.0.0"),
        // It needs an earlier audit, and this was the first.
        ("--code", "IPA903", "No audit of this history has looked for IPA903."),
    ] {
        let of = |format: &str| report(&db, &["--now", NOW, flag, wrong, "-o", format]);
        let [table, markdown, document, lines] = ["table", "markdown", "json", "jsonl"].map(of);
        for output in [&table, &markdown, &document, &lines] {
            assert_eq!(output.status.code(), Some(3), "{flag} {wrong}: {}", stderr(output));
            assert!(!String::from_utf8_lossy(&output.stdout).contains("Nothing is open"), "{flag} {wrong}");
        }
        assert!(first(&table).starts_with(says), "{}", first(&table));
        assert!(first(&table).contains("This is no all-clear."), "{}", first(&table));
        let bold = String::from_utf8_lossy(&markdown.stdout).lines().nth(2).unwrap().to_owned();
        assert!(bold.starts_with("**") && bold.contains("all-clear"), "{bold}");
        let unknown = &json(&document)["clusters"][0]["unknown"][0];
        assert_eq!((&unknown["kind"], &unknown["name"]), (&flag[2..].into(), &wrong.into()));
        assert!(lines.stdout.is_empty(), "a line is a finding");
        for output in [&document, &lines] {
            assert!(stderr(output).contains(says), "{}", stderr(output));
        }
    }
    let two = report(&db, &["--now", NOW, "--node", "x", "--pool", "y"]);
    assert!(first(&two).starts_with("The history knows no node x. The history knows no pool y. "), "{}", first(&two));
    let cluster = report(&db, &["--now", NOW, "--cluster", "nosuch", "-o", "jsonl"]);
    assert_eq!((cluster.status.code(), stderr(&cluster).contains("no such cluster")), (Some(3), true));
}

#[test]
fn a_name_that_an_audit_has_seen_is_answered_as_ever() {
    let (_folder, db) = history();
    for args in [&["--node", "slave-140"][..], &["--namespace", "adqsdxadc"], &["--code", "IPA101"]] {
        let output = report(&db, &[&["--now", NOW], args].concat());
        assert_eq!(output.status.code(), Some(1), "{args:?}: {}", stderr(&output));
        assert!(first(&output).starts_with("Open: "), "{args:?}: {}", first(&output));
        let document = json(&report(&db, &[&["--now", NOW, "-o", "json"], args].concat()));
        assert_eq!(document["clusters"][0]["unknown"], serde_json::json!([]));
    }
    // Nothing about it, and yet it is known: that is an all-clear.
    let quiet = report(&db, &["--now", NOW, "--since", "5m", "--code", "IPA301"]);
    assert_eq!(
        (quiet.status.code(), first(&quiet).as_str()),
        (Some(0), "Nothing began, nothing ended, nothing is open.")
    );
}

/// Nobody looked before the first audit of all: silence about that time proves nothing.
#[test]
fn a_report_that_begins_before_its_history_says_so() {
    let (_folder, db) = history();
    let of = |format: &str| report(&db, &["--now", NOW, "--code", "IPA301", "-o", format]);
    let [table, markdown, document] = ["table", "markdown", "json"].map(of);
    assert_eq!(first(&table), "Nothing began, nothing ended, nothing is open. Unseen: 23h 55m without an audit.");
    let text = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let says = "nobody looked before 24 Nov 13:00: the history begins there";
    assert!(text(&table).contains(says), "{}", text(&table));
    let says = "nobody looked before 2026-11-24 13:00: the history begins there";
    assert!(text(&markdown).contains(says), "{}", text(&markdown));
    assert_eq!(
        json(&document)["clusters"][0]["audits"]["gaps"],
        serde_json::json!([{"from": "2026-11-23T13:05:00Z", "to": "2026-11-24T13:00:00Z"}])
    );
}

/// Findings name a node as Kubernetes does; whoever asks by Calico's name means the same machine.
#[test]
fn calicos_name_of_a_node_means_the_node() {
    let (_folder, db) = history();
    let by = |node: &str| {
        let document = json(&report(&db, &["--now", NOW, "-o", "json", "--node", node]));
        document["clusters"][0]["findings"].as_array().unwrap().len()
    };
    let wanted = by("slave-140");
    assert!(wanted > 0);
    let raw = rusqlite::Connection::open(&db).unwrap();
    raw.execute_batch(
        "INSERT INTO name (text) VALUES ('calico-140'); UPDATE node_state SET calico = (SELECT id FROM name WHERE text = \
         'calico-140') WHERE kubernetes = (SELECT id FROM name WHERE text = 'slave-140')",
    )
    .unwrap();
    drop(raw);
    assert_eq!(by("calico-140"), wanted);
}
