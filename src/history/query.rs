//! Questions to the history, as `report`, `who` and `release` ask them. Plain values come out: rows
//! ([`crate::model::row`]), and when each was so.
//!
//! Windows are judged times, both ends included. Everything that could have been seen has two uncertain ends; an end
//! is an audit ([`AuditAt`]), so a clock that went back disorders nothing.

use super::ReadTx;
use super::column::{count, some_time};
use super::timeline::Timeline;
use crate::error::Error;
use crate::model::row::{AuditAt, CapacityRow};
use crate::model::{Addr, Cidr, Foreign, Time};

pub use super::timeline::{AuditInput, AuditRow, Reach};
pub use findings::{About, Which};
pub use known::LastKnown;
pub use named::NameOf;

mod asked;
pub(super) mod findings;
mod freed;
pub(super) mod intervals;
mod known;
mod named;
mod named_in;
mod releasable;
mod restores;

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

/// A datastore together with a Kubernetes cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pair {
    pub id: i64,
    pub guid: Foreign,
    /// UIDs of the one Kubernetes cluster; none when nobody could say.
    pub uids: Vec<Foreign>,
    /// Audits whose Kubernetes cluster nobody could name are kept apart and close nothing.
    pub apart: bool,
    /// A complete audit saw that the two belong together.
    pub known: bool,
    pub audits: u64,
    pub first_audit: Option<Time>,
    pub last_audit: Option<Time>,
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
    /// Every address of it.
    Range(Cidr),
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
        id.is_none_or(|id| self.uids.iter().chain([&self.guid]).any(|name| name.raw().starts_with(id)))
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
        let what = "SELECT id, guid, apart, known, (SELECT count(*) FROM audit WHERE pair = pair.id), \
                    (SELECT judged FROM audit WHERE pair = pair.id ORDER BY id LIMIT 1), \
                    (SELECT judged FROM audit WHERE pair = pair.id ORDER BY id DESC LIMIT 1) FROM pair ORDER BY id";
        let mut pairs: Vec<Pair> = self.rows(what, [], |row| {
            let (id, guid, apart, known) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            let (audits, first_audit, last_audit) = (count(row, 4)?, some_time(row, 5)?, some_time(row, 6)?);
            Ok(Pair { id, guid, uids: Vec::new(), apart, known, audits, first_audit, last_audit })
        })?;
        for pair in &mut pairs {
            pair.uids = self.rows("SELECT uid FROM alias WHERE pair = ?1 ORDER BY uid", [pair.id], |row| row.get(0))?;
        }
        Ok(pairs)
    }

    /// The audits of a window, oldest first.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn audits(&self, pair: i64, window: Window) -> Result<Vec<AuditRow>, Error> {
        let timeline = Timeline::of(self, pair).map_err(self.failed("read the audits of the history"))?;
        Ok(timeline.audits.into_iter().filter(|audit| window.has(audit.judged)).collect())
    }
}
