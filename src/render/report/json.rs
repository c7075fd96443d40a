//! A report as one versioned document (`ipaudit/report/v1`, docs/output.md), or one finding a line.

use std::io::{Result, Write};

use serde::Serialize;

use super::{ClusterReport, How, Line, ReportView};
use crate::model::{Code, Severity, Time};

/// What the document says it is.
pub const SCHEMA: &str = "ipaudit/report/v1";

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    since: Time,
    until: Time,
    narrowed_by: &'a [String],
    clusters: Vec<Cluster<'a>>,
    exit_code: u8,
}

#[derive(Serialize)]
struct Cluster<'a> {
    guid: &'a str,
    kubernetes_uids: &'a [String],
    audits: Audits<'a>,
    findings: Vec<Row<'a>>,
    leaks: Vec<Leaks<'a>>,
    reboots: Vec<Reboot<'a>>,
    pools: Vec<Pool<'a>>,
}

#[derive(Serialize)]
struct Audits<'a> {
    count: u64,
    last: Option<Time>,
    incomplete: Vec<Incomplete<'a>>,
    gaps: Vec<Gap>,
}

#[derive(Serialize)]
struct Incomplete<'a> {
    id: i64,
    at: Time,
    why: &'a str,
}

#[derive(Serialize)]
struct Gap {
    from: Time,
    to: Time,
}

#[derive(Serialize)]
struct Row<'a> {
    /// `new`, `ongoing`, `came back`, `ended`.
    section: &'static str,
    code: Code,
    name: &'a str,
    severity: Severity,
    subject: Subject<'a>,
    summary: &'a str,
    node: Option<&'a str>,
    namespace: Option<&'a str>,
    pool: Option<&'a str>,
    root: Option<Root<'a>>,
    first_seen: Time,
    last_seen: Time,
    audits_seen: u64,
    episode: u64,
    /// `open`, `input missing`, `resolved`, `released`, `rule changed`.
    state: &'static str,
    ended: Option<Time>,
    release: Option<i64>,
}

#[derive(Serialize)]
struct Subject<'a> {
    kind: &'a str,
    id: &'a str,
}

#[derive(Serialize)]
struct Root<'a> {
    code: Code,
    id: &'a str,
}

#[derive(Serialize)]
struct Leaks<'a> {
    hour: Time,
    node: Option<&'a str>,
    count: u64,
}

#[derive(Serialize)]
struct Reboot<'a> {
    node: &'a str,
    after: Time,
    before: Time,
}

#[derive(Serialize)]
struct Pool<'a> {
    name: &'a str,
    cidr: &'a str,
    points: Vec<Point>,
}

#[derive(Serialize)]
struct Point {
    at: Time,
    addresses: i64,
    allocated: i64,
    leaked: i64,
    free_blocks: i64,
}

/// Prints the document.
///
/// # Errors
/// When `out` cannot be written.
pub fn write(view: &ReportView, out: &mut dyn Write) -> Result<()> {
    let document = Document {
        schema: SCHEMA,
        since: view.since,
        until: view.until,
        narrowed_by: &view.narrowed_by,
        clusters: view.clusters.iter().map(cluster).collect(),
        exit_code: view.exit.code(),
    };
    serde_json::to_writer_pretty(&mut *out, &document)?;
    out.write_all(b"\n")
}

/// Prints one finding a line, each with its cluster.
///
/// # Errors
/// When `out` cannot be written.
pub fn write_lines(view: &ReportView, out: &mut dyn Write) -> Result<()> {
    #[derive(Serialize)]
    struct Tagged<'a> {
        guid: &'a str,
        #[serde(flatten)]
        row: Row<'a>,
    }
    for cluster in &view.clusters {
        for row in rows(cluster) {
            serde_json::to_writer(&mut *out, &Tagged { guid: &cluster.guid, row })?;
            out.write_all(b"\n")?;
        }
    }
    Ok(())
}

fn cluster(report: &ClusterReport) -> Cluster<'_> {
    let incomplete = report.incomplete.iter().map(|i| Incomplete { id: i.id, at: i.at, why: &i.why });
    let leaks = report.leaks.iter().map(|l| Leaks { hour: l.hour, node: l.node.as_deref(), count: l.count });
    let reboots = report.reboots.iter().map(|r| Reboot { node: &r.node, after: r.after, before: r.before });
    let pools = report.pools.iter().map(|p| Pool {
        name: &p.name,
        cidr: &p.cidr,
        points: p
            .points
            .iter()
            .map(|p| Point {
                at: p.at,
                addresses: p.addresses,
                allocated: p.allocated,
                leaked: p.leaked,
                free_blocks: p.free_blocks,
            })
            .collect(),
    });
    Cluster {
        guid: &report.guid,
        kubernetes_uids: &report.kubernetes_uids,
        audits: Audits {
            count: report.audits,
            last: report.last_audit,
            incomplete: incomplete.collect(),
            gaps: report.gaps.iter().map(|&(from, to)| Gap { from, to }).collect(),
        },
        findings: rows(report).collect(),
        leaks: leaks.collect(),
        reboots: reboots.collect(),
        pools: pools.collect(),
    }
}

fn rows(report: &ClusterReport) -> impl Iterator<Item = Row<'_>> {
    let sections = [
        ("new", &report.new),
        ("ongoing", &report.ongoing),
        ("came back", &report.came_back),
        ("ended", &report.ended),
    ];
    sections.into_iter().flat_map(|(section, lines)| lines.iter().map(move |line| row(section, line)))
}

fn row<'a>(section: &'static str, line: &'a Line) -> Row<'a> {
    let state = match line.ended {
        Some(ended) => ended.how.word(),
        None if line.input_missing => "input missing",
        None => "open",
    };
    let release = line.ended.and_then(|e| if let How::Released(id) = e.how { id } else { None });
    Row {
        section,
        code: line.code,
        name: line.name,
        severity: line.severity,
        subject: Subject { kind: &line.kind, id: &line.subject },
        summary: &line.summary,
        node: line.node.as_deref(),
        namespace: line.namespace.as_deref(),
        pool: line.pool.as_deref(),
        root: line.root.as_ref().map(|(code, id)| Root { code: *code, id }),
        first_seen: line.first_seen,
        last_seen: line.last_seen,
        audits_seen: line.audits_seen,
        episode: line.episode,
        state,
        ended: line.ended.map(|e| e.at),
        release,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::report;
    use super::*;

    #[test]
    fn the_document_and_its_lines_say_the_same() {
        let (mut document, mut lines) = (Vec::new(), Vec::new());
        write(&report(), &mut document).unwrap();
        write_lines(&report(), &mut lines).unwrap();
        let document: serde_json::Value = serde_json::from_slice(&document).unwrap();
        assert_eq!((document["schema"].as_str(), document["exit_code"].as_u64()), (Some(SCHEMA), Some(1)));
        let findings = document["clusters"][0]["findings"].as_array().unwrap();
        assert_eq!((findings.len(), String::from_utf8(lines).unwrap().lines().count()), (5, 5));
        let ended = findings.iter().find(|f| f["section"] == "ended").unwrap();
        assert_eq!((ended["state"].as_str(), ended["release"].as_i64()), (Some("released"), Some(7)));
    }
}
