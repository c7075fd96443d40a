//! The files beside the history in which an audit leaves something for the next one: `history.db.state`, what it read of
//! Calico's, and `history.db.seen`, by which that one knows which rows of the history it need not read.
//!
//! Bytes alone; what they mean, and whether they are whole, is the reader's business. A file is replaced at once or not at
//! all, and nobody may read it who may not read the history. Losing it costs a full read: it is never forced to disk.

use std::fs;
use std::io::{BufWriter, ErrorKind, Result as IoResult, Write};
use std::path::{Path, PathBuf};

use super::rest::beside;
use crate::error::Error;

/// What is left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LeftFile {
    /// What was read of Calico's.
    State,
    /// What the history has open, as fingerprints.
    Seen,
}

impl LeftFile {
    const fn ending(self) -> &'static str {
        match self {
            LeftFile::State => ".state",
            LeftFile::Seen => ".seen",
        }
    }

    /// For people, behind a verb.
    const fn words(self) -> &'static str {
        match self {
            LeftFile::State => "the state of the last audit",
            LeftFile::Seen => "the fingerprints of the last audit",
        }
    }
}

/// Bytes that such a file has at most; what an audit of 150,000 pods leaves is a hundredth of it.
const LIMIT: u64 = 1 << 30;

/// Its path beside the history at `db`.
pub fn left_path(db: &Path, what: LeftFile) -> PathBuf {
    beside(db, what.ending())
}

/// Its bytes; `None`: there is none.
///
/// # Errors
/// A file that cannot be read.
pub fn read_left(db: &Path, what: LeftFile) -> Result<Option<Vec<u8>>, Error> {
    let path = left_path(db, what);
    // Nothing but a file ends: a pipe would be waited for.
    let read = || match fs::metadata(&path)? {
        about if !about.is_file() => Err(std::io::Error::other("it is no file")),
        about if about.len() > LIMIT => Err(std::io::Error::other("it is bigger than any audit leaves")),
        _ => fs::read(&path),
    };
    match read() {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(Error::input(format!("read {}", what.words())).at(path.display().to_string()).cause(e)),
    }
}

/// Replaces it with what `write` writes.
///
/// # Errors
/// A file that cannot be written; the old one stays.
pub fn write_left(db: &Path, what: LeftFile, write: impl FnOnce(&mut dyn Write) -> IoResult<()>) -> Result<(), Error> {
    let path = left_path(db, what);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let replace = || -> IoResult<()> {
        // For its owner alone, until it is said otherwise.
        let name = path.file_name().unwrap_or_default();
        let mut file = tempfile::Builder::new().prefix(name).suffix(".new").tempfile_in(folder)?;
        let mut out = BufWriter::new(file.as_file_mut());
        write(&mut out)?;
        out.flush()?;
        drop(out);
        share(file.path(), db);
        file.persist(&path)?;
        Ok(())
    };
    replace().map_err(|e| Error::input("keep what was read for the next audit").at(path.display().to_string()).cause(e))
}

/// Writes these bytes over its first ones. Who reads it just then finds bytes that do not belong together.
///
/// # Errors
/// A file that is not there or cannot be written.
pub fn write_over(db: &Path, what: LeftFile, first: &[u8]) -> Result<(), Error> {
    let path = left_path(db, what);
    let write = || fs::OpenOptions::new().write(true).open(&path)?.write_all(first);
    write().map_err(|e| Error::input("keep what was read for the next audit").at(path.display().to_string()).cause(e))
}

/// Takes it away: the next audit reads everything.
pub fn forget_left(db: &Path, what: LeftFile) {
    let _ = fs::remove_file(left_path(db, what));
}

/// Its group's as the history is: a shared one is read by whoever audits next.
#[cfg(unix)]
fn share(file: &Path, db: &Path) {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

    const GROUP: u32 = 0o060;
    let (Ok(history), Ok(own)) = (fs::metadata(db), fs::metadata(file)) else { return };
    // Another group than the history's may read nothing.
    if history.mode() & GROUP == GROUP && (own.gid() == history.gid() || chown(file, None, Some(history.gid())).is_ok())
    {
        let _ = fs::set_permissions(file, fs::Permissions::from_mode(0o600 | GROUP));
    }
}

#[cfg(not(unix))]
fn share(_: &Path, _: &Path) {}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn it_is_replaced_at_once_or_not_at_all_and_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let db = folder.path().join("history.db");
        assert!(read_left(&db, LeftFile::State).unwrap().is_none());
        for (of_history, of_state) in [(0o644, 0o600), (0o600, 0o600), (0o660, 0o660), (0o664, 0o660)] {
            fs::write(&db, "").unwrap();
            fs::set_permissions(&db, fs::Permissions::from_mode(of_history)).unwrap();
            write_left(&db, LeftFile::State, |out| out.write_all(b"first")).unwrap();
            assert_eq!(mode(&left_path(&db, LeftFile::State)), of_state, "{of_history:o}");
        }
        let broken = write_left(&db, LeftFile::State, |out| {
            out.write_all(b"half")?;
            Err(std::io::Error::other("full"))
        });
        assert!(broken.is_err());
        assert_eq!(read_left(&db, LeftFile::State).unwrap().as_deref(), Some(&b"first"[..]));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left beside it");
        write_over(&db, LeftFile::State, b"f").unwrap();
        assert!(write_over(&db, LeftFile::Seen, b"f").is_err(), "another file");
        assert_eq!(read_left(&db, LeftFile::State).unwrap().as_deref(), Some(&b"first"[..]));
        fs::File::create(left_path(&db, LeftFile::State)).unwrap().set_len(LIMIT + 1).unwrap();
        assert!(read_left(&db, LeftFile::State).is_err(), "nobody reads what no audit has left");
        forget_left(&db, LeftFile::State);
        assert!(read_left(&db, LeftFile::State).unwrap().is_none());
        assert!(write_left(&folder.path().join("no/such.db"), LeftFile::State, |_| Ok(())).is_err());
    }
}
