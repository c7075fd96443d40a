//! What one life of an etcd cannot show, whatever its revision says: signs that it was restored, and that writes or
//! `--bump-revision` have hidden the older revision.
//!
//! Compaction, defragmentation, a restart, an election, a replaced member and a learner show none of them. What no sign
//! covers is told in docs/operations.md.

use std::time::Duration;

use crate::ledger::Ledger;
use crate::model::{Block, BlockSequence, EtcdFacts, Meta, Past, PastEtcd, PastKey, Time};

/// More revisions a second than any load writes; an operator's bump is far more.
const FASTEST: u64 = 10_000;
/// The least time that growth is held against: clocks are only so good.
const LEAST: Duration = Duration::from_secs(60);
/// Numbers of blocks start from nanoseconds since 1970. What is lower was never one of them, or was begun anew by
/// somebody who does not know them (IPA306).
const SINCE_1970: u64 = 1_000_000_000_000_000_000;

/// A term never falls in one life of a cluster; a higher one is any restart or election.
pub fn fallen_term(now: &EtcdFacts, before: &PastEtcd) -> Option<String> {
    let same = now.cluster_id != 0 && now.cluster_id == before.cluster_id;
    let known = now.raft_term != 0 && before.raft_term != 0;
    let fell = same && known && now.raft_term < before.raft_term;
    fell.then(|| format!("etcd's raft term is {}, the last complete audit saw {}", now.raft_term, before.raft_term))
}

/// Held against the longer of the times that this machine's clock and the API server's say have gone by; nothing is
/// said when one of them ran back, or where real time is unknown. `last`: when the last audit of any kind started.
pub fn leap(now: &EtcdFacts, date: Option<Time>, before: &PastEtcd, last: Option<Time>) -> Option<String> {
    let (read_at, started) = (now.read_at?, before.started?);
    let dates = date.zip(before.api_date);
    let ran_back = |(now, then): (Time, Time)| now < then;
    if ran_back((read_at, started.max(last.unwrap_or(started)))) || dates.is_some_and(ran_back) {
        return None;
    }
    let by_dates = dates.map_or(Duration::ZERO, |(now, then)| now.since(then));
    let within = read_at.since(started).max(by_dates).max(LEAST);
    let by = u64::try_from(now.revision.checked_sub(before.revision)?).ok()?;
    let most = u128::from(FASTEST) * within.as_millis() / 1000;
    let told = humantime::format_duration(Duration::from_secs(within.as_secs()));
    (u128::from(by) > most).then(|| format!("etcd's revision grew by {by} within {told}, faster than etcd can write"))
}

/// Whether the key was written since, and yet not counted: one life counts every write of a key in its `version`.
pub fn written_uncounted(now: &Meta, then: &PastKey) -> bool {
    let known = then.create_revision != 0 && then.version != 0 && now.version != 0;
    let same_key = known && now.create_revision == then.create_revision;
    same_key && now.mod_revision > then.mod_revision && now.version <= then.version
}

/// Blocks whose numbers fell, though both are of Calico's kind; a block that was created anew begins anew.
pub fn fallen_numbers(ledger: &Ledger<'_>, past: &Past) -> Vec<String> {
    let fell = |block: &Block| {
        let now = block.sequence?;
        let BlockSequence { create_revision, highest } = *past.block_sequences.get(&block.cidr)?;
        let same_block = create_revision > 0 && create_revision == block.meta.create_revision;
        let fell = same_block && now < highest && now >= SINCE_1970;
        fell.then(|| format!("the sequence number of block {} fell from {highest} to {now}", block.cidr))
    };
    ledger.blocks().filter_map(fell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Option<Time> {
        Some(Time(seconds * 1_000_000_000))
    }

    fn facts(revision: i64, term: u64, seconds: i64) -> EtcdFacts {
        EtcdFacts { revision, cluster_id: 7, raft_term: term, read_at: at(seconds), ..EtcdFacts::default() }
    }

    fn before(revision: i64, term: u64, seconds: i64) -> PastEtcd {
        PastEtcd { revision, cluster_id: 7, raft_term: term, started: at(seconds), api_date: None }
    }

    #[test]
    fn a_term_falls_only_where_both_are_known_and_of_one_cluster() {
        let fell = |now: EtcdFacts, before: PastEtcd| fallen_term(&now, &before).is_some();
        assert!(fell(facts(9, 2, 0), before(5, 3, 0)));
        assert!(!fell(facts(9, 3, 0), before(5, 3, 0)) && !fell(facts(9, 4, 0), before(5, 3, 0)));
        assert!(!fell(facts(9, 0, 0), before(5, 3, 0)), "a capture of before says no term");
        assert!(!fell(facts(9, 2, 0), before(5, 0, 0)), "nor does an old history");
        for (now, then) in [(8, 7), (0, 7), (0, 0)] {
            let now = EtcdFacts { cluster_id: now, ..facts(9, 2, 0) };
            assert!(!fell(now, PastEtcd { cluster_id: then, ..before(5, 3, 0) }));
        }
    }

    #[test]
    fn a_leap_is_more_than_10_000_a_second_of_at_least_a_minute() {
        let leaps =
            |by: i64, seconds: i64| leap(&facts(100 + by, 2, 1000 + seconds), None, &before(100, 2, 1000), None);
        assert_eq!(leaps(600_000, 1), None, "a minute at least");
        let told = "etcd's revision grew by 600001 within 1m, faster than etcd can write";
        assert_eq!(leaps(600_001, 1).as_deref(), Some(told));
        assert_eq!(leaps(600_001, 61), None);
        assert_eq!(leaps(9_000_000, 900), None);
        assert!(leaps(9_000_001, 900).is_some() && leaps(1_000_000_000, 3_600).is_some());
        assert_eq!(leaps(-5, 900), None, "an older revision is told otherwise");
        assert_eq!(leap(&facts(i64::MAX, 2, 2000), None, &before(i64::MIN, 2, 1000), None), None);
    }

    #[test]
    fn a_leap_is_held_against_the_longer_of_the_clocks_and_against_none_that_ran_back() {
        let now = facts(10_000_000, 2, 1060);
        let then = PastEtcd { api_date: at(5_000), ..before(1, 2, 1000) };
        let by = |now: &EtcdFacts, date: Option<Time>, last: Option<Time>| leap(now, date, &then, last).is_some();
        assert!(by(&now, at(5_060), None) && by(&now, None, None));
        assert!(!by(&now, at(7_000), None), "the API server saw 2,000 s go by");
        assert!(!by(&now, at(4_999), None), "its clock ran back");
        assert!(!by(&facts(10_000_000, 2, 999), at(5_060), None), "ours ran back");
        assert!(!by(&now, at(5_060), at(1061)), "since an audit that was not complete");
        assert!(!by(&EtcdFacts { read_at: None, ..now }, at(5_060), None), "--now");
        let unknown = PastEtcd { started: None, ..then };
        assert_eq!(leap(&facts(10_000_000, 2, 1060), None, &unknown, None), None);
    }

    #[test]
    fn a_write_that_was_not_counted() {
        let then = PastKey { create_revision: 10, mod_revision: 50, version: 4, value_hash: 1 };
        let now =
            |create_revision, mod_revision, version| Meta { create_revision, mod_revision, version, value_hash: 2 };
        assert!(written_uncounted(&now(10, 60, 4), &then) && written_uncounted(&now(10, 60, 1), &then));
        assert!(!written_uncounted(&now(10, 60, 5), &then), "written once");
        assert!(!written_uncounted(&now(10, 50, 4), &then), "as it was");
        assert!(!written_uncounted(&now(60, 60, 1), &then), "deleted and made anew");
        // What did not decode then is known by its mod revision alone.
        let undecoded = PastKey { create_revision: 0, version: 0, ..then };
        assert!(!written_uncounted(&now(10, 60, 4), &undecoded) && !written_uncounted(&now(0, 60, 0), &undecoded));
    }
}
