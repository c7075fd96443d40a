//! What a run came to. How that is called, and its exit code, [`crate::exit::Conclusion`] says.

use super::confirm::Plan;
use super::refusal::Refusal;
use crate::exit::Conclusion;
use crate::model::Foreign;

/// What ended a run. Failures as their whole chain, for people.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum RunEnd {
    /// It has been through all its steps.
    #[default]
    Through,
    /// Ctrl-C or SIGTERM, with steps still to do.
    Stopped,
    /// Kubernetes did not answer any more.
    Unanswered,
    /// The tool, etcd or the history failed.
    Failed(Foreign),
    /// Nobody knows what became of the last transaction.
    Unknown(Foreign),
}

/// What a run came to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RunOutcome {
    /// Handles and addresses that were released (or put back).
    pub done: usize,
    /// That were gone already.
    pub gone: usize,
    /// Those that were done.
    pub transactions: usize,
    /// Refused by the way, beside the plan's own refusals.
    pub refused: Vec<Refusal>,
    /// Why it went no further.
    pub end: RunEnd,
    /// Steps that were not begun.
    pub left: usize,
}

impl RunOutcome {
    /// How the run of a plan ended.
    pub fn ended(&self, plan: &Plan) -> Conclusion {
        let refused = !plan.refusals.is_empty() || !self.refused.is_empty();
        match self.end {
            RunEnd::Unknown(_) => Conclusion::Unknown,
            RunEnd::Failed(_) => Conclusion::Failed,
            RunEnd::Stopped | RunEnd::Unanswered => Conclusion::Stopped,
            RunEnd::Through if !refused => Conclusion::Done,
            RunEnd::Through if self.done + self.gone == 0 => Conclusion::Refused,
            RunEnd::Through => Conclusion::Partly,
        }
    }
}

impl Plan {
    /// How a plan that nobody carries out ended.
    pub fn ended(&self) -> Conclusion {
        if self.refusals.is_empty() { Conclusion::Done } else { Conclusion::Refused }
    }
}

/// How a run is called that never said how it ended, or did not know it, once all that it began is settled: `planned` of
/// its transactions were to be done and `applied` were.
pub const fn of_killed(planned: usize, applied: usize, refused: bool) -> Conclusion {
    match (applied < planned, refused) {
        (true, _) => Conclusion::Stopped,
        (false, true) => Conclusion::Partly,
        (false, false) => Conclusion::Done,
    }
}

#[cfg(test)]
mod tests {
    use super::super::refusal::Objection;
    use super::*;

    fn plan(refused: bool) -> Plan {
        let refusals = if refused { vec![Refusal::of_run(Objection::Unproven)] } else { Vec::new() };
        Plan { refusals, ..Plan::default() }
    }

    #[test]
    fn the_table_of_words_and_exit_codes() {
        use RunEnd::{Stopped, Through, Unanswered};
        let (failed, unknown) = (RunEnd::Failed("x".into()), RunEnd::Unknown("x".into()));
        let table = [
            // end, settled, refused, word, exit code
            (Through, 120, false, "done", 0),
            (Through, 0, false, "done", 0),
            (Through, 119, true, "partly", 1),
            (Through, 0, true, "refused", 1),
            // A stop before the first step, amid, and amid with refusals; after the last step it is none.
            (Stopped, 0, false, "stopped", 1),
            (Stopped, 48, false, "stopped", 1),
            (Stopped, 48, true, "stopped", 1),
            (Unanswered, 0, true, "stopped", 1),
            (Unanswered, 3, true, "stopped", 1),
            (failed.clone(), 0, false, "failed", 2),
            (failed, 3, true, "failed", 2),
            (unknown.clone(), 0, false, "unknown", 3),
            (unknown, 3, true, "unknown", 3),
        ];
        for (end, done, refused, word, code) in table {
            let outcome = RunOutcome { end, done, ..RunOutcome::default() };
            let ended = outcome.ended(&plan(refused));
            assert_eq!((ended.word(), ended.exit().code()), (word, code), "{outcome:?}");
        }
    }

    #[test]
    fn what_is_refused_by_the_way_counts_like_what_the_plan_refuses() {
        let refused = vec![Refusal::of_run(Objection::WrittenOver(3))];
        let with = |done, gone| RunOutcome { done, gone, refused: refused.clone(), ..RunOutcome::default() };
        assert_eq!(with(0, 0).ended(&plan(false)), Conclusion::Refused);
        assert_eq!(with(1, 0).ended(&plan(false)), Conclusion::Partly);
        assert_eq!(with(0, 1).ended(&plan(false)), Conclusion::Partly, "what is gone already is settled");
    }

    #[test]
    fn a_plan_that_is_only_shown_exits_by_its_refusals() {
        assert_eq!((plan(false).ended().exit().code(), plan(true).ended().exit().code()), (0, 1));
    }

    #[test]
    fn a_killed_run_is_called_by_what_it_came_to() {
        assert_eq!(of_killed(3, 3, false), Conclusion::Done, "killed after its last step");
        assert_eq!(of_killed(3, 3, true), Conclusion::Partly);
        assert_eq!(of_killed(3, 1, false), Conclusion::Stopped);
        assert_eq!(of_killed(1, 0, true), Conclusion::Stopped);
    }
}
