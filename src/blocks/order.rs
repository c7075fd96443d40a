//! In what order the blocks are told.

use std::cmp::Reverse;

use crate::model::word::words;
use crate::who::{BlockUsage, Occupant};

/// By what they are sorted: names and addresses upwards, numbers downwards.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum BlockOrder {
    #[default]
    Block,
    Pool,
    Owner,
    Allocated,
    Borrowed,
    Cooling,
    Free,
    Stranded,
    /// The worst finding first, of equals the block with most of them.
    Wrong,
}

words!(BlockOrder {
    Block = "block",
    Pool = "pool",
    Owner = "owner",
    Allocated = "allocated",
    Borrowed = "borrowed",
    Cooling = "cooling",
    Free = "free",
    Stranded = "stranded",
    Wrong = "wrong",
});

impl BlockOrder {
    /// Sorts blocks that stand by address; equals stay so.
    pub fn sort(self, blocks: &mut [BlockUsage]) {
        let by = |blocks: &mut [BlockUsage], number: fn(&BlockUsage) -> u64| {
            blocks.sort_by_key(|block| Reverse(number(block)));
        };
        match self {
            BlockOrder::Block => {}
            BlockOrder::Pool => blocks.sort_by(|a, b| a.pool.cmp(&b.pool)),
            BlockOrder::Owner => blocks.sort_by(|a, b| a.owner.cmp(&b.owner)),
            BlockOrder::Allocated => by(blocks, |block| block.count.allocated),
            BlockOrder::Borrowed => by(blocks, |block| block.count.borrowed),
            BlockOrder::Cooling => by(blocks, |block| block.count.cooling),
            BlockOrder::Free => by(blocks, |block| block.count.free),
            BlockOrder::Stranded => by(blocks, |block| block.count.stranded.unwrap_or_default()),
            BlockOrder::Wrong => {
                blocks.sort_by_key(|block| Reverse((block.wrong.first().map(|wrong| wrong.severity), block.findings)));
            }
        }
    }

    /// The same of borrowed addresses, as far as it means anything for them.
    pub fn sort_borrowed(self, addresses: &mut [Occupant]) {
        if self == BlockOrder::Owner {
            addresses.sort_by(|a, b| a.allocation.affinity.cmp(&b.allocation.affinity));
        }
    }
}
