//! Questions to the history, as `report`, `who` and `release` ask them. Plain values come out: rows
//! ([`crate::model::row`]), and when each was so.
//!
//! Windows are judged times, both ends included. Everything that could have been seen has two uncertain ends; an end
//! is an audit ([`AuditAt`]), so a clock that went back disorders nothing.

use std::time::Duration;

use super::ReadTx;
use super::column::{count, some_time, term, time};
use super::timeline::Timeline;
use crate::error::Error;
use crate::model::row::{AuditAt, CapacityRow};
use crate::model::{Addr, Code, Severity, Sharing, Term, Time};

pub use super::timeline::AuditInput;
pub use findings::{About, Which};
pub use known::LastKnown;

pub(super) mod findings;
pub(super) mod intervals;
mod known;

/// A stretch of judged time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    pub since: Time,
    pub until: Time,
}

impl Window {
    /// All time.
    pub const ALL: Window = Window { since: Time(i64::MIN), until: Time(i64::MAX) };

    /// Whether a moment lies in it.
    pub fn has(self, at: Time) -> bool {
        self.since <= at && at <= self.until
    }
}

/// Which findings are wanted; an empty one takes all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    pub codes: Vec<Code>,
    /// This one and worse.
    pub severity: Option<Severity>,
    pub node: Option<String>,
    pub namespace: Option<String>,
    pub pool: Option<String>,
}

/// A datastore together with a Kubernetes cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pair {
    pub id: i64,
    pub guid: String,
    /// UIDs of the one Kubernetes cluster; none when nobody could say.
    pub uids: Vec<String>,
    /// Audits whose Kubernetes cluster nobody could name are kept apart and close nothing.
    pub apart: bool,
    /// A complete audit saw that the two belong together.
    pub known: bool,
    pub exclusive: bool,
    /// Grows with every IPA903.
    pub epoch: i64,
    pub audits: u64,
    pub first_audit: Option<Time>,
    pub last_audit: Option<Time>,
}

/// One audit, with everything that is kept of it.
#[derive(Clone, Debug)]
pub struct AuditRow {
    pub id: i64,
    pub epoch: i64,
    pub judged: Time,
    pub started: Time,
    pub duration: Duration,
    pub api_date: Option<Time>,
    pub etcd_revision: i64,
    pub compact_revision: Option<i64>,
    pub cluster_id: u64,
    pub member_id: u64,
    pub scope: Term<Sharing>,
    pub complete: bool,
    pub clock_back: bool,
    pub tool: String,
    pub inputs: Vec<AuditInput>,
    pub skipped: Vec<(Code, String)>,
    /// JSON of the counts, as in the audit's own output.
    pub counts: String,
    /// JSON: findings by severity.
    pub found: String,
    pub new: u64,
    pub ongoing: u64,
    pub came_back: u64,
    pub resolved: u64,
}

/// How full a pool was from an audit on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CapacityAt {
    pub row: CapacityRow,
    pub at: AuditAt,
}

/// Whose intervals are wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Whose {
    Address(Addr),
    /// The sanitised id.
    Handle(String),
    /// Without a namespace: every pod of that name.
    Pod {
        namespace: Option<String>,
        name: String,
    },
    /// Calico's name (allocations), Kubernetes' name (pods).
    Node(String),
    All,
}

impl Pair {
    /// Whether `--cluster` means it: the beginning of its GUID or of a UID; without one every pair is meant.
    pub fn is_called(&self, id: Option<&str>) -> bool {
        id.is_none_or(|id| self.guid.starts_with(id) || self.uids.iter().any(|uid| uid.starts_with(id)))
    }
}

impl ReadTx<'_> {
    /// Every pair in the file.
    ///
    /// # Errors
    /// As every function here: a file that cannot be read.
    pub fn pairs(&self) -> Result<Vec<Pair>, Error> {
        self.try_pairs().map_err(self.failed("read the clusters of the history"))
    }

    fn try_pairs(&self) -> rusqlite::Result<Vec<Pair>> {
        let mut aliases = self.prepare_cached("SELECT uid FROM alias WHERE pair = ?1 ORDER BY uid")?;
        let mut statement = self.prepare_cached(
            "SELECT id, guid, apart, known, exclusive, epoch, (SELECT count(*) FROM audit WHERE pair = pair.id), \
             (SELECT judged FROM audit WHERE pair = pair.id ORDER BY id LIMIT 1), \
             (SELECT judged FROM audit WHERE pair = pair.id ORDER BY id DESC LIMIT 1) FROM pair ORDER BY id",
        )?;
        let pairs = statement.query_map([], |row| {
            Ok(Pair {
                id: row.get(0)?,
                guid: row.get(1)?,
                uids: Vec::new(),
                apart: row.get(2)?,
                known: row.get(3)?,
                exclusive: row.get(4)?,
                epoch: row.get(5)?,
                audits: count(row, 6)?,
                first_audit: some_time(row, 7)?,
                last_audit: some_time(row, 8)?,
            })
        })?;
        let mut pairs = pairs.collect::<rusqlite::Result<Vec<Pair>>>()?;
        for pair in &mut pairs {
            pair.uids = aliases.query_map([pair.id], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        }
        Ok(pairs)
    }

    /// The audits of a window, oldest first.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn audits(&self, pair: i64, window: Window) -> Result<Vec<AuditRow>, Error> {
        self.try_audits(pair, window).map_err(self.failed("read the audits of the history"))
    }

    fn try_audits(&self, pair: i64, window: Window) -> rusqlite::Result<Vec<AuditRow>> {
        let timeline = Timeline::of(self, pair)?;
        let mut statement = self.prepare_cached(
            "SELECT a.id, a.epoch, a.judged, a.started, a.duration, a.api_date, a.etcd_revision, a.compact_revision, \
             a.cluster_id, a.member_id, a.scope, a.complete, a.clock_back, t.text, a.counts, a.found, a.new, a.ongoing, \
             a.came_back, a.resolved FROM audit a JOIN name t ON t.id = a.tool \
             WHERE a.pair = ?1 AND a.judged BETWEEN ?2 AND ?3 ORDER BY a.id",
        )?;
        let rows = statement.query_map((pair, window.since.0, window.until.0), |row| {
            let id = row.get(0)?;
            let about = timeline.get(id).map(|a| std::rc::Rc::clone(&a.about)).unwrap_or_default();
            Ok(AuditRow {
                id,
                epoch: row.get(1)?,
                judged: time(row, 2)?,
                started: time(row, 3)?,
                duration: Duration::from_nanos(count(row, 4)?),
                api_date: some_time(row, 5)?,
                etcd_revision: row.get(6)?,
                compact_revision: row.get(7)?,
                cluster_id: row.get::<_, i64>(8)? as u64,
                member_id: row.get::<_, i64>(9)? as u64,
                scope: term(row, 10)?,
                complete: row.get(11)?,
                clock_back: row.get(12)?,
                tool: row.get(13)?,
                inputs: about.inputs.clone(),
                skipped: about.skipped.clone(),
                counts: row.get(14)?,
                found: row.get(15)?,
                new: count(row, 16)?,
                ongoing: count(row, 17)?,
                came_back: count(row, 18)?,
                resolved: count(row, 19)?,
            })
        })?;
        rows.collect()
    }
}
