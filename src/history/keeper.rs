//! Answers for the allocations of which an audit did not read the rows.
//!
//! By a connection of its own, as of the audit whose past is asked: what another one records meanwhile changes no answer.

use std::cell::{OnceCell, RefCell};
use std::path::PathBuf;
use std::time::Duration;

use rusqlite::{OptionalExtension, params};

use super::column::{address_bytes, time};
use super::{Db, ToRead, pair};
use crate::error::Error;
use crate::model::past::RowKeeper;
use crate::model::record::ClusterKey;
use crate::model::{AllocationTuple, Past, Time};

/// Whoever asks gets no error: it is kept, and whoever made the keeper must look for it.
#[derive(Debug)]
pub struct Keeper {
    path: PathBuf,
    patience: Duration,
    cluster: ClusterKey,
    /// The last audit of that past.
    audit: i64,
    db: OnceCell<Db<ToRead>>,
    failed: RefCell<Option<Error>>,
}

impl Keeper {
    /// Of the rows of this past, in the file at `path`; nothing is opened before the first question.
    pub fn of(past: &Past, path: PathBuf, patience: Duration) -> Keeper {
        let (cluster, audit) = (past.last.key.clone(), past.last.audit);
        Keeper { path, patience, cluster, audit, db: OnceCell::new(), failed: RefCell::new(None) }
    }

    /// Why a question could not be answered, if one could not.
    pub fn take_failure(&self) -> Option<Error> {
        self.failed.take()
    }

    fn db(&self) -> Result<&Db<ToRead>, Error> {
        if let Some(db) = self.db.get() {
            return Ok(db);
        }
        let db = Db::open_beside_writers(&self.path, self.patience)?;
        Ok(self.db.get_or_init(|| db))
    }

    fn ask(&self, tuple: &AllocationTuple) -> Result<Option<Time>, Error> {
        let tx = self.db()?.read()?;
        let read = || {
            let Some(pair) = pair::find(&tx, &self.cluster)? else { return Ok(None) };
            let mut one = tx.prepare_cached(
                "SELECT tuple_since_at FROM allocation WHERE pair = ?1 AND address = ?2 AND handle IS ?3 \
                 AND sequence IS ?4 AND block_create_revision = ?5 AND first_seen <= ?6 \
                 AND (last_seen IS NULL OR not_seen_after > ?6)",
            )?;
            let (address, sequence) = (address_bytes(tuple.address), tuple.sequence.map(|number| number as i64));
            let values = params![pair, address, tuple.handle, sequence, tuple.block_create_revision, self.audit];
            one.query_row(values, |row| time(row, 0)).optional()
        };
        read().map_err(tx.failed("read the history"))
    }
}

impl RowKeeper for Keeper {
    fn first_seen(&self, tuple: &AllocationTuple) -> Option<Time> {
        match self.ask(tuple) {
            Ok(seen) => seen,
            Err(error) => {
                self.failed.borrow_mut().get_or_insert(error);
                None
            }
        }
    }
}
