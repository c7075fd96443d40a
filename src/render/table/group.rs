//! Many findings of one code as one paragraph: how many, where, how old, the first of them, how to see all.
//!
//! One pass over the findings, whatever their number.

use std::collections::HashMap;
use std::io::Result;

use super::folds::Folds;
use super::line::counted;
use super::line::{HANG, column, explains, name};
use super::options::Options;
use super::paper::{COMMAND, DIM, PLAIN, Paper, Text, fitting, short_ids};
use crate::checks::natural;
use crate::model::{Finding, Foreign, State, Time};
use crate::render::age::{age, moment};
use crate::render::narrow::Narrow;
use crate::render::view::AuditView;

/// So many subjects are named at most, on so many lines.
const FIRST: usize = 10;
const LINES: usize = 4;
/// So many nodes and reasons are named.
const NODES: usize = 6;
const REASONS: usize = 4;

pub fn write(
    view: &AuditView<'_>,
    folds: &Folds,
    shown: &[usize],
    findings: &[&Finding],
    options: Options,
    paper: &mut Paper<'_>,
) -> Result<()> {
    let Some(first) = findings.first() else { return Ok(()) };
    let facts = Facts::of(findings);
    let title = name(first).column(PLAIN, &facts.title(findings, view.audit.judged), column(paper));
    paper.with_right(0, HANG, &title, &Text::new().whole(DIM, &facts.since(view)))?;
    for line in [facts.by_node(), facts.reasons(), alike(facts.same_summary)] {
        paper_line(paper, &line)?;
    }
    paper_line(paper, &alike(facts.same_advice))?;
    if options.all {
        return every(view, folds, shown, findings, paper);
    }
    if let Some(text) = explains(folds, shown, None) {
        paper.paragraph(HANG, HANG, &text)?;
    }
    let command = see_all(first, &view.narrow);
    paper.with_right(HANG, HANG, &first_subjects(findings, paper.width), &Text::new().whole(COMMAND, &command))
}

fn paper_line(paper: &mut Paper<'_>, line: &str) -> Result<()> {
    if line.is_empty() { Ok(()) } else { paper.paragraph(HANG, HANG, &Text::new().field(PLAIN, &short_ids(line))) }
}

/// What all of them say; empty where they differ.
fn alike(same: Option<&Foreign>) -> String {
    same.map_or_else(String::new, |text| text.shown().into_owned())
}

/// `10.65.3.7  10.65.3.9  … 61 more`.
fn first_subjects(findings: &[&Finding], width: usize) -> Text {
    let ids = || findings.iter().take(FIRST).map(|f| f.subject.id.shown());
    let number = fitting(ids(), width, HANG, LINES).max(1);
    let text = ids().take(number).fold(Text::new(), |text, id| text.whole(PLAIN, &id));
    if number == findings.len() {
        return text;
    }
    text.whole(DIM, &format!("… {} more", findings.len() - number))
}

/// With `--all`: a line each.
fn every(
    view: &AuditView<'_>,
    folds: &Folds,
    shown: &[usize],
    findings: &[&Finding],
    paper: &mut Paper<'_>,
) -> Result<()> {
    for (finding, at) in findings.iter().zip(shown) {
        let mut text =
            Text::new().whole(PLAIN, &finding.subject.id.shown()).field(PLAIN, &short_ids(&finding.summary.shown()));
        if finding.state == State::Unconfirmed {
            text = text.then(DIM, "(unconfirmed)");
        }
        if let Some(root) = explains(folds, &[*at], Some(finding)).filter(|_| finding.root.is_some()) {
            text = text.append(root);
        }
        let old = finding.since.map(|t| age(view.audit.judged.since(t))).unwrap_or_default();
        paper.with_right(HANG, HANG + 2, &text, &Text::new().whole(DIM, &old))?;
    }
    Ok(())
}

/// `ipaudit audit --code IPA110 --all`, in the view that people have chosen.
fn see_all(finding: &Finding, narrow: &Narrow) -> String {
    let chosen = Narrow { codes: vec![finding.code], severity: None, ..narrow.clone() };
    format!("ipaudit audit {} --all", chosen.flags().join(" "))
}

/// What one pass over the findings learns.
#[derive(Debug, Default)]
struct Facts<'f> {
    /// Most findings first, then by name.
    nodes: Vec<(&'f Foreign, usize)>,
    oldest: Option<Time>,
    first_seen: Option<Time>,
    new: usize,
    unconfirmed: usize,
    reasons: Vec<(&'f Foreign, usize)>,
    total: usize,
    /// What all of them say alike.
    same_summary: Option<&'f Foreign>,
    same_advice: Option<&'f Foreign>,
}

impl<'f> Facts<'f> {
    fn of(findings: &[&'f Finding]) -> Facts<'f> {
        let mut facts = Facts { total: findings.len(), ..Facts::default() };
        let (mut nodes, mut reasons): (HashMap<&Foreign, usize>, HashMap<&Foreign, usize>) = Default::default();
        facts.same_summary = findings.first().map(|f| &f.summary);
        facts.same_advice = findings.first().map(|f| &f.advice);
        for finding in findings {
            if let Some(node) = &finding.node {
                *nodes.entry(node).or_default() += 1;
            }
            if let Some(reason) = finding.evidence.text("reason") {
                *reasons.entry(reason).or_default() += 1;
            }
            facts.oldest = earlier(facts.oldest, finding.since);
            facts.first_seen = earlier(facts.first_seen, finding.life.map(|life| life.first_seen));
            facts.new += usize::from(finding.life.is_some_and(|life| life.audits_seen == 1 && life.episode == 1));
            facts.unconfirmed += usize::from(finding.state == State::Unconfirmed);
            facts.same_summary = facts.same_summary.filter(|s| **s == finding.summary);
            facts.same_advice = facts.same_advice.filter(|s| **s == finding.advice);
        }
        facts.nodes = sorted(nodes);
        facts.reasons = sorted(reasons);
        facts
    }

    /// `63 addresses on 4 nodes, oldest 11d, 60 of them on slave-96`.
    fn title(&self, findings: &[&Finding], now: Time) -> String {
        let Some(first) = findings.first() else { return String::new() };
        let mut text = counted(findings.len(), first.subject.kind);
        match self.nodes.as_slice() {
            _ if !self.all_have_nodes() => {}
            [] => {}
            [(node, _)] => text.push_str(&format!(" on {}", node.shown())),
            many => text.push_str(&format!(" on {} nodes", many.len())),
        }
        if let Some(oldest) = self.oldest {
            text.push_str(&format!(", oldest {}", age(now.since(oldest))));
        }
        if let Some((node, number)) = self.majority() {
            text.push_str(&format!(", {number} of them on {}", node.shown()));
        }
        if self.unconfirmed > 0 {
            text.push_str(&format!(", {} unconfirmed", self.unconfirmed));
        }
        text
    }

    /// The node that has more than half of them, where there are several.
    fn majority(&self) -> Option<(&'f Foreign, usize)> {
        let (node, number) = *self.nodes.first()?;
        ((self.nodes.len() > 1 || !self.all_have_nodes()) && number * 2 > self.total).then_some((node, number))
    }

    fn all_have_nodes(&self) -> bool {
        self.nodes.iter().map(|(_, number)| number).sum::<usize>() == self.total
    }

    /// `by node: slave-1 12, slave-2 9, 5 more nodes`, where no node has most of them.
    fn by_node(&self) -> String {
        if self.nodes.len() < 2 || self.majority().is_some() || !self.all_have_nodes() {
            return String::new();
        }
        let mut parts: Vec<String> =
            self.nodes.iter().take(NODES).map(|(n, number)| format!("{} {number}", n.shown())).collect();
        match self.nodes.len().saturating_sub(NODES) {
            0 => {}
            1 => parts.push("1 more node".to_owned()),
            more => parts.push(format!("{more} more nodes")),
        }
        format!("by node: {}", parts.join(", "))
    }

    /// `60 no such pod, 3 finished`, where there is more than one reason.
    fn reasons(&self) -> String {
        if self.reasons.len() < 2 {
            return String::new();
        }
        // A reason is a word with hyphens (`no-such-pod`) or a sentence.
        let plain = |reason: &str| if reason.contains(' ') { reason.to_owned() } else { reason.replace('-', " ") };
        let named =
            self.reasons.iter().take(REASONS).map(|(reason, number)| format!("{number} {}", plain(&reason.shown())));
        let mut parts: Vec<String> = named.collect();
        let rest: usize = self.reasons.iter().skip(REASONS).map(|(_, number)| number).sum();
        if rest > 0 {
            parts.push(format!("{rest} for other reasons"));
        }
        parts.join(", ")
    }

    /// Since when audits have seen the first of them, and how many are new.
    fn since(&self, view: &AuditView<'_>) -> String {
        let (Some(first), Some(_)) = (self.first_seen, view.history) else { return String::new() };
        if self.new == self.total {
            return "all new".to_owned();
        }
        let since = format!("since {}", moment(first, view.audit.judged));
        if self.new > 0 { format!("{since}, {} new", self.new) } else { since }
    }
}

fn earlier(a: Option<Time>, b: Option<Time>) -> Option<Time> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// The most frequent first, then by name.
fn sorted(counts: HashMap<&Foreign, usize>) -> Vec<(&Foreign, usize)> {
    let mut list: Vec<(&Foreign, usize)> = counts.into_iter().collect();
    list.sort_by(|(a, m), (b, n)| n.cmp(m).then_with(|| a.cmp_by(b, natural)));
    list
}
