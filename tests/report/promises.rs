//! What `report` promises beside new, ongoing and ended: leak rates, capacity, releases, several clusters, and that
//! what narrows it narrows all of it.

use std::path::{Path, PathBuf};

use ipaudit::history::{Db, PATIENCE};
use ipaudit::model::release::{Conclusion, Intent, NewRelease, StepOutcome};
use serde_json::{Value, json};

use super::{audit, audit_of, document, finding, is, objects, report, subjects};
use crate::servers::command::{ipaudit, stderr};
use crate::servers::{self, Case, Etcd, EtcdVersion};

/// A case in an etcd and a history of its own.
struct Scene {
    etcd: Etcd,
    case: Case,
    folder: tempfile::TempDir,
    db: PathBuf,
}

impl Scene {
    fn of(case: &str) -> Scene {
        let etcd = Etcd::start(EtcdVersion::V3_7);
        let case = Case::load(case);
        case.moment().load_into(&etcd);
        let folder = tempfile::tempdir().unwrap();
        let db = folder.path().join("history.db");
        Scene { etcd, case, folder, db }
    }

    fn audit(&self, now: &str) {
        audit(&self.etcd, &self.case, &self.db, now);
    }

    /// An audit without these pods.
    fn without(&self, pods: &[&str], now: &str) {
        let file = objects(self.folder.path(), &self.case, |items| {
            items.retain(|i| !pods.iter().any(|name| is(i, "Pod", name)));
        });
        let output = audit_of(&self.etcd, &file, &self.db, now, &[]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
}

fn table(db: &Path, args: &[&str]) -> String {
    let text = String::from_utf8(report(db, args).stdout).unwrap();
    // A paragraph is one line here, however wide the paper was.
    text.replace("\n       ", " ").replace("\n    ", " ")
}

/// Every document is what the schema says.
fn holds(document: &Value) {
    let schema: Value = serde_json::from_str(include_str!("../../docs/report.schema.json")).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let errors: Vec<String> = validator.iter_errors(document).map(|e| format!("{}: {e}", e.instance_path)).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

/// Two pods of node-1 and one of node-2 go without CNI DEL, at different hours: the rate, by hour and by node, and how
/// the pools fill.
#[test]
fn leaks_an_hour_by_node_and_the_capacity_that_they_take() {
    servers::need!(Etcd3_7);
    let scene = Scene::of("clean-small");
    let (one, two) = ("web-6d4cf56db6-ctbwj", "web-6d4cf56db6-bsm2h");
    scene.audit("2026-11-24T13:00:00Z");
    scene.audit("2026-11-24T13:30:00Z");
    scene.without(&[one], "2026-11-24T14:10:00Z");
    scene.without(&[one, two], "2026-11-24T15:10:00Z");
    // One more address is taken meanwhile: the line rises.
    let key = "/calico/ipam/v2/assignment/ipv4/block/10.65.247.0-26";
    let mut block: Value = serde_json::from_slice(&scene.etcd.get(key).unwrap().value).unwrap();
    let free = block["unallocated"].as_array_mut().unwrap().remove(0).as_u64().unwrap() as usize;
    block["allocations"][free] = block["attributes"].as_array().unwrap().len().into();
    let attribute = json!({"handle_id": "k8s-pod-network.feed", "secondary": {"note": "by hand"}});
    block["attributes"].as_array_mut().unwrap().push(attribute);
    scene.etcd.put(key, serde_json::to_vec(&block).unwrap());
    scene.without(&[one, two], "2026-11-24T17:00:00Z");

    let now = ["--now", "2026-11-24T17:00:00Z", "--since", "4h"];
    let told = document(&scene.db, &now);
    holds(&told);
    let leaks = &told["clusters"][0]["leaks"];
    let hours: Vec<(&str, &str, u64)> = leaks["by_hour"]
        .as_array()
        .unwrap()
        .iter()
        .map(|h| (h["hour"].as_str().unwrap(), h["node"].as_str().unwrap(), h["count"].as_u64().unwrap()))
        .collect();
    // Both pods are dual stack.
    assert_eq!(hours, [("2026-11-24T14:00:00Z", "node-1", 2), ("2026-11-24T15:00:00Z", "node-2", 2)]);
    assert_eq!((&leaks["began"], &leaks["watched_seconds"]), (&4.into(), &(4 * 3600).into()));
    let text = table(&scene.db, &now);
    assert!(text.contains("LEAKS  4 began, 1.0 an hour"), "{text}");
    assert!(text.contains("node-1  2  all in the hour from 14:00"), "{text}");
    let pool = told["clusters"][0]["pools"].as_array().unwrap().iter().find(|p| p["cidr"] == "10.65.0.0/16").unwrap();
    let allocated: Vec<i64> =
        pool["points"].as_array().unwrap().iter().map(|p| p["allocated"].as_i64().unwrap()).collect();
    assert_eq!(allocated.last().unwrap() - allocated.first().unwrap(), 1, "{pool:#}");
    let leaked: Vec<i64> = pool["points"].as_array().unwrap().iter().map(|p| p["leaked"].as_i64().unwrap()).collect();
    assert_eq!(leaked, [0, 1, 2, 2], "an entry for each change: {pool:#}");
    let line = text.lines().find(|l| l.contains("10.65.0.0/16")).unwrap();
    assert!(line.contains("▁▁▁") && line.contains('█') && line.contains("+1"), "{line}");

    for (narrowed, nodes, pools) in [
        (&["--node", "node-2"][..], vec!["node-2"], 6),
        (&["--namespace", "data"], vec![], 6),
        (&["--code", "IPA201"], vec![], 6),
        (&["--severity", "critical"], vec!["node-1", "node-2"], 6),
        (&["--pool", "default-ipv4"], vec!["node-1", "node-2"], 1),
    ] {
        let told = document(&scene.db, &[&now[..], narrowed].concat());
        holds(&told);
        let cluster = &told["clusters"][0];
        let seen: Vec<&str> =
            cluster["leaks"]["by_hour"].as_array().unwrap().iter().map(|h| h["node"].as_str().unwrap()).collect();
        assert_eq!(seen, nodes, "{narrowed:?}");
        assert_eq!(cluster["pools"].as_array().unwrap().len(), pools, "{narrowed:?}");
        let leaks = subjects(&told, "new", "IPA110").len();
        let wanted = match narrowed[0] {
            "--node" | "--pool" => 2,
            _ => 0,
        };
        assert_eq!(leaks, wanted, "{narrowed:?}");
        assert_eq!(told["narrowed_by"], json!([format!("{} {}", narrowed[0], narrowed[1])]));
    }
}

/// A leak that a release of ours took away is told as that, with the release's number, in every format.
#[test]
fn what_we_released_is_told_apart_from_what_went_by_itself() {
    servers::need!(Etcd3_7);
    let scene = Scene::of("leaked-pods");
    scene.audit("2026-11-24T13:00:00Z");
    let leaks = {
        let told = document(&scene.db, &["--now", "2026-11-24T13:01:00Z"]);
        subjects(&told, "new", "IPA110")
    };
    let (ours, gone) = ("10.65.247.4".to_owned(), "10.65.247.5".to_owned());
    assert!(leaks.contains(&ours) && leaks.contains(&gone), "{leaks:?}");
    // What `release` writes into the history: the intent before, the outcome after.
    // A release is of real time, as an audit's start; whenever this runs, it is after the first audit.
    let at = ipaudit::model::Time(i64::MAX / 2);
    let mut db = Db::open_to_write(&scene.db, Default::default(), PATIENCE).unwrap();
    let asked = NewRelease { asked: "{}".to_owned(), started: at, plan: "{}".to_owned(), ..NewRelease::default() };
    let release = db.begin_release(1, &asked).unwrap();
    let subjects_of = vec![(ipaudit::model::SubjectKind::Address, ours.as_str().into())];
    let step = db.intend(release, &Intent { subjects: subjects_of, ..Intent::default() }, at).unwrap();
    db.settle(step, StepOutcome::Applied, Some(9), "", at).unwrap();
    db.finish_release(release, Conclusion::Done, at).unwrap();
    drop(db);
    let key = "/calico/ipam/v2/assignment/ipv4/block/10.65.247.0-26";
    let mut block: Value = serde_json::from_slice(&scene.etcd.get(key).unwrap().value).unwrap();
    for ordinal in [4, 5] {
        let at = block["allocations"][ordinal].as_u64().unwrap() as usize;
        block["attributes"][at] = json!({"releasedAt": "2026-11-24T13:05:00Z"});
    }
    scene.etcd.put(key, serde_json::to_vec(&block).unwrap());
    scene.audit("2026-11-24T13:15:00Z");

    let now = ["--now", "2026-11-24T13:20:00Z", "--since", "10m"];
    let told = document(&scene.db, &now);
    holds(&told);
    let ended = |subject: &str| {
        let all = told["clusters"][0]["findings"].as_array().unwrap();
        let found =
            all.iter().find(|f| f["section"] == "ended" && f["code"] == "IPA110" && f["subject"]["id"] == subject);
        let found = found.unwrap_or_else(|| panic!("{subject}: {told:#}"));
        (found["state"].clone(), found["release"].clone(), found["ended"].clone())
    };
    let when = json!("2026-11-24T13:15:00Z");
    assert_eq!(ended(&ours), (json!("released"), json!(release), when.clone()));
    assert_eq!(ended(&gone), (json!("resolved"), Value::Null, when));
    let text = table(&scene.db, &[&now[..], &["--all"]].concat());
    assert!(text.contains(&format!("released by us (release {release}) by 13:15")), "{text}");
    assert!(text.contains("gone by 13:15"), "{text}");
    let markdown = String::from_utf8(report(&scene.db, &[&now[..], &["-o", "markdown"]].concat()).stdout).unwrap();
    assert!(markdown.contains("released"), "{markdown}");
    let lines = String::from_utf8(report(&scene.db, &[&now[..], &["-o", "jsonl"]].concat()).stdout).unwrap();
    let lines: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), told["clusters"][0]["findings"].as_array().unwrap().len());
    assert!(lines.iter().any(|l| l["state"] == "released" && l["guid"] == told["clusters"][0]["guid"]));
}

/// Two clusters in one file: each has its own paragraph, `--cluster` takes one by GUID or UID.
#[test]
fn clusters_are_told_apart_and_chosen() {
    servers::need!(Etcd3_7);
    let scene = Scene::of("leaked-pods");
    scene.audit("2026-11-24T13:00:00Z");
    let other = Case::load("clean-small");
    let etcd = Etcd::start(EtcdVersion::V3_7);
    other.moment().load_into(&etcd);
    audit(&etcd, &other, &scene.db, "2026-11-24T13:00:00Z");
    let now = ["--now", "2026-11-24T13:05:00Z"];
    let told = document(&scene.db, &now);
    holds(&told);
    let clusters = told["clusters"].as_array().unwrap();
    assert_eq!((clusters.len(), &told["exit_code"]), (2, &json!(1)));
    assert!(clusters[1]["findings"].as_array().unwrap().iter().all(|f| f["section"] != "new" || f["code"] != "IPA110"));
    for (cluster, code) in [(0, 1), (1, 0)] {
        let (guid, uid) = (&clusters[cluster]["guid"], &clusters[cluster]["kubernetes_uids"][0]);
        for id in [guid.as_str().unwrap(), &guid.as_str().unwrap()[..8], uid.as_str().unwrap()] {
            let only = document(&scene.db, &[&now[..], &["--cluster", id]].concat());
            assert_eq!((only["clusters"].as_array().unwrap().len(), &only["clusters"][0]["guid"]), (1, guid));
            assert_eq!(only["exit_code"], code, "{id}");
        }
    }
    let none = report(&scene.db, &["--cluster", "nobody's"]);
    assert_eq!(none.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&none.stdout).starts_with("The history knows no such cluster."));
}

/// Times without a zone are UTC: the machine's zone and locale change nothing.
#[test]
fn whatever_the_time_zone_the_report_is_the_same() {
    servers::need!(Etcd3_7);
    let scene = Scene::of("leaked-pods");
    for now in ["2026-11-23T23:30:00Z", "2026-11-24T00:00:00Z", "2026-11-24T00:30:00Z"] {
        scene.audit(now);
    }
    let run = |zone: &str, args: &[&str]| {
        let mut command = ipaudit();
        command.args(["report", "--now", "2026-11-24T01:00:00Z", "--db"]).arg(&scene.db).args(args);
        let output = command.env("TZ", zone).env("LC_ALL", "de_DE.UTF-8").output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{zone}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    for since in ["2026-11-24", "2026-11-24T00:00", "2026-11-24T01:00:00+01:00", "1h", "3600"] {
        let here = run("UTC", &["--since", since, "-o", "json"]);
        for zone in ["Asia/Kathmandu", "America/St_Johns", "Pacific/Kiritimati"] {
            assert_eq!(run(zone, &["--since", since, "-o", "json"]), here, "{zone} {since}");
        }
        let told: Value = serde_json::from_str(&here).unwrap();
        assert_eq!(told["since"], "2026-11-24T00:00:00Z", "{since}");
        assert_eq!(told["clusters"][0]["audits"]["count"], 2);
        assert_eq!(finding(&told, "IPA110", "10.65.247.4")["section"], "ongoing");
    }
    let wrong = report(&scene.db, &["--since", "yesterday"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(stderr(&wrong).contains("24h, 7d") && stderr(&wrong).contains("2026-11-24T03:04"), "{}", stderr(&wrong));
}
