//! Sets of addresses as sorted ranges that do not touch: reservations, and what does not decode.

use crate::model::{Addr, Cidr};

/// A set of addresses of one range. The numbers are those of [`Addr::bits`]; both ends belong to it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Spans(Vec<(u128, u128)>);

impl Spans {
    /// All addresses of `cidrs` that lie in `within`.
    pub(super) fn of(cidrs: impl IntoIterator<Item = Cidr>, within: Cidr) -> Spans {
        let (first, last) = (within.first().bits(), within.last().bits());
        let cut = |c: Cidr| (c.first().bits().max(first), c.last().bits().min(last));
        Spans::merged(cidrs.into_iter().filter(|c| c.overlaps(within)).map(cut).collect())
    }

    fn merged(mut spans: Vec<(u128, u128)>) -> Spans {
        spans.sort_unstable();
        let mut merged: Vec<(u128, u128)> = Vec::with_capacity(spans.len());
        for (first, last) in spans {
            match merged.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        Spans(merged)
    }

    /// Both sets together.
    pub(super) fn union(&self, other: &Spans) -> Spans {
        Spans::merged(self.0.iter().chain(&other.0).copied().collect())
    }

    /// How many addresses; held at the end of the range.
    pub(super) fn count(&self) -> u128 {
        self.0.iter().fold(0, |sum: u128, (first, last)| sum.saturating_add((last - first).saturating_add(1)))
    }

    /// Whether it has this address.
    pub(super) fn contains(&self, address: Addr) -> bool {
        let bits = address.bits();
        let after = self.0.partition_point(|&(first, _)| first <= bits);
        after.checked_sub(1).and_then(|at| self.0.get(at)).is_some_and(|&(_, last)| bits <= last)
    }

    /// What is left when only whole steps of `size` addresses count, `start` being the beginning of one.
    pub(super) fn whole(&self, start: Addr, size: u128) -> Spans {
        let start = start.bits();
        let step = |&(first, last): &(u128, u128)| {
            let from = (first.checked_sub(start)?).checked_next_multiple_of(size)?;
            let until = (last - start).checked_add(1)? / size * size;
            (from < until).then(|| (start + from, start + until - 1))
        };
        Spans(self.0.iter().filter_map(step).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{addr, cidr};
    use proptest::prelude::*;

    fn spans(texts: &[&str]) -> Spans {
        Spans::of(texts.iter().map(|t| cidr(t)), cidr("10.0.0.0/24"))
    }

    #[test]
    fn touching_and_nested_ranges_are_one() {
        let one = spans(&["10.0.0.64/26", "10.0.0.0/26", "10.0.0.5/32", "10.0.1.0/26", "fd00::/64"]);
        assert_eq!((one.0.len(), one.count()), (1, 128));
        assert!(one.contains(addr("10.0.0.127")) && !one.contains(addr("10.0.0.128")));
        assert_eq!(spans(&["10.0.0.0/8"]).count(), 256, "cut to the range");
        assert_eq!(spans(&["10.0.0.0/30"]).union(&spans(&["10.0.0.2/31", "10.0.0.8/32"])).count(), 5);
        assert!(!spans(&[]).contains(addr("10.0.0.0")));
    }

    #[test]
    fn only_whole_blocks_count_as_whole() {
        let whole = |texts: &[&str]| spans(texts).whole(addr("10.0.0.0"), 64).count() / 64;
        assert_eq!(whole(&["10.0.0.0/25"]), 2);
        assert_eq!(whole(&["10.0.0.32/27", "10.0.0.64/26", "10.0.0.128/27"]), 1, "halves at both ends");
        assert_eq!(whole(&["10.0.0.64/27", "10.0.0.96/27"]), 1, "two halves of one block");
        assert_eq!(whole(&["10.0.0.0/27"]), 0);
    }

    #[test]
    fn the_widest_ranges_do_not_overflow() {
        let all = Spans::of([cidr("::/0")], cidr("::/0"));
        assert_eq!(all.count(), u128::MAX);
        let _ = all.whole(addr("::"), 64);
    }

    proptest! {
        #[test]
        fn as_a_list_of_single_addresses_would(ranges in proptest::collection::vec((0u8..=255, 24u8..=32), 0..8)) {
            let pool = cidr("10.0.0.0/24");
            let ranges: Vec<Cidr> =
                ranges.iter().map(|&(last, p)| Cidr::new(pool.nth(u128::from(last)).unwrap(), p).unwrap()).collect();
            let spans = Spans::of(ranges.iter().copied(), pool);
            let inside = |a: Addr| ranges.iter().any(|r| r.contains(a));
            let each = || (0..256u128).map(|i| pool.nth(i).unwrap());
            prop_assert_eq!(spans.count(), each().filter(|&a| inside(a)).count() as u128);
            prop_assert!(each().all(|a| inside(a) == spans.contains(a)));
            let blocks = (0..16u128).filter(|b| (0..16).all(|i| inside(pool.nth(b * 16 + i).unwrap()))).count();
            prop_assert_eq!(spans.whole(pool.first(), 16).count() / 16, blocks as u128);
        }
    }
}
