//! What releases were asked for: the flags, as they were recorded.

use crate::error::Error;
use crate::history::ReadTx;

impl ReadTx<'_> {
    /// Of each release of a pair its number and what was asked for, as JSON; oldest first.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn asked(&self, pair: i64) -> Result<Vec<(i64, String)>, Error> {
        let read = || {
            let mut statement = self.prepare("SELECT id, asked FROM release WHERE pair = ?1 ORDER BY id")?;
            let rows = statement.query_map([pair], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(self.failed("read the releases of the history"))
    }
}
