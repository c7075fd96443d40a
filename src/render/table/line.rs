//! What lines of several sections have in common: where they begin, how a finding is called, what is counted.

use super::paper::{BOLD, DIM, Paper, Text, style_of};
use crate::checks;
use crate::model::{Code, Gist, Severity, SubjectKind};
use crate::render::folds::{BySeverity, Folds, by_code};
use crate::render::number::grouped;
use crate::render::view::AuditView;

/// Where everything but the code begins.
pub const HANG: usize = 7;

/// `IPA110 leaked-address`.
pub fn name(finding: &Gist) -> Text {
    Text::new().field(style_of(finding.gravity()).bold(), &finding.code.to_string()).then(BOLD, name_of(finding.code))
}

/// The name of a code; empty for one that the registry does not know (an older or newer audit's).
pub fn name_of(code: Code) -> &'static str {
    checks::find(code).map_or("", |check| check.name)
}

/// The column of subjects where the page is wide enough to spend blanks on it.
pub fn column(paper: &Paper<'_>) -> usize {
    if paper.width >= 100 { 30 } else { 0 }
}

/// `+3 findings explained by this one (IPA102 IPA130 IPA131)`; with `--all`, what explains this one.
pub fn explains(folds: &Folds<'_>, shown: &[usize], all: Option<&Gist>) -> Option<Text> {
    if let Some(root) = all.and_then(|finding| finding.root.as_ref()) {
        return Some(Text::new().field(DIM, &format!("explained by {} {}", root.code, root.id.shown())));
    }
    let codes = folds.under(shown);
    let (first, number) = (codes.first()?, codes.len());
    let plural = if number == 1 { "" } else { "s" };
    let these = if shown.len() == 1 { "this one" } else { "these" };
    let which = if codes.iter().all(|code| code == first) { first.to_string() } else { by_code(&codes) };
    Some(Text::new().field(DIM, &format!("+{} finding{plural} explained by {these} ({which})", grouped(number as u64))))
}

/// `+8 more IPA110 are told with what explains them (7 with IPA501, 1 with IPA503)`: of a code whose findings stand here.
pub fn elsewhere(folds: &Folds<'_>, code: Code) -> Option<Text> {
    let with: Vec<(Code, usize)> = folds.elsewhere(code).collect();
    let number: usize = with.iter().map(|(_, number)| number).sum();
    let (are, them) = if number == 1 { ("is", "it") } else { ("are", "them") };
    let places = match with.as_slice() {
        [] => return None,
        [(root, _)] => root.to_string(),
        several => several
            .iter()
            .map(|(root, number)| format!("{} with {root}", grouped(*number as u64)))
            .collect::<Vec<_>>()
            .join(", "),
    };
    Some(Text::new().field(
        DIM,
        &format!("+{} more {code} {are} told with what explains {them} ({places})", grouped(number as u64)),
    ))
}

/// The same with where they are behind it, as [`ByNode::on`](crate::render::places::ByNode::on) tells it: nodes are named once.
pub fn counted_on(number: usize, kind: SubjectKind, on: &str) -> String {
    let kind = match kind {
        SubjectKind::NodeAddress if !on.is_empty() => SubjectKind::Address,
        SubjectKind::NodeBlock if !on.is_empty() => SubjectKind::Block,
        kind => kind,
    };
    format!("{}{on}", counted(number, kind))
}

/// `1 critical, 63 errors; unconfirmed: 2 critical; +3 explained`: the same with `--all`, which tells all of them.
pub fn total(view: &AuditView<'_>) -> String {
    let folds = Folds::of(&view.findings, false);
    let (confirmed, suspected) = folds.counts(&view.findings);
    let mut parts = vec![tally(&confirmed)];
    if let Some(words) = Some(tally(&suspected)).filter(|words| !words.is_empty()) {
        parts.push(format!("unconfirmed: {words}"));
    }
    parts.retain(|part| !part.is_empty());
    let mut text = parts.join("; ");
    if folds.folded > 0 {
        text.push_str(&format!(
            "{} +{} explained",
            if parts.len() > 1 { ";" } else { "," },
            grouped(folds.folded as u64)
        ));
    }
    text
}

/// `1 address`, `63,000 addresses`.
pub fn counted(number: usize, kind: SubjectKind) -> String {
    if number == 1 {
        return match kind {
            SubjectKind::NodeAddress => "1 address on a node".to_owned(),
            SubjectKind::NodeBlock => "1 block on a node".to_owned(),
            kind => format!("1 {}", kind.word()),
        };
    }
    let (number, many) = (grouped(number as u64), kind.word());
    match kind {
        SubjectKind::Address => format!("{number} addresses"),
        SubjectKind::NodeAddress => format!("{number} addresses on nodes"),
        SubjectKind::NodeBlock => format!("{number} blocks on nodes"),
        SubjectKind::Affinity => format!("{number} affinities"),
        SubjectKind::Mac => format!("{number} MACs"),
        _ => format!("{number} {many}s"),
    }
}

/// `1 critical, 63 errors, 2 notes`; empty without findings.
pub fn tally(counts: &BySeverity) -> String {
    let mut words = Vec::new();
    for &(severity, number) in counts.iter().filter(|(_, number)| *number > 0) {
        let plural = if number == 1 || severity == Severity::Critical { "" } else { "s" };
        words.push(format!("{} {severity}{plural}", grouped(number as u64)));
    }
    words.join(", ")
}
