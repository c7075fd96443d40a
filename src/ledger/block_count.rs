//! What one block has: how many of its addresses are taken, lent to other nodes, cooling, kept back and free, and how many
//! of the free ones nobody can take.
//!
//! A block's free addresses go to its owner first: a node hands them out when it has an affinity for the block and the
//! block names it. Whoever has no block left borrows from any block of a pool's own size, unless strict affinity is on; and
//! from Calico v3.32 takes an empty block over. Where none of these ways is open, free addresses are stranded. Nothing here
//! looks at selectors: whether a pool's selector leaves its owner out, Calico itself finds out by giving the block back.

use serde::Serialize;

use super::capacity::allocations_in;
use super::spans::Spans;
use super::{Allocation, Ledger, Standing, Use};
use crate::model::word::words;
use crate::model::{Block, Cidr, HostKind, Input, Name, Pool, keys};

/// One block's addresses. All but `borrowed` (a part of `allocated`) and `stranded` (a part of `free`) together are its size.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct BlockCount {
    /// Not counting cooling ones.
    pub allocated: u64,
    /// Of the allocated ones those of another node than the block's owner.
    pub borrowed: u64,
    /// Released, not yet free.
    pub cooling: u64,
    /// Not taken, and in an IPReservation: never handed out automatically.
    pub reserved: u64,
    pub free: u64,
    /// Of the free ones those that nobody can take; `None`: what decides it was not read.
    pub stranded: Option<u64>,
    /// Why, where any is.
    #[serde(rename = "stranded_because")]
    pub because: Option<Stranding>,
}

/// Why nobody can take a free address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Stranding {
    /// No pool covers the block.
    NoPool,
    /// Every pool that covers it is disabled.
    PoolDisabled,
    /// Every pool that covers it is disabled or being deleted.
    PoolDeleting,
    /// The block names no owner, and nobody may borrow from it.
    NoOwner,
    /// The owner's node is gone, and nobody else may have it.
    OwnerGone,
    /// The owner has no affinity for it, so it does not look there, and nobody else may have it.
    NoAffinity,
    /// In no free queue although nothing has it (a damaged block).
    NotQueued,
}

words!(Stranding {
    NoPool = "no-pool",
    PoolDisabled = "pool-disabled",
    PoolDeleting = "pool-deleting",
    NoOwner = "no-owner",
    OwnerGone = "owner-gone",
    NoAffinity = "no-affinity",
    NotQueued = "not-queued",
});

/// Who can take a block's free addresses.
enum Taker {
    Somebody,
    Nobody(Stranding),
    Unknown,
}

impl<'s> Ledger<'s> {
    /// The pool in which Calico's release by address looks for a block: of all that cover it, enabled or not, the first
    /// by name (`getPoolForIP` over the list as etcd sorts it). Several cover it only where pools overlap (IPA603).
    pub fn pool_of(&self, cidr: Cidr) -> Option<&'s Pool> {
        let pools = self.snapshot.pools.iter().filter(|pool| pool.cidr.covers(cidr));
        pools.min_by_key(|pool| self.text(pool.name))
    }

    /// The node whose addresses are not borrowed in a block, by its Calico name; none of a virtual owner's block.
    pub fn host_of(&self, block: &Block) -> Option<Name> {
        block.affinity.filter(|owner| owner.kind == HostKind::Host).map(|owner| owner.name)
    }

    /// Whether another node than the block's owner uses it. Of an address that names no node nobody can say, and a block
    /// without owner lends nothing.
    pub fn is_borrowed(&self, allocation: &Allocation) -> bool {
        let user = self.owner_node(allocation);
        let owner = self.host_of(self.block_of(allocation));
        allocation.used_for != Use::Cooling && !user.is_none() && owner.is_some_and(|owner| owner != user)
    }

    /// What one block itself has allocated, by address, cooling ones too.
    pub fn allocations_of_block(&self, block: &Block) -> impl Iterator<Item = &Allocation> {
        let of = block.cidr;
        allocations_in(self, of).iter().filter(move |allocation| self.block_of(allocation).cidr == of)
    }

    /// Counts the addresses of one block.
    pub fn count_block(&self, block: &Block) -> BlockCount {
        let mut count = BlockCount::default();
        let kept = match self.reserved.is_empty() {
            true => Spans::default(),
            false => Spans::of(self.snapshot.reservations.iter().flat_map(|r| &r.cidrs).copied(), block.cidr),
        };
        count.reserved = u64::try_from(kept.count()).unwrap_or(u64::MAX);
        for allocation in self.allocations_of_block(block) {
            match allocation.used_for {
                Use::Cooling => count.cooling += 1,
                _ => count.allocated += 1,
            }
            count.borrowed += u64::from(self.is_borrowed(allocation));
            if kept.contains(allocation.address) {
                count.reserved = count.reserved.saturating_sub(1);
            }
        }
        let gone = [count.allocated, count.cooling, count.reserved];
        count.free = gone.into_iter().fold(u64::from(block.size()), u64::saturating_sub);
        (count.stranded, count.because) = match self.taker(block) {
            _ if count.free == 0 => (Some(0), None),
            Taker::Unknown => (None, None),
            Taker::Nobody(why) => (Some(count.free), Some(why)),
            Taker::Somebody => {
                let lost = count.free.saturating_sub(queued(block, &kept));
                (Some(lost), (lost > 0).then_some(Stranding::NotQueued))
            }
        };
        count
    }

    fn taker(&self, block: &Block) -> Taker {
        let snapshot = self.snapshot;
        let known = snapshot.coverage.complete(Input::Pools) && !snapshot.is_undecodable_under(keys::POOLS);
        let around: Vec<&Pool> = snapshot.pools.iter().filter(|pool| pool.cidr.covers(block.cidr)).collect();
        let mut open = around.iter().filter(|pool| !pool.disabled && pool.deleting.is_none()).peekable();
        if open.peek().is_none() {
            return match around.as_slice() {
                // What was not read may cover it.
                _ if !known => Taker::Unknown,
                [] => Taker::Nobody(Stranding::NoPool),
                pools if pools.iter().all(|pool| pool.deleting.is_none()) => Taker::Nobody(Stranding::PoolDisabled),
                _ => Taker::Nobody(Stranding::PoolDeleting),
            };
        }
        let Some(why) = self.keeps_owner_away(block) else { return Taker::Somebody };
        // Whoever borrows, or takes over, looks where blocks of the pool's size are.
        let is_looked_at = open.any(|pool| pool.block_size == block.cidr.prefix());
        match snapshot.strict_affinity() {
            _ if is_looked_at && self.is_for_the_taking(block) => Taker::Somebody,
            Some(false) if is_looked_at => Taker::Somebody,
            None if is_looked_at => Taker::Unknown,
            _ => Taker::Nobody(why),
        }
    }

    /// Whether any node takes this block over as soon as it needs one: somebody claims it, and nothing is in it.
    fn is_for_the_taking(&self, block: &Block) -> bool {
        let empty = block.affinity.is_some() && block.is_empty(&self.snapshot.names);
        empty && self.reclaim.takes(self.snapshot, block)
    }

    /// Why a block's owner does not hand out its addresses, where that is known.
    fn keeps_owner_away(&self, block: &Block) -> Option<Stranding> {
        let Some(owner) = block.affinity else { return Some(Stranding::NoOwner) };
        if owner.kind == HostKind::Host && self.scope.standing(owner.name) == Standing::Departed {
            return Some(Stranding::OwnerGone);
        }
        let read = self.snapshot.coverage.complete(Input::Affinities) && !self.dark.affinity(block.cidr);
        let claims = self.affinities_for(block.cidr).any(|affinity| affinity.host == owner);
        (read && !claims).then_some(Stranding::NoAffinity)
    }
}

/// How many addresses of a block its free queue holds that are free indeed.
fn queued(block: &Block, kept: &Spans) -> u64 {
    let is_free = |ordinal: &u32| {
        let address = block.cidr.nth(u128::from(*ordinal));
        block.allocation(*ordinal).is_none() && address.is_some_and(|address| !kept.contains(address))
    };
    let mut ordinals: Vec<u32> = block.unallocated.iter().filter_map(|&ordinal| u32::try_from(ordinal).ok()).collect();
    ordinals.sort_unstable();
    ordinals.dedup();
    ordinals.iter().filter(|ordinal| is_free(ordinal)).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, cidr};
    use crate::ledger::ScopeFlag;
    use crate::model::{AffinityState, AttributeFields, InputState};

    const OWN: &str = "10.65.0.0/26";
    const EMPTY: &str = "10.65.1.0/26";

    fn count(c: &mut Cluster, range: &str) -> BlockCount {
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, ScopeFlag::Exclusive, None);
        ledger.count_block(ledger.block(cidr(range)).unwrap())
    }

    fn stranded(c: &mut Cluster, range: &str) -> (Option<u64>, Option<Stranding>) {
        let count = count(c, range);
        (count.stranded, count.because)
    }

    #[test]
    fn every_address_is_counted_once() {
        let mut c = Cluster::healthy();
        c.workload("shop", "guest", "node-2", &["10.65.0.9"]);
        let now = c.snapshot.now;
        c.attribute_mut("10.65.0.1").released_at = Some(now);
        // Three of the eight are taken or cooling.
        c.reservation("kept", &["10.65.0.0/29", "10.65.9.0/26"]);
        let count = count(&mut c, OWN);
        assert_eq!((count.allocated, count.borrowed, count.cooling), (3, 1, 1));
        assert_eq!((count.reserved, count.free), (5, 55));
        assert_eq!((count.stranded, count.because), (Some(0), None));
    }

    #[test]
    fn a_block_in_a_pool_that_gives_nothing_is_stranded_whoever_has_it() {
        let mut c = Cluster::healthy();
        c.snapshot.pools[0].manual = true;
        assert_eq!(stranded(&mut c, OWN), (Some(0), None), "who asks for the pool has it");
        c.snapshot.pools[0].disabled = true;
        assert_eq!(stranded(&mut c, OWN), (Some(61), Some(Stranding::PoolDisabled)));
        c.snapshot.pools[0].disabled = false;
        c.snapshot.pools[0].deleting = Some(c.snapshot.now);
        assert_eq!(stranded(&mut c, OWN), (Some(61), Some(Stranding::PoolDeleting)));
        c.snapshot.pools.clear();
        assert_eq!(stranded(&mut c, OWN), (Some(61), Some(Stranding::NoPool)));
        c.snapshot.coverage.set(Input::Pools, InputState::Forbidden, "");
        assert_eq!(stranded(&mut c, OWN), (None, None), "what was not read may cover it");
    }

    #[test]
    fn without_an_owner_that_takes_them_borrowers_do_unless_it_is_forbidden() {
        let without_owner = |c: &mut Cluster| c.block(EMPTY, None);
        let of_a_node_that_is_gone = |c: &mut Cluster| c.block(EMPTY, Some("node-9"));
        let without_affinity = |c: &mut Cluster| {
            c.block(EMPTY, Some("node-1"));
            c.snapshot.affinities.retain(|a| a.cidr != cidr(EMPTY));
        };
        type Make = fn(&mut Cluster);
        let cases: [(Make, Stranding); 3] = [
            (without_owner, Stranding::NoOwner),
            (of_a_node_that_is_gone, Stranding::OwnerGone),
            (without_affinity, Stranding::NoAffinity),
        ];
        for (make, why) in cases {
            let mut c = Cluster::healthy();
            make(&mut c);
            assert_eq!(stranded(&mut c, EMPTY), (Some(0), None), "{why:?}: anybody may borrow");
            c.snapshot.ipam_config.strict_affinity = true;
            assert_eq!(stranded(&mut c, EMPTY), (Some(64), Some(why)));
            c.snapshot.coverage.set(Input::Config, InputState::Forbidden, "");
            assert_eq!(stranded(&mut c, EMPTY), (None, None), "{why:?}: nobody knows whether it is on");
            // Borrowers look for blocks of the pool's size.
            c.snapshot.coverage.set(Input::Config, InputState::Complete, "");
            c.snapshot.ipam_config.strict_affinity = false;
            c.snapshot.pools[0].block_size = 28;
            assert_eq!(stranded(&mut c, EMPTY), (Some(64), Some(why)));
        }
    }

    #[test]
    fn an_owner_takes_them_under_strict_affinity_too() {
        let mut c = Cluster::healthy();
        c.snapshot.ipam_config.strict_affinity = true;
        c.snapshot.pools[0].block_size = 28;
        assert_eq!(stranded(&mut c, OWN), (Some(0), None));
        c.snapshot.affinities.iter_mut().for_each(|a| a.state = AffinityState::Pending);
        assert_eq!(stranded(&mut c, OWN), (Some(0), None), "a claim under way");
        c.snapshot.affinities.clear();
        c.snapshot.coverage.set(Input::Affinities, InputState::Unreachable, "");
        assert_eq!(stranded(&mut c, OWN), (Some(0), None), "nobody knows that it has none");
    }

    /// From v3.32 any node takes an empty block from whoever claims it.
    #[test]
    fn an_empty_block_of_a_node_that_is_gone_can_be_taken_over() {
        let mut c = Cluster::healthy();
        c.block(EMPTY, Some("node-9"));
        c.snapshot.ipam_config.strict_affinity = true;
        for (version, wanted) in [("v3.31.0", Some(64)), ("v3.32.0", Some(0))] {
            c.snapshot.cluster.calico_version = c.name(version);
            assert_eq!(stranded(&mut c, EMPTY).0, wanted, "{version}");
        }
        c.allocate("10.65.1.1", AttributeFields::default());
        assert_eq!(stranded(&mut c, EMPTY), (Some(63), Some(Stranding::OwnerGone)), "not an empty one");
    }

    #[test]
    fn what_no_queue_holds_is_nobodys() {
        let mut c = Cluster::healthy();
        let block = c.block_mut(OWN);
        block.unallocated = block.unallocated.iter().copied().filter(|o| *o < 60).chain([59, 500, -1]).collect();
        assert_eq!(stranded(&mut c, OWN), (Some(4), Some(Stranding::NotQueued)));
    }
}
