//! Rows in columns, one line a row whatever its length: for `grep`, `awk` and `sort`, as kubectl prints lists. The one
//! writer of columns.

use std::borrow::Cow;
use std::io::{Result, Write};

use anstyle::Style;

use super::table::paper::{BOLD, PLAIN};

/// A column's title, and whether it is of numbers: these stand at the right.
pub type Column = (&'static str, bool);

/// What stands in one place, escaped already, and in which style.
pub type Cell<'t> = (Cow<'t, str>, Style);

/// Writes the titles, unless nobody wants them, and the rows. Each row is asked for twice, for how wide the columns are and
/// for its line, so that a hundred thousand of them never stand in memory.
///
/// # Errors
/// As the writer's.
pub fn write<'t, R: AsRef<[Cell<'t>]>>(
    columns: &[Column],
    rows: impl Iterator<Item = R> + Clone,
    titles: bool,
    color: bool,
    out: &mut dyn Write,
) -> Result<()> {
    let mut widths: Vec<usize> = columns.iter().map(|(title, _)| if titles { title.len() } else { 0 }).collect();
    for row in rows.clone() {
        for (width, (text, _)) in widths.iter_mut().zip(row.as_ref()) {
            *width = (*width).max(text.chars().count());
        }
    }
    if titles {
        let head: Vec<Cell<'_>> = columns.iter().map(|(title, _)| (Cow::Borrowed(*title), BOLD)).collect();
        line(columns, &widths, &head, color, out)?;
    }
    let mut rows = rows;
    rows.try_for_each(|row| line(columns, &widths, row.as_ref(), color, out))
}

fn line(columns: &[Column], widths: &[usize], row: &[Cell<'_>], color: bool, out: &mut dyn Write) -> Result<()> {
    // Blanks are written before what follows them, so that no line ends with some.
    let mut gap = 0;
    for (((_, is_number), width), (text, style)) in columns.iter().zip(widths).zip(row) {
        let missing = width.saturating_sub(text.chars().count());
        let (before, after) = if *is_number { (missing, 0) } else { (0, missing) };
        if !text.is_empty() {
            write!(out, "{:1$}", "", gap + before)?;
            match color && *style != PLAIN {
                true => write!(out, "{style}{text}{style:#}")?,
                false => out.write_all(text.as_bytes())?,
            }
            gap = 0;
        } else {
            gap += before;
        }
        gap += after + 2;
    }
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_no_line_ends_with_blanks() {
        let row = |a: &str, n: &str, b: &str| -> [Cell<'static>; 3] {
            [a, n, b].map(|text| (Cow::Owned(text.to_owned()), PLAIN))
        };
        let rows = [row("10.65.0.0/26", "4", "x"), row("fd00::/122", "", ""), row("é", "1000", "")];
        let written = |titles| {
            let mut out = Vec::new();
            write(&[("BLOCK", false), ("N", true), ("WRONG", false)], rows.iter(), titles, false, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let lines = "10.65.0.0/26     4  x\nfd00::/122\né             1000\n";
        assert_eq!(written(true), format!("BLOCK            N  WRONG\n{lines}"));
        assert_eq!(written(false), lines);
    }
}
