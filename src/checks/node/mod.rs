//! 7xx: what a node's kernel really does with the addresses of its pods.
//!
//! The evidence is of another moment than etcd and Kubernetes, and holds two readings itself. It is one node's word of
//! itself: a node without evidence is not read, never clean.

mod common;

#[cfg(test)]
pub use common::testing;

pub use common::sight::is_unseen;

use crate::checks::{Outcome, Skipped, World};
use crate::model::Code;
use crate::model::hash::HashSet;
use crate::model::node_evidence::{DumpState, INSIDE, NodeEvidence};

/// Whether this is what a check of nodes finds.
pub fn is_of_nodes(code: Code) -> bool {
    FAMILY.1.iter().any(|check| check.code == code)
}

/// Who wants to see these codes alone, all of nodes, and gave no evidence of any, is told that nobody looked.
pub fn miss(outcome: &mut Outcome, codes: &[Code]) {
    if codes.is_empty() || !codes.iter().all(|code| is_of_nodes(*code)) {
        return;
    }
    let missed: Vec<Skipped> = outcome.unasked.extract_if(.., |s| codes.contains(&s.code)).collect();
    outcome.skipped.extend(missed.into_iter().map(|skipped| Skipped { incomplete: true, ..skipped }));
    outcome.skipped.sort_by_key(|skipped| skipped.code);
}

/// At which nodes these checks could look, whatever they found: silence of any other node is no innocence.
#[derive(Debug)]
pub struct NodesLooked<'w> {
    whole: HashSet<&'w str>,
    inside: HashSet<&'w str>,
}

impl<'w> NodesLooked<'w> {
    /// The nodes whose evidence counts and is whole; the insides of pods are rarely asked for, and count for what needs them.
    pub fn of(world: &'w World<'w>) -> NodesLooked<'w> {
        let (mut whole, mut inside) = (HashSet::default(), HashSet::default());
        for sight in common::sight::sights(world) {
            let evidence: &NodeEvidence = sight.evidence;
            let is_read = |of: &str| evidence.dumps().into_iter().all(|(name, s)| name != of || s == DumpState::Read);
            let names = evidence.dumps().map(|(name, _)| name);
            if names.into_iter().all(|name| name == INSIDE || is_read(name)) && evidence.unread().next().is_none() {
                whole.insert(sight.name());
                if is_read(INSIDE) {
                    inside.insert(sight.name());
                }
            }
        }
        NodesLooked { whole, inside }
    }

    /// Whether what this check finds on this node would have been seen.
    pub fn has(&self, code: Code, node: &str) -> bool {
        let needs_inside = [pod_address_mismatch::CHECK.code, gateway_failed::CHECK.code].contains(&code);
        if needs_inside { self.inside.contains(node) } else { self.whole.contains(node) }
    }
}

family! {
    "What nodes do"
    pub mod wrong_interface_route;
    pub mod missing_route;
    pub mod stale_route;
    pub mod address_on_several_interfaces;
    pub mod missing_interface;
    pub mod orphan_interface;
    pub mod gateway_unanswered;
    pub mod interface_sysctl;
    pub mod neighbour_mismatch;
    pub mod pod_address_mismatch;
    pub mod gateway_failed;
    pub mod blackhole_mismatch;
    pub mod block_route_mismatch;
    pub mod tunnel_address_mismatch;
    pub mod missing_block_route;
    pub mod felix_not_at_work;
    pub mod node_evidence_old;
}
