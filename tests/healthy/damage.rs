//! One damage each: what a crash, a foreign hand or a restore leaves behind in a healthy cluster.
//!
//! Each says which finding it must give, and which other codes it may give besides those that `root` ties to it,
//! with the reason: these are other sides of the same damage that the catalogue tells apart.

use ipaudit::model::{Addr, Cidr, Tunnel, keys};
use serde_json::{Value, json};

use super::cluster::{Cluster, PodInfo, addr, container};
use super::shape::Thing;
use super::store::{affinity_key, ago, ago_in_go, cidr};
use super::things::{annotate, relist, workload};

/// One kind of damage.
pub struct Damage {
    pub name: &'static str,
    pub code: u16,
    /// What else it may give, and why that is no false finding.
    pub allow: &'static [(u16, &'static str)],
    /// The audit is told that nobody else uses the datastore.
    pub exclusive: bool,
    /// Does it; `None` when the cluster has no place for it. Gives the subject of the finding.
    pub inflict: fn(&mut Cluster, usize) -> Option<String>,
}

const fn damage(
    name: &'static str,
    code: u16,
    allow: &'static [(u16, &'static str)],
    inflict: fn(&mut Cluster, usize) -> Option<String>,
) -> Damage {
    Damage { name, code, allow, exclusive: false, inflict }
}

const RELEASED: (u16, &str) = (202, "the handle of a pod in both families counts what was given back behind its back");
const SMALLER: (u16, &str) = (304, "a block inside another has not the pool's size");

pub static DAMAGES: &[Damage] = &[
    damage("released under a running pod and given to another", 101, &[], given_twice),
    damage(
        "an endpoint lists another one's address",
        102,
        &[
            (101, "an endpoint without status is a possible holder: a warning"),
            (131, "the container of that endpoint is not the allocation's"),
            (506, "its own pod's status says otherwise"),
        ],
        endpoint_lists_another,
    ),
    damage(
        "two nodes with one tunnel address",
        103,
        &[(111, "the second node's own address is left behind")],
        one_tunnel_twice,
    ),
    damage("one address in two blocks", 104, &[(302, "only overlapping blocks can"), SMALLER], in_two_blocks),
    damage("a pod went without CNI DEL, its endpoint was removed", 110, &[], leaked),
    damage("a pod came back with another sandbox", 110, &[], other_sandbox),
    damage(
        "a tunnel moved and left its address",
        111,
        &[(206, "both addresses are the tunnel's handle's")],
        tunnel_moved,
    ),
    damage("a service was deleted while kube-controllers was off", 112, &[], service_gone),
    damage("an allocation without owner", 113, &[], unattributed),
    damage("a cooldown that nobody ends", 114, &[], overdue),
    damage("a tunnel's address was released", 115, &[], tunnel_released),
    damage("a service's address was released", 116, &[], service_released),
    damage("a floating address that is another pod's", 117, &[], floating_collides),
    damage("a service got a second address", 118, &[], second_service_address),
    damage("a running pod's address was released", 120, &[RELEASED], released),
    damage(
        "the block of running pods is gone",
        120,
        &[(405, "the affinity outlives the block"), (202, "its handle counts in a block that is gone")],
        block_gone,
    ),
    damage("an endpoint outside every pool", 121, &[], outside),
    damage("a reservation over an allocated address", 122, &[], reserved),
    damage("the allocation names another pod", 130, &[], other_owner),
    damage("the endpoint has another container", 131, &[], other_container),
    damage("the allocation names another node", 132, &[(407, "which makes it a borrowed one")], other_node),
    damage("a pod came back and its predecessor's DEL never ran", 133, &[], awaited),
    damage("an ADD died after the handle", 201, &[], orphan),
    damage("a handle counts too much", 202, &[], overcount),
    damage("a handle counts too little", 203, &[], undercount),
    damage("a handle is gone", 204, &[], no_handle),
    damage("a handle with control bytes", 205, &[], malformed),
    damage("a tunnel's handle with two addresses", 206, &[(111, "the second is not the node's")], second_tunnel),
    damage("deleted: true in a block", 207, &[], deleted_block),
    damage("deleted: true in a handle", 207, &[], deleted_handle),
    damage("deleted: true in an affinity", 207, &[], deleted_affinity),
    damage("a machine's handle counts what no block has", 208, &[(202, "it counts too much as well")], vm_blocked),
    damage("an ordinal twice in the free queue", 301, &[], queued_twice),
    damage("a block inside another", 302, &[SMALLER], overlapping),
    damage("a block outside every pool", 303, &[], block_outside),
    damage("a block of another size", 304, &[], other_size),
    damage("an empty block of nobody", 305, &[], ownerless),
    damage("an allocation newer than its block", 306, &[], broken_sequence),
    damage("a block under a second spelling of its key", 307, &[], second_spelling),
    damage("two nodes claim one block", 401, &[], two_claims),
    damage("a block whose affinity is gone", 402, &[], affinity_gone),
    damage("an affinity without its block", 405, &[], no_block),
    damage("borrowed under strict affinity", 407, &[], borrowed),
    damage("a host at its limit of blocks", 408, &[], many_blocks),
    Damage {
        exclusive: true,
        ..damage(
            "a node died for good",
            409,
            &[
                (110, "its pods' addresses are left behind"),
                (111, "its tunnels' too"),
                (113, "old ones name nobody"),
                (501, "its endpoints"),
                (906, "Calico still takes it for a node"),
            ],
            node_died,
        )
    },
    damage("a pod went, its endpoint stayed", 501, &[], stale),
    damage("a pod moved, its old endpoint stayed", 502, &[(503, "one workload on two nodes")], moved),
    damage("a pod moved, everything of the old node stayed", 503, &[], twins),
    damage("two endpoints with one interface", 504, &[], one_interface),
    damage("a running pod without endpoint", 505, &[], no_endpoint),
    damage("status and endpoint differ", 506, &[], differ),
    damage("two endpoints with one MAC", 507, &[], one_mac),
    damage(
        "a Calico Node is gone",
        508,
        &[(111, "its tunnels are nobody's, where its name for Kubernetes went with it")],
        no_calico_node,
    ),
    damage("a pool is full", 601, &[(602, "its last block is in use")], full),
    damage("a pool has no block left", 602, &[], out_of_blocks),
    damage("a pool inside another", 603, &[], pool_in_pool),
    damage("a block does not decode", 901, &[], |c, pick| undecodable(c, keys::BLOCKS, pick)),
    damage("a handle does not decode", 901, &[], |c, pick| undecodable(c, keys::HANDLES, pick)),
    damage("an affinity does not decode", 901, &[], |c, pick| undecodable(c, keys::HOST_AFFINITIES, pick)),
    damage("an endpoint does not decode", 901, &[], |c, pick| undecodable(c, keys::ENDPOINTS, pick)),
    damage("a Calico Node does not decode", 901, &[], |c, pick| undecodable(c, keys::NODES, pick)),
    damage("a pool does not decode", 901, &[], |c, pick| undecodable(c, keys::POOLS, pick)),
    damage("a reservation does not decode", 901, &[], |c, pick| undecodable(c, keys::RESERVATIONS, pick)),
    damage("the datastore is locked", 902, &[], locked),
    damage("another cluster's API server", 905, &[], other_cluster),
    damage("another cluster's node", 906, &[], shared),
    damage("strict affinity without automatic blocks", 907, &[], contradiction),
    damage("a node's clock is ahead", 909, &[], skewed),
];

fn pod(c: &Cluster, pick: usize) -> PodInfo {
    c.plain[pick % c.plain.len()].clone()
}

/// Two plain pods of different nodes that use Calico's IPAM.
fn two_nodes(c: &Cluster, pick: usize) -> (PodInfo, usize) {
    let pod = pod(c, pick);
    let other = (0..2).find(|&i| i != pod.node).unwrap();
    (pod, other)
}

fn two_pods(c: &Cluster, pick: usize) -> Option<(PodInfo, PodInfo)> {
    let one = pod(c, pick);
    let other = c.plain.iter().find(|p| p.node == one.node && p.name != one.name)?.clone();
    Some((one, other))
}

fn pod_id(p: &PodInfo) -> String {
    format!("{}/{}", p.namespace, p.name)
}

fn endpoint_id(p: &PodInfo) -> String {
    p.endpoint.strip_prefix(keys::ENDPOINTS).unwrap().to_owned()
}

fn delete_pod(c: &mut Cluster, p: &PodInfo) {
    c.store.delete_object("Pod", &p.namespace, &p.name);
}

fn endpoint<'c>(c: &'c mut Cluster, p: &PodInfo) -> &'c mut Value {
    &mut c.store.keys.get_mut(&p.endpoint).unwrap()["spec"]
}

fn given_twice(c: &mut Cluster, pick: usize) -> Option<String> {
    let p = pod(c, pick);
    p.addresses.iter().for_each(|&a| c.store.release(a));
    workload(c, p.node, "second", &p.addresses);
    Some(p.addresses[0].to_string())
}

fn endpoint_lists_another(c: &mut Cluster, pick: usize) -> Option<String> {
    let (p, q) = two_pods(c, pick)?;
    let list: Vec<Addr> = [&p.addresses[..1], &q.addresses[1..]].concat();
    relist(c, &q.endpoint, &list);
    Some(p.addresses[0].to_string())
}

/// The first two nodes' IPIP tunnels.
fn ipip(c: &Cluster, node: usize) -> Addr {
    c.nodes[node].tunnels.iter().find(|(t, _)| *t == Tunnel::Ipip).unwrap().1
}

fn one_tunnel_twice(c: &mut Cluster, _: usize) -> Option<String> {
    let (first, calico) = (ipip(c, 0), c.nodes[1].calico.clone());
    c.set_tunnel(&calico, Tunnel::Ipip, Some(first));
    Some(first.to_string())
}

/// A block of four inside the block of an address, claimed by the same node.
fn inner_block(c: &mut Cluster, address: Addr, node: usize) -> Cidr {
    let inner = Cidr::new(address, if address.is_v4() { 30 } else { 126 }).unwrap();
    c.claim(node, inner);
    inner
}

/// A pod in a block of its own.
fn alone(c: &mut Cluster, node: usize) -> (PodInfo, Cidr) {
    let block = c.fresh_block(0);
    c.claim(node, block);
    (workload(c, node, "alone", &[block.first()]), block)
}

fn in_two_blocks(c: &mut Cluster, pick: usize) -> Option<String> {
    let node = pick % 2;
    let (p, _) = alone(c, node);
    inner_block(c, p.addresses[0], node);
    let handle = format!("k8s-pod-network.{}", container(c.number()));
    let attribute = c.attribute(&handle, ("shop", "second"), &c.nodes[node].calico, 900);
    c.store.allocate(p.addresses[0], attribute);
    Some(p.addresses[0].to_string())
}

fn leaked(c: &mut Cluster, pick: usize) -> Option<String> {
    let p = pod(c, pick);
    delete_pod(c, &p);
    c.store.keys.remove(&p.endpoint);
    Some(p.addresses[0].to_string())
}

fn other_sandbox(c: &mut Cluster, pick: usize) -> Option<String> {
    let p = pod(c, pick);
    let (calico, fresh) = (c.nodes[p.node].calico.clone(), container(c.number()));
    let handle = format!("k8s-pod-network.{fresh}");
    let address = c.next_address(p.node, 0);
    let attribute = c.attribute(&handle, (&p.namespace, &p.name), &calico, 300);
    c.store.allocate(address, attribute);
    c.endpoint((&p.namespace, &p.name), &calico, &fresh, &[address]);
    delete_pod(c, &p);
    let kube = c.nodes[p.node].kube.clone();
    c.pod(&p.namespace, &p.name, &kube, &[address], 310);
    Some(p.addresses[0].to_string())
}

/// A second address under a node's IPIP handle.
fn second_ipip(c: &mut Cluster, node: usize) -> Addr {
    let address = c.next_address(node, 0);
    let calico = c.nodes[node].calico.clone();
    let secondary = json!({"node": calico, "type": "ipipTunnelAddress"});
    c.store.allocate(address, json!({"handle_id": format!("ipip-tunnel-addr-{calico}"), "secondary": secondary}));
    address
}

fn tunnel_moved(c: &mut Cluster, _: usize) -> Option<String> {
    let (old, calico) = (ipip(c, 0), c.nodes[0].calico.clone());
    let new = second_ipip(c, 0);
    c.set_tunnel(&calico, Tunnel::Ipip, Some(new));
    Some(old.to_string())
}

fn second_tunnel(c: &mut Cluster, _: usize) -> Option<String> {
    second_ipip(c, 0);
    Some(format!("ipip-tunnel-addr-{}", c.nodes[0].calico))
}

fn a_service(c: &mut Cluster) -> Option<(String, String, Addr)> {
    let before = c.services.len();
    c.thing(0, Thing::Service);
    c.services.get(before).cloned()
}

fn service_gone(c: &mut Cluster, _: usize) -> Option<String> {
    let (namespace, name, address) = a_service(c)?;
    c.store.delete_object("Service", &namespace, &name);
    Some(address.to_string())
}

fn unattributed(c: &mut Cluster, pick: usize) -> Option<String> {
    let address = c.next_address(pick % 2, 0);
    let handle = format!("k8s-pod-network.{}", container(c.number()));
    c.store.allocate(address, json!({"handle_id": handle, "secondary": null}));
    Some(address.to_string())
}

fn overdue(c: &mut Cluster, pick: usize) -> Option<String> {
    let address = c.next_address(pick % 2, 0);
    c.store.record(address, json!({"releasedAt": ago(600 + 16 * 60)}));
    Some(address.to_string())
}

fn tunnel_released(c: &mut Cluster, _: usize) -> Option<String> {
    let address = ipip(c, 0);
    c.store.release(address);
    Some(address.to_string())
}

fn service_released(c: &mut Cluster, _: usize) -> Option<String> {
    let (_, _, address) = a_service(c)?;
    c.store.release(address);
    Some(address.to_string())
}

fn second_service_address(c: &mut Cluster, _: usize) -> Option<String> {
    let (_, _, address) = a_service(c)?;
    let attribute = c.store.attribute_mut(address).clone();
    let block = c.store.block_of(address)?;
    let second = c.store.next_free(block, &[])?;
    c.store.allocate(second, attribute);
    Some(second.to_string())
}

/// Days ago; everything of the predecessor is there still, and the new pod gets no address.
fn awaited(c: &mut Cluster, pick: usize) -> Option<String> {
    let (p, long_ago) = (pod(c, pick), 3 * 86_400);
    for &address in &p.addresses {
        c.store.attribute_mut(address)["secondary"]["timestamp"] = json!(ago_in_go(long_ago));
    }
    c.store.keys.get_mut(&p.endpoint)?["metadata"]["creationTimestamp"] = json!(ago(long_ago + 1));
    delete_pod(c, &p);
    let kube = c.nodes[p.node].kube.clone();
    let new = c.pod(&p.namespace, &p.name, &kube, &[], 3_000);
    new["status"] = json!({"phase": "Pending", "conditions": [{"type": "Ready", "status": "False"}]});
    Some(p.addresses[0].to_string())
}

fn floating_collides(c: &mut Cluster, pick: usize) -> Option<String> {
    let (p, q) = two_pods(c, pick)?;
    let (inner, outer) = (p.addresses[0].to_string(), q.addresses[0].to_string());
    endpoint(c, &p)["ipNATs"] = json!([{"internalIP": inner, "externalIP": outer}]);
    annotate(c, &p, "cni.projectcalico.org/floatingIPs", &json!([outer]).to_string());
    Some(outer)
}

fn released(c: &mut Cluster, pick: usize) -> Option<String> {
    let p = pod(c, pick);
    c.store.release(p.addresses[0]);
    Some(p.addresses[0].to_string())
}

fn block_gone(c: &mut Cluster, pick: usize) -> Option<String> {
    let (p, block) = alone(c, pick % 2);
    c.store.keys.remove(&keys::block_key(block))?;
    Some(p.addresses[0].to_string())
}

fn outside(c: &mut Cluster, pick: usize) -> Option<String> {
    let p = pod(c, pick);
    let (n, calico, kube) = (c.number(), c.nodes[p.node].calico.clone(), c.nodes[p.node].kube.clone());
    let address = addr("10.99.1.7");
    c.endpoint(("shop", "stray"), &calico, &container(n), &[address]);
    c.pod("shop", "stray", &kube, &[address], 2_000);
    Some(address.to_string())
}

fn reserved(c: &mut Cluster, pick: usize) -> Option<String> {
    let p = pod(c, pick);
    let range = json!({"reservedCIDRs": [format!("{}/32", p.addresses[0])]});
    c.store.resource("IPReservation", "ipreservations", "late", range);
    Some(p.addresses[0].to_string())
}

fn other_owner(c: &mut Cluster, pick: usize) -> Option<String> {
    let p = pod(c, pick);
    c.store.attribute_mut(p.addresses[0])["secondary"]["pod"] = json!("somebody-else-0");
    Some(p.addresses[0].to_string())
}

fn other_container(c: &mut Cluster, pick: usize) -> Option<String> {
    let p = pod(c, pick);
    let fresh = container(c.number());
    endpoint(c, &p)["containerID"] = json!(fresh);
    Some(p.addresses[0].to_string())
}

fn other_node(c: &mut Cluster, pick: usize) -> Option<String> {
    let (p, other) = two_nodes(c, pick);
    let calico = c.nodes[other].calico.clone();
    c.store.attribute_mut(p.addresses[0])["secondary"]["node"] = json!(calico);
    Some(p.addresses[0].to_string())
}

#[path = "damage_rest.rs"]
mod rest;
use rest::*;
