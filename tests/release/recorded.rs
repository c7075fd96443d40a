//! What an audit records after a release and after an undo is what one records that reads all of the history.

use std::path::{Path, PathBuf};
use std::process::Output;

use super::calico::Workload;
use super::servers::command::ipaudit;
use super::servers::{self, EtcdVersion, block_on, recorded};
use super::world::{BLOCK, OTHER, World};

fn db(world: &World, name: &str) -> PathBuf {
    world.folder.path().join(name)
}

/// An audit, held against a full one with a copy of its history. How it read the history.
#[track_caller]
fn audit(world: &World) -> String {
    let (own, full) = (db(world, "history.db"), db(world, "full.db"));
    let copied = own.exists() && std::fs::copy(&own, &full).is_ok();
    let run = |db: &Path, args: &[&str]| -> Output {
        let mut command = ipaudit();
        command.env_remove("IPAUDIT_NO_HISTORY").args(["audit", "-v", "--settle", "1ms"]).args(args);
        command.args(["--now", "2031-01-01T00:00:00Z", "--etcd-endpoints", &world.etcd.endpoint()]);
        command.arg("--kubeconfig").arg(world.folder.path().join("kubeconfig"));
        command.arg("--db").arg(db).output().unwrap()
    };
    let told = String::from_utf8(run(&own, &[]).stderr).unwrap();
    if copied {
        run(&full, &["--full"]);
        recorded::assert_same_rows(&own, &full);
    }
    let how = told.lines().find_map(|line| line.split_once("the history was read: "));
    how.unwrap_or_else(|| panic!("{told}")).1.to_owned()
}

#[test]
fn after_a_release_and_an_undo() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let (gone, address) = world.leak("gone", "node-1", BLOCK);
    let changed = |told: &str| assert!(told.starts_with("what changed, "), "{told}");
    assert!(audit(&world).starts_with("full (no earlier audit of this cluster)"));
    changed(&audit(&world));
    world.force(&["--handle", &gone.handle()]).done(1);
    changed(&audit(&world));
    world.live("another", "node-2", OTHER);
    changed(&audit(&world));
    world.kube.pod("shop", "gone", "node-1", &[&address]);
    block_on(world.calico().wire(&Workload::new("gone", "node-1"), &[&address]));
    world.undo(1, &["--yes"]).done(1);
    changed(&audit(&world));
    let nothing = audit(&world);
    assert_eq!(nothing, "what changed, 0 rows");
}
