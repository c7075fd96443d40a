//! What the operator says of the checks (`--severity-of`, `--ignore`, `--settings`), and `--capacity`, through the
//! binary on a capture of a golden datastore.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod servers;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::Value;
use servers::command::{ipaudit, json, stderr};
use servers::{Case, Etcd, EtcdVersion};

/// The golden case that has leaks, stale endpoints and much else; captured once for all tests.
fn capture() -> &'static Path {
    static FILE: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, file) = FILE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let (etcd, case) = (Etcd::start(EtcdVersion::V3_7), Case::load("leaked-pods"));
        case.moment().load_into(&etcd);
        let file = folder.path().join("capture");
        let mut command = ipaudit();
        command.args(["capture", "--etcd-endpoints", &etcd.endpoint(), "--settle", "100ms", "-f"]).arg(&file);
        command.args(["--now", &case.moment().captured_at, "--kube-objects"]).arg(&case.moment().cluster_file);
        assert_eq!(command.output().unwrap().status.code(), Some(0));
        (folder, file)
    });
    file
}

fn command(args: &[&str]) -> Command {
    let mut command = ipaudit();
    command.args(["audit", "--from"]).arg(capture()).args(args);
    command
}

fn audit(args: &[&str]) -> Output {
    command(args).output().unwrap()
}

/// Subjects of a code with their severity, from JSON.
fn found(document: &Value, code: &str) -> Vec<(String, String)> {
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    let findings = document["findings"].as_array().unwrap().iter().filter(|f| f["code"] == code);
    findings.map(|f| (text(&f["subject"]["id"]), text(&f["severity"]))).collect()
}

fn severities(document: &Value, code: &str) -> Vec<String> {
    let mut all: Vec<String> = found(document, code).into_iter().map(|(_, severity)| severity).collect();
    all.dedup();
    all
}

/// The codes that count for exit code 1 in this case.
const ERRORS: &str = "IPA110=warning,IPA501=note,IPA502=note,IPA503=note";

#[test]
fn a_severity_changes_what_is_shown_and_the_exit_code() {
    servers::need!(Etcd3_7);
    let plain = json(&audit(&["-o", "json"]));
    assert_eq!((severities(&plain, "IPA110"), &plain["exit_code"]), (vec!["error".to_owned()], &Value::from(1)));
    let changed = audit(&["-o", "json", "--severity-of", ERRORS]);
    let document = json(&changed);
    assert_eq!(severities(&document, "IPA110"), ["warning"]);
    assert_eq!(severities(&document, "IPA501"), ["note"]);
    assert_eq!((changed.status.code(), &document["exit_code"]), (Some(0), &Value::from(0)), "{}", stderr(&changed));
    let worse = json(&audit(&["-o", "json", "--severity-of", ERRORS, "--severity-of", "IPA113=critical"]));
    assert_eq!((severities(&worse, "IPA113"), &worse["exit_code"]), (vec!["critical".to_owned()], &Value::from(1)));
    assert_eq!(worse["findings"][0]["code"], "IPA113", "the worst comes first");
    let of_environment = command(&["-o", "json"]).env("IPAUDIT_SEVERITY_OF", ERRORS).output().unwrap();
    assert_eq!(json(&of_environment)["findings"], document["findings"]);
}

#[test]
fn an_ignore_hides_from_the_view_and_from_exit_1() {
    servers::need!(Etcd3_7);
    let all = json(&audit(&["-o", "json"]));
    let leaks = found(&all, "IPA110");
    let (one, rest) = leaks.split_first().unwrap();
    let some = audit(&["-o", "json", "--ignore", &format!("IPA110:{}", one.0)]);
    assert_eq!(found(&json(&some), "IPA110"), rest, "only the one that was named");
    assert_eq!(json(&some)["ignored"], 1);
    assert_eq!(stderr(&some), "", "an ignore that fits is no news");
    let most = audit(&["-o", "json", "--ignore", "IPA110:10.65.139.*,IPA501,IPA502,IPA503"]);
    let left = found(&json(&most), "IPA110");
    assert!(left.iter().all(|(subject, _)| !subject.starts_with("10.65.139.")) && !left.is_empty(), "{left:?}");
    let none = audit(&["-o", "json", "--ignore", "IPA110,IPA501,IPA502,IPA503"]);
    assert_eq!(none.status.code(), Some(0), "no error is left");
    let counts = |document: &Value| document["counts"]["leaked"].clone();
    assert_eq!(counts(&json(&none)), counts(&all), "what is leaked is leaked, ignored or not");
}

#[test]
fn an_ignore_that_matches_nothing_is_told() {
    servers::need!(Etcd3_7);
    let output = audit(&["--ignore", "IPA101,IPA110:192.168.*,IPA113"]);
    let expected = "the ignore IPA101 matches no finding: remove it\n\
                    the ignore IPA110:192.168.* matches no finding: remove it\n";
    assert_eq!(stderr(&output), expected);
    // 403 needs an earlier audit and did not run: nobody knows yet whether it matches.
    assert_eq!(stderr(&audit(&["--ignore", "IPA403"])), "");
}

#[test]
fn a_file_says_the_same_and_flags_win() {
    servers::need!(Etcd3_7);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ipaudit.toml");
    let text = r#"
        ignore = ["IPA501", { code = "IPA502", reason = "known since the upgrade" }, "IPA101"]
        [severity]
        IPA110 = "warning"
        IPA503 = "note"
    "#;
    std::fs::write(&file, text).unwrap();
    let path = file.to_str().unwrap();
    let of_flag = audit(&["-o", "json", "--settings", path]);
    let flags = ["--severity-of", "IPA110=warning,IPA503=note", "--ignore", "IPA501,IPA502,IPA101"];
    let of_flags = audit(&[&["-o", "json"], &flags[..]].concat());
    assert_eq!(json(&of_flag)["findings"], json(&of_flags)["findings"]);
    assert_eq!((of_flag.status.code(), of_flags.status.code()), (Some(0), Some(0)));
    assert_eq!(stderr(&of_flag), "the ignore IPA101 matches no finding: remove it\n");
    let of_environment = command(&["-o", "json"]).env("IPAUDIT_SETTINGS", path).output().unwrap();
    assert_eq!(json(&of_environment)["findings"], json(&of_flag)["findings"]);
    let both = audit(&["-o", "json", "--settings", path, "--severity-of", "IPA110=critical", "--ignore", "IPA113"]);
    assert_eq!((severities(&json(&both), "IPA110"), both.status.code()), (vec!["critical".to_owned()], Some(1)));
    assert_eq!((found(&json(&both), "IPA501"), found(&json(&both), "IPA113")), (vec![], vec![]), "ignores add up");
}

#[test]
fn what_nobody_can_mean_is_wrong_usage() {
    servers::need!(Etcd3_7);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ipaudit.toml");
    let refused = |text: &[u8]| {
        std::fs::write(&file, text).unwrap();
        let output = audit(&["--settings", file.to_str().unwrap()]);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{}", String::from_utf8_lossy(text));
        stderr(&output)
    };
    assert!(refused(b"\n[severity]\nIPA110 = \"bad\"").contains("line 2: \"bad\" is no severity"));
    assert!(refused(b"ignore = [\"IPA999\"]").contains("no check has the code IPA999"));
    assert!(refused(b"ignored = []").contains("line 1: unknown field `ignored`"));
    assert!(refused(b"\xff\xfe").contains("cannot read the settings"));
    let missing = audit(&["--settings", "/nonexistent/ipaudit.toml"]);
    assert!(stderr(&missing).contains("/nonexistent/ipaudit.toml"), "{}", stderr(&missing));
    for wrong in [["--ignore", "leaks"], ["--severity-of", "IPA110"], ["--severity-of", "IPA110=low"]] {
        assert_eq!(audit(&wrong).status.code(), Some(2), "{wrong:?}");
    }
}

/// What could not be read or decoded stays exit code 3, whatever is ignored.
#[test]
fn ignoring_never_hides_what_is_incomplete() {
    servers::need!(Etcd3_7);
    let (etcd, case) = (Etcd::start(EtcdVersion::V3_7), Case::load("undecodable"));
    case.moment().load_into(&etcd);
    let mut command = ipaudit();
    command.args(["audit", "--etcd-endpoints", &etcd.endpoint(), "--settle", "50ms", "--ignore", "IPA901"]);
    command.args(["--now", &case.moment().captured_at, "--kube-objects"]).arg(&case.moment().cluster_file);
    let output = command.args(["-o", "json"]).output().unwrap();
    assert_eq!((output.status.code(), found(&json(&output), "IPA901")), (Some(3), vec![]), "{}", stderr(&output));
}

/// The history keeps what was found: an ignored finding too, and the severity that it was given.
#[test]
fn the_history_records_what_is_ignored() {
    servers::need!(Etcd3_7);
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("history.db");
    let recorded = |args: &[&str]| {
        let mut command = command(args);
        let output = command.env_remove("IPAUDIT_NO_HISTORY").arg("--db").arg(&db).output().unwrap();
        assert!(matches!(output.status.code(), Some(0 | 1)), "{}", stderr(&output));
    };
    let report_of = |args: &[&str]| {
        let mut command = ipaudit();
        command.args(["report", "--since", "2000-01-01T00:00:00Z", "-o", "json", "--db"]).arg(&db).args(args);
        command.output().unwrap()
    };
    let report = || json(&report_of(&[]))["clusters"][0].clone();
    recorded(&["--ignore", "IPA110"]);
    let first = report();
    assert_eq!(severities(&first, "IPA110"), ["error"], "{first}");
    recorded(&["--severity-of", "IPA110=note"]);
    let second = report();
    assert_eq!(severities(&second, "IPA110"), ["note"], "{second}");
    assert_eq!(found(&first, "IPA110").len(), found(&second, "IPA110").len());
    // A report leaves out what is ignored when it is asked for, and says so.
    let without = report_of(&["--ignore", "IPA110:10.65.*,IPA501,IPA502,IPA503"]);
    assert_eq!((found(&json(&without)["clusters"][0], "IPA110"), without.status.code()), (vec![], Some(0)));
    let by = json(&without)["narrowed_by"].to_string();
    assert!(by.contains("--ignore 'IPA110:10.65.*'") && by.contains("--ignore IPA501"), "{by}");
}

#[test]
fn capacity_in_full() {
    servers::need!(Etcd3_7);
    let document = json(&audit(&["-o", "json"]));
    let pool = &document["pools"][0];
    let number = |v: &Value| v.as_u64().unwrap_or_else(|| panic!("{v} in {pool}"));
    let parts = ["allocated", "cooling", "reserved", "free", "unknown"].map(|part| number(&pool[part]));
    assert_eq!(parts.iter().sum::<u64>(), number(&pool["addresses"]), "every address is counted once: {pool}");
    assert!(number(&pool["in_use"]) + number(&pool["leaked"]) <= number(&pool["allocated"]));
    for name in ["blocks", "existing_blocks", "ownerless_blocks"] {
        number(&pool[name]);
    }
    let blocks = ["free", "absent", "empty", "reclaimable", "stranded"].map(|n| number(&pool[format!("{n}_blocks")]));
    let [free, absent, empty, reclaimable, stranded] = blocks;
    assert_eq!((free, empty), (absent + reclaimable, reclaimable + stranded), "{pool}");
    let nodes = document["nodes"].as_array().unwrap();
    let allocated: Vec<u64> = nodes.iter().map(|n| number(&n["allocated"])).collect();
    assert!(allocated.is_sorted_by(|a, b| a >= b) && allocated[0] > 0, "the biggest first: {allocated:?}");

    // A line that is too long for the terminal goes on behind four spaces.
    let text = String::from_utf8(audit(&["--capacity"]).stdout).unwrap().replace("\n    ", "  ");
    let line =
        |start: &str| text.lines().find(|l| l.trim_start().starts_with(start)).unwrap_or_else(|| panic!("{text}"));
    for word in ["allocated", "in use", "leaked", "cooling", "reserved", "free"] {
        assert!(line("addresses").contains(word), "{word}: {text}");
    }
    for word in ["absent", "reclaimable", "ownerless", "exist"] {
        assert!(line("blocks ").contains(word), "{word}: {text}");
    }
    let biggest = nodes[0]["name"].as_str().unwrap();
    assert!(line(biggest).contains("blocks") && line(biggest).contains("allocated"), "{text}");
    let short = String::from_utf8(audit(&[]).stdout).unwrap();
    assert!(short.contains("blocks free") && !short.contains("NODES"), "the head has the short form: {short}");
}

/// A folder as `XDG_CONFIG_HOME` names it, with these settings.
fn config_home(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("ipaudit")).unwrap();
    std::fs::write(folder.path().join("ipaudit/settings.toml"), text).unwrap();
    folder
}

#[test]
fn a_file_is_found_where_nobody_names_one() {
    servers::need!(Etcd3_7);
    let folder = config_home("[severity]\nIPA110 = \"critical\"\n");
    let found = |args: &[&str], variable: &str, value: &Path| {
        let output = command(args).args(["-o", "json", "-v"]).env(variable, value).output().unwrap();
        (severities(&json(&output), "IPA110").remove(0), stderr(&output))
    };
    let file = folder.path().join("ipaudit/settings.toml");
    let (severity, says) = found(&[], "XDG_CONFIG_HOME", folder.path());
    assert_eq!(severity, "critical");
    assert!(says.contains(&format!("settings from {}", file.display())), "{says}");
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".config")).unwrap();
    std::fs::rename(folder.path().join("ipaudit"), home.path().join(".config/ipaudit")).unwrap();
    assert_eq!(found(&[], "HOME", home.path()).0, "critical");
    let (severity, says) = found(&[], "HOME", folder.path());
    assert!(severity == "error" && says.contains("/etc/ipaudit/settings.toml"), "{says}");
    // A file that is named is the only one, and /dev/null says nothing.
    let (severity, says) = found(&["--settings", "/dev/null"], "HOME", home.path());
    assert!(severity == "error" && says.contains("settings from /dev/null"), "{says}");
    assert_eq!(found(&["--severity-of", "IPA110=note"], "HOME", home.path()).0, "note", "a flag wins");
}

#[test]
fn a_found_file_that_says_nonsense_is_refused() {
    servers::need!(Etcd3_7);
    let folder = config_home("ignores = []");
    let output = command(&[]).env("XDG_CONFIG_HOME", folder.path()).output().unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    assert!(stderr(&output).contains("ipaudit/settings.toml"), "{}", stderr(&output));
}

#[test]
fn an_ignore_ends_with_its_day() {
    servers::need!(Etcd3_7);
    let folder = config_home("ignore = [{ code = \"IPA110\", reason = \"the lab\", until = 2026-12-31 }]");
    let at = |now: &str| {
        let mut command = command(&["-o", "json", "--now", now]);
        let output = command.env("XDG_CONFIG_HOME", folder.path()).output().unwrap();
        (found(&json(&output), "IPA110").len(), json(&output)["warnings"].to_string(), stderr(&output))
    };
    let (leaks, _, says) = at("2026-12-31T23:59:59Z");
    assert!(leaks == 0 && !says.contains("2026-12-31"), "{says}");
    let (leaks, warnings, says) = at("2027-01-01T00:00:00Z");
    let told = "the ignore IPA110 (the lab) held until 2026-12-31 and does not hold any more: remove it";
    assert!(leaks > 0 && says.contains(told) && warnings.contains(told), "{leaks} {says}");
}
