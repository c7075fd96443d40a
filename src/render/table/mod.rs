//! The output for people: what is wrong first, then the rest, on one screen if that is possible at all.
//!
//! The answer comes early and again at the end, since a terminal shows one of the two. A few findings of a code
//! are told one by one, many are one paragraph; a finding that another one explains is only counted under it.

mod capacity;
mod details;
mod findings;
mod folds;
mod group;
mod head;
pub(super) mod paper;
mod tail;
#[cfg(test)]
mod tests;

use std::io::{BufWriter, Result, Write};

use super::AuditView;
use crate::model::{Severity, SubjectKind};
use paper::Paper;

/// How to show it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    pub color: bool,
    /// Columns; less than 60 counts as 60.
    pub width: usize,
    /// Every finding on its own, the explained ones too.
    pub all: bool,
    /// Findings and what was not checked; no head, no pools, no summary.
    pub quiet: bool,
    /// Pools in full, and the biggest nodes, in place of a line a pool.
    pub capacity: bool,
}

impl Options {
    /// The width when nobody knows it.
    pub const WIDTH: usize = 100;
}

impl Default for Options {
    fn default() -> Options {
        Options { color: false, width: Options::WIDTH, all: false, quiet: false, capacity: false }
    }
}

/// Writes the audit.
pub fn write(view: &AuditView<'_>, options: Options, out: &mut dyn Write) -> Result<()> {
    let mut out = BufWriter::new(out);
    let mut paper = Paper::new(&mut out, options.width, options.color);
    let folds = folds::Folds::of(&view.findings, options.all);
    if !options.quiet {
        head::write(view, &folds, options, &mut paper)?;
    }
    findings::write(view, &folds, options, &mut paper)?;
    tail::write(view, &folds, options, &mut paper)?;
    out.flush()
}

/// `1 address`, `63 addresses`.
pub(super) fn counted(number: usize, kind: SubjectKind) -> String {
    if number == 1 {
        return format!("1 {}", kind.word());
    }
    let many = match kind {
        SubjectKind::Address => "addresses",
        SubjectKind::Affinity => "affinities",
        SubjectKind::Mac => "MACs",
        other => return format!("{number} {}s", other.word()),
    };
    format!("{number} {many}")
}

/// `1 critical, 63 errors, 2 notes`; empty without findings.
fn tally(counts: &[(Severity, usize)]) -> String {
    let mut words = Vec::new();
    for &(severity, number) in counts.iter().filter(|(_, number)| *number > 0) {
        let plural = if number == 1 || severity == Severity::Critical { "" } else { "s" };
        words.push(format!("{number} {severity}{plural}"));
    }
    words.join(", ")
}
