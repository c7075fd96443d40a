//! Learns what became of etcd's keys since an earlier read, instead of reading them all again.
//!
//! A doubt costs a full read, never an answer: whoever asks here reads everything when anything is not as it must be. In
//! this order: who answers and at which revision ([`begin`]); what was written since ([`Since::learn`]: by a watch, else, where
//! etcd has forgotten and lists keys cheaply, by holding such a list against what is known); and whether what came of it
//! has as many keys under each prefix as etcd ([`verify`]), read with the rights of today.

use std::collections::VecDeque;

use etcd_client::{GetOptions, ResponseHeader, Txn, TxnOp, TxnOpResponse};

use super::etcd_oldest::oldest_revision_since;
use super::etcd_ranges::{self as ranges, PageMeasure, Wanted, prefix_end, wanted};
use super::etcd_term;
use super::etcd_watch::{self, Fates, Unwatched, WatchCourse};
use crate::connect::etcd::{Connection, Pin, Stored};
use crate::connect::trouble::Trouble;
use crate::decode::keys::{CLUSTER_INFORMATION, ENDPOINTS};
use crate::error::Error;
use crate::model::{EtcdFacts, Version};

/// Fits after "cannot".
const DOING: &str = "learn what was written to etcd";

/// Why there is nothing to go on from; in words for people.
#[derive(Debug)]
pub struct Unlearned(pub String);

impl Unlearned {
    pub fn new(why: &str) -> Unlearned {
        Unlearned(why.to_owned())
    }
}

impl From<Trouble> for Unlearned {
    fn from(trouble: Trouble) -> Unlearned {
        Unlearned(crate::error::chain(&trouble.error))
    }
}

/// The read to go on from.
#[derive(Clone, Copy, Debug)]
pub struct Since {
    /// The revision that it was of.
    pub revision: i64,
    /// The last write that it saw.
    pub last_write: i64,
    /// The oldest revision that etcd had then.
    pub compact_revision: Option<i64>,
}

/// Who answers, and up to where.
#[derive(Clone, Debug)]
pub struct Start {
    pub facts: EtcdFacts,
    /// The server's version, as `3.5.16`; empty: it does not say.
    pub version: String,
}

impl Start {
    /// The moment that everything is read at.
    pub fn pin(&self) -> Pin {
        Pin { revision: self.facts.revision, cluster_id: self.facts.cluster_id }
    }
}

/// What was learned.
#[derive(Debug)]
pub enum Learned {
    /// Nothing was written at all.
    Unchanged,
    /// A watch told.
    Watched {
        /// What it told of the time before; only what is known already, in one life of etcd.
        known: Fates,
        since: Fates,
        /// It began at the last write that is known.
        overlaps: bool,
    },
    /// etcd has forgotten: its keys must be held against the known ones ([`list`]).
    Forgotten,
}

/// So many revisions are watched again so that the last known write is among them. It is then seen whether etcd is still
/// of the same life, even where a restore left no other sign.
const OVERLAP: i64 = 2000;

/// Learns who answers now, and fixes the revision: one linearizable read of a small key.
///
/// # Errors
/// No answer, or one that cannot be used.
pub async fn begin(connection: &Connection) -> Result<Start, Unlearned> {
    let answer = connection.call(DOING, |mut kv| async move { kv.get(CLUSTER_INFORMATION, None).await }).await?;
    let header = answer.header().ok_or_else(|| Unlearned("an answer without a header".to_owned()))?;
    let member = etcd_term::vouched(connection, header).await;
    let facts = EtcdFacts {
        revision: header.revision(),
        cluster_id: header.cluster_id(),
        member_id: header.member_id(),
        raft_term: member.term,
        endpoints: connection.endpoints(),
        ..EtcdFacts::default()
    };
    Ok(Start { facts, version: member.version })
}

impl Since {
    /// Learns what was written after this read, up to `start`.
    ///
    /// # Errors
    /// Anything that is not plain.
    pub async fn learn(self, connection: &Connection, start: &Start) -> Result<Learned, Unlearned> {
        let to = start.pin();
        if to.revision == self.revision && self.last_write == self.revision {
            return Ok(Learned::Unchanged);
        }
        let course = |from: i64| WatchCourse {
            from,
            known: self.revision,
            to,
            in_order: etcd_watch::answers_in_order(&start.version),
        };
        let overlaps = self.last_write > 0 && self.revision - self.last_write <= OVERLAP;
        let mut forgotten = None;
        if overlaps {
            match etcd_watch::watch(connection, course(self.last_write)).await {
                Ok(story) => return Ok(Learned::Watched { known: story.known, since: story.since, overlaps }),
                Err(Unwatched::Unclear(why)) => return Err(Unlearned(why)),
                Err(Unwatched::Compacted(oldest)) => forgotten = Some(oldest),
            }
        }
        if to.revision == self.revision {
            return Ok(Learned::Unchanged);
        }
        let next = self.revision + 1;
        if forgotten.is_none_or(|oldest| oldest <= next) {
            match etcd_watch::watch(connection, course(next)).await {
                Ok(story) => return Ok(Learned::Watched { known: story.known, since: story.since, overlaps: false }),
                Err(Unwatched::Unclear(why)) => return Err(Unlearned(why)),
                Err(Unwatched::Compacted(_)) => {}
            }
        }
        match lists_keys_cheaply(&start.version) {
            true => Ok(Learned::Forgotten),
            false => Err(Unlearned("etcd has forgotten what was written since the last audit".to_owned())),
        }
    }

    /// The oldest revision that etcd has now.
    pub async fn oldest(self, connection: Connection, now: i64) -> Option<i64> {
        oldest_revision_since(connection, now, self.compact_revision).await
    }
}

/// Whether the server has its keys in memory without their values. Before, a list of keys costs it as much as all of
/// them with their values.
fn lists_keys_cheaply(version: &str) -> bool {
    Version::parse(version).is_some_and(|version| (version.major, version.minor) >= (3, 7))
}

/// What a list of keys says of one of them.
#[derive(Clone, Copy, Debug)]
pub struct Listed<'a> {
    pub key: &'a [u8],
    pub create_revision: i64,
    pub mod_revision: i64,
    pub version: i64,
}

/// Lists every key that an audit reads, without its value, and reads those that `see` does not know so. `cuts` says where
/// the endpoints can be cut into ranges of about so many keys.
///
/// # Errors
/// As for a read of everything; a compaction meanwhile too.
pub async fn list(
    connection: &Connection,
    pin: Pin,
    cuts: &(dyn Fn(usize) -> Vec<Vec<u8>> + Sync),
    most: usize,
    see: &mut (dyn FnMut(Listed<'_>) -> bool + Send),
) -> Result<Fates, Unlearned> {
    let cut = |wanted: Wanted| match wanted.key {
        ENDPOINTS => ranges::cut(ranges::opening(&wanted), &cuts(wanted.in_range())),
        _ => vec![ranges::opening(&wanted)],
    };
    let mut todo: VecDeque<_> = wanted().flat_map(cut).collect();
    let mut changed: Vec<Vec<u8>> = Vec::new();
    // One at a time: walks through the whole index keep others' writes waiting.
    while let Some(span) = todo.pop_front() {
        let mut options = GetOptions::new().with_revision(pin.revision).with_keys_only();
        if !span.end.is_empty() {
            options = options.with_range(span.end.clone()).with_limit(span.wanted.most);
        }
        let doing = span.wanted.doing();
        let ask = |mut kv: etcd_client::KvClient| {
            let (start, options) = (span.start.clone(), options.clone());
            async move { kv.get(start, Some(options)).await }
        };
        let answer = connection.call(&doing, ask).await?;
        check(pin, answer.header(), &doing)?;
        if let Some(last) = answer.kvs().last().filter(|_| answer.more() && !span.end.is_empty()) {
            if last.key() < span.start.as_slice() || last.key() >= span.end.as_slice() {
                return Err(Unlearned("an answer out of its range".to_owned()));
            }
            let keys = answer.kvs().len() as i64;
            let page = PageMeasure { last_key: last.key(), keys, bytes: 0, count: answer.count() };
            ranges::rest(&span, &page).into_iter().rev().for_each(|piece| todo.push_front(piece));
        }
        for kv in answer.kvs() {
            let (create_revision, mod_revision, version) = (kv.create_revision(), kv.mod_revision(), kv.version());
            if !see(Listed { key: kv.key(), create_revision, mod_revision, version }) {
                changed.push(kv.key().to_vec());
            }
        }
        if changed.len() > most {
            return Err(Unlearned("too much was written since the last audit".to_owned()));
        }
    }
    let found = connection.keys(DOING, &changed, Some(pin)).await?.found;
    if found.iter().any(Option::is_none) {
        return Err(Unlearned("a key was listed that is not there".to_owned()));
    }
    Ok(changed.into_iter().zip(found).collect())
}

/// What etcd says at a revision of what came of it.
#[derive(Debug)]
pub struct Verified {
    /// Keys under each of what is wanted, in the order of [`wanted`].
    pub counts: Vec<(&'static str, i64)>,
    /// The witnesses, in the order of the question.
    pub witnesses: Vec<Option<Stored>>,
}

/// Most witnesses that fit into one question.
pub const WITNESSES: usize = 64;

/// Counts the keys under each prefix at this revision, and reads these keys; all in one transaction, which needs the
/// right to read everything.
///
/// # Errors
/// No answer, a missing right, a compaction.
pub async fn verify(connection: &Connection, pin: Pin, witnesses: &[Vec<u8>]) -> Result<Verified, Unlearned> {
    let at = || GetOptions::new().with_revision(pin.revision);
    let count = |w: Wanted| {
        let options = at().with_count_only();
        let range = if w.prefix { options.with_range(prefix_end(w.key.as_bytes())) } else { options };
        TxnOp::get(w.key, Some(range))
    };
    let wanted: Vec<Wanted> = wanted().collect();
    let seen = witnesses.iter().take(WITNESSES).map(|key| TxnOp::get(key.clone(), Some(at())));
    let reads: Vec<TxnOp> = wanted.iter().map(|w| count(*w)).chain(seen).collect();
    let ask = |mut kv: etcd_client::KvClient| {
        let txn = Txn::new().and_then(reads.clone());
        async move { kv.txn(txn).await }
    };
    let answer = connection.call(DOING, ask).await?;
    check(pin, answer.header(), DOING)?;
    let mut answers = answer.op_responses().into_iter().filter_map(|response| match response {
        TxnOpResponse::Get(get) => Some(get),
        _ => None,
    });
    let counts: Vec<_> = wanted.iter().zip(&mut answers).map(|(w, get)| (w.key, get.count())).collect();
    let found = answers.map(|mut get| {
        get.take_kvs().into_iter().next().map(|kv| {
            let (create_revision, mod_revision, version) = (kv.create_revision(), kv.mod_revision(), kv.version());
            Stored { value: kv.into_key_value().1, create_revision, mod_revision, version }
        })
    });
    let found: Vec<Option<Stored>> = found.collect();
    match counts.len() == wanted.len() && found.len() == witnesses.len().min(WITNESSES) {
        true => Ok(Verified { counts, witnesses: found }),
        false => Err(Unlearned("fewer answers than questions".to_owned())),
    }
}

fn check(pin: Pin, header: Option<&ResponseHeader>, doing: &str) -> Result<(), Trouble> {
    let header = header.ok_or_else(|| Trouble::other(Error::input(doing).cause("an answer without a header")))?;
    pin.check(header, doing)
}
