//! Whether the file is whole: SQLite's own tests, and what must hold by the meaning of the tables.

use super::Db;
use crate::error::Error;

/// What must give no row, and what it means when it does.
const INVARIANTS: &[(&str, &str)] = &[
    (
        "an open allocation twice",
        "SELECT tuple, count(*) FROM allocation WHERE last_seen IS NULL GROUP BY pair, tuple HAVING count(*) > 1",
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
        "SELECT identity, count(*) FROM pod_address WHERE last_seen IS NULL GROUP BY pair, identity HAVING count(*) > 1",
    ),
    (
        "a pod's address that ends before it begins",
        "SELECT id, 1 FROM pod_address WHERE last_seen < first_seen OR not_seen_after <= first_seen OR not_seen_before >= first_seen",
    ),
    (
        "an open state of a node twice",
        "SELECT identity, count(*) FROM node_state WHERE last_seen IS NULL GROUP BY pair, identity HAVING count(*) > 1",
    ),
    (
        "a node's state that ends before it begins",
        "SELECT id, 1 FROM node_state WHERE last_seen < first_seen OR not_seen_after <= first_seen OR not_seen_before >= first_seen",
    ),
    (
        "a finding open twice",
        "SELECT identity, count(*) FROM finding WHERE ended IS NULL GROUP BY pair, identity HAVING count(*) > 1",
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

impl Db {
    /// Everything that is wrong with the file, in words; empty when it is whole. Reads all of it.
    ///
    /// # Errors
    /// A file so damaged that it cannot even be looked through.
    pub fn check(&self) -> Result<Vec<String>, Error> {
        let mut wrong = Vec::new();
        let work = |wrong: &mut Vec<String>| -> rusqlite::Result<()> {
            let mut statement = self.connection.prepare("PRAGMA integrity_check")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let text: String = row.get(0)?;
                if text != "ok" {
                    wrong.push(format!("integrity: {text}"));
                }
            }
            let mut statement = self.connection.prepare("PRAGMA foreign_key_check")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let (table, id, parent): (String, Option<i64>, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
                wrong.push(format!("{table} {} names a row of {parent} that is not there", id.unwrap_or(0)));
            }
            for (what, query) in INVARIANTS {
                let mut statement = self.connection.prepare(query)?;
                let mut rows = statement.query([])?;
                let (mut count, mut first) = (0u64, None);
                while let Some(row) = rows.next()? {
                    first = first.or(row.get::<_, Option<i64>>(0)?);
                    count += 1;
                }
                if count > 0 {
                    wrong.push(format!("{what}: {count} rows, the first is {}", first.unwrap_or(0)));
                }
            }
            Ok(())
        };
        match work(&mut wrong) {
            Ok(()) => Ok(wrong),
            // What was found so far says more than the error alone.
            Err(e) if !wrong.is_empty() => {
                wrong.push(e.to_string());
                Ok(wrong)
            }
            Err(e) => Err(self.failed("look through the history")(e)),
        }
    }
}
