//! The harness of `tests/servers/` against itself: every server starts, obeys
//! and stops, and the proxy loses exactly what it is told to lose. When another
//! test fails strangely, this one says whether the servers are to blame.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod servers;

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use servers::etcd_users::{NOBODY, READER, WRITER};
use servers::http2::{RANGE, Request, TXN};
use servers::kube_users::{ALICE, IPAUDIT};
use servers::proxy::Then;
use servers::{ApiServer, Case, Etcd, EtcdVersion, block_on, need};

use etcd_client::{Client, ConnectOptions, Txn, TxnOp};

fn connect(endpoint: &str, options: ConnectOptions) -> Client {
    let options = options.with_connect_timeout(Duration::from_secs(5)).with_timeout(Duration::from_secs(5));
    block_on(Client::connect([endpoint], Some(options))).expect("a client")
}

fn stores_and_survives(version: EtcdVersion) {
    let etcd = Etcd::builder(version).snapshot_count(1000).start();
    let first = etcd.put("/calico/a", "1");
    etcd.put("/calico/a", "2");
    let stored = etcd.get("/calico/a").expect("the key");
    assert_eq!(stored.value, b"2");
    assert_eq!(stored.create_revision, first);
    assert_eq!(stored.mod_revision, first + 1);
    assert_eq!(stored.version, 2);

    let many = (0..250).map(|i| (format!("/calico/many/{i:03}").into(), vec![0xff, i as u8]));
    etcd.put_many(many.collect());
    assert_eq!(etcd.list("/calico/many/").len(), 250);
    assert_eq!(etcd.revision(), first + 4, "three transactions");
    assert!(etcd.delete("/calico/a"));
    assert!(!etcd.delete("/calico/a"));

    etcd.restart();
    assert_eq!(etcd.list("/calico/").len(), 250);
    etcd.kill();
    etcd.start_again();
    assert_eq!(etcd.list("/calico/").len(), 250);
    assert_eq!(etcd.delete_prefix("/calico/"), 250);

    let old = etcd.revision();
    etcd.put("/calico/b", "3");
    etcd.compact(etcd.revision());
    let options = etcd_client::GetOptions::new().with_revision(old);
    let refused = block_on(etcd.client().get("/calico/b", Some(options))).unwrap_err();
    assert!(refused.to_string().contains("compacted"), "{refused}");
}

#[test]
fn etcd_3_4_stores_and_survives() {
    need!(Etcd3_4);
    stores_and_survives(EtcdVersion::V3_4);
}

#[test]
fn etcd_3_7_stores_and_survives() {
    need!(Etcd3_7);
    stores_and_survives(EtcdVersion::V3_7);
}

fn goes_back_to_a_snapshot(version: EtcdVersion) {
    let etcd = Etcd::start(version);
    etcd.put("/calico/a", "before");
    let saved_at = etcd.revision();
    let (file, cluster) = (etcd.snapshot_save(), etcd.cluster_id());
    for _ in 0..5 {
        etcd.put("/calico/a", "after");
    }
    let other = Etcd::builder(version).restored_from(&file).start();
    assert_eq!(other.get("/calico/a").expect("the key").value, b"before");
    assert_ne!(other.cluster_id(), cluster);

    etcd.restore(&file);
    assert_eq!(etcd.get("/calico/a").expect("the key").value, b"before");
    assert_eq!(etcd.revision(), saved_at);
}

#[test]
fn etcd_3_4_goes_back_to_a_snapshot() {
    need!(Etcd3_4);
    goes_back_to_a_snapshot(EtcdVersion::V3_4);
}

#[test]
fn etcd_3_7_goes_back_to_a_snapshot() {
    need!(Etcd3_7);
    goes_back_to_a_snapshot(EtcdVersion::V3_7);
}

fn demands_certificates_and_passwords(version: EtcdVersion) {
    let etcd = Etcd::builder(version).tls().auth().start();
    etcd.put("/calico/a", "1");
    etcd.put("/registry/b", "2");
    etcd.restart();
    assert_eq!(etcd.get("/calico/a").expect("the key").value, b"1");

    let tls = |ca: &Path, identity: &servers::tls::Identity| {
        let ca = std::fs::read_to_string(ca).expect("the CA");
        etcd_client::TlsOptions::new()
            .ca_certificate(etcd_client::Certificate::from_pem(ca))
            .identity(etcd_client::Identity::from_pem(identity.cert_pem(), identity.key_pem()))
    };
    let ours = etcd.tls();
    let user = |user: servers::etcd_users::User| {
        let options = ConnectOptions::new().with_tls(tls(&ours.ca, &ours.client)).with_user(user.name, user.password);
        connect(&etcd.endpoint(), options)
    };
    let reads = |mut client: Client, key: &str| block_on(client.get(key, None));
    let denied = |result: Result<_, etcd_client::Error>| {
        let why = result.map(|_: etcd_client::GetResponse| ()).unwrap_err();
        assert!(why.to_string().contains("permission denied"), "{why}");
    };
    assert_eq!(reads(user(READER), "/calico/a").unwrap().kvs().len(), 1);
    denied(reads(user(READER), "/registry/b"));
    denied(reads(user(NOBODY), "/calico/a"));
    block_on(user(READER).put("/calico/a", "x", None)).expect_err("a reader may not write");
    block_on(user(WRITER).put("/calico/a", "x", None)).expect("a writer may");

    // Certificates of the other CA, on either side.
    for (ca, identity) in [(&ours.other_ca, &ours.client), (&ours.ca, &ours.other_client)] {
        let client = connect(&etcd.endpoint(), ConnectOptions::new().with_tls(tls(ca, identity)));
        reads(client, "/calico/a").expect_err("a stranger");
    }
}

#[test]
fn etcd_3_4_demands_certificates_and_passwords() {
    need!(Etcd3_4);
    demands_certificates_and_passwords(EtcdVersion::V3_4);
}

#[test]
fn etcd_3_7_demands_certificates_and_passwords() {
    need!(Etcd3_7);
    demands_certificates_and_passwords(EtcdVersion::V3_7);
}

#[test]
fn a_frozen_etcd_does_not_answer() {
    need!(Etcd3_7);
    let etcd = Etcd::start(EtcdVersion::V3_7);
    etcd.put("a", "1");
    let short = ConnectOptions::new().with_timeout(Duration::from_millis(300));
    let mut client = block_on(Client::connect([etcd.endpoint()], Some(short))).unwrap();
    block_on(client.get("a", None)).expect("it answers");
    etcd.freeze();
    block_on(client.get("a", None)).expect_err("it is frozen");
    etcd.thaw();
    assert_eq!(etcd.get("a").expect("the key").value, b"1");
}

#[test]
fn a_dropped_etcd_is_gone() {
    need!(Etcd3_7);
    let etcd = Etcd::start(EtcdVersion::V3_7);
    let (pid, address) = (etcd.pid(), etcd.address());
    etcd.freeze();
    drop(etcd);
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    std::net::TcpStream::connect(address).expect_err("nothing listens");
}

#[test]
fn a_server_outlives_the_thread_that_started_it() {
    need!(Etcd3_7);
    let etcd = std::thread::spawn(|| Etcd::start(EtcdVersion::V3_7));
    let etcd = etcd.join().expect("a started etcd");
    etcd.put("a", "1");
}

#[test]
fn the_proxy_counts_cuts_refuses_and_stalls() {
    need!(Etcd3_7);
    let etcd = Etcd::start(EtcdVersion::V3_7);
    let (proxy, endpoint) = etcd.behind_proxy();
    let mut client = connect(&endpoint, ConnectOptions::new());
    block_on(client.put("a", vec![7; 100_000], None)).expect("put");
    assert!(proxy.bytes_to_server() > 100_000);
    assert!(proxy.bytes_to_client() < 10_000);
    block_on(client.get("a", None)).expect("get");
    assert!(proxy.bytes_to_client() > 100_000);
    assert_eq!(proxy.connections(), 1);

    proxy.cut();
    servers::eventually("it reconnects", Duration::from_secs(10), || block_on(client.get("a", None)).is_ok());
    assert_eq!(proxy.connections(), 2);

    proxy.refuse();
    proxy.cut();
    let refused = std::net::TcpStream::connect(proxy.address()).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    proxy.open();
    servers::eventually("it reconnects", Duration::from_secs(10), || block_on(client.get("a", None)).is_ok());

    proxy.delay(Duration::from_millis(200));
    let start = Instant::now();
    block_on(client.get("b", None)).expect("a slow answer");
    assert!(start.elapsed() >= Duration::from_millis(200));
    proxy.delay(Duration::ZERO);

    proxy.blackhole();
    let short = ConnectOptions::new().with_timeout(Duration::from_millis(300));
    let mut lost = block_on(Client::connect([&endpoint], Some(short))).unwrap();
    block_on(lost.get("a", None)).expect_err("nothing moves");
    proxy.open();
    servers::eventually("it moves again", Duration::from_secs(10), || block_on(lost.get("a", None)).is_ok());
}

#[test]
fn the_proxy_loses_one_answer_or_one_request() {
    need!(Etcd3_7);
    let etcd = Etcd::start(EtcdVersion::V3_7);
    let txn = |key: &str| Txn::new().and_then([TxnOp::put(key, "v", None)]);

    // Set before the connection exists: its handshake and the reads before the
    // transaction must not spring the trap.
    let (proxy, endpoint) = etcd.behind_proxy();
    proxy.lose_answer(TXN, Then::Refuse);
    let mut client = connect(&endpoint, ConnectOptions::new());
    block_on(client.get("a", None)).expect("a read passes");
    block_on(client.put("b", "1", None)).expect("a put passes");
    assert_eq!(proxy.sprung(), 0);
    block_on(client.txn(txn("a"))).expect_err("the answer is lost");
    assert_eq!(proxy.sprung(), 1);
    assert!(etcd.get("a").is_some(), "but it happened");
    std::net::TcpStream::connect(proxy.address()).expect_err("refused");

    let (proxy, endpoint) = etcd.behind_proxy();
    proxy.lose_request(TXN, Then::Reconnect);
    let mut client = connect(&endpoint, ConnectOptions::new());
    block_on(client.get("a", None)).expect("a read passes");
    block_on(client.txn(txn("c"))).expect_err("the request is lost");
    assert!(etcd.get("c").is_none(), "it did not happen");
    servers::eventually("it reconnects", Duration::from_secs(10), || block_on(client.get("a", None)).is_ok());

    for request in [Request::Containing(b"needle".to_vec()), Request::Any, RANGE] {
        proxy.lose_answer(request, Then::Reconnect);
        block_on(client.get("a needle", None)).expect_err("the answer is lost");
        servers::eventually("it reconnects", Duration::from_secs(10), || block_on(client.get("a", None)).is_ok());
    }
    assert_eq!(proxy.sprung(), 4);
}

#[test]
fn a_golden_case_loads_into_both_etcds() {
    need!(Etcd3_4, Etcd3_7);
    let case = Case::load("incident-2017");
    let moment = case.moment();
    assert!(!moment.expect.is_empty());
    for version in [EtcdVersion::V3_4, EtcdVersion::V3_7] {
        let etcd = Etcd::start(version);
        etcd.put("/calico/left-over", "x");
        case.load_into(&etcd);
        assert_eq!(etcd.list("/calico/"), moment.keys);
    }
}

fn names(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().expect("a list");
    let name = |item: &Value| item["metadata"]["name"].as_str().expect("a name").to_owned();
    let mut names: Vec<String> = items.iter().map(name).collect();
    names.sort();
    names
}

fn of_kind<'a>(list: &'a Value, kind: &str) -> Vec<&'a Value> {
    let items = list["items"].as_array().expect("a list");
    items.iter().filter(|item| item["kind"] == kind).collect()
}

#[test]
fn the_api_server_holds_golden_clusters() {
    need!(ApiServer);
    let api = ApiServer::start();
    for name in Case::names() {
        for moment in Case::load(&name).moments {
            let refused = holds(&api, &moment.cluster);
            match name.as_str() {
                // A pod with three addresses: no API server of today stores that.
                "handle-damage" => assert_eq!(refused.len(), 1, "{refused:?}"),
                _ => assert!(refused.is_empty(), "{name}: {refused:?}"),
            }
        }
    }
}

fn holds(api: &ApiServer, cluster: &Value) -> Vec<String> {
    let loaded = api.load_acceptable_objects(cluster);
    let items = cluster["items"].as_array().unwrap();
    assert_eq!(loaded.uids.len(), items.len());
    for (kind, plural) in [("Pod", "pods"), ("Node", "nodes"), ("Service", "services")] {
        let list = api.admin_get(&format!("/api/v1/{plural}"));
        let wanted = json!({ "items": of_kind(cluster, kind) });
        assert_eq!(names(&list), names(&wanted));
        for object in of_kind(cluster, kind) {
            let name = object["metadata"]["name"].as_str().unwrap();
            let marker = format!("/{name}: ");
            if !loaded.refused.iter().any(|line| line.contains(&marker)) {
                same_status(&list, object, &loaded.uids);
            }
        }
    }
    api.clear_objects();
    assert!(names(&api.admin_get("/api/v1/pods")).is_empty());
    loaded.refused
}

fn same_status(list: &Value, object: &Value, uids: &std::collections::HashMap<String, String>) {
    if object["metadata"]["namespace"] == "default" && object["metadata"]["name"] == "kubernetes" {
        return;
    }
    let uid = &uids[object["metadata"]["uid"].as_str().unwrap()];
    let items = list["items"].as_array().unwrap();
    let found = items.iter().find(|i| i["metadata"]["uid"] == *uid).unwrap();
    for field in ["podIP", "podIPs", "phase", "addresses"] {
        assert_eq!(found["status"][field], object["status"][field], "{object}");
    }
    let container = |o: &Value| o["status"]["containerStatuses"][0]["containerID"].clone();
    assert_eq!(container(found), container(object), "{object}");
    let balancer = |o: &Value| -> Vec<String> {
        let ingress = o["status"]["loadBalancer"]["ingress"].as_array();
        let ingress = ingress.cloned().unwrap_or_default();
        ingress.iter().map(|i| i["ip"].to_string()).collect()
    };
    assert_eq!(balancer(found), balancer(object), "{object}");
    assert_eq!(found["spec"]["nodeName"], object["spec"]["nodeName"]);
    assert_eq!(
        found["metadata"]["deletionTimestamp"].is_null(),
        object["metadata"]["deletionTimestamp"].is_null(),
        "{object}"
    );
}

#[test]
fn the_service_account_sees_what_it_was_granted() {
    need!(ApiServer);
    let api = ApiServer::shared();
    api.ensure_namespace("rights");
    api.create_pod(&json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "one", "namespace": "rights" },
        "spec": { "nodeName": "n", "containers": [{ "name": "c", "image": "i" }] },
        "status": { "phase": "Running", "podIP": "10.65.0.1", "podIPs": [{ "ip": "10.65.0.1" }] },
    }));
    let path = "/api/v1/namespaces/rights/pods";
    let list = |token: &str, path: &str| api.request(token, "GET", path, &Value::Null);
    let (status, answer) = list(IPAUDIT, path);
    assert_eq!(status, 403);
    let message = answer["message"].as_str().expect("a message");
    let user = r#"User "system:serviceaccount:ipaudit:ipaudit" cannot list resource "pods""#;
    assert!(message.contains(user), "{message}");

    api.grant(&["pods", "nodes"]);
    let (status, answer) = list(IPAUDIT, path);
    assert_eq!((status, names(&answer)), (200, vec!["one".to_owned()]));
    assert_eq!(list(IPAUDIT, "/api/v1/nodes").0, 200);
    assert_eq!(list(IPAUDIT, "/api/v1/services").0, 403);
    assert_eq!(list(ALICE, path).0, 403);
    assert_eq!(list("no-such-token", path).0, 401);

    api.grant(&["nodes"]);
    assert_eq!(list(IPAUDIT, path).0, 403);
    assert_eq!(list(IPAUDIT, "/api/v1/nodes").0, 200);
}

#[test]
fn the_proxy_carries_tls_to_the_api_server() {
    need!(ApiServer);
    let api = ApiServer::shared();
    let (proxy, url) = api.behind_proxy();
    let file = api.kubeconfig_at(&url, servers::kube_users::ADMIN);
    let client = block_on(async {
        let file = kube::config::Kubeconfig::read_from(file).expect("a kubeconfig");
        let config = kube::Config::from_custom_kubeconfig(file, &Default::default()).await;
        kube::Client::try_from(config.expect("a configuration")).expect("a client")
    });
    let get = |path: &str| {
        let request = http::Request::get(path).body(Vec::new()).expect("a request");
        block_on(client.request_text(request))
    };
    get("/api/v1/namespaces").expect("an answer");
    assert!(proxy.bytes_to_client() > 500);
    // What it carries is opaque: a trap for one gRPC method never springs.
    proxy.lose_answer(TXN, Then::Reconnect);
    get("/api/v1/namespaces").expect("an answer");
    proxy.lose_answer(Request::Any, Then::Refuse);
    // The client may have a second connection under way, whose handshake is as opaque as a request.
    servers::eventually("an answer is lost", Duration::from_secs(30), || get("/api/v1/namespaces").is_err());
    assert_eq!(proxy.sprung(), 1);
}
