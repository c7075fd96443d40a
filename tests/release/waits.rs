//! What a plan leaves behind, how long everybody waits for the history, and in what pieces Kubernetes is listed.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::calico::handle_key;
use super::servers::http2::Request;
use super::servers::{self, EtcdVersion};
use super::world::{BLOCK, OTHER, Run, World};

fn files(world: &World) -> BTreeSet<String> {
    let names = std::fs::read_dir(world.folder.path()).unwrap();
    names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_plan_without_a_history_is_refused_by_age_and_leaves_nothing_behind() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let (gone, address) = world.leak("gone", "node-1", BLOCK);
    let before = files(&world);
    for args in [
        &["--handle", &gone.handle()][..],
        &["--address", &address],
        &["--handle", &gone.handle(), "--yes"],
        &["--code", "IPA201", "--older-than", "0s", "--yes"],
        &["--code", "IPA110", "--older-than", "0s", "--skip-age"],
    ] {
        let run = world.release(&[args, &["-o", "json"]].concat());
        run.refused(4);
        assert_eq!(
            run.stdout.matches("there is no history at").count(),
            1 + usize::from(args[0] == "--code"),
            "{run:?}"
        );
        assert_eq!(files(&world), before, "{args:?}");
    }
    assert_eq!(world.release(&["--handle", &gone.handle(), "--skip-age"]).code, 0, "a plan that may be done");
    assert_eq!(world.release(&["--list"]).code, 0);
    assert_eq!(world.undo(1, &["--yes"]).code, 2, "no such release");
    assert_eq!(files(&world), before);
    // A plan over a history leaves no lock either.
    world.audit(0);
    let before = files(&world);
    assert_eq!(world.release(&["--handle", &gone.handle(), "--skip-age"]).code, 0);
    assert_eq!(files(&world), before);
    world.force(&["--handle", &gone.handle()]).done(1);
}

/// Every command that opens the history hears `--db-wait`, to read it too.
#[test]
fn nobody_waits_for_the_history_longer_than_db_wait() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let (gone, _) = world.leak("gone", "node-1", BLOCK);
    let path = world.folder.path().join("history.db");
    let audit = ["audit", "--settle", "10ms", "--fail-on", "never"];
    let run = |words: &[&str]| {
        let (command, args) = words.split_first().unwrap();
        let cluster = ["audit", "release", "undo"].contains(command) || words.contains(&"gone");
        let mut command = match cluster {
            true => world.command(command, &world.etcd.endpoint()),
            false => {
                let mut plain = std::process::Command::new(env!("CARGO_BIN_EXE_ipaudit"));
                plain.env_clear().arg(command).args(args).arg("--db").arg(&path);
                plain
            }
        };
        if cluster {
            command.args(args);
        }
        // Without shared memory a writer keeps readers out.
        command.args(["--db-journal", "truncate", "--db-wait", "1s"]);
        let began = Instant::now();
        (Run::of(command.output().unwrap()), began.elapsed())
    };
    assert_eq!(run(&audit).0.code, 0);
    let history = rusqlite::Connection::open(&path).unwrap();
    // With something written: a file at rest is read without a lock.
    history.execute_batch("BEGIN EXCLUSIVE; UPDATE pair SET known = known + 1").unwrap();
    for words in [
        &audit[..],
        &["release", "--handle", &gone.handle()],
        &["release", "--handle", &gone.handle(), "--skip-age", "--yes"],
        &["release", "--list"],
        &["undo", "1"],
        &["who", "gone", "--settle", "0"],
        &["who", "10.65.0.9", "--offline"],
        &["report"],
        &["history", "check"],
        &["history", "export"],
        &["history", "prune", "--yes"],
    ] {
        let (run, took) = run(words);
        assert_eq!(run.code, 2, "{words:?}: {run:?}");
        assert!(run.stderr.contains("another ipaudit holds the history"), "{words:?}: {run:?}");
        assert!((Duration::from_secs(1)..Duration::from_secs(15)).contains(&took), "{words:?}: {took:?}");
    }
}

#[test]
fn nobody_waits_for_the_turn_of_a_release_longer_than_db_wait() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let (slow, _) = world.leak("slow", "node-1", BLOCK);
    let (other, _) = world.leak("other", "node-2", OTHER);
    let (proxy, endpoint) = world.etcd.behind_proxy();
    proxy.hold_answer(Request::Containing(b"1700000000000000003".to_vec()));
    let first = world.start(&endpoint, &["--handle", &slow.handle()]);
    servers::eventually("the first has written", Duration::from_secs(60), || {
        world.value(&handle_key(&slow.handle())).is_none()
    });
    let began = Instant::now();
    let second = world.force(&["--handle", &other.handle(), "--db-wait", "1s"]);
    assert_eq!(second.code, 2, "{second:?}");
    assert!(second.stderr.contains("still writing") && began.elapsed() < Duration::from_secs(15), "{second:?}");
    proxy.open();
    Run::of(first.wait_with_output().unwrap()).done(1);
}

#[test]
fn kube_page_is_the_limit_of_every_list() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    // So many suspects that the second look lists pods again.
    let text = super::calico::empty_block("10.65.8.0/22", Some("node-1"), 1024);
    let mut block = text;
    for ordinal in 0..400 {
        block["allocations"][ordinal] = serde_json::json!(ordinal);
        let owner = serde_json::json!({"namespace": "shop", "pod": format!("lost{ordinal}"), "node": "node-1"});
        let attribute =
            serde_json::json!({"handle_id": super::world::of_container(&format!("l{ordinal}")), "secondary": owner});
        block["attributes"].as_array_mut().unwrap().push(attribute);
    }
    block["unallocated"] = serde_json::json!((400..1024).collect::<Vec<_>>());
    world.etcd.put(super::calico::block_key("10.65.8.0/22"), block.to_string());
    world.kube.asked();
    let mut command = world.command("audit", &world.etcd.endpoint());
    command.args(["--settle", "10ms", "--fail-on", "never", "--kube-page", "7"]);
    assert_eq!(Run::of(command.output().unwrap()).code, 0);
    let lists: Vec<String> = world.kube.asked().into_iter().filter(|path| path.contains("limit=")).collect();
    for kind in ["pods", "nodes", "services", "namespaces"] {
        assert!(lists.iter().any(|path| path.starts_with(&format!("/api/v1/{kind}?"))), "{lists:?}");
    }
    assert!(lists.iter().all(|path| path.contains("limit=7")), "{lists:?}");
    assert_eq!(lists.iter().filter(|path| path.starts_with("/api/v1/pods?")).count(), 2, "both looks: {lists:?}");
}
