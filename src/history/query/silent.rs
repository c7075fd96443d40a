//! Nodes of which audits know that they were silent: what was seen on them then does not count for a release.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::history::ReadTx;
use crate::model::Foreign;

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
}
