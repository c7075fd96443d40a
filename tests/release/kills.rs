//! Killed (SIGKILL) at a hundred moments: the next run says what had been under way and settles it by reading; nothing is
//! lost, nothing done twice.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::calico::{Workload, block_key, handle_key, ordinals_of};
use super::servers::http2::Request;
use super::servers::{self, EtcdVersion};
use super::world::{BLOCK, OTHER, World};

/// Named places in the code, with how often a run of three transactions passes them.
const POINTS: [(&str, usize); 7] =
    [("begun", 1), ("intend", 3), ("intended", 3), ("settle", 3), ("settled", 3), ("finish", 1), ("finished", 1)];
/// Kills while the answer to a transaction that etcd has done is held back, by turns the first and the second.
const HELD: usize = 25;
const ALL: usize = 100;

enum Moment {
    /// At the n-th pass of a named place.
    At(String),
    /// Between the commit of the n-th transaction and its answer.
    Held(u64),
    /// After so many milliseconds.
    After(u64),
}

fn moments() -> Vec<Moment> {
    let named =
        POINTS.iter().flat_map(|(point, passes)| (1..=*passes).map(move |n| Moment::At(format!("{point}:{n}"))));
    let mut all: Vec<Moment> = named.chain((0..HELD).map(|i| Moment::Held(1 + i as u64 % 2))).collect();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    while all.len() < ALL {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        all.push(Moment::After(random % 250));
    }
    all
}

fn command(world: &World, endpoint: &str, handles: &str) -> Command {
    let mut command = world.command("release", endpoint);
    command.args(["--yes", "--skip-age", "-o", "json", "--handle", handles]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Runs until its moment has come, and kills it.
fn kill(world: &World, moment: &Moment, handles: &str) {
    let direct = world.etcd.endpoint();
    match moment {
        Moment::At(point) => {
            let status = command(world, &direct, handles).env("IPAUDIT_KILL_AT", point).status().unwrap();
            assert_eq!(status.signal(), Some(9), "{point} was never passed");
        }
        Moment::Held(transaction) => {
            let block = world.value(&block_key(BLOCK)).unwrap();
            let written = block["sequenceNumber"].as_u64().unwrap() + transaction;
            let (proxy, endpoint) = world.etcd.behind_proxy();
            proxy.hold_answer(Request::Containing(written.to_string().into_bytes()));
            let mut child = command(world, &endpoint, handles).spawn().unwrap();
            servers::eventually("etcd has done it", Duration::from_secs(60), || {
                world.value(&block_key(BLOCK)).unwrap()["sequenceNumber"] == written
            });
            child.kill().unwrap();
            child.wait().unwrap();
            assert_eq!(proxy.sprung(), 1);
        }
        Moment::After(milliseconds) => {
            let mut child = command(world, &direct, handles).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(*milliseconds));
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

/// Whether the history has an intent without an outcome.
fn is_open(world: &World) -> bool {
    let outcomes = |r: &serde_json::Value| r["subjects"].as_array().unwrap().iter().any(|s| s["outcome"].is_null());
    world.list().iter().any(outcomes)
}

#[test]
fn killed_at_a_hundred_moments() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let (mut surely, mut by_chance) = (0, 0);
    for (number, moment) in moments().iter().enumerate() {
        let leaks: Vec<Workload> = (0..2).map(|i| world.leak(&format!("m{number}x{i}"), "node-1", BLOCK).0).collect();
        let mut handles: Vec<String> = leaks.iter().map(Workload::handle).collect();
        handles.push(world.orphan(&format!("k8s-pod-network.orphan{number}"), OTHER));
        let names = handles.join(",");
        kill(&world, moment, &names);
        let block = world.value(&block_key(BLOCK)).unwrap();
        for handle in &handles[..2] {
            let held = !ordinals_of(&block, handle).is_empty();
            assert_eq!(held, world.value(&handle_key(handle)).is_some(), "{number}: {handle} is half released");
        }
        let open = is_open(&world);
        match moment {
            Moment::After(_) => by_chance += usize::from(open),
            _ => surely += usize::from(open),
        }
        let next = world.force(&["--handle", &names]);
        assert_eq!(next.code, 0, "{number}: {next:?}");
        if open {
            assert!(next.stderr.contains("was under way when it stopped"), "{number}: {next:?}");
        }
        if matches!(moment, Moment::Held(_)) {
            assert!(open && next.stderr.contains("it was done"), "{number}: {next:?}");
        }
        assert!(handles.iter().all(|h| world.value(&handle_key(h)).is_none()), "{number}");
        assert!(!is_open(&world), "{number}");
    }
    // `intended` and `settle` lie between intent and outcome, and so does every held answer.
    assert_eq!(surely, 6 + HELD, "and {by_chance} by chance");
    // Every handle was deleted by exactly one transaction that is recorded as done.
    let mut applied = BTreeMap::new();
    for release in world.list() {
        assert_ne!(release["outcome"], "open", "{release}");
        for subject in release["subjects"].as_array().unwrap() {
            assert!(!subject["outcome"].is_null(), "left open: {subject}");
            if subject["kind"] == "handle" && subject["outcome"] == "applied" {
                *applied.entry(subject["id"].as_str().unwrap().to_owned()).or_insert(0) += 1;
            }
        }
    }
    assert_eq!(applied.len(), 3 * ALL);
    assert!(applied.values().all(|times| *times == 1), "{applied:?}");
}
