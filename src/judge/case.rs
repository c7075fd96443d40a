//! Everything that a release is judged by.

use crate::checks::World;
use crate::model::{AllocationTuple, Code, Name, Observation, Patch};
use crate::plan::circumstances::OperatorWord;

/// How often audits have seen a thing: the history, as the edge knows it. What cannot be read has not been seen.
pub trait Observed {
    /// This very orphaned handle, by its id as stored and its finding's stamp.
    fn handle(&self, id: &str, stamp: u128) -> Option<Observation>;
    /// This very allocation with this finding (leaked, awaited, nobody's) while its node (Calico's name) was Ready, or gone.
    fn address(&self, code: Code, tuple: &AllocationTuple, node: &str) -> Option<Observation>;
}

/// Two looks, the past, the operator's word: everything that is judged by.
pub struct Case<'w> {
    /// Of the second look.
    pub world: World<'w>,
    /// What the first look saw of what was read again: whose UIDs must be the same.
    pub before: &'w Patch,
    /// Kubernetes can be asked about single objects.
    pub live: bool,
    /// What audits have seen of it; the history's word.
    pub observed: &'w dyn Observed,
    pub word: &'w OperatorWord,
    /// The operator said, now or at an audit, that no other cluster uses the datastore.
    pub exclusive: bool,
}

impl<'w> Case<'w> {
    pub(super) fn text(&self, name: Name) -> &'w str {
        self.world.ledger.text(name)
    }
}
