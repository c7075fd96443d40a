//! A Kubernetes API of a few kinds in this process that tells of each request before it answers it.
//!
//! Whoever is told may change the objects first: that is how a pod goes between the list of pods and etcd.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::gate::{Event, Hook};

#[derive(Default)]
struct State {
    /// By kind (its plural), namespace, name.
    objects: Mutex<BTreeMap<(String, String, String), Value>>,
    hook: Mutex<Option<Hook>>,
    uids: Mutex<u64>,
}

/// Cheap to clone: one API server.
#[derive(Clone)]
pub struct Kube {
    state: Arc<State>,
    port: u16,
}

impl Kube {
    pub fn start() -> Kube {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State::default());
        let serving = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = serving.clone();
                std::thread::spawn(move || serve(&state, stream));
            }
        });
        let kube = Kube { state, port };
        kube.clear();
        kube
    }

    pub fn kubeconfig(&self) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters:\n- name: c\n  cluster: {{server: 'http://127.0.0.1:{}'}}\n\
             users:\n- name: u\n  user: {{}}\ncontexts:\n- name: c\n  context: {{cluster: c, user: u}}\n",
            self.port
        )
    }

    /// Who is told of each request from now on.
    pub fn tell(&self, hook: Option<Hook>) {
        *self.state.hook.lock().unwrap() = hook;
    }

    /// Only what every cluster has.
    pub fn clear(&self) {
        self.state.objects.lock().unwrap().clear();
        let uid = |n: u32| format!("00000000-0000-4000-8000-{n:012x}");
        self.put("namespaces", "", json!({"metadata": {"name": "kube-system", "uid": uid(2)}}));
        let metadata = json!({"name": "kubernetes", "uid": uid(1)});
        self.put("services", "default", json!({"metadata": metadata, "spec": {"type": "ClusterIP"}}));
    }

    pub fn uid(&self) -> String {
        let mut uids = self.state.uids.lock().unwrap();
        *uids += 1;
        format!("00000000-0000-4000-9000-{:012x}", *uids)
    }

    /// Makes or replaces an object; it gets a UID when it has none.
    pub fn put(&self, plural: &str, namespace: &str, mut object: Value) {
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        if object["metadata"]["uid"].is_null() {
            object["metadata"]["uid"] = json!(self.uid());
        }
        if !namespace.is_empty() {
            object["metadata"]["namespace"] = json!(namespace);
        }
        self.state.objects.lock().unwrap().insert((plural.into(), namespace.into(), name), object);
    }

    pub fn change(&self, plural: &str, namespace: &str, name: &str, change: impl FnOnce(&mut Value)) {
        let mut objects = self.state.objects.lock().unwrap();
        change(objects.get_mut(&(plural.into(), namespace.into(), name.into())).unwrap());
    }

    pub fn remove(&self, plural: &str, namespace: &str, name: &str) {
        self.state.objects.lock().unwrap().remove(&(plural.into(), namespace.into(), name.into()));
    }

    /// A pod of namespace `shop` that waits for its address.
    pub fn pending(&self, pod: &str, node: &str, labels: Value) {
        let now = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        let status = json!({"phase": "Pending", "conditions": [{"type": "Ready", "status": "False"}]});
        let metadata = json!({"name": pod, "creationTimestamp": now, "labels": labels});
        self.put("pods", "shop", json!({"metadata": metadata, "spec": {"nodeName": node}, "status": status}));
    }

    pub fn running(&self, pod: &str, address: &str) {
        let ready = json!([{"type": "Ready", "status": "True"}]);
        let status = json!({"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": ready});
        self.change("pods", "shop", pod, |object| object["status"] = status);
    }

    /// The kubelet is told to stop it.
    pub fn terminate(&self, pod: &str) {
        let now = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        self.change("pods", "shop", pod, |object| object["metadata"]["deletionTimestamp"] = json!(now));
    }

    pub fn node(&self, name: &str, address: &str) {
        self.put(
            "nodes",
            "",
            json!({
                "metadata": {"name": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
                "spec": {},
                "status": {
                    "addresses": [{"type": "InternalIP", "address": address}],
                    "conditions": [{"type": "Ready", "status": "True"}],
                    "nodeInfo": {"bootID": "b", "operatingSystem": "linux"},
                },
            }),
        );
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
        let path = first.split(' ').nth(1).unwrap_or_default();
        let path = path.split('?').next().unwrap();
        let hook = state.hook.lock().unwrap().clone();
        if let Some(hook) = hook {
            hook(&Event::Kube(path.to_owned()));
        }
        let (code, body) = answer(state, path);
        let body = body.to_string();
        let date = chrono::Utc::now().format("%a, %d %b %Y %H:%M:%S GMT");
        let head = format!(
            "HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nDate: {date}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        if writer.write_all((head + &body).as_bytes()).is_err() {
            return;
        }
    }
}

fn answer(state: &State, path: &str) -> (u16, Value) {
    let objects = state.objects.lock().unwrap();
    let parts: Vec<&str> = path.trim_start_matches("/api/v1/").split('/').collect();
    let (plural, namespace, name) = match parts.as_slice() {
        [plural] => {
            let items: Vec<&Value> = objects.iter().filter(|(key, _)| key.0 == *plural).map(|(_, o)| o).collect();
            let kind = kind(plural);
            return (200, json!({"kind": format!("{kind}List"), "apiVersion": "v1", "metadata": {}, "items": items}));
        }
        [plural, name] => (*plural, "", *name),
        ["namespaces", namespace, plural, name] => (*plural, *namespace, *name),
        _ => ("", "", path),
    };
    match objects.get(&(plural.to_owned(), namespace.to_owned(), name.to_owned())) {
        Some(object) => {
            let mut object = object.clone();
            (object["kind"], object["apiVersion"]) = (json!(kind(plural)), json!("v1"));
            (200, object)
        }
        None => (
            404,
            json!({
                "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404,
                "message": format!("{plural} \"{name}\" not found"), "details": {"name": name, "kind": plural},
            }),
        ),
    }
}

fn kind(plural: &str) -> &'static str {
    match plural {
        "pods" => "Pod",
        "nodes" => "Node",
        "services" => "Service",
        _ => "Namespace",
    }
}
