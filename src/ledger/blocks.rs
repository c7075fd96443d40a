//! Which blocks cover an address: CIDRs nest or are apart, so the judged blocks are a forest.

use super::{Ledger, equal};
use crate::model::{Addr, Block, HandleId, Snapshot};

/// Beside each judged block the place of the next wider one that covers it. They are sorted by first address, the
/// wider first, so the widening chain of the last block that starts at or before an address holds all that cover it.
pub(super) fn wider(snapshot: &Snapshot, judged: &[u32]) -> Vec<Option<u32>> {
    let mut open: Vec<(u32, Addr)> = Vec::new();
    let mut wider = Vec::with_capacity(judged.len());
    for (&index, place) in judged.iter().zip(0u32..) {
        let Some(block) = snapshot.blocks.get(index as usize) else { continue };
        // By number alone: a network of IPv6 that begins with IPv4's numbers must not end the chain.
        while open.pop_if(|(_, last)| *last < block.cidr.first()).is_some() {}
        wider.push(open.last().map(|&(place, _)| place));
        open.push((place, block.cidr.last()));
    }
    wider
}

/// By handle, sorted, the blocks that are not judged (another spelling of their CIDR is) and name it.
pub(super) fn shadows(snapshot: &Snapshot, judged: &[u32]) -> Vec<(HandleId, u32)> {
    if judged.len() == snapshot.blocks.len() {
        return Vec::new();
    }
    let mut judged = judged.iter().peekable();
    let others = snapshot.blocks.iter().zip(0u32..).filter(|(_, index)| judged.next_if_eq(&index).is_none());
    let handles = |(block, index): (&Block, u32)| {
        let named = block.attributes.iter().filter(|attribute| attribute.released_at().is_none());
        named.filter_map(|attribute| attribute.handle).map(|id| (id, index)).collect::<Vec<_>>()
    };
    let mut shadows: Vec<(HandleId, u32)> = others.flat_map(handles).collect();
    shadows.sort_unstable();
    shadows.dedup();
    shadows
}

impl<'s> Ledger<'s> {
    /// The first block under a second, non-canonical key that names the handle.
    pub fn shadow_of(&self, handle: HandleId) -> Option<&'s Block> {
        let shadows = equal(&self.shadows, handle, |&(id, _)| id);
        shadows.first().and_then(|&(_, index)| self.snapshot.blocks.get(index as usize))
    }

    /// The blocks that cover the address, the widest first, in every spelling of their keys.
    pub fn spellings_covering(&self, address: Addr) -> Vec<&'s Block> {
        let all = &self.snapshot.blocks;
        let judged = self.blocks_covering(address).into_iter().rev();
        judged.flat_map(|block| equal(all, block.cidr, |other| other.cidr)).collect()
    }

    /// The judged blocks that cover the address, smallest first.
    pub fn blocks_covering(&self, address: Addr) -> Vec<&'s Block> {
        let all = &self.snapshot.blocks;
        let block = |place: usize| self.blocks.get(place).and_then(|&i| all.get(i as usize));
        let after = self.blocks.partition_point(|&i| all[i as usize].cidr.first() <= address);
        let mut covering = Vec::new();
        let mut place = after.checked_sub(1);
        while let Some(at) = place {
            covering.extend(block(at).filter(|b| b.cidr.contains(address)));
            place = self.wider.get(at).copied().flatten().map(|wider| wider as usize);
        }
        covering
    }

    /// Whether surely one block alone covers the address: none is left unjudged, and no other one does.
    pub fn has_one_block(&self, address: Addr) -> bool {
        self.blocks.len() == self.snapshot.blocks.len() && self.blocks_covering(address).len() == 1
    }

    /// The next-hop question of IPA120: where in which block's free queue the address stands.
    pub fn queue_place(&self, address: Addr) -> Option<(&'s Block, usize)> {
        self.blocks_covering(address).into_iter().find_map(|b| b.queue_place(address).map(|place| (b, place)))
    }
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::{Cluster, addr};
    use crate::ledger::Ledger;

    fn covering(ranges: &[&str], address: &str) -> Vec<String> {
        let mut c = Cluster::empty();
        ranges.iter().for_each(|range| c.block(range, None));
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, c.scope, None);
        ledger.blocks_covering(addr(address)).iter().map(|b| b.cidr.to_string()).collect()
    }

    #[test]
    fn every_block_that_covers_is_found_smallest_first() {
        let ranges = ["10.0.0.0/24", "10.0.0.0/26", "10.0.0.16/28", "10.0.0.64/26", "10.0.2.0/26", "fd00::/122"];
        assert_eq!(covering(&ranges, "10.0.0.20"), ["10.0.0.16/28", "10.0.0.0/26", "10.0.0.0/24"]);
        assert_eq!(covering(&ranges, "10.0.0.70"), ["10.0.0.64/26", "10.0.0.0/24"]);
        assert_eq!(covering(&ranges, "10.0.0.200"), ["10.0.0.0/24"]);
        assert_eq!(covering(&ranges, "fd00::9"), ["fd00::/122"]);
        for apart in ["10.0.1.0", "10.0.2.64", "9.255.255.255", "fd00::40"] {
            assert!(covering(&ranges, apart).is_empty(), "{apart}");
        }
    }

    /// The numbers of IPv4 lie inside `::/64`, the addresses do not.
    #[test]
    fn families_share_the_number_line_and_no_address() {
        let ranges = ["::/116", "10.0.0.0/26"];
        assert_eq!(covering(&ranges, "10.0.0.1"), ["10.0.0.0/26"]);
        assert_eq!(covering(&ranges, "::5"), ["::/116"]);
    }
}
