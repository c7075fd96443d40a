//! The golden cases of `tests/golden/<case>/`: what a datastore held, the
//! Kubernetes objects beside it, and every finding the state must give. Those of
//! `tests/reports/<case>/` have the same form; they are shaped after public bug reports.
//!
//! A case is one moment, or several to be audited in order with one history.
//! Files may be gzip. Keys and values are bytes: they need not be UTF-8.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use base64::Engine;
use flate2::read::GzDecoder;
use serde_json::Value;

use super::etcd::Etcd;

/// An entry of `expect`, `allow` or `expect_with_history`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expected {
    pub code: String,
    pub subject: String,
    pub why: String,
}

/// The world at one time.
#[derive(Debug, Clone)]
pub struct Moment {
    /// RFC 3339; what an audit of it takes as now.
    pub captured_at: String,
    pub etcd_file: PathBuf,
    pub cluster_file: PathBuf,
    pub keys: Vec<(Vec<u8>, Vec<u8>)>,
    /// The `List` of pods, nodes and services.
    pub cluster: Value,
    /// Complete: nothing else may be reported but what `allow` lists.
    pub expect: Vec<Expected>,
    pub allow: Vec<Expected>,
    pub expect_with_history: Vec<Expected>,
    /// Flags of the audit, if the case needs any.
    pub args: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct Case {
    pub name: String,
    pub title: String,
    /// At least one.
    pub moments: Vec<Moment>,
}

impl Case {
    /// All golden cases there are, by name.
    pub fn names() -> Vec<String> {
        names_in(&folder(GOLDEN))
    }

    pub fn load(name: &str) -> Case {
        Case::load_from(GOLDEN, name)
    }

    /// All states made after public bug reports, by name.
    pub fn reports() -> Vec<Case> {
        names_in(&folder(REPORTS)).iter().map(|name| Case::load_from(REPORTS, name)).collect()
    }

    fn load_from(set: &str, name: &str) -> Case {
        let folder = folder(set).join(name);
        let case = json(&read(&folder.join("case.json")));
        let moments = match case["moments"].as_array() {
            Some(moments) => {
                moments.iter().enumerate().map(|(i, m)| Moment::load(&folder, &format!(".{i}"), m)).collect()
            }
            None => vec![Moment::load(&folder, "", &case)],
        };
        Case { name: name.to_owned(), title: case["title"].as_str().unwrap_or_default().to_owned(), moments }
    }

    /// The first moment, which is the only one of most cases.
    pub fn moment(&self) -> &Moment {
        &self.moments[0]
    }

    /// Replaces everything under `/calico` by the first moment's.
    pub fn load_into(&self, etcd: &Etcd) {
        self.moment().load_into(etcd);
    }
}

impl Moment {
    fn load(folder: &Path, part: &str, case: &Value) -> Moment {
        let etcd_file = existing(folder, &format!("etcd{part}.jsonl"));
        let cluster_file = existing(folder, &format!("cluster{part}.json"));
        let list = |field: &str| -> Vec<Expected> {
            let entries = case[field].as_array().cloned().unwrap_or_default();
            entries.iter().map(Expected::of).collect()
        };
        let args = case["args"].as_array().cloned().unwrap_or_default();
        Moment {
            captured_at: text(&case["captured_at"]),
            keys: read(&etcd_file).split(|b| *b == b'\n').filter(|line| !line.is_empty()).map(key_and_value).collect(),
            cluster: json(&read(&cluster_file)),
            expect: list("expect"),
            allow: list("allow"),
            expect_with_history: list("expect_with_history"),
            args: args.iter().map(text).collect(),
            etcd_file,
            cluster_file,
        }
    }

    /// Replaces everything under `/calico` by this moment's.
    pub fn load_into(&self, etcd: &Etcd) {
        etcd.delete_prefix("/calico");
        etcd.put_many(self.keys.clone());
    }
}

impl Expected {
    fn of(entry: &Value) -> Expected {
        Expected { code: text(&entry["code"]), subject: text(&entry["subject"]), why: text(&entry["why"]) }
    }
}

/// Where the golden cases stand in the repository, and those made after reports.
pub const GOLDEN: &str = "tests/golden";
pub const REPORTS: &str = "tests/reports";

fn folder(set: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(set)
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry of a folder of cases"))
        .filter(|entry| entry.path().join("case.json").is_file())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// How the copy of a set of cases in the repository differs from the folder where it was handed over; `None`: not at
/// all. Files of cases count, not the document beside them.
pub fn drift(set: &str, original: &Path) -> Option<String> {
    let ours = folder(set);
    let (copy, handed) = (files_of(&ours), files_of(original));
    if copy != handed {
        let unlike: Vec<_> = copy.symmetric_difference(&handed).collect();
        return Some(format!("only one side has {unlike:?}"));
    }
    let same = |file: &&PathBuf| std::fs::read(ours.join(file)).ok() == std::fs::read(original.join(file)).ok();
    handed.iter().find(|file| !same(file)).map(|file| format!("{} differs from its original", file.display()))
}

fn files_of(root: &Path) -> BTreeSet<PathBuf> {
    let read = |folder: &Path| std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let cases = read(root).map(|entry| entry.expect("an entry").path()).filter(|path| path.is_dir());
    let files = cases.flat_map(|case| read(&case).map(|entry| entry.expect("an entry").path()).collect::<Vec<_>>());
    files.map(|file| file.strip_prefix(root).expect("inside").to_path_buf()).collect()
}

fn existing(folder: &Path, name: &str) -> PathBuf {
    let plain = folder.join(name);
    match plain.is_file() {
        true => plain,
        false => folder.join(format!("{name}.gz")),
    }
}

fn read(path: &Path) -> Vec<u8> {
    let raw = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    if path.extension().is_none_or(|e| e != "gz") {
        return raw;
    }
    let mut bytes = Vec::new();
    GzDecoder::new(raw.as_slice()).read_to_end(&mut bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    bytes
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// `key` or `key_base64`, `value` or `value_base64`.
fn key_and_value(line: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let entry = json(line);
    let bytes = |field: &str| match entry[field].as_str() {
        Some(text) => text.as_bytes().to_vec(),
        None => {
            let coded = entry[format!("{field}_base64")].as_str();
            base64::engine::general_purpose::STANDARD
                .decode(coded.unwrap_or_else(|| panic!("{field} in {entry}")))
                .expect("base64")
        }
    };
    (bytes("key"), bytes("value"))
}

/// An etcd that holds the first moment of a golden case.
pub fn loaded(case: &str) -> (super::Etcd, Moment) {
    let etcd = super::Etcd::start(super::EtcdVersion::V3_7);
    let moment = Case::load(case).moment().clone();
    moment.load_into(&etcd);
    (etcd, moment)
}
