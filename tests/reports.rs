//! States made after public bug reports (`tests/reports`): each gives exactly what the catalogue says of it.
//!
//! Through the binary and real etcd servers, and from captures. `expect` is complete: nothing else may be reported
//! but what `allow` lists.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod servers;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use ipaudit::model::Time;
use serde_json::Value;
use servers::command::{ipaudit, json, stderr};
use servers::golden::{self, Case, Expected, Moment};
use servers::{Etcd, EtcdVersion};

type Found = BTreeSet<(String, String)>;

fn command(verb: &str, etcd: &Etcd, moment: &Moment, now: &str) -> Command {
    let mut command = ipaudit();
    command.args([verb, "--etcd-endpoints", &etcd.endpoint(), "--now", now, "--settle", "50ms"]);
    command.arg("--kube-objects").arg(&moment.cluster_file);
    command
}

/// Code and subject of every finding.
fn found(document: &Value) -> Found {
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    let findings = document["findings"].as_array().unwrap();
    findings.iter().map(|f| (text(&f["code"]), text(&f["subject"]["id"]))).collect()
}

fn listed<'a>(lists: impl IntoIterator<Item = &'a Vec<Expected>>) -> Found {
    lists.into_iter().flatten().map(|e| (e.code.clone(), e.subject.clone())).collect()
}

/// What is missing and what is too much, in a line each.
fn unlike(found: &Found, wanted: &Found, allowed: &Found, what: &str) -> Vec<String> {
    let missing = wanted.difference(found).map(|(code, id)| format!("{what}: missing {code} {id:?}"));
    let more = found.iter().filter(|f| !wanted.contains(f) && !allowed.contains(f));
    missing.chain(more.map(|(code, id)| format!("{what}: unexpected {code} {id:?}"))).collect()
}

/// Whether the case's objects hold every kind: a plain host's datastore has no pods and no nodes beside it, and what
/// no file holds was not asked for.
fn all_kinds(moment: &Moment) -> bool {
    let items = moment.cluster["items"].as_array().unwrap();
    ["Pod", "Node", "Service"].iter().all(|kind| items.iter().any(|item| item["kind"] == *kind))
}

/// Exit code by what was found: the datastore of another cluster, or a value that does not decode, is incomplete.
fn exit_code(document: &Value, moment: &Moment) -> i32 {
    let findings = document["findings"].as_array().unwrap();
    let of = |codes: &[&str]| findings.iter().any(|f| codes.contains(&f["code"].as_str().unwrap()));
    let bad = findings.iter().any(|f| matches!(f["severity"].as_str(), Some("error" | "critical")));
    if of(&["IPA901", "IPA905"]) || !all_kinds(moment) { 3 } else { i32::from(bad) }
}

/// Audits a moment and says how it differs from what must be found.
fn check(output: &Output, moment: &Moment, name: &str) -> Vec<String> {
    let document = json(output);
    let mut failures = unlike(&found(&document), &listed([&moment.expect]), &listed([&moment.allow]), name);
    let (code, wanted) = (output.status.code(), exit_code(&document, moment));
    if code != Some(wanted) || document["exit_code"] != wanted {
        failures.push(format!("{name}: exit {code:?}, not {wanted}: {}", stderr(output)));
    }
    failures
}

fn every_report(version: EtcdVersion) {
    let etcd = Etcd::start(version);
    let folder = tempfile::tempdir().unwrap();
    let mut failures = Vec::new();
    let cases = Case::reports();
    assert!(cases.len() >= 18, "the cases are missing");
    for case in &cases {
        for (i, moment) in case.moments.iter().enumerate() {
            let name = format!("{}[{i}]", case.name);
            moment.load_into(&etcd);
            let audit =
                |more: &[&str]| command("audit", &etcd, moment, &moment.captured_at).args(more).output().unwrap();
            failures.extend(check(&audit(&["-o", "json"]), moment, &name));
            let file = folder.path().join(&name);
            let captured =
                command("capture", &etcd, moment, &moment.captured_at).arg("-f").arg(&file).output().unwrap();
            let code = if all_kinds(moment) { 0 } else { 3 };
            assert_eq!(captured.status.code(), Some(code), "{name}: {captured:?}");
            let from = ipaudit().args(["audit", "-o", "json", "--from"]).arg(&file).output().unwrap();
            failures.extend(check(&from, moment, &format!("{name} from its capture")));
            if !moment.expect_with_history.is_empty() {
                failures.extend(again(&etcd, moment, &name, folder.path()));
            }
        }
    }
    assert!(failures.is_empty(), "{} differences:\n{}", failures.len(), failures.join("\n"));
}

/// The same data two hours later, with the first audit in the history.
fn again(etcd: &Etcd, moment: &Moment, name: &str, folder: &Path) -> Vec<String> {
    let db = folder.join(format!("{name}.db"));
    let audit = |now: &str| {
        let mut command = command("audit", etcd, moment, now);
        let output = command.env_remove("IPAUDIT_NO_HISTORY").args(["-o", "json", "--db"]).arg(&db).output().unwrap();
        found(&json(&output))
    };
    let captured = Time::parse_rfc3339(&moment.captured_at).unwrap();
    audit(&moment.captured_at);
    let seen = audit(&Time(captured.0 + 2 * 3_600 * 1_000_000_000).to_rfc3339());
    let wanted = listed([&moment.expect, &moment.expect_with_history]);
    unlike(&seen, &wanted, &listed([&moment.allow]), &format!("{name}, two hours later"))
}

#[test]
fn every_report_through_etcd_3_4() {
    servers::need!(Etcd3_4);
    every_report(EtcdVersion::V3_4);
}

#[test]
fn every_report_through_etcd_3_7() {
    servers::need!(Etcd3_7);
    every_report(EtcdVersion::V3_7);
}

/// One case in a fresh etcd, audited with these flags.
fn audit(name: &str, args: &[&str]) -> Output {
    let case = Case::reports().into_iter().find(|case| case.name == name).unwrap();
    let etcd = Etcd::start(EtcdVersion::V3_7);
    case.load_into(&etcd);
    command("audit", &etcd, case.moment(), &case.moment().captured_at).args(args).output().unwrap()
}

/// Blocks of two addresses at Calico v3.26: kube-controllers gives none of the empty ones back.
#[test]
fn only_blocks_that_a_new_node_can_get_are_free() {
    servers::need!(Etcd3_7);
    let document = json(&audit("blocks-of-two", &["-o", "json"]));
    let blocks = ["", "free_", "absent_", "empty_", "reclaimable_", "stranded_"].map(|which| {
        let name = format!("{which}blocks");
        document["pools"][0][&name].as_u64().unwrap_or_else(|| panic!("{name} in {}", document["pools"][0]))
    });
    assert_eq!(blocks, [32, 20, 20, 6, 0, 6]);
    for (args, says) in [
        (&[][..], "20 of 32 blocks free  6 empty on other nodes"),
        (&["--capacity"], "20 absent  0 reclaimable  0 ownerless  12 exist  6 empty on other nodes"),
    ] {
        let text = String::from_utf8(audit("blocks-of-two", args).stdout).unwrap();
        assert!(text.contains(says), "{text}");
    }
    let stranded = json(&audit("stranded-blocks-strict", &["-o", "json"]));
    let finding = &stranded["findings"][0];
    assert_eq!((&finding["code"], &finding["severity"]), (&"IPA602".into(), &"error".into()));
    assert!(finding["summary"].as_str().unwrap().contains("(2 empty on other nodes)"), "{finding:#}");
    assert_eq!(finding["evidence"]["calico_version"], "v3.26.1");
}

/// `kubectl delete pod` while CNI refuses DEL and ADD leaves the pod down.
#[test]
fn a_locked_datastore_is_unlocked_before_pods_are_restarted() {
    servers::need!(Etcd3_7);
    let document = json(&audit("locked-and-unallocated", &["-o", "json"]));
    let finding = document["findings"].as_array().unwrap().iter().find(|f| f["code"] == "IPA120").unwrap();
    assert_eq!(finding["next"][0], "calicoctl get clusterinformation default -o yaml", "{finding:#}");
    assert_eq!(finding["next"][1], "calicoctl datastore migrate unlock", "{finding:#}");
    assert!(finding["advice"].as_str().unwrap().starts_with("unlock the datastore first (IPA902)"), "{finding:#}");
    let text = String::from_utf8(audit("locked-and-unallocated", &[]).stdout).unwrap();
    assert!(text.contains("unlock the datastore first"), "{text}");
}

/// The copies in the repository are the cases as they were handed over, when the original folder is at hand.
#[test]
fn the_copies_are_the_originals() {
    let Some(original) = std::env::var_os("IPAUDIT_REPORTS") else { return };
    assert_eq!(golden::drift(golden::REPORTS, Path::new(&original)), None);
}
