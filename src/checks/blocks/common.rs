//! What several checks of blocks need.

use crate::model::{Block, HostKind, Name};

/// The node that a block names, by its Calico name; none when it names nobody or no node.
pub(super) fn node_of(block: &Block) -> Name {
    block.affinity.filter(|host| host.kind == HostKind::Host).map_or(Name::NONE, |host| host.name)
}
