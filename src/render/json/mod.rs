//! The output for programs: one versioned document (`json`), or one finding a line (`jsonl`).
//!
//! This is a promise: within `v1` fields are added, never renamed or removed. `docs/output.md` says what each means,
//! `docs/audit.schema.json` holds it, a test holds this file to both. Written as a stream, never built in memory.

mod lines;
#[cfg(test)]
mod tests;

use std::io::{BufWriter, Result, Write};

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::capacity::{NodeFill, PoolRow};
use super::view::{AuditView, Counts, HistoryRow, InputRow, OutsideRow};
use crate::checks::{self, Skipped};
use crate::model::{Code, EtcdStatus, Finding, Foreign, Life, Sharing, Time};
pub use lines::{by_entry, compact, indented};

/// The name and version of the document's shape.
pub const SCHEMA: &str = "ipaudit/audit/v1";

/// Writes the whole audit as one document; one line a finding, so that it can be read and compared by line.
pub fn write(view: &AuditView<'_>, out: &mut dyn Write) -> Result<()> {
    let mut out = BufWriter::new(out);
    by_entry(&AuditJson::of(view), &mut out)?;
    out.flush()
}

/// Writes every finding as one line, as it stands in the document.
pub fn write_lines(view: &AuditView<'_>, out: &mut dyn Write) -> Result<()> {
    let mut out = BufWriter::new(out);
    for finding in &view.findings {
        compact(&FindingJson(finding, view.audit.judged), &mut out)?;
    }
    out.flush()
}

#[derive(Serialize)]
struct AuditJson<'v> {
    schema: &'static str,
    tool: ToolJson,
    cluster: ClusterFacts<'v>,
    audit: AuditFacts,
    etcd: Option<&'v EtcdStatus>,
    inputs: &'v [InputRow],
    counts: &'v Counts,
    pools: Vec<PoolJson<'v>>,
    nodes: Option<&'v [NodeFill]>,
    more_nodes: usize,
    narrowed_by: Vec<String>,
    ignored: usize,
    findings: Findings<'v>,
    skipped: Vec<SkippedJson<'v>>,
    outside_scope: OutsideRow,
    history: Option<HistoryRow>,
    warnings: &'v [String],
    exit_code: u8,
}

/// Which tool made a document.
#[derive(Serialize)]
pub struct ToolJson {
    name: &'static str,
    version: &'static str,
}

/// This one.
pub const TOOL: ToolJson = ToolJson { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") };

#[derive(Serialize)]
struct ClusterFacts<'v> {
    name: Option<&'v str>,
    guid: &'v str,
    kubernetes_uid: Option<&'v str>,
    kubernetes_server: Option<&'v str>,
    calico_version: Option<&'v str>,
}

#[derive(Serialize)]
struct AuditFacts {
    id: Option<u64>,
    started: Time,
    judged_at: Time,
    etcd_revision: i64,
    duration_ms: u64,
    complete: bool,
    scope: Sharing,
}

#[derive(Serialize)]
struct PoolJson<'v> {
    name: &'v str,
    cidr: &'v str,
    addresses: u64,
    allocated: Option<u64>,
    in_use: Option<u64>,
    leaked: Option<u64>,
    cooling: Option<u64>,
    reserved: Option<u64>,
    unknown: Option<u64>,
    free: Option<u64>,
    blocks: u64,
    free_blocks: Option<u64>,
    existing_blocks: Option<u64>,
    absent_blocks: Option<u64>,
    empty_blocks: Option<u64>,
    reclaimable_blocks: Option<u64>,
    stranded_blocks: Option<u64>,
    ownerless_blocks: Option<u64>,
    unknown_blocks: Option<u64>,
}

#[derive(Serialize)]
struct SkippedJson<'v> {
    code: Code,
    name: &'static str,
    reason: &'v Foreign,
    incomplete: bool,
}

/// The findings, made one by one while they are written.
struct Findings<'v>(&'v AuditView<'v>);

impl Serialize for Findings<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.findings.iter().map(|finding| FindingJson(finding, self.0.audit.judged)))
    }
}

impl<'v> AuditJson<'v> {
    fn of(view: &'v AuditView<'v>) -> AuditJson<'v> {
        let (cluster, audit) = (&view.cluster, &view.audit);
        AuditJson {
            schema: SCHEMA,
            tool: TOOL,
            cluster: ClusterFacts {
                name: some(&cluster.name),
                guid: &cluster.guid,
                kubernetes_uid: cluster.kubernetes_uid.as_deref(),
                kubernetes_server: some(&cluster.kubernetes_server),
                calico_version: some(&cluster.calico_version),
            },
            audit: AuditFacts {
                id: audit.id,
                started: audit.started,
                judged_at: audit.judged,
                etcd_revision: audit.etcd_revision,
                duration_ms: u64::try_from(audit.duration.as_millis()).unwrap_or(u64::MAX),
                complete: audit.complete,
                scope: audit.scope,
            },
            etcd: view.etcd.as_ref(),
            inputs: &view.inputs,
            counts: &view.counts,
            pools: view.pools.iter().map(PoolJson::of).collect(),
            nodes: view.nodes.as_deref(),
            more_nodes: view.more_nodes,
            narrowed_by: view.narrow.flags().into_iter().chain(view.ignored_by.iter().cloned()).collect(),
            ignored: view.ignored,
            findings: Findings(view),
            skipped: view.skipped.iter().map(SkippedJson::of).collect(),
            outside_scope: view.outside,
            history: view.history,
            warnings: &view.warnings,
            exit_code: view.exit.code(),
        }
    }
}

impl<'v> PoolJson<'v> {
    fn of(pool: &'v PoolRow) -> PoolJson<'v> {
        PoolJson {
            name: &pool.name,
            cidr: &pool.cidr,
            addresses: held(pool.addresses),
            allocated: pool.allocated.map(held),
            in_use: pool.in_use.map(held),
            leaked: pool.leaked.map(held),
            cooling: pool.cooling.map(held),
            reserved: pool.reserved.map(held),
            unknown: pool.unknown.map(held),
            free: pool.free.map(held),
            blocks: held(pool.blocks),
            free_blocks: pool.free_blocks.map(held),
            existing_blocks: pool.fates.map(|f| held(f.existing)),
            absent_blocks: pool.fates.map(|f| held(f.absent)),
            empty_blocks: pool.fates.map(|f| held(f.empty)),
            reclaimable_blocks: pool.fates.and_then(|f| f.reclaimable).map(held),
            stranded_blocks: pool.fates.and_then(|f| f.stranded).map(held),
            ownerless_blocks: pool.fates.map(|f| held(f.ownerless)),
            unknown_blocks: pool.fates.map(|f| held(f.unknown)),
        }
    }
}

/// A finding as the document has it; without a history it is first seen now.
struct FindingJson<'v>(&'v Finding, Time);

impl Serialize for FindingJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let FindingJson(finding, now) = *self;
        let life = finding.life.unwrap_or(Life { first_seen: now, last_seen: now, audits_seen: 1, episode: 1 });
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("code", &finding.code)?;
        map.serialize_entry("name", checks::name(finding.code))?;
        map.serialize_entry("severity", &finding.severity)?;
        map.serialize_entry("state", &finding.state)?;
        map.serialize_entry("subject", &finding.subject)?;
        map.serialize_entry("summary", &finding.summary)?;
        map.serialize_entry("advice", &finding.advice)?;
        map.serialize_entry("evidence", &finding.evidence)?;
        map.serialize_entry("root", &finding.root)?;
        map.serialize_entry("next", &finding.next)?;
        map.serialize_entry("node", &finding.node)?;
        map.serialize_entry("namespace", &finding.namespace)?;
        map.serialize_entry("pool", &finding.pool)?;
        map.serialize_entry("since", &finding.since)?;
        map.serialize_entry("first_seen", &life.first_seen)?;
        map.serialize_entry("last_seen", &life.last_seen)?;
        map.serialize_entry("audits_seen", &life.audits_seen)?;
        map.serialize_entry("episode", &life.episode)?;
        map.end()
    }
}

impl<'v> SkippedJson<'v> {
    fn of(skipped: &'v Skipped) -> SkippedJson<'v> {
        SkippedJson {
            code: skipped.code,
            name: checks::name(skipped.code),
            reason: &skipped.reason,
            incomplete: skipped.incomplete,
        }
    }
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// An IPv6 pool has more addresses than other languages' integers hold: the number stops at 2^63 - 1.
fn held(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX).min(i64::MAX as u64)
}
