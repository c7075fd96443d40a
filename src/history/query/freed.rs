//! By which release of ours a thing was given back, and what went with it.

use std::collections::HashMap;

use rusqlite::params;
use serde_json::Value;

use super::named_in;
use crate::error::Error;
use crate::history::ReadTx;
use crate::history::column::time;
use crate::model::given_back::{GivenBack, TakenAway, thing_of_key};
use crate::model::release::StepOutcome;
use crate::model::{Code, Foreign, SubjectKind, Term, Time};

impl ReadTx<'_> {
    /// What releases of a pair have taken away between two moments (of the machine's clock) and no undo has put back.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn freed_within(&self, pair: i64, since: Time, until: Time) -> Result<TakenAway, Error> {
        let read = || {
            let mut taken = TakenAway::default();
            let of = |table: &str, columns: &str| {
                format!(
                    "SELECT r.id, r.undoes, {columns} FROM {table} w JOIN release_step s ON s.id = w.step \
                     JOIN release r ON r.id = s.release WHERE r.pair = ?1 AND s.outcome = 'applied' \
                     AND coalesce(s.settled, s.intended) BETWEEN ?2 AND ?3 ORDER BY s.id"
                )
            };
            let within = [pair, since.0, until.0];
            let alone = "NOT EXISTS (SELECT 1 FROM release_subject a WHERE a.step = w.step AND a.kind = 'address')";
            let what = of("release_subject", &format!("w.kind, w.subject, {alone}"));
            let subjects: Vec<(i64, Option<i64>, String, Foreign, bool)> =
                self.rows(&what, within, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))?;
            for (release, undoes, kind, subject, is_alone) in subjects {
                let Term::Known(kind) = Term::<SubjectKind>::of(&kind) else { continue };
                if kind == SubjectKind::Handle && undoes.is_none() && is_alone {
                    taken.orphans.insert(subject.clone());
                } else if kind == SubjectKind::Handle {
                    taken.orphans.remove(&subject);
                }
                match undoes {
                    None => taken.subjects.insert((kind.word(), subject), release),
                    Some(_) => taken.subjects.remove(&(kind.word(), subject)),
                };
            }
            let keys: Vec<(Vec<u8>, bool)> =
                self.rows(&of("release_key", "w.key, w.new IS NULL"), within, |row| Ok((row.get(2)?, row.get(3)?)))?;
            for (key, is_deleted) in keys {
                let Some((kind, subject)) = thing_of_key(&key) else { continue };
                match is_deleted {
                    true => taken.deleted.insert((kind.word(), subject)),
                    false => taken.deleted.remove(&(kind.word(), subject)),
                };
            }
            Ok(taken)
        };
        read().map_err(self.failed("read the releases of the history"))
    }

    /// The endpoints in the evidence of a pair's open findings of one code, each with one more field of it, by finding; none of
    /// a finding of which they cannot be read.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn endpoints_of_open(
        &self,
        pair: i64,
        code: Code,
        field: &str,
    ) -> Result<HashMap<i64, Vec<(Foreign, Foreign)>>, Error> {
        let what = "SELECT f.id, coalesce(e.last, e.first) FROM finding f JOIN evidence e ON e.finding = f.id \
                    WHERE f.pair = ?1 AND f.code = ?2 AND f.ended IS NULL";
        let told: rusqlite::Result<Vec<(i64, String)>> =
            self.rows(what, [pair, i64::from(code.0)], |row| Ok((row.get(0)?, row.get(1)?)));
        let told = told.map_err(self.failed("read the findings of the history"))?;
        let text = |entry: &Value, field: &str| Some(Foreign::from(entry.get(field)?.as_str()?));
        let endpoints = |(id, evidence): (i64, String)| {
            let facts = named_in::evidence(&evidence);
            let entries = facts.get("endpoints")?.as_array()?;
            let each = entries.iter().map(|entry| Some((text(entry, "endpoint")?, text(entry, field)?)));
            Some((id, each.collect::<Option<Vec<_>>>()?))
        };
        Ok(told.into_iter().filter_map(endpoints).collect())
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
