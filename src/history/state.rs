//! The file beside the history in which an audit leaves what it read, for the next one: `history.db.state`.
//!
//! Bytes alone; what they mean, and whether they are whole, is the reader's business. It is replaced at once or not at
//! all, and nobody may read it who may not read the history. Losing it costs a full read: it is never forced to disk.

use std::fs;
use std::io::{BufWriter, ErrorKind, Result as IoResult, Write};
use std::path::{Path, PathBuf};

use super::rest::beside;
use crate::error::Error;

/// Where it is.
const ENDING: &str = ".state";

/// Its path beside the history at `db`.
pub fn state_path(db: &Path) -> PathBuf {
    beside(db, ENDING)
}

/// Its bytes; `None`: there is none.
///
/// # Errors
/// A file that cannot be read.
pub fn read_state(db: &Path) -> Result<Option<Vec<u8>>, Error> {
    let path = state_path(db);
    // Nothing but a file ends: a pipe would be waited for.
    let read = || match fs::metadata(&path)?.is_file() {
        true => fs::read(&path),
        false => Err(std::io::Error::other("it is no file")),
    };
    match read() {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(Error::input("read the state of the last audit").at(path.display().to_string()).cause(e)),
    }
}

/// Replaces it with what `write` writes.
///
/// # Errors
/// A file that cannot be written; the old one stays.
pub fn write_state(db: &Path, write: impl FnOnce(&mut dyn Write) -> IoResult<()>) -> Result<(), Error> {
    let path = state_path(db);
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

/// Takes it away: the next audit reads everything.
pub fn forget_state(db: &Path) {
    let _ = fs::remove_file(state_path(db));
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
        assert!(read_state(&db).unwrap().is_none());
        for (of_history, of_state) in [(0o644, 0o600), (0o600, 0o600), (0o660, 0o660), (0o664, 0o660)] {
            fs::write(&db, "").unwrap();
            fs::set_permissions(&db, fs::Permissions::from_mode(of_history)).unwrap();
            write_state(&db, |out| out.write_all(b"first")).unwrap();
            assert_eq!(mode(&state_path(&db)), of_state, "{of_history:o}");
        }
        let broken = write_state(&db, |out| {
            out.write_all(b"half")?;
            Err(std::io::Error::other("full"))
        });
        assert!(broken.is_err());
        assert_eq!(read_state(&db).unwrap().as_deref(), Some(&b"first"[..]));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left beside it");
        forget_state(&db);
        assert!(read_state(&db).unwrap().is_none());
        assert!(write_state(&folder.path().join("no/such.db"), |_| Ok(())).is_err());
    }
}
