//! The server that these tests read, what it answers, and a client of it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ipaudit::connect::kube::{KubeClient, KubeSettings, Surroundings, connect};
use ipaudit::model::{Gathering, Input, InputState};
use ipaudit::source::kube::read;
use ipaudit::source::kube_api::{KubeApi, Patience};
use serde_json::{Value, json};

use super::http1::{Answer, Http};

pub struct Fake {
    pub url: String,
    /// Paths with their queries, in order.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    /// `reply` gets the path and how often exactly this path was asked before.
    pub fn start(reply: impl Fn(&str, usize) -> Answer + Send + Sync + 'static) -> Fake {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        let http = Http::start(move |asked| {
            for header in &asked.headers {
                if let Some(accept) = header.to_ascii_lowercase().strip_prefix("accept:") {
                    assert!(accept.trim().starts_with("application/vnd.kubernetes.protobuf, application/json"));
                }
            }
            let before = {
                let mut seen = seen.lock().unwrap();
                seen.push(asked.path.clone());
                seen.iter().filter(|other| **other == asked.path).count() - 1
            };
            reply(&asked.path, before)
        });
        Fake { url: http.url(), asked }
    }

    /// Where nobody listens any more.
    pub fn gone() -> Fake {
        let gone = TcpListener::bind("127.0.0.1:0").unwrap();
        Fake { url: format!("http://{}", gone.local_addr().unwrap()), asked: Arc::default() }
    }

    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// With further headers, and the usual `Date`.
pub fn with_headers(code: u16, mut headers: Vec<(&'static str, String)>, body: &Value) -> Answer {
    headers.push(("Date", "Tue, 24 Nov 2026 13:31:53 GMT".to_owned()));
    Answer::Whole { code, kind: "application/json", headers, body: body.to_string() }
}

/// With this `Date` in place of the usual one; an empty one: without any.
pub fn with_date(answer: Answer, date: &str) -> Answer {
    let Answer::Whole { code, kind, mut headers, body } = answer else { panic!("only a whole answer has headers") };
    headers.retain(|(name, _)| *name != "Date");
    headers.extend(Some(("Date", date.to_owned())).filter(|_| !date.is_empty()));
    Answer::Whole { code, kind, headers, body }
}

pub fn raw(code: u16, kind: &'static str, body: &str) -> Answer {
    Answer::Whole { code, kind, headers: Vec::new(), body: body.to_owned() }
}

pub fn ok(body: Value) -> Answer {
    with_headers(200, Vec::new(), &body)
}

pub fn status(code: u16, reason: &str, message: &str) -> Answer {
    status_with(code, reason, message, json!({}))
}

pub fn status_with(code: u16, reason: &str, message: &str, details: Value) -> Answer {
    let body = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "message": message, "reason": reason, "details": details, "code": code });
    with_headers(code, Vec::new(), &body)
}

pub fn list(kind: &str, next: &str, items: &[Value]) -> Value {
    json!({ "kind": format!("{kind}List"), "apiVersion": "v1", "metadata": { "continue": next }, "items": items })
}

pub fn pod(name: &str) -> Value {
    json!({ "metadata": { "namespace": "n", "name": name, "uid": format!("uid-{name}") },
        "spec": { "nodeName": "node-1" }, "status": { "phase": "Running", "podIP": "10.65.0.7" } })
}

/// Everything that is not about pods, answered well.
pub fn others(path: &str) -> Answer {
    let named = |name: &str, uid: &str| json!({ "metadata": { "name": name, "namespace": "default", "uid": uid } });
    ok(match path.split('?').next().unwrap() {
        "/api/v1/namespaces" => list("Namespace", "", &[named("kube-system", "ns-uid")]),
        "/api/v1/nodes" => list("Node", "", &[named("node-1", "node-uid")]),
        "/api/v1/services" => list("Service", "", &[named("kubernetes", "svc-uid")]),
        other => panic!("{other}"),
    })
}

pub fn kubeconfig(url: &str, folder: &Path) -> PathBuf {
    let file = folder.join("config");
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "fake",
        "clusters": [{ "name": "fake", "cluster": { "server": url } }],
        "users": [{ "name": "me", "user": { "token": "very-secret" } }],
        "contexts": [{ "name": "fake", "context": { "cluster": "fake", "user": "me" } }],
    });
    std::fs::write(&file, config.to_string()).unwrap();
    file
}

/// Patient where a test must not fail on a busy machine, quick where it waits.
pub fn patience() -> Patience {
    Patience {
        page: 2,
        request: Duration::from_secs(20),
        overall: Duration::from_secs(60),
        first_wait: Duration::from_millis(1),
        ..Patience::default()
    }
}

pub async fn api(fake: &Fake, patience: Patience) -> KubeApi {
    let folder = tempfile::tempdir().unwrap();
    let settings = KubeSettings { kubeconfig: Some(kubeconfig(&fake.url, folder.path())), ..KubeSettings::default() };
    let client: KubeClient = connect(&settings, &Surroundings::default()).await.unwrap().unwrap();
    assert_eq!(client.server, fake.url);
    KubeApi::new(client, patience)
}

pub fn states(snapshot: &Gathering) -> [InputState; 4] {
    [Input::Namespaces, Input::KubeNodes, Input::Services, Input::Pods].map(|input| snapshot.coverage.state(input))
}

/// By name, as an audit sees them.
pub fn pods(snapshot: &Gathering) -> Vec<String> {
    let snapshot = snapshot.clone().sorted();
    snapshot.pods.iter().map(|pod| snapshot.text(pod.name).to_owned()).collect()
}

pub async fn read_all(fake: &Fake, patience: Patience) -> (Gathering, KubeApi) {
    let api = api(fake, patience).await;
    let mut snapshot = Gathering::default();
    read(&api, &mut snapshot).await;
    (snapshot, api)
}
