//! Whose a node is: ours, departed or foreign (the catalogue's word "Scope").
//!
//! The GUID names the datastore, not the Kubernetes cluster: several clusters and plain hosts may share one,
//! and what is another cluster's must never be accused.

use crate::model::hash::{HashMap, HashSet};

use super::DarkRanges;
use crate::model::snapshot::Dark;
use crate::model::{Input, Name, Past, Snapshot};

/// What the operator says of the datastore: `--scope`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ScopeFlag {
    /// Exclusive when every Calico node present is ours.
    #[default]
    Auto,
    /// No other cluster uses this datastore.
    Exclusive,
}

/// Whose a node is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// A node of this Kubernetes cluster.
    Ours,
    /// Was ours and is known no more.
    Departed,
    /// Another cluster's, a plain host, or nobody can tell.
    Foreign,
}

/// The standing of every node.
#[derive(Debug, Default)]
pub struct Scope {
    /// Whether nobody else uses the datastore.
    pub exclusive: bool,
    /// Whether Kubernetes' nodes could be read at all; without them nobody is ours.
    pub known: bool,
    ours: HashSet<Name>,
    /// Present in Calico, without a `k8s` orchRef.
    plain_hosts: HashSet<Name>,
    /// Known from history as ours.
    remembered: HashSet<Name>,
    /// The same for nodes of which this snapshot has no name.
    remembered_unseen: HashSet<String>,
    /// Calico name to Kubernetes name.
    kubernetes_names: HashMap<Name, Name>,
    /// Kubernetes name to Calico names.
    calico_names: HashMap<Name, Vec<Name>>,
    known_to_kubernetes: HashSet<Name>,
    undecodable: Undecodable,
}

/// Calico Nodes that do not decode: nobody can say whose they are, so they are never departed.
#[derive(Debug, Default)]
struct Undecodable {
    names: HashSet<Name>,
    /// One of them does not even say its name.
    nameless: bool,
}

impl Undecodable {
    fn of(snapshot: &Snapshot) -> Undecodable {
        let mut undecodable = Undecodable::default();
        let nodes = snapshot.bad_values.iter().filter(|bad| bad.input == Input::CalicoNodes);
        for dark in nodes.flat_map(|bad| &bad.dark) {
            match dark {
                Dark::Node(name) => drop(undecodable.names.insert(*name)),
                _ => undecodable.nameless = true,
            }
        }
        undecodable
    }

    fn hides(&self, node: Name) -> bool {
        self.nameless || self.names.contains(&node)
    }
}

impl Scope {
    pub(super) fn of(snapshot: &Snapshot, flag: ScopeFlag, past: Option<&Past>, dark: &DarkRanges) -> Scope {
        let mut scope = Scope { known: snapshot.coverage.complete(Input::KubeNodes), ..Scope::default() };
        scope.known_to_kubernetes = snapshot.kube_nodes.iter().map(|n| n.name).collect();
        for node in &snapshot.calico_nodes {
            let Some(kubernetes) = node.kubernetes_name else {
                scope.plain_hosts.insert(node.name);
                continue;
            };
            scope.kubernetes_names.insert(node.name, kubernetes);
            scope.calico_names.entry(kubernetes).or_default().push(node.name);
            if scope.known && scope.known_to_kubernetes.contains(&kubernetes) {
                scope.ours.insert(node.name);
            }
        }
        scope.undecodable = Undecodable::of(snapshot);
        if let Some(past) = past {
            scope.remembered = past.known_nodes.iter().filter_map(|n| snapshot.names.find(n)).collect();
            let unseen = past.known_nodes.iter().filter(|n| snapshot.names.find(n).is_none());
            scope.remembered_unseen = unseen.cloned().collect();
        }
        let all_ours = snapshot.coverage.complete(Input::CalicoNodes)
            && !dark.any_undecodable_node(snapshot)
            && snapshot.calico_nodes.iter().all(|n| scope.ours.contains(&n.name));
        scope.exclusive = scope.known
            && (flag == ScopeFlag::Exclusive
                || past.is_some_and(|p| p.exclusive)
                || (flag == ScopeFlag::Auto && all_ours));
        scope
    }

    /// The standing of a node by its Calico name, whether or not a Calico Node of that name exists.
    pub fn standing(&self, node: Name) -> Standing {
        if node.is_none() || !self.known {
            Standing::Foreign
        } else if self.ours.contains(&node) {
            Standing::Ours
        } else if self.plain_hosts.contains(&node) || self.known_to_kubernetes.contains(&self.kubernetes_name(node)) {
            // A Calico node without a k8s orchRef is not Kubernetes': leave its allocations alone. A node that
            // Kubernetes knows, whose Calico Node is missing, is not gone either.
            Standing::Foreign
        } else if self.undecodable.hides(node) {
            Standing::Foreign
        } else if self.exclusive || self.remembered.contains(&node) {
            Standing::Departed
        } else {
            Standing::Foreign
        }
    }

    /// The standing of a node that only a handle's id names: nothing else in the snapshot does.
    pub fn standing_of_unseen(&self, node: &str) -> Standing {
        if self.known && !node.is_empty() && (self.exclusive || self.remembered_unseen.contains(node)) {
            Standing::Departed
        } else {
            Standing::Foreign
        }
    }

    /// Whether Kubernetes knows the node of this Calico name, Calico Node or not.
    pub fn is_known_to_kubernetes(&self, calico: Name) -> bool {
        self.known && self.known_to_kubernetes.contains(&self.kubernetes_name(calico))
    }

    /// Whether the Calico Node of this name exists and does not decode: nobody can say whose it is.
    pub fn is_undecodable(&self, node: Name) -> bool {
        self.undecodable.hides(node)
    }

    /// Whether findings may accuse what belongs to this node.
    pub fn judged(&self, node: Name) -> bool {
        self.standing(node) != Standing::Foreign
    }

    /// Kubernetes' name of a node: its orchRef's, else (no Calico Node) its own.
    pub fn kubernetes_name(&self, calico: Name) -> Name {
        self.kubernetes_names.get(&calico).copied().unwrap_or(calico)
    }

    /// Calico's names of a Kubernetes node; none when no Calico Node refers to it.
    pub fn calico_names(&self, kubernetes: Name) -> &[Name] {
        self.calico_names.get(&kubernetes).map_or(&[], Vec::as_slice)
    }

    /// Whether a Kubernetes node is ours: some Calico Node refers to it.
    pub fn kubernetes_node_is_ours(&self, kubernetes: Name) -> bool {
        self.calico_names(kubernetes).iter().any(|n| self.ours.contains(n))
    }
}
