//! Which files are the history's own: nothing else may be written in their place.

use std::path::{Path, PathBuf};

/// Whether `path` is the history at `db`, or what belongs to it and lies beside it (SQLite's journals, the turn of a
/// release, what the last audit left, copies of older schemas): by name, also of one that is not there yet, or because it is the same file under
/// another name.
pub fn is_of_the_history(path: &Path, db: &Path) -> bool {
    let (Some((folder, name)), Some((home, history))) = (place(path), place(db)) else { return false };
    let belongs = |name: &str| {
        let end = name.strip_prefix(history.as_str());
        end.is_some_and(|end| {
            ["", "-wal", "-shm", "-journal", ".release", ".state", ".seen"].contains(&end)
                || (end.starts_with(".v") && end.contains(".backup"))
                || ([".state", ".seen"].iter().any(|left| end.starts_with(left)) && end.ends_with(".new"))
        })
    };
    if folder == home && belongs(&name) {
        return true;
    }
    let beside = std::fs::read_dir(&home).into_iter().flatten().flatten();
    let mut own = beside.filter(|file| belongs(&file.file_name().to_string_lossy())).map(|file| file.path());
    own.any(|own| same_file(path, &own)) || same_file(path, db)
}

/// The folder without links, and the name in it.
fn place(path: &Path) -> Option<(PathBuf, String)> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    Some((folder, path.file_name()?.to_string_lossy().into_owned()))
}

#[cfg(unix)]
fn same_file(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let node = |path: &Path| std::fs::metadata(path).ok().map(|about| (about.dev(), about.ino()));
    node(one).is_some_and(|one| node(other) == Some(one))
}

#[cfg(not(unix))]
fn same_file(one: &Path, other: &Path) -> bool {
    one.canonicalize().is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_name_and_as_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in [
            "h.db",
            "h.db-wal",
            "h.db-shm",
            "h.db-journal",
            "h.db.release",
            "h.db.v2.backup",
            "h.db.v2.backup.1",
            "h.db.state",
            "h.db.seen",
            "h.db.seenAbC123.new",
        ] {
            assert!(is_of_the_history(&at(name), &at("h.db")), "{name}");
        }
        for name in ["h", "h.db.json", "plan", "g.db-wal"] {
            assert!(!is_of_the_history(&at(name), &at("h.db")), "{name}");
        }
        std::fs::write(at("h.db"), "").unwrap();
        std::fs::write(at("h.db-wal"), "").unwrap();
        std::fs::hard_link(at("h.db"), at("hard")).unwrap();
        std::fs::hard_link(at("h.db-wal"), at("hard wal")).unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(folder.path(), elsewhere.path().join("link")).unwrap();
        for path in [at("hard"), at("hard wal"), elsewhere.path().join("link/h.db-shm")] {
            assert!(is_of_the_history(&path, &at("h.db")), "{path:?}");
        }
    }
}
