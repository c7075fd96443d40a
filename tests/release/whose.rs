//! Releases on nodes whose standing is odd: a machine's former name, a node without its Calico Node.

use serde_json::json;

use super::calico::{Workload, block_key, handle_key};
use super::servers::{self, EtcdVersion, block_on};
use super::world::{BLOCK, RESOURCES, Run, World};

const FORMER: &str = "10.65.5.0/26";

/// node-2 was called old-2 once, and a pod of that time is gone; another cluster uses the datastore too.
fn renamed() -> (World, Workload) {
    let world = World::new(EtcdVersion::V3_7);
    for (node, address) in [("old-2", "192.168.0.2"), ("their-node", "172.31.0.1")] {
        let orch = json!([{"orchestrator": "k8s", "nodeName": node}]);
        world.resource(
            &format!("nodes/{node}"),
            json!({"orchRefs": orch, "bgp": {"ipv4Address": format!("{address}/24")}}),
        );
    }
    world.claim(FORMER, "old-2", 64);
    let gone = Workload::new("gone", "old-2");
    block_on(world.calico().add(&gone, FORMER));
    let block = world.text(&block_key(FORMER)).unwrap();
    assert!(block.contains("2026-11-22 08:00:00"), "{block}");
    world.etcd.put(block_key(FORMER), block.replace("2026-11-22 08:00:00", "2025-11-22 08:00:00"));
    (world, gone)
}

/// It is released an hour after the first audit that saw it so, and not before.
#[test]
fn rule_3_a_machines_former_name_is_gone_since_an_audit_saw_it_so() {
    servers::need!(Etcd3_7);
    let (world, gone) = renamed();
    let go = |world: &World| world.release(&["--handle", &gone.handle(), "--yes", "-o", "json"]);
    [1800, 1200, 600].into_iter().for_each(|ago| world.audit(ago));
    let refused: Run = go(&world);
    refused.refused(3);
    assert!(refused.stdout.contains("known gone only since"), "{refused:?}");
    let (world, gone) = renamed();
    [9000, 8400, 7800].into_iter().for_each(|ago| world.audit(ago));
    let done = world.release(&["--handle", &gone.handle(), "--yes", "-o", "json"]);
    done.done(1);
    assert_eq!(world.value(&handle_key(&gone.handle())), None);
    // Its Calico Node is deleted, as IPA409 says, and takes the address that told with it.
    let (world, gone) = renamed();
    [9000, 8400, 7800].into_iter().for_each(|ago| world.audit(ago));
    assert!(world.etcd.delete(format!("{RESOURCES}/nodes/old-2")));
    world.audit(0);
    world.release(&["--handle", &gone.handle(), "--yes", "-o", "json"]).done(1);
}

/// Its Calico Node is missing: Kubernetes' word for it counts, and the audits in which it was silent do not.
#[test]
fn rule_4_audits_of_a_silent_node_without_calico_node_do_not_count() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let (gone, _) = world.leak("gone", "node-1", BLOCK);
    assert!(world.etcd.delete(format!("{RESOURCES}/nodes/node-1")));
    let go = || world.release(&["--handle", &gone.handle(), "--yes", "-o", "json"]);
    world.kube.node("node-1", "192.168.0.1", false);
    [3600, 3000, 2400].into_iter().for_each(|ago| world.audit(ago));
    go().refused(3);
    world.kube.node("node-1", "192.168.0.1", true);
    go().refused(4);
    [1800, 1200, 600].into_iter().for_each(|ago| world.audit(ago));
    go().done(1);
    assert_eq!(world.value(&handle_key(&gone.handle())), None);
}

/// Today's pods were wired through the Kubernetes datastore: whatever the audits of before have seen leaked stays.
#[test]
fn rule_2_nothing_is_released_in_an_etcd_that_calico_left() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let (gone, _) = world.leak("gone", "node-1", BLOCK);
    [1800, 1200, 600].into_iter().for_each(|ago| world.audit(ago));
    world.kube.pod("shop", "today", "node-1", &["10.65.0.40"]);
    world.kube.annotate("shop", "today", "cni.projectcalico.org/podIPs", "10.65.0.40/32");
    let refused = world.release(&["--handle", &gone.handle(), "--yes", "-o", "json"]);
    refused.refused(2);
    assert!(refused.stdout.contains("keeps its data in Kubernetes"), "{refused:?}");
    assert!(world.value(&handle_key(&gone.handle())).is_some());
}
