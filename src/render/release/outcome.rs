//! What became of a plan, for people. The first line is the answer.

use std::io::{self, Write};

use super::plan::{Show, things, transactions};
use super::wrap::write_text;
use crate::exit::Conclusion;
use crate::model::Foreign;
use crate::plan::outcome::{RunEnd, RunOutcome};

impl Show<'_> {
    /// What became of it, in one line.
    pub fn answer_of(&self, release: i64, outcome: &RunOutcome) -> Foreign {
        let (_, done) = self.verb();
        let (all, many) = (self.plan.count(), outcome.done);
        let refused = things(&self.plan.refusals, &outcome.refused);
        let word = match outcome.ended(self.plan) {
            Conclusion::Unknown => "UNKNOWN what became of the last transaction;",
            Conclusion::Failed => "FAILED;",
            Conclusion::Stopped if outcome.end == RunEnd::Unanswered => "STOPPED, Kubernetes does not answer;",
            Conclusion::Stopped => "STOPPED;",
            Conclusion::Refused => "REFUSED;",
            Conclusion::Partly => "PARTLY;",
            Conclusion::Done | Conclusion::Found | Conclusion::Incomplete => "DONE:",
        };
        let gone = if outcome.gone > 0 { format!(", {} gone already", outcome.gone) } else { String::new() };
        let but = if refused > 0 { format!(", {refused} refused") } else { String::new() };
        let steps = transactions(outcome.transactions);
        format!("{word} {many} of {all} {done} in {steps}{gone}{but} (release {release})").into()
    }

    /// The outcome as a table.
    ///
    /// # Errors
    /// As the writer's.
    pub fn outcome(&self, release: i64, outcome: &RunOutcome, out: &mut dyn Write) -> io::Result<()> {
        write_text(out, self.width, &self.answer_of(release, outcome).shown())?;
        self.reasons(&outcome.refused).write(false, out)?;
        if let RunEnd::Unknown(why) = &outcome.end {
            write_text(out, self.width, &format!("UNKNOWN because {}", why.shown()))?;
            writeln!(out, "  the next `ipaudit release` looks it up before anything else")?;
        }
        if outcome.left > 0 {
            let left = transactions(outcome.left);
            writeln!(out, "{left} not begun: run the same command again to go on")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
