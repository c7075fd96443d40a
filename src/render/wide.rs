//! One finding a line, for grep and for eyes: columns (`wide`), or the bare things (`name`).
//!
//! Every finding has its line, also those that another one explains: they are marked, never left out.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::{self, BufWriter, Write};

use super::grid::{self, Cell, Column};
use super::table::paper::{PLAIN, style_of};
use super::view::AuditView;
use crate::checks::{by_subject, natural};
use crate::model::word::words;
use crate::model::{Finding, Foreign, Gist, KeptFinding, State, Time};

/// By what lines are sorted; those that are alike keep the order of every output.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SortBy {
    Code,
    /// Worst first.
    Severity,
    /// In natural order, addresses as numbers.
    Subject,
    /// In natural order; what belongs to no node comes last.
    Node,
    /// Oldest first; what nobody dates comes last.
    Since,
}

words!(SortBy { Code = "code", Severity = "severity", Subject = "subject", Node = "node", Since = "since" });

/// How lines are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct WideOptions {
    pub color: bool,
    /// `None`: in the order of every output.
    pub sort_by: Option<SortBy>,
    /// Without the line that names the columns.
    pub no_headers: bool,
}

/// The columns; the last one is as long as it is.
const COLUMNS: [Column; 6] =
    [("CODE", false), ("SEVERITY", false), ("SUBJECT", false), ("NODE", false), ("SINCE", false), ("ADVICE", false)];
/// What stands where there is nothing to say, so that a column is never empty.
const NOTHING: &str = "-";

/// Writes a line a finding, in columns.
///
/// # Errors
/// When `out` cannot be written.
pub fn write(view: &AuditView<'_>, options: WideOptions, out: &mut dyn Write) -> io::Result<()> {
    let mut out = BufWriter::new(out);
    let findings = sorted(view, options.sort_by);
    let titles = !options.no_headers && !findings.is_empty();
    grid::write(&COLUMNS, findings.iter().map(|finding| cells(finding)), titles, options.color, &mut out)?;
    out.flush()
}

/// Writes each thing that something is wrong with, once: `KIND/ID`, as JSON's `subject` has them.
///
/// # Errors
/// When `out` cannot be written.
pub fn write_names(view: &AuditView<'_>, options: WideOptions, out: &mut dyn Write) -> io::Result<()> {
    let mut out = BufWriter::new(out);
    let mut told = HashSet::new();
    for finding in sorted(view, options.sort_by) {
        if told.insert(&finding.subject) {
            writeln!(out, "{}/{}", finding.subject.kind.word(), finding.subject.id.shown())?;
        }
    }
    out.flush()
}

fn sorted<'v>(view: &AuditView<'v>, by: Option<SortBy>) -> Vec<&'v KeptFinding> {
    let mut findings = view.findings.clone();
    let node = |f: &KeptFinding| (f.node.is_none(), f.node.clone().unwrap_or_default());
    match by {
        None => {}
        Some(SortBy::Code) => findings.sort_by_key(|f| f.code),
        Some(SortBy::Severity) => findings.sort_by_key(|f| std::cmp::Reverse(f.severity)),
        Some(SortBy::Subject) => by_subject(&mut findings),
        Some(SortBy::Node) => findings.sort_by(|a, b| match (node(a), node(b)) {
            ((x, a), (y, b)) if x == y => a.cmp_by(&b, natural),
            ((x, _), (y, _)) => x.cmp(&y),
        }),
        Some(SortBy::Since) => findings.sort_by(|a, b| match (since(a), since(b)) {
            (Some(a), Some(b)) => a.cmp(&b),
            (a, b) => a.is_none().cmp(&b.is_none()),
        }),
    }
    findings
}

/// Since when it is so, as far back as anybody can say: by the evidence, or by the history.
fn since(finding: &Gist) -> Option<Time> {
    finding.since.into_iter().chain(finding.life.map(|life| life.first_seen)).min()
}

fn cells(finding: &KeptFinding) -> [Cell<'_>; COLUMNS.len()] {
    let style = style_of(finding.severity);
    let or_nothing = |text: Option<String>| (text.map_or(Cow::Borrowed(NOTHING), Cow::Owned), PLAIN);
    [
        (finding.code.to_string().into(), style),
        (finding.severity.word().into(), style),
        (finding.subject.id.shown(), PLAIN),
        (finding.node.as_ref().and_then(Foreign::some).map_or(Cow::Borrowed(NOTHING), Foreign::shown), PLAIN),
        or_nothing(since(finding).map(|at| at.to_chrono().format("%Y-%m-%dT%H:%M:%SZ").to_string())),
        or_nothing(Some(advice(&finding.open())).filter(|advice| !advice.is_empty())),
    ]
}

/// What marks it, then what to do about it.
fn advice(finding: &Finding) -> String {
    let mut text = String::new();
    if finding.state == State::Unconfirmed {
        text.push_str("(unconfirmed)");
    }
    if let Some(root) = &finding.root {
        let _ = write!(text, "{}(explained by {} {})", gap(&text), root.code, root.id.shown());
    }
    if !finding.advice.is_empty() {
        let _ = write!(text, "{}{}", gap(&text), finding.advice.shown());
    }
    text
}

fn gap(before: &str) -> &'static str {
    if before.is_empty() { "" } else { " " }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::Cluster;
    use crate::checks::{Outcome, World};
    use crate::ledger::Ledger;
    use crate::model::{Code, FindingKeeper, Life, Root, Severity, Subject, SubjectKind};
    use crate::render::AuditCircumstances;

    fn finding(code: u16, severity: Severity, id: &str, node: Option<&str>, since: Option<i64>) -> Finding {
        let mut finding = Finding::new(Code(code), severity, Subject::new(SubjectKind::Address, id), "");
        finding.node = node.map(Into::into);
        finding.since = since.map(Time);
        finding
    }

    /// What is written of these findings by `write`.
    fn written(
        findings: Vec<Finding>,
        write: impl FnOnce(&AuditView<'_>, &mut dyn Write) -> io::Result<()>,
    ) -> Vec<String> {
        let mut cluster = Cluster::healthy();
        let snapshot = cluster.snapshot();
        let ledger = Ledger::build(&snapshot, cluster.scope, None);
        let world = World { snapshot: &snapshot, ledger: &ledger, past: None };
        let outcome = Outcome { findings: FindingKeeper::all(findings), ..crate::checks::run(&world) };
        let view = AuditView::of(&snapshot, &ledger, &outcome, AuditCircumstances::default());
        let mut out = Vec::new();
        write(&view, &mut out).unwrap();
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    fn wide(findings: Vec<Finding>, options: WideOptions) -> Vec<String> {
        written(findings, |view, out| write(view, options, out))
    }

    const HOUR: i64 = 3_600_000_000_000;

    fn some() -> Vec<Finding> {
        vec![
            finding(101, Severity::Critical, "10.65.0.10", Some("node-10"), Some(2 * HOUR)),
            finding(110, Severity::Error, "10.65.0.9", Some("node-9"), None),
            finding(110, Severity::Error, "10.65.0.11", None, Some(HOUR)),
            finding(102, Severity::Note, "10.65.0.10", Some("node-10"), Some(2 * HOUR)),
        ]
    }

    #[test]
    fn columns_are_aligned_and_never_empty() {
        let mut findings = some();
        findings[0].advice = "keep shop/web\u{202e}".into();
        findings[1].life = Some(Life { first_seen: Time(0), last_seen: Time(1), audits_seen: 1, episode: 1 });
        findings[3].root = Some(Root { code: Code(101), id: "10.65.0.10\r".into() });
        findings[3].state = State::Unconfirmed;
        findings[3].advice = "wait".into();
        assert_eq!(
            wide(findings, WideOptions::default()),
            [
                "CODE    SEVERITY  SUBJECT     NODE     SINCE                 ADVICE",
                "IPA101  critical  10.65.0.10  node-10  1970-01-01T02:00:00Z  keep shop/web\\u{202e}",
                "IPA110  error     10.65.0.9   node-9   1970-01-01T00:00:00Z  -",
                "IPA110  error     10.65.0.11  -        1970-01-01T01:00:00Z  -",
                "IPA102  note      10.65.0.10  node-10  1970-01-01T02:00:00Z  (unconfirmed) (explained by IPA101 10.65.0.10\\r) wait",
            ]
        );
    }

    #[test]
    fn lines_are_sorted_by_what_is_asked_for_and_else_keep_their_order() {
        let order = |by| {
            let lines = wide(some(), WideOptions { sort_by: Some(by), no_headers: true, ..WideOptions::default() });
            let words: Vec<String> = lines.iter().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
            words
                .iter()
                .map(|w| {
                    w.split(' ')
                        .enumerate()
                        .filter(|(i, _)| [0, 2].contains(i))
                        .map(|(_, w)| w.rsplit('.').next().unwrap())
                        .collect::<Vec<_>>()
                        .join(" ")
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(order(SortBy::Code), ["IPA101 10", "IPA102 10", "IPA110 9", "IPA110 11"]);
        assert_eq!(order(SortBy::Severity), ["IPA101 10", "IPA110 9", "IPA110 11", "IPA102 10"]);
        assert_eq!(order(SortBy::Subject), ["IPA110 9", "IPA101 10", "IPA102 10", "IPA110 11"]);
        assert_eq!(order(SortBy::Node), ["IPA110 9", "IPA101 10", "IPA102 10", "IPA110 11"]);
        assert_eq!(order(SortBy::Since), ["IPA110 11", "IPA101 10", "IPA102 10", "IPA110 9"]);
    }

    #[test]
    fn a_thing_is_named_once() {
        let options = WideOptions { sort_by: Some(SortBy::Subject), ..WideOptions::default() };
        let names = written(some(), |view, out| write_names(view, options, out));
        assert_eq!(names, ["address/10.65.0.9", "address/10.65.0.10", "address/10.65.0.11"]);
        assert!(wide(Vec::new(), WideOptions::default()).is_empty(), "headers of nothing");
    }
}
