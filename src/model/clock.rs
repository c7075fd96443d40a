//! The API server's clock beside ours, answer by answer.
//!
//! Two clocks can only be compared at one moment: a `Date` that is held against our clock a minute later accuses a
//! clock that is right. So each answer gives a pair, and a skew is always that of one pair.

use std::time::Duration;

use super::Time;

/// Two clocks further apart are not both right: Kubernetes' own nodes keep theirs within a second.
pub const SKEW: Duration = Duration::from_secs(60);

/// The two clocks at one answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct ClockPair {
    /// The answer's `Date` header.
    pub theirs: Time,
    /// This machine's clock when the answer came.
    pub ours: Time,
}

impl ClockPair {
    /// How far the two are apart, whichever is ahead.
    pub fn apart(self) -> Duration {
        self.ours.since(self.theirs).max(self.theirs.since(self.ours))
    }

    /// What their clock shows when ours shows `ours`.
    pub fn theirs_at(self, ours: Time) -> Time {
        Time(ours.0.saturating_add(self.theirs.0.saturating_sub(self.ours.0)))
    }
}

/// What the answers of one reading said of the clocks: the first pair, the last, and the closest. An answer on its way
/// makes two clocks look further apart or closer by as long as it took, so the closest pair says what is proven.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ClockPairs {
    first: Option<ClockPair>,
    last: Option<ClockPair>,
    closest: Option<ClockPair>,
}

impl ClockPairs {
    /// One more answer.
    pub fn note(&mut self, pair: ClockPair) {
        self.first.get_or_insert(pair);
        self.last = Some(pair);
        if self.closest.is_none_or(|closest| pair.apart() < closest.apart()) {
            self.closest = Some(pair);
        }
    }

    /// The pair of the last answer that told its time; `None` when none did.
    pub fn last(&self) -> Option<ClockPair> {
        self.last
    }

    /// The pair whose clocks are the least apart.
    pub fn closest(&self) -> Option<ClockPair> {
        self.closest
    }

    /// Whether no answer told its time.
    pub fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    /// What the API server's clock shows when ours shows `ours`, by the last answer: the clocks may have been set since
    /// the first one.
    pub fn theirs_at(&self, ours: Time) -> Option<Time> {
        self.last.map(|pair| pair.theirs_at(ours))
    }

    /// Of the first answer and the last one that which says that the clocks are further apart: one of them may have been set
    /// between.
    pub fn furthest(&self) -> Option<ClockPair> {
        self.first.into_iter().chain(self.last).max_by_key(|pair| pair.apart())
    }

    /// The pairs, in the order in which they came, so that noting them again gives the same.
    pub fn iter(&self) -> impl Iterator<Item = ClockPair> {
        let between = self.closest.filter(|closest| self.first != Some(*closest) && self.last != Some(*closest));
        let last = self.last.filter(|last| self.first != Some(*last));
        self.first.into_iter().chain(between).chain(last)
    }
}

impl FromIterator<ClockPair> for ClockPairs {
    fn from_iter<T: IntoIterator<Item = ClockPair>>(all: T) -> ClockPairs {
        let mut pairs = ClockPairs::default();
        all.into_iter().for_each(|pair| pairs.note(pair));
        pairs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(theirs: i64, ours: i64) -> ClockPair {
        let at = |seconds: i64| Time(seconds * 1_000_000_000);
        ClockPair { theirs: at(theirs), ours: at(ours) }
    }

    #[test]
    fn a_skew_is_that_of_one_answer_however_long_the_reading_takes() {
        let pairs: ClockPairs = [pair(100, 100), pair(163, 163)].into_iter().collect();
        assert_eq!(pairs.closest().unwrap().apart(), Duration::ZERO);
        assert_eq!(pairs.theirs_at(pair(0, 170).ours), Some(pair(170, 0).theirs));
    }

    #[test]
    fn the_closest_pair_is_what_is_proven_and_the_last_one_is_what_is_so_now() {
        let pairs: ClockPairs = [pair(100, 170), pair(200, 261), pair(300, 365)].into_iter().collect();
        assert_eq!(pairs.closest(), Some(pair(200, 261)));
        assert_eq!(pairs.last(), Some(pair(300, 365)));
        assert_eq!(pairs.theirs_at(pair(0, 400).ours), Some(pair(335, 0).theirs));
        assert!(ClockPairs::default().is_empty() && ClockPairs::default().theirs_at(Time(0)).is_none());
    }

    #[test]
    fn what_is_kept_of_them_gives_the_same_again() {
        let skews = [[70, 61, 65], [1, 2, 3], [3, 2, 1], [5, 5, 5], [-3, 9, 1]];
        for skews in skews {
            let all: ClockPairs = (0..).zip(skews).map(|(i, skew)| pair(100 * i, 100 * i + skew)).collect();
            assert_eq!(all.iter().collect::<ClockPairs>(), all, "{skews:?}");
            assert!(all.iter().count() <= 3);
        }
    }
}
