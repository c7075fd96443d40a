//! Audits that failed before they saw anything of the datastore: that nobody could look is another thing than that nobody
//! looked.
//!
//! Such an audit has not read the datastore's name. It is recorded with the cluster that it must have been of: the only
//! one that the file knows, or the only one of that Kubernetes cluster. Where none fits, as before the first audit that saw any, or
//! several do, it is kept by itself, and belongs to the one that fits as soon as one does.

use rusqlite::params;

use super::query::{Pair, Window};
use super::{Db, ReadTx, ToWrite};
use crate::error::Error;
use crate::history::column::time;
use crate::model::Foreign;
use crate::model::row::FailedAudit;

/// The schema that brought them, and that of those that are nobody's.
const SINCE_SCHEMA: i64 = 3;
const UNCLAIMED_SINCE_SCHEMA: i64 = 4;

impl Db<ToWrite> {
    /// Records one. `uids`: names of the Kubernetes cluster, none where it did not answer either.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn record_failed(&mut self, audit: &FailedAudit, uids: &[String]) -> Result<(), Error> {
        let pair = whose(&self.read()?.pairs()?, uids);
        let failed = self.failed("write the failed audit into the history");
        let mut write = || {
            let tx = self.begin_write()?;
            let (at, started, tool, why) = (audit.at.0, audit.started.0, audit.tool.raw(), audit.why.raw());
            match pair {
                Some(pair) => {
                    let what =
                        "INSERT INTO failed_audit (pair, judged, started, tool, why) VALUES (?1, ?2, ?3, ?4, ?5)";
                    tx.execute(what, params![pair, at, started, tool, why])?;
                }
                None => {
                    let what =
                        "INSERT INTO unclaimed_audit (uids, judged, started, tool, why) VALUES (?1, ?2, ?3, ?4, ?5)";
                    tx.execute(what, params![serde_json::Value::from(uids).to_string(), at, started, tool, why])?;
                }
            }
            tx.commit()
        };
        write().map_err(failed)
    }
}

impl ReadTx<'_> {
    /// The failed audits of a window that must have been of this pair, in the order of their times.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn failed_audits(&self, pair: i64, window: Window) -> Result<Vec<FailedAudit>, Error> {
        let read = || {
            // Read without having been brought up to date.
            if self.schema()? < SINCE_SCHEMA {
                return Ok(Vec::new());
            }
            let what = "SELECT judged, started, tool, why FROM failed_audit \
                        WHERE pair = ?1 AND judged BETWEEN ?2 AND ?3 ORDER BY judged, id";
            self.rows(what, params![pair, window.since.0, window.until.0], |row| {
                let (at, started) = (time(row, 0)?, time(row, 1)?);
                Ok(FailedAudit { at, started, tool: row.get(2)?, why: row.get(3)? })
            })
        };
        let mut all: Vec<FailedAudit> = read().map_err(self.failed("read the audits of the history"))?;
        all.extend(self.unclaimed(Some(pair), window)?);
        all.sort_by_key(|failed| failed.at);
        Ok(all)
    }

    /// The failed audits of a window of which nobody can say the cluster, in the order of their times.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn failed_audits_of_nobody(&self, window: Window) -> Result<Vec<FailedAudit>, Error> {
        self.unclaimed(None, window)
    }

    /// Those that were recorded with no pair and now fit this one, or none.
    fn unclaimed(&self, of: Option<i64>, window: Window) -> Result<Vec<FailedAudit>, Error> {
        let read = || {
            if self.schema()? < UNCLAIMED_SINCE_SCHEMA {
                return Ok(Vec::new());
            }
            let what = "SELECT judged, started, tool, why, uids FROM unclaimed_audit \
                        WHERE judged BETWEEN ?1 AND ?2 ORDER BY judged, id";
            self.rows(what, params![window.since.0, window.until.0], |row| {
                let (at, started) = (time(row, 0)?, time(row, 1)?);
                let audit = FailedAudit { at, started, tool: row.get(2)?, why: row.get(3)? };
                Ok((audit, row.get::<_, String>(4)?))
            })
        };
        let all: Vec<(FailedAudit, String)> = read().map_err(self.failed("read the audits of the history"))?;
        let pairs = if all.is_empty() { Vec::new() } else { self.pairs()? };
        let is_of = |uids: &str| {
            // What cannot be read names nobody: so it stays nobody's.
            let uids: Option<Vec<String>> = serde_json::from_str(uids).ok();
            uids.and_then(|uids| whose(&pairs, &uids)) == of
        };
        Ok(all.into_iter().filter(|(_, uids)| is_of(uids)).map(|(audit, _)| audit).collect())
    }
}

/// The one pair that fits. Audits that are kept apart are of a datastore that another pair names too, mostly.
fn whose(pairs: &[Pair], uids: &[String]) -> Option<i64> {
    let is_named = |guid: &Foreign| pairs.iter().any(|pair| !pair.apart && pair.guid == *guid);
    let fits = |pair: &&Pair| match pair.apart {
        true => !is_named(&pair.guid),
        false => uids.is_empty() || pair.uids.iter().any(|known| uids.iter().any(|uid| known == uid)),
    };
    let mut fitting = pairs.iter().filter(fits);
    let only = fitting.next()?;
    fitting.next().is_none().then_some(only.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(id: i64, guid: &str, uid: Option<&str>) -> Pair {
        Pair {
            id,
            guid: guid.into(),
            uids: uid.map(Foreign::from).into_iter().collect(),
            apart: uid.is_none(),
            known: uid.is_some(),
            audits: 1,
            first_audit: None,
            last_audit: None,
        }
    }

    #[test]
    fn a_failed_audit_goes_to_the_only_cluster_that_it_can_be_of() {
        let (one, two) = (pair(1, "a", Some("k")), pair(2, "b", Some("l")));
        let (apart, other) = (pair(3, "a", None), pair(4, "c", None));
        let known = |pairs: &[&Pair], uids: &[&str]| {
            let pairs: Vec<Pair> = pairs.iter().map(|pair| (*pair).clone()).collect();
            whose(&pairs, &uids.iter().map(|uid| (*uid).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(known(&[], &[]), None);
        assert_eq!(known(&[&one], &[]), Some(1));
        assert_eq!(known(&[&one], &["k", "m"]), Some(1));
        assert_eq!(known(&[&one], &["m"]), None, "another Kubernetes cluster");
        assert_eq!(known(&[&one, &two], &[]), None, "nobody can say");
        assert_eq!(known(&[&one, &two], &["l"]), Some(2));
        assert_eq!(known(&[&one, &apart], &[]), Some(1), "the same datastore");
        assert_eq!(known(&[&one, &other], &[]), None);
        assert_eq!(known(&[&apart], &[]), Some(3));
        assert_eq!(known(&[&apart], &["k"]), Some(3), "of which nobody could say the Kubernetes cluster");
    }
}
