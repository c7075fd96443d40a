//! Where checks put what they find.
//!
//! An old cluster has 70,000 findings. The first look keeps them; of the second one only the stamps count, so nothing
//! else of it is ever held.

use super::Stamps;
use crate::model::Finding;

/// What one look finds.
#[derive(Debug)]
pub enum FindingSink {
    /// All of it.
    Kept(Vec<Finding>),
    /// That it is there, and what it rests on.
    Stamps(Stamps),
}

impl FindingSink {
    /// Takes one.
    pub fn push(&mut self, finding: Finding) {
        match self {
            FindingSink::Kept(findings) => findings.push(finding),
            FindingSink::Stamps(stamps) => stamps.note(&finding),
        }
    }
}

impl Extend<Finding> for FindingSink {
    fn extend<I: IntoIterator<Item = Finding>>(&mut self, findings: I) {
        findings.into_iter().for_each(|finding| self.push(finding));
    }
}
