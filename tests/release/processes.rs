//! Two `ipaudit release` at once, as two processes: each write is done once and recorded once.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::calico::{Workload, block_key, handle_key, ordinals_of};
use super::servers::http2::Request;
use super::servers::{self, EtcdVersion};
use super::world::{BLOCK, OTHER, Run, World};

const LEAKS: usize = 12;

fn start(world: &World, db: &str, handles: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ipaudit"));
    command.env_clear().env("HOME", "/nonexistent").env("PATH", "/usr/bin:/bin");
    command.args(["release", "--etcd-endpoints", &world.etcd.endpoint(), "--kubeconfig"]);
    command.arg(world.folder.path().join("kubeconfig")).arg("--db").arg(world.folder.path().join(db));
    command.args(["--yes", "--skip-age", "-o", "json", "--handle", handles]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// How often each handle is recorded as released.
fn recorded(world: &World, dbs: &[&str]) -> BTreeMap<String, usize> {
    let mut applied = BTreeMap::new();
    for db in dbs {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ipaudit"));
        command.env_clear().args(["release", "--list", "-o", "json", "--db"]).arg(world.folder.path().join(db));
        let list = Run::of(command.output().unwrap()).json();
        for release in list["releases"].as_array().unwrap() {
            assert_ne!(release["outcome"], "open", "{release}");
            for subject in release["subjects"].as_array().unwrap() {
                assert!(!subject["outcome"].is_null(), "{subject}");
                if subject["kind"] == "handle" && subject["outcome"] == "applied" {
                    *applied.entry(subject["id"].as_str().unwrap().to_owned()).or_default() += 1;
                }
            }
        }
    }
    applied
}

/// Both want all; returns what each did.
fn race(dbs: [&str; 2]) -> [Value; 2] {
    let world = World::new(EtcdVersion::V3_7);
    let leaks: Vec<Workload> = (0..LEAKS).map(|i| world.leak(&format!("gone{i}"), "node-1", BLOCK).0).collect();
    let mut handles: Vec<String> = leaks.iter().map(Workload::handle).collect();
    handles.extend((0..LEAKS).map(|i| world.orphan(&format!("k8s-pod-network.orphan{i}"), OTHER)));
    let sequence = || world.value(&block_key(BLOCK)).unwrap()["sequenceNumber"].as_u64().unwrap();
    let before = sequence();
    let names = handles.join(",");
    let children = dbs.map(|db| start(&world, db, &names));
    let runs = children.map(|child| Run::of(child.wait_with_output().unwrap()));
    for run in &runs {
        assert!(matches!(run.code, 0 | 1), "{run:?}");
    }
    assert!(handles.iter().all(|h| world.value(&handle_key(h)).is_none()));
    let block = world.value(&block_key(BLOCK)).unwrap();
    assert!(leaks.iter().all(|w| ordinals_of(&block, &w.handle()).is_empty()));
    assert_eq!(block["unallocated"].as_array().unwrap().len(), 63, "each ordinal is free once: {block}");
    assert_eq!(sequence(), before + LEAKS as u64, "each leak was one write");
    let mut distinct = dbs.to_vec();
    distinct.dedup();
    let applied = recorded(&world, &distinct);
    assert_eq!(applied.len(), 2 * LEAKS, "{applied:?}");
    assert!(applied.values().all(|times| *times == 1), "{applied:?}");
    runs.map(|run| run.json())
}

fn done(document: &Value) -> u64 {
    document["outcome"]["done"].as_u64().unwrap_or(0)
}

#[test]
fn over_one_history() {
    servers::need!(Etcd3_7);
    let [a, b] = race(["history.db", "history.db"]);
    assert_eq!(done(&a) + done(&b), 2 * LEAKS as u64, "{a} {b}");
}

#[test]
fn over_two_histories() {
    servers::need!(Etcd3_7);
    let [a, b] = race(["one.db", "two.db"]);
    assert_eq!(done(&a) + done(&b), 2 * LEAKS as u64, "{a} {b}");
}

/// What a run that is alive has under way is not settled by another one.
#[test]
fn a_run_that_is_alive_keeps_what_it_has_under_way() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let (slow, _) = world.leak("slow", "node-1", BLOCK);
    let (other, _) = world.leak("other", "node-2", OTHER);
    let (proxy, endpoint) = world.etcd.behind_proxy();
    // It waits for the answer to its write.
    proxy.hold_answer(Request::Containing(b"1700000000000000003".to_vec()));
    let first = world.start(&endpoint, &["--handle", &slow.handle()]);
    servers::eventually("the first has written", Duration::from_secs(60), || {
        world.value(&handle_key(&slow.handle())).is_none()
    });
    let dry = world.release(&["--handle", &other.handle(), "--skip-age", "-o", "json"]);
    assert!(dry.code == 0 && !dry.stderr.contains("under way"), "{dry:?}");
    let mut second = world.start(&world.etcd.endpoint(), &["--handle", &other.handle()]);
    let mut line = String::new();
    BufReader::new(second.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("another release over this history is writing"), "{line}");
    proxy.open();
    let first = Run::of(first.wait_with_output().unwrap());
    first.done(1);
    assert!(second.wait().unwrap().success());
    assert!(world.value(&handle_key(&other.handle())).is_none());
    assert_eq!(recorded(&world, &["history.db"]).len(), 2);
}

/// An audit is recorded while a release still reads: what it saw is later, which is no restored datastore.
#[test]
fn a_release_that_an_audit_overtook_says_so_and_not_that_the_datastore_was_restored() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let (lost, _) = world.leak("lost", "node-1", BLOCK);
    world.audit(3 * 3_600);
    let (proxy, endpoint) = world.etcd.behind_proxy();
    // The keys have been read by then, the history has not.
    proxy.hold_answer(Request::Grpc("/etcdserverpb.Maintenance/Status"));
    let slow = world.start(&endpoint, &["--handle", &lost.handle()]);
    servers::eventually("the release has read the keys", Duration::from_secs(60), || proxy.sprung() == 1);
    world.live("other", "node-2", OTHER);
    world.audit(60);
    proxy.open();
    let slow = Run::of(slow.wait_with_output().unwrap());
    assert_eq!(slow.code, 2, "{slow:?}");
    assert!(
        slow.stderr.contains("an audit that was recorded meanwhile") && !slow.stderr.contains("restored"),
        "{slow:?}"
    );
    assert!(world.value(&handle_key(&lost.handle())).is_some());
    world.force(&["--handle", &lost.handle()]).done(1);
}
