//! One node's evidence beside what etcd and Kubernetes say of the same node: the join that every check of nodes needs.
//!
//! What the readings do not agree on, what is young, what moves between nodes: nobody judges it.

use std::time::Duration;

use super::at_hand::AtHand;
use crate::checks::World;
use crate::ledger::{EndpointState, Workload};
use crate::model::hash::HashMap;
use crate::model::node_evidence::{
    EvidenceDoubt, HostLink, KernelRoute, MAIN_TABLE, NodeEvidence, PodInside, RouteTable, Way,
};
use crate::model::{Addr, Endpoint, Foreign, Input, Interface, Name, Pod};

/// A pod that is younger than this when its node is read may still be wired up.
const YOUNG: Duration = Duration::from_secs(60);
/// The metric of routes that Felix keeps while a machine moves to another node.
const MIGRATION: u32 = 512;

/// One node.
pub struct NodeSight<'w> {
    pub world: &'w World<'w>,
    pub evidence: &'w NodeEvidence,
    /// What is wrong with it.
    pub doubts: &'w [EvidenceDoubt],
    /// Calico's name of it; [`Name::NONE`] where nothing else names it.
    pub calico: Name,
    /// Its endpoints, whoever made them; none where they were not read.
    pub endpoints: Vec<&'w Endpoint>,
    /// Whether these are all: nobody argues from the absence of one otherwise.
    pub knows_endpoints: bool,
    tables: [Option<RouteTable<'w>>; 2],
    by_interface: HashMap<Interface, Vec<&'w Endpoint>>,
    by_address: HashMap<Addr, Vec<&'w Endpoint>>,
    at_hand: AtHand<'w>,
}

/// Every node whose evidence counts now, by name.
pub fn sights<'w>(world: &'w World<'w>) -> impl Iterator<Item = NodeSight<'w>> {
    all_sights(world).filter(|sight| !sight.doubts.iter().any(EvidenceDoubt::is_of_all))
}

/// The same, whether it counts or not.
pub fn all_sights<'w>(world: &'w World<'w>) -> impl Iterator<Item = NodeSight<'w>> {
    let snapshot = world.snapshot;
    let nodes = &snapshot.nodes_seen.nodes;
    let name = |evidence: &NodeEvidence| snapshot.names.find(evidence.node.raw()).unwrap_or(Name::NONE);
    let mut of: HashMap<Name, Vec<&'w Endpoint>> =
        nodes.iter().map(name).filter(|name| !name.is_none()).map(|name| (name, Vec::new())).collect();
    if !of.is_empty() {
        for endpoint in &snapshot.endpoints {
            if let Some(endpoints) = of.get_mut(&endpoint.node) {
                endpoints.push(endpoint);
            }
        }
    }
    let sight =
        move |(at, evidence)| NodeSight::of(world, at, evidence, of.remove(&name(evidence)).unwrap_or_default());
    nodes.iter().enumerate().map(sight)
}

/// The cluster's node of this (Calico) name, of which there is no evidence though a capture of every node was asked for: it
/// was not read.
pub fn is_unseen(world: &World<'_>, node: Name) -> bool {
    let (snapshot, scope) = (world.snapshot, &world.ledger.scope);
    let kubernetes = scope.kubernetes_name(node);
    let is_windows = || snapshot.kube_nodes.iter().any(|n| n.name == kubernetes && n.windows);
    snapshot.nodes_seen.of_every_node
        && snapshot.nodes_seen.of(snapshot.text(node)).is_none()
        && scope.judged(node)
        && scope.is_known_to_kubernetes(node)
        && !is_windows()
}

impl<'w> NodeSight<'w> {
    fn of(world: &'w World<'w>, at: usize, evidence: &'w NodeEvidence, endpoints: Vec<&'w Endpoint>) -> NodeSight<'w> {
        let snapshot = world.snapshot;
        let calico = snapshot.names.find(evidence.node.raw()).unwrap_or(Name::NONE);
        let whole = |v4: bool| evidence.routes_of(v4).read().and_then(|_| snapshot.nodes_seen.table(at, v4));
        let (mut by_interface, mut by_address) = (HashMap::default(), HashMap::default());
        for &endpoint in &endpoints {
            if let Some(interface) = endpoint.interface().some() {
                by_interface.entry(interface).or_insert_with(Vec::new).push(endpoint);
            }
            for &address in endpoint.addresses().iter() {
                by_address.entry(address).or_insert_with(Vec::new).push(endpoint);
            }
        }
        let is_known = !calico.is_none() && (!endpoints.is_empty() || world.ledger.calico_node(calico).is_some());
        let knows_endpoints =
            is_known && snapshot.coverage.complete(Input::Endpoints) && !world.ledger.dark.node(calico);
        let tables = [whole(true), whole(false)];
        let at_hand = AtHand::default();
        let doubts = snapshot.nodes_seen.doubts(at);
        NodeSight {
            world,
            evidence,
            doubts,
            calico,
            endpoints,
            knows_endpoints,
            tables,
            by_interface,
            by_address,
            at_hand,
        }
    }

    /// The text of its name.
    pub fn name(&self) -> &'w str {
        self.evidence.node.raw()
    }

    /// The main table of a family; `None`: not read.
    pub fn table(&self, v4: bool) -> Option<&RouteTable<'w>> {
        self.tables[usize::from(!v4)].as_ref()
    }

    /// The way to an address; `None`: the routes were not read.
    pub fn way(&self, address: Addr) -> Option<Way<'w>> {
        Some(self.table(address.is_v4())?.way(address))
    }

    /// The host routes of an address, of any reading and in any table.
    pub fn host_routes(&self, address: Addr) -> impl Iterator<Item = &'w KernelRoute> {
        self.table(address.is_v4()).into_iter().flat_map(move |table| table.hosts(address))
    }

    /// Every host route of the main table to a workload interface that every reading saw: the interface with it.
    pub fn workload_routes(&self) -> impl Iterator<Item = (&'w Foreign, &'w KernelRoute)> {
        let evidence = self.evidence;
        let routes = evidence.routes4.each().chain(evidence.routes6.each());
        routes.flat_map(move |route| workload_devs(evidence, route).map(move |dev| (dev, route)))
    }

    /// Those of one address.
    pub fn workload_routes_to(&self, address: Addr) -> impl Iterator<Item = (&'w Foreign, &'w KernelRoute)> {
        let evidence = self.evidence;
        self.host_routes(address).flat_map(move |route| workload_devs(evidence, route).map(move |dev| (dev, route)))
    }

    /// Its workload interfaces that every reading saw.
    pub fn workload_links(&self) -> impl Iterator<Item = &'w HostLink> {
        let evidence = self.evidence;
        evidence.links.each().filter(move |link| evidence.lasts(link.seen) && evidence.is_workload(&link.name))
    }

    /// The endpoints of this node with this interface.
    pub fn endpoints_of(&self, interface: &Foreign) -> &[&'w Endpoint] {
        let interface = Interface::find(&self.world.snapshot.names, interface.raw());
        interface.and_then(|interface| self.by_interface.get(&interface)).map(Vec::as_slice).unwrap_or_default()
    }

    /// The endpoints of this node that list this address.
    pub fn endpoints_at(&self, address: Addr) -> &[&'w Endpoint] {
        self.by_address.get(&address).map(Vec::as_slice).unwrap_or_default()
    }

    /// The interface of an endpoint, as the kernel would call it.
    pub fn interface(&self, endpoint: &Endpoint) -> Foreign {
        endpoint.interface().text(&self.world.snapshot.names).into()
    }

    /// The link of an endpoint, when every reading saw it.
    pub fn link_of(&self, endpoint: &Endpoint) -> Option<&'w HostLink> {
        self.link(&self.interface(endpoint))
    }

    /// The link of this name, if every reading saw the very same one.
    pub fn link(&self, name: &Foreign) -> Option<&'w HostLink> {
        self.at_hand.links(self.evidence).get(name).copied().flatten()
    }

    /// Whether any reading saw a link of this name.
    pub fn has_link(&self, name: &Foreign) -> bool {
        self.at_hand.links(self.evidence).contains_key(name)
    }

    /// Whether a pod was still being wired up when the node was read, or is being taken down, or came later.
    pub fn is_young(&self, pod: &Pod) -> bool {
        let seen = self.evidence.taken.iter().copied().min().unwrap_or(self.world.snapshot.now);
        pod.is_terminating() || pod.created().is_none_or(|created| created.plus(YOUNG) > seen)
    }

    /// Whether an endpoint is of a pod that works here, for all that is known: proven, where pods were read.
    pub fn may_live(&self, endpoint: &Endpoint) -> bool {
        match self.world.ledger.endpoint_state(endpoint) {
            EndpointState::Live => {
                self.pod(endpoint).is_some_and(|pod| !self.is_young(pod)) && !self.is_moving(endpoint)
            }
            EndpointState::NotJudged => !self.is_moving(endpoint),
            _ => false,
        }
    }

    /// Whether it is proven to be.
    pub fn lives(&self, endpoint: &Endpoint) -> bool {
        self.world.ledger.endpoint_state(endpoint) == EndpointState::Live && self.may_live(endpoint)
    }

    fn pod(&self, endpoint: &Endpoint) -> Option<&'w Pod> {
        self.world.ledger.pod(endpoint.namespace, endpoint.pod)
    }

    /// Whether its machine is being moved between nodes: then the other node may have the route, by design.
    pub fn is_moving(&self, endpoint: &Endpoint) -> bool {
        let ledger = self.world.ledger;
        let workload = ledger.workload_of(endpoint);
        let is_elsewhere = |address: &Addr| {
            ledger.endpoints_at(*address).any(|(e, _)| e.node != endpoint.node && ledger.workload_of(e) == workload)
        };
        let is_machine = matches!(workload, Workload::Machine { .. });
        is_machine && endpoint.addresses().iter().any(is_elsewhere) || self.has_migration_route(endpoint)
    }

    fn has_migration_route(&self, endpoint: &Endpoint) -> bool {
        // A blackhole, or a route of another table, is none that Felix keeps for a machine.
        let is_kept = |route: &KernelRoute| {
            route.metric == MIGRATION && route.table == MAIN_TABLE && route.is_unicast() && route.dev().is_some()
        };
        endpoint.addresses().iter().any(|&address| self.host_routes(address).any(is_kept))
    }

    /// Whether a pod of this node is young, or has no endpoint of its own there: an interface may be its.
    pub fn has_unsettled_pod(&self) -> bool {
        let ledger = self.world.ledger;
        let node = ledger.scope.kubernetes_name(self.calico);
        let here = self.world.snapshot.pods.iter().filter(|pod| pod.node == node && pod.may_hold());
        here.into_iter().any(|pod| self.is_young(pod) || ledger.endpoints_at_home(pod).next().is_none())
    }

    /// The pods that were looked into, each with its interface on the host, as far as that is known.
    pub fn insides(&self) -> impl Iterator<Item = (&'w PodInside, Option<&Foreign>)> {
        let interfaces = self.at_hand.interfaces.get_or_init(|| self.interfaces());
        self.evidence.inside.pods.each().zip(interfaces.iter().map(Option::as_ref))
    }

    /// The pod behind an interface, where it was looked into.
    pub fn inside(&self, interface: &Foreign) -> Option<&'w PodInside> {
        let by_interface = self.at_hand.insides.get_or_init(|| {
            let mut by_interface = HashMap::default();
            for (inside, interface) in self.insides() {
                if let Some(interface) = interface {
                    by_interface.entry(interface.clone()).or_insert(inside);
                }
            }
            by_interface
        });
        by_interface.get(interface).copied()
    }

    fn interfaces(&self) -> Vec<Option<Foreign>> {
        let mut by_index: HashMap<u32, &HostLink> = HashMap::default();
        let mut by_nsid: HashMap<i32, &HostLink> = HashMap::default();
        for link in self.evidence.links.each() {
            by_index.entry(link.index).or_insert(link);
            if let Some(nsid) = link.nsid.filter(|_| self.evidence.is_workload(&link.name)) {
                by_nsid.entry(nsid).or_insert(link);
            }
        }
        let link = |inside: &PodInside| {
            let of_index = inside.host_link.and_then(|index| by_index.get(&index));
            of_index.or_else(|| inside.nsid.and_then(|nsid| by_nsid.get(&nsid)))
        };
        let of = |inside| link(inside).map(|link| link.name.clone()).or_else(|| self.interface_named(inside));
        self.evidence.inside.pods.each().map(of).collect()
    }

    /// By what the pod is called.
    fn interface_named(&self, inside: &PodInside) -> Option<Foreign> {
        let names = &self.world.snapshot.names;
        let is_its = |e: &&&Endpoint| {
            let is_named = !inside.pod.is_empty()
                && *names.get(e.namespace) == *inside.namespace.raw()
                && *names.get(e.pod) == *inside.pod.raw();
            let is_of_uid = || {
                let uid = self.pod(e).map(|pod| pod.uid.text(names));
                !inside.uid.is_empty() && uid.is_some_and(|uid| inside.uid == *uid)
            };
            let is_of_container = !inside.container.is_empty() && *names.get(e.container) == *inside.container.raw();
            is_named || is_of_container || is_of_uid()
        };
        self.endpoints.iter().find(is_its).map(|endpoint| self.interface(endpoint))
    }

    /// Whether the pod of this interface has the address inside; `None`: nobody could look.
    pub fn has_inside(&self, interface: &Foreign, address: Addr) -> Option<bool> {
        let inside = self.inside(interface)?;
        let unsettled = inside.also.contains(&address);
        inside.addresses.read().filter(|_| !unsettled).map(|addresses| addresses.contains(&address))
    }

    /// What the kernel says of the pod's gateway at this interface, for this address; `None`: not asked, or no two readings
    /// that agree.
    pub fn verdict(&self, interface: &Foreign, address: Addr) -> Option<i32> {
        self.at_hand.verdicts(self.evidence).get(&(interface, address)).copied()
    }

    /// Whether the node itself has an IPv4 address on this interface: that of a pod which speaks BGP with it.
    pub fn has_own_address(&self, interface: &Foreign) -> bool {
        let own = || self.evidence.addresses.each().filter(|a| a.address.is_v4()).map(|a| &a.dev).collect();
        self.at_hand.numbered.get_or_init(own).contains(interface)
    }

    /// `worker-1 10.65.0.7`.
    pub fn id(&self, of: impl std::fmt::Display) -> String {
        format!("{} {of}", self.name())
    }
}

/// The workload interfaces that a route of the main table leads to, when every reading saw it.
fn workload_devs<'w>(evidence: &'w NodeEvidence, route: &'w KernelRoute) -> impl Iterator<Item = &'w Foreign> {
    let counts = route.table == MAIN_TABLE && !route.narrow && evidence.lasts(route.seen);
    route.direct_devs().filter(move |dev| counts && evidence.is_workload(dev))
}
