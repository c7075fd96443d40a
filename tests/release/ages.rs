//! Audit, who and report count the audits as a release does (rule 4): what they advise is let through for its age, and where
//! they say what is missing the release says the same.

use serde_json::Value;

use super::calico::Workload;
use super::servers::{self, EtcdVersion};
use super::world::{BLOCK, Run, World};

/// What an audit as of so many seconds ago says.
fn audit(world: &World, ago: i64) -> Value {
    let now = (chrono::Utc::now() - chrono::TimeDelta::seconds(ago)).to_rfc3339();
    let mut command = world.command("audit", &world.etcd.endpoint());
    let run = Run::of(command.args(["--now", &now, "--settle", "10ms", "-o", "json"]).output().unwrap());
    serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("{e}: {run:?}"))
}

fn leak(document: &Value) -> &Value {
    document["findings"].as_array().unwrap().iter().find(|f| f["code"] == "IPA110").unwrap()
}

fn releases(finding: &Value) -> bool {
    finding["next"].as_array().unwrap().iter().any(|c| c.as_str().unwrap().starts_with("ipaudit release "))
}

fn who(world: &World, what: &str) -> String {
    let mut command = world.command("who", &world.etcd.endpoint());
    Run::of(command.args([what, "--settle", "10ms"]).output().unwrap()).stdout
}

fn report(world: &World) -> String {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ipaudit"));
    command.env_clear().args(["report", "--since", "24h", "--db"]).arg(world.folder.path().join("history.db"));
    Run::of(command.output().unwrap()).stdout
}

/// `2 more audits`, of whatever says it.
fn missing(text: &str) -> Option<&str> {
    let words = text.find(" more audit").map(|end| (text[..end].rfind(' ').map_or(0, |at| at + 1), end))?;
    Some(&text[words.0..words.1])
}

/// All four say that so many audits are missing, and none of them advises a release.
#[track_caller]
fn lacks(world: &World, (workload, address): &(Workload, String), told: &Value, audits: &str) {
    let run = world.release(&["--handle", &workload.handle(), "-o", "json"]);
    run.refused(4);
    assert_eq!(missing(&run.stdout), Some(audits), "{run:?}");
    let leak = leak(told);
    assert!(!releases(leak), "{leak:#}");
    assert_eq!(missing(leak["advice"].as_str().unwrap()), Some(audits), "{leak:#}");
    let who = who(world, address);
    assert!(missing(&who) == Some(audits) && !who.contains("ipaudit release "), "{who}");
    let report = report(world);
    assert!(!report.contains("ipaudit release "), "{report}");
    world.release(&["--code", "IPA110", "--older-than", "0s", "-o", "json"]).refused(4);
}

/// All four let it go.
#[track_caller]
fn goes(world: &World, (workload, address): &(Workload, String), told: &Value) {
    assert!(releases(leak(told)), "{:#}", leak(told));
    let command = format!("ipaudit release --handle {}", workload.handle());
    let who = who(world, address);
    assert!(who.contains(&command), "{who}");
    let report = report(world);
    let advised = report.lines().map(str::trim).find(|line| line.starts_with("ipaudit release ")).expect(&report);
    let words: Vec<&str> = advised.split(' ').skip(2).take(4).collect();
    let planned = world.release(&[&words[..], &["-o", "json"]].concat());
    assert!(
        planned.code == 0 && planned.json()["plan"]["steps"].as_array().unwrap().len() == 1,
        "{advised}: {planned:?}"
    );
    world.release(&["--handle", &workload.handle(), "--yes", "-o", "json"]).done(1);
}

#[test]
fn audits_close_together_count_once() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let thing = world.leak("gone", "node-1", BLOCK);
    [3000, 660].iter().for_each(|ago| drop(audit(&world, *ago)));
    let third = audit(&world, 600);
    assert_eq!(leak(&third)["audits_seen"], 3);
    lacks(&world, &thing, &third, "1");
    goes(&world, &thing, &audit(&world, 0));
}

#[test]
fn what_was_seen_while_its_node_was_not_ready_does_not_count() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let thing = world.leak("gone", "node-1", BLOCK);
    world.kube.node("node-1", "192.168.0.1", false);
    [3000, 2400].iter().for_each(|ago| drop(audit(&world, *ago)));
    world.kube.node("node-1", "192.168.0.1", true);
    lacks(&world, &thing, &audit(&world, 1800), "2");
    drop(audit(&world, 900));
    goes(&world, &thing, &audit(&world, 0));
}

/// While the datastore is locked an audit sees a leak as ever; and so counts a release.
#[test]
fn what_was_seen_of_a_locked_datastore() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let thing = world.leak("gone", "node-1", BLOCK);
    world.lock(Some(false));
    [3000, 2400].iter().for_each(|ago| drop(audit(&world, *ago)));
    let told = audit(&world, 1800);
    assert!(!releases(leak(&told)) && !who(&world, &thing.1).contains("ipaudit release "), "{told:#}");
    world.lock(Some(true));
    let told = audit(&world, 900);
    let advised = releases(leak(&told));
    let run = world.release(&["--handle", &thing.0.handle(), "-o", "json"]);
    assert_eq!(advised, run.rules().is_empty(), "{run:?} {:#}", leak(&told));
    drop(audit(&world, 450));
    goes(&world, &thing, &audit(&world, 0));
}

#[test]
fn what_was_seen_before_a_restore_does_not_count() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let thing = world.leak("gone", "node-1", BLOCK);
    let backup = world.etcd.snapshot_save();
    world.orphan("k8s-pod-network.later", BLOCK);
    [6000, 5000, 4000].iter().for_each(|ago| drop(audit(&world, *ago)));
    world.etcd.restore(&backup);
    // The audit that finds it, and one more.
    drop(audit(&world, 3000));
    let second = audit(&world, 2000);
    assert_eq!(leak(&second)["audits_seen"], 5);
    lacks(&world, &thing, &second, "2");
    drop(audit(&world, 1000));
    goes(&world, &thing, &audit(&world, 0));
}

/// An audit whose clock the API server's contradicts has seen nothing at a known time.
#[test]
fn what_was_seen_by_a_wrong_clock_does_not_count() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let thing = world.leak("gone", "node-1", BLOCK);
    for off in [-90, 600] {
        world.kube.tell_time(&[Some(off)]);
        [6000, 5400].iter().for_each(|ago| drop(audit(&world, *ago + off)));
    }
    world.kube.tell_time(&[Some(0)]);
    lacks(&world, &thing, &audit(&world, 2400), "2");
    drop(audit(&world, 1200));
    let told = audit(&world, 0);
    // Known since the first audit by a right clock.
    let run = world.release(&["--code", "IPA110", "--older-than", "1h", "-o", "json"]);
    assert_eq!((run.code, run.json()["plan"]["steps"].as_array().map_or(0, Vec::len)), (0, 0), "{run:?}");
    goes(&world, &thing, &told);
}

/// Kubernetes has lost the node, Calico has not: no waiting helps, and what does is said.
#[test]
fn a_node_that_calico_alone_has_is_no_matter_of_time() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let (workload, address) = world.leak("gone", "node-1", BLOCK);
    [6000, 5400, 4800].iter().for_each(|ago| drop(audit(&world, *ago)));
    world.kube.remove_node("node-1");
    let told = audit(&world, 0);
    let says = "calicoctl delete node";
    assert!(!releases(leak(&told)) && leak(&told)["advice"].as_str().unwrap().contains(says), "{:#}", leak(&told));
    let who = who(&world, &address);
    assert!(who.replace("\n       ", " ").contains(says) || who.contains("calicoctl"), "{who}");
    let run = world.release(&["--handle", &workload.handle(), "-o", "json"]);
    run.refused(3);
    assert!(run.stdout.contains(says), "{run:?}");
}
