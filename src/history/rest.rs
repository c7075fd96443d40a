//! A file at rest: read as one that nobody changes, without a trace beside it.
//!
//! SQLite's ordinary way to read makes `-shm` and `-wal` beside the file even for a reader, leaves them under that
//! reader's user, and needs room for them. A file in whose journals nothing lies can be read without
//! (`immutable=1`), but then without any lock: should a writer come meanwhile, what was read may be of two moments. So
//! the file is looked at again afterwards, and what was read from a file that moved is never believed.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

/// Two writes closer together than this may leave the file with one and the same time.
const TICK: Duration = Duration::from_millis(50);

/// The file as it was before it was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct AtRest {
    length: u64,
    modified: SystemTime,
    identity: (u64, u64, i64, i64),
}

impl AtRest {
    /// The file, when nothing lies in a journal beside it.
    pub fn of(path: &Path) -> Option<AtRest> {
        let rest = AtRest::now(path)?;
        // A write right after one that has just been would not be seen: let the time of the file be past.
        match SystemTime::now().duration_since(rest.modified) {
            Ok(age) if age < TICK => {
                std::thread::sleep(TICK.saturating_sub(age));
                AtRest::now(path).filter(|now| *now == rest)
            }
            _ => Some(rest),
        }
    }

    fn now(path: &Path) -> Option<AtRest> {
        if !journals_are_empty(path) {
            return None;
        }
        let file = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
        Some(AtRest { length: file.len(), modified: file.modified().ok()?, identity: identity(&file) })
    }

    /// Whether the file, or a journal beside it, is another one by now.
    pub fn is_over(&self, path: &Path) -> bool {
        AtRest::now(path).as_ref() != Some(self)
    }
}

#[cfg(unix)]
fn identity(file: &std::fs::Metadata) -> (u64, u64, i64, i64) {
    use std::os::unix::fs::MetadataExt;
    (file.dev(), file.ino(), file.ctime(), file.ctime_nsec())
}

#[cfg(not(unix))]
fn identity(_: &std::fs::Metadata) -> (u64, u64, i64, i64) {
    (0, 0, 0, 0)
}

/// What SQLite puts beside the file.
pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

fn journals_are_empty(path: &Path) -> bool {
    ["-wal", "-journal"].iter().all(|end| std::fs::metadata(beside(path, end)).map_or(true, |file| file.len() == 0))
}

/// The file as one that nobody changes, in SQLite's words.
pub(super) fn immutable(path: &Path) -> String {
    format!("file:{}?immutable=1", percent_encode(path.as_os_str().as_encoded_bytes(), PATH))
}

const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Db, Journal, PATIENCE, ReadTx};
    use rusqlite::Connection;

    fn history() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.db");
        drop(Db::open_to_write(&path, Journal::Wal, PATIENCE).unwrap());
        (folder, path)
    }

    fn names(tx: &ReadTx<'_>) -> i64 {
        tx.query_row("SELECT count(*) FROM name", [], |row| row.get(0)).unwrap()
    }

    fn write(connection: &Connection, name: &str) {
        connection.execute("INSERT INTO name (text) VALUES (?1)", [name]).unwrap();
    }

    #[test]
    fn a_reader_of_a_file_at_rest_leaves_nothing_beside_it() {
        let (folder, path) = history();
        for _ in 0..2 {
            assert_eq!(Db::look(&path, PATIENCE, |db| Ok(names(db))).unwrap(), 0);
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }

    /// The first answer was read without a lock while somebody wrote: it is asked again, with one.
    #[test]
    fn a_writer_that_comes_meanwhile_is_seen_and_the_question_is_asked_again() {
        for journal in ["wal", "truncate"] {
            let (_folder, path) = history();
            let mut asked = Vec::new();
            let answer = Db::look(&path, PATIENCE, |db| {
                asked.push(names(db));
                if asked.len() == 1 {
                    let writer = Connection::open(&path).unwrap();
                    writer.query_row(&format!("PRAGMA journal_mode = {journal}"), [], |_| Ok(())).unwrap();
                    write(&writer, "node-1");
                }
                Ok(names(db))
            });
            assert_eq!(answer.unwrap(), 1, "{journal}");
            assert_eq!(asked, [0, 1], "{journal}");
        }
    }

    /// What lies in the journal belongs to the history.
    #[test]
    fn a_file_whose_journal_holds_something_is_read_with_it() {
        let (_folder, path) = history();
        let writer = Connection::open(&path).unwrap();
        write(&writer, "node-1");
        assert!(AtRest::of(&path).is_none());
        assert_eq!(Db::look(&path, PATIENCE, |db| Ok(names(db))).unwrap(), 1);
        drop(writer);
    }

    #[test]
    fn a_path_is_told_to_sqlite_letter_by_letter() {
        assert_eq!(immutable(Path::new("/a b/h?c%d#.db")), "file:/a%20b/h%3Fc%25d%23.db?immutable=1");
    }
}
