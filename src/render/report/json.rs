//! A report as one versioned document (`ipaudit/report/v1`, docs/output.md), or one finding a line.
//!
//! The same promise as the audit's document: within `v1` fields are added, never renamed or removed.
//! `docs/report.schema.json` holds it. Made row by row while it is written.

use std::io::{BufWriter, Result, Write};

use serde::Serialize;
use serde::ser::{SerializeSeq, Serializer};

use super::{ClusterReport, How, Line, PoolPoint, ReportView};
use crate::model::{Code, Severity, Time};
use crate::render::json::{by_entry, compact};

/// What the document says it is.
pub const SCHEMA: &str = "ipaudit/report/v1";

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    tool: Tool,
    since: Time,
    until: Time,
    now: Time,
    narrowed_by: &'a [String],
    clusters: Vec<Cluster<'a>>,
    exit_code: u8,
}

#[derive(Serialize)]
struct Tool {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
struct Cluster<'a> {
    guid: &'a str,
    kubernetes_uids: &'a [String],
    apart: bool,
    audits: Audits<'a>,
    findings: Findings<'a>,
    leaks: Leaks<'a>,
    reboots: Vec<Reboot<'a>>,
    pools: Vec<Pool<'a>>,
}

#[derive(Serialize)]
struct Audits<'a> {
    count: u64,
    first: Option<Time>,
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
    /// `new`, `came back`, `ongoing`, `not looked at`, `ended`.
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
    began: u64,
    found_at_first: u64,
    watched_seconds: u64,
    by_hour: Vec<Hour<'a>>,
}

#[derive(Serialize)]
struct Hour<'a> {
    hour: Time,
    node: Option<&'a str>,
    count: u64,
}

#[derive(Serialize)]
struct Reboot<'a> {
    node: &'a str,
    before: Time,
    after: Time,
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
    in_use: i64,
    leaked: i64,
    cooling: i64,
    free: i64,
    blocks: i64,
    free_blocks: i64,
}

/// Prints the document.
///
/// # Errors
/// When `out` cannot be written.
pub fn write(view: &ReportView, out: &mut dyn Write) -> Result<()> {
    let document = Document {
        schema: SCHEMA,
        tool: Tool { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") },
        since: view.since,
        until: view.until,
        now: view.now,
        narrowed_by: &view.narrowed_by,
        clusters: view.clusters.iter().map(cluster).collect(),
        exit_code: view.exit.code(),
    };
    let mut out = BufWriter::new(out);
    by_entry(&document, &mut out)?;
    out.flush()
}

/// Prints one finding a line, as in the document, each with its cluster.
///
/// # Errors
/// When `out` cannot be written.
pub fn write_lines(view: &ReportView, out: &mut dyn Write) -> Result<()> {
    #[derive(Serialize)]
    struct Tagged<'a> {
        guid: &'a str,
        kubernetes_uids: &'a [String],
        #[serde(flatten)]
        row: Row<'a>,
    }
    let mut out = BufWriter::new(out);
    for cluster in &view.clusters {
        for row in rows(cluster) {
            let tagged = Tagged { guid: &cluster.guid, kubernetes_uids: &cluster.kubernetes_uids, row };
            compact(&tagged, &mut out)?;
        }
    }
    out.flush()
}

/// The findings, made one by one while they are written.
struct Findings<'a>(&'a ClusterReport);

impl Serialize for Findings<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for row in rows(self.0) {
            list.serialize_element(&row)?;
        }
        list.end()
    }
}

fn cluster(report: &ClusterReport) -> Cluster<'_> {
    let incomplete = report.incomplete.iter().map(|i| Incomplete { id: i.id, at: i.at, why: &i.why });
    let reboots = report.reboots.iter().map(|r| Reboot { node: &r.node, before: r.before, after: r.after });
    let pools = report.pools.iter().map(|p| Pool {
        name: &p.name,
        cidr: &p.cidr,
        points: p.points.iter().map(point).collect(),
    });
    Cluster {
        guid: &report.guid,
        kubernetes_uids: &report.kubernetes_uids,
        apart: report.apart,
        audits: Audits {
            count: report.audits,
            first: report.first_audit,
            last: report.last_audit,
            incomplete: incomplete.collect(),
            gaps: report.gaps.iter().map(|&(from, to)| Gap { from, to }).collect(),
        },
        findings: Findings(report),
        leaks: Leaks {
            began: report.leaks.began.len() as u64,
            found_at_first: report.leaks.found_at_first,
            watched_seconds: report.leaks.watched.as_secs(),
            by_hour: report.leaks.by_hour().into_iter().map(|(hour, node, count)| Hour { hour, node, count }).collect(),
        },
        reboots: reboots.collect(),
        pools: pools.collect(),
    }
}

fn point(p: &PoolPoint) -> Point {
    Point {
        at: p.at,
        addresses: p.addresses,
        allocated: p.allocated,
        in_use: p.in_use,
        leaked: p.leaked,
        cooling: p.cooling,
        free: p.free,
        blocks: p.blocks,
        free_blocks: p.free_blocks,
    }
}

fn rows(report: &ClusterReport) -> impl Iterator<Item = Row<'_>> {
    report.sections().into_iter().flat_map(|(section, lines)| lines.iter().map(move |line| row(section, line)))
}

fn row<'a>(section: &'static str, line: &'a Line) -> Row<'a> {
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
        state: line.state(),
        ended: line.ended.map(|e| e.at),
        release,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::testing::{at, report};
    use super::super::{IncompleteAudit, Leaks};
    use super::*;

    fn document(view: &ReportView) -> Value {
        let mut out = Vec::new();
        write(view, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(!text.chars().any(|c| c != '\n' && crate::render::escape::is_hidden(c)), "{text:?}");
        serde_json::from_str(&text).unwrap()
    }

    fn validator() -> jsonschema::Validator {
        let schema: Value = serde_json::from_str(include_str!("../../../docs/report.schema.json")).unwrap();
        jsonschema::draft202012::meta::validate(&schema).expect("the schema is a schema");
        jsonschema::draft202012::new(&schema).unwrap()
    }

    /// With something in every list.
    fn full() -> ReportView {
        let mut view = report();
        view.narrowed_by = vec!["--severity note".to_owned()];
        let cluster = &mut view.clusters[0];
        cluster.gaps = vec![(at(1), at(2))];
        cluster.incomplete = vec![IncompleteAudit { id: 3, at: at(3), why: "pods: forbidden".to_owned() }];
        view
    }

    #[test]
    fn the_document_and_its_lines_say_the_same() {
        let document = document(&report());
        let mut lines = Vec::new();
        write_lines(&report(), &mut lines).unwrap();
        assert_eq!((document["schema"].as_str(), document["exit_code"].as_u64()), (Some(SCHEMA), Some(1)));
        let findings = document["clusters"][0]["findings"].as_array().unwrap();
        let lines: Vec<Value> =
            String::from_utf8(lines).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!((findings.len(), lines.len()), (7, 7));
        for (finding, mut line) in findings.iter().zip(lines) {
            let row = line.as_object_mut().unwrap();
            assert_eq!(row.remove("guid").unwrap(), document["clusters"][0]["guid"]);
            assert_eq!(row.remove("kubernetes_uids").unwrap(), document["clusters"][0]["kubernetes_uids"]);
            assert_eq!(line, *finding);
        }
        let of = |section: &str| findings.iter().find(|f| f["section"] == section).unwrap();
        assert_eq!((&of("ended")["state"], of("ended")["release"].as_i64()), (&"released".into(), Some(7)));
        assert_eq!(of("not looked at")["state"], "input missing");
        assert_eq!(of("came back")["subject"]["id"], "k8s-pod-network.\u{202e}x\r");
    }

    #[test]
    fn real_output_is_what_the_schema_says() {
        let validator = validator();
        let mut empty = report();
        empty.clusters = vec![ClusterReport { leaks: Leaks::default(), ..ClusterReport::default() }];
        empty.clusters[0].guid = "x".to_owned();
        let nobody = ReportView { clusters: Vec::new(), ..report() };
        for view in [full(), empty, nobody] {
            let value = document(&view);
            let errors: Vec<String> =
                validator.iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path)).collect();
            assert!(errors.is_empty(), "{errors:?} in {value:#}");
        }
    }

    /// A schema that lets everything through would hold nothing.
    #[test]
    fn the_schema_misses_every_field_that_is_taken_away() {
        let (validator, whole) = (validator(), document(&full()));
        let paths = ["", "/tool", "/clusters/0", "/clusters/0/audits", "/clusters/0/audits/incomplete/0"];
        let more = ["/clusters/0/audits/gaps/0", "/clusters/0/findings/0", "/clusters/0/findings/0/subject"];
        let rest = ["/clusters/0/leaks", "/clusters/0/leaks/by_hour/0", "/clusters/0/reboots/0", "/clusters/0/pools/0"];
        let mut removed = 0;
        for path in paths.iter().chain(&more).chain(&rest).chain(&["/clusters/0/pools/0/points/0"]) {
            let fields: Vec<String> = whole.pointer(path).unwrap().as_object().unwrap().keys().cloned().collect();
            for field in fields {
                let mut without = whole.clone();
                without.pointer_mut(path).unwrap().as_object_mut().unwrap().remove(&field);
                assert!(!validator.is_valid(&without), "{path}/{field} may be missing");
                removed += 1;
            }
        }
        assert!(removed > 60, "{removed}");
    }
}
