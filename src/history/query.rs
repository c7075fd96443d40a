//! Questions to the history, as `report`, `who` and `release` ask them. Plain values come out.
//!
//! Windows are judged times, both ends included. Everything that could have been seen has two uncertain ends; an end
//! is an audit ([`Seen`]), so a clock that went back disorders nothing.

use std::time::Duration;

use super::ReadTx;
use super::timeline::{Timeline, time};
use crate::error::Error;
use crate::model::{Addr, Code, Severity, Time};

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

/// An audit at which something was seen, or not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen {
    pub audit: i64,
    /// Judged time of it.
    pub at: Time,
}

/// How a finding stands or ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// The last audit saw it.
    Open,
    /// The last audit could not look: an input was missing. It is not closed.
    InputMissing,
    /// It went by itself.
    Resolved,
    /// A release of ours ended it: its number.
    Released(Option<i64>),
    /// Another version of ipaudit, or another scope, judges otherwise: nobody can say that the cluster changed.
    RuleChanged,
}

/// One episode of a finding.
#[derive(Clone, Debug)]
pub struct FindingRow {
    pub id: i64,
    pub pair: i64,
    pub code: Code,
    /// [`crate::model::SubjectKind::word`].
    pub kind: String,
    pub subject: String,
    /// 1; 2 when it came back, …
    pub episode: u64,
    pub opened: Seen,
    pub last_seen: Seen,
    pub audits_seen: u64,
    /// The first audit that did not see it any more.
    pub ended: Option<Seen>,
    pub ending: Ending,
    pub severity: Severity,
    /// `confirmed` or `unconfirmed`.
    pub state: String,
    pub summary: String,
    /// Code and subject of the finding that explains it.
    pub root: Option<(Code, String)>,
    pub node: Option<String>,
    pub namespace: Option<String>,
    pub pool: Option<String>,
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
    /// `exclusive`, `shared`, `unknown`.
    pub scope: String,
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

/// A node's bootID changed between two audits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reboot {
    /// Kubernetes' name where known.
    pub node: String,
    /// The last audit with the old bootID.
    pub before: Seen,
    /// The first one with the new bootID.
    pub after: Seen,
}

/// How full a pool was from an audit on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CapacityAt {
    pub pool: String,
    pub cidr: String,
    pub at: Seen,
    /// Addresses; these numbers end at 2^63 - 1.
    pub addresses: i64,
    pub allocated: i64,
    pub in_use: i64,
    pub leaked: i64,
    pub cooling: i64,
    pub reserved: i64,
    pub free: i64,
    pub blocks: i64,
    pub free_blocks: i64,
    /// The pool was no more.
    pub gone: bool,
}

/// When something was so, with both uncertain ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// The last audit before that did not see it; `None`: there was none.
    pub not_seen_before: Option<Seen>,
    pub first_seen: Seen,
    /// The last audit that saw it; of an open one the last audit that could have missed it.
    pub last_seen: Seen,
    /// The first audit after that did not see it; `None`: it is still so.
    pub not_seen_after: Option<Seen>,
}

/// Who had an address by IPAM's record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AllocationInterval {
    pub address: Addr,
    pub block: String,
    pub block_create_revision: i64,
    pub sequence: Option<u64>,
    pub handle: Option<String>,
    /// `pod`, `tunnel`, `load-balancer`, `vm`, `windows`, `reserved`, `cooling`, `unknown`, `unattributed`, `broken`.
    pub used_for: String,
    /// Calico's name.
    pub node: Option<String>,
    pub namespace: Option<String>,
    /// Pod or service.
    pub pod: Option<String>,
    /// The CNI host's clock at the allocation.
    pub allocated: Option<Time>,
    /// JSON: what else the owner attributes say.
    pub more: Option<String>,
    pub span: Span,
    /// Of an ended one: how often its block was written between the two audits around the end; the address changed
    /// hands at most so often. `None`: unknown.
    pub changes: Option<u64>,
}

/// Which pod had an address by its own status.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PodInterval {
    pub address: Addr,
    pub uid: String,
    pub namespace: String,
    pub pod: String,
    /// Kubernetes' name.
    pub node: String,
    /// `certain` or `possible`.
    pub grade: String,
    pub span: Span,
}

/// How a node was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeInterval {
    pub calico: Option<String>,
    pub kubernetes: Option<String>,
    pub ours: bool,
    /// Kubernetes knows it.
    pub present: bool,
    pub boot_id: Option<String>,
    pub ready: Option<bool>,
    pub addresses: Vec<String>,
    pub span: Span,
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
                audits: row.get::<_, i64>(6)?.unsigned_abs(),
                first_audit: row.get::<_, Option<i64>>(7)?.map(Time),
                last_audit: row.get::<_, Option<i64>>(8)?.map(Time),
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
            let count = |column| row.get::<_, i64>(column).map(i64::unsigned_abs);
            Ok(AuditRow {
                id,
                epoch: row.get(1)?,
                judged: time(row, 2)?,
                started: time(row, 3)?,
                duration: Duration::from_nanos(count(4)?),
                api_date: row.get::<_, Option<i64>>(5)?.map(Time),
                etcd_revision: row.get(6)?,
                compact_revision: row.get(7)?,
                cluster_id: row.get::<_, i64>(8)? as u64,
                member_id: row.get::<_, i64>(9)? as u64,
                scope: row.get(10)?,
                complete: row.get(11)?,
                clock_back: row.get(12)?,
                tool: row.get(13)?,
                inputs: about.inputs.clone(),
                skipped: about.skipped.clone(),
                counts: row.get(14)?,
                found: row.get(15)?,
                new: count(16)?,
                ongoing: count(17)?,
                came_back: count(18)?,
                resolved: count(19)?,
            })
        })?;
        rows.collect()
    }

    /// Stretches of a window without any audit that are longer than `usual`; the ends are audits, or the window's
    /// own ends where it is not [`Window::ALL`].
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn gaps(&self, pair: i64, window: Window, usual: Duration) -> Result<Vec<Window>, Error> {
        let audits = self.audits(pair, window)?;
        let mut times: Vec<Time> = audits.iter().map(|a| a.judged).collect();
        times.extend([window.since, window.until].into_iter().filter(|t| !matches!(t.0, i64::MIN | i64::MAX)));
        times.sort_unstable();
        let long = times.windows(2).filter_map(|pair| match pair {
            &[since, until] if until.since(since) > usual => Some(Window { since, until }),
            _ => None,
        });
        Ok(long.collect())
    }
}
