//! `--kube-objects`: Kubernetes' objects from files, in every form in which people have them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use ipaudit::error::{Error, chain};
use ipaudit::model::{Gathering, Input, InputState};
use ipaudit::source::kube_objects;
use serde_json::{Value, json};
use tempfile::TempDir;

struct Files(TempDir, Vec<PathBuf>);

impl Files {
    fn new() -> Files {
        Files(tempfile::tempdir().unwrap(), Vec::new())
    }

    fn with(mut self, content: impl AsRef<[u8]>) -> Files {
        let path = self.0.path().join(format!("objects-{}.json", self.1.len()));
        std::fs::write(&path, content).unwrap();
        self.1.push(path);
        self
    }

    fn read(&self) -> Result<(Gathering, Vec<String>), Error> {
        read(&self.1)
    }
}

fn read(files: &[PathBuf]) -> Result<(Gathering, Vec<String>), Error> {
    let mut snapshot = Gathering::default();
    let remarks = kube_objects::read(files, &mut snapshot)?;
    Ok((Gathering::clone(&snapshot.sorted()), remarks.notes()))
}

fn one(content: impl AsRef<[u8]>) -> Gathering {
    Files::new().with(content).read().unwrap().0
}

fn pod(namespace: &str, name: &str, address: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "namespace": namespace, "name": name },
        "spec": { "nodeName": "node-1" }, "status": { "phase": "Running", "podIP": address },
    })
}

fn pods(snapshot: &Gathering) -> Vec<String> {
    let mut pods: Vec<String> = snapshot
        .pods
        .iter()
        .map(|pod| format!("{} {:?}", snapshot.pair(pod.namespace, pod.name), &*pod.addresses()))
        .collect();
    pods.sort();
    pods
}

fn states(snapshot: &Gathering) -> [InputState; 4] {
    [Input::Pods, Input::KubeNodes, Input::Services, Input::Namespaces].map(|input| snapshot.coverage.state(input))
}

/// Everything the snapshot has of Kubernetes, the file's name aside.
fn whole(snapshot: &Gathering) -> String {
    let Gathering { pods, kube_nodes, services, namespaces, kube, .. } = snapshot;
    let uids = (&kube.kube_system_uid, &kube.kubernetes_service_uid);
    format!("{pods:?}\n{kube_nodes:?}\n{services:?}\n{namespaces:?}\n{uids:?}\n{:?}", states(snapshot))
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn golden() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for case in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")).unwrap() {
        let case = case.unwrap().path();
        for file in std::fs::read_dir(case).into_iter().flatten() {
            let file = file.unwrap().path();
            if file.file_name().unwrap().to_string_lossy().starts_with("cluster") {
                files.push(file);
            }
        }
    }
    assert!(files.len() > 10);
    files
}

use InputState::{Complete, NotAsked, Partial};

#[test]
fn every_golden_cluster_is_read_whole() {
    for file in golden() {
        let (snapshot, notes) = read(std::slice::from_ref(&file)).unwrap();
        assert!(notes.is_empty(), "{}: {notes:?}", file.display());
        let bytes = std::fs::read(&file).unwrap();
        let list: Value = match bytes.starts_with(&[0x1f, 0x8b]) {
            true => serde_json::from_reader(flate2::read::GzDecoder::new(bytes.as_slice())).unwrap(),
            false => serde_json::from_slice(&bytes).unwrap(),
        };
        let count = |kind: &str| list["items"].as_array().unwrap().iter().filter(|i| i["kind"] == kind).count();
        let read = [snapshot.pods.len(), snapshot.kube_nodes.len(), snapshot.services.len()];
        assert_eq!(read, [count("Pod"), count("Node"), count("Service")], "{}", file.display());
        assert_eq!(states(&snapshot), [Complete, Complete, Complete, NotAsked], "{}", file.display());
        for pod in list["items"].as_array().unwrap().iter().filter(|i| i["kind"] == "Pod") {
            let name = |field: &str| snapshot.names.find(pod["metadata"][field].as_str().unwrap()).unwrap();
            let (namespace, name) = (name("namespace"), name("name"));
            let found = snapshot.pods.iter().find(|p| (p.namespace, p.name) == (namespace, name)).unwrap();
            let ips = pod["status"]["podIPs"].as_array().cloned().unwrap_or_default();
            let ips: Vec<&str> = ips.iter().map(|ip| ip["ip"].as_str().unwrap()).collect();
            let addresses: Vec<String> = found.addresses().iter().map(ToString::to_string).collect();
            assert_eq!(addresses, ips, "{}: {}", file.display(), pod["metadata"]["name"]);
            assert_eq!(found.uid.text(&snapshot.names), pod["metadata"]["uid"].as_str().unwrap());
        }
    }
}

#[test]
fn gzip_and_field_order_change_nothing() {
    let file = golden().into_iter().find(|file| file.to_string_lossy().contains("clean-small")).unwrap();
    let plain = std::fs::read(&file).unwrap();
    let expected = whole(&one(&plain));
    assert_eq!(whole(&one(gzip(&plain))), expected);
    // Two members one after the other, as `cat a.gz b.gz` makes them.
    let (left, right) = plain.split_at(plain.len() / 2);
    assert_eq!(whole(&one([gzip(left), gzip(right)].concat())), expected);
    let list: Value = serde_json::from_slice(&plain).unwrap();
    assert_eq!(whole(&one(serde_json::to_vec_pretty(&list).unwrap())), expected);
    assert_eq!(whole(&one(list["items"].to_string())), expected);
    let documents: String = list["items"].as_array().unwrap().iter().map(|item| format!("{item}\n")).collect();
    assert_eq!(whole(&one(documents)), expected);
}

#[test]
fn typed_lists_need_not_say_the_kind_of_their_items() {
    let mut item = pod("n", "a", "10.65.0.7");
    item.as_object_mut().unwrap().retain(|field, _| field != "kind" && field != "apiVersion");
    let metadata = json!({ "resourceVersion": "1" });
    // As the server writes it, and with the fields sorted by name: `items` before `kind`.
    for text in [
        format!(r#"{{"kind":"PodList","apiVersion":"v1","metadata":{metadata},"items":[{item}]}}"#),
        format!(r#"{{"apiVersion":"v1","items":[{item},{item}],"kind":"PodList","metadata":{metadata}}}"#),
    ] {
        let snapshot = one(&text);
        assert_eq!(pods(&snapshot), ["n/a [10.65.0.7]"], "{text}");
        assert_eq!(states(&snapshot), [Complete, NotAsked, NotAsked, NotAsked]);
    }
    let (snapshot, notes) = Files::new().with(format!(r#"{{"items":[{item}]}}"#)).read().unwrap();
    assert!(snapshot.pods.is_empty());
    assert_eq!(notes, ["1 objects do not say of which kind they are"]);
    assert_eq!(states(&snapshot), [NotAsked; 4]);
}

#[test]
fn empty_is_said_with_an_empty_typed_list_only() {
    for text in [
        r#"{"kind":"PodList","apiVersion":"v1","items":[]}"#,
        r#"{"apiVersion":"v1","items":[],"kind":"PodList"}"#,
        r#"{"kind":"PodList","apiVersion":"v1","items":null}"#,
    ] {
        assert_eq!(states(&one(text)), [Complete, NotAsked, NotAsked, NotAsked], "{text}");
    }
    for text in [
        r#"{"kind":"List","apiVersion":"v1","items":[]}"#,
        r#"{"kind":"PodList","apiVersion":"metrics.k8s.io/v1beta1","items":[]}"#,
        "{}",
        "[]",
    ] {
        assert_eq!(states(&one(text)), [NotAsked; 4], "{text}");
    }
}

#[test]
fn one_object_is_enough_and_other_kinds_are_passed_over() {
    let knative = json!({ "apiVersion": "serving.knative.dev/v1", "kind": "Service",
        "metadata": { "namespace": "n", "name": "k" }, "spec": { "type": 5 } });
    let deployment = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "status": [1, 2], "spec": { "type": {} } });
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace",
        "metadata": { "name": "kube-system", "uid": "ns-uid" } });
    let list = json!({ "kind": "List", "items": [knative, deployment] });
    let text = format!("{}\n{knative}{deployment}{namespace} {list}", pod("n", "a", "10.65.0.7"));
    let (snapshot, notes) = Files::new().with(text).read().unwrap();
    assert_eq!(pods(&snapshot), ["n/a [10.65.0.7]"]);
    assert_eq!(states(&snapshot), [Complete, NotAsked, NotAsked, Complete]);
    assert_eq!(snapshot.kube.uid(), Some("ns-uid"));
    assert!(notes.is_empty());
}

#[test]
fn of_two_objects_of_one_name_the_later_one_counts() {
    let first = format!("{}{}", pod("n", "a", "10.65.0.1"), pod("n", "b", "10.65.0.2"));
    let files = Files::new().with(first).with(pod("n", "a", "10.65.0.3").to_string());
    let (snapshot, _) = files.read().unwrap();
    assert_eq!(pods(&snapshot), ["n/a [10.65.0.3]", "n/b [10.65.0.2]"]);
    let server = &snapshot.kube.server;
    assert!(server.contains("objects-0.json") && server.contains("objects-1.json"), "{server}");
}

#[test]
fn one_page_of_a_list_is_partial() {
    let text = json!({ "kind": "PodList", "apiVersion": "v1", "metadata": { "continue": "token" },
        "items": [pod("n", "a", "10.65.0.1")] });
    let snapshot = one(text.to_string());
    assert_eq!(states(&snapshot), [Partial, NotAsked, NotAsked, NotAsked]);
    assert!(snapshot.coverage.detail(Input::Pods).raw().contains("one page"));
}

#[test]
fn an_object_that_does_not_decode_makes_its_kind_partial() {
    let bad = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "namespace": "n", "name": "b" },
        "status": { "phase": 5 } });
    let good = pod("n", "a", "10.65.0.1");
    let node = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "node-1" } });
    let list = json!({ "kind": "List", "items": [bad, good, node] }).to_string();
    for text in [list, format!("{bad}{good}{node}")] {
        let snapshot = one(text);
        assert_eq!(pods(&snapshot), ["n/a [10.65.0.1]"]);
        assert_eq!(states(&snapshot), [Partial, Complete, NotAsked, NotAsked]);
        assert!(snapshot.coverage.detail(Input::Pods).raw().contains("does not decode"));
    }
    // Nobody can say what this one is: it may be any of the four.
    let snapshot = one(json!({ "items": [{ "metadata": 5 }], "kind": "List" }).to_string());
    assert_eq!(states(&snapshot), [Partial; 4]);
}

fn error(content: impl AsRef<[u8]>) -> Error {
    Files::new().with(content).read().map(|_| ()).unwrap_err()
}

#[test]
fn a_file_that_is_cut_off_anywhere_is_an_error() {
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": [pod("n", "é", "10.65.0.1"), pod("n", "b", "")] });
    let text = list.to_string();
    for cut in 0..text.len() {
        let error = error(&text.as_bytes()[..cut]);
        assert!(error.at.contains("objects-0.json, byte "), "{}", error.at);
        assert!(!error.hint.is_empty());
    }
    let packed = gzip(text.as_bytes());
    for cut in 2..packed.len() {
        error(&packed[..cut]);
    }
    assert!(error(&text.as_bytes()[..text.len() - 1]).cause.unwrap().to_string().contains("ends in the middle"));
    assert!(error("").cause.unwrap().to_string().contains("empty"));
}

#[test]
fn what_is_not_json_is_an_error_that_says_where_and_what_to_do() {
    let yaml = error("apiVersion: v1\nkind: List\n");
    assert!(chain(&yaml).contains("not JSON"), "{}", chain(&yaml));
    assert!(yaml.hint.contains("-o json"));
    let text = r#"{"kind":"List","items":[{"kind":"Pod"}!]}"#;
    let broken = error(text);
    assert!(broken.at.ends_with(&format!("byte {}", text.find('!').unwrap())), "{}", broken.at);
    for text in [r#"{"items":[{},]}"#, r#"{"a":1,}"#, r#"{"a" 1}"#, "{5:1}", "{} trailing", r#"{"items":[{} {}]}"#] {
        error(text);
    }
    let utf16: Vec<u8> = "\u{feff}{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(error(utf16).hint.contains("UTF-16"));
    assert_eq!(states(&one("\u{feff}{\"kind\":\"PodList\",\"items\":[]}"))[0], Complete);
    let missing = read(&[PathBuf::from("/nonexistent/pods.json")]).map(|_| ()).unwrap_err();
    assert!(missing.at.contains("/nonexistent/pods.json") && missing.hint.contains("kubectl get"));
}
