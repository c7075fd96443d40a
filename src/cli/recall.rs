//! What an audit reads of the history, and what it need not.
//!
//! The last complete audit left fingerprints of what it saw beside the history: where this one sees the same, no row has to
//! be read to know that none changes. They are believed whole, and by the very audit that left them; any doubt costs a full
//! read. What is recorded is what a full read would have recorded.

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use super::changes::{BUILD, Earlier, GoneOn};
use crate::decode::keys::{self, Key};
use crate::error::{Error, chain};
use crate::history::{self, Db, Keeper, LeftFile, ReadTx, ToWrite};
use crate::ledger::Ledger;
use crate::model::past::ReadKeys;
use crate::model::prints::{KeysPrint, KeysRead, Prints, Touched};
use crate::model::record::ClusterKey;
use crate::model::{Cidr, Foreign, Input, Past, PastKeys, Snapshot};
use crate::record;
use crate::source::kube_api::present;
use crate::state::{self, LastSeen};

/// How much is wanted.
#[derive(Clone, Copy)]
pub enum WantedPast<'a> {
    /// Every row, and why.
    Everything(&'a str),
    /// What changed, as far as etcd told it.
    Changes(Option<&'a GoneOn>),
}

impl<'a> WantedPast<'a> {
    /// Of an audit that was to read etcd so, and did go on from there or not.
    pub fn of(earlier: &Earlier, gone_on: Option<&'a GoneOn>) -> WantedPast<'a> {
        match earlier {
            Earlier::None(why) => WantedPast::Everything(why),
            Earlier::Beside(_) => WantedPast::Changes(gone_on),
        }
    }
}

/// What was read.
#[derive(Debug)]
pub struct Recalled {
    pub past: Past,
    /// What the past has not yet: the rows of what changed.
    pub unread: Option<UnreadRows>,
    pub reading: PastReading,
}

/// Rows that were not read.
#[derive(Debug)]
pub struct UnreadRows {
    /// What they are.
    seen: LastSeen,
    /// Who is asked for one of them.
    keeper: Rc<Keeper>,
    keys: Option<KeysPrint>,
    /// All blocks but these are as the last audit saw them; `None`: nobody knows.
    touched: Option<Touched>,
}

/// How the past was read, for `-v`.
#[derive(Debug)]
pub struct PastReading {
    /// Keys, allocations and pods' addresses.
    rows: u64,
    /// Why all of them were; `None`: those alone of what changed.
    why: Option<Foreign>,
}

impl PastReading {
    /// For people.
    pub fn sentence(&self) -> String {
        match &self.why {
            Some(why) => format!("the history was read: full ({}), {} rows", why.shown(), self.rows),
            None => format!("the history was read: what changed, {} rows", self.rows),
        }
    }
}

/// What the history tells the checks of this cluster.
///
/// # Errors
/// A file that cannot be read.
pub fn recall(
    db: &Db<ToWrite>,
    patience: Duration,
    key: &ClusterKey,
    snapshot: &Snapshot,
    wanted: WantedPast<'_>,
) -> Result<Recalled, Error> {
    let tx = db.read()?;
    let from = match wanted {
        WantedPast::Everything(why) => return full(&tx, key, why.into()),
        WantedPast::Changes(from) => from,
    };
    let seen = match last_seen(db.path(), &tx, key)? {
        Ok(seen) => seen,
        Err(why) => return full(&tx, key, why),
    };
    if seen.prints.pods.is_none() && record::are_pods_read(snapshot) {
        return full(&tx, key, "the last audit did not read the pods".into());
    }
    let mut past = tx.past_without_rows(key)?;
    let touched = from.map_or(&[][..], |from| from.touched.as_slice());
    let now = from.and_then(|from| from.keys.clone()).or_else(|| record::keys_read(snapshot, touched));
    past.keys = past_keys(&tx, key, &seen, now.as_ref(), (touched, snapshot.etcd.revision))?;
    let are_known = past.keys.are_as_read_but();
    let keeper = Rc::new(Keeper::of(&past, db.path().to_path_buf(), patience));
    past.allocations.keeper = Some(keeper.clone());
    let reading = PastReading { rows: past.keys.by_hash().len() as u64, why: None };
    let unread = UnreadRows {
        seen,
        keeper,
        keys: now.map(|read| read.all),
        touched: touched_blocks(touched).filter(|_| are_known),
    };
    Ok(Recalled { past, unread: Some(unread), reading })
}

fn full(tx: &ReadTx<'_>, key: &ClusterKey, why: Foreign) -> Result<Recalled, Error> {
    let past = tx.past(key)?;
    let rows = past.keys.count() + past.allocations.rows.table().len() + past.last.pods.table().len();
    Ok(Recalled { past, unread: None, reading: PastReading { rows: rows as u64, why: Some(why) } })
}

/// What the last audit of this cluster saw, or why that is not known.
fn last_seen(db: &Path, tx: &ReadTx<'_>, key: &ClusterKey) -> Result<Result<LastSeen, Foreign>, Error> {
    let Some(last) = tx.last_print(key)? else { return Ok(Err("no earlier audit of this cluster".into())) };
    let sealed = match history::read_left(db, LeftFile::Seen) {
        Ok(Some(sealed)) => sealed,
        Ok(None) => return Ok(Err("the last audit left no fingerprints".into())),
        Err(error) => return Ok(Err(chain(&error).into())),
    };
    Ok(match state::unseal(&sealed, last, BUILD) {
        None => Err("the fingerprints are not those of the last audit".into()),
        Some(seen) if seen.is_old(present()) => Err("everything is read once a day".into()),
        Some(seen) => Ok(seen),
    })
}

/// The keys that changed. That no other one did is proven by what is left without them: it must be the same then and now.
fn past_keys(
    tx: &ReadTx<'_>,
    key: &ClusterKey,
    seen: &LastSeen,
    now: Option<&KeysRead>,
    (touched, at): (&[Vec<u8>], i64),
) -> Result<PastKeys, Error> {
    let then = seen.prints.keys;
    let Some(KeysRead { all, touched: of_touched, revisions }) = now else { return tx.all_keys(key) };
    if *all == then {
        return Ok(PastKeys::as_read_but(Vec::new(), all.keys, ReadKeys::default()));
    }
    // Many are read faster all in a row.
    if touched.len() as u64 > then.keys / 4 {
        return tx.all_keys(key);
    }
    let recorded = tx.recorded_keys(key, touched)?;
    let others = then.without(KeysPrint::of(&recorded));
    match others == all.without(*of_touched) {
        true => Ok(PastKeys::as_read_but(recorded, others.keys, ReadKeys { revisions: revisions.clone(), at })),
        false => tx.all_keys(key),
    }
}

/// The fingerprints of what an audit sees, where somebody needs them: it is to be left, or was not read.
pub fn prints(ledger: &Ledger<'_>, unread: Option<&UnreadRows>) -> Option<Prints> {
    (unread.is_some() || record::is_all_recorded(ledger)).then_some(())?;
    let keys = unread.and_then(|unread| unread.keys);
    let keys = keys.or_else(|| record::keys_read(ledger.snapshot, &[]).map(|read| read.all));
    let then = unread.and_then(|unread| Some((&unread.seen.prints.allocations, unread.touched.as_ref()?)));
    let prints = record::prints(ledger, keys.unwrap_or_default(), then);
    debug_assert!(then.is_none() || prints == record::prints(ledger, prints.keys, None));
    Some(prints)
}

/// The blocks among these keys; `None`: one of them does not say of which it is.
fn touched_blocks(keys: &[Vec<u8>]) -> Option<Touched> {
    let block = |key: &Vec<u8>| match keys::parse(key) {
        Some(Ok(Key::Block(cidr))) => Some(Some(cidr)),
        Some(Err(bad)) if bad.input == Input::Blocks => None,
        _ => Some(None),
    };
    let blocks: Option<Vec<Option<Cidr>>> = keys.iter().map(block).collect();
    blocks.map(|blocks| Touched::of(blocks.into_iter().flatten()))
}

impl UnreadRows {
    /// Why a check that asked for a row got no answer, if one did not.
    pub fn take_failure(&self) -> Option<Error> {
        self.keeper.take_failure()
    }

    /// Puts the rows of what changed into the past; false: another audit of this cluster was recorded meanwhile.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn put_into(
        &self,
        past: &mut Past,
        now: &Prints,
        db: &Db<ToWrite>,
        reading: &mut PastReading,
    ) -> Result<bool, Error> {
        let then = &self.seen.prints;
        let pods = match (&then.pods, &now.pods) {
            (Some(then), Some(now)) => then.changed(now),
            // Nothing is said of any.
            (_, None) => Vec::new(),
            (None, Some(_)) => return Ok(false),
        };
        let allocations = then.allocations.changed(&now.allocations);
        let rows = db.read()?.put_rows(past, allocations, pods)?;
        reading.rows += rows.unwrap_or_default();
        Ok(rows.is_some())
    }
}

/// Leaves what an audit saw and recorded beside the history, for the next one.
///
/// # Errors
/// What cannot be left costs the next audit a full read, and nobody else.
pub fn leave(db: &Db<ToWrite>, audit: i64, prints: Prints, unread: Option<UnreadRows>) -> Result<(), Error> {
    let read_in_full = unread.as_ref().map_or_else(present, |unread| unread.seen.read_in_full);
    // Of pods that nobody read the rows stayed as they were.
    let pods = prints.pods.or_else(|| unread.as_ref()?.seen.prints.pods.clone());
    let seen = LastSeen { prints: Prints { pods, ..prints }, read_in_full };
    let print = db.read()?.audit_print(audit)?;
    let sealed =
        state::seal(&seen, print, BUILD).map_err(|e| Error::own("keep the fingerprints of this audit").cause(e))?;
    match unread.is_some_and(|unread| unread.seen == seen) {
        true => history::write_over(db.path(), LeftFile::Seen, sealed.get(..state::SEAL).unwrap_or_default()),
        false => history::write_left(db.path(), LeftFile::Seen, |out| out.write_all(&sealed)),
    }
}
