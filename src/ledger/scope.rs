//! Whose a node is: ours, departed or foreign (the catalogue's word "Scope").
//!
//! The GUID names the datastore, not the Kubernetes cluster: several clusters and plain hosts may share one,
//! and what is another cluster's must never be accused.

use crate::model::hash::{HashMap, HashSet};

use super::unregistered::Unregistered;
use super::{DarkRanges, former};
use crate::model::snapshot::Dark;
use crate::model::word::words;
use crate::model::{Input, Name, Past, Sharing, Snapshot};

/// What the operator says of the datastore: `--scope`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ScopeFlag {
    /// Exclusive when every Calico node present is ours.
    #[default]
    Auto,
    /// No other cluster uses this datastore.
    Exclusive,
}

words!(ScopeFlag { Auto = "auto", Exclusive = "exclusive" });

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

words!(Standing { Ours = "ours", Departed = "departed", Foreign = "foreign" });

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
    /// Calico name to Kubernetes name.
    kubernetes_names: HashMap<Name, Name>,
    /// Kubernetes name to Calico names.
    calico_names: HashMap<Name, Vec<Name>>,
    known_to_kubernetes: HashSet<Name>,
    /// Kubernetes nodes to which a Calico Node refers.
    referred: HashSet<Name>,
    /// Hosts of Kubernetes nodes that no Calico Node refers to.
    unregistered: HashSet<Name>,
    /// All Calico Nodes were read: one that is not here does not exist.
    nodes_complete: bool,
    /// Former names of our machines, and their present ones.
    former: HashMap<Name, Name>,
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
    /// Whether others share the datastore.
    pub const fn sharing(&self) -> Sharing {
        match (self.known, self.exclusive) {
            (false, _) => Sharing::Unknown,
            (true, true) => Sharing::Exclusive,
            (true, false) => Sharing::Shared,
        }
    }

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
        scope.nodes_complete = snapshot.coverage.complete(Input::CalicoNodes);
        scope.referred = scope.calico_names.keys().copied().collect();
        scope.take_unregistered(Unregistered::of(snapshot, past, |name| scope.referred.contains(&name)));
        // By their text: numbers of names depend on what was read first.
        let by_text = |a: &Name, b: &Name| snapshot.text(*a).cmp(snapshot.text(*b));
        scope.calico_names.values_mut().for_each(|names| names.sort_unstable_by(by_text));
        if scope.known {
            let known = |name| scope.known_to_kubernetes.contains(&name);
            scope.former = former::names(snapshot, dark, past, |name| scope.ours.contains(&name), known);
        }
        if let Some(past) = past {
            scope.remembered = past.known_nodes.iter().filter_map(|n| snapshot.names.find(n)).collect();
        }
        let all_ours = snapshot.coverage.complete(Input::CalicoNodes)
            && !dark.any_undecodable_node(snapshot)
            && snapshot.calico_nodes.iter().all(|n| scope.ours.contains(&n.name) || scope.is_former(n.name));
        scope.exclusive = scope.known
            && (flag == ScopeFlag::Exclusive
                || past.is_some_and(|p| p.exclusive)
                || (flag == ScopeFlag::Auto && all_ours));
        scope
    }

    fn take_unregistered(&mut self, found: Unregistered) {
        self.kubernetes_names.extend(found.names);
        // One that does not decode is not missing: it may say anything.
        let missing = found.hosts.into_iter().filter(|(host, _)| !self.undecodable.hides(*host));
        for (host, kubernetes) in missing {
            self.kubernetes_names.insert(host, kubernetes);
            self.calico_names.entry(kubernetes).or_default().push(host);
            self.unregistered.insert(host);
            self.ours.insert(host);
        }
    }

    /// The standing of a node by its Calico name, whether or not a Calico Node of that name exists.
    pub fn standing(&self, node: Name) -> Standing {
        if node.is_none() || !self.known {
            Standing::Foreign
        } else if self.ours.contains(&node) {
            Standing::Ours
        } else if self.is_former(node) {
            Standing::Departed
        } else if self.plain_hosts.contains(&node) || self.undecodable.hides(node) {
            // A Calico node without a k8s orchRef is not Kubernetes': leave its allocations alone.
            Standing::Foreign
        } else if self.known_to_kubernetes.contains(&self.kubernetes_name(node)) {
            // A node of ours whose Calico Node is missing (IPA410) is ours; that it is missing must be known.
            if self.nodes_complete { Standing::Ours } else { Standing::Foreign }
        } else if self.exclusive || self.remembered.contains(&node) {
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

    /// Calico's names of a Kubernetes node; none when Calico does not run there.
    pub fn calico_names(&self, kubernetes: Name) -> &[Name] {
        self.calico_names.get(&kubernetes).map_or(&[], Vec::as_slice)
    }

    /// Whether any Calico Node refers to a Kubernetes node.
    pub fn has_calico_node(&self, kubernetes: Name) -> bool {
        self.referred.contains(&kubernetes)
    }

    /// Whether this is the host (Calico's name) of a Kubernetes node of ours that has no Calico Node (IPA410).
    pub fn is_unregistered(&self, calico: Name) -> bool {
        self.unregistered.contains(&calico)
    }

    /// The hosts of all of them.
    pub fn unregistered(&self) -> impl Iterator<Item = Name> {
        self.unregistered.iter().copied()
    }

    /// Whether this Calico Node is a former name of a machine of ours.
    pub fn is_former(&self, node: Name) -> bool {
        self.former.contains_key(&node)
    }

    /// The present name of the machine of which this is a former one.
    pub fn present_name(&self, node: Name) -> Option<Name> {
        self.former.get(&node).copied()
    }

    /// All former names.
    pub fn former_names(&self) -> impl Iterator<Item = Name> {
        self.former.keys().copied()
    }

    /// Whether a Kubernetes node is ours: some Calico Node refers to it, or Calico runs there and has lost its Node.
    pub fn kubernetes_node_is_ours(&self, kubernetes: Name) -> bool {
        self.calico_names(kubernetes).iter().any(|n| self.ours.contains(n))
    }
}
