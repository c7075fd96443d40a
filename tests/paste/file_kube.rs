//! A Kubernetes API that has the objects of a case as they stand there, with their times and UIDs (a real API server sets
//! its own), and whose clock is the case's. It is read only: what a release asks before it writes.
//!
//! HTTP/1.1, JSON, one thread a connection. What a real one answers is held against a real one in `tests/kube.rs`.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use ipaudit::model::Time;
use serde_json::{Value, json};

#[derive(Default)]
struct World {
    items: Vec<Value>,
    time: Option<Time>,
}

impl World {
    fn date(&self) -> String {
        let now = self.time.map_or_else(chrono::Utc::now, |time| chrono::DateTime::from_timestamp_nanos(time.0));
        now.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
    }
}

pub struct FileKube {
    world: Arc<Mutex<World>>,
    port: u16,
}

impl FileKube {
    pub fn start() -> FileKube {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let world = Arc::new(Mutex::new(World::default()));
        let serving = world.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let world = serving.clone();
                std::thread::spawn(move || serve(&world, stream));
            }
        });
        FileKube { world, port }
    }

    /// From now on it has these objects, and no others.
    pub fn load(&self, list: &Value) {
        let items = list["items"].as_array().unwrap().clone();
        self.world.lock().unwrap().items = items;
    }

    /// From now on it is this time; `None`: what it is everywhere.
    pub fn tell_time(&self, now: Option<Time>) {
        self.world.lock().unwrap().time = now;
    }

    pub fn kubeconfig(&self) -> String {
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": format!("http://127.0.0.1:{}", self.port)}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        })
        .to_string()
    }
}

fn serve(world: &Mutex<World>, stream: TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut writer = stream;
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first).ok()? == 0 {
            return None;
        }
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header).ok()? == 0 || header == "\r\n" {
                break;
            }
        }
        let path = first.split(' ').nth(1)?.split('?').next()?;
        let (code, body, date) = {
            let world = world.lock().unwrap();
            let (code, body) = answer(&world.items, path);
            (code, body.to_string(), world.date())
        };
        let length = body.len();
        let head = format!("HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nDate: {date}\r\n");
        writer.write_all(format!("{head}Content-Length: {length}\r\n\r\n{body}").as_bytes()).ok()?;
    }
}

fn answer(items: &[Value], path: &str) -> (u16, Value) {
    let parts: Vec<&str> = path.trim_start_matches("/api/v1/").split('/').collect();
    let of = |kind: &str| items.iter().filter(|item| item["kind"] == kind).cloned().collect::<Vec<_>>();
    let list = |kind: &str, items: Vec<Value>| {
        (200, json!({"kind": format!("{kind}List"), "apiVersion": "v1", "metadata": {}, "items": items}))
    };
    let one = |kind: &str, items: Vec<Value>, namespace: &str, name: &str| {
        let is_it = |item: &Value| {
            let metadata = &item["metadata"];
            metadata["name"] == name && (namespace.is_empty() || metadata["namespace"] == namespace)
        };
        let plural = format!("{}s", kind.to_lowercase());
        match items.into_iter().find(is_it) {
            Some(object) => (200, object),
            None => (
                404,
                json!({
                    "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404,
                    "message": format!("{plural} \"{name}\" not found"), "details": {"name": name, "kind": plural},
                }),
            ),
        }
    };
    match parts.as_slice() {
        ["pods"] => list("Pod", of("Pod")),
        ["nodes"] => list("Node", of("Node")),
        ["services"] => list("Service", services(items)),
        ["namespaces"] => list("Namespace", namespaces(items)),
        ["nodes", name] => one("Node", of("Node"), "", name),
        ["namespaces", name] => one("Namespace", namespaces(items), "", name),
        ["namespaces", namespace, "pods", name] => one("Pod", of("Pod"), namespace, name),
        ["namespaces", namespace, "services", name] => one("Service", services(items), namespace, name),
        _ => (404, json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404, "message": path})),
    }
}

/// A cluster has a Service of its own, by which it is known.
fn services(items: &[Value]) -> Vec<Value> {
    let mut services: Vec<Value> = items.iter().filter(|item| item["kind"] == "Service").cloned().collect();
    if !services.iter().any(|s| s["metadata"]["namespace"] == "default" && s["metadata"]["name"] == "kubernetes") {
        services.push(json!({
            "kind": "Service", "apiVersion": "v1", "spec": {"type": "ClusterIP"}, "status": {},
            "metadata": {"namespace": "default", "name": "kubernetes", "uid": "00000000-0000-4000-8000-000000000001"},
        }));
    }
    services
}

/// Those that the case has, or else those of its objects.
fn namespaces(items: &[Value]) -> Vec<Value> {
    let of_case: Vec<Value> = items.iter().filter(|item| item["kind"] == "Namespace").cloned().collect();
    if !of_case.is_empty() {
        return of_case;
    }
    let mut names: BTreeSet<&str> = items.iter().filter_map(|item| item["metadata"]["namespace"].as_str()).collect();
    names.extend(["default", "kube-system"]);
    let namespace = |(number, name): (usize, &str)| {
        let uid = format!("00000000-0000-4000-9000-{number:012}");
        json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": name, "uid": uid}})
    };
    names.into_iter().enumerate().map(namespace).collect()
}
