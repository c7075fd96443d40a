//! What values that do not decode hide: unknown is not absent.

use crate::model::hash::HashSet;

use crate::model::snapshot::Dark;
use crate::model::{Addr, Cidr, HandleId, Input, Name, Snapshot};

/// Everything about which nobody may argue from absence.
#[derive(Debug, Default)]
pub struct DarkRanges {
    ranges: Vec<Cidr>,
    nodes: HashSet<Name>,
    handles: HashSet<HandleId>,
    affinities: HashSet<Cidr>,
    whole: Vec<Input>,
}

impl DarkRanges {
    /// Collects what the snapshot's bad values hide.
    pub fn of(snapshot: &Snapshot) -> DarkRanges {
        let mut dark = DarkRanges::default();
        for hidden in snapshot.bad_values.iter().flat_map(|bad| &bad.dark) {
            match *hidden {
                Dark::Range(cidr) => dark.ranges.push(cidr),
                Dark::Node(node) => drop(dark.nodes.insert(node)),
                Dark::Handle(id) => drop(dark.handles.insert(id)),
                Dark::Affinity(cidr) => drop(dark.affinities.insert(cidr)),
                Dark::All(input) => dark.whole.push(input),
            }
        }
        dark
    }

    /// What blocks that do not decode hide, as their keys and values say; in no order, may overlap.
    pub fn ranges(&self) -> &[Cidr] {
        &self.ranges
    }

    /// Whether a block that does not decode hides this address.
    pub fn address(&self, address: Addr) -> bool {
        self.all(Input::Blocks) || self.ranges.iter().any(|r| r.contains(address))
    }

    /// Whether a block that does not decode shares addresses with this one.
    pub fn block(&self, cidr: Cidr) -> bool {
        self.all(Input::Blocks) || self.ranges.iter().any(|r| r.overlaps(cidr))
    }

    /// Whether something of this node (its Calico name) does not decode: an endpoint, or the node itself.
    pub fn node(&self, node: Name) -> bool {
        self.all(Input::Endpoints) || self.all(Input::CalicoNodes) || self.nodes.contains(&node)
    }

    /// Whether a handle of this id exists that does not decode.
    pub fn handle(&self, id: HandleId) -> bool {
        self.all(Input::Handles) || self.handles.contains(&id)
    }

    /// Whether an affinity for this block exists that does not decode.
    pub fn affinity(&self, cidr: Cidr) -> bool {
        self.all(Input::Affinities) || self.affinities.contains(&cidr)
    }

    /// Whether all of an input is dark: a value does not even say what it is about.
    pub fn all(&self, input: Input) -> bool {
        self.whole.contains(&input)
    }
}

impl DarkRanges {
    /// Whether a Calico Node itself does not decode: then nobody can say that all of them are ours.
    pub(super) fn any_undecodable_node(&self, snapshot: &Snapshot) -> bool {
        snapshot.bad_values.iter().any(|bad| bad.input == Input::CalicoNodes)
    }
}
