//! A small datastore and its cluster, written thing by thing: a /26 a node out of the pool 10.44.0.0/16.

use serde_json::{Value, json};

use super::World;

/// The moment at which it is audited.
pub const NOW: &str = "2026-11-24T12:12:50Z";
pub const GUID: &str = "ef243353a481ad9220b733be06668e8a";
const LONG_AGO: &str = "2026-08-16T12:12:50Z";

/// Keys and objects under construction.
#[derive(Default)]
pub struct Small {
    pub keys: Vec<(String, Value)>,
    pub objects: Vec<Value>,
    /// Handle, owner (namespace/pod) and Go's time of each allocation, by block and ordinal.
    allocations: Vec<(String, usize, Value)>,
}

fn container(pod: &str) -> String {
    let byte = |i: usize| pod.bytes().cycle().nth(i).unwrap();
    (0..32).map(|i| format!("{:02x}", byte(i))).collect()
}

fn interface(pod: &str) -> String {
    let sum = pod.bytes().fold(7u64, |sum, byte| sum.wrapping_mul(131).wrapping_add(u64::from(byte)));
    format!("cali{:011x}", sum >> 20 ^ sum << 24 >> 24)[..15].to_owned()
}

pub fn handle(pod: &str) -> String {
    format!("k8s-pod-network.{}", container(pod))
}

impl Small {
    /// A datastore with one pool, and nobody in it.
    pub fn new() -> Small {
        let mut small = Small::default();
        let cluster = json!({"clusterGUID": GUID, "calicoVersion": "v3.31.2", "datastoreReady": true});
        small.resource("ClusterInformation", "clusterinformations", "default", LONG_AGO, cluster);
        let node = json!({"leakGracePeriod": "15m0s"});
        let controllers = json!({"controllers": {"node": node}});
        small.resource(
            "KubeControllersConfiguration",
            "kubecontrollersconfigurations",
            "default",
            LONG_AGO,
            controllers,
        );
        small.resource("IPPool", "ippools", "pods", LONG_AGO, json!({"cidr": "10.44.0.0/16", "blockSize": 26}));
        small.objects.push(json!({"kind": "Service", "apiVersion": "v1", "spec": {"type": "ClusterIP"}, "status": {},
            "metadata": {"namespace": "default", "name": "kubernetes", "uid": "44599006-67f1-4ca8-d39d-d256919296c3"}}));
        small
    }

    fn resource(&mut self, kind: &str, plural: &str, name: &str, created: &str, spec: Value) {
        let metadata = json!({"name": name, "creationTimestamp": created});
        let value = json!({"kind": kind, "apiVersion": "projectcalico.org/v3", "metadata": metadata, "spec": spec});
        self.keys.push((format!("/calico/resources/v3/projectcalico.org/{plural}/{name}"), value));
    }

    /// A node in Kubernetes and Calico, with the block `10.44.<16 n>.0/26`.
    pub fn node(&mut self, name: &str, n: u8) {
        self.kube_node(name, n, LONG_AGO);
        self.calico_node(name, name, n, LONG_AGO);
        self.block(name, n);
    }

    pub fn kube_node(&mut self, name: &str, n: u8, created: &str) {
        self.objects.push(json!({"kind": "Node", "apiVersion": "v1", "spec": {},
            "metadata": {"name": name, "uid": format!("41c83996-a038-795f-fbb3-0000000000{n:02}"), "creationTimestamp": created},
            "status": {"addresses": [{"type": "InternalIP", "address": format!("172.31.7.{n}")}],
                "conditions": [{"type": "Ready", "status": "True"}]}}));
    }

    pub fn calico_node(&mut self, calico: &str, kubernetes: &str, n: u8, created: &str) {
        let addresses = json!([{"address": format!("172.31.7.{n}"), "type": "InternalIP"},
            {"address": "203.0.113.7", "type": "ExternalIP"}]);
        let spec = json!({"bgp": {"ipv4Address": format!("172.31.7.{n}/24")}, "addresses": addresses,
            "orchRefs": [{"nodeName": kubernetes, "orchestrator": "k8s"}]});
        self.resource("Node", "nodes", calico, created, spec);
    }

    pub fn block(&mut self, host: &str, n: u8) {
        let cidr = format!("10.44.{}-26", format_args!("{}.0", 16 * n));
        let affinity = json!({"state": "confirmed", "deleted": false});
        self.keys.push((format!("/calico/ipam/v2/host/{host}/ipv4/block/{cidr}"), affinity));
        let value = json!({"cidr": cidr.replace('-', "/"), "affinity": format!("host:{host}"), "deleted": false,
            "sequenceNumber": 1_700_000_000_000_000_100_u64});
        self.keys.push((format!("/calico/ipam/v2/assignment/ipv4/block/{cidr}"), value));
    }

    /// An allocation of a pod in the block of node `n`, and its handle.
    pub fn allocate(&mut self, pod: &str, host: &str, n: u8, ordinal: usize, at: &str) {
        let cidr = format!("10.44.{}.0/26", 16 * n);
        let at = at.replace('T', " ").replace('Z', " +0000 UTC");
        let secondary = json!({"namespace": "shop", "pod": pod, "node": host, "timestamp": at});
        self.allocations.push((cidr.clone(), ordinal, json!({"handle_id": handle(pod), "secondary": secondary})));
        let counts = json!({"block": {cidr: 1}, "deleted": false});
        self.keys.push((format!("/calico/ipam/v2/handle/{}", handle(pod)), counts));
    }

    pub fn endpoint(&mut self, pod: &str, host: &str, address: &str, at: &str) {
        let name = format!("{}-k8s-{}-eth0", host.replace('-', "--"), pod.replace('-', "--"));
        let spec = json!({"orchestrator": "k8s", "node": host, "pod": pod, "endpoint": "eth0",
            "containerID": container(pod), "ipNetworks": [format!("{address}/32")],
            "interfaceName": interface(pod), "mac": format!("66:00:00:00:00:{:02x}", self.keys.len())});
        let metadata = json!({"name": name, "namespace": "shop", "creationTimestamp": at});
        let value = json!({"kind": "WorkloadEndpoint", "apiVersion": "projectcalico.org/v3", "metadata": metadata, "spec": spec});
        self.keys.push((format!("/calico/resources/v3/projectcalico.org/workloadendpoints/shop/{name}"), value));
    }

    pub fn pod(&mut self, pod: &str, node: &str, address: &str, at: &str) -> &mut Value {
        let n = self.objects.len();
        self.objects.push(json!({"kind": "Pod", "apiVersion": "v1", "spec": {"nodeName": node},
            "metadata": {"namespace": "shop", "name": pod, "uid": format!("a7d26adb-3b9f-d5df-0d74-0000000000{n:02}"),
                "creationTimestamp": at},
            "status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}],
                "conditions": [{"type": "Ready", "status": "True"}]}}));
        self.objects.last_mut().unwrap()
    }

    /// A running pod with all that Calico keeps of it.
    pub fn workload(&mut self, pod: &str, node: &str, n: u8, ordinal: usize) {
        let (address, at) = (format!("10.44.{}.{ordinal}", 16 * n), "2026-11-15T12:12:50Z");
        self.allocate(pod, node, n, ordinal, at);
        self.endpoint(pod, node, &address, at);
        self.pod(pod, node, &address, at);
    }

    /// Puts it into a datastore of its own.
    pub fn world(mut self) -> World {
        for (key, block) in &mut self.keys {
            if !key.contains("/assignment/") {
                continue;
            }
            let mine = self.allocations.iter().filter(|(cidr, ..)| block["cidr"] == cidr.as_str());
            let (mut slots, mut attributes) = (vec![Value::Null; 64], Vec::new());
            for (_, ordinal, attribute) in mine {
                slots[*ordinal] = json!(attributes.len());
                attributes.push(attribute.clone());
            }
            let free: Vec<usize> = (0..64).filter(|&o| slots[o].is_null()).collect();
            (block["allocations"], block["attributes"], block["unallocated"]) =
                (json!(slots), json!(attributes), json!(free));
        }
        let world = World::empty(NOW, self.objects);
        world.etcd.put_many(self.keys.into_iter().map(|(k, v)| (k.into_bytes(), v.to_string().into_bytes())).collect());
        world
    }
}
