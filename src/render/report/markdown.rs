//! A report as Markdown, for a ticket or a chat: the answer, headings, one table a section.
//!
//! Of many findings of one code a few rows stand for all; a ticket is no database, `-o json` has them all.

use std::io::{BufWriter, Result, Write};

use super::first::{Telling, first_words};
use super::{ClusterReport, ReportView, open_tally, sparkline};
use crate::model::row::{Ending, Episode};
use crate::model::{Foreign, Time};
use crate::render::number::audits;

/// So many rows of one code in one table.
const ROWS: usize = 20;
/// Cells of a pool's line.
const CELLS: usize = 16;

/// Prints the report.
///
/// # Errors
/// When `out` cannot be written.
pub fn write(view: &ReportView, out: &mut dyn Write) -> Result<()> {
    let mut out = BufWriter::new(out);
    if view.clusters.is_empty() {
        writeln!(out, "The history knows no such cluster.")?;
    }
    for cluster in &view.clusters {
        one(view, cluster, &mut out)?;
    }
    out.flush()
}

fn one(view: &ReportView, cluster: &ClusterReport, out: &mut dyn Write) -> Result<()> {
    writeln!(out, "## IPAM of datastore {}\n", text(&cluster.guid))?;
    writeln!(out, "**{}**\n", verdict(cluster))?;
    writeln!(out, "{} to {}, {}.", view.since, view.until, audits(cluster.audits))?;
    if !view.narrowed_by.is_empty() {
        writeln!(out, "Only {}.", code(&view.narrowed_by.join(" ").into()))?;
    }
    writeln!(out)?;
    for incomplete in &cluster.incomplete {
        writeln!(out, "- audit {} at {} was incomplete: {}", incomplete.id, incomplete.at, text(&incomplete.why))?;
    }
    for failed in &cluster.failed {
        writeln!(out, "- the audit at {} failed: {}", failed.at, text(&failed.why))?;
    }
    for (from, to) in &cluster.gaps {
        writeln!(out, "- nobody looked from {from} to {to}")?;
    }
    for (name, lines) in cluster.sections() {
        section(name, lines, out)?;
    }
    leaks(cluster, out)?;
    pools(view, cluster, out)
}

fn verdict(cluster: &ClusterReport) -> String {
    let open = open_tally(cluster);
    let telling = Telling { when: &|at| at.to_string(), foreign: &text };
    match (first_words(cluster, &open, &telling), open.is_empty()) {
        (Some(first), _) => first,
        (None, true) => "Nothing is open.".to_owned(),
        (None, false) => format!("Open: {open}."),
    }
}

fn section(name: &str, lines: &[Episode], out: &mut dyn Write) -> Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let title: String = name.chars().take(1).flat_map(char::to_uppercase).chain(name.chars().skip(1)).collect();
    writeln!(out, "\n### {title}: {}\n", lines.len())?;
    writeln!(out, "| code | severity | subject | what | since | audits | ended |")?;
    writeln!(out, "|---|---|---|---|---|---|---|")?;
    for same in lines.chunk_by(|a, b| a.finding.is_told_with(&b.finding)) {
        same.iter().take(ROWS).try_for_each(|line| row(line, out))?;
        if let Some(first) = same.first().filter(|_| same.len() > ROWS) {
            writeln!(
                out,
                "| {} | {} | … {} more | | | | |",
                first.finding.code,
                first.finding.severity,
                same.len() - ROWS
            )?;
        }
    }
    Ok(())
}

fn row(line: &Episode, out: &mut dyn Write) -> Result<()> {
    let ended = match (line.ended, &line.ending) {
        (Some(seen), Ending::Released(Some(id))) => format!("released (release {id}) {}", seen.at),
        (Some(seen), ending) => format!("{} {}", text(&ending.word()), seen.at),
        (None, Ending::InputMissing) => "input missing".to_owned(),
        (None, _) => String::new(),
    };
    let finding = &line.finding;
    let (subject, what) = (code(&finding.subject), text(&finding.summary));
    let (code, severity, since, audits) = (finding.code, finding.severity, line.opened.at, line.audits_seen);
    writeln!(out, "| {code} | {severity} | {subject} | {what} | {since} | {audits} | {ended} |")
}

fn leaks(cluster: &ClusterReport, out: &mut dyn Write) -> Result<()> {
    let rows = cluster.leaks.by_node(&cluster.reboots);
    if rows.is_empty() {
        return Ok(());
    }
    let rate = cluster.leaks.per_hour().map(|rate| format!(", {rate:.1} an hour")).unwrap_or_default();
    writeln!(out, "\n### Leaks that began: {}{rate}\n", cluster.leaks.began.len())?;
    writeln!(out, "| node | leaks | most in the hour from | reboot |\n|---|---|---|---|")?;
    for row in rows.iter().take(ROWS) {
        let reboot = row.reboot.map(|(r, n)| format!("{} to {}, may explain {n}", r.before.at, r.after.at));
        let node = row.node.map(code).unwrap_or_default();
        let (hour, number): (Time, u64) = row.peak;
        writeln!(out, "| {node} | {} | {hour} ({number}) | {} |", row.count, reboot.unwrap_or_default())?;
    }
    Ok(())
}

fn pools(view: &ReportView, cluster: &ClusterReport, out: &mut dyn Write) -> Result<()> {
    let end = cluster.last_audit.unwrap_or(view.until).min(view.until);
    let known: Vec<_> =
        cluster.pools.iter().filter_map(|p| Some((p, p.points.first()?.1, p.points.last()?.1))).collect();
    if known.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n### Pools\n\n| pool | CIDR | allocated | change | trend | leaked | free blocks |")?;
    writeln!(out, "|---|---|---|---|---|---|---|")?;
    for (pool, first, last) in known {
        let line = sparkline(&pool.over(view.since, end, CELLS));
        let (name, cidr) = (code(&pool.name), code(&pool.cidr));
        let (allocated, addresses) = (last.allocated, last.addresses);
        let change = allocated.saturating_sub(first.allocated);
        let (leaked, free, blocks) = (last.leaked, last.free_blocks, last.blocks);
        writeln!(
            out,
            "| {name} | {cidr} | {allocated} of {addresses} | {change:+} | {line} | {leaked} | {free} of {blocks} |"
        )?;
    }
    Ok(())
}

/// Foreign text in a paragraph or a cell: nothing in it may end the cell, open a tag, a link or an emphasis, call
/// somebody, or come back as a character by its number.
fn text(foreign: &Foreign) -> String {
    let mut out = String::new();
    for c in foreign.shown().chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '@' => out.push_str("&#64;"),
            '|' | '*' | '_' | '[' | ']' | '\\' | '`' | '#' | '~' => out.extend(['\\', c]),
            // No link makes itself.
            ':' => out.push_str("&#58;"),
            c => out.push(c),
        }
    }
    out
}

/// Foreign text as code, where only its own end and the cell's can hurt.
fn code(foreign: &Foreign) -> String {
    let shown = foreign.shown().replace('|', "\\|");
    let longest = shown.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let pad = if shown.starts_with('`') || shown.ends_with('`') || shown.is_empty() { " " } else { "" };
    format!("{fence}{pad}{shown}{pad}{fence}")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{line, report};
    use super::*;
    use crate::model::Severity;

    fn written(view: &ReportView) -> String {
        let mut out = Vec::new();
        write(view, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn foreign_text_stays_text() {
        let (text, code) = (|s: &str| text(&s.into()), |s: &str| code(&s.into()));
        assert_eq!(text("a|b<script>`*&#x202e;@all"), r"a\|b&lt;script&gt;\`\*&amp;\#x202e;&#64;all");
        assert_eq!(text("[x](http://evil)\u{202e}"), r"\[x\](http&#58;//evil)\\u{202e}");
        assert_eq!(code("10.0.0.9"), "`10.0.0.9`");
        assert_eq!(code("a_b|c"), r"`a_b\|c`");
        assert_eq!(code("a``b"), "```a``b```");
        assert_eq!(code("`"), "`` ` ``");
    }

    #[test]
    fn a_ticket_has_the_answer_and_every_section() {
        let text = written(&report());
        for says in [
            "**Open: 1 critical, 2 errors, 1 warning, 1 note.**",
            "### New: 2\n",
            "| IPA110 | error | `10.0.0.9` |",
            "### Not looked at: 1",
            "| input missing |",
            "released (release 7)",
            "### Leaks that began: 2, 0.2 an hour",
            "may explain 2",
            "### Pools",
        ] {
            assert!(text.contains(says), "{says}: {text}");
        }
        assert!(!text.chars().any(|c| c != '\n' && crate::model::escape::is_hidden(c)), "{text:?}");
    }

    #[test]
    fn many_rows_are_a_few() {
        let mut view = report();
        view.clusters[0].new = (0..500).map(|i| line(110, Severity::Error, &format!("10.0.1.{i}"))).collect();
        let text = written(&view);
        assert!(text.contains("### New: 500") && text.contains("… 480 more"), "{text}");
        assert!(text.lines().count() < 70);
    }

    #[test]
    fn every_row_has_the_cells_of_its_table() {
        let mut view = report();
        view.clusters[0].new[0].finding.subject = "a|b`c".into();
        view.clusters[0].new[0].finding.summary = "x|y".into();
        let mut wanted = 0;
        let written = written(&view);
        for row in written.lines().filter(|row| row.starts_with('|')) {
            let cells = row.replace("\\|", "").matches('|').count();
            if row.starts_with("| code") || row.starts_with("| node |") || row.starts_with("| pool |") {
                wanted = cells;
            }
            assert_eq!(cells, wanted, "{row}");
        }
        assert!(wanted > 0);
    }
}
