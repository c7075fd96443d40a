//! `ipaudit report` on histories that audits made: what is new, what stays, what ended, and the exit code.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "report/advice.rs"]
mod advice;
#[path = "report/failed.rs"]
mod failed;
#[path = "report/morning.rs"]
mod morning;
#[path = "report/names.rs"]
mod names;
#[path = "report/promises.rs"]
mod promises;
mod servers;
#[path = "report/urgent.rs"]
mod urgent;

use std::path::Path;
use std::process::Output;

use serde_json::Value;
use servers::command::{ipaudit, json, stderr};
use servers::{Case, Etcd, EtcdVersion};

/// One audit of the golden case that is in `etcd`, judged at `now`, recorded in `db`.
fn audit(etcd: &Etcd, case: &Case, db: &Path, now: &str) {
    let mut command = ipaudit();
    command.env_remove("IPAUDIT_NO_HISTORY").args(["audit", "--settle", "50ms", "--now", now, "--db"]).arg(db);
    command.args(["--etcd-endpoints", &etcd.endpoint(), "--fail-on", "never", "--kube-objects"]);
    let output = command.arg(&case.moment().cluster_file).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

fn report(db: &Path, args: &[&str]) -> Output {
    ipaudit().args(["report", "--db"]).arg(db).args(args).output().unwrap()
}

fn subjects(document: &Value, section: &str, code: &str) -> Vec<String> {
    let findings = document["clusters"][0]["findings"].as_array().unwrap();
    let wanted = findings.iter().filter(|f| f["section"] == section && f["code"] == code);
    wanted.map(|f| f["subject"]["id"].as_str().unwrap().to_owned()).collect()
}

/// A golden case in an etcd of its own, and a folder for the history.
fn loaded(name: &str) -> (Etcd, Case, tempfile::TempDir) {
    let (etcd, case) = (Etcd::start(EtcdVersion::V3_7), Case::load(name));
    case.moment().load_into(&etcd);
    (etcd, case, tempfile::tempdir().unwrap())
}

#[test]
fn new_then_ongoing_then_ended() {
    servers::need!(Etcd3_7);
    let (etcd, case, folder) = loaded("two-clusters");
    let db = folder.path().join("history.db");
    audit(&etcd, &case, &db, "2026-11-24T13:00:00Z");
    let first = report(&db, &["--now", "2026-11-24T13:01:00Z", "--since", "1h", "-o", "json"]);
    assert_eq!(
        (first.status.code(), subjects(&json(&first), "new", "IPA110")),
        (Some(1), vec!["10.76.247.2".to_owned()])
    );

    audit(&etcd, &case, &db, "2026-11-24T15:00:00Z");
    let second = report(&db, &["--now", "2026-11-24T15:01:00Z", "--since", "1h", "-o", "json"]);
    let document = json(&second);
    assert_eq!(subjects(&document, "ongoing", "IPA110"), ["10.76.247.2"]);
    assert_eq!(subjects(&document, "new", "IPA904").len(), 1, "{document}");

    // The leaked allocation, its endpoint and handle go: the leak has ended by itself.
    let endpoint =
        "/calico/resources/v3/projectcalico.org/workloadendpoints/shop/node--2-k8s-web--6d4cf56db6--thrtm-eth0";
    assert!(etcd.delete(endpoint));
    let key = "/calico/ipam/v2/assignment/ipv4/block/10.76.247.0-26";
    let mut block: Value = serde_json::from_slice(&etcd.get(key).unwrap().value).unwrap();
    let attribute = block["allocations"][2].as_u64().unwrap() as usize;
    block["attributes"][attribute]["releasedAt"] = "2026-11-24T15:30:00Z".into();
    etcd.put(key, serde_json::to_vec(&block).unwrap());
    audit(&etcd, &case, &db, "2026-11-24T15:45:00Z");
    let third = report(&db, &["--now", "2026-11-24T15:46:00Z", "--since", "30m", "-o", "json"]);
    assert_eq!(subjects(&json(&third), "ended", "IPA110"), ["10.76.247.2"]);
    let ended = json(&third);
    let ended =
        ended["clusters"][0]["findings"].as_array().unwrap().iter().find(|f| f["code"] == "IPA110").unwrap().clone();
    assert_eq!((ended["state"].as_str(), ended["audits_seen"].as_u64()), (Some("resolved"), Some(2)));

    let table = report(&db, &["--now", "2026-11-24T15:46:00Z", "--since", "3h"]);
    let text = String::from_utf8_lossy(&table.stdout).into_owned();
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.starts_with("1 warning began 15:45 and is open: IPA201 orphaned-handle "), "{text}");
    assert!(flat.contains(" 1 error from before ended by 15:45: IPA501 stale-endpoint "), "{text}");
    assert!(flat.contains(" 10.176.10.0/24 retired (disabled) "), "{text}");
    let markdown =
        report(&db, &["--now", "2026-11-24T15:46:00Z", "--since", "3h", "--code", "IPA110", "-o", "markdown"]);
    let markdown = String::from_utf8_lossy(&markdown.stdout).into_owned();
    assert!(markdown.contains("\n- **IPA110 leaked-address** (error): 1 address on "), "{markdown}");
    assert!(markdown.contains("\n  - `10.76.247.2`"), "{markdown}");
    let only = report(&db, &["--now", "2026-11-24T15:46:00Z", "--code", "IPA101", "--since", "3h"]);
    assert_eq!(only.status.code(), Some(0), "{}", String::from_utf8_lossy(&only.stdout));
}

#[test]
fn no_history_and_a_window_without_audits() {
    servers::need!(Etcd3_7);
    let folder = tempfile::tempdir().unwrap();
    let none = report(&folder.path().join("none.db"), &[]);
    assert_eq!(none.status.code(), Some(2));
    assert!(stderr(&none).contains("ipaudit audit writes it"), "{}", stderr(&none));
    let etcd = Etcd::start(EtcdVersion::V3_7);
    let case = Case::load("clean-small");
    case.moment().load_into(&etcd);
    let db = folder.path().join("history.db");
    audit(&etcd, &case, &db, "2026-11-24T13:00:00Z");
    let quiet = report(&db, &["--now", "2026-11-24T13:05:00Z"]);
    assert_eq!(quiet.status.code(), Some(0), "{}", String::from_utf8_lossy(&quiet.stdout));
    let nobody = report(&db, &["--now", "2026-11-30T13:05:00Z"]);
    assert_eq!(nobody.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&nobody.stdout).starts_with("No audit in this time"));
    for wrong in [&["--since", "sometime"][..], &["--since", "1h", "--until", "2h"]] {
        assert_eq!(report(&db, wrong).status.code(), Some(2), "{wrong:?}");
    }
    for wrong in [&["--since", "-1h"][..], &["--since=-1h"], &["--until", "-90m"]] {
        let refused = report(&db, wrong);
        assert_eq!(refused.status.code(), Some(2), "{wrong:?}");
        assert!(stderr(&refused).contains("so long ago is said without a sign: "), "{}", stderr(&refused));
    }
}

/// Kubernetes' objects of a case, changed.
fn objects(folder: &Path, case: &Case, change: impl FnOnce(&mut Vec<Value>)) -> std::path::PathBuf {
    let mut list = case.moment().cluster.clone();
    change(list["items"].as_array_mut().unwrap());
    let file = folder.join("objects.json");
    std::fs::write(&file, serde_json::to_vec(&list).unwrap()).unwrap();
    file
}

fn is(item: &Value, kind: &str, name: &str) -> bool {
    item["kind"] == kind && item["metadata"]["name"] == name
}

/// One audit with these objects and more flags.
fn audit_of(etcd: &Etcd, objects: &Path, db: &Path, now: &str, more: &[&str]) -> Output {
    let mut command = ipaudit();
    command.env_remove("IPAUDIT_NO_HISTORY").args(["audit", "--settle", "50ms", "--now", now, "--db"]).arg(db);
    command.args(["--etcd-endpoints", &etcd.endpoint(), "--fail-on", "never", "--kube-objects"]);
    command.arg(objects).args(more).output().unwrap()
}

fn document(db: &Path, args: &[&str]) -> Value {
    let output = report(db, &[args, &["-o", "json"]].concat());
    let document = json(&output);
    assert_eq!(output.status.code().map(i64::from), document["exit_code"].as_i64(), "{}", stderr(&output));
    document
}

fn finding<'d>(document: &'d Value, code: &str, subject: &str) -> &'d Value {
    let findings = document["clusters"][0]["findings"].as_array().unwrap();
    let found: Vec<&Value> = findings
        .iter()
        .filter(|f| f["code"] == code && f["subject"]["id"] == subject && f["section"] != "ended")
        .collect();
    assert_eq!(found.len(), 1, "{code} {subject} in {document:#}");
    found[0]
}

/// A node restarts, its pods are gone without CNI DEL: the burst stands beside the reboot, and a later report of that
/// time says what was so then.
#[test]
fn a_reboot_explains_a_burst_and_the_past_stays_what_it_was() {
    servers::need!(Etcd3_7);
    let (etcd, case, folder) = loaded("clean-small");
    let db = folder.path().join("history.db");
    let boot = |items: &mut Vec<Value>, id: &str| {
        let node = items.iter_mut().find(|i| is(i, "Node", "node-1")).unwrap();
        node["status"]["nodeInfo"]["bootID"] = id.into();
    };
    let lost = ["web-6d4cf56db6-ctbwj", "web-6d4cf56db6-nndxv"];
    let before = || objects(folder.path(), &case, |items| boot(items, "boot-1"));
    let after = || {
        objects(folder.path(), &case, |items| {
            boot(items, "boot-2");
            items.retain(|i| !lost.iter().any(|name| is(i, "Pod", name)));
        })
    };
    for now in ["2026-11-24T13:00:00Z", "2026-11-24T13:15:00Z", "2026-11-24T13:30:00Z"] {
        assert_eq!(audit_of(&etcd, &before(), &db, now, &[]).status.code(), Some(0));
    }
    for now in ["2026-11-24T13:45:00Z", "2026-11-24T14:00:00Z"] {
        assert_eq!(audit_of(&etcd, &after(), &db, now, &[]).status.code(), Some(0));
    }
    // The pods are back under their names: nothing is leaked any more.
    assert_eq!(audit_of(&etcd, &before(), &db, "2026-11-24T14:15:00Z", &[]).status.code(), Some(0));

    let now = ["--now", "2026-11-24T14:20:00Z", "--since", "2h"];
    let document_now = document(&db, &now);
    let cluster = &document_now["clusters"][0];
    let leaks = cluster["leaks"]["began"].as_u64().unwrap();
    assert_eq!((leaks, cluster["leaks"]["found_at_first"].as_u64()), (4, Some(0)), "{document_now:#}");
    assert_eq!(cluster["leaks"]["by_hour"][0]["node"], "node-1");
    assert_eq!(cluster["leaks"]["watched_seconds"], 75 * 60);
    assert_eq!(cluster["reboots"][0]["node"], "node-1");
    assert_eq!(
        (&cluster["reboots"][0]["before"], &cluster["reboots"][0]["after"]),
        (&"2026-11-24T13:30:00Z".into(), &"2026-11-24T13:45:00Z".into())
    );
    assert_eq!(subjects(&document_now, "ended", "IPA110").len(), 4);
    assert_eq!(document_now["exit_code"], 0, "nothing is open");
    let table = String::from_utf8(report(&db, &now).stdout).unwrap();
    let says = "rebooted (13:30 to 13:45), which may explain 4";
    assert!(table.replace("\n    ", " ").contains(says), "{table}");

    // At two o'clock they were open, and two audits had seen them.
    let then = document(&db, &[&now[..], &["--until", "2026-11-24T14:05:00Z"]].concat());
    let leak = finding(&then, "IPA110", "10.65.84.131");
    let seen = (&leak["section"], &leak["state"], &leak["audits_seen"], &leak["last_seen"]);
    assert_eq!(seen, (&"new".into(), &"open".into(), &2.into(), &"2026-11-24T14:00:00Z".into()));
    assert_eq!(then["exit_code"], 1);
    let earlier = document(&db, &[&now[..], &["--until", "2026-11-24T13:50:00Z"]].concat());
    assert_eq!(finding(&earlier, "IPA110", "10.65.84.131")["audits_seen"], 1);

    // They leak once more: the same findings came back.
    assert_eq!(audit_of(&etcd, &after(), &db, "2026-11-24T14:30:00Z", &[]).status.code(), Some(0));
    let again = document(&db, &["--now", "2026-11-24T14:31:00Z", "--since", "10m"]);
    let leak = finding(&again, "IPA110", "10.65.84.131");
    assert_eq!((&leak["section"], &leak["episode"]), (&"came back".into(), &2.into()));
    let only = document(&db, &["--now", "2026-11-24T14:31:00Z", "--node", "node-2"]);
    assert_eq!(only["clusters"][0]["findings"].as_array().unwrap().len(), 0, "{only:#}");
    assert_eq!(only["narrowed_by"], serde_json::json!(["--node node-2"]));
}

#[test]
fn what_ended_by_another_rule_and_what_nobody_looked_at_are_told_apart() {
    servers::need!(Etcd3_7);
    let (etcd, case, folder) = loaded("two-clusters");
    let db = folder.path().join("history.db");
    let whole = case.moment().cluster_file.clone();
    // Whoever says that the datastore is exclusive calls the other cluster's nodes departed.
    let first = audit_of(&etcd, &whole, &db, "2026-11-24T13:00:00Z", &["--scope", "exclusive"]);
    assert_eq!(first.status.code(), Some(0), "{}", stderr(&first));
    let second = audit_of(&etcd, &whole, &db, "2026-11-24T13:15:00Z", &["--scope", "auto"]);
    assert_eq!(second.status.code(), Some(0), "{}", stderr(&second));
    let now = ["--now", "2026-11-24T13:20:00Z", "--since", "10m"];
    let told = document(&db, &now);
    let ended: Vec<&Value> =
        told["clusters"][0]["findings"].as_array().unwrap().iter().filter(|f| f["section"] == "ended").collect();
    assert!(!ended.is_empty() && ended.iter().all(|f| f["state"] == "rule changed"), "{told:#}");
    let text = String::from_utf8(report(&db, &now).stdout).unwrap();
    assert!(text.contains("judged otherwise now"), "{text}");

    let no_pods = objects(folder.path(), &case, |items| items.retain(|i| i["kind"] != "Pod"));
    let blind = audit_of(&etcd, &no_pods, &db, "2026-11-24T13:30:00Z", &[]);
    assert_eq!(blind.status.code(), Some(3));
    let now = ["--now", "2026-11-24T13:35:00Z", "--since", "10m"];
    let told = document(&db, &now);
    let leak = finding(&told, "IPA110", "10.76.247.2");
    let (section, state, seen) = (&leak["section"], &leak["state"], &leak["last_seen"]);
    assert_eq!((section, state), (&"not looked at".into(), &"input missing".into()));
    assert_eq!(seen, "2026-11-24T13:15:00Z");
    assert_eq!(told["exit_code"], 3, "the last audit was incomplete");
    assert_eq!(told["clusters"][0]["audits"]["incomplete"].as_array().unwrap().len(), 1);
    let text = String::from_utf8(report(&db, &now).stdout).unwrap();
    assert!(text.contains("13:30  1 audit incomplete: ") && text.contains("NOT LOOKED AT"), "{text}");

    // At the end of the window before, it was open and looked at.
    let then = document(&db, &["--now", "2026-11-24T13:35:00Z", "--since", "1h", "--until", "2026-11-24T13:20:00Z"]);
    assert_eq!(finding(&then, "IPA110", "10.76.247.2")["state"], "open");
    assert_eq!(then["exit_code"], 1);
}

#[test]
fn a_silent_cronjob_is_told_and_ugly_names_stay_harmless() {
    servers::need!(Etcd3_7);
    let etcd = Etcd::start(EtcdVersion::V3_7);
    let case = Case::load("handle-damage");
    case.moment().load_into(&etcd);
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("history.db");
    for now in ["2026-11-24T13:00:00Z", "2026-11-24T13:15:00Z", "2026-11-24T13:30:00Z"] {
        audit(&etcd, &case, &db, now);
    }
    let now = ["--now", "2026-11-24T20:30:00Z", "--since", "2026-11-24T12:45:00Z"];
    let text = String::from_utf8(report(&db, &now).stdout).unwrap();
    assert!(text.contains("13:30 to 20:30  nobody looked for 7h"), "{text}");
    let told = document(&db, &now);
    let gaps = told["clusters"][0]["audits"]["gaps"].as_array().unwrap();
    assert_eq!(gaps.len(), 1, "{told:#}");
    assert_eq!(told["clusters"][0]["audits"]["count"], 3);

    let schema: Value = serde_json::from_str(include_str!("../docs/report.schema.json")).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let errors: Vec<String> = validator.iter_errors(&told).map(|e| e.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");

    let ugly = subjects(&told, "new", "IPA205");
    assert!(ugly.iter().any(|id| id.ends_with("\r\neth0")), "{ugly:?}");
    for format in ["table", "json", "jsonl", "markdown"] {
        let output = report(&db, &["--now", "2026-11-24T20:30:00Z", "--all", "-o", format]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!text.chars().any(|c| c != '\n' && ipaudit::model::escape::is_hidden(c)), "{format}: {text:?}");
        assert!(text.contains("eth0"), "{format}");
    }
}
