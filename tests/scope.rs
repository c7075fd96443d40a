//! Whose datastore it is: scope and pairing through the binary, on golden data that is cut and put together anew.
//!
//! Two Kubernetes clusters in one datastore, seen from either; the wrong kubeconfig; hosts without Kubernetes; a
//! datastore without any pod; and (`scope/`) an etcd that Calico left, host-local IPAM, machines that were renamed, nodes
//! that lost their Calico Node. What is not ours is never accused, and what cannot be known is said to be unknown.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod servers;
#[path = "scope/small.rs"]
mod small;
#[path = "scope/whose.rs"]
mod whose;

use std::collections::BTreeSet;
use std::process::Output;

use serde_json::{Value, json};
use servers::command::{ipaudit, json as document, stderr};
use servers::golden::Moment;
use servers::{Case, Etcd, EtcdVersion};

const RESOURCES: &str = "/calico/resources/v3/projectcalico.org/";

/// A datastore and the objects beside it, to be changed before it is audited.
struct World {
    etcd: Etcd,
    objects: Vec<Value>,
    now: String,
    folder: tempfile::TempDir,
}

impl World {
    fn of(case: &str) -> World {
        let etcd = Etcd::start(EtcdVersion::V3_7);
        let case = Case::load(case);
        let moment: &Moment = case.moment();
        moment.load_into(&etcd);
        let objects = moment.cluster["items"].as_array().unwrap().clone();
        World { etcd, objects, now: moment.captured_at.clone(), folder: tempfile::tempdir().unwrap() }
    }

    /// Nothing in the datastore yet.
    fn empty(now: &str, objects: Vec<Value>) -> World {
        let etcd = Etcd::start(EtcdVersion::V3_7);
        World { etcd, objects, now: now.to_owned(), folder: tempfile::tempdir().unwrap() }
    }

    fn keep(&mut self, kinds: &[&str]) {
        self.objects.retain(|o| kinds.contains(&o["kind"].as_str().unwrap()));
    }

    fn of_kind(&mut self, kind: &str) -> impl Iterator<Item = &mut Value> {
        let kind = kind.to_owned();
        self.objects.iter_mut().filter(move |o| o["kind"] == kind.as_str())
    }

    /// All keys below `prefix`, decoded.
    fn resources(&self, prefix: &str) -> Vec<(String, Value)> {
        let decoded = |(key, value): (Vec<u8>, Vec<u8>)| {
            (String::from_utf8(key).unwrap(), serde_json::from_slice(&value).unwrap())
        };
        self.etcd.list(format!("{RESOURCES}{prefix}")).into_iter().map(decoded).collect()
    }

    fn audit(&self, args: &[&str]) -> Output {
        self.audit_with(&[json!({ "apiVersion": "v1", "kind": "List", "items": self.objects })], args)
    }

    fn audit_with(&self, lists: &[Value], args: &[&str]) -> Output {
        let mut command = ipaudit();
        command.args(["audit", "--settle", "50ms", "--now", &self.now, "--etcd-endpoints", &self.etcd.endpoint()]);
        for (i, list) in lists.iter().enumerate() {
            let file = self.folder.path().join(format!("objects-{i}.json"));
            std::fs::write(&file, list.to_string()).unwrap();
            command.arg("--kube-objects").arg(file);
        }
        if args.contains(&"--db") {
            command.env_remove("IPAUDIT_NO_HISTORY");
        }
        command.args(args).output().unwrap()
    }

    fn json(&self, args: &[&str]) -> Value {
        document(&self.audit(&[args, &["-o", "json"]].concat()))
    }
}

fn found(document: &Value) -> BTreeSet<(&str, &str)> {
    let findings = document["findings"].as_array().unwrap().iter();
    findings.map(|f| (f["code"].as_str().unwrap(), f["subject"]["id"].as_str().unwrap())).collect()
}

fn codes(document: &Value) -> BTreeSet<&str> {
    found(document).into_iter().map(|(code, _)| code).collect()
}

fn outside(document: &Value) -> (u64, u64) {
    let of = |field: &str| document["outside_scope"][field].as_u64().unwrap();
    (of("addresses"), of("nodes"))
}

/// Codes of checks that did not run, for another reason than that there is no earlier audit.
fn skipped(document: &Value) -> BTreeSet<&str> {
    let skipped = document["skipped"].as_array().unwrap().iter().filter(|s| s["incomplete"] == true);
    skipped.map(|s| s["code"].as_str().unwrap()).collect()
}

fn golden(name: &str) -> BTreeSet<(String, String)> {
    Case::load(name).moment().expect.iter().map(|e| (e.code.clone(), e.subject.clone())).collect()
}

fn owned(found: BTreeSet<(&str, &str)>) -> BTreeSet<(String, String)> {
    found.into_iter().map(|(code, subject)| (code.to_owned(), subject.to_owned())).collect()
}

#[test]
fn two_clusters_seen_from_ours() {
    servers::need!(Etcd3_7);
    let world = World::of("two-clusters");
    let seen = world.json(&[]);
    assert_eq!(owned(found(&seen)), golden("two-clusters"));
    assert_eq!((&seen["audit"]["scope"], outside(&seen)), (&json!("shared"), (20, 3)));
    let text = String::from_utf8(world.audit(&[]).stdout).unwrap();
    assert!(text.contains("\n20 addresses on 3 nodes are outside this cluster: not judged\n"), "{text}");
    // IPA906 asks for the operator's word, by a command that can be pasted.
    let asks = text.lines().filter(|line| line.trim() == "ipaudit audit --scope exclusive");
    assert_eq!(asks.count(), 1, "{text}");

    // The operator's word: nobody else is here, so these nodes have departed and their pods are gone.
    let exclusive = world.json(&["--scope", "exclusive"]);
    let departed: Vec<&str> =
        found(&exclusive).into_iter().filter(|(code, _)| *code == "IPA409").map(|(_, node)| node).collect();
    assert_eq!(departed, ["east-1", "east-2", "east-3"]);
    assert!(found(&exclusive).contains(&("IPA110", "10.86.84.135")));
    assert!(!codes(&exclusive).contains("IPA906"), "a contradiction of what the operator said");
    assert_eq!((&exclusive["audit"]["scope"], outside(&exclusive)), (&json!("exclusive"), (0, 0)));
}

/// The other cluster's objects, made from its nodes and endpoints in the datastore.
fn become_the_other_cluster(world: &mut World, nodes: &str) {
    let node = world.of_kind("Node").next().unwrap().clone();
    let pod = world.of_kind("Pod").next().unwrap().clone();
    world.objects.clear();
    for (i, (_, calico)) in world.resources(&format!("nodes/{nodes}")).into_iter().enumerate() {
        let mut node = node.clone();
        let addresses = calico["spec"]["addresses"].as_array().unwrap();
        let internal = addresses.iter().find(|a| a["type"] == "InternalIP").unwrap();
        node["metadata"]["name"] = calico["spec"]["orchRefs"][0]["nodeName"].clone();
        node["metadata"]["uid"] = json!(format!("00000000-0000-4000-8000-{i:012}"));
        node["status"]["addresses"] = json!([internal]);
        world.objects.push(node);
    }
    for (i, (key, endpoint)) in world.resources("workloadendpoints/").into_iter().enumerate() {
        if !key.contains(&format!("/{nodes}")) {
            continue;
        }
        let (mut pod, spec) = (pod.clone(), &endpoint["spec"]);
        let address = spec["ipNetworks"][0].as_str().unwrap().split('/').next().unwrap();
        pod["metadata"]["name"] = spec["pod"].clone();
        pod["metadata"]["namespace"] = endpoint["metadata"]["namespace"].clone();
        pod["metadata"]["uid"] = json!(format!("00000000-0000-4000-9000-{i:012}"));
        pod["spec"]["nodeName"] = spec["node"].clone();
        pod["status"]["podIP"] = json!(address);
        pod["status"]["podIPs"] = json!([{ "ip": address }]);
        world.objects.push(pod);
    }
    let service = json!({ "kind": "Service", "apiVersion": "v1", "spec": { "type": "ClusterIP" }, "status": {},
        "metadata": { "namespace": "default", "name": "kubernetes", "uid": "00000000-0000-4000-a000-000000000000" } });
    world.objects.push(service);
}

#[test]
fn two_clusters_seen_from_the_other() {
    servers::need!(Etcd3_7);
    let mut world = World::of("two-clusters");
    become_the_other_cluster(&mut world, "east-");
    let seen = world.json(&[]);
    // Its own leak, and nothing of node-1 to node-3 but that they are there.
    let expected = [("IPA110", "10.86.84.135"), ("IPA906", "a869b6fb23564288a1ab08711f899362")];
    assert_eq!(found(&seen), expected.into(), "{seen:#}");
    assert_eq!(outside(&seen).1, 3);
}

/// The context of another cluster was active: nothing that argues from pods may be said.
#[test]
fn the_wrong_kubeconfig() {
    servers::need!(Etcd3_7);
    let mut world = World::of("leaked-pods");
    let right = world.json(&[]);
    assert!(codes(&right).contains("IPA110"));
    world.objects = World::of("clean-churned").objects;
    let wrong = world.audit(&["-o", "json"]);
    let seen = document(&wrong);
    assert_eq!(wrong.status.code(), Some(3), "{}", stderr(&wrong));
    assert_eq!(codes(&seen).into_iter().filter(|c| *c == "IPA905").count(), 1);
    let of_pods = skipped(&seen);
    for code in ["IPA101", "IPA110", "IPA111", "IPA112", "IPA115", "IPA117", "IPA120", "IPA409", "IPA501", "IPA505"] {
        assert!(of_pods.contains(code), "{code} cannot be judged: {of_pods:?}");
    }
    assert!(codes(&seen).is_disjoint(&of_pods));
    // The datastore itself is judged whoever owns it, as with the right one.
    let own = |seen: &Value| -> BTreeSet<(String, String)> {
        let of_the_datastore = |code: &str| matches!(&code[..4], "IPA2" | "IPA3" | "IPA6");
        owned(found(seen).into_iter().filter(|(code, _)| of_the_datastore(code)).collect())
    };
    assert_eq!(own(&seen), own(&right));
    assert!(seen["pools"][0]["in_use"].is_null() && seen["pools"][0]["allocated"].is_u64());
    let text = String::from_utf8(world.audit(&[]).stdout).unwrap();
    let told = text.replace("\n  ", " ");
    assert!(told.starts_with("BLIND: API server and datastore do not belong together ("), "{text}");
    assert!(told.contains("; duplicates and leaks were not looked for."), "{text}");
}

/// Two clusters from one script have nodes of the same names: names alone are no pairing.
#[test]
fn the_wrong_kubeconfig_with_the_same_node_names() {
    servers::need!(Etcd3_7);
    let mut world = World::of("clean-small");
    for (i, node) in world.of_kind("Node").enumerate() {
        node["status"]["addresses"] = json!([{ "type": "InternalIP", "address": format!("10.250.9.{}", i + 1) }]);
    }
    for (i, pod) in world.of_kind("Pod").enumerate() {
        pod["metadata"]["name"] = json!(format!("other-{i}"));
    }
    let output = world.audit(&["-o", "json"]);
    assert_eq!((codes(&document(&output)), output.status.code()), (["IPA905"].into(), Some(3)), "{output:?}");
}

/// Nodes that were given other addresses are still these nodes: their pods have their endpoints.
#[test]
fn nodes_with_other_addresses_but_the_same_pods() {
    servers::need!(Etcd3_7);
    let mut world = World::of("clean-small");
    for (i, node) in world.of_kind("Node").enumerate() {
        node["status"]["addresses"] = json!([{ "type": "InternalIP", "address": format!("10.250.9.{}", i + 1) }]);
    }
    let output = world.audit(&["-o", "json"]);
    assert_eq!((codes(&document(&output)), output.status.code()), (BTreeSet::new(), Some(0)), "{output:?}");
}

/// A host that runs Calico without Kubernetes: what it holds is its own, whatever is said of the scope.
#[test]
fn a_bare_host_is_left_alone() {
    servers::need!(Etcd3_7);
    let world = World::of("clean-small");
    let seen = world.json(&[]);
    assert_eq!((codes(&seen), &seen["audit"]["scope"]), (BTreeSet::new(), &json!("shared")));
    assert!(outside(&seen).0 > 0, "router-7 has allocations");
    assert_eq!(outside(&seen).1, 1);
    assert_eq!(codes(&world.json(&["--scope", "exclusive"])), BTreeSet::new(), "it is no Kubernetes node of ours");

    // Its Calico node is gone: all that are left are ours, so with `auto` nobody else is known here, and a host that
    // only has blocks has departed.
    assert!(world.etcd.delete(format!("{RESOURCES}nodes/router-7")));
    let gone = world.json(&[]);
    assert_eq!(gone["audit"]["scope"], "exclusive");
    assert!(codes(&gone) == ["IPA111", "IPA508"].into(), "{gone:#}");
    // With another foreign node in the datastore it may be anybody's, and nobody is accused.
    let east = World::of("two-clusters");
    let (key, value) = east.resources("nodes/east-1").remove(0);
    world.etcd.put(key, value.to_string());
    let seen = world.json(&[]);
    assert_eq!((codes(&seen), &seen["audit"]["scope"]), (["IPA508"].into(), &json!("shared")), "{seen:#}");
}

/// `--scope exclusive` is remembered for this pair of datastore and cluster until `--scope auto` is said.
#[test]
fn the_scope_is_remembered() {
    servers::need!(Etcd3_7);
    let mut world = World::of("two-clusters");
    let db = world.folder.path().join("history.db").to_str().unwrap().to_owned();
    let scope = |world: &World, args: &[&str]| {
        let seen = world.json(&[&["--db", &db], args].concat());
        (seen["audit"]["scope"].as_str().unwrap().to_owned(), codes(&seen).contains("IPA409"))
    };
    assert_eq!(scope(&world, &[]), ("shared".to_owned(), false));
    assert_eq!(scope(&world, &["--scope", "exclusive"]), ("exclusive".to_owned(), true));
    assert_eq!(scope(&world, &[]), ("exclusive".to_owned(), true), "remembered");
    let ours = world.objects.clone();
    become_the_other_cluster(&mut world, "east-");
    assert_eq!(scope(&world, &[]), ("shared".to_owned(), false), "said of the pair, not of the datastore");
    world.objects = ours;
    assert_eq!(scope(&world, &["--scope", "auto"]), ("shared".to_owned(), false), "forgotten");
    assert_eq!(scope(&world, &[]), ("shared".to_owned(), false));
}

/// The keys that a datastore has before the first pod: nodes, pools, configuration.
fn without_pods(world: &World) {
    for prefix in ["/calico/ipam/", "/calico/resources/v3/projectcalico.org/workloadendpoints/"] {
        world.etcd.delete_prefix(prefix);
    }
    for (key, mut node) in world.resources("nodes/") {
        let spec = node["spec"].as_object_mut().unwrap();
        spec.retain(|name, _| !name.contains("Tunnel") && name != "wireguard");
        spec["bgp"].as_object_mut().unwrap().retain(|name, _| !name.contains("Tunnel"));
        world.etcd.put(key, node.to_string());
    }
}

#[test]
fn a_datastore_without_any_pod() {
    servers::need!(Etcd3_7);
    let mut world = World::of("clean-small");
    without_pods(&world);
    world.keep(&["Node"]);
    let list = |kind: &str, items: &[Value]| json!({ "apiVersion": "v1", "kind": kind, "items": items });
    let [nodes, none] = [list("NodeList", &world.objects), list("PodList", &[])];
    let services = list("ServiceList", &[]);
    let empty = world.audit_with(&[nodes.clone(), none, services.clone()], &["-o", "json"]);
    let seen = document(&empty);
    assert_eq!((codes(&seen), skipped(&seen), empty.status.code()), ([].into(), [].into(), Some(0)), "{seen:#}");
    assert_eq!((&seen["counts"]["pods"], &seen["counts"]["allocated"]), (&json!(0), &json!(0)));

    // No list of pods is no empty list of pods.
    let unasked = world.audit_with(&[nodes, services], &["-o", "json"]);
    let seen = document(&unasked);
    assert_eq!((codes(&seen), unasked.status.code()), (BTreeSet::new(), Some(3)), "{seen:#}");
    assert!(skipped(&seen).contains("IPA110") && seen["counts"]["pods"].is_null());
}

/// Everything is allocated and nobody lives: leaked if that is said, unknown if nothing was said.
#[test]
fn allocations_but_no_pod() {
    servers::need!(Etcd3_7);
    let mut world = World::of("clean-small");
    let services: Vec<Value> = world.of_kind("Service").map(|s| s.clone()).collect();
    world.keep(&["Node"]);
    let list = |kind: &str, items: &[Value]| json!({ "apiVersion": "v1", "kind": kind, "items": items });
    let lists = [list("NodeList", &world.objects), list("ServiceList", &services)];
    let unasked = world.audit_with(&lists, &["-o", "json"]);
    assert_eq!((codes(&document(&unasked)), unasked.status.code()), (BTreeSet::new(), Some(3)));
    let [nodes, services] = lists;
    let empty = world.audit_with(&[nodes, services, list("PodList", &[])], &["-o", "json"]);
    let seen = document(&empty);
    assert_eq!(empty.status.code(), Some(1));
    // The machines' InternalIPs pair the two, though no pod has an endpoint.
    assert!(codes(&seen).contains("IPA110") && codes(&seen).contains("IPA501"), "{seen:#}");
    assert!(!codes(&seen).contains("IPA905"));
}
