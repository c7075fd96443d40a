//! Several causes at the API server: each once, with what is missing for it, on both streams and in a report.

use serde_json::{Value, json};

use super::servers::command::{ipaudit, stderr, text};
use super::servers::http1::{Answer, Http};
use super::servers::need;
use super::{World, verdict};

const UNKNOWN: (u16, &str) = (401, "Unauthorized");
const FORBIDDEN: (u16, &str) =
    (403, "# is forbidden: User \"u\" cannot list resource \"#\" in API group \"\" at the cluster scope");
const RIGHTS: &str = "the account needs get and list on pods, nodes, services and namespaces";
const ALL: [&str; 4] = ["pods", "nodes", "services", "namespaces"];

/// Answers so for each of `refused`, `#` being its name, and has nothing of everything else.
fn server(refused: &[(&'static str, (u16, &'static str))]) -> Http {
    let refused = refused.to_vec();
    Http::start(move |asked| {
        let kind = asked.path.trim_start_matches("/api/v1/").split(['?', '/']).next().unwrap_or_default().to_owned();
        let answer = |code, body: Value| Answer::Whole {
            code,
            kind: "application/json",
            headers: Vec::new(),
            body: body.to_string(),
        };
        match refused.iter().find(|(name, _)| *name == kind) {
            Some((name, (code, message))) => {
                let message = message.replace('#', name);
                answer(*code, json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message }))
            }
            None => {
                let list = format!(
                    "{}List",
                    match kind.as_str() {
                        "pods" => "Pod",
                        "nodes" => "Node",
                        "services" => "Service",
                        _ => "Namespace",
                    }
                );
                answer(200, json!({ "kind": list, "apiVersion": "v1", "metadata": {}, "items": [] }))
            }
        }
    })
}

struct Told {
    verdict: String,
    errors: String,
    /// Why the report says that the audit was not complete.
    report: String,
}

fn told(refused: &[(&'static str, (u16, &'static str))]) -> Told {
    let world = World::of("clean-small");
    let server = server(refused);
    let folder = tempfile::tempdir().unwrap();
    let (file, db) = (folder.path().join("config"), folder.path().join("history.db").display().to_string());
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{ "name": "c", "cluster": { "server": server.url() } }],
        "users": [{ "name": "u", "user": { "token": "t" } }],
        "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "u" } }],
    });
    std::fs::write(&file, config.to_string()).unwrap();
    let (now, endpoint) = (&world.case.moment().captured_at, world.etcd.endpoint());
    let run = |args: &[&str]| {
        let mut command = ipaudit();
        command.env_remove("IPAUDIT_NO_HISTORY").env("COLUMNS", "160").env("IPAUDIT_SETTLE", "10ms");
        command.args(args).args(["--now", now, "--db", &db]).output().unwrap()
    };
    let audit = run(&["audit", "--etcd-endpoints", &endpoint, "--kubeconfig", &file.display().to_string()]);
    assert_eq!(audit.status.code(), Some(3), "{}", stderr(&audit));
    let report = run(&["report", "-o", "json"]);
    let document: Value = serde_json::from_str(&text(&report)).unwrap();
    let why = &document["clusters"][0]["audits"]["incomplete"][0]["why"];
    let url = server.url();
    Told {
        verdict: verdict(&audit).replace(&url, "URL"),
        errors: stderr(&audit).replace(&url, "URL"),
        report: why.as_str().unwrap_or_default().replace(&url, "URL"),
    }
}

#[test]
fn one_cause_is_told_once() {
    need!(Etcd3_7);
    let all = told(&ALL.map(|kind| (kind, UNKNOWN)));
    let says = "BLIND: Kubernetes did not answer (Unauthorized: has the token expired?); duplicates and leaks were not looked \
        for.";
    assert_eq!(all.verdict, says);
    assert_eq!(all.report, "pods, nodes, services, namespaces: Unauthorized");

    let all = told(&ALL.map(|kind| (kind, FORBIDDEN)));
    let pods = FORBIDDEN.1.replace('#', "pods");
    let says =
        format!("BLIND: Kubernetes refuses us pods, nodes, services and namespaces ({pods}; {RIGHTS}); duplicates");
    assert!(all.verdict.starts_with(&says), "{}", all.verdict);
    assert_eq!(all.report, format!("pods, nodes, services, namespaces: {pods}"));
    assert_eq!(all.errors.matches("is forbidden").count(), 1, "{}", all.errors);
}

#[test]
fn one_kind_is_refused_and_the_others_are_read() {
    need!(Etcd3_7);
    let told = told(&[("pods", FORBIDDEN)]);
    let pods = FORBIDDEN.1.replace('#', "pods");
    assert!(
        told.verdict.starts_with(&format!("BLIND: Kubernetes refuses us pods ({pods}; {RIGHTS}); ")),
        "{}",
        told.verdict
    );
    assert!(
        told.errors.contains(&format!("cannot read pods from Kubernetes (URL): {pods} (hint: {RIGHTS})")),
        "{}",
        told.errors
    );
    assert_eq!(told.report, format!("pods: {pods}"));
}

/// What to do is said of the gravest: of rights nobody knows anything before the server knows who asks.
#[test]
fn several_causes_are_told_side_by_side() {
    need!(Etcd3_7);
    let told = told(&[("pods", UNKNOWN), ("nodes", UNKNOWN), ("services", UNKNOWN), ("namespaces", FORBIDDEN)]);
    let namespaces = FORBIDDEN.1.replace('#', "namespaces");
    let says = format!(
        "BLIND: Kubernetes did not answer for pods, nodes and services (Unauthorized: has the token expired?); Kubernetes \
         refuses us namespaces ({namespaces}); duplicates and leaks were not looked for."
    );
    assert_eq!(told.verdict, says);
    let said = |says: &str| assert!(told.errors.contains(says), "{says}: {}", told.errors);
    said("cannot read pods, nodes, services from Kubernetes (URL): Unauthorized (hint: has the token expired?)");
    said(&format!("cannot read namespaces from Kubernetes (URL): {namespaces} (hint: {RIGHTS})"));
    assert_eq!(told.report, format!("pods, nodes, services: Unauthorized; namespaces: {namespaces}"));

    let told = super::reasons::told(&[("pods", UNKNOWN), ("services", FORBIDDEN), ("nodes", (404, "no such # here"))]);
    let services = FORBIDDEN.1.replace('#', "services");
    let says = format!(
        "BLIND: Kubernetes did not answer for pods (Unauthorized: has the token expired?); Kubernetes did not answer for nodes \
         (URL answered 404 Not Found: no such nodes here); Kubernetes refuses us services ({services}); duplicates and leaks were not looked for."
    );
    assert_eq!(told.verdict, says);
}
