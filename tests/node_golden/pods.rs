//! Captures out of the logs of the pods that make them, by a real API server and a stand-in for its kubelets.

use std::collections::BTreeMap;
use std::process::Output;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::servers::command::{document, ipaudit, stderr};
use super::servers::kube_users::IPAUDIT;
use super::servers::kubelet::Kubelet;
use super::servers::{ApiServer, Etcd, EtcdVersion, need};
use super::{NodeCase, Told, differences, node, told_by};

const PLACE: &str = "pods:ipaudit/app=ipaudit-node";
/// A runtime cuts a container's line there.
const CUT: usize = 16 * 1024;

/// Pod by pod what its container printed, as its runtime keeps it: lines, and parts of them.
#[derive(Clone, Default)]
struct Logs(Arc<Mutex<BTreeMap<String, Vec<String>>>>);

impl Logs {
    fn print(&self, pod: &str, text: &str) {
        let mut logs = self.0.lock().unwrap();
        let raw = logs.entry(pod.to_owned()).or_default();
        for line in text.split_inclusive('\n') {
            raw.extend(line.as_bytes().chunks(CUT).map(|part| String::from_utf8(part.to_vec()).unwrap()));
        }
    }

    /// As a kubelet answers: it counts the parts, and puts together what it has counted.
    fn of(&self, path: &str) -> Option<String> {
        let (pod, query) = path.strip_prefix("/containerLogs/ipaudit/")?.split_once("/c?")?;
        let lines = query.split('&').find_map(|pair| pair.strip_prefix("tailLines="))?.parse::<usize>().ok()?;
        let logs = self.0.lock().unwrap();
        let raw = logs.get(pod)?;
        Some(raw[raw.len().saturating_sub(lines)..].concat())
    }
}

/// The case in an etcd and an API server, with a pod on each of its nodes.
struct Cluster {
    api: ApiServer,
    etcd: Etcd,
    kubelet: Kubelet,
    logs: Logs,
}

fn load(case: &NodeCase) -> Cluster {
    let (api, etcd, logs) = (ApiServer::start(), Etcd::start(EtcdVersion::V3_7), Logs::default());
    let answers = logs.clone();
    let kubelet = Kubelet::start(api.tls(), move |path| answers.of(path));
    let dump = std::fs::read_to_string(case.folder.join("etcd.jsonl")).unwrap();
    let pairs = dump.lines().map(|line| -> (Vec<u8>, Vec<u8>) {
        let line: Value = serde_json::from_str(line).unwrap();
        (line["key"].as_str().unwrap().into(), line["value"].as_str().unwrap().into())
    });
    etcd.put_many(pairs.collect());
    let objects: Value = serde_json::from_slice(&std::fs::read(case.folder.join("cluster.json")).unwrap()).unwrap();
    api.load_acceptable_objects(&objects);
    api.ensure_namespace("ipaudit");
    api.grant(&["pods", "nodes", "services", "namespaces", "pods/log"]);
    let cluster = Cluster { api, etcd, kubelet, logs };
    for node in cluster.nodes() {
        let status = json!({
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": cluster.kubelet.port}},
        });
        cluster.api.admin_patch_status(&format!("/api/v1/nodes/{node}"), &status);
        cluster.api.create_pod(&json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": format!("of-{node}"), "namespace": "ipaudit", "labels": {"app": "ipaudit-node"}},
            "spec": {"nodeName": node, "hostNetwork": true, "containers": [{"name": "c", "image": "ipaudit"}]},
            "status": {"phase": "Running"},
        }));
    }
    cluster
}

impl Cluster {
    fn nodes(&self) -> Vec<String> {
        let list = self.api.admin_get("/api/v1/nodes");
        list["items"].as_array().unwrap().iter().map(|n| n["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    }

    fn run(&self, command: &str, args: &[&str]) -> Output {
        let mut ipaudit = ipaudit();
        // Its pods were made just now, and who is young is judged by nobody.
        let now = (chrono::Utc::now() + chrono::Duration::hours(1)).to_rfc3339();
        ipaudit.args([command, "--etcd-endpoints", &self.etcd.endpoint(), "--settle", "10ms", "--now", &now]);
        ipaudit.arg("--kubeconfig").arg(self.api.kubeconfig(IPAUDIT)).args(["--node-evidence", PLACE]);
        ipaudit.args(args).output().unwrap()
    }
}

/// The line that a pod prints of this case's node.
fn line(case: &NodeCase) -> String {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("capture.json");
    let captured = node(case, &["--capture", capture.to_str().unwrap()]);
    let read = ipaudit::source::node_captures::read(&[capture]);
    let seen = read.unwrap_or_else(|error| panic!("{error:?} {}", stderr(&captured))).seen;
    ipaudit::source::node_line::line(&seen.nodes[0]).unwrap()
}

fn input(document: &Value) -> &Value {
    let rows = document["inputs"].as_array().unwrap();
    rows.iter().find(|row| row["input"] == "node-evidence").unwrap_or_else(|| panic!("{rows:?}"))
}

#[test]
fn the_last_capture_of_each_pod_is_read_and_what_gives_none_is_told() {
    need!(Etcd3_7, ApiServer);
    let case = NodeCase::of("twins-11");
    let cluster = load(&case);
    let own = format!("of-{}", case.text("node"));
    let absent = |found: &std::collections::BTreeSet<Told>| found.iter().filter(|(code, _)| code.0 == 790).count();
    // Nobody has printed anything: not one could be read, and nothing is judged of nodes.
    let none = cluster.run("audit", &["-o", "json"]);
    assert_eq!(none.status.code(), Some(3), "{}", stderr(&none));
    let document_of_none = document(&none, "audit");
    assert_eq!(input(&document_of_none)["state"], "unreachable");
    let why = input(&document_of_none)["detail"].as_str().unwrap();
    assert!(why.starts_with(PLACE), "{why}");
    assert!(told_by(&document_of_none).is_empty());
    // Behind it noise, and a newer capture that is being written just now.
    let line = line(&case);
    cluster.logs.print(&own, &format!("starting\n{line}\n"));
    cluster.logs.print(&own, &"x\n".repeat(100));
    cluster.logs.print(&own, &line[..line.len() / 2]);
    let found = cluster.run("audit", &["-o", "json"]);
    let told = told_by(&document(&found, "audit"));
    let of_node: std::collections::BTreeSet<Told> = told.iter().filter(|(code, _)| code.0 != 790).cloned().collect();
    assert_eq!(differences(&case, &of_node), Vec::<String>::new(), "{}", stderr(&found));
    assert_eq!(found.status.code(), Some(1), "{}", stderr(&found));
    assert_eq!(absent(&told), cluster.nodes().len() - 1, "{told:?}");
    let who = document(&cluster.run("who", &["192.168.91.33", "-o", "json"]), "who");
    assert_eq!(who["addresses"][0]["kernels"][0]["node"], case.text("node"), "{who:#}");
    let asked = cluster.kubelet.asked();
    let has_asked = |lines: &str| asked.iter().any(|path| path.split(['?', '&']).any(|pair| pair == lines));
    assert!(has_asked("tailLines=8") && has_asked("tailLines=512"), "{asked:?}");
    // Without the right to read logs, and without pods of that label.
    cluster.api.grant(&["pods", "nodes", "services", "namespaces"]);
    let forbidden = cluster.run("audit", &["-o", "json"]);
    let row = input(&document(&forbidden, "audit")).clone();
    assert_eq!((forbidden.status.code(), &row["state"]), (Some(3), &json!("forbidden")), "{row}");
    assert!(row["detail"].as_str().unwrap().contains("pods/log"), "{row}");
}

#[test]
fn a_log_is_a_file_of_captures_and_pods_need_an_api() {
    let case = NodeCase::of("twins-11");
    let folder = tempfile::tempdir().unwrap();
    let saved = folder.path().join("captures.txt");
    std::fs::write(&saved, format!("[pod/of-worker-1/c] starting\n[pod/of-worker-1/c] {}\n", line(&case))).unwrap();
    let mut command = ipaudit();
    command.args(["node", "--node", case.text("node"), "--now", case.text("captured_at"), "-o", "json"]);
    let output = command.arg("--node-evidence").arg(&saved).output().unwrap();
    assert!(told_by(&document(&output, "audit")).iter().any(|(code, _)| code.0 == 704), "{}", stderr(&output));
    for (place, says) in [
        (PLACE, "kubectl -n ipaudit logs -l app=ipaudit-node --tail=-1 > FILE"),
        ("pods:ipaudit", "pods:NAMESPACE/SELECTOR is wanted"),
    ] {
        let output = ipaudit().args(["node", "--node-evidence", place]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(says), "{}", stderr(&output));
    }
}
