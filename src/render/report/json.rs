//! A report as one versioned document (`ipaudit/report/v1`, docs/output.md), or one finding a line.
//!
//! The same promise as the audit's document: within `v1` fields are added, never renamed or removed.
//! `docs/report.schema.json` holds it. Made row by row while it is written.

use std::io::{BufWriter, Result, Write};

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::{ClusterReport, IncompleteAudit, ReportView};
use crate::checks;
use crate::model::row::{Ending, Episode, PoolNumbers};
use crate::model::{Foreign, SubjectKind, Term, Time};
use crate::render::json::{TOOL, ToolJson, by_entry, compact};

/// What the document says it is.
pub const SCHEMA: &str = "ipaudit/report/v1";

#[derive(Serialize)]
struct ReportJson<'a> {
    schema: &'static str,
    tool: ToolJson,
    since: Time,
    until: Time,
    now: Time,
    narrowed_by: &'a [String],
    clusters: Vec<ClusterJson<'a>>,
    exit_code: u8,
}

#[derive(Serialize)]
struct ClusterJson<'a> {
    guid: &'a str,
    kubernetes_uids: &'a [String],
    apart: bool,
    audits: AuditsJson<'a>,
    findings: SectionLines<'a>,
    leaks: LeaksJson<'a>,
    reboots: Vec<RebootJson<'a>>,
    pools: Vec<TrendJson<'a>>,
}

#[derive(Serialize)]
struct AuditsJson<'a> {
    count: u64,
    first: Option<Time>,
    last: Option<Time>,
    incomplete: &'a [IncompleteAudit],
    gaps: Vec<GapJson>,
}

#[derive(Serialize)]
struct GapJson {
    from: Time,
    to: Time,
}

#[derive(Serialize)]
struct LeaksJson<'a> {
    began: u64,
    found_at_first: u64,
    watched_seconds: u64,
    by_hour: Vec<Hour<'a>>,
}

#[derive(Serialize)]
struct Hour<'a> {
    hour: Time,
    node: Option<&'a Foreign>,
    count: u64,
}

#[derive(Serialize)]
struct RebootJson<'a> {
    node: &'a str,
    before: Time,
    after: Time,
}

#[derive(Serialize)]
struct TrendJson<'a> {
    name: &'a str,
    cidr: &'a str,
    points: Vec<Point<'a>>,
}

/// A pool from one audit on.
#[derive(Serialize)]
struct Point<'a> {
    at: Time,
    #[serde(flatten)]
    numbers: &'a PoolNumbers,
}

/// Prints the document.
///
/// # Errors
/// When `out` cannot be written.
pub fn write(view: &ReportView, out: &mut dyn Write) -> Result<()> {
    let document = ReportJson {
        schema: SCHEMA,
        tool: TOOL,
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
        line: SectionLine<'a>,
    }
    let mut out = BufWriter::new(out);
    for cluster in &view.clusters {
        for line in lines(cluster) {
            let tagged = Tagged { guid: &cluster.guid, kubernetes_uids: &cluster.kubernetes_uids, line };
            compact(&tagged, &mut out)?;
        }
    }
    out.flush()
}

/// The findings, made one by one while they are written.
struct SectionLines<'a>(&'a ClusterReport);

impl Serialize for SectionLines<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_seq(lines(self.0))
    }
}

fn cluster(report: &ClusterReport) -> ClusterJson<'_> {
    let reboots = report.reboots.iter().map(|r| RebootJson { node: &r.node, before: r.before.at, after: r.after.at });
    let pools = report.pools.iter().map(|p| TrendJson {
        name: &p.name,
        cidr: &p.cidr,
        points: p.points.iter().map(|(at, numbers)| Point { at: *at, numbers }).collect(),
    });
    ClusterJson {
        guid: &report.guid,
        kubernetes_uids: &report.kubernetes_uids,
        apart: report.apart,
        audits: AuditsJson {
            count: report.audits,
            first: report.first_audit,
            last: report.last_audit,
            incomplete: &report.incomplete,
            gaps: report.gaps.iter().map(|&(from, to)| GapJson { from, to }).collect(),
        },
        findings: SectionLines(report),
        leaks: LeaksJson {
            began: report.leaks.began.len() as u64,
            found_at_first: report.leaks.found_at_first,
            watched_seconds: report.leaks.watched.as_secs(),
            by_hour: report.leaks.by_hour().into_iter().map(|(hour, node, count)| Hour { hour, node, count }).collect(),
        },
        reboots: reboots.collect(),
        pools: pools.collect(),
    }
}

fn lines(report: &ClusterReport) -> impl Iterator<Item = SectionLine<'_>> {
    report
        .sections()
        .into_iter()
        .flat_map(|(section, of)| of.iter().map(move |episode| SectionLine { section, episode }))
}

/// A finding and where it stands: `new`, `came back`, `ongoing`, `not looked at`, `ended`.
struct SectionLine<'a> {
    section: &'static str,
    episode: &'a Episode,
}

impl Serialize for SectionLine<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct SubjectJson<'a> {
            kind: &'a Term<SubjectKind>,
            id: &'a Foreign,
        }
        let Episode { finding, number, opened, last_seen, audits_seen, ended, ending, .. } = self.episode;
        let release = if let (Some(_), Ending::Released(id)) = (ended, ending) { *id } else { None };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("section", self.section)?;
        map.serialize_entry("code", &finding.code)?;
        map.serialize_entry("name", checks::name(finding.code))?;
        map.serialize_entry("severity", &finding.severity)?;
        map.serialize_entry("subject", &SubjectJson { kind: &finding.kind, id: &finding.subject })?;
        map.serialize_entry("summary", &finding.summary)?;
        map.serialize_entry("node", &finding.node)?;
        map.serialize_entry("namespace", &finding.namespace)?;
        map.serialize_entry("pool", &finding.pool)?;
        map.serialize_entry("root", &finding.root)?;
        map.serialize_entry("first_seen", &opened.at)?;
        map.serialize_entry("last_seen", &last_seen.at)?;
        map.serialize_entry("audits_seen", audits_seen)?;
        map.serialize_entry("episode", number)?;
        map.serialize_entry("state", ending.word())?;
        map.serialize_entry("ended", &ended.map(|seen| seen.at))?;
        map.serialize_entry("release", &release)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::Leaks;
    use super::super::testing::{at, report};
    use super::*;

    fn document(view: &ReportView) -> Value {
        let mut out = Vec::new();
        write(view, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(!text.chars().any(|c| c != '\n' && crate::model::escape::is_hidden(c)), "{text:?}");
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
