//! An etcd with a golden datastore in it, and audits of it: by what changed, and in full.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use super::servers::command::{ipaudit, json, stderr};
use super::servers::{Case, Etcd, recorded};

pub struct World {
    pub etcd: Etcd,
    pub folder: TempDir,
    /// The audits' `--now`.
    pub now: String,
    pub objects: PathBuf,
    /// Whether Kubernetes is not asked.
    pub alone: Cell<bool>,
}

impl World {
    /// A golden case in this etcd.
    pub fn of(etcd: Etcd, case: &str) -> World {
        let moment = Case::load(case).moment().clone();
        moment.load_into(&etcd);
        World::with(etcd, moment.captured_at, moment.cluster_file)
    }

    pub fn with(etcd: Etcd, now: String, objects: PathBuf) -> World {
        World { etcd, folder: tempfile::tempdir().unwrap(), now, objects, alone: Cell::new(false) }
    }

    pub fn db(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn state(&self) -> PathBuf {
        self.db("history.db.state")
    }

    /// The fingerprints of what the last audit saw.
    pub fn seen(&self) -> PathBuf {
        self.db("history.db.seen")
    }

    /// The first pod with an address of its own goes from Kubernetes' objects, a file of this world's own. Its name.
    pub fn remove_a_pod(&self) -> String {
        self.remove_a_pod_into(&self.objects)
    }

    /// The same, in another file.
    pub fn remove_a_pod_into(&self, file: &Path) -> String {
        let mut objects: Value = serde_json::from_slice(&std::fs::read(&self.objects).unwrap()).unwrap();
        let items = objects["items"].as_array_mut().unwrap();
        let is_pod = |item: &Value| item["kind"] == "Pod" && item["spec"]["hostNetwork"] != true;
        let place = items.iter().position(is_pod).unwrap();
        let pod = items.remove(place);
        std::fs::write(file, objects.to_string()).unwrap();
        pod["metadata"]["name"].as_str().unwrap().to_owned()
    }

    /// An audit with this history through this endpoint.
    pub fn run(&self, db: &Path, endpoint: &str, args: &[&str]) -> Output {
        let mut command = ipaudit();
        command.env_remove("IPAUDIT_NO_HISTORY");
        command.args(["audit", "-v", "-o", "json", "--all", "--settle", "20ms", "--now", &self.now]);
        command.args(["--etcd-endpoints", endpoint]);
        if !self.alone.get() {
            command.arg("--kube-objects").arg(&self.objects);
        }
        command.arg("--db").arg(db).args(args);
        command.output().unwrap()
    }

    /// One that goes on from the last.
    pub fn audit(&self) -> Value {
        self.audit_told().0
    }

    /// The same, and how it read the history.
    pub fn audit_told(&self) -> (Value, String) {
        let output = self.run(&self.db("history.db"), &self.etcd.endpoint(), &[]);
        let document = json(&output);
        // Of a datastore whose name does not decode nothing is recorded.
        let is_recorded = document["audit"]["id"].is_u64() || document["cluster"]["guid"] == "unknown";
        assert!(is_recorded, "{}", stderr(&output));
        (document, past_reading(&output))
    }

    /// One that goes on from the last, held against a full one of the same moment and past. By what it was read.
    #[track_caller]
    pub fn compare(&self) -> (String, String) {
        let (document, _) = self.compare_told();
        reading(&document)
    }

    /// The same with what it says, and how it read the history.
    #[track_caller]
    pub fn compare_told(&self) -> (Value, String) {
        for file in std::fs::read_dir(self.folder.path()).unwrap().flatten().map(|file| file.path()) {
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            if let Some(end) = name.strip_prefix("full.db") {
                assert!(!end.is_empty() || file.is_file());
                std::fs::remove_file(&file).unwrap();
            }
        }
        for end in ["", "-wal"] {
            let from = self.db(&format!("history.db{end}"));
            if from.exists() {
                std::fs::copy(from, self.db(&format!("full.db{end}"))).unwrap();
            }
        }
        let (less, told) = self.audit_told();
        let full = json(&self.run(&self.db("full.db"), &self.etcd.endpoint(), &["--full"]));
        assert_eq!(full["audit"]["reading"]["by"], "full", "{full:#}");
        assert_eq!(full["audit"]["reading"]["why"], "--full");
        assert_same(&less, &full);
        recorded::assert_same_rows(&self.db("history.db"), &self.db("full.db"));
        (less, told)
    }
}

/// How the history was read; empty where it was not.
pub fn past_reading(output: &Output) -> String {
    let told = stderr(output);
    let line = told.lines().find_map(|line| line.split_once("the history was read: "));
    line.map_or(String::new(), |(_, how)| how.to_owned())
}

/// By what it was read, and why.
pub fn reading(document: &Value) -> (String, String) {
    let reading = &document["audit"]["reading"];
    let text = |field: &str| reading[field].as_str().unwrap_or_else(|| panic!("{document:#}")).to_owned();
    (text("by"), text("why"))
}

pub fn decoded(document: &Value) -> u64 {
    document["audit"]["reading"]["decoded"].as_u64().unwrap_or_else(|| panic!("{document:#}"))
}

/// All that both say is the same, but how and when each was read.
#[track_caller]
fn assert_same(less: &Value, full: &Value) {
    let bare = |document: &Value| {
        let mut document = document.clone();
        for field in ["reading", "started", "duration_ms"] {
            document["audit"].as_object_mut().unwrap().remove(field);
        }
        // The size of etcd's file and the like.
        document.as_object_mut().unwrap().remove("etcd");
        document
    };
    let (a, b) = (bare(less), bare(full));
    if a == b {
        return;
    }
    let findings = |document: &Value| -> Vec<String> {
        document["findings"].as_array().unwrap().iter().map(|finding| finding.to_string()).collect()
    };
    let (of_less, of_full) = (findings(&a), findings(&b));
    let only = |these: &[String], those: &[String]| -> Vec<String> {
        these.iter().filter(|finding| !those.contains(finding)).cloned().collect()
    };
    let rest = |document: &Value| {
        let mut document = document.clone();
        document.as_object_mut().unwrap().remove("findings");
        document
    };
    panic!(
        "{}\nonly by what changed: {:#?}\nonly in full: {:#?}\n{:#}\n{:#}",
        less["audit"]["reading"],
        only(&of_less, &of_full),
        only(&of_full, &of_less),
        rest(&a),
        rest(&b)
    );
}
