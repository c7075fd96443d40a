//! What IPAM believes of one address: allocated, cooling down, or free.
//!
//! For checks that argue from what IPAM does *not* have; where a block does not decode nobody knows.

use super::{Ledger, Use};
use crate::model::word::words;
use crate::model::{Addr, Block};

/// IPAM's belief.
#[derive(Clone, Copy, Debug)]
pub enum Belief<'s> {
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

/// The same in a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AddressState {
    Unknown,
    Allocated,
    Cooling,
    Free,
}

words!(AddressState { Unknown = "unknown", Allocated = "allocated", Cooling = "cooling", Free = "free" });

impl Belief<'_> {
    /// Without the place in a queue.
    pub const fn state(self) -> AddressState {
        match self {
            Belief::Unknown => AddressState::Unknown,
            Belief::Allocated => AddressState::Allocated,
            Belief::Cooling => AddressState::Cooling,
            Belief::Free(_) => AddressState::Free,
        }
    }

    /// The word in output.
    pub const fn word(self) -> &'static str {
        self.state().word()
    }
}

impl<'s> Ledger<'s> {
    /// What IPAM believes of `address`.
    pub fn belief(&self, address: Addr) -> Belief<'s> {
        if self.dark.address(address) {
            return Belief::Unknown;
        }
        let allocations = self.allocations_at(address);
        let queued = self.queue_place(address);
        if queued.is_some() || allocations.is_empty() {
            Belief::Free(queued)
        } else if allocations.iter().all(|a| a.used_for == Use::Cooling) {
            Belief::Cooling
        } else {
            Belief::Allocated
        }
    }
}
