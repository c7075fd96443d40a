//! What a report says after a release and before the next audit: what went with it is open no more.

use serde_json::Value;

use super::calico::{Workload, block_key, empty_block};
use super::servers::{self, EtcdVersion, block_on};
use super::world::{BLOCK, OTHER, RESOURCES, Run, World};

/// A pool that is gone left a block behind that nobody owns.
const LEFT: &str = "10.66.0.0/26";

fn report(world: &World, args: &[&str]) -> Run {
    let mut ipaudit = std::process::Command::new(env!("CARGO_BIN_EXE_ipaudit"));
    ipaudit.env_clear().env("COLUMNS", "400").arg("report").arg("--db").arg(world.folder.path().join("history.db"));
    Run::of(ipaudit.args(args).output().unwrap())
}

fn first(run: &Run) -> &str {
    run.stdout.lines().next().unwrap()
}

/// The findings of these codes, by code, subject and whether they are given back.
fn found(world: &World, codes: &[&str]) -> Vec<(String, String, bool)> {
    let document: Value = serde_json::from_str(&report(world, &["-o", "json"]).stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let row = |f: &Value| (text(&f["code"]), text(&f["subject"]["id"]), f["given_back"] == true);
    let all = document["clusters"][0]["findings"].as_array().unwrap().iter().map(row);
    all.filter(|(code, ..)| codes.contains(&code.as_str())).collect()
}

/// A pod that came back on another node: what it left on the first is stale, and a twin.
fn moved(world: &World, pod: &str) -> Workload {
    let (old, _) = world.leak(pod, "node-1", BLOCK);
    let new = Workload { container: format!("again{pod}"), ..Workload::new(pod, "node-2") };
    world.kube.pod("shop", pod, "node-2", &[]);
    let address = block_on(world.calico().add(&new, OTHER));
    world.kube.pod("shop", pod, "node-2", &[&address]);
    old
}

const ENDPOINTS: [&str; 4] = ["IPA501", "IPA502", "IPA503", "IPA508"];

#[test]
fn what_a_release_deleted_is_open_no_more() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let (gone, _) = world.leak("gone", "node-1", BLOCK);
    let twin = moved(&world, "store-0");
    world.etcd.put(block_key(LEFT), empty_block(LEFT, None, 64).to_string());
    let (outside, _) = world.leak("outside", "node-2", LEFT);
    [1200, 600, 0].into_iter().for_each(|ago| world.audit(ago));
    let name = |workload: &Workload| {
        workload.endpoint_key().strip_prefix(&format!("{RESOURCES}/workloadendpoints/")).unwrap().to_owned()
    };
    let wanted = |given_back: [bool; 3]| {
        let of = |code: &str, subject: String, given_back| (code.to_owned(), subject, given_back);
        let mut all = vec![
            of("IPA501", name(&gone), given_back[0]),
            of("IPA501", name(&outside), given_back[2]),
            of("IPA502", name(&twin), given_back[1]),
            of("IPA503", "shop/store-0/eth0".to_owned(), given_back[1]),
        ];
        all.sort();
        all
    };
    let endpoints = || {
        let mut all = found(&world, &ENDPOINTS);
        all.sort();
        all
    };
    let block = || found(&world, &["IPA303"]).into_iter().filter(|(_, subject, _)| subject == LEFT);
    assert_eq!(endpoints(), wanted([false; 3]));
    assert!(block().count() > 0 && block().all(|(.., given_back)| !given_back));
    world.release(&["--handle", &gone.handle(), "--yes", "-o", "json"]).done(1);
    assert_eq!(endpoints(), wanted([true, false, false]));
    let half = report(&world, &[]);
    assert!(half.code == 1 && first(&half).contains("Open: "), "{half:?}");
    world.release(&["--handle", &twin.handle(), "--yes", "-o", "json"]).done(1);
    assert_eq!(endpoints(), wanted([true, true, false]));
    world.release(&["--handle", &outside.handle(), "--yes", "-o", "json"]).done(1);
    assert_eq!(world.text(&block_key(LEFT)), None);
    assert_eq!(endpoints(), wanted([true; 3]));
    assert!(block().all(|(.., given_back)| given_back), "{:?}", block().collect::<Vec<_>>());
    let all = report(&world, &["--severity", "error"]);
    assert!(all.code == 0 && first(&all).contains(" Nothing is open."), "{all:?}");
    // An undo puts the address back, and no endpoint.
    let leaks = || found(&world, &["IPA110"]).into_iter().filter(|(.., given_back)| !given_back).count();
    assert_eq!(leaks(), 0);
    world.undo(1, &["--yes"]).done(1);
    assert_eq!((endpoints(), leaks()), (wanted([true; 3]), 1));
    let again = report(&world, &["--severity", "error"]);
    assert!(again.code == 1 && first(&again).contains(" Open: 1 error found at first"), "{again:?}");
}

/// However they are told: leaks under their endpoints, or by themselves.
#[test]
fn the_first_line_counts_what_was_given_back() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let gone: Vec<_> = (0..3).map(|i| world.leak(&format!("gone-{i}"), "node-1", BLOCK)).collect();
    let (other, alone) = world.leak("gone-3", "node-2", OTHER);
    block_on(world.calico().unwire(&other));
    let orphans = ["a", "b"].map(|id| world.orphan(&format!("k8s-pod-network.{id}"), BLOCK));
    [1200, 600, 0].into_iter().for_each(|ago| world.audit(ago));
    let says = |args: &[&str]| first(&report(&world, args)).to_owned();
    world.release(&["--handle", &gone[0].0.handle(), "--yes", "-o", "json"]).done(1);
    let one = format!("1 address was given back (release 1): {}. ", gone[0].1);
    assert!(says(&[]).starts_with(&one), "{}", says(&[]));
    world.release(&["--code", "IPA110", "--older-than", "0s", "--yes", "-o", "json"]).done(3);
    assert!(says(&[]).starts_with("4 addresses were given back (releases 1 and 2). "), "{}", says(&[]));
    let there = format!("1 address was given back (release 2): {alone}. ");
    assert!(says(&["--node", "node-2"]).starts_with(&there), "{}", says(&["--node", "node-2"]));
    assert!(says(&["--code", "IPA501"]).starts_with("3 errors ended with a release: IPA501 "));
    world.release(&["--handle", &orphans.join(","), "--yes", "-o", "json"]).done(2);
    let all = "4 addresses and 2 orphaned handles were given back (releases 1, 2 and 3). Nothing is open.";
    assert!(says(&[]).starts_with(all), "{}", says(&[]));
    let ticket = report(&world, &["-o", "markdown"]);
    assert!(ticket.stdout.contains(&format!("**{all}")), "{ticket:?}");
    world.undo(1, &["--yes"]).done(1);
    let rest = "3 addresses and 2 orphaned handles were given back (releases 2 and 3). Open: 1 error";
    assert!(says(&[]).starts_with(rest), "{}", says(&[]));
    world.audit(0);
    assert!(!says(&[]).contains("given back") && says(&[]).contains("released by us"), "{}", says(&[]));
}
