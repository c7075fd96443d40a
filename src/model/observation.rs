//! How often audits have seen one thing that a release is about: what makes a suspicion old enough.

use std::time::Duration;

use super::Time;

/// Audits closer together than this count as one.
pub const APART: Duration = Duration::from_secs(5 * 60);

/// The audits that saw one and the same thing (an allocation's tuple as leaked, a handle object as orphaned) without
/// any complete audit in between that did not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Observation {
    /// How many audits, of those that are at least [`APART`] from each other.
    pub audits: u32,
    /// Judged time of the first of them.
    pub first: Time,
    /// Judged time of the last of them.
    pub last: Time,
}

impl Observation {
    /// From the judged times of the audits, in any order; `None` when there are none.
    pub fn of(times: &[Time]) -> Option<Observation> {
        let mut times = times.to_vec();
        times.sort_unstable();
        let mut seen: Option<Observation> = None;
        for time in times {
            seen = Some(match seen {
                None => Observation { audits: 1, first: time, last: time },
                Some(before) if time.since(before.last) >= APART => {
                    Observation { audits: before.audits.saturating_add(1), last: time, ..before }
                }
                Some(before) => before,
            });
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audits_count_when_they_are_apart() {
        let at = |seconds: i64| Time(seconds * 1_000_000_000);
        assert_eq!(Observation::of(&[]), None);
        let seen = Observation::of(&[at(600), at(0), at(299), at(300)]).unwrap();
        assert_eq!(seen, Observation { audits: 3, first: at(0), last: at(600) });
        assert_eq!(Observation::of(&[at(0), at(299), at(598)]).unwrap().audits, 2);
    }
}
