//! What a release of ours gave back, or an undo put back, as the history remembers it.

use serde::Serialize;

use super::{Foreign, SubjectKind, Time};

/// One thing that was written by a release.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct GivenBack {
    /// The number of the release.
    pub release: i64,
    /// It was an undo of this one, and put the thing back.
    pub undoes: Option<i64>,
    /// When its transaction was known to be done, by the clock of the machine that did it.
    pub at: Time,
    pub kind: SubjectKind,
    /// The address, or the handle's id.
    pub subject: Foreign,
}
