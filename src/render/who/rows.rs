//! The labelled lines of `who`, and how many of a kind are told.

use std::io::Result;

use crate::render::table::paper::{DIM, PLAIN, Paper, Text};

/// So many findings, and so many entries of each kind that the history remembers, are told.
pub const SHOWN: usize = 20;

/// A labelled line; the label begins at 2, the rest at 14.
pub fn row(paper: &mut Paper<'_>, label: &str, fields: &[&str]) -> Result<()> {
    let indent = if label.is_empty() { 14 } else { 2 };
    let mut text = Text::new().field(DIM, label);
    for (i, field) in fields.iter().filter(|f| !f.is_empty()).enumerate() {
        text = if i == 0 { text.column(PLAIN, field, 12) } else { text.field(PLAIN, field) };
    }
    paper.paragraph(indent, 14, &text)
}
