//! A report for people: the answer first, then what is new, what stays, what came back, what ended.

use std::io::{Result, Write};

use super::{ClusterReport, How, Line, ReportView, sparkline};
use crate::model::{Severity, Time};
use crate::render::age::{age, moment};
use crate::render::table::paper::{BOLD, DIM, GOOD, PLAIN, Paper, Text, short_ids, style_of};

/// Lines of one section before the rest is counted; `--all` shows all.
const SHOWN: usize = 10;

/// How to print.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub color: bool,
    pub width: usize,
    pub all: bool,
}

/// Prints a report.
///
/// # Errors
/// When `out` cannot be written.
pub fn write(view: &ReportView, options: Options, out: &mut dyn Write) -> Result<()> {
    let mut paper = Paper::new(out, options.width, options.color);
    if view.clusters.is_empty() {
        return paper.paragraph(0, 0, &Text::new().field(BOLD, "The history knows no such cluster in this time."));
    }
    for (i, cluster) in view.clusters.iter().enumerate() {
        if i > 0 {
            paper.blank()?;
        }
        one(view, cluster, options, &mut paper)?;
    }
    paper.blank()?;
    let exit = format!("exit {} ({})", view.exit.code(), view.exit.word());
    paper.paragraph(0, 0, &Text::new().field(DIM, &exit))
}

fn one(view: &ReportView, cluster: &ClusterReport, options: Options, paper: &mut Paper<'_>) -> Result<()> {
    verdict(cluster, paper)?;
    let guid: String = cluster.guid.chars().take(8).collect();
    let when = |at: Time| moment(at, view.now);
    let mut head = Text::new()
        .field(DIM, &format!("datastore {guid}…"))
        .field(DIM, &format!("{} to {}", when(view.since), when(view.until)))
        .field(DIM, &format!("{} audits", cluster.audits));
    if let Some(last) = cluster.last_audit {
        head = head.field(DIM, &format!("last {} ago", age(view.now.since(last))));
    }
    if !view.narrowed_by.is_empty() {
        head = head.field(DIM, &format!("only {}", view.narrowed_by.join(" ")));
    }
    paper.paragraph(0, 2, &head)?;
    trust(view, cluster, paper)?;
    section("NEW", &cluster.new, view, options, paper)?;
    section("CAME BACK", &cluster.came_back, view, options, paper)?;
    section("ONGOING", &cluster.ongoing, view, options, paper)?;
    section("ENDED", &cluster.ended, view, options, paper)?;
    leaks(view, cluster, paper)?;
    pools(cluster, paper)
}

/// The first line is the answer.
fn verdict(cluster: &ClusterReport, paper: &mut Paper<'_>) -> Result<()> {
    let open = |severity| cluster.open().filter(|l| l.severity == severity && l.root.is_none()).count();
    let counts: Vec<String> = Severity::WORST_FIRST
        .into_iter()
        .map(|s| (open(s), s))
        .filter(|(n, _)| *n > 0)
        .map(|(n, s)| format!("{n} {}{}", s.word(), if n == 1 || s == Severity::Critical { "" } else { "s" }))
        .collect();
    let worst = cluster.open().map(|l| l.severity).max();
    let moved = format!(
        "{} new, {} ongoing, {} came back, {} ended",
        cluster.new.len(),
        cluster.ongoing.len(),
        cluster.came_back.len(),
        cluster.ended.len()
    );
    let text = match (cluster.audits, worst) {
        (0, _) => Text::new().field(BOLD, "No audit in this time: nobody looked."),
        (_, None) => Text::new().field(GOOD, "Nothing is open."),
        (_, Some(worst)) => Text::new().field(style_of(worst).bold(), &format!("Open: {}.", counts.join(", "))),
    };
    paper.paragraph(0, 2, &text.field(PLAIN, &moved))
}

/// Gaps and incomplete audits: what was not seen may have been there.
fn trust(view: &ReportView, cluster: &ClusterReport, paper: &mut Paper<'_>) -> Result<()> {
    if let Some(last) = cluster.incomplete.last() {
        let text = format!(
            "{} of {} audits incomplete, last {}: {}",
            cluster.incomplete.len(),
            cluster.audits,
            moment(last.at, view.now),
            last.why
        );
        paper.paragraph(0, 2, &Text::new().field(style_of(Severity::Warning), &text))?;
    }
    let longest = cluster.gaps.iter().max_by_key(|(from, to)| to.since(*from));
    if let Some((from, to)) = longest {
        let text = format!(
            "{} gaps between audits, the longest {} ({} to {})",
            cluster.gaps.len(),
            age(to.since(*from)),
            moment(*from, view.now),
            moment(*to, view.now)
        );
        paper.paragraph(0, 2, &Text::new().field(style_of(Severity::Warning), &text))?;
    }
    Ok(())
}

fn section(title: &str, lines: &[Line], view: &ReportView, options: Options, paper: &mut Paper<'_>) -> Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    paper.blank()?;
    paper.paragraph(0, 0, &Text::new().field(BOLD, title))?;
    let shown = if options.all { lines.len() } else { SHOWN };
    for line in lines.iter().take(shown) {
        finding(line, view, paper)?;
    }
    if lines.len() > shown {
        let rest = format!("… {} more: --all, or -o json", lines.len() - shown);
        paper.paragraph(7, 7, &Text::new().field(DIM, &rest))?;
    }
    Ok(())
}

fn finding(line: &Line, view: &ReportView, paper: &mut Paper<'_>) -> Result<()> {
    let style = style_of(line.severity);
    let text = Text::new()
        .field(style.bold(), &line.code.to_string())
        .then(style, line.severity.word())
        .whole(BOLD, &line.subject)
        .field(PLAIN, &short_ids(&line.summary));
    paper.with_right(0, 7, &text, &Text::new().field(DIM, &life(line, view)))
}

fn life(line: &Line, view: &ReportView) -> String {
    let since = format!("since {}, {} audits", moment(line.first_seen, view.now), line.audits_seen);
    let again = if line.episode > 1 { format!(", {}. time", line.episode) } else { String::new() };
    let end = match line.ended {
        Some(ended) => {
            let how = match ended.how {
                How::Resolved => "gone".to_owned(),
                How::Released(Some(id)) => format!("released by us (release {id})"),
                How::Released(None) => "released by us".to_owned(),
                How::RuleChanged => "judged otherwise now".to_owned(),
            };
            format!("; {how} by {}", moment(ended.at, view.now))
        }
        None if line.input_missing => "; not looked at since".to_owned(),
        None => String::new(),
    };
    format!("{since}{again}{end}")
}

fn leaks(view: &ReportView, cluster: &ClusterReport, paper: &mut Paper<'_>) -> Result<()> {
    let by_node = cluster.leaks_by_node();
    if by_node.is_empty() {
        return Ok(());
    }
    paper.blank()?;
    let rate = cluster.leaks_per_hour(view.until.since(view.since));
    paper.paragraph(0, 0, &Text::new().field(BOLD, "LEAKS").field(PLAIN, &format!("{rate:.1} an hour")))?;
    for (node, count, rebooted) in by_node.into_iter().take(SHOWN) {
        let why = if rebooted { "rebooted in this time" } else { "" };
        paper.paragraph(2, 4, &Text::new().field(PLAIN, node).field(PLAIN, &count.to_string()).field(DIM, why))?;
    }
    Ok(())
}

fn pools(cluster: &ClusterReport, paper: &mut Paper<'_>) -> Result<()> {
    let trends: Vec<_> = cluster.pools.iter().filter_map(|p| Some((p, p.points.first()?, p.points.last()?))).collect();
    if trends.is_empty() {
        return Ok(());
    }
    paper.blank()?;
    paper.paragraph(0, 0, &Text::new().field(BOLD, "POOLS").field(DIM, "addresses allocated over time"))?;
    for (pool, first, last) in trends {
        let line = sparkline(&pool.points.iter().map(|p| p.allocated).collect::<Vec<_>>(), 32);
        let percent = last.allocated.saturating_mul(100) / last.addresses.max(1);
        let text = Text::new()
            .field(PLAIN, &pool.cidr)
            .field(DIM, &pool.name)
            .field(PLAIN, &line)
            .field(PLAIN, &format!("{} -> {} of {} ({percent} %)", first.allocated, last.allocated, last.addresses))
            .field(PLAIN, &format!("{} leaked, {} blocks free", last.leaked, last.free_blocks));
        paper.paragraph(2, 4, &text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::report;
    use super::*;

    #[test]
    fn the_first_line_is_the_answer_and_foreign_names_are_escaped() {
        let mut out = Vec::new();
        write(&report(), Options { color: false, width: 100, all: false }, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let first = text.lines().next().unwrap();
        assert_eq!(first, "Open: 1 critical, 2 errors, 1 warning.  2 new, 1 ongoing, 1 came back, 1 ended");
        for says in
            ["NEW", "CAME BACK", "2. time", "released by us (release 7)", "rebooted in this time", "▁▃▅█", "exit 1"]
        {
            assert!(text.contains(says), "{says}: {text}");
        }
        assert!(!text.contains('\u{202e}') && !text.contains('\r') && !text.contains('\x1b'), "{text:?}");
    }
}
