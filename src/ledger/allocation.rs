//! One address that IPAM has given.

use crate::model::{Addr, Use};

/// One allocated ordinal of one block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Allocation {
    pub address: Addr,
    /// Index into the snapshot's blocks.
    pub block: u32,
    pub ordinal: u32,
    pub used_for: Use,
}
