//! Captures: one gzip file with everything that an audit read, written as it is read, read back line by line.
//!
//! A file that was cut off, damaged, or written in a newer format is an error: half of the evidence proves nothing.

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Seek as _, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

use crate::decode::capture::{
    Bytes, FORMAT, Head, KeyLine, Line, LookLine, NamespaceLine, NodeLine, PodLine, ServiceLine, VERSION, input_of,
};
use crate::decode::{self, Kv};
use crate::environment::stream;
use crate::environment::whole_file::WholeFile;
use crate::error::Error;
use crate::model::{FailedLook, Gathering, Input, Name, Patch, Snapshot, Time};

/// Writes a capture beside its final name; nothing appears there before [`Whole::finish`].
pub struct Writer {
    path: PathBuf,
    whole: Whole,
    out: GzEncoder<BufWriter<File>>,
    lines: u64,
    /// The first failure; the read goes on, and `finish` tells it.
    failed: Option<std::io::Error>,
}

impl Writer {
    /// Starts a capture that will be `path`; of `-` (standard output) the bytes, which the caller gives on.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn create(path: &Path) -> Result<Writer, Error> {
        let fail = |e: std::io::Error| Error::input("write the capture").at(path.display().to_string()).cause(e);
        let whole = match path == Path::new("-") {
            true => Whole::Nameless(tempfile::tempfile().map_err(fail)?),
            false => Whole::Named(WholeFile::create(path).map_err(fail)?, path.to_path_buf()),
        };
        let file = whole.file().try_clone().map_err(fail)?;
        let out = GzEncoder::new(BufWriter::new(file), Compression::fast());
        let mut writer = Writer { path: path.to_path_buf(), whole, out, lines: 0, failed: None };
        writer.head();
        Ok(writer)
    }

    fn head(&mut self) {
        let made_by = concat!("ipaudit ", env!("CARGO_PKG_VERSION")).to_owned();
        self.line(&Line::Head(Head { format: FORMAT.to_owned(), version: VERSION, made_by }));
    }

    fn line(&mut self, line: &Line) {
        if self.failed.is_some() {
            return;
        }
        self.lines += 1;
        let written = serde_json::to_writer(&mut self.out, line).map_err(std::io::Error::from);
        self.failed = written.and_then(|()| self.out.write_all(b"\n")).err();
    }

    /// One key of etcd.
    pub fn kv(&mut self, kv: &Kv<'_>) {
        self.line(&Line::Etcd(KeyLine::of(kv)));
    }

    /// The read started over: so does the file.
    pub fn restart(&mut self) {
        match self.start_over() {
            Ok(()) => self.head(),
            Err(e) => self.failed = Some(e),
        }
    }

    fn start_over(&mut self) -> std::io::Result<()> {
        use std::io::Seek;
        self.out.try_finish()?;
        self.out.get_mut().flush()?;
        let mut file = self.whole.file().try_clone()?;
        file.set_len(0)?;
        file.rewind()?;
        self.out = GzEncoder::new(BufWriter::new(file), Compression::fast());
        self.lines = 0;
        Ok(())
    }

    /// A key that the second look found absent.
    pub fn absent(&mut self, key: &[u8]) {
        self.line(&Line::EtcdAbsent(Bytes::of(key)));
    }

    /// An etcd input of which the whole list follows again.
    pub fn again(&mut self, input: Input) {
        self.line(&Line::EtcdAgain(input.word().to_owned()));
    }

    /// All objects of Kubernetes.
    pub fn kubernetes(&mut self, snapshot: &Gathering) {
        let names = &snapshot.names;
        snapshot.pods.iter().for_each(|p| self.line(&Line::Pod(PodLine::of(names, p))));
        snapshot.kube_nodes.iter().for_each(|n| self.line(&Line::Node(NodeLine::of(names, n))));
        snapshot.services.iter().for_each(|s| self.line(&Line::Service(ServiceLine::of(names, s))));
        snapshot.namespaces.iter().for_each(|n| self.line(&Line::Namespace(NamespaceLine::of(names, n))));
    }

    /// The objects of Kubernetes that the second look read again. The patch has the names still on loan.
    pub fn kubernetes_again(&mut self, patch: &Patch) {
        let seen = &patch.other;
        let names = &seen.names;
        let text = |name: Name| names.get(name).to_owned();
        let again = [
            (Input::Pods, Line::PodsAgain),
            (Input::KubeNodes, Line::NodesAgain),
            (Input::Services, Line::ServicesAgain),
        ];
        again.iter().filter(|(input, _)| patch.whole.contains(input)).for_each(|(_, line)| self.line(line));
        let pods: HashSet<_> = seen.pods.iter().map(|p| (p.namespace, p.name)).collect();
        let pods: BTreeSet<_> = patch.pods.difference(&pods).map(|&(ns, name)| (text(ns), text(name))).collect();
        pods.into_iter().for_each(|(ns, name)| self.line(&Line::PodAbsent(ns, name)));
        let nodes: HashSet<_> = seen.kube_nodes.iter().map(|n| n.name).collect();
        let nodes: BTreeSet<_> = patch.nodes.difference(&nodes).map(|&name| text(name)).collect();
        nodes.into_iter().for_each(|name| self.line(&Line::NodeAbsent(name)));
        let services: HashSet<_> = seen.services.iter().map(|s| (s.namespace, s.name)).collect();
        let gone = patch.services.difference(&services);
        let services: BTreeSet<_> = gone.map(|&(ns, name)| (text(ns), text(name))).collect();
        services.into_iter().for_each(|(ns, name)| self.line(&Line::ServiceAbsent(ns, name)));
        self.kubernetes(seen);
    }

    /// Ends a look: its moment, coverage and servers.
    pub fn look(&mut self, snapshot: &Gathering, started: Time, duration: Duration) {
        self.line(&Line::Look(LookLine::of(snapshot, started, duration)));
    }

    /// The second look failed; its findings stay unconfirmed here too.
    pub fn look_failed(&mut self, snapshot: &Gathering, started: Time, failed: &FailedLook) {
        let line = LookLine {
            failed: Some(failed.why.raw().to_owned()),
            failed_hint: failed.hint.raw().to_owned(),
            ..LookLine::of(snapshot, started, Duration::ZERO)
        };
        self.line(&Line::Look(line));
    }

    /// Completes the bytes.
    ///
    /// # Errors
    /// When anything could not be written; then nothing is left behind.
    pub fn end(mut self) -> Result<Whole, Error> {
        let lines = self.lines;
        self.line(&Line::End { lines });
        let at = self.path.display().to_string();
        let fail = |e: std::io::Error| Error::input("write the capture").at(at.clone()).cause(e);
        if let Some(e) = self.failed.take() {
            return Err(fail(e));
        }
        let file = self.out.finish().and_then(|b| b.into_inner().map_err(std::io::IntoInnerError::into_error));
        file.and_then(|mut file| file.rewind()).map_err(fail)?;
        Ok(self.whole)
    }
}

/// A capture that is complete, and not yet where it belongs.
#[must_use = "nothing is there before it is given on"]
pub enum Whole {
    /// [`WholeFile::finish`] gives it this name.
    Named(WholeFile, PathBuf),
    /// Its bytes, from the first one on: who asked for them gives them on.
    Nameless(File),
}

impl Whole {
    fn file(&self) -> &File {
        match self {
            Whole::Named(whole, _) => whole.file(),
            Whole::Nameless(file) => file,
        }
    }

    /// Gives a capture its name; what is to have none is given on by `give`.
    ///
    /// # Errors
    /// When it could not be written (then nothing is left behind), and those of `give`.
    pub fn finish(self, give: impl FnOnce(File) -> Result<(), Error>) -> Result<(), Error> {
        match self {
            Whole::Named(whole, path) => {
                whole.finish().map_err(|e| Error::input("write the capture").at(path.display().to_string()).cause(e))
            }
            Whole::Nameless(bytes) => give(bytes),
        }
    }
}

/// What a capture holds.
pub struct Captured {
    /// Of the first look; "now" is the capture's.
    pub first: Snapshot,
    /// When the first look began, by the clock of the machine that captured.
    pub started: Time,
    /// How long the first look took.
    pub duration: Duration,
    /// What the second look saw, to be put into `first` ([`Patch::swap`]).
    pub second: Second,
}

/// The second look of a capture.
pub enum Second {
    /// There was nothing to look at again (or nobody asked for it).
    None,
    /// What was seen.
    Seen(Box<Patch>),
    /// It was tried and failed.
    Failed(FailedLook),
}

/// What is said of what no capture is.
const MADE_BY: &str = "captures are made with ipaudit capture -f FILE";

/// Reads a capture.
///
/// # Errors
/// Not readable, empty, not a capture, cut off, damaged, or of a newer format; with the line's number.
pub fn read(path: &Path) -> Result<Captured, Error> {
    let at = stream::name(path);
    let doing = "read the capture";
    let file = stream::open(path).map_err(|e| Error::input(doing).at(&at).cause(e))?;
    let mut file = BufReader::new(file);
    // The decoder would miss its header. What cannot be read is told when it is read.
    if file.fill_buf().is_ok_and(<[u8]>::is_empty) {
        return Err(Error::input(doing).at(&at).cause(format!("{} is empty", stream::what(path))).hint(MADE_BY));
    }
    let lines = BufReader::with_capacity(1 << 16, MultiGzDecoder::new(file));
    let mut reader = Reader::default();
    for (line, number) in lines.split(b'\n').zip(1u64..) {
        let fail =
            |cause: String, hint: &str| Error::input(doing).at(format!("{at}, line {number}")).cause(cause).hint(hint);
        let line = line.map_err(|e| match e.kind() {
            ErrorKind::IsADirectory => Error::input(doing).at(&at).cause("it is a folder, not a file"),
            _ => fail(e.to_string(), "the file is damaged or no gzip file; capture again"),
        })?;
        if number == 1 {
            check_head(&line).map_err(|(cause, hint)| fail(cause, hint))?;
            continue;
        }
        let parsed =
            serde_json::from_slice(&line).map_err(|e| fail(e.to_string(), "the file is damaged; capture again"))?;
        reader.take(parsed).map_err(|e| fail(e, "the file is damaged; capture again"))?;
    }
    reader.finish().map_err(|e| Error::input(doing).at(at).cause(e).hint("the file was cut off; capture again"))
}

fn check_head(line: &[u8]) -> Result<(), (String, &'static str)> {
    #[derive(serde::Deserialize)]
    struct Loose {
        format: String,
        version: u32,
        #[serde(default)]
        made_by: String,
    }
    #[derive(serde::Deserialize)]
    struct First {
        head: Loose,
    }
    match serde_json::from_slice::<First>(line) {
        Ok(First { head }) if head.format == FORMAT && head.version <= VERSION => Ok(()),
        Ok(First { head }) if head.format == FORMAT => Err((
            format!("format {} of {}, this version reads up to {VERSION}", head.version, head.made_by),
            "use the version of ipaudit that wrote it, or a newer one",
        )),
        _ => Err(("its first line is not a capture's".to_owned(), MADE_BY)),
    }
}

#[derive(Default)]
struct Reader {
    filling: Gathering,
    first: Option<(Snapshot, LookLine)>,
    second: Option<Patch>,
    second_look: Option<LookLine>,
    /// Keys and objects of the second look, put in at its end.
    changes: Vec<Line>,
    lines: u64,
    ended: bool,
}

impl Reader {
    fn take(&mut self, line: Line) -> Result<(), String> {
        if self.ended {
            return Err("there is something after its end".to_owned());
        }
        self.lines += 1;
        match line {
            Line::Head(_) => Err("a second head".to_owned()),
            Line::End { lines } if lines == self.lines => {
                self.ended = true;
                Ok(())
            }
            Line::End { lines } => Err(format!("{lines} lines were written, {} are here", self.lines)),
            Line::Look(look) => {
                let Some((first, _)) = &mut self.first else {
                    look.restore(&mut self.filling)?;
                    self.first = Some((std::mem::take(&mut self.filling).sorted(), look));
                    return Ok(());
                };
                if look.failed.is_none() {
                    let mut patch = Patch::of(first);
                    look.restore(&mut patch.other)?;
                    // Its names are the first look's.
                    patch.swap_names(first);
                    fill(&mut patch, std::mem::take(&mut self.changes))?;
                    patch.swap_names(first);
                    self.second = Some(patch);
                }
                self.second_look = Some(look);
                Ok(())
            }
            line if self.first.is_none() => insert(&mut self.filling, &line),
            line => {
                self.changes.push(line);
                Ok(())
            }
        }
    }

    fn finish(self) -> Result<Captured, String> {
        let (first, look) = self.first.filter(|_| self.ended).ok_or("its last line is missing")?;
        let failed = self
            .second_look
            .and_then(|look| Some(FailedLook { why: look.failed?.into(), hint: look.failed_hint.into() }));
        let second = match (self.second, failed) {
            (Some(patch), _) => Second::Seen(Box::new(patch)),
            (None, Some(failed)) => Second::Failed(failed),
            (None, None) => Second::None,
        };
        let duration = Duration::from_millis(look.duration_ms);
        Ok(Captured { first, started: Time(look.started), duration, second })
    }
}

fn insert(snapshot: &mut Gathering, line: &Line) -> Result<(), String> {
    match line {
        Line::Etcd(line) => {
            let (key, value) = (line.k.bytes()?, line.v.bytes()?);
            let (create_revision, mod_revision, version) = (line.c, line.m, line.n);
            decode::insert(snapshot, &Kv { key: &key, value: &value, create_revision, mod_revision, version });
        }
        Line::Pod(pod) => snapshot.pods.push(pod.pod(&mut snapshot.names)?),
        Line::Node(node) => snapshot.kube_nodes.push(node.node(&mut snapshot.names)?),
        Line::Service(service) => snapshot.services.push(service.service(&mut snapshot.names)?),
        Line::Namespace(namespace) => {
            let namespace = namespace.namespace(&mut snapshot.names);
            snapshot.namespaces.push(namespace);
        }
        other => return Err(format!("a line of a second look before the end of the first: {other:?}")),
    }
    Ok(())
}

/// Puts what a second look read into its patch.
fn fill(patch: &mut Patch, changes: Vec<Line>) -> Result<(), String> {
    for line in &changes {
        let names = &mut patch.other.names;
        match line {
            Line::Etcd(line) => drop(patch.keys.insert(line.k.bytes()?)),
            Line::EtcdAbsent(key) => drop(patch.keys.insert(key.bytes()?)),
            Line::EtcdAgain(input) => drop(patch.whole.insert(input_of(input)?)),
            Line::PodsAgain => drop(patch.whole.insert(Input::Pods)),
            Line::NodesAgain => drop(patch.whole.insert(Input::KubeNodes)),
            Line::ServicesAgain => drop(patch.whole.insert(Input::Services)),
            Line::Pod(PodLine { ns, name, .. }) | Line::PodAbsent(ns, name) => {
                patch.pods.insert((names.intern(ns), names.intern(name)));
            }
            Line::Node(NodeLine { name, .. }) | Line::NodeAbsent(name) => drop(patch.nodes.insert(names.intern(name))),
            Line::Service(ServiceLine { ns, name, .. }) | Line::ServiceAbsent(ns, name) => {
                patch.services.insert((names.intern(ns), names.intern(name)));
            }
            _ => {}
        }
        let seen = matches!(line, Line::Etcd(_) | Line::Pod(_) | Line::Node(_) | Line::Service(_) | Line::Namespace(_));
        if seen {
            insert(&mut patch.other, line)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::Cluster;
    use crate::model::InputState;

    /// What a second look saw comes back from the file as the very patch that it was.
    #[test]
    fn a_second_look_comes_back_as_it_was() {
        let mut c = Cluster::healthy();
        let (shop, gone, other) = (c.name("shop"), c.name("web-0"), c.name("web-1"));
        let mut first = c.snapshot.clone();
        // Keys of etcd stand in the file as bytes, which these have not.
        for input in Input::ALL.into_iter().filter(|input| !input.is_kubernetes()) {
            decode::clear(&mut first, input);
        }
        first.coverage.set(Input::Services, InputState::Unreachable, "no answer");
        first.coverage.set_hint(Input::Services, "is the server up?");
        let mut first = first.sorted();
        let mut patch = Patch::of(&first);
        patch.pods = [(shop, gone), (shop, other)].into();
        patch.whole = [Input::KubeNodes].into();
        patch.other.now = first.now.plus(Duration::from_secs(20));
        let mut seen = first.pods.iter().find(|p| p.name == other).unwrap().clone();
        seen.ready = !seen.ready;
        patch.other.pods.push(seen);
        patch.other.kube_nodes.extend(first.kube_nodes.iter().take(1).cloned());
        let absent = b"/calico/ipam/v2/handle/x".to_vec();
        patch.keys = [absent.clone()].into();

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("capture");
        let mut writer = Writer::create(&path).unwrap();
        writer.kubernetes(&first);
        writer.look(&first, first.now, Duration::ZERO);
        writer.absent(&absent);
        patch.swap_names(&mut first);
        writer.kubernetes_again(&patch);
        patch.swap_names(&mut first);
        writer.look(&patch.other, first.now, Duration::ZERO);
        writer.end().unwrap().finish(|_| unreachable!("it has a name")).unwrap();

        let words = |snapshot: &Snapshot| {
            let names = &snapshot.names;
            let pods: Vec<PodLine> = snapshot.pods.iter().map(|p| PodLine::of(names, p)).collect();
            let nodes: Vec<NodeLine> = snapshot.kube_nodes.iter().map(|n| NodeLine::of(names, n)).collect();
            format!("{} {pods:?} {nodes:?}", snapshot.now)
        };
        let Captured { first: mut read, second, .. } = super::read(&path).unwrap();
        let Second::Seen(mut again) = second else { panic!("a second look") };
        assert_eq!(read.coverage.hint(Input::Services), "is the server up?");
        assert_eq!((words(&read), again.keys.clone()), (words(&first), patch.keys.clone()));
        for _ in 0..2 {
            patch.swap(&mut first);
            again.swap(&mut read);
            assert_eq!(words(&read), words(&first));
        }
    }
}
