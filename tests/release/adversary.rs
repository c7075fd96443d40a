//! *Refuse unless proven*: ways in which a live address could have been freed, each tried through the binary.

use std::process::Child;
use std::time::Duration;

use serde_json::json;

use super::calico::{Workload, block_key, handle_key, ordinals_of};
use super::servers::{self, EtcdVersion, block_on};
use super::world::{BLOCK, OTHER, RESOURCES, Run, V6, World};

fn world() -> World {
    World::new(EtcdVersion::V3_7)
}

/// Begins a release of these, slowly, and returns when the first is gone: what happens now, happens between the plan
/// and the write of the second.
fn between(world: &World, first: &str, second: &str) -> Child {
    let args = ["--handle", &format!("{first},{second}"), "--rate", "0.5"];
    let child = world.start(&world.etcd.endpoint(), &args);
    servers::eventually("the first is released", Duration::from_secs(60), || world.value(&handle_key(first)).is_none());
    child
}

fn end(child: Child) -> Run {
    Run::of(child.wait_with_output().unwrap())
}

/// Another pod's endpoint lists the address; that pod is gone too, and its node is silent: its container may run there.
#[test]
fn rule_3_a_stale_endpoint_on_a_silent_node_protects() {
    servers::need!(Etcd3_7);
    let world = world();
    let (gone, address) = world.leak("gone", "node-1", BLOCK);
    let stray = Workload::new("stray", "node-2");
    block_on(world.calico().wire(&stray, &[&address]));
    world.kube.node("node-2", "192.168.0.2", false);
    let refused = world.force(&["--handle", &gone.handle()]);
    refused.refused(3);
    assert!(refused.stdout.contains("node node-2 is not Ready"), "{refused:?}");
    assert!(world.value(&stray.endpoint_key()).is_some());
    world.force(&["--handle", &gone.handle(), "--node-is-off", "node-2"]).done(1);
    assert!(world.value(&stray.endpoint_key()).is_none());
}

#[test]
fn rule_2_an_allocation_that_leads_nowhere_may_be_anybodys() {
    servers::need!(Etcd3_7);
    let world = world();
    let (gone, _) = world.leak("gone", "node-1", BLOCK);
    let orphan = world.orphan("k8s-pod-network.orphan", BLOCK);
    let whole = world.text(&block_key(OTHER)).unwrap();
    let mut block = world.value(&block_key(OTHER)).unwrap();
    block["allocations"][9] = json!(77);
    world.etcd.put(block_key(OTHER), block.to_string());
    for handle in [&gone.handle(), &orphan] {
        let refused = world.force(&["--handle", handle]);
        refused.refused(2);
        assert!(refused.stdout.contains("leads nowhere"), "{refused:?}");
    }
    world.etcd.put(block_key(OTHER), whole);
    world.force(&["--handle", &gone.handle()]).done(1);
}

/// Seen by every scan, unreachable for every write.
#[test]
fn rule_3_a_block_under_a_second_key_that_names_the_handle() {
    servers::need!(Etcd3_7);
    let world = world();
    let orphan = world.orphan("k8s-pod-network.orphan", OTHER);
    let twin = block_key(BLOCK).replace("10.65.0.0", "10.65.0.7");
    let named = world.text(&block_key(BLOCK)).unwrap().replace("k8s-pod-network.cresident-1", &orphan);
    world.etcd.put(&*twin, named);
    let refused = world.force(&["--handle", &orphan]);
    refused.refused(3);
    assert!(refused.stdout.contains("10.65.0.7-26 names it too"), "{refused:?}");
    world.etcd.delete(&*twin);
    world.force(&["--handle", &orphan]).done(1);
}

/// Its pods were deleted by force while nobody could see them; its kubelet has only just come back.
#[test]
fn rule_4_audits_of_a_silent_node_do_not_count() {
    servers::need!(Etcd3_7);
    let world = world();
    let (gone, _) = world.leak("gone", "node-1", BLOCK);
    let go = || world.release(&["--handle", &gone.handle(), "--yes", "-o", "json"]);
    world.kube.node("node-1", "192.168.0.1", false);
    [3600, 3000, 2400].into_iter().for_each(|ago| world.audit(ago));
    world.kube.node("node-1", "192.168.0.1", true);
    go().refused(4);
    [1800, 1200, 600].into_iter().for_each(|ago| world.audit(ago));
    go().done(1);
}

/// The other cluster's Calico nodes vanish while its pods live on (domain facts, section 8).
#[test]
fn rule_3_a_node_that_was_never_known_as_ours_is_not_departed() {
    servers::need!(Etcd3_7);
    let world = world();
    let theirs = "10.65.3.0/26";
    world.claim(theirs, "their-node", 64);
    let pod = Workload::new("their-pod", "their-node");
    block_on(world.calico().add(&pod, theirs));
    for ago in [9000, 8400, 7800] {
        world.audit(ago);
    }
    let refused = world.force(&["--handle", &pod.handle()]);
    refused.refused(3);
    assert!(refused.stdout.contains("no audit has seen it as this cluster's"), "{refused:?}");
    world.force(&["--handle", &pod.handle(), "--scope", "exclusive"]).done(1);
}

#[test]
fn rule_3_a_departed_node_for_an_hour() {
    servers::need!(Etcd3_7);
    let world = world();
    let (gone, _) = world.leak("gone", "node-2", OTHER);
    world.audit(8000);
    world.kube.remove_node("node-2");
    world.etcd.delete(format!("{RESOURCES}/nodes/node-2"));
    world.kube.remove_pod("shop", "resident-2");
    world.audit(3000);
    let refused = world.force(&["--handle", &gone.handle()]);
    refused.refused(3);
    assert!(refused.stdout.contains("less than 1h"), "{refused:?}");

    let world = self::world();
    let (gone, _) = world.leak("gone", "node-2", OTHER);
    world.audit(8000);
    world.kube.remove_node("node-2");
    world.etcd.delete(format!("{RESOURCES}/nodes/node-2"));
    world.kube.remove_pod("shop", "resident-2");
    world.audit(3700);
    world.force(&["--handle", &gone.handle()]).done(1);
}

/// A pod of the same name comes back between the plan and the write.
#[test]
fn rule_5_a_pod_that_comes_back_before_the_write() {
    servers::need!(Etcd3_7);
    let world = world();
    let [first, second] = ["first", "second"].map(|pod| world.leak(pod, "node-1", BLOCK).0);
    let child = between(&world, &first.handle(), &second.handle());
    world.kube.pod("shop", "second", "node-1", &[]);
    end(child).refused(5);
    assert!(world.value(&handle_key(&second.handle())).is_some());
}

/// The machine was replaced between the plan and the write: Ready, and another one.
#[test]
fn rule_5_another_node_of_the_same_name() {
    servers::need!(Etcd3_7);
    let world = world();
    let [first, second] = ["first", "second"].map(|pod| world.leak(pod, "node-1", BLOCK).0);
    let child = between(&world, &first.handle(), &second.handle());
    world.kube.node("node-1", "192.168.0.1", true);
    end(child).refused(5);
    assert!(world.value(&handle_key(&second.handle())).is_some());
}

/// Pod shop/web has another container now, so its first address is leaked; a release of that one waits between plan and
/// write. The workload that it was, its address, and the release.
fn replaced_container(world: &World) -> (Workload, String, Child) {
    let (first, _) = world.leak("first", "node-1", BLOCK);
    let old = Workload::new("web", "node-1");
    let address = block_on(world.calico().add(&old, BLOCK));
    let new = Workload { container: "cweb-anew".into(), ..old.clone() };
    world.kube.pod("shop", "web", "node-1", &[]);
    let live = block_on(world.calico().add(&new, BLOCK));
    world.kube.pod("shop", "web", "node-1", &[&live]);
    let child = between(world, &first.handle(), &old.handle());
    (old, address, child)
}

/// The pod has another container now; whatever it says of itself between plan and write is heard.
#[test]
fn rule_5_a_secondary_network_that_shows_up_before_the_write() {
    servers::need!(Etcd3_7);
    let world = world();
    let (old, address, child) = replaced_container(&world);
    let status = json!([{"name": "second", "interface": "net1", "ips": [address]}]).to_string();
    world.kube.annotate("shop", "web", "k8s.v1.cni.cncf.io/network-status", &status);
    end(child).refused(5);
    assert_eq!(ordinals_of(&world.value(&block_key(BLOCK)).unwrap(), &old.handle()).len(), 1);
}

/// The proof was the endpoint's word that the pod has another container.
#[test]
fn rule_8_the_endpoint_that_the_proof_rests_on_is_compared() {
    servers::need!(Etcd3_7);
    let world = world();
    let (old, address, child) = replaced_container(&world);
    block_on(world.calico().wire(&old, &[&address]));
    let run = end(child);
    run.refused(9);
    assert!(run.stdout.contains("changed hands: endpoint shop/"), "{run:?}");
    assert_eq!(ordinals_of(&world.value(&block_key(BLOCK)).unwrap(), &old.handle()).len(), 1);
}

/// One of its two addresses is held: neither goes, not even by the operator's word, which is for special ones only.
#[test]
fn rule_6_not_by_the_operators_word_either() {
    servers::need!(Etcd3_7);
    let world = world();
    let pod = Workload::new("half", "node-1");
    let mut calico = world.calico();
    let addresses = block_on(async { [calico.add(&pod, BLOCK).await, calico.add(&pod, V6).await] });
    // The endpoint lists the IPv6 address alone, and another live pod shows it.
    block_on(world.calico().unwire(&pod));
    world.kube.pod("shop", "holder", "node-1", &[&addresses[1]]);
    for more in [&[][..], &["--i-know-what-this-is"]] {
        let args = [&["--address", addresses[0].as_str()], more].concat();
        let refused = world.force(&args);
        refused.refused(6);
        assert!(refused.rules().contains(&3), "{refused:?}");
    }
    assert_eq!(world.value(&handle_key(&pod.handle())).unwrap()["block"][BLOCK], 1);
}

/// StatefulSet: the same name, another container, and it lives.
#[test]
fn a_pod_that_came_back_under_its_name_keeps_its_address_and_the_old_one_goes() {
    servers::need!(Etcd3_7);
    let world = world();
    let (old, _) = world.leak("web-0", "node-1", BLOCK);
    let new = Workload { container: "cweb-0-anew".into(), ..old.clone() };
    world.kube.pod("shop", "web-0", "node-1", &[]);
    world.force(&["--handle", &old.handle()]).refused(3);
    let live = block_on(world.calico().add(&new, BLOCK));
    world.force(&["--handle", &new.handle()]).refused(3);
    world.kube.pod("shop", "web-0", "node-1", &[&live]);
    world.force(&["--handle", &old.handle()]).done(1);
    assert!(world.value(&new.endpoint_key()).is_some(), "the living one's endpoint has the same key");
    world.force(&["--handle", &new.handle()]).refused(3);
    world.force(&["--address", &live]).refused(3);
}

/// Names that a node is known by, and one that it is not.
#[test]
fn node_is_off_by_calicos_or_kubernetes_name() {
    servers::need!(Etcd3_7);
    let world = world();
    let orch = json!([{"orchestrator": "k8s", "nodeName": "ip-192-168-0-2"}]);
    world.resource("nodes/node-2", json!({"orchRefs": orch, "bgp": {"ipv4Address": "192.168.0.2/24"}}));
    world.kube.remove_node("node-2");
    world.kube.node("ip-192-168-0-2", "192.168.0.2", false);
    let [a, b] = ["a", "b"].map(|pod| {
        let workload = Workload::new(pod, "node-2");
        block_on(world.calico().add(&workload, OTHER));
        workload.handle()
    });
    let typo = world.force(&["--handle", &a, "--node-is-off", "node-3"]);
    typo.refused(3);
    assert!(typo.stdout.contains("node-3: neither Calico nor Kubernetes has a node of this name"), "{typo:?}");
    world.force(&["--handle", &a, "--node-is-off", "node-2"]).done(1);
    world.force(&["--handle", &b, "--node-is-off", "ip-192-168-0-2"]).done(1);
}

/// When the release was wrong, its owner holds the address still: that is what an undo is for.
#[test]
fn undo_for_the_owner_that_lives_after_all_and_for_nobody_else() {
    servers::need!(Etcd3_7);
    let world = world();
    let (pod, address) = world.leak("back", "node-1", BLOCK);
    world.force(&["--handle", &pod.handle()]).done(1);
    world.kube.pod("shop", "stranger", "node-2", &[&address]);
    world.undo(1, &["--yes"]).refused(3);
    world.kube.remove_pod("shop", "stranger");
    world.kube.pod("shop", "back", "node-1", &[&address]);
    block_on(world.calico().wire(&pod, &[&address]));
    world.undo(1, &["--yes"]).done(1);
    assert_eq!(ordinals_of(&world.value(&block_key(BLOCK)).unwrap(), &pod.handle()).len(), 1);
}

/// One of two transactions was put back, then the undo was stopped.
#[test]
fn an_undo_goes_on_where_it_stopped() {
    servers::need!(Etcd3_7);
    let world = world();
    let pods = ["a", "b", "c"].map(|pod| world.leak(pod, "node-1", BLOCK).0);
    let handles = pods.each_ref().map(Workload::handle);
    world.force(&["--handle", &handles.join(",")]).done(3);
    let mut killed = world.command("undo", &world.etcd.endpoint());
    killed.args(["1", "--yes", "-o", "json"]).env("IPAUDIT_KILL_AT", "intended:2");
    assert_eq!(killed.output().unwrap().status.code(), None, "it was killed");
    let back = || handles.iter().filter(|h| world.value(&handle_key(h)).is_some()).count();
    assert_eq!(back(), 1);
    world.undo(1, &["--yes"]).done(2);
    assert_eq!(back(), 3);
    world.undo(1, &["--yes"]).refused(9);
    let block = world.value(&block_key(BLOCK)).unwrap();
    assert!(handles.iter().all(|h| ordinals_of(&block, h).len() == 1));
}

/// A block that the release deleted comes back only where that is still right.
#[test]
fn undo_of_a_deleted_block_needs_its_place() {
    servers::need!(Etcd3_7);
    let world = world();
    let cidr = "10.65.1.0/26";
    world.etcd.put(block_key(cidr), super::calico::empty_block(cidr, None, 64).to_string());
    let (gone, _) = world.leak("gone", "node-1", cidr);
    world.force(&["--handle", &gone.handle()]).done(1);
    assert!(world.value(&block_key(cidr)).is_none());
    let refused = |what: &str| {
        let run = world.undo(1, &["--yes"]);
        run.refused(6);
        assert!(run.stdout.contains(what), "{run:?}");
    };
    let affinity = "/calico/ipam/v2/host/node-2/ipv4/block/10.65.1.0-26";
    world.etcd.put(affinity, r#"{"state":"pending","deleted":false}"#);
    refused("a node has claimed it");
    world.etcd.delete(affinity);
    let smaller = block_key("10.65.1.32/27");
    world.etcd.put(&*smaller, super::calico::empty_block("10.65.1.32/27", None, 32).to_string());
    refused("another block overlaps it");
    world.etcd.delete(&*smaller);
    world.resource("ippools/v4", json!({"cidr": "10.65.0.0/16", "blockSize": 27, "ipipMode": "Never"}));
    refused("no pool covers it");
    world.resource("ippools/v4", json!({"cidr": "10.65.0.0/16", "blockSize": 26, "ipipMode": "Never"}));
    world.undo(1, &["--yes"]).done(1);
    assert_eq!(ordinals_of(&world.value(&block_key(cidr)).unwrap(), &gone.handle()), [0]);
}

/// The datastore was restored after the release, and audited since.
#[test]
fn undo_after_a_restore_is_refused() {
    servers::need!(Etcd3_7);
    let mut world = world();
    let (gone, _) = world.leak("gone", "node-1", BLOCK);
    world.audit(0);
    let backup = world.etcd.snapshot_save();
    world.force(&["--handle", &gone.handle()]).done(1);
    world.etcd = super::servers::Etcd::builder(EtcdVersion::V3_7).restored_from(&backup).start();
    let run = world.undo(1, &["--yes"]);
    run.refused(2);
    world.audit(0);
    let run = world.undo(1, &["--yes"]);
    run.refused(2);
    assert!(run.stdout.contains("restored or replaced since the release"), "{run:?}");
}
