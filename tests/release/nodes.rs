//! What a node's kernel shows in use is never released, whatever etcd says; no evidence ever allows a release, and what could not
//! be read of a node that was asked is no silence of it.

use serde_json::{Value, json};

use super::servers::{self, EtcdVersion};
use super::world::{BLOCK, World};

const CALI: &str = "cali12345678901";

fn now() -> String {
    chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

/// A capture of `node-1`, of now, with an interface of a pod that lives there and one that no endpoint has.
fn capture(world: &World, change: impl FnOnce(&mut Value)) -> String {
    let link =
        |i: u32, name: &str| json!({"i": i, "name": name, "kind": "veth", "up": true, "carrier": true, "seen": 3});
    let mut document = json!({
        "kind": "NodeEvidence", "version": 1, "node": "node-1", "times": [now()], "readings": 2,
        "links": {"read": [link(1, "lo"), link(8, "caliresident-1"), link(9, CALI)]},
        "routes4": {"read": []},
    });
    change(&mut document);
    let path = world.folder.path().join("node-1.json");
    std::fs::write(&path, document.to_string()).unwrap();
    path.display().to_string()
}

fn route(dst: &str, dev: &str) -> Value {
    json!({"dst": dst, "hops": [{"dev": dev}], "metric": 1024, "proto": "boot", "seen": 3})
}

/// Each way in which a node has an address, through the command that would give it back.
#[test]
fn an_address_that_a_node_has_in_any_way_stays() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let (gone, address) = world.leak("gone", "node-1", BLOCK);
    let refuses = |why: &str, change: &dyn Fn(&mut Value)| {
        let refused = world.force(&["--handle", &gone.handle(), "--node-evidence", &capture(&world, change)]);
        refused.refused(3);
        assert!(refused.stdout.contains(why), "{why}: {refused:?}");
    };
    let host = format!("{address}/32");
    let routed = format!("node node-1, whose kernel routes it to interface {CALI}");
    refuses(&routed, &|c| c["routes4"] = json!({"read": [route(&host, CALI)]}));
    refuses(&routed, &|c| c["routes4"] = json!({"read": [route(BLOCK, CALI)]}));
    // Seen by one reading, or by a list that was torn behind it.
    refuses(&routed, &|c| {
        let mut once = route(&host, CALI);
        once["seen"] = json!(1);
        c["routes4"] = json!({"read": [once]});
    });
    refuses(&routed, &|c| c["routes4"] = json!({"read": [route(&host, CALI)], "notRead": "torn"}));
    // Links that were not read do not say that the interface is gone.
    refuses(&routed, &|c| {
        c["links"] = json!({"notRead": "errno 13"});
        c["routes4"] = json!({"read": [route(&host, CALI)]});
    });
    // Old evidence says nothing of now, and forbids all the same.
    refuses(&routed, &|c| {
        c["times"] = json!(["2020-01-01T00:00:00Z"]);
        c["routes4"] = json!({"read": [route(&host, CALI)]});
    });
    refuses("node node-1 itself, on interface lo", &|c| {
        let mut local = route(&host, "lo");
        (local["type"], local["table"]) = (json!("local"), json!(255));
        c["routes4"] = json!({"read": [local]});
    });
    refuses("node node-1 itself, on interface eth0", &|c| {
        c["addresses"] = json!({"read": [{"dev": "eth0", "ip": address, "prefix": 24, "seen": 3}]});
    });
    let inside = json!({"hostLink": 9, "namespace": "shop", "pod": "left", "addresses": {"read": [address]}});
    refuses(&format!("the network namespace of shop/left on node node-1, behind interface {CALI}"), &|c| {
        c["inside"] = json!({"means": "netns", "pods": {"read": [inside]}});
    });
    let dry = world.release(&[
        "--handle",
        &gone.handle(),
        "--skip-age",
        "--node-evidence",
        &capture(&world, |c| {
            c["routes4"] = json!({"read": [route(&host, CALI)]});
        }),
    ]);
    assert!(dry.stdout.contains(&format!("interface {CALI}")), "{dry:?}");
    // Of another address it says nothing, and the leak goes as ever.
    let other = capture(&world, |c| c["routes4"] = json!({"read": [route("10.65.0.60/32", CALI)]}));
    world.force(&["--handle", &gone.handle(), "--node-evidence", &other]).done(1);
}

/// Who asked what the node has is not given the answer that it has nothing.
#[test]
fn what_could_not_be_read_or_does_not_count_is_no_silence() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let (gone, _) = world.leak("gone", "node-1", BLOCK);
    let (elsewhere, _) = world.leak("elsewhere", "node-2", super::world::OTHER);
    let refuses = |why: &str, change: &dyn Fn(&mut Value)| {
        let refused = world.force(&["--handle", &gone.handle(), "--node-evidence", &capture(&world, change)]);
        refused.refused(3);
        let cure = "capture it again, or go without --node-evidence";
        assert!(refused.stdout.contains(why) && refused.stdout.contains(cure), "{why}: {refused:?}");
    };
    let unread = |list: &'static str| move |c: &mut Value| c[list] = json!({"notRead": "EPERM"});
    refuses("IPv4 routes not read: EPERM", &unread("routes4"));
    refuses("links not read: EPERM", &unread("links"));
    refuses("neighbours not read: EPERM", &unread("neighbours"));
    refuses("IPv4 routes read in part: EPERM", &|c| {
        c["routes4"] = json!({"read": [route("10.65.0.60/32", CALI)], "notRead": "EPERM"});
    });
    refuses("minutes old", &|c| c["times"] = json!(["2020-01-01T00:00:00Z"]));
    refuses("not one of the node's endpoints is among its interfaces", &|c| {
        c["links"] = json!({"read": [{"i": 1, "name": "lo", "seen": 3}, {"i": 2, "name": CALI, "seen": 3}]});
    });
    // In words, with its cure.
    let path = capture(&world, unread("routes4"));
    let table = world.release(&["--handle", &gone.handle(), "--skip-age", "--yes", "--node-evidence", &path]);
    let words = "whether the kernel of node-1 holds it is not known, IPv4 routes not read: EPERM";
    assert!(table.stdout.split_whitespace().collect::<Vec<_>>().join(" ").contains(words), "{table:?}");
    assert_eq!(table.code, 1, "{table:?}");
    // It is asked of this node alone. A capture of every node has one of it, whole, or says nothing of it.
    world.force(&["--handle", &elsewhere.handle(), "--node-evidence", &path]).done(1);
    let folder = world.folder.path().join("captures");
    std::fs::create_dir(&folder).unwrap();
    std::fs::rename(&path, folder.join("cut.json")).unwrap();
    let whole = std::fs::read(folder.join("cut.json")).unwrap();
    std::fs::write(folder.join("cut.json"), &whole[..whole.len() / 2]).unwrap();
    let of_other = capture(&world, |c| {
        c["node"] = json!("node-2");
        c["links"]["read"][1]["name"] = json!("caliresident-2");
    });
    std::fs::rename(of_other, folder.join("node-2.json")).unwrap();
    let folder = folder.display().to_string();
    let refused = world.force(&["--handle", &gone.handle(), "--node-evidence", &folder]);
    refused.refused(3);
    assert!(refused.stdout.contains("there is no evidence of it"), "{refused:?}");
    // Without it nobody asked.
    world.force(&["--handle", &gone.handle()]).done(1);
}

#[test]
fn evidence_that_shows_nothing_allows_nothing() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let (lives, _) = world.live("lives", "node-1", BLOCK);
    let nothing = capture(&world, |_| ());
    world.force(&["--handle", &lives.handle(), "--node-evidence", &nothing]).refused(3);
    let absent = world.release(&["--handle", &lives.handle(), "--node-evidence", "/nonexistent/x"]);
    assert_eq!(absent.code, 2, "what was asked for and cannot be read is no silence: {absent:?}");
}
