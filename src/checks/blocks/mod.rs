//! 3xx: blocks.

use crate::checks::World;
use crate::model::{Block, Cidr, HostKind, Name, Pool};

family! {
    "Blocks"
    pub mod invalid_block;
    pub mod overlapping_blocks;
    pub mod block_outside_pools;
    pub mod block_size_mismatch;
    pub mod ownerless_block;
    pub mod sequence_broken;
    pub mod non_canonical_key;
}

/// The node that a block names, by its Calico name; none when it names nobody or no node.
fn node_of(block: &Block) -> Name {
    block.affinity.filter(|host| host.kind == HostKind::Host).map_or(Name::NONE, |host| host.name)
}

/// The pool in which Calico's release by address looks for a block: of all that cover it, enabled or not, the first
/// by name (`getPoolForIP` over the list as etcd sorts it). Several cover it only where pools overlap (IPA603).
fn pool_of<'w>(world: &World<'w>, cidr: Cidr) -> Option<&'w Pool> {
    let pools = world.snapshot.pools.iter().filter(|pool| pool.cidr.covers(cidr));
    pools.min_by_key(|pool| world.snapshot.names.get(pool.name))
}
