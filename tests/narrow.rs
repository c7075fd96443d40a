//! `audit --node`, `--namespace` and `--pool`, and `who -n`, through the binary on the capture of a real incident: they
//! narrow the view and exit code 1, never the history, and a name that nobody has seen is no all-clear.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod servers;

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use servers::command::{ipaudit, json, stderr};

const CAPTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/incident-2017/capture.gz");

fn run(command: &str, args: &[&str]) -> Output {
    ipaudit().args([command, "--from", CAPTURE]).args(args).output().unwrap()
}

fn audit(args: &[&str]) -> Output {
    run("audit", args)
}

/// An audit that is recorded.
fn recorded(db: &Path, args: &[&str]) -> Output {
    let mut command = ipaudit();
    command.env_remove("IPAUDIT_NO_HISTORY").args(["audit", "--from", CAPTURE, "--db"]).arg(db);
    command.args(args).output().unwrap()
}

fn findings(output: &Output) -> Vec<Value> {
    json(output)["findings"].as_array().unwrap().clone()
}

/// Whether a finding belongs there, or its evidence names it: the one pool of the capture has all of its addresses.
fn is_of(finding: &Value, field: &str, name: &str) -> bool {
    let evidence = finding["evidence"].to_string();
    let named = match field {
        "namespace" => format!("\"{name}/"),
        "pool" => "\"192.168.".to_owned(),
        _ => format!("\"{name}\""),
    };
    finding[field] == name || evidence.contains(&named)
}

/// A duplicate hits every holder: each namespace that has pods to restart is shown it, and exit 1 is theirs.
#[test]
fn nobody_whom_a_finding_hits_is_told_that_all_is_well() {
    for namespace in ["adqsdxadc", "dlojyolgh", "abcdw-prod", "xxxxxxxxplatform"] {
        let output = audit(&["-n", namespace, "--code", "IPA101"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.starts_with("CRITICAL: duplicate pod address 192.168.91.33 (IPA101)"), "{namespace}: {text}");
        assert_eq!(output.status.code(), Some(1), "{namespace}");
    }
    // The history knows it as well, from the evidence that it keeps.
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("history.db");
    recorded(&db, &["--now", "2026-11-24T13:00:00Z"]);
    let report = |namespace: &str| {
        let mut command = ipaudit();
        command.args(["report", "--now", "2026-11-24T13:05:00Z", "-o", "json", "-n", namespace, "--db"]).arg(&db);
        let output = command.output().unwrap();
        let codes: Vec<Value> = json(&output)["clusters"][0]["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|finding| finding["code"].clone())
            .collect();
        (codes, output.status.code())
    };
    let (codes, exit) = report("dlojyolgh");
    assert!(codes.contains(&"IPA101".into()) && exit == Some(1), "{codes:?} {exit:?}");
}

#[test]
fn a_place_narrows_the_view_and_exit_1() {
    let all = audit(&["-o", "json"]);
    for (flag, field, name) in [
        ("--node", "node", "slave-57"),
        ("--namespace", "namespace", "adqsdxadc"),
        ("-n", "namespace", "olef-idalijn-adcbackend"),
        ("--pool", "pool", json(&all)["pools"][0]["name"].as_str().unwrap()),
    ] {
        let narrowed = audit(&["-o", "json", flag, name]);
        let wanted: Vec<Value> = findings(&all).into_iter().filter(|f| is_of(f, field, name)).collect();
        assert!(!wanted.is_empty(), "{flag} {name}");
        assert_eq!(findings(&narrowed), wanted, "{flag} {name}");
        assert_eq!(narrowed.status.code(), Some(1), "{flag} {name}");
        let document = json(&narrowed);
        assert_eq!(document["narrowed_by"], json!([format!("--{field} {name}")]));
        assert_eq!((&document["unknown"], &document["counts"]), (&json!([]), &json(&all)["counts"]));
    }
    // A pool is meant by its range too.
    let pool = &json(&all)["pools"][0];
    let of_pool = |word: &str| findings(&audit(&["-o", "json", "--pool", word]));
    assert_eq!(of_pool(pool["cidr"].as_str().unwrap()), of_pool(pool["name"].as_str().unwrap()));
    let one = findings(&audit(&["-o", "json", "-n", "dlojyolgh"]));
    assert!(one.len() < findings(&all).len() && one.iter().all(|f| is_of(f, "namespace", "dlojyolgh")), "{one:?}");
    // A node that is known and has nothing wrong.
    let innocent = audit(&["-o", "json", "--node", "slave-57", "--code", "IPA101"]);
    assert_eq!((innocent.status.code(), findings(&innocent).len()), (Some(0), 0));
}

#[test]
fn a_name_that_nobody_has_seen_is_told_first_and_exits_with_3() {
    for (flag, wrong, says) in [
        ("--node", "slave-14", "Neither cluster nor history knows the node slave-14 (did you mean slave-"),
        ("--node", "nosuch\r", r"Neither cluster nor history knows the node nosuch\r."),
        ("--namespace", "adqsdxad", "Neither cluster nor history knows the namespace adqsdxad (did you mean adqsdxadc"),
        ("--pool", "nosuch-at-all", "Neither cluster nor history knows the pool nosuch-at-all"),
        // Host bits: an address is no range.
        (
            "--pool",
            "192.168.0.5/16",
            "Neither cluster nor history knows the pool 192.168.0.5/16 (did you mean 192.168.0.0/16?)",
        ),
    ] {
        for format in ["table", "wide", "name", "json", "yaml", "jsonl", "sarif"] {
            let output = audit(&["-o", format, flag, wrong]);
            assert_eq!(output.status.code(), Some(3), "{format} {flag} {wrong}: {}", stderr(&output));
            let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
            match format {
                "table" => assert!(stdout.replace("\n  ", " ").starts_with(says), "{stdout}"),
                _ => assert!(stderr(&output).contains(says), "{format}: {}", stderr(&output)),
            }
            if format == "json" {
                let unknown = &json(&output)["unknown"][0];
                assert_eq!((&unknown["kind"], &unknown["name"]), (&flag[2..].into(), &wrong.into()));
            }
        }
        let quiet = audit(&["--quiet", flag, wrong]);
        assert!(String::from_utf8_lossy(&quiet.stdout).replace("\n  ", " ").starts_with(says), "{quiet:?}");
    }
}

/// A node that is gone, and was there when an audit looked.
#[test]
fn what_the_history_has_seen_is_known_and_narrowing_keeps_nothing_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("history.db");
    let whole = recorded(&db, &["--now", "2026-11-24T13:00:00Z", "-o", "json"]);
    let history = rusqlite::Connection::open(&db).unwrap();
    let open = || -> i64 {
        history.query_row("SELECT count(*) FROM finding WHERE ended IS NULL", [], |row| row.get(0)).unwrap()
    };
    let before = open();
    assert_eq!(i64::try_from(findings(&whole).len()).unwrap(), before);
    let narrowed = recorded(&db, &["--now", "2026-11-24T13:15:00Z", "-o", "json", "--node", "slave-999"]);
    assert_eq!((narrowed.status.code(), open()), (Some(3), before), "{}", stderr(&narrowed));
    history
        .execute_batch(
            "INSERT INTO name (text) VALUES ('slave-999');
             INSERT INTO node (pair, name, ours) SELECT pair.id, name.id, 1 FROM pair, name WHERE text = 'slave-999';",
        )
        .unwrap();
    let narrowed = recorded(&db, &["--now", "2026-11-24T13:30:00Z", "-o", "json", "--node", "slave-999"]);
    assert_eq!((narrowed.status.code(), open()), (Some(0), before), "{}", stderr(&narrowed));
    // Without the history nobody knows it.
    assert_eq!(audit(&["--node", "slave-999"]).status.code(), Some(3));
    let report = ipaudit()
        .args(["report", "--now", "2026-11-24T14:00:00Z", "-o", "json", "-n", "adqsdxadc", "--db"])
        .arg(&db)
        .output()
        .unwrap();
    let of = json(&report)["clusters"][0]["findings"].as_array().unwrap().clone();
    let told = |f: &Value| (f["code"].clone(), f["subject"]["id"].clone());
    let in_audit: Vec<Value> = findings(&whole).into_iter().filter(|f| is_of(f, "namespace", "adqsdxadc")).collect();
    assert!(!of.is_empty(), "what the audit shows of it, the report does");
    assert_eq!(of.iter().map(told).collect::<Vec<_>>(), in_audit.iter().map(told).collect::<Vec<_>>());
    // A pool by its range; with host bits it is none's, and the one that it lies in may have been meant.
    let of_pool = |range: &str| {
        let report = ["report", "--now", "2026-11-24T14:00:00Z", "-o", "json", "--pool", range, "--db"];
        json(&ipaudit().args(report).arg(&db).output().unwrap())["clusters"][0].clone()
    };
    let cluster = of_pool("192.168.0.0/16");
    assert!(!cluster["findings"].as_array().unwrap().is_empty() && cluster["unknown"] == json!([]), "{cluster:#}");
    assert_eq!(cluster["pools"][0]["cidr"], "192.168.0.0/16");
    let unknown = &of_pool("192.168.0.5/16")["unknown"][0];
    assert_eq!((&unknown["name"], &unknown["near"]), (&"192.168.0.5/16".into(), &json!(["192.168.0.0/16"])));
}

#[test]
fn who_takes_a_namespace_for_pods_and_what_o_name_prints() {
    let pods = |args: &[&str]| {
        let output = run("who", &[args, &["-o", "json"]].concat());
        let document: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let matches = document["matches"].as_array().cloned().unwrap_or_default();
        (output.status.code(), matches.iter().map(|m| m["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>())
    };
    let of_any = pods(&["fox-1"]);
    assert_eq!(of_any.1, ["abcdjiand/fox-1"]);
    assert_eq!(pods(&["fox-1", "-n", "abcdjiand"]), of_any);
    assert_eq!(pods(&["fox-1", "--namespace", "nosuch"]), (Some(2), vec![]), "nobody has heard of it");
    // A node is of no namespace.
    assert_eq!(pods(&["slave-57", "-n", "nosuch"]).1, pods(&["slave-57"]).1);
    let names = String::from_utf8(audit(&["-o", "name"]).stdout).unwrap();
    let mut taken = 0;
    for name in names.lines().filter(|name| name.starts_with("address/")) {
        let (status, matches) = pods(&[name]);
        assert!(status == Some(1) && !matches.is_empty(), "{name}: {status:?}");
        taken += 1;
    }
    assert!(taken > 1, "{names}");
}
