//! Each thing that a healthy cluster can have: what it leaves in etcd and in Kubernetes, to the letter of the domain.

use ipaudit::checks::addresses::leaked_service_address::load_balancer_handle;
use ipaudit::model::Addr;
use serde_json::{Value, json};

use super::cluster::{Cluster, PodInfo, addr, container, network};
use super::shape::Thing;
use super::store::{ago, ago_in_go, cidr};

/// Adds it; what a node cannot have becomes a plain pod.
pub fn add(c: &mut Cluster, node: usize, thing: Thing) {
    use Thing::*;
    let (windows, host_local) = (c.nodes[node].windows, c.nodes[node].host_local);
    let (dual, strict, reserved) = (c.shape().dual_stack, c.shape().strict, c.shape().reservation);
    let other = (0..c.nodes.len()).find(|&i| i != node && !c.nodes[i].host_local && !c.nodes[i].windows);
    match (thing, other) {
        _ if host_local => host_local_pod(c, node),
        (Borrowing, Some(other)) if !strict && !windows => {
            let lent = c.next_address(other, 0);
            // A borrower has a block of its own too.
            c.next_address(node, 0);
            workload(c, node, "web", &[lent]);
        }
        (Asking, _) if reserved && !windows => asking(c, node),
        (NoIpam, _) => no_ipam(c, node),
        (NotReady, _) => not_ready(c, node),
        (SixOnly, _) if dual && !windows => {
            let address = c.next_address(node, 1);
            workload(c, node, "six", &[address]);
        }
        (HostNetwork, _) => host_network(c, node),
        (Unscheduled, _) => {
            let name = name(c, "waiting");
            let pod = c.pod("shop", &name, "", &[], 400);
            pod["status"] = json!({"phase": "Pending"});
        }
        (Creating | CreatingBare | CreatingAllocated, _) => creating(c, node, thing),
        (Terminating | TerminatingReleased | TerminatingReused | TerminatingHalf, _) => terminating(c, node, thing),
        (Finished | FinishedReused, _) => finished(c, node, thing == FinishedReused),
        (Mirror, _) => mirror(c, node),
        (VmRunning | VmHashed, _) => drop(machine(c, node, thing == VmHashed)),
        (VmStopped | VmStoppedNamed, _) => stopped_machine(c, node, thing == VmStoppedNamed),
        (VmMigrating | VmMigrated, Some(other)) if !windows => migration(c, node, other, thing == VmMigrating),
        (Multus, _) => multus(c, node),
        (OldWithoutOwner | OldHandle, _) => old(c, node, thing == OldHandle),
        (Floating, _) => floating(c, node, false),
        (FloatingReserved, _) if reserved => floating(c, node, true),
        (CniContainer, _) if !windows => {
            let (calico, address) = (c.nodes[node].calico.clone(), c.next_address(node, 0));
            c.cni_container(&calico, address);
        }
        (GivenUpBlock, _) if !windows => {
            let block = c.fresh_block(0);
            c.store.block(block, None);
            workload(c, node, "kept", &[block.nth(3).unwrap()]);
        }
        (DisabledPool, _) if !windows => {
            let block = c.fresh_block(2);
            c.claim(node, block);
            workload(c, node, "late", &[block.nth(3).unwrap()]);
        }
        (Cooling, _) => cooling(c, node, 100),
        (CooledDown, _) => cooling(c, node, 700),
        (Service, _) => service(c),
        (ForeignService, _) => foreign_services(c),
        (EmptyBlock, _) => {
            let block = c.fresh_block(0);
            c.claim(node, block);
        }
        (KeptBack, _) => kept_back(c),
        (PendingAffinity | PendingDeletion, _) => affinity_under_way(c, node, thing == PendingAffinity),
        _ => plain(c, node),
    }
}

fn name(c: &mut Cluster, stem: &str) -> String {
    format!("{stem}-{}", c.number())
}

fn addresses(c: &mut Cluster, node: usize) -> Vec<Addr> {
    let mut addresses = vec![c.next_address(node, 0)];
    if c.shape().dual_stack && !c.nodes[node].windows {
        addresses.push(c.next_address(node, 1));
    }
    addresses
}

/// Allocations, handle and endpoint of a running pod.
pub fn workload(c: &mut Cluster, node: usize, stem: &str, addresses: &[Addr]) -> PodInfo {
    let info = networked(c, node, "shop", stem, addresses);
    let kube = c.nodes[node].kube.clone();
    c.pod("shop", &info.name, &kube, addresses, 2_010);
    info
}

/// The same without the pod.
fn networked(c: &mut Cluster, node: usize, namespace: &str, stem: &str, addresses: &[Addr]) -> PodInfo {
    let name = name(c, stem);
    let calico = c.nodes[node].calico.clone();
    let container = container(c.number());
    let handle = format!("k8s-pod-network.{container}");
    for &address in addresses {
        let attribute = c.attribute(&handle, (namespace, &name), &calico, 2_005);
        c.store.allocate(address, attribute);
    }
    let endpoint = c.endpoint((namespace, &name), &calico, &container, addresses);
    PodInfo { namespace: namespace.to_owned(), name, node, container, handle, addresses: addresses.to_vec(), endpoint }
}

fn plain(c: &mut Cluster, node: usize) {
    let addresses = addresses(c, node);
    let info = workload(c, node, "web.v1-x", &addresses);
    c.plain.push(info);
}

fn host_local_pod(c: &mut Cluster, node: usize) {
    let n = c.number();
    let address = addr(&format!("10.244.{node}.{}", 2 + n % 250));
    let (name, calico, kube) = (format!("local-{n}"), c.nodes[node].calico.clone(), c.nodes[node].kube.clone());
    c.endpoint(("shop", &name), &calico, &container(n), &[address]);
    c.pod("shop", &name, &kube, &[address], 2_010);
}

/// AssignIP takes the address from a reservation, and claims its block for the node.
fn asking(c: &mut Cluster, node: usize) {
    let prefix = if c.shape().small_blocks { 28 } else { 26 };
    let block = ipaudit::model::Cidr::new(addr(&format!("10.65.{}.0", 200 + node)), prefix).unwrap();
    if c.store.block_of(block.first()).is_none() {
        c.claim(node, block);
    }
    let Some(address) = c.store.next_free(block, &[]).filter(|a| c.reserved.iter().any(|r| r.contains(*a))) else {
        return plain(c, node);
    };
    let info = workload(c, node, "fixed", &[address]);
    annotate(c, &info, "cni.projectcalico.org/ipAddrs", &json!([address.to_string()]).to_string());
}

pub fn annotate(c: &mut Cluster, pod: &PodInfo, annotation: &str, value: &str) {
    c.store.object_mut("Pod", &pod.namespace, &pod.name)["metadata"]["annotations"][annotation] = json!(value);
}

fn no_ipam(c: &mut Cluster, node: usize) {
    let n = c.number();
    let address = addr(&format!("10.65.{}.{}", 180 + n / 250, 1 + n % 250));
    let (name, calico, kube) = (format!("own-{n}"), c.nodes[node].calico.clone(), c.nodes[node].kube.clone());
    c.endpoint(("shop", &name), &calico, &container(n), &[address]);
    let pod = c.pod("shop", &name, &kube, &[address], 2_010);
    pod["metadata"]["annotations"]["cni.projectcalico.org/ipAddrsNoIpam"] = json!(format!("[\"{address}\"]"));
}

fn not_ready(c: &mut Cluster, node: usize) {
    let addresses = addresses(c, node);
    let info = workload(c, node, "sick", &addresses);
    c.store.object_mut("Pod", "shop", &info.name)["status"]["conditions"][0]["status"] = json!("False");
}

fn host_network(c: &mut Cluster, node: usize) {
    let (name, kube) = (name(c, "agent"), c.nodes[node].kube.clone());
    let pod = c.pod("kube-system", &name, &kube, &[addr(&format!("192.168.0.{}", node + 1))], 30_000);
    pod["spec"]["hostNetwork"] = json!(true);
}

fn creating(c: &mut Cluster, node: usize, thing: Thing) {
    let (calico, kube) = (c.nodes[node].calico.clone(), c.nodes[node].kube.clone());
    let (name, container) = (name(c, "starting"), container(c.number()));
    if thing != Thing::CreatingBare {
        let addresses = addresses(c, node);
        let handle = format!("k8s-pod-network.{container}");
        for &address in &addresses {
            let attribute = c.attribute(&handle, ("shop", &name), &calico, 4);
            c.store.allocate(address, attribute);
        }
        if thing == Thing::Creating {
            c.endpoint(("shop", &name), &calico, &container, &addresses);
        }
    }
    let pod = c.pod("shop", &name, &kube, &[], 6);
    pod["status"] = json!({"phase": "Pending", "conditions": [{"type": "Ready", "status": "False"}]});
}

fn terminating(c: &mut Cluster, node: usize, thing: Thing) {
    let addresses = addresses(c, node);
    let info = workload(c, node, "going", &addresses);
    let pod = c.store.object_mut("Pod", "shop", &info.name);
    pod["metadata"]["deletionTimestamp"] = json!(ago(5));
    if thing == Thing::Terminating {
        return;
    }
    c.store.keys.remove(&info.endpoint);
    if thing == Thing::TerminatingHalf {
        return;
    }
    addresses.iter().for_each(|&a| c.store.release(a));
    if thing == Thing::TerminatingReused {
        workload(c, node, "after", &addresses);
    }
}

fn finished(c: &mut Cluster, node: usize, reused: bool) {
    let (name, kube, addresses) = (name(c, "job"), c.nodes[node].kube.clone(), addresses(c, node));
    let phase = if reused { "Failed" } else { "Succeeded" };
    c.pod("shop", &name, &kube, &addresses, 9_000)["status"]["phase"] = json!(phase);
    if reused {
        workload(c, node, "after", &addresses);
    }
}

fn mirror(c: &mut Cluster, node: usize) {
    let addresses = addresses(c, node);
    let info = networked(c, node, "kube-system", "static", &addresses);
    let kube = c.nodes[node].kube.clone();
    let pod = c.pod("kube-system", &info.name, &kube, &addresses, 60);
    pod["metadata"]["annotations"]["kubernetes.io/config.mirror"] = json!("0123");
    pod["metadata"]["ownerReferences"] = json!([{"kind": "Node", "name": kube, "controller": true}]);
}

struct Machine {
    vm: String,
    addresses: Vec<Addr>,
}

fn launcher(c: &mut Cluster, node: usize, vm: &str, suffix: &str, addresses: &[Addr]) -> String {
    let name = format!("virt-launcher-{vm}-{suffix}");
    let (calico, kube, container) = (c.nodes[node].calico.clone(), c.nodes[node].kube.clone(), container(c.number()));
    c.endpoint(("vms", &name), &calico, &container, addresses);
    let pod = c.pod("vms", &name, &kube, addresses, 2_010);
    pod["metadata"]["labels"] = json!({"kubevirt.io": "virt-launcher", "vm.kubevirt.io/name": vm});
    pod["metadata"]["ownerReferences"] = json!([{"kind": "VirtualMachineInstance", "name": vm, "controller": true}]);
    name
}

fn vm_attribute(c: &Cluster, vm: &str, pod: &str, node: usize, hashed: bool) -> Value {
    let handle = if hashed { format!("k8s-pod-network.vmi._{:x}", vm.len() * 7919) + vm } else { handle_of(vm) };
    let mut attribute = c.attribute(&handle, ("vms", pod), &c.nodes[node].calico, 2_005);
    attribute["secondary"]["vmi-name"] = json!(vm);
    attribute["secondary"]["vm-uid"] = json!("f521cbc6-6eb8-4fab-be87-78e5219613e5");
    attribute
}

fn handle_of(vm: &str) -> String {
    format!("k8s-pod-network.vmi.vms.{vm}")
}

fn machine(c: &mut Cluster, node: usize, hashed: bool) -> Machine {
    let (vm, addresses) = (name(c, "fedora"), addresses(c, node));
    let pod = launcher(c, node, &vm, "hztsv", &addresses);
    for &address in &addresses {
        let attribute = vm_attribute(c, &vm, &pod, node, hashed);
        c.store.allocate(address, attribute);
    }
    Machine { vm, addresses }
}

fn stopped_machine(c: &mut Cluster, node: usize, named: bool) {
    let (vm, addresses) = (name(c, "debian"), addresses(c, node));
    for &address in &addresses {
        let attribute = match named {
            true => vm_attribute(c, &vm, &format!("virt-launcher-{vm}-abcde"), node, false),
            false => json!({"handle_id": handle_of(&vm), "secondary": null}),
        };
        c.store.allocate(address, attribute);
    }
}

/// Both launcher pods have the address; later the source is gone, and the allocation still names both.
fn migration(c: &mut Cluster, node: usize, target: usize, under_way: bool) {
    let Machine { vm, addresses } = machine(c, node, false);
    let new = launcher(c, target, &vm, "2zf75", &addresses);
    for &address in &addresses {
        let alternate = vm_attribute(c, &vm, &new, target, false)["secondary"].take();
        c.store.attribute_mut(address)["alternateOwnerAttrs"] = alternate;
    }
    if !under_way {
        let old = format!("virt-launcher-{vm}-hztsv");
        c.store.delete_object("Pod", "vms", &old);
        c.store.keys.retain(|key, _| !(key.contains("/vms/") && key.contains(&old.replace('-', "--"))));
    }
}

fn multus(c: &mut Cluster, node: usize) {
    let addresses = addresses(c, node);
    let info = workload(c, node, "two-nets", &addresses);
    let second = c.next_address(node, 0);
    let handle = format!("macvlan-net.{}", info.container);
    let attribute = c.attribute(&handle, ("shop", &info.name), &c.nodes[node].calico, 2_004);
    c.store.allocate(second, attribute);
    let ips: Vec<String> = addresses.iter().map(Addr::to_string).collect();
    let status = json!([
        {"name": "k8s-pod-network", "ips": ips, "default": true},
        {"name": "shop/macvlan-net", "interface": "net1", "ips": [second.to_string()]},
    ]);
    annotate(c, &info, "k8s.v1.cni.cncf.io/network-status", &status.to_string());
}

fn old(c: &mut Cluster, node: usize, named_handle: bool) {
    let (name, addresses) = (name(c, "ancient"), addresses(c, node));
    let (calico, kube) = (c.nodes[node].calico.clone(), c.nodes[node].kube.clone());
    let container = if named_handle { String::new() } else { container(c.number()) };
    let handle = if named_handle { format!("shop.{name}") } else { format!("k8s-pod-network.{container}") };
    for &address in &addresses {
        c.store.allocate(address, json!({"handle_id": handle, "secondary": null}));
    }
    c.endpoint(("shop", &name), &calico, &container, &addresses);
    c.pod("shop", &name, &kube, &addresses, 400_000);
}

fn floating(c: &mut Cluster, node: usize, in_pool: bool) {
    let addresses = addresses(c, node);
    let info = workload(c, node, "public", &addresses);
    let n = c.number() % 250;
    let external = if in_pool { format!("10.65.255.{n}") } else { format!("203.0.113.{n}") };
    let endpoint = c.store.keys.get_mut(&info.endpoint).unwrap();
    endpoint["spec"]["ipNATs"] = json!([{"internalIP": addresses[0].to_string(), "externalIP": external}]);
    annotate(c, &info, "cni.projectcalico.org/floatingIPs", &json!([external]).to_string());
}

fn cooling(c: &mut Cluster, node: usize, since: u64) {
    let first = c.next_address(node, 0);
    c.store.record(first, json!({"releasedAt": ago(since)}));
    let block = c.store.block_of(first).unwrap();
    if let Some(second) = c.store.next_free(block, &c.reserved) {
        c.store.share(second, first);
    }
}

fn service_object(c: &mut Cluster, name: &str, spec: Value, ingress: Option<Addr>) -> String {
    let uid = c.uid();
    let metadata = json!({"namespace": "shop", "name": name, "uid": uid});
    let ingress: Vec<Value> = ingress.iter().map(|a| json!({"ip": a.to_string()})).collect();
    let status = json!({"loadBalancer": {"ingress": ingress}});
    c.store
        .objects
        .push(json!({"kind": "Service", "apiVersion": "v1", "metadata": metadata, "spec": spec, "status": status}));
    uid
}

fn service(c: &mut Cluster) {
    let block = cidr("10.70.0.16/28");
    if c.store.block_of(block.first()).is_none() {
        c.store.claim(block, "virtual:load-balancer");
    }
    let Some(address) = c.store.next_free(block, &[]) else { return };
    let name = name(c, "front");
    let mut spec = json!({"type": "LoadBalancer", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"});
    if c.services.len() % 3 == 2 {
        // As servers of before the families say it.
        spec = json!({"type": "LoadBalancer"});
    }
    if c.shape().requested_only {
        spec["loadBalancerIP"] = json!(address.to_string());
    } else if c.services.len() % 2 == 1 {
        spec["loadBalancerClass"] = json!("calico");
    }
    let uid = service_object(c, &name, spec, Some(address));
    let secondary =
        json!({"namespace": "shop", "service": name, "type": "LoadBalancer", "timestamp": ago_in_go(5_000)});
    let handle = load_balancer_handle(&name, "shop", &uid);
    c.store.allocate(address, json!({"handle_id": handle, "secondary": secondary}));
    c.services.push(("shop".to_owned(), name, address));
}

fn foreign_services(c: &mut Cluster) {
    let (metal, new, inner) = (name(c, "metal"), name(c, "new"), name(c, "inner"));
    let class = json!({"type": "LoadBalancer", "loadBalancerClass": "metallb"});
    let address = addr(&format!("198.51.100.{}", c.number() % 250));
    service_object(c, &metal, class, Some(address));
    service_object(c, &new, json!({"type": "LoadBalancer"}), None);
    service_object(c, &inner, json!({"type": "ClusterIP", "clusterIP": "10.96.0.7"}), None);
}

fn affinity_under_way(c: &mut Cluster, node: usize, pending: bool) {
    let (block, owner) = (c.fresh_block(0), format!("host:{}", c.nodes[node].calico));
    if pending {
        c.store.affinity(block, &owner, "pending");
    } else {
        c.store.block(block, Some(&owner));
        c.store.affinity(block, &owner, "pendingDeletion");
    }
}

/// `EnsureBlock` with a reservation: ordinals of a handle that has no object.
fn kept_back(c: &mut Cluster) {
    let (device, block) = (name(c, "edge"), c.fresh_block(0));
    c.store.claim(block, &format!("host:{device}"));
    let first = block.first();
    c.store.record(first, json!({"handle_id": "edge", "secondary": {"note": "edge host rsvd"}}));
    for n in 1..8 {
        c.store.share(block.nth(n).unwrap(), first);
    }
}

/// The endpoint's list of addresses.
pub fn relist(c: &mut Cluster, endpoint: &str, addresses: &[Addr]) {
    let list: Vec<String> = addresses.iter().copied().map(network).collect();
    c.store.keys.get_mut(endpoint).unwrap()["spec"]["ipNetworks"] = json!(list);
}
