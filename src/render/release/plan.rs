//! Plans for people. Their first line is the answer.

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::by_hand::Cures;
use super::reasons::{NodeAdvice, Reasons};
use super::sandboxes::Sandboxes;
use super::wrap::write_text;
use super::{notes, words};
use crate::model::keys::key_text;
use crate::model::{Foreign, Time};
use crate::plan::confirm::{Plan, PlanStep, Work};
use crate::plan::diff;
use crate::plan::refusal::{Note, Refusal};
use crate::plan::transaction::{After, Change};
use crate::render::number::grouped;

/// Without `--all`: steps whose keys are shown in full; of the others one line each, then only their number.
const IN_FULL: usize = 5;
const IN_ONE_LINE: usize = 20;
/// Without `--all`: lines of one key's diff.
const DIFF_LINES: usize = 16;

/// A plan, and how it is shown.
#[derive(Clone, Copy, Debug)]
pub struct Show<'a> {
    pub plan: &'a Plan,
    /// It is an undo of this release.
    pub undoes: Option<i64>,
    /// `--all`: nothing is left out.
    pub all: bool,
    /// From when waiting is counted.
    pub now: Time,
    /// Columns of the terminal: sentences wrap there, keys and commands never.
    pub width: usize,
}

impl Show<'_> {
    fn limit(&self, usual: usize) -> usize {
        if self.all { usize::MAX } else { usual }
    }

    /// `release`, `put back`.
    pub(super) fn verb(&self) -> (&'static str, &'static str) {
        if self.undoes.is_some() { ("put back", "put back") } else { ("release", "released") }
    }

    /// That it was carried out already explains all that refuses it.
    fn carried_out(&self) -> Option<&Note> {
        self.plan.notes.iter().find(|note| matches!(note, Note::CarriedOut(_)))
    }

    /// That what it was asked for is there and too young.
    fn too_new(&self) -> Option<&Note> {
        self.plan.notes.iter().find(|note| matches!(note, Note::TooNew(..)))
    }

    /// Where a release takes nothing of what it was asked for by code.
    fn cures(&self) -> Option<Cures<'_>> {
        Cures::of(&self.plan.refusals).filter(|_| self.plan.steps.is_empty())
    }

    /// What the plan comes to, in one line.
    pub fn answer(&self) -> Foreign {
        let (verb, done) = self.verb();
        if let Some(cures) = self.cures() {
            return cures.answer();
        }
        let answer = match (self.plan.steps.is_empty(), self.plan.refusals.first()) {
            (true, None) => match self.too_new() {
                Some(note) => format!("NOTHING to {verb} yet: {}", notes::note_parts(note).0),
                None => format!("NOTHING to {verb}"),
            },
            (true, Some(_)) => {
                let reasons = match self.carried_out() {
                    Some(note) => notes::note_parts(note).0,
                    None => self.reasons(&self.plan.refusals).sentence(),
                };
                format!("REFUSED, nothing may be {done}: {reasons}")
            }
            (false, first) => {
                let what = subjects(self.plan);
                let steps = transactions(self.plan.steps.len());
                let refused = things(&self.plan.refusals, &[]);
                let but = first.map(|_| format!("; {refused} refused")).unwrap_or_default();
                format!("PLAN: {verb} {what} in {steps}{but}")
            }
        };
        answer.into()
    }

    /// The plan as a table.
    ///
    /// # Errors
    /// As the writer's.
    pub fn plan(&self, out: &mut dyn Write) -> io::Result<()> {
        write_text(out, self.width, &self.answer().shown())?;
        let told = match (self.plan.steps.is_empty(), self.plan.refusals.is_empty()) {
            (true, false) => self.carried_out(),
            (true, true) => self.too_new(),
            (false, _) => None,
        };
        for note in self.plan.notes.iter().filter(|note| Some(*note) != told) {
            let (words, commands) = notes::note_parts(note);
            write_text(out, self.width, &Foreign::from(format!("NOTE {words}")).shown())?;
            for command in commands {
                writeln!(out, "  {}", Foreign::from(command).shown())?;
            }
        }
        let word = if self.undoes.is_some() { "PUT BACK" } else { "RELEASE" };
        for (i, step) in self.plan.steps.iter().enumerate().take(self.limit(IN_ONE_LINE)) {
            writeln!(out, "{word} {}", step.work.subject().shown())?;
            match i < self.limit(IN_FULL) {
                true => self.step_in_full(step, out)?,
                false => writeln!(out, "  allowed: {}", words::grounds(&step.grounds).shown())?,
            }
        }
        if self.plan.steps.len() > self.limit(IN_ONE_LINE) {
            writeln!(out, "… {} more; --all shows every key", transactions(self.plan.steps.len() - IN_ONE_LINE))?;
        }
        Sandboxes::of(self.plan).write(self.all, out)?;
        match self.cures() {
            Some(cures) => cures.write(self.width, out)?,
            None => self.reasons(&self.plan.refusals).write(self.plan.steps.is_empty(), out)?,
        }
        if self.plan.beyond_max > 0 {
            // Who is refused now would be met again.
            let how = match self.plan.steps.is_empty() {
                true => "raise it, or release those that go by --node, --namespace or --pool",
                false => "run again for them",
            };
            writeln!(out, "{} more are beyond --max: {how}", grouped(self.plan.beyond_max as u64))?;
        }
        Ok(())
    }

    fn step_in_full(&self, step: &PlanStep, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "  allowed: {}", words::grounds(&step.grounds).shown())?;
        if step.holders.is_empty() {
            writeln!(out, "  holders: none")?;
        }
        for holder in &step.holders {
            writeln!(out, "  holder: {} ({})", words::claimer(&holder.who).shown(), holder.grade.word())?;
        }
        let (compared, changed): (Vec<&Change>, Vec<&Change>) =
            step.shown.changes().iter().partition(|c| c.after == After::Same);
        for change in changed {
            self.key(change, out)?;
        }
        for change in compared {
            writeln!(out, "  = {}  {}", Foreign::from(key_text(&change.key)).shown(), change.why.shown())?;
        }
        Ok(())
    }

    fn key(&self, change: &Change, out: &mut dyn Write) -> io::Result<()> {
        let sign = match (&change.before, &change.after) {
            (_, After::Delete) => '-',
            (None, _) => '+',
            _ => '~',
        };
        writeln!(out, "  {sign} {}  {}", Foreign::from(key_text(&change.key)).shown(), change.why.shown())?;
        let lines = diff::compact(diff::lines(change));
        for line in lines.iter().take(self.limit(DIFF_LINES)) {
            let path = if line.path.is_empty() { "value".into() } else { line.path.shown() };
            let before = line.before.as_ref().map_or("absent".into(), Foreign::shown);
            let after = line.after.as_ref().map_or("gone".into(), Foreign::shown);
            writeln!(out, "      {path}: {before} -> {after}")?;
        }
        if lines.len() > self.limit(DIFF_LINES) {
            writeln!(out, "      … {} more places; --all shows them", lines.len() - DIFF_LINES)?;
        }
        Ok(())
    }

    /// What is refused, by reason.
    pub(super) fn reasons<'r>(&self, refusals: &'r [Refusal]) -> Reasons<'r> {
        let told = self.plan.notes.iter().filter_map(|note| match note {
            Note::AddressByWord(by_word) => Some(by_word.doubtful.clone()),
            _ => None,
        });
        let nodes = match self.plan.notes.iter().any(|note| matches!(note, Note::MadeBefore(..))) {
            true => NodeAdvice::PlanAnew,
            false => NodeAdvice::Told(told.flatten().collect()),
        };
        Reasons::of(refusals, self.all, self.now, self.width).with_nodes(nodes)
    }
}

/// How many things are refused; one may have many reasons.
pub(super) fn things(plan: &[Refusal], outcome: &[Refusal]) -> usize {
    plan.iter().chain(outcome).map(|r| &r.subject).collect::<BTreeSet<_>>().len()
}

fn many(number: usize, one: &str, more: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { more })
}

pub(super) fn transactions(number: usize) -> String {
    many(number, "transaction", "transactions")
}

/// What a plan is about: `2 handles with 3 addresses and 60 orphaned handles`.
pub fn subjects(plan: &Plan) -> String {
    let (mut handles, mut addresses, mut orphans) = (0, 0, 0);
    for step in &plan.steps {
        match &step.work {
            Work::Release(target) => {
                handles += usize::from(target.handle.is_some());
                addresses += target.places.len();
            }
            Work::Undo(undoing) => addresses += undoing.places.len(),
            Work::Orphans(batch) => orphans += batch.len(),
        }
    }
    let addresses = (addresses > 0).then(|| many(addresses, "address", "addresses"));
    let leaked = match (handles, addresses) {
        (0, addresses) => addresses,
        (_, addresses) => addresses.map(|a| format!("{a} of {}", many(handles, "handle", "handles"))),
    };
    let orphans = (orphans > 0).then(|| many(orphans, "orphaned handle", "orphaned handles"));
    [leaked, orphans].into_iter().flatten().collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
pub(super) mod tests;
