//! Real etcds that are really restored: found out, whatever hides the older revision, and nothing is released.

use serde_json::Value;

use super::calico::block_key;
use super::servers::{self, Etcd, EtcdVersion};
use super::world::{BLOCK, OTHER, Run, V6, World};

const ORPHAN: &str = "k8s-pod-network.0rphan";
const BOTH: [EtcdVersion; 2] = [EtcdVersion::V3_4, EtcdVersion::V3_7];

/// An audit by real time, recorded.
fn audit(world: &World) -> Value {
    let mut command = world.command("audit", &world.etcd.endpoint());
    let run = Run::of(command.args(["--settle", "100ms", "-o", "json"]).output().unwrap());
    let document: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("{e}: {run:?}"));
    assert!(document["audit"]["id"].is_u64(), "{run:?}");
    document
}

fn went_back(document: &Value) -> Option<&Value> {
    document["findings"].as_array().unwrap().iter().find(|f| f["code"] == "IPA903")
}

/// One more write of each block, as Calico's are: the number grows by one.
fn write_every_block(world: &World) {
    for cidr in [BLOCK, OTHER, V6] {
        let mut block = world.value(&block_key(cidr)).unwrap();
        block["sequenceNumber"] = (block["sequenceNumber"].as_u64().unwrap() + 1).into();
        world.etcd.put(block_key(cidr), block.to_string());
    }
}

/// Others' writes carry the revision beyond `revision`.
fn overtake(world: &World, revision: i64) {
    while world.etcd.revision() <= revision {
        world.etcd.put("/another/tenant", "writes");
    }
}

/// A restore is told with this among its signs, begins an epoch, and nothing is released: neither before the audit that
/// tells it nor after it, until one more audit has looked.
#[track_caller]
fn is_found_out(world: &World, sign: &str) {
    let before = world.etcd.list("/calico");
    let nothing_is_released = |when: &str| {
        let run = world.release(&["--code", "IPA201", "--older-than", "0s", "--skip-age", "--yes", "-o", "json"]);
        run.refused(2);
        assert!(run.stdout.contains("IPA903"), "{when}: {run:?}");
        assert_eq!(world.etcd.list("/calico"), before, "{when}");
    };
    nothing_is_released("before an audit");
    let document = audit(world);
    let found = went_back(&document).unwrap_or_else(|| panic!("IPA903 is silent: {document:#}"));
    assert_eq!(found["severity"], "critical");
    let signs: Vec<&str> = found["evidence"]["signs"].as_array().unwrap().iter().map(|s| s.as_str().unwrap()).collect();
    assert!(signs.iter().any(|s| s.contains(sign)), "{sign:?} is not among {signs:?}");
    let db = rusqlite::Connection::open(world.folder.path().join("history.db")).unwrap();
    assert_eq!(db.query_row("SELECT epoch FROM pair", [], |row| row.get::<_, i64>(0)).unwrap(), 2);
    drop(db);
    nothing_is_released("after the audit that found it");
    assert!(went_back(&audit(world)).is_none(), "told once; what follows is the new epoch");
    world.force(&["--code", "IPA201", "--older-than", "0s"]).done(1);
}

/// A cluster with an orphan, and its backup; since then every block was written `since` times and audited.
fn backed_up(etcd: Etcd, since: usize) -> (World, std::path::PathBuf, i64) {
    let world = World::on(etcd);
    world.orphan(ORPHAN, BLOCK);
    audit(&world);
    let backup = world.etcd.snapshot_save();
    (0..since).for_each(|_| write_every_block(&world));
    let seen = audit(&world);
    assert!(went_back(&seen).is_none(), "clean: {seen:#}");
    (world, backup, seen["audit"]["etcd_revision"].as_i64().unwrap())
}

#[test]
fn a_restore_overtaken_by_writes_with_every_block_written_again() {
    servers::need!(Etcd3_4, Etcd3_7);
    for version in BOTH {
        let (world, backup, revision) = backed_up(Etcd::start(version), 3);
        let term = world.etcd.raft_term();
        world.etcd.restore(&backup);
        assert_eq!(world.etcd.raft_term(), term, "the term says nothing here");
        overtake(&world, revision);
        write_every_block(&world);
        is_found_out(&world, "3 keys were written since the last complete audit, and their versions did not grow");
    }
}

/// Written as often as before the restore and more: neither version nor number is smaller, the term is.
#[test]
fn a_restore_of_an_etcd_that_was_once_restarted_falls_in_its_term() {
    servers::need!(Etcd3_4, Etcd3_7);
    for version in BOTH {
        let (world, backup, _) = backed_up(Etcd::start(version), 1);
        world.etcd.restart();
        let revision = audit(&world)["audit"]["etcd_revision"].as_i64().unwrap();
        world.etcd.restore(&backup);
        overtake(&world, revision);
        (0..4).for_each(|_| write_every_block(&world));
        is_found_out(&world, "raft term is 2, the last complete audit saw 3");
    }
}

#[test]
fn a_bumped_restore_with_every_block_written_again() {
    servers::need!(Etcd3_7);
    let (world, backup, _) = backed_up(Etcd::start(EtcdVersion::V3_7), 1);
    world.etcd.restore_with(&backup, &["--bump-revision", "1000000000", "--mark-compacted"]);
    assert!(world.etcd.revision() > 1_000_000_000);
    (0..4).for_each(|_| write_every_block(&world));
    is_found_out(&world, "faster than etcd can write");
}

/// A small bump could have been written: the versions tell all the same.
#[test]
fn a_restore_bumped_by_little_is_told_by_the_versions() {
    servers::need!(Etcd3_7);
    let (world, backup, _) = backed_up(Etcd::start(EtcdVersion::V3_7), 3);
    world.etcd.restore_with(&backup, &["--bump-revision", "1000", "--mark-compacted"]);
    write_every_block(&world);
    is_found_out(&world, "their versions did not grow");
}

/// Versions that were made up (by a tool that writes bytes back) leave the number.
#[test]
fn a_number_that_fell_is_told_when_the_versions_grew() {
    servers::need!(Etcd3_7);
    let (world, backup, revision) = backed_up(Etcd::start(EtcdVersion::V3_7), 3);
    world.etcd.restore(&backup);
    overtake(&world, revision);
    let block = world.text(&block_key(BLOCK)).unwrap();
    (0..4).for_each(|_| _ = world.etcd.put(block_key(BLOCK), block.clone()));
    for cidr in [OTHER, V6] {
        (0..4).for_each(|_| {
            let mut block = world.value(&block_key(cidr)).unwrap();
            block["sequenceNumber"] = (block["sequenceNumber"].as_u64().unwrap() + 1).into();
            world.etcd.put(block_key(cidr), block.to_string());
        });
    }
    is_found_out(&world, "the sequence number of block 10.65.0.0/26 fell");
}

/// An upgrade from 3.4 to 3.7 by snapshot is a restore to etcd: silent when nothing was written between the two audits.
#[test]
fn an_upgrade_by_snapshot_is_silent_only_when_nothing_was_written_meanwhile() {
    servers::need!(Etcd3_4, Etcd3_7);
    for written in [false, true] {
        let (world, ..) = backed_up(Etcd::start(EtcdVersion::V3_4), 1);
        world.etcd.restart();
        assert!(went_back(&audit(&world)).is_none());
        let (id, term) = (world.etcd.cluster_id(), world.etcd.raft_term());
        let snapshot = world.etcd.snapshot_save();
        let World { etcd, kube, folder } = world;
        let world = World { etcd: etcd.upgrade_by_snapshot(&snapshot, EtcdVersion::V3_7), kube, folder };
        assert_eq!(world.etcd.cluster_id(), id, "the same token, the same id");
        assert!(world.etcd.raft_term() < term, "to etcd it is a restore");
        if written {
            write_every_block(&world);
            is_found_out(&world, "raft term");
        } else {
            assert!(went_back(&audit(&world)).is_none(), "nothing was written");
            write_every_block(&world);
            assert!(went_back(&audit(&world)).is_none(), "and from here it goes on");
            world.force(&["--code", "IPA201", "--older-than", "0s"]).done(1);
        }
    }
}

/// Compaction, defragmentation and restart of a single member: `same_life.rs` has what needs three.
#[test]
fn a_restart_is_no_restore() {
    servers::need!(Etcd3_4, Etcd3_7);
    for version in BOTH {
        let (world, ..) = backed_up(Etcd::start(version), 1);
        world.etcd.compact(world.etcd.revision());
        world.etcd.defragment();
        for written in [false, true, true] {
            world.etcd.restart();
            if written {
                write_every_block(&world);
            }
            assert!(went_back(&audit(&world)).is_none());
        }
        world.force(&["--code", "IPA201", "--older-than", "0s"]).done(1);
    }
}
