//! A report for people: the answer first, then what is new, what came back, what stays, what ended.
//!
//! A few findings of a code are told one by one, many are one paragraph; what another open finding explains is only
//! counted. `--all` shows every line.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{BufWriter, Result, Write};

use super::first::{Telling, failures, first_words};
use super::{ClusterReport, ReportView, is_explained, open_tally, trends};
use crate::checks::{self, natural};
use crate::model::row::{Ending, Episode, FindingRow};
use crate::model::{Code, Foreign, Severity, Time};
use crate::render::age::{age, moment};
use crate::render::number::audits;
use crate::render::table::counted;
use crate::render::table::paper::{BOLD, COMMAND, DIM, GOOD, PLAIN, Paper, Text, fitting, short_ids, style_of};

/// Up to so many lines of one code are told one by one.
const FEW: usize = 3;
/// So many subjects of many are named at most, on so many lines.
const FIRST: usize = 10;
const LINES: usize = 2;
/// Where everything but the code begins.
const HANG: usize = 7;

/// How to print.
#[derive(Clone, Copy, Debug)]
pub struct ReportOptions {
    pub color: bool,
    pub width: usize,
    pub all: bool,
}

/// Prints a report.
///
/// # Errors
/// When `out` cannot be written.
pub fn write(view: &ReportView, options: ReportOptions, out: &mut dyn Write) -> Result<()> {
    let mut out = BufWriter::new(out);
    let mut paper = Paper::new(&mut out, options.width, options.color);
    if view.clusters.is_empty() {
        paper.paragraph(0, 0, &Text::new().field(BOLD, "The history knows no such cluster."))?;
    }
    for (i, cluster) in view.clusters.iter().enumerate() {
        if i > 0 {
            paper.blank()?;
        }
        one(view, cluster, options, &mut paper)?;
    }
    paper.blank()?;
    let exit = format!("exit {} ({})", view.exit.code(), view.exit.word());
    paper.paragraph(0, 0, &Text::new().field(DIM, &exit))?;
    out.flush()
}

fn one(view: &ReportView, cluster: &ClusterReport, options: ReportOptions, paper: &mut Paper<'_>) -> Result<()> {
    verdict(view, cluster, paper)?;
    paper.paragraph(0, 2, &head(view, cluster))?;
    for sentence in trust(view, cluster) {
        paper.paragraph(0, 2, &Text::new().field(style_of(Severity::Warning), &sentence))?;
    }
    for (name, lines) in cluster.sections() {
        section(name, lines, cluster, view, options, paper)?;
    }
    trends::leaks(view, cluster, paper)?;
    trends::pools(view, cluster, paper)
}

fn telling<'t>(when: &'t dyn Fn(Time) -> String) -> Telling<'t> {
    Telling { when, foreign: &|text| text.shown().into_owned() }
}

/// The first line is the answer.
fn verdict(view: &ReportView, cluster: &ClusterReport, paper: &mut Paper<'_>) -> Result<()> {
    let roots = cluster.roots();
    let open = open_tally(cluster);
    let first = first_words(cluster, &open, &telling(&|at| moment(at, view.now)));
    let text = match (first, cluster.open().map(|l| l.finding.severity).max()) {
        (Some(first), _) => Text::new().field(BOLD, &first),
        (None, None) => Text::new().field(GOOD, "Nothing is open."),
        (None, Some(worst)) => Text::new().field(style_of(worst).bold(), &format!("Open: {open}.")),
    };
    let sections = cluster.sections().into_iter().filter(|(_, lines)| !lines.is_empty());
    // As the counts before them: what another open finding explains is not counted.
    let shown = |lines: &[Episode]| lines.iter().filter(|l| !is_explained(l, &roots)).count();
    let moved: Vec<String> = sections
        .map(|(name, lines)| (shown(lines), name))
        .filter(|(number, _)| *number > 0)
        .map(|(number, name)| format!("{number} {name}"))
        .collect();
    paper.paragraph(0, 2, &text.field(PLAIN, &moved.join(", ")))
}

fn head(view: &ReportView, cluster: &ClusterReport) -> Text {
    let when = |at: Time| moment(at, view.now);
    let mut text = Text::new().field(DIM, &format!("datastore {}", cluster.guid.short(12).shown()));
    if cluster.apart {
        text = text.field(DIM, "Kubernetes cluster unknown");
    } else if view.clusters.len() > 1
        && let Some(uid) = cluster.kubernetes_uids.first()
    {
        text = text.field(DIM, &format!("Kubernetes {}", uid.short(12).shown()));
    }
    let window = format!("{} to {}", when(view.since), when(view.until));
    text = text.field(DIM, &window).field(DIM, &audits(cluster.audits));
    if let Some(last) = cluster.last_audit {
        text = text.field(DIM, &format!("last {} before the end", age(view.until.since(last))));
    }
    if !view.narrowed_by.is_empty() {
        text = text.field(DIM, &format!("only {}", view.narrowed_by.join(" ")));
    }
    text
}

/// Gaps and incomplete audits: what was not seen may have been there.
fn trust(view: &ReportView, cluster: &ClusterReport) -> Vec<String> {
    let mut sentences = Vec::new();
    let when = |at: Time| moment(at, view.now);
    sentences.extend(failures(cluster, &telling(&when)));
    if let Some(last) = cluster.incomplete.last() {
        let number = format!("{} of {} audits incomplete", cluster.incomplete.len(), cluster.audits);
        sentences.push(format!("{number}, last {}: {}", when(last.at), last.why.shown()));
    }
    if let Some(&(from, to)) = cluster.gaps.iter().max_by_key(|(from, to)| to.since(*from)) {
        let ends = format!("{} ({} to {})", age(to.since(from)), when(from), when(to));
        sentences.push(match cluster.gaps.len() {
            1 => format!("nobody looked for {ends}"),
            many => format!("{many} times nobody looked, the longest for {ends}"),
        });
    }
    sentences
}

fn section(
    name: &str,
    lines: &[Episode],
    cluster: &ClusterReport,
    view: &ReportView,
    options: ReportOptions,
    paper: &mut Paper<'_>,
) -> Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    paper.blank()?;
    let title = match name {
        "not looked at" => "NOT LOOKED AT: an input of the last audit was missing, so it counts as open".to_owned(),
        name => name.to_uppercase(),
    };
    paper.paragraph(0, 0, &Text::new().field(BOLD, &title))?;
    let roots = cluster.roots();
    let shown: Vec<&Episode> = lines.iter().filter(|l| options.all || !is_explained(l, &roots)).collect();
    for same in shown.chunk_by(|a, b| a.finding.is_told_with(&b.finding)) {
        if same.len() > FEW && !options.all {
            group(same, view, paper)?;
        } else {
            same.iter().try_for_each(|line| finding(line, view, paper))?;
        }
    }
    if shown.len() < lines.len() {
        let text = format!("+{} explained by what is open: --all shows them", lines.len() - shown.len());
        paper.paragraph(HANG, HANG, &Text::new().field(DIM, &text))?;
    }
    Ok(())
}

fn name(finding: &FindingRow) -> Text {
    let code = finding.code;
    Text::new().field(style_of(finding.severity).bold(), &code.to_string()).then(BOLD, checks::name(code))
}

fn finding(line: &Episode, view: &ReportView, paper: &mut Paper<'_>) -> Result<()> {
    let told = &line.finding;
    let mut text = name(told).whole(BOLD, &told.subject.shown()).field(PLAIN, &short_ids(&told.summary.shown()));
    if let Some(node) = told.node.as_ref().filter(|node| !told.summary.has(node)) {
        text = text.then(DIM, &format!("(on {})", node.shown()));
    }
    paper.with_right(0, HANG, &text, &Text::new().field(DIM, &life(line, view)))
}

fn life(line: &Episode, view: &ReportView) -> String {
    let when = |at: Time| moment(at, view.now);
    let since = format!("since {}, {}", when(line.opened.at), audits(line.audits_seen));
    let again = if line.number > 1 { format!(", {}. time", line.number) } else { String::new() };
    let end = match (line.ended, &line.ending) {
        (Some(seen), Ending::Released(Some(id))) => format!("; released by us (release {id}) by {}", when(seen.at)),
        (Some(seen), ending) => format!("; {} by {}", how(ending), when(seen.at)),
        (None, Ending::InputMissing) => format!("; last seen {}", when(line.last_seen.at)),
        (None, _) => String::new(),
    };
    format!("{since}{again}{end}")
}

fn how(ending: &Ending) -> Cow<'_, str> {
    match ending {
        Ending::Resolved => "gone".into(),
        Ending::Released(_) => "released by us".into(),
        Ending::RuleChanged => "judged otherwise now".into(),
        other => other.word().shown().into_owned().into(),
    }
}

/// Many findings of one code as one paragraph.
fn group(lines: &[&Episode], view: &ReportView, paper: &mut Paper<'_>) -> Result<()> {
    let Some(first) = lines.first() else { return Ok(()) };
    let first = &first.finding;
    let mut title = match first.kind.known() {
        Some(kind) => counted(lines.len(), kind),
        None => format!("{} findings", lines.len()),
    };
    title.push_str(&places(lines));
    let oldest = lines.iter().map(|l| l.opened.at).min().unwrap_or_default();
    let since = Text::new().whole(DIM, &format!("since {}", moment(oldest, view.now)));
    paper.with_right(0, HANG, &name(first).field(PLAIN, &title), &since)?;
    let ends = ends(lines);
    if !ends.is_empty() {
        paper.paragraph(HANG, HANG, &Text::new().field(PLAIN, &ends))?;
    }
    let ids = || lines.iter().take(FIRST).map(|l| l.finding.subject.shown());
    let number = fitting(ids(), paper.width, HANG, LINES).max(1);
    let text = ids().take(number).fold(Text::new(), |text, id| text.whole(PLAIN, &id));
    let text = text.whole(DIM, &format!("… {} more", lines.len() - number));
    paper.with_right(HANG, HANG, &text, &Text::new().whole(COMMAND, &see_all(first.code, view)))
}

/// ` on 4 nodes, 60 of them on slave-96`
fn places(lines: &[&Episode]) -> String {
    let mut counts: HashMap<&Foreign, usize> = HashMap::new();
    for node in lines.iter().filter_map(|l| l.finding.node.as_ref()) {
        *counts.entry(node).or_default() += 1;
    }
    let most = counts.iter().max_by(|(a, m), (b, n)| m.cmp(n).then_with(|| b.cmp_by(a, natural)));
    match (counts.len(), most) {
        (1, Some((node, number))) if *number == lines.len() => format!(" on {}", node.shown()),
        (nodes, Some((node, number))) if number * 2 > lines.len() => {
            let on = if nodes > 1 { format!(" on {nodes} nodes") } else { String::new() };
            format!("{on}, {number} of them on {}", node.shown())
        }
        (nodes @ 2.., _) => format!(" on {nodes} nodes"),
        _ => String::new(),
    }
}

/// `60 gone, 3 released by us`, of what has ended.
fn ends(lines: &[&Episode]) -> String {
    let mut counts: Vec<(Cow<'_, str>, usize)> = Vec::new();
    for line in lines.iter().filter(|l| l.ended.is_some()) {
        let word = how(&line.ending);
        match counts.iter_mut().find(|(known, _)| *known == word) {
            Some((_, number)) => *number += 1,
            None => counts.push((word, 1)),
        }
    }
    counts.iter().map(|(word, number)| format!("{number} {word}")).collect::<Vec<_>>().join(", ")
}

fn see_all(code: Code, view: &ReportView) -> String {
    let second = |at: Time| Time(at.0.div_euclid(1_000_000_000).saturating_mul(1_000_000_000));
    let mut flags = vec![format!("--since {}", second(view.since))];
    if view.until < view.now {
        flags.push(format!("--until {}", view.until));
    }
    flags.extend(view.narrowed_by.iter().filter(|flag| !flag.starts_with("--code ")).cloned());
    format!("ipaudit report {} --code {} --all", flags.join(" "), code)
}

#[cfg(test)]
mod tests;
