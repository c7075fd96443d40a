//! What a release records: the intent before each write, the outcome after it; and what earlier runs have recorded.

use crate::cli::gather::present;
use crate::cli::history_args::DbArgs;
use crate::error::Error;
use crate::exit::Conclusion;
use crate::history::query::Window;
use crate::history::release::Watch;
use crate::history::{Db, ReadTx, ToWrite};
use crate::judge::gates::nameless;
use crate::judge::undo::PastWrites;
use crate::model::keys::HANDLES;
use crate::model::record::ClusterKey;
use crate::model::release::{Intent, KeyIntent, NewRelease, ReleaseRow, StepOutcome, StepRow};
use crate::model::{Addr, Foreign, Past, Snapshot, SubjectKind};
use crate::plan::circumstances::Nameless;
use crate::plan::confirm::Work;
use crate::plan::transaction::{After, Change, StoredKey, Transaction};
use crate::plan::undo::Written;
use crate::record::cluster_key;
use crate::render::release::words;

/// The number of the last audit; 0 where there is no history yet. What cannot be read is told when it is opened to write:
/// until then no audit is newer.
pub fn last_audit(args: &DbArgs) -> i64 {
    let db = args.open_to_read_if_there();
    db.and_then(|db| db.map_or(Ok(0), |db| db.read()?.last_audit())).unwrap_or(i64::MAX)
}

/// The history, open for the releases of one pair. Where there is no file yet, none is made before something is about to
/// be written: a plan alone leaves nothing behind. Every function fails as the file does, and then nothing may be written.
#[derive(Debug)]
pub struct Recorder {
    args: DbArgs,
    db: Option<Db<ToWrite>>,
    key: ClusterKey,
    pair: Option<i64>,
    pub(super) watch: Option<Watch>,
    release: i64,
}

impl Recorder {
    /// Opens the history, if there is one, and looks the pair up in it.
    ///
    /// # Errors
    /// A history that cannot be opened, a datastore without a name.
    pub fn open(args: &DbArgs, snapshot: &Snapshot) -> Result<Recorder, Error> {
        let why = || words::nameless(&nameless(snapshot).unwrap_or(Nameless::NoGuid));
        let key = cluster_key(snapshot).ok_or_else(|| Error::input("record a release").cause(why()))?;
        let mut recorder = Recorder { args: args.clone(), db: None, key, pair: None, watch: None, release: 0 };
        if recorder.args.path()?.exists() {
            recorder.make()?;
        }
        Ok(recorder)
    }

    /// Opens the history, and makes it when it is absent.
    pub fn make(&mut self) -> Result<(), Error> {
        if self.db.is_none() {
            let db = self.args.open_for_writing()?;
            let tx = db.read()?;
            self.pair = tx.pair_of(&self.key)?;
            self.watch = self.pair.map(|pair| tx.watch(pair, present())).transpose()?;
            drop(tx);
            self.db = Some(db);
        }
        Ok(())
    }

    /// Where the history would be, when there is none yet.
    pub fn absence(&self) -> Result<Option<String>, Error> {
        let path = self.args.path()?;
        Ok(self.db.is_none().then(|| path.display().to_string()))
    }

    fn db(&mut self) -> Result<&mut Db<ToWrite>, Error> {
        self.db.as_mut().ok_or_else(|| Error::own("write into the history").cause("it was not opened"))
    }

    /// What the history says; nothing where there is none yet.
    pub(super) fn ask<T: Default>(&self, question: impl FnOnce(&ReadTx<'_>) -> Result<T, Error>) -> Result<T, Error> {
        self.db.as_ref().map_or_else(|| Ok(T::default()), |db| question(&db.read()?))
    }

    /// What earlier audits recorded.
    pub fn past(&self) -> Result<Past, Error> {
        self.ask(|tx| tx.past(&self.key))
    }

    /// Whether the pair has a name, so that a release can be recorded and found again.
    pub fn knows_pair(&self) -> bool {
        self.pair.is_some() || !self.key.uids.is_empty()
    }

    /// Records that a release (or an undo) begins; gives its number.
    pub fn begin(&mut self, asked: &str, plan: &str, undoes: Option<i64>) -> Result<i64, Error> {
        let key = self.key.clone();
        let pair = self.pair.map_or_else(|| self.db()?.make_pair(&key), Ok)?;
        self.pair = Some(pair);
        let release = NewRelease { undoes, asked: asked.to_owned(), started: present(), plan: plan.to_owned() };
        self.release = self.db()?.begin_release(pair, &release)?;
        Ok(self.release)
    }

    /// Records what is about to be written; gives the step's number.
    pub fn intend(&mut self, work: &Work, transaction: &Transaction) -> Result<i64, Error> {
        let keys = transaction.changes().iter().filter(|c| c.after != After::Same).map(key_intent).collect();
        let subjects = subjects(work, transaction);
        let release = self.release;
        self.db()?.intend(release, &Intent { subjects, keys }, present())
    }

    /// Records what became of an intent: etcd's revision where it is known (else 0), and a refusal's words.
    pub fn settle(&mut self, step: i64, outcome: StepOutcome, revision: i64, detail: &str) -> Result<(), Error> {
        self.db()?.settle(step, outcome, Some(revision).filter(|r| *r > 0), detail, present())
    }

    /// Records how a release ended.
    pub fn finish(&mut self, release: i64, ended: Conclusion) -> Result<(), Error> {
        self.db()?.finish_release(release, ended, present())
    }

    /// Releases of the pair with a transaction of which nobody knows how it ended.
    pub fn unsettled(&self) -> Result<Vec<ReleaseRow>, Error> {
        self.ask(|tx| self.pair.map_or(Ok(Vec::new()), |pair| tx.unsettled_releases(pair)))
    }

    /// The release of the pair that carried out the plan file of this digest; the last one.
    pub fn carried_out(&self, digest: &str) -> Result<Option<i64>, Error> {
        let is_it = |asked: &str| {
            let asked = serde_json::from_str::<serde_json::Value>(asked);
            asked.is_ok_and(|asked| asked["plan"] == digest)
        };
        self.ask(|tx| {
            let all = self.pair.map_or(Ok(Vec::new()), |pair| tx.asked(pair))?;
            Ok(all.iter().rev().find(|(_, asked)| is_it(asked)).map(|(id, _)| *id))
        })
    }

    /// The release that gave this handle or address back last, unless it was undone since.
    pub fn given_back(&self, kind: SubjectKind, id: &Foreign) -> Result<Option<i64>, Error> {
        let last = self.ask(|tx| self.pair.map_or(Ok(None), |pair| Ok(tx.freed(pair, kind, id.raw())?.pop())))?;
        Ok(last.filter(|last| last.undoes.is_none()).map(|last| last.release))
    }

    /// Whether any audit or release of the pair has had to do with this handle or address.
    pub fn knows(&self, kind: SubjectKind, id: &Foreign) -> Result<bool, Error> {
        let Some(pair) = self.pair else { return Ok(false) };
        self.ask(|tx| {
            let was_seen = match (kind, id.raw().parse::<Addr>()) {
                (SubjectKind::Address, Ok(address)) => tx.block_last_known(pair, address)?.is_some(),
                _ => tx.handles_last_known(pair, id.raw())?.iter().any(|known| known.what == *id),
            };
            Ok(was_seen || !tx.freed(pair, kind, id.raw())?.is_empty())
        })
    }

    /// One release, of whatever pair, and what its undos have put back.
    pub fn release(&self, id: i64) -> Result<Option<PastWrites>, Error> {
        self.ask(|tx| {
            let all = self.pair.map_or(Ok(Vec::new()), |pair| tx.releases(pair, Window::ALL))?;
            Ok(tx.release(id)?.map(|row| past_writes(&row, self.pair, &all)))
        })
    }
}

fn past_writes(row: &ReleaseRow, pair: Option<i64>, all: &[ReleaseRow]) -> PastWrites {
    let of = |k: &KeyIntent| Written { key: k.key.clone(), before: k.old.clone(), after: k.new.clone() };
    let undos = all.iter().filter(|r| r.undoes == Some(row.id)).flat_map(ReleaseRow::done);
    let back = undos.flat_map(|s| s.intent.subjects.iter().filter(|(kind, _)| *kind == SubjectKind::Address));
    PastWrites {
        id: row.id,
        same_pair: pair == Some(row.pair),
        forked_since: row.forked_since,
        under_way: row.outcome.is_none(),
        unknown: row.steps.iter().any(|s| s.outcome.is_none()),
        written: row.done().map(|s| s.intent.keys.iter().map(of).collect()).collect(),
        put_back: back.map(|(_, address)| address.raw().to_owned()).collect(),
    }
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
fn subjects(work: &Work, transaction: &Transaction) -> Vec<(SubjectKind, Foreign)> {
    let addresses: Vec<Addr> = match work {
        Work::Release(target) => target.places.iter().map(|p| p.address).collect(),
        Work::Undo(undoing) => undoing.places.iter().map(|p| p.address).collect(),
        Work::Orphans(_) => Vec::new(),
    };
    let addresses = addresses.into_iter().map(|address| (SubjectKind::Address, address.to_string().into()));
    let written = transaction.changes().iter().filter(|c| c.after != After::Same);
    let handles = written.filter_map(|c| std::str::from_utf8(c.key.strip_prefix(HANDLES.as_bytes())?).ok());
    addresses.chain(handles.map(|id| (SubjectKind::Handle, id.into()))).collect()
}

/// A recorded intent as the changes that it was.
pub fn changes(step: &StepRow) -> Vec<Change> {
    let change = |key: &KeyIntent| Change {
        key: key.key.clone(),
        before: key.old.clone().map(|value| StoredKey { value, create_revision: 0, mod_revision: key.mod_revision }),
        after: key.new.clone().map_or(After::Delete, After::Put),
        why: String::new().into(),
    };
    step.intent.keys.iter().map(change).collect()
}
