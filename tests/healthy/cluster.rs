//! A shape made into a datastore, thing by thing, each as Calico's parts and Kubernetes would leave it.

use ipaudit::model::{Addr, Cidr, Tunnel, keys};
use serde_json::{Value, json};

use super::shape::{Shape, Thing};
use super::store::{Store, ago, ago_in_go, cidr};

/// Where the things of a cluster are, for one who damages it.
#[derive(Clone, Default, Debug)]
pub struct Cluster {
    pub store: Store,
    pub nodes: Vec<Node>,
    /// Plain pods: allocation, handle, endpoint, running and ready.
    pub plain: Vec<PodInfo>,
    /// LoadBalancer services that Calico manages: namespace, name, address.
    pub services: Vec<(String, String, Addr)>,
    pub shape: Option<Shape>,
    pub reserved: Vec<Cidr>,
    next_block: [u128; 3],
    count: usize,
}

/// A node of Kubernetes and Calico.
#[derive(Clone, Debug)]
pub struct Node {
    pub kube: String,
    pub calico: String,
    /// Blocks in the pools `default-v4` and `default-v6`.
    pub blocks: [Vec<Cidr>; 2],
    pub tunnels: Vec<(Tunnel, Addr)>,
    pub windows: bool,
    pub host_local: bool,
}

/// A pod and what Calico has of it.
#[derive(Clone, Debug)]
pub struct PodInfo {
    pub namespace: String,
    pub name: String,
    pub node: usize,
    pub container: String,
    pub handle: String,
    pub addresses: Vec<Addr>,
    /// The endpoint's key.
    pub endpoint: String,
}

const V4: &str = "10.65.0.0/16";
const V6: &str = "fd00:65::/64";
const DISABLED: &str = "10.66.0.0/20";

pub fn addr(text: &str) -> Addr {
    text.parse().unwrap()
}

/// The container's id of the n-th sandbox.
pub fn container(n: usize) -> String {
    format!("{:08x}", 0x3f2c_0000 + n).repeat(8)
}

impl Cluster {
    pub fn of(shape: &Shape) -> Cluster {
        let mut c = Cluster { shape: Some(shape.clone()), ..Cluster::default() };
        c.settings(shape);
        for (i, node) in shape.nodes.iter().enumerate() {
            c.node(i, node.other_name, node.no_bgp, node.windows, node.host_local);
        }
        for (i, node) in shape.nodes.iter().enumerate() {
            c.tunnels(i, node.tunnels, node.old_tunnels);
        }
        if shape.bare_host {
            c.bare_host();
        }
        if shape.other_cni {
            c.other_cni();
        }
        for (i, node) in shape.nodes.iter().enumerate() {
            for &thing in &node.things {
                c.thing(i, thing);
            }
        }
        if shape.old_blocks {
            c.store.grow_old();
        }
        c
    }

    pub fn shape(&self) -> &Shape {
        self.shape.as_ref().unwrap()
    }

    fn settings(&mut self, shape: &Shape) {
        let (v4, v6) = if shape.small_blocks { (28, 124) } else { (26, 122) };
        let s = &mut self.store;
        let ready = json!({"clusterGUID": "guid-1", "calicoVersion": "v3.33.0", "datastoreReady": true});
        s.resource("ClusterInformation", "clusterinformations", "default", ready);
        let mode = if shape.requested_only { "RequestedServicesOnly" } else { "AllServices" };
        let controllers = json!({"node": {"leakGracePeriod": "15m0s"}, "loadBalancer": {"assignIPs": mode}});
        let kube_controllers = json!({"controllers": controllers});
        s.resource("KubeControllersConfiguration", "kubecontrollersconfigurations", "default", kube_controllers);
        s.resource("IPPool", "ippools", "default-v4", json!({"cidr": V4, "blockSize": v4, "natOutgoing": true}));
        s.resource("IPPool", "ippools", "default-v6", json!({"cidr": V6, "blockSize": v6, "nodeSelector": "all()"}));
        s.resource("IPPool", "ippools", "disabled", json!({"cidr": DISABLED, "blockSize": 27, "disabled": true}));
        let services = json!({"cidr": "10.70.0.0/24", "blockSize": 28, "allowedUses": ["LoadBalancer"]});
        s.resource("IPPool", "ippools", "services", services);
        s.put(
            "/calico/ipam/v2/config",
            json!({"strict_affinity": shape.strict, "auto_allocate_blocks": true, "ipCooldownSeconds": 600}),
        );
        if shape.strict {
            let both = json!({"strictAffinity": true, "autoAllocateBlocks": true, "ipCooldownSeconds": 600});
            s.resource("IPAMConfiguration", "ipamconfigurations", "default", both);
        }
        if shape.reservation {
            let mut ranges = vec!["10.65.255.0/24".to_owned(), "10.65.0.4/31".to_owned(), "fd00:65::4/127".to_owned()];
            ranges.extend((0..shape.nodes.len()).map(|i| format!("10.65.{}.0/28", 200 + i)));
            self.reserved = ranges.iter().map(|r| cidr(r)).collect();
            s.resource("IPReservation", "ipreservations", "infra", json!({"reservedCIDRs": ranges}));
        }
        for (namespace, i) in ["kube-system", "default", "shop", "vms"].iter().zip(1..) {
            let uid = format!("00000000-0000-4000-8000-{i:012x}");
            let metadata = json!({"name": namespace, "uid": uid});
            s.objects.push(json!({"kind": "Namespace", "apiVersion": "v1", "metadata": metadata}));
        }
    }

    fn node(&mut self, i: usize, other_name: bool, no_bgp: bool, windows: bool, host_local: bool) {
        let kube = format!("node-{i}");
        let calico = if other_name { format!("ip-10-0-0-{i}.rack-b") } else { kube.clone() };
        let internal = format!("192.168.0.{}", i + 1);
        let mut spec = json!({"orchRefs": [{"nodeName": kube, "orchestrator": "k8s"}]});
        if no_bgp {
            spec["addresses"] = json!([{"address": internal, "type": "InternalIP"}]);
        } else {
            spec["bgp"] = json!({"ipv4Address": format!("{internal}/24")});
        }
        self.store.resource("Node", "nodes", &calico, spec);
        if self.shape().host_endpoints {
            let spec = json!({"node": calico, "interfaceName": "eth0", "expectedIPs": [internal]});
            self.store.resource("HostEndpoint", "hostendpoints", &format!("{kube}-eth0"), spec);
        }
        if i == 0 {
            // Nothing writes it today; it may stand there all the same.
            self.store.put(format!("{}{calico}", keys::HOST_AFFINITIES), json!({}));
        }
        self.kube_node(&kube, &internal, windows);
        if self.shape().pod_cidrs {
            let range = if host_local { format!("10.244.{i}.0/24") } else { format!("10.65.{i}.0/24") };
            let node = self.store.objects.last_mut().unwrap();
            node["spec"] = json!({"podCIDR": range, "podCIDRs": [range, format!("fd00:244:{i}::/64")]});
        }
        let blocks = [Vec::new(), Vec::new()];
        self.nodes.push(Node { kube, calico, blocks, tunnels: Vec::new(), windows, host_local });
    }

    pub fn kube_node(&mut self, name: &str, internal: &str, windows: bool) {
        let os = if windows { "windows" } else { "linux" };
        let uid = self.uid();
        self.store.objects.push(json!({
            "kind": "Node", "apiVersion": "v1",
            "metadata": {"name": name, "uid": uid, "creationTimestamp": ago(40 * 86_400), "labels": {"kubernetes.io/os": os}},
            "status": {"addresses": [{"type": "InternalIP", "address": internal}],
                "conditions": [{"type": "Ready", "status": "True"}], "nodeInfo": {"operatingSystem": os}},
        }));
    }

    pub fn uid(&mut self) -> String {
        self.count += 1;
        format!("00000000-0000-4000-9000-{:012x}", self.count)
    }

    pub fn number(&mut self) -> usize {
        self.count += 1;
        self.count
    }

    /// A block that no node has: of IPv4, IPv6, or the disabled pool.
    pub fn fresh_block(&mut self, family: usize) -> Cidr {
        let small = self.shape().small_blocks;
        let (pool, prefix) = match (family, small) {
            (0, true) => (V4, 28),
            (0, false) => (V4, 26),
            (1, true) => (V6, 124),
            (1, false) => (V6, 122),
            _ => (DISABLED, 27),
        };
        let pool = cidr(pool);
        let size = Cidr::new(pool.first(), prefix).unwrap().size();
        let block = Cidr::new(pool.nth(self.next_block[family] * size).unwrap(), prefix).unwrap();
        self.next_block[family] += 1;
        block
    }

    /// Claims a block for a node; on Windows with the ordinals that Windows keeps.
    pub fn claim(&mut self, node: usize, block: Cidr) {
        let owner = format!("host:{}", self.nodes[node].calico);
        self.store.claim(block, &owner);
        if self.nodes[node].windows {
            let reserved =
                json!({"handle_id": "windows-reserved-ipam-handle", "secondary": {"note": "windows host rsvd"}});
            let first = block.first();
            self.store.record(first, reserved);
            for address in [block.nth(1), block.nth(2), Some(block.last())].into_iter().flatten() {
                self.store.share(address, first);
            }
        }
    }

    /// The next address that automatic assignment gives to a node.
    pub fn next_address(&mut self, node: usize, family: usize) -> Addr {
        let blocks = self.nodes[node].blocks[family].clone();
        let free = blocks.iter().find_map(|&block| self.store.next_free(block, &self.reserved));
        if let Some(free) = free {
            return free;
        }
        let block = self.fresh_block(family);
        self.claim(node, block);
        self.nodes[node].blocks[family].push(block);
        self.store.next_free(block, &self.reserved).expect("a new block has room")
    }

    fn tunnels(&mut self, i: usize, wanted: [bool; 5], old: bool) {
        let dual = self.shape().dual_stack;
        let calico = self.nodes[i].calico.clone();
        for (tunnel, wanted) in Tunnel::ALL.into_iter().zip(wanted) {
            let six = matches!(tunnel, Tunnel::VxlanV6 | Tunnel::WireguardV6);
            let windows = self.nodes[i].windows;
            if !wanted || (six && !dual) || (windows && tunnel != Tunnel::Vxlan) {
                continue;
            }
            let address = self.next_address(i, usize::from(six));
            let address = if windows {
                // Windows takes ordinal 1 of its block, which the reservation holds.
                self.nodes[i].blocks[0][0].nth(1).unwrap()
            } else {
                let handle = format!("{}{calico}", tunnel.handle_prefix());
                let secondary = json!({"node": calico, "type": tunnel.attribute()});
                let attribute = match old {
                    true => json!({"handle_id": null, "secondary": null}),
                    false => json!({"handle_id": handle, "secondary": secondary}),
                };
                self.store.allocate(address, attribute);
                address
            };
            self.set_tunnel(&calico, tunnel, Some(address));
            self.nodes[i].tunnels.push((tunnel, address));
        }
    }

    /// Writes a tunnel's address into a Calico Node.
    pub fn set_tunnel(&mut self, calico: &str, tunnel: Tunnel, address: Option<Addr>) {
        let node = self.store.keys.get_mut(&keys::node_key(calico)).unwrap();
        let spec = &mut node["spec"];
        let slot = match tunnel {
            Tunnel::Ipip => &mut spec["bgp"]["ipv4IPIPTunnelAddr"],
            Tunnel::Vxlan => &mut spec["ipv4VXLANTunnelAddr"],
            Tunnel::VxlanV6 => &mut spec["ipv6VXLANTunnelAddr"],
            Tunnel::Wireguard => &mut spec["wireguard"]["interfaceIPv4Address"],
            Tunnel::WireguardV6 => &mut spec["wireguard"]["interfaceIPv6Address"],
        };
        *slot = json!(address);
    }

    /// A router that runs Calico without Kubernetes, with a container of its own.
    fn bare_host(&mut self) {
        let spec = json!({"bgp": {"ipv4Address": "192.168.9.1/24"}});
        self.store.resource("Node", "nodes", "router-7", spec);
        let block = self.fresh_block(0);
        self.store.claim(block, "host:router-7");
        let address = block.nth(7).unwrap();
        self.cni_container("router-7", address);
    }

    fn other_cni(&mut self) {
        self.kube_node("edge-1", "192.168.8.1", false);
        for i in 0..2 {
            let address = addr(&format!("10.244.7.{}", i + 2));
            let pod = self.pod("shop", &format!("edge-{i}"), "edge-1", &[address], 4_000);
            // Nobody but Calico writes its annotations.
            pod["metadata"]["annotations"] = json!({});
        }
    }

    /// A container that the CNI plugin networked without Kubernetes.
    pub fn cni_container(&mut self, calico: &str, address: Addr) {
        let container = container(self.number());
        let handle = format!("k8s-pod-network.{container}");
        let secondary = json!({"node": calico, "timestamp": ago_in_go(9_000)});
        self.store.allocate(address, json!({"handle_id": handle, "secondary": secondary}));
        let name = format!("{}-cni-{container}-eth0", calico.replace('-', "--"));
        let interface = format!("cali{}", &container[..11]);
        let spec = json!({
            "orchestrator": "cni", "node": calico, "containerID": container, "endpoint": "eth0",
            "ipNetworks": [network(address)], "interfaceName": interface, "mac": self.mac(),
        });
        self.store.put(keys::endpoint_key("default", &name), json!({"kind": "WorkloadEndpoint", "spec": spec}));
    }

    pub fn mac(&mut self) -> String {
        let n = self.number();
        format!("ee:ee:{:02x}:{:02x}:00:01", n / 256, n % 256)
    }

    /// A pod of Kubernetes, running and ready; `kube` is Kubernetes' name of the node.
    pub fn pod(&mut self, namespace: &str, name: &str, kube: &str, addresses: &[Addr], age: u64) -> &mut Value {
        let uid = self.uid();
        let ips: Vec<Value> = addresses.iter().map(|a| json!({"ip": a.to_string()})).collect();
        let list: Vec<String> = addresses.iter().copied().map(network).collect();
        let annotations = match self.shape().annotated {
            true => {
                json!({"cni.projectcalico.org/podIP": list.first(), "cni.projectcalico.org/podIPs": list.join(",")})
            }
            false => json!({}),
        };
        let owner = json!({"kind": "StatefulSet", "name": "of-many", "controller": true, "uid": "x"});
        self.store.objects.push(json!({
            "kind": "Pod", "apiVersion": "v1",
            "metadata": {"namespace": namespace, "name": name, "uid": uid, "creationTimestamp": ago(age),
                "annotations": annotations, "labels": {}, "ownerReferences": [owner]},
            "spec": {"nodeName": kube},
            "status": {"phase": "Running", "podIPs": ips, "podIP": addresses.first(),
                "conditions": [{"type": "Ready", "status": "True"}]},
        }));
        self.store.objects.last_mut().unwrap()
    }

    /// An endpoint as the CNI plugin writes it; gives its key.
    pub fn endpoint(&mut self, pod: (&str, &str), calico: &str, container: &str, addresses: &[Addr]) -> String {
        let (namespace, name) = pod;
        let double = |part: &str| part.replace('-', "--");
        let key = keys::endpoint_key(namespace, &format!("{}-k8s-{}-eth0", double(calico), double(name)));
        let hash = ipaudit::model::finding::hash64(format!("{namespace}.{name}").as_bytes());
        let spec = json!({
            "orchestrator": "k8s", "node": calico, "pod": name, "endpoint": "eth0", "containerID": container,
            "ipNetworks": addresses.iter().copied().map(network).collect::<Vec<_>>(),
            "interfaceName": format!("cali{:011x}", hash >> 20), "mac": self.mac(), "profiles": [format!("kns.{namespace}")],
        });
        let metadata = json!({"namespace": namespace, "creationTimestamp": ago(2_000)});
        self.store.put(&*key, json!({"kind": "WorkloadEndpoint", "metadata": metadata, "spec": spec}));
        key
    }

    /// What an allocation says of a pod.
    pub fn attribute(&self, handle: &str, pod: (&str, &str), calico: &str, age: u64) -> Value {
        let (namespace, name) = pod;
        let secondary = json!({"namespace": namespace, "pod": name, "node": calico, "timestamp": ago_in_go(age)});
        json!({"handle_id": handle, "secondary": secondary})
    }

    pub fn thing(&mut self, node: usize, thing: Thing) {
        super::things::add(self, node, thing);
    }
}

/// An address as endpoints list it.
pub fn network(address: Addr) -> String {
    format!("{address}/{}", if address.is_v4() { 32 } else { 128 })
}
