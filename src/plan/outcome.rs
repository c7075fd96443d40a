//! How a run ended: one word, and one exit code, decided in one place for every output and for the history.

use crate::exit::Exit;

/// What ended a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum End {
    /// It has been through all its steps.
    #[default]
    Through,
    /// Ctrl-C or SIGTERM, with steps still to do.
    Stopped,
    /// Kubernetes did not answer any more.
    Unanswered,
    /// The tool, etcd or the history failed.
    Failed,
    /// Nobody knows what became of the last transaction.
    Unknown,
}

/// What a run came to, as far as its word and its exit code go.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Course {
    pub end: End,
    /// How many handles and addresses are settled: by this run, or gone already.
    pub settled: usize,
    /// Whether any was refused, in the plan or later.
    pub refused: bool,
}

/// How it is called, in the history too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Word {
    Done,
    Refused,
    Partly,
    Stopped,
    Failed,
    Unknown,
}

impl Word {
    /// The word in the history; never changes.
    pub const fn text(self) -> &'static str {
        match self {
            Word::Done => "done",
            Word::Refused => "refused",
            Word::Partly => "partly",
            Word::Stopped => "stopped",
            Word::Failed => "failed",
            Word::Unknown => "unknown",
        }
    }
}

impl Course {
    /// How it is called.
    pub const fn word(self) -> Word {
        match self.end {
            End::Unknown => Word::Unknown,
            End::Failed => Word::Failed,
            End::Stopped | End::Unanswered => Word::Stopped,
            End::Through if self.refused && self.settled == 0 => Word::Refused,
            End::Through if self.refused => Word::Partly,
            End::Through => Word::Done,
        }
    }

    /// 0: done; 1: refused, wholly or in part, or stopped before its end; 2: a failure; 3: an outcome that nobody knows.
    pub const fn exit(self) -> Exit {
        match self.word() {
            Word::Done => Exit::Clean,
            Word::Refused | Word::Partly | Word::Stopped => Exit::Findings,
            Word::Failed => Exit::Failure,
            Word::Unknown => Exit::Incomplete,
        }
    }
}

/// How a run is called that never said how it ended, or did not know it, once all that it began is settled: `planned` of
/// its transactions were to be done and `applied` were.
pub const fn of_killed(planned: usize, applied: usize, refused: bool) -> Word {
    match (applied < planned, refused) {
        (true, _) => Word::Stopped,
        (false, true) => Word::Partly,
        (false, false) => Word::Done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_words_and_exit_codes() {
        let table = [
            // end, settled, refused, word, exit code
            (End::Through, 120, false, "done", 0),
            (End::Through, 0, false, "done", 0),
            (End::Through, 119, true, "partly", 1),
            (End::Through, 0, true, "refused", 1),
            // A stop before the first step, amid, and amid with refusals; after the last step it is none.
            (End::Stopped, 0, false, "stopped", 1),
            (End::Stopped, 48, false, "stopped", 1),
            (End::Stopped, 48, true, "stopped", 1),
            (End::Unanswered, 0, true, "stopped", 1),
            (End::Unanswered, 3, true, "stopped", 1),
            (End::Failed, 0, false, "failed", 2),
            (End::Failed, 3, true, "failed", 2),
            (End::Unknown, 0, false, "unknown", 3),
            (End::Unknown, 3, true, "unknown", 3),
        ];
        for (end, settled, refused, word, code) in table {
            let course = Course { end, settled, refused };
            assert_eq!((course.word().text(), course.exit().code()), (word, code), "{course:?}");
        }
    }

    #[test]
    fn a_killed_run_is_called_by_what_it_came_to() {
        assert_eq!(of_killed(3, 3, false), Word::Done, "killed after its last step");
        assert_eq!(of_killed(3, 3, true), Word::Partly);
        assert_eq!(of_killed(3, 1, false), Word::Stopped);
        assert_eq!(of_killed(1, 0, true), Word::Stopped);
    }
}
