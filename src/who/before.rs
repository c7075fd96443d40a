//! What the history says: its rows, which the caller fills in, and how the JSON has them.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::model::foreign::foreign;
use crate::model::given_back::GivenBack;
use crate::model::json::in_json;
use crate::model::number::grouped;
use crate::model::row::{AllocationRow, Episode, Interval, Lifespan, NodeRow, PodRow, PoolNumbers};
use crate::model::{Cidr, Foreign, Time};

/// One cluster's history of what was asked for.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Before {
    pub guid: Foreign,
    pub kubernetes_uids: Vec<Foreign>,
    pub audits: u64,
    pub first_audit: Option<Time>,
    pub last_audit: Option<Time>,
    /// Whether the last audit read everything.
    pub last_complete: bool,
    /// By address, then oldest first.
    pub allocations: Vec<Interval<AllocationRow>>,
    /// How many more intervals of a node there are than are shown.
    pub more_allocations: u64,
    /// How many intervals, shown or not, are still so; with a moment: were so then for certain.
    pub standing: u64,
    pub pods: Vec<Interval<PodRow>>,
    /// How a node was, oldest first.
    pub nodes: Vec<Interval<NodeRow>>,
    /// How full the pool is that was asked for.
    pub pool: Option<PoolBefore>,
    /// Findings about it that are open.
    pub open: Vec<Episode>,
    /// The releases of ours that gave it back, and undos that put it back; oldest first.
    pub releases: Vec<GivenBack>,
}

/// A pool by the last audit that saw how full it was.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PoolBefore {
    pub name: Foreign,
    pub cidr: Foreign,
    /// Since this audit it is so.
    pub since: Time,
    #[serde(flatten)]
    pub numbers: PoolNumbers,
}

impl PoolBefore {
    /// `pool pods 10.65.0.0/16 has 30 of 65,536 addresses allocated, 3 of them leaked, and 65,470 free`.
    pub fn says(&self) -> Foreign {
        let PoolBefore { name, cidr, numbers, .. } = self;
        let written = u128::try_from(numbers.addresses).unwrap_or(0);
        let whole = Cidr::parse(cidr.raw()).map_or(written, |(range, _)| range.size());
        let leaked =
            if numbers.leaked > 0 { format!(", {} of them leaked", grouped(numbers.leaked)) } else { String::new() };
        let (allocated, free) = (grouped(numbers.allocated), amount(numbers.free_of(whole)));
        foreign!(
            "pool {} {} has {allocated} of {} addresses allocated{leaked}, and {free} free",
            name,
            cidr,
            amount(whole)
        )
    }
}

fn amount(number: u128) -> String {
    grouped(i128::try_from(number).unwrap_or(i128::MAX))
}

impl Before {
    /// Whether the history knows nothing of what was asked for.
    pub fn is_nothing(&self) -> bool {
        let rows = self.allocations.is_empty() && self.pods.is_empty() && self.nodes.is_empty();
        rows && self.pool.is_none() && self.open.is_empty() && self.releases.is_empty()
    }

    /// Counts what is still so, or was so at a moment.
    pub fn count(&mut self, at: Option<Time>) {
        let is = |i: &&Interval<AllocationRow>| match at {
            Some(at) => i.span.at(at) == Some(true),
            None => i.span.is_open(),
        };
        self.standing = self.allocations.iter().filter(is).count() as u64;
    }

    /// Cuts it down to what was, or may have been, so at this moment; what is open now says nothing of what was open
    /// then and has ended.
    pub fn keep_at(&mut self, at: Time) {
        self.allocations.retain(|i| i.span.at(at) != Some(false));
        self.pods.retain(|s| s.span.at(at) != Some(false));
        self.nodes.retain(|n| n.span.at(at) != Some(false));
        self.open.retain(|f| f.opened.at <= at);
        self.releases.retain(|freed| freed.at <= at);
    }

    /// Leaves the newest `most` intervals and counts the others: a node had thousands.
    pub fn keep_newest(&mut self, most: usize) {
        let more = self.allocations.len().saturating_sub(most);
        self.more_allocations = more as u64;
        if more > 0 {
            self.allocations.sort_by_key(|i| (i.span.is_open(), i.span.last_seen.at, i.row.address));
            self.allocations.drain(..more);
            self.allocations.sort_by_key(|i| (i.row.address, i.span.first_seen.at));
        }
    }
}

/// A row of the history as the JSON of `who` has it: its own fields, then its uncertain ends.
trait InJson {
    fn tell<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error>;

    /// What comes after the ends.
    fn tell_last<M: SerializeMap>(&self, _: &mut M) -> Result<(), M::Error> {
        Ok(())
    }
}

impl InJson for AllocationRow {
    fn tell<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("address", &self.address)?;
        map.serialize_entry("block", &self.block)?;
        map.serialize_entry("sequence", &self.sequence)?;
        map.serialize_entry("handle", &self.handle)?;
        map.serialize_entry("used_for", &self.used_for)?;
        map.serialize_entry("node", &self.node)?;
        map.serialize_entry("owner", &self.owner())?;
        map.serialize_entry("allocated", &self.allocated)
    }

    fn tell_last<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("at_most_changes", &self.changes)
    }
}

impl InJson for PodRow {
    fn tell<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("address", &self.address)?;
        map.serialize_entry("pod", &self.id())?;
        map.serialize_entry("uid", &self.uid)?;
        map.serialize_entry("node", &self.node)?;
        map.serialize_entry("grade", &self.grade)
    }
}

impl InJson for NodeRow {
    fn tell<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("calico", &self.calico)?;
        map.serialize_entry("kubernetes", &self.kubernetes)?;
        map.serialize_entry("present", &self.present)?;
        map.serialize_entry("ready", &self.ready)?;
        map.serialize_entry("boot_id", &self.boot_id)?;
        map.serialize_entry("addresses", &self.addresses.raw().split_whitespace().collect::<Vec<_>>())
    }
}

impl<T: InJson> Serialize for Interval<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Lifespan { not_seen_before, first_seen, last_seen, not_seen_after } = self.span;
        let mut map = serializer.serialize_map(None)?;
        self.row.tell(&mut map)?;
        map.serialize_entry("not_seen_before", &not_seen_before.map(|s| s.at))?;
        map.serialize_entry("first_seen", &first_seen.at)?;
        map.serialize_entry("last_seen", &last_seen.at)?;
        map.serialize_entry("not_seen_after", &not_seen_after.map(|s| s.at))?;
        self.row.tell_last(&mut map)?;
        map.end()
    }
}

// As `who` tells what is open.
in_json!(|open: &Episode| {
    "code": open.finding.code,
    "severity": open.finding.severity,
    "subject": open.finding.subject,
    "summary": open.finding.summary,
    "state": open.finding.state,
    "first_seen": open.opened.at,
    "last_seen": open.last_seen.at,
    "audits_seen": open.audits_seen,
    "episode": open.number,
});

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::row::AuditAt;
    use crate::model::{Addr, Cidr, Use};

    #[test]
    fn of_many_intervals_the_newest_are_left() {
        let seen = |at| AuditAt { audit: at, at: Time(at) };
        let interval = |address: u32, last: i64, open: bool| Interval {
            row: AllocationRow {
                address: Addr::from(std::net::IpAddr::from(address.to_be_bytes())),
                block: Cidr::parse("0.0.0.0/26").unwrap().0,
                block_create_revision: 1,
                sequence: None,
                handle: None,
                used_for: Use::Pod.into(),
                node: None,
                namespace: None,
                pod: None,
                allocated: None,
                more: None,
                changes: None,
            },
            span: Lifespan {
                not_seen_before: None,
                first_seen: seen(1),
                last_seen: seen(last),
                not_seen_after: (!open).then_some(seen(last + 1)),
            },
        };
        let all = vec![interval(1, 5, false), interval(2, 9, false), interval(3, 2, true), interval(4, 7, false)];
        let mut before = Before { allocations: all.clone(), ..Before::default() };
        before.keep_newest(2);
        assert_eq!((before.allocations.as_slice(), before.more_allocations), (&all[1..3], 2), "an open one is newest");
        before.keep_newest(2);
        assert_eq!((before.allocations.len(), before.more_allocations), (2, 0));
    }
}
