//! By which release of ours a thing was given back.

use rusqlite::params;

use crate::error::Error;
use crate::history::ReadTx;
use crate::history::column::time;
use crate::model::given_back::GivenBack;
use crate::model::release::StepOutcome;
use crate::model::{Foreign, SubjectKind};

impl ReadTx<'_> {
    /// The releases and undos of a pair that have written this address or handle, oldest first.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn freed(&self, pair: i64, kind: SubjectKind, subject: &str) -> Result<Vec<GivenBack>, Error> {
        let read = || {
            let mut statement = self.prepare_cached(
                "SELECT r.id, r.undoes, coalesce(s.settled, s.intended), w.subject FROM release_subject w \
                 JOIN release_step s ON s.id = w.step JOIN release r ON r.id = s.release \
                 WHERE w.kind = ?1 AND w.subject = ?2 AND r.pair = ?3 AND s.outcome = ?4 ORDER BY s.id",
            )?;
            let rows =
                statement.query_map(params![kind.word(), subject, pair, StepOutcome::Applied.word()], |row| {
                    let subject = Foreign::from(row.get::<_, String>(3)?);
                    Ok(GivenBack { release: row.get(0)?, undoes: row.get(1)?, at: time(row, 2)?, kind, subject })
                })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(self.failed("read the releases of the history"))
    }
}
