//! What is open in the history: allocations and pods' addresses, all of them or those of some ranges.

use std::fmt::Debug;
use std::rc::Rc;

use crate::model::finding::Parts;
use crate::model::prints::range_of;
use crate::model::{Addr, ByHash, Time};

/// The tuple that names one allocation through time.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct AllocationTuple {
    pub address: Addr,
    /// The sanitised handle id; `None` without one.
    pub handle: Option<String>,
    /// Its entry of `sequenceNumberForAllocation`; `None` without one.
    pub sequence: Option<u64>,
    /// Another one: the block was made anew, and with it the allocation.
    pub block_create_revision: i64,
}

impl AllocationTuple {
    /// By what a table in memory finds it.
    pub fn index(&self) -> u128 {
        let handle = self.handle.as_deref().map(|handle| [handle, "", ""]);
        tuple_index(self.address, handle, self.sequence, self.block_create_revision)
    }
}

/// [`AllocationTuple::index`] of its parts; the handle's id is these three behind each other.
pub fn tuple_index(address: Addr, handle: Option<[&str; 3]>, sequence: Option<u64>, block_created: i64) -> u128 {
    let parts = Parts::new().wide(address.bits());
    let parts = match handle {
        Some(pieces) => parts.number(1).joined(&pieces),
        None => parts.number(0),
    };
    parts.number(sequence.map_or(-1, i128::from)).number(block_created).hash128()
}

/// An allocation that is open in the history.
#[derive(Clone, Copy, Debug)]
pub struct OpenAllocation {
    /// Judged time of the audit that first saw the tuple.
    pub since: Time,
    /// Its row.
    pub row: i64,
    /// Hash of block, use and owners: whether they changed.
    pub owner: u64,
}

/// Open rows of things with an address.
#[derive(Clone, Debug)]
pub struct OpenRows<V> {
    table: ByHash<V>,
    /// The ranges of which it has them, by their first addresses, sorted; in all others nothing changed. `None`: it has
    /// every row.
    ranges: Option<Vec<Addr>>,
}

impl<V> Default for OpenRows<V> {
    fn default() -> OpenRows<V> {
        OpenRows::all(ByHash::default())
    }
}

impl<V> OpenRows<V> {
    /// Every open row.
    pub fn all(table: ByHash<V>) -> OpenRows<V> {
        OpenRows { table, ranges: None }
    }

    /// Those of these ranges alone, sorted.
    pub fn of_ranges(ranges: Vec<Addr>, table: ByHash<V>) -> OpenRows<V> {
        OpenRows { table, ranges: Some(ranges) }
    }

    /// Whether it has every row of this address.
    pub fn covers(&self, address: Addr) -> bool {
        self.ranges.as_ref().is_none_or(|ranges| ranges.binary_search(&range_of(address)).is_ok())
    }

    /// The rows.
    pub fn table(&self) -> &ByHash<V> {
        &self.table
    }
}

/// Who is asked for what was not read.
pub trait RowKeeper: Debug {
    /// When an audit first saw an allocation that the last one saw.
    fn first_seen(&self, tuple: &AllocationTuple) -> Option<Time>;
}

/// The allocations that the last audit saw.
#[derive(Clone, Debug, Default)]
pub struct FirstSeen {
    pub rows: OpenRows<OpenAllocation>,
    /// Of those without their rows.
    pub keeper: Option<Rc<dyn RowKeeper>>,
}

impl FirstSeen {
    /// When an audit first saw this very allocation.
    pub fn get(&self, tuple: &AllocationTuple) -> Option<Time> {
        match self.rows.covers(tuple.address) {
            true => self.rows.table.get(tuple.index()).map(|open| open.since),
            false => self.keeper.as_ref()?.first_seen(tuple),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl FirstSeen {
        /// Enters one that has no row.
        pub fn insert(&mut self, tuple: AllocationTuple, since: Time) {
            self.rows.table.insert(tuple.index(), OpenAllocation { since, row: 0, owner: 0 });
        }
    }

    impl FromIterator<(AllocationTuple, Time)> for FirstSeen {
        fn from_iter<T: IntoIterator<Item = (AllocationTuple, Time)>>(all: T) -> FirstSeen {
            let mut seen = FirstSeen::default();
            all.into_iter().for_each(|(tuple, since)| seen.insert(tuple, since));
            seen
        }
    }

    impl<const N: usize> From<[(AllocationTuple, Time); N]> for FirstSeen {
        fn from(all: [(AllocationTuple, Time); N]) -> FirstSeen {
            all.into_iter().collect()
        }
    }

    #[derive(Debug)]
    struct Anytime;

    impl RowKeeper for Anytime {
        fn first_seen(&self, _: &AllocationTuple) -> Option<Time> {
            Some(Time(9))
        }
    }

    #[test]
    fn what_was_not_read_is_asked_for() {
        let tuple = |address: &str| AllocationTuple {
            address: address.parse().unwrap(),
            handle: None,
            sequence: None,
            block_create_revision: 1,
        };
        let read = tuple("10.0.0.17");
        let table = [(read.index(), OpenAllocation { since: Time(5), row: 1, owner: 2 })].into_iter().collect();
        let rows = OpenRows::of_ranges(vec!["10.0.0.16".parse().unwrap()], table);
        let seen = FirstSeen { rows, keeper: Some(Rc::new(Anytime)) };
        let since = |address: &str| seen.get(&tuple(address));
        assert_eq!([since("10.0.0.17"), since("10.0.0.18"), since("10.0.0.15")], [Some(Time(5)), None, Some(Time(9))]);
        assert_eq!(FirstSeen::default().get(&read), None);
    }
}
