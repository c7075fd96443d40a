//! Sentences of a plan at the width of the terminal. Commands and keys are never wrapped: they are pasted.

use std::io::{Result, Write};

use crate::render::table::paper::{PLAIN, Paper, Text};

/// How far a sentence's further lines are indented: as its text behind `REFUSED `.
const HANG: usize = 8;

/// A sentence that begins at the edge, escaped.
pub(super) fn write_text(out: &mut dyn Write, width: usize, text: &str) -> Result<()> {
    write_at(0, out, width, text)
}

/// A sentence that begins behind so many blanks.
pub(super) fn write_at(indent: usize, out: &mut dyn Write, width: usize, text: &str) -> Result<()> {
    Paper::new(out, width, false).paragraph(indent, HANG, &Text::new().field(PLAIN, text))
}
