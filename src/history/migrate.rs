//! Schemas: an older file is brought up to date, a newer one is never written.
//!
//! `PRAGMA user_version` counts the migrations that a file has had. All that are missing run in one transaction, after
//! a copy of the file was put beside it. A newer ipaudit may have changed the file: the number `min_reader` in it says
//! which schemas' readers still understand it.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode};

use super::mode::Mode;
use super::rest::beside;
use super::trouble::failed;
use super::tx::WriteTx;
use super::{kill, schema1};
use crate::error::Error;

/// One step: its tables, and what is done around making them.
#[derive(Clone, Copy)]
pub(super) struct Migration {
    tables: &'static str,
    run: fn(&WriteTx<'_>, &str) -> rusqlite::Result<()>,
}

/// Every schema in order, never edited; the last one's place is the present version.
pub(super) const MIGRATIONS: &[Migration] = &[
    Migration { tables: include_str!("../../migrations/0001_history.sql"), run: |tx, tables| tx.execute_batch(tables) },
    Migration { tables: include_str!("../../migrations/0002_identity.sql"), run: schema1::to_schema_2 },
    Migration { tables: include_str!("../../migrations/0003_failed.sql"), run: |tx, tables| tx.execute_batch(tables) },
    Migration {
        tables: include_str!("../../migrations/0004_unclaimed.sql"),
        run: |tx, tables| tx.execute_batch(tables),
    },
];

/// SQLite's `application_id` of a history: "ipau".
const APPLICATION: i64 = 0x6970_6175;

fn number(connection: &Connection, what: &str) -> rusqlite::Result<i64> {
    connection.query_row(what, [], |row| row.get(0))
}

/// Refuses what is no history, and what is newer than we understand.
pub(super) fn check_readable(connection: &Connection, path: &Path, mode: Mode) -> Result<(), Error> {
    let failed = |e| failed(path, "open the history", e);
    let version = number(connection, "PRAGMA user_version").map_err(failed)?;
    let application = number(connection, "PRAGMA application_id").map_err(failed)?;
    let tables = number(connection, "SELECT count(*) FROM sqlite_schema").map_err(failed)?;
    let refused = |cause: String, hint: &str| {
        Err(Error::input("open the history").at(path.display().to_string()).cause(cause).hint(hint))
    };
    let ours = MIGRATIONS.len() as i64;
    if tables > 0 && application != APPLICATION {
        return refused("a SQLite database, but no history of ipaudit".to_owned(), "--db names another file");
    }
    if version == 0 && mode == Mode::Read {
        return refused("it is empty: no audit was recorded here".to_owned(), "run `ipaudit audit` first");
    }
    if version <= ours {
        return Ok(());
    }
    let says = format!("its schema is version {version}, this ipaudit knows {ours}; it was left as it is");
    if mode != Mode::Read {
        return refused(says, "use the newer ipaudit, or another file with --db");
    }
    let least = number(connection, "SELECT min_reader FROM format").map_err(failed)?;
    match least <= ours {
        true => Ok(()),
        false => refused(says, "use the newer ipaudit"),
    }
}

/// Whether the file is of the present schema.
pub(super) fn is_present(connection: &Connection) -> rusqlite::Result<bool> {
    Ok(number(connection, "PRAGMA user_version")? == MIGRATIONS.len() as i64)
}

/// Brings the file up to the last of `migrations`.
pub(super) fn migrate(connection: &mut Connection, path: &Path, migrations: &[Migration]) -> Result<(), Error> {
    let failed = |e| failed(path, "bring the history up to date", e);
    let latest = migrations.len() as i64;
    if number(connection, "PRAGMA user_version").map_err(failed)? == latest {
        return Ok(());
    }
    // A table that is made anew must not take with it what hangs on its rows; within a transaction it is too late to say.
    connection.execute_batch("PRAGMA foreign_keys = OFF").map_err(failed)?;
    let migrated = migrate_in_one(connection, path, migrations);
    connection.execute_batch("PRAGMA foreign_keys = ON").map_err(failed)?;
    migrated
}

fn migrate_in_one(connection: &mut Connection, path: &Path, migrations: &[Migration]) -> Result<(), Error> {
    let failed = |e| failed_for_room(path, "bring the history up to date", e);
    let latest = migrations.len() as i64;
    let tx = WriteTx::begin(connection, path).map_err(failed)?;
    // Another process may have done it while this one waited for the lock.
    let version = tx.schema().map_err(failed)?;
    if version >= latest {
        return Ok(());
    }
    let copy = if version > 0 { Some(Backup::make(path, version)?) } else { None };
    kill::point("migrate");
    for migration in migrations.iter().skip(usize::try_from(version).unwrap_or(0)) {
        (migration.run)(&tx, migration.tables).map_err(failed)?;
    }
    tx.execute_batch(&format!("PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {latest}"))
        .map_err(failed)?;
    let kept = copy.map(|copy| copy.keep(path, version)).transpose()?;
    kill::point("migrated");
    let committed = tx.commit().map_err(failed);
    let is_as_it_was = || number(connection, "PRAGMA user_version").is_ok_and(|now| now == version);
    if let (Err(_), Some(kept)) = (&committed, &kept)
        && is_as_it_was()
    {
        let _ = std::fs::remove_file(kept);
    }
    committed
}

/// A copy of the file as it was. Kept under its name when all but the last word of the migration is done: what failed
/// or was killed before changed nothing, and one more copy with every audit would fill a disk that may be full.
struct Backup {
    /// The copy under a name of its own, gone with the value.
    made: PathBuf,
}

/// The usual hint of a full disk is to prune; that would have to bring the file up to date first.
fn failed_for_room(path: &Path, doing: &str, error: rusqlite::Error) -> Error {
    let is_full = error.sqlite_error_code() == Some(ErrorCode::DiskFull);
    let told = failed(path, doing, error);
    if !is_full {
        return told;
    }
    let needs = std::fs::metadata(path).map_or(0, |file| file.len().saturating_mul(3).div_ceil(1 << 20));
    told.hint(format!(
        "the disk is full: a copy is kept beside the history and its tables are written anew, for which about {needs} MiB \
         must be free; the file is as it was"
    ))
}

const DOING: &str = "copy the history before bringing it up to date";

impl Backup {
    /// Made through SQLite, so that it is whole whatever the journal holds.
    fn make(path: &Path, version: i64) -> Result<Backup, Error> {
        let copy = Backup { made: beside(path, &format!(".v{version}.part")) };
        // Whoever made it is gone: we hold the lock.
        let _ = std::fs::remove_file(&copy.made);
        // A second connection: VACUUM cannot run within the transaction that holds the lock, and needs none of its own.
        let reader = Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY);
        let made = reader.and_then(|reader| reader.execute("VACUUM INTO ?1", [copy.made.to_string_lossy()]));
        made.map_err(|e| failed_for_room(path, DOING, e))?;
        // Whoever may not read the history may not read its copy.
        if let Ok(file) = std::fs::metadata(path) {
            let _ = std::fs::set_permissions(&copy.made, file.permissions());
        }
        Ok(copy)
    }

    /// Gives its name; an older copy of the same version is never overwritten.
    fn keep(self, path: &Path, version: i64) -> Result<PathBuf, Error> {
        let no_copy = || Error::input(DOING).at(path.display().to_string());
        let name = |n: u32| if n == 0 { format!(".v{version}.backup") } else { format!(".v{version}.backup.{n}") };
        let free = (0..1000).map(|n| beside(path, &name(n))).find(|copy| !copy.exists());
        let free = free.ok_or_else(|| no_copy().cause("too many old copies beside it"))?;
        std::fs::rename(&self.made, &free).map_err(|e| no_copy().cause(e))?;
        Ok(free)
    }
}

impl Drop for Backup {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.made);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Db, Journal, PATIENCE};

    const MORE: &str = "ALTER TABLE audit ADD COLUMN mood TEXT";

    /// Every schema that there is, and one more.
    fn with(tables: &'static str) -> Vec<Migration> {
        let next = Migration { tables, run: |tx, tables| tx.execute_batch(tables) };
        MIGRATIONS.iter().copied().chain([next]).collect()
    }

    fn migrated(path: &Path) -> Result<i64, Error> {
        let mut connection = Connection::open(path).unwrap();
        migrate(&mut connection, path, &with(MORE))?;
        Ok(number(&connection, "PRAGMA user_version").unwrap())
    }

    fn ours() -> i64 {
        MIGRATIONS.len() as i64
    }

    #[test]
    fn an_older_file_is_migrated_after_a_copy() {
        for journal in [Journal::Wal, Journal::Truncate] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("history.db");
            drop(Db::open_to_write(&path, journal, PATIENCE).unwrap());
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
            assert_eq!(migrated(&path).unwrap(), ours() + 1);
            let copy = folder.path().join(format!("history.db.v{}.backup", ours()));
            assert_eq!(
                std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777,
                0o640,
                "nobody else may read it"
            );
            let old = Connection::open(&copy).unwrap();
            assert_eq!(number(&old, "PRAGMA user_version").unwrap(), ours());
            assert_eq!(number(&old, "SELECT count(*) FROM format").unwrap(), 1);
            assert_eq!(migrated(&path).unwrap(), ours() + 1, "nothing more to do");
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "and no second copy");
        }
    }

    #[test]
    fn a_migration_that_fails_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.db");
        drop(Db::open_to_write(&path, Journal::Wal, PATIENCE).unwrap());
        let mut connection = Connection::open(&path).unwrap();
        let broken = "CREATE TABLE more (a INTEGER) STRICT; INSERT INTO nowhere VALUES (1)";
        migrate(&mut connection, &path, &with(broken)).unwrap_err();
        drop(connection);
        let db = Db::open_to_write(&path, Journal::Wal, PATIENCE).unwrap();
        let more = "SELECT count(*) FROM sqlite_schema WHERE name = 'more'";
        assert_eq!(db.read().unwrap().query_row(more, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
        drop(db);
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            1,
            "it is as it was, and so needs no copy beside it"
        );
    }

    #[test]
    fn a_newer_file_is_read_when_it_only_has_more_and_never_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.db");
        drop(Db::open_to_write(&path, Journal::Wal, PATIENCE).unwrap());
        migrated(&path).unwrap();
        let before = std::fs::read(&path).unwrap();
        let refused = Db::open_to_write(&path, Journal::Wal, PATIENCE).unwrap_err();
        let says = format!("schema is version {}, this ipaudit knows {}", ours() + 1, ours());
        assert!(crate::error::chain(&refused).contains(&says), "{refused:?}");
        Db::open_to_read(&path, PATIENCE).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), before, "left as it is");
        Connection::open(&path).unwrap().execute("UPDATE format SET min_reader = ?1", [ours() + 1]).unwrap();
        Db::open_to_read(&path, PATIENCE).unwrap_err();
    }

    #[test]
    fn what_is_no_history_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let other = folder.path().join("other.db");
        Connection::open(&other).unwrap().execute_batch("CREATE TABLE mine (a)").unwrap();
        let text = folder.path().join("text");
        std::fs::write(&text, "not a database at all, but long enough to be taken for a header of one".repeat(20))
            .unwrap();
        for path in [other, text] {
            let before = std::fs::read(&path).unwrap();
            let writers = [Journal::Wal, Journal::Truncate];
            let refused = writers.map(|journal| Db::open_to_write(&path, journal, PATIENCE).unwrap_err());
            for error in refused.into_iter().chain([Db::open_to_read(&path, PATIENCE).unwrap_err()]) {
                assert!(!error.hint.is_empty(), "{error:?}");
                assert_eq!(std::fs::read(&path).unwrap(), before);
            }
        }
    }
}
