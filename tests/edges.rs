//! The binary against servers as they are met: certificates, logins, missing rights, dead and frozen members.
//!
//! The same edges are tested in the small in `tests/etcd.rs` and `tests/kube.rs`; here it is what a person sees:
//! output, hints, exit codes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "edges/etcd_says.rs"]
mod etcd_says;
mod servers;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;

use serde_json::Value;
use servers::command::{ipaudit, json, stderr};
use servers::etcd_users::READER;
use servers::kube_users::IPAUDIT;
use servers::{ApiServer, Case, Etcd, EtcdVersion};

const RIGHTS: [&str; 4] = ["pods", "nodes", "services", "namespaces"];

fn incident() -> Case {
    Case::load("incident-2017")
}

fn audit(args: &[&str], objects: bool, env: &[(&str, &str)]) -> Output {
    let case = incident();
    let mut command = ipaudit();
    command.args(["audit", "--settle", "100ms", "-o", "json", "--now", &case.moment().captured_at]).args(args);
    if objects {
        command.arg("--kube-objects").arg(&case.moment().cluster_file);
    }
    command.envs(env.iter().copied()).output().unwrap()
}

fn codes(document: &Value) -> BTreeSet<&str> {
    document["findings"].as_array().unwrap().iter().map(|f| f["code"].as_str().unwrap()).collect()
}

fn state<'a>(document: &'a Value, input: &str) -> &'a str {
    let inputs = document["inputs"].as_array().unwrap();
    inputs.iter().find(|i| i["input"] == input).unwrap()["state"].as_str().unwrap()
}

fn finds_the_incident(output: &Output) {
    assert_eq!(output.status.code(), Some(1), "{}", stderr(output));
    let document = json(output);
    assert!(codes(&document).contains("IPA101"), "{document}");
    assert_eq!(document["audit"]["complete"], true);
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[test]
fn client_certificates_by_flag_by_environment_and_by_file() {
    servers::need!(Etcd3_4, Etcd3_7);
    for version in [EtcdVersion::V3_4, EtcdVersion::V3_7] {
        let etcd = Etcd::builder(version).tls().start();
        incident().moment().load_into(&etcd);
        let tls = etcd.tls();
        let (ca, cert, key) = (text(&tls.ca), text(&tls.client.cert), text(&tls.client.key));
        let endpoint = etcd.endpoint();
        let flags = ["--etcd-endpoints", &endpoint, "--etcd-ca-cert", &ca, "--etcd-cert", &cert, "--etcd-key", &key];
        finds_the_incident(&audit(&flags, true, &[]));
        let env = [
            ("ETCD_ENDPOINTS", endpoint.as_str()),
            ("ETCD_CA_CERT_FILE", &ca),
            ("ETCD_CERT_FILE", &cert),
            ("ETCD_KEY_FILE", &key),
        ];
        finds_the_incident(&audit(&[], true, &env));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("calicoctl.cfg");
        let pem = |path: &Path| serde_json::to_string(&std::fs::read_to_string(path).unwrap()).unwrap();
        let spec = format!(
            "apiVersion: projectcalico.org/v3\nkind: CalicoAPIConfig\nspec:\n  etcdEndpoints: {endpoint}\n  \
             etcdCACert: {}\n  etcdCert: {}\n  etcdKey: {}\n",
            pem(&tls.ca),
            pem(&tls.client.cert),
            pem(&tls.client.key)
        );
        std::fs::write(&file, spec).unwrap();
        finds_the_incident(&audit(&["--config", &text(&file)], true, &[]));
        // The flag wins over the file's inline certificate.
        let wrong = audit(&["--config", &text(&file), "--etcd-ca-cert", &text(&tls.other_ca)], true, &[]);
        assert_eq!(wrong.status.code(), Some(3), "{}", stderr(&wrong));
        assert!(stderr(&wrong).contains("UnknownIssuer") && stderr(&wrong).contains("hint"), "{}", stderr(&wrong));
    }
}

#[test]
fn user_and_password_and_neither_is_ever_printed() {
    servers::need!(Etcd3_4, Etcd3_7);
    for version in [EtcdVersion::V3_4, EtcdVersion::V3_7] {
        let etcd = Etcd::builder(version).auth().start();
        incident().moment().load_into(&etcd);
        let endpoint = etcd.endpoint();
        let args = ["--etcd-endpoints", endpoint.as_str(), "--etcd-username", READER.name, "-vv"];
        let good = audit(&args, true, &[("ETCD_PASSWORD", READER.password)]);
        finds_the_incident(&good);
        let wrong = audit(&args, true, &[("ETCD_PASSWORD", "not-the-password")]);
        assert_eq!(wrong.status.code(), Some(3), "{}", stderr(&wrong));
        assert_eq!(state(&json(&wrong), "blocks"), "forbidden");
        let nobody = audit(&args[..2], true, &[]);
        assert_eq!(nobody.status.code(), Some(3), "{}", stderr(&nobody));
        for output in [&good, &wrong, &nobody] {
            let all = format!("{}{}", stderr(output), String::from_utf8_lossy(&output.stdout));
            assert!(!all.contains(READER.password) && !all.contains("not-the-password"), "{all}");
        }
    }
}

#[test]
fn one_of_three_endpoints_is_dead() {
    servers::need!(Etcd3_7);
    let etcd = Etcd::start(EtcdVersion::V3_7);
    incident().moment().load_into(&etcd);
    let dead = servers::free_port();
    let endpoints = format!("http://127.0.0.1:{dead},{0},{0}", etcd.endpoint());
    finds_the_incident(&audit(&["--etcd-endpoints", &endpoints], true, &[]));
}

#[test]
fn a_frozen_server_ends_in_exit_3_and_names_the_endpoint() {
    servers::need!(Etcd3_7);
    let etcd = Etcd::start(EtcdVersion::V3_7);
    incident().moment().load_into(&etcd);
    etcd.freeze();
    let output = audit(&["--etcd-endpoints", &etcd.endpoint(), "--etcd-timeout", "1s"], true, &[]);
    etcd.thaw();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains(&etcd.endpoint()), "{}", stderr(&output));
    let document = json(&output);
    assert!(document["findings"].as_array().unwrap().is_empty(), "unknown is not absent: {document}");
    assert_eq!(document["exit_code"], 3);
}

#[test]
fn fifty_megabytes_of_other_keys_are_not_read() {
    servers::need!(Etcd3_4);
    let etcd = Etcd::start(EtcdVersion::V3_4);
    incident().moment().load_into(&etcd);
    let policy = vec![b'x'; 500_000];
    for kind in ["globalnetworkpolicies", "profiles", "felixconfigurations", "ipamhandles"] {
        let key = |i: usize| format!("/calico/resources/v3/projectcalico.org/{kind}/p{i}").into_bytes();
        for i in 0..25 {
            etcd.put(key(i), policy.clone());
        }
    }
    let (proxy, endpoint) = etcd.behind_proxy();
    finds_the_incident(&audit(&["--etcd-endpoints", &endpoint], true, &[]));
    assert!(proxy.bytes_to_client() < 500_000, "{} bytes were read", proxy.bytes_to_client());
}

/// With exactly the rights of the manifests everything is read; with each of them missing, that input is forbidden,
/// its checks are skipped and named, and the exit code is 3.
#[test]
fn exactly_the_rights_of_the_manifests_and_each_of_them_missing() {
    servers::need!(Etcd3_7, ApiServer);
    let etcd = Etcd::start(EtcdVersion::V3_7);
    let case = incident();
    case.moment().load_into(&etcd);
    let api = ApiServer::start();
    api.load_objects(&case.moment().cluster);
    let endpoint = etcd.endpoint();
    let kubeconfig = text(&api.kubeconfig(IPAUDIT));
    let args = ["--etcd-endpoints", endpoint.as_str(), "--kubeconfig", &kubeconfig];

    api.grant(&RIGHTS);
    let all = audit(&args, false, &[]);
    finds_the_incident(&all);
    let expected: BTreeSet<_> = case.moment().expect.iter().map(|e| (e.code.as_str(), e.subject.as_str())).collect();
    let document = json(&all);
    let found: BTreeSet<_> = document["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| (f["code"].as_str().unwrap(), f["subject"]["id"].as_str().unwrap()))
        .collect();
    assert_eq!(found, expected);

    for missing in RIGHTS {
        let rest: Vec<&str> = RIGHTS.into_iter().filter(|r| *r != missing).collect();
        api.grant(&rest);
        let output = audit(&args, false, &[]);
        let document = json(&output);
        assert_eq!(state(&document, missing), "forbidden", "{document}");
        let skipped = document["skipped"].as_array().unwrap();
        match missing {
            // Optional: the cluster's UID comes from service default/kubernetes then.
            "namespaces" => assert!(document["cluster"]["kubernetes_uid"].is_string(), "{document}"),
            _ => assert!(skipped.iter().any(|s| s["reason"].as_str().unwrap().contains(missing)), "{document}"),
        }
        assert_eq!(output.status.code(), Some(3), "{missing}: {}", stderr(&output));
        if missing == "pods" {
            let named: BTreeSet<_> = codes(&document).into_iter().map(str::to_owned).collect();
            assert!(!named.contains("IPA110") && !named.contains("IPA501"), "{named:?}");
        }
    }
}

#[test]
fn an_api_server_that_is_gone_is_unreachable_and_accuses_nobody() {
    servers::need!(Etcd3_7, ApiServer);
    let etcd = Etcd::start(EtcdVersion::V3_7);
    incident().moment().load_into(&etcd);
    let api = ApiServer::shared();
    let gone = format!("https://127.0.0.1:{}", servers::free_port());
    let kubeconfig = text(&api.kubeconfig_at(&gone, IPAUDIT));
    let output =
        audit(&["--etcd-endpoints", &etcd.endpoint(), "--kubeconfig", &kubeconfig, "--kube-timeout", "2s"], false, &[]);
    let document = json(&output);
    assert_eq!((output.status.code(), state(&document, "pods")), (Some(3), "unreachable"));
    assert!(codes(&document).is_disjoint(&BTreeSet::from(["IPA110", "IPA501", "IPA505"])), "{document}");
}

#[test]
fn wrong_usage_exits_with_2_and_says_what_to_do() {
    for (args, says) in [
        (&["audit", "--fail-on", "sometimes"][..], "never"),
        (&["audit", "--now", "yesterday"], "2026-11-24T03:04:11Z"),
        (&["audit", "--code", "IPA999"], "no check has this code or name"),
        (&["audit", "--code", "IPA101,leaked-adress"], "did you mean leaked-address?"),
        (&["release", "--code", "IPA999", "--older-than", "1h"], "no check has this code or name"),
        (&["audit", "--etcd-concurrency", "99"], "16"),
        (&["audit", "--config", "/nonexistent/calicoctl.cfg"], "/nonexistent/calicoctl.cfg"),
        (
            &["audit", "--etcd-endpoints", "http://127.0.0.1:1", "--kubeconfig", "/nonexistent/kube"],
            "/nonexistent/kube",
        ),
        (&["audit", "--etcd-endpoints", "http://127.0.0.1:1", "--kube-objects", "/nonexistent/pods.json"], "pods.json"),
        (&["explain", "IPA999"], "no check has this code or name"),
        (&["explain", ""], "cannot explain \"\": no check"),
        (&["nonsense"], "nonsense"),
    ] {
        let output = ipaudit().args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {output:?}");
        assert!(stderr(&output).contains(says), "{args:?}: {}", stderr(&output));
        assert!(output.stdout.is_empty());
    }
}

/// A variable that is set is not absent, whatever its bytes are.
#[test]
fn a_variable_that_is_no_utf8_is_told() {
    use std::os::unix::ffi::OsStrExt;
    let odd = std::ffi::OsStr::from_bytes(b"hunter2\xff");
    for name in ["ETCD_ENDPOINTS", "ETCD_PASSWORD", "ETCD_CA_CERT_FILE", "IPAUDIT_ETCD_PASSWORD", "DATASTORE_TYPE"] {
        let mut ipaudit = ipaudit();
        let output = ipaudit.args(["audit", "--kube-objects", "/dev/null"]).env("ETCD_ENDPOINTS", "http://127.0.0.1:1");
        let output = output.env("ETCD_USERNAME", "me").env(name, odd).output().unwrap();
        let says = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{name}: {says}");
        assert!(says.contains(&format!("cannot use {name}: it is no UTF-8")), "{name}: {says}");
        assert!(!says.contains("hunter2") && output.stdout.is_empty(), "{name}: {says}");
    }
}

/// Both exit alike; what is to be mended, the command line or something else, is told apart.
#[test]
fn usage_is_told_apart_from_failure() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("history.db").display().to_string();
    for (args, command) in [
        (&["report", "--since", "2026-11-25T00:00:00Z", "--until", "2026-11-24T00:00:00Z"][..], Some("report")),
        (&["explain", "IPA999"], Some("explain")),
        (&["release"], Some("release")),
        (&["report"], None),
        (&["history", "check"], None),
        (&["audit", "--no-history", "--etcd-endpoints", "http://127.0.0.1:1", "--etcd-cert", "/nonexistent"], None),
        (&["audit", "--no-history", "--settings", "/nonexistent/settings.toml"], None),
    ] {
        let mut ipaudit = ipaudit();
        let output = ipaudit.args(args).env("IPAUDIT_DB", &absent).env_remove("IPAUDIT_NO_HISTORY").output().unwrap();
        let says = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {says}");
        let usage = says.lines().find_map(|line| line.strip_prefix("  usage: see ipaudit "));
        assert_eq!(usage, command.map(|name| format!("{name} --help")).as_deref(), "{args:?}: {says}");
        assert!(!says.contains("a fault of ipaudit itself"), "{args:?}: {says}");
    }
}

#[test]
fn help_version_and_explain_go_to_standard_output() {
    for (args, says) in [
        (&["--version"][..], "ipaudit 0."),
        (&["--help"], "Exit codes"),
        (&["audit", "--help"], "--etcd-endpoints"),
        (&["explain"], "IPA101"),
        (&["explain", "IPA101"], "duplicate-pod-address"),
    ] {
        let output = ipaudit().args(args).env("ETCD_PASSWORD", "very-secret").output().unwrap();
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(0), "{args:?}: {output:?}");
        assert!(out.contains(says) && !out.contains("very-secret") && !out.contains('\x1b'), "{args:?}: {out}");
    }
}

#[test]
fn colours_follow_the_flag_and_no_color() {
    servers::need!(Etcd3_7);
    let etcd = Etcd::start(EtcdVersion::V3_7);
    incident().moment().load_into(&etcd);
    let run = |color: &str, no_color: &str| {
        let case = incident();
        let mut command = ipaudit();
        command.args(["audit", "--settle", "0", "--color", color, "--etcd-endpoints", &etcd.endpoint()]);
        command.arg("--kube-objects").arg(&case.moment().cluster_file).env("NO_COLOR", no_color);
        command.output().unwrap().stdout.contains(&b'\x1b')
    };
    assert!(run("always", "1") && !run("auto", "") && !run("never", ""));
}
