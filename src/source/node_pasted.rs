//! A folder of what people paste of a node, and a dump of etcd's keys: both are files.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::decode::etcd_dump;
use crate::decode::ip_output::{self, IpFiles, PodFiles};
use crate::environment::file::{Takes, read_bounded};
use crate::environment::stream;
use crate::error::Error;
use crate::model::{Foreign, Gathering, Input, InputState, NodeEvidence};

/// What `ip` prints of a node with a million routes.
const LARGEST: u64 = 256 << 20;

const DOING: &str = "read the node's evidence";

/// The evidence of the node of this name from the files of a folder: `link.json`, `addr.json`, `route.json`, `route6.json`,
/// `neigh.json`, `sysctl.txt`, `verdicts.json`, and of pods in `inside/NAMESPACE.POD/`.
///
/// # Errors
/// A folder that cannot be read or holds none of them, and a file that is not what `ip` prints.
pub fn read(folder: &Path, node: &str, prefixes: &[String]) -> Result<NodeEvidence, Error> {
    let at = folder.display().to_string();
    let fail = |e: std::io::Error| Error::input(DOING).at(&at).cause(e);
    let of = |name: &str| file(&folder.join(name));
    std::fs::read_dir(folder).map_err(fail)?;
    let files = IpFiles {
        link: of("link.json")?,
        addr: of("addr.json")?,
        route: of("route.json")?,
        route6: of("route6.json")?,
        neigh: of("neigh.json")?,
        sysctl: of("sysctl.txt")?,
        verdicts: of("verdicts.json")?,
        inside: inside(&folder.join("inside"))?,
    };
    if [&files.link, &files.addr, &files.route, &files.route6, &files.neigh].iter().all(|file| file.is_none()) {
        let hint = "write what `ip -j -d link` prints to link.json, `ip -j -d addr` to addr.json, `ip -j -d route` to route.json, \
            `ip -j neigh` to neigh.json";
        return Err(Error::input(DOING).at(&at).cause("none of ip's outputs is in this folder").hint(hint));
    }
    let mut evidence = ip_output::evidence(node, prefixes, &files).map_err(|bad| {
        let place = folder.join(&bad.file).display().to_string();
        Error::input(DOING).at(place).cause(bad.cause.shown().into_owned()).hint(bad.hint)
    })?;
    evidence.from = Foreign::from(at.as_str());
    Ok(evidence)
}

/// A file's bytes; `None`: it is not there.
fn file(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match read_bounded(path, LARGEST, Takes::Files) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::input(DOING).at(path.display().to_string()).cause(e)),
    }
}

/// The pods by name; none where nobody looked.
fn inside(folder: &Path) -> Result<Vec<(String, PodFiles)>, Error> {
    let fail = |e: std::io::Error| Error::input(DOING).at(folder.display().to_string()).cause(e);
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(fail(e)),
    };
    let mut pods = Vec::new();
    for entry in entries {
        let path = entry.map_err(fail)?.path();
        if let (true, Some(name)) = (path.is_dir(), path.file_name()) {
            let of = |name: &str| file(&path.join(name));
            let files = PodFiles { addr: of("addr.json")?, route: of("route.json")?, neigh: of("neigh.json")? };
            pods.push((name.to_string_lossy().into_owned(), files));
        }
    }
    pods.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(pods)
}

/// Reads a dump of etcd's keys into the snapshot, packed or not: every key of Calico's is taken to be in it.
///
/// # Errors
/// A file that cannot be read, or a line of it.
pub fn read_dump(path: &Path, snapshot: &mut Gathering) -> Result<(), Error> {
    let doing = "read the dump of etcd";
    let at = stream::name(path);
    let hint = "it wants a line {\"key\":…,\"value\":…} for each key under /calico";
    let fail = |e: std::io::Error| Error::input(doing).at(&at).cause(e).hint(hint);
    let mut file = BufReader::new(stream::open(path).map_err(fail)?);
    let is_packed = file.fill_buf().map_err(fail)?.starts_with(&[0x1f, 0x8b]);
    let lines: Box<dyn Read> = if is_packed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    for (line, number) in BufReader::new(lines).split(b'\n').zip(1i64..) {
        let line = line.map_err(fail)?;
        if line.trim_ascii().is_empty() {
            continue;
        }
        let taken = etcd_dump::take(snapshot, &line, number);
        let revision = taken.map_err(|e| Error::input(doing).at(format!("{at}, line {number}")).cause(e).hint(hint))?;
        snapshot.etcd.revision = snapshot.etcd.revision.max(revision);
    }
    for input in Input::ALL.into_iter().filter(|input| input.is_calicos()) {
        snapshot.coverage.set(input, InputState::Complete, "");
    }
    Ok(())
}
