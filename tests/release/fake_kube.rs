//! A Kubernetes API of a few kinds in this process: pods and nodes come and go as a test says, at once.
//!
//! What the real one answers is held against a real one in `tests/kube.rs`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::servers::http1::{Answer, Http};

#[derive(Default)]
struct State {
    /// By namespace and name.
    pods: Mutex<BTreeMap<(String, String), Value>>,
    nodes: Mutex<BTreeMap<String, Value>>,
    gone: AtomicBool,
    /// Answers no GET of single objects, lists go on.
    no_single: AtomicBool,
    uids: AtomicU64,
    /// What is added to the time of the first answers, one after the other, in seconds; `None`: no `Date`. The last
    /// one goes for all that follow.
    dates: Mutex<Vec<Option<i64>>>,
    /// Everything is answered with 403 and these words.
    says: Mutex<Option<String>>,
    /// Every path that was asked for, with its query.
    asked: Mutex<Vec<String>>,
}

pub struct FakeKube {
    state: Arc<State>,
    http: Http,
}

impl FakeKube {
    pub fn start() -> FakeKube {
        let state = Arc::new(State::default());
        let serving = state.clone();
        let http = Http::start(move |asked| {
            if serving.gone.load(Ordering::SeqCst) {
                return Answer::HangUp;
            }
            serving.asked.lock().unwrap().push(asked.path.clone());
            let (code, body) = answer(&serving, asked.path.split('?').next().unwrap());
            let headers = serving.date().into_iter().collect();
            Answer::Whole { code, kind: "application/json", headers, body: body.to_string() }
        });
        FakeKube { state, http }
    }

    pub fn kubeconfig(&self) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters:\n- name: c\n  cluster: {{server: '{}'}}\n\
             users:\n- name: u\n  user: {{}}\ncontexts:\n- name: c\n  context: {{cluster: c, user: u}}\n",
            self.http.url()
        )
    }

    /// All that is there, as files for `--kube-objects`.
    pub fn save(&self, folder: &std::path::Path) -> String {
        let file = |plural: &&str| {
            let path = folder.join(format!("{plural}.json"));
            std::fs::write(&path, answer(&self.state, plural).1.to_string()).unwrap();
            path.display().to_string()
        };
        ["pods", "nodes", "services", "namespaces"].iter().map(file).collect::<Vec<_>>().join(",")
    }

    fn uid(&self) -> String {
        format!("00000000-0000-4000-8000-{:012x}", self.state.uids.fetch_add(1, Ordering::SeqCst) + 16)
    }

    pub fn node(&self, name: &str, address: &str, ready: bool) {
        let node = json!({
            "metadata": {"name": name, "uid": self.uid(), "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {},
            "status": {
                "addresses": [{"type": "InternalIP", "address": address}],
                "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}],
                "nodeInfo": {"bootID": "b", "operatingSystem": "linux"},
            },
        });
        self.state.nodes.lock().unwrap().insert(name.to_owned(), node);
    }

    /// A pod that runs with these addresses; none: it waits for one.
    pub fn pod(&self, namespace: &str, name: &str, node: &str, addresses: &[&str]) {
        let phase = if addresses.is_empty() { "Pending" } else { "Running" };
        let mut pods = self.state.pods.lock().unwrap();
        let key = (namespace.to_owned(), name.to_owned());
        let uid = pods.get(&key).map_or_else(|| json!(self.uid()), |p| p["metadata"]["uid"].clone());
        let ready = if addresses.is_empty() { "False" } else { "True" };
        let pod = json!({
            "metadata": {"namespace": namespace, "name": name, "uid": uid, "creationTimestamp": "2026-11-20T00:00:00Z"},
            "spec": {"nodeName": node},
            "status": {
                "phase": phase,
                "podIP": addresses.first(),
                "podIPs": addresses.iter().map(|a| json!({"ip": a})).collect::<Vec<_>>(),
                "conditions": [{"type": "Ready", "status": ready}],
            },
        });
        pods.insert(key, pod);
    }

    pub fn remove_pod(&self, namespace: &str, name: &str) {
        self.state.pods.lock().unwrap().remove(&(namespace.to_owned(), name.to_owned()));
    }

    pub fn remove_node(&self, name: &str) {
        self.state.nodes.lock().unwrap().remove(name);
    }

    /// The pod carries this annotation from now on.
    pub fn annotate(&self, namespace: &str, name: &str, key: &str, value: &str) {
        let mut pods = self.state.pods.lock().unwrap();
        let pod = pods.get_mut(&(namespace.to_owned(), name.to_owned())).unwrap();
        pod["metadata"]["annotations"][key] = json!(value);
    }

    /// Everything is forbidden from now on, in these words.
    pub fn say(&self, words: &str) {
        *self.state.says.lock().unwrap() = Some(words.to_owned());
    }

    /// Every path that was asked for since the last time, with its query.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state.asked.lock().unwrap())
    }

    /// Nobody answers any more: open connections are cut, new ones hung up on.
    pub fn die(&self) {
        self.state.gone.store(true, Ordering::SeqCst);
        self.http.cut();
    }

    /// The `Date` of the next answers: so many seconds off, or none; the last one goes for all that follow.
    pub fn tell_time(&self, off: &[Option<i64>]) {
        *self.state.dates.lock().unwrap() = off.iter().rev().copied().collect();
    }

    /// Single objects are answered with 500 from now on.
    pub fn answer_no_single_objects(&self) {
        self.state.no_single.store(true, Ordering::SeqCst);
    }
}

impl State {
    fn date(&self) -> Option<(&'static str, String)> {
        let mut dates = self.dates.lock().unwrap();
        let off = if dates.len() > 1 { dates.pop().unwrap() } else { dates.last().copied().unwrap_or(Some(0)) };
        let date = |off| chrono::Utc::now() + chrono::TimeDelta::seconds(off);
        off.map(|off| ("Date", date(off).format("%a, %d %b %Y %H:%M:%S GMT").to_string()))
    }
}

fn answer(state: &State, path: &str) -> (u16, Value) {
    let parts: Vec<&str> = path.trim_start_matches("/api/v1/").split('/').collect();
    if let Some(words) = &*state.says.lock().unwrap() {
        return (
            403,
            json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 403, "message": words}),
        );
    }
    let single = parts.len() == 4 || (parts.len() == 2 && parts[0] == "nodes");
    if single && state.no_single.load(Ordering::SeqCst) {
        return (500, json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 500, "message": "no"}));
    }
    let list = |kind: &str, items: Vec<Value>| {
        (200, json!({"kind": format!("{kind}List"), "apiVersion": "v1", "metadata": {}, "items": items}))
    };
    let one = |kind: &str, plural: &str, name: &str, found: Option<Value>| match found {
        Some(mut object) => {
            object["kind"] = json!(kind);
            object["apiVersion"] = json!("v1");
            (200, object)
        }
        None => (
            404,
            json!({
                "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404,
                "message": format!("{plural} \"{name}\" not found"), "details": {"name": name, "kind": plural},
            }),
        ),
    };
    match parts.as_slice() {
        ["pods"] => list("Pod", state.pods.lock().unwrap().values().cloned().collect()),
        ["nodes"] => list("Node", state.nodes.lock().unwrap().values().cloned().collect()),
        ["services"] => {
            let metadata =
                json!({"namespace": "default", "name": "kubernetes", "uid": "00000000-0000-4000-8000-000000000001"});
            list("Service", vec![json!({"metadata": metadata, "spec": {"type": "ClusterIP"}, "status": {}})])
        }
        ["namespaces"] => {
            let metadata = json!({"name": "kube-system", "uid": "00000000-0000-4000-8000-000000000002"});
            list("Namespace", vec![json!({"metadata": metadata})])
        }
        ["nodes", name] => one("Node", "nodes", name, state.nodes.lock().unwrap().get(*name).cloned()),
        ["namespaces", namespace, "pods", name] => {
            let key = ((*namespace).to_owned(), (*name).to_owned());
            one("Pod", "pods", name, state.pods.lock().unwrap().get(&key).cloned())
        }
        _ => (404, json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404, "message": path})),
    }
}
