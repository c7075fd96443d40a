//! What the checks of pools need: how they are used.

use crate::checks::World;
use crate::checks::addresses::leaked_address;
use crate::ledger::capacity::{allocations_in, pool_usage};
use crate::ledger::{PoolBlocks, PoolUsage};
use crate::model::hash::HashSet;
use crate::model::{Addr, Evidence, Fact, Pool};

/// A pool with fewer addresses is a special one, full by design.
const SMALL: u128 = 64;

/// The pools that are judged: IPAM hands out their addresses by itself to pods or tunnels, and they are not small.
pub(super) fn judged<'w>(world: &World<'w>) -> impl Iterator<Item = &'w Pool> {
    let for_services_alone = |p: &Pool| p.load_balancers && !p.workloads && !p.tunnels;
    let pools = world.snapshot.pools.iter();
    pools.filter(move |p| p.assigns_automatically() && !for_services_alone(p) && p.cidr.size() >= SMALL)
}

/// A pool's usage; nobody asks yet what leaked.
pub(super) fn usage(world: &World<'_>, pool: &Pool) -> PoolUsage {
    pool_usage(world.ledger, pool, &HashSet::new())
}

/// The same, and whether leaks and holders could be told: without Kubernetes nobody knows what leaked.
pub(super) fn usage_with_leaks(world: &World<'_>, pool: &Pool) -> (PoolUsage, bool) {
    let known = crate::checks::obstacle(&leaked_address::CHECK, world).is_none();
    let inside = allocations_in(world.ledger, pool.cidr).iter().filter(|_| known);
    let leaked = inside.filter(|a| leaked_address::proof(world, a).is_some());
    let leaked: HashSet<Addr> = leaked.map(|a| a.address).collect();
    (pool_usage(world.ledger, pool, &leaked), known)
}

/// What fills a pool, as evidence.
pub(super) fn usage_facts(usage: &PoolUsage, known: bool) -> Evidence {
    Evidence::new()
        .with("addresses", number(usage.addresses))
        .with("free", number(usage.free))
        .with("allocated", number(usage.allocated))
        .with("in_use", known.then(|| number(usage.in_use)))
        .with("leaked", known.then(|| number(usage.leaked)))
        .with("cooling", number(usage.cooling))
        .with("reserved", number(usage.reserved))
        .with("undecodable", number(usage.unknown))
}

/// What became of a pool's blocks, as evidence.
pub(super) fn block_facts(blocks: &PoolBlocks) -> Evidence {
    Evidence::new()
        .with("possible", number(blocks.possible))
        .with("existing", number(blocks.existing))
        .with("absent", number(blocks.absent))
        .with("empty", number(blocks.empty))
        .with("reclaimable", number(blocks.reclaimable))
        .with("ownerless", number(blocks.ownerless))
        .with("undecodable", number(blocks.unknown))
}

/// A count that may be an IPv6 pool's: held at 2^64 - 1.
pub(super) fn number(count: u128) -> Fact {
    Fact::Sequence(u64::try_from(count).unwrap_or(u64::MAX))
}
