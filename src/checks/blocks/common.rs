//! What several checks of blocks need.

use crate::checks::World;
use crate::model::{Block, Cidr, HostKind, Name, Pool};

/// The node that a block names, by its Calico name; none when it names nobody or no node.
pub(super) fn node_of(block: &Block) -> Name {
    block.affinity.filter(|host| host.kind == HostKind::Host).map_or(Name::NONE, |host| host.name)
}

/// The pool in which Calico's release by address looks for a block: of all that cover it, enabled or not, the first
/// by name (`getPoolForIP` over the list as etcd sorts it). Several cover it only where pools overlap (IPA603).
pub(super) fn pool_of<'w>(world: &World<'w>, cidr: Cidr) -> Option<&'w Pool> {
    let pools = world.snapshot.pools.iter().filter(|pool| pool.cidr.covers(cidr));
    pools.min_by_key(|pool| world.snapshot.names.get(pool.name))
}
