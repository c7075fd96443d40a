//! What a claim rests on: what is read again, and the stamp by which it is known to be the same.
//!
//! A stamp is made of the thing's own name and of what must not have changed: equal stamps let an earlier audit confirm a
//! finding, and count as observations of one thing (release, rule 4).

use super::Draft;
use crate::checks::World;
use crate::ledger::Allocation;
use crate::model::finding::Parts;
use crate::model::{
    Addr, Affinity, Block, CalicoNode, Cidr, Endpoint, Handle, KubeNode, Look, Name, Pod, Rest, Service, Uid,
};

impl World<'_> {
    /// The stamp of an object that must be the same object.
    fn uid(&self, kind: &str, id: &str, uid: Uid) -> u128 {
        Parts::new().text(kind).text(id).text(uid.text(&self.snapshot.names)).hash128()
    }
}

impl Draft<'_> {
    fn rest(mut self, look: Look, stamp: u128) -> Self {
        self.finding.rests.push(Rest { look, stamp });
        self
    }

    /// What is read again though it may be absent, or change: only what the check says of it must hold again. Nodes of
    /// Kubernetes go by Kubernetes' name, Calico's by Calico's.
    pub fn looks_at(self, look: Look) -> Self {
        self.rest(look, 0)
    }

    /// The very tuple of an allocation; a busy block may change around it.
    pub fn rests_on_allocation(self, allocation: &Allocation) -> Self {
        let ledger = self.world.ledger;
        let stamp = Parts::new().text("allocation").wide(ledger.tuple_of(allocation).index()).hash128();
        self.rest(Look::Block(ledger.block_of(allocation).cidr), stamp)
    }

    /// Every block that covers an address; where there is none, the one that its pool would have.
    pub fn looks_at_blocks_of(self, address: Addr) -> Self {
        let world = self.world;
        let mut cidrs: Vec<Cidr> = world.ledger.blocks_covering(address).iter().map(|block| block.cidr).collect();
        if cidrs.is_empty() {
            let pools = world.snapshot.pools.iter().filter(|pool| pool.cidr.contains(address));
            cidrs = pools.filter_map(|pool| Cidr::new(address, pool.block_size)).collect();
        }
        self.with_each(cidrs, |draft, cidr| draft.looks_at(Look::Block(cidr)))
    }

    /// A block that must not have changed.
    pub fn rests_on_block(self, block: &Block) -> Self {
        let stamp = at("block", &block.cidr.to_string(), block.meta.mod_revision);
        self.rest(Look::Block(block.cidr), stamp)
    }

    /// A block that must still name the same owner; a busy block is written all the time.
    pub fn rests_on_owner(self, block: &Block) -> Self {
        let owner = self.world.owner_text(block).unwrap_or_default();
        let parts = Parts::new().text("owner").text(block.cidr.to_string()).text(owner);
        let stamp = parts.number(block.meta.create_revision).hash128();
        self.rest(Look::Block(block.cidr), stamp)
    }

    /// A handle that must not have changed.
    pub fn rests_on_handle(self, handle: &Handle) -> Self {
        let stamp = at("handle", &handle.id.text(&self.world.snapshot.names), handle.meta().mod_revision);
        self.rest(Look::Handle(handle.id), stamp)
    }

    /// An affinity that must not have changed.
    pub fn rests_on_affinity(self, affinity: &Affinity) -> Self {
        let id = self.world.affinity_id(affinity.host, affinity.cidr);
        let stamp = at("affinity", &id, affinity.meta.mod_revision);
        self.rest(Look::Affinity(affinity.host, affinity.cidr), stamp)
    }

    /// An endpoint that must not have changed.
    pub fn rests_on_endpoint(self, endpoint: &Endpoint) -> Self {
        let id = self.world.snapshot.endpoint_id(endpoint);
        let stamp = at("endpoint", &id, endpoint.meta().mod_revision);
        self.rest(Look::Endpoint(endpoint.namespace, endpoint.name()), stamp)
    }

    /// Endpoints of a pod on its own node that do not exist.
    pub fn looks_at_endpoints_at_home(self, pod: &Pod) -> Self {
        let homes = self.world.ledger.scope.calico_names(pod.node);
        self.with_each(homes, |d, &home| d.looks_at(Look::EndpointsOfPod(home, pod.namespace, pod.name)))
    }

    /// A Calico Node that must not have changed.
    pub fn rests_on_calico_node(self, node: &CalicoNode) -> Self {
        let stamp = at("node", self.world.text(node.name), node.meta.mod_revision);
        self.rest(Look::CalicoNode(node.name), stamp)
    }

    /// A pod that must be the same pod.
    pub fn rests_on_pod(self, pod: &Pod) -> Self {
        let stamp = self.world.uid("pod", &self.world.pod_id(pod), pod.uid);
        self.rest(Look::Pod(pod.namespace, pod.name), stamp)
    }

    /// The pod of a name: the same one, or still none.
    pub fn rests_on_pod_named(self, namespace: Name, name: Name) -> Self {
        match self.world.ledger.pod(namespace, name) {
            Some(pod) => self.rests_on_pod(pod),
            None => self.looks_at(Look::Pod(namespace, name)),
        }
    }

    /// A Kubernetes node that must be the same node.
    pub fn rests_on_kube_node(self, node: &KubeNode) -> Self {
        let stamp = self.world.uid("kubernetes node", self.world.text(node.name), node.uid);
        self.rest(Look::KubeNode(node.name), stamp)
    }

    /// A service that must be the same service.
    pub fn rests_on_service(self, service: &Service) -> Self {
        let id = self.world.pair(service.namespace, service.name);
        let stamp = self.world.uid("service", &id, service.uid);
        self.rest(Look::Service(service.namespace, service.name), stamp)
    }
}

/// The stamp of what must not have been written.
fn at(kind: &str, id: &str, mod_revision: i64) -> u128 {
    Parts::new().text(kind).text(id).number(mod_revision).hash128()
}

#[cfg(test)]
mod tests {
    use crate::checks::addresses::leaked_address;
    use crate::checks::testing::Cluster;
    use crate::ledger::Ledger;
    use crate::model::Finding;

    use super::{Draft, World};

    fn draft(cluster: &mut Cluster, rests: impl for<'w> Fn(Draft<'w>) -> Draft<'w>) -> Finding {
        let snapshot = cluster.snapshot();
        let ledger = Ledger::build(&snapshot, cluster.scope, None);
        let world = World { snapshot: &snapshot, ledger: &ledger, past: None };
        rests(world.draft(&leaked_address::CHECK, "n", "")).done()
    }

    /// Two things that were written by one transaction have one revision, and are two things.
    #[test]
    fn the_same_revision_of_another_thing_is_another_stamp() {
        let mut c = Cluster::healthy();
        c.snapshot.blocks.iter_mut().for_each(|b| b.meta.mod_revision = 5);
        c.snapshot.calico_nodes.iter_mut().for_each(|n| n.meta.mod_revision = 5);
        let stamps = [
            draft(&mut c, |d| {
                let world = d.world;
                d.rests_on_block(&world.snapshot.blocks[0])
            })
            .stamp(),
            draft(&mut c, |d| {
                let world = d.world;
                d.rests_on_block(&world.snapshot.blocks[1])
            })
            .stamp(),
            draft(&mut c, |d| {
                let world = d.world;
                d.rests_on_calico_node(&world.snapshot.calico_nodes[0])
            })
            .stamp(),
            draft(&mut c, |d| {
                let world = d.world;
                d.rests_on_calico_node(&world.snapshot.calico_nodes[1])
            })
            .stamp(),
        ];
        let different: std::collections::HashSet<u128> = stamps.into_iter().collect();
        assert_eq!(different.len(), 4);
    }
}
