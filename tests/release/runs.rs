//! Whole runs: ages from a history, many at once, runs that are killed, undone, and not allowed to.

use std::time::Duration;

use etcd_client::Permission;
use serde_json::{Value, json};

use super::calico::{Workload, address_of, block_key, handle_key, ordinals_of};
use super::servers::etcd_users::User;
use super::servers::http2::Request;
use super::servers::proxy::Then;
use super::servers::{self, Etcd, EtcdVersion, block_on};
use super::world::{BLOCK, OTHER, Run, World};

impl World {
    /// An audit as of so many seconds ago, into the history.
    pub fn audit(&self, ago: i64) {
        let now = chrono::Utc::now() - chrono::TimeDelta::seconds(ago);
        let mut command = self.command("audit", &self.etcd.endpoint());
        command.args(["--now", &now.to_rfc3339(), "--settle", "10ms", "-o", "json", "--fail-on", "never"]);
        let run = Run::of(command.output().unwrap());
        assert_eq!(run.code, 0, "{run:?}");
    }

    pub fn list(&self) -> Vec<Value> {
        self.release(&["--list", "-o", "json"]).json()["releases"].as_array().unwrap().clone()
    }
}

#[test]
fn rule_4_three_audits_through_the_binary() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let (gone, _) = world.leak("gone", "node-1", BLOCK);
    let orphan = world.orphan("k8s-pod-network.orphan", BLOCK);
    let go = |handle: &str| world.release(&["--handle", handle, "--yes", "-o", "json"]);
    world.audit(1200);
    world.audit(600);
    go(&gone.handle()).refused(4);
    go(&orphan).refused(4);
    world.audit(0);
    go(&gone.handle()).done(1);
    go(&orphan).done(1);
}

#[test]
fn rule_4_another_holder_begins_anew() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let (gone, _) = world.leak("gone", "node-1", BLOCK);
    let orphan = world.orphan("k8s-pod-network.orphan", BLOCK);
    world.audit(1200);
    world.audit(600);
    block_on(world.calico().del(&gone, &[BLOCK]));
    world.leak("gone", "node-1", BLOCK);
    world.orphan("k8s-pod-network.orphan", BLOCK);
    world.audit(0);
    for handle in [&gone.handle(), &orphan] {
        world.release(&["--handle", handle, "--yes", "-o", "json"]).refused(4);
    }
}

#[test]
fn rule_10_many_by_code_are_limited_and_resumed() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    for i in 0..100 {
        world.orphan(&format!("k8s-pod-network.old{i}"), BLOCK);
    }
    for ago in [1200, 600, 0] {
        world.audit(ago);
    }
    let young = world.orphan("k8s-pod-network.young", BLOCK);
    let bulk =
        |max: &str| world.release(&["--code", "IPA201", "--older-than", "15m", "--max", max, "--yes", "-o", "json"]);
    let first = bulk("70");
    first.done(70);
    assert_eq!(first.json()["plan"]["beyond_max"], 30);
    bulk("70").done(30);
    assert_eq!(bulk("70").code, 0);
    assert!(world.value(&handle_key(&young)).is_some());
    let leaks: Vec<Workload> = (0..3).map(|i| world.leak(&format!("gone{i}"), "node-1", BLOCK).0).collect();
    for ago in [900, 450, 0] {
        world.audit(ago);
    }
    let run = world.release(&["--code", "IPA110", "--older-than", "10m", "--yes", "-o", "json"]);
    run.done(3);
    assert!(leaks.iter().all(|w| world.value(&handle_key(&w.handle())).is_none()));
}

/// The oldest leaks are on a node that is not Ready: each is refused, and the younger one goes all the same.
#[test]
fn rule_10_what_is_refused_takes_nobodys_place() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let held: Vec<Workload> = (0..2).map(|i| world.leak(&format!("a{i}"), "node-1", BLOCK).0).collect();
    world.audit(6000);
    let free = world.leak("z", "node-2", OTHER).0;
    [3000, 2000, 0].iter().for_each(|ago| world.audit(*ago));
    world.kube.node("node-1", "192.168.0.1", false);
    let run = world.release(&["--code", "IPA110", "--older-than", "15m", "--max", "1", "--yes", "-o", "json"]);
    run.done(1);
    assert_eq!(run.json()["plan"]["beyond_max"], 2, "{run:?}");
    assert!(world.value(&handle_key(&free.handle())).is_none());
    assert!(held.iter().all(|w| world.value(&handle_key(&w.handle())).is_some()));
    let run = world.release(&["--code", "IPA110", "--older-than", "15m", "--max", "1", "--yes", "-o", "json"]);
    run.refused(3);
}

#[test]
fn rule_2_a_sudden_mass_leak_is_refused_in_bulk_and_not_by_name() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let leaks: Vec<Workload> = (0..21).map(|i| world.leak(&format!("gone{i}"), "node-1", BLOCK).0).collect();
    for pod in &leaks {
        world.kube.pod("shop", &pod.pod, "node-1", &[]);
    }
    world.audit(0);
    for pod in &leaks {
        world.kube.remove_pod("shop", &pod.pod);
    }
    let bulk = world.release(&["--code", "IPA110", "--older-than", "0s", "--skip-age", "--yes", "-o", "json"]);
    bulk.refused(2);
    assert!(bulk.stdout.contains("sudden mass leak: 21 of"), "{bulk:?}");
    world.force(&["--handle", &leaks[0].handle()]).done(1);
}

#[test]
fn rule_2_restored_between_observation_and_release() {
    servers::need!(Etcd3_7);
    let mut world = World::new(EtcdVersion::V3_7);
    let (gone, _) = world.leak("gone", "node-1", BLOCK);
    let backup = world.etcd.snapshot_save();
    world.audit(0);
    world.etcd = Etcd::builder(EtcdVersion::V3_7).restored_from(&backup).start();
    let run = world.force(&["--handle", &gone.handle()]);
    run.refused(2);
    assert!(run.stdout.contains("restored or replaced"), "{run:?}");
}

#[test]
fn the_api_server_goes_in_the_middle() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let leaks: Vec<Workload> = (0..8).map(|i| world.leak(&format!("gone{i}"), "node-1", BLOCK).0).collect();
    let handles: Vec<String> = leaks.iter().map(Workload::handle).collect();
    let args = ["--handle", &handles.join(","), "--rate", "2/s", "--kube-timeout", "1s"];
    let child = world.start(&world.etcd.endpoint(), &args);
    let left = || handles.iter().filter(|h| world.value(&handle_key(h)).is_some()).count();
    servers::eventually("the first is released", Duration::from_secs(60), || left() < 8);
    world.kube.die();
    let run = Run::of(child.wait_with_output().unwrap());
    run.refused(5);
    let done = run.json()["outcome"]["done"].as_u64().unwrap() as usize;
    assert!(done >= 1 && done + left() == 8, "{run:?}");
    // The others are not begun: each would wait as long for the same.
    assert_eq!(run.rules(), [5], "{run:?}");
    assert_eq!(run.json()["outcome"]["left"].as_u64().unwrap() as usize, left() - 1);
    let block = world.value(&block_key(BLOCK)).unwrap();
    for handle in &handles {
        assert_eq!(ordinals_of(&block, handle).is_empty(), world.value(&handle_key(handle)).is_none(), "{handle}");
    }
}

#[test]
fn the_connection_is_cut_right_after_the_commit() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let (gone, _) = world.leak("gone", "node-1", BLOCK);
    let (proxy, endpoint) = world.etcd.behind_proxy();
    // Only the write carries the block's next number to the server.
    proxy.lose_answer(Request::Containing(b"1700000000000000003".to_vec()), Then::Reconnect);
    let run = Run::of(world.start(&endpoint, &["--handle", &gone.handle()]).wait_with_output().unwrap());
    run.done(1);
    assert_eq!(proxy.sprung(), 1);
    assert_eq!(world.list()[0]["outcome"], "done");
}

#[test]
fn rule_10_an_unknown_outcome_stops_the_run_with_3_and_the_next_run_settles_it() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let leaks: Vec<Workload> = (0..3).map(|i| world.leak(&format!("gone{i}"), "node-1", BLOCK).0).collect();
    let handles: Vec<String> = leaks.iter().map(Workload::handle).collect();
    let (proxy, endpoint) = world.etcd.behind_proxy();
    let written = world.value(&block_key(BLOCK)).unwrap()["sequenceNumber"].as_u64().unwrap() + 1;
    proxy.lose_answer(Request::Containing(written.to_string().into_bytes()), Then::Refuse);
    let run = Run::of(world.start(&endpoint, &["--handle", &handles.join(",")]).wait_with_output().unwrap());
    assert_eq!(run.code, 3, "{run:?}");
    let document = run.json();
    assert!(!document["outcome"]["unknown"].is_null() && document["outcome"]["left"] == 2, "{run:?}");
    assert!(document["answer"].as_str().unwrap().starts_with("UNKNOWN what became of the last transaction"));
    assert_eq!(world.list()[0]["outcome"], "unknown");
    let next = world.force(&["--handle", &handles.join(",")]);
    next.done(2);
    assert!(next.stderr.contains("it was done"), "{next:?}");
    assert_eq!(world.list()[0]["outcome"], "stopped");
    assert_eq!(world.list()[0]["subjects"][0]["outcome"], "applied");
}

/// Somebody writes the block all the time, faster than an answer comes.
#[test]
fn rule_9_three_tries_and_no_more() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let (gone, _) = world.leak("gone", "node-1", BLOCK);
    let (proxy, endpoint) = world.etcd.behind_proxy();
    proxy.delay(Duration::from_millis(60));
    let value = world.text(&block_key(BLOCK)).unwrap();
    let (stop, mut client) = (std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)), world.etcd.client());
    let flag = stop.clone();
    let writer = servers::runtime().spawn(async move {
        while !flag.load(std::sync::atomic::Ordering::SeqCst) {
            client.put(block_key(BLOCK), value.clone(), None).await.unwrap();
        }
    });
    let run = Run::of(world.start(&endpoint, &["--handle", &gone.handle()]).wait_with_output().unwrap());
    stop.store(true, std::sync::atomic::Ordering::SeqCst);
    block_on(writer).unwrap();
    run.refused(9);
    assert!(run.stdout.contains("somebody else wrote these keys 3 times meanwhile"), "{run:?}");
    let steps = &world.list()[0];
    assert_eq!((&steps["outcome"], &steps["transactions"]), (&json!("refused"), &json!(0)));
    world.force(&["--handle", &gone.handle()]).done(1);
}

#[test]
fn undo_puts_the_very_address_back_and_refuses_when_somebody_has_it() {
    servers::need!(Etcd3_4, Etcd3_7);
    for version in [EtcdVersion::V3_4, EtcdVersion::V3_7] {
        let world = World::new(version);
        let (gone, address) = world.leak("gone", "node-1", BLOCK);
        let attribute = world.value(&block_key(BLOCK)).unwrap()["attributes"][1].clone();
        world.force(&["--handle", &gone.handle()]).done(1);
        let dry = world.undo(1, &[]);
        assert_eq!((dry.code, dry.json()["dry"].as_bool()), (0, Some(true)), "{dry:?}");
        assert!(ordinals_of(&world.value(&block_key(BLOCK)).unwrap(), &gone.handle()).is_empty());
        world.undo(1, &["--yes"]).done(1);
        let block = world.value(&block_key(BLOCK)).unwrap();
        assert_eq!(ordinals_of(&block, &gone.handle()), [1]);
        assert_eq!(block["attributes"][1], attribute);
        assert_eq!(world.value(&handle_key(&gone.handle())).unwrap()["block"][BLOCK], 1);
        assert_eq!(world.value(&gone.endpoint_key()), None, "an endpoint is never created again");
        world.undo(1, &["--yes"]).refused(9);
        // Released again, and given to somebody else.
        world.force(&["--handle", &gone.handle()]).done(1);
        let (heir, _) = {
            let mut block = world.value(&block_key(BLOCK)).unwrap();
            block["unallocated"] = json!([1]);
            let rest: Vec<u64> = (2..64).collect();
            block["unallocated"].as_array_mut().unwrap().extend(rest.into_iter().map(|o| json!(o)));
            world.etcd.put(block_key(BLOCK), block.to_string());
            world.live("heir", "node-1", BLOCK)
        };
        let refused = world.undo(3, &["--yes"]);
        refused.refused(3);
        assert!(refused.stdout.contains("IPA101") && refused.stdout.contains("kubectl -n shop delete pod heir"));
        assert!(refused.stdout.contains(&address));
        assert_eq!(ordinals_of(&world.value(&block_key(BLOCK)).unwrap(), &heir.handle()), [1]);
        assert_eq!(world.undo(99, &["--yes"]).code, 2, "no such release");
        assert_eq!(world.list().len(), 3);
    }
}

#[test]
fn undo_out_of_our_cooldown_and_for_this_cluster_only() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    world.etcd.put("/calico/ipam/v2/config", r#"{"auto_allocate_blocks":true,"ipCooldownSeconds":300}"#);
    let (gone, _) = world.leak("gone", "node-1", BLOCK);
    world.force(&["--handle", &gone.handle()]).done(1);
    let spec = json!({"clusterGUID": "guid-2", "calicoVersion": "v3.29.1", "datastoreReady": true});
    world.resource("clusterinformations/default", spec);
    world.undo(1, &["--yes"]).refused(2);
    world.lock(Some(true));
    world.undo(1, &["--yes"]).done(1);
    assert!(!world.text(&block_key(BLOCK)).unwrap().contains("releasedAt"));
    let orphan = world.orphan("k8s-pod-network.orphan", BLOCK);
    world.force(&["--handle", &orphan]).done(1);
    world.undo(3, &["--yes"]).refused(9);
}

/// docs/release.md names these roles.
#[test]
fn least_privilege() {
    servers::need!(Etcd3_4, Etcd3_7);
    const AUDIT: User = User { name: "ipaudit-audit", password: "audit-secret" };
    const RELEASE: User = User { name: "ipaudit-release", password: "release-secret" };
    for version in [EtcdVersion::V3_4, EtcdVersion::V3_7] {
        let world = World::on(Etcd::builder(version).auth().start());
        let read = || Permission::read("/calico/").with_prefix();
        let write = |prefix: &str| Permission::read_write(prefix).with_prefix();
        world.etcd.add_user(AUDIT, &[read()]);
        let prefixes = ["/calico/ipam/v2/assignment/", "/calico/ipam/v2/handle/", super::calico::ENDPOINTS];
        let rights: Vec<Permission> = std::iter::once(read()).chain(prefixes.map(write)).collect();
        world.etcd.add_user(RELEASE, &rights);
        let (gone, _) = world.leak("gone", "node-1", BLOCK);
        let run = |user: User| {
            let mut command = world.command("release", &world.etcd.endpoint());
            command.env("ETCD_USERNAME", user.name).env("ETCD_PASSWORD", user.password);
            command.args(["--yes", "--skip-age", "-o", "json", "--handle", &gone.handle()]);
            Run::of(command.output().unwrap())
        };
        let refused = run(AUDIT);
        assert_eq!(refused.code, 2, "{refused:?}");
        let grant = "grant-permission ROLE --prefix=true readwrite /calico/ipam/v2/handle/";
        assert!(refused.stderr.contains(grant), "{refused:?}");
        assert!(world.value(&handle_key(&gone.handle())).is_some());
        run(RELEASE).done(1);
        assert!(world.value(&gone.endpoint_key()).is_none());
        let undo = world
            .command("undo", &world.etcd.endpoint())
            .args(["2", "--yes", "-o", "json"])
            .env("ETCD_USERNAME", RELEASE.name)
            .env("ETCD_PASSWORD", RELEASE.password)
            .output()
            .unwrap();
        Run::of(undo).done(1);
    }
}

#[test]
fn rule_10_ctrl_c_finishes_the_transaction_and_says_how_to_go_on() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let leaks: Vec<Workload> = (0..6).map(|i| world.leak(&format!("gone{i}"), "node-1", BLOCK).0).collect();
    let handles: Vec<String> = leaks.iter().map(Workload::handle).collect();
    let left = || handles.iter().filter(|h| world.value(&handle_key(h)).is_some()).count();
    let child = world.start(&world.etcd.endpoint(), &["--handle", &handles.join(","), "--rate", "2"]);
    servers::eventually("the first is released", Duration::from_secs(60), || left() < 6);
    std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let run = Run::of(child.wait_with_output().unwrap());
    let outcome = &run.json()["outcome"];
    assert_eq!(run.code, 1, "stopped before its end is not done: {run:?}");
    assert!(outcome["stopped"] == true && outcome["left"].as_u64().unwrap() as usize == left(), "{run:?}");
    assert_eq!(world.list()[0]["outcome"], "stopped");
    world.force(&["--handle", &handles.join(",")]).done(left() as u64 + outcome["left"].as_u64().unwrap());
    assert_eq!(left(), 0);
}

#[test]
fn the_operators_word_for_one_tunnel_address() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let mut block = world.value(&block_key(BLOCK)).unwrap();
    let tunnel =
        json!({"handle_id": "ipip-tunnel-addr-node-1", "secondary": {"node": "node-1", "type": "ipipTunnelAddress"}});
    block["attributes"].as_array_mut().unwrap().push(tunnel);
    block["allocations"][5] = json!(1);
    block["unallocated"].as_array_mut().unwrap().retain(|o| *o != json!(5));
    world.etcd.put(block_key(BLOCK), block.to_string());
    world.orphan("ipip-tunnel-addr-node-1", BLOCK);
    let address = address_of(BLOCK, 5);
    world.force(&["--address", &address]).refused(7);
    world.force(&["--handle", "ipip-tunnel-addr-node-1"]).refused(7);
    world.force(&["--address", &address, "--i-know-what-this-is"]).done(1);
    assert_eq!(world.value(&handle_key("ipip-tunnel-addr-node-1")), None);
}
