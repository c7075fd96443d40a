//! Why evidence of a node does not count, or not in all. Who says what a node shows says this with it: nobody's silence
//! about what was not read, or is of another time, is an answer.

use crate::model::Foreign;
use crate::model::word::words;

/// What is wrong with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DoubtKind {
    OtherTime,
    OtherBoot,
    UnknownNode,
    OtherNode,
    NotRead,
}

words!(DoubtKind {
    OtherTime = "other-time",
    OtherBoot = "other-boot",
    UnknownNode = "unknown-node",
    OtherNode = "other-node",
    NotRead = "not-read",
});

/// One thing that is wrong with it, in words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EvidenceDoubt {
    pub kind: DoubtKind,
    pub words: Foreign,
}

impl EvidenceDoubt {
    /// Whether nothing of the evidence counts for it: it is of another moment, or of another node.
    pub fn is_of_all(&self) -> bool {
        self.kind != DoubtKind::NotRead
    }

    /// All of them in one sentence; empty without any.
    pub fn sentence(doubts: &[EvidenceDoubt]) -> Foreign {
        let words = Foreign::joined(doubts.iter().map(|doubt| &doubt.words), "; ");
        let is_out = doubts.iter().any(EvidenceDoubt::is_of_all);
        if is_out { crate::model::foreign::foreign!("not judged: {}", words) } else { words }
    }
}
