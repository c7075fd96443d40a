//! Plans and outcomes for people and for scripts. Their first line is the answer.

use std::collections::BTreeSet;
use std::io::{self, Write};

use serde_json::{Value, json};

use super::carry::Tally;
use crate::exit::Exit;
use crate::model::keys::key_text;
use crate::plan::circumstances::Refusal;
use crate::plan::confirm::{Plan, Step, Work};
use crate::plan::diff;
use crate::plan::outcome::Word;
use crate::plan::transaction::{After, Change};
use crate::render::escape::escape;

/// Without `--all`: steps whose keys are shown in full; of the others one line each, then only their number.
const IN_FULL: usize = 5;
const IN_ONE_LINE: usize = 20;
/// Without `--all`: lines of one key's diff.
const DIFF_LINES: usize = 16;
/// Without `--all`: refusals that are shown one by one.
const REFUSALS: usize = 20;

/// A plan, and what is said beside it.
#[derive(Clone, Copy, Debug)]
pub struct Show<'a> {
    pub plan: &'a Plan,
    pub notes: &'a [String],
    /// It is an undo of this release.
    pub undoes: Option<i64>,
    /// `--all`: nothing is left out.
    pub all: bool,
}

impl Show<'_> {
    fn limit(&self, usual: usize) -> usize {
        if self.all { usize::MAX } else { usual }
    }

    /// `release`, `put back`.
    fn verb(&self) -> (&'static str, &'static str) {
        if self.undoes.is_some() { ("put back", "put back") } else { ("release", "released") }
    }

    /// What the plan comes to, in one line.
    pub fn answer(&self) -> String {
        let (verb, done) = self.verb();
        let reasons = self.plan.refusals.len();
        match (self.plan.steps.is_empty(), self.plan.refusals.first()) {
            (true, None) => format!("NOTHING to {verb}"),
            (true, Some(Refusal { rule, subject, words })) => {
                let more = if reasons > 1 { format!("; {reasons} reasons in all") } else { String::new() };
                format!("REFUSED, nothing may be {done}: {subject}, rule {rule}: {words}{more}")
            }
            (false, first) => {
                let what = subjects(self.plan);
                let steps = transactions(self.plan.steps.len());
                let refused = things(&self.plan.refusals, &[]);
                let but = first.map(|_| format!("; {refused} refused")).unwrap_or_default();
                format!("PLAN: {verb} {what} in {steps}{but}")
            }
        }
    }

    /// What became of it, in one line.
    pub fn answer_of(&self, release: i64, tally: &Tally) -> String {
        let (_, done) = self.verb();
        let (all, many) = (self.plan.count(), tally.done);
        let refused = things(&self.plan.refusals, &tally.refused);
        let word = match tally.course(!self.plan.refusals.is_empty()).word() {
            Word::Unknown => "UNKNOWN what became of the last transaction;",
            Word::Failed => "FAILED;",
            Word::Stopped if tally.unanswered => "STOPPED, Kubernetes does not answer;",
            Word::Stopped => "STOPPED;",
            Word::Refused => "REFUSED;",
            Word::Partly => "PARTLY;",
            Word::Done => "DONE:",
        };
        let gone = if tally.gone > 0 { format!(", {} gone already", tally.gone) } else { String::new() };
        let but = if refused > 0 { format!(", {refused} refused") } else { String::new() };
        let steps = transactions(tally.transactions);
        format!("{word} {many} of {all} {done} in {steps}{gone}{but} (release {release})")
    }

    /// The plan as a table.
    ///
    /// # Errors
    /// As the writer's.
    pub fn plan(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", escape(&self.answer()))?;
        for note in self.notes {
            writeln!(out, "NOTE {}", escape(note))?;
        }
        let word = if self.undoes.is_some() { "PUT BACK" } else { "RELEASE" };
        for (i, step) in self.plan.steps.iter().enumerate().take(self.limit(IN_ONE_LINE)) {
            writeln!(out, "{word} {}", escape(&step.work.subject()))?;
            match i < self.limit(IN_FULL) {
                true => self.step_in_full(step, out)?,
                false => writeln!(out, "  allowed: {}", escape(&step.reason))?,
            }
        }
        if self.plan.steps.len() > self.limit(IN_ONE_LINE) {
            writeln!(out, "… {} more; --all shows every key", transactions(self.plan.steps.len() - IN_ONE_LINE))?;
        }
        self.refusals(&self.plan.refusals, out)?;
        if self.plan.beyond_max > 0 {
            writeln!(out, "{} more are beyond --max: run again for them", self.plan.beyond_max)?;
        }
        Ok(())
    }

    fn step_in_full(&self, step: &Step, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "  allowed: {}", escape(&step.reason))?;
        if step.holders.is_empty() {
            writeln!(out, "  holders: none")?;
        }
        for holder in &step.holders {
            writeln!(out, "  holder: {} ({})", escape(&holder.who), holder.grade)?;
        }
        let (compared, changed): (Vec<&Change>, Vec<&Change>) =
            step.shown.changes().iter().partition(|c| c.after == After::Same);
        for change in changed {
            self.key(change, out)?;
        }
        for change in compared {
            writeln!(out, "  = {}  {}", escape(&key_text(&change.key)), escape(&change.why))?;
        }
        Ok(())
    }

    fn key(&self, change: &Change, out: &mut dyn Write) -> io::Result<()> {
        let sign = match (&change.before, &change.after) {
            (_, After::Delete) => '-',
            (None, _) => '+',
            _ => '~',
        };
        writeln!(out, "  {sign} {}  {}", escape(&key_text(&change.key)), escape(&change.why))?;
        let lines = diff::compact(diff::lines(change));
        for line in lines.iter().take(self.limit(DIFF_LINES)) {
            let path = if line.path.is_empty() { "value" } else { &line.path };
            let (before, after) = (line.before.as_deref().unwrap_or("absent"), line.after.as_deref().unwrap_or("gone"));
            writeln!(out, "      {}: {} -> {}", escape(path), escape(before), escape(after))?;
        }
        if lines.len() > self.limit(DIFF_LINES) {
            writeln!(out, "      … {} more places; --all shows them", lines.len() - DIFF_LINES)?;
        }
        Ok(())
    }

    fn refusals(&self, refusals: &[Refusal], out: &mut dyn Write) -> io::Result<()> {
        let limit = self.limit(REFUSALS);
        for Refusal { rule, subject, words } in refusals.iter().take(limit) {
            writeln!(out, "REFUSED {}  rule {rule}: {}", escape(subject), escape(words))?;
        }
        if refusals.len() > limit {
            writeln!(out, "… {} more refused; --all shows them", refusals.len() - limit)?;
        }
        Ok(())
    }

    /// The outcome as a table.
    ///
    /// # Errors
    /// As the writer's.
    pub fn outcome(&self, release: i64, tally: &Tally, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.answer_of(release, tally))?;
        self.refusals(&tally.refused, out)?;
        if let Some(error) = &tally.unknown {
            writeln!(out, "UNKNOWN because {}", escape(&crate::error::chain(error)))?;
            writeln!(out, "  the next `ipaudit release` looks it up before anything else")?;
        }
        if tally.left > 0 {
            let left = transactions(tally.left);
            writeln!(out, "{left} not begun: run the same command again to go on")?;
        }
        Ok(())
    }

    /// Plan and outcome as one versioned document; `done`: the number of the release and what became of it.
    pub fn document(&self, done: Option<(i64, &Tally)>, exit: Exit) -> Value {
        let plan = self.plan;
        json!({
            "schema": "ipaudit/release/v1",
            "answer": done.map_or_else(|| self.answer(), |(release, tally)| self.answer_of(release, tally)),
            "release": done.map(|(release, _)| release),
            "undoes": self.undoes,
            "dry": done.is_none(),
            "notes": self.notes,
            "plan": {
                "steps": plan.steps.iter().map(step_json).collect::<Vec<_>>(),
                "refused": refused_json(&plan.refusals),
                "beyond_max": plan.beyond_max,
            },
            "outcome": done.map(|(_, t)| json!({
                "done": t.done,
                "gone": t.gone,
                "transactions": t.transactions,
                "refused": refused_json(&t.refused),
                "unknown": t.unknown.as_ref().map(|e| crate::error::chain(e)),
                "failed": t.failed.as_ref().map(|e| crate::error::chain(e)),
                "stopped": t.stopped,
                "left": t.left,
            })),
            "exit_code": exit.code(),
        })
    }
}

/// How many things are refused; one may have many reasons.
fn things(plan: &[Refusal], outcome: &[Refusal]) -> usize {
    plan.iter().chain(outcome).map(|r| r.subject.as_str()).collect::<BTreeSet<_>>().len()
}

fn many(number: usize, one: &str, more: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { more })
}

fn transactions(number: usize) -> String {
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

fn step_json(step: &Step) -> Value {
    json!({
        "subject": step.work.subject(),
        "reason": step.reason,
        "holders": step.holders.iter().map(|h| json!({"who": h.who, "grade": h.grade})).collect::<Vec<_>>(),
        "keys": step.shown.changes().iter().map(key_json).collect::<Vec<_>>(),
    })
}

fn key_json(change: &Change) -> Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (action, after) = match &change.after {
        After::Same => ("compare", None),
        After::Put(value) => ("put", Some(text(value))),
        After::Delete => ("delete", None),
    };
    json!({
        "key": key_text(&change.key),
        "action": action,
        "why": change.why,
        "mod_revision": change.before.as_ref().map(|b| b.mod_revision),
        "before": change.before.as_ref().filter(|_| action != "compare").map(|b| text(&b.value)),
        "after": after,
    })
}

fn refused_json(refusals: &[Refusal]) -> Vec<Value> {
    refusals.iter().map(|r| json!({"rule": r.rule, "subject": r.subject, "words": r.words})).collect()
}
