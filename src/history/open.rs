//! The file: where it is, how it is opened, and what is said when it cannot be.
//!
//! A file that is damaged, newer or not ours is left as it is. The busy timeout is set before anything else, since
//! already the journal mode needs a lock; two audits at once wait for each other.

use std::io::ErrorKind::{NotADirectory, NotFound};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

use super::mode::{Journal, Mode};
use super::rest::{self, AtRest};
use super::trouble::failed;
use super::tx::{ReadTx, WriteTx};
use super::{migrate, share};
use crate::environment;
use crate::error::Error;

/// How long a second audit waits for the first one to finish its write, unless it is told otherwise.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// An open history: [`ToRead`] it is only asked, [`ToWrite`] both.
#[derive(Debug)]
pub struct Db<M> {
    connection: Connection,
    path: PathBuf,
    mode: M,
}

/// Never changes the file. A newer one opens when it only has more in it.
#[derive(Debug)]
pub struct ToRead {
    /// Read as a file at rest, which it was then.
    rest: Option<AtRest>,
}

/// Made when it was absent, and of the present schema.
#[derive(Debug)]
pub struct ToWrite(());

/// The usual place: `$XDG_STATE_HOME/ipaudit/history.db`; without that variable `/var/lib/ipaudit/history.db` for
/// root, and `~/.local/state/ipaudit/history.db` for others. `None` when the environment names no place.
pub fn default_path() -> Option<PathBuf> {
    let set = |name| environment::value(name).map(PathBuf::from);
    let folder = match set("XDG_STATE_HOME").filter(|path| path.is_absolute()) {
        Some(state) => state,
        None if is_root() => PathBuf::from("/var/lib"),
        None => set("HOME")?.join(".local/state"),
    };
    Some(folder.join("ipaudit/history.db"))
}

#[cfg(unix)]
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
}

impl<M> Db<M> {
    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// One moment of the history, to be asked.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn read(&self) -> Result<ReadTx<'_>, Error> {
        ReadTx::begin(&self.connection, &self.path)
    }

    pub(super) fn failed(&self, doing: &str) -> impl Fn(rusqlite::Error) -> Error + use<M> {
        let (path, doing) = (self.path.clone(), doing.to_owned());
        move |e| failed(&path, &doing, e)
    }
}

impl Db<ToWrite> {
    /// Opens the history at `path` to read and write it. Makes the file and its folders when they are absent, and brings
    /// an older one up to date. Waits so long for another process that holds the file.
    ///
    /// # Errors
    /// A file that cannot be made, read or written, is damaged, is no history, or is of a newer ipaudit; it is left
    /// as it is.
    pub fn open_to_write(path: &Path, journal: Journal, patience: Duration) -> Result<Db<ToWrite>, Error> {
        let db = patiently(patience, |left| Db::prepare(path, journal, left))?;
        db.connection.busy_timeout(patience).map_err(db.failed("open the history"))?;
        Ok(db)
    }

    fn prepare(path: &Path, journal: Journal, patience: Duration) -> Result<Db<ToWrite>, Error> {
        let failed = |e: rusqlite::Error| failed(path, "open the history", e);
        make_folder(path)?;
        share::prepare(path);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let mut connection = connect(path, path.as_os_str(), flags, patience, Mode::Write)?;
        let set: String = connection
            .query_row(&format!("PRAGMA journal_mode = {}", journal.word()), [], |row| row.get(0))
            .map_err(failed)?;
        if !set.eq_ignore_ascii_case(journal.word()) {
            let error = Error::input("set the history's journal mode").at(path.display().to_string());
            return Err(error.cause(format!("{} stays {set}", journal.word())));
        }
        migrate::migrate(&mut connection, path, migrate::MIGRATIONS)?;
        Ok(Db { connection, path: path.to_path_buf(), mode: ToWrite(()) })
    }

    /// Locks the file for a write of several steps; [`WriteTx::commit`] makes it last.
    pub(super) fn begin_write(&mut self) -> rusqlite::Result<WriteTx<'_>> {
        WriteTx::begin(&mut self.connection, &self.path)
    }

    /// A write, whole or not at all.
    pub(super) fn write<T>(
        &mut self,
        doing: &str,
        work: impl FnOnce(&WriteTx<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        let failed = self.failed(doing);
        let write = || {
            let tx = self.begin_write()?;
            let done = work(&tx)?;
            tx.commit().map(|()| done)
        };
        write().map_err(failed)
    }

    /// Gives free space back to the disk: the one write that SQLite does not take in a transaction.
    ///
    /// # Errors
    /// There is no room for the copy that SQLite makes.
    pub fn compact(&mut self) -> Result<(), Error> {
        self.connection.execute_batch("VACUUM").map_err(self.failed("make the history smaller"))
    }
}

impl Db<ToRead> {
    /// Asks the history at `path`. Answered from a file at rest, `question` leaves nothing beside it; when somebody wrote
    /// meanwhile, it is asked once more, and only that answer counts. So it must not print.
    ///
    /// # Errors
    /// As [`Db::open_to_read`], and those of the question.
    pub fn look<T>(
        path: &Path,
        patience: Duration,
        mut question: impl FnMut(&ReadTx<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let db = Db::open_to_read(path, patience)?;
        let answer = db.read().and_then(|tx| question(&tx));
        match db.has_moved() {
            false => answer,
            true => question(&Db::open_beside_writers(path, patience)?.read()?),
        }
    }

    /// Whether what was read was read without a lock, and somebody has written since: then it may be of two moments.
    pub fn has_moved(&self) -> bool {
        self.mode.rest.as_ref().is_some_and(|rest| rest.is_over(&self.path))
    }

    /// Opens the history at `path` to read it: as a file at rest, when it is one.
    ///
    /// # Errors
    /// A file that is not there or cannot be read, is damaged, is no history, or is of a newer ipaudit.
    pub fn open_to_read(path: &Path, patience: Duration) -> Result<Db<ToRead>, Error> {
        // SQLite's own word for it is that of a folder without rights.
        if std::fs::metadata(path).is_err_and(|e| matches!(e.kind(), NotFound | NotADirectory)) {
            let none = Error::input("read the history").at(path.display().to_string()).cause("no such file");
            return Err(none.hint("ipaudit audit writes it; --db PATH names another one"));
        }
        if let Some(rest) = AtRest::of(path) {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
            let opened = connect(path, rest::immutable(path).as_ref(), flags, patience, Mode::Read);
            if !rest.is_over(path) {
                return opened.map(|connection| Db {
                    connection,
                    path: path.to_path_buf(),
                    mode: ToRead { rest: Some(rest) },
                });
            }
        }
        Db::open_beside_writers(path, patience)
    }

    /// With SQLite's locks. Who may write the file opens it so, writes nothing all the same, and leaves nothing beside
    /// it: a reader without that right cannot take away what SQLite had to put there.
    pub(super) fn open_beside_writers(path: &Path, patience: Duration) -> Result<Db<ToRead>, Error> {
        // SQLite falls back to reading only where the file is write protected.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
        let connection = connect(path, path.as_os_str(), flags, patience, Mode::Read)?;
        Ok(Db { connection, path: path.to_path_buf(), mode: ToRead { rest: None } })
    }
}

/// `name` as SQLite takes it: the path, or a URI of it.
fn connect(
    path: &Path,
    name: &std::ffi::OsStr,
    flags: OpenFlags,
    patience: Duration,
    mode: Mode,
) -> Result<Connection, Error> {
    let failed = |e: rusqlite::Error| failed(path, "open the history", e);
    // SQLite would wait for a pipe's other end for ever.
    if std::fs::metadata(path).is_ok_and(|about| !about.is_file() && !about.is_dir()) {
        let error = Error::input("open the history").at(path.display().to_string());
        return Err(error.cause("it is a pipe or a device").hint("--db names a file"));
    }
    let connection = Connection::open_with_flags(name, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(failed)?;
    connection.busy_timeout(patience).map_err(failed)?;
    settings(&connection).map_err(failed)?;
    if mode == Mode::Read {
        connection.execute_batch("PRAGMA query_only = ON").map_err(failed)?;
    }
    migrate::check_readable(&connection, path, mode)?;
    Ok(connection)
}

fn settings(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY; \
         PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -8192;",
    )?;
    // Each statement of a write is used for every row of it.
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

fn make_folder(path: &Path) -> Result<(), Error> {
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()) else {
        return Ok(());
    };
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o750);
    builder.create(folder).map_err(|e| {
        Error::input("make the history's folder")
            .at(folder.display().to_string())
            .cause(e)
            .hint("--db PATH puts the history elsewhere, --no-history does without")
    })
}

/// Tries until it is done, has failed for another reason, or the time is over; each try is told how much is left.
///
/// SQLite waits by itself only where that can help. Two that read a file and now both want to write it, as two do that
/// set a new file's journal mode, would wait for each other: one of them is told "locked" at once, whatever its busy
/// timeout, and has to let go and begin anew.
pub(super) fn patiently<T>(
    patience: Duration,
    mut attempt: impl FnMut(Duration) -> Result<T, Error>,
) -> Result<T, Error> {
    let began = Instant::now();
    loop {
        let tried = attempt(patience.saturating_sub(began.elapsed()));
        match tried {
            Err(error) if is_busy(&error) && began.elapsed() < patience => std::thread::sleep(PAUSE),
            tried => return tried,
        }
    }
}

/// Between two tries. Longer than it takes to make the tables.
const PAUSE: Duration = Duration::from_millis(20);

fn is_busy(error: &Error) -> bool {
    let cause = error.cause.as_ref().and_then(|cause| cause.downcast_ref::<rusqlite::Error>());
    cause.and_then(rusqlite::Error::sqlite_error_code) == Some(rusqlite::ErrorCode::DatabaseBusy)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both set the journal mode of a file that neither has seen before.
    #[test]
    fn many_at_once_make_one_history() {
        for round in 0..40 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("history.db");
            let journal = if round % 2 == 0 { Journal::Wal } else { Journal::Truncate };
            let start = std::sync::Barrier::new(4);
            std::thread::scope(|scope| {
                let open = || {
                    start.wait();
                    Db::open_to_write(&path, journal, PATIENCE).map(drop)
                };
                let all: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
                for one in all {
                    one.join().unwrap().unwrap();
                }
            });
        }
    }

    /// Where SQLite does not wait by itself: somebody writes, or merely reads, what the journal mode has to be changed for.
    #[test]
    fn whoever_sets_the_journal_mode_waits_for_the_others() {
        let held = [
            (Journal::Truncate, "BEGIN IMMEDIATE", Journal::Wal),
            (Journal::Wal, "BEGIN IMMEDIATE", Journal::Truncate),
            (Journal::Wal, "BEGIN; SELECT count(*) FROM format", Journal::Truncate),
        ];
        for (was, hold, wanted) in held {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("history.db");
            drop(Db::open_to_write(&path, was, PATIENCE).unwrap());
            let holder = Connection::open(&path).unwrap();
            holder.execute_batch(hold).unwrap();
            let patience = Duration::from_millis(100);
            let began = Instant::now();
            let error = Db::open_to_write(&path, wanted, patience).unwrap_err();
            assert!(is_busy(&error), "{error:?}");
            assert!(began.elapsed() >= patience, "{was:?} to {wanted:?}: given up at once");
            std::thread::scope(|scope| {
                let waits = scope.spawn(|| Db::open_to_write(&path, wanted, PATIENCE).map(drop));
                drop(holder);
                waits.join().unwrap().unwrap();
            });
        }
    }
}
