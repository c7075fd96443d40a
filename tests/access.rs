//! `ipaudit check-access` against real servers: what is said when nothing is missing, and with each right missing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod servers;

use std::path::{Path, PathBuf};
use std::process::Output;

use etcd_client::Permission;
use ipaudit::source::etcd_access::WRITTEN;
use ipaudit::source::etcd_ranges::{Wanted, wanted};
use serde_json::Value;
use servers::command::{ipaudit, json, stderr};
use servers::etcd_users::{NOBODY, READER, ROOT, User, WRITER};
use servers::kube_users::{ALICE, IPAUDIT};
use servers::{ApiServer, Case, Etcd, EtcdVersion};

const RIGHTS: [&str; 4] = ["pods", "nodes", "services", "namespaces"];
const ALL_READ: &str = "Everything that an audit reads may be read.";

fn objects() -> PathBuf {
    Case::load("incident-2017").moment().cluster_file.clone()
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Runs it in JSON, and holds what it prints to its schema.
fn check(args: &[&str], user: Option<User>) -> (Value, Output) {
    let mut command = ipaudit();
    command.args(["check-access", "-o", "json", "--etcd-timeout", "5s"]).args(args);
    if let Some(user) = user {
        command.args(["--etcd-username", user.name]).env("ETCD_PASSWORD", user.password);
    }
    let output = command.output().unwrap();
    let document = json(&output);
    let schema: Value = serde_json::from_str(include_str!("../docs/access.schema.json")).unwrap();
    let errors: Vec<String> =
        jsonschema::validator_for(&schema).unwrap().iter_errors(&document).map(|e| e.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}\n{document}");
    let exit = document["exit_code"].as_i64().unwrap() as i32;
    assert_eq!((output.status.code(), document["complete"] == true), (Some(exit), exit == 0), "{document}");
    (document, output)
}

/// Against an etcd, with the pods from a file.
fn etcd_check(etcd: &Etcd, user: Option<User>, more: &[&str]) -> Value {
    let (endpoint, objects) = (etcd.endpoint(), text(&objects()));
    let args = ["--etcd-endpoints", &endpoint, "--kube-objects", &objects];
    check(&[&args, more].concat(), user).0
}

/// `right target` of everything in this state that is needed.
fn having<'d>(document: &'d Value, state: &str) -> Vec<(&'d str, &'d str)> {
    let rights = document["rights"].as_array().unwrap().iter();
    let rights = rights.filter(|right| right["need"] != "nothing" && right["state"] == state);
    rights.map(|right| (right["right"].as_str().unwrap(), right["target"].as_str().unwrap())).collect()
}

fn right<'d>(document: &'d Value, name: &str) -> &'d Value {
    document["rights"].as_array().unwrap().iter().find(|right| right["right"] == name).unwrap()
}

/// As `check-access` writes it.
fn target(wanted: &Wanted) -> String {
    format!("{}{}", wanted.key, if wanted.prefix { "*" } else { "" })
}

fn may_read(wanted: Wanted) -> Permission {
    let permission = Permission::read(wanted.key);
    if wanted.prefix { permission.with_prefix() } else { permission }
}

fn each_right_in_etcd(version: EtcdVersion) {
    let etcd = Etcd::builder(version).auth().start();
    let revision = etcd.revision();
    let reader = etcd_check(&etcd, Some(READER), &[]);
    assert_eq!((&reader["verdict"], &reader["exit_code"]), (&ALL_READ.into(), &0.into()), "{reader}");
    assert_eq!(having(&reader, "ok").len(), wanted().count() + 2, "etcd's keys and status, and the file");
    let user = &reader["etcd_user"];
    assert_eq!((&user["authentication"], &user["user"]), (&"on".into(), &READER.name.into()), "{user}");
    assert_eq!((&user["roles"][0], &user["may_write"]), (&READER.name.into(), &false.into()), "{user}");
    assert!(user["may_write_known_by"].as_str().unwrap().contains("roles (reader)"), "{user}");
    assert!(reader["etcd"]["members"][0]["version"].as_str().unwrap().starts_with("3."), "{reader}");

    let released = etcd_check(&etcd, Some(READER), &["--release", "--db", "/nonexistent-ipaudit/history.db"]);
    let refused = having(&released, "forbidden").into_iter().filter(|(right, _)| right.starts_with("write "));
    assert_eq!(refused.count(), WRITTEN.len(), "{released}");
    let hint = right(&released, "write handles")["hint"].as_str().unwrap();
    assert_eq!(hint, "etcdctl role grant-permission ROLE --prefix=true readwrite /calico/ipam/v2/handle/");
    assert!(released["verdict"].as_str().unwrap().contains("Cannot be written: "), "{released}");

    let folder = tempfile::tempdir().unwrap();
    let db = text(&folder.path().join("history.db"));
    for user in [WRITER, ROOT] {
        let writer = etcd_check(&etcd, Some(user), &["--release", "--db", &db]);
        assert_eq!((&writer["exit_code"], &writer["etcd_user"]["may_write"]), (&0.into(), &true.into()), "{writer}");
        assert!(writer["verdict"].as_str().unwrap().starts_with("Everything that a release"), "{writer}");
    }
    assert!(!Path::new(&db).exists(), "nothing is made");
    let nobody = etcd_check(&etcd, Some(NOBODY), &[]);
    assert_eq!(having(&nobody, "forbidden").len(), wanted().count(), "{nobody}");
    assert_eq!(right(&nobody, "status")["state"], "ok", "whoever logs in is told of alarms");
    assert!(right(&nobody, "blocks")["hint"].as_str().unwrap().contains("--prefix=true read /calico/"), "{nobody}");
    let wrong = User { password: "not-the-password", ..READER };
    let wrong = etcd_check(&etcd, Some(wrong), &[]);
    assert!(having(&wrong, "forbidden").len() >= wanted().count() && !wrong.to_string().contains("not-the-password"));
    assert_eq!(right(&wrong, "login")["state"], "forbidden", "{wrong}");
    assert!(right(&wrong, "blocks")["hint"].as_str().unwrap().contains("--etcd-password-file"), "{wrong}");
    let none = etcd_check(&etcd, None, &[]);
    assert_eq!((&none["etcd_user"]["authentication"], &none["exit_code"]), (&"on".into(), &3.into()), "{none}");
    assert_eq!((&none["etcd_user"]["user"], &none["etcd_user"]["may_write"]), (&Value::Null, &Value::Null));
    assert_eq!(etcd.revision(), revision, "nothing was written");
}

#[test]
fn users_of_etcd_and_what_they_may_3_4() {
    servers::need!(Etcd3_4);
    each_right_in_etcd(EtcdVersion::V3_4);
}

#[test]
fn users_of_etcd_and_what_they_may_3_7() {
    servers::need!(Etcd3_7);
    each_right_in_etcd(EtcdVersion::V3_7);
}

/// With each key or prefix taken away, exactly that one is forbidden.
#[test]
fn each_right_to_read_etcd_missing() {
    servers::need!(Etcd3_7);
    let etcd = Etcd::builder(EtcdVersion::V3_7).auth().start();
    for (at, missing) in wanted().enumerate() {
        let name: &'static str = Box::leak(format!("without-{at}").into_boxed_str());
        let user = User { name, password: "some-secret" };
        let rights: Vec<Permission> = wanted().filter(|other| other.key != missing.key).map(may_read).collect();
        etcd.add_user(user, &rights);
        let document = etcd_check(&etcd, Some(user), &[]);
        assert_eq!(having(&document, "forbidden"), [(missing.input.word(), target(&missing).as_str())], "{document}");
        let total = wanted().count() + 2;
        let verdict = format!("1 of {total} cannot be read: {}.", missing.input.word());
        assert_eq!((document["verdict"].as_str(), &document["exit_code"]), (Some(verdict.as_str()), &3.into()));
    }
}

/// What a release writes is three prefixes: a user who lacks one of them is told which.
#[test]
fn each_right_to_write_missing() {
    servers::need!(Etcd3_7);
    let etcd = Etcd::builder(EtcdVersion::V3_7).auth().start();
    let folder = tempfile::tempdir().unwrap();
    let db = text(&folder.path().join("history.db"));
    for (what, prefix) in WRITTEN {
        let name: &'static str = Box::leak(format!("writes-no-{what}").into_boxed_str());
        let user = User { name, password: "some-secret" };
        let mut rights = vec![Permission::read("/calico/").with_prefix()];
        let others = WRITTEN.iter().filter(|(_, other)| *other != prefix);
        rights.extend(others.map(|(_, other)| Permission::read_write(*other).with_prefix()));
        etcd.add_user(user, &rights);
        let document = etcd_check(&etcd, Some(user), &["--release", "--db", &db]);
        let (right, target) = (format!("write {what}"), format!("{prefix}*"));
        assert_eq!(having(&document, "forbidden"), [(right.as_str(), target.as_str())], "{document}");
        assert_eq!(document["verdict"], format!("{ALL_READ} Cannot be written: {what}."));
        let audits = etcd_check(&etcd, Some(user), &[]);
        assert_eq!((&audits["exit_code"], &audits["etcd_user"]["may_write"]), (&0.into(), &false.into()));
        assert!(right_detail(&audits, "write").starts_with("a part"), "{audits}");
    }
}

fn right_detail<'d>(document: &'d Value, name: &str) -> &'d str {
    right(document, name)["detail"].as_str().unwrap()
}

#[test]
fn an_etcd_without_authentication_with_certificates_and_one_that_is_gone() {
    servers::need!(Etcd3_4, Etcd3_7);
    for version in [EtcdVersion::V3_4, EtcdVersion::V3_7] {
        let plain = etcd_check(&Etcd::start(version), None, &[]);
        assert_eq!((&plain["verdict"], &plain["etcd_user"]["authentication"]), (&ALL_READ.into(), &"off".into()));
        assert!(right_detail(&plain, "login").contains("everybody may read and write"), "{plain}");
        // A name where nobody asks for one is as good as none.
        let named = etcd_check(&Etcd::start(version), Some(READER), &["--release", "--db", "/tmp/none/history.db"]);
        assert_eq!((&named["etcd_user"]["authentication"], &named["exit_code"]), (&"off".into(), &0.into()), "{named}");
        let etcd = Etcd::builder(version).tls().start();
        let tls = etcd.tls();
        let (ca, cert, key) = (text(&tls.ca), text(&tls.client.cert), text(&tls.client.key));
        let flags = ["--etcd-ca-cert", &ca, "--etcd-cert", &cert, "--etcd-key", &key];
        let certified = etcd_check(&etcd, None, &flags);
        let user = &certified["etcd_user"];
        assert_eq!((&certified["exit_code"], &user["authentication"]), (&0.into(), &"off".into()), "{certified}");
        // Where authentication is on, the certificate's common name is the user.
        let etcd = Etcd::builder(version).tls().auth().start();
        let named = User { name: "ipaudit-client", password: "unused" };
        etcd.add_user(named, &[Permission::read("/calico/").with_prefix()]);
        let tls = etcd.tls();
        let (ca, cert, key) = (text(&tls.ca), text(&tls.client.cert), text(&tls.client.key));
        let certified = etcd_check(&etcd, None, &["--etcd-ca-cert", &ca, "--etcd-cert", &cert, "--etcd-key", &key]);
        let user = &certified["etcd_user"];
        assert_eq!((&certified["exit_code"], &user["authentication"]), (&0.into(), &"on".into()), "{certified}");
        assert_eq!((&user["user"], &user["may_write"]), (&named.name.into(), &false.into()), "{certified}");
        assert!(right_detail(&certified, "login").ends_with("by our client certificate"), "{certified}");
    }
    let gone = format!("http://127.0.0.1:{}", servers::free_port());
    let objects = text(&objects());
    let (document, _) = check(&["--etcd-endpoints", &gone, "--kube-objects", &objects], None);
    assert_eq!(document["etcd_user"], Value::Null);
    assert!(document["verdict"].as_str().unwrap().contains("cannot be read: all of etcd ("), "{document}");
    assert!(right(&document, "blocks")["hint"].as_str().unwrap().contains("nobody listens there"), "{document}");
    // The table says the cause of many lines once.
    let mut command = ipaudit();
    let output =
        command.args(["check-access", "--etcd-endpoints", &gone, "--kube-objects", &objects]).output().unwrap();
    let table = String::from_utf8(output.stdout.clone()).unwrap();
    let first = table.lines().next().unwrap();
    assert!(first.contains("cannot be read: all of etcd (") && output.status.code() == Some(3), "{table}");
    assert_eq!(table.matches("onnection refused").count(), 2, "the verdict, and once below: {table}");
    assert_eq!(
        table.lines().filter(|line| line.starts_with("  cannot reach")).count(),
        wanted().count() + 1,
        "{table}"
    );
}

#[test]
fn an_alarm_is_told() {
    servers::need!(Etcd3_7);
    let etcd = Etcd::builder(EtcdVersion::V3_7).quota(4 << 20).start();
    etcd.fill_up();
    let document = etcd_check(&etcd, None, &[]);
    assert!(right_detail(&document, "status").contains("ALARM NOSPACE on member"), "{document}");
    assert_eq!(document["etcd"]["alarms"][0]["kind"], "NOSPACE");
}

#[test]
fn exactly_the_rights_in_kubernetes_and_each_of_them_missing() {
    servers::need!(Etcd3_7, ApiServer);
    let (etcd, api) = (Etcd::start(EtcdVersion::V3_7), ApiServer::start());
    let endpoint = etcd.endpoint();
    let ask = |token: &str| {
        let kubeconfig = text(&api.kubeconfig(token));
        check(&["--etcd-endpoints", &endpoint, "--kubeconfig", &kubeconfig, "--kube-timeout", "5s"], None).0
    };
    api.grant(&RIGHTS);
    let all = ask(IPAUDIT);
    assert_eq!((&all["verdict"], &all["exit_code"]), (&ALL_READ.into(), &0.into()), "{all}");
    assert!(all["kubernetes_version"].as_str().unwrap().starts_with('v'), "{all}");
    for missing in RIGHTS {
        let rest: Vec<&str> = RIGHTS.into_iter().filter(|right| *right != missing).collect();
        api.grant(&rest);
        let document = ask(IPAUDIT);
        let refused: Vec<&str> = having(&document, "forbidden").into_iter().map(|(right, _)| right).collect();
        assert_eq!(refused, [format!("list {missing}"), format!("get {missing}")], "{document}");
        let total = wanted().count() + 1 + 8;
        let cure = "the user's ClusterRole needs get and list on pods, nodes, services and namespaces (README, Rights)";
        let verdict = format!("2 of {total} cannot be read: list {missing}, get {missing} ({cure}).");
        assert_eq!((document["verdict"].as_str(), &document["exit_code"]), (Some(verdict.as_str()), &3.into()));
        let detail = right_detail(&document, &format!("list {missing}"));
        assert!(detail.contains("ipaudit") && detail.contains(missing), "{detail}");
    }
    let alice = ask(ALICE);
    assert!(
        alice["verdict"].as_str().unwrap().contains("cannot be read: all of Kubernetes (the user's ClusterRole needs"),
        "{alice}"
    );
    let stranger = ask("no-token-of-anybody");
    let hint = right(&stranger, "list pods")["hint"].as_str().unwrap();
    assert!(having(&stranger, "forbidden").len() == 8 && hint.contains("expired"), "{stranger}");
    let gone = format!("https://127.0.0.1:{}", servers::free_port());
    let kubeconfig = text(&api.kubeconfig_at(&gone, IPAUDIT));
    let args = ["--etcd-endpoints", endpoint.as_str(), "--kubeconfig", &kubeconfig, "--kube-timeout", "1s"];
    assert_eq!(having(&check(&args, None).0, "unreachable").len(), 8);
    let nowhere = check(&["--etcd-endpoints", &endpoint], None).0;
    assert_eq!(having(&nowhere, "not asked").len(), 4, "{nowhere}");
}

#[test]
fn the_history_is_looked_at_and_never_touched() {
    servers::need!(Etcd3_7);
    let etcd = Etcd::start(EtcdVersion::V3_7);
    let case = Case::load("clean-small");
    case.moment().load_into(&etcd);
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("deep/er/history.db");
    let (endpoint, objects) = (etcd.endpoint(), text(&case.moment().cluster_file));
    let args = ["--etcd-endpoints", &endpoint, "--kube-objects", &objects];
    let ask = |db: &Path| {
        let mut command = ipaudit();
        command.env_remove("IPAUDIT_NO_HISTORY").args(["check-access", "-o", "json", "--db"]).arg(db);
        json(&command.args(args).output().unwrap())
    };
    let of = |document: &Value| -> Vec<(String, String)> {
        let rights = document["rights"].as_array().unwrap().iter().filter(|right| right["granter"] == "history");
        rights.map(|right| (right["right"].to_string(), right["state"].to_string())).collect()
    };
    let is = |states: &[(&str, &str)]| -> Vec<(String, String)> {
        states.iter().map(|(right, state)| (format!("{right:?}"), format!("{state:?}"))).collect()
    };
    let absent = ask(&db);
    assert_eq!((of(&absent), &absent["exit_code"]), (is(&[("write", "ok")]), &0.into()), "{absent}");
    assert!(!folder.path().join("deep").exists(), "nothing is made");
    let mut audit = ipaudit();
    audit.env_remove("IPAUDIT_NO_HISTORY").args(["audit", "--settle", "0", "--db"]).arg(&db).args(args);
    audit.args(["--now", &case.moment().captured_at]);
    let audited = audit.output().unwrap();
    assert!(db.exists(), "{}", stderr(&audited));
    let before = std::fs::read(&db).unwrap();
    let there = ask(&db);
    assert_eq!(of(&there), is(&[("read", "ok"), ("write", "ok")]), "{there}");
    assert_eq!(std::fs::read(&db).unwrap(), before);
    // A folder in which nobody may make a file, root neither.
    let nowhere = ask(Path::new("/proc/ipaudit/history.db"));
    assert_eq!(nowhere["verdict"], format!("{ALL_READ} Cannot be written: the history."));
    assert_eq!(nowhere["exit_code"], 3);
    let damaged = folder.path().join("damaged.db");
    std::fs::write(&damaged, "no database at all, but long enough to be read as one".repeat(100)).unwrap();
    let damaged = ask(&damaged);
    assert_eq!(of(&damaged), is(&[("read", "unreachable"), ("write", "ok")]), "{damaged}");
    assert!(damaged["verdict"].as_str().unwrap().contains("the history"), "{damaged}");
}

/// Nothing at all is set, or what is set cannot be meant: each of the three is told all the same.
#[test]
fn each_side_is_told_on_its_own() {
    let state = |document: &Value, granter: &str| -> Vec<(String, String)> {
        let rights = document["rights"].as_array().unwrap().iter().filter(|right| right["granter"] == granter);
        let mut states: Vec<(String, String)> = rights
            .map(|right| (right["state"].as_str().unwrap().into(), format!("{} {}", right["detail"], right["hint"])))
            .collect();
        states.dedup();
        states
    };
    let folder = tempfile::tempdir().unwrap();
    let db = text(&folder.path().join("history.db"));
    let objects = text(&objects());
    let ask = |args: &[&str]| {
        let mut command = ipaudit();
        command.env_remove("IPAUDIT_NO_HISTORY").args(["check-access", "-o", "json"]).args(args);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        json(&output)
    };
    let now = "2026-11-24T12:12:51Z";
    let nothing = ask(&["--db", &db, "--now", now]);
    assert_eq!(nothing["asked_at"], now);
    let etcd = state(&nothing, "etcd");
    assert!(etcd.len() == 1 && etcd[0].0 == "not asked" && etcd[0].1.contains("--etcd-endpoints"), "{etcd:?}");
    assert!(state(&nothing, "kubernetes")[0].1.contains("--kubeconfig"), "{nothing:#}");
    assert_eq!(state(&nothing, "history")[0].0, "ok");
    // Settings that cannot be meant hide nothing of the others.
    let wrong = ask(&["--db", &db, "--etcd-endpoints", "http://127.0.0.1:1", "--kubeconfig", "/nonexistent"]);
    assert_eq!(state(&wrong, "etcd")[0].0, "unreachable");
    let kube = &state(&wrong, "kubernetes")[0];
    assert!(kube.0 == "not asked" && kube.1.contains("/nonexistent"), "{kube:?}");
    assert_eq!(state(&wrong, "history")[0].0, "ok");
    let half = ask(&["--etcd-cert", "/nonexistent", "--kube-objects", &objects, "--no-history"]);
    assert_eq!((state(&half, "etcd")[0].0.as_str(), state(&half, "kubernetes")[0].0.as_str()), ("not asked", "ok"));
    assert!(state(&half, "history").is_empty(), "{half:#}");
}

#[test]
fn usage_is_2() {
    let output = ipaudit().args(["check-access", "--settle", "1s"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("--settle"), "{}", stderr(&output));
}
