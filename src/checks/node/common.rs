//! What several checks of nodes need: one node beside its datastore, what is asked of one interface, and what folds.

mod at_hand;
pub(super) mod folds;
pub mod sight;
#[cfg(test)]
pub mod testing;
pub(super) mod trouble;
