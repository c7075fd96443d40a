//! Blind is never calm: whatever keeps an audit from seeing is its first line, with the cause and what to do about it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "blind/credentials.rs"]
mod credentials;
#[path = "blind/reasons.rs"]
mod reasons;
mod servers;

use std::path::Path;
use std::process::Output;

use servers::command::{ipaudit, json, stderr};
use servers::kube_users::ALICE;
use servers::{ApiServer, Case, Etcd, EtcdVersion, need};

/// One golden case in a fresh etcd.
struct World {
    etcd: Etcd,
    case: Case,
}

impl World {
    fn of(name: &str) -> World {
        let case = Case::load(name);
        let etcd = Etcd::start(EtcdVersion::V3_7);
        case.load_into(&etcd);
        World { etcd, case }
    }

    fn audit(&self, args: &[&str]) -> Output {
        let now = &self.case.moment().captured_at;
        let endpoint = self.etcd.endpoint();
        let mut command = ipaudit();
        command.args(["audit", "--etcd-endpoints", &endpoint, "--now", now]).env("COLUMNS", "160");
        command.env("IPAUDIT_SETTLE", "10ms");
        command.args(args).output().unwrap()
    }

    /// With the case's own objects.
    fn audit_whole(&self, args: &[&str]) -> Output {
        let objects = self.case.moment().cluster_file.display().to_string();
        self.audit(&[&["--kube-objects", objects.as_str()], args].concat())
    }
}

/// The verdict on blindness as one line, which is the first.
#[track_caller]
fn verdict(output: &Output) -> String {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(text.starts_with("BLIND: "), "{text}\n{}", stderr(output));
    let mut lines = text.lines();
    let first = lines.next().unwrap().to_owned();
    let more = lines.take_while(|line| line.starts_with("  ") && !line.starts_with("  ipaudit "));
    more.fold(first, |told, line| format!("{told} {}", line.trim()))
}

/// Each word of the cause stands in the table once, but for the errors of standard error.
#[track_caller]
fn told_once(output: &Output, cause: &str) {
    let text = String::from_utf8(output.stdout.clone()).unwrap().replace("\n  ", " ");
    assert_eq!(text.matches(cause).count(), 1, "{text}");
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn an_expired_token_is_told_as_one() {
    need!(Etcd3_7, ApiServer);
    let world = World::of("incident-2017");
    let server = ApiServer::shared();
    let kubeconfig = path(&server.kubeconfig(&server.expired_token()));
    let output = world.audit(&["--kubeconfig", &kubeconfig]);
    let expected = "BLIND: Kubernetes did not answer (Unauthorized: has the token expired?); duplicates and leaks were \
        not looked for.";
    assert_eq!((verdict(&output).as_str(), output.status.code()), (expected, Some(3)));
    told_once(&output, "Unauthorized");
    let told = stderr(&output);
    let says = format!(
        "cannot read pods, nodes, services, namespaces from Kubernetes ({}): Unauthorized (hint: ",
        server.url()
    );
    assert!(told.contains(&says), "{told}");
}

#[test]
fn rights_that_are_missing_are_told_with_their_cure() {
    need!(Etcd3_7, ApiServer);
    let world = World::of("incident-2017");
    let kubeconfig = path(&ApiServer::shared().kubeconfig(ALICE));
    let output = world.audit(&["--kubeconfig", &kubeconfig]);
    let told = verdict(&output);
    assert!(told.starts_with("BLIND: Kubernetes refuses us pods, nodes, services and namespaces ("), "{told}");
    assert!(told.contains("User \"alice\" cannot list"), "{told}");
    assert!(
        told.contains("; the account needs get and list on pods, nodes, services and namespaces); duplicates"),
        "{told}"
    );
    told_once(&output, "alice");
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn an_api_server_that_is_down_is_told_on_both_streams() {
    need!(Etcd3_7);
    let world = World::of("incident-2017");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    let closed = servers::free_port();
    let cluster = format!("{{name: c, cluster: {{server: 'http://127.0.0.1:{closed}'}}}}");
    let yaml = format!(
        "apiVersion: v1\nkind: Config\nclusters: [{cluster}]\ncontexts: [{{name: x, context: {{cluster: c, user: u}}}}]\n\
         users: [{{name: u, user: {{}}}}]\ncurrent-context: x\n"
    );
    std::fs::write(&file, yaml).unwrap();
    let output = world.audit(&["--kubeconfig", &path(&file)]);
    let told = verdict(&output);
    assert!(told.starts_with("BLIND: Kubernetes did not answer ("), "{told}");
    let cure = "is the API server up and reachable from here?); duplicates and leaks were not looked for.";
    assert!(told.contains("connection refused") && told.ends_with(cure), "{told}");
    told_once(&output, "connection refused");
    let told = stderr(&output);
    assert!(told.contains("from Kubernetes (http://127.0.0.1") && told.contains("connection refused"), "{told}");
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn no_kubeconfig_is_told_with_what_can_be_given() {
    need!(Etcd3_7);
    let output = World::of("incident-2017").audit(&[]);
    let expected = "BLIND: Kubernetes was not asked (no kubeconfig, no account of a pod, no --kube-objects; give one: \
        --kubeconfig, KUBECONFIG, or --kube-objects); duplicates and leaks were not looked for.";
    assert_eq!((verdict(&output).as_str(), output.status.code()), (expected, Some(3)));
}

/// What one look found and nobody looked at again is a note to exit codes, and no note to people.
#[test]
fn criticals_that_nobody_looked_at_again_are_counted_as_such() {
    need!(Etcd3_7);
    let world = World::of("restored-old-backup");
    let criticals = |args: &[&str]| {
        let document = json(&world.audit_whole(&[&["-o", "json"], args].concat()));
        let findings = document["findings"].as_array().unwrap().clone();
        // What another one explains is counted with it.
        let is = |f: &serde_json::Value, field: &str| f[field] == "critical" && f["root"].is_null();
        (findings.iter().filter(|f| is(f, "severity")).count(), findings.iter().filter(|f| is(f, "suspected")).count())
    };
    let (confirmed, none) = criticals(&[]);
    assert!(confirmed > 3 && none == 0, "{confirmed}");
    assert_eq!(criticals(&["--settle", "0"]), (0, confirmed));
    let output = world.audit_whole(&["--settle", "0"]);
    let told = verdict(&output);
    assert!(told.starts_with(&format!("BLIND: {confirmed} criticals")), "{told}");
    assert!(told.ends_with("seen once, unconfirmed (nobody looked again: run without --settle 0)."), "{told}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("\nCRITICAL: unconfirmed: "), "{text}");
    // Blind is no success, whatever is shown of it and whatever findings do to the exit code.
    assert_eq!(output.status.code(), Some(3));
    let narrow = world.audit_whole(&["--settle", "0", "--code", "IPA404", "--fail-on", "never"]);
    assert_eq!(narrow.status.code(), Some(3));
    let told = verdict(&narrow);
    assert!(told.starts_with("BLIND: what was found outside this view was seen once, unconfirmed"), "{told}");
}

#[test]
fn an_etcd_that_is_down_is_told_on_both_streams() {
    let closed = servers::free_port();
    let endpoint = format!("http://127.0.0.1:{closed}");
    let objects = path(&Case::load("incident-2017").moment().cluster_file);
    let output = ipaudit()
        .args(["audit", "--etcd-endpoints", &endpoint, "--kube-objects", &objects, "--settle", "0"])
        .env("COLUMNS", "160")
        .output()
        .unwrap();
    let told = verdict(&output);
    assert!(told.starts_with("BLIND: etcd did not answer ("), "{told}");
    let cure = "; nobody listens there: check host and port, and whether etcd runs); duplicates and leaks were not \
        looked for.";
    assert!(told.contains(&endpoint) && told.ends_with(cure), "{told}");
    told_once(&output, "nobody listens there");
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("(hint: nobody listens there"), "{}", stderr(&output));
}

#[test]
fn values_that_do_not_decode_are_told_with_the_command_that_names_them() {
    need!(Etcd3_7);
    let output = World::of("undecodable").audit_whole(&[]);
    let expected = "BLIND: 30 values do not decode (IPA901), and what they hide was not judged.";
    assert_eq!((verdict(&output).as_str(), output.status.code()), (expected, Some(3)));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().nth(1), Some("  ipaudit audit --code IPA901 --all"), "{text}");
}
