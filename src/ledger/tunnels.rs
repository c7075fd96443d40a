//! Tunnel addresses: whose an allocation is, and which nodes claim an address (domain facts, section 7).

use super::{Allocation, Claimant, Grade, Ledger, Use};
use crate::model::{Addr, CalicoNode, Name, Owner, Tunnel};

/// A node's tunnel as an allocation names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamedTunnel {
    pub tunnel: Tunnel,
    /// The node's Calico name.
    pub node: String,
    /// The same in the table.
    pub name: Name,
}

impl<'s> Ledger<'s> {
    /// The Calico Nodes whose spec has `address` as a tunnel's, with the claim's grade.
    pub fn tunnels_at(&self, address: Addr) -> impl Iterator<Item = (&'s CalicoNode, Tunnel, Grade)> {
        let nodes = &self.snapshot.calico_nodes;
        self.claims_at(address).iter().filter_map(move |claim| match claim.by {
            Claimant::Tunnel(index, tunnel) => nodes.get(index as usize).map(|node| (node, tunnel, claim.grade)),
            _ => None,
        })
    }

    /// Every tunnel that an allocation names: by its owner attributes (both sets; without a node there it is the
    /// block's host's) and by its handle's id.
    pub fn tunnels_named(&self, allocation: &Allocation) -> Vec<NamedTunnel> {
        let names = &self.snapshot.names;
        let by_attribute = self.owners_of(allocation).filter_map(|owner| {
            let tunnel = Tunnel::of_attribute(names.get(owner.kind))?;
            let name = owner.node.some().or_else(|| self.owner_node(allocation).some())?;
            Some(NamedTunnel { tunnel, node: names.get(name).to_owned(), name })
        });
        let mut named: Vec<NamedTunnel> = by_attribute.collect();
        let id = self.handle_of(allocation).map(|handle| handle.text(names)).unwrap_or_default();
        if let Some((tunnel, node)) = Tunnel::of_handle(&id) {
            named.push(NamedTunnel { tunnel, node: node.to_owned(), name: names.find(node).unwrap_or_default() });
        }
        named.dedup();
        named
    }

    /// The tunnels that existing nodes have at `address`, one entry a machine: two Calico Nodes of one Kubernetes
    /// node are one machine, and a departed node has none any more.
    pub fn machines_at(&self, address: Addr) -> Vec<(&'s CalicoNode, Tunnel)> {
        let machine = |node: &CalicoNode| (node.kubernetes_name.is_some(), node.kubernetes_name.unwrap_or(node.name));
        let mut found: Vec<(&CalicoNode, Tunnel)> = Vec::new();
        for (node, tunnel, grade) in self.tunnels_at(address) {
            if grade == Grade::Certain && found.iter().all(|(other, _)| machine(other) != machine(node)) {
                found.push((node, tunnel));
            }
        }
        found
    }

    /// Whether an allocation is this very tunnel's: its handle or either owner set names node and type, or it is
    /// so old that it names nobody.
    pub fn is_of_tunnel(&self, allocation: &Allocation, node: &CalicoNode, tunnel: Tunnel) -> bool {
        let named = |n: &NamedTunnel| n.tunnel == tunnel && n.name == node.name;
        self.may_be_old_tunnel_of(allocation, node) || self.tunnels_named(allocation).iter().any(named)
    }

    /// Very old tunnels have neither handle nor attributes (at most the node's name): only the address in the
    /// Node's spec says whose they are.
    pub fn may_be_old_tunnel_of(&self, allocation: &Allocation, node: &CalicoNode) -> bool {
        let nameless = |o: &Owner| [o.namespace, o.pod, o.service, o.kind, o.vmi, o.note].iter().all(|n| n.is_none());
        allocation.used_for == Use::Unattributed
            && self.handle_of(allocation).is_none()
            && self.owners_of(allocation).all(|o| nameless(&o) && (o.node.is_none() || o.node == node.name))
    }

    /// Whether an allocation has neither handle nor owner.
    pub fn names_nobody(&self, allocation: &Allocation) -> bool {
        allocation.used_for == Use::Unattributed
            && self.handle_of(allocation).is_none()
            && self.owners_of(allocation).next().is_none()
    }
}
