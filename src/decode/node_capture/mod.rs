//! The format of a node's capture: one JSON document, versioned; several may follow each other in a file.
//!
//! A node says it of itself and may lie: what is not of the format is an error or is not read, never a panic. An entry
//! that is not understood leaves its list read in part: nobody may argue from the absence of anything in it, and what the
//! others show in use is in use. A word that this version does not know is kept as it is.

mod dump_entry;
mod entries;
mod few;
#[cfg(test)]
mod tests;
mod uses;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

pub use self::entries::mac;
pub use self::few::MOST_ROUTES;

use self::dump_entry::DumpEntry;
use self::entries::{
    AddressEntry, FailedEntry, LinkEntry, NeighbourEntry, PodEntry, RouteEntry, SysctlsEntry, VerdictEntry,
};
use self::few::{BoundedList, brief, few};
use self::uses::UseEntry;
use crate::model::node_evidence::{CALI, Inside, NodeEvidence};
use crate::model::{Foreign, Term, Time};

/// What a document says that it is.
pub const KIND: &str = "NodeEvidence";
/// The version that is written; older ones are read.
pub const NODE_CAPTURE_VERSION: u32 = 1;
/// No name of a node is longer.
const LONGEST_NAME: usize = 253;

/// One document.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NodeDocument {
    kind: String,
    version: u32,
    node: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    boot_id: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    kernel: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    tool: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "few")]
    times: Vec<String>,
    #[serde(default = "one")]
    readings: u8,
    #[serde(default = "cali", deserialize_with = "few")]
    prefixes: Vec<String>,
    #[serde(default)]
    routes_kept: String,
    #[serde(default)]
    links: DumpEntry<BoundedList<LinkEntry>>,
    #[serde(default)]
    addresses: DumpEntry<BoundedList<AddressEntry>>,
    #[serde(default)]
    routes4: DumpEntry<BoundedList<RouteEntry>>,
    #[serde(default)]
    routes6: DumpEntry<BoundedList<RouteEntry>>,
    #[serde(default)]
    neighbours: DumpEntry<BoundedList<NeighbourEntry>>,
    #[serde(default)]
    sysctls: DumpEntry<SysctlsEntry>,
    #[serde(default)]
    verdicts: DumpEntry<BoundedList<VerdictEntry>>,
    #[serde(default)]
    inside: InsideEntry,
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "few")]
    also: Vec<UseEntry>,
}

#[derive(Default, Serialize, Deserialize)]
struct InsideEntry {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    means: Option<String>,
    #[serde(default)]
    pods: DumpEntry<BoundedList<PodEntry>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "few")]
    failed: Vec<FailedEntry>,
}

const fn one() -> u8 {
    1
}

fn cali() -> Vec<String> {
    vec![CALI.to_owned()]
}

/// Why a document is no evidence, and what to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadCapture {
    pub cause: Foreign,
    pub hint: &'static str,
}

/// Every document of a file.
///
/// # Errors
/// What is no capture of a node, was cut off, or is of a newer version; a file without any.
pub fn read(bytes: &[u8]) -> Result<Vec<NodeEvidence>, BadCapture> {
    let damaged = |e: serde_json::Error| BadCapture {
        cause: e.to_string().into(),
        hint: "the file is damaged or was cut off; capture again",
    };
    let mut all = Vec::new();
    // First where each document ends, so that nothing is kept of what is none of ours.
    let mut documents = serde_json::Deserializer::from_slice(bytes).into_iter::<IgnoredAny>();
    let mut from = 0;
    while let Some(document) = documents.next() {
        document.map_err(damaged)?;
        let to = documents.byte_offset();
        let document = bytes.get(from..to).unwrap_or_default().trim_ascii_start();
        from = to;
        check_head(document)?;
        all.push(evidence(serde_json::from_slice(document).map_err(damaged)?)?);
    }
    match all.is_empty() {
        true => Err(BadCapture { cause: "there is nothing in it".into(), hint: NO_CAPTURE }),
        false => Ok(all),
    }
}

const NO_CAPTURE: &str = "captures of nodes are made with ipaudit node --capture FILE";

/// What is told of a document before anything else; not one of its own words is kept.
#[derive(Deserialize)]
struct DocumentKind {
    kind: String,
}

#[derive(Deserialize)]
struct DocumentVersion {
    version: u64,
}

fn check_head(document: &[u8]) -> Result<(), BadCapture> {
    // A list of values would do for an object.
    let is_object = document.starts_with(b"{");
    let kind = serde_json::from_slice(document).map(|DocumentKind { kind }| kind).unwrap_or_default();
    if !is_object || kind != KIND {
        let cause = "it is no capture of a node: its kind is not NodeEvidence";
        return Err(BadCapture { cause: cause.into(), hint: NO_CAPTURE });
    }
    let version = serde_json::from_slice(document).map(|DocumentVersion { version }| version).unwrap_or_default();
    if version == 0 || version > u64::from(NODE_CAPTURE_VERSION) {
        let cause = format!("it is of version {version}, this ipaudit reads up to {NODE_CAPTURE_VERSION}");
        let hint = "use the version of ipaudit that wrote it, or a newer one";
        return Err(BadCapture { cause: cause.into(), hint });
    }
    Ok(())
}

fn evidence(document: NodeDocument) -> Result<NodeEvidence, BadCapture> {
    let node = document.node.trim().to_lowercase();
    if node.is_empty() {
        return Err(BadCapture { cause: "it names no node".into(), hint: "capture again, with --node NAME" });
    }
    if node.len() > LONGEST_NAME {
        let cause = format!("its node's name has {} bytes, more than {LONGEST_NAME}", node.len());
        return Err(BadCapture { cause: cause.into(), hint: "capture again, with --node NAME" });
    }
    let times: Option<Vec<Time>> = document.times.iter().map(|time| Time::parse_rfc3339(time)).collect();
    let taken = times.ok_or(BadCapture { cause: "one of its times is none".into(), hint: "capture again" })?;
    let InsideEntry { means, pods, failed } = document.inside;
    let inside = Inside {
        means: means.map(|means| Term::of(&means)),
        pods: pods.dump(PodEntry::pod),
        failed: failed.into_iter().map(FailedEntry::failed).collect(),
    };
    let also: Result<Vec<_>, String> = document.also.into_iter().map(UseEntry::used).collect();
    Ok(NodeEvidence {
        node: node.into(),
        from: Foreign::default(),
        printed_on: Foreign::default(),
        boot_id: brief(document.boot_id),
        kernel: brief(document.kernel),
        tool: brief(document.tool),
        taken,
        readings: document.readings.clamp(1, 7),
        prefixes: document.prefixes.into_iter().map(Foreign::from).collect(),
        routes_kept: Term::of(&document.routes_kept).known().unwrap_or_default(),
        links: document.links.dump(LinkEntry::link).of_links(),
        addresses: document.addresses.dump(AddressEntry::address),
        routes4: document.routes4.dump(|route| route.route(true)),
        routes6: document.routes6.dump(|route| route.route(false)),
        neighbours: document.neighbours.dump(NeighbourEntry::neighbour),
        sysctls: document.sysctls.one(),
        verdicts: document.verdicts.dump(VerdictEntry::verdict),
        inside,
        also: also.map_err(|why| BadCapture { cause: why.into(), hint: "capture again" })?,
    })
}

/// The document of a node's evidence.
///
/// # Errors
/// As the serializer's.
pub fn write(evidence: &NodeEvidence) -> Result<Vec<u8>, serde_json::Error> {
    let text = |text: &Foreign| text.raw().to_owned();
    let inside = InsideEntry {
        means: evidence.inside.means.as_ref().map(|means| means.raw().to_owned()),
        pods: DumpEntry::of(&evidence.inside.pods, PodEntry::of),
        failed: evidence.inside.failed.iter().map(FailedEntry::of).collect(),
    };
    let document = NodeDocument {
        kind: KIND.to_owned(),
        version: NODE_CAPTURE_VERSION,
        node: text(&evidence.node),
        boot_id: text(&evidence.boot_id),
        kernel: text(&evidence.kernel),
        tool: text(&evidence.tool),
        times: evidence.taken.iter().map(|time| time.to_rfc3339()).collect(),
        readings: evidence.readings,
        prefixes: evidence.prefixes.iter().map(text).collect(),
        routes_kept: evidence.routes_kept.word().to_owned(),
        links: DumpEntry::of(&evidence.links, LinkEntry::of),
        addresses: DumpEntry::of(&evidence.addresses, AddressEntry::of),
        routes4: DumpEntry::of(&evidence.routes4, RouteEntry::of),
        routes6: DumpEntry::of(&evidence.routes6, RouteEntry::of),
        neighbours: DumpEntry::of(&evidence.neighbours, NeighbourEntry::of),
        sysctls: DumpEntry::of_one(&evidence.sysctls),
        verdicts: DumpEntry::of(&evidence.verdicts, VerdictEntry::of),
        inside,
        also: evidence.also.iter().map(UseEntry::of).collect(),
    };
    let mut bytes = serde_json::to_vec(&document)?;
    bytes.push(b'\n');
    Ok(bytes)
}
