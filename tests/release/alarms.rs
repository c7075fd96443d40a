//! etcd under an alarm refuses every write: a release says so first of all, and writes nothing.

use etcd_client::Permission;

use super::calico::handle_key;
use super::servers::etcd_users::{NOBODY, User};
use super::servers::{self, Etcd, EtcdVersion};
use super::world::{BLOCK, World};

fn on_both(test: impl Fn(World)) {
    for version in [EtcdVersion::V3_4, EtcdVersion::V3_7] {
        test(World::on(Etcd::builder(version).quota(4 << 20).start()));
    }
}

#[test]
fn rule_2_nothing_is_written_under_nospace_and_the_first_line_says_why() {
    servers::need!(Etcd3_4, Etcd3_7);
    on_both(|world| {
        let (gone, _) = world.leak("gone", "node-1", BLOCK);
        let (done, _) = world.leak("done", "node-1", BLOCK);
        let release = world.force(&["--handle", &done.handle()]);
        release.done(1);
        let id = release.json()["release"].as_i64().unwrap();
        world.etcd.fill_up();
        let before = world.etcd.revision();
        let run = world.release(&["--handle", &gone.handle(), "--yes", "--skip-age"]);
        let first = run.stdout.lines().next().unwrap_or_default();
        let wanted = format!(
            "REFUSED, nothing may be released: etcd has the alarm NOSPACE (member {}): it is full",
            world.etcd.member_name()
        );
        assert!(run.code == 1 && first.starts_with(&wanted), "{run:?}");
        world.force(&["--handle", &gone.handle()]).refused(2);
        let undo = world.undo(id, &["--yes"]);
        undo.refused(2);
        assert!(undo.stdout.contains("NOSPACE"), "{undo:?}");
        assert_eq!(world.etcd.revision(), before, "nothing was written");
        assert!(world.value(&handle_key(&gone.handle())).is_some());
    });
}

#[test]
fn rule_2_nothing_is_written_to_members_that_differ() {
    servers::need!(Etcd3_4, Etcd3_7);
    on_both(|world| {
        let (gone, _) = world.leak("gone", "node-1", BLOCK);
        world.etcd.declare_corrupt();
        let run = world.force(&["--handle", &gone.handle()]);
        run.refused(2);
        assert!(run.json()["answer"].as_str().unwrap().contains("alarm CORRUPT"), "{run:?}");
    });
}

/// A user whom etcd lets read nothing: a failure with its cause, before anything else is said.
#[test]
fn a_datastore_that_lets_nobody_in_is_a_failure_with_its_cause() {
    servers::need!(Etcd3_7);
    let world = World::on(Etcd::builder(EtcdVersion::V3_7).auth().start());
    let endpoint = world.etcd.endpoint();
    for (user, cause) in [(None, "user name is empty"), (Some(NOBODY), "permission denied")] {
        let mut command = world.command("release", &endpoint);
        command.args(["--handle", "k8s-pod-network.x"]);
        if let Some(user) = user {
            command.env("ETCD_USERNAME", user.name).env("ETCD_PASSWORD", user.password);
        }
        let run = super::world::Run::of(command.output().unwrap());
        let first = run.stderr.lines().next().unwrap_or_default();
        assert!(run.code == 2 && first.contains(cause) && first.contains("hint: "), "{run:?}");
        assert!(run.stdout.is_empty(), "{run:?}");
    }
}

/// What is forbidden is not absent: the datastore has a name, and this user may not read it.
#[test]
fn a_name_that_may_not_be_read_is_not_called_missing() {
    servers::need!(Etcd3_7);
    const PART: User = User { name: "part", password: "part-secret" };
    let world = World::on(Etcd::builder(EtcdVersion::V3_7).auth().start());
    world.etcd.add_user(PART, &[Permission::read("/calico/ipam/").with_prefix()]);
    let mut command = world.command("release", &world.etcd.endpoint());
    command.args(["--handle", "k8s-pod-network.x"]);
    command.env("ETCD_USERNAME", PART.name).env("ETCD_PASSWORD", PART.password);
    let run = super::world::Run::of(command.output().unwrap());
    let last = run.stderr.lines().find(|line| line.starts_with("ipaudit: ")).unwrap_or_default();
    assert!(run.code == 2 && last.contains("was not read") && last.contains("permission denied"), "{run:?}");
    assert!(!run.stderr.contains("has no ClusterInformation"), "{run:?}");
}
