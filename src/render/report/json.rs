//! A report as one versioned document (`ipaudit/report/v1`, docs/output.md), or one finding a line.
//!
//! The same promise as the audit's document: within `v1` fields are added, never renamed or removed.
//! `docs/report.schema.json` holds it. Made row by row while it is written.

use std::io::{BufWriter, Result, Write};

use serde::{Serialize, Serializer};

use super::{BlindSpan, ClusterReport, IncompleteAudit, Leaks, PoolTrend, Replacement, ReportView};
use crate::checks;
use crate::model::json::in_json;
use crate::model::row::{Ending, Episode, FailedAudit, PoolNumbers, Reboot, Restore};
use crate::model::{Foreign, Time};
use crate::render::json::{TOOL, by_entry, compact};

/// What the document says it is.
pub const SCHEMA: &str = "ipaudit/report/v1";

in_json!(|view: &ReportView| {
    "schema": SCHEMA,
    "tool": TOOL,
    "since": view.since,
    "until": view.until,
    "now": view.now,
    "narrowed_by": view.narrowed_by,
    "clusters": view.clusters,
    "failed": view.failed,
    "exit_code": view.exit.code(),
});

in_json!(|report: &ClusterReport| {
    "guid": report.guid,
    "kubernetes_uids": report.kubernetes_uids,
    "apart": report.apart,
    "replaced_by": report.replaced_by,
    "audits": AuditsJson(report),
    "findings": SectionLines(report),
    "unknown": report.unknown,
    "leaks": report.leaks,
    "reboots": report.reboots,
    "pools": report.pools,
});

/// The audits of a report.
struct AuditsJson<'a>(&'a ClusterReport);

in_json!(|audits: &AuditsJson<'_>| {
    "count": audits.0.audits,
    "first": audits.0.first_audit,
    "last": audits.0.last_audit,
    "incomplete": audits.0.incomplete,
    "failed": audits.0.failed,
    "gaps": audits.0.gaps.iter().copied().map(GapJson).collect::<Vec<_>>(),
    "restores": audits.0.restores,
    "blind": audits.0.blind_span,
});

in_json!(|span: &BlindSpan| { "since": span.since, "audits": span.audits, "why": span.why });

in_json!(|by: &Replacement| { "guid": by.guid, "since": by.since });

in_json!(|back: &Restore| {
    "before": back.before.at,
    "after": back.after.at,
    "revision_before": back.revisions.0,
    "revision_after": back.revisions.1,
});

in_json!(|audit: &IncompleteAudit| { "id": audit.id, "at": audit.at, "why": audit.why });

in_json!(|audit: &FailedAudit| { "at": audit.at, "why": audit.why });

struct GapJson((Time, Time));

in_json!(|gap: &GapJson| { "from": gap.0.0, "to": gap.0.1 });

in_json!(|leaks: &Leaks| {
    "began": leaks.began.len(),
    "found_at_first": leaks.found_at_first,
    "watched_seconds": leaks.watched.as_secs(),
    "by_hour": leaks.by_hour().into_iter().map(Hour).collect::<Vec<_>>(),
});

struct Hour<'a>((Time, Option<&'a Foreign>, u64));

in_json!(|hour: &Hour<'_>| { "hour": hour.0.0, "node": hour.0.1, "count": hour.0.2 });

in_json!(|reboot: &Reboot| { "node": reboot.node, "before": reboot.before.at, "after": reboot.after.at });

in_json!(|pool: &PoolTrend| {
    "name": pool.name,
    "cidr": pool.cidr,
    "closed": pool.closed,
    "points": pool.points.iter().map(|(at, numbers)| Point { at: *at, numbers }).collect::<Vec<_>>(),
});

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
    by_entry(view, out)
}

/// Prints one finding a line, as in the document, each with its cluster.
///
/// # Errors
/// When `out` cannot be written.
pub fn write_lines(view: &ReportView, out: &mut dyn Write) -> Result<()> {
    #[derive(Serialize)]
    struct Tagged<'a> {
        guid: &'a Foreign,
        kubernetes_uids: &'a [Foreign],
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

fn lines(report: &ClusterReport) -> impl Iterator<Item = SectionLine<'_>> {
    report.sections().into_iter().flat_map(|(section, of)| of.iter().map(move |episode| (section, episode))).map(
        |(section, episode)| SectionLine {
            section,
            found_at_first: report.is_found_at_first(episode),
            given_back: report.release.is_given_back(episode),
            episode,
        },
    )
}

/// A finding and where it stands: `new`, `came back`, `ongoing`, `not looked at`, `ended`.
struct SectionLine<'a> {
    section: &'static str,
    found_at_first: bool,
    given_back: bool,
    episode: &'a Episode,
}

impl SectionLine<'_> {
    /// The release that ended it.
    fn release(&self) -> Option<i64> {
        self.episode.ended?;
        if let Ending::Released(id) = self.episode.ending { id } else { None }
    }
}

/// Of which kind it is may be another version's word.
struct SubjectJson<'a>(&'a Episode);

in_json!(|of: &SubjectJson<'_>| { "kind": of.0.finding.kind, "id": of.0.finding.subject });

in_json!(|line: &SectionLine<'_>| {
    "section": line.section,
    "found_at_first": line.found_at_first,
    "given_back": line.given_back,
    "code": line.episode.finding.code,
    "name": checks::name(line.episode.finding.code),
    "docs": checks::page(line.episode.finding.code),
    "severity": line.episode.finding.severity,
    "subject": SubjectJson(line.episode),
    "summary": line.episode.finding.summary,
    "node": line.episode.finding.node,
    "namespace": line.episode.finding.namespace,
    "pool": line.episode.finding.pool,
    "root": line.episode.finding.root,
    "first_seen": line.episode.opened.at,
    "last_seen": line.episode.last_seen.at,
    "audits_seen": line.episode.audits_seen,
    "episode": line.episode.number,
    "state": line.episode.ending.word(),
    "ended": line.episode.ended.map(|seen| seen.at),
    "release": line.release(),
});

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::Leaks;
    use super::super::testing::{at, report, seen};
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
        cluster.restores = vec![Restore { before: seen(1), after: seen(2), revisions: (9, 7) }];
        cluster.incomplete = vec![IncompleteAudit { id: 3, at: at(3), why: "pods: forbidden".into() }];
        let (tool, why) = ("0.1.0".into(), "reach etcd: refused".into());
        cluster.blind_span =
            Some(BlindSpan { since: at(3), audits: 2, why: "pods: forbidden".into(), from_the_first: false });
        cluster.replaced_by = Some(Replacement { guid: "8a".into(), since: at(9) });
        let failed = FailedAudit { at: at(4), started: at(4), tool, why };
        cluster.failed = vec![failed.clone()];
        cluster.unknown = vec![crate::render::UnknownName {
            kind: "node",
            by: "The history knows no",
            name: "nod-1".into(),
            near: vec!["node-1".into()],
        }];
        view.failed = vec![failed];
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
        empty.clusters[0].guid = "x".into();
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
        let more = [
            "/failed/0",
            "/clusters/0/audits/failed/0",
            "/clusters/0/audits/restores/0",
            "/clusters/0/audits/blind",
            "/clusters/0/replaced_by",
            "/clusters/0/unknown/0",
            "/clusters/0/audits/gaps/0",
            "/clusters/0/findings/0",
            "/clusters/0/findings/0/subject",
        ];
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
