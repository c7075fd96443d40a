//! A small healthy cluster for the checks' own tests, built and broken by name.
//!
//! Everything is as Calico would leave it: blocks, affinities, handles, endpoints and pods agree. A test takes
//! it, does one kind of damage, and compares the whole list of findings of its check.

mod damage;
mod judged;
mod opened;
mod undecodable;

use std::time::Duration;

use crate::ledger::ScopeFlag;
use crate::model::{
    Addr, Affinity, AffinityState, Attribute, AttributeFields, Block, CalicoNode, Cidr, ClockPair, Endpoint,
    EndpointFields, EndpointKey, Families, Gathering, HandleFields, HandleId, Host, HostKind, Input, InputState,
    Interface, KubeNode, LoadBalancerMode, Meta, Name, Namespace, Orchestrator, Owner, Past, Phase, Pod, PodFields,
    Pool, Reservation, Service, Snapshot, Time, Tunnel, Uid,
};

pub use opened::Opened;
pub use undecodable::{bad, undecodable_block, undecodable_endpoint, undecodable_node};

/// A cluster under construction; `snapshot` may be edited freely, and is looked at as [`Cluster::snapshot`] makes it.
#[derive(Clone)]
pub struct Cluster {
    pub snapshot: Gathering,
    revision: i64,
    pub scope: ScopeFlag,
    pub past: Option<Past>,
}

pub fn addr(text: &str) -> Addr {
    text.parse().unwrap()
}

pub fn cidr(text: &str) -> Cidr {
    Cidr::parse(text).unwrap().0
}

impl Cluster {
    /// Two nodes `node-1` (10.65.0.0/26) and `node-2` (10.65.0.64/26) with IPIP tunnels, two pods on each:
    /// shop/web-0 10.65.0.1, shop/web-1 10.65.0.2 on node-1; shop/web-2 10.65.0.65, shop/web-3 10.65.0.66 on node-2.
    pub fn healthy() -> Cluster {
        let mut c = Cluster::empty();
        c.pool("default", "10.65.0.0/16");
        c.node("node-1", "192.168.0.1");
        c.node("node-2", "192.168.0.2");
        c.block("10.65.0.0/26", Some("node-1"));
        c.block("10.65.0.64/26", Some("node-2"));
        c.tunnel("node-1", Tunnel::Ipip, "10.65.0.0");
        c.tunnel("node-2", Tunnel::Ipip, "10.65.0.64");
        c.workload("shop", "web-0", "node-1", &["10.65.0.1"]);
        c.workload("shop", "web-1", "node-1", &["10.65.0.2"]);
        c.workload("shop", "web-2", "node-2", &["10.65.0.65"]);
        c.workload("shop", "web-3", "node-2", &["10.65.0.66"]);
        c
    }

    /// All inputs complete and nothing in them; the GUID is `guid-1`.
    pub fn empty() -> Cluster {
        let mut snapshot =
            Gathering { now: Time::parse_rfc3339("2026-11-24T12:00:00Z").unwrap(), ..Gathering::default() };
        for input in Input::ALL {
            snapshot.coverage.set(input, InputState::Complete, "");
        }
        snapshot.cluster.guid = snapshot.names.intern("guid-1");
        snapshot.cluster.ready = Some(true);
        snapshot.cluster.meta = Some(Meta::default());
        snapshot.kube_controllers.load_balancer = Some(LoadBalancerMode::AllServices);
        snapshot.kube_controllers.meta = Some(Meta::default());
        snapshot.kube.kube_system_uid = Some("00000000-0000-4000-8000-000000000001".to_owned());
        Cluster { snapshot, revision: 1, scope: ScopeFlag::Auto, past: None }
    }

    pub fn name(&mut self, text: &str) -> Name {
        self.snapshot.names.intern(text)
    }

    pub fn meta(&mut self) -> Meta {
        self.revision += 1;
        Meta {
            create_revision: self.revision,
            mod_revision: self.revision,
            version: 1,
            value_hash: self.revision as u64,
        }
    }

    /// A moment before now.
    pub fn ago(&self, seconds: u64) -> Time {
        self.snapshot.now.minus(Duration::from_secs(seconds))
    }

    /// An answer of the API server whose clock was so many seconds ahead of ours at that moment.
    pub fn api_time(&mut self, ahead: u64) {
        let now = self.snapshot.now;
        self.snapshot.kube.clocks.note(ClockPair { theirs: now.plus(Duration::from_secs(ahead)), ours: now });
    }

    pub fn pool(&mut self, name: &str, range: &str) -> &mut Pool {
        let cidr = cidr(range);
        let pool = Pool {
            meta: self.meta(),
            name: self.name(name),
            cidr,
            block_size: if cidr.is_v4() { 26 } else { 122 },
            disabled: false,
            manual: false,
            node_selector: Name::NONE,
            namespace_selector: Name::NONE,
            workloads: true,
            tunnels: true,
            load_balancers: false,
            created: None,
            deleting: None,
        };
        self.snapshot.pools.push(pool);
        self.snapshot.pools.last_mut().unwrap()
    }

    pub fn reservation(&mut self, name: &str, ranges: &[&str]) -> &mut Reservation {
        let cidrs = ranges.iter().map(|range| cidr(range)).collect();
        let reservation = Reservation { meta: self.meta(), name: self.name(name), cidrs, created: None };
        self.snapshot.reservations.push(reservation);
        self.snapshot.reservations.last_mut().unwrap()
    }

    /// A node in Calico and in Kubernetes under one name, with this InternalIP.
    pub fn node(&mut self, name: &str, internal: &str) {
        let (meta, name, created) = (self.meta(), self.name(name), Some(self.ago(30 * 86_400)));
        let addresses: Box<[Addr]> = [addr(internal)].into();
        self.snapshot.calico_nodes.push(CalicoNode {
            meta,
            name,
            kubernetes_name: Some(name),
            addresses: addresses.clone(),
            host_addresses: addresses.clone(),
            tunnels: [].into(),
            created,
        });
        let uid = self.uid();
        self.snapshot.kube_nodes.push(KubeNode {
            uid,
            name,
            internal_addresses: addresses,
            ready: Some(true),
            boot_id: Name::NONE,
            pod_cidrs: [].into(),
            windows: false,
            created,
        });
    }

    fn uid(&mut self) -> Uid {
        self.revision += 1;
        Uid::intern(&mut self.snapshot.names, &format!("00000000-0000-4000-8000-{:012x}", self.revision))
    }

    /// An empty block with a confirmed affinity of `node`, or ownerless.
    pub fn block(&mut self, range: &str, node: Option<&str>) {
        let cidr = cidr(range);
        let host = node.map(|n| Host { kind: HostKind::Host, name: self.name(n) });
        let size = cidr.size() as usize;
        let meta = self.meta();
        self.snapshot.blocks.push(Block {
            meta,
            cidr,
            odd_key: None,
            value_cidr: cidr,
            odd_value_cidr: None,
            affinity: host,
            odd_affinity: Name::NONE,
            host_affinity: Name::NONE,
            strict_affinity: false,
            allocations: vec![None; size].into(),
            unallocated: (0..size as i32).collect(),
            attributes: [].into(),
            sequence: Some(1_700_000_000_000_000_000),
            allocation_sequences: [].into(),
            claimed_at: None,
            deleted: false,
        });
        if let Some(host) = host {
            self.affinity(host, range, AffinityState::Confirmed);
        }
    }

    pub fn affinity(&mut self, host: Host, range: &str, state: AffinityState) {
        let meta = self.meta();
        self.snapshot.affinities.push(Affinity { meta, host, cidr: cidr(range), odd_key: None, state, deleted: false });
    }

    pub fn host(&mut self, node: &str) -> Host {
        Host { kind: HostKind::Host, name: self.name(node) }
    }

    /// Allocates `address` in its block with this attribute, sequence numbers as Calico keeps them.
    pub fn allocate(&mut self, address: &str, attribute: impl Into<Attribute>) {
        let address = addr(address);
        let block = self.snapshot.blocks.iter_mut().find(|b| b.cidr.contains(address)).expect("a block covers it");
        let ordinal = block.cidr.ordinal(address).unwrap() as usize;
        let mut attributes = std::mem::take(&mut block.attributes).into_vec();
        block.allocations[ordinal] = Some(attributes.len() as i32);
        attributes.push(attribute.into());
        block.attributes = attributes.into();
        block.unallocated = block.unallocated.iter().copied().filter(|&o| o != ordinal as i32).collect();
        let mut sequences = std::mem::take(&mut block.allocation_sequences).into_vec();
        sequences.push((ordinal as u32, block.sequence.unwrap()));
        sequences.sort_unstable();
        block.allocation_sequences = sequences.into();
        block.sequence = block.sequence.map(|s| s + 1);
    }

    /// Gives `address` back behind everybody's back: IPAM holds it free, at the tail of the queue.
    pub fn free(&mut self, address: &str) {
        let address = addr(address);
        let block = self.snapshot.blocks.iter_mut().find(|b| b.cidr.contains(address)).expect("a block covers it");
        let ordinal = block.cidr.ordinal(address).unwrap() as usize;
        let index = block.allocations[ordinal].take().expect("it is allocated");
        let mut attributes = std::mem::take(&mut block.attributes).into_vec();
        attributes.remove(index as usize);
        block.attributes = attributes.into();
        for slot in block.allocations.iter_mut().flatten().filter(|slot| **slot > index) {
            *slot -= 1;
        }
        block.unallocated = block.unallocated.iter().copied().chain([ordinal as i32]).collect();
        block.allocation_sequences =
            block.allocation_sequences.iter().copied().filter(|(o, _)| *o != ordinal as u32).collect();
    }

    /// A handle that counts one address in the block of each of `addresses`.
    pub fn handle(&mut self, id: &str, addresses: &[&str]) -> HandleId {
        let handle = HandleId::intern(&mut self.snapshot.names, id).unwrap();
        let meta = self.meta();
        let mut counts: Vec<(Cidr, i64)> = Vec::new();
        for address in addresses {
            let block =
                self.snapshot.blocks.iter().find(|b| b.cidr.contains(addr(address))).expect("a block covers it");
            match counts.iter_mut().find(|(c, _)| *c == block.cidr) {
                Some((_, n)) => *n += 1,
                None => counts.push((block.cidr, 1)),
            }
        }
        counts.sort_unstable();
        let fields = HandleFields { meta, id: handle, odd_id: None, counts: counts.into(), deleted: false };
        self.snapshot.handles.push(fields.into());
        handle
    }

    /// Owner attributes of a pod, allocated an hour ago.
    pub fn pod_attribute(&mut self, handle: &str, namespace: &str, pod: &str, node: &str) -> AttributeFields {
        AttributeFields {
            handle: HandleId::intern(&mut self.snapshot.names, handle),
            owner: Owner {
                namespace: self.name(namespace),
                pod: self.name(pod),
                node: self.name(node),
                timestamp: Some(self.ago(3_600)),
                ..Owner::default()
            },
            ..AttributeFields::default()
        }
    }

    /// The container id that [`Cluster::workload`] gives to a pod.
    pub fn container(namespace: &str, pod: &str) -> String {
        format!("{:016x}", crate::model::finding::hash64(format!("{namespace}/{pod}").as_bytes())).repeat(4)
    }

    /// The handle id that [`Cluster::workload`] gives to a pod.
    pub fn handle_id(namespace: &str, pod: &str) -> String {
        format!("k8s-pod-network.{}", Cluster::container(namespace, pod))
    }

    /// A running pod with allocation, handle and endpoint, an hour old.
    pub fn workload(&mut self, namespace: &str, pod: &str, node: &str, addresses: &[&str]) {
        let id = Cluster::handle_id(namespace, pod);
        for address in addresses {
            let attribute = self.pod_attribute(&id, namespace, pod, node);
            self.allocate(address, attribute);
        }
        self.handle(&id, addresses);
        self.pod(namespace, pod, node, addresses);
        self.endpoint(namespace, pod, node, &Cluster::container(namespace, pod), addresses);
    }

    /// A running, ready pod, an hour old; nothing in Calico.
    pub fn pod(&mut self, namespace: &str, pod: &str, node: &str, addresses: &[&str]) -> Opened<'_, Pod, PodFields> {
        let uid = self.uid();
        let created = Some(self.ago(3_600));
        let fields = PodFields {
            uid,
            namespace: self.name(namespace),
            name: self.name(pod),
            node: self.name(node),
            phase: Phase::Running,
            host_network: false,
            ready: true,
            deleting: None,
            created,
            addresses: addresses.iter().map(|a| addr(a)).collect(),
            controller: Some((self.name("StatefulSet"), self.name("web"))),
            mirror: false,
            bare: false,
            vmi: Name::NONE,
            no_ipam: [].into(),
            asked_for: [].into(),
            network_status: [].into(),
            floating: [].into(),
            annotated: [].into(),
        };
        self.snapshot.pods.push(fields.into());
        Opened::of(self.snapshot.pods.last_mut().unwrap(), Pod::fields)
    }

    /// A `k8s` endpoint as the CNI plugin writes it.
    pub fn endpoint(
        &mut self,
        namespace: &str,
        pod: &str,
        node: &str,
        container: &str,
        addresses: &[&str],
    ) -> Opened<'_, Endpoint, EndpointFields> {
        let key = format!("{}-k8s-{}-eth0", node.replace('-', "--"), pod.replace('-', "--"));
        let interface =
            format!("cali{:011x}", crate::model::finding::hash64(format!("{namespace}.{pod}").as_bytes()) >> 20);
        let (node, pod) = (self.name(node), self.name(pod));
        let fields = EndpointFields {
            meta: self.meta(),
            namespace: self.name(namespace),
            name: EndpointKey::intern(&mut self.snapshot.names, &key, node, pod),
            orchestrator: Orchestrator::Kubernetes,
            node,
            pod,
            endpoint: self.name("eth0"),
            container: self.name(container),
            interface: Interface::intern(&mut self.snapshot.names, &interface),
            mac: Some(self.revision as u64),
            addresses: addresses.iter().map(|a| addr(a)).collect(),
            nats: [].into(),
            created: Some(self.ago(3_600)),
        };
        self.snapshot.endpoints.push(fields.into());
        self.last_endpoint()
    }

    /// A tunnel address of a node, with allocation and handle.
    pub fn tunnel(&mut self, node: &str, tunnel: Tunnel, address: &str) {
        let id = format!("{}{node}", tunnel.handle_prefix());
        let attribute = AttributeFields {
            handle: HandleId::intern(&mut self.snapshot.names, &id),
            owner: Owner { node: self.name(node), kind: self.name(tunnel.attribute()), ..Owner::default() },
            ..AttributeFields::default()
        };
        self.allocate(address, attribute);
        self.handle(&id, &[address]);
        let name = self.name(node);
        let node = self.snapshot.calico_nodes.iter_mut().find(|n| n.name == name).expect("the node exists");
        node.tunnels = node.tunnels.iter().copied().chain([(tunnel, addr(address))]).collect();
    }

    /// A LoadBalancer service with this ingress address; nothing in Calico.
    pub fn service(&mut self, namespace: &str, name: &str, ingress: &str) -> &mut Service {
        let service = Service {
            uid: self.uid(),
            namespace: self.name(namespace),
            name: self.name(name),
            load_balancer: true,
            class: None,
            requests_address: false,
            families: Families::BOTH,
            ingress: [addr(ingress)].into(),
            deleting: None,
        };
        self.snapshot.services.push(service);
        self.snapshot.services.last_mut().unwrap()
    }

    /// A namespace object.
    pub fn namespace(&mut self, name: &str) {
        let (uid, name) = (self.uid(), self.name(name));
        self.snapshot.namespaces.push(Namespace { uid, name, deleting: None });
    }

    /// What an audit of it sees.
    pub fn snapshot(&mut self) -> Snapshot {
        let mut snapshot = std::mem::take(&mut self.snapshot).sorted();
        self.past.iter().for_each(|past| snapshot.name_nodes_of(past));
        self.snapshot = Gathering::clone(&snapshot);
        snapshot
    }
}
