//! What the checks' files are written in: the parts of a `CHECK`, and the things that most of them judge.

pub use super::{Causes, Check, FindingSink, Harm, Judges, Shown, Steady, Ties, World, few, held_words};
pub use crate::ledger::{Allocation, Claim, Claimant, Grade, Standing, Use};
pub use crate::model::{
    Addr, Affinity, Block, Cidr, Code, Endpoint, Evidence, Finding, HandleId, Host, HostKind, Look, Name, Needs, Pod,
    Root, Severity, SubjectKind,
};
