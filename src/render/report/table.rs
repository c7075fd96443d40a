//! A report for people: the answer first, then what is new, what came back, what stays, what ended.
//!
//! A few findings of a code are told one by one, many are one paragraph; what another open finding explains is only
//! counted. `--all` shows every line.

use std::cell::Cell;
use std::io::{BufWriter, Result, Write};

use super::answer::answer;
use super::clock::Clock;
use super::doubts::doubts;
use super::first::{Telling, failures, no_cluster};
use super::lives::{ends, life, oldest, title};
use super::repairs::repairs;
use super::replaced::replaced;
use super::sections::{Section, sections};
use super::{ClusterReport, ReportView, commands, trends};
use crate::checks;
use crate::model::row::{Episode, FindingRow};
use crate::model::{Foreign, Severity};
use crate::render::age::age;
use crate::render::number::{audits, grouped};
use crate::render::table::paper::{BOLD, COMMAND, DIM, GOOD, PLAIN, Paper, Text, fitting, short_ids, style_of};

/// Up to so many lines of one code are told one by one.
const FEW: usize = 3;
/// So many subjects of many are named at most, on so many lines.
const FIRST: usize = 10;
const LINES: usize = 2;
/// So many times at which audits left doubt are told.
const DOUBTS: usize = 8;
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
    let clock = Clock::of(view);
    let foreign = |text: &Foreign| short_ids(&text.shown());
    let failed = failures(view, &Telling { when: &|at| clock.at(at), foreign: &foreign });
    if let Some(failed) = failed.as_ref().filter(|_| view.is_blind()) {
        paper.paragraph(0, 2, &Text::new().field(style_of(Severity::Error).bold(), failed))?;
    }
    if view.clusters.is_empty() {
        paper.paragraph(0, 0, &Text::new().field(BOLD, no_cluster(view)))?;
    }
    for (i, cluster) in view.clusters.iter().enumerate() {
        if i > 0 {
            paper.blank()?;
        }
        match replaced(cluster, view, clock) {
            Some((says, command)) => {
                paper.paragraph(0, 2, &Text::new().field(PLAIN, &says))?;
                paper.paragraph(2, 2, &Text::new().whole(COMMAND, &command.shown()))?;
            }
            None => one(view, cluster, options, &mut paper)?,
        }
    }
    if let Some(failed) = failed.filter(|_| !view.is_blind()) {
        paper.blank()?;
        paper.paragraph(0, 2, &Text::new().field(style_of(Severity::Warning), &failed))?;
    }
    paper.blank()?;
    let exit = format!("exit {} ({})", view.exit.code(), view.exit.word());
    paper.paragraph(0, 0, &Text::new().field(DIM, &exit))?;
    out.flush()
}

/// One cluster's part, and how it is told.
struct TablePart<'v> {
    view: &'v ReportView,
    cluster: &'v ClusterReport,
    options: ReportOptions,
    clock: Clock,
    /// Whether a command was shown that reads etcd or Kubernetes.
    reads_live: Cell<bool>,
}

fn one(view: &ReportView, cluster: &ClusterReport, options: ReportOptions, paper: &mut Paper<'_>) -> Result<()> {
    let part = TablePart { view, cluster, options, clock: Clock::of(view), reads_live: Cell::new(false) };
    part.verdict(paper)?;
    paper.paragraph(0, 2, &part.head())?;
    part.doubts(paper)?;
    for section in sections(cluster, options.all) {
        part.section(&section, paper)?;
    }
    part.repairs(paper)?;
    if part.reads_live.get() {
        paper.blank()?;
        paper.paragraph(0, 0, &Text::new().field(DIM, commands::LEFT_OUT))?;
    }
    trends::leaks(cluster, part.clock, paper)?;
    // Under a name that nobody knows nothing else is an answer.
    if cluster.unknown.is_empty() { trends::pools(view, cluster, part.clock, paper) } else { Ok(()) }
}

impl TablePart<'_> {
    fn told<T>(&self, what: impl FnOnce(&Telling<'_>) -> T) -> T {
        what(&Telling { when: &|at| self.clock.at(at), foreign: &|text| short_ids(&text.shown()) })
    }

    /// The first line is the answer.
    fn verdict(&self, paper: &mut Paper<'_>) -> Result<()> {
        let says = self.told(|telling| answer(self.cluster, self.clock, telling));
        let style = |(at, worst): (usize, Option<Severity>)| match (at, worst) {
            (0, None) => GOOD,
            (0, Some(worst)) => style_of(worst).bold(),
            _ => PLAIN,
        };
        let said = says.iter().enumerate();
        let text = said.fold(Text::new(), |text, (at, says)| text.then(style((at, says.worst)), &says.text));
        paper.paragraph(0, 2, &text)
    }

    fn head(&self) -> Text {
        let TablePart { view, cluster, .. } = self;
        let mut text = Text::new().field(DIM, &format!("datastore {}", cluster.guid.short(12).shown()));
        if cluster.apart {
            text = text.field(DIM, "Kubernetes cluster unknown");
        } else if view.clusters.len() > 1
            && let Some(uid) = cluster.kubernetes_uids.first()
        {
            text = text.field(DIM, &format!("Kubernetes {}", uid.short(12).shown()));
        }
        let window = self.clock.span(view.since, view.until);
        text = text.field(DIM, &window).field(DIM, &audits(cluster.audits));
        if let Some(last) = cluster.last_audit {
            text = text.field(DIM, &format!("last {} before the end", age(view.until.since(last))));
        }
        if !view.narrowed_by.is_empty() {
            text = text.field(DIM, &format!("only {}", view.narrowed_by.join(" ")));
        }
        text
    }

    /// What was not seen may have been there.
    fn doubts(&self, paper: &mut Paper<'_>) -> Result<()> {
        let doubts = self.told(|telling| doubts(self.cluster, telling));
        if doubts.is_empty() {
            return Ok(());
        }
        paper.blank()?;
        let title = Text::new().field(BOLD, "UNSEEN").field(DIM, "where the audits themselves leave doubt");
        paper.paragraph(0, 0, &title)?;
        let most = if self.options.all { doubts.len() } else { DOUBTS };
        for doubt in doubts.iter().take(most) {
            let when = Text::new().whole(PLAIN, &doubt.when(self.clock));
            paper.paragraph(2, 4, &when.field(style_of(Severity::Warning), &doubt.says))?;
        }
        if doubts.len() > most {
            let more = format!("… {} more: --all shows them", grouped((doubts.len() - most) as u64));
            paper.paragraph(2, 4, &Text::new().field(DIM, &more))?;
        }
        Ok(())
    }

    fn section(&self, section: &Section<'_>, paper: &mut Paper<'_>) -> Result<()> {
        paper.blank()?;
        paper.paragraph(0, 2, &Text::new().field(BOLD, section.title).field(DIM, section.about))?;
        for same in &section.groups {
            if same.len() > FEW && !self.options.all {
                self.group(same, section.ended, paper)?;
            } else {
                same.iter().try_for_each(|line| self.finding(line, paper))?;
                self.ask(same, section.ended, paper)?;
            }
        }
        if section.explained > 0 {
            let text = format!("+{} explained by what is told: --all shows them", grouped(section.explained as u64));
            paper.paragraph(HANG, HANG, &Text::new().field(DIM, &text))?;
        }
        Ok(())
    }

    /// What gives back what is open, a command each.
    fn repairs(&self, paper: &mut Paper<'_>) -> Result<()> {
        let repairs = repairs(self.cluster, self.view);
        if repairs.is_empty() {
            return Ok(());
        }
        paper.blank()?;
        paper.paragraph(0, 0, &Text::new().field(BOLD, "TO RELEASE"))?;
        for repair in repairs {
            paper.paragraph(2, 4, &Text::new().field(PLAIN, &repair.says))?;
            self.command(2, &repair.command, paper)?;
        }
        Ok(())
    }

    /// Of what is open and urgent the commands that say more of it, a line each.
    fn ask(&self, lines: &[&Episode], ended: bool, paper: &mut Paper<'_>) -> Result<()> {
        let urgent = lines.first().is_some_and(|line| !ended && line.finding.severity >= Severity::Error);
        for command in commands::ask(lines, FEW, &self.cluster.guid, self.view).iter().filter(|_| urgent) {
            self.command(HANG, command, paper)?;
        }
        Ok(())
    }

    /// A line of its own.
    fn command(&self, indent: usize, command: &Foreign, paper: &mut Paper<'_>) -> Result<()> {
        self.reads_live.set(self.reads_live.get() || commands::reads_live(command));
        paper.paragraph(indent, indent, &Text::new().whole(COMMAND, &command.shown()))
    }

    fn finding(&self, line: &Episode, paper: &mut Paper<'_>) -> Result<()> {
        let told = &line.finding;
        let mut text = name(told);
        text = text.whole(BOLD, &told.short_subject().shown()).field(PLAIN, &short_ids(&told.summary.shown()));
        if let Some(node) = told.node.as_ref().filter(|node| !told.summary.has(node)) {
            text = text.then(DIM, &format!("(on {})", node.shown()));
        }
        paper.with_right(0, HANG, &text, &Text::new().field(DIM, &life(line, self.cluster, self.clock)))
    }

    /// Many findings of one code as one paragraph.
    fn group(&self, lines: &[&Episode], ended: bool, paper: &mut Paper<'_>) -> Result<()> {
        let Some(first) = lines.first() else { return Ok(()) };
        let since = Text::new().whole(DIM, &format!("since {}", self.clock.at(oldest(lines))));
        paper.with_right(
            0,
            HANG,
            &name(&first.finding).field(PLAIN, &title(lines, &|node| node.shown().into_owned())),
            &since,
        )?;
        if ended && lines.iter().any(|line| line.ended.is_some()) {
            paper.paragraph(HANG, HANG, &Text::new().field(PLAIN, &ends(lines, self.cluster, self.clock)))?;
        }
        let ids = || lines.iter().take(FIRST).map(|l| l.finding.subject.shown());
        let number = fitting(ids(), paper.width, HANG, LINES).max(1);
        let text = ids().take(number).fold(Text::new(), |text, id| text.whole(PLAIN, &id));
        let text = match lines.len() - number {
            0 => text,
            more => text.whole(DIM, &format!("… {} more", grouped(more as u64))),
        };
        paper.paragraph(HANG, HANG, &text)?;
        let command = commands::see_all(first.finding.code, &self.cluster.guid, self.view);
        self.command(HANG, &command, paper)
    }
}

fn name(finding: &FindingRow) -> Text {
    let code = finding.code;
    Text::new().field(style_of(finding.severity).bold(), &code.to_string()).then(BOLD, checks::name(code))
}

#[cfg(test)]
mod tests;
