//! Other network namespaces, entered by a thread of their own that never comes back.

use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A file that is a network namespace, and which one: a name may be given to another before it is opened again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamespaceFile {
    pub path: PathBuf,
    identity: (u64, u64),
}

impl NamespaceFile {
    /// The namespace of this file, which `ask` may look at while it is open.
    ///
    /// # Errors
    /// A file that cannot be opened.
    pub fn of<T>(path: &Path, ask: impl FnOnce(&File) -> T) -> Result<(NamespaceFile, T)> {
        let file = open(path)?;
        let place = NamespaceFile { path: path.to_path_buf(), identity: identity(&file)? };
        let answer = ask(&file);
        Ok((place, answer))
    }

    /// Whether it is the same namespace, by whatever name.
    pub const fn which(&self) -> (u64, u64) {
        self.identity
    }

    fn enter(&self) -> Result<()> {
        let file = open(&self.path)?;
        if identity(&file)? != self.identity {
            return Err(Error::new(ErrorKind::NotFound, "it is another namespace by now"));
        }
        Ok(move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?)
    }
}

/// Opens what may be a namespace, and waits for nobody: a pipe that somebody put there has no other end.
fn open(path: &Path) -> Result<File> {
    let nothing = || Error::new(ErrorKind::InvalidInput, "it is neither a file nor a namespace");
    // Of a device the opening alone may do something.
    if !std::fs::metadata(path)?.is_file() {
        return Err(nothing());
    }
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    // It may be another one by now.
    if file.metadata()?.is_file() { Ok(file) } else { Err(nothing()) }
}

fn identity(file: &File) -> Result<(u64, u64)> {
    let about = file.metadata()?;
    Ok((about.dev(), about.ino()))
}

/// What `look` sees in each of these namespaces. This thread stays where it is.
///
/// # Errors
/// A thread that cannot be made; that a namespace could not be entered is its own result.
pub fn visit<T: Send>(places: &[NamespaceFile], look: impl Fn(usize) -> T + Send + Sync) -> Result<Vec<Result<T>>> {
    let visit = || places.iter().enumerate().map(|(at, place)| place.enter().map(|()| look(at))).collect();
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("namespaces".to_owned());
        let lost = |_| Error::other("the thread that looked into namespaces was lost");
        thread.spawn_scoped(scope, visit)?.join().map_err(lost)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        for path in [pipe.as_path(), Path::new("/dev/null"), folder.path()] {
            let refused = NamespaceFile::of(path, |_| ()).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{}", path.display());
        }
        let own = NamespaceFile::of(Path::new("/proc/self/ns/net"), |file| file.metadata().unwrap().is_file());
        assert!(own.unwrap().1, "a namespace is a file");
    }
}
