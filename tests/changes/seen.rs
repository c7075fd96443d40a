//! What costs a full read of the history, each by itself, and what it is told as.

use std::os::unix::fs::MetadataExt;

use super::servers::{self, Etcd, EtcdVersion};
use super::world::World;

const HANDLE: &str = "/calico/ipam/v2/handle/k8s-pod-network.aaaa";

/// A world that was audited.
fn audited() -> World {
    let world = World::of(Etcd::start(EtcdVersion::V3_7), "leaked-pods");
    assert!(world.compare_told().1.starts_with("full (no earlier audit of this cluster), "));
    assert_eq!(world.compare_told().1, "what changed, 0 rows");
    world
}

#[test]
fn fingerprints_that_are_lost_damaged_or_of_another_audit_are_not_believed() {
    servers::need!(Etcd3_7);
    let world = audited();
    let seen = std::fs::read(world.seen()).unwrap();
    let bits = seen.len() * 8;
    for flip in 0..24 {
        let mut bytes = std::fs::read(world.seen()).unwrap();
        let place = (flip * 7_919 + flip * bits / 24) % bits;
        bytes[place / 8] ^= 1 << (place % 8);
        std::fs::write(world.seen(), bytes).unwrap();
        let told = world.compare_told().1;
        assert!(told.starts_with("full (the fingerprints are not those of the last audit), "), "bit {place}: {told}");
    }
    std::fs::write(world.seen(), &seen).unwrap();
    assert!(world.compare_told().1.starts_with("full (the fingerprints are not"), "those of an earlier audit");
    std::fs::remove_file(world.seen()).unwrap();
    assert!(world.compare_told().1.starts_with("full (the last audit left no fingerprints), "));
    assert_eq!(world.compare_told().1, "what changed, 0 rows");
}

#[test]
fn a_copy_of_the_history_that_went_another_way_is_read_in_full() {
    servers::need!(Etcd3_7);
    let world = audited();
    let (own, copy) = (world.db("history.db"), world.db("copy.db"));
    std::fs::copy(&own, &copy).unwrap();
    world.etcd.put(HANDLE, r#"{"block":{"10.65.0.0/26":1}}"#);
    assert_eq!(world.compare_told().1, "what changed, 0 rows", "a key that was not there");
    // The copy has its own audit of this number, which saw the handle too, and no other one of the pods' addresses.
    world.remove_a_pod_into(&world.db("other.json"));
    let there = World { objects: world.db("other.json"), ..world };
    there.run(&copy, &there.etcd.endpoint(), &[]);
    std::fs::copy(&copy, &own).unwrap();
    assert!(there.compare_told().1.starts_with("full (the fingerprints are not those of the last audit), "));
}

#[test]
fn an_audit_that_finds_everything_as_it_was_leaves_another_seal_alone() {
    servers::need!(Etcd3_7);
    let world = audited();
    let file = || std::fs::metadata(world.seen()).unwrap().ino();
    let (before, inode) = (std::fs::read(world.seen()).unwrap(), file());
    assert_eq!(world.compare_told().1, "what changed, 0 rows");
    let after = std::fs::read(world.seen()).unwrap();
    assert_eq!((file(), before.len()), (inode, after.len()));
    assert_eq!(before[48..], after[48..]);
    assert_ne!(before[..48], after[..48]);
}

#[test]
fn what_is_hidden_leaves_no_fingerprints() {
    servers::need!(Etcd3_7);
    let world = audited();
    let (key, value) = world.etcd.list("/calico/ipam/v2/assignment/ipv4/block/").remove(0);
    world.etcd.put(key.clone(), "{");
    assert!(world.compare_told().1.starts_with("what changed, "));
    assert!(world.compare_told().1.starts_with("full (the fingerprints are not those of the last audit), "));
    world.etcd.put(key, value);
    assert!(world.compare_told().1.starts_with("full (the fingerprints are not those of the last audit), "));
    assert_eq!(world.compare_told().1, "what changed, 0 rows");
}

#[test]
fn who_wants_everything_read_reads_the_history_too() {
    servers::need!(Etcd3_7);
    let world = audited();
    let run =
        |args: &[&str]| super::world::past_reading(&world.run(&world.db("history.db"), &world.etcd.endpoint(), args));
    assert!(run(&["--full"]).starts_with("full (--full), "));
    assert_eq!(run(&[]), "what changed, 0 rows");
    world.etcd.restart();
    assert_eq!(run(&[]), "what changed, 0 rows", "what is in doubt about etcd is none about the history");
}

/// What such an audit does not read it does not close, and so its rows need not be read either.
#[test]
fn without_kubernetes_what_changed_is_enough() {
    servers::need!(Etcd3_7);
    let kubernetes = |world: &World, asked: bool| {
        world.alone.set(!asked);
        world.compare_told().1
    };
    // Of a cluster that is known.
    let world = audited();
    assert_eq!(kubernetes(&world, false), "what changed, 0 rows");
    world.etcd.delete(HANDLE);
    assert!(kubernetes(&world, false).starts_with("what changed, "));
    // What is known of pods is kept meanwhile.
    world.remove_a_pod_into(&world.db("fewer.json"));
    let world = World { objects: world.db("fewer.json"), ..world };
    assert!(kubernetes(&world, true).starts_with("what changed, "));
    // Of one that nobody knows: nothing of it is ever closed.
    let world = World::of(Etcd::start(EtcdVersion::V3_7), "leaked-pods");
    assert!(kubernetes(&world, false).starts_with("full (no earlier audit of this cluster), "));
    let (block, value) = world.etcd.list("/calico/ipam/v2/assignment/ipv4/block/").remove(0);
    world.etcd.delete(block.clone());
    assert!(kubernetes(&world, false).starts_with("what changed, "));
    world.etcd.put(block, value);
    assert!(kubernetes(&world, false).starts_with("what changed, "));
    assert_eq!(kubernetes(&world, false), "what changed, 0 rows");
}

/// An audit that is the first to read the pods has to know which of them are recorded.
#[test]
fn who_reads_the_pods_again_after_a_full_audit_without_reads_the_history_in_full() {
    servers::need!(Etcd3_7);
    let world = audited();
    world.alone.set(true);
    std::fs::remove_file(world.seen()).unwrap();
    assert!(world.compare_told().1.starts_with("full (the last audit left no fingerprints), "));
    assert_eq!(world.compare_told().1, "what changed, 0 rows");
    world.alone.set(false);
    assert!(world.compare_told().1.starts_with("full (the last audit did not read the pods), "));
    assert_eq!(world.compare_told().1, "what changed, 0 rows");
}
