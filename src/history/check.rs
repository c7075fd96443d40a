//! Whether the file is whole: SQLite's own tests, and what must hold by the meaning of the tables.

use super::{ReadTx, schema1};
use crate::error::Error;
use crate::model::{Code, Foreign};

/// What must give no row, and what it means when it does.
const INVARIANTS: &[(&str, &str)] = &[
    (
        "an open allocation twice",
        "SELECT min(id), count(*) FROM allocation WHERE last_seen IS NULL \
         GROUP BY pair, address, handle, sequence, block_create_revision HAVING count(*) > 1",
    ),
    (
        "an allocation that ends before it begins",
        "SELECT id, 1 FROM allocation WHERE last_seen < first_seen OR not_seen_after <= first_seen",
    ),
    (
        "an allocation that was seen before it began",
        "SELECT id, 1 FROM allocation WHERE not_seen_before >= first_seen OR tuple_since > first_seen",
    ),
    ("an allocation half ended", "SELECT id, 1 FROM allocation WHERE (last_seen IS NULL) <> (not_seen_after IS NULL)"),
    (
        "an open address of a pod twice",
        "SELECT min(id), count(*) FROM pod_address WHERE last_seen IS NULL \
         GROUP BY pair, address, uid, namespace, pod, node, grade HAVING count(*) > 1",
    ),
    (
        "a pod's address that ends before it begins",
        "SELECT id, 1 FROM pod_address WHERE last_seen < first_seen OR not_seen_after <= first_seen OR not_seen_before >= first_seen",
    ),
    (
        "an open state of a node twice",
        "SELECT min(id), count(*) FROM node_state WHERE last_seen IS NULL \
         GROUP BY pair, calico, kubernetes, ours, present, boot_id, ready, addresses HAVING count(*) > 1",
    ),
    (
        "a node's state that ends before it begins",
        "SELECT id, 1 FROM node_state WHERE last_seen < first_seen OR not_seen_after <= first_seen OR not_seen_before >= first_seen",
    ),
    (
        "a finding open twice",
        "SELECT min(id), count(*) FROM finding WHERE ended IS NULL GROUP BY pair, code, kind, subject HAVING count(*) > 1",
    ),
    (
        "a finding that ends before it begins",
        "SELECT id, 1 FROM finding WHERE ended <= opened OR last_seen < opened OR audits_seen < 1",
    ),
    (
        "a finding without evidence",
        "SELECT f.id, 1 FROM finding f LEFT JOIN evidence e ON e.finding = f.id WHERE e.finding IS NULL",
    ),
    (
        "a finding of an audit that is not there",
        "SELECT f.id, f.opened FROM finding f LEFT JOIN audit a ON a.id = f.opened WHERE a.id IS NULL",
    ),
    (
        "an allocation of an audit that is not there",
        "SELECT l.id, l.first_seen FROM allocation l LEFT JOIN audit a ON a.id = l.first_seen WHERE a.id IS NULL",
    ),
    (
        "a pod's address of an audit that is not there",
        "SELECT l.id, l.first_seen FROM pod_address l LEFT JOIN audit a ON a.id = l.first_seen WHERE a.id IS NULL",
    ),
    (
        "a finding of another cluster's audit",
        "SELECT f.id, f.opened FROM finding f JOIN audit a ON a.id = f.opened WHERE a.pair <> f.pair",
    ),
    (
        "an allocation of another cluster's audit",
        "SELECT l.id, l.first_seen FROM allocation l JOIN audit a ON a.id = l.first_seen WHERE a.pair <> l.pair",
    ),
    (
        "an audit of a later epoch before one of an earlier",
        "SELECT a.id, b.id FROM audit a JOIN audit b ON b.pair = a.pair AND b.id = (SELECT min(id) FROM audit WHERE pair = a.pair AND id > a.id) WHERE b.epoch < a.epoch",
    ),
    (
        "a pair of an audit that is not there",
        "SELECT p.id, p.epoch_audit FROM pair p LEFT JOIN audit a ON a.id = p.epoch_audit WHERE p.epoch_audit <> 0 AND a.id IS NULL",
    ),
    (
        "a step with an outcome that was never settled",
        "SELECT id, release FROM release_step WHERE (outcome IS NULL) <> (settled IS NULL)",
    ),
];

impl ReadTx<'_> {
    /// Everything that is wrong with the file, in words; empty when it is whole. Reads all of it.
    ///
    /// # Errors
    /// A file so damaged that it cannot even be looked through.
    pub fn check(&self) -> Result<Vec<Foreign>, Error> {
        let mut wrong = Vec::new();
        let work = |wrong: &mut Vec<Foreign>| -> rusqlite::Result<()> {
            let integrity: Vec<String> = self.rows("PRAGMA integrity_check", [], |row| row.get(0))?;
            wrong.extend(
                integrity.into_iter().filter(|text| text != "ok").map(|text| format!("integrity: {text}").into()),
            );
            self.rows::<(), ()>("PRAGMA foreign_key_check", [], |row| {
                let (table, id, parent): (String, Option<i64>, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
                let says = format!("{table} {} names a row of {parent} that is not there", id.unwrap_or(0));
                wrong.push(says.into());
                Ok(())
            })?;
            if self.schema()? == 1 {
                self.check_schema_1(wrong)?;
            }
            for (what, query) in INVARIANTS {
                let broken: Vec<Option<i64>> = self.rows(query, [], |row| row.get(0))?;
                if let Some(first) = broken.first() {
                    wrong.push(format!("{what}: {} rows, the first is {}", broken.len(), first.unwrap_or(0)).into());
                }
            }
            Ok(())
        };
        match work(&mut wrong) {
            Ok(()) => Ok(wrong),
            // What was found so far says more than the error alone.
            Err(e) if !wrong.is_empty() => {
                wrong.push(e.to_string().into());
                Ok(wrong)
            }
            Err(e) => Err(self.failed("look through the history")(e)),
        }
    }

    /// What schema 1 mixed up, before the file is brought up to date: it then names two things by one number, and an
    /// audit that has the same to say of both cannot be written.
    fn check_schema_1(&self, wrong: &mut Vec<Foreign>) -> rusqlite::Result<()> {
        for mixed in schema1::mixed(self)? {
            wrong.push(is_mixed(mixed.finding, mixed.code, &mixed.subject, &mixed.with).into());
        }
        if let Some((count, one, other)) = schema1::alike(self)? {
            let says = format!(
                "{count} addresses and handles share their number with another, as {one} with {other}: no audit that finds the same of \
                 both can be recorded; the next audit makes it good"
            );
            wrong.push(says.into());
        }
        Ok(())
    }

    /// Findings whose observations an older ipaudit mixed up with another's: these count as not seen (release, rule 4).
    /// Nothing is wrong with the file; they are named until they are pruned.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn mixed(&self) -> Result<Vec<Foreign>, Error> {
        let read = || {
            if self.schema()? < 2 {
                return Ok(Vec::new());
            }
            let what = "SELECT id, code, subject, mixed_with, mixed_until FROM finding WHERE mixed_until IS NOT NULL ORDER BY id";
            self.rows(what, [], |row| {
                let (subject, with, until): (String, String, i64) = (row.get(2)?, row.get(3)?, row.get(4)?);
                let says = is_mixed(row.get(0)?, Code(row.get(1)?), &subject, &with);
                Ok(format!("{says}: up to audit {until} it counts as not seen").into())
            })
        };
        read().map_err(self.failed("look through the history"))
    }
}

fn is_mixed(finding: i64, code: Code, subject: &str, with: &str) -> String {
    format!("finding {finding}, {code} {subject}, may hold observations of {with}, with which it shared its number")
}
