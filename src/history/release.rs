//! What a release needs of the history: how often a thing was seen, and a record of what is about to be written.
//!
//! Observations are audits that saw the very same leak (IPA110: the allocation's tuple) or the very same orphaned handle
//! (IPA201) as confirmed, without a break, since the last fork. A release writes down its intent, bytes and revisions,
//! before each etcd transaction, and the outcome after it, each in a transaction of its own: whatever happens in
//! between, the next run can tell.

use std::cell::RefCell;
use std::collections::HashMap;

use rusqlite::types::{Value, ValueRef};
use rusqlite::{OptionalExtension, Row, params, params_from_iter};

use super::column::{address_bytes, known, some_time, stamp_bytes, time};
use super::query::Window;
use super::query::findings::Gap;
use super::timeline::{AuditRow, Timeline};
use super::{Db, ReadTx, ToWrite, kill, pair};
use crate::error::Error;
use crate::model::record::ClusterKey;
use crate::model::release::{Intent, KeyIntent, NewRelease, ReleaseRow, StepOutcome, StepRow};
use crate::model::{AllocationTuple, Code, Conclusion, Observation, SubjectKind, Term, Time};

/// The audits of a pair, by which many things can be looked up; as of the moment it was made.
#[derive(Debug)]
pub struct Watch {
    pub(super) pair: i64,
    /// Audits of a later moment are of a wrong clock.
    now: Time,
    timeline: Timeline,
    gaps: Vec<Gap>,
    /// What all audits from one on have seen that ran a check: most of what is asked for was first seen by the same few.
    without_gaps: RefCell<HashMap<(Code, i64), Option<Observation>>>,
}

impl Watch {
    /// What audits have observed of a finding from one on, without those that its gaps hide.
    fn seen(&self, code: Code, from: i64, finding: i64) -> Option<Observation> {
        let hidden = Gap::of(&self.gaps, finding);
        let counts = |audit: &&AuditRow| {
            audit.right_clock && audit.judged <= self.now && !hidden.iter().any(|gap| gap.holds(audit.id))
        };
        let seen = || self.timeline.running(code, from).filter(counts);
        let observe = || Observation::of(&seen().map(|audit| audit.judged).collect::<Vec<_>>());
        match hidden.is_empty() {
            true => *self.without_gaps.borrow_mut().entry((code, from)).or_insert_with(observe),
            false => observe(),
        }
    }
}

/// By what a thing is known to be the one that audits observed.
pub(super) enum Same {
    /// It is so since this audit.
    Since(i64),
    /// Its finding has this stamp.
    Stamp(u128),
}

impl ReadTx<'_> {
    /// The pair of these names, when the file has it; see [`ClusterKey`].
    ///
    /// # Errors
    /// As every function here: a file that cannot be read.
    pub fn pair_of(&self, key: &ClusterKey) -> Result<Option<i64>, Error> {
        pair::find(self, key).map_err(self.failed("read the clusters of the history"))
    }

    /// What [`Watch`] needs to answer for many things: the audits of a pair, read once. Those count whose clock was not proven
    /// wrong, by the API server's or by `now`, before which they were.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn watch(&self, pair: i64, now: Time) -> Result<Watch, Error> {
        let read = || {
            let (timeline, gaps) = (Timeline::of(self, pair)?, Gap::all(self, pair)?);
            Ok(Watch { pair, now, timeline, gaps, without_gaps: RefCell::default() })
        };
        read().map_err(self.failed("read the observations of the history"))
    }

    /// The audits that saw this very allocation with this finding as confirmed (leaked, IPA110; awaited, IPA133), since the
    /// last fork and without a break; `None` when it is not open. Audits do not count that saw the owner's node (Calico's name)
    /// there and not Ready, nor any before: what runs on such a node nobody knew, and its kubelet tidies up late.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn address_observations(
        &self,
        watch: &Watch,
        code: Code,
        tuple: &AllocationTuple,
        node: &str,
    ) -> Result<Option<Observation>, Error> {
        let read = || {
            let mut statement = self.prepare_cached(
                "SELECT min(tuple_since) FROM allocation WHERE pair = ?1 AND address = ?2 AND handle IS ?3 \
                 AND sequence IS ?4 AND block_create_revision = ?5 AND last_seen IS NULL",
            )?;
            let (address, sequence) = (address_bytes(tuple.address), tuple.sequence.map(|number| number as i64));
            let values = params![watch.pair, address, tuple.handle, sequence, tuple.block_create_revision];
            let since: Option<i64> = statement.query_row(values, |r| r.get(0))?;
            let Some(since) = since else { return Ok(None) };
            let since = since.max(self.silent_until(watch.pair, node)?.saturating_add(1));
            self.observations(watch, code, SubjectKind::Address, &tuple.address.to_string(), Same::Since(since))
        };
        read().map_err(self.failed("read the observations of the history"))
    }

    /// The last audit that saw a node (Calico's name) there and not Ready; 0: none did. A state without a Calico Node
    /// (IPA410) has Kubernetes' name alone.
    pub(super) fn silent_until(&self, pair: i64, node: &str) -> rusqlite::Result<i64> {
        let what = "SELECT max(ifnull(s.last_seen, 9223372036854775807)) FROM name n JOIN node_state s ON s.pair = ?1 \
                    WHERE n.text = ?2 AND s.present = 1 AND ifnull(s.ready, 0) = 0 AND (s.calico = n.id OR \
                    s.calico IS NULL AND (s.kubernetes = n.id OR s.kubernetes IN \
                    (SELECT kubernetes FROM node_state WHERE pair = ?1 AND calico = n.id)))";
        let last: Option<i64> = self.prepare_cached(what)?.query_row(params![pair, node], |r| r.get(0))?;
        Ok(last.unwrap_or(0))
    }

    /// The same for an orphaned handle and the code of such, by its id as it is stored and the stamp of the finding about
    /// it now: a handle that was written is another one, also when no audit has looked since.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn orphan_observations(
        &self,
        watch: &Watch,
        code: Code,
        handle: &str,
        stamp: u128,
    ) -> Result<Option<Observation>, Error> {
        self.observations(watch, code, SubjectKind::Handle, handle, Same::Stamp(stamp))
            .map_err(self.failed("read the observations of the history"))
    }

    pub(super) fn observations(
        &self,
        watch: &Watch,
        code: Code,
        kind: SubjectKind,
        subject: &str,
        same: Same,
    ) -> rusqlite::Result<Option<Observation>> {
        if self.schema()? < 2 {
            // What schema 1 wrote of two things cannot be told apart before the file was brought up to date.
            return Ok(None);
        }
        let mut statement = self.prepare_cached(
            "SELECT f.id, f.opened, f.confirmed_audit, iif(f.stamp IS ?5, f.stamp_audit, NULL), p.epoch_audit, \
             coalesce(f.mixed_until, 0) FROM finding f JOIN pair p ON p.id = f.pair \
             WHERE f.pair = ?1 AND f.code = ?2 AND f.kind = ?3 AND f.subject = ?4 AND f.ended IS NULL",
        )?;
        let (since, stamp) = match same {
            Same::Since(audit) => (Some(audit), None),
            Same::Stamp(stamp) => (None, Some(stamp_bytes(stamp))),
        };
        let open = statement.query_row(params![watch.pair, code.0, kind.word(), subject, stamp], |row| {
            // What was observed of a thing since it is the same thing: by the stamp, where that is known.
            let (confirmed, stamped): (Option<i64>, Option<i64>) = (row.get(2)?, row.get(3)?);
            let begins = [row.get(1)?, row.get::<_, i64>(4)? + 1, row.get::<_, i64>(5)? + 1];
            Ok((row.get::<_, i64>(0)?, confirmed, since.or(stamped), begins.into_iter().max().unwrap_or(0)))
        });
        let Some((id, Some(confirmed), Some(same), begin)) = open.optional()? else { return Ok(None) };
        Ok(watch.seen(code, confirmed.max(same).max(begin), id))
    }

    /// Releases of a pair that never said how they ended, or with a transaction of which nobody knows it.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn unsettled_releases(&self, pair: i64) -> Result<Vec<ReleaseRow>, Error> {
        let what = "r.pair = ?1 AND (r.outcome IS NULL OR \
                    EXISTS (SELECT 1 FROM release_step WHERE release = r.id AND outcome IS NULL))";
        self.read_releases(what, vec![Value::from(pair)])
    }

    /// Releases of a pair that began within a window, oldest first.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn releases(&self, pair: i64, window: Window) -> Result<Vec<ReleaseRow>, Error> {
        let values = vec![Value::from(pair), Value::from(window.since.0), Value::from(window.until.0)];
        self.read_releases("r.pair = ?1 AND r.started BETWEEN ?2 AND ?3", values)
    }

    /// One release.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn release(&self, id: i64) -> Result<Option<ReleaseRow>, Error> {
        Ok(self.read_releases("r.id = ?1", vec![Value::from(id)])?.into_iter().next())
    }

    fn read_releases(&self, what: &str, values: Vec<Value>) -> Result<Vec<ReleaseRow>, Error> {
        let read = || {
            let what = format!(
                "SELECT r.id, r.pair, r.undoes, r.started, r.finished, r.outcome, r.plan, \
                 EXISTS (SELECT 1 FROM pair p JOIN audit a ON a.id = p.epoch_audit WHERE p.id = r.pair \
                 AND a.started >= r.started) FROM release r WHERE {what} ORDER BY r.id"
            );
            self.rows(&what, params_from_iter(values), |row| {
                let id = row.get(0)?;
                Ok(ReleaseRow {
                    id,
                    pair: row.get(1)?,
                    undoes: row.get(2)?,
                    started: time(row, 3)?,
                    finished: some_time(row, 4)?,
                    outcome: row.get::<_, Option<String>>(5)?.map(|word| Term::of(&word)),
                    plan: row.get(6)?,
                    steps: self.steps(id)?,
                    forked_since: row.get(7)?,
                })
            })
        };
        read().map_err(self.failed("read the releases of the history"))
    }

    fn steps(&self, release: i64) -> rusqlite::Result<Vec<StepRow>> {
        let what = "SELECT id, settled, outcome FROM release_step WHERE release = ?1 ORDER BY id";
        let subjects = "SELECT kind, subject FROM release_subject WHERE step = ?1";
        let keys = "SELECT key, mod_revision, old, new FROM release_key WHERE step = ?1 ORDER BY key";
        let key = |row: &Row<'_>| {
            Ok(KeyIntent { key: row.get(0)?, mod_revision: row.get(1)?, old: row.get(2)?, new: row.get(3)? })
        };
        self.rows(what, [release], |row| {
            let id: i64 = row.get(0)?;
            let is_settled = row.get_ref(1)? != ValueRef::Null;
            let subjects = self.rows(subjects, [id], |row| Ok((known(row, 0)?, row.get(1)?)))?;
            let intent = Intent { subjects, keys: self.rows(keys, [id], key)? };
            Ok(StepRow { id, intent, outcome: is_settled.then(|| known(row, 2)).transpose()? })
        })
    }
}

impl Db<ToWrite> {
    /// The pair of these names, made when the file does not have it: a release may come before the first audit.
    ///
    /// # Errors
    /// As every function here: a file that cannot be written.
    pub fn make_pair(&mut self, key: &ClusterKey) -> Result<i64, Error> {
        self.write("write the cluster into the history", |tx| pair::find_or_make(tx, key))
    }

    /// Writes down that a release begins; gives its number.
    ///
    /// # Errors
    /// The cluster is not in the history, or the file cannot be written.
    pub fn begin_release(&mut self, pair: i64, release: &NewRelease) -> Result<i64, Error> {
        let begun = self.write("write the release into the history", |tx| {
            tx.execute(
                "INSERT INTO release (pair, undoes, asked, started, plan) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![pair, release.undoes, release.asked, release.started.0, release.plan],
            )?;
            Ok(tx.last_row())
        })?;
        kill::point("begun");
        Ok(begun)
    }

    /// Writes down what a transaction is going to write, durably, before it does; gives the step's number.
    ///
    /// # Errors
    /// The file cannot be written: then the transaction must not be made.
    pub fn intend(&mut self, release: i64, intent: &Intent, at: Time) -> Result<i64, Error> {
        let intended = self.write("write the intent of the release into the history", |tx| {
            tx.execute("INSERT INTO release_step (release, intended) VALUES (?1, ?2)", params![release, at.0])?;
            let step = tx.last_row();
            for (kind, subject) in &intent.subjects {
                let what = "INSERT OR IGNORE INTO release_subject (step, kind, subject) VALUES (?1, ?2, ?3)";
                tx.execute(what, params![step, kind.word(), subject])?;
            }
            for key in &intent.keys {
                let what = "INSERT INTO release_key (step, key, mod_revision, old, new) VALUES (?1, ?2, ?3, ?4, ?5)";
                tx.execute(what, params![step, key.key, key.mod_revision, key.old, key.new])?;
            }
            kill::point("intend");
            Ok(step)
        })?;
        kill::point("intended");
        Ok(intended)
    }

    /// Writes down how a transaction ended.
    ///
    /// # Errors
    /// The file cannot be written: the outcome is then settled by the next run.
    pub fn settle(
        &mut self,
        step: i64,
        outcome: StepOutcome,
        revision: Option<i64>,
        detail: &str,
        at: Time,
    ) -> Result<(), Error> {
        kill::point("settle");
        let what = "UPDATE release_step SET outcome = ?2, revision = ?3, detail = ?4, settled = ?5 WHERE id = ?1";
        let written = self.write("write the outcome of the release into the history", |tx| {
            tx.execute(what, params![step, outcome.word(), revision, detail, at.0])
        });
        kill::point("settled");
        written.map(drop)
    }

    /// Writes down how a release ended.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish_release(&mut self, release: i64, ended: Conclusion, at: Time) -> Result<(), Error> {
        let what = "UPDATE release SET outcome = ?2, finished = ?3 WHERE id = ?1";
        kill::point("finish");
        let written = self.write("write the end of the release into the history", |tx| {
            tx.execute(what, params![release, ended.word(), at.0])
        });
        kill::point("finished");
        written.map(drop)
    }
}
