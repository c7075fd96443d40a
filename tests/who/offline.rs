//! From the history alone: what audits recorded of nodes, wires, handles and of several clusters in one file.

use std::path::Path;

use serde_json::{Value, json};

use super::{document, first, loaded, text};
use crate::servers::command::{ipaudit, stderr};
use crate::servers::golden::Moment;
use crate::servers::{self, Etcd};

fn audit(etcd: &Etcd, moment: &Moment, objects: &Path, db: &Path, now: &str) {
    let mut command = ipaudit();
    command.env_remove("IPAUDIT_NO_HISTORY").args(["audit", "--settle", "50ms", "--now", now, "--db"]).arg(db);
    command.args(["--etcd-endpoints", &etcd.endpoint(), "--fail-on", "never", "--kube-objects"]).arg(objects);
    let output = command.output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}: {}", moment.captured_at, stderr(&output));
}

fn ask(db: &Path, args: &[&str]) -> std::process::Output {
    let mut command = ipaudit();
    command.args(["who", "--offline", "--now", "2026-11-24T14:00:00Z", "--db"]).arg(db).args(args);
    command.env_remove("IPAUDIT_NO_HISTORY").output().unwrap()
}

fn told(db: &Path, args: &[&str]) -> Value {
    document(&ask(db, &[args, &["-o", "json"]].concat()))
}

fn codes(document: &Value) -> Vec<&str> {
    document["before"][0]["open"].as_array().unwrap().iter().map(|f| f["code"].as_str().unwrap()).collect()
}

/// node-2 reboots between two audits, then is not Ready.
#[test]
fn a_node_with_its_states_its_allocations_and_its_findings() {
    servers::need!(Etcd3_7);
    let (etcd, moment) = loaded("leaked-pods");
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("history.db");
    for (now, boot, ready) in [
        ("2026-11-24T13:00:00Z", "boot-one", "True"),
        ("2026-11-24T13:15:00Z", "boot-two", "True"),
        ("2026-11-24T13:30:00Z", "boot-two", "False"),
    ] {
        let mut objects = moment.cluster.clone();
        let items = objects["items"].as_array_mut().unwrap();
        let node = items.iter_mut().find(|i| i["kind"] == "Node" && i["metadata"]["name"] == "node-2").unwrap();
        node["status"]["nodeInfo"]["bootID"] = boot.into();
        node["status"]["conditions"] = json!([{"type": "Ready", "status": ready}]);
        let file = folder.path().join("objects.json");
        std::fs::write(&file, serde_json::to_vec(&objects).unwrap()).unwrap();
        audit(&etcd, &moment, &file, &db, now);
    }
    let says = told(&db, &["node-2"]);
    let answer = says["answer"].as_str().unwrap();
    let before = &says["before"][0];
    let standing = before["standing"].as_u64().unwrap();
    let start = format!(
        "node node-2 is not Ready by the last audit that looked (2026-11-24T13:30:00Z), with {standing} addresses allocated; "
    );
    assert!(answer.starts_with(&start), "{answer}");
    assert!(standing > 3 && before["allocations"].as_array().unwrap().len() as u64 == standing.min(32), "{before:#}");
    assert!(before["allocations"].as_array().unwrap().iter().all(|a| a["node"] == "node-2"), "{before:#}");
    let states: Vec<_> = before["nodes"].as_array().unwrap().iter().map(|n| (&n["boot_id"], &n["ready"])).collect();
    let (one, two) = (json!("boot-one"), json!("boot-two"));
    assert_eq!(states, [(&one, &json!(true)), (&two, &json!(true)), (&two, &json!(false))]);
    assert_eq!(before["nodes"][1]["not_seen_after"], "2026-11-24T13:30:00Z");
    assert!(codes(&says).contains(&"IPA110"), "{before:#}");
    assert_eq!(says["exit_code"], 1);
    let others = told(&db, &["node-1"]);
    assert!(!codes(&others).is_empty() && codes(&others) != codes(&says), "each node has its own");

    let at = |time: &str| told(&db, &["node-2", "--at", time])["answer"].as_str().unwrap().to_owned();
    let then = at("2026-11-24T13:15:00Z");
    assert!(then.starts_with("node node-2 at 2026-11-24T13:15:00Z was Ready, with 11 addresses"), "{then}");
    assert!(at("2026-11-24T13:20:00Z").contains("no audit looked just then"), "between two audits nobody knows");
    let table = text(&ask(&db, &["node-2"])).replace("\n              ", " ");
    assert!(table.contains("boot boot-two") && table.contains("ended 13:00-13:15"), "{table}");
    assert!(table.contains("ipaudit who node-2\n"), "{table}");
    assert_eq!(ask(&db, &["node-77"]).status.code(), Some(2));
}

/// What the history has no intervals of is found by its findings.
#[test]
fn an_interface_a_mac_and_a_container() {
    servers::need!(Etcd3_7);
    let (etcd, moment) = loaded("incident-2017");
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("history.db");
    audit(&etcd, &moment, &moment.cluster_file, &db, "2026-11-24T13:00:00Z");
    let ten = ask(&db, &["192.168.91.33"]);
    let seen = "by the last audit that looked (2026-11-24T13:00:00Z)";
    assert!(first(&ten).starts_with(&format!("192.168.91.33 has 10 pods {seen}; ")), "{}", first(&ten));
    assert_eq!(ten.status.code(), Some(1));
    assert!(codes(&told(&db, &["calia3201341d16"])).contains(&"IPA503"));
    let container = "c2362ca77b8a1ce2df9057123b44b1cc215a32d872e9f615698d5623a2d875fe";
    let by_container = told(&db, &[container]);
    assert_eq!(by_container["before"][0]["allocations"][0]["address"], "192.168.91.33", "{by_container:#}");
    let workload = told(&db, &["store-mysql-0"]);
    assert!(codes(&workload).contains(&"IPA503"), "{workload:#}");
    let (etcd, moment) = loaded("endpoint-damage");
    audit(&etcd, &moment, &moment.cluster_file, &db, "2026-11-24T13:00:00Z");
    let subject = |code: &str| moment.expect.iter().find(|e| e.code == code).unwrap().subject.clone();
    for code in ["IPA504", "IPA507"] {
        let subject = subject(code);
        let wire = subject.rsplit_once(' ').unwrap().1;
        assert!(codes(&told(&db, &[wire])).contains(&code), "{code} {wire}");
    }
}

/// Two clusters use the same addresses: the first line says so, and `--cluster` chooses.
#[test]
fn several_clusters_in_one_file() {
    servers::need!(Etcd3_7);
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("history.db");
    let (etcd, moment) = loaded("leaked-pods");
    audit(&etcd, &moment, &moment.cluster_file, &db, "2026-11-24T13:00:00Z");
    let information = "/calico/resources/v3/projectcalico.org/clusterinformations/default";
    let mut other: Value = serde_json::from_slice(&etcd.get(information).unwrap().value).unwrap();
    let ours = other["spec"]["clusterGUID"].as_str().unwrap().to_owned();
    other["spec"]["clusterGUID"] = "0ther000cluster".into();
    etcd.put(information, serde_json::to_vec(&other).unwrap());
    audit(&etcd, &moment, &moment.cluster_file, &db, "2026-11-24T13:15:00Z");
    let both = told(&db, &["10.65.247.4"]);
    assert_eq!(both["before"].as_array().unwrap().len(), 2);
    let answer = both["answer"].as_str().unwrap();
    assert!(answer.starts_with("2 clusters of the history know it (--cluster ID); in "), "{answer}");
    assert!(answer.contains("in 0ther000…: 10.65.247.4 is allocated to data/queue-0"), "{answer}");
    let one = told(&db, &["10.65.247.4", "--cluster", &ours[..6]]);
    assert_eq!((&one["before"][0]["guid"], one["before"].as_array().unwrap().len()), (&json!(ours), 1));
    assert!(one["answer"].as_str().unwrap().starts_with("10.65.247.4 is allocated to data/queue-0"));
    // Asked of the cluster itself, only its own history is told.
    let mut live = ipaudit();
    live.env_remove("IPAUDIT_NO_HISTORY").args(["who", "10.65.247.4", "-o", "json", "--settle", "0", "--db"]).arg(&db);
    live.args(["--etcd-endpoints", &etcd.endpoint(), "--now", "2026-11-24T13:20:00Z", "--kube-objects"]);
    let live = document(&live.arg(&moment.cluster_file).output().unwrap());
    assert_eq!(live["before"].as_array().unwrap().len(), 1);
    assert_eq!(live["before"][0]["guid"], "0ther000cluster");
}

/// A name mistyped in `--db` is told as what it is, once, by whoever asks; the cluster's answer stands all the same.
#[test]
fn a_history_that_is_not_there_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("none/history.db");
    let told = |output: &std::process::Output| {
        let text = stderr(output);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert_eq!(text.matches("cannot read the history").count(), 1, "{text}");
        assert!(text.contains("no such file") && text.contains("ipaudit audit writes it"), "{text}");
    };
    told(&ask(&db, &["10.65.84.137"]));
    for args in [&["report", "--since", "1d"][..], &["history", "check"], &["history", "prune"], &["history", "export"]]
    {
        told(&ipaudit().env_remove("IPAUDIT_NO_HISTORY").args(args).arg("--db").arg(&db).output().unwrap());
    }
    servers::need!(Etcd3_7);
    let (etcd, moment) = loaded("leaked-pods");
    let mut live = ipaudit();
    live.env_remove("IPAUDIT_NO_HISTORY").args(["who", "10.65.84.137", "--settle", "0", "--db"]).arg(&db);
    live.args(["--etcd-endpoints", &etcd.endpoint(), "--kube-objects"]).arg(&moment.cluster_file);
    let live = live.output().unwrap();
    told(&live);
    assert!(first(&live).contains("shop/anchor-0"), "{}", first(&live));
    assert!(!folder.path().join("none").exists());
}
