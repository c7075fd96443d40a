//! `ipaudit who` as its users run it: the binary, real etcd, golden datastores.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "who/block.rs"]
mod block;
#[path = "who/deleted.rs"]
mod deleted;
#[path = "who/holders.rs"]
mod holders;
#[path = "who/offline.rs"]
mod offline;
mod servers;
#[path = "who/words.rs"]
mod words;

use std::path::Path;
use std::process::Output;

use ipaudit::checks::{self, World};
use ipaudit::decode::{self, Kv};
use ipaudit::history::{Db, Journal, PATIENCE};
use ipaudit::ledger::{Ledger, ScopeFlag};
use ipaudit::model::{Gathering, Input, InputState, Time};
use ipaudit::record;
use serde_json::Value;
use servers::Etcd;
use servers::command::{self, first, ipaudit, stderr, text};
use servers::golden::{Moment, loaded};

fn who(etcd: &Etcd, moment: &Moment, args: &[&str]) -> Output {
    command::at_moment("who", etcd, moment).env("IPAUDIT_SETTLE", "50ms").args(args).output().unwrap()
}

fn document(output: &Output) -> Value {
    command::document(output, "who")
}

#[test]
fn the_incident_is_answered_in_the_first_line() {
    servers::need!(Etcd3_7);
    let (etcd, moment) = loaded("incident-2017");
    let output = who(&etcd, &moment, &["192.168.91.33"]);
    let says = text(&output);
    assert_eq!(
        first(&output),
        "192.168.91.33 has 10 holders; 7 findings, the worst IPA101",
        "{says}{}",
        stderr(&output)
    );
    assert_eq!(output.status.code(), Some(1));
    for word in [
        "IPA101 duplicate-pod-address  192.168.91.33",
        "adqsdxadc/store-mysql-0",
        "kubectl -n bdadservicexadc delete pod adqsd-meeting-web-1739418049-g6qes grafana-1932004613-auazz\n",
        "calicoctl ipam show --ip=192.168.91.33",
        "ip neigh show 192.168.91.33",
    ] {
        assert!(says.contains(word), "{word:?} is missing:\n{says}");
    }
    let json = document(&who(&etcd, &moment, &["192.168.91.33", "-o", "json"]));
    assert_eq!(json["exit_code"], 1);
    let certain = json["addresses"][0]["holders"].as_array().unwrap().iter();
    let certain = certain.filter(|h| h["grade"] == "certain" && h["kind"] == "pod").count();
    assert_eq!((certain, json["endpoints"].as_array().unwrap().len()), (10, 11));
}

#[test]
fn an_interface_of_two_nodes_and_a_mac() {
    servers::need!(Etcd3_7);
    let (etcd, moment) = loaded("incident-2017");
    let output = who(&etcd, &moment, &["calia3201341d16", "-o", "json"]);
    let json = document(&output);
    assert_eq!(json["matches"], serde_json::json!([{"kind": "interface", "id": "calia3201341d16"}]));
    let nodes: Vec<&str> = json["endpoints"].as_array().unwrap().iter().map(|e| e["node"].as_str().unwrap()).collect();
    assert_eq!(nodes, ["slave-140", "slave-57"]);
    let codes: Vec<&str> = json["findings"].as_array().unwrap().iter().map(|f| f["code"].as_str().unwrap()).collect();
    assert!(codes.contains(&"IPA503") && codes.contains(&"IPA502"), "{codes:?}");
    let mac = json["endpoints"][0]["mac"].as_str().unwrap().to_uppercase();
    let by_mac = who(&etcd, &moment, &[&mac]);
    assert!(first(&by_mac).starts_with(&format!("MAC {} is on", mac.to_lowercase())), "{}", first(&by_mac));
}

#[test]
fn a_leak_by_address_pod_handle_and_node() {
    servers::need!(Etcd3_7);
    let (etcd, moment) = loaded("leaked-pods");
    let output = who(&etcd, &moment, &["10.65.247.4"]);
    assert_eq!(
        first(&output),
        "10.65.247.4 is allocated to data/queue-0, which does not exist: leaked; 2 findings, the worst IPA110"
    );
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(who(&etcd, &moment, &["10.65.247.4", "--fail-on", "never"]).status.code(), Some(0));

    let by_pod = document(&who(&etcd, &moment, &["data/queue-0", "-o", "json"]));
    let shown: Vec<&str> =
        by_pod["addresses"].as_array().unwrap().iter().map(|a| a["address"].as_str().unwrap()).collect();
    assert_eq!(shown, ["10.65.247.4"]);
    assert_eq!(by_pod["matches"][0], serde_json::json!({"kind": "pod", "id": "data/queue-0"}));
    assert!(by_pod["answer"].as_str().unwrap().starts_with("data/queue-0 does not exist"), "{}", by_pod["answer"]);
    assert_eq!(document(&who(&etcd, &moment, &["queue-0", "-o", "json"]))["matches"], by_pod["matches"]);

    let handle = by_pod["handles"][0]["id"].as_str().unwrap().to_owned();
    let by_handle = who(&etcd, &moment, &[&handle]);
    assert_eq!(
        first(&by_handle),
        format!("handle {handle} holds 1 address of data/queue-0; 2 findings, the worst IPA110")
    );
    let container = handle.rsplit_once('.').unwrap().1;
    assert_eq!(first(&who(&etcd, &moment, &[container])), first(&by_handle), "a container's id names its handle");

    let by_node = document(&who(&etcd, &moment, &["node-2", "-o", "json"]));
    assert_eq!(by_node["nodes"][0]["standing"], "ours");
    let about: Vec<&str> =
        by_node["findings"].as_array().unwrap().iter().map(|f| f["subject"]["id"].as_str().unwrap()).collect();
    assert!(about.contains(&"10.65.247.4") && !about.contains(&"10.65.84.132"), "{about:?}");
}

/// Every address that a case calls leaked or held twice is answered so, and none that it does not.
#[test]
fn what_a_case_expects_of_an_address_is_told_of_it() {
    servers::need!(Etcd3_7);
    for name in ["leaked-pods", "incident-2017", "crash-between-writes"] {
        let (etcd, moment) = loaded(name);
        let addresses: std::collections::BTreeSet<&str> = moment
            .expect
            .iter()
            .map(|e| e.subject.as_str())
            .filter(|s| s.parse::<std::net::IpAddr>().is_ok())
            .collect();
        for address in addresses {
            let document = document(&who(&etcd, &moment, &[address, "-o", "json"]));
            let found = document["findings"].as_array().unwrap().iter().filter(|f| f["subject"]["id"] == address);
            let mut found: Vec<&str> = found.map(|f| f["code"].as_str().unwrap()).collect();
            found.sort_unstable();
            let mut wanted: Vec<&str> =
                moment.expect.iter().filter(|e| e.subject == address).map(|e| e.code.as_str()).collect();
            wanted.sort_unstable();
            assert_eq!(found, wanted, "{name} {address}");
            let answer = document["answer"].as_str().unwrap();
            let leak = wanted.iter().any(|c| matches!(*c, "IPA110" | "IPA111" | "IPA112"));
            assert_eq!(answer.contains("leaked"), leak, "{name}: {answer}");
        }
    }
}

#[test]
fn free_addresses_say_when_they_are_handed_out() {
    servers::need!(Etcd3_7);
    let (etcd, moment) = loaded("clean-small");
    let block = moment.keys.iter().find(|(k, _)| String::from_utf8_lossy(k).contains("/ipv4/block/10.")).unwrap();
    let value: Value = serde_json::from_slice(&block.1).unwrap();
    let cidr: ipnet::Ipv4Net = value["cidr"].as_str().unwrap().parse().unwrap();
    let at = |place: usize| {
        let ordinal = u32::try_from(value["unallocated"][place].as_u64().unwrap()).unwrap();
        std::net::Ipv4Addr::from_bits(cidr.network().to_bits() + ordinal).to_string()
    };
    let output = who(&etcd, &moment, &[&at(3)]);
    assert_eq!(first(&output), format!("{} is free, next to be handed out after 3 more", at(3)));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(first(&who(&etcd, &moment, &[&at(0)])), format!("{} is free, the next to be handed out", at(0)));
    let outside = who(&etcd, &moment, &["203.0.113.9"]);
    assert_eq!(first(&outside), "203.0.113.9 is in no pool and no block: Calico does not hand it out");
}

#[test]
fn an_unknown_name_is_usage_and_what_was_not_read_is_incomplete() {
    servers::need!(Etcd3_7);
    let (etcd, moment) = loaded("clean-small");
    let output = who(&etcd, &moment, &["no-such-\u{1b}[31mthing"]);
    assert_eq!(first(&output), "nothing is called no-such-\\x1b[31mthing here");
    assert_eq!(output.status.code(), Some(2));
    let mut command = ipaudit();
    command.args(["who", "no-such-thing", "--etcd-endpoints", &etcd.endpoint()]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(3), "without Kubernetes nobody can say: {output:?}");
    assert!(text(&output).contains("NOT READ"));
    document(&who(&etcd, &moment, &["no-such-thing", "-o", "json"]));
}

#[test]
fn foreign_names_never_reach_the_terminal_raw() {
    servers::need!(Etcd3_7);
    let (etcd, moment) = loaded("clean-small");
    let (key, value) = moment.keys.iter().find(|(k, _)| k.starts_with(b"/calico/ipam/v2/handle/k8s-pod")).unwrap();
    let mut odd = key.clone();
    odd.extend_from_slice(b"\r\x1b[2Jgone");
    etcd.put(odd, value.clone());
    let handle = String::from_utf8(key["/calico/ipam/v2/handle/".len()..].to_vec()).unwrap();
    let output = who(&etcd, &moment, &[&handle]);
    let says = text(&output);
    assert!(!says.contains('\u{1b}') && !says.contains('\r'), "{says:?}");
    assert!(says.contains("IPA205"), "{says}");
    let json = String::from_utf8(who(&etcd, &moment, &[&handle, "-o", "json"]).stdout).unwrap();
    assert!(!json.contains('\u{1b}'), "{json}");
}

/// An address changes hands twice, then etcd forgets the beginning.
#[test]
fn deep_steps_back_until_compaction() {
    servers::need!(Etcd3_7);
    let (etcd, moment) = loaded("clean-small");
    let is_block = |k: &[u8]| String::from_utf8_lossy(k).contains("/ipv4/block/10.");
    let has_pod = |v: &[u8]| String::from_utf8_lossy(v).contains("\"pod\"");
    let (key, value) = moment.keys.iter().find(|(k, v)| is_block(k) && has_pod(v)).unwrap();
    let mut block: Value = serde_json::from_slice(value).unwrap();
    let allocations = block["allocations"].as_array().unwrap();
    let owner = |at: &Value| block["attributes"][at.as_u64().unwrap() as usize]["secondary"]["pod"].is_string();
    let ordinal = allocations.iter().position(|a| a.is_u64() && owner(a)).unwrap();
    let attribute = allocations[ordinal].as_u64().unwrap() as usize;
    let cidr: ipnet::Ipv4Net = block["cidr"].as_str().unwrap().parse().unwrap();
    let address = std::net::Ipv4Addr::from_bits(cidr.network().to_bits() + ordinal as u32).to_string();
    let mut write = |pod: &str| {
        block["attributes"][attribute]["secondary"]["pod"] = Value::from(pod);
        etcd.put(key.clone(), serde_json::to_vec(&block).unwrap())
    };
    let revisions = [write("one-0"), write("two-0"), write("two-0"), write("three-0")];

    let says = document(&who(&etcd, &moment, &[&address, "--deep", "-o", "json"]));
    let steps = says["deep"][0]["steps"].as_array().unwrap();
    let of = |s: &Value| {
        (s["revision"].as_i64().unwrap(), s["says"].as_str().unwrap().split(' ').next().unwrap().to_owned())
    };
    let steps: Vec<(i64, String)> = steps.iter().map(of).collect();
    let pods: Vec<&str> = steps.iter().map(|(_, pod)| pod.rsplit('/').next().unwrap()).collect();
    assert_eq!(pods[..3], ["three-0", "two-0", "one-0"]);
    assert_eq!(steps[..3].iter().map(|s| s.0).collect::<Vec<_>>(), [revisions[3], revisions[1], revisions[0]]);
    assert_eq!(steps.len(), 4, "and the first owner: {steps:?}");
    assert!(says["deep"][0]["end"].as_str().unwrap().starts_with("the key was created at revision"));

    etcd.compact(revisions[1]);
    let output = who(&etcd, &moment, &[&address, "--deep"]);
    let says = text(&output);
    assert!(says.contains("compaction ends it") && says.contains("two-0") && !says.contains("one-0"), "{says}");
}

#[test]
fn a_capture_answers_like_the_cluster_and_confirms() {
    servers::need!(Etcd3_7);
    let (etcd, moment) = loaded("incident-2017");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("capture");
    let mut command = ipaudit();
    command.args(["capture", "--etcd-endpoints", &etcd.endpoint(), "--now", &moment.captured_at, "--settle", "100ms"]);
    let made = command.arg("-f").arg(&file).arg("--kube-objects").arg(&moment.cluster_file).output().unwrap();
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    let output = ipaudit().args(["who", "192.168.91.33", "-o", "json", "--from"]).arg(&file).output().unwrap();
    let json = document(&output);
    assert_eq!(json["answer"], "192.168.91.33 has 10 holders; 7 findings, the worst IPA101");
    assert!(json["findings"].as_array().unwrap().iter().all(|f| f["state"] == "confirmed"), "{json:#}");
    assert_eq!(output.status.code(), Some(1));
}

/// Records one audit of a moment, as an audit does.
fn record(db: &Path, moment: &Moment, keys: &[(Vec<u8>, Vec<u8>)], now: Time, revision: i64) {
    let mut snapshot = Gathering { now, ..Gathering::default() };
    for (at, (key, value)) in (1..).zip(keys) {
        let mod_revision = if value == &moment.keys[at as usize - 1].1 { at } else { revision };
        let kv = Kv { key, value, create_revision: at, mod_revision, version: mod_revision - at + 1 };
        decode::insert(&mut snapshot, &kv);
    }
    ipaudit::source::kube_objects::read(std::slice::from_ref(&moment.cluster_file), &mut snapshot).unwrap();
    for input in Input::ALL {
        snapshot.coverage.set(input, InputState::Complete, "");
    }
    snapshot.etcd.revision = revision;
    let snapshot = snapshot.sorted();
    let key = record::cluster_key(&snapshot).unwrap();
    let mut file = Db::open_to_write(db, Journal::Wal, PATIENCE).unwrap();
    let past = file.read().unwrap().past(&key).unwrap();
    let ledger = Ledger::build(&snapshot, ScopeFlag::Auto, Some(&past));
    let outcome = checks::run(&World { snapshot: &snapshot, ledger: &ledger, past: Some(&past) });
    let course =
        record::AuditCourse { started: now, complete: true, tool: "test".to_owned(), ..record::AuditCourse::default() };
    let made = record::of(&ledger, &outcome, past, &course);
    file.begin().unwrap().record(made).unwrap().unwrap();
}

/// Two audits, a leak that goes between them: who tells of before, with the cluster and without it.
#[test]
fn the_history_tells_of_before_with_both_ends() {
    servers::need!(Etcd3_7);
    let (etcd, moment) = loaded("leaked-pods");
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("history.db");
    let start = Time::parse_rfc3339(&moment.captured_at).unwrap();
    let minutes = |n: i64| Time(start.0 + n * 60_000_000_000);
    record(&db, &moment, &moment.keys, start, 5000);
    record(&db, &moment, &moment.keys, minutes(15), 5001);
    let mut keys = moment.keys.clone();
    let block = keys.iter_mut().find(|(k, _)| k.ends_with(b"/block/10.65.247.0-26")).unwrap();
    let mut value: Value = serde_json::from_slice(&block.1).unwrap();
    value["allocations"][4] = Value::Null;
    value["unallocated"].as_array_mut().unwrap().push(Value::from(4));
    block.1 = serde_json::to_vec(&value).unwrap();
    record(&db, &moment, &keys, minutes(30), 5003);

    let path = db.to_str().unwrap();
    let ask = |args: &[&str]| {
        let mut command = ipaudit();
        command.env_remove("IPAUDIT_NO_HISTORY").args(["who", "--db", path, "-o", "json"]).args(args);
        command.output().unwrap()
    };
    let offline = document(&ask(&["10.65.247.4", "--offline", "--now", &minutes(31).to_rfc3339()]));
    let interval = &offline["before"][0]["allocations"][0];
    assert_eq!(interval["owner"], "data/queue-0");
    assert_eq!(interval["not_seen_before"], Value::Null);
    assert_eq!(interval["last_seen"], Value::from(minutes(15).to_rfc3339()));
    assert_eq!(interval["not_seen_after"], Value::from(minutes(30).to_rfc3339()));
    assert!(offline["answer"].as_str().unwrap().starts_with("10.65.247.4 was last allocated to data/queue-0"));
    let by_pod = document(&ask(&["queue-0", "--offline"]));
    assert_eq!(&by_pod["before"][0]["allocations"][0], interval);

    let at = |n: i64| document(&ask(&["10.65.247.4", "--at", &minutes(n).to_rfc3339()]))["answer"].clone();
    assert!(at(10).as_str().unwrap().ends_with("was allocated to data/queue-0"), "{}", at(10));
    assert!(at(20).as_str().unwrap().contains("may have been allocated to data/queue-0"), "{}", at(20));
    assert!(at(40).as_str().unwrap().starts_with("the history knows of no allocation"), "{}", at(40));

    // Another leak still stands: what the history saw twice is confirmed at once.
    let now = minutes(31).to_rfc3339();
    let cluster = moment.cluster_file.to_str().unwrap();
    let online = ask(&["10.65.247.5", "--etcd-endpoints", &etcd.endpoint(), "--kube-objects", cluster, "--now", &now]);
    let json = document(&online);
    assert_eq!(json["before"][0]["open"][0]["code"], "IPA110", "{json:#}");
    assert_eq!(json["before"][0]["open"][0]["audits_seen"], 3);
    assert_eq!(ask(&["10.65.247.5", "--offline"]).status.code(), Some(1));
    assert_eq!(ask(&["never-heard-of", "--offline"]).status.code(), Some(2));
    let mut table = ipaudit();
    table.env_remove("IPAUDIT_NO_HISTORY").args(["who", "--offline", "--db", path, "10.65.247.4", "--now", &now]);
    let says = text(&table.output().unwrap());
    assert!(says.contains("at least 1"), "{says}");
}
