//! What claims rest on in several checks alike: whose a node is, who owns an allocation, who claims an address.
//!
//! Present or absent, each of it is named, so that the second look reads it again: a claim that forgot to name the node
//! or the service that came or went would be confirmed by a look that did not look there.

use super::Draft;
use crate::ledger::{Allocation, Claim, Claimant};
use crate::model::{Affinity, Cidr, Host, Look, Name};

impl Draft<'_> {
    /// The Kubernetes node that says whose a Calico node is.
    pub fn looks_at_whose(self, calico: Name) -> Self {
        let kubernetes = self.world.ledger.scope.kubernetes_name(calico);
        self.with_each(kubernetes.some(), |draft, node| draft.looks_at(Look::KubeNode(node)))
    }

    /// The pods and services that an allocation names, there or not.
    pub fn rests_on_owners(self, allocation: &Allocation) -> Self {
        let world = self.world;
        let owners: Vec<_> = world.ledger.owners_of(allocation).collect();
        self.with_each(owners, |draft, owner| {
            if let Some((namespace, name)) = owner.pod_name() {
                return draft.rests_on_pod_named(namespace, name);
            }
            let key = (owner.namespace, owner.service);
            match world.snapshot.services.iter().find(|s| (s.namespace, s.name) == key) {
                Some(service) => draft.rests_on_service(service),
                None if !owner.service.is_none() => draft.looks_at(Look::Service(owner.namespace, owner.service)),
                None => draft,
            }
        })
    }

    /// Everybody who claims an address.
    pub fn rests_on_claimants(self, claims: &[Claim]) -> Self {
        let snapshot = self.world.snapshot;
        self.with_each(claims, |draft, claim| match claim.by {
            Claimant::Pod(index) => draft.with_each(snapshot.pods.get(index as usize), Draft::rests_on_pod),
            Claimant::Endpoint(index) => {
                draft.with_each(snapshot.endpoints.get(index as usize), Draft::rests_on_endpoint)
            }
            Claimant::Tunnel(index, _) => {
                draft.with_each(snapshot.calico_nodes.get(index as usize), Draft::rests_on_calico_node)
            }
            Claimant::Service(index) => draft.with_each(snapshot.services.get(index as usize), Draft::rests_on_service),
            Claimant::HostEndpoint => draft,
        })
    }

    /// A host's hold on a block: the affinity as it is, or none. The block must still be the same one.
    pub fn rests_on_hold(self, host: Host, cidr: Cidr) -> Self {
        let ledger = self.world.ledger;
        let affinity: Option<&Affinity> = ledger.affinities_for(cidr).find(|affinity| affinity.host == host);
        let draft = match ledger.block(cidr) {
            Some(block) => self.rests_on_owner(block),
            None => self.looks_at(Look::Block(cidr)),
        };
        match affinity {
            Some(affinity) => draft.rests_on_affinity(affinity),
            None => draft.looks_at(Look::Affinity(host, cidr)),
        }
    }
}
