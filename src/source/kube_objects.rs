//! Pods, nodes, services and namespaces from files, as `kubectl get … -o json` prints them (`--kube-objects`).
//!
//! A file may be gzip and may hold a `List` of mixed items, typed lists (`PodList`), single objects, and several
//! such documents one after the other. It is read item by item: 500 MB of pods cost a few MB of memory.
//! A kind of which the files hold nothing was not asked for, which is not the same as an empty cluster: that
//! is said with an empty typed list. Other kinds of object are passed over.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use serde::Deserialize;

use super::json_stream::{BrokenStream, JsonStream};
use crate::decode::kube::{Remarks, insert};
use crate::decode::kube_item::{Item, Kind, WireText};
use crate::decode::kube_json::ListMetadata;
use crate::environment::stream;
use crate::error::Error;
use crate::model::hash::HashSet;
use crate::model::{Gathering, InputState};

/// Reads all `files` into `snapshot`: the objects, what is known of each of the four inputs, and the files'
/// names as the server. Of an object that comes twice the later one counts.
///
/// The file that cannot be read, is cut off, or is not JSON is an error: half of a file proves nothing.
pub fn read(files: &[PathBuf], snapshot: &mut Gathering) -> Result<Remarks, Error> {
    let mut reading = Reading { snapshot, remarks: Remarks::default(), given: BTreeSet::new(), cut: BTreeMap::new() };
    for file in files {
        reading.file(file)?;
    }
    let Reading { remarks, given, cut, .. } = reading;
    let names: Vec<String> = files.iter().map(|file| stream::name(file)).collect();
    snapshot.kube.server = names.join(", ");
    keep_latest(snapshot);
    for kind in Kind::ALL {
        let hole = cut.get(&kind).cloned().or_else(|| remarks.hole_in(kind.input()));
        let (state, detail) = match (given.contains(&kind), hole) {
            (_, Some(hole)) => (InputState::Partial, hole),
            (true, None) => (InputState::Complete, String::new()),
            (false, None) => {
                (InputState::NotAsked, format!("no {} in {}", kind.word().to_lowercase(), snapshot.kube.server))
            }
        };
        snapshot.coverage.set(kind.input(), state, detail);
    }
    Ok(remarks)
}

/// What is known while the files are being read.
struct Reading<'s> {
    snapshot: &'s mut Gathering,
    remarks: Remarks,
    /// Kinds of which there was an item or a typed list.
    given: BTreeSet<Kind>,
    /// Kinds of which a file holds one page only.
    cut: BTreeMap<Kind, String>,
}

/// What a document says of itself beside its items.
#[derive(Default)]
struct DocumentHead {
    api_version: String,
    kind: String,
    next: String,
}

impl DocumentHead {
    /// The kind of the items of a typed list.
    fn item_kind(&self) -> Option<Kind> {
        Kind::of_list(&self.api_version, &self.kind)
    }
}

impl Reading<'_> {
    fn file(&mut self, path: &Path) -> Result<(), Error> {
        let doing = "read the Kubernetes objects";
        let error = |cause: std::io::Error| {
            Error::input(doing)
                .at(stream::name(path))
                .cause(cause)
                .hint("--kube-objects wants a file that `kubectl get pods,nodes,services,namespaces -A -o json` made")
        };
        let mut file = BufReader::with_capacity(64 * 1024, stream::open(path).map_err(error)?);
        let gzip = file.fill_buf().map_err(error)?.starts_with(&[0x1f, 0x8b]);
        let input: Box<dyn Read> = if gzip { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
        let mut json = JsonStream::new(input);
        self.documents(&mut json).map_err(|broken| {
            let unpacked = if gzip { " unpacked" } else { "" };
            let (cause, hint) = explain(broken, json.offset(), stream::what(path));
            let at = format!("{}, byte {}{unpacked}", stream::name(path), json.offset());
            Error::input(doing).at(at).cause(cause).hint(hint)
        })
    }

    fn documents<R: Read>(&mut self, stream: &mut JsonStream<R>) -> Result<(), BrokenStream> {
        stream.skip_mark()?;
        let mut next = stream.peek()?.ok_or(BrokenStream::Empty)?;
        loop {
            match next {
                // `jq .items` makes a bare array.
                b'[' => {
                    let mut unsorted = Vec::new();
                    self.items(stream, &DocumentHead::default(), &mut unsorted)?;
                    self.end_of_list(&DocumentHead::default(), unsorted);
                }
                _ => self.document(stream)?,
            }
            match stream.peek()? {
                Some(byte) => next = byte,
                None => return Ok(()),
            }
        }
    }

    /// One list or one object; which of them is known when `items` comes or the object ends.
    fn document<R: Read>(&mut self, stream: &mut JsonStream<R>) -> Result<(), BrokenStream> {
        stream.pin();
        stream.take(b'{')?;
        let mut head = DocumentHead::default();
        let mut is_list = false;
        let mut unsorted = Vec::new();
        let mut next = stream.peek()?;
        while next != Some(b'}') {
            if next.is_some_and(|byte| byte != b'"') {
                stream.take(b'"')?;
            }
            let name = string(stream.raw()?);
            stream.take(b':')?;
            match (name.as_str(), stream.peek()?) {
                ("items", Some(b'[' | b'n')) => {
                    is_list = true;
                    stream.unpin();
                    self.items(stream, &head, &mut unsorted)?;
                }
                ("kind", _) => head.kind = string(stream.raw()?),
                ("apiVersion", _) => head.api_version = string(stream.raw()?),
                ("metadata", _) => {
                    let metadata = serde_json::from_str::<ListMetadata<'_>>(stream.raw()?).unwrap_or_default();
                    head.next = metadata.next.to_string();
                }
                _ => drop(stream.raw()?),
            }
            next = stream.peek()?;
            if next == Some(b',') {
                stream.take(b',')?;
                next = stream.peek()?.filter(|byte| *byte != b'}');
            } else if next != Some(b'}') {
                stream.take(b'}')?;
            }
        }
        stream.take(b'}')?;
        if is_list {
            self.end_of_list(&head, unsorted);
            return Ok(());
        }
        let text = stream.unpin();
        match serde_json::from_str::<Item<'_>>(text) {
            Ok(item) => self.item(Kind::parse(&item.api_version, &item.kind), &item),
            Err(error) => self.bad_item(None, text, &error.to_string()),
        }
        Ok(())
    }

    /// The items of a list. Items that do not say what they are, in a list that did not say it yet (its
    /// fields may be sorted by name), go into `unsorted` as compact JSON.
    fn items<R: Read>(
        &mut self,
        stream: &mut JsonStream<R>,
        head: &DocumentHead,
        unsorted: &mut Vec<String>,
    ) -> Result<(), BrokenStream> {
        if stream.peek()? == Some(b'n') {
            return stream.raw().map(drop);
        }
        stream.take(b'[')?;
        let listed = head.item_kind();
        let mut more = stream.peek()? != Some(b']');
        while more {
            stream.item(|item| match item {
                Ok(item) if !item.kind.is_empty() => self.item(Kind::parse(&item.api_version, &item.kind), item),
                Ok(item) if !head.kind.is_empty() => self.item(listed, item),
                Ok(item) => unsorted.extend(serde_json::to_string(item)),
                Err((text, reason)) => self.bad_item(listed, text, &reason),
            })?;
            more = stream.peek()? == Some(b',');
            if more {
                stream.take(b',')?;
            }
        }
        stream.take(b']')
    }

    fn end_of_list(&mut self, head: &DocumentHead, unsorted: Vec<String>) {
        let Some(kind) = head.item_kind() else {
            if head.kind.is_empty() && !unsorted.is_empty() {
                self.remarks.note(format!("{} objects do not say of which kind they are", unsorted.len()));
            }
            return;
        };
        self.given.insert(kind);
        for text in unsorted {
            match serde_json::from_str::<Item<'_>>(&text) {
                Ok(item) => self.item(Some(kind), &item),
                Err(error) => self.bad_item(Some(kind), &text, &error.to_string()),
            }
        }
        if !head.next.is_empty() {
            self.cut.insert(kind, format!("a file holds one page of the {} only", kind.plural()));
        }
    }

    fn item(&mut self, kind: Option<Kind>, item: &Item<'_>) {
        let Some(kind) = kind else { return };
        self.given.insert(kind);
        insert(self.snapshot, kind, item, &mut self.remarks);
    }

    /// An object of a form that none of ours has: a hole when it is one of ours, or may be.
    fn bad_item(&mut self, listed: Option<Kind>, text: &str, reason: &str) {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Said<'a> {
            #[serde(borrow, default)]
            api_version: WireText<'a>,
            #[serde(borrow, default)]
            kind: WireText<'a>,
        }
        let kinds: Vec<Kind> = match serde_json::from_str::<Said<'_>>(text) {
            Ok(said) if !said.kind.is_empty() => Kind::parse(&said.api_version, &said.kind).into_iter().collect(),
            _ => listed.map_or(Kind::ALL.to_vec(), |kind| vec![kind]),
        };
        for kind in kinds {
            self.given.insert(kind);
            let word = kind.word().to_lowercase();
            self.remarks.hole(kind.input(), format!("a {word} does not decode: {reason}"));
        }
    }
}

/// The text of a JSON string; empty for anything else.
fn string(raw: &str) -> String {
    serde_json::from_str::<WireText<'_>>(raw).map(|text| text.to_string()).unwrap_or_default()
}

/// Keeps the last of the objects with one name.
fn keep_latest(snapshot: &mut Gathering) {
    keep_last(&mut snapshot.pods, |pod| (pod.namespace, pod.name));
    keep_last(&mut snapshot.kube_nodes, |node| node.name);
    keep_last(&mut snapshot.services, |service| (service.namespace, service.name));
    keep_last(&mut snapshot.namespaces, |namespace| namespace.name);
}

fn keep_last<T, K: Eq + Hash>(list: &mut Vec<T>, key: impl Fn(&T) -> K) {
    let mut later = HashSet::new();
    list.reverse();
    list.retain(|object| later.insert(key(object)));
    list.reverse();
}

/// What went wrong and what to do about it.
fn explain(broken: BrokenStream, offset: u64, what: &str) -> (String, &'static str) {
    const AGAIN: &str = "save it again: kubectl get pods,nodes,services,namespaces -A -o json > FILE";
    match broken {
        BrokenStream::Io(error) => (error.to_string(), "the file cannot be read to its end; save it again"),
        BrokenStream::Encoding if offset == 0 => (
            "it is not UTF-8".to_owned(),
            "PowerShell's `>` writes UTF-16: use `| Out-File -Encoding utf8 FILE`, or cmd's `>`",
        ),
        BrokenStream::Encoding => ("it is not UTF-8 here".to_owned(), AGAIN),
        BrokenStream::Syntax(reason) => (format!("it is not JSON here: {reason}"), AGAIN),
        BrokenStream::Empty => (format!("{what} is empty"), AGAIN),
        BrokenStream::Truncated => ("the file ends in the middle of an object".to_owned(), AGAIN),
        BrokenStream::TooLarge => {
            ("an object is larger than 64 MiB".to_owned(), "is this a file of Kubernetes objects?")
        }
    }
}
