//! The two transactions: one that is asked, and sees a single moment of the file; one that writes, alone.
//!
//! Nothing else of the history gets hold of SQLite's connection, so what only reads cannot write, and no write is made
//! without the lock.

use std::ops::Deref;
use std::path::Path;

use rusqlite::{CachedStatement, Connection, Params, Row, Statement, Transaction, TransactionBehavior};

use super::trouble::failed;
use crate::error::Error;

/// One moment of the history, to be asked. It begins with the first question, and nobody's write changes it.
#[derive(Debug)]
pub struct ReadTx<'a> {
    transaction: Transaction<'a>,
    path: &'a Path,
}

/// The history, locked from the first moment on (`BEGIN IMMEDIATE`); another writer is waited for. Dropped, nothing was
/// written.
#[derive(Debug)]
pub(super) struct WriteTx<'a>(ReadTx<'a>);

impl<'a> ReadTx<'a> {
    pub(super) fn begin(connection: &'a Connection, path: &'a Path) -> Result<ReadTx<'a>, Error> {
        let begun = Transaction::new_unchecked(connection, TransactionBehavior::Deferred);
        begun.map(|transaction| ReadTx { transaction, path }).map_err(|e| failed(path, "read the history", e))
    }

    /// A statement that only reads.
    pub(super) fn prepare(&self, what: &str) -> rusqlite::Result<Statement<'_>> {
        let statement = self.transaction.prepare(what)?;
        if statement.readonly() { Ok(statement) } else { Err(rusqlite::Error::InvalidQuery) }
    }

    /// The same, kept for the next time.
    pub(super) fn prepare_cached(&self, what: &str) -> rusqlite::Result<CachedStatement<'_>> {
        let statement = self.transaction.prepare_cached(what)?;
        if statement.readonly() { Ok(statement) } else { Err(rusqlite::Error::InvalidQuery) }
    }

    /// The first row.
    pub(super) fn query_row<T>(
        &self,
        what: &str,
        values: impl Params,
        row: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        self.prepare(what)?.query_row(values, row)
    }

    /// Every row of a statement that is kept for the next time: collected, or `()` where `row` itself sees to it.
    pub(super) fn rows<T, C: FromIterator<T>>(
        &self,
        what: &str,
        values: impl Params,
        row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<C> {
        self.prepare_cached(what)?.query_map(values, row)?.collect()
    }

    /// The schema of the file.
    pub(super) fn schema(&self) -> rusqlite::Result<i64> {
        self.query_row("PRAGMA user_version", [], |row| row.get(0))
    }

    pub(super) fn failed(&self, doing: &str) -> impl Fn(rusqlite::Error) -> Error + use<> {
        let (path, doing) = (self.path.to_path_buf(), doing.to_owned());
        move |e| failed(&path, &doing, e)
    }
}

impl<'a> WriteTx<'a> {
    pub(super) fn begin(connection: &'a mut Connection, path: &'a Path) -> rusqlite::Result<WriteTx<'a>> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        Ok(WriteTx(ReadTx { transaction, path }))
    }

    /// A statement that writes, kept for the next time.
    pub(super) fn write(&self, what: &str) -> rusqlite::Result<CachedStatement<'_>> {
        self.0.transaction.prepare_cached(what)
    }

    /// Writes once; says how many rows it was.
    pub(super) fn execute(&self, what: &str, values: impl Params) -> rusqlite::Result<usize> {
        self.0.transaction.execute(what, values)
    }

    /// Several statements without values.
    pub(super) fn execute_batch(&self, what: &str) -> rusqlite::Result<()> {
        self.0.transaction.execute_batch(what)
    }

    /// The number of the row that was inserted last.
    pub(super) fn last_row(&self) -> i64 {
        self.0.transaction.last_insert_rowid()
    }

    pub(super) fn commit(self) -> rusqlite::Result<()> {
        self.0.transaction.commit()
    }
}

/// Whoever writes may ask.
impl<'a> Deref for WriteTx<'a> {
    type Target = ReadTx<'a>;

    fn deref(&self) -> &ReadTx<'a> {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Not even by a slip in a statement's text, and not with a connection that may write.
    #[test]
    fn what_reads_cannot_write() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE pair (id INTEGER)").unwrap();
        let reading = ReadTx::begin(&connection, Path::new("")).unwrap();
        for what in ["INSERT INTO pair VALUES (1) RETURNING id", "DELETE FROM pair", "DROP TABLE pair", "VACUUM"] {
            assert_eq!(reading.prepare(what).unwrap_err(), rusqlite::Error::InvalidQuery, "{what}");
            assert!(reading.prepare_cached(what).is_err() && reading.query_row(what, [], |_| Ok(())).is_err());
        }
        assert_eq!(reading.query_row("SELECT count(*) FROM pair", [], |row| row.get::<_, i64>(0)).unwrap(), 0);
    }

    /// The lock is taken at once, not with the first statement: two writers never hold what they read against each other.
    #[test]
    fn a_second_writer_does_not_even_begin() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.db");
        let [mut one, mut other] = [(), ()].map(|()| Connection::open(&path).unwrap());
        other.busy_timeout(std::time::Duration::ZERO).unwrap();
        let writing = WriteTx::begin(&mut one, &path).unwrap();
        let refused = WriteTx::begin(&mut other, &path).unwrap_err();
        assert_eq!(refused.sqlite_error_code(), Some(rusqlite::ErrorCode::DatabaseBusy));
        writing.execute("CREATE TABLE pair (id INTEGER)", []).unwrap();
        drop(writing);
        let writing = WriteTx::begin(&mut other, &path).unwrap();
        let tables = |tx: &ReadTx<'_>| tx.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get::<_, i64>(0));
        assert_eq!(tables(&writing).unwrap(), 0, "dropped, nothing was written");
    }
}
