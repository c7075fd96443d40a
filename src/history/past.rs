//! The history as a [`Past`]: what the checks and the recorder of the next audit need, read in a few scans.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension};

use super::query::findings::Gap;
use super::timeline::{Timeline, time};
use super::{Db, pair};
use crate::error::Error;
use crate::model::past::{ByHash, LastState, OpenAllocation};
use crate::model::record::{CapacityRow, ClusterKey};
use crate::model::{BlockSequence, Cidr, Code, Past, PastEtcd, PastFinding, PastKey, SubjectKind, Time};

impl Db {
    /// What earlier audits of this cluster recorded; an empty past when there are none.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn past(&self, key: &ClusterKey) -> Result<Past, Error> {
        load(&self.connection, key).map_err(self.failed("read the history"))
    }
}

pub(super) fn load(connection: &Connection, key: &ClusterKey) -> rusqlite::Result<Past> {
    let Some(pair) = pair::find(connection, key)? else {
        return Ok(Past { last: LastState { apart: key.uids.is_empty(), ..LastState::default() }, ..Past::default() });
    };
    let timeline = Timeline::of(connection, pair)?;
    let mut past = of_pair(connection, pair)?;
    past.audits = timeline.audits.len() as u64;
    if let Some(last) = timeline.audits.last() {
        (past.last_audit, past.last_started) = (Some(last.judged), Some(last.started));
        past.last.audit = last.id;
        let what = "SELECT n.text, a.scope FROM audit a JOIN name n ON n.id = a.tool WHERE a.id = ?1";
        (past.last.tool, past.last.scope) =
            connection.query_row(what, [last.id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    }
    past.etcd = match timeline.audits.iter().rev().find(|a| a.keys) {
        None => None,
        Some(audit) => {
            let what = "SELECT etcd_revision, cluster_id FROM audit WHERE id = ?1";
            let etcd = |row: &rusqlite::Row<'_>| {
                Ok(PastEtcd { revision: row.get(0)?, cluster_id: row.get::<_, i64>(1)? as u64 })
            };
            connection.query_row(what, [audit.id], etcd).optional()?
        }
    };
    nodes(connection, pair, &mut past)?;
    keys(connection, pair, &mut past)?;
    blocks(connection, pair, &mut past)?;
    allocations(connection, pair, &mut past)?;
    past.last.pods =
        open_rows(connection, pair, "SELECT identity, id FROM pod_address WHERE pair = ?1 AND last_seen IS NULL")?;
    past.last.nodes =
        open_rows(connection, pair, "SELECT identity, id FROM node_state WHERE pair = ?1 AND last_seen IS NULL")?;
    past.last.capacity = capacity(connection, pair)?;
    findings(connection, pair, &timeline, &mut past)?;
    Ok(past)
}

fn of_pair(connection: &Connection, pair: i64) -> rusqlite::Result<Past> {
    let what = "SELECT known, exclusive, strict_affinity_since, apart FROM pair WHERE id = ?1";
    connection.query_row(what, [pair], |row| {
        Ok(Past {
            pair_known: row.get(0)?,
            exclusive: row.get(1)?,
            strict_affinity_since: row.get::<_, Option<i64>>(2)?.map(Time),
            last: LastState { apart: row.get(3)?, ..LastState::default() },
            ..Past::default()
        })
    })
}

fn nodes(connection: &Connection, pair: i64, past: &mut Past) -> rusqlite::Result<()> {
    let what = "SELECT n.text, d.ours, d.gone_since FROM node d JOIN name n ON n.id = d.name WHERE d.pair = ?1";
    let mut statement = connection.prepare_cached(what)?;
    let mut rows = statement.query([pair])?;
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        if let Some(since) = row.get::<_, Option<i64>>(2)? {
            past.gone_since.insert(name.clone(), Time(since));
        }
        if row.get(1)? {
            past.known_nodes.insert(name);
        }
    }
    // Of several states of a node the last one: max() makes the other columns that row's.
    let mut statement = connection.prepare_cached(
        "SELECT c.text, k.text, max(s.id) FROM node_state s JOIN name c ON c.id = s.calico \
         JOIN name k ON k.id = s.kubernetes WHERE s.pair = ?1 AND s.ours = 1 AND s.calico <> s.kubernetes \
         GROUP BY s.calico",
    )?;
    let mut rows = statement.query([pair])?;
    while let Some(row) = rows.next()? {
        past.kubernetes_names.insert(row.get(0)?, row.get(1)?);
    }
    Ok(())
}

/// The number of a key's row: its hash, and the pair's, so that two clusters in one file never meet.
pub(super) fn key_row(pair: i64, hash: u64) -> i64 {
    (hash ^ crate::model::finding::mix(pair as u64)) as i64
}

fn keys(connection: &Connection, pair: i64, past: &mut Past) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached("SELECT id, mod_revision, value_hash FROM key WHERE pair = ?1")?;
    let mut rows = statement.query([pair])?;
    let back = crate::model::finding::mix(pair as u64);
    while let Some(row) = rows.next()? {
        let hash = row.get::<_, i64>(0)? as u64 ^ back;
        let key = PastKey { mod_revision: row.get(1)?, value_hash: row.get::<_, i64>(2)? as u64 };
        past.keys.0.insert(hash, key);
    }
    Ok(())
}

fn blocks(connection: &Connection, pair: i64, past: &mut Past) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT cidr, create_revision, version, sequence_create_revision, highest_sequence FROM block WHERE pair = ?1",
    )?;
    let mut rows = statement.query([pair])?;
    while let Some(row) = rows.next()? {
        let Some((cidr, _)) = Cidr::parse(&row.get::<_, String>(0)?) else { continue };
        past.last.blocks.insert(cidr, (row.get(1)?, row.get(2)?));
        if let (Some(create_revision), Some(highest)) = (row.get(3)?, row.get::<_, Option<i64>>(4)?) {
            past.block_sequences.insert(cidr, BlockSequence { create_revision, highest: highest as u64 });
        }
    }
    Ok(())
}

fn allocations(connection: &Connection, pair: i64, past: &mut Past) -> rusqlite::Result<()> {
    // Answered from the index alone.
    let mut statement = connection.prepare_cached(
        "SELECT tuple, owner, tuple_since_at, id FROM allocation WHERE pair = ?1 AND last_seen IS NULL",
    )?;
    let mut rows = statement.query([pair])?;
    while let Some(row) = rows.next()? {
        let open = OpenAllocation { since: time(row, 2)?, row: row.get(3)?, owner: row.get::<_, i64>(1)? as u64 };
        past.allocations.0.insert(row.get::<_, i64>(0)? as u64, open);
    }
    Ok(())
}

fn open_rows(connection: &Connection, pair: i64, what: &str) -> rusqlite::Result<ByHash<i64>> {
    let mut statement = connection.prepare_cached(what)?;
    let rows = statement.query_map([pair], |row| Ok((row.get::<_, i64>(0)? as u64, row.get(1)?)))?;
    rows.collect()
}

fn capacity(connection: &Connection, pair: i64) -> rusqlite::Result<HashMap<String, u64>> {
    let mut statement = connection.prepare_cached(
        "SELECT p.text, c.text, k.addresses, k.allocated, k.in_use, k.leaked, k.cooling, k.reserved, k.free, k.blocks, \
         k.free_blocks, k.gone FROM capacity k JOIN name p ON p.id = k.pool JOIN name c ON c.id = k.cidr \
         WHERE k.pair = ?1 AND k.audit = (SELECT max(audit) FROM capacity WHERE pair = ?1 AND pool = k.pool)",
    )?;
    let mut rows = statement.query([pair])?;
    let mut known = HashMap::new();
    while let Some(row) = rows.next()? {
        let mut numbers = [0i64; 9];
        for (place, number) in numbers.iter_mut().enumerate() {
            *number = row.get(place + 2)?;
        }
        let state = CapacityRow { pool: row.get(0)?, cidr: row.get(1)?, numbers, gone: row.get(11)? };
        if !state.gone {
            known.insert(state.pool.clone(), state.face());
        }
    }
    Ok(known)
}

fn findings(connection: &Connection, pair: i64, timeline: &Timeline, past: &mut Past) -> rusqlite::Result<()> {
    let gaps = Gap::all(connection, pair)?;
    let mut counter = timeline.counter();
    let mut statement = connection.prepare_cached(
        "SELECT id, code, kind, subject, episode, opened, opened_at, seen_before, stamp, stamp_since, face, state \
         FROM finding WHERE pair = ?1 AND ended IS NULL",
    )?;
    let mut rows = statement.query([pair])?;
    while let Some(row) = rows.next()? {
        let (id, code) = (row.get(0)?, Code(row.get(1)?));
        let word = row.get_ref(2)?.as_str()?;
        let Some(kind) = SubjectKind::ALL.into_iter().find(|kind| kind.word() == word) else { continue };
        let (opened, first_seen) = (row.get(5)?, time(row, 6)?);
        let hidden = Gap::of(&gaps, id);
        let (mut audits_seen, last) = counter.count(code, opened, i64::MAX);
        let mut last_seen = last.map_or(first_seen, |(_, at)| at);
        for gap in hidden {
            audits_seen = audits_seen.saturating_sub(counter.count(code, gap.first, gap.last.unwrap_or(i64::MAX)).0);
            if gap.last.is_none() {
                last_seen = counter.count(code, opened, gap.first - 1).1.map_or(first_seen, |(_, at)| at);
            }
        }
        let known = PastFinding {
            first_seen,
            stamp: row.get::<_, i64>(8)? as u64,
            stamp_since: time(row, 9)?,
            code,
            row: id,
            face: row.get::<_, i64>(10)? as u64,
            confirmed: row.get_ref(11)?.as_str()? == "confirmed",
            hidden: hidden.last().is_some_and(|gap| gap.last.is_none()),
            audits_seen: audits_seen + row.get::<_, i64>(7)?.unsigned_abs(),
            last_seen,
            episode: row.get::<_, i64>(4)?.unsigned_abs(),
        };
        past.open.insert(code, kind, row.get_ref(3)?.as_str()?, known);
    }
    Ok(())
}
