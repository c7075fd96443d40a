//! 3xx: blocks.

pub mod invalid_block;
pub mod overlapping_blocks;
