//! What IPAM believes of one address: allocated, cooling down, or free.
//!
//! For checks that argue from what IPAM does *not* record; where a block does not decode nobody knows.

use super::{Ledger, Use};
use crate::model::{Addr, Block};

/// IPAM's belief.
#[derive(Clone, Copy, Debug)]
pub enum Recorded<'s> {
    /// A block that does not decode covers it.
    Unknown,
    /// Some block has it allocated and no free queue holds it.
    Allocated,
    /// Released and cooling down.
    Cooling,
    /// Not allocated, or in a free queue whatever this or an overlapping block has it allocated to; the block
    /// and the place in its queue (0 = next, reserved ordinals counted) where it stands in one.
    Free(Option<(&'s Block, usize)>),
}

impl Recorded<'_> {
    /// The word in output.
    pub const fn word(self) -> &'static str {
        match self {
            Recorded::Unknown => "unknown",
            Recorded::Allocated => "allocated",
            Recorded::Cooling => "cooling",
            Recorded::Free(_) => "free",
        }
    }
}

impl<'s> Ledger<'s> {
    /// What IPAM believes of `address`.
    pub fn recorded(&self, address: Addr) -> Recorded<'s> {
        if self.dark.address(address) {
            return Recorded::Unknown;
        }
        let allocations = self.allocations_at(address);
        let queued = self.queue_place(address);
        if queued.is_some() || allocations.is_empty() {
            Recorded::Free(queued)
        } else if allocations.iter().all(|a| a.used_for == Use::Cooling) {
            Recorded::Cooling
        } else {
            Recorded::Allocated
        }
    }
}
