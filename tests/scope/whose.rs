//! An etcd that Calico left, host-local IPAM, a machine's former name, nodes without their Calico Node.

use std::collections::BTreeSet;
use std::process::Output;

use serde_json::{Value, json};

use super::servers::command::{ipaudit, json as document, stderr};
use super::small::{GUID, NOW, Small, handle};
use super::{World, codes, found, outside, servers, skipped};

const LATER: [&str; 3] = ["2026-11-24T12:20:00Z", "2026-11-24T12:30:00Z", "2026-11-24T12:40:00Z"];

impl World {
    fn db(&self) -> String {
        self.folder.path().join("history.db").to_str().unwrap().to_owned()
    }

    /// An audit that is recorded, at another time.
    fn recorded(&mut self, now: &str) -> Value {
        now.clone_into(&mut self.now);
        let db = self.db();
        self.json(&["--db", &db])
    }

    /// A dry release by the history of [`World::recorded`].
    fn release(&self, args: &[&str]) -> Output {
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": self.objects });
        let file = self.folder.path().join("now.json");
        std::fs::write(&file, list.to_string()).unwrap();
        let mut command = ipaudit();
        command.env_remove("IPAUDIT_NO_HISTORY").args(["release", "-o", "json", "--db", &self.db()]);
        command
            .args(["--etcd-endpoints", &self.etcd.endpoint(), "--kube-objects"])
            .arg(file)
            .args(args)
            .output()
            .unwrap()
    }
}

/// What speaks against a release: rule and words.
fn refusals(output: &Output) -> Vec<(u64, String)> {
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let list = plan["plan"]["refused"].as_array().unwrap().iter();
    list.map(|r| (r["rule"].as_u64().unwrap(), r["words"].as_str().unwrap_or_default().to_owned())).collect()
}

fn root<'d>(document: &'d Value, subject: &str) -> Option<(&'d str, &'d str)> {
    let findings = document["findings"].as_array().unwrap();
    let root = &findings.iter().find(|f| f["subject"]["id"] == subject).unwrap()["root"];
    Some((root["code"].as_str()?, root["id"].as_str()?))
}

fn text(world: &World) -> String {
    let text = String::from_utf8(world.audit(&[]).stdout).unwrap();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

// ---- an etcd that Calico left ----

const LEFT: &str = "this cluster's Calico keeps its data in Kubernetes, not in this etcd";

/// One pod of before with all that Calico had of it, one of today with nothing here.
fn left(annotated: bool) -> World {
    let mut small = Small::new();
    small.node("n1", 1);
    small.workload("agent-0", "n1", 1, 1);
    let pod = small.pod("new-0", "n1", "10.44.16.30", "2026-11-04T12:12:50Z");
    if annotated {
        pod["metadata"]["annotations"] = json!({
            "cni.projectcalico.org/podIP": "10.44.16.30/32", "cni.projectcalico.org/podIPs": "10.44.16.30/32" });
    }
    small.world()
}

#[test]
fn an_etcd_that_calico_left_is_not_this_clusters() {
    servers::need!(Etcd3_7);
    let world = left(true);
    let output = world.audit(&["-o", "json"]);
    let seen = document(&output);
    assert_eq!((found(&seen), output.status.code()), ([("IPA905", GUID)].into(), Some(3)), "{}", stderr(&output));
    assert_eq!(seen["findings"][0]["summary"], LEFT);
    let of_pods = skipped(&seen);
    assert!(["IPA110", "IPA116", "IPA120", "IPA409", "IPA505"].iter().all(|code| of_pods.contains(code)));
    assert!(text(&world).contains("restarting pods cures nothing"));
    // Without these annotations the very same is a pod that lost its endpoint and its allocation.
    let control = left(false).json(&[]);
    assert_eq!(found(&control), [("IPA120", "10.44.16.30"), ("IPA505", "shop/new-0")].into());
}

/// Names, addresses and the history are those of the time when the two were a pair.
#[test]
fn the_history_of_a_pair_does_not_hide_that_calico_left() {
    servers::need!(Etcd3_7);
    let mut world = left(true);
    let new = world.objects.pop().unwrap();
    assert_eq!(codes(&world.recorded(NOW)), BTreeSet::new());
    world.objects.retain(|o| o["metadata"]["name"] != "agent-0");
    world.objects.push(new);
    for now in LATER {
        assert_eq!(found(&world.recorded(now)), [("IPA905", GUID)].into());
    }
    let before = world.etcd.revision();
    for args in [&["--handle", &handle("agent-0"), "--skip-age"][..], &["--code", "IPA110", "--older-than", "1s"]] {
        let output = world.release(args);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(refusals(&output).iter().any(|(rule, words)| *rule == 2 && words.contains(LEFT)), "{output:?}");
    }
    assert_eq!(world.etcd.revision(), before);
}

// ---- host-local IPAM ----

/// Two nodes with host-local IPAM, and an allocation of the day on which calico-ipam was tried.
fn host_local(pod_cidrs: bool) -> World {
    let mut small = Small::new();
    for (n, node) in [(1, "h1"), (2, "h2")] {
        small.kube_node(node, n, "2026-08-16T12:12:50Z");
        small.calico_node(node, node, n, "2026-08-16T12:12:50Z");
        if pod_cidrs {
            small.objects.last_mut().unwrap()["spec"] = json!({ "podCIDR": format!("10.44.{n}.0/24") });
        }
        for ordinal in 10..13 {
            let (pod, address) = (format!("now{n}-{ordinal}"), format!("10.44.{n}.{ordinal}"));
            small.endpoint(&pod, node, &address, "2026-11-21T12:12:50Z");
            small.pod(&pod, node, &address, "2026-11-21T12:12:50Z");
        }
    }
    small.block("h1", 3);
    small.allocate("then", "h1", 3, 40, "2026-10-25T12:12:50Z");
    small.world()
}

#[test]
fn host_local_ipam_is_one_note_at_the_first_audit_whatever_lies_about() {
    servers::need!(Etcd3_7);
    let mut world = host_local(true);
    let seen = world.json(&[]);
    assert_eq!(found(&seen), [("IPA908", GUID), ("IPA110", "10.44.48.40")].into(), "{seen:#}");
    let note = seen["findings"].as_array().unwrap().iter().find(|f| f["code"] == "IPA908").unwrap();
    assert_eq!((&note["severity"], &note["state"]), (&json!("note"), &json!("confirmed")));
    // With a history it says the same.
    for now in [NOW, LATER[0]] {
        assert_eq!(codes(&world.recorded(now)), ["IPA110", "IPA908"].into());
    }
}

/// No podCIDR explains the addresses: whoever wiped IPAM's data left six pods without allocations.
#[test]
fn a_wiped_ipam_stays_critical() {
    servers::need!(Etcd3_7);
    let seen = host_local(false).json(&[]);
    let lost = found(&seen).into_iter().filter(|(code, _)| *code == "IPA120").count();
    assert_eq!((lost, codes(&seen).contains("IPA908")), (6, false), "{seen:#}");
}

// ---- a machine's former name ----

/// n2 was n2.corp until it was renamed; the endpoint and the allocation of a pod that is gone are left.
fn renamed(others: bool) -> World {
    let mut small = Small::new();
    small.kube_node("n2.int", 2, "2026-11-24T07:12:50Z");
    small.calico_node("n2.int", "n2.int", 2, "2026-11-24T07:12:50Z");
    small.calico_node("n2.corp", "n2.corp", 2, "2026-01-28T12:12:50Z");
    small.block("n2.corp", 3);
    small.block("n2.int", 4);
    small.allocate("old-0", "n2.corp", 3, 1, "2026-11-19T12:12:50Z");
    small.endpoint("old-0", "n2.corp", "10.44.48.1", "2026-11-19T12:12:50Z");
    small.allocate("web-1", "n2.int", 4, 1, "2026-11-24T08:12:50Z");
    small.endpoint("web-1", "n2.int", "10.44.64.1", "2026-11-24T08:12:50Z");
    small.pod("web-1", "n2.int", "10.44.64.1", "2026-11-24T08:12:50Z");
    if others {
        // Another cluster's node: the ExternalIP of all of them is that of one NAT.
        small.calico_node("east-1", "east-1", 9, "2026-01-28T12:12:50Z");
        small.block("east-1", 9);
        small.allocate("theirs", "east-1", 9, 1, "2026-02-19T12:12:50Z");
    }
    small.world()
}

const RENAMED: [(&str, &str); 3] =
    [("IPA409", "n2.corp"), ("IPA110", "10.44.48.1"), ("IPA501", "shop/n2.corp-k8s-old--0-eth0")];

#[test]
fn a_machines_former_name_is_departed_and_no_other_cluster() {
    servers::need!(Etcd3_7);
    let seen = renamed(false).json(&[]);
    assert_eq!(found(&seen), RENAMED.into(), "{seen:#}");
    assert_eq!((&seen["audit"]["scope"], outside(&seen)), (&json!("exclusive"), (0, 0)));
    // Others in the datastore change nothing of that, and are left alone.
    let shared = renamed(true).json(&[]);
    assert_eq!(found(&shared), RENAMED.into(), "{shared:#}");
    assert_eq!((&shared["audit"]["scope"], outside(&shared)), (&json!("shared"), (1, 1)));
}

/// Departed since the audit that first saw it so: the hour of the release counts from there.
#[test]
fn a_former_name_is_gone_since_the_audit_that_first_saw_it() {
    servers::need!(Etcd3_7);
    let mut world = renamed(true);
    let gone_since = |world: &World| -> Option<i64> {
        let db = rusqlite::Connection::open(world.folder.path().join("history.db")).unwrap();
        let what = "SELECT d.gone_since FROM node d JOIN name n ON n.id = d.name WHERE n.text = 'n2.corp'";
        db.query_row(what, [], |row| row.get(0)).unwrap()
    };
    let at = |text: &str| chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_nanos_opt();
    world.recorded(NOW);
    world.recorded(LATER[0]);
    assert_eq!(gone_since(&world), at(NOW));
    // Files cannot be asked once more, whatever the history knows.
    let output = world.release(&["--handle", &handle("old-0"), "--skip-age"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(refusals(&output).iter().all(|(_, words)| words.contains("needs the live API")), "{output:?}");
}

/// A pod that started under the other name after the known node was there: that name lives.
#[test]
fn a_name_under_which_something_is_younger_lives() {
    servers::need!(Etcd3_7);
    let world = renamed(false);
    let prefix = "/calico/resources/v3/projectcalico.org/workloadendpoints/shop/";
    let key = format!("{prefix}n2.corp-k8s-old--0-eth0");
    let value = String::from_utf8(world.etcd.get(key.clone()).unwrap().value).unwrap();
    world.etcd.put(key, value.replace("2026-11-19T12:12:50Z", "2026-11-24T09:00:00Z"));
    let seen = world.json(&[]);
    assert_eq!(found(&seen), [("IPA906", GUID)].into(), "{seen:#}");
    assert_eq!(outside(&seen), (1, 1));
}

// ---- nodes without their Calico Node ----

const NODES: [(&str, u8); 4] = [("k1", 1), ("k2", 2), ("k3", 3), ("k4", 4)];

/// Four nodes with two pods each, and a leak on k3.
fn four() -> World {
    let mut small = Small::new();
    for (node, n) in NODES {
        small.node(node, n);
        small.workload(&format!("{node}-a"), node, n, 1);
        small.workload(&format!("{node}-b"), node, n, 2);
    }
    small.allocate("gone-0", "k3", 3, 9, "2026-11-16T12:12:50Z");
    small.world()
}

fn forget(world: &World, node: &str) {
    assert!(world.etcd.delete(format!("{}nodes/{node}", super::RESOURCES)));
}

#[test]
fn a_node_that_lost_its_calico_node_is_ours_and_its_outage_an_error() {
    servers::need!(Etcd3_7);
    let world = four();
    forget(&world, "k3");
    let output = world.audit(&["-o", "json"]);
    let seen = document(&output);
    let endpoints = ["shop/k3-k8s-k3--a-eth0", "shop/k3-k8s-k3--b-eth0"];
    let expected = [("IPA410", "k3"), ("IPA508", endpoints[0]), ("IPA508", endpoints[1]), ("IPA110", "10.44.48.9")];
    assert_eq!((found(&seen), output.status.code()), (expected.into(), Some(1)), "{seen:#}");
    assert!(endpoints.iter().all(|e| root(&seen, e) == Some(("IPA410", "k3"))), "{seen:#}");
    assert_eq!(outside(&seen), (0, 0));
    assert!(!text(&world).contains("outside this cluster"));
    // In a datastore that others use too, all the same.
    let (key, value) = renamed(true).resources("nodes/east-1").remove(0);
    world.etcd.put(key, value.to_string());
    let shared = world.json(&[]);
    assert_eq!(found(&shared), expected.into(), "{shared:#}");
    assert_eq!((&shared["audit"]["scope"], outside(&shared)), (&json!("shared"), (0, 1)));
}

/// Three of four are three outages, and no wrong kubeconfig, once the two are known to be a pair.
#[test]
fn many_lost_calico_nodes_are_many_outages_when_the_pair_is_known() {
    servers::need!(Etcd3_7);
    let mut world = four();
    let nodes = ["k2", "k3", "k4"];
    assert_eq!(codes(&world.recorded(NOW)), ["IPA110"].into());
    nodes.iter().for_each(|node| forget(&world, node));
    let strangers = world.json(&[]);
    assert_eq!(codes(&strangers), ["IPA508", "IPA905"].into(), "without the history nobody can know");
    let seen = world.recorded(LATER[0]);
    let lost: Vec<&str> =
        found(&seen).into_iter().filter(|(code, _)| *code == "IPA410").map(|(_, node)| node).collect();
    assert_eq!((lost, codes(&seen)), (nodes.to_vec(), ["IPA110", "IPA410", "IPA508"].into()), "{seen:#}");
    forget(&world, "k1");
    assert_eq!(codes(&world.recorded(LATER[1])), ["IPA110", "IPA410", "IPA508"].into(), "even all of them");
}

/// Calico called it otherwise than Kubernetes; what said so went with the Calico Node, and the history remembers.
#[test]
fn the_history_remembers_which_node_a_host_is() {
    servers::need!(Etcd3_7);
    let mut small = Small::new();
    small.node("k1", 1);
    small.workload("web-0", "k1", 1, 1);
    small.kube_node("k2.example", 2, "2026-08-16T12:12:50Z");
    small.calico_node("k2", "k2.example", 2, "2026-08-16T12:12:50Z");
    small.block("k2", 2);
    small.allocate("gone-0", "k2", 2, 9, "2026-11-16T12:12:50Z");
    let mut world = small.world();
    world.recorded(NOW);
    forget(&world, "k2");
    let seen = world.recorded(LATER[0]);
    assert_eq!((found(&seen), outside(&seen)), ([("IPA110", "10.44.32.9")].into(), (0, 0)), "{seen:#}");
    // Long gone by then, if it were gone: a machine that Kubernetes knows is not.
    assert_eq!(codes(&world.recorded("2026-11-25T12:00:00Z")), ["IPA110", "IPA904"].into());
    world.objects.retain(|o| o["metadata"]["name"] != "k2.example");
    world.recorded("2026-11-25T12:10:00Z");
    assert!(codes(&world.recorded("2026-11-25T13:00:00Z")).contains("IPA406"));
}
