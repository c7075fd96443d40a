//! What the history says, as plain values that the caller fills in.

use serde::Serialize;

use crate::model::{Addr, Code, Severity, Time};

/// One cluster's history of what was asked for.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Before {
    pub guid: String,
    pub kubernetes_uids: Vec<String>,
    pub audits: u64,
    pub first_audit: Option<Time>,
    pub last_audit: Option<Time>,
    /// Whether the last audit read everything.
    pub last_complete: bool,
    /// By address, then oldest first.
    pub allocations: Vec<Interval>,
    pub pods: Vec<Stay>,
    /// Findings about it that are open.
    pub open: Vec<OpenFinding>,
}

/// Both uncertain ends of something that was so.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Ends {
    /// The last audit before that did not see it; `None`: there was none.
    pub not_seen_before: Option<Time>,
    pub first_seen: Time,
    pub last_seen: Time,
    /// The first audit after that did not see it; `None`: it is still so.
    pub not_seen_after: Option<Time>,
}

impl Ends {
    /// Whether it was so at `at`: `None` when `at` lies in an uncertain end.
    pub fn at(&self, at: Time) -> Option<bool> {
        if self.first_seen <= at && (at <= self.last_seen || self.not_seen_after.is_none()) {
            return Some(true);
        }
        let before = self.first_seen > at && self.not_seen_before.is_some_and(|b| at <= b);
        let after = self.not_seen_after.is_some_and(|a| at >= a);
        if before || after { Some(false) } else { None }
    }
}

/// Who had an address by IPAM's record.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Interval {
    pub address: Addr,
    pub block: String,
    pub sequence: Option<u64>,
    pub handle: Option<String>,
    pub used_for: String,
    pub node: Option<String>,
    /// `namespace/name` of pod or service.
    pub owner: Option<String>,
    pub allocated: Option<Time>,
    #[serde(flatten)]
    pub ends: Ends,
    /// Of an ended one: the address changed hands at least once and at most so often, unseen. `None`: unknown.
    pub at_most_changes: Option<u64>,
}

/// Which pod had an address by its own status.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Stay {
    pub address: Addr,
    pub pod: String,
    pub uid: String,
    pub node: String,
    pub grade: String,
    #[serde(flatten)]
    pub ends: Ends,
}

/// A finding that is open in the history.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct OpenFinding {
    pub code: Code,
    pub severity: Severity,
    pub subject: String,
    pub summary: String,
    pub state: String,
    pub first_seen: Time,
    pub last_seen: Time,
    pub audits_seen: u64,
    pub episode: u64,
}

/// Everything that `at` can be asked of, cut down to what was so then, or may have been.
impl Before {
    /// Keeps what was, or may have been, so at this moment; what is open now says nothing of then.
    pub fn keep_at(&mut self, at: Time) {
        self.allocations.retain(|i| i.ends.at(at) != Some(false));
        self.pods.retain(|s| s.ends.at(at) != Some(false));
        self.open.retain(|f| f.first_seen <= at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_two_audits_nobody_can_say() {
        let ends = Ends {
            not_seen_before: Some(Time(1)),
            first_seen: Time(5),
            last_seen: Time(9),
            not_seen_after: Some(Time(12)),
        };
        let says: Vec<_> = [1, 3, 5, 9, 10, 12].map(|t| ends.at(Time(t))).to_vec();
        assert_eq!(says, [Some(false), None, Some(true), Some(true), None, Some(false)]);
        let open = Ends { not_seen_before: None, not_seen_after: None, ..ends };
        assert_eq!((open.at(Time(1)), open.at(Time(99))), (None, Some(true)));
    }
}
