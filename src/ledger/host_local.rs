//! Whether host-local IPAM gives the pods their addresses, and Calico only routes and polices them.
//!
//! Then blocks say nothing about pods, whatever lies about in them from the day on which calico-ipam was tried. What
//! tells it from an IPAM that was wiped is the node's `podCIDR`: host-local takes its addresses from there, and Calico's
//! blocks know nothing of it.

use super::{Ledger, Says, Use};
use crate::model::{Addr, Endpoint, Input, KubeNode, Name, Pod};

impl<'s> Ledger<'s> {
    /// The Kubernetes node of this name.
    pub fn kube_node(&self, name: Name) -> Option<&'s KubeNode> {
        let (nodes, names) = (&self.snapshot.kube_nodes, &self.snapshot.names);
        let at = nodes.binary_search_by(|node| names.get(node.name).cmp(names.get(name))).ok()?;
        nodes.get(at)
    }

    /// The live pods that have an endpoint here with addresses of pools, when not one live pod has an allocation of its
    /// own and every one's addresses lie in its node's `podCIDR`; none otherwise.
    pub fn host_local_pods(&self) -> Vec<&'s Pod> {
        let snapshot = self.snapshot;
        let inputs = [Input::Blocks, Input::Pods, Input::Endpoints, Input::Pools, Input::KubeNodes];
        if !self.pairing.holds() || !inputs.into_iter().all(|input| snapshot.coverage.complete(input)) {
            return Vec::new();
        }
        let mut found = Vec::new();
        let live = |p: &&Pod| p.may_hold() && !p.is_terminating() && self.scope.kubernetes_node_is_ours(p.node);
        for pod in snapshot.pods.iter().filter(live) {
            if self.has_own_allocation(pod) {
                return Vec::new();
            }
            let in_pools: Vec<Addr> = self.endpoints_at_home(pod).flat_map(|e| self.pool_addresses(e)).collect();
            // What its block has of it is not known.
            if in_pools.is_empty() || in_pools.iter().any(|&address| self.dark.address(address)) {
                continue;
            }
            if !in_pools.iter().all(|&address| self.is_in_pod_cidr(pod, address)) {
                return Vec::new();
            }
            found.push(pod);
        }
        found
    }

    fn pool_addresses(&self, endpoint: &'s Endpoint) -> impl Iterator<Item = Addr> {
        let pools = &self.snapshot.pools;
        endpoint.addresses().to_vec().into_iter().filter(move |&a| pools.iter().any(|pool| pool.cidr.contains(a)))
    }

    /// An allocation or a handle of its endpoint's container; or one at its address that does not name somebody else.
    fn has_own_allocation(&self, pod: &Pod) -> bool {
        let mut containers = self.endpoints_at_home(pod).map(|e| e.container);
        let may_be_its = |&address: &Addr| {
            let allocations = self.allocations_at(address).iter();
            let mut real = allocations.filter(|a| !matches!(a.used_for, Use::Cooling | Use::Windows | Use::Tunnel));
            real.any(|a| match self.says(a, pod) {
                Says::This => true,
                Says::Another => false,
                // Without an owner the handle tells: another container's is another pod's.
                Says::Nobody => self.handle_of(a).is_none_or(|handle| handle.comes_again(&self.snapshot.names)),
            })
        };
        containers.any(|container| self.has_handle(container)) || pod.addresses().iter().any(may_be_its)
    }

    fn is_in_pod_cidr(&self, pod: &Pod, address: Addr) -> bool {
        self.kube_node(pod.node).is_some_and(|node| node.pod_cidrs.iter().any(|cidr| cidr.contains(address)))
    }

    /// Whether a pod has this address from host-local IPAM (IPA908), so that blocks say nothing about it.
    pub fn is_host_local(&self, pod: &Pod, address: Addr) -> bool {
        self.host_local && self.is_in_pod_cidr(pod, address)
    }
}
