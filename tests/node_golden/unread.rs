//! What could not be read of a node, is of another time or of another boot is no silence of it: an audit, `who` and `node`
//! say so alike, and none of them is calm.

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};

use super::servers::command::{document, first, ipaudit, stderr, text};
use super::servers::{Etcd, EtcdVersion, need};
use super::{NodeCase, node};

const NOW: &str = "2026-11-29T12:20:00Z";

const SERVICES: &str = r#"{"kind": "List", "apiVersion": "v1", "items": [
    {"kind": "Service", "apiVersion": "v1", "metadata": {"name": "web", "namespace": "shop"}, "spec": {}},
    {"kind": "Namespace", "apiVersion": "v1",
     "metadata": {"name": "kube-system", "uid": "00000000-0000-4000-8000-00000000000a"}}]}"#;

/// The healthy node beside its own etcd, and captures of it to be damaged.
pub struct Beside {
    pub etcd: Etcd,
    pub case: NodeCase,
    folder: tempfile::TempDir,
}

impl Beside {
    pub fn of(name: &str) -> Beside {
        let (etcd, case) = (Etcd::start(EtcdVersion::V3_7), NodeCase::of(name));
        case.load_into(&etcd);
        Beside { etcd, case, folder: tempfile::tempdir().unwrap() }
    }

    /// A capture of the node, of now, and then damaged.
    pub fn capture(&self, name: &str, damage: impl FnOnce(&mut Value)) -> PathBuf {
        let path = self.folder.path().join(name);
        node(&self.case, &["--capture", path.to_str().unwrap()]);
        let mut capture: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        capture["times"] = json!([NOW]);
        damage(&mut capture);
        std::fs::write(&path, capture.to_string()).unwrap();
        path
    }

    pub fn run(&self, command: &str, evidence: &Path, args: &[&str]) -> Output {
        let mut run = ipaudit();
        run.args([command, "--etcd-endpoints", &self.etcd.endpoint(), "--settle", "1ms", "--now", NOW]);
        let services = self.folder.path().join("services.json");
        std::fs::write(&services, SERVICES).unwrap();
        run.arg("--kube-objects").arg(self.case.folder.join("cluster.json")).env("COLUMNS", "200");
        run.arg("--kube-objects").arg(services);
        run.arg("--node-evidence").arg(evidence).args(args).output().unwrap()
    }
}

const LISTS: [&str; 7] = ["links", "addresses", "routes4", "routes6", "neighbours", "sysctls", "verdicts"];

fn lose(capture: &mut Value, lists: &[&str]) {
    for list in lists {
        if !capture[list].is_null() {
            capture[list] = json!({"notRead": "EPERM"});
        }
    }
}

fn row(output: &Output) -> Value {
    let inputs = document(output, "audit")["inputs"].clone();
    inputs.as_array().unwrap().iter().find(|row| row["input"] == "node-evidence").unwrap().clone()
}

#[test]
fn routes_that_were_not_read_are_no_way_that_there_is_not() {
    need!(Etcd3_7);
    let beside = Beside::of("clean");
    let routes = beside.capture("routes.json", |capture| lose(capture, &["routes4"]));
    let who = beside.run("who", &routes, &["192.168.91.10"]);
    let told = text(&who);
    assert!(told.contains("of worker-1  read 0s ago  which way goes to it was not read"), "{told}");
    assert!(told.contains("IPv4 routes not read: EPERM") && told.contains("NOT READ"), "{told}");
    assert!(first(&who).starts_with("BLIND: evidence of nodes does not count, or not in all"), "{told}");
    assert!(!told.contains("no one way"), "{told}");
    assert_eq!(who.status.code(), Some(3), "{}", stderr(&who));
    let who = document(&beside.run("who", &routes, &["192.168.91.10", "-o", "json"]), "who");
    let kernel = &who["addresses"][0]["kernels"][0];
    assert_eq!((&kernel["routes_read"], &kernel["judged"]), (&json!(false), &json!(true)));
    assert_eq!(kernel["doubts"], json!(["IPv4 routes not read: EPERM"]));
    // A node of which nothing was read does not vanish.
    let none = beside.capture("none.json", |capture| lose(capture, &LISTS));
    let who = beside.run("who", &none, &["192.168.91.10"]);
    let told = text(&who);
    assert!(told.contains("kernel      of worker-1") && told.contains("links not read: EPERM"), "{told}");
    assert_eq!(who.status.code(), Some(3), "{told}");
    let whole = beside.capture("whole.json", |_| ());
    let who = beside.run("who", &whole, &["192.168.91.10"]);
    let told = text(&who);
    assert!(!told.contains("NOT READ") && told.contains("read 0s ago  goes by 192.168.91.10 dev cali"), "{told}");
    assert_eq!(who.status.code(), Some(0), "{told}");
}

/// One torn list is one thing that nobody looked for, and the lists that were read are judged all the same.
#[test]
fn an_audit_is_blind_of_what_no_node_told_it() {
    need!(Etcd3_7);
    let beside = Beside::of("clean");
    let old = |capture: &mut Value| capture["times"] = json!(["2026-11-29T11:20:00Z"]);
    type Damage<'d> = &'d dyn Fn(&mut Value);
    let damages: [(&str, Damage<'_>, &str, &str); 4] = [
        ("routes", &|c| lose(c, &["routes4"]), "partial", "of node worker-1 IPv4 routes not read: EPERM"),
        ("none", &|c| lose(c, &LISTS), "unreachable", "of node worker-1 links not read: EPERM"),
        ("old", &old, "unreachable", "of node worker-1 not judged: 60 minutes old"),
        (
            "part",
            &|c| c["routes4"] = json!({"read": c["routes4"]["read"], "notRead": "EPERM"}),
            "partial",
            "of node worker-1 IPv4 routes read in part: EPERM",
        ),
    ];
    for (name, damage, state, why) in damages {
        let evidence = beside.capture(&format!("{name}.json"), damage);
        let audit = beside.run("audit", &evidence, &[]);
        assert!(first(&audit).starts_with("BLIND: evidence of nodes does not count"), "{name}: {}", text(&audit));
        assert_eq!(audit.status.code(), Some(3), "{name}: {}", text(&audit));
        let audit = beside.run("audit", &evidence, &["-o", "json"]);
        let row = row(&audit);
        assert_eq!(row["state"], state, "{name}: {row}");
        assert!(row["detail"].as_str().unwrap().starts_with(why), "{name}: {row}");
        // What does not count of a node is its own finding too.
        assert!(document(&audit, "audit")["findings"].as_array().unwrap().iter().any(|f| f["code"] == "IPA790"));
        assert_eq!(document(&audit, "audit")["audit"]["complete"], false, "{name}");
        assert_eq!(beside.run("node", &evidence, &[]).status.code(), Some(3), "{name}: node says the same");
    }
    let whole = beside.capture("whole.json", |_| ());
    let audit = beside.run("audit", &whole, &["-o", "json"]);
    assert_eq!((row(&audit)["state"].as_str(), audit.status.code()), (Some("complete"), Some(0)));
    // Of several captures of a node the newest that counts; another node's old one is told, and nobody is blind for it.
    let folder = beside.folder.path().join("captures");
    std::fs::create_dir(&folder).unwrap();
    std::fs::copy(&whole, folder.join("worker-1.json")).unwrap();
    let other = beside.capture("other.json", |capture| {
        capture["node"] = json!("worker-2");
        old(capture);
    });
    std::fs::copy(&other, folder.join("worker-2.json")).unwrap();
    let audit = beside.run("audit", &folder, &["-o", "json"]);
    assert_eq!((row(&audit)["state"].as_str(), audit.status.code()), (Some("complete"), Some(0)));
}

#[test]
fn who_tells_old_evidence_as_what_it_was() {
    need!(Etcd3_7);
    let beside = Beside::of("twins-11");
    let old = beside.capture("old.json", |capture| capture["times"] = json!(["2026-11-29T00:17:00Z"]));
    let who = beside.run("who", &old, &["192.168.91.33"]);
    let told = text(&who);
    assert!(told.contains("of worker-1  not judged  then: goes by 192.168.91.33 dev cali"), "{told}");
    assert!(told.contains("723 minutes old"), "{told}");
    assert_eq!(who.status.code(), Some(3), "{told}");
    let json = document(&beside.run("who", &old, &["192.168.91.33", "-o", "json"]), "who");
    assert_eq!(json["addresses"][0]["kernels"][0]["judged"], false);
    let node = beside.run("who", &old, &["worker-1"]);
    let told = text(&node);
    assert!(told.contains("kernel      not judged  has links, addresses, IPv4 routes"), "{told}");
    assert!(told.contains("723 minutes old") && node.status.code() == Some(3), "{told}");
}
