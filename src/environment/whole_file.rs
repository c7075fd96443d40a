//! Files that have their name only when they are whole.
//!
//! What is written goes into a file beside the name, which takes its place at the end. A device or a pipe of that name keeps
//! its place: it is given the bytes when they are whole. A name that leads to another is followed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Seek};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// A file that is being written.
#[derive(Debug)]
pub struct WholeFile {
    /// For its owner alone.
    written: NamedTempFile,
    into: Destination,
}

/// Where it goes when it is whole.
#[derive(Debug)]
enum Destination {
    /// It becomes the file of this name.
    Name(PathBuf),
    /// Its bytes go to what has this name.
    Stream(PathBuf),
}

impl WholeFile {
    /// Begins a file that will be `path`.
    ///
    /// # Errors
    /// A folder, or a place where nothing can be written.
    pub fn create(path: &Path) -> io::Result<WholeFile> {
        let into = match fs::metadata(path) {
            Ok(there) if there.is_dir() => return Err(ErrorKind::IsADirectory.into()),
            Ok(there) if there.is_file() => Destination::Name(path.canonicalize()?),
            Ok(_) => Destination::Stream(path.to_owned()),
            Err(e) if e.kind() == ErrorKind::NotFound => Destination::Name(path.to_owned()),
            Err(e) => return Err(e),
        };
        let written = match &into {
            Destination::Name(name) => NamedTempFile::new_in(folder_of(name))?,
            Destination::Stream(_) => NamedTempFile::new()?,
        };
        Ok(WholeFile { written, into })
    }

    /// What is written into.
    pub fn file(&self) -> &File {
        self.written.as_file()
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// When anything could not be written; then nothing is left behind.
    pub fn finish(self) -> io::Result<()> {
        match &self.into {
            Destination::Name(name) => {
                self.file().sync_all()?;
                // Writing takes its time, and somebody may have put something there.
                if fs::symlink_metadata(name).is_ok_and(|there| !there.is_file() && !there.is_symlink()) {
                    return Err(io::Error::other("something that is no file was put there meanwhile"));
                }
                self.written.persist(name).map_err(|e| e.error).map(drop)
            }
            Destination::Stream(name) => {
                let mut stream = OpenOptions::new().write(true).open(name)?;
                let mut written = self.written.as_file();
                written.rewind()?;
                io::copy(&mut written, &mut stream).map(drop)
            }
        }
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::fs::{FileTypeExt, symlink};

    use super::*;

    fn written(path: &Path) -> io::Result<()> {
        let whole = WholeFile::create(path)?;
        whole.file().write_all(b"all of it")?;
        whole.finish()
    }

    #[test]
    fn a_file_is_there_when_it_is_whole_and_a_link_stays_one() {
        let folder = tempfile::tempdir().unwrap();
        let [file, link] = ["file", "link"].map(|name| folder.path().join(name));
        let unfinished = WholeFile::create(&file).unwrap();
        assert!(!file.exists());
        drop(unfinished);
        written(&file).unwrap();
        fs::write(&file, "older").unwrap();
        symlink(&file, &link).unwrap();
        written(&link).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"all of it");
        assert!(link.is_symlink() && fs::read_dir(folder.path()).unwrap().count() == 2);
        assert_eq!(written(folder.path()).unwrap_err().kind(), ErrorKind::IsADirectory);
    }

    /// As root, to rename a file over a device is to take it from the whole machine.
    #[test]
    fn a_pipe_is_given_the_bytes_and_keeps_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        let path = pipe.clone();
        let reader = std::thread::spawn(move || {
            let mut read = String::new();
            File::open(path).and_then(|mut pipe| pipe.read_to_string(&mut read)).map(|_| read)
        });
        written(&pipe).unwrap();
        assert_eq!(reader.join().unwrap().unwrap(), "all of it");
        assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
    }
}
