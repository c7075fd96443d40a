//! 6xx: capacity.

mod common;

family! {
    "Capacity"
    pub mod pool_exhaustion;
    pub mod pool_out_of_blocks;
    pub mod overlapping_pools;
}
