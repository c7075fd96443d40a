//! A thing is what it is: names that differ in two digits a fixed distance apart are two things, in every audit and for
//! every release. An earlier version told some of them apart by a hash in which such digits cancelled out.

use serde_json::{Value, json};

use super::calico::{block_key, empty_block, handle_key};
use super::servers::{self, EtcdVersion, block_on};
use super::world::{Run, World};

/// Blocks of node-1 and the addresses in them that once were one.
const ONE: (&str, usize) = ("10.65.27.128/26", 45);
const OTHER: (&str, usize) = ("10.65.29.64/26", 39);

/// Blocks whose next address is the one that is meant.
fn claim_both(world: &World) {
    for (cidr, ordinal) in [ONE, OTHER] {
        world.claim(cidr, "node-1", 64);
        let mut block = empty_block(cidr, Some("node-1"), 64);
        block["unallocated"].as_array_mut().unwrap().retain(|o| *o != json!(ordinal));
        block["unallocated"].as_array_mut().unwrap().insert(0, json!(ordinal));
        world.etcd.put(block_key(cidr), block.to_string());
    }
}

/// What an audit as of so many seconds ago prints, and how it ends.
fn audit(world: &World, ago: i64) -> Run {
    let now = chrono::Utc::now() - chrono::TimeDelta::seconds(ago);
    let mut command = world.command("audit", &world.etcd.endpoint());
    command.args(["--now", &now.to_rfc3339(), "--settle", "10ms", "-o", "json"]);
    Run::of(command.output().unwrap())
}

fn document(run: &Run) -> Value {
    serde_json::from_str(&run.stdout).unwrap()
}

fn of_code<'a>(document: &'a Value, code: &str) -> Vec<&'a Value> {
    document["findings"].as_array().unwrap().iter().filter(|f| f["code"] == code).collect()
}

fn whole(world: &World) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ipaudit"));
    command.env_clear().args(["history", "check", "--db"]).arg(world.folder.path().join("history.db"));
    let run = Run::of(command.output().unwrap());
    assert!(run.code == 0 && run.stdout.ends_with(": whole\n"), "{run:?}");
}

#[test]
fn two_leaks_that_once_shared_a_number_are_recorded_and_released() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    claim_both(&world);
    let leaks = [ONE, OTHER].map(|(cidr, _)| world.leak(&format!("gone{}", cidr.len()), "node-1", cidr));
    assert_eq!(leaks.each_ref().map(|(_, address)| address.as_str()), ["10.65.27.173", "10.65.29.103"]);
    for (number, ago) in [(1, 1200), (2, 600), (3, 0)] {
        let run = audit(&world, ago);
        assert_eq!(run.code, 1, "{run:?}");
        let document = document(&run);
        assert_eq!(document["audit"]["id"], number, "recorded: {}", run.stderr);
        let leaked = of_code(&document, "IPA110");
        let seen: Vec<_> = leaked.iter().map(|f| (f["subject"]["id"].as_str().unwrap(), &f["audits_seen"])).collect();
        assert_eq!(seen, [("10.65.27.173", &json!(number)), ("10.65.29.103", &json!(number))]);
    }
    whole(&world);
    for (workload, _) in &leaks {
        world.release(&["--handle", &workload.handle(), "--yes", "-o", "json"]).done(1);
    }
}

/// Rule 4: three audits have to have seen this very leak.
#[test]
fn the_age_of_one_leak_is_no_others() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    claim_both(&world);
    let (first, _) = world.leak("first", "node-1", ONE.0);
    [2400, 1800, 1200, 600].into_iter().for_each(|ago| world.audit(ago));
    block_on(world.calico().del(&first, &[ONE.0]));
    let (second, address) = world.leak("second", "node-1", OTHER.0);
    let last = document(&audit(&world, 0));
    let leaked = of_code(&last, "IPA110");
    assert_eq!(
        (leaked.len(), &leaked[0]["audits_seen"], &leaked[0]["episode"]),
        (1, &json!(1), &json!(1)),
        "{address}"
    );
    // The leak and the endpoint that is left with it.
    assert_eq!((&last["history"]["new"], &last["history"]["resolved"]), (&json!(2), &json!(2)), "{}", last["history"]);
    let refused = world.release(&["--handle", &second.handle(), "--yes", "-o", "json"]);
    refused.refused(4);
    assert!(refused.stdout.contains("it needs 2 more audits"), "{refused:?}");
    assert!(world.value(&handle_key(&second.handle())).is_some());
    whole(&world);
}

/// Nothing changes, so etcd was not restored.
#[test]
fn calico_nodes_whose_keys_once_shared_a_number_are_no_restore() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    for (node, address) in
        [("ip-10-0-96-160.ec2.internal", "10.0.96.160"), ("ip-10-0-114-10.ec2.internal", "10.0.114.10")]
    {
        let orch = json!([{"orchestrator": "k8s", "nodeName": node}]);
        world.resource(
            &format!("nodes/{node}"),
            json!({"orchRefs": orch, "bgp": {"ipv4Address": format!("{address}/24")}}),
        );
        world.kube.node(node, address, true);
    }
    for (number, ago) in [(1, 1200), (2, 600), (3, 0)] {
        let run = audit(&world, ago);
        let document = document(&run);
        assert_eq!((run.code, &document["audit"]["id"]), (0, &json!(number)), "{run:?}");
        assert!(of_code(&document, "IPA903").is_empty(), "{run:?}");
    }
    whole(&world);
}

/// Containers' handles, which are given back, and ordinary dotted names, some of which once shared their numbers: whose
/// id is no container's stays.
#[test]
fn ten_thousand_findings_are_recorded_read_back_and_released() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let dotted = |i: usize| format!("k8s-pod-network.10.65.{}.{}", i / 250, i % 250);
    let (released, staying) = (10_000, 20 * 250..30 * 250);
    let mut names: Vec<String> = (0..released).map(|i| super::world::of_container(&i.to_string())).collect();
    names.extend(staying.clone().map(dotted));
    names.sort_unstable();
    let value = r#"{"block":{"10.65.0.0/26":1},"deleted":false}"#;
    let pairs = names.iter().map(|name| (handle_key(name).into_bytes(), value.as_bytes().to_vec()));
    world.etcd.put_many(pairs.collect());
    for (number, ago) in [(1, 1200), (2, 600), (3, 0)] {
        let run = audit(&world, ago);
        let document = document(&run);
        assert_eq!((run.code, &document["audit"]["id"]), (0, &json!(number)), "{}", run.stderr);
        let orphans = of_code(&document, "IPA201");
        assert!(orphans.iter().all(|f| f["audits_seen"] == json!(number)) && orphans.len() == names.len());
        let resolved = &document["history"]["resolved"];
        assert_eq!((&document["history"]["came_back"], resolved), (&json!(0), &json!(0)));
    }
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ipaudit"));
    command.env_clear().args(["report", "-o", "json", "--db"]).arg(world.folder.path().join("history.db"));
    let report: Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
    let read = report["clusters"][0]["findings"].as_array().unwrap().iter();
    let mut read: Vec<&str> =
        read.filter(|f| f["code"] == "IPA201").map(|f| f["subject"]["id"].as_str().unwrap()).collect();
    read.sort_unstable();
    assert!(read == names, "{} were read back", read.len());
    let bulk = ["--code", "IPA201", "--older-than", "15m", "--yes", "-o", "json", "--max", "20000"];
    world.release(&bulk).done(released);
    assert_eq!(world.etcd.list("/calico/ipam/v2/handle/k8s-pod-network.10.").len(), staying.len());
    assert_eq!(world.etcd.list("/calico/ipam/v2/handle/k8s-pod-network.0").len(), 0, "padded with noughts");
    let after = document(&audit(&world, 0));
    assert_eq!((of_code(&after, "IPA201").len(), &after["history"]["resolved"]), (staying.len(), &json!(released)));
    whole(&world);
}
