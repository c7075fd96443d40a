//! An address that its owner's next pod waits for (IPA133): by the operator's word, and by what audits saw of it.

use serde_json::json;

use super::calico::{block_key, empty_block, endpoint_key, handle_key};
use super::servers::{self, EtcdVersion, block_on};
use super::world::{Run, World, of_container};

const CIDR: &str = "10.65.5.0/26";
const ADDRESS: &str = "10.65.5.0";

/// Pod shop/db-0 waits; the allocation and the endpoint of its predecessor are older than it.
fn world() -> World {
    let world = World::new(EtcdVersion::V3_7);
    world.claim(CIDR, "node-1", 64);
    let owner =
        json!({"namespace": "shop", "pod": "db-0", "node": "node-1", "timestamp": "2026-11-01 00:00:00 +0000 UTC"});
    let mut block = empty_block(CIDR, Some("node-1"), 64);
    block["attributes"] = json!([{"handle_id": of_container("old"), "secondary": owner}]);
    block["allocations"][0] = json!(0);
    block["unallocated"] = json!((1..64).collect::<Vec<_>>());
    world.etcd.put(block_key(CIDR), block.to_string());
    block_on(world.calico().increment(&of_container("old"), CIDR));
    let container = of_container("old").split_off("k8s-pod-network.".len());
    let endpoint = json!({
        "apiVersion": "projectcalico.org/v3", "kind": "WorkloadEndpoint",
        "metadata": {"name": "node--1-k8s-db--0-eth0", "namespace": "shop", "creationTimestamp": "2026-11-01T00:00:00Z"},
        "spec": {
            "orchestrator": "k8s", "node": "node-1", "pod": "db-0", "endpoint": "eth0", "containerID": container,
            "interfaceName": "cali0", "ipNetworks": [format!("{ADDRESS}/32")],
        },
    });
    world.etcd.put(endpoint_key("shop", "node-1", "db-0"), endpoint.to_string());
    world.kube.pod("shop", "db-0", "node-1", &[]);
    world
}

fn by_word(world: &World) -> Run {
    world.release(&["--address", ADDRESS, "--i-know-what-this-is", "--yes", "-o", "json"])
}

#[test]
fn the_waiting_pod_is_no_obstacle_and_the_observations_of_ipa133_count() {
    servers::need!(Etcd3_7);
    let world = world();
    world.force(&["--address", ADDRESS]).refused(7);
    let young = by_word(&world);
    assert_eq!(young.rules(), [4], "{young:?}");
    [1200, 600, 0].iter().for_each(|ago| world.audit(*ago));
    by_word(&world).done(1);
    assert_eq!(world.value(&block_key(CIDR)).unwrap()["allocations"][0], json!(null));
    assert_eq!(world.value(&handle_key(&of_container("old"))), None);
    assert_eq!(world.value(&endpoint_key("shop", "node-1", "db-0")), None, "its predecessor's");
}

#[test]
fn whoever_else_may_hold_it_is_an_obstacle() {
    servers::need!(Etcd3_7);
    let world = world();
    [1200, 600, 0].iter().for_each(|ago| world.audit(*ago));
    world.kube.pod("shop", "other", "node-2", &[ADDRESS]);
    by_word(&world).refused(3);
    world.kube.remove_pod("shop", "other");
    // It has got another address meanwhile.
    world.kube.pod("shop", "db-0", "node-1", &["10.65.0.50"]);
    assert_eq!(by_word(&world).code, 1);
    assert_eq!(world.value(&block_key(CIDR)).unwrap()["allocations"][0], json!(0));
}
