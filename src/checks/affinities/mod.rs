//! 4xx: affinities and nodes.

mod common;

family! {
    "Affinities and nodes"
    pub mod affinity_conflict;
    pub mod affinity_block_mismatch;
    pub mod affinity_pending_stuck;
    pub mod affinity_deletion_stuck;
    pub mod affinity_without_block;
    pub mod node_gone;
    pub mod borrowed_under_strict_affinity;
    pub mod too_many_blocks;
    pub mod stale_calico_node;
    pub mod node_without_calico_node;
}
