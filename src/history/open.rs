//! The file: where it is, how it is opened, and what is said when it cannot be.
//!
//! A file that is damaged, newer or not ours is left as it is. The busy timeout is set before anything else, since
//! already the journal mode needs a lock; two audits at once wait for each other.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::migrate;
use crate::error::Error;

/// How long a second audit waits for the first one to finish its write, unless it is told otherwise.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How SQLite keeps its journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Journal {
    /// Readers never wait. Needs shared memory: not for network volumes.
    #[default]
    Wal,
    /// For network volumes (NFS, ReadWriteMany): one writer, no shared memory.
    Truncate,
}

impl Journal {
    /// SQLite's word.
    pub const fn word(self) -> &'static str {
        match self {
            Journal::Wal => "wal",
            Journal::Truncate => "truncate",
        }
    }
}

/// What the file is opened for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Makes the file and its folders when they are absent, and brings an older one up to date.
    Write(Journal),
    /// Never changes it. A newer file opens when it only has more in it.
    Read,
}

/// An open history.
#[derive(Debug)]
pub struct Db {
    pub(super) connection: Connection,
    path: PathBuf,
}

/// The usual place: `$XDG_STATE_HOME/ipaudit/history.db`; without that variable `/var/lib/ipaudit/history.db` for
/// root, and `~/.local/state/ipaudit/history.db` for others. `None` when the environment names no place.
pub fn default_path() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
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

impl Db {
    /// Opens the history at `path`.
    ///
    /// # Errors
    /// A file that cannot be made, read or written, is damaged, is no history, or is of a newer ipaudit; it is left
    /// as it is.
    pub fn open(path: &Path, mode: Mode) -> Result<Db, Error> {
        Db::open_patiently(path, mode, PATIENCE)
    }

    /// The same, waiting so long for another process that holds the file.
    ///
    /// # Errors
    /// As [`Db::open`].
    pub fn open_patiently(path: &Path, mode: Mode, patience: Duration) -> Result<Db, Error> {
        let failed = |e: rusqlite::Error| failed(path, "open the history", e);
        let flags = match mode {
            Mode::Write(_) => {
                make_folder(path)?;
                OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE
            }
            Mode::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
        };
        let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        connection.busy_timeout(patience).map_err(failed)?;
        if mode == Mode::Read && !is_readable(&connection) && is_at_rest(path) {
            connection =
                Connection::open_with_flags(immutable(path), flags | OpenFlags::SQLITE_OPEN_URI).map_err(failed)?;
        }
        settings(&connection).map_err(failed)?;
        migrate::check_readable(&connection, path, mode)?;
        if let Mode::Write(journal) = mode {
            let set: String = connection
                .query_row(&format!("PRAGMA journal_mode = {}", journal.word()), [], |row| row.get(0))
                .map_err(failed)?;
            if !set.eq_ignore_ascii_case(journal.word()) {
                let error = Error::new("set the history's journal mode").at(path.display().to_string());
                return Err(error.cause(format!("{} stays {set}", journal.word())));
            }
            migrate::migrate(&mut connection, path, migrate::MIGRATIONS)?;
        }
        Ok(Db { connection, path: path.to_path_buf() })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn failed(&self, doing: &str) -> impl Fn(rusqlite::Error) -> Error + use<> {
        let (path, doing) = (self.path.clone(), doing.to_owned());
        move |e| failed(&path, &doing, e)
    }
}

/// Whether the first read works: in a folder that cannot be written it does not, since SQLite would put its shared
/// memory there.
fn is_readable(connection: &Connection) -> bool {
    let read = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()));
    let code = read.err().and_then(|e| e.sqlite_error_code());
    !matches!(code, Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly))
}

/// Whether nothing lies in a journal beside the file.
fn is_at_rest(path: &Path) -> bool {
    ["-wal", "-journal"].iter().all(|end| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        std::fs::metadata(name).map_or(true, |file| file.len() == 0)
    })
}

/// The file as one that nobody changes.
fn immutable(path: &Path) -> String {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'~' => uri.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(*byte)),
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri + "?immutable=1"
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
        Error::new("make the history's folder")
            .at(folder.display().to_string())
            .cause(e)
            .hint("--db PATH puts the history elsewhere, --no-history does without")
    })
}

/// What SQLite says, with what to do about it.
pub(super) fn failed(path: &Path, doing: &str, error: rusqlite::Error) -> Error {
    let hint = error.sqlite_error_code().map_or("", hint);
    let at = path.display().to_string();
    Error::new(doing).at(&at).cause(error).hint(hint.replace("FILE", &at))
}

fn hint(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::DatabaseCorrupt => {
            "the file is damaged and was left as it is: keep a copy, see what `ipaudit history check` says, and move \
             it aside (mv FILE FILE.damaged) to begin a new history; backups of migrations lie beside it"
        }
        ErrorCode::NotADatabase => "this file is no SQLite database and was left as it is; --db names another one",
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            "another ipaudit holds the history and did not finish in time: one audit at a time \
             (concurrencyPolicy: Forbid), and on a network volume --db-journal truncate"
        }
        ErrorCode::DiskFull => "the disk is full: make room, or see `ipaudit history prune`; the file is intact",
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied => {
            "the file or its folder cannot be written: --db PATH puts the history elsewhere, --no-history does without"
        }
        ErrorCode::CannotOpen => {
            "does the folder exist, and may this user write in it? --db PATH puts the history elsewhere, --no-history \
             does without"
        }
        ErrorCode::FileLockingProtocolFailed => "on a network volume use --db-journal truncate",
        ErrorCode::SystemIoFailure => {
            "is the disk full, or does it fail? On a network volume use --db-journal truncate; the file is intact"
        }
        _ => "",
    }
}
