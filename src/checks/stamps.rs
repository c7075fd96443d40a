//! What a second look found, as far as it counts: that a thing is found again, and rests on the same.

use crate::model::finding::Parts;
use crate::model::hash::HashMap;
use crate::model::{Gist, KeptFinding, Severity};

/// The stamps of findings, by what the findings are. Of two that say a thing of one subject the worse one counts, as in
/// an outcome.
#[derive(Clone, Debug, Default)]
pub struct Stamps(HashMap<u128, (Severity, u128)>);

impl Stamps {
    /// Takes one.
    pub fn note(&mut self, finding: &Gist, stamp: u128) {
        let found = (finding.severity, stamp);
        let known = self.0.entry(identity(finding)).or_insert(found);
        if known.0 < found.0 {
            *known = found;
        }
    }

    /// Whether the same was found, resting on the same.
    pub fn confirm(&self, finding: &KeptFinding) -> bool {
        self.0.get(&identity(finding)).is_some_and(|(_, stamp)| *stamp == finding.stamp())
    }
}

impl<'f> FromIterator<&'f KeptFinding> for Stamps {
    fn from_iter<I: IntoIterator<Item = &'f KeptFinding>>(findings: I) -> Stamps {
        let mut stamps = Stamps::default();
        findings.into_iter().for_each(|finding| stamps.note(finding, finding.stamp()));
        stamps
    }
}

/// A finding's code and subject.
fn identity(finding: &Gist) -> u128 {
    let subject = &finding.subject;
    Parts::new().number(finding.code.0).text(subject.kind.word()).text(subject.id.raw()).hash128()
}
