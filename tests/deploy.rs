//! What `deploy/` installs: rendered by kubectl, judged by a real API server, and its audit run as that cluster's
//! kubelet would, with that ServiceAccount's token, against servers with the incident in them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod kubelet;
#[path = "deploy/node.rs"]
mod node;
mod servers;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use kubelet::Node;
use serde_json::{Value, json};
use servers::command::{json, stderr};
use servers::kube_users::ADMIN;
use servers::{ApiServer, Case, Etcd, EtcdVersion};

const NAMESPACE: &str = "/api/v1/namespaces/ipaudit";
const CRONJOB: &str = "/apis/batch/v1/namespaces/ipaudit/cronjobs/ipaudit";

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn text(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap()
}

fn kubectl() -> Command {
    let mut command = Command::new(servers::binaries::kubectl().unwrap());
    command.env_clear().env("HOME", "/nonexistent");
    command
}

fn output_of(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn yaml(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap()
}

fn rendered(folder: &Path) -> Vec<Value> {
    yaml(&output_of(kubectl().arg("kustomize").arg(folder)))
}

fn base() -> Vec<Value> {
    rendered(&repository("deploy/kustomize/base"))
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let mut found = objects.iter().filter(|o| o["kind"] == kind);
    let first = found.next().unwrap_or_else(|| panic!("no {kind}"));
    assert!(found.next().is_none(), "one {kind}");
    first
}

/// Where an object of this kind is posted.
fn collection(object: &Value) -> String {
    let group = match object["apiVersion"].as_str().unwrap() {
        "v1" => "/api/v1".to_owned(),
        group => format!("/apis/{group}"),
    };
    let plural = format!("{}s", object["kind"].as_str().unwrap().to_lowercase());
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{group}/namespaces/{namespace}/{plural}"),
        None => format!("{group}/{plural}"),
    }
}

/// As `kubectl apply --dry-run=server`, and a field that the server does not know is an error.
fn dry_run(api: &ApiServer, object: &Value) -> (u16, Value) {
    api.request(ADMIN, "POST", &format!("{}?dryRun=All&fieldValidation=Strict", collection(object)), object)
}

fn pod_of(cronjob: &Value) -> Value {
    let template = &cronjob["spec"]["jobTemplate"]["spec"]["template"];
    json!({ "apiVersion": "v1", "kind": "Pod", "spec": template["spec"],
        "metadata": { "name": "audit", "namespace": "ipaudit", "labels": template["metadata"]["labels"] } })
}

#[test]
fn the_base_holds_what_it_should_and_no_secret() {
    servers::need!(Kubectl);
    let objects = base();
    let kinds: BTreeSet<&str> = objects.iter().map(|o| o["kind"].as_str().unwrap()).collect();
    let wanted =
        "Namespace ServiceAccount ClusterRole ClusterRoleBinding ConfigMap Secret PersistentVolumeClaim CronJob";
    assert_eq!((kinds, objects.len()), (wanted.split(' ').collect(), 8));
    for object in &objects {
        assert_eq!(object["metadata"]["labels"]["app.kubernetes.io/name"], "ipaudit", "{object}");
        let cluster_wide = matches!(object["kind"].as_str(), Some("Namespace" | "ClusterRole" | "ClusterRoleBinding"));
        let namespace = if cluster_wide { Value::Null } else { json!("ipaudit") };
        assert_eq!(object["metadata"]["namespace"], namespace, "{object}");
    }
    let secret = of_kind(&objects, "Secret");
    assert!(secret["data"].is_null() && secret["stringData"].is_null(), "a secret belongs in no repository");
    let labels = &of_kind(&objects, "Namespace")["metadata"]["labels"];
    assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");
}

#[test]
fn the_rights_are_those_of_the_readme() {
    servers::need!(Kubectl);
    let readme = text("README.md");
    let block = readme.split("```yaml\n").find(|part| part.contains("kind: ClusterRole")).unwrap();
    let promised = yaml(block.split("```").next().unwrap());
    let objects = base();
    let role = of_kind(&objects, "ClusterRole");
    assert_eq!(role["rules"], promised[0]["rules"]);
    let rule = json!([{ "apiGroups": [""], "resources": ["pods", "nodes", "services", "namespaces"],
        "verbs": ["get", "list"] }]);
    assert_eq!(role["rules"], rule, "nothing else");
    let binding = of_kind(&objects, "ClusterRoleBinding");
    assert_eq!(binding["roleRef"]["name"], role["metadata"]["name"]);
    let subject = json!([{ "kind": "ServiceAccount", "name": "ipaudit", "namespace": "ipaudit" }]);
    assert_eq!(binding["subjects"], subject);
}

#[test]
fn the_cronjob_never_piles_up_and_may_do_nothing_to_its_node() {
    servers::need!(Kubectl);
    let objects = base();
    let cronjob = of_kind(&objects, "CronJob");
    let spec = &cronjob["spec"];
    assert_eq!((&spec["schedule"], &spec["concurrencyPolicy"]), (&json!("*/15 * * * *"), &json!("Forbid")));
    let job = &spec["jobTemplate"]["spec"];
    assert_eq!(job["backoffLimit"], 0);
    let interval = 15 * 60;
    assert!(job["activeDeadlineSeconds"].as_u64().unwrap() < interval, "over before the next one");
    assert!(spec["startingDeadlineSeconds"].as_u64().unwrap() < interval);
    let limits = ["successfulJobsHistoryLimit", "failedJobsHistoryLimit"].map(|limit| spec[limit].as_u64().unwrap());
    assert!(limits.iter().all(|limit| (1..10).contains(limit)), "{limits:?}");
    let pod = &job["template"]["spec"];
    assert_eq!(pod["restartPolicy"], "Never");
    // What `restricted` does not ask for: the admission of the next test cannot see it.
    let container = &pod["containers"][0];
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert!(pod["securityContext"]["runAsUser"].as_u64().unwrap() > 0);
    assert!(container["resources"]["requests"]["memory"].is_string());
    assert!(container["resources"]["limits"]["memory"].is_string());
    let etcd = container["volumeMounts"].as_array().unwrap().iter().find(|m| m["name"] == "etcd").unwrap();
    assert_eq!(etcd["readOnly"], true);
    let image = container["image"].as_str().unwrap();
    assert_eq!(image, format!("registry.example.com/ipaudit:{}", env!("CARGO_PKG_VERSION")), "this version's image");
}

/// A change of the pod that Pod Security `restricted` refuses, and what it says then.
type Loosening = (&'static str, fn(&mut Value));

const LOOSENINGS: [Loosening; 6] = [
    ("privileged", |pod| {
        // Together with allowPrivilegeEscalation: false it would already be invalid.
        let context = &mut pod["spec"]["containers"][0]["securityContext"];
        context["allowPrivilegeEscalation"] = json!(null);
        context["privileged"] = json!(true);
    }),
    ("allowPrivilegeEscalation", |pod| {
        pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = json!(null);
    }),
    ("unrestricted capabilities", |pod| {
        pod["spec"]["containers"][0]["securityContext"]["capabilities"] = json!(null);
    }),
    ("runAsNonRoot", |pod| pod["spec"]["securityContext"]["runAsNonRoot"] = json!(null)),
    ("seccompProfile", |pod| pod["spec"]["securityContext"]["seccompProfile"] = json!(null)),
    ("hostPath", |pod| pod["spec"]["volumes"][0] = json!({ "name": "history", "hostPath": { "path": "/" } })),
];

#[test]
fn the_api_server_accepts_every_object_and_pod_security_the_pods() {
    servers::need!(Etcd3_7, ApiServer, Kubectl);
    let api = ApiServer::start();
    let objects = base();
    // For real, so that its labels judge the pods.
    api.admin_post("/api/v1/namespaces", of_kind(&objects, "Namespace"));
    for object in objects.iter().filter(|o| o["kind"] != "Namespace") {
        let (status, answer) = dry_run(&api, object);
        assert_eq!(status, 201, "{object}\n{answer}");
    }
    let mut wrong = of_kind(&objects, "CronJob").clone();
    wrong["spec"]["concurencyPolicy"] = json!("Forbid");
    assert_eq!(dry_run(&api, &wrong).0, 400, "the server reads every field");

    let pod = pod_of(of_kind(&objects, "CronJob"));
    let history_pod = yaml(&text("deploy/history-pod.yaml")).remove(0);
    for pod in [&pod, &history_pod] {
        let (status, answer) = dry_run(&api, pod);
        assert_eq!(status, 201, "{pod}\n{answer}");
    }
    for (what, loosen) in LOOSENINGS {
        let mut loose = pod.clone();
        loosen(&mut loose);
        let (status, answer) = dry_run(&api, &loose);
        let message = answer["message"].as_str().unwrap_or_default();
        assert_eq!(status, 403, "{what}: {answer}");
        assert!(message.contains(what), "{what}: {message}");
    }
}

/// `deploy/kustomize` with the example's placeholders replaced by these servers.
fn overlay(etcd: &Etcd) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for part in ["base", "example"] {
        std::fs::create_dir(folder.path().join(part)).unwrap();
        for file in std::fs::read_dir(repository("deploy/kustomize").join(part)).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), folder.path().join(part).join(file.file_name())).unwrap();
        }
    }
    let example = folder.path().join("example");
    let tls = etcd.tls();
    for (from, name) in [(&tls.ca, "ca.crt"), (&tls.client.cert, "tls.crt"), (&tls.client.key, "tls.key")] {
        std::fs::copy(from, example.join(name)).unwrap();
    }
    let file = example.join("kustomization.yaml");
    let lines = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = lines.split_once("ETCD_ENDPOINTS=").unwrap();
    let (_, after) = rest.split_once('\n').unwrap();
    std::fs::write(&file, format!("{before}ETCD_ENDPOINTS={}\n{after}", etcd.endpoint())).unwrap();
    folder
}

/// A token of the real ServiceAccount, as the kubelet asks for one.
fn token(api: &ApiServer) -> String {
    let request = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {} });
    let answer = api.admin_post(&format!("{NAMESPACE}/serviceaccounts/ipaudit/token"), &request);
    answer["status"]["token"].as_str().unwrap().to_owned()
}

/// The shell lines of docs/operations.md that make a Job with other arguments from the CronJob.
fn documented_job() -> String {
    let manual = text("docs/operations.md");
    let mut blocks = manual.split("```").skip(1).step_by(2);
    let block = blocks.find(|block| block.contains("create job report --from=cronjob/ipaudit")).unwrap();
    block.trim_start_matches("sh\n").to_owned()
}

#[test]
fn as_installed_it_finds_the_incident_with_its_own_rights_and_keeps_its_history() {
    servers::need!(Etcd3_7, ApiServer, Kubectl);
    let etcd = Etcd::builder(EtcdVersion::V3_7).tls().start();
    let case = Case::load("incident-2017");
    case.moment().load_into(&etcd);
    let api = ApiServer::start();
    api.load_objects(&case.moment().cluster);
    let folder = overlay(&etcd);
    let admin = api.kubeconfig(ADMIN);
    output_of(kubectl().env("KUBECONFIG", &admin).args(["apply", "-k"]).arg(folder.path().join("example")));

    let token = token(&api);
    let may = |method: &str, path: &str| api.request(&token, method, path, &Value::Null).0 != 403;
    servers::eventually("RBAC follows", Duration::from_secs(30), || may("GET", "/api/v1/pods"));
    assert!(["nodes", "services", "namespaces"].iter().all(|kind| may("GET", &format!("/api/v1/{kind}"))));
    for (method, path) in [
        ("GET", "/api/v1/secrets"),
        ("GET", "/api/v1/namespaces/ipaudit/secrets/ipaudit-etcd"),
        ("GET", "/api/v1/configmaps"),
        ("GET", "/api/v1/pods?watch=true&timeoutSeconds=1"),
        ("DELETE", "/api/v1/namespaces/default/pods/none"),
        ("POST", "/api/v1/namespaces/default/pods/none/exec"),
    ] {
        assert!(!may(method, path), "{method} {path}");
    }

    let node = Node::new(&api, &token);
    let cronjob = api.admin_get(CRONJOB);
    let pod = pod_of(&cronjob);
    let plain = node.run(&pod, &case.moment().captured_at, &[]);
    assert_eq!(plain.status.code(), Some(0), "findings do not fail the Job: {}", stderr(&plain));
    let log = String::from_utf8_lossy(&plain.stdout).into_owned();
    assert!(log.contains("IPA101") && log.contains("192.168.91.33"), "{log}");

    let output = node.run(&pod, &case.moment().captured_at, &[("IPAUDIT_OUTPUT", "json")]);
    let document = json(&output);
    assert_eq!(document["audit"]["complete"], true, "{document}");
    let expected: BTreeSet<_> = case.moment().expect.iter().map(|e| (e.code.as_str(), e.subject.as_str())).collect();
    let findings = document["findings"].as_array().unwrap().iter();
    let found: BTreeSet<_> =
        findings.map(|f| (f["code"].as_str().unwrap(), f["subject"]["id"].as_str().unwrap())).collect();
    assert_eq!(found, expected);

    assert!(node.mounted("history").join("history.db").is_file());
    assert_eq!(document["audit"]["id"], 2, "the second audit of the file on the volume");

    let script = documented_job();
    let folder = servers::binaries::kubectl().unwrap().parent().unwrap().display().to_string();
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", &script]).env_clear();
    output_of(
        shell.env("PATH", format!("{folder}:/usr/bin:/bin")).env("KUBECONFIG", &admin).env("HOME", "/nonexistent"),
    );
    let job = api.admin_get("/apis/batch/v1/namespaces/ipaudit/jobs/report");
    let container = &job["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["args"][0], "report");
    assert_eq!(container["volumeMounts"], pod["spec"]["containers"][0]["volumeMounts"]);
    let template = &job["spec"]["template"];
    let question = json!({ "metadata": { "namespace": "ipaudit" }, "spec": template["spec"] });
    let answer = node.run(&question, &case.moment().captured_at, &[]);
    let report = String::from_utf8_lossy(&answer.stdout).into_owned();
    assert_eq!(answer.status.code(), Some(1), "something is open: {}", stderr(&answer));
    assert!(report.contains("IPA101") && report.contains("192.168.91.33"), "{report}");

    // The tool's failure is the Job's: here the certificate of somebody else.
    std::fs::copy(&etcd.tls().other_ca, node.mounted("etcd").join("ca.crt")).unwrap();
    let failed = node.start(&pod, &case.moment().captured_at).output().unwrap();
    assert_eq!(failed.status.code(), Some(3), "{}", stderr(&failed));
}
