//! Audits that failed before they saw anything of the datastore: that nobody could look is another thing than that nobody
//! looked.
//!
//! Such an audit has not read the datastore's name. It is recorded with the cluster that it must have been of: the only
//! one that the file knows, or the only one of that Kubernetes cluster.

use rusqlite::params;

use super::query::{Pair, Window};
use super::{Db, ReadTx, ToWrite};
use crate::error::Error;
use crate::history::column::time;
use crate::model::Foreign;
use crate::model::row::FailedAudit;

/// The schema that brought them.
const SINCE_SCHEMA: i64 = 3;

impl Db<ToWrite> {
    /// Records one. `uids`: names of the Kubernetes cluster, none where it did not answer either. Gives whether there is
    /// a cluster that it must have been of.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn record_failed(&mut self, audit: &FailedAudit, uids: &[String]) -> Result<bool, Error> {
        let pairs = self.read()?.pairs()?;
        let Some(pair) = whose(&pairs, uids) else { return Ok(false) };
        let failed = self.failed("write the failed audit into the history");
        let mut write = || {
            let tx = self.begin_write()?;
            let what = "INSERT INTO failed_audit (pair, judged, started, tool, why) VALUES (?1, ?2, ?3, ?4, ?5)";
            tx.execute(what, params![pair, audit.at.0, audit.started.0, audit.tool.raw(), audit.why.raw()])?;
            tx.commit()
        };
        write().map(|()| true).map_err(failed)
    }
}

impl ReadTx<'_> {
    /// The failed audits of a window, in the order of their times.
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
        read().map_err(self.failed("read the audits of the history"))
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
