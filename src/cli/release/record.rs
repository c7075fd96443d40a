//! What a release asks of the history: how often audits saw a thing, the intent before each write, the outcome after.

use crate::checks::handles::orphaned_handle;
use crate::cli::gather::present;
use crate::cli::history_args::DbArgs;
use crate::error::Error;
use crate::history::query::Window;
use crate::history::release::{Intent, KeyIntent, NewRelease, ReleaseRow, StepOutcome as Word, StepRow, Watch};
use crate::history::{Db, ReadTx, ToWrite};
use crate::model::keys::HANDLES;
use crate::model::record::ClusterKey;
use crate::model::{AllocationTuple, Code, Input, InputState, Observation, Past, Snapshot, SubjectKind, Time};
use crate::plan::confirm::Work;
use crate::plan::outcome::Word as Ended;
use crate::plan::transaction::{After, Change, Stored, Transaction};
use crate::plan::undo::Written;
use crate::record::cluster_key;

/// The number of the last audit; 0 where there is no history yet. What cannot be read is told when it is opened to write:
/// until then no audit is newer.
pub fn last_audit(args: &DbArgs) -> i64 {
    let db = args.open_to_read_if_there();
    db.and_then(|db| db.map_or(Ok(0), |db| db.read()?.last_audit())).unwrap_or(i64::MAX)
}

/// What became of one transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StepOutcome {
    Applied { revision: i64 },
    NotApplied,
    Refused(String),
}

/// The history, open for the releases of one pair. Where there is no file yet, none is made before something is about to
/// be written: a plan alone leaves nothing behind.
#[derive(Debug)]
pub struct Recorder {
    args: DbArgs,
    db: Option<Db<ToWrite>>,
    key: ClusterKey,
    pair: Option<i64>,
    watch: Option<Watch>,
    release: i64,
    step: i64,
}

/// Why the datastore has no name here. That it could not be read is not that it has none.
pub fn nameless(snapshot: &Snapshot) -> String {
    let coverage = &snapshot.coverage;
    match coverage.state(Input::Config) {
        InputState::Complete => "the datastore has no ClusterInformation with a GUID".to_owned(),
        state => {
            let detail = coverage.detail(Input::Config);
            let why = if detail.is_empty() { state.word() } else { detail };
            format!("its ClusterInformation, which holds the datastore's name, was not read: {why}")
        }
    }
}

impl Recorder {
    /// Opens the history, if there is one, and looks the pair up in it.
    ///
    /// # Errors
    /// A history that cannot be opened, a datastore without a name.
    pub fn open(args: &DbArgs, snapshot: &Snapshot) -> Result<Recorder, Error> {
        let no_name = || Error::input("record a release").cause(nameless(snapshot));
        let key = cluster_key(snapshot).ok_or_else(no_name)?;
        let args = args.clone();
        let mut recorder = Recorder { args, db: None, key, pair: None, watch: None, release: 0, step: 0 };
        if recorder.args.path()?.exists() {
            recorder.make()?;
        }
        Ok(recorder)
    }

    /// Opens the history, and makes it when it is absent.
    ///
    /// # Errors
    /// A history that cannot be opened or made; then nothing may be written.
    pub fn make(&mut self) -> Result<(), Error> {
        if self.db.is_none() {
            let db = self.args.open_for_writing()?;
            let tx = db.read()?;
            self.pair = tx.pair_of(&self.key)?;
            self.watch = self.pair.map(|pair| tx.watch(pair)).transpose()?;
            drop(tx);
            self.db = Some(db);
        }
        Ok(())
    }

    /// What is said where there is no history yet.
    ///
    /// # Errors
    /// No place for one is known.
    pub fn absence(&self) -> Result<Option<String>, Error> {
        let path = self.args.path()?;
        let words = || format!("there is no history at {} yet: no audit has seen anything", path.display());
        Ok(self.db.is_none().then(words))
    }

    fn db(&mut self) -> Result<&mut Db<ToWrite>, Error> {
        self.db.as_mut().ok_or_else(|| Error::own("write into the history").cause("it was not opened"))
    }

    /// What the history says; nothing where there is none yet.
    fn ask<T: Default>(&self, question: impl FnOnce(&ReadTx<'_>) -> Result<T, Error>) -> Result<T, Error> {
        self.db.as_ref().map_or_else(|| Ok(T::default()), |db| question(&db.read()?))
    }

    /// What earlier audits recorded.
    ///
    /// # Errors
    /// A history that cannot be read.
    pub fn past(&self) -> Result<Past, Error> {
        self.ask(|tx| tx.past(&self.key))
    }

    /// Whether the pair has a name, so that a release can be recorded and found again.
    pub fn knows_pair(&self) -> bool {
        self.pair.is_some() || !self.key.uids.is_empty()
    }

    /// The pair's number in the history.
    pub fn pair(&self) -> Option<i64> {
        self.pair
    }

    /// How often audits have seen this very handle orphaned, by its id as stored and the finding's stamp. What cannot be
    /// read has not been seen.
    pub fn handle(&self, id: &str, stamp: u128) -> Option<Observation> {
        let (watch, code) = (self.watch.as_ref()?, orphaned_handle::CHECK.code);
        Observation::of(&self.ask(|tx| tx.orphan_observations(watch, code, id, stamp)).unwrap_or_default())
    }

    /// How often audits have seen this very allocation with this finding (leaked, awaited) while its node (Calico's name)
    /// was Ready, or gone.
    pub fn address(&self, code: Code, tuple: &AllocationTuple, node: &str) -> Option<Observation> {
        let watch = self.watch.as_ref()?;
        Observation::of(&self.ask(|tx| tx.address_observations(watch, code, tuple, node)).unwrap_or_default())
    }

    /// Records that a release (or an undo) begins; gives its number.
    ///
    /// # Errors
    /// When it cannot be recorded; then nothing may be written.
    pub fn begin(&mut self, asked: &str, plan: &str, undoes: Option<i64>) -> Result<i64, Error> {
        let pair = match self.pair {
            Some(pair) => pair,
            None => {
                let key = self.key.clone();
                self.db()?.make_pair(&key)?
            }
        };
        self.pair = Some(pair);
        let release = NewRelease { undoes, asked: asked.to_owned(), started: present(), plan: plan.to_owned() };
        self.release = self.db()?.begin_release(pair, &release)?;
        Ok(self.release)
    }

    /// Records what is about to be written.
    ///
    /// # Errors
    /// When it cannot be recorded; then nothing may be written.
    pub fn intend(&mut self, work: &Work, transaction: &Transaction) -> Result<(), Error> {
        let keys = transaction.changes().iter().filter(|c| c.after != After::Same).map(key_intent).collect();
        let subjects = subjects(work, transaction);
        let release = self.release;
        self.step = self.db()?.intend(release, &Intent { at: present(), subjects, keys })?;
        Ok(())
    }

    /// The number of the last intent.
    pub fn last_step(&self) -> i64 {
        self.step
    }

    /// Records what became of the last intent.
    ///
    /// # Errors
    /// When it cannot be recorded; the next run then looks it up.
    pub fn settle_last(&mut self, outcome: StepOutcome) -> Result<(), Error> {
        self.settle(self.step, outcome)
    }

    /// Records what became of an earlier intent.
    ///
    /// # Errors
    /// When it cannot be recorded.
    pub fn settle(&mut self, step: i64, outcome: StepOutcome) -> Result<(), Error> {
        let (word, revision, detail) = match &outcome {
            StepOutcome::Applied { revision } => (Word::Applied, Some(*revision).filter(|r| *r > 0), ""),
            StepOutcome::NotApplied => (Word::NotApplied, None, ""),
            StepOutcome::Refused(words) => (Word::Refused, None, words.as_str()),
        };
        self.db()?.settle(step, word, revision, detail, present())
    }

    /// Records how the release ended.
    ///
    /// # Errors
    /// When it cannot be recorded.
    pub fn finish(&mut self, outcome: Ended) -> Result<(), Error> {
        self.finish_that(self.release, outcome)
    }

    /// Records how an earlier release ended.
    ///
    /// # Errors
    /// When it cannot be recorded.
    pub fn finish_that(&mut self, release: i64, outcome: Ended) -> Result<(), Error> {
        self.db()?.finish_release(release, outcome.text(), present())
    }

    /// Releases of the pair with a transaction of which nobody knows how it ended.
    ///
    /// # Errors
    /// A history that cannot be read.
    pub fn unsettled(&self) -> Result<Vec<ReleaseRow>, Error> {
        self.ask(|tx| self.pair.map_or(Ok(Vec::new()), |pair| tx.unsettled_releases(pair)))
    }

    /// All releases of the pair.
    ///
    /// # Errors
    /// A history that cannot be read.
    pub fn releases(&self) -> Result<Vec<ReleaseRow>, Error> {
        let all = Window { since: Time(i64::MIN), until: Time(i64::MAX) };
        self.ask(|tx| self.pair.map_or(Ok(Vec::new()), |pair| tx.releases(pair, all)))
    }

    /// One release, of whatever pair.
    ///
    /// # Errors
    /// A history that cannot be read.
    pub fn release(&self, id: i64) -> Result<Option<ReleaseRow>, Error> {
        self.ask(|tx| tx.release(id))
    }
}

/// All releases that a history holds, of every cluster; none without a history. Nothing but the file is asked.
///
/// # Errors
/// A history that cannot be read.
pub fn all_releases(args: &DbArgs) -> Result<Vec<ReleaseRow>, Error> {
    let path = args.path()?;
    if !path.exists() {
        return Ok(Vec::new());
    }
    let all = Window { since: Time(i64::MIN), until: Time(i64::MAX) };
    args.look(|db| {
        let mut releases = Vec::new();
        for pair in db.pairs()? {
            releases.extend(db.releases(pair.id, all)?);
        }
        releases.sort_by_key(|r| r.id);
        Ok(releases)
    })
}

fn key_intent(change: &Change) -> KeyIntent {
    KeyIntent {
        key: change.key.clone(),
        mod_revision: change.before.as_ref().map_or(0, |b| b.mod_revision),
        old: change.before.as_ref().map(|b| b.value.clone()),
        new: match &change.after {
            After::Put(value) => Some(value.clone()),
            After::Same | After::Delete => None,
        },
    }
}

/// The addresses and handles that a transaction takes away or puts back.
fn subjects(work: &Work, transaction: &Transaction) -> Vec<(SubjectKind, String)> {
    let addresses: Vec<String> = match work {
        Work::Release(target) => target.places.iter().map(|p| p.address.to_string()).collect(),
        Work::Undo(undoing) => undoing.places.iter().map(|p| p.address.to_string()).collect(),
        Work::Orphans(_) => Vec::new(),
    };
    let written = transaction.changes().iter().filter(|c| c.after != After::Same);
    let handles = written.filter_map(|c| std::str::from_utf8(c.key.strip_prefix(HANDLES.as_bytes())?).ok());
    let handles = handles.map(|id| (SubjectKind::Handle, id.to_owned()));
    addresses.into_iter().map(|a| (SubjectKind::Address, a)).chain(handles).collect()
}

/// A recorded intent as the changes that it was.
pub fn changes(step: &StepRow) -> Vec<Change> {
    let change = |key: &KeyIntent| Change {
        key: key.key.clone(),
        before: key.old.clone().map(|value| Stored { value, create_revision: 0, mod_revision: key.mod_revision }),
        after: key.new.clone().map_or(After::Delete, After::Put),
        why: String::new(),
    };
    step.intent.keys.iter().map(change).collect()
}

/// What a release wrote: the keys of each of its transactions that was done.
pub fn written(release: &ReleaseRow) -> Vec<Vec<Written>> {
    let of = |k: &KeyIntent| Written { key: k.key.clone(), before: k.old.clone(), after: k.new.clone() };
    let done = release.steps.iter().filter(|s| s.outcome == Some(Word::Applied));
    done.map(|s| s.intent.keys.iter().map(of).collect()).collect()
}
