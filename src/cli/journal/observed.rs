//! What audits have observed, from the history: how often a thing was seen. What cannot be read has not been seen.

use super::record::Recorder;
use crate::checks::handles::orphaned_handle;
use crate::error::Error;
use crate::history::ReadTx;
use crate::history::release::Watch;
use crate::judge::case::Observed;
use crate::model::record::ClusterKey;
use crate::model::{AllocationTuple, Code, Observation, Time};

/// The history of one pair as it is now.
#[derive(Debug)]
pub struct Observations<'d> {
    tx: &'d ReadTx<'d>,
    /// `None`: the history does not have the pair.
    watch: Option<Watch>,
}

impl<'d> Observations<'d> {
    /// Of the pair of these names, as of `now`.
    ///
    /// # Errors
    /// A history that cannot be read.
    pub fn of(tx: &'d ReadTx<'d>, key: &ClusterKey, now: Time) -> Result<Observations<'d>, Error> {
        let watch = tx.pair_of(key)?.map(|pair| tx.watch(pair, now)).transpose()?;
        Ok(Observations { tx, watch })
    }
}

impl Observed for Observations<'_> {
    fn handle(&self, id: &str, stamp: u128) -> Option<Observation> {
        self.tx.orphan_observations(self.watch.as_ref()?, orphaned_handle::CHECK.code, id, stamp).ok()?
    }

    fn address(&self, code: Code, tuple: &AllocationTuple, node: &str) -> Option<Observation> {
        self.tx.address_observations(self.watch.as_ref()?, code, tuple, node).ok()?
    }
}

impl Observed for Recorder {
    fn handle(&self, id: &str, stamp: u128) -> Option<Observation> {
        let (watch, code) = (self.watch.as_ref()?, orphaned_handle::CHECK.code);
        self.ask(|tx| tx.orphan_observations(watch, code, id, stamp)).ok()?
    }

    fn address(&self, code: Code, tuple: &AllocationTuple, node: &str) -> Option<Observation> {
        let watch = self.watch.as_ref()?;
        self.ask(|tx| tx.address_observations(watch, code, tuple, node)).ok()?
    }
}
