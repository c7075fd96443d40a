//! Nodes of which a part is damaged, that are broken as a whole, and what is asked of a live etcd for them.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use super::servers::command::{document, first, ipaudit, stderr, text};
use super::servers::{Etcd, EtcdVersion, need};
use super::{NodeCase, differences, told_by, with_files};

impl NodeCase {
    /// Puts what Calico had in etcd into one.
    pub fn load_into(&self, etcd: &Etcd) {
        let dump = std::fs::read_to_string(self.folder.join("etcd.jsonl")).unwrap();
        let pairs = dump.lines().map(|line| -> (Vec<u8>, Vec<u8>) {
            let line: Value = serde_json::from_str(line).unwrap();
            (line["key"].as_str().unwrap().into(), line["value"].as_str().unwrap().into())
        });
        etcd.put_many(pairs.collect());
    }
}

/// The healthy node with one of its files changed.
pub fn changed(folder: &Path, file: &str, change: impl FnOnce(&mut Vec<Value>)) -> NodeCase {
    let case = NodeCase::of("clean");
    for entry in std::fs::read_dir(&case.folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_file() {
            std::fs::copy(&entry, folder.join(entry.file_name().unwrap())).unwrap();
        }
    }
    let path = folder.join(file);
    let mut entries: Vec<Value> = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut entries);
    std::fs::write(&path, serde_json::to_vec(&entries).unwrap()).unwrap();
    NodeCase { folder: folder.to_path_buf(), ..case }
}

/// One random pod would stand for a node on which no pod is answered.
#[test]
fn the_first_line_tells_how_many_pods_one_cause_hits() {
    let folder = tempfile::tempdir().unwrap();
    let no_default = |verdicts: &mut Vec<Value>| verdicts.iter_mut().for_each(|verdict| verdict["errno"] = json!(101));
    let case = changed(folder.path(), "verdicts.json", no_default);
    let line = "ERROR: worker-1, 6 pods that get no answer from their gateway: it has no default route (ENETUNREACH).";
    assert_eq!(first(&with_files(&case, &[])), line);
    // A node that forwards nothing is one cause, and the pods are its consequences.
    let no_forwarding =
        |verdicts: &mut Vec<Value>| verdicts.iter_mut().for_each(|verdict| verdict["errno"] = json!(113));
    let case = changed(folder.path(), "verdicts.json", no_forwarding);
    let sysctls = std::fs::read_to_string(folder.path().join("sysctl.txt")).unwrap();
    let off = sysctls.replace("net/ipv4/ip_forward=1", "net/ipv4/ip_forward=0");
    assert_ne!(off, sysctls);
    std::fs::write(folder.path().join("sysctl.txt"), off).unwrap();
    let output = with_files(&case, &[]);
    let line = "ERROR: worker-1 all ip_forward is 0, of the node: 6 pods get no answer from the gateway.";
    assert_eq!(first(&output), line, "{}", text(&output));
}

#[test]
fn a_route_that_is_not_understood_is_told_and_takes_nothing_from_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let case = changed(folder.path(), "route.json", |routes| routes.push(json!({"dst": "banana", "dev": "eth0"})));
    let output = with_files(&case, &[]);
    let table = text(&output);
    assert!(table.contains("IPv4 routes read in part: 1 of"), "{table}{}", stderr(&output));
    assert!(first(&output).contains("this is no all-clear"), "{table}");
    assert_eq!(output.status.code(), Some(3));
    assert!(told_by(&document(&with_files(&case, &["-o", "json"]), "audit")).iter().all(|(code, _)| code.0 == 790));
}

/// What nobody judged is not clean, and what says nothing was not read.
#[test]
fn evidence_that_nobody_judged_is_no_all_clear() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("worker-1.json");
    let judged = |part: &str| {
        std::fs::write(&path, format!(r#"{{"kind":"NodeEvidence","version":1,"node":"worker-1"{part}}}"#)).unwrap();
        let mut command = ipaudit();
        command.args(["node", "--now", "2026-11-29T12:00:00Z", "--node-evidence"]).arg(&path).env("COLUMNS", "160");
        command.output().unwrap()
    };
    let links = r#""links":{"read":[{"i":1,"name":"lo"}]}"#;
    let at = |time: &str| format!(r#","times":["2026-11-29T{time}Z"],{links}"#);
    for (part, told) in [
        (at("11:00:00"), "not judged: 60 minutes old"),
        (at("12:59:00"), "59m ahead of now"),
        (String::new(), "not one list is in it"),
        (r#","links":{"read":[]}"#.to_owned(), "every kernel has lo"),
        (r#","links":{"raed":[]}"#.to_owned(), "no word of this version's"),
    ] {
        let output = judged(&part);
        assert!(first(&output).contains("this is no all-clear"), "{part}: {}", text(&output));
        assert!(text(&output).contains(told), "{part}: {}", text(&output));
        assert_eq!(output.status.code(), Some(3), "{part}");
    }
    assert_eq!(judged(&at("12:00:00")).status.code(), Some(0));
}

/// Of a live etcd no handle is asked for; every finding is the same.
#[test]
fn a_live_etcd_is_not_asked_for_handles() {
    need!(Etcd3_7);
    for name in ["clean", "twins-11", "leftovers", "vxlan"] {
        let case = NodeCase::of(name);
        let etcd = Etcd::start(EtcdVersion::V3_7);
        case.load_into(&etcd);
        let run = |args: &[&str]| -> Output {
            let mut command = ipaudit();
            command.args(["node", "--now", case.text("captured_at"), "--node", case.text("node"), "--settle", "10ms"]);
            command.arg("--from-ip").arg(&case.folder).args(["--etcd-endpoints", &etcd.endpoint()]);
            command.arg("--kube-objects").arg(case.folder.join("cluster.json")).args(args).output().unwrap()
        };
        let told = document(&run(&["-o", "json"]), "audit");
        assert_eq!(differences(&case, &told_by(&told)), Vec::<String>::new());
        let state = |input: &str| {
            let row = told["inputs"].as_array().unwrap().iter().find(|row| row["input"] == input).unwrap();
            row["state"].as_str().unwrap().to_owned()
        };
        assert_eq!((state("handles"), state("endpoints")), ("not asked".to_owned(), "complete".to_owned()));
        if name == "twins-11" {
            let table = text(&run(&["--all"]));
            let both = ["ipaudit who 192.168.91.33\n", "ipaudit node --from-ip"];
            assert!(both.iter().all(|command| table.contains(command)), "{table}");
        }
    }
}
