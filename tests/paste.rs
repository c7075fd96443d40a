//! Every command that an audit prints, pasted into a shell: it is taken, is whole, and does no harm.
//!
//! `ipaudit` and `etcdctl` are the real ones, on an etcd that is the case's alone, so that what writes may write.
//! `calicoctl` and `crictl` are stand-ins that take their documented command lines and no others; `kubectl` is one that
//! lets the real one read the line too (`tests/paste/bin`).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod servers;

#[path = "paste/desk.rs"]
mod desk;
#[path = "paste/printed.rs"]
mod printed;

use std::path::Path;
use std::sync::Mutex;

use desk::Desk;
use printed::{Printed, harm};
use serde_json::{Value, json};
use servers::golden::{Case, Moment};
use servers::{Etcd, EtcdVersion};

/// An audit knows a leak for a day with the last of these, in hours after the moment.
const HOURS: [i64; 4] = [0, 1, 2, 25];
/// Of commands of ipaudit that differ in a plain name alone, so many are run.
const ALIKE: usize = 2;
const THREADS: usize = 2;

/// What went wrong with the commands of a moment.
fn failures_of(name: &str, moment: &Moment, desk: &Desk, day: i64) -> Vec<String> {
    let hours = HOURS.map(|hour| hour + 48 * day);
    for &hour in &hours {
        desk.audit(moment, hour, &["-o", "json"]);
    }
    let last = hours[HOURS.len() - 1];
    let all = desk.audit(moment, last, &["--all"]);
    let short = desk.audit(moment, last, &[]);
    let document = serde_json::from_str(&desk.audit(moment, last, &["-o", "json"])).unwrap();
    let mut failures = harm(&document, &[&all, &short]);
    for command in Printed::of(&document, &[&all, &short]).in_order(ALIKE) {
        if let Err(why) = desk.paste(moment, last, &command.line) {
            failures.push(format!("{}: {}\n    {why}", command.code, command.line));
        }
    }
    failures.into_iter().map(|failure| format!("{name}: {failure}")).collect()
}

/// All moments of a case, one after the other, with one history.
fn case_failures(case: &Case, etcd: &Etcd) -> Vec<String> {
    let mut failures = Vec::new();
    let desk = Desk::new(etcd);
    for (day, moment) in (0..).zip(&case.moments) {
        moment.load_into(etcd);
        desk.knows(moment);
        failures.extend(failures_of(&format!("{}[{day}]", case.name), moment, &desk, day));
    }
    failures
}

#[test]
fn every_command_of_every_case_can_be_pasted() {
    servers::need!(Etcd3_7);
    let golden = Case::names().into_iter().map(|name| Case::load(&name));
    let cases = Mutex::new(golden.chain(Case::reports()).collect::<Vec<_>>());
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let etcd = Etcd::start(EtcdVersion::V3_7);
                loop {
                    let Some(case) = cases.lock().unwrap().pop() else { break };
                    failures.lock().unwrap().extend(case_failures(&case, &etcd));
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} commands:\n{}", failures.len(), failures.join("\n"));
}

/// Blank, quotes, what a shell would run, a flag, a comma, what no terminal shows.
const HOSTILE: [&str; 8] =
    ["a b", "it's", "$(touch ran)", "`touch ran`", "-x", "a,b;touch ran", "x\r\ny", "-%d\u{202e}\\'\"\n$(touch ran)"];

const RESOURCES: &str = "/calico/resources/v3/projectcalico.org";

/// What the stand-ins, which know a thing by its line, can be asked for.
fn is_plain(name: &str) -> bool {
    name.bytes().all(|b| (b' '..=b'~').contains(&b)) && !name.starts_with('-')
}

/// A small clean cluster with pods, handles, affinities, endpoints, and values that do not parse, all of hostile names.
fn hostile(folder: &Path) -> (Case, Vec<Vec<u8>>) {
    let mut case = Case::load("clean-small");
    let moment = &mut case.moments[0];
    let resident = |item: &&Value| {
        let on_its_own = item["kind"] == "Pod" && item["spec"]["hostNetwork"] != true;
        on_its_own && item["spec"]["nodeName"] == "node-1" && item["status"]["phase"] == "Running"
    };
    let resident = moment.cluster["items"].as_array().unwrap().iter().find(resident).unwrap().clone();
    let (mut named, mut pods): (Vec<Vec<u8>>, Vec<Value>) = Default::default();
    for (number, name) in HOSTILE.iter().enumerate() {
        let mut put = |key: String, value: String| {
            named.push(key.clone().into_bytes());
            moment.keys.push((key.into_bytes(), value.into_bytes()));
        };
        put(format!("/calico/ipam/v2/handle/bad.{name}"), "not JSON".to_owned());
        let orphan = json!({"handleID": format!("net.{name}"), "block": {"10.200.0.0/26": 1}, "deleted": false});
        put(format!("/calico/ipam/v2/handle/net.{name}"), orphan.to_string());
        let affinity = json!({"state": "confirmed", "deleted": "false"});
        put(format!("/calico/ipam/v2/host/{name}/ipv4/block/10.201.{number}.0-26"), affinity.to_string());
        if !is_plain(name) {
            continue;
        }
        // Of a pod that is gone from a node that runs, and on a node that nobody knows.
        for (node, network) in [("node-1", 202), (*name, 203)] {
            let spec = json!({
                "orchestrator": "k8s", "node": node, "pod": format!("{name} gone"), "endpoint": "eth0", "containerID": "0123",
                "interfaceName": "cali0123", "ipNetworks": [format!("10.{network}.0.{number}/32")],
            });
            let value = json!({"kind": "WorkloadEndpoint", "apiVersion": "projectcalico.org/v3",
                "metadata": {"name": name, "namespace": name}, "spec": spec});
            put(format!("{RESOURCES}/workloadendpoints/{name}/{name}{network}"), value.to_string());
        }
        // A pod that IPAM knows nothing of.
        let mut pod = resident.clone();
        pod["metadata"] = json!({"name": name, "namespace": name, "uid": format!("uid-{number}")});
        let address = format!("10.204.0.{}", number + 1);
        pod["status"]["podIP"] = json!(address);
        pod["status"]["podIPs"] = json!([{"ip": address}]);
        pods.push(pod);
    }
    moment.cluster["items"].as_array_mut().unwrap().extend(pods);
    moment.cluster_file = folder.join("hostile.json");
    std::fs::write(&moment.cluster_file, moment.cluster.to_string()).unwrap();
    named.push([b"/calico/ipam/v2/handle/odd.".as_slice(), b"\xff\xfe%s"].concat());
    moment.keys.push((named[named.len() - 1].clone(), b"not JSON".to_vec()));
    (case, named)
}

/// What a name holds is no command, and the name comes through whole.
#[test]
fn names_that_a_shell_would_run_are_names() {
    servers::need!(Etcd3_7);
    let etcd = Etcd::start(EtcdVersion::V3_7);
    let folder = tempfile::tempdir().unwrap();
    let (case, keys) = hostile(folder.path());
    let moment = case.moment();
    moment.load_into(&etcd);
    let desk = Desk::new(&etcd);
    desk.knows(moment);
    let failures = failures_of("hostile", moment, &desk, 0);
    assert!(failures.is_empty(), "{} commands:\n{}", failures.len(), failures.join("\n"));
    assert!(!desk.folder.path().join("ran").exists(), "a name was run");
    let said = desk.said();
    let lacking = |key: &&Vec<u8>| key.starts_with(b"/calico/ipam/v2/handle/bad.") && !printed::holds(&said, key);
    let lacking: Vec<_> = keys.iter().filter(lacking).map(|key| String::from_utf8_lossy(key)).collect();
    assert!(lacking.is_empty(), "etcdctl did not find {lacking:?}");
    let words = desk.words();
    for name in HOSTILE.into_iter().filter(|name| is_plain(name)) {
        for wanted in [format!("calicoctl: {name}202"), format!("kubectl: {name}")] {
            assert!(words.lines().any(|word| word == wanted), "nobody was given {wanted:?}: {words}");
        }
    }
}

/// The rules that find harm find it.
#[test]
fn what_does_harm_is_found() {
    let document = |codes: &[&str], next: &[&str]| {
        let finding = |code: &&str| json!({"code": code, "next": next});
        json!({"findings": codes.iter().map(finding).collect::<Vec<_>>()})
    };
    let (unlock, delete) = ("calicoctl datastore migrate unlock", "kubectl -n shop delete pod web-0");
    let (release, exclusive) = ("ipaudit release --handle x", "ipaudit audit --scope exclusive");
    let none: [(&[&str], &[&str]); 4] = [
        (&["IPA902"], &[unlock, delete]),
        (&["IPA120"], &[delete]),
        (&["IPA110"], &[release]),
        (&["IPA906"], &[exclusive]),
    ];
    for (codes, next) in none {
        assert_eq!(harm(&document(codes, next), &[]), [""; 0], "{codes:?}");
        let table = next.join("\n");
        assert_eq!(harm(&document(codes, &[]), &[&table]), [""; 0], "{codes:?}");
    }
    let some: [(&[&str], &[&str]); 6] = [
        (&["IPA902"], &[delete, unlock]),
        (&["IPA903"], &[release]),
        (&["IPA905"], &[release]),
        (&["IPA905"], &[exclusive]),
        (&["IPA110"], &["ipaudit release --handle x +9 more"]),
        (&["IPA110"], &["ipaudit release --handle 0a0a…"]),
    ];
    for (codes, next) in some {
        assert!(!harm(&document(codes, next), &[]).is_empty(), "{codes:?}");
        let table = next.join("\n");
        assert!(!harm(&document(codes, &[]), &[&table]).is_empty(), "{codes:?}");
    }
}
