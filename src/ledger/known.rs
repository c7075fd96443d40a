//! The names that a cluster has, for somebody who types one.

use std::collections::BTreeSet;

use super::Ledger;
use crate::model::{Foreign, HostKind, Name};

impl Ledger<'_> {
    /// Calico's names of the node that is called so, by Calico or by Kubernetes; none where there is no such node.
    pub fn nodes_called(&self, word: &str) -> Vec<Name> {
        let Some(name) = self.snapshot.names.find(word).filter(|name| self.node_names().contains(name)) else {
            return Vec::new();
        };
        let mut names = vec![name];
        names.extend(self.scope.calico_names(name));
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Every node that anything names, by both names.
    pub fn node_names(&self) -> BTreeSet<Name> {
        let snapshot = self.snapshot;
        let calico = snapshot.calico_nodes.iter().map(|node| node.name);
        let kubernetes = snapshot.kube_nodes.iter().map(|node| node.name);
        let owners = self.blocks().filter_map(|block| self.host_of(block));
        let claims = self.affinities().filter(|a| a.host.kind == HostKind::Host).map(|a| a.host.name);
        let users = self.allocations.iter().map(|allocation| self.owner_node(allocation));
        calico.chain(kubernetes).chain(owners).chain(claims).chain(users).filter(|name| !name.is_none()).collect()
    }

    /// Names as foreign text.
    pub fn named_all(&self, names: impl IntoIterator<Item = Name>) -> Vec<Foreign> {
        names.into_iter().map(|name| self.snapshot.named(name)).collect()
    }
}
