//! A capture as one line of a container's log: what a node's pod prints, and what anybody may save with `kubectl logs`.

use std::io::{Read, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

use crate::decode::node_capture::{self, BadCapture};
use crate::error::Error;
use crate::model::NodeEvidence;

/// What stands before it, with the version of the line; `kubectl logs --prefix` and `--timestamps` put something before that.
pub const MARK: &[u8] = b"ipaudit-capture:1:";
/// What stands before the version, of lines of any.
const ANY_MARK: &[u8] = b"ipaudit-capture:";
/// The version of the line that is written and read.
const LINE_VERSION: u64 = 1;
/// Unpacked: two hundred thousand routes. A line of 82 kB could become a gigabyte.
const LARGEST: u64 = 16 << 20;

/// One line, without its end.
///
/// # Errors
/// A fault of ipaudit's own.
pub fn line(evidence: &NodeEvidence) -> Result<String, Error> {
    let fail = |e: &dyn std::fmt::Display| Error::own("print the capture").cause(e.to_string());
    let bytes = node_capture::write(evidence).map_err(|e| fail(&e))?;
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(&bytes).map_err(|e| fail(&e))?;
    let packed = packed.finish().map_err(|e| fail(&e))?;
    Ok(format!("{}{}", String::from_utf8_lossy(MARK), STANDARD.encode(packed)))
}

/// What stands behind the mark in each line that has one, in the log's order.
pub fn marked(log: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    log.split(|byte| *byte == b'\n').filter_map(|line| {
        let at = memchr::memmem::find(line, ANY_MARK)?;
        let rest = line.get(at + ANY_MARK.len()..)?;
        let is_marked = version(rest).is_some();
        is_marked.then(|| rest.trim_ascii_end())
    })
}

/// The version of a line, and what stands behind it.
fn version(marked: &[u8]) -> Option<(u64, &[u8])> {
    let end = memchr::memchr(b':', marked)?;
    let number = std::str::from_utf8(marked.get(..end)?).ok()?.parse().ok()?;
    Some((number, marked.get(end + 1..)?))
}

/// The captures of one such line.
///
/// # Errors
/// A line that was cut off or is none of ours.
pub fn unpack(marked: &[u8]) -> Result<Vec<NodeEvidence>, BadCapture> {
    let bad = |cause: String| BadCapture { cause: cause.into(), hint: "the line was cut off, or is none of ipaudit's" };
    let packed = match version(marked) {
        Some((LINE_VERSION, packed)) => packed,
        Some((version, _)) => {
            let cause = format!(
                "its line is of version {version}, this ipaudit reads {LINE_VERSION}: it is of a newer version"
            );
            return Err(BadCapture {
                cause: cause.into(),
                hint: "use the version of ipaudit that wrote it, or a newer one",
            });
        }
        None => return Err(bad("it has no version".to_owned())),
    };
    let packed = STANDARD.decode(packed).map_err(|e| bad(e.to_string()))?;
    let mut bytes = Vec::new();
    let unpacked = MultiGzDecoder::new(packed.as_slice()).take(LARGEST + 1).read_to_end(&mut bytes);
    unpacked.map_err(|e| bad(e.to_string()))?;
    if bytes.len() as u64 > LARGEST {
        return Err(bad(format!("it has more than {LARGEST} bytes")));
    }
    node_capture::read(&bytes)
}

/// The last capture of a log that is whole; the error of the last line with a mark where none is, `None` where there is no such
/// line.
pub fn last(log: &[u8]) -> Option<Result<Vec<NodeEvidence>, BadCapture>> {
    let mut first_bad = None;
    for marked in marked(log).rev() {
        match unpack(marked) {
            Ok(captures) => return Some(Ok(captures)),
            Err(bad) => _ = first_bad.get_or_insert(bad),
        }
    }
    first_bad.map(Err)
}

/// Every capture of a log that is whole, in order; what is wrong with the first one where none is, `None` where there is no
/// line with a mark.
pub fn all(log: &[u8]) -> Option<Result<Vec<NodeEvidence>, BadCapture>> {
    let (mut found, mut first_bad) = (Vec::new(), None);
    for marked in marked(log) {
        match unpack(marked) {
            Ok(captures) => found.extend(captures),
            Err(bad) => _ = first_bad.get_or_insert(bad),
        }
    }
    if found.is_empty() { first_bad.map(Err) } else { Some(Ok(found)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(node: &str) -> NodeEvidence {
        NodeEvidence { node: node.into(), readings: 1, prefixes: vec!["cali".into()], ..NodeEvidence::default() }
    }

    fn nodes(found: Option<Result<Vec<NodeEvidence>, BadCapture>>) -> Option<Vec<String>> {
        Some(found?.ok()?.iter().map(|evidence| evidence.node.raw().to_owned()).collect())
    }

    #[test]
    fn a_line_of_a_newer_version_is_told_as_that() {
        let log = b"ipaudit-capture:9:H4sIAAAA\n";
        let why = all(log).unwrap().unwrap_err().cause.raw().to_owned();
        assert!(why.contains("version 9") && why.contains("a newer version"), "{why}");
        assert!(last(log).unwrap().is_err() && all(b"ipaudit-capture:x:H4s\n").is_none());
    }

    #[test]
    fn the_last_whole_line_counts_whatever_stands_around_it() {
        let (a, b) = (line(&evidence("a")).unwrap(), line(&evidence("b")).unwrap());
        assert!(!a.contains('\n') && a.starts_with("ipaudit-capture:1:"));
        let log = format!("[pod/x/node] 2026-11-30T12:00:00Z {a}\r\nsomething else\n{b}\n");
        assert_eq!(nodes(last(log.as_bytes())), Some(vec!["b".to_owned()]));
        // Written just now, and not to its end.
        let cut = format!("{a}\n{}", &b[..b.len() / 2]);
        assert_eq!(nodes(last(cut.as_bytes())), Some(vec!["a".to_owned()]));
        assert_eq!(nodes(all(log.as_bytes())), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(nodes(all(cut.as_bytes())), Some(vec!["a".to_owned()]));
        assert!(all(b"{}").is_none() && all(&b.as_bytes()[..99]).is_some_and(|found| found.is_err()));
        assert!(last(b"starting\nipaudit-capture:xx\n").is_none() && last(b"").is_none());
        assert!(last(&b.as_bytes()[..b.len() - 9]).is_some_and(|found| found.is_err()));
        assert!(last(b"ipaudit-capture:1:\n").is_some_and(|found| found.is_err()));
    }

    #[test]
    fn a_line_that_unpacks_to_more_than_a_node_has_is_refused() {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(&vec![b' '; (LARGEST + 1) as usize]).unwrap();
        let refused = unpack(format!("1:{}", STANDARD.encode(packed.finish().unwrap())).as_bytes()).unwrap_err();
        assert_eq!(refused.cause.raw(), "it has more than 16777216 bytes");
    }
}
