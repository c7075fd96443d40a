//! Who may talk to etcd, how, and what is said to those who may not.

use ipaudit::connect::choose::load;
use ipaudit::connect::settings::{EtcdFlags, EtcdSettings, Secret, Source};
use ipaudit::source::etcd::ReadError;

use super::dns::Dns;
use super::*;
use crate::servers::command::{ipaudit, stderr};
use crate::servers::etcd_users::{NOBODY, READER};
use crate::servers::{Etcd, EtcdVersion};

both! {
    speaks_tls_with_a_client_certificate
    says_what_is_wrong_with_tls
    without_a_ca_those_of_this_machine_are_believed
    logs_in_with_user_and_password
    says_what_is_wrong_with_the_login
    a_user_is_harmless_where_authentication_is_off
    endpoints_are_discovered_by_dns
    calicoctls_file_with_inline_certificates_is_enough
}

fn speaks_tls_with_a_client_certificate(version: EtcdVersion) {
    let etcd = Etcd::builder(version).tls().start();
    fill(&etcd, 100, 100);
    let mut sink = Kept::new();
    read_all(&with_tls(&etcd), &mut sink).unwrap();
    assert!(sink.world == expected(&etcd));
    // Inline, and without a scheme: certificates mean https.
    let tls = etcd.tls();
    let inline = |pem: String| Some(Source::Inline(Secret::new(pem)));
    let inline = EtcdSettings {
        ca_cert: inline(tls.ca_pem()),
        cert: inline(tls.client.cert_pem()),
        key: inline(tls.client.key_pem()),
        ..EtcdSettings::new([etcd.address()])
    };
    let read = read_all(&inline, &mut Kept::new()).unwrap();
    assert_eq!(read.facts.endpoints, [etcd.endpoint()]);
}

fn says_what_is_wrong_with_tls(version: EtcdVersion) {
    let etcd = Etcd::builder(version).tls().start();
    let tls = etcd.tls();
    let right = with_tls(&etcd);
    let file = |path: &std::path::Path| Some(Source::File(path.to_owned()));
    let told = |settings: EtcdSettings, wanted: &[&str]| {
        let text = refusal(&settings);
        eprintln!("{text}");
        for part in wanted {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
    };
    told(EtcdSettings { ca_cert: file(&tls.other_ca), ..right.clone() }, &["UnknownIssuer", "--etcd-ca-cert"]);
    told(EtcdSettings { ca_cert: None, ..right.clone() }, &["UnknownIssuer", "--etcd-ca-cert"]);
    told(EtcdSettings { cert: None, key: None, ..right.clone() }, &["client certificate", "--etcd-cert"]);
    let other = EtcdSettings { cert: file(&tls.other_client.cert), key: file(&tls.other_client.key), ..right.clone() };
    told(other, &["client certificate", "--etcd-cert"]);
    let mixed = EtcdSettings { cert: file(&tls.other_client.cert), ..right.clone() };
    told(mixed, &["not a pair", "--etcd-key"]);
    told(EtcdSettings { cert: file(&tls.client.key), ..right.clone() }, &["holds no certificate"]);
    told(
        EtcdSettings { key: file(&tls.ca.with_file_name("nothing.pem")), ..right.clone() },
        &["No such file", "nothing.pem"],
    );
    let plain = right.endpoints[0].replace("https", "http");
    told(EtcdSettings { endpoints: vec![plain], ..right.clone() }, &["perhaps it speaks TLS"]);
    let insecure = Etcd::start(version);
    let secure = insecure.endpoint().replace("http", "https");
    told(EtcdSettings { endpoints: vec![secure], ..right }, &["does not speak TLS"]);
}

fn without_a_ca_those_of_this_machine_are_believed(version: EtcdVersion) {
    let etcd = Etcd::builder(version).tls().start();
    let tls = etcd.tls();
    let folder = tempfile::tempdir().unwrap();
    let told = |variable: &str, path: &std::path::Path| {
        let mut command = ipaudit();
        command.args(["audit", "--settle", "0", "--etcd-endpoints", &etcd.endpoint(), "--etcd-timeout", "20s"]);
        command.arg("--etcd-cert").arg(&tls.client.cert).arg("--etcd-key").arg(&tls.client.key);
        let output = command.env(variable, path).output().unwrap();
        format!("{} {}", String::from_utf8_lossy(&output.stdout), stderr(&output))
    };
    let none = told("SSL_CERT_DIR", folder.path());
    assert!(none.contains("this machine has no CA certificates"), "{none}");
    let missing = told("SSL_CERT_FILE", &folder.path().join("missing"));
    assert!(missing.contains("this machine has no CA certificates"), "{missing}");
    let other = told("SSL_CERT_FILE", &tls.other_ca);
    assert!(other.contains("is not signed by the CA we have"), "{other}");
    // Set and empty is unset: this machine's own, if it has any.
    let has_none = |told: &str| told.contains("this machine has no CA certificates");
    let own = told("COLUMNS", std::path::Path::new("100"));
    for variable in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
        let empty = told(variable, std::path::Path::new(""));
        assert_eq!(has_none(&empty), has_none(&own), "{variable}: {empty}");
    }
    std::fs::copy(&tls.ca, folder.path().join("ca.pem")).unwrap();
    for (variable, path) in [("SSL_CERT_FILE", tls.ca.as_path()), ("SSL_CERT_DIR", folder.path())] {
        let right = told(variable, path);
        assert!(!right.contains("UnknownIssuer") && !right.contains("connect to etcd"), "{right}");
    }
}

fn logs_in_with_user_and_password(version: EtcdVersion) {
    let etcd = Etcd::builder(version).auth().start();
    fill(&etcd, 100, 100);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, format!("{}\n", READER.password)).unwrap();
    let from_file = EtcdSettings { password: Some(Source::File(file)), ..as_user(&etcd, READER.name, "") };
    for settings in [as_user(&etcd, READER.name, READER.password), from_file] {
        let mut sink = Kept::new();
        let read = read_all(&settings, &mut sink).unwrap();
        assert!(all_complete(&read) && sink.world == expected(&etcd));
    }
}

fn says_what_is_wrong_with_the_login(version: EtcdVersion) {
    let etcd = Etcd::builder(version).auth().start();
    let text = refusal(&settings(&etcd));
    assert!(text.contains("user name is empty") && text.contains("--etcd-username"), "{text}");
    for (name, password) in [(READER.name, "hunter2"), ("stranger", "hunter2")] {
        let text = refusal(&as_user(&etcd, name, password));
        assert!(text.contains("authentication failed") && text.contains("password is wrong"), "{text}");
        assert!(text.contains(&etcd.endpoint()) && !text.contains("hunter2"), "{text}");
    }
    let error = read_all(&as_user(&etcd, NOBODY.name, NOBODY.password), &mut Kept::new()).unwrap_err();
    assert!(matches!(error, ReadError::Forbidden(_)), "{error:?}");
    let text = refusal(&as_user(&etcd, NOBODY.name, NOBODY.password));
    assert!(text.contains("permission denied") && text.contains("needs read on the prefix /calico/"), "{text}");
}

fn a_user_is_harmless_where_authentication_is_off(version: EtcdVersion) {
    let etcd = Etcd::start(version);
    fill(&etcd, 10, 10);
    assert!(all_complete(&read_all(&as_user(&etcd, "calico", "anything"), &mut Kept::new()).unwrap()));
}

fn endpoints_are_discovered_by_dns(version: EtcdVersion) {
    let (plain, secure) = (Etcd::start(version), Etcd::builder(version).tls().start());
    fill(&plain, 10, 10);
    fill(&secure, 20, 20);
    let port = |etcd: &Etcd| etcd.address().rsplit_once(':').unwrap().1.parse::<u16>().unwrap();
    let dead = Dead::new();
    let dead_port: u16 = dead.endpoint.rsplit_once(':').unwrap().1.parse().unwrap();
    let dns = Dns::start(vec![
        ("_etcd-client._tcp.plain.example", vec![(20, 1, port(&plain), "localhost"), (10, 1, dead_port, "localhost")]),
        ("_etcd-client-ssl._tcp.both.example", vec![(10, 1, port(&secure), "localhost")]),
        ("_etcd-client._tcp.both.example", vec![(1, 1, port(&plain), "localhost")]),
    ]);
    let discover = |domain: &str, settings: EtcdSettings| EtcdSettings {
        endpoints: Vec::new(),
        discovery_srv: Some(domain.to_owned()),
        dns_server: Some(dns.address),
        ..settings
    };
    let mut sink = Kept::new();
    let read = read_all(&discover("plain.example", settings(&plain)), &mut sink).unwrap();
    let url = |scheme: &str, port: u16| format!("{scheme}://localhost:{port}");
    assert_eq!(read.facts.endpoints, [url("http", dead_port), url("http", port(&plain))]);
    assert!(sink.world == expected(&plain));
    // TLS goes first, and its certificate is checked for the name that DNS gave.
    let mut sink = Kept::new();
    let read = read_all(&discover("both.example", with_tls(&secure)), &mut sink).unwrap();
    assert_eq!(read.facts.endpoints, [url("https", port(&secure)), url("http", port(&plain))]);
    assert!(sink.world == expected(&secure));
    let text = refusal(&discover("nowhere.example", settings(&plain)));
    assert!(text.contains("_etcd-client-ssl._tcp.nowhere.example") && text.contains("--etcd-discovery-srv"), "{text}");
}

fn calicoctls_file_with_inline_certificates_is_enough(version: EtcdVersion) {
    let etcd = Etcd::builder(version).tls().start();
    fill(&etcd, 10, 10);
    let tls = etcd.tls();
    let block = |pem: String| pem.lines().map(|line| format!("    {line}\n")).collect::<String>();
    let text = format!(
        "apiVersion: projectcalico.org/v3\nkind: CalicoAPIConfig\nmetadata:\nspec:\n  datastoreType: etcdv3\n  \
         etcdEndpoints: {}\n  etcdCACert: |\n{}  etcdCert: |\n{}  etcdKey: |\n{}",
        etcd.endpoint(),
        block(tls.ca_pem()),
        block(tls.client.cert_pem()),
        block(tls.client.key_pem()),
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("calicoctl.cfg");
    std::fs::write(&path, text).unwrap();
    let flags = EtcdFlags { config: Some(path.display().to_string()), ..EtcdFlags::default() };
    let settings = load(&flags, &|_| None).unwrap();
    let mut sink = Kept::new();
    read_all(&settings, &mut sink).unwrap();
    assert!(sink.world == expected(&etcd));
    // The environment's files beat the file's texts, one by one.
    let ca = tls.other_ca.display().to_string();
    let settings = load(&flags, &|name| (name == "ETCD_CA_CERT_FILE").then(|| ca.clone().into())).unwrap();
    assert!(refusal(&settings).contains("UnknownIssuer"));
}

#[test]
fn a_name_that_does_not_resolve_is_said() {
    // No name at all, so that no DNS server is asked.
    let text = refusal(&EtcdSettings::new(["http://no..such..name:2379"]));
    assert!(text.contains("does not resolve") && text.contains("http://no..such..name:2379"), "{text}");
}
