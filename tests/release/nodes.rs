//! What a node's kernel shows in use is never released, whatever etcd says; and no evidence ever allows a release.

use serde_json::json;

use super::servers::{self, EtcdVersion};
use super::world::{BLOCK, World};

/// A capture of `node-1` that routes this address to an interface that exists.
fn capture(world: &World, address: &str, time: &str) -> String {
    let document = json!({
        "kind": "NodeEvidence", "version": 1, "node": "node-1", "times": [time], "readings": 2,
        "links": {"read": [{"i": 9, "name": "cali12345678901", "kind": "veth", "up": true, "carrier": true, "seen": 3}]},
        "routes4": {"read": [
            {"dst": format!("{address}/32"), "hops": [{"dev": "cali12345678901"}], "metric": 1024, "proto": "boot", "seen": 3}
        ]},
    });
    let path = world.folder.path().join("node-1.json");
    std::fs::write(&path, document.to_string()).unwrap();
    path.display().to_string()
}

#[test]
fn an_address_that_a_node_routes_to_a_pod_stays() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let (gone, address) = world.leak("gone", "node-1", BLOCK);
    // Old evidence says nothing of now, and forbids all the same.
    let seen = capture(&world, &address, "2020-01-01T00:00:00Z");
    let refused = world.force(&["--handle", &gone.handle(), "--node-evidence", &seen]);
    refused.refused(3);
    let words = "node node-1, whose kernel routes it to interface cali12345678901";
    assert!(refused.stdout.contains(words), "{refused:?}");
    let dry = world.release(&["--handle", &gone.handle(), "--skip-age", "--node-evidence", &seen]);
    assert!(dry.stdout.contains("interface cali12345678901"), "{dry:?}");
    // Of another address it says nothing, and the leak goes as ever.
    let other = capture(&world, "10.65.0.60", "2020-01-01T00:00:00Z");
    world.force(&["--handle", &gone.handle(), "--node-evidence", &other]).done(1);
}

#[test]
fn evidence_that_shows_nothing_allows_nothing() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let (lives, _) = world.live("lives", "node-1", BLOCK);
    let nothing = capture(&world, "10.65.0.60", "2020-01-01T00:00:00Z");
    world.force(&["--handle", &lives.handle(), "--node-evidence", &nothing]).refused(3);
    let absent = world.release(&["--handle", &lives.handle(), "--node-evidence", "/nonexistent/x"]);
    assert_eq!(absent.code, 2, "what was asked for and cannot be read is no silence: {absent:?}");
}
