//! What costs a full read, each by itself, and what it is told as.

use super::servers::command::{json, stderr};
use super::servers::etcd_users::READER;
use super::servers::{self, Etcd, EtcdVersion, block_on, unique_name};
use super::world::{World, decoded, reading};

const BOTH: [EtcdVersion; 2] = [EtcdVersion::V3_4, EtcdVersion::V3_7];
const HANDLE: &str = "/calico/ipam/v2/handle/k8s-pod-network.aaaa";

fn full(why: &str) -> (String, String) {
    ("full".to_owned(), why.to_owned())
}

/// A world that was audited.
fn audited(version: EtcdVersion) -> World {
    let world = World::of(Etcd::start(version), "leaked-pods");
    assert_eq!(world.compare(), full("no earlier audit left its state"));
    world
}

#[test]
fn an_audit_goes_on_from_the_last_one() {
    servers::need!(Etcd3_4, Etcd3_7);
    for version in BOTH {
        let world = audited(version);
        let revision = world.etcd.revision();
        assert_eq!(world.compare(), ("unchanged".to_owned(), format!("since revision {revision}")));
        world.etcd.put(HANDLE, r#"{"block":{"10.65.0.0/26":1}}"#);
        let first = world.audit();
        assert_eq!((reading(&first).0.as_str(), decoded(&first)), ("watch", 1), "{version:?}");
        world.etcd.delete(HANDLE);
        let second = world.audit();
        assert_eq!((reading(&second).0.as_str(), decoded(&second)), ("watch", 0), "{version:?}");
        assert_eq!(world.compare().0, "watch", "the last write that is known is watched again");
        world.etcd.put("/elsewhere", "noise");
        assert_eq!(world.compare().0, "watch");
    }
}

#[test]
fn a_restarted_a_restored_and_another_etcd_are_read_in_full() {
    servers::need!(Etcd3_4, Etcd3_7);
    for version in BOTH {
        let world = audited(version);
        world.etcd.restart();
        assert_eq!(world.compare(), full("etcd's raft term changed"), "{version:?}");
        assert_eq!(world.compare().0, "unchanged");
        let backup = world.etcd.snapshot_save();
        world.etcd.put(HANDLE, r#"{"block":{"10.65.0.0/26":1}}"#);
        assert_eq!(world.compare().0, "watch");
        world.etcd.restore(&backup);
        assert_eq!(world.compare(), full("etcd's revision went back"), "{version:?}");
        assert_eq!(world.compare(), full("no earlier audit left its state"), "after IPA903");
        world.etcd.restore_with(&backup, &["--initial-cluster-token", &unique_name("token")]);
        assert_eq!(world.compare(), full("etcd is another cluster"), "{version:?}");
    }
}

/// The same ids and term, and a revision beyond the one that was seen: nothing but the keys tells.
#[test]
fn a_restore_that_was_overtaken_is_seen_by_the_last_writes() {
    servers::need!(Etcd3_4, Etcd3_7);
    for version in BOTH {
        for compacted in [false, true] {
            let world = audited(version);
            let backup = world.etcd.snapshot_save();
            world.etcd.put(HANDLE, r#"{"block":{"10.65.0.0/26":1}}"#);
            world.etcd.put("/elsewhere", "1");
            assert_eq!(world.compare().0, "watch");
            let seen = world.etcd.revision();
            world.etcd.restore(&backup);
            world.etcd.put(HANDLE, r#"{"block":{"10.65.0.0/26":2}}"#);
            while world.etcd.revision() <= seen {
                world.etcd.put("/elsewhere", "2");
            }
            if compacted {
                world.etcd.compact(world.etcd.revision());
            }
            let (by, why) = world.compare();
            assert_eq!(by, "full", "{version:?} {compacted}");
            assert!(compacted || why == "etcd tells another story of what the last audit saw", "{why}");
        }
    }
}

#[test]
fn what_was_forgotten_is_listed_where_that_is_cheap() {
    servers::need!(Etcd3_4, Etcd3_7);
    for version in BOTH {
        let world = audited(version);
        world.etcd.put(HANDLE, r#"{"block":{"10.65.0.0/26":1}}"#);
        let (gone, _) = world.etcd.list("/calico/ipam/v2/handle/").remove(0);
        world.etcd.delete(gone);
        world.etcd.compact(world.etcd.put("/elsewhere", ""));
        let document = world.compare();
        match version {
            EtcdVersion::V3_4 => {
                assert_eq!(document, full("etcd has forgotten what was written since the last audit"));
            }
            EtcdVersion::V3_7 => assert_eq!(document.0, "listing"),
        }
        assert_eq!(world.compare().0, "unchanged", "{version:?}");
    }
}

#[test]
fn a_state_that_is_lost_damaged_or_of_another_cluster_is_read_in_full() {
    servers::need!(Etcd3_7);
    let world = audited(EtcdVersion::V3_7);
    let state = std::fs::read(world.state()).unwrap();
    let bits = state.len() * 8;
    for flip in 0..40 {
        let mut bytes = state.clone();
        let place = (flip * 7_919 + flip * bits / 40) % bits;
        bytes[place / 8] ^= 1 << (place % 8);
        std::fs::write(world.state(), bytes).unwrap();
        let document = world.audit();
        assert_eq!(reading(&document), full("the last audit's state is damaged"), "bit {place}");
    }
    for length in [0, 1, 15, 16, 100, state.len() - 1] {
        std::fs::write(world.state(), &state[..length]).unwrap();
        assert_eq!(reading(&world.audit()), full("the last audit's state is damaged"), "{length} bytes");
    }
    std::fs::write(world.state(), [state.clone(), vec![0]].concat()).unwrap();
    assert_eq!(reading(&world.audit()), full("the last audit's state is damaged"), "one byte more");
    std::fs::remove_file(world.state()).unwrap();
    std::fs::create_dir(world.state()).unwrap();
    assert_eq!(reading(&world.audit()).0, "full");
    std::fs::remove_dir(world.state()).unwrap();
    world.audit();

    let objects = std::fs::read_to_string(&world.objects).unwrap();
    let uid = world.audit()["cluster"]["kubernetes_uid"].as_str().unwrap().to_owned();
    let other = world.folder.path().join("other.json");
    std::fs::write(&other, objects.replace(&uid, "99999999-2222-4333-8444-555555555555")).unwrap();
    let db = world.db("history.db");
    let World { etcd, folder, .. } = world;
    let world = World { folder, ..World::with(etcd, "2026-11-24T12:00:00Z".to_owned(), other) };
    let document = json(&world.run(&db, &world.etcd.endpoint(), &[]));
    assert_eq!(reading(&document), full("the last audit's state is of another Kubernetes cluster"));
}

/// A watch goes on when a right is taken away; an audit does not.
#[test]
fn a_right_that_is_gone_is_missed() {
    servers::need!(Etcd3_7);
    let world = World::of(Etcd::builder(EtcdVersion::V3_7).auth().start(), "leaked-pods");
    let password = world.folder.path().join("password");
    std::fs::write(&password, READER.password).unwrap();
    let args = ["--etcd-username", READER.name, "--etcd-password-file", password.to_str().unwrap()];
    let audit = || json(&world.run(&world.db("history.db"), &world.etcd.endpoint(), &args));
    assert_eq!(reading(&audit()).0, "full");
    assert_eq!(reading(&audit()).0, "unchanged");
    world.etcd.put(HANDLE, r#"{"block":{"10.65.0.0/26":1}}"#);
    assert_eq!(reading(&audit()).0, "watch");
    let end = etcd_client::RoleRevokePermissionOptions::new().with_prefix();
    block_on(world.etcd.client().role_revoke_permission(READER.name, "/calico/", Some(end))).unwrap();
    let less = etcd_client::Permission::read("/calico/ipam/").with_prefix();
    block_on(world.etcd.client().role_grant_permission(READER.name, less)).unwrap();
    let resources =
        etcd_client::Permission::read("/calico/resources/v3/projectcalico.org/clusterinformations/").with_prefix();
    block_on(world.etcd.client().role_grant_permission(READER.name, resources)).unwrap();
    let document = audit();
    assert_eq!(reading(&document).0, "full");
    let forbidden = |input: &str| {
        document["inputs"].as_array().unwrap().iter().any(|row| row["input"] == input && row["state"] == "forbidden")
    };
    assert!(forbidden("endpoints") && !forbidden("handles"), "{document:#}");
}

#[test]
fn who_wants_every_key_read_says_so() {
    servers::need!(Etcd3_7);
    let world = audited(EtcdVersion::V3_7);
    let run = |args: &[&str]| world.run(&world.db("history.db"), &world.etcd.endpoint(), args);
    let output = run(&["--full"]);
    assert_eq!(reading(&json(&output)), full("--full"));
    assert!(stderr(&output).contains("etcd was read: full (--full)"), "{}", stderr(&output));
    let output = run(&[]);
    assert!(stderr(&output).contains("etcd was read: unchanged (since revision"), "{}", stderr(&output));
    // Without a history nothing is remembered, and nothing is left.
    let before = std::fs::read(world.state()).unwrap();
    let mut command = servers::command::ipaudit();
    command.args(["audit", "-o", "json", "--settle", "20ms", "--etcd-endpoints", &world.etcd.endpoint()]);
    let document = json(&command.arg("--kube-objects").arg(&world.objects).output().unwrap());
    assert_eq!(reading(&document), full("no history"));
    assert_eq!(std::fs::read(world.state()).unwrap(), before);
}
