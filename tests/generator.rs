//! The generated clusters of `benches/generator` are what they claim to be: healthy or with exactly the leftovers that
//! were asked for, consistent, of the stated size, and the same in every run. A bench over a broken cluster would
//! measure the printing of findings.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../benches/generator/mod.rs"]
mod generator;
mod servers;

use std::collections::BTreeMap;
use std::io::Write;

use generator::{Cluster, Plan};
use ipaudit::checks::{self, World};
use ipaudit::decode::{self, Kv};
use ipaudit::ledger::{Ledger, ScopeFlag};
use ipaudit::model::{Gathering, Input, InputState, Snapshot, Time};
use serde_json::Value;

fn snapshot(cluster: &Cluster) -> Snapshot {
    let mut snapshot = Gathering { now: Time::parse_rfc3339(&cluster.now()).unwrap(), ..Gathering::default() };
    for input in Input::ALL {
        snapshot.coverage.set(input, InputState::Complete, "");
    }
    for (revision, (key, value)) in (1..).zip(cluster.keys()) {
        let (key, value) = (key.as_bytes(), value.as_bytes());
        decode::insert(
            &mut snapshot,
            &Kv { key, value, create_revision: revision, mod_revision: revision, version: 1 },
        );
    }
    let mut file = tempfile::NamedTempFile::new().unwrap();
    cluster.write_objects(&mut file).unwrap();
    file.flush().unwrap();
    ipaudit::source::kube_objects::read(&[file.path().to_path_buf()], &mut snapshot).unwrap();
    snapshot.sorted()
}

/// How often each code is found.
fn codes(cluster: &Cluster) -> BTreeMap<String, usize> {
    let snapshot = snapshot(cluster);
    assert!(snapshot.bad_values.is_empty(), "{:?}", snapshot.bad_values);
    assert_eq!(
        (snapshot.pods.len(), snapshot.endpoints.len(), snapshot.handles.len(), snapshot.blocks.len()),
        (cluster.pods(), cluster.endpoints(), cluster.handles(), cluster.blocks())
    );
    let ledger = Ledger::build(&snapshot, ScopeFlag::Auto, None);
    assert_eq!(ledger.allocations.len(), cluster.allocations());
    let outcome = checks::run(&World { snapshot: &snapshot, ledger: &ledger, past: None });
    let mut codes = BTreeMap::new();
    outcome.findings.iter().for_each(|finding| *codes.entry(finding.code.to_string()).or_insert(0) += 1);
    codes
}

#[test]
fn an_old_cluster_has_the_leftovers_that_were_asked_for() {
    let plan = Plan::old(3_000);
    assert_eq!((plan.leaks, plan.orphans, plan.empty_blocks), (100, 1_260, 600));
    let cluster = Cluster::new(plan);
    let wanted = cluster.keys().filter(|(key, _)| decode::keys::parse(key.as_bytes()).is_some()).count();
    assert_eq!(wanted, cluster.wanted_keys());
    let expected = [("IPA110", 100), ("IPA201", 1_260), ("IPA501", 100)].map(|(code, n)| (code.to_owned(), n));
    assert_eq!(codes(&cluster), BTreeMap::from(expected));
}

#[test]
fn replaced_pods_leave_a_healthy_cluster_and_every_change_is_told() {
    let mut cluster = Cluster::of(700);
    let mut keys: BTreeMap<String, String> = cluster.keys().collect();
    for _ in 0..3 {
        let before = cluster.now();
        let changes = cluster.churn(70);
        assert!(before < cluster.now());
        assert_eq!(changes.pods.len(), 70);
        for key in &changes.deletes {
            assert!(keys.remove(key).is_some(), "{key} was not there");
        }
        for (key, value) in changes.puts {
            assert_ne!(keys.insert(key.clone(), value.clone()), Some(value), "{key} is as it was");
        }
        assert!(keys == cluster.keys().collect());
        assert_eq!(codes(&cluster), BTreeMap::new());
    }
}

#[test]
fn a_generated_cluster_is_healthy() {
    for pods in [0, 1, 7, 61, 1_500] {
        let cluster = Cluster::of(pods);
        let snapshot = snapshot(&cluster);
        assert!(snapshot.bad_values.is_empty(), "{pods}: {:?}", snapshot.bad_values);
        assert_eq!(
            (snapshot.pods.len(), snapshot.endpoints.len(), snapshot.handles.len(), snapshot.blocks.len()),
            (pods, pods, cluster.allocations(), cluster.blocks())
        );
        let ledger = Ledger::build(&snapshot, ScopeFlag::Auto, None);
        assert_eq!(ledger.allocations.len(), cluster.allocations());
        if pods > 0 {
            assert!(ledger.pairing.holds(), "{pods}: {:?}", ledger.pairing);
        }
        let outcome = checks::run(&World { snapshot: &snapshot, ledger: &ledger, past: None });
        assert!(outcome.findings.is_empty(), "{pods}: {:#?}", outcome.findings);
    }
}

/// What is written straight into its etcd is to it what somebody created.
#[test]
fn a_real_api_server_serves_what_is_stored() {
    servers::need!(ApiServer);
    let api = servers::ApiServer::start();
    let cluster = Cluster::of(25);
    let stored = cluster.stored_objects().map(|(key, value)| (format!("/registry/{key}").into_bytes(), value));
    api.with_etcd(|etcd| etcd.put_many(stored.collect()));
    let mut list = Vec::new();
    cluster.write_objects(&mut list).unwrap();
    let list: Value = serde_json::from_slice(&list).unwrap();
    let mut compared = 0;
    for object in list["items"].as_array().unwrap() {
        let metadata = &object["metadata"];
        let name = metadata["name"].as_str().unwrap();
        if name == "kubernetes" || name == "kube-system" {
            continue;
        }
        let plural = format!("{}s", object["kind"].as_str().unwrap().to_lowercase());
        let served = match metadata["namespace"].as_str() {
            Some(namespace) => api.admin_get(&format!("/api/v1/namespaces/{namespace}/{plural}/{name}")),
            None => api.admin_get(&format!("/api/v1/{plural}/{name}")),
        };
        is_in(object, &served, name);
        compared += 1;
    }
    assert!(compared > 25, "{compared}");
    let pods = api.admin_get("/api/v1/pods");
    assert_eq!(pods["items"].as_array().unwrap().len(), 25);
    let pod = cluster.stored_pod(0).0;
    assert!(cluster.stored_objects().any(|(key, _)| key == pod));
}

/// Every field of `ours`, but for what the server sets itself and a service's address.
fn is_in(ours: &Value, theirs: &Value, path: &str) {
    match ours {
        Value::Object(fields) => {
            let other = ["resourceVersion", "clusterIP", "clusterIPs"];
            for (name, value) in fields.iter().filter(|(name, _)| !other.contains(&name.as_str())) {
                is_in(value, &theirs[name], &format!("{path}.{name}"));
            }
        }
        Value::Array(list) => {
            assert_eq!(theirs.as_array().map(Vec::len), Some(list.len()), "{path}: {theirs}");
            list.iter().enumerate().for_each(|(i, value)| is_in(value, &theirs[i], &format!("{path}[{i}]")));
        }
        _ => assert_eq!(ours, theirs, "{path}"),
    }
}

#[test]
fn it_is_the_same_in_every_run() {
    let all = || {
        let cluster = Cluster::of(300);
        let mut objects = Vec::new();
        cluster.write_objects(&mut objects).unwrap();
        (cluster.keys().collect::<Vec<_>>(), objects)
    };
    assert!(all() == all());
    let keys: std::collections::BTreeSet<String> = all().0.into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys.len(), all().0.len(), "a key twice");
}

/// The sizes that the published numbers were measured with.
#[test]
fn its_bytes_are_those_of_a_real_cluster() {
    let cluster = Cluster::of(2_000);
    let (mut wanted, mut noise, mut endpoints) = (0, 0, 0);
    for (key, value) in cluster.keys() {
        let size = key.len() + value.len();
        match decode::keys::parse(key.as_bytes()) {
            Some(_) => wanted += size,
            None => noise += size,
        }
        endpoints += if key.contains("/workloadendpoints/") { size } else { 0 };
    }
    let per_pod = |bytes: usize| bytes / cluster.pods();
    assert!((1_100..1_400).contains(&per_pod(endpoints)), "an endpoint has {} bytes", per_pod(endpoints));
    assert!((1_600..2_000).contains(&per_pod(wanted)), "{} bytes a pod are read", per_pod(wanted));
    let percent = 100 * noise / (noise + wanted);
    assert!((11..18).contains(&percent), "{percent} % of the bytes must not be read");
    let mut objects = Vec::new();
    cluster.write_objects(&mut objects).unwrap();
    assert!((4_800..6_200).contains(&per_pod(objects.len())), "a pod has {} bytes", per_pod(objects.len()));
}
