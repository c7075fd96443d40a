//! Runs that are stopped (SIGTERM) before their first transaction, amid, and after the last; and how a killed run is
//! called once all that it began is settled.

use std::fs::{File, TryLockError};
use std::io::{BufRead as _, BufReader};
use std::process::Child;
use std::time::Duration;

use super::calico::{Workload, block_key, handle_key};
use super::servers::http2::Request;
use super::servers::{self, EtcdVersion};
use super::world::{BLOCK, Run, World};

const SOON: Duration = Duration::from_secs(60);

fn leaks(world: &World, count: usize) -> Vec<String> {
    (0..count).map(|i| world.leak(&format!("gone{i}"), "node-1", BLOCK).0).map(|w: Workload| w.handle()).collect()
}

fn terminate(child: &Child) {
    let status = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

/// Starts a release whose first write is done while its answer is held back, sends SIGTERM, and lets the answer go.
fn stopped_during_the_first(world: &World, handles: &[String]) -> Run {
    let (proxy, endpoint) = world.etcd.behind_proxy();
    let written = world.value(&block_key(BLOCK)).unwrap()["sequenceNumber"].as_u64().unwrap() + 1;
    proxy.hold_answer(Request::Containing(written.to_string().into_bytes()));
    let child = world.start(&endpoint, &["--handle", &handles.join(",")]);
    servers::eventually("etcd has done the first", SOON, || proxy.sprung() == 1);
    terminate(&child);
    proxy.open();
    Run::of(child.wait_with_output().unwrap())
}

#[test]
fn stopped_before_the_first_step_nothing_is_done_and_it_is_no_success() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let handles = leaks(&world, 2);
    world.audit(0);
    // The run has its turn, and waits to record that it begins.
    let history = rusqlite::Connection::open(world.folder.path().join("history.db")).unwrap();
    history.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut child = world.start(&world.etcd.endpoint(), &["--handle", &handles.join(",")]);
    let lock = world.folder.path().join("history.db.release");
    servers::eventually("the run has its turn", SOON, || {
        File::open(&lock).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
    });
    terminate(&child);
    // The signal is heard, and answered, before anything can be recorded.
    let said = BufReader::new(child.stderr.take().unwrap()).lines().next().unwrap().unwrap();
    assert_eq!(said, "stopping: a transaction that runs is finished, and none is begun");
    history.execute_batch("ROLLBACK").unwrap();
    let run = Run::of(child.wait_with_output().unwrap());
    assert_eq!(run.code, 1, "{run:?}");
    let document = run.json();
    assert!(document["answer"].as_str().unwrap().starts_with("STOPPED; 0 of 2 released"), "{run:?}");
    assert_eq!((&document["exit_code"], &document["outcome"]["left"]), (&1.into(), &2.into()));
    assert_eq!(world.list()[0]["outcome"], "stopped");
    // What was planned is told though nothing of it was begun.
    let named = world.list()[0]["named"].as_array().unwrap().clone();
    assert!(named.iter().map(|n| n["id"].as_str().unwrap()).eq(&handles), "{named:?}");
    let table = world.release(&["--list"]).stdout;
    let last: Vec<&str> = table.split_whitespace().collect();
    assert!(last.ends_with(&["stopped", "0", "0", "2", "handles"]), "{table}");
    assert!(handles.iter().all(|h| world.value(&handle_key(h)).is_some()));
}

#[test]
fn stopped_amid_it_says_how_many_and_exits_with_1() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let handles = leaks(&world, 3);
    let run = stopped_during_the_first(&world, &handles);
    assert_eq!(run.code, 1, "{run:?}");
    let document = run.json();
    assert!(document["answer"].as_str().unwrap().starts_with("STOPPED; 1 of 3 released"), "{run:?}");
    assert_eq!(document["exit_code"], 1);
    assert_eq!(world.list()[0]["outcome"], "stopped");
    let rest = world.force(&["--handle", &handles.join(",")]);
    rest.done(2);
    assert_eq!(world.list()[1]["outcome"], "done");
}

/// A pause may be longer than whoever stops the run has patience, and nobody waits for one after the last transaction.
#[test]
fn a_slowed_run_stops_amid_its_pause() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let handles = leaks(&world, 3);
    let mut child = world.start(&world.etcd.endpoint(), &["--rate", "0.001/s", "--handle", &handles[..2].join(",")]);
    servers::eventually("the first is done", SOON, || {
        handles.iter().filter(|h| world.value(&handle_key(h)).is_some()).count() == 2
    });
    terminate(&child);
    servers::eventually("the run ends", SOON, || child.try_wait().unwrap().is_some());
    let run = Run::of(child.wait_with_output().unwrap());
    assert!(run.json()["answer"].as_str().unwrap().starts_with("STOPPED; 1 of 2 released"), "{run:?}");
    assert_eq!(run.code, 1, "{run:?}");
    let mut child = world.start(&world.etcd.endpoint(), &["--rate", "0.001/s", "--handle", &handles[2]]);
    servers::eventually("the only one is done", SOON, || child.try_wait().unwrap().is_some());
    Run::of(child.wait_with_output().unwrap()).done(1);
}

#[test]
fn stopped_after_the_last_step_it_is_done() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let run = stopped_during_the_first(&world, &leaks(&world, 1));
    run.done(1);
    assert!(run.json()["answer"].as_str().unwrap().starts_with("DONE: 1 of 1 released"), "{run:?}");
    assert_eq!(world.list()[0]["outcome"], "done");
}

#[test]
fn a_killed_run_is_called_by_what_it_came_to() {
    servers::need!(Etcd3_7);
    for (point, word) in [("finish:1", "done"), ("settle:2", "done"), ("intended:2", "stopped"), ("begun:1", "stopped")]
    {
        let world = World::new(EtcdVersion::V3_7);
        let handles = leaks(&world, 2);
        let mut command = world.command("release", &world.etcd.endpoint());
        command.args(["--yes", "--skip-age", "--handle", &handles.join(",")]).env("IPAUDIT_KILL_AT", point);
        assert!(!command.output().unwrap().status.success(), "{point} was never passed");
        let next = world.force(&["--handle", &handles.join(",")]);
        assert_eq!(next.code, 0, "{point}: {next:?}");
        assert_eq!(world.list()[0]["outcome"], word, "{point}: {:?}", world.list());
    }
}
