//! Revisions of etcd at which the history knew a thing that is gone: where its older revisions can be found.

use rusqlite::{OptionalExtension, Row, params};

use crate::error::Error;
use crate::history::ReadTx;
use crate::history::column::{address_bytes, bits, cidr, time};
use crate::model::{Addr, Cidr, Foreign, SubjectKind, Time};

/// The last audit of this life of the datastore that saw a thing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LastKnown<T> {
    pub what: T,
    /// At which it read etcd.
    pub revision: i64,
    pub cluster_id: u64,
    /// Judged time.
    pub at: Time,
}

/// What is open was seen by the last audit that read all keys, or by the one that saw it first.
const NEWEST: &str = "(SELECT coalesce(max(id), 0) FROM audit WHERE pair = ?2 AND keys <> 0)";

fn last_known<T>(what: T, row: &Row<'_>) -> rusqlite::Result<LastKnown<T>> {
    Ok(LastKnown { what, revision: row.get(1)?, cluster_id: bits(row, 2)?, at: time(row, 3)? })
}

impl ReadTx<'_> {
    /// Handles of this id, or of this container, by allocations and findings about them.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn handles_last_known(&self, pair: i64, id: &str) -> Result<Vec<LastKnown<Foreign>>, Error> {
        let is_it = |column: &str| format!("({column} = ?1 OR substr({column}, -length(?1) - 1) = '.' || ?1)");
        let what = format!(
            "SELECT w.id, a.etcd_revision, a.cluster_id, a.judged FROM ( \
               SELECT id, max(audit) AS audit FROM ( \
                 SELECT handle AS id, coalesce(last_seen, max(first_seen, {NEWEST})) AS audit \
                 FROM allocation WHERE pair = ?2 AND {} \
                 UNION ALL SELECT subject, coalesce(last_seen, max(opened, {NEWEST})) \
                 FROM finding WHERE pair = ?2 AND kind = ?3 AND {}) GROUP BY id) w \
             JOIN audit a ON a.id = w.audit JOIN pair p ON p.id = a.pair AND p.epoch = a.epoch ORDER BY w.id",
            is_it("handle"),
            is_it("subject")
        );
        let known = |row: &Row<'_>| last_known(row.get(0)?, row);
        let found = self.rows(&what, params![id, pair, SubjectKind::Handle.word()], known);
        found.map_err(self.failed("read the history"))
    }

    /// The block that an address was last allocated in.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn block_last_known(&self, pair: i64, address: Addr) -> Result<Option<LastKnown<Cidr>>, Error> {
        let what = format!(
            "SELECT b.cidr, a.etcd_revision, a.cluster_id, a.judged FROM allocation l JOIN block b ON b.id = l.block \
             JOIN audit a ON a.id = coalesce(l.last_seen, max(l.first_seen, {NEWEST})) \
             JOIN pair p ON p.id = a.pair AND p.epoch = a.epoch \
             WHERE l.address = ?1 AND l.pair = ?2 ORDER BY a.id DESC LIMIT 1"
        );
        let known = |row: &Row<'_>| last_known(cidr(row, 0)?, row);
        let row = self.query_row(&what, params![address_bytes(address), pair], known).optional();
        row.map_err(self.failed("read the history"))
    }
}
