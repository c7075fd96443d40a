//! One sentence of the verdict, and the words that several of them need.

use serde::Serialize;

use crate::model::word::words;
use crate::model::{Foreign, Severity};

/// How a sentence is meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tone {
    /// Something was not seen.
    Blind,
    Critical,
    Error,
    /// Nothing urgent.
    Minor,
    /// Nothing is wrong with what was looked at.
    Well,
}

words!(Tone { Blind = "blind", Critical = "critical", Error = "error", Minor = "minor", Well = "well" });

impl Tone {
    /// That of a finding this bad.
    pub const fn of(severity: Severity) -> Tone {
        match severity {
            Severity::Critical => Tone::Critical,
            Severity::Error => Tone::Error,
            Severity::Warning | Severity::Note => Tone::Minor,
        }
    }
}

/// One sentence of the verdict. The fields' names are those of the JSON.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Sentence {
    pub tone: Tone,
    pub text: Foreign,
    /// What to type next; `None` where there is nothing to type.
    pub command: Option<Foreign>,
}

/// `a, b and c`.
pub fn listed(words: &[impl AsRef<str>]) -> String {
    match words {
        [] => "nothing".to_owned(),
        [only] => only.as_ref().to_owned(),
        [before @ .., last] => {
            let before: Vec<&str> = before.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", before.join(", "), last.as_ref())
        }
    }
}
