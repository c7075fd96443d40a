//! Which empty blocks somebody else can still get: that depends on Calico's version.
//!
//! From v3.32.0 an allocator that finds no unclaimed block takes an empty one from whoever claims it, though not one
//! claimed less than a minute ago. Before that only kube-controllers gives empty blocks back, and keeps a node's last
//! one; before v3.28.0 it also wants three free addresses in the blocks that the node keeps, so that small blocks are
//! never given back (projectcalico/calico#7987). A version that nobody knows counts as one before v3.32.0.

use std::time::Duration;

use super::dark::DarkRanges;
use crate::model::hash::HashMap;
use crate::model::{Affinity, AffinityState, Block, Host, HostKind, Pool, Snapshot, Version};

/// From here on the library takes over empty blocks by itself.
const TAKES_OVER: Version = Version::release(3, 32, 0);
/// From here on the collector does not count what a node has left.
const COUNTS_NO_MORE: Version = Version::release(3, 28, 0);
/// A block is left to who claimed it for so long.
const FRESH: Duration = Duration::from_secs(60);
/// So many addresses a node must keep free in its other blocks.
const KEPT_FREE: usize = 3;

/// What decides about the empty blocks of one snapshot.
#[derive(Debug, Default)]
pub(super) struct Reclaim {
    version: Option<Version>,
    /// Of the collector's time only.
    holdings: HashMap<Host, Holding>,
}

/// What one node has, over all pools and families.
#[derive(Clone, Copy, Default, Debug)]
struct Holding {
    blocks: usize,
    /// Free ordinals in all of them together.
    unallocated: usize,
    /// Another block of its may be one that does not decode: then nobody knows which one is its last.
    hidden: bool,
}

impl Reclaim {
    pub(super) fn of<'s>(
        snapshot: &'s Snapshot,
        blocks: impl Iterator<Item = &'s Block>,
        affinities: impl Iterator<Item = &'s Affinity>,
        dark: &DarkRanges,
    ) -> Reclaim {
        let version = Version::parse(snapshot.text(snapshot.cluster.calico_version));
        let mut reclaim = Reclaim { version, holdings: HashMap::new() };
        if reclaim.takes_over() {
            return reclaim;
        }
        for block in blocks {
            if let Some(host) = block.affinity {
                let holding = reclaim.holdings.entry(host).or_default();
                holding.blocks += 1;
                holding.unallocated += block.unallocated.len();
            }
        }
        let hidden = |range| dark.ranges().contains(&range);
        for affinity in affinities.filter(|a| a.state == AffinityState::Confirmed && hidden(a.cidr)) {
            reclaim.holdings.entry(affinity.host).or_default().hidden = true;
        }
        reclaim
    }

    fn takes_over(&self) -> bool {
        self.version.is_some_and(|version| version >= TAKES_OVER)
    }

    /// Whether the library takes an empty block from whoever claims it.
    pub(super) fn takes(&self, snapshot: &Snapshot, block: &Block) -> bool {
        self.takes_over() && block.claimed_at.is_none_or(|at| snapshot.now.since(at) >= FRESH)
    }

    /// How many of a pool's `empty` blocks (claimed, and nothing taken but what is reserved for Windows) another node
    /// can get.
    pub(super) fn count(&self, snapshot: &Snapshot, pool: &Pool, empty: &[&Block]) -> usize {
        if self.takes_over() {
            return empty.iter().filter(|block| self.takes(snapshot, block)).count();
        }
        let mut of_host: HashMap<Host, Vec<usize>> = HashMap::new();
        // A block that holds reservations for Windows is not given back.
        for block in empty.iter().filter(|block| block.allocated().next().is_none()) {
            if let Some(host) = block.affinity {
                of_host.entry(host).or_default().push(block.unallocated.len());
            }
        }
        of_host.into_iter().map(|(host, free)| self.given_back(pool, host, free)).sum()
    }

    /// How many of one owner's empty blocks, each with so many free addresses, the collector gives back.
    fn given_back(&self, pool: &Pool, host: Host, mut free: Vec<usize>) -> usize {
        if host.kind != HostKind::Host {
            // The collector knows nodes only. LoadBalancer addresses all have the one owner, who needs no other block.
            let its_own = pool.load_balancers && !pool.workloads && !pool.tunnels;
            return if its_own { free.len() } else { 0 };
        }
        let holding = self.holdings.get(&host).copied().unwrap_or_default();
        if holding.hidden {
            return free.len();
        }
        let counts = self.version.is_some_and(|version| version < COUNTS_NO_MORE);
        let most = free.len().min(holding.blocks.saturating_sub(1));
        if !counts {
            return most;
        }
        free.sort_unstable();
        let kept = free.iter().take(most).scan(holding.unallocated, |left, free| {
            *left = left.saturating_sub(*free);
            Some(*left)
        });
        kept.take_while(|left| *left >= KEPT_FREE).count()
    }
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::Cluster;
    use crate::ledger::capacity::pools;
    use crate::ledger::{Ledger, ScopeFlag};
    use crate::model::hash::HashSet;
    use crate::model::{AttributeFields, HandleId, Owner};

    /// A pool of eight /29 without any block, beside healthy nodes with a block of another pool each.
    fn lean(version: &str) -> Cluster {
        let mut c = Cluster::healthy();
        c.snapshot.cluster.calico_version = c.name(version);
        c.pool("lean", "10.80.0.0/26").block_size = 29;
        c
    }

    /// Claimed and empty blocks of pool `lean`, and how many of them another node can get.
    fn fates(c: &mut Cluster) -> (u128, u128) {
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, ScopeFlag::Auto, None);
        let name = c.snapshot.names.find("lean");
        let usage = pools(&ledger, &HashSet::new()).into_iter().find(|usage| Some(usage.name) == name).unwrap();
        (usage.blocks.empty, usage.blocks.reclaimable)
    }

    const OLD: [&str; 4] = ["v3.31.9", "v3.32.0-0.dev-5-gabc", "master", ""];

    #[test]
    fn the_library_takes_any_empty_block_but_one_claimed_a_moment_ago() {
        for version in ["v3.32.0", "v3.34.0-0.dev-67-g87c15906f2"] {
            let mut c = lean(version);
            c.node("node-9", "192.168.0.9");
            c.block("10.80.0.0/29", Some("node-9"));
            assert_eq!(fates(&mut c), (1, 1), "{version}: its only one");
            for (seconds, taken) in [(59, 0), (60, 1), (3_600, 1)] {
                c.block_mut("10.80.0.0/29").claimed_at = Some(c.ago(seconds));
                assert_eq!(fates(&mut c), (1, taken), "{version}: claimed {seconds} s ago");
            }
        }
    }

    #[test]
    fn before_that_a_node_keeps_its_last_block() {
        for version in OLD {
            let mut c = lean(version);
            c.node("node-9", "192.168.0.9");
            c.block("10.80.0.0/29", Some("node-9"));
            assert_eq!(fates(&mut c), (1, 0), "{version}: its only one");
            c.block("10.80.0.8/29", Some("node-9"));
            c.block("10.80.0.16/29", Some("node-9"));
            assert_eq!(fates(&mut c), (3, 2), "{version}: all of three are empty");
            // node-1 has a block of the other pool, and so this one is not its last.
            c.block("10.80.0.24/29", Some("node-1"));
            assert_eq!(fates(&mut c), (4, 3), "{version}");
        }
    }

    #[test]
    fn a_block_of_the_other_family_counts_as_well() {
        let mut c = lean("v3.29.1");
        c.node("node-9", "192.168.0.9");
        c.pool("six", "fd00:65::/64");
        c.block("10.80.0.0/29", Some("node-9"));
        c.block("fd00:65::/122", Some("node-9"));
        assert_eq!(fates(&mut c), (1, 1));
    }

    #[test]
    fn before_3_28_the_other_blocks_must_keep_three_free() {
        let small = |version: &str, taken: u32| {
            let mut c = lean(version);
            c.node("node-9", "192.168.0.9");
            c.block("10.80.0.0/29", Some("node-9"));
            c.block("10.80.0.8/29", Some("node-9"));
            for i in 0..taken {
                c.allocate(&format!("10.80.0.{i}"), AttributeFields::default());
            }
            fates(&mut c)
        };
        assert_eq!(small("v3.27.5", 5), (1, 1), "three are free in the other block");
        assert_eq!(small("v3.27.5", 6), (1, 0), "two are");
        assert_eq!(small("v3.28.0", 6), (1, 1));
        assert_eq!(small("", 6), (1, 1), "of an unknown version nobody says so");
        // Of several empty ones so many that those which stay keep enough.
        let mut c = lean("v3.20.0");
        c.snapshot.pools.iter_mut().for_each(|p| p.block_size = if p.block_size == 29 { 31 } else { p.block_size });
        c.node("node-9", "192.168.0.9");
        (0..4).for_each(|i| c.block(&format!("10.80.0.{}/31", 2 * i), Some("node-9")));
        assert_eq!(fates(&mut c), (4, 2), "two blocks of two keep four addresses, one keeps two");
    }

    #[test]
    fn what_is_reserved_for_windows_is_empty_to_the_library_and_not_to_the_collector() {
        let reserved = |version: &str, handle: &str, note: &str| {
            let mut c = lean(version);
            c.block("10.80.0.0/29", Some("node-1"));
            let (handle, note) = (HandleId::intern(&mut c.snapshot.names, handle), c.name(note));
            let owner = Owner { note, ..Owner::default() };
            c.allocate("10.80.0.0", AttributeFields { handle, owner, ..AttributeFields::default() });
            fates(&mut c)
        };
        let windows = "windows-reserved-ipam-handle";
        assert_eq!(reserved("v3.32.0", windows, "windows host rsvd"), (1, 1));
        assert_eq!(reserved("v3.31.0", windows, "windows host rsvd"), (1, 0));
        for version in ["v3.32.0", "v3.31.0"] {
            assert_eq!(reserved(version, "edge", "kept for the edge"), (0, 0), "an operator's own: not empty");
        }
    }

    #[test]
    fn a_block_that_does_not_decode_may_be_the_one_that_a_node_keeps() {
        let mut c = lean("v3.29.1");
        c.node("node-9", "192.168.0.9");
        c.block("10.80.0.0/29", Some("node-9"));
        c.dark("10.80.0.8/29");
        assert_eq!(fates(&mut c), (1, 0), "anybody's");
        let host = c.host("node-9");
        c.affinity(host, "10.80.0.8/29", crate::model::AffinityState::Confirmed);
        assert_eq!(fates(&mut c), (1, 1));
    }

    #[test]
    fn the_owner_of_services_addresses_is_no_node() {
        for (workloads, taken) in [(true, 0), (false, 1)] {
            let mut c = lean("v3.30.0");
            let pool = c.snapshot.pools.last_mut().unwrap();
            (pool.workloads, pool.tunnels, pool.load_balancers) = (workloads, workloads, true);
            let name = c.name("load-balancer");
            c.block("10.80.0.0/29", None);
            c.block_mut("10.80.0.0/29").affinity =
                Some(crate::model::Host { kind: crate::model::HostKind::Virtual, name });
            assert_eq!(fates(&mut c), (1, taken));
        }
    }
}
