//! The findings, worst first: a few of a code one by one, many as one paragraph.

use std::collections::HashSet;
use std::io::Result;

use super::commands;
use super::details;
use super::group;
use super::line::{HANG, column, elsewhere, explains, name};
use super::options::Options;
use super::paper::{BOLD, DIM, PLAIN, Paper, Text, short_ids, style_of};
use crate::checks::datastore::datastore_locked;
use crate::checks::evidence::looks::only_looks;
use crate::model::{Finding, KeptFinding, Life, Severity, State};
use crate::render::age::{age, moment};
use crate::render::commands::of;
use crate::render::folds::Folds;
use crate::render::view::AuditView;

/// Up to so many findings of one code are told one by one.
const FEW: usize = 3;
/// So many commands of one finding are shown without `--all`.
const OF_ONE: usize = 2;

pub fn write(view: &AuditView<'_>, folds: &Folds<'_>, options: Options, paper: &mut Paper<'_>) -> Result<()> {
    let kind = |i: &usize| view.findings.get(*i).map(|f| (std::cmp::Reverse(f.gravity()), f.code));
    // What nobody looked at again stands where it belongs if it holds.
    let mut shown = folds.shown.clone();
    shown.sort_by_key(kind);
    let (mut section, mut told) = (None, HashSet::new());
    for same in shown.chunk_by(|a, b| kind(a) == kind(b)) {
        let findings: Vec<&KeptFinding> = same.iter().filter_map(|&i| view.findings.get(i).copied()).collect();
        let Some(first) = findings.first() else { continue };
        if section != Some(first.gravity()) {
            open_section(paper, first.gravity(), section.is_none() && options.quiet)?;
            section = Some(first.gravity());
        }
        if findings.len() > FEW {
            group::write(view, folds, same, &findings, options, paper)?;
        } else {
            for (finding, at) in findings.iter().zip(same) {
                one(view, folds, *at, &finding.open(), options, paper)?;
            }
        }
        if let Some(text) = elsewhere(folds, first.code).filter(|_| told.insert(first.code)) {
            paper.paragraph(HANG, HANG, &text)?;
        }
    }
    Ok(())
}

fn open_section(paper: &mut Paper<'_>, severity: Severity, at_the_top: bool) -> Result<()> {
    if !at_the_top {
        paper.blank()?;
    }
    paper.paragraph(0, 0, &Text::new().field(style_of(severity).bold(), &severity.word().to_uppercase()))
}

/// One finding: what it is, what to do, its details, what it explains, what to type.
fn one(
    view: &AuditView<'_>,
    folds: &Folds<'_>,
    at: usize,
    finding: &Finding,
    options: Options,
    paper: &mut Paper<'_>,
) -> Result<()> {
    let mut title = name(finding).column_whole(BOLD, &short_ids(&finding.subject.id.shown()), column(paper));
    title = title.field(PLAIN, &format!("{}{}", short_ids(&finding.summary.shown()), details::addition(finding)));
    if finding.state == State::Unconfirmed {
        title = title.then(DIM, "(unconfirmed)");
    }
    paper.with_right(0, HANG, &title, &Text::new().whole(DIM, &since(view, finding)))?;
    let mut lines = Vec::new();
    if !finding.advice.is_empty() && details::then(finding).is_none() {
        lines.push((HANG, Text::new().field(PLAIN, &short_ids(&finding.advice.shown()))));
    }
    lines.extend(details::of(finding, options.all));
    if let Some(text) = explains(folds, &[at], options.all.then_some(finding)) {
        lines.push((HANG, text));
    }
    for (hang, text) in &lines {
        paper.paragraph(HANG, *hang, text)?;
    }
    // Who reads that the datastore is to be unlocked first finds here what looks who locked it, and what unlocks it.
    let is_whole = options.all || finding.code == datastore_locked::CHECK.code;
    let (shown, every) = (of(finding, folds, is_whole), of(finding, folds, true));
    // Who looks first finds what to do then by `--all`.
    if shown.iter().all(|command| only_looks(command)) && every.iter().any(|c| !only_looks(c) && !shown.contains(c)) {
        paper.paragraph(HANG, HANG, &Text::new().field(DIM, "first look; --all shows what then repairs it:"))?;
    }
    let all = every.len();
    commands::write(&shown, if options.all { usize::MAX } else { OF_ONE }, all, paper)
}

/// How old the evidence is, and since when audits have seen it: `11d old, since 02:49, 2 audits`.
fn since(view: &AuditView<'_>, finding: &Finding) -> String {
    let now = view.audit.judged;
    let mut parts = Vec::new();
    parts.extend(finding.since.map(|t| format!("{} old", age(now.since(t)))));
    match finding.life {
        Some(Life { audits_seen, episode, first_seen, .. }) if audits_seen > 1 || episode > 1 => {
            parts.push(format!("since {}", moment(first_seen, now)));
            parts.push(if audits_seen == 1 { "1 audit".to_owned() } else { format!("{audits_seen} audits") });
            if episode > 1 {
                parts.push("came back".to_owned());
            }
        }
        Some(_) if view.history.is_some() => parts.push("new".to_owned()),
        _ => {}
    }
    parts.join(", ")
}
