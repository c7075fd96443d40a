//! Every command that is printed, pasted into a shell: it is taken, is whole, does no harm, and does what it is for.
//!
//! What audits, `who`, `report` and plans of releases print, and what those commands print themselves. `ipaudit` and
//! `etcdctl` are the real ones, on an etcd that is the case's alone, so that what writes may write; `kubectl` is, on a
//! real API server with the case's objects (`on_cluster.rs`). `calicoctl`, `crictl` and `ssh` are stand-ins that take
//! their documented command lines and no others (`paste/bin`). What is advised to be released is released, on a copy
//! (`released.rs`).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod servers;

#[path = "paste/desk.rs"]
mod desk;
#[path = "paste/file_kube.rs"]
mod file_kube;
#[path = "paste/on_cluster.rs"]
mod on_cluster;
#[path = "paste/printed.rs"]
mod printed;
#[path = "paste/released.rs"]
mod released;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Mutex;

use desk::Desk;
use file_kube::FileKube;
use on_cluster::Cluster;
use printed::{Pasted, Printed, form, harm};
use released::Done;
use serde_json::{Value, json};
use servers::golden::{Case, Moment};
use servers::{Etcd, EtcdVersion};

/// An audit knows a leak for a day with the last of these, in hours after the moment.
const HOURS: [i64; 4] = [0, 1, 2, 25];
/// Of commands of ipaudit that differ in a plain name alone, so many are run.
const ALIKE: usize = 2;
/// Commands of commands of commands.
const DEPTH: usize = 2;
const THREADS: usize = 2;

/// What the commands of a moment came to.
#[derive(Default)]
struct Pastes {
    failures: Vec<String>,
    /// For a real API server.
    kubectl: Vec<String>,
}

/// Pastes all commands of a moment, and those that they print.
fn paste_all(name: &str, moment: &Moment, desk: &Desk, day: i64) -> Pastes {
    let hours = HOURS.map(|hour| hour + 48 * day);
    for &hour in &hours {
        desk.audit(moment, hour, &["-o", "json"]);
    }
    let last = hours[HOURS.len() - 1];
    let all = desk.audit(moment, last, &["--all"]);
    let short = desk.audit(moment, last, &[]);
    let document = serde_json::from_str(&desk.audit(moment, last, &["-o", "json"])).unwrap();
    let report = |args: &[&str]| desk.ipaudit(moment, last, "report", args);
    let reports = [
        report(&["--since", "27h"]),
        report(&["--since", "27h", "--all"]),
        report(&["--since", "27h", "--until", "12h", "-o", "markdown"]),
    ];
    let tables = [&*all, &*short, &*reports[0], &*reports[1], &*reports[2]];
    let mut pastes = Pastes { failures: harm(&document, &tables), ..Pastes::default() };
    let mut commands: Vec<(usize, Pasted)> =
        Printed::of(&document, &tables).in_order(ALIKE).into_iter().map(|pasted| (0, pasted)).collect();
    let mut seen: HashSet<String> = commands.iter().map(|(_, pasted)| pasted.line.clone()).collect();
    let mut alike: HashMap<String, usize> = HashMap::new();
    let mut next = 0;
    while let Some((depth, Pasted { code, line })) = commands.get(next).cloned() {
        next += 1;
        match desk.paste(moment, last, &line) {
            Err(why) => pastes.failures.push(format!("{code}: {line}\n    {why}")),
            Ok(said) if line.starts_with("ipaudit ") && depth < DEPTH => {
                let mut more = Printed::of(&Value::Null, &[&said]).0;
                more.retain(|pasted| {
                    let count = alike.entry(form(&pasted.line)).or_default();
                    *count += 1;
                    *count <= ALIKE && seen.insert(pasted.line.clone())
                });
                let told = |pasted: Pasted| (depth + 1, Pasted { code: format!("{code}: {line}:"), ..pasted });
                // What writes comes last.
                let place = commands[next..].iter().position(|(_, pasted)| pasted.writes());
                let place = place.map_or(commands.len(), |place| next + place);
                commands.splice(place..place, more.into_iter().map(told));
            }
            Ok(_) => {}
        }
        if let Some(why) = printed::loses(&moment.cluster, &line) {
            pastes.failures.push(format!("{code}: {line}\n    {why}"));
        }
        if line.starts_with("kubectl ") || line.starts_with("(set -C; kubectl ") {
            pastes.kubectl.push(line);
        }
    }
    pastes.failures = pastes.failures.into_iter().map(|failure| format!("{name}: {failure}")).collect();
    pastes
}

/// All cases there are, one after the other, by several hands with an etcd each.
fn by_hands(work: impl Fn(&Case, &Etcd) -> Vec<String> + Sync) {
    let folder = tempfile::tempdir().unwrap();
    let golden = Case::names().into_iter().map(|name| Case::load(&name));
    let cases = Mutex::new(golden.chain(Case::reports()).chain([unusual(folder.path())]).collect::<Vec<_>>());
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let etcd = Etcd::start(EtcdVersion::V3_7);
                loop {
                    let Some(case) = cases.lock().unwrap().pop() else { break };
                    let found = work(&case, &etcd);
                    failures.lock().unwrap().extend(found);
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} commands:\n{}", failures.len(), failures.join("\n"));
}

/// The moments of a case come one after the other, with one history.
#[test]
fn every_command_of_every_case_can_be_pasted() {
    servers::need!(Etcd3_7, ApiServer, Kubectl);
    let cluster = std::sync::OnceLock::new();
    let one_at_a_time = Mutex::new(());
    by_hands(|case, etcd| {
        let mut failures = Vec::new();
        let desk = Desk::new(etcd);
        for (day, moment) in (0..).zip(&case.moments) {
            let name = format!("{}[{day}]", case.name);
            moment.load_into(etcd);
            desk.knows(moment);
            let pastes = paste_all(&name, moment, &desk, day);
            failures.extend(pastes.failures);
            let cluster = cluster.get_or_init(Cluster::start);
            let _guard = one_at_a_time.lock().unwrap();
            failures.extend(cluster.failures(&name, moment, etcd, &pastes.kubectl));
        }
        failures
    });
    let unmet = cluster.get().unwrap().unmet();
    assert!(unmet.is_empty(), "no case prints {unmet:?}");
}

/// A cluster with what no case has: settings that contradict each other, an address that cooled down long ago, a node
/// whose clock is ahead, a pod without a controller and one of which nobody knows that lost their endpoints.
fn unusual(folder: &Path) -> Case {
    let mut case = Case::load("clean-small");
    case.name = "unusual".to_owned();
    let moment = &mut case.moments[0];
    let config = json!({"strict_affinity": true, "auto_allocate_blocks": false});
    moment.keys.retain(|(key, _)| key != b"/calico/ipam/v2/config");
    moment.keys.push((b"/calico/ipam/v2/config".to_vec(), config.to_string().into_bytes()));
    cool(moment);
    run_ahead(moment);
    strand(moment);
    moment.cluster_file = folder.join("unusual.json");
    std::fs::write(&moment.cluster_file, moment.cluster.to_string()).unwrap();
    case
}

/// A pod that nothing makes anew, and one whose owner is not marked as its controller, have lost their endpoints.
fn strand(moment: &mut Moment) {
    let mut pods = moment.cluster["items"].as_array_mut().unwrap().iter_mut().filter(|item| item["kind"] == "Pod");
    let is_of_set = |pod: &&mut Value| {
        let is_ready = pod["spec"]["hostNetwork"] != true && pod["status"]["phase"] == "Running";
        is_ready && pod["metadata"]["ownerReferences"][0]["kind"] == "ReplicaSet"
    };
    let bare = pods.find(|pod| pod["metadata"]["ownerReferences"].is_null()).unwrap()["metadata"]["name"].clone();
    let pods = moment.cluster["items"].as_array_mut().unwrap().iter_mut().filter(|item| item["kind"] == "Pod");
    let owned = pods.rev().find(is_of_set).unwrap();
    owned["metadata"]["ownerReferences"][0]["controller"] = json!(false);
    let lost = [bare, owned["metadata"]["name"].clone()];
    let is_of = |value: &[u8]| {
        let endpoint: Value = serde_json::from_slice(value).unwrap_or_default();
        lost.contains(&endpoint["spec"]["pod"])
    };
    moment.keys.retain(|(key, value)| !String::from_utf8_lossy(key).contains("/workloadendpoints/") || !is_of(value));
}

/// Some pod's endpoint is dated long after the moment.
fn run_ahead(moment: &mut Moment) {
    let is_endpoint = |key: &[u8]| key.starts_with(format!("{RESOURCES}/workloadendpoints/").as_bytes());
    let (_, value) = moment.keys.iter_mut().find(|(key, _)| is_endpoint(key)).unwrap();
    let mut endpoint: Value = serde_json::from_slice(value).unwrap();
    endpoint["metadata"]["creationTimestamp"] = json!("2027-01-01T00:00:00Z");
    *value = endpoint.to_string().into_bytes();
}

/// The same in an etcd that is full.
#[test]
fn commands_under_an_alarm_can_be_pasted_and_end_it() {
    servers::need!(Etcd3_7);
    let etcd = Etcd::builder(EtcdVersion::V3_7).quota(4 << 20).start();
    let folder = tempfile::tempdir().unwrap();
    let case = unusual(folder.path());
    let moment = case.moment();
    moment.load_into(&etcd);
    etcd.fill_up();
    etcd.delete_prefix("/filler");
    let desk = Desk::new(&etcd);
    desk.knows(moment);
    let codes = || {
        let document: Value = serde_json::from_str(&desk.audit(moment, HOURS[3], &["-o", "json"])).unwrap();
        let findings = document["findings"].as_array().unwrap().iter();
        findings.map(|finding| finding["code"].as_str().unwrap().to_owned()).collect::<HashSet<_>>()
    };
    let wanted = ["IPA114", "IPA907", "IPA909", "IPA910"].map(str::to_owned);
    assert!(wanted.iter().all(|code| codes().contains(code)), "{:?}", codes());
    let failures = paste_all("unusual", moment, &desk, 0).failures;
    assert!(failures.is_empty(), "{} commands:\n{}", failures.len(), failures.join("\n"));
    assert!(!codes().contains("IPA910"), "its commands cure it");
}

/// The first free address of some block was released a day before the moment.
fn cool(moment: &mut Moment) {
    let is_block = |key: &[u8]| key.starts_with(b"/calico/ipam/v2/assignment/ipv4/");
    let (_, value) = moment.keys.iter_mut().find(|(key, _)| is_block(key)).unwrap();
    let mut block: Value = serde_json::from_slice(value).unwrap();
    let ordinal = block["unallocated"].as_array_mut().unwrap().remove(0).as_u64().unwrap();
    let attributes = block["attributes"].as_array_mut().unwrap();
    let number = attributes.len();
    attributes.push(json!({"releasedAt": "2026-11-23T00:00:00Z", "handle_id": null, "secondary": null}));
    block["allocations"][usize::try_from(ordinal).unwrap()] = json!(number);
    *value = block.to_string().into_bytes();
}

/// The forms of releases that there are; more are met by their codes.
const RELEASES: [&str; 5] = [
    "ipaudit release --handle #",
    "ipaudit release --handle # …",
    "ipaudit release --handle # --i-know-what-this-is",
    "ipaudit release --address # --i-know-what-this-is",
    "ipaudit release --code IPA110 --older-than 24h",
];

#[test]
fn what_is_advised_to_be_released_is_released() {
    servers::need!(Etcd3_7);
    let done = Done::default();
    by_hands(|case, etcd| {
        let kube = FileKube::start();
        let moments = (0..).zip(&case.moments);
        moments
            .flat_map(|(number, moment)| {
                released::failures(&format!("{}[{number}]", case.name), moment, etcd, &kube, &done)
            })
            .collect()
    });
    let forms = done.forms();
    let lacking: Vec<_> = RELEASES.iter().filter(|form| !forms.contains_key(**form)).collect();
    assert!(lacking.is_empty(), "no case advises {lacking:?}: {forms:?}");
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
    // A node, a pool in another one and two endpoints of one interface, each of a name that could be a flag.
    let mut resource = |path: &str, spec: Value| {
        let name = path.rsplit('/').next().unwrap();
        let metadata = json!({"name": name, "namespace": "shop"});
        let value = json!({"apiVersion": "projectcalico.org/v3", "metadata": metadata, "spec": spec});
        moment.keys.push((format!("{RESOURCES}/{path}").into_bytes(), value.to_string().into_bytes()));
    };
    let orchestrated = json!([{"orchestrator": "k8s", "nodeName": "-x"}]);
    resource("nodes/-x", json!({"orchRefs": orchestrated, "bgp": {"ipv4Address": "192.168.77.1/24"}}));
    resource("ippools/-x", json!({"cidr": "10.205.0.0/16", "blockSize": 26}));
    resource("ippools/wide", json!({"cidr": "10.204.0.0/14", "blockSize": 26}));
    for (number, node) in ["node-1", "node-1", "-y"].into_iter().enumerate() {
        let spec = json!({
            "orchestrator": "k8s", "node": node, "pod": format!("flag-{number}"), "endpoint": "eth0", "containerID": "0123",
            "interfaceName": "-x", "ipNetworks": [format!("10.206.0.{number}/32")],
        });
        resource(&format!("workloadendpoints/shop/flag-{number}"), spec);
    }
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
    let failures = paste_all("hostile", moment, &desk, 0).failures;
    assert!(failures.is_empty(), "{} commands:\n{}", failures.len(), failures.join("\n"));
    assert!(!desk.folder.path().join("ran").exists(), "a name was run");
    let said = desk.said();
    let lacking = |key: &&Vec<u8>| key.starts_with(b"/calico/ipam/v2/handle/bad.") && !printed::holds(&said, key);
    let lacking: Vec<_> = keys.iter().filter(lacking).map(|key| String::from_utf8_lossy(key)).collect();
    assert!(lacking.is_empty(), "etcdctl did not find {lacking:?}");
    let words = desk.words();
    let flags = words.lines().filter(|word| word.starts_with("calicoctl: -x"));
    assert_eq!(flags.count(), 0, "{words}");
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
    let some: [(&[&str], &[&str]); 7] = [
        (&["IPA902"], &[delete, unlock]),
        (&["IPA902"], &["calicoctl delete workloadendpoint x --namespace=shop"]),
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
