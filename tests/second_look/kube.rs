//! A Kubernetes API that lists a generated cluster page by page, and writes down what it was asked for.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde::Deserialize;
use serde_json::{Value, json};

use super::generator::Cluster;

#[derive(Default)]
struct State {
    /// By plural, then `namespace/name`: what is left of an object when it is as small as an audit needs it.
    objects: BTreeMap<&'static str, BTreeMap<String, String>>,
    /// So many pods that have an address are gone.
    hidden: Mutex<Vec<String>>,
    asked: Mutex<Vec<String>>,
    before: Mutex<Option<Waits>>,
}

/// Returns when an answer may be given.
type Waits = Box<dyn Fn() + Send>;

pub struct Kube {
    state: Arc<State>,
    port: u16,
}

impl Kube {
    pub fn of(cluster: &Cluster) -> Kube {
        #[derive(Deserialize)]
        struct List<'a> {
            #[serde(borrow)]
            items: Vec<&'a serde_json::value::RawValue>,
        }
        let mut text = Vec::new();
        cluster.write_objects(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let mut state = State::default();
        for item in serde_json::from_str::<List<'_>>(&text).unwrap().items {
            let mut object: Value = serde_json::from_str(item.get()).unwrap();
            let plural = match object["kind"].as_str().unwrap() {
                "Pod" => "pods",
                "Node" => "nodes",
                "Service" => "services",
                "Namespace" => "namespaces",
                other => panic!("{other}"),
            };
            for heavy in ["containers", "volumes", "tolerations"] {
                object["spec"].as_object_mut().map(|spec| spec.remove(heavy));
            }
            object["status"].as_object_mut().map(|status| status.remove("containerStatuses"));
            let metadata = &object["metadata"];
            let namespace = metadata["namespace"].as_str().map(|ns| format!("{ns}/")).unwrap_or_default();
            let id = format!("{namespace}{}", metadata["name"].as_str().unwrap());
            state.objects.entry(plural).or_default().insert(id, object.to_string());
        }
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(state);
        let serving = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = serving.clone();
                std::thread::spawn(move || serve(&state, stream));
            }
        });
        Kube { state, port }
    }

    pub fn kubeconfig(&self) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters:\n- name: c\n  cluster: {{server: 'http://127.0.0.1:{}'}}\n\
             users:\n- name: u\n  user: {{}}\ncontexts:\n- name: c\n  context: {{cluster: c, user: u}}\n",
            self.port
        )
    }

    /// The first so many pods are gone from now on, and no others.
    pub fn hide_pods(&self, count: usize) {
        *self.state.hidden.lock().unwrap() = self.state.objects["pods"].keys().take(count).cloned().collect();
    }

    /// What comes before each answer from now on.
    pub fn before_an_answer(&self, waits: Option<Waits>) {
        *self.state.before.lock().unwrap() = waits;
    }

    /// Paths with their queries, in order.
    pub fn asked(&self) -> Vec<String> {
        self.state.asked.lock().unwrap().clone()
    }
}

fn serve(state: &State, stream: TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut writer = stream;
    loop {
        let mut first = String::new();
        reader.read_line(&mut first).ok().filter(|read| *read > 0)?;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).ok()?;
            if header.trim().is_empty() {
                break;
            }
        }
        let path = first.split(' ').nth(1)?.to_owned();
        if let Some(waits) = &*state.before.lock().unwrap() {
            waits();
        }
        let (code, body) = answer(state, &path);
        state.asked.lock().unwrap().push(path);
        // No `Date`: the cluster's own time is long ago.
        let head =
            format!("HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
        writer.write_all((head + &body).as_bytes()).ok()?;
    }
}

fn answer(state: &State, path: &str) -> (u16, String) {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let parts: Vec<&str> = path.trim_start_matches("/api/v1/").split('/').collect();
    let hidden = state.hidden.lock().unwrap();
    let one = |plural: &str, id: String, name: &str| match state.objects[plural]
        .get(&id)
        .filter(|_| !hidden.contains(&id))
    {
        Some(object) => (200, object.clone()),
        None => {
            let details = json!({"name": name, "kind": plural});
            let gone = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404,
                "message": "not found", "details": details});
            (404, gone.to_string())
        }
    };
    match parts.as_slice() {
        [plural] => (200, page(&state.objects[plural], &hidden, plural, query)),
        ["namespaces", namespace, plural, name] => one(plural, format!("{namespace}/{name}"), name),
        [plural, name] => one(plural, (*name).to_owned(), name),
        _ => panic!("{path}"),
    }
}

fn page(objects: &BTreeMap<String, String>, hidden: &[String], plural: &str, query: &str) -> String {
    let asked = |name: &str| query.split('&').find_map(|part| part.strip_prefix(name)).and_then(|n| n.parse().ok());
    let (limit, from): (usize, usize) = (asked("limit=").unwrap(), asked("continue=").unwrap_or(0));
    let there = objects.iter().filter(|(id, _)| !hidden.contains(id)).map(|(_, object)| object.as_str());
    let items: Vec<&str> = there.clone().skip(from).take(limit).collect();
    let next = if there.count() > from + limit { (from + limit).to_string() } else { String::new() };
    let kind = match plural {
        "pods" => "PodList",
        "nodes" => "NodeList",
        "services" => "ServiceList",
        _ => "NamespaceList",
    };
    format!(r#"{{"kind":"{kind}","apiVersion":"v1","metadata":{{"continue":"{next}"}},"items":[{}]}}"#, items.join(","))
}

/// GETs `path` of a server that speaks plain HTTP.
pub fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}
