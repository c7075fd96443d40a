//! Exit codes: documented constants, and the one function from how a command ended to its code.
//!
//! Every output format exits alike: no renderer has a say. What could not be read wins over what was found,
//! since silence then proves nothing, and a failure of the tool wins over both. `docs/output.md` repeats the table.

use std::fmt;
use std::str::FromStr;

pub use crate::model::Conclusion;
use crate::model::Severity;
use crate::model::word::words;

/// The exit code of `audit` (and of everything that judges like one).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Exit {
    /// Everything was read, and nothing at or above `--fail-on` was found.
    Clean = 0,
    /// Findings at or above `--fail-on`.
    Findings = 1,
    /// Wrong usage, or the tool failed: also a history that could not be written, though the findings are printed.
    Failure = 2,
    /// An input could not be read or a value in it not decoded, or nobody looked again at an error that one look saw: what was
    /// not found may be there all the same, and what was found may not.
    Incomplete = 3,
}

words!(Exit { Clean = "clean", Findings = "findings", Failure = "failure", Incomplete = "incomplete" });

impl Exit {
    /// The number for the process.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl Conclusion {
    /// The one table of exit codes.
    pub const fn exit(self) -> Exit {
        match self {
            Conclusion::Done => Exit::Clean,
            Conclusion::Found | Conclusion::Refused | Conclusion::Partly | Conclusion::Stopped => Exit::Findings,
            Conclusion::Failed => Exit::Failure,
            Conclusion::Incomplete | Conclusion::Unknown => Exit::Incomplete,
        }
    }
}

/// From which severity on findings give exit code 1: `--fail-on`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FailOn {
    At(Severity),
    /// Findings never fail; what could not be read still does.
    Never,
}

impl Default for FailOn {
    fn default() -> FailOn {
        FailOn::At(Severity::Error)
    }
}

impl FromStr for FailOn {
    type Err = String;

    fn from_str(text: &str) -> Result<FailOn, String> {
        match text {
            "never" => Ok(FailOn::Never),
            _ => text.parse().map(FailOn::At).map_err(|e: String| format!("{e}, or never")),
        }
    }
}

impl fmt::Display for FailOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FailOn::At(severity) => severity.fmt(f),
            FailOn::Never => f.write_str("never"),
        }
    }
}

/// What an audit came to, as far as its exit code goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Course {
    /// The worst finding that is left after `--code`, `--severity` and the like.
    pub worst: Option<Severity>,
    /// An input, a value or a second look is missing; narrowing has no say here.
    pub incomplete: bool,
    /// The tool failed at something that it was asked for.
    pub failed: bool,
}

/// The exit code: 2 wins over 3, and 3 over 1.
pub fn decide(course: Course, fail_on: FailOn) -> Exit {
    let found = match fail_on {
        FailOn::At(severity) => course.worst.is_some_and(|worst| worst >= severity),
        FailOn::Never => false,
    };
    let conclusion = match course {
        Course { failed: true, .. } => Conclusion::Failed,
        Course { incomplete: true, .. } => Conclusion::Incomplete,
        _ if found => Conclusion::Found,
        _ => Conclusion::Done,
    };
    conclusion.exit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table() {
        use Severity::{Critical, Error, Note, Warning};
        let at = FailOn::At;
        let table = [
            // worst, incomplete, failed, fail on, exit code
            (None, false, false, at(Error), 0),
            (Some(Warning), false, false, at(Error), 0),
            (Some(Error), false, false, at(Error), 1),
            (Some(Critical), false, false, at(Error), 1),
            (Some(Error), false, false, at(Critical), 0),
            (Some(Note), false, false, at(Note), 1),
            (None, false, false, at(Note), 0),
            (Some(Critical), false, false, FailOn::Never, 0),
            (None, true, false, at(Error), 3),
            (Some(Critical), true, false, at(Error), 3),
            (Some(Critical), true, false, FailOn::Never, 3),
            (None, false, true, at(Error), 2),
            (Some(Critical), false, true, at(Error), 2),
            (None, true, true, FailOn::Never, 2),
            (Some(Critical), true, true, at(Error), 2),
        ];
        for (worst, incomplete, failed, fail_on, code) in table {
            let course = Course { worst, incomplete, failed };
            assert_eq!(decide(course, fail_on).code(), code, "{course:?} {fail_on}");
        }
    }

    /// Every way to end, each once, with its word and its code.
    #[test]
    fn every_end_has_its_word_and_its_code() {
        let table = [
            (Conclusion::Done, "done", 0),
            (Conclusion::Found, "found", 1),
            (Conclusion::Incomplete, "incomplete", 3),
            (Conclusion::Refused, "refused", 1),
            (Conclusion::Partly, "partly", 1),
            (Conclusion::Stopped, "stopped", 1),
            (Conclusion::Failed, "failed", 2),
            (Conclusion::Unknown, "unknown", 3),
        ];
        for (conclusion, word, code) in table {
            assert_eq!((conclusion.word(), conclusion.exit().code()), (word, code));
        }
    }

    #[test]
    fn fail_on_is_a_severity_or_never() {
        assert_eq!("warning".parse(), Ok(FailOn::At(Severity::Warning)));
        assert_eq!("never".parse(), Ok(FailOn::Never));
        assert!("always".parse::<FailOn>().unwrap_err().ends_with("or never"));
        for text in ["critical", "error", "warning", "note", "never"] {
            assert_eq!(text.parse::<FailOn>().unwrap().to_string(), text);
        }
    }
}
