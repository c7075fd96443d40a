//! The output for programs: one versioned document (`json`), or one finding a line (`jsonl`).
//!
//! This is a promise: within `v1` fields are added, never renamed or removed. `docs/output.md` says what each means,
//! `docs/audit.schema.json` holds it, a test holds this file to both. Written as a stream, never built in memory.

mod lines;
#[cfg(test)]
mod tests;

use std::io::{BufWriter, Result, Write};

use serde::{Serialize, Serializer};

use super::verdict::verdict;
use super::view::{AuditHead, AuditView};
use crate::checks::{self, Skipped};
use crate::model::json::in_json;
use crate::model::{EtcdReading, Finding, Life, Time};
use crate::who::tell_brief;
pub use lines::{by_entry, by_entry_of, compact, indented};

/// The name and version of the document's shape.
pub const SCHEMA: &str = "ipaudit/audit/v1";

/// Writes the whole audit as one document; one line a finding, so that it can be read and compared by line.
pub fn write(view: &AuditView<'_>, out: &mut dyn Write) -> Result<()> {
    by_entry(view, out)
}

/// Writes every finding as one line, as it stands in the document.
pub fn write_lines(view: &AuditView<'_>, out: &mut dyn Write) -> Result<()> {
    let mut out = BufWriter::new(out);
    for finding in &view.findings {
        compact(&FindingJson(&finding.open(), view.audit.judged), &mut out)?;
    }
    out.flush()
}

in_json!(|view: &AuditView<'_>| {
    "schema": SCHEMA,
    "tool": TOOL,
    "verdict": verdict(view),
    "cluster": view.cluster,
    "audit": view.audit,
    "etcd": view.etcd,
    "inputs": view.inputs,
    "counts": view.counts,
    "pools": view.pools,
    "nodes": view.nodes,
    "more_nodes": view.more_nodes,
    "narrowed_by": view.narrow.flags().iter().chain(&view.ignored_by).collect::<Vec<_>>(),
    "unknown": view.unknown,
    "ignored": view.ignored,
    "findings": Findings(view),
    "skipped": view.skipped,
    "outside_scope": view.outside,
    "history": view.history,
    "warnings": view.warnings,
    "exit_code": view.exit.code(),
});

/// Which tool made a document.
#[derive(Serialize)]
pub struct ToolJson {
    pub name: &'static str,
    pub version: &'static str,
}

/// This one.
pub const TOOL: ToolJson = ToolJson { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") };

in_json!(|audit: &AuditHead| {
    "id": audit.id,
    "started": audit.started,
    "judged_at": audit.judged,
    "etcd_revision": audit.etcd_revision,
    "duration_ms": u64::try_from(audit.duration.as_millis()).unwrap_or(u64::MAX),
    "complete": audit.complete,
    "reading": audit.reading,
    "scope": audit.scope,
});

in_json!(|reading: &EtcdReading| {
    "by": reading.by,
    "why": reading.why,
    "decoded": reading.decoded,
});

in_json!(|skipped: &Skipped| {
    "code": skipped.code,
    "name": checks::name(skipped.code),
    "reason": skipped.reason,
    "incomplete": skipped.incomplete,
});

/// The findings, made one by one while they are written.
struct Findings<'v>(&'v AuditView<'v>);

impl Serialize for Findings<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let judged = self.0.audit.judged;
        serializer.collect_seq(self.0.findings.iter().map(|finding| OpenedJson(finding.open(), judged)))
    }
}

/// A finding as the document has it; without a history it is first seen now.
struct FindingJson<'v>(&'v Finding, Time);

/// The same of one that was opened for it.
struct OpenedJson(Finding, Time);

impl Serialize for OpenedJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        FindingJson(&self.0, self.1).serialize(serializer)
    }
}

impl FindingJson<'_> {
    fn life(&self) -> Life {
        self.0.life.unwrap_or(Life { first_seen: self.1, last_seen: self.1, audits_seen: 1, episode: 1 })
    }
}

in_json!(|finding: &FindingJson<'_>| {
    ..tell_brief(finding.0),
    "suspected": finding.0.suspected,
    "evidence": finding.0.evidence,
    "root": finding.0.root,
    "next": finding.0.next,
    "node": finding.0.node,
    "namespace": finding.0.namespace,
    "pool": finding.0.pool,
    "since": finding.0.since,
    "first_seen": finding.life().first_seen,
    "last_seen": finding.life().last_seen,
    "audits_seen": finding.life().audits_seen,
    "episode": finding.life().episode,
});
