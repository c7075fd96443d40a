//! Where etcd went back to an older state: between which audits, and by how much.

use super::Window;
use crate::error::Error;
use crate::history::ReadTx;
use crate::history::column::time;
use crate::model::row::{AuditAt, Restore};

impl ReadTx<'_> {
    /// Those that an audit of the window was the first to see, in order: it found a restore (IPA903), or etcd's revision
    /// was smaller than at the audit before.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn restores(&self, pair: i64, window: Window) -> Result<Vec<Restore>, Error> {
        let read = || {
            let what = "SELECT id, judged, epoch, etcd_revision FROM audit WHERE pair = ?1 ORDER BY id";
            self.rows(what, [pair], |row| {
                Ok((AuditAt { audit: row.get(0)?, at: time(row, 1)? }, row.get::<_, i64>(2)?, row.get::<_, i64>(3)?))
            })
        };
        let audits: Vec<(AuditAt, i64, i64)> = read().map_err(self.failed("read the audits of the history"))?;
        let mut restores = Vec::new();
        for around in audits.windows(2) {
            let &[(before, epoch_before, from), (after, epoch, to)] = around else { continue };
            // A source without revisions says 0.
            let fell = to > 0 && to < from;
            if (epoch > epoch_before || fell) && window.has(after.at) {
                restores.push(Restore { before, after, revisions: (from, to) });
            }
        }
        Ok(restores)
    }
}
