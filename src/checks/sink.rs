//! Where checks put what they find.
//!
//! An old cluster has 70,000 findings. The first look keeps them; of the second one only the stamps count, so nothing
//! else of it is ever held.

use super::Stamps;
use crate::model::{Finding, FindingKeeper, KeptFinding};

/// What one look finds.
#[derive(Debug)]
pub enum FindingSink {
    /// All of it.
    Kept(FindingKeeper, Vec<KeptFinding>),
    /// That it is there, and what it rests on.
    Stamps(Stamps),
}

impl FindingSink {
    /// Takes one.
    pub fn push(&mut self, finding: Finding) {
        match self {
            FindingSink::Kept(keeper, findings) => findings.push(keeper.keep(finding)),
            FindingSink::Stamps(stamps) => stamps.note(&finding, finding.stamp()),
        }
    }
}

impl Extend<Finding> for FindingSink {
    fn extend<I: IntoIterator<Item = Finding>>(&mut self, findings: I) {
        findings.into_iter().for_each(|finding| self.push(finding));
    }
}
