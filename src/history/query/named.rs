//! Names that the history knows: what a report can be narrowed to.

use crate::error::Error;
use crate::history::ReadTx;
use crate::history::timeline::Timeline;
use crate::model::{Code, Foreign};

/// Whose names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NameOf {
    /// Calico's and Kubernetes'.
    Node,
    Namespace,
    Pool,
}

impl NameOf {
    /// Where they stand.
    const fn columns(self) -> &'static [&'static str] {
        match self {
            NameOf::Node => {
                &["calico FROM node_state", "kubernetes FROM node_state", "name FROM node", "node FROM finding"]
            }
            NameOf::Namespace => &["namespace FROM pod_address", "namespace FROM allocation", "namespace FROM finding"],
            NameOf::Pool => &["pool FROM capacity", "pool FROM finding"],
        }
    }
}

impl ReadTx<'_> {
    /// Every name of this kind that any audit of a pair has seen, as far back as the file goes, sorted.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn names(&self, pair: i64, of: NameOf) -> Result<Vec<Foreign>, Error> {
        let read = || {
            let from: Vec<String> =
                of.columns().iter().map(|column| format!("SELECT {column} WHERE pair = ?1")).collect();
            let what = format!("SELECT text FROM name WHERE id IN ({}) ORDER BY text", from.join(" UNION "));
            self.rows(&what, [pair], |row| row.get(0))
        };
        read().map_err(self.failed("read the names of the history"))
    }

    /// Whether any audit of a pair, as far back as the file goes, has looked for findings of this code.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn has_looked_for(&self, pair: i64, code: Code) -> Result<bool, Error> {
        let timeline = Timeline::of(self, pair).map_err(self.failed("read the audits of the history"))?;
        Ok(timeline.running(code, 0).next().is_some())
    }
}
