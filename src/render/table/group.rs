//! Many findings of one code as one paragraph: how many, where, how old, the first of them, how to see all.

use std::io::Result;

use super::advices;
use super::commands;
use super::details;
use super::line::counted_on;
use super::line::{HANG, column, explains, name};
use super::options::Options;
use super::paper::{COMMAND, DIM, PLAIN, Paper, Text, short_ids};
use crate::checks::datastore::datastore_locked::first_and_then;
use crate::checks::evidence::{is_release, sandbox, words};
use crate::model::{Finding, Foreign, Gist, KeptFinding, Severity, State, Time};
use crate::render::age::{age, moment};
use crate::render::commands::{of, repairs, see_all};
use crate::render::folds::Folds;
use crate::render::number::grouped;
use crate::render::places::{ByNode, most_first};
use crate::render::pod_sets::sets;
use crate::render::releases::ReleaseOfAll;
use crate::render::verdict::first_things_first;
use crate::render::view::AuditView;

/// So many subjects are named at most, on so many lines.
const FIRST: usize = 10;
const LINES: usize = 4;
/// So many reasons are named.
const REASONS: usize = 4;

/// So many commands are shown without `--all`, put together of those of so many restarts: the most urgent ones.
const MOST: usize = 4;
const TOGETHER: usize = 10;
/// Of so many restarts the findings are told in full, and of so many more with their pods.
const IN_FULL: usize = 3;
const IN_SHORT: usize = 20;
/// So many pods of one of these.
const PODS: usize = 3;

pub fn write(
    view: &AuditView<'_>,
    folds: &Folds<'_>,
    shown: &[usize],
    findings: &[&KeptFinding],
    options: Options,
    paper: &mut Paper<'_>,
) -> Result<()> {
    let mut findings = findings.to_vec();
    first_things_first(&mut findings);
    let Some(first) = findings.first().map(|first| first.open()) else { return Ok(()) };
    let facts = Facts::of(&findings);
    let title = name(&first).column(PLAIN, &facts.title(&findings, view.audit.judged), column(paper));
    paper.with_right(0, HANG, &title, &Text::new().whole(DIM, &facts.since(view)))?;
    for line in
        [facts.places.by_node(), facts.reasons(), alike(facts.same_summary.as_ref()), alike(facts.same_advice.as_ref())]
    {
        paper_line(paper, &line)?;
    }
    let is_urgent = first.gravity() == Severity::Critical || restarts(&first).next().is_some();
    // Those that are told in full, each with its own advice, do not repeat what comes first for all.
    let facts = Facts { before_all: facts.before_all.filter(|_| is_urgent || options.all), ..facts };
    paper_line(paper, &alike(facts.before_all.as_ref()))?;
    if let Some(text) = explains(folds, shown, None) {
        paper.paragraph(HANG, HANG, &text)?;
    }
    // The urgent ones are told in full, and with `--all` all of them.
    let told = match facts.same_advice.is_none() && !is_urgent && !options.all {
        true => advices::write(&findings, paper)?,
        false => Vec::new(),
    };
    let release = release_of_all(view, folds, shown, &findings);
    let command = release.as_ref().and_then(ReleaseOfAll::command).map(str::to_owned);
    if let Some((of, says)) = release.as_ref().and_then(|release| Some((release.code, release.says_beside(&told)?))) {
        let whose = if of == first.code { String::new() } else { format!("{of}: ") };
        paper_line(paper, &format!("{whose}{says}"))?;
    }
    if options.all {
        let commands: Vec<String> = command.iter().cloned().chain(rest(command.is_some(), &findings, folds)).collect();
        commands::write(&commands, usize::MAX, commands.len(), paper)?;
        return findings.iter().try_for_each(|finding| whole(view, &facts, folds, &finding.open(), options, paper));
    }
    match is_urgent {
        true => by_urgency(view, &facts, folds, &findings, options, paper)?,
        false => {
            if facts.same_advice.is_some() {
                paper.paragraph(HANG, HANG, &advices::subjects(&findings, FIRST, LINES, paper.width, HANG))?;
            }
            for (hang, line) in details::sandboxes(&findings, false) {
                paper.paragraph(HANG, hang, &line)?;
            }
        }
    }
    let sets = sets(&findings);
    let (most, commands) = of_the_first(command.is_some(), &sets, folds);
    // A release asks once more before it writes.
    let is_asked = command.is_some() || commands.iter().all(|command| is_release(command));
    if !is_asked && findings.iter().any(|finding| sandbox::told(&finding.open()).next().is_some()) {
        paper_line(paper, details::ONLY_THEN)?;
    }
    if let Some(command) = &command {
        commands::write(std::slice::from_ref(command), 1, 1, paper)?;
    }
    if most < sets.len() && !commands.is_empty() {
        let them = if most == 1 { "the first".to_owned() } else { format!("the first {most}") };
        let what = if sets.len() < findings.len() { " sets of pods" } else { "" };
        paper_line(paper, &format!("for {them} of {}{what}:", grouped(sets.len() as u64)))?;
    }
    commands::write(&commands, MOST, commands.len(), paper)?;
    let see_all = see_all(&[first.code], view);
    match commands.iter().take(MOST).any(|command| *command == see_all) {
        true => Ok(()),
        false => paper.paragraph(HANG, HANG, &Text::new().whole(COMMAND, &see_all)),
    }
}

/// As many of the first as few commands are enough for, and these: never some of the commands that a finding needs.
fn of_the_first(is_released: bool, sets: &[&[&KeptFinding]], folds: &Folds<'_>) -> (usize, Vec<String>) {
    let of = |number: usize| rest(is_released, &sets.get(..number).unwrap_or_default().concat(), folds);
    let most = sets.len().min(TOGETHER);
    let number = (1..=most).rev().find(|number| of(*number).len() <= MOST).unwrap_or(1);
    (number, of(number))
}

/// What each of them says to type, beside the one release that takes all that it takes.
fn rest(is_released: bool, findings: &[&KeptFinding], folds: &Folds<'_>) -> Vec<String> {
    let is_taken =
        |command: &String| is_released && is_release(command) && !words(command).contains(&"--i-know-what-this-is");
    repairs(findings.iter().map(|finding| finding.open()), folds)
        .into_iter()
        .filter(|command| !is_taken(command))
        .collect()
}

/// `ipaudit release --code IPA110 --older-than 24h`, where these are what it takes, or explain some.
fn release_of_all(
    view: &AuditView<'_>,
    folds: &Folds<'_>,
    shown: &[usize],
    findings: &[&KeptFinding],
) -> Option<ReleaseOfAll> {
    let codes = findings.first().map(|f| f.code).into_iter().chain(folds.under(shown));
    codes.into_iter().find_map(|code| view.release_of(code))
}

fn restarts(finding: &Finding) -> impl Iterator<Item = &Foreign> {
    finding.evidence.texts("restart")
}

/// The most urgent in full, further ones with the pods that they are about.
fn by_urgency(
    view: &AuditView<'_>,
    facts: &Facts<'_>,
    folds: &Folds<'_>,
    findings: &[&KeptFinding],
    options: Options,
    paper: &mut Paper<'_>,
) -> Result<()> {
    let restart = findings.iter().any(|finding| restarts(&finding.open()).next().is_some());
    paper_line(paper, if restart { "restart first:" } else { "first:" })?;
    let sets = sets(findings);
    let (first_sets, further) = sets.split_at(IN_FULL.min(sets.len()));
    for (finding, likewise) in first_sets.iter().filter_map(|set| set.split_first()) {
        whole(view, facts, folds, &finding.open(), options, paper)?;
        if !likewise.is_empty() {
            let ids: Vec<String> = likewise.iter().map(|f| short_ids(&f.subject.id.shown())).collect();
            paper.paragraph(HANG + 2, HANG + 2, &Text::new().field(PLAIN, &format!("likewise {}", ids.join(", "))))?;
        }
    }
    let (in_full, rest) = findings.split_at(first_sets.iter().map(|set| set.len()).sum::<usize>().min(findings.len()));
    let mut text = Text::new().field(PLAIN, "then");
    for (finding, likewise) in further.iter().take(IN_SHORT).filter_map(|set| set.split_first()) {
        let finding = finding.open();
        text = text.whole(PLAIN, &short_ids(&finding.subject.id.shown()));
        text = likewise.iter().fold(text, |text, f| text.then(PLAIN, &short_ids(&f.subject.id.shown())));
        text = restarts(&finding).take(PODS).fold(text, |text, pod| text.then(PLAIN, &pod.shown()));
        if let Some(more @ 1..) = restarts(&finding).count().checked_sub(PODS) {
            text = text.then(DIM, &format!("and {} more", grouped(more as u64)));
        }
        if let Some(keep) = finding.evidence.text("keep") {
            text = text.then(DIM, &format!("(keep {})", short_ids(&keep.shown())));
        }
    }
    if let Some(more) = further.get(IN_SHORT..).filter(|more| !more.is_empty()) {
        let more = more.iter().map(|set| set.len()).sum::<usize>();
        text = text.whole(DIM, &format!("… {} more", grouped(more as u64)));
    }
    if rest.is_empty() {
        return Ok(());
    }
    paper.paragraph(HANG, HANG + 6, &text)?;
    if facts.same_advice.is_none() {
        advices::others(rest, in_full, |finding| facts.own_advice(finding), paper)?;
    }
    details::sandboxes(rest, false).iter().try_for_each(|(hang, line)| paper.paragraph(HANG, *hang, line))
}

fn paper_line(paper: &mut Paper<'_>, line: &str) -> Result<()> {
    if line.is_empty() { Ok(()) } else { paper.paragraph(HANG, HANG, &Text::new().field(PLAIN, &short_ids(line))) }
}

/// What all of them say; empty where they differ.
fn alike(same: Option<&Foreign>) -> String {
    same.map_or_else(String::new, |text| text.shown().into_owned())
}

/// One of them in full: what it says beside the others, what its check shows, and with `--all` what to type.
fn whole(
    view: &AuditView<'_>,
    facts: &Facts<'_>,
    folds: &Folds<'_>,
    finding: &Finding,
    options: Options,
    paper: &mut Paper<'_>,
) -> Result<()> {
    let mut text = Text::new().whole(PLAIN, &short_ids(&finding.subject.id.shown()));
    text = text.field(PLAIN, &short_ids(&finding.summary.shown()));
    if finding.state == State::Unconfirmed {
        text = text.then(DIM, "(unconfirmed)");
    }
    if let Some(root) = finding.root.as_ref().filter(|_| options.all) {
        text = text.field(DIM, &format!("explained by {} {}", root.code, root.id.shown()));
    }
    let old = finding.since.map(|t| age(view.audit.judged.since(t))).unwrap_or_default();
    paper.with_right(HANG, HANG + 2, &text, &Text::new().whole(DIM, &old))?;
    let advice = facts.own_advice(finding);
    if !advice.is_empty() {
        paper.paragraph(HANG + 2, HANG + 2, &Text::new().field(PLAIN, &short_ids(&advice.shown())))?;
    }
    for (hang, line) in details::of(finding, options.all) {
        paper.paragraph(HANG + 2, hang + 2, &line)?;
    }
    let commands = if options.all { of(finding, folds, true) } else { Vec::new() };
    commands::write(&commands, usize::MAX, commands.len(), paper)
}

/// What the findings have in common, and what tells them apart.
#[derive(Debug, Default)]
struct Facts<'f> {
    places: ByNode<'f>,
    oldest: Option<Time>,
    first_seen: Option<Time>,
    new: usize,
    unconfirmed: usize,
    reasons: Vec<(Foreign, usize)>,
    total: usize,
    /// What all of them say alike.
    same_summary: Option<Foreign>,
    same_advice: Option<Foreign>,
    /// What comes first for all of them, where the rest of their advice differs.
    before_all: Option<Foreign>,
}

impl<'f> Facts<'f> {
    fn of(findings: &[&'f KeptFinding]) -> Facts<'f> {
        let said = SaidByAll::of(findings);
        let life = |f: &Gist| f.life.is_some_and(|life| life.audits_seen == 1 && life.episode == 1);
        Facts {
            places: ByNode::of(findings),
            oldest: findings.iter().filter_map(|f| f.since).min(),
            first_seen: findings.iter().filter_map(|f| Some(f.life?.first_seen)).min(),
            new: findings.iter().filter(|f| life(f)).count(),
            unconfirmed: findings.iter().filter(|f| f.state == State::Unconfirmed).count(),
            reasons: most_first(said.reasons.iter()).into_iter().map(|(reason, n)| (reason.clone(), n)).collect(),
            total: findings.len(),
            same_summary: said.summary,
            before_all: said.before.flatten().filter(|_| said.advice.is_none()),
            same_advice: said.advice,
        }
    }

    /// What a finding advises that is not said of all.
    fn own_advice(&self, finding: &Finding) -> Foreign {
        match first_and_then(&finding.advice) {
            _ if self.same_advice.is_some() => Foreign::default(),
            Some((_, then)) if self.before_all.is_some() => then,
            _ => finding.advice.clone(),
        }
    }

    /// `63 addresses on 4 nodes, 60 of them on slave-96, oldest 11d`.
    fn title(&self, findings: &[&KeptFinding], now: Time) -> String {
        let Some(first) = findings.first() else { return String::new() };
        let mut text = counted_on(findings.len(), first.subject.kind, &self.places.on());
        if let Some(oldest) = self.oldest {
            text.push_str(&format!(", oldest {}", age(now.since(oldest))));
        }
        if self.unconfirmed > 0 {
            text.push_str(&format!(", {} unconfirmed", grouped(self.unconfirmed as u64)));
        }
        text
    }

    /// `60 no such pod, 3 finished`, where there is more than one reason. One that all have is told where it is a sentence and
    /// their summaries differ: nothing else would say it.
    fn reasons(&self) -> String {
        match self.reasons.as_slice() {
            [] => return String::new(),
            [(reason, number)] => {
                let is_all = *number == self.total && self.same_summary.is_none();
                let says = is_all && reason.shown().contains(' ');
                return if says { reason.shown().into_owned() } else { String::new() };
            }
            _ => {}
        }
        // A reason is a word with hyphens (`no-such-pod`) or a sentence.
        let plain = |reason: &str| if reason.contains(' ') { reason.to_owned() } else { reason.replace('-', " ") };
        let named = self
            .reasons
            .iter()
            .take(REASONS)
            .map(|(reason, number)| format!("{} {}", grouped(*number as u64), plain(&reason.shown())));
        let mut parts: Vec<String> = named.collect();
        let rest: usize = self.reasons.iter().skip(REASONS).map(|(_, number)| number).sum();
        if rest > 0 {
            parts.push(format!("{} for other reasons", grouped(rest as u64)));
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
        if self.new > 0 { format!("{since}, {} new", grouped(self.new as u64)) } else { since }
    }
}

/// What many findings say: each is opened once for it.
#[derive(Debug, Default)]
struct SaidByAll {
    reasons: Vec<Foreign>,
    /// What all of them say; `None` where they differ.
    summary: Option<Foreign>,
    advice: Option<Foreign>,
    before: Option<Option<Foreign>>,
}

impl SaidByAll {
    fn of(findings: &[&KeptFinding]) -> SaidByAll {
        let mut said = SaidByAll::default();
        for (place, finding) in findings.iter().map(|finding| finding.open()).enumerate() {
            said.reasons.extend(finding.evidence.text("reason").cloned());
            let before = first_and_then(&finding.advice).map(|(first, _)| first);
            said.before = Some(if place == 0 {
                before
            } else {
                said.before.flatten().filter(|known| Some(known) == before.as_ref())
            });
            for (known, told) in [(&mut said.summary, finding.summary), (&mut said.advice, finding.advice)] {
                *known = if place == 0 { Some(told) } else { known.take().filter(|known| *known == told) };
            }
        }
        said
    }
}
