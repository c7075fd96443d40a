//! Orphaned handles whose id comes again: never automatically, never without age, one at a time by the operator's word.

use serde_json::{Value, json};

use super::calico::{block_key, empty_block, handle_key, ordinals_of};
use super::servers::{self, EtcdVersion, block_on};
use super::world::{BLOCK, Run, V6, World};

const TUNNEL: &str = "vxlan-tunnel-addr-node-1";
const MACHINE: &str = "k8s-pod-network.vmi.vms.cursed";
const SERVICE: &str = "lb-po9BrpGzDNyQStPVKeEgsqQcsEwMrNJNtotNFXNgN";
const VERY_OLD: &str = "shop.ancient-0";
const ALL: [&str; 4] = [TUNNEL, MACHINE, SERVICE, VERY_OLD];

/// By the operator's word, as JSON.
fn by_word(world: &World, id: &str) -> Run {
    world.force(&["--handle", id, "--i-know-what-this-is"])
}

#[test]
fn an_orphan_whose_id_comes_again_is_never_released_automatically() {
    servers::need!(Etcd3_4, Etcd3_7);
    for version in [EtcdVersion::V3_4, EtcdVersion::V3_7] {
        let world = World::new(version);
        ALL.iter().for_each(|id| drop(world.orphan(id, BLOCK)));
        [1200, 600, 0].iter().for_each(|ago| world.audit(*ago));
        let before = world.etcd.list("/calico");
        for id in ALL {
            let refused = world.force(&["--handle", id]);
            refused.refused(7);
            assert!(refused.stdout.contains("whose id comes again; it goes alone, by your word"), "{refused:?}");
            let command = format!("ipaudit release --handle {id} --i-know-what-this-is");
            assert!(refused.stdout.contains(&command), "{refused:?}");
        }
        assert_eq!(world.etcd.list("/calico"), before);
        for id in ALL {
            by_word(&world, id).done(1);
            assert_eq!(world.value(&handle_key(id)), None);
        }
    }
}

/// Calico's DEL has written the block and waits before the handle. Then the same id is taken again, and the late
/// decrement deletes the handle of an address that is in use: no release may have come in between.
#[test]
fn rule_4_is_not_waived_while_a_del_may_wait_between_its_two_writes() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    for id in ALL {
        world.orphan(id, BLOCK);
        by_word(&world, id).refused(4);
        assert!(world.value(&handle_key(id)).is_some(), "{id}");
    }
    // What the audits saw was another object once it is written again.
    [1200, 600].iter().for_each(|ago| world.audit(*ago));
    world.orphan(TUNNEL, BLOCK);
    world.audit(0);
    let refused = by_word(&world, TUNNEL);
    refused.refused(4);
    assert!(!refused.stdout.contains("or --skip-age"), "{refused:?}");
    by_word(&world, MACHINE).done(1);
}

/// An id that came again since the last audit: its handle is another object, and its DEL may wait right now.
#[test]
fn rule_4_what_was_written_since_the_last_audit_was_seen_by_none() {
    servers::need!(Etcd3_4, Etcd3_7);
    for version in [EtcdVersion::V3_4, EtcdVersion::V3_7] {
        let world = World::new(version);
        ALL.iter().for_each(|id| drop(world.orphan(id, BLOCK)));
        let pod = world.orphan("k8s-pod-network.gone", BLOCK);
        [1200, 600, 0].iter().for_each(|ago| world.audit(*ago));
        let again = |key: &str| {
            let value = world.etcd.get(key).unwrap().value;
            world.etcd.delete(key);
            world.etcd.put(key, value);
        };
        for id in ALL {
            again(&handle_key(id));
            by_word(&world, id).refused(4);
        }
        again(&handle_key(&pod));
        world.release(&["--handle", &pod, "-o", "json"]).refused(4);
        assert!(world.value(&handle_key(&pod)).is_some());
    }
}

/// IPA208: every start of the machine fails, and its handle is an orphan.
#[test]
fn the_handle_that_keeps_a_machine_from_starting_has_a_cure() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    world.orphan(MACHINE, BLOCK);
    let audit = |ago: i64| {
        let now = chrono::Utc::now() - chrono::TimeDelta::seconds(ago);
        let mut command = world.command("audit", &world.etcd.endpoint());
        command.args(["--now", &now.to_rfc3339(), "--settle", "10ms", "-o", "json", "--fail-on", "never", "--all"]);
        Run::of(command.output().unwrap()).json()
    };
    let found = [1200, 600, 0].map(audit).pop_value();
    let findings = found["findings"].as_array().unwrap().iter().filter(|f| f["code"] == "IPA208");
    let next: Vec<&Value> = findings.map(|f| &f["next"][0]).collect();
    assert_eq!(next, [&json!(format!("ipaudit release --handle {MACHINE} --i-know-what-this-is"))]);
    let run = world.release(&["--handle", MACHINE, "--i-know-what-this-is", "--yes", "-o", "json"]);
    run.done(1);
    assert_eq!(world.value(&handle_key(MACHINE)), None);
}

trait Last {
    fn pop_value(self) -> Value;
}

impl<const N: usize> Last for [Value; N] {
    fn pop_value(self) -> Value {
        self.into_iter().next_back().unwrap()
    }
}

#[test]
fn by_code_they_are_left_out_and_said_how_many_and_how_they_go() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    ALL.iter().for_each(|id| drop(world.orphan(id, BLOCK)));
    let pods: Vec<String> = (0..3).map(|i| world.orphan(&format!("k8s-pod-network.gone{i}"), BLOCK)).collect();
    [1200, 600, 0].iter().for_each(|ago| world.audit(*ago));
    let run = world.release(&["--code", "IPA201", "--older-than", "1m", "--yes", "-o", "json"]);
    run.done(3);
    let notes = run.json()["notes"].to_string();
    assert!(notes.contains("4 orphaned handles are left out"), "{notes}");
    assert!(notes.contains(" --i-know-what-this-is`; `ipaudit audit --code IPA201 --all`"), "{notes}");
    assert!(pods.iter().all(|id| world.value(&handle_key(id)).is_none()));
    assert!(ALL.iter().all(|id| world.value(&handle_key(id)).is_some()));
}

/// The operator's word by `--handle` is for an orphan; addresses go by `--address`.
#[test]
fn the_word_for_a_handle_lets_no_address_go() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let mut block = empty_block(BLOCK, Some("node-1"), 64);
    let attribute = json!({"handle_id": MACHINE, "secondary": {"namespace": "vms", "node": "node-1", "vmi": "cursed"}});
    block["attributes"] = json!([attribute]);
    block["allocations"][5] = json!(0);
    block["unallocated"].as_array_mut().unwrap().retain(|o| *o != json!(5));
    world.etcd.put(block_key(BLOCK), block.to_string());
    block_on(world.calico().increment(MACHINE, BLOCK));
    by_word(&world, MACHINE).refused(7);
    assert_eq!(ordinals_of(&world.value(&block_key(BLOCK)).unwrap(), MACHINE), [5]);
    assert!(world.value(&block_key(V6)).is_some());
}
