//! One row an address, made once from the whole snapshot: what IPAM has of it and who claims it.
//!
//! This is the join that every check needs. Tables are sorted vectors of numbers, joined by searching, not
//! maps of strings. Nothing here says what is wrong; that is the checks' work. The words (holder grades,
//! scope, pairing, dark ranges) are those of the design's catalogue of checks.

mod abandoned;
mod allocation;
mod allocations;
mod belief;
mod block_count;
mod blocks;
mod build;
pub mod capacity;
mod claim;
mod claims;
mod crowd;
mod dark;
mod former;
mod host_local;
mod known;
mod naming;
mod paired;
mod pairing;
mod reclaim;
mod reserved;
mod scope;
mod spans;
mod tally;
mod tunnels;
mod unregistered;
mod workloads;

use crate::model::hash::{HashSet, PlaceTable};

use crate::model::{
    Addr, Affinity, Block, CalicoNode, Cidr, Endpoint, Handle, HandleId, Name, Orchestrator, Pod, Snapshot,
};

pub use abandoned::Abandoned;
pub use allocation::Allocation;
pub use belief::{AddressState, Belief};
pub use block_count::{BlockCount, Stranding};
pub use capacity::{NodeUsage, PoolBlocks, PoolUsage};
pub use claim::{Claim, Claimant, EndpointState, Via};
pub use dark::DarkRanges;
pub use naming::Says;
pub use pairing::Pairing;
pub use scope::{Scope, ScopeFlag, Standing};
pub use tally::{Discord, Tally};
pub use tunnels::NamedTunnel;
pub use workloads::Workload;

pub use crate::model::{Grade, Use};

/// The joined view of one snapshot.
#[derive(Debug)]
pub struct Ledger<'s> {
    /// What was joined; every index below is one into its lists.
    pub snapshot: &'s Snapshot,
    /// Every non-null ordinal of every judged block, sorted by address, then block.
    pub allocations: Vec<Allocation>,
    /// Sorted by address.
    pub claims: Vec<Claim>,
    /// Whose the nodes are.
    pub scope: Scope,
    /// Whether API server and datastore belong together.
    pub pairing: Pairing,
    /// What nobody can look into: never accused, never free.
    pub dark: DarkRanges,
    /// Indices of the blocks that are judged: of several spellings of one CIDR the canonical one.
    pub blocks: Vec<u32>,
    /// The same for affinities.
    pub affinities: Vec<u32>,
    /// Calico names of nodes that use Calico's IPAM: a confirmed affinity, a block or a pod allocation is theirs.
    pub ipam_nodes: HashSet<Name>,
    /// Whether host-local IPAM gives the pods their addresses (IPA908): see [`Ledger::is_host_local`].
    pub host_local: bool,
    /// The network that most pods' handles name; an endpoint whose container has no handle is taken to be of it.
    pub usual_network: Name,

    /// By namespace and name.
    pods: PlaceTable,
    /// Beside each endpoint of the snapshot what is known of its pod.
    endpoint_states: Vec<EndpointState>,
    /// `k8s` endpoints by (namespace, pod), sorted.
    endpoints_of_pod: Vec<(Name, Name, u32)>,
    /// Of pods with more than a few of them each by its node too, sorted.
    crowds_at_home: Vec<((Name, Name, Name), u32)>,
    /// All endpoints by container, sorted; those without one left out.
    endpoints_of_container: Vec<(Name, u32)>,
    /// Indices into `allocations` by handle, sorted.
    allocations_of_handle: Vec<(HandleId, u32)>,
    /// By id; of several spellings of one the canonical one, if there is one.
    handles: PlaceTable,
    /// Container and network of every pod's handle, from handles and allocations; sorted. A container with a
    /// secondary network has two.
    networks: Vec<(Name, Name)>,
    /// Beside each of `blocks` the place in it of the next wider block that covers it.
    wider: Vec<Option<u32>>,
    /// By handle, sorted, the blocks that are not judged and name it.
    shadows: Vec<(HandleId, u32)>,
    /// By address, sorted, the pods that ask for it.
    asking: Vec<(Addr, u32)>,
    /// First and last address of each reserved range, and the reservation.
    reserved: Vec<(Addr, Addr, u32)>,
    /// Which empty blocks somebody else can get.
    reclaim: reclaim::Reclaim,
}

impl<'s> Ledger<'s> {
    /// The text of a name.
    pub fn text(&self, name: Name) -> &'s str {
        self.snapshot.names.get(name)
    }

    /// The pod of this name.
    pub fn pod(&self, namespace: Name, name: Name) -> Option<&'s Pod> {
        self.pod_place(namespace, name).and_then(|i| self.snapshot.pods.get(i as usize))
    }

    /// The handle object of this (sanitised) id.
    pub fn handle(&self, id: HandleId) -> Option<&'s Handle> {
        let all = &self.snapshot.handles;
        self.handles.find(all, &id, |handle| handle.id).and_then(|i| all.get(i as usize))
    }

    fn pod_place(&self, namespace: Name, name: Name) -> Option<u32> {
        self.pods.find(&self.snapshot.pods, &(namespace, name), |pod| (pod.namespace, pod.name))
    }

    /// The blocks that are judged.
    pub fn blocks(&self) -> impl Iterator<Item = &'s Block> {
        let all = &self.snapshot.blocks;
        self.blocks.iter().filter_map(move |&i| all.get(i as usize))
    }

    /// The Calico Node of this name.
    pub fn calico_node(&self, name: Name) -> Option<&'s CalicoNode> {
        let (nodes, names) = (&self.snapshot.calico_nodes, &self.snapshot.names);
        let at = nodes.binary_search_by(|node| names.get(node.name).cmp(names.get(name))).ok()?;
        nodes.get(at)
    }

    /// The judged block of exactly this CIDR.
    pub fn block(&self, cidr: Cidr) -> Option<&'s Block> {
        let all = &self.snapshot.blocks;
        let at = self.blocks.partition_point(|&i| all[i as usize].cidr < cidr);
        self.blocks.get(at).and_then(|&i| all.get(i as usize)).filter(|block| block.cidr == cidr)
    }

    /// The judged affinities for exactly this CIDR, of every owner and state.
    pub fn affinities_for(&self, cidr: Cidr) -> impl Iterator<Item = &'s Affinity> {
        let all = &self.snapshot.affinities;
        equal(&self.affinities, cidr, |&i| all[i as usize].cidr).iter().filter_map(|&i| all.get(i as usize))
    }

    /// The affinities that are judged.
    pub fn affinities(&self) -> impl Iterator<Item = &'s Affinity> {
        let all = &self.snapshot.affinities;
        self.affinities.iter().filter_map(move |&i| all.get(i as usize))
    }

    /// All `k8s` endpoints of the workload `namespace/pod`, on every node and of every standing.
    pub fn endpoints_of_pod(&self, namespace: Name, pod: Name) -> impl Iterator<Item = &'s Endpoint> {
        let all = &self.snapshot.endpoints;
        let found = equal(&self.endpoints_of_pod, (namespace, pod), |&(ns, p, _)| (ns, p));
        found.iter().filter_map(|&(_, _, i)| all.get(i as usize))
    }

    /// Whether an endpoint is of the workload `namespace/pod`, as [`Ledger::endpoints_of_pod`] has them.
    pub fn is_endpoint_of(&self, endpoint: &Endpoint, namespace: Name, pod: Name) -> bool {
        endpoint.orchestrator() == Orchestrator::Kubernetes && (endpoint.namespace, endpoint.pod) == (namespace, pod)
    }

    /// The pods that ask for this very address, by annotation `ipAddrs`.
    pub fn pods_asking_for(&self, address: Addr) -> impl Iterator<Item = &'s Pod> {
        let asking = equal(&self.asking, address, |&(asked, _)| asked);
        asking.iter().filter_map(|&(_, i)| self.snapshot.pods.get(i as usize))
    }

    /// All endpoints, of any orchestrator, that name this container.
    pub fn endpoints_of_container(&self, container: Name) -> impl Iterator<Item = &'s Endpoint> {
        let all = &self.snapshot.endpoints;
        // Those without a container are not in the table.
        equal(&self.endpoints_of_container, container, |&(c, _)| c).iter().filter_map(|&(_, i)| all.get(i as usize))
    }

    /// The networks of a container's handles, when it has any.
    fn networks_of(&self, container: Name) -> impl Iterator<Item = Name> {
        equal(&self.networks, container, |&(c, _)| c).iter().map(|&(_, network)| network)
    }

    /// Whether a container has a handle, in any network: then an address of its is Calico IPAM's.
    pub fn has_handle(&self, container: Name) -> bool {
        !container.is_none() && self.networks_of(container).next().is_some()
    }

    /// The network of an endpoint: that of its container's handle (of several the usual one, if it is among them),
    /// else the usual one.
    pub fn network_of(&self, endpoint: &Endpoint) -> Name {
        let usual = self.networks_of(endpoint.container).find(|&network| network == self.usual_network);
        usual.or_else(|| self.networks_of(endpoint.container).next()).unwrap_or(self.usual_network)
    }

    /// Whether an endpoint is on this network: its container has a handle there, or none at all and it is the
    /// usual one.
    pub fn is_on_network(&self, endpoint: &Endpoint, network: Name) -> bool {
        self.network_of(endpoint) == network || self.networks_of(endpoint.container).any(|n| n == network)
    }

    /// The allocations of one address (two only in overlapping blocks), cooling ones too.
    pub fn allocations_at(&self, address: Addr) -> &[Allocation] {
        equal(&self.allocations, address, |a| a.address)
    }

    /// The allocations that name this handle.
    pub fn allocations_of(&self, handle: HandleId) -> impl Iterator<Item = &Allocation> {
        let found = equal(&self.allocations_of_handle, handle, |&(h, _)| h);
        found.iter().filter_map(|&(_, i)| self.allocations.get(i as usize))
    }

    /// Everything that claims one address, of every grade.
    pub fn claims_at(&self, address: Addr) -> &[Claim] {
        equal(&self.claims, address, |c| c.address)
    }

    /// [`Ledger::is_held`] for one address after the other in their order: walks along instead of searching.
    pub fn is_held_in_order(&self) -> impl FnMut(Addr) -> bool {
        let mut rest = self.claims.as_slice();
        move |address| {
            rest = rest.get(rest.iter().take_while(|c| c.address < address).count()..).unwrap_or_default();
            rest.iter().take_while(|c| c.address == address).any(|c| c.grade != Grade::Stale)
        }
    }

    /// Whether anybody holds the address, certainly or possibly.
    pub fn is_held(&self, address: Addr) -> bool {
        self.claims_at(address).iter().any(|c| c.grade != Grade::Stale)
    }
}

/// The entries of a table, sorted by it, that have this key. Mostly they are few, and counted faster than searched for the
/// end.
pub(crate) fn equal<T, K: Ord>(sorted: &[T], key: K, of: impl Fn(&T) -> K) -> &[T] {
    const COUNTED: usize = 16;
    let rest = &sorted[sorted.partition_point(|entry| of(entry) < key)..];
    let number = rest.iter().take(COUNTED).take_while(|entry| of(entry) == key).count();
    match number < COUNTED {
        true => &rest[..number],
        false => &rest[..rest.partition_point(|entry| of(entry) == key)],
    }
}
