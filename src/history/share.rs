//! A history that several users share: a folder that its group may write in, as a volume with `fsGroup` is.
//!
//! SQLite gives `-wal` and `-shm` the file's mode. In such a folder the file is its group's to write as well, so that
//! what one user's ipaudit leaves there, killed for instance, is no lock against another's.

use std::path::Path;

/// Makes the file its group's to write where its folder is, before SQLite opens it; one that is absent is made so. What
/// cannot be done is left: then everything is as SQLite makes it.
#[cfg(unix)]
pub(super) fn prepare(path: &Path) {
    use std::fs::{Metadata, Permissions};
    use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};

    /// What the group needs.
    const GROUP: u32 = 0o060;
    const NEW: u32 = 0o660;
    /// Everybody's folder, in which everybody's files are his own.
    const STICKY: u32 = 0o1000;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let is_shared = |folder: &Metadata| folder.mode() & 0o020 != 0 && folder.mode() & STICKY == 0;
    let Some(folder) = std::fs::metadata(folder).ok().filter(is_shared) else { return };
    let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(NEW).open(path).is_ok();
    let Ok(file) = std::fs::metadata(path) else { return };
    if !file.is_file() || (!made && file.mode() & GROUP == GROUP && file.gid() == folder.gid()) {
        return;
    }
    // Where the folder does not hand its group on.
    if file.gid() != folder.gid() && std::os::unix::fs::chown(path, None, Some(folder.gid())).is_err() {
        return;
    }
    // Whatever the umask took away.
    let mode = if made { NEW } else { file.mode() & 0o777 | GROUP };
    let _ = std::fs::set_permissions(path, Permissions::from_mode(mode));
}

#[cfg(not(unix))]
pub(super) fn prepare(_: &Path) {}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use crate::history::{Db, Journal, PATIENCE};

    fn mode(path: &std::path::Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn the_file_is_its_groups_where_the_folder_is_and_nowhere_else() {
        for (of_folder, is_shared) in [(0o770, true), (0o2775, true), (0o755, false), (0o700, false), (0o1777, false)] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(of_folder)).unwrap();
            let path = folder.path().join("history.db");
            drop(Db::open_to_write(&path, Journal::Wal, PATIENCE).unwrap());
            assert_eq!(mode(&path) == 0o660, is_shared, "{:o} in {of_folder:o}", mode(&path));
            // One that an earlier version made.
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
            let db = Db::open_to_write(&path, Journal::Wal, PATIENCE).unwrap();
            assert_eq!(mode(&path), if is_shared { 0o664 } else { 0o644 });
            let shm = super::super::rest::beside(&path, "-shm");
            assert_eq!(mode(&shm), mode(&path), "SQLite's own files have its mode");
            drop(db);
        }
    }
}
