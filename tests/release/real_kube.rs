//! A whole release and an undo against a real kube-apiserver, with the rights that docs/release.md names.

use serde_json::{Value, json};

use super::calico::{Workload, block_key, handle_key, ordinals_of};
use super::servers::kube::ApiServer;
use super::servers::kube_users::IPAUDIT;
use super::servers::{self, EtcdVersion, block_on};
use super::world::{BLOCK, World};

fn pod(name: &str, node: &str, addresses: &[&str]) -> Value {
    let ready = if addresses.is_empty() { "False" } else { "True" };
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": "shop", "name": name},
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": "i"}]},
        "status": {
            "phase": if addresses.is_empty() { "Pending" } else { "Running" },
            "podIP": addresses.first(),
            "podIPs": addresses.iter().map(|a| json!({"ip": a})).collect::<Vec<_>>(),
            "conditions": [{"type": "Ready", "status": ready}],
        },
    })
}

fn node(name: &str, address: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {},
        "status": {
            "addresses": [{"type": "InternalIP", "address": address}],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    })
}

#[test]
fn a_release_and_an_undo() {
    servers::need!(ApiServer, Etcd3_7);
    let server = ApiServer::shared();
    server.grant(&["pods", "nodes", "services", "namespaces"]);
    let world = World::new(EtcdVersion::V3_7);
    let (gone, address) = world.leak("gone", "node-1", BLOCK);
    let (back, _) = world.leak("back", "node-1", BLOCK);
    let orphan = world.orphan("k8s-pod-network.orphan", BLOCK);
    std::fs::copy(server.kubeconfig(IPAUDIT), world.folder.path().join("kubeconfig")).unwrap();
    let residents = [("resident-1", "node-1"), ("resident-2", "node-2")].map(|(name, node)| {
        let endpoint = world.value(&Workload::new(name, node).endpoint_key()).unwrap();
        let address = endpoint["spec"]["ipNetworks"][0].as_str().unwrap().split('/').next().unwrap().to_owned();
        pod(name, node, &[&address])
    });
    let nodes = [node("node-1", "192.168.0.1"), node("node-2", "192.168.0.2")];
    let items: Vec<Value> = nodes.into_iter().chain(residents).collect();
    server.load_objects(&json!({"apiVersion": "v1", "kind": "List", "items": items}));
    [1200, 600, 0].into_iter().for_each(|ago| world.audit(ago));

    // A pod of the name is created: its predecessor's allocation is not released while it waits for an address.
    server.load_objects(&json!({"apiVersion": "v1", "kind": "List", "items": [pod("back", "node-1", &[])]}));
    let go = |handle: &str| world.release(&["--handle", handle, "--yes", "-o", "json"]);
    go(&back.handle()).refused(3);
    go("k8s-pod-network.cresident-1").refused(3);
    go(&gone.handle()).done(1);
    go(&orphan).done(1);
    assert!(world.value(&handle_key(&gone.handle())).is_none() && world.value(&handle_key(&orphan)).is_none());

    // The release was wrong: the pod lives.
    server.load_objects(&json!({"apiVersion": "v1", "kind": "List", "items": [pod("gone", "node-1", &[&address])]}));
    block_on(world.calico().wire(&gone, &[&address]));
    world.undo(1, &["--yes"]).done(1);
    assert_eq!(ordinals_of(&world.value(&block_key(BLOCK)).unwrap(), &gone.handle()), [1]);
    assert_eq!(world.value(&handle_key(&gone.handle())).unwrap()["block"][BLOCK], 1);

    // Without the right to read pods nothing is proven.
    server.grant(&["nodes", "services", "namespaces"]);
    go(&back.handle()).refused(2);
    server.clear_objects();
}
