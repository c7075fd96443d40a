//! 3xx: blocks.

mod common;

family! {
    "Blocks"
    pub mod invalid_block;
    pub mod overlapping_blocks;
    pub mod block_outside_pools;
    pub mod block_size_mismatch;
    pub mod ownerless_block;
    pub mod sequence_broken;
    pub mod non_canonical_key;
}
