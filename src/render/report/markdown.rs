//! A report as Markdown, for a ticket or a chat: headings and one table a section.

use std::io::{Result, Write};

use super::{Line, ReportView};
use crate::render::escape::escape;

/// Prints the report.
///
/// # Errors
/// When `out` cannot be written.
pub fn write(view: &ReportView, out: &mut dyn Write) -> Result<()> {
    for cluster in &view.clusters {
        writeln!(out, "## IPAM of datastore {}\n", cell(&cluster.guid))?;
        writeln!(out, "{} to {}, {} audits.\n", view.since, view.until, cluster.audits)?;
        for incomplete in &cluster.incomplete {
            writeln!(out, "- audit {} at {} was incomplete: {}", incomplete.id, incomplete.at, cell(&incomplete.why))?;
        }
        for (from, to) in &cluster.gaps {
            writeln!(out, "- no audit from {from} to {to}")?;
        }
        let sections = [
            ("New", &cluster.new),
            ("Came back", &cluster.came_back),
            ("Ongoing", &cluster.ongoing),
            ("Ended", &cluster.ended),
        ];
        for (title, lines) in sections {
            section(title, lines, out)?;
        }
    }
    Ok(())
}

fn section(title: &str, lines: &[Line], out: &mut dyn Write) -> Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n### {title}\n\n| code | severity | subject | what | since | audits | ended |")?;
    writeln!(out, "|---|---|---|---|---|---|---|")?;
    for line in lines {
        let ended = line.ended.map(|e| format!("{} {}", e.how.word(), e.at)).unwrap_or_default();
        let (subject, what) = (cell(&line.subject), cell(&line.summary));
        let (code, severity, since, audits) = (line.code, line.severity, line.first_seen, line.audits_seen);
        writeln!(out, "| {code} | {severity} | `{subject}` | {what} | {since} | {audits} | {ended} |")?;
    }
    Ok(())
}

/// Foreign text in a table's cell: nothing in it may end the cell, open a tag, or start an emphasis.
fn cell(text: &str) -> String {
    let mut out = String::new();
    for c in escape(text).chars() {
        match c {
            '|' | '*' | '_' | '[' | ']' | '\\' => out.extend(['\\', c]),
            '`' => out.push('\''),
            '<' => out.push_str("&lt;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::testing::report;
    use super::*;

    #[test]
    fn cells_hold_foreign_text() {
        assert_eq!(cell("a|b<script>`*"), r"a\|b&lt;script>'\*");
        let mut out = Vec::new();
        write(&report(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("### New") && text.contains("| IPA110 | error | `10.0.0.9` |"), "{text}");
        assert!(!text.contains('\u{202e}') && !text.contains('\r'));
    }
}
