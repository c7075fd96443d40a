//! How full pools and nodes are: addresses and blocks, counted once from the ledger.
//!
//! Plain values for the checks of capacity and for every output. Addresses count once, however many blocks or
//! claims name them. What does not decode is *unknown*: neither free nor taken. Nothing here judges: thresholds
//! are the checks' work. Blocks are counted as Calico's allocator counts them: a block is absent when no block of
//! exactly that CIDR exists, empty when somebody claims it, nothing in it is taken, and some of it can be handed out,
//! and reclaimable when this version of Calico lets another node get it.

use crate::model::hash::{HashMap, HashSet};

use super::spans::Spans;
use super::{Allocation, Ledger, Use};
use crate::model::{Addr, AffinityState, Block, Cidr, HostKind, Input, Name, Pool};

/// One pool's addresses and blocks. Pools that overlap count the addresses that they share twice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PoolUsage {
    pub name: Name,
    pub cidr: Cidr,
    /// Whether IPAM hands out its addresses by itself today: not disabled, manual or being deleted.
    pub automatic: bool,
    /// Whether it is disabled.
    pub disabled: bool,
    /// All of them; 2^64 in an IPv6 pool is nothing special.
    pub addresses: u128,
    /// Allocated and not cooling, by whomever: held, leaked, reserved for Windows, unattributed.
    pub allocated: u128,
    /// Allocated, and somebody holds it, certainly or possibly. Of no use without pods and endpoints.
    pub in_use: u128,
    /// Allocated and proven leaked, by whichever code; never among those in use.
    pub leaked: u128,
    /// Released, not yet free.
    pub cooling: u128,
    /// In an IPReservation and not taken: never handed out automatically.
    pub reserved: u128,
    /// In blocks that do not decode.
    pub unknown: u128,
    /// What automatic assignment can still hand out.
    pub free: u128,
    pub blocks: PoolBlocks,
}

/// One pool's blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PoolBlocks {
    /// How many blocks of its size the pool has room for; 0 when it is smaller than one block.
    pub possible: u128,
    /// Blocks in the pool that exist, of any size, undecodable ones not counted.
    pub existing: u128,
    /// Blocks of its size that do not exist and are not reserved as a whole: free to be claimed.
    pub absent: u128,
    /// Claimed, wholly empty and not reserved as a whole.
    pub empty: u128,
    /// Of the empty ones those that another node can get.
    pub reclaimable: u128,
    /// Blocks in the pool without affinity: their free addresses can only be borrowed.
    pub ownerless: u128,
    /// Blocks of its size that do not decode: they may be reclaimable or not.
    pub unknown: u128,
}

impl PoolBlocks {
    /// Blocks that a new node can still get.
    pub fn free(&self) -> u128 {
        self.absent.saturating_add(self.reclaimable)
    }

    /// Blocks that are empty on the nodes that claim them, and of no use to another.
    pub fn stranded(&self) -> u128 {
        self.empty.saturating_sub(self.reclaimable)
    }
}

/// One node's blocks and addresses, by its Calico name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NodeUsage {
    /// Its Calico name.
    pub node: Name,
    /// Blocks whose own `affinity` names the node, IPv4 and IPv6.
    pub blocks: [usize; 2],
    /// Blocks in enabled pools for which it has a confirmed affinity, IPv4 and IPv6: what Calico's limit of blocks
    /// a host counts.
    pub claimed: [usize; 2],
    /// All addresses of its blocks.
    pub addresses: u128,
    /// Allocated in its blocks and not cooling, for itself or lent to other nodes.
    pub allocated: usize,
    /// Cooling in its blocks.
    pub cooling: usize,
    /// Of the allocated ones those made for another node.
    pub lent: usize,
    /// Allocated for it in blocks that are not its own.
    pub borrowed: usize,
    /// Allocated for it, wherever, and proven leaked.
    pub leaked: usize,
}

/// The usage of every pool, in the snapshot's order. `leaked`: the addresses that are proven leaked;
/// without the inputs for that proof an empty set, and [`PoolUsage::leaked`] says nothing.
pub fn pools(ledger: &Ledger<'_>, leaked: &HashSet<Addr>) -> Vec<PoolUsage> {
    ledger.snapshot.pools.iter().map(|pool| pool_usage(ledger, pool, leaked)).collect()
}

/// The usage of one pool.
pub fn pool_usage(ledger: &Ledger<'_>, pool: &Pool, leaked: &HashSet<Addr>) -> PoolUsage {
    let within = pool.cidr;
    let reserved = Spans::of(ledger.snapshot.reservations.iter().flat_map(|r| &r.cidrs).copied(), within);
    let dark = match ledger.dark.all(Input::Blocks) {
        true => Spans::of([within], within),
        false => Spans::of(ledger.dark.ranges().iter().copied(), within),
    };
    let mut usage = PoolUsage {
        name: pool.name,
        cidr: within,
        automatic: pool.assigns_automatically(),
        disabled: pool.disabled,
        addresses: within.size(),
        allocated: 0,
        in_use: 0,
        leaked: 0,
        cooling: 0,
        reserved: dark.union(&reserved).count().saturating_sub(dark.count()),
        unknown: dark.count(),
        free: 0,
        blocks: pool_blocks(ledger, pool, &reserved),
    };
    let mut is_held = ledger.is_held_in_order();
    for same in allocations_in(ledger, within).chunk_by(|a, b| a.address == b.address) {
        let Some(address) = same.first().map(|a| a.address) else { continue };
        if same.iter().all(|a| a.used_for == Use::Cooling) {
            usage.cooling += 1;
        } else {
            usage.allocated += 1;
            let (is_held, is_leaked) = (is_held(address), leaked.contains(&address));
            usage.in_use += u128::from(is_held && !is_leaked);
            usage.leaked += u128::from(is_leaked);
        }
        // What one block has is known, whatever another that overlaps it hides; and it is taken, not kept back.
        if dark.contains(address) {
            usage.unknown = usage.unknown.saturating_sub(1);
        } else if reserved.contains(address) {
            usage.reserved = usage.reserved.saturating_sub(1);
        }
    }
    let gone = [usage.allocated, usage.cooling, usage.reserved, usage.unknown];
    usage.free = gone.into_iter().fold(usage.addresses, u128::saturating_sub);
    usage
}

fn pool_blocks(ledger: &Ledger<'_>, pool: &Pool, reserved: &Spans) -> PoolBlocks {
    let slots = Slots::of(pool);
    let wholly_reserved = reserved.whole(pool.cidr.first(), slots.size);
    let mut blocks = PoolBlocks { possible: slots.possible, ..PoolBlocks::default() };
    let mut taken = 0u128;
    let mut exact: HashSet<Cidr> = HashSet::new();
    let mut empty: Vec<&Block> = Vec::new();
    for block in blocks_in(ledger, pool.cidr) {
        blocks.existing += 1;
        blocks.ownerless += u128::from(block.affinity.is_none());
        if block.cidr.prefix() != pool.block_size {
            continue;
        }
        exact.insert(block.cidr);
        if wholly_reserved.contains(block.cidr.first()) {
            continue;
        }
        taken += 1;
        if is_empty(ledger, block, reserved) {
            empty.push(block);
        }
    }
    blocks.empty = empty.len() as u128;
    blocks.reclaimable = ledger.reclaim.count(ledger.snapshot, pool, &empty) as u128;
    let hidden = ledger.dark.ranges().iter().filter(|r| r.prefix() == pool.block_size && pool.cidr.covers(**r));
    for range in hidden {
        if exact.insert(*range) && !wholly_reserved.contains(range.first()) {
            taken += 1;
            blocks.unknown += 1;
        }
    }
    let reserved_slots = wholly_reserved.count() / slots.size;
    blocks.absent = slots.possible.saturating_sub(reserved_slots).saturating_sub(taken);
    if ledger.dark.all(Input::Blocks) {
        blocks.unknown = blocks.absent;
        blocks.absent = 0;
    }
    blocks
}

/// How a pool is cut into blocks.
struct Slots {
    /// Addresses of one block.
    size: u128,
    possible: u128,
}

impl Slots {
    fn of(pool: &Pool) -> Slots {
        let width: u8 = if pool.cidr.is_v4() { 32 } else { 128 };
        let power = |bits: u8| 1u128.checked_shl(u32::from(bits)).unwrap_or(u128::MAX);
        let possible = pool.block_size.checked_sub(pool.cidr.prefix()).map_or(0, power);
        Slots { size: power(width.saturating_sub(pool.block_size)), possible }
    }
}

/// Whether a block is empty to Calico: somebody claims it, nothing in it is taken (Windows' reservations do not count,
/// an operator's own do), and some of it is not reserved.
fn is_empty(ledger: &Ledger<'_>, block: &Block, reserved: &Spans) -> bool {
    if block.affinity.is_none() {
        return false;
    }
    let names = &ledger.snapshot.names;
    let mut assignable = false;
    for ordinal in 0..block.size() {
        match block.allocation(ordinal) {
            None => {
                let address = block.cidr.nth(u128::from(ordinal));
                assignable |= address.is_some_and(|a| !reserved.contains(a));
            }
            Some(attribute) => {
                let windows = attribute.and_then(|a| a.handle).is_some_and(|h| h.is_windows(names));
                if !windows {
                    return false;
                }
            }
        }
    }
    assignable
}

/// The allocations in a range, cooling ones too.
pub fn allocations_in<'l>(ledger: &'l Ledger<'_>, range: Cidr) -> &'l [Allocation] {
    let all = &ledger.allocations;
    let start = all.partition_point(|a| a.address < range.first());
    let end = all.partition_point(|a| a.address <= range.last());
    &all[start..end.max(start)]
}

/// The judged blocks that lie wholly in a range.
pub fn blocks_in<'s>(ledger: &Ledger<'s>, range: Cidr) -> impl Iterator<Item = &'s Block> {
    let snapshot = ledger.snapshot;
    let first = |i: &u32| snapshot.blocks.get(*i as usize).map(|b| b.cidr.first());
    let start = ledger.blocks.partition_point(|i| first(i) < Some(range.first()));
    let end = ledger.blocks.partition_point(|i| first(i) <= Some(range.last()));
    let indices: Vec<u32> = ledger.blocks.get(start..end).unwrap_or_default().to_vec();
    indices.into_iter().filter_map(move |i| snapshot.blocks.get(i as usize)).filter(move |b| range.covers(b.cidr))
}

/// The usage of every node that owns, claims or uses anything in IPAM, by name. `leaked` as for [`pools`].
pub fn nodes(ledger: &Ledger<'_>, leaked: &HashSet<Addr>) -> Vec<NodeUsage> {
    let snapshot = ledger.snapshot;
    let mut nodes: HashMap<Name, NodeUsage> = HashMap::new();
    let family = |cidr: Cidr| usize::from(!cidr.is_v4());
    let owner = |block: &Block| block.affinity.filter(|h| h.kind == HostKind::Host).map(|h| h.name);
    for block in ledger.blocks() {
        if let Some(node) = owner(block) {
            let usage = entry(&mut nodes, node);
            usage.blocks[family(block.cidr)] += 1;
            usage.addresses = usage.addresses.saturating_add(block.cidr.size());
        }
    }
    for affinity in ledger.affinities() {
        let enabled = || snapshot.pools.iter().any(|p| !p.disabled && p.cidr.covers(affinity.cidr));
        if affinity.host.kind == HostKind::Host && affinity.state == AffinityState::Confirmed && enabled() {
            entry(&mut nodes, affinity.host.name).claimed[family(affinity.cidr)] += 1;
        }
    }
    for allocation in &ledger.allocations {
        let owner = owner(ledger.block_of(allocation));
        if allocation.used_for == Use::Cooling {
            if let Some(node) = owner {
                entry(&mut nodes, node).cooling += 1;
            }
            continue;
        }
        let user = ledger.owner_node(allocation);
        let own = owner == Some(user);
        if let Some(node) = owner {
            let usage = entry(&mut nodes, node);
            usage.allocated += 1;
            usage.lent += usize::from(!own);
        }
        if !user.is_none() {
            let usage = entry(&mut nodes, user);
            usage.borrowed += usize::from(!own);
            usage.leaked += usize::from(leaked.contains(&allocation.address));
        }
    }
    let mut nodes: Vec<NodeUsage> = nodes.into_values().collect();
    nodes.sort_by(|a, b| ledger.text(a.node).cmp(ledger.text(b.node)));
    nodes
}

fn entry(nodes: &mut HashMap<Name, NodeUsage>, node: Name) -> &mut NodeUsage {
    nodes.entry(node).or_insert_with(|| NodeUsage { node, ..NodeUsage::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, cidr, undecodable_block};
    use crate::ledger::ScopeFlag;
    use crate::model::{AttributeFields, HandleId, Meta, Reservation};

    fn usage(c: &mut Cluster, leaked: &[&str]) -> (PoolUsage, Vec<NodeUsage>) {
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, ScopeFlag::Auto, None);
        let leaked = leaked.iter().map(|a| a.parse().unwrap()).collect();
        (pools(&ledger, &leaked).remove(0), nodes(&ledger, &leaked))
    }

    fn reserve(c: &mut Cluster, range: &str) {
        let (name, cidrs) = (c.name("kept"), [cidr(range)].into());
        c.snapshot.reservations.push(Reservation { meta: Meta::default(), name, cidrs, created: None });
    }

    #[test]
    fn every_address_and_block_is_counted_once() {
        let mut c = Cluster::healthy();
        c.remove_pod("web-0");
        c.remove_endpoint("web-0");
        let now = c.snapshot.now;
        c.attribute_mut("10.65.0.66").released_at = Some(now);
        c.remove_pod("web-3");
        c.remove_endpoint("web-3");
        let (pool, _) = usage(&mut c, &["10.65.0.1"]);
        assert_eq!((pool.addresses, pool.allocated, pool.in_use, pool.leaked, pool.cooling), (65_536, 5, 4, 1, 1));
        assert_eq!((pool.reserved, pool.unknown, pool.free), (0, 0, 65_530));
        let blocks = PoolBlocks { possible: 1024, existing: 2, absent: 1022, ..PoolBlocks::default() };
        assert_eq!(pool.blocks.stranded(), 0);
        assert_eq!(pool.blocks, blocks);
    }

    #[test]
    fn an_address_in_two_blocks_counts_once() {
        let mut c = Cluster::healthy();
        c.block("10.65.0.0/28", Some("node-2"));
        let attribute = c.pod_attribute("k8s-pod-network.0123", "shop", "other", "node-2");
        let small = c.snapshot.blocks.len() - 1;
        c.snapshot.blocks[small].allocations[1] = Some(0);
        c.snapshot.blocks[small].attributes = [attribute.into()].into();
        let (pool, _) = usage(&mut c, &[]);
        assert_eq!((pool.allocated, pool.free, pool.blocks.existing), (6, 65_530, 3));
        assert_eq!(pool.blocks.absent, 1022, "Calico looks for blocks of the pool's own size");
    }

    #[test]
    fn reserved_addresses_and_blocks_are_not_free() {
        let mut c = Cluster::healthy();
        // node-1's block with three addresses taken, and a block that nobody has.
        reserve(&mut c, "10.65.0.0/26");
        reserve(&mut c, "10.65.4.0/25");
        let (pool, _) = usage(&mut c, &[]);
        assert_eq!((pool.reserved, pool.free), (64 - 3 + 128, 65_536 - 6 - 61 - 128));
        assert_eq!(pool.blocks.absent, 1024 - 2 - 2);
    }

    #[test]
    fn a_claimed_empty_block_can_be_taken_over_and_an_ownerless_one_cannot() {
        let mut c = Cluster::healthy();
        c.snapshot.cluster.calico_version = c.name("v3.32.0");
        c.block("10.65.1.0/26", Some("node-1"));
        c.block("10.65.1.64/26", None);
        c.block("10.65.1.128/26", Some("node-2"));
        reserve(&mut c, "10.65.1.128/26");
        c.block("10.65.1.192/26", Some("node-2"));
        let windows = HandleId::intern(&mut c.snapshot.names, "windows-reserved-ipam-handle");
        c.allocate("10.65.1.192", AttributeFields { handle: windows, ..AttributeFields::default() });
        let (pool, _) = usage(&mut c, &[]);
        assert_eq!((pool.blocks.reclaimable, pool.blocks.ownerless, pool.blocks.absent), (2, 1, 1024 - 6));
        assert_eq!(pool.blocks.free(), 1020);
        let now = c.snapshot.now;
        c.attribute_mut("10.65.1.192").released_at = Some(now);
        c.attribute_mut("10.65.1.192").handle = None;
        assert_eq!(usage(&mut c, &[]).0.blocks.reclaimable, 1, "a cooling address is not yet free");
    }

    #[test]
    fn what_does_not_decode_is_unknown() {
        let mut c = Cluster::healthy();
        c.snapshot.bad_values.push(undecodable_block("10.65.9.0/26"));
        let (pool, _) = usage(&mut c, &[]);
        assert_eq!((pool.unknown, pool.free, pool.blocks.unknown, pool.blocks.absent), (64, 65_466, 1, 1021));
    }

    #[test]
    fn a_pool_of_the_other_family_and_of_any_size() {
        let mut c = Cluster::healthy();
        c.snapshot.pools.clear();
        c.pool("wide", "fd00:65::/32");
        let (pool, _) = usage(&mut c, &[]);
        assert_eq!((pool.free, pool.blocks.absent), (1 << 96, 1 << 90));
        c.snapshot.pools[0].cidr = cidr("fd00:65::/124");
        assert_eq!(usage(&mut c, &[]).0.blocks.absent, 0, "smaller than one block");
    }

    #[test]
    fn nodes_lend_and_borrow() {
        let mut c = Cluster::healthy();
        c.workload("shop", "guest", "node-2", &["10.65.0.9"]);
        let (_, nodes) = usage(&mut c, &["10.65.0.66"]);
        let [one, two] = &nodes[..] else { unreachable!("{nodes:?}") };
        assert_eq!((one.blocks, one.claimed, one.addresses), ([1, 0], [1, 0], 64));
        assert_eq!((one.allocated, one.lent, one.borrowed, one.leaked), (4, 1, 0, 0));
        assert_eq!((two.allocated, two.lent, two.borrowed, two.leaked), (3, 0, 1, 1));
    }
}
