//! What is said of a file that SQLite cannot open, read or write, and what to do about it.

use std::path::Path;

use rusqlite::ErrorCode;

use super::rest::beside;
use crate::error::Error;

/// What SQLite says, with what to do about it.
pub(super) fn failed(path: &Path, doing: &str, error: rusqlite::Error) -> Error {
    let hint = error.sqlite_error_code().map(|code| hint(path, code)).unwrap_or_default();
    Error::input(doing).at(path.display().to_string()).cause(error).hint(hint)
}

/// The hint for an error about the file at `path`.
fn hint(path: &Path, code: ErrorCode) -> String {
    let special = match code {
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied => of_somebody_else(path),
        ErrorCode::CannotOpen | ErrorCode::SystemIoFailure => copied_without_shm(path),
        _ => None,
    };
    unreadable(path).or(special).unwrap_or_else(|| usual(code).replace("FILE", &path.display().to_string()))
}

/// A file that is there and that this user may not even read.
#[cfg(unix)]
fn unreadable(path: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let refused = std::fs::File::open(path).err()?;
    let about = std::fs::metadata(path).ok().filter(|_| refused.kind() == std::io::ErrorKind::PermissionDenied)?;
    let (mode, owner, group) = (about.mode() & 0o777, about.uid(), about.gid());
    Some(format!(
        "this user may not read {} (mode {mode:o}, user {owner}, group {group}): ask as that user, or as one of its group",
        path.display()
    ))
}

#[cfg(not(unix))]
fn unreadable(_: &Path) -> Option<String> {
    None
}

/// `-shm` and `-wal` that another user left beside the file.
#[cfg(unix)]
fn of_somebody_else(path: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let locked: Vec<(String, u32, u64)> = ["-shm", "-wal"]
        .iter()
        .map(|end| beside(path, end))
        .filter_map(|file| {
            let about = std::fs::metadata(&file).ok()?;
            let refused = std::fs::OpenOptions::new().write(true).open(&file).err()?;
            let refused = refused.kind() == std::io::ErrorKind::PermissionDenied;
            refused.then(|| (file.display().to_string(), about.uid(), about.len()))
        })
        .collect();
    let (_, owner, _) = locked.first()?;
    let owners = match locked.iter().find(|(_, other, _)| other != owner) {
        None => format!("user {owner}"),
        Some((_, other, _)) => format!("users {owner} and {other}"),
    };
    let names: Vec<&str> = locked.iter().map(|(name, ..)| name.as_str()).collect();
    let names = names.join(" and ");
    let belong = if locked.len() == 1 { "belongs" } else { "belong" };
    let empty = std::fs::metadata(beside(path, "-wal")).map_or(true, |wal| wal.len() == 0);
    let cure = if empty {
        "nothing is in them: delete them while no ipaudit runs".to_owned()
    } else {
        let database =
            std::fs::metadata(path).map_or_else(|_| "the history's user".to_owned(), |f| f.uid().to_string());
        format!("-wal holds audits, do not delete it: give them to the history's owner (chown {database})")
    };
    Some(format!("{names} {belong} to {owners}, and this user may not write there; {cure}"))
}

#[cfg(not(unix))]
fn of_somebody_else(_: &Path) -> Option<String> {
    None
}

/// A copy that has the journal and not the shared memory, in a folder where that cannot be made.
fn copied_without_shm(path: &Path) -> Option<String> {
    let wal = beside(path, "-wal");
    let holds = std::fs::metadata(&wal).is_ok_and(|file| file.len() > 0);
    if !holds || beside(path, "-shm").exists() {
        return None;
    }
    Some(format!(
        "{} holds what is not in the history's file yet, and lies here without {}, which SQLite has to make: copy both \
         files to a folder that this user may write in, and ask there",
        wal.display(),
        beside(path, "-shm").display()
    ))
}

fn usual(code: ErrorCode) -> &'static str {
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
