//! Moments as people type them: so long ago, a day, a time. Without a zone they are UTC, as everything that is printed.

use std::time::Duration;

use super::parse::duration;
use crate::model::Time;

/// A time, or so long before now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moment {
    At(Time),
    Ago(Duration),
}

impl Moment {
    /// The time that is meant.
    pub fn at(self, now: Time) -> Time {
        match self {
            Moment::At(time) => time,
            Moment::Ago(duration) => now.minus(duration),
        }
    }
}

/// Parses one.
///
/// # Errors
/// What forms there are.
pub fn moment(text: &str) -> Result<Moment, String> {
    // A bare number is seconds ago, `2026-11-24` none.
    if let Some(at) = Time::parse_rfc3339(text).or_else(|| utc(text)) {
        return Ok(Moment::At(at));
    }
    let ago = duration(text.strip_suffix(" ago").unwrap_or(text));
    if let Some(length) = text.strip_prefix('-').filter(|length| duration(length).is_ok()) {
        return Err(format!("so long ago is said without a sign: {length}"));
    }
    ago.map(Moment::Ago).map_err(|_| {
        format!("{text:?} is neither so long ago (24h, 7d) nor a time (2026-11-24, 2026-11-24T03:04, in UTC; 2026-11-24T03:04:11+01:00)")
    })
}

/// A day, or a time of a day without a zone: UTC, as everything that is printed, whatever the machine's zone is.
fn utc(text: &str) -> Option<Time> {
    let text = text.replace(' ', "T");
    let whole = match text.len() {
        10 => format!("{text}T00:00:00Z"),
        16 => format!("{text}:00Z"),
        19.. => format!("{text}Z"),
        _ => return None,
    };
    Time::parse_rfc3339(&whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_durations_days_and_times_in_utc() {
        let at = |text: &str| moment(text).unwrap_or_else(|e| panic!("{e}"));
        let time = |text: &str| Moment::At(Time::parse_rfc3339(text).unwrap());
        for (text, meant) in [
            ("24h", Moment::Ago(Duration::from_secs(86_400))),
            ("7d", Moment::Ago(Duration::from_secs(7 * 86_400))),
            ("1h30m ago", Moment::Ago(Duration::from_secs(5_400))),
            ("90", Moment::Ago(Duration::from_secs(90))),
            ("2026-11-24", time("2026-11-24T00:00:00Z")),
            ("2026-11-24T03:04", time("2026-11-24T03:04:00Z")),
            ("2026-11-24 03:04:11", time("2026-11-24T03:04:11Z")),
            ("2026-11-24T03:04:11+01:00", time("2026-11-24T02:04:11Z")),
            ("2026-11-24T03:04:11.5Z", time("2026-11-24T03:04:11.5Z")),
        ] {
            assert_eq!(at(text), meant, "{text}");
        }
        for wrong in ["", "sometime", "2026-13-24", "2026-11-31", "24.11.2026", "-x", "2026-11-24T25:00", "9999-01-01"]
        {
            let error = moment(wrong).unwrap_err();
            assert!(error.contains("2026-11-24T03:04"), "{wrong}: {error}");
        }
        assert_eq!(moment("-1h").unwrap_err(), "so long ago is said without a sign: 1h");
    }
}
