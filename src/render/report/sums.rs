//! What a report adds up: leaks by hour and node, which bursts a reboot explains, how pools fill.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::checks::natural;
use crate::model::row::{PoolNumbers, Reboot};
use crate::model::{Foreign, Time};

const HOUR: Duration = Duration::from_secs(3600);
/// A leak counts after the grace of a quarter of an hour, and is seen by an audit some time later.
const AFTER_A_REBOOT: Duration = Duration::from_secs(2 * 3600);

/// Leaks (of pods, tunnels and services) that began within the window.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Leaks {
    /// When an audit first saw each, and where (Kubernetes' name of the node where known).
    pub began: Vec<(Time, Option<Foreign>)>,
    /// Those that the very first audit found: nobody knows when they began.
    pub found_at_first: u64,
    /// How long anybody looked within the window.
    pub watched: Duration,
}

/// The leaks of one node.
#[derive(Clone, Debug)]
pub struct NodeLeaks<'a> {
    /// `None`: nothing says where they are.
    pub node: Option<&'a Foreign>,
    pub count: u64,
    /// The hour in which most of them began, and how many that were.
    pub peak: (Time, u64),
    /// The reboot after which most of them began, and how many that were.
    pub reboot: Option<(&'a Reboot, u64)>,
}

impl Leaks {
    /// Leaks an hour over the time that was watched; `None` when that was less than half an hour: a guess at best.
    pub fn per_hour(&self) -> Option<f64> {
        let hours = self.watched.as_secs_f64() / 3600.0;
        (hours >= 0.5).then(|| self.began.len() as f64 / hours)
    }

    /// How many began in which hour on which node, by hour, then node.
    pub fn by_hour(&self) -> Vec<(Time, Option<&Foreign>, u64)> {
        let mut counts: BTreeMap<(Time, Option<&Foreign>), u64> = BTreeMap::new();
        for (at, node) in &self.began {
            *counts.entry((hour_of(*at), node.as_ref())).or_default() += 1;
        }
        counts.into_iter().map(|((hour, node), count)| (hour, node, count)).collect()
    }

    /// By node, most first.
    pub fn by_node<'a>(&'a self, reboots: &'a [Reboot]) -> Vec<NodeLeaks<'a>> {
        let mut times: BTreeMap<Option<&Foreign>, Vec<Time>> = BTreeMap::new();
        for (at, node) in &self.began {
            times.entry(node.as_ref()).or_default().push(*at);
        }
        let row = |(node, times): (Option<&'a Foreign>, Vec<Time>)| {
            let of_node = reboots.iter().filter(|r| node == Some(&r.node));
            let explained = of_node.map(|r| (r, after(r, &times))).filter(|(_, count)| *count > 0);
            NodeLeaks {
                node,
                count: times.len() as u64,
                peak: peak(&times),
                reboot: explained.max_by_key(|(_, count)| *count),
            }
        };
        let mut rows: Vec<NodeLeaks<'_>> = times.into_iter().map(row).collect();
        rows.sort_by(|a, b| {
            let by_name = || match (a.node, b.node) {
                (Some(a), Some(b)) => a.cmp_by(b, natural),
                (a, b) => a.is_some().cmp(&b.is_some()),
            };
            b.count.cmp(&a.count).then_with(by_name)
        });
        rows
    }
}

/// How many of these leaks a reboot explains: they were first seen when the node was down or shortly after.
fn after(reboot: &Reboot, leaks: &[Time]) -> u64 {
    let until = reboot.after.at.plus(AFTER_A_REBOOT);
    leaks.iter().filter(|at| **at > reboot.before.at && **at <= until).count() as u64
}

fn peak(times: &[Time]) -> (Time, u64) {
    let mut hours: BTreeMap<Time, u64> = BTreeMap::new();
    for at in times {
        *hours.entry(hour_of(*at)).or_default() += 1;
    }
    // Of equals the earliest.
    hours.into_iter().rev().max_by_key(|(_, count)| *count).unwrap_or_default()
}

/// The start of an hour.
fn hour_of(at: Time) -> Time {
    let hour = HOUR.as_nanos() as i64;
    Time(at.0.div_euclid(hour).saturating_mul(hour))
}

/// How full a pool was, oldest first; the first point may lie before the window: it was so when the window began.
#[derive(Clone, Debug)]
pub struct PoolTrend {
    pub name: Foreign,
    pub cidr: Foreign,
    /// Why IPAM hands out nothing of it by itself, at the last audit: `disabled`, `manual`, `being deleted`.
    pub closed: Option<Foreign>,
    pub points: Vec<(Time, PoolNumbers)>,
}

impl PoolTrend {
    /// The allocated addresses at `cells` moments, evenly spread from the later of `since` and the first point to
    /// `until`; one value where there is nothing between.
    pub fn over(&self, since: Time, until: Time, cells: usize) -> Vec<i64> {
        let Some(first) = self.points.first() else { return Vec::new() };
        let start = since.max(first.0);
        let length = i128::from(until.0) - i128::from(start.0);
        let cells = if length <= 0 { 1 } else { cells.max(1) };
        let moment = |i: usize| i128::from(start.0) + length.max(0) * (i as i128 + 1) / cells as i128;
        let held = |at: i128| self.points.iter().rev().find(|(from, _)| i128::from(from.0) <= at).unwrap_or(first);
        (0..cells).map(|i| held(moment(i)).1.allocated).collect()
    }

    /// When it is full if it goes on as between `since` and `until`; `None` when it does not grow, when that was less
    /// than an hour, or when it is years away.
    pub fn full_in(&self, since: Time, until: Time) -> Option<Duration> {
        const FAR: f64 = 365.0 * 86_400.0;
        let ((from, first), (_, last)) = (self.points.first()?, self.points.last()?);
        let watched = until.since(since.max(*from));
        let grown = last.allocated.saturating_sub(first.allocated);
        if grown <= 0 || watched < HOUR {
            return None;
        }
        let seconds = last.free.max(0) as f64 / grown as f64 * watched.as_secs_f64();
        (seconds < FAR).then(|| Duration::from_secs_f64(seconds))
    }
}

/// A line of eight heights: the lowest value the lowest, the highest the tallest.
pub fn sparkline(values: &[i64]) -> String {
    const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let (low, high) = (values.iter().min().copied().unwrap_or(0), values.iter().max().copied().unwrap_or(0));
    let span = (i128::from(high) - i128::from(low)).max(1);
    let height = |value: i64| usize::try_from((i128::from(value) - i128::from(low)) * 7 / span).unwrap_or(0);
    values.iter().filter_map(|value| HEIGHTS.get(height(*value))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, report};
    use super::*;
    use crate::model::row::{AuditAt, PoolNumbers};

    #[test]
    fn a_reboot_is_put_beside_the_burst_that_it_explains() {
        let minutes = |hour, n: u64| at(hour).plus(Duration::from_secs(n * 60));
        let (one, two) = (Some("node-1".into()), Some("node-2".into()));
        let mut began = vec![(at(0), one.clone()), (at(9), one.clone()), (at(5), two.clone()), (at(1), None)];
        began.extend((0..5).map(|n| (minutes(4, n), one.clone())));
        let leaks = Leaks { began, found_at_first: 3, watched: HOUR * 9 };
        let seen = |at| AuditAt { audit: 1, at };
        let reboot = |node: &str, before, after| Reboot { node: node.into(), before: seen(before), after: seen(after) };
        let reboots =
            [reboot("node-1", minutes(2, 30), at(3)), reboot("node-1", at(10), at(11)), reboot("node-2", at(5), at(6))];
        let rows = leaks.by_node(&reboots);
        assert_eq!(
            rows.iter().map(|r| (r.node.map(Foreign::raw), r.count)).collect::<Vec<_>>(),
            [(Some("node-1"), 7), (None, 1), (Some("node-2"), 1)]
        );
        assert_eq!(rows[0].peak, (hour_of(at(4)), 5));
        assert_eq!(rows[0].reboot.map(|(r, n)| (r.after.at, n)), Some((at(3), 5)));
        assert!(rows[2].reboot.is_none(), "seen before the node was known to be down");
        assert_eq!(leaks.per_hour(), Some(1.0));
        assert_eq!(leaks.by_hour().iter().map(|(_, _, n)| n).sum::<u64>(), 9);
        assert_eq!(Leaks { watched: Duration::from_secs(60), ..leaks }.per_hour(), None);
    }

    #[test]
    fn a_line_follows_time_and_not_the_number_of_changes() {
        let trend = &report().clusters[0].pools[0];
        // 0, 10, 20, 30 at hours 0 to 3, and nothing after.
        assert_eq!(trend.over(at(0), at(8), 8), [10, 20, 30, 30, 30, 30, 30, 30]);
        assert_eq!(trend.over(at(2), at(4), 2), [30, 30]);
        assert_eq!(trend.over(at(0), at(0), 8), [0]);
        assert_eq!(trend.over(at(-9), at(4), 4), trend.over(at(0), at(4), 4), "nothing is known of before");
        assert!(PoolTrend { points: Vec::new(), ..trend.clone() }.over(at(0), at(1), 3).is_empty());
    }

    #[test]
    fn growth_says_when_a_pool_is_full() {
        let trend = |allocated: i64, free: i64| PoolTrend {
            name: "default".into(),
            cidr: "10.0.0.0/24".into(),
            closed: None,
            points: vec![
                (at(0), PoolNumbers { allocated: 100, ..PoolNumbers::default() }),
                (at(5), PoolNumbers { allocated, free, ..PoolNumbers::default() }),
            ],
        };
        assert_eq!(trend(110, 20).full_in(at(0), at(10)), Some(HOUR * 20));
        assert_eq!(trend(110, 0).full_in(at(0), at(10)), Some(Duration::ZERO));
        for (grown, free, until) in [(100, 20, 10), (90, 20, 10), (101, i64::MAX, 10), (110, 20, 0)] {
            assert_eq!(trend(grown, free).full_in(at(0), at(until)), None, "{grown} {free}");
        }
    }

    #[test]
    fn sparklines_rise_with_their_values() {
        assert_eq!(sparkline(&[0, 7, 14]), "▁▄█");
        assert_eq!(sparkline(&[5, 5]), "▁▁");
        assert_eq!(sparkline(&[]), "");
        assert_eq!(sparkline(&[i64::MIN, 0, i64::MAX]), "▁▄█");
    }
}
