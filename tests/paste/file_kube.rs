//! A Kubernetes API that has the objects of a case as they stand there, with their times and UIDs (a real API server sets
//! its own), and whose clock is the case's. It is read only: what a release asks before it writes.
//!
//! What a real one answers is held against a real one in `tests/kube.rs`.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use ipaudit::model::Time;
use serde_json::{Value, json};

use super::servers::http1::{Answer, Http};

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
    http: Http,
}

impl FileKube {
    pub fn start() -> FileKube {
        let world = Arc::new(Mutex::new(World::default()));
        let serving = world.clone();
        let http = Http::start(move |asked| {
            let world = serving.lock().unwrap();
            let (code, body) = answer(&world.items, asked.path.split('?').next().unwrap());
            let headers = vec![("Date", world.date())];
            Answer::Whole { code, kind: "application/json", headers, body: body.to_string() }
        });
        FileKube { world, http }
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
            "clusters": [{"name": "c", "cluster": {"server": self.http.url()}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        })
        .to_string()
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
