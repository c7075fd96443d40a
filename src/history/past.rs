//! The history as a [`Past`]: what the checks and the recorder of the next audit need, read in a few scans; of what has an
//! address or a key all of it, or nothing yet ([`super::rows`]).

use std::collections::HashMap;

use rusqlite::OptionalExtension;

use super::column::{bits, cidr, count, some_bits, some_time, stamp_of, term, time};
use super::query::findings::Gap;
use super::query::intervals::{CAPACITY, FROM_CAPACITY, FROM_NODE_STATE, NODE_STATE, capacity_row, node_row};
use super::timeline::Timeline;
use super::{ReadTx, pair, rows};
use crate::error::Error;
use crate::model::past::{AuditsSince, LastState, OpenRows};
use crate::model::record::ClusterKey;
use crate::model::row::{CapacityRow, NodeRow};
use crate::model::{BlockSequence, ByHash, Code, Foreign, Past, PastEtcd, PastFinding, State, Term};

impl ReadTx<'_> {
    /// What earlier audits of this cluster recorded; an empty past when there are none.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn past(&self, key: &ClusterKey) -> Result<Past, Error> {
        load(self, key).map_err(self.failed("read the history"))
    }

    /// The same without its keys, allocations and pods' addresses: nothing must be recorded with it before
    /// [`ReadTx::put_rows`] has put in those of what changed.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn past_without_rows(&self, key: &ClusterKey) -> Result<Past, Error> {
        let mut past = without_rows(self, key).map_err(self.failed("read the history"))?;
        past.allocations.rows = OpenRows::of_ranges(Vec::new(), ByHash::default());
        past.last.pods = OpenRows::of_ranges(Vec::new(), ByHash::default());
        Ok(past)
    }
}

pub(super) fn load(tx: &ReadTx<'_>, key: &ClusterKey) -> rusqlite::Result<Past> {
    let mut past = without_rows(tx, key)?;
    let Some(pair) = pair::find(tx, key)? else { return Ok(past) };
    past.keys = rows::keys(tx, pair)?;
    past.allocations.rows = OpenRows::all(rows::allocations(tx, pair)?);
    past.last.pods = OpenRows::all(rows::pods(tx, pair)?);
    Ok(past)
}

fn without_rows(tx: &ReadTx<'_>, key: &ClusterKey) -> rusqlite::Result<Past> {
    let Some(pair) = pair::find(tx, key)? else {
        let last = LastState { key: key.clone(), apart: key.uids.is_empty(), ..LastState::default() };
        return Ok(Past { last, ..Past::default() });
    };
    let timeline = Timeline::of(tx, pair)?;
    let mut past = of_pair(tx, pair)?;
    past.last.key = key.clone();
    past.audits = timeline.audits.len() as u64;
    if let Some(last) = timeline.audits.last() {
        (past.last_audit, past.last_started) = (Some(last.judged), Some(last.started));
        past.last.audit = last.id;
        let what = "SELECT n.text, a.scope FROM audit a JOIN name n ON n.id = a.tool WHERE a.id = ?1";
        (past.last.tool, past.last.scope) =
            tx.query_row(what, [last.id], |row| Ok((row.get(0)?, Some(term(row, 1)?))))?;
        let began = "SELECT epoch_audit FROM pair WHERE id = ?1";
        let restored: i64 = tx.query_row(began, [pair], |row| row.get(0))?;
        past.restored_last = restored == last.id;
        let since = || timeline.audits.iter().filter(|audit| audit.id > restored);
        past.since_restore = (restored > 0)
            .then(|| AuditsSince { audits: since().count() as u64, first: since().next().map(|audit| audit.judged) });
    }
    if let Some(audit) = timeline.audits.iter().rev().find(|a| a.keys) {
        let raft_term = raft_term(tx, audit.id)?;
        let what = "SELECT etcd_revision, cluster_id, started, api_date FROM audit WHERE id = ?1";
        let etcd = |row: &rusqlite::Row<'_>| {
            Ok(PastEtcd {
                revision: row.get(0)?,
                cluster_id: bits(row, 1)?,
                raft_term,
                started: Some(time(row, 2)?),
                api_date: some_time(row, 3)?,
            })
        };
        past.etcd = tx.query_row(what, [audit.id], etcd).optional()?;
    }
    nodes(tx, pair, &mut past)?;
    blocks(tx, pair, &mut past)?;
    past.last.nodes = node_states(tx, pair)?;
    past.last.capacity = capacity(tx, pair)?;
    findings(tx, pair, &timeline, &mut past)?;
    Ok(past)
}

/// The term that an audit saw; 0 where it is unknown, and in a file that is read without having been brought up to date.
fn raft_term(tx: &ReadTx<'_>, audit: i64) -> rusqlite::Result<u64> {
    let kept = "SELECT count(*) FROM pragma_table_info('audit') WHERE name = 'raft_term'";
    if tx.query_row(kept, [], |row| row.get::<_, i64>(0))? == 0 {
        return Ok(0);
    }
    let what = "SELECT raft_term FROM audit WHERE id = ?1";
    let term = tx.query_row(what, [audit], |row| row.get::<_, Option<i64>>(0)).optional()?;
    Ok(term.flatten().unwrap_or(0) as u64)
}

fn of_pair(tx: &ReadTx<'_>, pair: i64) -> rusqlite::Result<Past> {
    let what = "SELECT known, exclusive, strict_affinity_since, apart FROM pair WHERE id = ?1";
    tx.query_row(what, [pair], |row| {
        Ok(Past {
            pair_known: row.get(0)?,
            exclusive: row.get(1)?,
            strict_affinity_since: some_time(row, 2)?,
            last: LastState { apart: row.get(3)?, ..LastState::default() },
            ..Past::default()
        })
    })
}

/// `node.ours` of a node that was ours, and of a machine's former name.
pub(super) const OURS: i64 = 1;
pub(super) const FORMER: i64 = 2;

fn nodes(tx: &ReadTx<'_>, pair: i64, past: &mut Past) -> rusqlite::Result<()> {
    let what = "SELECT n.text, d.ours, d.gone_since FROM node d JOIN name n ON n.id = d.name WHERE d.pair = ?1";
    tx.rows::<(), ()>(what, [pair], |row| {
        let name: String = row.get(0)?;
        if let Some(since) = some_time(row, 2)? {
            past.gone_since.insert(name.clone(), since);
        }
        match row.get(1)? {
            OURS => drop(past.known_nodes.insert(name)),
            FORMER => drop(past.former_nodes.insert(name)),
            _ => {}
        }
        Ok(())
    })?;
    // Of several states of a node the last one: max() makes the other columns that row's.
    let what = "SELECT c.text, k.text, max(s.id) FROM node_state s JOIN name c ON c.id = s.calico \
                JOIN name k ON k.id = s.kubernetes WHERE s.pair = ?1 AND s.ours = 1 AND s.calico <> s.kubernetes \
                GROUP BY s.calico";
    past.kubernetes_names = tx.rows(what, [pair], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(())
}

fn blocks(tx: &ReadTx<'_>, pair: i64, past: &mut Past) -> rusqlite::Result<()> {
    let what =
        "SELECT cidr, create_revision, version, sequence_create_revision, highest_sequence FROM block WHERE pair = ?1";
    tx.rows(what, [pair], |row| {
        let cidr = cidr(row, 0)?;
        past.last.blocks.insert(cidr, (row.get(1)?, row.get(2)?));
        if let (Some(create_revision), Some(highest)) = (row.get(3)?, some_bits(row, 4)?) {
            past.block_sequences.insert(cidr, BlockSequence { create_revision, highest });
        }
        Ok(())
    })
}

fn node_states(tx: &ReadTx<'_>, pair: i64) -> rusqlite::Result<HashMap<NodeRow, i64>> {
    let what = format!("SELECT {NODE_STATE}, s.id {FROM_NODE_STATE} WHERE s.pair = ?1 AND s.last_seen IS NULL");
    tx.rows(&what, [pair], |row| Ok((node_row(row)?, row.get(7)?)))
}

fn capacity(tx: &ReadTx<'_>, pair: i64) -> rusqlite::Result<HashMap<Foreign, CapacityRow>> {
    let what = format!(
        "SELECT {CAPACITY} {FROM_CAPACITY} WHERE k.pair = ?1 AND k.gone = 0 \
         AND k.audit = (SELECT max(audit) FROM capacity WHERE pair = ?1 AND pool = k.pool)"
    );
    tx.rows(&what, [pair], |row| capacity_row(row).map(|row| (row.pool.clone(), row)))
}

fn findings(tx: &ReadTx<'_>, pair: i64, timeline: &Timeline, past: &mut Past) -> rusqlite::Result<()> {
    let gaps = Gap::all(tx, pair)?;
    let mut counter = timeline.counter();
    let what = "SELECT id, code, kind, subject, episode, opened, opened_at, seen_before, stamp, stamp_since, face, state \
                FROM finding WHERE pair = ?1 AND ended IS NULL";
    tx.rows(what, [pair], |row| {
        let (id, code) = (row.get(0)?, Code(row.get(1)?));
        // Of a newer ipaudit: no check of this one finds it again, so none may end it.
        let Term::Known(kind) = term(row, 2)? else { return Ok(()) };
        let (opened, opened_at) = (row.get(5)?, time(row, 6)?);
        let first_seen = timeline.known_since(opened, opened_at);
        let hidden = Gap::of(&gaps, id);
        let (audits_seen, last) = Gap::seen(hidden, &mut counter, code, opened);
        let known = PastFinding {
            first_seen,
            // A number in a file of schema 1: made otherwise.
            stamp: row.get_ref(8)?.as_blob().ok().and_then(stamp_of),
            stamp_since: time(row, 9)?,
            row: id,
            face: bits(row, 10)?,
            confirmed: term(row, 11)? == Term::Known(State::Confirmed),
            hidden: hidden.last().is_some_and(|gap| gap.last.is_none()),
            audits_seen: audits_seen + count(row, 7)?,
            last_seen: last.map_or(first_seen, |(_, at)| at),
            episode: count(row, 4)?,
        };
        past.open.insert(code, kind, row.get_ref(3)?.as_str()?, known);
        Ok(())
    })
}
