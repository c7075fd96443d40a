//! A Kubernetes API of a few kinds in this process: pods and nodes come and go as a test says, at once.
//!
//! HTTP/1.1, JSON, one thread a connection. What the real one answers is held against a real one in `tests/kube.rs`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

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
    open: Mutex<Vec<TcpStream>>,
}

pub struct FakeKube {
    state: Arc<State>,
    port: u16,
}

impl FakeKube {
    pub fn start() -> FakeKube {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State::default());
        let serving = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(stream), state) = (stream, serving.clone()) else { continue };
                if state.gone.load(Ordering::SeqCst) {
                    continue;
                }
                state.open.lock().unwrap().push(stream.try_clone().unwrap());
                std::thread::spawn(move || serve(&state, stream));
            }
        });
        FakeKube { state, port }
    }

    pub fn kubeconfig(&self) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters:\n- name: c\n  cluster: {{server: 'http://127.0.0.1:{}'}}\n\
             users:\n- name: u\n  user: {{}}\ncontexts:\n- name: c\n  context: {{cluster: c, user: u}}\n",
            self.port
        )
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
        self.state.open.lock().unwrap().drain(..).for_each(|s| drop(s.shutdown(Shutdown::Both)));
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
    fn date(&self) -> String {
        let mut dates = self.dates.lock().unwrap();
        let off = if dates.len() > 1 { dates.pop().unwrap() } else { dates.last().copied().unwrap_or(Some(0)) };
        let date = |off| chrono::Utc::now() + chrono::TimeDelta::seconds(off);
        off.map(|off| format!("Date: {}\r\n", date(off).format("%a, %d %b %Y %H:%M:%S GMT"))).unwrap_or_default()
    }
}

fn serve(state: &State, stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first).unwrap_or(0) == 0 {
            return;
        }
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header).unwrap_or(0) == 0 || header == "\r\n" {
                break;
            }
        }
        if state.gone.load(Ordering::SeqCst) {
            return;
        }
        let path = first.split(' ').nth(1).unwrap_or_default();
        state.asked.lock().unwrap().push(path.to_owned());
        let (code, body) = answer(state, path.split('?').next().unwrap());
        let body = body.to_string();
        let date = state.date();
        let head = format!(
            "HTTP/1.1 {code} X\r\nContent-Type: application/json\r\n{date}Content-Length: {}\r\n\r\n",
            body.len()
        );
        if writer.write_all((head + &body).as_bytes()).is_err() {
            return;
        }
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
