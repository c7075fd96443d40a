//! When audits stopped seeing: a cluster that nobody sees wholly any more, and one whose place another took.

use crate::model::{Foreign, Time};

/// One audit, or one that failed, and what kept it from seeing everything; `None`: nothing did.
pub type AuditLook = (Time, Option<Foreign>);

/// The audits since the last one that saw everything.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlindSpan {
    /// The first of them.
    pub since: Time,
    pub audits: u64,
    /// What kept the last one from seeing everything.
    pub why: Foreign,
    /// None has ever seen everything.
    pub from_the_first: bool,
}

impl BlindSpan {
    /// By all audits so far, those that failed among them; `None`: the last one saw everything, or there is none.
    pub fn of(mut looked: Vec<AuditLook>) -> Option<BlindSpan> {
        looked.sort_by_key(|(at, _)| *at);
        let blind: Vec<&AuditLook> = looked.iter().rev().take_while(|(_, why)| why.is_some()).collect();
        let (last, first) = (blind.first()?, blind.last()?);
        let from_the_first = blind.len() == looked.len();
        Some(BlindSpan { since: first.0, audits: blind.len() as u64, why: last.1.clone()?, from_the_first })
    }
}

/// The cluster that took its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replacement {
    /// Its datastore's GUID.
    pub guid: Foreign,
    /// Its first audit.
    pub since: Time,
}

#[cfg(test)]
mod tests {
    use super::super::testing::at;
    use super::*;

    #[test]
    fn blind_since_the_first_audit_that_has_not_seen_everything() {
        let (sees, blind) = (|hour| (at(hour), None), |hour| (at(hour), Some(Foreign::from("refused"))));
        let span = |looked: &[AuditLook]| BlindSpan::of(looked.to_vec()).map(|s| (s.since, s.audits, s.from_the_first));
        assert_eq!(span(&[]), None);
        assert_eq!(span(&[blind(1), sees(2)]), None);
        assert_eq!(span(&[blind(1), blind(4), sees(2), blind(3)]), Some((at(3), 2, false)), "by their times");
        assert_eq!(span(&[blind(1), blind(4)]), Some((at(1), 2, true)));
    }
}
