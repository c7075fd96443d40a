//! By which release of ours a thing was given back.

use std::collections::HashSet;

use rusqlite::params;

use crate::error::Error;
use crate::history::ReadTx;
use crate::history::column::time;
use crate::model::given_back::GivenBack;
use crate::model::release::StepOutcome;
use crate::model::{Foreign, SubjectKind, Term, Time};

impl ReadTx<'_> {
    /// What releases of a pair have given back between two moments (of the machine's clock) and no undo has put back, by kind
    /// and subject.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn freed_within(&self, pair: i64, since: Time, until: Time) -> Result<HashSet<(&'static str, Foreign)>, Error> {
        let what = "SELECT w.kind, w.subject, r.undoes FROM release_subject w JOIN release_step s ON s.id = w.step \
                    JOIN release r ON r.id = s.release \
                    WHERE r.pair = ?1 AND s.outcome = 'applied' AND coalesce(s.settled, s.intended) BETWEEN ?2 AND ?3 \
                    ORDER BY s.id";
        let steps: rusqlite::Result<Vec<(String, Foreign, Option<i64>)>> =
            self.rows(what, [pair, since.0, until.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        let mut freed = HashSet::new();
        for (kind, subject, undoes) in steps.map_err(self.failed("read the releases of the history"))? {
            let Term::Known(kind) = Term::<SubjectKind>::of(&kind) else { continue };
            match undoes {
                None => freed.insert((kind.word(), subject)),
                Some(_) => freed.remove(&(kind.word(), subject)),
            };
        }
        Ok(freed)
    }

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
