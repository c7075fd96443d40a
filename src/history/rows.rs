//! The rows of the past that a big cluster has many of: its keys, the allocations and the addresses of pods that are open.
//!
//! All of them, or those of some keys and ranges of addresses. What was read without the lock is of the moment of an audit:
//! a later one that was recorded meanwhile is seen, and then nothing is given.

use std::collections::HashMap;

use rusqlite::{OptionalExtension, Row, params};

use super::column::{address, address_bytes, bits, some_bits, time};
use super::{ReadTx, pair};
use crate::error::Error;
use crate::model::finding::Parts;
use crate::model::index::PodAddress;
use crate::model::past::{OpenAllocation, OpenRows, PastKeys, RecordedKey, tuple_index};
use crate::model::prints::{range_end, range_of};
use crate::model::record::ClusterKey;
use crate::model::{Addr, ByHash, Past, PastKey};

impl ReadTx<'_> {
    /// The last audit of a cluster as one number: another one after every audit, and in every other history. `None`: there
    /// is none.
    ///
    /// # Errors
    /// As every function here: a file that cannot be read.
    pub fn last_print(&self, key: &ClusterKey) -> Result<Option<u128>, Error> {
        let last = || match pair::find(self, key)? {
            Some(pair) => self.query_row("SELECT max(id) FROM audit WHERE pair = ?1", [pair], |row| row.get(0)),
            None => Ok(None),
        };
        let last: Option<i64> = last().map_err(self.failed("read the history"))?;
        last.map_or(Ok(None), |audit| self.audit_print(audit).map(Some))
    }

    /// An audit as one number, made of all that its row says: its number alone is that of others in copies of the file.
    ///
    /// # Errors
    /// There is no such audit.
    pub fn audit_print(&self, audit: i64) -> Result<u128, Error> {
        let read = || {
            let number = |row: &Row<'_>, column: usize| row.get::<_, Option<i64>>(column);
            let what = "SELECT id, pair, epoch, judged, started, duration, api_date, etcd_revision, compact_revision, \
                        cluster_id, member_id, raft_term, about, new, ongoing, came_back, resolved, counts, found \
                        FROM audit WHERE id = ?1";
            let schema = self.schema()?;
            self.query_row(what, [audit], |row| {
                let parts = (0..17).try_fold(Parts::new().number(schema), |parts, column| {
                    Ok::<_, rusqlite::Error>(match number(row, column)? {
                        Some(number) => parts.number(1).number(number),
                        None => parts.number(0),
                    })
                })?;
                Ok(parts.text(row.get_ref(17)?.as_str()?).text(row.get_ref(18)?.as_str()?).hash128())
            })
        };
        read().map_err(self.failed("read the history"))
    }

    /// What is recorded of these keys of a cluster.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn recorded_keys(&self, key: &ClusterKey, keys: &[Vec<u8>]) -> Result<Vec<RecordedKey>, Error> {
        let read = || {
            let Some(pair) = pair::find(self, key)? else { return Ok(Vec::new()) };
            let what =
                "SELECT create_revision, mod_revision, version, value_hash FROM key WHERE pair = ?1 AND key = ?2";
            let mut one = self.prepare_cached(what)?;
            let mut recorded = |key: &Vec<u8>| {
                let found = one.query_row(params![pair, key], |row| past_key(row, 0)).optional()?;
                Ok((key.clone(), found))
            };
            keys.iter().map(&mut recorded).collect()
        };
        read().map_err(self.failed("read the history"))
    }

    /// Every key of a cluster.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn all_keys(&self, key: &ClusterKey) -> Result<PastKeys, Error> {
        let read = || pair::find(self, key)?.map_or(Ok(PastKeys::default()), |pair| keys(self, pair));
        read().map_err(self.failed("read the history"))
    }

    /// Puts the open rows of these ranges into a past, by their first addresses, sorted; says how many they are. `None`: an
    /// audit was recorded since that past was read, and the past is as it was.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn put_rows(&self, past: &mut Past, allocations: Vec<Addr>, pods: Vec<Addr>) -> Result<Option<u64>, Error> {
        let read = |past: &mut Past| {
            let Some(pair) = pair::find(self, &past.last.key)? else { return Ok(None) };
            let last: Option<i64> =
                self.query_row("SELECT max(id) FROM audit WHERE pair = ?1", [pair], |row| row.get(0))?;
            if last != Some(past.last.audit) {
                return Ok(None);
            }
            let (of_allocations, of_pods) = (allocations_of(self, pair, &allocations)?, pods_of(self, pair, &pods)?);
            let rows = of_allocations.len() + of_pods.len();
            past.allocations.rows = OpenRows::of_ranges(allocations, of_allocations);
            past.last.pods = OpenRows::of_ranges(pods, of_pods);
            Ok(Some(rows as u64))
        };
        read(past).map_err(self.failed("read the history"))
    }
}

/// `audit.keys` where of the keys handles of containers alone stand under their names: the audit was of schema 1.
const OF_CONTAINERS: i64 = 2;

/// Every key of a pair, of which an audit has recorded them.
pub(super) fn keys(tx: &ReadTx<'_>, pair: i64) -> rusqlite::Result<PastKeys> {
    let last = "SELECT keys FROM audit WHERE pair = ?1 AND keys <> 0 ORDER BY id DESC LIMIT 1";
    let Some(last) = tx.query_row(last, [pair], |row| row.get::<_, i64>(0)).optional()? else {
        return Ok(PastKeys::default());
    };
    // A file of schema 1 that nobody may bring up to date: as if it had been.
    let partial = last == OF_CONTAINERS || tx.schema()? < 2;
    let count = "SELECT count(*) FROM key WHERE pair = ?1";
    let count: i64 = tx.prepare_cached(count)?.query_row([pair], |row| row.get(0))?;
    let mut past = PastKeys::with_capacity(usize::try_from(count).unwrap_or(0), partial);
    let what = "SELECT key, create_revision, mod_revision, version, value_hash FROM key WHERE pair = ?1";
    tx.rows::<(), ()>(what, [pair], |row| {
        let key = row.get_ref(0)?.as_blob()?;
        if past.knows(key) {
            let recorded = past_key(row, 1)?;
            past.insert(key, PastKey { value_hash: if partial { 0 } else { recorded.value_hash }, ..recorded });
        }
        Ok(())
    })?;
    Ok(past)
}

fn past_key(row: &Row<'_>, from: usize) -> rusqlite::Result<PastKey> {
    Ok(PastKey {
        create_revision: row.get(from)?,
        mod_revision: row.get(from + 1)?,
        version: row.get(from + 2)?,
        value_hash: bits(row, from + 3)?,
    })
}

/// Answered from the index alone.
const ALLOCATIONS: &str = "SELECT address, handle, sequence, block_create_revision, owner, tuple_since_at, id \
    FROM allocation WHERE pair = ?1 AND last_seen IS NULL";
const PODS: &str =
    "SELECT address, uid, namespace, pod, node, grade, id FROM pod_address WHERE pair = ?1 AND last_seen IS NULL";
const IN_RANGE: &str = "address BETWEEN ?2 AND ?3";

fn allocation(row: &Row<'_>) -> rusqlite::Result<(u128, OpenAllocation)> {
    let handle = row.get_ref(1)?.as_str_or_null()?.map(|handle| [handle, "", ""]);
    let index = tuple_index(address(row, 0)?, handle, some_bits(row, 2)?, row.get(3)?);
    Ok((index, OpenAllocation { since: time(row, 5)?, row: row.get(6)?, owner: bits(row, 4)? }))
}

/// Every open allocation.
pub(super) fn allocations(tx: &ReadTx<'_>, pair: i64) -> rusqlite::Result<ByHash<OpenAllocation>> {
    tx.rows(ALLOCATIONS, [pair], allocation)
}

fn allocations_of(tx: &ReadTx<'_>, pair: i64, ranges: &[Addr]) -> rusqlite::Result<ByHash<OpenAllocation>> {
    in_ranges(tx, ALLOCATIONS, pair, ranges, allocation)
}

/// Every open address of a pod.
pub(super) fn pods(tx: &ReadTx<'_>, pair: i64) -> rusqlite::Result<ByHash<i64>> {
    let mut texts = Texts::of(tx)?;
    tx.rows(PODS, [pair], |row| texts.pod(row))
}

fn pods_of(tx: &ReadTx<'_>, pair: i64, ranges: &[Addr]) -> rusqlite::Result<ByHash<i64>> {
    let mut texts = Texts::of(tx)?;
    in_ranges(tx, PODS, pair, ranges, |row| texts.pod(row))
}

/// The rows of some ranges; their first column is the address.
fn in_ranges<V>(
    tx: &ReadTx<'_>,
    what: &str,
    pair: i64,
    ranges: &[Addr],
    mut one: impl FnMut(&Row<'_>) -> rusqlite::Result<(u128, V)>,
) -> rusqlite::Result<ByHash<V>> {
    let mut table = ByHash::default();
    let mut statement = tx.prepare_cached(&format!("{what} AND {IN_RANGE}"))?;
    for first in ranges {
        let mut rows = statement.query(params![pair, address_bytes(*first), address_bytes(range_end(*first))])?;
        while let Some(row) = rows.next()? {
            // Addresses of the other family stand between those of this one.
            if range_of(address(row, 0)?) == *first {
                let (index, value) = one(row)?;
                table.insert(index, value);
            }
        }
    }
    Ok(table)
}

/// Texts of table `name`, each looked up once.
struct Texts<'a> {
    statement: rusqlite::CachedStatement<'a>,
    known: HashMap<i64, String>,
}

impl<'a> Texts<'a> {
    fn of(tx: &'a ReadTx<'_>) -> rusqlite::Result<Texts<'a>> {
        Ok(Texts { statement: tx.prepare_cached("SELECT text FROM name WHERE id = ?1")?, known: HashMap::new() })
    }

    fn know(&mut self, ids: &[i64]) -> rusqlite::Result<()> {
        for id in ids {
            if !self.known.contains_key(id) {
                self.known.insert(*id, self.statement.query_row([*id], |row| row.get(0))?);
            }
        }
        Ok(())
    }

    fn get(&self, id: i64) -> &str {
        self.known.get(&id).map_or("", String::as_str)
    }

    /// A row of [`PODS`].
    fn pod(&mut self, row: &Row<'_>) -> rusqlite::Result<(u128, i64)> {
        let [namespace, node, grade] = [row.get(2)?, row.get(4)?, row.get(5)?];
        self.know(&[namespace, node, grade])?;
        let pod = PodAddress {
            address: address(row, 0)?,
            uid: row.get_ref(1)?.as_bytes()?,
            namespace: self.get(namespace),
            pod: row.get_ref(3)?.as_str()?,
            node: self.get(node),
            grade: self.get(grade),
        };
        Ok((pod.index(), row.get(6)?))
    }
}
