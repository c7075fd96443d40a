//! The checks of nodes against golden nodes: every folder of `tests/golden-node` gives exactly its findings, as it was pasted
//! and through a capture of it, beside etcd and Kubernetes and without them.
//!
//! `IPAUDIT_GOLDEN_NODE=/path/to/another/golden-node cargo test --test node_golden` compares the copy with another folder.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "node_golden/advice.rs"]
mod advice;
#[path = "node_golden/pods.rs"]
mod pods;
#[path = "node_golden/scale.rs"]
mod scale;
mod servers;
#[path = "node_golden/unread.rs"]
mod unread;
#[path = "node_golden/whole_node.rs"]
mod whole_node;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Output;

use ipaudit::checks::{self, Outcome, World};
use ipaudit::ledger::{Ledger, ScopeFlag};
use ipaudit::model::{Code, Gathering, Input, InputState, NodeEvidence, NodesSeen, Severity, Snapshot, Time};
use ipaudit::source::{kube_objects, node_captures, node_pasted};
use serde_json::Value;
use servers::command::{document, first, ipaudit, json, stderr, text};
use servers::{Etcd, EtcdVersion, need};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden-node")
}

struct NodeCase {
    name: String,
    folder: PathBuf,
    case: Value,
}

type Told = (Code, String);

impl NodeCase {
    fn all() -> Vec<NodeCase> {
        let folders =
            std::fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
        let mut cases: Vec<NodeCase> = folders
            .map(|folder| {
                let name = folder.file_name().unwrap().to_string_lossy().into_owned();
                let case = serde_json::from_slice(&std::fs::read(folder.join("case.json")).unwrap()).unwrap();
                NodeCase { name, folder, case }
            })
            .collect();
        cases.sort_by(|a, b| a.name.cmp(&b.name));
        assert!(cases.len() >= 4, "the golden nodes are missing");
        cases
    }

    fn of(name: &str) -> NodeCase {
        NodeCase::all().into_iter().find(|case| case.name == name).unwrap()
    }

    fn text(&self, field: &str) -> &str {
        self.case[field].as_str().unwrap()
    }

    fn list(&self, field: &str) -> BTreeSet<Told> {
        let entries = self.case[field].as_array().unwrap().iter();
        entries
            .map(|e| (e["code"].as_str().unwrap().parse().unwrap(), e["subject"].as_str().unwrap().to_owned()))
            .collect()
    }

    fn evidence(&self) -> NodeEvidence {
        node_pasted::read(&self.folder, self.text("node"), &["cali".to_owned()]).unwrap()
    }

    fn now(&self) -> Time {
        Time::parse_rfc3339(self.text("captured_at")).unwrap()
    }

    /// With etcd and the cluster, and this evidence.
    fn snapshot(&self, evidence: NodeEvidence) -> Snapshot {
        let mut snapshot = Gathering { now: self.now(), ..Gathering::default() };
        node_pasted::read_dump(&self.folder.join("etcd.jsonl"), &mut snapshot).unwrap();
        kube_objects::read(&[self.folder.join("cluster.json")], &mut snapshot).unwrap();
        for input in [Input::Pods, Input::KubeNodes, Input::Services, Input::Namespaces] {
            snapshot.coverage.set(input, InputState::Complete, "");
        }
        let mut snapshot = snapshot.sorted();
        snapshot.take_nodes(NodesSeen::newest(vec![evidence], false));
        snapshot
    }

    /// The evidence alone.
    fn alone(&self, evidence: NodeEvidence) -> Snapshot {
        let mut snapshot = Gathering { now: self.now(), ..Gathering::default() }.sorted();
        snapshot.take_nodes(NodesSeen::newest(vec![evidence], false));
        snapshot
    }

    fn judged(&self, evidence: NodeEvidence) -> Outcome {
        judged(&self.snapshot(evidence))
    }
}

fn judged(snapshot: &Snapshot) -> Outcome {
    let ledger = Ledger::build(snapshot, ScopeFlag::Auto, None);
    checks::run(&World { snapshot, ledger: &ledger, past: None })
}

fn family() -> BTreeSet<Code> {
    checks::node::FAMILY.1.iter().map(|check| check.code).collect()
}

fn told(outcome: &Outcome) -> BTreeSet<Told> {
    let of_nodes = outcome.findings.iter().filter(|f| family().contains(&f.code));
    of_nodes.map(|f| (f.code, f.subject.id.raw().to_owned())).collect()
}

/// What is missing, and what is there that must not be.
fn differences(case: &NodeCase, found: &BTreeSet<Told>) -> Vec<String> {
    let (expected, allowed) = (case.list("expect"), case.list("allow"));
    let missing = expected.difference(found).map(|(code, id)| format!("{}: missing {code} {id}", case.name));
    let more = found.iter().filter(|told| !expected.contains(told) && !allowed.contains(told));
    missing.chain(more.map(|(code, id)| format!("{}: unexpected {code} {id}", case.name))).collect()
}

#[test]
fn every_node_gives_exactly_its_findings() {
    let mut wrong = Vec::new();
    for case in NodeCase::all() {
        let outcome = case.judged(case.evidence());
        wrong.extend(differences(&case, &told(&outcome)));
        let skipped = outcome
            .skipped
            .iter()
            .filter(|s| s.incomplete)
            .map(|s| format!("{}: skipped {} {:?}", case.name, s.code, s.reason));
        wrong.extend(skipped);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A capture is what was pasted: written and read it is the same, and says the same.
#[test]
fn a_capture_of_a_node_says_what_was_pasted() {
    let folder = tempfile::tempdir().unwrap();
    let streamed = node(&NodeCase::of("clean"), &["--capture", "-"]);
    assert_eq!((json(&streamed)["kind"].as_str(), streamed.status.code()), (Some("NodeEvidence"), Some(0)));
    for case in NodeCase::all() {
        let pasted = case.evidence();
        let path = folder.path().join(format!("{}.gz", case.name));
        node_captures::write(&path, &pasted).unwrap();
        let mut read = node_captures::read(std::slice::from_ref(&path)).unwrap().seen.nodes;
        assert_eq!(read.len(), 1);
        read[0].from = pasted.from.clone();
        assert_eq!(read[0], pasted, "{}", case.name);
        assert_eq!(differences(&case, &told(&case.judged(read.remove(0)))), Vec::<String>::new());
        let size = std::fs::metadata(&path).unwrap().len();
        assert!(size < 4_000, "{}: {size} bytes", case.name);
    }
}

#[test]
fn without_etcd_and_kubernetes_a_node_says_at_least_what_it_knows_itself() {
    for case in NodeCase::all() {
        let outcome = judged(&case.alone(case.evidence()));
        let (found, expected) = (told(&outcome), case.list("expect_without_etcd"));
        let missing: Vec<_> = expected.difference(&found).collect();
        assert!(missing.is_empty(), "{}: {missing:?} of {found:?}", case.name);
        let may = |told: &Told| {
            expected.contains(told) || case.list("expect").contains(told) || case.list("allow").contains(told)
        };
        let more: Vec<_> = found.iter().filter(|told| !may(told)).collect();
        assert!(more.is_empty(), "{}: {more:?}", case.name);
        // A capture alone is no reason to restart anything, unless pods were looked into.
        let mut blind = case.evidence();
        blind.inside = Default::default();
        let outcome = judged(&case.alone(blind));
        let of_several = outcome.findings.iter().filter(|f| f.code == Code(704));
        assert!(of_several.into_iter().all(|f| f.severity == Severity::Warning), "{}", case.name);
    }
}

/// A refused dump is no empty one: nothing is found that the whole evidence does not show.
#[test]
fn what_could_not_be_read_accuses_nobody() {
    use ipaudit::model::node_evidence::Dump;
    type Blind = fn(&mut NodeEvidence);
    let blind: [Blind; 8] = [
        |e| e.links = Dump::NotRead("errno 13".into()),
        |e| e.addresses = Dump::NotRead("errno 13".into()),
        |e| e.routes4 = Dump::NotRead("errno 13".into()),
        |e| e.routes6 = Dump::NotRead("errno 13".into()),
        |e| e.neighbours = Dump::NotRead("errno 13".into()),
        |e| e.sysctls = Dump::NotRead("errno 13".into()),
        |e| e.verdicts = Dump::NotRead("errno 13".into()),
        |e| e.inside.pods = Dump::NotRead("errno 13".into()),
    ];
    for case in NodeCase::all() {
        for blind in blind {
            let mut evidence = case.evidence();
            blind(&mut evidence);
            let mut found = told(&case.judged(evidence));
            // That it could not be read, and nothing else.
            assert!(found.remove(&(Code(790), case.text("node").to_owned())), "{}", case.name);
            let more: Vec<_> =
                found.iter().filter(|t| !case.list("expect").contains(t) && !case.list("allow").contains(t)).collect();
            assert!(more.is_empty(), "{}: {more:?}", case.name);
        }
    }
}

/// On the incident the datastore's own finding explains all that the node shows; without it the node explains itself.
#[test]
fn the_incident_folds_under_its_cause() {
    let case = NodeCase::of("twins-11");
    let roots = |outcome: &Outcome| -> BTreeMap<u16, Option<u16>> {
        let of_nodes = outcome.findings.iter().filter(|f| family().contains(&f.code));
        of_nodes.map(|f| (f.code.0, f.root.as_ref().map(|root| root.code.0))).collect()
    };
    let all = roots(&case.judged(case.evidence()));
    assert!(all.len() >= 4 && all.values().all(|root| *root == Some(101)), "{all:?}");
    let snapshot = case.snapshot(case.evidence());
    let ledger = Ledger::build(&snapshot, ScopeFlag::Auto, None);
    let world = World { snapshot: &snapshot, ledger: &ledger, past: None };
    let alone = roots(&checks::run_these(&world, checks::node::FAMILY.1));
    assert_eq!((alone[&701], alone[&704]), (None, None));
    assert!([707, 711].iter().all(|code| matches!(alone[code], Some(701 | 704))), "{alone:?}");
}

fn node(case: &NodeCase, args: &[&str]) -> Output {
    let mut command = ipaudit();
    command.args(["node", "--now", case.text("captured_at")]).env("COLUMNS", "160");
    if !args.contains(&"--node") {
        command.args(["--node", case.text("node")]);
    }
    command.arg("--from-ip").arg(&case.folder).args(args).output().unwrap()
}

fn with_files(case: &NodeCase, args: &[&str]) -> Output {
    let (etcd, cluster) = (case.folder.join("etcd.jsonl"), case.folder.join("cluster.json"));
    let files = ["--etcd-dump", etcd.to_str().unwrap(), "--kube-objects", cluster.to_str().unwrap()];
    node(case, &[&files, args].concat())
}

fn told_by(document: &Value) -> BTreeSet<Told> {
    let findings = document["findings"].as_array().unwrap().iter();
    let of =
        |f: &Value| (f["code"].as_str().unwrap().parse().unwrap(), f["subject"]["id"].as_str().unwrap().to_owned());
    findings.map(of).filter(|(code, _)| family().contains(code)).collect()
}

#[test]
fn the_command_tells_what_the_checks_find() {
    for case in NodeCase::all() {
        let output = with_files(&case, &["-o", "json"]);
        assert_eq!(
            differences(&case, &told_by(&document(&output, "audit"))),
            Vec::<String>::new(),
            "{}",
            stderr(&output)
        );
        let is_wrong = !case.list("expect").is_empty();
        assert_eq!(output.status.code(), Some(i32::from(is_wrong)), "{}: {}", case.name, stderr(&output));
        let alone = node(&case, &["-o", "json"]);
        let found = told_by(&json(&alone));
        assert!(case.list("expect_without_etcd").is_subset(&found), "{found:?}");
    }
}

#[test]
fn the_first_line_answers_and_what_was_not_given_is_said() {
    let clean = with_files(&NodeCase::of("clean"), &[]);
    assert_eq!(first(&clean), "Nothing wrong on worker-1, as far as was looked.");
    assert!(text(&clean).contains("compared with etcd and Kubernetes"), "{}", text(&clean));
    let alone = node(&NodeCase::of("clean"), &[]);
    assert!(text(&alone).contains("compared with nothing: only what the node says by itself"), "{}", text(&alone));
    let twins = with_files(&NodeCase::of("twins-11"), &[]);
    assert!(first(&twins).starts_with("CRITICAL: worker-1 192.168.91.33 "), "{}", first(&twins));
    // What is to be typed next sees this node again.
    let again = format!("ipaudit node --from-ip {}", NodeCase::of("twins-11").folder.display());
    assert!(text(&twins).contains(&again) && !text(&twins).contains("ipaudit audit "), "{}", text(&twins));
    assert!(!text(&twins).contains("ipaudit who "), "{}", text(&twins));
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(root().join("clean/route.json"), folder.path().join("route.json")).unwrap();
    std::fs::write(folder.path().join("neigh.json"), "").unwrap();
    let output = ipaudit().args(["node", "--node", "worker-1", "--from-ip"]).arg(folder.path()).output().unwrap();
    let told = text(&output);
    assert!(told.contains("neighbours not read: the file is empty: ip failed"), "{told}");
    assert!(told.contains("sysctls not given: nobody can see a gateway that proxy_arp silences"), "{told}");
    assert_eq!(output.status.code(), Some(3), "asked for and not read");
}

/// A name of no node at all accuses nobody, as that of another node does not.
#[test]
fn with_a_wrong_name_nothing_is_judged() {
    for wrong in ["worker-1.example.com", "worker-2"] {
        let output = with_files(&NodeCase::of("clean"), &["--node", wrong, "-o", "json"]);
        let found: BTreeSet<Code> = told_by(&json(&output)).into_iter().map(|(code, _)| code).collect();
        assert_eq!((found, output.status.code()), (BTreeSet::from([Code(790)]), Some(3)), "{wrong}");
    }
}

#[test]
fn what_is_no_output_of_ip_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let run = || ipaudit().args(["node", "--node", "worker-1", "--from-ip"]).arg(folder.path()).output().unwrap();
    let empty = run();
    assert_eq!(empty.status.code(), Some(2));
    assert!(stderr(&empty).contains("none of ip's outputs is in this folder"), "{}", stderr(&empty));
    std::fs::write(folder.path().join("route.json"), "default via 172.20.0.1 dev eth0\n").unwrap();
    let plain = run();
    assert!(stderr(&plain).contains("route.json") && stderr(&plain).contains("JSON"), "{}", stderr(&plain));
    std::fs::write(folder.path().join("route.json"), r#"[{"dst":"10.65.0.7","scope":"link"}]"#).unwrap();
    let no_dev = run();
    assert!(stderr(&no_dev).contains("names no device"), "{}", stderr(&no_dev));
    assert_eq!((plain.status.code(), no_dev.status.code()), (Some(2), Some(2)));
}

/// The whole way: pasted, captured, and joined by an audit with a live etcd, a history, `who` and `report`.
#[test]
fn an_audit_joins_a_capture_and_the_history_keeps_its_findings() {
    need!(Etcd3_7);
    let case = NodeCase::of("twins-11");
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("captures/worker-1.gz");
    std::fs::create_dir(capture.parent().unwrap()).unwrap();
    let captured = node(&case, &["--capture", capture.to_str().unwrap(), "-o", "json"]);
    assert!(capture.is_file(), "{}", stderr(&captured));
    let etcd = Etcd::start(EtcdVersion::V3_7);
    case.load_into(&etcd);
    let db = folder.path().join("history.db");
    // Of a cluster without a name nothing that is open ever ends.
    let named = folder.path().join("named.json");
    let uid = "00000000-0000-4000-8000-00000000000a";
    let name =
        serde_json::json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "kube-system", "uid": uid}});
    std::fs::write(&named, name.to_string()).unwrap();
    let run = |command: &str, now: &str, args: &[&str]| {
        let mut ipaudit = ipaudit();
        ipaudit.args([command, "--etcd-endpoints", &etcd.endpoint(), "--settle", "10ms", "--now", now]);
        ipaudit.arg("--kube-objects").arg(case.folder.join("cluster.json")).env_remove("IPAUDIT_NO_HISTORY");
        ipaudit.arg("--kube-objects").arg(&named);
        ipaudit.arg("--db").arg(&db).args(args).output().unwrap()
    };
    let now = case.text("captured_at");
    let files = capture.to_str().unwrap();
    let audited = document(&run("audit", now, &["--node-evidence", files, "-o", "json"]), "audit");
    assert_eq!(differences(&case, &told_by(&audited)), Vec::<String>::new());
    assert!(audited["inputs"].as_array().unwrap().iter().any(|row| row["input"] == "node-evidence"));
    let who = document(&run("who", now, &["192.168.91.33", "--node-evidence", files, "-o", "json"]), "who");
    let kernel = &who["addresses"][0]["kernels"][0];
    assert_eq!((&kernel["node"], &kernel["winner"]), (&"worker-1".into(), &"cali752522c4646".into()), "{kernel:#}");
    let silent = kernel["gateway"].as_array().unwrap().iter().filter(|gateway| gateway["errno"] == 22).count();
    assert_eq!((silent, kernel["neighbours"].as_array().unwrap().len()), (10, 11));
    let table = text(&run("who", now, &["192.168.91.33", "--node-evidence", files]));
    let way = "of worker-1  goes by 192.168.91.33 dev cali752522c4646 proto boot metric 1024";
    assert!(table.contains(way) && table.contains("why not: its own route to the pod's address"), "{table}");
    // What is to be typed next sees the same nodes.
    let table = text(&run("audit", now, &["--node-evidence", files, "--code", "IPA704,IPA707"]));
    assert!(table.contains(&format!("ipaudit who 192.168.91.33 --node-evidence {files}")), "{table}");
    assert!(table.contains("--db, --node-evidence.") || table.contains("--node-evidence, --db."), "{table}");
    // Who asks for nodes alone and gives none is told that nobody looked.
    let nobody = run("audit", now, &["--code", "IPA704"]);
    assert_eq!(nobody.status.code(), Some(3), "{}", text(&nobody));
    assert!(first(&nobody).contains("node-evidence: not asked"), "{}", text(&nobody));
    assert!(!text(&nobody).contains("Nothing found"), "{}", text(&nobody));
    let about: BTreeSet<&str> =
        who["findings"].as_array().unwrap().iter().map(|f| f["code"].as_str().unwrap()).collect();
    assert!(about.contains("IPA704") && about.contains("IPA101"), "{about:?}");
    // Without evidence nobody asked: nothing of nodes is told, and nothing of them has ended.
    let later = "2026-11-29T12:20:57Z";
    let without = document(&run("audit", later, &["-o", "json"]), "audit");
    assert!(told_by(&without).is_empty());
    assert!(without["skipped"].as_array().unwrap().iter().all(|s| !s["code"].as_str().unwrap().starts_with("IPA7")));
    assert!(without["inputs"].as_array().unwrap().iter().all(|row| row["input"] != "node-evidence"));
    let state = |code: &str, now: &str| {
        let mut report = ipaudit();
        report.args(["report", "--since", "2026-11-29T00:00:00Z", "--now", now, "-o", "json", "--db"]);
        let report = json(&report.arg(&db).output().unwrap());
        let findings = report["clusters"][0]["findings"].as_array().unwrap();
        let [finding] = findings.iter().filter(|f| f["code"] == code).collect::<Vec<_>>().try_into().unwrap();
        finding["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(state("IPA704", later), "input missing");
    // A capture that shows the node healed ends it; what nobody looked for (the insides of pods) stays open.
    let healed = folder.path().join("healed.gz");
    node(&NodeCase::of("clean"), &["--capture", healed.to_str().unwrap()]);
    let last = "2026-11-29T12:30:57Z";
    let ended = document(&run("audit", last, &["--node-evidence", healed.to_str().unwrap(), "-o", "json"]), "audit");
    assert!(told_by(&ended).iter().all(|(code, _)| *code != Code(704)), "{ended:#}");
    assert_eq!((state("IPA704", last), state("IPA711", last)), ("resolved".to_owned(), "input missing".to_owned()));
    // What is no capture is told, and takes nothing from those that are; an audit is worth something without any.
    let notes = folder.path().join("notes.txt");
    std::fs::write(&notes, "{}").unwrap();
    let notes = notes.to_str().unwrap();
    let run = |evidence: &str| run("audit", "2026-11-29T12:40:57Z", &["--node-evidence", evidence, "-o", "json"]);
    let (some, none, mistyped) = (run(&format!("{notes},{files}")), run(notes), run("absent.gz"));
    let row = |output: &Output| {
        let inputs = document(output, "audit")["inputs"].clone();
        inputs.as_array().unwrap().iter().find(|row| row["input"] == "node-evidence").unwrap().clone()
    };
    assert!(stderr(&some).contains("notes.txt is left out: it is no capture of a node"), "{}", stderr(&some));
    assert_eq!(row(&some)["state"], "complete");
    assert_eq!((none.status.code(), &row(&none)["state"]), (Some(3), &"unreachable".into()), "{}", stderr(&none));
    assert!(row(&none)["detail"].as_str().unwrap().contains("notes.txt: it is no capture of a node"), "{}", row(&none));
    assert_eq!(mistyped.status.code(), Some(2), "{}", stderr(&mistyped));
}

#[test]
fn captures_are_read_by_audit_and_who_and_what_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x");
    std::fs::write(&file, "{}").unwrap();
    let mut command = ipaudit();
    let output = command.args(["node", "--node-evidence"]).arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("it is no capture of a node"), "{}", stderr(&output));
    let output = ipaudit().args(["node", "--from-ip"]).arg(folder.path()).output().unwrap();
    assert!(stderr(&output).contains("--node <NODE>"), "what was pasted does not say whose it is: {}", stderr(&output));
}

fn files_of(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut files, mut folders) = (BTreeMap::new(), vec![root.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.parent() != Some(root) {
                files.insert(path.strip_prefix(root).unwrap().to_path_buf(), std::fs::read(&path).unwrap());
            }
        }
    }
    files
}

/// The copies in the repository are the nodes as they were handed over, when the original folder is at hand.
#[test]
fn the_copies_are_the_originals() {
    let Some(original) = std::env::var_os("IPAUDIT_GOLDEN_NODE") else { return };
    let (ours, theirs) = (files_of(&root()), files_of(Path::new(&original)));
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    assert!(ours == theirs, "a copy differs from its original");
}
