//! What lines of several sections have in common: where they begin, how a finding is called, what is counted.

use super::paper::{BOLD, DIM, Paper, Text, style_of};
use crate::checks;
use crate::model::{Code, Finding, Severity, SubjectKind};
use crate::render::folds::Folds;
use crate::render::number::grouped;
use crate::render::view::AuditView;

/// Where everything but the code begins.
pub const HANG: usize = 7;

/// `IPA110 leaked-address`.
pub fn name(finding: &Finding) -> Text {
    Text::new().field(style_of(finding.severity).bold(), &finding.code.to_string()).then(BOLD, name_of(finding.code))
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
pub fn explains(folds: &Folds, shown: &[usize], all: Option<&Finding>) -> Option<Text> {
    if let Some(root) = all.and_then(|finding| finding.root.as_ref()) {
        return Some(Text::new().field(DIM, &format!("explained by {} {}", root.code, root.id.shown())));
    }
    let (number, codes) = folds.under(shown);
    let codes: Vec<String> = codes.iter().map(Code::to_string).collect();
    let plural = if number == 1 { "" } else { "s" };
    let these = if shown.len() == 1 { "this one" } else { "these" };
    let text = format!("+{number} finding{plural} explained by {these} ({})", codes.join(" "));
    (number > 0).then(|| Text::new().field(DIM, &text))
}

/// `1 critical, 63 errors, +3 explained`.
pub fn total(view: &AuditView<'_>, folds: &Folds) -> String {
    let mut text = tally(&folds.counts(&view.findings));
    if folds.folded > 0 {
        text.push_str(&format!(", +{} explained", folds.folded));
    }
    text
}

/// `1 address`, `63,000 addresses`.
pub fn counted(number: usize, kind: SubjectKind) -> String {
    if number == 1 {
        return format!("1 {}", kind.word());
    }
    let (number, many) = (grouped(number as u64), kind.word());
    match kind {
        SubjectKind::Address => format!("{number} addresses"),
        SubjectKind::Affinity => format!("{number} affinities"),
        SubjectKind::Mac => format!("{number} MACs"),
        _ => format!("{number} {many}s"),
    }
}

/// `1 critical, 63 errors, 2 notes`; empty without findings.
pub fn tally(counts: &[(Severity, usize)]) -> String {
    let mut words = Vec::new();
    for &(severity, number) in counts.iter().filter(|(_, number)| *number > 0) {
        let plural = if number == 1 || severity == Severity::Critical { "" } else { "s" };
        words.push(format!("{number} {severity}{plural}"));
    }
    words.join(", ")
}
