//! What is forgotten: audits and what has ended, once they are old enough. Never what is open, never a release.
//!
//! Age is real time, since judged time may be anything (`--now`). An audit that something kept still names stays too;
//! what open findings owe to audits that go is counted before they go, and of a finding that is forgotten its last episode
//! stays: when it comes back it is not new.

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use rusqlite::params;

use super::query::findings::Gap;
use super::timeline::Timeline;
use super::tx::WriteTx;
use super::{Db, ToWrite, kill};
use crate::error::Error;
use crate::model::{Code, Time};

/// What went, or would go.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pruned {
    pub audits: u64,
    pub findings: u64,
    pub allocations: u64,
    pub pod_addresses: u64,
    pub node_states: u64,
    pub capacity: u64,
}

impl Pruned {
    /// Whether nothing goes.
    pub fn is_nothing(&self) -> bool {
        *self == Pruned::default()
    }
}

impl fmt::Display for Pruned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Pruned { audits, findings, allocations, pod_addresses, node_states, capacity } = self;
        write!(
            f,
            "{audits} audits, {findings} ended findings, {allocations} ended allocations, {pod_addresses} ended addresses \
             of pods, {node_states} ended states of nodes, {capacity} states of pools"
        )
    }
}

/// What an ended row is judged by: the audit that first did not see it.
const ENDED: &[(&str, &str, CountOf)] = &[
    ("finding", "ended", |p| &mut p.findings),
    ("allocation", "not_seen_after", |p| &mut p.allocations),
    ("pod_address", "not_seen_after", |p| &mut p.pod_addresses),
    ("node_state", "not_seen_after", |p| &mut p.node_states),
];

type CountOf = fn(&mut Pruned) -> &mut u64;

impl Db<ToWrite> {
    /// What would go if everything older than `keep` went.
    ///
    /// # Errors
    /// A file that cannot be read or written: then nothing went.
    pub fn prune_plan(&mut self, now: Time, keep: Duration) -> Result<Pruned, Error> {
        self.run(now, keep, false)
    }

    /// Forgets everything older than `keep`. The file becomes smaller with [`Db::compact`].
    ///
    /// # Errors
    /// As [`Db::prune_plan`].
    pub fn prune(&mut self, now: Time, keep: Duration) -> Result<Pruned, Error> {
        self.run(now, keep, true)
    }

    /// The same, unless it was done within a day; `None` then. Space that becomes free is used again.
    ///
    /// # Errors
    /// As [`Db::prune_plan`].
    pub fn prune_daily(&mut self, now: Time, keep: Duration) -> Result<Option<Pruned>, Error> {
        const DAY: Duration = Duration::from_secs(86_400);
        let border = now.minus(keep);
        let what = "SELECT (SELECT coalesce(min(started), ?1) FROM audit WHERE started < ?1), \
                    (SELECT coalesce(max(pruned_until), 0) FROM pair)";
        let row = |row: &rusqlite::Row<'_>| Ok((Time(row.get(0)?), Time(row.get(1)?)));
        let read =
            self.read().and_then(|tx| tx.query_row(what, [border.0], row).map_err(tx.failed("prune the history")));
        let (oldest, done) = read?;
        if oldest >= border || border.since(done) < DAY {
            return Ok(None);
        }
        self.run(now, keep, true).map(Some)
    }

    fn run(&mut self, now: Time, keep: Duration, for_good: bool) -> Result<Pruned, Error> {
        let failed = self.failed("prune the history");
        let border = now.minus(keep);
        let mut work = || {
            let tx = self.begin_write()?;
            let pruned = prune(&tx, border)?;
            kill::point("pruned");
            if for_good {
                tx.commit()?;
            }
            Ok(pruned)
        };
        work().map_err(failed)
    }
}

fn prune(tx: &WriteTx<'_>, border: Time) -> rusqlite::Result<Pruned> {
    let mut pruned = Pruned::default();
    // Audits are numbered in the order of their recording, so the first young one is a border for all that name one.
    let young = "SELECT coalesce(min(id), (SELECT coalesce(max(id), 0) + 1 FROM audit)) FROM audit WHERE started >= ?1";
    let first: i64 = tx.query_row(young, [border.0], |row| row.get(0))?;
    tx.execute(
        "INSERT INTO forgotten (pair, code, kind, subject, episode) SELECT pair, code, kind, subject, max(episode) \
         FROM finding WHERE ended < ?1 GROUP BY pair, code, kind, subject \
         ON CONFLICT (pair, code, kind, subject) DO UPDATE SET episode = max(episode, excluded.episode)",
        [first],
    )?;
    for (table, column, count) in ENDED {
        let gone = tx.execute(&format!("DELETE FROM {table} WHERE {column} < ?1"), [first])?;
        *count(&mut pruned) = gone as u64;
    }
    pruned.capacity = tx.execute(
        "DELETE FROM capacity WHERE audit < ?1 AND audit < (SELECT max(k.audit) FROM capacity k \
         WHERE k.pair = capacity.pair AND k.pool = capacity.pool AND k.audit <= ?1)",
        [first],
    )? as u64;
    tx.execute_batch(
        "CREATE TEMP TABLE IF NOT EXISTS kept (id INTEGER PRIMARY KEY); DELETE FROM kept; \
         INSERT OR IGNORE INTO kept SELECT not_seen_before FROM allocation UNION SELECT first_seen FROM allocation \
         UNION SELECT tuple_since FROM allocation UNION SELECT last_seen FROM allocation WHERE last_seen IS NOT NULL \
         UNION SELECT not_seen_before FROM pod_address UNION SELECT first_seen FROM pod_address \
         UNION SELECT last_seen FROM pod_address WHERE last_seen IS NOT NULL \
         UNION SELECT not_seen_before FROM node_state UNION SELECT first_seen FROM node_state \
         UNION SELECT last_seen FROM node_state WHERE last_seen IS NOT NULL \
         UNION SELECT last_seen FROM finding WHERE last_seen IS NOT NULL UNION SELECT opened FROM finding \
         UNION SELECT stamp_audit FROM finding UNION SELECT confirmed_audit FROM finding WHERE confirmed_audit IS NOT NULL \
         UNION SELECT first FROM gap UNION SELECT last FROM gap WHERE last IS NOT NULL \
         UNION SELECT audit FROM capacity UNION SELECT epoch_audit FROM pair \
         UNION SELECT max(id) FROM audit GROUP BY pair UNION SELECT max(id) FROM audit WHERE keys <> 0 GROUP BY pair;",
    )?;
    owe(tx, first)?;
    let gone = "DELETE FROM audit WHERE id < ?1 AND id NOT IN (SELECT id FROM kept)";
    pruned.audits = tx.execute(gone, [first])? as u64;
    for failed in ["failed_audit", "unclaimed_audit"] {
        pruned.audits += tx.execute(&format!("DELETE FROM {failed} WHERE started < ?1"), [border.0])? as u64;
    }
    tx.execute("UPDATE pair SET pruned_until = ?1", [border.0])?;
    tx.execute_batch("DROP TABLE kept")?;
    Ok(pruned)
}

/// Counts for each open finding the audits that saw it and go now.
fn owe(tx: &WriteTx<'_>, first: i64) -> rusqlite::Result<()> {
    let pairs: Vec<i64> = tx.rows("SELECT id FROM pair", [], |row| row.get(0))?;
    let kept: HashSet<i64> = tx.rows("SELECT id FROM kept", [], |row| row.get(0))?;
    let mut update = tx.write("UPDATE finding SET seen_before = seen_before + ?2 WHERE id = ?1")?;
    for pair in pairs {
        let mut timeline = Timeline::of(tx, pair)?;
        timeline.audits.retain(|audit| audit.id < first && !kept.contains(&audit.id));
        if timeline.audits.is_empty() {
            continue;
        }
        let mut counter = timeline.counter();
        let gaps = Gap::all(tx, pair)?;
        let what = "SELECT id, code, opened FROM finding WHERE pair = ?1 AND ended IS NULL";
        let open: Vec<(i64, u16, i64)> = tx.rows(what, [pair], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        for (id, code, opened) in open {
            let (seen, _) = Gap::seen(Gap::of(&gaps, id), &mut counter, Code(code), opened);
            if seen > 0 {
                update.execute(params![id, seen as i64])?;
            }
        }
    }
    Ok(())
}
