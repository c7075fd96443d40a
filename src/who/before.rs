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
    /// How many more intervals of a node there are than are shown.
    pub more_allocations: u64,
    /// How many intervals, shown or not, are still so; with a moment: were so then for certain.
    pub standing: u64,
    pub pods: Vec<Stay>,
    /// How a node was, oldest first.
    pub nodes: Vec<NodeStay>,
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

/// How a node was until something of it changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NodeStay {
    /// Calico's name.
    pub calico: Option<String>,
    pub kubernetes: Option<String>,
    /// Kubernetes knows it.
    pub present: bool,
    pub ready: Option<bool>,
    pub boot_id: Option<String>,
    pub addresses: Vec<String>,
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

impl Before {
    /// Whether the history knows nothing of what was asked for.
    pub fn is_nothing(&self) -> bool {
        self.allocations.is_empty() && self.pods.is_empty() && self.nodes.is_empty() && self.open.is_empty()
    }

    /// Counts what is still so, or was so at a moment.
    pub fn count(&mut self, at: Option<Time>) {
        let is = |i: &&Interval| match at {
            Some(at) => i.ends.at(at) == Some(true),
            None => i.ends.not_seen_after.is_none(),
        };
        self.standing = self.allocations.iter().filter(is).count() as u64;
    }

    /// Cuts it down to what was, or may have been, so at this moment; what is open now says nothing of what was open
    /// then and has ended.
    pub fn keep_at(&mut self, at: Time) {
        self.allocations.retain(|i| i.ends.at(at) != Some(false));
        self.pods.retain(|s| s.ends.at(at) != Some(false));
        self.nodes.retain(|n| n.ends.at(at) != Some(false));
        self.open.retain(|f| f.first_seen <= at);
    }

    /// Leaves the newest `most` intervals and counts the others: a node had thousands.
    pub fn keep_newest(&mut self, most: usize) {
        let more = self.allocations.len().saturating_sub(most);
        self.more_allocations = more as u64;
        if more > 0 {
            self.allocations.sort_by_key(|i| (i.ends.not_seen_after.is_none(), i.ends.last_seen, i.address));
            self.allocations.drain(..more);
            self.allocations.sort_by_key(|i| (i.address, i.ends.first_seen));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_intervals_the_newest_are_left() {
        let interval = |address: u32, last: i64, open: bool| Interval {
            address: Addr::from(std::net::IpAddr::from(address.to_be_bytes())),
            block: String::new(),
            sequence: None,
            handle: None,
            used_for: "pod".to_owned(),
            node: None,
            owner: None,
            allocated: None,
            ends: Ends {
                not_seen_before: None,
                first_seen: Time(1),
                last_seen: Time(last),
                not_seen_after: (!open).then_some(Time(last + 1)),
            },
            at_most_changes: None,
        };
        let all = vec![interval(1, 5, false), interval(2, 9, false), interval(3, 2, true), interval(4, 7, false)];
        let mut before = Before { allocations: all.clone(), ..Before::default() };
        before.keep_newest(2);
        assert_eq!((before.allocations.as_slice(), before.more_allocations), (&all[1..3], 2), "an open one is newest");
        before.keep_newest(2);
        assert_eq!((before.allocations.len(), before.more_allocations), (2, 0));
    }

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
