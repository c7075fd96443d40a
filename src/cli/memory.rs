//! An audit's memory: opens the history, tells the checks of the past, records what was found.
//!
//! A history that cannot be opened or written never keeps findings from people: the trouble is told on standard error,
//! and the exit code says that the tool failed.

use std::path::Path;

use super::gather;
use super::history_args::HistoryArgs;
use super::output::{self, Streams};
use crate::checks::Outcome;
use crate::error::Error;
use crate::history::Db;
use crate::ledger::{Ledger, ScopeFlag};
use crate::model::record::{ClusterKey, Recorded};
use crate::model::{Input, InputState, Past, Snapshot};
use crate::record::{self, Course};
use crate::render::HistoryRow;

/// What an audit remembers.
#[derive(Debug, Default)]
pub struct Memory {
    db: Option<Db>,
    key: Option<ClusterKey>,
    past: Option<Past>,
    failed: bool,
    /// Another audit of this cluster was recorded while this one looked.
    overtaken: bool,
}

impl Memory {
    /// No history at all.
    pub fn none() -> Memory {
        Memory::default()
    }

    /// Opens the history that `args` mean; without one for `--no-history`, and for a capture
    /// unless `--db` stands on the command line: a capture is mostly not the newest word about its cluster.
    pub fn open(args: &HistoryArgs, from: Option<&Path>) -> Memory {
        if args.no_history || (from.is_some() && !args.named) {
            return Memory::none();
        }
        let opened = args.db.open_for_writing();
        let mut memory = Memory::none();
        match opened {
            Ok(db) => memory.db = Some(db),
            Err(error) => memory.fail(&error),
        }
        memory
    }

    /// What is known of the cluster that was read. `said`: an explicit `--scope auto` forgets that the datastore was
    /// said to be exclusive.
    pub fn recall(&mut self, snapshot: &mut Snapshot, said: Option<ScopeFlag>) {
        let coverage = &mut snapshot.coverage;
        coverage.set(Input::History, InputState::NotAsked, "");
        let Some(db) = &self.db else {
            if self.failed {
                coverage.set(Input::History, InputState::Unreachable, "the history could not be opened");
            }
            return;
        };
        self.key = record::cluster_key(snapshot);
        let Some(key) = &self.key else { return };
        match db.past(key) {
            Ok(past) => {
                snapshot.coverage.set(Input::History, InputState::Complete, "");
                self.past = Some(past);
                self.hear(said);
            }
            Err(error) => {
                snapshot.coverage.set(Input::History, InputState::Unreachable, "the history could not be read");
                self.fail(&error);
                self.db = None;
            }
        }
    }

    fn hear(&mut self, said: Option<ScopeFlag>) {
        if let (Some(past), Some(ScopeFlag::Auto)) = (&mut self.past, said) {
            past.exclusive = false;
        }
    }

    /// What the checks may know.
    pub fn past(&self) -> Option<&Past> {
        self.past.as_ref()
    }

    /// Whether another audit of this cluster was recorded while this one looked.
    pub fn is_overtaken(&self) -> bool {
        self.overtaken
    }

    /// Whether something about the history failed.
    pub fn failed(&self) -> bool {
        self.failed
    }

    /// Writes the audit; every finding learns since when it is known.
    pub fn record(&mut self, ledger: &Ledger<'_>, outcome: &mut Outcome, course: &Course) -> Option<Recorded> {
        let (Some(_), Some(_)) = (&self.db, &self.past) else { return None };
        match self.try_record(ledger, outcome, course) {
            Ok(recorded) => {
                for (finding, life) in outcome.findings.iter_mut().zip(&recorded.lives) {
                    finding.life = Some(*life);
                }
                Some(recorded)
            }
            Err(error) => {
                self.fail(&error);
                self.remember(ledger.snapshot, outcome);
                None
            }
        }
    }

    /// What can be said of the findings' lives when this audit was not recorded.
    fn remember(&self, snapshot: &Snapshot, outcome: &mut Outcome) {
        let Some(past) = &self.past else { return };
        for finding in &mut outcome.findings {
            let known = past.open.get(finding.code, finding.subject.kind, &finding.subject.id);
            finding.life = known.map(|known| known.seen_again(snapshot.now));
        }
    }

    fn try_record(&mut self, ledger: &Ledger<'_>, outcome: &Outcome, course: &Course) -> Result<Recorded, Error> {
        let (Some(db), Some(key), Some(past)) = (&mut self.db, &self.key, &self.past) else {
            return Err(Error::new("write the audit into the history"));
        };
        let mut made = record::of(ledger, outcome, past, course);
        let writing = db.begin(key)?;
        if !writing.is_current(past)? {
            // Another audit of this cluster came first: what changed is counted from there.
            self.overtaken = true;
            let past = writing.past()?;
            made = record::of(ledger, outcome, &past, course);
        }
        writing.record(&made)
    }

    /// Forgets what is older than `--keep`, at most once a day.
    pub fn forget(&mut self, args: &HistoryArgs, streams: &Streams) {
        let Some(db) = &mut self.db else { return };
        match db.prune_daily(gather::present(), args.keep) {
            Ok(Some(pruned)) => streams.verbose(&format!("history: {pruned}")),
            Ok(None) => {}
            Err(error) => self.fail(&error),
        }
    }

    fn fail(&mut self, error: &Error) {
        self.failed = true;
        output::tell(error);
    }
}

/// What the output says of it.
pub fn row(recorded: &Recorded) -> HistoryRow {
    let Recorded { new, ongoing, came_back, resolved, .. } = *recorded;
    HistoryRow { new, ongoing, came_back, resolved }
}
