//! Whether this user may read and write the history, without making or changing anything.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind::PermissionDenied;
use std::path::Path;
use std::time::Duration;

use super::open::{Db, ToRead};
use crate::error::{Error, chain};
use crate::model::access::{Access, Granter, Need, Right};

/// Elsewhere is the cure of all that is wrong with a place.
const ELSEWHERE: &str = "--db PATH puts the history elsewhere, --no-history does without";

/// What may be done with the history at `path`.
pub fn access(path: &Path, patience: Duration) -> Vec<Right> {
    let right = |need: Need| Right::new(Granter::History, need, need.word(), path.display().to_string());
    let (read, write) = (right(Need::Read), right(Need::Write));
    if !path.exists() {
        // The nearest folder that there is takes the others.
        let folder = path.ancestors().skip(1).map(here).find(|folder| folder.exists()).unwrap_or(Path::new("/"));
        return vec![match may_be_written(folder) {
            Ok(()) => write.is(Access::Granted, "there is none yet: an audit makes it", ""),
            Err(e) => refused(write, &e),
        }];
    }
    let read = match File::open(path) {
        Err(e) => refused(read, &e),
        Ok(_) => match Db::<ToRead>::open_to_read(path, patience).and_then(|db| db.read().map(|_| ())) {
            Ok(()) => read,
            Err(error) => read.is(Access::Unreachable, chain(&error), error.hint),
        },
    };
    // Opened, and nothing written: that tells the right and leaves even the file's time as it is.
    let folder = here(path.parent().unwrap_or(path));
    let written = OpenOptions::new().write(true).open(path).map(|_| ()).and_then(|()| may_be_written(folder));
    vec![
        read,
        match written {
            Ok(()) => write,
            Err(e) => refused(write, &e),
        },
    ]
}

/// Where there is no place for one.
pub fn no_place(error: &Error) -> Vec<Right> {
    let right = Right::new(Granter::History, Need::Write, Need::Write.word(), "");
    vec![right.is(Access::NotAsked, chain(error), error.hint.clone())]
}

/// The folder of a name without one.
fn here(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

/// SQLite's journals lie beside the file. The file that is made has no name where the system knows such files.
fn may_be_written(folder: &Path) -> std::io::Result<()> {
    tempfile::tempfile_in(folder).map(|_: File| ())
}

fn refused(right: Right, error: &std::io::Error) -> Right {
    let state = if error.kind() == PermissionDenied { Access::Refused } else { Access::Unreachable };
    right.is(state, error.to_string(), ELSEWHERE)
}
