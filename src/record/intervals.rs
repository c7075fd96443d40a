//! What lasts: allocations, pods' addresses, states of nodes.

use std::collections::HashSet;

use super::diff::Diff;
use super::seen;
use crate::ledger::{Claim, Ledger, Standing};
use crate::model::hash::{HashMap as QuickMap, HashSet as QuickSet};
use crate::model::record::{Changes, LazyRows};
use crate::model::row::{AllocationRow, NodeRow, PodRow};
use crate::model::{Foreign, Input, KubeNode, Name};

/// Rows of allocations, each with the row that it continues.
type Opened<'l> = LazyRows<'l, (AllocationRow, Option<i64>)>;

impl<'l> Diff<'l, '_> {
    /// Allocations that began and ended, and the rows that go on under other owners.
    pub(super) fn allocations(&self) -> (Changes<Opened<'l>, i64>, HashSet<i64>) {
        let (ledger, mut closed, mut places) = (self.ledger, Vec::new(), Vec::new());
        let mut continues = QuickMap::<u32, i64>::new();
        let rows = &self.past.allocations.rows;
        let open = rows.table();
        let (mut marks, mut new) = (open.marks(), QuickSet::<u128>::new());
        let covered = ledger.allocations.iter().zip(0u32..).filter(|(allocation, _)| rows.covers(allocation.address));
        for (allocation, place) in covered {
            let index = ledger.tuple_index_of(allocation);
            let known = open.find(index);
            if !known.map_or_else(|| new.insert(index), |(bucket, _)| marks.mark(bucket)) {
                continue;
            }
            if let Some((_, known)) = known {
                let more = seen::more(ledger, allocation);
                if known.owner == seen::owned_by(ledger, allocation, more.as_deref()).hash() {
                    continue;
                }
                closed.push(known.row);
                continues.insert(place, known.row);
            }
            places.push(place);
        }
        if self.complete(&[Input::Blocks]) && !self.is_apart() {
            closed.extend(open.unmarked(&marks).map(|(_, gone)| gone.row));
        }
        closed.sort_unstable();
        let continued = continues.values().copied().collect();
        let row = move |place| Some((allocation_row(ledger, place)?, continues.get(&place).copied()));
        (Changes { opened: LazyRows::of(places, row), closed }, continued)
    }

    /// Pods' addresses that began and ended. A grade is known only when all that it is made from was read.
    pub(super) fn pods(&self) -> Changes<LazyRows<'l, PodRow>, i64> {
        if !seen::are_pods_read(self.snapshot) {
            return Changes::default();
        }
        let (ledger, mut closed, mut places) = (self.ledger, Vec::new(), Vec::new());
        let rows = &self.past.last.pods;
        let open = rows.table();
        let (mut marks, mut new) = (open.marks(), QuickSet::<u128>::new());
        for (place, claim) in (0u32..).zip(&ledger.claims).filter(|(_, claim)| rows.covers(claim.address)) {
            let Some((at, ..)) = seen::pod_address(ledger, claim) else { continue };
            let index = at.index();
            if let Some((bucket, _)) = open.find(index) {
                marks.mark(bucket);
            } else if new.insert(index) {
                places.push(place);
            }
        }
        if !self.is_apart() {
            closed = open.unmarked(&marks).map(|(_, row)| *row).collect();
            closed.sort_unstable();
        }
        let row = move |place: u32| pod_row(ledger, ledger.claims.get(place as usize)?);
        Changes { opened: LazyRows::of(places, row), closed }
    }

    /// States of nodes that began and ended.
    pub(super) fn nodes(&self) -> Changes<Vec<NodeRow>, i64> {
        let mut changes = Changes::default();
        if !self.complete(&[Input::CalicoNodes, Input::KubeNodes]) {
            return changes;
        }
        let open = &self.past.last.nodes;
        let rows = self.node_rows();
        let mut seen: HashSet<&NodeRow> = HashSet::new();
        changes.opened = rows.iter().filter(|row| seen.insert(row) && !open.contains_key(*row)).cloned().collect();
        if !self.is_apart() {
            changes.closed = open.iter().filter(|(state, _)| !seen.contains(state)).map(|(_, row)| *row).collect();
            changes.closed.sort_unstable();
        }
        changes
    }

    fn node_rows(&self) -> Vec<NodeRow> {
        let (snapshot, scope) = (self.snapshot, &self.ledger.scope);
        let known = |name: Name| {
            let at = snapshot.kube_nodes.binary_search_by(|n| self.text(n.name).cmp(self.text(name))).ok()?;
            snapshot.kube_nodes.get(at)
        };
        let calico = snapshot.calico_nodes.iter().map(|node| {
            let kubernetes = node.kubernetes_name;
            self.node_row(Some(node.name), kubernetes, kubernetes.and_then(known), &once(&node.addresses))
        });
        let alone = snapshot
            .kube_nodes
            .iter()
            .filter(|n| !scope.has_calico_node(n.name))
            .map(|node| self.node_row(None, Some(node.name), Some(node), &once(&node.internal_addresses)));
        calico.chain(alone).collect()
    }

    fn node_row(&self, calico: Option<Name>, name: Option<Name>, node: Option<&KubeNode>, addresses: &str) -> NodeRow {
        let scope = &self.ledger.scope;
        let ours = match calico {
            Some(calico) => scope.standing(calico) == Standing::Ours,
            None => name.is_some_and(|kubernetes| scope.kubernetes_node_is_ours(kubernetes)),
        };
        NodeRow {
            calico: calico.map(|n| self.text(n).into()),
            kubernetes: name.map(|n| self.text(n).into()),
            ours,
            present: node.is_some(),
            boot_id: node.and_then(|n| self.given(n.boot_id)),
            ready: node.and_then(|n| n.ready),
            addresses: addresses.into(),
        }
    }

    /// Nodes that are ours and were not known to be.
    pub(super) fn new_ours(&self) -> Vec<Foreign> {
        let scope = &self.ledger.scope;
        let calico = self.snapshot.calico_nodes.iter().map(|n| n.name);
        let ours = calico.filter(|name| scope.standing(*name) == Standing::Ours).chain(scope.unregistered());
        self.newly(ours, &self.past.known_nodes)
    }

    /// Former names of our machines that were not known to be.
    pub(super) fn new_former(&self) -> Vec<Foreign> {
        self.newly(self.ledger.scope.former_names(), &self.past.former_nodes)
    }

    /// Those of these names that are not known, in order; none where nobody can say which cluster's they are.
    fn newly(&self, names: impl Iterator<Item = Name>, known: &HashSet<String>) -> Vec<Foreign> {
        let names = names.filter(|_| self.ledger.pairing.holds()).map(|name| self.text(name));
        sorted(names.filter(|name| !known.contains(*name)))
    }

    /// Hosts that neither Calico nor Kubernetes knows any more, and former names of machines, newly.
    pub(super) fn gone(&self) -> Vec<Foreign> {
        if !self.complete(&[Input::CalicoNodes, Input::KubeNodes]) || self.is_apart() {
            return Vec::new();
        }
        let hosts = self.hosts();
        let names: HashSet<&str> = hosts
            .iter()
            .copied()
            .chain(self.ledger.scope.former_names())
            .map(|n| self.text(n))
            .chain(self.past.known_nodes.iter().map(String::as_str))
            .collect();
        let is_known = |name: &str| self.past.gone_since.contains_key(name) || self.is_there(name);
        sorted(names.into_iter().filter(|name| !name.is_empty() && !is_known(name)))
    }

    /// Nodes that were gone and are there again.
    pub(super) fn back(&self) -> Vec<Foreign> {
        if !self.complete(&[Input::CalicoNodes, Input::KubeNodes]) {
            return Vec::new();
        }
        sorted(self.past.gone_since.keys().map(String::as_str).filter(|name| self.is_there(name)))
    }

    /// Whether a node of this Calico name is there, or perhaps is: its object may not decode.
    fn is_there(&self, calico: &str) -> bool {
        let Some(name) = self.snapshot.names.find(calico) else { return false };
        let (ledger, scope) = (self.ledger, &self.ledger.scope);
        if ledger.pairing.holds() && scope.is_former(name) {
            return false;
        }
        ledger.calico_node(name).is_some() || scope.is_known_to_kubernetes(name) || ledger.dark.node(name)
    }
}

fn sorted<'t>(names: impl Iterator<Item = &'t str>) -> Vec<Foreign> {
    let mut names: Vec<Foreign> = names.map(Foreign::from).collect();
    names.sort_unstable();
    names
}

/// The row of the allocation at this place of the ledger.
fn allocation_row(ledger: &Ledger<'_>, place: u32) -> Option<AllocationRow> {
    let allocation = ledger.allocations.get(place as usize)?;
    let more = seen::more(ledger, allocation);
    let owner = seen::owned_by(ledger, allocation, more.as_deref());
    let given = |text: Option<&str>| text.map(Foreign::from);
    let tuple = ledger.tuple_of(allocation);
    Some(AllocationRow {
        address: tuple.address,
        block: owner.block,
        block_create_revision: tuple.block_create_revision,
        sequence: tuple.sequence,
        handle: tuple.handle.map(Foreign::from),
        used_for: allocation.used_for.into(),
        node: given(owner.node),
        namespace: given(owner.namespace),
        pod: given(owner.pod),
        allocated: owner.allocated,
        more: given(owner.more),
        changes: None,
    })
}

/// The row of a pod's address that it says itself.
fn pod_row(ledger: &Ledger<'_>, claim: &Claim) -> Option<PodRow> {
    let (at, pod, grade) = seen::pod_address(ledger, claim)?;
    Some(PodRow {
        address: at.address,
        uid: pod.uid.text(&ledger.snapshot.names).into(),
        namespace: at.namespace.into(),
        pod: at.pod.into(),
        node: at.node.into(),
        grade: grade.into(),
    })
}

/// Each address once: Calico names one of a node in several places.
fn once(addresses: &[crate::model::Addr]) -> String {
    let mut texts: Vec<String> = Vec::new();
    for text in addresses.iter().map(ToString::to_string) {
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    texts.join(" ")
}
