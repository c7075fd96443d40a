//! What audits have observed, from the history: how often a thing was seen. What cannot be read has not been seen.

use super::record::Recorder;
use crate::checks::handles::orphaned_handle;
use crate::judge::case::Observed;
use crate::model::{AllocationTuple, Code, Observation};

impl Observed for Recorder {
    fn handle(&self, id: &str, stamp: u128) -> Option<Observation> {
        let (watch, code) = (self.watch.as_ref()?, orphaned_handle::CHECK.code);
        Observation::of(&self.ask(|tx| tx.orphan_observations(watch, code, id, stamp)).unwrap_or_default())
    }

    fn address(&self, code: Code, tuple: &AllocationTuple, node: &str) -> Option<Observation> {
        let watch = self.watch.as_ref()?;
        Observation::of(&self.ask(|tx| tx.address_observations(watch, code, tuple, node)).unwrap_or_default())
    }
}
