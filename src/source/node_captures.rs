//! Captures of nodes: read from files and folders, and written. Files of others: bounded in size, packed or not.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::node_line;
use crate::decode::{encoding, node_capture};
use crate::environment::stream;
use crate::environment::whole_file::WholeFile;
use crate::error::Error;
use crate::model::{Foreign, InputState, NodeEvidence, NodesSeen};

/// A capture of a node with a million routes has 80 MB unpacked.
const LARGEST: u64 = 100 << 20;

/// What was read, and a sentence for each file that could not be.
#[derive(Debug)]
pub struct NodeCaptures {
    /// Of which nothing at all could be read has [`NodesSeen::failed`] too.
    pub seen: NodesSeen,
    pub warnings: Vec<String>,
    /// What is wrong with the first that was named and is no capture, or is a folder without any.
    pub bad: Option<Error>,
}

/// Reads all of these: files, each with one document or more, and folders of such files. A folder holds the captures of
/// every node. What is no capture is told and left out.
///
/// # Errors
/// A file or folder that was named and does not exist.
pub fn read(paths: &[PathBuf]) -> Result<NodeCaptures, Error> {
    let absent = |path: &&PathBuf| !stream::is_standard_input(path) && matches!(path.try_exists(), Ok(false));
    if let Some(path) = paths.iter().find(absent) {
        let cause = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(Error::input(DOING).at(path.display().to_string()).cause(cause).hint(HINT));
    }
    let (mut all, mut warnings, mut bad) = (Vec::new(), Vec::new(), None);
    let mut of_every_node = false;
    let left_out = |path: &Path, error: &Error| format!("{} is left out: {}", path.display(), cause(error));
    for path in paths {
        if !path.is_dir() {
            match file(path) {
                Ok(read) => all.extend(read),
                Err(error) => {
                    warnings.push(left_out(path, &error));
                    bad.get_or_insert(error);
                }
            }
            continue;
        }
        of_every_node = true;
        let before = all.len();
        let mut first = None;
        let files = files(path).unwrap_or_else(|error| {
            warnings.push(left_out(path, &error));
            first = Some(error);
            Vec::new()
        });
        for path in files {
            match file(&path) {
                Ok(read) => all.extend(read),
                Err(error) => {
                    warnings.push(left_out(&path, &error));
                    first.get_or_insert(error);
                }
            }
        }
        if all.len() == before {
            let none = first.unwrap_or_else(|| {
                let at = path.display().to_string();
                let none = Error::input(DOING).at(at).cause("no file in it is a capture").hint(HINT);
                warnings.push(left_out(path, &none));
                none
            });
            bad.get_or_insert(none);
        }
    }
    let is_none = all.is_empty();
    let mut seen = NodesSeen::newest(all, of_every_node);
    if let (true, Some(error)) = (is_none, &bad) {
        let why = format!("{}: {}", error.at, cause(error));
        seen.failed = Some((InputState::Unreachable, why.into(), error.hint.as_str().into()));
        // It is told as that.
        warnings.remove(0);
    }
    Ok(NodeCaptures { seen, warnings, bad })
}

const DOING: &str = "read the nodes' evidence";
const HINT: &str = "captures of nodes are made with ipaudit node --capture FILE";

/// Why a file could not be read; which one it is stands before it.
fn cause(error: &Error) -> String {
    error.cause.as_ref().map(|cause| crate::error::chain(&**cause)).unwrap_or_default()
}

/// The files of a folder by name; hidden ones are somebody's unfinished work.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let fail = |e: std::io::Error| Error::input(DOING).at(folder.display().to_string()).cause(e);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
        if !is_hidden && entry.path().is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

fn file(path: &Path) -> Result<Vec<NodeEvidence>, Error> {
    let at = stream::name(path);
    let fail = |e: std::io::Error| Error::input(DOING).at(&at).cause(e).hint(HINT);
    let mut bytes = Vec::new();
    stream::open(path).map_err(fail)?.take(LARGEST + 1).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut unpacked = Vec::new();
        let unpack = MultiGzDecoder::new(bytes.as_slice()).take(LARGEST + 1).read_to_end(&mut unpacked);
        unpack.map_err(|e| {
            Error::input(DOING).at(&at).cause(e).hint("the file is damaged or was cut off; capture again")
        })?;
        bytes = unpacked;
    }
    if bytes.len() as u64 > LARGEST {
        return Err(Error::input(DOING).at(&at).cause(format!("it has more than {LARGEST} bytes")).hint(HINT));
    }
    if let Some(why) = encoding::marked(&bytes) {
        return Err(Error::input(DOING).at(&at).cause(why).hint(encoding::HINT));
    }
    // What `kubectl logs` printed of the pods that make them.
    let read = node_line::all(&bytes).unwrap_or_else(|| node_capture::read(&bytes));
    let mut read =
        read.map_err(|bad| Error::input(DOING).at(&at).cause(bad.cause.shown().into_owned()).hint(bad.hint))?;
    read.iter_mut().for_each(|evidence| evidence.from = Foreign::from(at.as_str()));
    Ok(read)
}

/// A capture as bytes.
///
/// # Errors
/// As the serializer's.
pub fn document(evidence: &NodeEvidence) -> Result<Vec<u8>, Error> {
    node_capture::write(evidence).map_err(|e| Error::own("write the capture").cause(e))
}

/// Writes a capture beside its final name, packed where that ends in `.gz`, and gives it that.
///
/// # Errors
/// When it cannot be written; then nothing is left behind.
pub fn write(path: &Path, evidence: &NodeEvidence) -> Result<(), Error> {
    let fail = |e: std::io::Error| Error::input("write the capture").at(path.display().to_string()).cause(e);
    let mut bytes = document(evidence)?;
    if path.extension().is_some_and(|end| end == "gz") {
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(&bytes).map_err(fail)?;
        bytes = packed.finish().map_err(fail)?;
    }
    let whole = WholeFile::create(path).map_err(fail)?;
    whole.file().write_all(&bytes).map_err(fail)?;
    whole.finish().map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(node: &str) -> NodeEvidence {
        NodeEvidence { node: node.into(), readings: 1, prefixes: vec!["cali".into()], ..NodeEvidence::default() }
    }

    fn names(seen: &NodesSeen) -> Vec<&str> {
        seen.nodes.iter().map(|node| node.node.raw()).collect()
    }

    #[test]
    fn a_folder_is_every_node_and_what_is_no_capture_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        write(&at("b.gz"), &evidence("b")).unwrap();
        std::fs::write(at("a.json"), node_capture::write(&evidence("a")).unwrap()).unwrap();
        std::fs::write(at(".unfinished"), "x").unwrap();
        let read_all = read(&[folder.path().to_path_buf()]).unwrap();
        assert_eq!((names(&read_all.seen), read_all.seen.of_every_node), (vec!["a", "b"], true));
        assert!(read_all.warnings.is_empty());
        assert!(std::fs::read(at("b.gz")).unwrap().starts_with(&[0x1f, 0x8b]));
        std::fs::write(at("notes.txt"), "hello").unwrap();
        let read_all = read(&[folder.path().to_path_buf()]).unwrap();
        assert_eq!((read_all.seen.nodes.len(), read_all.warnings.len()), (2, 1));
        let one = read(&[at("b.gz")]).unwrap();
        assert_eq!((names(&one.seen), one.seen.of_every_node), (vec!["b"], false));
        let named = read(&[at("notes.txt"), at("b.gz"), at("notes.txt")]).unwrap();
        assert_eq!((names(&named.seen), named.warnings.len(), named.bad.is_some()), (vec!["b"], 2, true));
        assert!(named.seen.failed.is_none());
        assert!(read(&[at("b.gz"), at("absent")]).is_err(), "mistyped");
        let empty = tempfile::tempdir().unwrap();
        for (nothing, why) in
            [(empty.path().to_path_buf(), "no file in it is a capture"), (at("notes.txt"), "notes.txt: expected value")]
        {
            let read = read(&[nothing]).unwrap();
            let (state, cause, hint) = read.seen.failed.unwrap();
            assert_eq!((state, read.warnings.len(), read.bad.is_some()), (InputState::Unreachable, 0, true));
            assert!(cause.raw().contains(why) && !hint.is_empty(), "{cause:?}");
        }
    }

    /// Packed files may be put one after the other, as documents may.
    #[test]
    fn captures_one_after_the_other_and_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        write(&at("a.gz"), &evidence("a")).unwrap();
        write(&at("b.gz"), &evidence("b")).unwrap();
        let both = [std::fs::read(at("a.gz")).unwrap(), std::fs::read(at("b.gz")).unwrap()].concat();
        std::fs::write(at("both"), &both).unwrap();
        assert_eq!(names(&read(&[at("both")]).unwrap().seen), ["a", "b"]);
        std::fs::write(at("cut"), &both[..both.len() - 9]).unwrap();
        assert!(read(&[at("cut")]).unwrap().bad.is_some());
    }
}
