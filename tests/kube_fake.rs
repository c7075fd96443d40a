//! Reading Kubernetes from a server of ours that does what a real one does on bad days only.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ipaudit::connect::kube::{KubeClient, KubeSettings, Surroundings, connect};
use ipaudit::decode::kube_item::Kind;
use ipaudit::error::{Error, chain};
use ipaudit::judge::gates::Clocks;
use ipaudit::model::{Gathering, Input, InputState, Time};
use ipaudit::source::kube::{read, relist};
use ipaudit::source::kube_api::{KubeApi, Patience};
use ipaudit::source::kube_look::{Seen, Suspects, get_pod, look_again};
use serde_json::{Value, json};

use InputState::{Complete, Forbidden, Partial, Unreachable};

// ---- the server ----

/// What the server does about one request.
enum Reply {
    /// Status, further headers, JSON body.
    Json(u16, Vec<(&'static str, String)>, Value),
    Raw(u16, &'static str, String),
    /// The answer begins and the connection is cut.
    Cut,
    /// Nothing, until the client goes away.
    Hang,
}

struct Fake {
    url: String,
    /// Paths with their queries, in order.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    /// `reply` gets the path and how often exactly this path was asked before.
    fn start(reply: impl Fn(&str, usize) -> Reply + Send + Sync + 'static) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (reply, seen) = (Arc::new(reply), asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (reply, seen) = (reply.clone(), seen.clone());
                std::thread::spawn(move || serve(stream, &*reply, &seen));
            }
        });
        Fake { url, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// Requests of one connection, until something breaks.
fn serve(stream: TcpStream, reply: &dyn Fn(&str, usize) -> Reply, seen: &Mutex<Vec<String>>) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?);
    let mut stream = stream;
    loop {
        let mut first = String::new();
        lines.read_line(&mut first).ok().filter(|read| *read > 0)?;
        let path = first.split(' ').nth(1)?.to_owned();
        loop {
            let mut header = String::new();
            lines.read_line(&mut header).ok()?;
            if header.trim().is_empty() {
                break;
            }
            if let Some(accept) = header.to_ascii_lowercase().strip_prefix("accept:") {
                assert!(accept.trim().starts_with("application/vnd.kubernetes.protobuf, application/json"));
            }
        }
        let before = {
            let mut seen = seen.lock().unwrap();
            seen.push(path.clone());
            seen.iter().filter(|other| **other == path).count() - 1
        };
        let date = "Date: Tue, 24 Nov 2026 13:31:53 GMT\r\n";
        match reply(&path, before) {
            Reply::Json(status, headers, body) => {
                // A `Date` of the reply's own goes before the usual one; an empty one means that there is none.
                let date = if headers.iter().any(|(name, _)| *name == "Date") { "" } else { date };
                let headers: String = headers
                    .iter()
                    .filter(|(_, value)| !value.is_empty())
                    .map(|(name, value)| format!("{name}: {value}\r\n"))
                    .collect();
                let body = body.to_string();
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 {status} x\r\nContent-Type: application/json\r\n{date}{headers}Content-Length: {length}\r\n\r\n"
                );
                stream.write_all((head + &body).as_bytes()).ok()?;
            }
            Reply::Raw(status, kind, body) => {
                let length = body.len();
                let head =
                    format!("HTTP/1.1 {status} x\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}");
                stream.write_all(head.as_bytes()).ok()?;
            }
            Reply::Cut => {
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n{\"kind\"";
                stream.write_all(head.as_bytes()).ok()?;
                return None;
            }
            Reply::Hang => {
                let _ = lines.read(&mut [0]);
                return None;
            }
        }
    }
}

fn ok(body: Value) -> Reply {
    Reply::Json(200, Vec::new(), body)
}

fn status(code: u16, reason: &str, message: &str) -> Reply {
    status_with(code, reason, message, json!({}))
}

fn status_with(code: u16, reason: &str, message: &str, details: Value) -> Reply {
    let body = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "message": message, "reason": reason, "details": details, "code": code });
    Reply::Json(code, Vec::new(), body)
}

fn list(kind: &str, next: &str, items: &[Value]) -> Value {
    json!({ "kind": format!("{kind}List"), "apiVersion": "v1", "metadata": { "continue": next }, "items": items })
}

fn pod(name: &str) -> Value {
    json!({ "metadata": { "namespace": "n", "name": name, "uid": format!("uid-{name}") },
        "spec": { "nodeName": "node-1" }, "status": { "phase": "Running", "podIP": "10.65.0.7" } })
}

/// Everything that is not about pods, answered well.
fn others(path: &str) -> Reply {
    let named = |name: &str, uid: &str| json!({ "metadata": { "name": name, "namespace": "default", "uid": uid } });
    ok(match path.split('?').next().unwrap() {
        "/api/v1/namespaces" => list("Namespace", "", &[named("kube-system", "ns-uid")]),
        "/api/v1/nodes" => list("Node", "", &[named("node-1", "node-uid")]),
        "/api/v1/services" => list("Service", "", &[named("kubernetes", "svc-uid")]),
        other => panic!("{other}"),
    })
}

// ---- the client ----

fn kubeconfig(url: &str, folder: &Path) -> PathBuf {
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
fn patience() -> Patience {
    Patience {
        page: 2,
        request: Duration::from_secs(20),
        overall: Duration::from_secs(60),
        first_wait: Duration::from_millis(1),
        ..Patience::default()
    }
}

async fn api(fake: &Fake, patience: Patience) -> KubeApi {
    let folder = tempfile::tempdir().unwrap();
    let settings = KubeSettings { kubeconfig: Some(kubeconfig(&fake.url, folder.path())), ..KubeSettings::default() };
    let client: KubeClient = connect(&settings, &Surroundings::default()).await.unwrap().unwrap();
    assert_eq!(client.server, fake.url);
    KubeApi::new(client, patience)
}

fn states(snapshot: &Gathering) -> [InputState; 4] {
    [Input::Namespaces, Input::KubeNodes, Input::Services, Input::Pods].map(|input| snapshot.coverage.state(input))
}

/// By name, as an audit sees them.
fn pods(snapshot: &Gathering) -> Vec<String> {
    let snapshot = snapshot.clone().sorted();
    snapshot.pods.iter().map(|pod| snapshot.text(pod.name).to_owned()).collect()
}

async fn read_all(fake: &Fake, patience: Patience) -> (Gathering, KubeApi) {
    let api = api(fake, patience).await;
    let mut snapshot = Gathering::default();
    read(&api, &mut snapshot).await;
    (snapshot, api)
}

// ---- reading ----

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_protobuf_is_read_as_json_page_by_page() {
    let fake = Fake::start(|path, _| match path {
        "/api/v1/pods?limit=2" => ok(list("Pod", "a/b+c=", &[pod("a"), pod("b")])),
        "/api/v1/pods?limit=2&continue=a%2Fb%2Bc%3D" => ok(list("Pod", "", &[pod("c")])),
        other => others(other),
    });
    let (snapshot, api) = read_all(&fake, patience()).await;
    assert_eq!(states(&snapshot), [Complete; 4], "{:?}", snapshot.coverage);
    assert_eq!(pods(&snapshot), ["a", "b", "c"]);
    assert_eq!(snapshot.kube.kube_system_uid.as_deref(), Some("ns-uid"));
    assert_eq!(snapshot.kube.kubernetes_service_uid.as_deref(), Some("svc-uid"));
    let theirs = snapshot.kube.clocks.last().map(|pair| pair.theirs);
    assert_eq!(theirs, Time::parse_rfc3339("2026-11-24T13:31:53Z"));
    assert_eq!(snapshot.kube.server, fake.url);
    assert_eq!((api.tally.json.load(Ordering::Relaxed), api.tally.protobuf.load(Ordering::Relaxed)), (5, 0));
    assert!(fake.asked().iter().all(|path| !path.contains("resourceVersion")), "{:?}", fake.asked());
}

/// A list of pods takes 63 s by the clocks of both sides: neither is wrong, and held against the end of the reading the
/// first answer's `Date` would say so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_tells_its_own_time() {
    static NOW: AtomicI64 = AtomicI64::new(1_795_000_000);
    fn dated(body: Value) -> Reply {
        let now = chrono::DateTime::from_timestamp(NOW.load(Ordering::SeqCst), 0).unwrap();
        Reply::Json(200, vec![("Date", now.format("%a, %d %b %Y %H:%M:%S GMT").to_string())], body)
    }
    let fake = Fake::start(|path, _| match path {
        "/api/v1/pods?limit=2" => {
            NOW.fetch_add(63, Ordering::SeqCst);
            dated(list("Pod", "", &[pod("a")]))
        }
        other => match others(other) {
            Reply::Json(_, _, body) => dated(body),
            other => other,
        },
    });
    let mut api = api(&fake, patience()).await;
    api.clock = || Time(NOW.load(Ordering::SeqCst) * 1_000_000_000);
    let mut snapshot = Gathering::default();
    read(&api, &mut snapshot).await;
    let clocks = snapshot.kube.clocks;
    let seconds: Vec<i64> = clocks.iter().map(|pair| pair.theirs.seconds() - 1_795_000_000).collect();
    assert_eq!(seconds, [0, 63]);
    assert!(clocks.iter().all(|pair| pair.apart().is_zero()), "{clocks:?}");
    let end = (api.clock)();
    assert_eq!(clocks.theirs_at(end), Some(end));
    let asked = Clocks { local: end, last_audit: None, api: clocks.closest(), from_files: false };
    assert_eq!(ipaudit::judge::gates::clock(&asked), Ok(()));
}

/// As behind a proxy that answers the first request itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_answer_without_its_time_is_made_good_by_the_next() {
    let fake = Fake::start(|path, before| match (path, before) {
        ("/api/v1/namespaces?limit=2", _) => {
            let Reply::Json(_, _, body) = others(path) else { panic!() };
            Reply::Json(200, vec![("Date", String::new())], body)
        }
        ("/api/v1/pods?limit=2", _) => ok(list("Pod", "", &[pod("a")])),
        (other, _) => others(other),
    });
    let (snapshot, _) = read_all(&fake, patience()).await;
    assert_eq!(fake.asked()[0], "/api/v1/namespaces?limit=2");
    assert_eq!(snapshot.kube.clocks.last().map(|p| p.theirs), Time::parse_rfc3339("2026-11-24T13:31:53Z"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgotten_list_is_begun_anew() {
    let fake = Fake::start(|path, before| match (path, before) {
        // The first time another page: what it held must not stay.
        ("/api/v1/pods?limit=2", 0) => ok(list("Pod", "old", &[pod("gone"), pod("a")])),
        ("/api/v1/pods?limit=2", _) => ok(list("Pod", "new", &[pod("a"), pod("b")])),
        ("/api/v1/pods?limit=2&continue=old", _) => {
            status(410, "Expired", "The provided continue parameter is too old")
        }
        ("/api/v1/pods?limit=2&continue=new", _) => ok(list("Pod", "", &[pod("c")])),
        (other, _) => others(other),
    });
    let (snapshot, _) = read_all(&fake, patience()).await;
    assert_eq!(states(&snapshot), [Complete; 4]);
    assert_eq!(pods(&snapshot), ["a", "b", "c"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_is_forgotten_again_and_again_is_partial() {
    let fake = Fake::start(|path, _| match path {
        "/api/v1/pods?limit=2" => ok(list("Pod", "old", &[pod("a"), pod("b")])),
        "/api/v1/pods?limit=2&continue=old" => status(410, "Expired", "too old"),
        other => others(other),
    });
    let (snapshot, _) = read_all(&fake, patience()).await;
    assert_eq!(states(&snapshot), [Complete, Complete, Complete, Partial]);
    assert_eq!(pods(&snapshot), ["a", "b"]);
    assert!(snapshot.coverage.detail(Input::Pods).raw().contains("too old"));
    assert_eq!(fake.asked().iter().filter(|path| *path == "/api/v1/pods?limit=2").count(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_requests_are_waited_out_as_long_as_the_server_asks() {
    let fake = Fake::start(|path, before| match (path, before) {
        ("/api/v1/nodes?limit=2", 0) => {
            let body = json!({ "kind": "Status", "message": "too many requests", "reason": "TooManyRequests" });
            Reply::Json(429, vec![("Retry-After", "1".to_owned())], body)
        }
        ("/api/v1/services?limit=2", 0 | 1) => Reply::Raw(503, "text/plain", "overloaded".to_owned()),
        ("/api/v1/pods?limit=2", _) => ok(list("Pod", "", &[])),
        (other, _) => others(other),
    });
    let start = Instant::now();
    let (snapshot, api) = read_all(&fake, patience()).await;
    assert_eq!(states(&snapshot), [Complete; 4], "{:?}", snapshot.coverage);
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert_eq!(api.tally.retries.load(Ordering::Relaxed), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_is_never_longer_than_ours_and_tries_are_counted() {
    let fake = Fake::start(|path, _| match path {
        "/api/v1/pods?limit=2" => Reply::Json(429, vec![("Retry-After", "3600".to_owned())], json!({})),
        other => others(other),
    });
    let patience = Patience { longest_wait: Duration::from_millis(5), attempts: 3, ..patience() };
    let (snapshot, _) = read_all(&fake, patience).await;
    assert_eq!(states(&snapshot), [Complete, Complete, Complete, Unreachable]);
    assert!(
        snapshot.coverage.detail(Input::Pods).raw().contains("429"),
        "{}",
        snapshot.coverage.detail(Input::Pods).raw()
    );
    assert_eq!(fake.asked().iter().filter(|path| path.contains("/pods")).count(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_list_is_kept_and_is_partial() {
    let fake = Fake::start(|path, _| match path {
        "/api/v1/pods?limit=2" => ok(list("Pod", "next", &[pod("a"), pod("b")])),
        "/api/v1/pods?limit=2&continue=next" => Reply::Cut,
        other => others(other),
    });
    let (snapshot, _) = read_all(&fake, patience()).await;
    assert_eq!(states(&snapshot), [Complete, Complete, Complete, Partial]);
    assert_eq!(pods(&snapshot), ["a", "b"]);
    let detail = snapshot.coverage.detail(Input::Pods);
    let detail = detail.raw();
    assert!(detail.contains("broke off after 1 page:"), "{detail}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_breaks_once_is_no_failure() {
    let fake = Fake::start(|path, before| match (path, before) {
        ("/api/v1/pods?limit=2", 0) => Reply::Cut,
        ("/api/v1/pods?limit=2", _) => ok(list("Pod", "", &[pod("a")])),
        (other, _) => others(other),
    });
    let (snapshot, _) = read_all(&fake, patience()).await;
    assert_eq!(states(&snapshot), [Complete; 4]);
    assert_eq!(pods(&snapshot), ["a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_left_in_time_and_the_others_are_not_tried() {
    let fake = Fake::start(|_, _| Reply::Hang);
    let patience = Patience { request: Duration::from_millis(400), ..patience() };
    let (snapshot, _) = read_all(&fake, patience).await;
    assert_eq!(states(&snapshot), [Unreachable; 4]);
    let detail = snapshot.coverage.detail(Input::Pods);
    let detail = detail.raw();
    assert!(detail.contains("did not answer within 400ms"), "{detail}");
    // Twice, in case the connection was at fault.
    assert_eq!(fake.asked(), ["/api/v1/namespaces?limit=2"; 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_reading_has_a_deadline() {
    let fake = Fake::start(|path, before| match path {
        "/api/v1/namespaces?limit=2" => ok(list("Namespace", "", &[])),
        // Pages without end.
        _ => ok(list("Node", "again", &[json!({ "metadata": { "name": format!("node-{before}") } })])),
    });
    let patience = Patience { overall: Duration::from_millis(1500), ..patience() };
    let (snapshot, _) = read_all(&fake, patience).await;
    assert_eq!(states(&snapshot), [Complete, Partial, Unreachable, Unreachable]);
    assert!(snapshot.coverage.detail(Input::KubeNodes).raw().contains("within 1s 500ms"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_there_is_unreachable() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let fake = Fake { url: format!("http://{}", gone.local_addr().unwrap()), asked: Arc::default() };
    drop(gone);
    let (snapshot, _) = read_all(&fake, patience()).await;
    assert_eq!(states(&snapshot), [Unreachable; 4]);
    let detail = snapshot.coverage.detail(Input::Namespaces);
    let detail = detail.raw();
    assert!(detail.contains("connection refused") && detail.contains(&fake.url), "{detail}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_of_something_else_is_no_answer() {
    let fake = Fake::start(|path, _| match path {
        "/api/v1/nodes?limit=2" => Reply::Raw(200, "text/html; charset=utf-8", "<html>sign in</html>".to_owned()),
        "/api/v1/services?limit=2" => ok(list("Pod", "", &[])),
        "/api/v1/pods?limit=2" => Reply::Raw(200, "application/json", "{\"kind\":\"PodList\"".to_owned()),
        other => others(other),
    });
    let (snapshot, _) = read_all(&fake, patience()).await;
    assert_eq!(states(&snapshot), [Complete, Unreachable, Unreachable, Unreachable]);
    assert!(snapshot.coverage.detail(Input::KubeNodes).raw().contains("text/html"));
    assert!(snapshot.coverage.detail(Input::Services).raw().contains("PodList"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_object_that_does_not_decode_makes_the_kind_partial() {
    let fake = Fake::start(|path, _| match path {
        "/api/v1/pods?limit=2" => ok(list("Pod", "", &[pod("a"), json!({ "status": { "phase": 5 } })])),
        other => others(other),
    });
    let (snapshot, _) = read_all(&fake, patience()).await;
    assert_eq!(states(&snapshot), [Complete, Complete, Complete, Partial]);
    assert_eq!(pods(&snapshot), ["a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_uid_is_asked_for_where_the_list_is_forbidden() {
    let fake = Fake::start(|path, _| match path {
        "/api/v1/namespaces/kube-system" => {
            let metadata = json!({ "name": "kube-system", "uid": "ns-uid" });
            ok(json!({ "kind": "Namespace", "apiVersion": "v1", "metadata": metadata }))
        }
        path if path.starts_with("/api/v1/namespaces") => status(403, "Forbidden", "namespaces is forbidden"),
        path if path.contains("/services") => status(403, "Forbidden", "services is forbidden"),
        "/api/v1/pods?limit=2" => ok(list("Pod", "", &[])),
        other => others(other),
    });
    let (snapshot, _) = read_all(&fake, patience()).await;
    assert_eq!(states(&snapshot), [Forbidden, Complete, Forbidden, Complete]);
    assert_eq!(snapshot.kube.uid(), Some("ns-uid"));
    assert!(snapshot.namespaces.is_empty());
    assert_eq!(snapshot.coverage.detail(Input::Services), "services is forbidden");
}

// ---- the second look ----

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_404_about_the_object_itself_is_absence() {
    let fake = Fake::start(|path, _| {
        let details = |kind: &str, name: &str| json!({ "kind": kind, "name": name });
        match path.rsplit('/').next().unwrap() {
            "absent" => status_with(404, "NotFound", "pods \"absent\" not found", details("pods", "absent")),
            "namespace" => status_with(404, "NotFound", "namespaces \"n\" not found", details("namespaces", "n")),
            "path" => status(404, "NotFound", "the server could not find the requested resource"),
            "proxy" => Reply::Raw(404, "text/html", "<html>no such site</html>".to_owned()),
            "other" => ok(json!({ "kind": "Pod", "metadata": { "namespace": "n", "name": "a" } })),
            "list" => ok(list("Pod", "", &[])),
            "odd" => {
                let mut odd = pod("odd");
                odd["kind"] = json!("Pod");
                odd["status"]["podIP"] = json!("300.1.2.3");
                ok(odd)
            }
            "forbidden" => status(403, "Forbidden", "pods is forbidden"),
            name => {
                let mut pod = pod(name);
                pod["kind"] = json!("Pod");
                ok(pod)
            }
        }
    });
    let api = api(&fake, patience()).await;
    let mut snapshot = Gathering::default();
    let names = &mut snapshot.names;
    assert!(matches!(get_pod(&api, names, "n", "a").await, Seen::Present(_)));
    assert!(matches!(get_pod(&api, names, "n", "absent").await, Seen::Absent));
    for name in ["namespace", "path", "proxy", "other", "list", "odd", "forbidden"] {
        let seen = get_pod(&api, names, "n", name).await;
        assert!(matches!(&seen, Seen::Unknown(reason) if !reason.is_empty()), "{name}: {seen:?}");
    }
}

/// A snapshot with these pods, and a server on which `a` has a new UID, `b` is gone and `c` is forbidden.
fn three_pods() -> (Fake, Gathering, Suspects) {
    let fake = Fake::start(|path, _| match path {
        "/api/v1/namespaces/n/pods/a" => {
            let mut pod = pod("a");
            pod["kind"] = json!("Pod");
            pod["metadata"]["uid"] = json!("new");
            ok(pod)
        }
        "/api/v1/namespaces/n/pods/b" => status_with(404, "NotFound", "gone", json!({ "kind": "pods", "name": "b" })),
        "/api/v1/namespaces/n/pods/c" => status(403, "Forbidden", "pods is forbidden"),
        "/api/v1/nodes/node-1" => status_with(404, "NotFound", "gone", json!({ "kind": "nodes", "name": "node-1" })),
        "/api/v1/pods?limit=2" => ok(list("Pod", "", &[pod("d")])),
        other => panic!("{other}"),
    });
    let mut snapshot = Gathering::default();
    let mut remarks = Default::default();
    for name in ["a", "b", "c"] {
        let text = pod(name).to_string();
        let item = ipaudit::decode::kube_json::item(&text).unwrap();
        ipaudit::decode::kube::insert(&mut snapshot, Kind::Pod, &item, &mut remarks);
    }
    let node = json!({ "metadata": { "name": "node-1" } }).to_string();
    let node = ipaudit::decode::kube_json::item(&node).unwrap();
    ipaudit::decode::kube::insert(&mut snapshot, Kind::Node, &node, &mut remarks);
    let suspects = Suspects {
        pods: snapshot.pods.iter().map(|pod| (pod.namespace, pod.name)).collect(),
        nodes: snapshot.kube_nodes.iter().map(|node| node.name).collect(),
        services: Vec::new(),
    };
    (fake, snapshot, suspects)
}

fn uids(snapshot: &Gathering) -> Vec<String> {
    let snapshot = snapshot.clone().sorted();
    snapshot.pods.iter().map(|pod| pod.uid.text(&snapshot.names)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_look_replaces_what_it_saw_and_names_what_it_did_not() {
    let (fake, mut snapshot, suspects) = three_pods();
    let api = api(&fake, patience()).await;
    let unlooked = look_again(&api, &mut snapshot, &suspects).await;
    assert_eq!(pods(&snapshot), ["a", "c"]);
    assert_eq!(uids(&snapshot), ["new", "uid-c"]);
    assert!(snapshot.kube_nodes.is_empty());
    assert_eq!(unlooked.len(), 1);
    assert_eq!((unlooked[0].kind, unlooked[0].reason.as_str()), (Kind::Pod, "pods is forbidden"));
    assert_eq!(snapshot.pair(unlooked[0].namespace, unlooked[0].name), "n/c");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_suspects_are_one_list() {
    let (fake, mut snapshot, suspects) = three_pods();
    let api = api(&fake, Patience { single_looks: 2, ..patience() }).await;
    assert!(look_again(&api, &mut snapshot, &suspects).await.is_empty());
    assert_eq!(pods(&snapshot), ["d"]);
    assert_eq!(fake.asked(), ["/api/v1/nodes/node-1", "/api/v1/pods?limit=2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_fails_leaves_the_snapshot_as_it_was() {
    let (_, mut snapshot, suspects) = three_pods();
    let fake = Fake::start(|path, _| match path {
        "/api/v1/pods?limit=2" => ok(list("Pod", "next", &[pod("d")])),
        path if path.contains("/pods") => status(403, "Forbidden", "no longer"),
        path => status(403, "Forbidden", path),
    });
    let api = api(&fake, Patience { single_looks: 2, ..patience() }).await;
    assert!(relist(&api, Kind::Pod, api.deadline(), &mut snapshot).await.is_err());
    assert_eq!(look_again(&api, &mut snapshot, &suspects).await.len(), 4);
    assert_eq!(pods(&snapshot), ["a", "b", "c"]);
    assert_eq!(snapshot.kube_nodes.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nobody_answers_the_rest_is_not_asked() {
    let (_, mut snapshot, mut suspects) = three_pods();
    suspects.nodes.clear();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let fake = Fake::start(move |_, _| {
        counted.fetch_add(1, Ordering::Relaxed);
        Reply::Hang
    });
    let patience = Patience { in_flight: 1, request: Duration::from_millis(300), ..patience() };
    let api = api(&fake, patience).await;
    let unlooked = look_again(&api, &mut snapshot, &suspects).await;
    assert_eq!(unlooked.len(), 3);
    assert_eq!(pods(&snapshot), ["a", "b", "c"]);
    assert_eq!(count.load(Ordering::Relaxed), 2);
}

// ---- the way there ----

async fn fails(settings: KubeSettings) -> Error {
    connect(&settings, &Surroundings::default()).await.map(|_| ()).unwrap_err()
}

#[tokio::test]
async fn a_kubeconfig_that_is_no_good_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = kubeconfig("http://127.0.0.1:1", folder.path());
    let with = |file: &Path, context: Option<&str>| KubeSettings {
        kubeconfig: Some(file.to_owned()),
        context: context.map(str::to_owned),
        ..KubeSettings::default()
    };
    let error = fails(with(&folder.path().join("missing"), None)).await;
    assert!(chain(&error).contains("No such file") && error.hint.contains("--kubeconfig"), "{error:?}");

    let error = fails(with(&file, Some("prod"))).await;
    assert!(chain(&error).contains("\"prod\"") && error.hint.contains("fake"), "{error:?}");

    let bad = folder.path().join("bad");
    std::fs::write(&bad, "users:\n- name: me\n  user: {token: very-secret\n").unwrap();
    let error = fails(with(&bad, None)).await;
    let text = format!("{} {error:?}", chain(&error));
    assert!(text.contains("line") && !text.contains("very-secret"), "{text}");

    std::fs::write(&bad, "").unwrap();
    let error = fails(with(&bad, None)).await;
    assert!(chain(&error).contains("no current context"), "{error:?}");
}

#[tokio::test]
async fn a_credential_plugin_is_run_and_its_secrets_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    let with = |command: &str, script: &str| {
        let exec = json!({
            "apiVersion": "client.authentication.k8s.io/v1", "command": command, "args": ["-c", script],
            "env": [{ "name": "SECRET", "value": "very-secret" }], "interactiveMode": "Never",
        });
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "fake",
            "clusters": [{ "name": "fake", "cluster": { "server": "http://127.0.0.1:1" } }],
            "users": [{ "name": "me", "user": { "exec": exec } }],
            "contexts": [{ "name": "fake", "context": { "cluster": "fake", "user": "me" } }],
        });
        std::fs::write(&file, config.to_string()).unwrap();
        KubeSettings { kubeconfig: Some(file.clone()), ..KubeSettings::default() }
    };
    let good =
        r#"echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"t"}}'"#;
    let client = connect(&with("sh", good), &Surroundings::default()).await.unwrap().unwrap();
    assert!(client.source.contains("credential plugin"), "{}", client.source);

    for (command, script, says) in [
        ("sh", "echo very-secret; echo very-secret >&2; exit 3", "exit status: 3"),
        ("sh", "echo 'token: [very-secret'", "not an ExecCredential"),
        ("/nonexistent/plugin", "", "does not start"),
    ] {
        let error = fails(with(command, script)).await;
        let text = format!("{} {} {error:?}", chain(&error), error.hint);
        assert!(text.contains(says) && !text.contains("very-secret"), "{text}");
    }
}

#[tokio::test]
async fn without_any_place_kubernetes_was_not_asked_for() {
    let nothing = connect(&KubeSettings::default(), &Surroundings::default()).await.unwrap();
    assert!(nothing.is_none());
}

#[tokio::test]
async fn several_kubeconfigs_are_merged_and_the_context_chooses() {
    let folder = tempfile::tempdir().unwrap();
    let second = folder.path().join("second");
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "late",
        "clusters": [{ "name": "late", "cluster": { "server": "http://127.0.0.1:2" } }],
        "users": [], "contexts": [{ "name": "late", "context": { "cluster": "late", "user": "" } }],
    });
    std::fs::write(&second, config.to_string()).unwrap();
    let first = kubeconfig("http://127.0.0.1:1", folder.path());
    let list = std::env::join_paths([first.as_path(), &folder.path().join("missing"), &second]).unwrap();
    let around = Surroundings { kubeconfig: Some(list), ..Surroundings::default() };
    let default = connect(&KubeSettings::default(), &around).await.unwrap().unwrap();
    assert_eq!(default.server, "http://127.0.0.1:1");
    assert!(default.source.contains("KUBECONFIG") && default.source.ends_with("context fake, a token"));
    let settings = KubeSettings { context: Some("late".to_owned()), ..KubeSettings::default() };
    let chosen = connect(&settings, &around).await.unwrap().unwrap();
    assert_eq!(chosen.server, "http://127.0.0.1:2");
}
