//! `ipaudit report` on histories that audits made: what is new, what stays, what ended, and the exit code.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod servers;

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

#[test]
fn new_then_ongoing_then_ended() {
    servers::need!(Etcd3_7);
    let etcd = Etcd::start(EtcdVersion::V3_7);
    let case = Case::load("two-clusters");
    case.moment().load_into(&etcd);
    let folder = tempfile::tempdir().unwrap();
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
    assert!(text.starts_with("Open: ") || text.starts_with("Nothing is open."), "{text}");
    let markdown = report(&db, &["--now", "2026-11-24T15:46:00Z", "--since", "3h", "-o", "markdown"]);
    assert!(String::from_utf8_lossy(&markdown.stdout).contains("| IPA110 | error | `10.76.247.2` |"));
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
}
