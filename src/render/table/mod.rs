//! The output for people: what is wrong first, then the rest, on one screen if that is possible at all.
//!
//! The answer comes early and again at the end, since a terminal shows one of the two. A few findings of a code
//! are told one by one, many are one paragraph; a finding that another one explains is only counted under it.

mod advices;
mod capacity;
mod commands;
pub(super) mod details;
mod findings;
mod group;
mod head;
mod line;
pub mod node;
mod options;
pub(super) mod paper;
mod tail;
#[cfg(test)]
mod tests;

use std::io::{BufWriter, Result, Write};

use super::AuditView;
use super::folds::Folds;
use crate::model::Severity;
use paper::{Paper, Text, style_of};

pub(super) use line::{counted, counted_on};
pub use options::Options;

/// Writes the audit.
pub fn write(view: &AuditView<'_>, options: Options, out: &mut dyn Write) -> Result<()> {
    let mut out = BufWriter::new(out);
    let mut paper = Paper::new(&mut out, options.width, options.color);
    let folds = Folds::of(&view.findings, options.all);
    if let Some(words) = view.unknown_names() {
        paper.paragraph(0, 2, &Text::new().field(style_of(Severity::Warning).bold(), &words))?;
    }
    if !options.quiet {
        head::write(view, options, &mut paper)?;
    }
    findings::write(view, &folds, options, &mut paper)?;
    tail::write(view, &folds, options, &mut paper)?;
    out.flush()
}
