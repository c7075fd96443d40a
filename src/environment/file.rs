//! Files that people name and that are read whole, `-` for standard input: never without end, and never one that gives nothing.

use std::fs::{File, Metadata};
use std::io::{Error, ErrorKind, Read, Result};
use std::path::Path;

use super::stream::{Waiting, is_standard_input, standard_input};

/// What of a path is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Takes {
    /// A regular file, or a link to one: a pipe may never give anything, a device never end.
    Files,
    /// Whatever it is, for what people name: a secret comes from `<(pass show etcd)`, a plan from `<(ssh … cat plan)` or, as
    /// `-`, from standard input.
    Anything,
}

/// The file's bytes.
///
/// # Errors
/// As the file system's; what `takes` does not allow; more than `limit` bytes, of which no more than these are read.
pub fn read_bounded(path: &Path, limit: u64, takes: Takes) -> Result<Vec<u8>> {
    let allowed = |about: &Metadata| match takes == Takes::Anything || about.is_file() {
        true => Ok(()),
        false if about.is_dir() => Err(ErrorKind::IsADirectory.into()),
        false => Err(Error::other("it is no regular file")),
    };
    let at_most = limit.saturating_add(1);
    let mut bytes = Vec::new();
    if takes == Takes::Anything && is_standard_input(path) {
        let _waiting = Waiting::on(path);
        standard_input()?.take(at_most).read_to_end(&mut bytes)?;
    } else {
        // Before it is opened: that alone may wait for a pipe's other end.
        allowed(&std::fs::metadata(path)?)?;
        let _waiting = Waiting::on(path);
        let file = File::open(path)?;
        allowed(&file.metadata()?)?;
        file.take(at_most).read_to_end(&mut bytes)?;
    }
    match bytes.len() as u64 > limit {
        true => Err(Error::new(ErrorKind::FileTooLarge, format!("it has more than {limit} bytes"))),
        false => Ok(bytes),
    }
}

/// The same of a text.
///
/// # Errors
/// As [`read_bounded`], and what is no UTF-8.
pub fn read_text(path: &Path, limit: u64, takes: Takes) -> Result<String> {
    String::from_utf8(read_bounded(path, limit, takes)?).map_err(|e| Error::new(ErrorKind::InvalidData, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_up_to_its_limit_and_nothing_that_has_no_end() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        std::fs::write(&file, "four").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        for takes in [Takes::Files, Takes::Anything] {
            assert_eq!(
                (read_text(&link, 4, takes).unwrap().as_str(), read_bounded(&file, 9, takes).unwrap().len()),
                ("four", 4)
            );
            assert_eq!(read_bounded(&file, 3, takes).unwrap_err().to_string(), "it has more than 3 bytes");
            assert_eq!(read_bounded(&folder.path().join("none"), 9, takes).unwrap_err().kind(), ErrorKind::NotFound);
            assert!(read_bounded(folder.path(), 9, takes).is_err());
        }
        let zero = Path::new("/dev/zero");
        assert_eq!(read_bounded(zero, 9, Takes::Files).unwrap_err().to_string(), "it is no regular file");
        assert_eq!(read_bounded(zero, 9, Takes::Anything).unwrap_err().kind(), ErrorKind::FileTooLarge);
        std::fs::write(&file, b"\xff").unwrap();
        assert_eq!(read_text(&file, 9, Takes::Files).unwrap_err().kind(), ErrorKind::InvalidData);
    }
}
