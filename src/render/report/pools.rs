//! How a pool fills, in words: numbers that add up to all of it.
//!
//! What the history holds of a number ends at 2^63 - 1, and an IPv6 pool has more: all of it follows from its range, and what is
//! free from the rest.

use std::time::Duration;

use super::clock::Clock;
use super::{ClusterReport, PoolTrend};
use crate::model::row::PoolNumbers;
use crate::model::{Cidr, SubjectKind, Time};
use crate::render::age::age;
use crate::render::capacity::{NO_BLOCK, UNATTRIBUTED};
use crate::render::number::{grouped, number, plural};

/// Which audit the numbers are of, where that is not plain: it is old, or addresses were given back since. Empty where it is.
pub fn as_of(cluster: &ClusterReport, clock: Clock) -> String {
    let Some(last) = cluster.last_ever else { return String::new() };
    let is_address = |kind: &str| kind == SubjectKind::Address.word();
    let given_back = cluster.release.given_back.subjects.keys().filter(|(kind, _)| is_address(kind)).count();
    match given_back as u64 {
        0 => clock.as_of(last).trim_start().to_owned(),
        number => {
            let were = if number == 1 { "was" } else { "were" };
            let addresses = plural(number, "address", "addresses");
            format!("as of {}, before {addresses} {were} given back", clock.at(last))
        }
    }
}

/// What is said of a pool, a part each; nothing is known of one without points.
pub fn words(pool: &PoolTrend, since: Time, end: Time) -> Vec<String> {
    let (Some((_, first)), Some((_, last))) = (pool.points.first(), pool.points.last()) else { return Vec::new() };
    let grown = last.allocated.saturating_sub(first.allocated);
    let changed = match grown {
        0 => "unchanged".to_owned(),
        1.. => format!("+{}", grouped(grown)),
        _ => grouped(grown),
    };
    let whole = whole(pool, last);
    let percent = percent(last.allocated, whole);
    let mut words = vec![format!("{} of {} allocated ({percent}), {changed}", grouped(last.allocated), number(whole))];
    words.extend(allocated(last));
    words.push(rest(last, whole));
    words.push(match last.blocks {
        0 => NO_BLOCK.to_owned(),
        all => format!("{} of {} blocks free", at_least(last.free_blocks), at_least(all)),
    });
    words.extend(pool.full_in(since, end).map(|left: Duration| format!("full in {} at this rate", age(left))));
    words
}

/// How many addresses a pool has, by its range.
fn whole(pool: &PoolTrend, last: &PoolNumbers) -> u128 {
    let written = u128::try_from(last.addresses).unwrap_or(0);
    Cidr::parse(&pool.cidr.shown()).map_or(written, |(range, _)| range.size())
}

fn percent(allocated: i64, whole: u128) -> String {
    let allocated = u128::try_from(allocated).unwrap_or(0);
    match allocated.saturating_mul(100) / whole.max(1) {
        0 if allocated > 0 => "<1%".to_owned(),
        percent => format!("{percent}%"),
    }
}

/// `27 in use + 2 leaked + 1 unattributed`, the parts of the allocated ones: the last is what is reserved, of another cluster,
/// or of nobody who is known.
fn allocated(last: &PoolNumbers) -> Option<String> {
    let unattributed = last.allocated.checked_sub(last.in_use)?.checked_sub(last.leaked).filter(|n| *n > 0);
    let parts =
        [(Some(last.in_use), "in use"), (Some(last.leaked).filter(|n| *n > 0), "leaked"), (unattributed, UNATTRIBUTED)];
    let parts = parts.into_iter().filter_map(|(number, word)| Some(format!("{} {word}", grouped(number?))));
    (last.allocated > 0).then(|| parts.collect::<Vec<_>>().join(" + "))
}

/// What is not allocated; free is said always. One number that did not fit into the history is what the others leave.
fn rest(last: &PoolNumbers, whole: u128) -> String {
    let known = |number: i64| u128::try_from(number).unwrap_or(0);
    let is_cut = |number: i64| number == i64::MAX;
    let taken = known(last.allocated).saturating_add(known(last.cooling));
    let left = whole.saturating_sub(taken);
    let (reserved, free) = (known(last.reserved), known(last.free));
    let [reserved, free, unknown] = match (is_cut(last.reserved), is_cut(last.free)) {
        (false, false) => [number(reserved), number(free), number(left.saturating_sub(reserved.saturating_add(free)))],
        (false, true) => [number(reserved), number(last.free_of(whole)), number(0)],
        (true, false) => [number(left.saturating_sub(free)), number(free), number(0)],
        (true, true) => [at_least(last.reserved), at_least(last.free), number(0)],
    };
    let parts = [(grouped(last.cooling), "cooling"), (reserved, "reserved"), (unknown, "not known")];
    let parts = parts.into_iter().filter(|(number, _)| number != "0").chain([(free, "free")]);
    parts.map(|(number, word)| format!("{number} {word}")).collect::<Vec<_>>().join(" + ")
}

/// A number of the history, which may be more.
fn at_least(number: i64) -> String {
    if number == i64::MAX { format!("over {}", grouped(number)) } else { grouped(number) }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, report};
    use super::*;

    fn told(cidr: &str, numbers: PoolNumbers) -> String {
        let points = vec![(at(0), numbers)];
        let pool = PoolTrend { name: "p".into(), cidr: cidr.into(), closed: None, points };
        words(&pool, at(0), at(1)).join("; ")
    }

    #[test]
    fn an_ipv6_pool_has_all_of_its_addresses() {
        let numbers = PoolNumbers {
            addresses: i64::MAX,
            allocated: 3,
            in_use: 3,
            free: i64::MAX,
            blocks: 1 << 58,
            free_blocks: (1 << 58) - 1,
            ..PoolNumbers::default()
        };
        let says = "3 of 1.8e19 allocated (<1%), unchanged; 3 in use; 1.8e19 free; 2.9e17 of 2.9e17 blocks free";
        assert_eq!(told("fd00::/64", numbers), says);
        let wide = PoolNumbers { blocks: i64::MAX, free_blocks: i64::MAX, ..numbers };
        let says =
            "3 of 1.2e24 allocated (<1%), unchanged; 3 in use; 1.2e24 free; over 9.2e18 of over 9.2e18 blocks free";
        assert_eq!(told("fd00::/48", wide), says);
        // Half of it is reserved, and none of the numbers is that of the whole.
        let half = PoolNumbers { reserved: i64::MAX, free: i64::MAX - 9, ..numbers };
        assert!(told("fd00::/64", half).contains("; 9.2e18 reserved + 9.2e18 free; "), "{}", told("fd00::/64", half));
        let both = PoolNumbers { reserved: i64::MAX, ..numbers };
        assert!(told("fd00::/64", both).contains("; over 9.2e18 reserved + over 9.2e18 free; "));
        let dark = PoolNumbers { free: 5, ..numbers };
        assert!(told("fd00::/64", dark).contains("; 1.8e19 not known + 5 free; "), "what did not decode is not free");
        let odd = PoolNumbers { addresses: 10, allocated: -1, free: -5, ..PoolNumbers::default() };
        assert!(!told("no range", odd).is_empty(), "a damaged history is told too");
    }

    #[test]
    fn numbers_are_those_of_an_audit() {
        let view = report();
        let mut cluster = view.clusters[0].clone();
        let clock = Clock::of(&view);
        assert_eq!(as_of(&cluster, clock), "");
        cluster.last_ever = Some(at(23));
        assert_eq!(as_of(&cluster, clock), "");
        cluster.last_ever = Some(at(10));
        assert_eq!(as_of(&cluster, clock), "as of 24 Nov 16:00, 14h ago");
        cluster.release.given_back.subjects = [(("address", "10.0.0.7".into()), 1), (("handle", "h".into()), 1)].into();
        assert_eq!(as_of(&cluster, clock), "as of 24 Nov 16:00, before 1 address was given back");
    }
}
