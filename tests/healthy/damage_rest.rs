//! Damages to handles, blocks, affinities, endpoints, pools and the datastore itself.

use super::*;

fn some_block(c: &Cluster, pick: usize) -> Cidr {
    c.store.block_of(pod(c, pick).addresses[0]).unwrap()
}

pub fn orphan(c: &mut Cluster, pick: usize) -> Option<String> {
    let (block, id) = (some_block(c, pick), format!("k8s-pod-network.{}", container(c.number())));
    c.store.count(&id, block, 1);
    Some(id)
}

pub fn overcount(c: &mut Cluster, pick: usize) -> Option<String> {
    let p = pod(c, pick);
    c.store.count(&p.handle, some_block(c, pick), 1);
    Some(p.handle)
}

pub fn undercount(c: &mut Cluster, pick: usize) -> Option<String> {
    let p = pod(c, pick);
    let (key, block) = (keys::handle_key(&p.handle), some_block(c, pick).to_string());
    c.store.keys.get_mut(&key)?["block"][block] = json!(0);
    Some(p.handle)
}

pub fn no_handle(c: &mut Cluster, pick: usize) -> Option<String> {
    let p = pod(c, pick);
    c.store.keys.remove(&keys::handle_key(&p.handle));
    Some(p.handle)
}

pub fn malformed(c: &mut Cluster, pick: usize) -> Option<String> {
    let p = pod(c, pick);
    let odd = format!("{}\r\neth0", p.handle);
    let value = c.store.keys.remove(&keys::handle_key(&p.handle))?;
    c.store.put(keys::handle_key(&odd), value);
    for &address in &p.addresses {
        c.store.attribute_mut(address)["handle_id"] = json!(odd);
    }
    Some(odd)
}

pub fn deleted_block(c: &mut Cluster, pick: usize) -> Option<String> {
    deleted(c, keys::block_key(some_block(c, pick)))
}

pub fn deleted_handle(c: &mut Cluster, pick: usize) -> Option<String> {
    let key = keys::handle_key(&pod(c, pick).handle);
    deleted(c, key)
}

pub fn deleted_affinity(c: &mut Cluster, pick: usize) -> Option<String> {
    let key = affinity_key(some_block(c, pick), &format!("host:{}", c.nodes[pod(c, pick).node].calico));
    deleted(c, key)
}

fn deleted(c: &mut Cluster, key: String) -> Option<String> {
    c.store.keys.get_mut(&key)?["deleted"] = json!(true);
    Some(key)
}

/// The machine lives in IPv4; its handle counts an address of IPv6 that was never written.
pub fn vm_blocked(c: &mut Cluster, _: usize) -> Option<String> {
    let address = c.next_address(0, 0);
    let handle = "k8s-pod-network.vmi.vms.broken".to_owned();
    c.store.allocate(address, json!({"handle_id": handle, "secondary": null}));
    let six = c.next_address(0, 1);
    let block = c.store.block_of(six)?;
    c.store.count(&handle, block, 1);
    Some(handle)
}

pub fn queued_twice(c: &mut Cluster, pick: usize) -> Option<String> {
    let block = some_block(c, pick);
    let queue = c.store.block_mut(block)["unallocated"].as_array_mut()?;
    let first = queue.first()?.clone();
    queue.push(first);
    Some(block.to_string())
}

/// Inside an empty block, whose addresses nobody has.
pub fn overlapping(c: &mut Cluster, pick: usize) -> Option<String> {
    let outer = c.fresh_block(0);
    c.claim(pick % 2, outer);
    Some(inner_block(c, outer.first(), pick % 2).to_string())
}

pub fn block_outside(c: &mut Cluster, pick: usize) -> Option<String> {
    let block = cidr("10.99.0.0/26");
    c.claim(pick % 2, block);
    Some(block.to_string())
}

pub fn other_size(c: &mut Cluster, pick: usize) -> Option<String> {
    let block = cidr("10.65.190.0/29");
    c.claim(pick % 2, block);
    Some(block.to_string())
}

pub fn ownerless(c: &mut Cluster, _: usize) -> Option<String> {
    let block = c.fresh_block(0);
    c.store.block(block, None);
    Some(block.to_string())
}

pub fn broken_sequence(c: &mut Cluster, pick: usize) -> Option<String> {
    let p = pod(c, pick);
    let (block, ordinal) = c.store.at(p.addresses[0]);
    let number = block["sequenceNumber"].as_u64()?;
    block["sequenceNumberForAllocation"][ordinal.to_string()] = json!(number + 5);
    Some(some_block(c, pick).to_string())
}

pub fn second_spelling(c: &mut Cluster, pick: usize) -> Option<String> {
    let key = keys::block_key(some_block(c, pick));
    let odd = key.replace("/ipv4/", "/ipv6/");
    let value = c.store.keys[&key].clone();
    c.store.put(&*odd, value);
    Some(odd)
}

pub fn two_claims(c: &mut Cluster, pick: usize) -> Option<String> {
    let (p, other) = two_nodes(c, pick);
    let block = c.store.block_of(p.addresses[0])?;
    let owner = format!("host:{}", c.nodes[other].calico);
    c.store.affinity(block, &owner, "confirmed");
    Some(block.to_string())
}

fn own_affinity(c: &Cluster, pick: usize) -> (Cidr, String) {
    (some_block(c, pick), format!("host:{}", c.nodes[pod(c, pick).node].calico))
}

pub fn affinity_gone(c: &mut Cluster, pick: usize) -> Option<String> {
    let (block, owner) = own_affinity(c, pick);
    c.store.keys.remove(&affinity_key(block, &owner))?;
    Some(format!("{owner} {block}"))
}

pub fn no_block(c: &mut Cluster, pick: usize) -> Option<String> {
    let (block, owner) = (c.fresh_block(0), own_affinity(c, pick).1);
    c.store.affinity(block, &owner, "confirmed");
    Some(format!("{owner} {block}"))
}

pub fn borrowed(c: &mut Cluster, pick: usize) -> Option<String> {
    let other = c.next_address((pick + 1) % 2, 0);
    workload(c, pick % 2, "guest", &[other]);
    c.shape().strict.then(|| other.to_string())
}

pub fn many_blocks(c: &mut Cluster, pick: usize) -> Option<String> {
    for _ in 0..20 {
        let block = c.fresh_block(0);
        c.claim(pick % 2, block);
    }
    Some(c.nodes[pick % 2].calico.clone())
}

/// Kubernetes forgot node and pods, Calico has everything still.
pub fn node_died(c: &mut Cluster, pick: usize) -> Option<String> {
    let node = c.nodes[pick % 2].clone();
    c.store.delete_object("Node", "", &node.kube);
    c.store.objects.retain(|o| o["spec"]["nodeName"] != node.kube.as_str());
    let kubernetes_nodes = c.store.objects.iter().filter(|o| o["kind"] == "Node").count();
    (!c.shape().other_cni && kubernetes_nodes > 0).then_some(node.calico)
}

pub fn stale(c: &mut Cluster, pick: usize) -> Option<String> {
    let p = pod(c, pick);
    delete_pod(c, &p);
    Some(endpoint_id(&p))
}

/// Lives on the other node now; what the old node has of it stays.
fn move_away(c: &mut Cluster, p: &PodInfo, to: usize) {
    let (calico, kube) = (c.nodes[to].calico.clone(), c.nodes[to].kube.clone());
    let fresh = container(c.number());
    let (address, handle) = (c.next_address(to, 0), format!("k8s-pod-network.{fresh}"));
    let attribute = c.attribute(&handle, (&p.namespace, &p.name), &calico, 300);
    c.store.allocate(address, attribute);
    c.endpoint((&p.namespace, &p.name), &calico, &fresh, &[address]);
    delete_pod(c, p);
    c.pod(&p.namespace, &p.name, &kube, &[address], 310);
}

pub fn moved(c: &mut Cluster, pick: usize) -> Option<String> {
    let (p, other) = two_nodes(c, pick);
    move_away(c, &p, other);
    p.addresses.iter().for_each(|&a| c.store.release(a));
    Some(endpoint_id(&p))
}

pub fn twins(c: &mut Cluster, pick: usize) -> Option<String> {
    let (p, other) = two_nodes(c, pick);
    move_away(c, &p, other);
    Some(format!("{}/eth0", pod_id(&p)))
}

fn same_field(c: &mut Cluster, pick: usize, field: &str) -> Option<String> {
    let (p, q) = two_pods(c, pick)?;
    let value = endpoint(c, &p)[field].clone();
    endpoint(c, &q)[field] = value.clone();
    Some(format!("{} {}", c.nodes[p.node].calico, value.as_str()?))
}

pub fn one_interface(c: &mut Cluster, pick: usize) -> Option<String> {
    same_field(c, pick, "interfaceName")
}

pub fn one_mac(c: &mut Cluster, pick: usize) -> Option<String> {
    same_field(c, pick, "mac")
}

/// The node has other endpoints: one without any may have another CNI.
pub fn no_endpoint(c: &mut Cluster, pick: usize) -> Option<String> {
    let (p, _) = two_pods(c, pick)?;
    c.store.keys.remove(&p.endpoint);
    Some(pod_id(&p))
}

pub fn differ(c: &mut Cluster, pick: usize) -> Option<String> {
    let p = pod(c, pick);
    let other = c.next_address(p.node, 0);
    let status = &mut c.store.object_mut("Pod", &p.namespace, &p.name)["status"];
    status["podIP"] = json!(other);
    status["podIPs"] = json!([{"ip": other}]);
    Some(endpoint_id(&p))
}

pub fn no_calico_node(c: &mut Cluster, pick: usize) -> Option<String> {
    let p = pod(c, pick);
    let node = c.nodes[p.node].clone();
    c.store.keys.remove(&keys::node_key(&node.calico));
    // Half of Kubernetes' nodes stay known.
    (!c.shape().other_cni && p.node < 2).then_some(node.kube)
}

/// What the first machine was called before: its Calico Node of then, a block, and a pod that is gone.
pub fn renamed(c: &mut Cluster, _: usize) -> Option<String> {
    let mut spec = c.store.keys[&keys::node_key(&c.nodes[0].calico)]["spec"].clone();
    spec["orchRefs"] = json!([{"nodeName": "old-name", "orchestrator": "k8s"}]);
    let own = ["bgp", "addresses"].map(|field| spec[field].clone());
    let spec =
        json!({"orchRefs": spec["orchRefs"], "bgp": {"ipv4Address": own[0]["ipv4Address"]}, "addresses": own[1]});
    c.store.resource("Node", "nodes", "old-name", spec);
    let (block, id) = (c.fresh_block(0), container(c.number()));
    c.store.claim(block, "host:old-name");
    let address = block.nth(5)?;
    let attribute = c.attribute(&format!("k8s-pod-network.{id}"), ("shop", "then-0"), "old-name", 60 * 86_400);
    c.store.allocate(address, attribute);
    let key = c.endpoint(("shop", "then-0"), "old-name", &id, &[address]);
    c.store.keys.get_mut(&key)?["metadata"]["creationTimestamp"] = json!(ago(60 * 86_400));
    Some("old-name".to_owned())
}

/// Pods of today were wired through the Kubernetes datastore, and nothing of them is here.
pub fn left_behind(c: &mut Cluster, pick: usize) -> Option<String> {
    let kube = c.nodes[pod(c, pick).node].kube.clone();
    c.pod("shop", "today-0", &kube, &[addr("10.65.3.3")], 500)["metadata"]["annotations"] =
        json!({"cni.projectcalico.org/podIP": "10.65.3.3/32", "cni.projectcalico.org/podIPs": "10.65.3.3/32"});
    Some("guid-1".to_owned())
}

/// A pool of one block, and what is taken of it by stopped machines.
fn small_pool(c: &mut Cluster, taken: u128) -> Option<String> {
    let block = cidr("10.80.0.0/26");
    c.store.resource("IPPool", "ippools", "small", json!({"cidr": block.to_string(), "blockSize": 26}));
    c.claim(0, block);
    for ordinal in 0..taken {
        let handle = format!("k8s-pod-network.vmi.vms.of-many-{ordinal}");
        c.store.allocate(block.nth(ordinal)?, json!({"handle_id": handle, "secondary": null}));
    }
    Some("small".to_owned())
}

pub fn full(c: &mut Cluster, _: usize) -> Option<String> {
    small_pool(c, 60)
}

pub fn out_of_blocks(c: &mut Cluster, _: usize) -> Option<String> {
    small_pool(c, 30)
}

pub fn pool_in_pool(c: &mut Cluster, _: usize) -> Option<String> {
    let size = if c.shape().small_blocks { 28 } else { 26 };
    c.store.resource("IPPool", "ippools", "inner", json!({"cidr": "10.65.128.0/24", "blockSize": size}));
    Some("inner".to_owned())
}

/// Any key of a kind becomes an array.
pub fn undecodable(c: &mut Cluster, prefix: &str, pick: usize) -> Option<String> {
    let found =
        c.store.keys.keys().filter(|k| k.starts_with(prefix) && *k != &format!("{prefix}{}", c.nodes[0].calico));
    let keys: Vec<String> = found.cloned().collect();
    let key = keys.get(pick % keys.len().max(1))?.clone();
    c.store.put(&*key, json!([1, 2]));
    Some(key)
}

pub fn locked(c: &mut Cluster, pick: usize) -> Option<String> {
    let value = c.store.keys.get_mut(keys::CLUSTER_INFORMATION)?;
    value["spec"]["datastoreReady"] = if pick.is_multiple_of(2) { json!(false) } else { Value::Null };
    Some("guid-1".to_owned())
}

pub fn other_cluster(c: &mut Cluster, _: usize) -> Option<String> {
    let nodes = c.store.objects.iter_mut().filter(|o| o["kind"] == "Node");
    nodes.for_each(|node| node["metadata"]["name"] = json!(format!("x-{}", node["metadata"]["name"])));
    Some("guid-1".to_owned())
}

pub fn shared(c: &mut Cluster, _: usize) -> Option<String> {
    let spec = json!({"orchRefs": [{"nodeName": "theirs-1", "orchestrator": "k8s"}]});
    c.store.resource("Node", "nodes", "theirs-1", spec);
    let block = c.fresh_block(0);
    c.store.claim(block, "host:theirs-1");
    let (address, id) = (block.nth(5)?, container(c.number()));
    let attribute = c.attribute(&format!("k8s-pod-network.{id}"), ("shop", "their-pod"), "theirs-1", 900);
    c.store.allocate(address, attribute);
    c.endpoint(("shop", "their-pod"), "theirs-1", &id, &[address]);
    Some("guid-1".to_owned())
}

pub fn contradiction(c: &mut Cluster, _: usize) -> Option<String> {
    let both = json!({"strict_affinity": true, "auto_allocate_blocks": false, "ipCooldownSeconds": 600});
    c.store.put(keys::IPAM_CONFIG, both);
    // Who borrows may not from now on: IPA407 of its own.
    c.shape().nodes.iter().all(|n| !n.things.contains(&Thing::Borrowing)).then(|| "guid-1".to_owned())
}

pub fn skewed(c: &mut Cluster, pick: usize) -> Option<String> {
    let p = pod(c, pick);
    c.store.attribute_mut(p.addresses[0])["secondary"]["timestamp"] = json!("2026-11-24 12:05:00 +0000 UTC");
    Some(c.nodes[p.node].calico.clone())
}
