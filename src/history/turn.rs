//! Whose turn it is: over one history one run at a time has a transaction under way.
//!
//! An intent without an outcome is a run that was killed, and the next run settles it by reading. It may only do so
//! while nobody else is between intent and outcome, or it would settle what is still on its way. So a run holds a lock
//! on a file beside the history from its first intent to its last outcome; the system lets go of it however the run
//! ends. Runs over two histories know nothing of each other: etcd's compares alone keep them apart.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Held for as long as it lives.
#[derive(Debug)]
pub struct Turn {
    _file: File,
}

impl Turn {
    /// The turn over the history at `db`, if it is free.
    ///
    /// # Errors
    /// A file that cannot be made or locked.
    pub fn take(db: &Path) -> Result<Option<Turn>, Error> {
        let path = beside(db);
        let failed = |e| Error::input("lock the history for a release").at(path.display().to_string()).cause(e);
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        // A history that its group may write (a shared volume) has a lock that its group may take.
        if let Ok(history) = std::fs::metadata(db) {
            let _ = file.set_permissions(history.permissions());
        }
        match file.try_lock() {
            Ok(()) => Ok(Some(Turn { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => Err(failed(e)),
        }
    }
}

/// `history.db.release`.
fn beside(db: &Path) -> PathBuf {
    let mut name = OsString::from(db);
    name.push(".release");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_free_again_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let (db, other) = (folder.path().join("a.db"), folder.path().join("b.db"));
        let first = Turn::take(&db).unwrap().unwrap();
        assert!(Turn::take(&db).unwrap().is_none() && Turn::take(&other).unwrap().is_some());
        drop(first);
        assert!(Turn::take(&db).unwrap().is_some());
        assert!(Turn::take(&folder.path().join("no/such.db")).is_err());
    }
}
