//! Making a history smaller on a disk that is full.
//!
//! Whatever SQLite changes it first puts into a journal beside the file, and there is no room for one. So a copy is
//! pruned in the folder for temporary files, which may lie on another disk, and then written over the file, which needs
//! no room: the copy is smaller. Nobody else can open the file meanwhile. Interrupted between the first byte and the
//! last, the file is damaged and the copy is whole; it stays, and where it is has been said before.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::open::{PATIENCE, patiently};
use super::rest::AtRest;
use super::trouble::failed;
use super::{Db, Journal, ToWrite, kill, migrate};
use crate::environment;
use crate::error::Error;

/// A copy that is worked on in the place of a history that has no room.
#[derive(Debug)]
pub struct Tight {
    /// The copy.
    pub db: Db<ToWrite>,
    path: PathBuf,
    folder: tempfile::TempDir,
    /// Holds SQLite's lock. Declared before the file: closing that would let go of it.
    lock: Connection,
    file: File,
}

/// Whether it failed for want of room. A disk that fails says the same in parts; then the copy cannot be made either.
pub fn is_out_of_room(error: &Error) -> bool {
    let cause = error.cause.as_ref().and_then(|cause| cause.downcast_ref::<rusqlite::Error>());
    let code = cause.and_then(rusqlite::Error::sqlite_error_code);
    matches!(code, Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure))
}

impl Tight {
    /// Locks the history and copies it.
    ///
    /// # Errors
    /// Somebody else has it open, its journals hold something, it is of an older schema, or there is no room for the
    /// copy either.
    pub fn open(path: &Path, patience: Duration) -> Result<Tight, Error> {
        patiently(patience, |left| Tight::lock(path, left))
    }

    fn lock(path: &Path, patience: Duration) -> Result<Tight, Error> {
        let doing = "make room in the history";
        let refused = |why: &str| Error::input(doing).at(path.display().to_string()).cause(why.to_owned());
        if AtRest::of(path).is_none() {
            return Err(refused("its journal holds something that has to be written into it first")
                .hint("the disk is full: make room by other means"));
        }
        let failed = |e| failed(path, doing, e);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let lock = Connection::open_with_flags(path, flags).map_err(failed)?;
        lock.busy_timeout(patience).map_err(failed)?;
        // So SQLite needs no shared memory, for which there is no room.
        lock.query_row("PRAGMA locking_mode = EXCLUSIVE", [], |_| Ok(())).map_err(failed)?;
        if !migrate::is_present(&lock).map_err(failed)? {
            return Err(refused("it has to be brought up to date first, and a copy of it kept")
                .hint("the disk is full: make room by other means"));
        }
        lock.execute_batch("BEGIN EXCLUSIVE").map_err(failed)?;
        let temporary = environment::temporary_folder();
        let no_copy = |e: std::io::Error| {
            let needs = std::fs::metadata(path).map_or(0, |file| file.len().div_ceil(1 << 20));
            Error::input("copy the history to make it smaller").at(temporary.display().to_string()).cause(e).hint(
                format!(
                    "the history's disk is full: TMPDIR=FOLDER names a place on another one with {needs} MiB of room"
                ),
            )
        };
        let (file, folder) = (
            File::options().read(true).write(true).open(path).map_err(no_copy)?,
            tempfile::Builder::new().prefix("ipaudit-history-").tempdir_in(&temporary).map_err(no_copy)?,
        );
        let copy = folder.path().join("history.db");
        std::io::copy(&mut &file, &mut File::create_new(&copy).map_err(no_copy)?).map_err(no_copy)?;
        let db = Db::open_to_write(&copy, Journal::Truncate, PATIENCE)?;
        Ok(Tight { db, path: path.to_path_buf(), folder, lock, file })
    }

    /// Where the copy is.
    pub fn copy(&self) -> &Path {
        self.db.path()
    }

    /// Writes the copy over the history.
    ///
    /// # Errors
    /// A file that cannot be written. Then the copy stays, and the error says where.
    pub fn write_back(self) -> Result<(), Error> {
        let Tight { db, path, folder, lock, mut file } = self;
        let copy = db.path().to_path_buf();
        drop(db);
        match write_over(&mut file, &copy) {
            Ok(()) => {
                drop((lock, file));
                Ok(())
            }
            Err(e) => {
                let kept = folder.keep().join("history.db");
                Err(Error::input("write the smaller history over the old one")
                    .at(path.display().to_string())
                    .cause(e)
                    .hint(format!("it is whole in {}: put it in the place of the damaged one", kept.display())))
            }
        }
    }
}

fn write_over(file: &mut File, copy: &Path) -> std::io::Result<()> {
    let mut whole = File::open(copy)?;
    let length = file.metadata()?.len().min(whole.metadata()?.len());
    // First of all: on some file systems even writing over something takes room.
    file.set_len(length)?;
    kill::point("tight");
    file.seek(SeekFrom::Start(0))?;
    std::io::copy(&mut whole, file)?;
    file.sync_all()
}
