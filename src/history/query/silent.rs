//! Nodes of which audits know that they were silent: what was seen on them then does not count for a release.

use std::collections::{BTreeMap, HashSet};

use rusqlite::params_from_iter;
use rusqlite::types::Value;

use super::named_in;
use crate::error::Error;
use crate::history::ReadTx;
use crate::model::touch::NamingTexts;
use crate::model::{Code, Foreign};

impl ReadTx<'_> {
    /// By node, under each of its names, the last audit of a pair that saw it there and not Ready; `i64::MAX` while it is so.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn silent_nodes(&self, pair: i64) -> Result<BTreeMap<Foreign, i64>, Error> {
        let what = "SELECT n.text, max(ifnull(s.last_seen, 9223372036854775807)) FROM node_state s \
                    JOIN name n ON n.id IN (s.calico, s.kubernetes) \
                    WHERE s.pair = ?1 AND s.present = 1 AND ifnull(s.ready, 0) = 0 GROUP BY n.text";
        let nodes: rusqlite::Result<Vec<(Foreign, i64)>> =
            self.rows(what, [pair], |row| Ok((row.get(0)?, row.get(1)?)));
        nodes.map(BTreeMap::from_iter).map_err(self.failed("read the nodes of the history"))
    }

    /// The open findings of these codes whose evidence names one of the nodes that are not Ready now, of
    /// [`ReadTx::silent_nodes`].
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn of_silent_nodes(
        &self,
        pair: i64,
        codes: &[Code],
        silent: &BTreeMap<Foreign, i64>,
    ) -> Result<HashSet<i64>, Error> {
        let silent: HashSet<&str> =
            silent.iter().filter(|(_, until)| **until == i64::MAX).map(|(node, _)| node.raw()).collect();
        if silent.is_empty() || codes.is_empty() {
            return Ok(HashSet::new());
        }
        let what = format!(
            "SELECT f.id, coalesce(e.last, e.first) FROM finding f JOIN evidence e ON e.finding = f.id \
             WHERE f.pair = ? AND f.ended IS NULL AND f.code IN ({})",
            vec!["?"; codes.len()].join(",")
        );
        let codes = codes.iter().map(|code| i64::from(code.0));
        let values = params_from_iter(std::iter::once(pair).chain(codes).map(Value::from));
        let told: rusqlite::Result<Vec<(i64, String)>> = self.rows(&what, values, |row| Ok((row.get(0)?, row.get(1)?)));
        let told = told.map_err(self.failed("read the findings of the history"))?;
        let is_silent = |evidence: &str| {
            named_in::evidence(evidence)
                .any_text(&|_, text| silent.contains(text.strip_prefix("host:").unwrap_or(text)))
        };
        Ok(told.into_iter().filter(|(_, evidence)| is_silent(evidence)).map(|(id, _)| id).collect())
    }
}
