//! Reads etcd by what changed since the last audit, from the state that it left beside the history.
//!
//! Carries the values between the state, etcd's word of what changed, and the snapshot. Whatever does not fit together is
//! a doubt, and costs a full read; what it gives is what a full read at the same revision would give.

use std::path::{Path, PathBuf};

use super::boundaries::boundaries;
use super::history_args::HistoryArgs;
use super::output::Streams;
use crate::checks::Outcome;
use crate::checks::datastore::datastore_went_back;
use crate::connect::etcd::{Connection, Stored};
use crate::decode;
use crate::error::{Error, chain};
use crate::history::{self, LeftFile};
use crate::model::hash::HashSet;
use crate::model::prints::{KeysPrint, KeysRead};
use crate::model::{EtcdFacts, EtcdReading, Foreign, Gathering, Input, InputState, Meta, ReadBy, Snapshot};
use crate::record;
use crate::source::etcd;
use crate::source::etcd_changes::{self, Learned, Listed, Since, Start, Unlearned, WITNESSES};
use crate::source::etcd_watch::Fates;
use crate::source::kube_api::present;
use crate::state::{self, KnownKeys, Mark};

/// Whose state can be read by whom: what a value decodes to is this build's own.
pub(super) const BUILD: &str = concat!(env!("CARGO_PKG_VERSION"), " ", env!("IPAUDIT_BUILD_COMMIT"));

/// Of the writes that are known, so many of the last ones are looked at.
const LAST_WRITES: usize = 512;

/// What is known of the last audit's read.
#[derive(Debug)]
pub enum Earlier {
    /// Nothing is to be taken from it, and why.
    None(&'static str),
    /// Its state lies beside the history here.
    Beside(PathBuf),
}

/// Where a read went on from.
pub struct GoneOn {
    /// Of the earlier audit.
    pub mark: Mark,
    /// The keys that were written or deleted since, and perhaps others.
    pub touched: Vec<Vec<u8>>,
    /// What is known of the keys thereby; `None`: the earlier audit left no fingerprint of them.
    pub keys: Option<KeysRead>,
}

/// What changed, and who says so.
struct Changed {
    by: ReadBy,
    since: Fates,
    /// What a watch told of the time before: nothing that is not known.
    known: Fates,
    /// Whether the last write that is known must be among these.
    overlaps: bool,
}

impl Earlier {
    /// Reads what of Calico's stands in etcd into `snapshot`, in which Kubernetes' is already; nothing of Calico's.
    ///
    /// # Errors
    /// The reason why everything has to be read, for people. Nothing of Calico's is in `snapshot` then.
    pub async fn read(
        &self,
        connection: &Connection,
        snapshot: &mut Gathering,
    ) -> Result<(EtcdReading, GoneOn), Foreign> {
        let path = match self {
            Earlier::None(why) => return Err((*why).into()),
            Earlier::Beside(path) => path,
        };
        let bytes = match history::read_left(path, LeftFile::State) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Err("no earlier audit left its state".into()),
            Err(error) => return Err(chain(&error).into()),
        };
        let read = from(bytes, connection, snapshot).await;
        if read.is_err() {
            Input::ALL.into_iter().filter(|i| i.is_calicos()).for_each(|input| decode::clear(snapshot, input));
        }
        read.map_err(|Unlearned(why)| why.into())
    }
}

async fn from(
    bytes: Vec<u8>,
    connection: &Connection,
    snapshot: &mut Gathering,
) -> Result<(EtcdReading, GoneOn), Unlearned> {
    let saved = state::open(bytes, BUILD).map_err(|refused| match refused {
        state::Refused::Damaged => Unlearned::new("the last audit's state is damaged"),
        state::Refused::OtherBuild => Unlearned::new("the last audit's state is of another ipaudit"),
    })?;
    let mark = saved.mark.clone();
    if mark.is_old(present()) {
        return Err(Unlearned::new("everything is read once a day"));
    }
    let start = etcd_changes::begin(connection).await?;
    if let Some(why) = mark.differs(&start.facts) {
        return Err(Unlearned::new(why));
    }
    let Mark { revision, last_write, compact_revision, .. } = mark;
    let since = Since { revision, last_write, compact_revision };
    // A set, because that ends its tasks when we fail.
    let mut aside = tokio::task::JoinSet::new();
    aside.spawn(since.oldest(connection.clone(), start.facts.revision));
    let mut learning = tokio::task::JoinSet::new();
    let (asked, from) = (connection.clone(), start.clone());
    learning.spawn(async move { since.learn(&asked, &from).await });
    // While a watch catches up, the state is decoded.
    saved.put_into(snapshot).ok_or_else(|| Unlearned::new("the last audit's state does not decode"))?;
    let learned = learning.join_next().await.and_then(Result::ok);
    let changed = match learned.ok_or_else(|| Unlearned::new("the question what changed broke off"))?? {
        Learned::Unchanged => {
            Changed { by: ReadBy::Unchanged, since: Fates::new(), known: Fates::new(), overlaps: false }
        }
        Learned::Watched { known, since, overlaps } => Changed { by: ReadBy::Watch, since, known, overlaps },
        Learned::Forgotten => list(connection, &start, snapshot).await?,
    };
    let by = changed.by;
    let touched = changed.since.keys().cloned().collect();
    let (decoded, keys) = apply(connection, &start, &mark, snapshot, changed).await?;
    if snapshot.cluster.meta.is_none() || snapshot.guid() != mark.guid {
        return Err(Unlearned::new("the datastore has another name"));
    }
    for input in Input::ALL.into_iter().filter(|input| input.is_calicos()) {
        snapshot.coverage.set(input, InputState::Complete, "");
    }
    let compact_revision = aside.join_next().await.and_then(Result::ok).flatten();
    snapshot.etcd = EtcdFacts { compact_revision, read_at: Some(present()), ..start.facts };
    Ok((EtcdReading { by, why: format!("since revision {revision}").into(), decoded }, GoneOn { mark, touched, keys }))
}

/// etcd's keys, held against those that are known.
async fn list(connection: &Connection, start: &Start, snapshot: &Gathering) -> Result<Changed, Unlearned> {
    let mut known = KnownKeys::of(snapshot);
    let most = known.unmet() / 4 + 1000;
    let mut see = |listed: Listed<'_>| {
        let Listed { key, create_revision, mod_revision, version } = listed;
        known.meet(key, Meta { create_revision, mod_revision, version, value_hash: 0 })
    };
    let cuts = |keys: usize| boundaries(snapshot, keys);
    let mut since = etcd_changes::list(connection, start.pin(), &cuts, most, &mut see).await?;
    since.extend(known.gone(snapshot).into_iter().map(|key| (key, None)));
    Ok(Changed { by: ReadBy::Listing, since, known: Fates::new(), overlaps: false })
}

/// Puts what changed in its place, and has etcd say that nothing else did. How many values were decoded, and what is known
/// of the keys thereby.
async fn apply(
    connection: &Connection,
    start: &Start,
    mark: &Mark,
    snapshot: &mut Gathering,
    changed: Changed,
) -> Result<(u64, Option<KeysRead>), Unlearned> {
    let Changed { since, known, overlaps, .. } = changed;
    let last_write = mark.last_write;
    let mut last = state::newest(snapshot, LAST_WRITES);
    if overlaps && !is_known(snapshot, &last, &known, last_write) {
        return Err(Unlearned::new("etcd tells another story of what the last audit saw"));
    }
    last.retain(|(key, _)| !since.contains_key(key));
    last.truncate(WITNESSES);
    let touched: HashSet<Vec<u8>> = since.keys().cloned().collect();
    let mut removed = Gathering::default();
    decode::take_out(snapshot, &touched, &mut removed);
    let (mut decoded, mut revisions) = (0, HashSet::new());
    for (key, stored) in since.into_iter().filter_map(|(key, fate)| Some((key, fate?))) {
        let kv = etcd::kv(&key, &stored);
        revisions.insert(kv.mod_revision);
        decode::insert(snapshot, &kv);
        decoded += 1;
    }
    let keys = mark.keys.map(|before| record::keys_changed(before, &removed, snapshot, &touched, revisions));
    drop((removed, touched));
    let witnesses: Vec<Vec<u8>> = last.iter().map(|(key, _)| key.clone()).collect();
    let verified = etcd_changes::verify(connection, start.pin(), &witnesses).await?;
    let same = |(then, now): (&(Vec<u8>, Meta), &Option<Stored>)| {
        now.as_ref().is_some_and(|now| state::is_same_write(then.1, meta(&then.0, now)))
    };
    if !last.iter().zip(&verified.witnesses).all(same) {
        return Err(Unlearned::new("a key that nobody wrote is not as the last audit saw it"));
    }
    let counts = state::counts(snapshot);
    let fits = |(key, count): &(&str, i64)| {
        counts.iter().any(|(ours, number)| ours == key && i64::try_from(*number).is_ok_and(|number| number == *count))
    };
    match verified.counts.iter().find(|&counted| !fits(counted)) {
        Some((key, count)) => {
            Err(Unlearned(format!("etcd has {count} keys under {key}, and not as many as it should")))
        }
        None => Ok((decoded, keys)),
    }
}

/// Whether what a watch told of the time that is known is known: the writes are the last ones, the last of all is among
/// them, and what was deleted is not there. `last`: the last writes.
fn is_known(snapshot: &mut Gathering, last: &[(Vec<u8>, Meta)], told: &Fates, last_write: i64) -> bool {
    let told_so = |(key, then): &(Vec<u8>, Meta)| {
        let now = told.get(key).and_then(Option::as_ref);
        now.is_some_and(|now| state::is_same_write(*then, meta(key, now)))
    };
    let are_told = last.iter().take_while(|(_, then)| then.mod_revision >= last_write).all(told_so);
    let of_the_last = |key: &Vec<u8>| last.iter().any(|known| known.0 == *key && told_so(known));
    let is_known = |(key, fate): (&Vec<u8>, &Option<Stored>)| {
        fate.is_none() || of_the_last(key) || snapshot.idle_keys.contains(key)
    };
    let are_known = told.iter().all(is_known);
    let gone: HashSet<Vec<u8>> = told.iter().filter(|(_, fate)| fate.is_none()).map(|(key, _)| key.clone()).collect();
    are_told && are_known && decode::remove(snapshot, &gone) == 0
}

fn meta(key: &[u8], stored: &Stored) -> Meta {
    etcd::kv(key, stored).meta()
}

/// Whether the datastore went back: then only a full read can say what is so.
pub fn went_back(outcome: &Outcome) -> bool {
    outcome.findings.iter().any(|finding| finding.code == datastore_went_back::CHECK.code)
}

/// Leaves what was read beside the history, for the next audit to go on from. One that saw the datastore go back leaves
/// nothing: the next one reads everything as well. What cannot be left costs the next one a full read, and nobody else.
pub fn leave(history: &HistoryArgs, left: &ToLeave<'_>, outcome: &Outcome, streams: &Streams) {
    let Ok(db) = history.db.path() else { return };
    if went_back(outcome) {
        history::forget_left(&db, LeftFile::State);
    } else if state::is_whole(left.snapshot) {
        let _ = keep(&db, left).inspect_err(|error| streams.note(&chain(error)));
    }
}

/// What is left.
pub struct ToLeave<'a> {
    pub snapshot: &'a Snapshot,
    pub reading: &'a EtcdReading,
    /// Of the audit that it went on from.
    pub earlier: Option<&'a Mark>,
    /// The fingerprint of its keys.
    pub keys: Option<KeysPrint>,
}

fn keep(db: &Path, left: &ToLeave<'_>) -> Result<(), Error> {
    let ToLeave { snapshot, reading, earlier, keys } = *left;
    let (etcd, now) = (&snapshot.etcd, present());
    let last_write = state::newest(snapshot, 1).first().map_or(0, |(_, meta)| meta.mod_revision);
    let mark = Mark {
        guid: snapshot.guid().to_owned(),
        uids: record::kubernetes_uids(snapshot),
        cluster_id: etcd.cluster_id,
        member_id: etcd.member_id,
        raft_term: etcd.raft_term,
        revision: etcd.revision,
        compact_revision: etcd.compact_revision,
        last_write,
        keys,
        read_in_full: earlier.map_or(now, |mark| mark.read_in_full),
        kept_at: now,
    };
    // Nothing of Calico's is other than the file says, and its revision is not soon forgotten.
    if reading.decoded == 0 && earlier.is_some_and(|then| then.last_write == last_write && then.is_fresh(now)) {
        return Ok(());
    }
    history::write_left(db, LeftFile::State, |out| state::write(snapshot, &mark, BUILD, out))
}
