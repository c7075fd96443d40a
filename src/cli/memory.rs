//! An audit's memory: opens the history, tells the checks of the past, records what was found.
//!
//! A history that cannot be opened or written never keeps findings from people: the trouble is told on standard error,
//! and the exit code says that the tool failed.

use std::path::Path;
use std::time::Duration;

use super::changes::Earlier;
use super::gather;
use super::history_args::HistoryArgs;
use super::journal::observed::Observations;
use super::output::{self, Streams};
use super::recall::{self, PastReading, Recalled, UnreadRows, WantedPast};
use crate::checks::Outcome;
use crate::error::{Error, chain};
use crate::history::query::NameOf;
use crate::history::{Db, Stale, ToWrite};
use crate::judge::ages::{self, Age};
use crate::ledger::{Ledger, ScopeFlag};
use crate::model::prints::KeysPrint;
use crate::model::record::Recorded;
use crate::model::row::FailedAudit;
use crate::model::{Foreign, InputState, Past, Snapshot, Time};
use crate::record::{self, AuditCourse};
use crate::render::HistoryRow;

/// What an audit remembers.
#[derive(Debug, Default)]
pub struct Memory {
    db: Option<Db<ToWrite>>,
    /// Gone once the audit has been recorded.
    past: Option<Past>,
    failed: bool,
    /// The last audit of the file when this one began to look; none while nobody looks at a living cluster.
    began_after: Option<i64>,
    /// Another audit of this cluster was recorded while this one looked.
    overtaken: Overtaken,
    /// How long another one that writes is waited for.
    patience: Duration,
    /// What of the past was not read, because it did not change.
    unread: Option<UnreadRows>,
    reading: Option<PastReading>,
    /// Why nothing was left for the next audit.
    unleft: Option<Error>,
    /// The fingerprint of the keys that were recorded.
    keys: Option<KeysPrint>,
}

/// What another audit of this cluster, recorded while this one looked, means for this one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Overtaken {
    #[default]
    No,
    /// It saw the datastore no later than this one: this one goes on from there.
    Earlier,
    /// It saw the datastore at a later revision, and is the last word: this one is told, and not recorded. Else what came
    /// meanwhile would end with it, and what is compared with it would look like a restored backup.
    Later,
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
        let mut memory = Memory { patience: args.db.patience(), ..Memory::none() };
        match opened {
            Ok(db) => memory.db = Some(db),
            Err(error) => memory.fail(&error),
        }
        memory
    }

    /// What is known of the last audit's read; nothing where everything is wanted.
    pub fn earlier(args: &HistoryArgs) -> Earlier {
        match args.db.path() {
            _ if args.full => Earlier::None("--full"),
            Ok(db) if !args.no_history => Earlier::Beside(db),
            _ => Earlier::None("no history"),
        }
    }

    /// Before a living cluster is looked at: whatever is recorded from here on is of another audit at the same time.
    pub fn begin(&mut self) {
        self.began_after = self.db.as_ref().and_then(|db| db.read().and_then(|tx| tx.last_audit()).ok());
    }

    /// What is known of the cluster that was read. `said`: an explicit `--scope auto` forgets that the datastore was
    /// said to be exclusive.
    pub fn recall(&mut self, snapshot: &mut Snapshot, said: Option<ScopeFlag>, wanted: WantedPast<'_>) {
        snapshot.note_history(InputState::NotAsked, "");
        let Some(db) = &self.db else {
            if self.failed {
                snapshot.note_history(InputState::Unreachable, "the history could not be opened");
            }
            return;
        };
        let Some(key) = record::cluster_key(snapshot) else { return };
        match recall::recall(db, self.patience, &key, snapshot, wanted) {
            Ok(Recalled { mut past, unread, reading }) => {
                (self.unread, self.reading) = (unread, Some(reading));
                snapshot.note_past(&past);
                if self.began_after.is_some_and(|last| past.last.audit > last) {
                    self.overtaken = overtaken(&past, snapshot);
                }
                // Of a later state of the datastore than the one that was read, nothing can be said by comparing the two.
                if self.overtaken == Overtaken::Later {
                    past.etcd = None;
                    past.block_sequences.clear();
                }
                past.exclusive &= said != Some(ScopeFlag::Auto);
                self.past = Some(past);
            }
            Err(error) => {
                snapshot.note_history(InputState::Unreachable, "the history could not be read");
                self.fail(&error);
                self.db = None;
            }
        }
    }

    /// What the checks may know.
    pub fn past(&self) -> Option<&Past> {
        self.past.as_ref()
    }

    /// Tells how the past was read, and why nothing is left for the next audit, if that failed.
    pub fn tell(&self, streams: &Streams) {
        self.reading.iter().for_each(|reading| streams.verbose(&reading.sentence()));
        self.unleft.iter().for_each(|error| streams.note(&chain(error)));
    }

    /// The fingerprint of the keys that were recorded; `None`: not of all that there are, or not known.
    pub fn keys_print(&self) -> Option<KeysPrint> {
        self.keys
    }

    /// Whether another audit of this cluster was recorded while this one looked, and what that means.
    pub fn overtaken(&self) -> Overtaken {
        self.overtaken
    }

    /// Whether what is looked at lives: a capture is of a time that is over.
    pub fn is_of_a_living_cluster(&self) -> bool {
        self.began_after.is_some()
    }

    /// The names of this kind that any audit of this cluster has seen; `None` when the history cannot say.
    pub fn names(&mut self, snapshot: &Snapshot, of: NameOf) -> Option<Vec<Foreign>> {
        let (Some(db), Some(key)) = (&self.db, record::cluster_key(snapshot)) else {
            return (!self.failed).then(Vec::new);
        };
        let asked = db.read().and_then(|tx| tx.pair_of(&key)?.map_or(Ok(Vec::new()), |pair| tx.names(pair, of)));
        asked.map_err(|error| self.fail(&error)).ok()
    }

    /// Whether something about the history failed.
    pub fn failed(&self) -> bool {
        self.failed
    }

    /// Writes the audit; every finding learns since when it is known.
    pub fn record(&mut self, ledger: &Ledger<'_>, outcome: &mut Outcome, course: &AuditCourse) -> Option<Recorded> {
        let past = self.past.take()?;
        self.db.as_ref()?;
        // What can be said of the findings' lives when this audit is not recorded.
        for finding in &mut outcome.findings {
            let known = past.open.of(finding);
            finding.set_life(known.map(|known| known.seen_again(ledger.snapshot.now)));
        }
        let written = self.try_record(ledger, outcome, past, course);
        let recorded = written.unwrap_or_else(|error| {
            self.fail(&error);
            None
        })?;
        for (finding, life) in outcome.findings.iter_mut().zip(&recorded.lives) {
            finding.set_life(Some(*life));
        }
        Some(recorded)
    }

    /// `None`: a later look was recorded first.
    fn try_record(
        &mut self,
        ledger: &Ledger<'_>,
        outcome: &Outcome,
        mut past: Past,
        course: &AuditCourse,
    ) -> Result<Option<Recorded>, Error> {
        let unread = self.unread.take();
        if let Some(error) = unread.as_ref().and_then(UnreadRows::take_failure) {
            return Err(error);
        }
        let Some(db) = self.db.as_mut().filter(|_| self.overtaken != Overtaken::Later) else { return Ok(None) };
        let prints = recall::prints(ledger, unread.as_ref());
        if let (Some(unread), Some(now), Some(reading)) = (&unread, &prints, &mut self.reading)
            && !unread.put_into(&mut past, now, db, reading)?
        {
            past = db.read()?.past(&past.last.key)?;
            self.overtaken = overtaken(&past, ledger.snapshot);
            if self.began_after.is_some() && self.overtaken == Overtaken::Later {
                return Ok(None);
            }
        }
        let prints = prints.filter(|_| record::is_all_recorded(ledger));
        let mut made = record::of(ledger, outcome, past, course);
        let mut writing = db.begin()?;
        let recorded = loop {
            let Stale { writing: locked, past } = match writing.record(made)? {
                Ok(recorded) => break recorded,
                Err(stale) => stale,
            };
            // Another audit of this cluster came first: what changed is counted from there.
            self.overtaken = overtaken(&past, ledger.snapshot);
            if self.began_after.is_some() && self.overtaken == Overtaken::Later {
                return Ok(None);
            }
            (writing, made) = (locked, record::of(ledger, outcome, past, course));
        };
        self.keys = prints.as_ref().map(|prints| prints.keys);
        let left = prints.map_or(Ok(()), |prints| recall::leave(db, recorded.id, prints, unread));
        self.unleft = left.err();
        Ok(Some(recorded))
    }

    /// How old what findings advise to release is, by the history as this audit has left it; `None` of all without one.
    pub fn ages(&mut self, ledger: &Ledger<'_>, outcome: &Outcome) -> Vec<Age> {
        let key = record::cluster_key(ledger.snapshot);
        let asked = self.db.as_ref().zip(key).map(|(db, key)| {
            let tx = db.read()?;
            Ok(ages::of(ledger, &outcome.findings, Some(&Observations::of(&tx, &key, ledger.snapshot.now)?)))
        });
        let ages = asked.and_then(|asked: Result<_, Error>| asked.map_err(|error| self.fail(&error)).ok());
        ages.unwrap_or_else(|| ages::of(ledger, &outcome.findings, None))
    }

    /// Records that an audit saw nothing of the datastore.
    pub fn record_failure(&mut self, audit: &FailedAudit, uids: &[String]) {
        if let Some(Err(error)) = self.db.as_mut().map(|db| db.record_failed(audit, uids)) {
            self.fail(&error);
        }
    }

    /// The same of one that ended before it could look, in a history that is there.
    pub fn note_end(args: &HistoryArgs, now: Option<Time>, error: &Error) {
        if args.no_history || !args.db.path().is_ok_and(|path| path.exists()) {
            return;
        }
        let started = gather::present();
        let mut memory = Memory::open(args, None);
        memory.record_failure(&failed_audit(now.unwrap_or(started), started, chain(error).into()), &[]);
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
        output::tell(error, None);
    }
}

/// The row of an audit that failed.
pub fn failed_audit(at: Time, started: Time, why: Foreign) -> FailedAudit {
    FailedAudit { at, started, tool: env!("CARGO_PKG_VERSION").into(), why }
}

/// How the look of an audit that was recorded meanwhile stands to this one. In another cluster of etcd revisions mean
/// something else, and a datastore that was replaced meanwhile is for the audits to come.
fn overtaken(past: &Past, snapshot: &Snapshot) -> Overtaken {
    if past.is_of_a_later_look(&snapshot.etcd) { Overtaken::Later } else { Overtaken::Earlier }
}

/// What the output says of it.
pub fn row(recorded: &Recorded) -> HistoryRow {
    let Recorded { new, ongoing, came_back, resolved, .. } = *recorded;
    HistoryRow { new, ongoing, came_back, resolved }
}
