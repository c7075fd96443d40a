//! The evidence of all nodes that were read, and what it shows in use.

use std::collections::{BTreeMap, BTreeSet};

use super::{Dump, EvidenceDoubt, InUse, KernelRoute, NodeEvidence, RouteOrder, RouteTable};
use crate::model::foreign::foreign;
use crate::model::{Addr, Cidr, Foreign, InputState};

/// The evidence of an audit.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct NodesSeen {
    /// One entry a node, by name; of several captures of a node the newest.
    pub nodes: Vec<NodeEvidence>,
    /// A capture of every node was asked for: one without any is told.
    pub of_every_node: bool,
    /// Why none was read, though they were asked for: how, in words, and what can be done about it.
    pub failed: Option<(InputState, Foreign, Foreign)>,
    /// A sentence for each capture that the pod of another node printed: it is nobody's evidence.
    pub not_taken: Vec<Foreign>,
    /// What those showed in use, which forbids all the same.
    beside: Vec<(Foreign, Cidr, InUse)>,
    /// By address or range every use of it that a node shows, with the node; made by [`NodesSeen::index`].
    used: BTreeMap<Cidr, Vec<(Foreign, InUse)>>,
    /// The prefix lengths that occur there.
    lengths: BTreeSet<(bool, u8)>,
    /// Of each node the orders of its IPv4 and IPv6 routes; made with them.
    orders: Vec<[RouteOrder; 2]>,
    /// Of each node what is wrong with its evidence, as the snapshot that took it knows.
    pub(in crate::model) doubts: Vec<Vec<EvidenceDoubt>>,
}

impl NodesSeen {
    /// Of many captures the newest of each node, by name: it is judged. What any of them shows in use stays in use,
    /// whatever time it claims to be of.
    pub fn newest(mut all: Vec<NodeEvidence>, of_every_node: bool) -> NodesSeen {
        // What the pod of another node says is not theirs to outdo.
        let of = |evidence: &NodeEvidence| (evidence.node.clone(), evidence.printed_on.clone());
        all.sort_by(|a, b| of(a).cmp(&of(b)).then_with(|| b.taken_at().cmp(&a.taken_at())));
        let mut nodes: Vec<NodeEvidence> = Vec::new();
        for evidence in all {
            match nodes.last_mut().filter(|newest| of(newest) == of(&evidence)) {
                Some(newest) => newest.also.extend(evidence.uses()),
                None => nodes.push(evidence),
            }
        }
        for node in &mut nodes {
            node.also.sort();
            node.also.dedup();
        }
        NodesSeen { nodes, of_every_node, ..NodesSeen::default() }
    }

    /// Takes of what pods printed what is of the node that they run on; `is_on` says whether Calico's node of this name is
    /// Kubernetes' node of that name. What is of another node forbids releases and is no evidence of that.
    pub(crate) fn believe(&mut self, is_on: impl Fn(&Foreign, &Foreign) -> bool) {
        let mut believed = Vec::new();
        for mut evidence in std::mem::take(&mut self.nodes) {
            if evidence.printed_on.is_empty() || is_on(&evidence.node, &evidence.printed_on) {
                evidence.printed_on = Foreign::default();
                believed.push(evidence);
                continue;
            }
            let (from, on, node) = (&evidence.from, &evidence.printed_on, &evidence.node);
            self.not_taken.push(foreign!(
                "{}, a pod on node {}, printed a capture of node {}: not taken",
                from,
                on,
                node
            ));
            let uses = evidence.uses();
            self.beside.extend(uses.into_iter().map(|(range, used)| (evidence.node.clone(), range, used)));
        }
        self.nodes = NodesSeen::newest(believed, self.of_every_node).nodes;
        if let (true, None, Some(why)) = (self.nodes.is_empty(), &self.failed, self.not_taken.first()) {
            let hint = "see what runs in that pod, and that it is told Calico's name of its own node (--node)";
            self.failed = Some((InputState::Unreachable, why.clone(), hint.into()));
        }
    }

    /// Puts in order which addresses are in use, and every node's routes.
    pub fn index(&mut self) {
        let order = |routes: &Dump<Vec<KernelRoute>>| routes.had().map(|had| RouteOrder::of(had)).unwrap_or_default();
        self.orders = self.nodes.iter().map(|node| [order(&node.routes4), order(&node.routes6)]).collect();
        self.used.clear();
        for node in &self.nodes {
            for (range, used) in node.uses() {
                self.used.entry(range).or_default().push((node.node.clone(), used));
            }
        }
        for (node, range, used) in &self.beside {
            self.used.entry(*range).or_default().push((node.clone(), used.clone()));
        }
        self.used.values_mut().for_each(|uses| {
            uses.sort();
            uses.dedup();
        });
        self.lengths = self.used.keys().map(|range| (range.is_v4(), range.prefix())).collect();
    }

    /// The evidence of the node of this (Calico) name.
    pub fn of(&self, node: &str) -> Option<&NodeEvidence> {
        self.nodes.iter().find(|evidence| evidence.node == *node)
    }

    /// The place of the node of this (Calico) name.
    pub fn place_of(&self, node: &str) -> Option<usize> {
        self.nodes.iter().position(|evidence| evidence.node == *node)
    }

    /// What is wrong with the evidence of the node at this place.
    pub fn doubts(&self, at: usize) -> &[EvidenceDoubt] {
        self.doubts.get(at).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether the evidence of the node at this place is of now, and of this node.
    pub fn is_judged(&self, at: usize) -> bool {
        !self.doubts(at).iter().any(EvidenceDoubt::is_of_all)
    }

    /// What was had of the routes of the node at this place; `None`: nothing.
    pub fn table(&self, at: usize, v4: bool) -> Option<RouteTable<'_>> {
        let node = self.nodes.get(at)?;
        let order = self.orders.get(at)?.get(usize::from(!v4))?;
        Some(RouteTable::of(node.routes_of(v4).had()?, order, node.readings))
    }

    /// Every use of an address that a node shows, by node.
    pub fn uses(&self, address: Addr) -> impl Iterator<Item = &(Foreign, InUse)> {
        let lengths = self.lengths.iter().rev().filter(move |(v4, _)| *v4 == address.is_v4());
        let ranges = lengths.filter_map(move |(_, length)| Cidr::new(address, *length));
        ranges.filter_map(|range| self.used.get(&range)).flatten()
    }
}
