//! Moments as nanoseconds since 1970 in UTC, eight bytes each.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use serde::{Serialize, Serializer};

/// A moment between the years 1677 and 2262, in nanoseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Time(pub i64);

impl Time {
    /// From chrono; `None` outside 1677..2262.
    pub fn from_chrono(at: DateTime<Utc>) -> Option<Time> {
        at.timestamp_nanos_opt().map(Time)
    }

    /// Parses RFC 3339, as Kubernetes and Calico's resources write times.
    pub fn parse_rfc3339(text: &str) -> Option<Time> {
        if let Some(time) = Time::parse_usual_rfc3339(text) {
            return Some(time);
        }
        Time::from_chrono(DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc))
    }

    /// RFC 3339 as nearly every program writes it: UTC, `Z`, at most nine digits of a second, since 1970.
    /// A big cluster has two of them a pod, and this is ten times cheaper than the whole grammar. `None`: ask that.
    pub fn parse_usual_rfc3339(text: &str) -> Option<Time> {
        usual(text, b'T', "Z")
    }

    /// The same for Go's form on a machine whose time zone is UTC, without a monotonic tail.
    pub fn parse_usual_go(text: &str) -> Option<Time> {
        usual(text, b' ', " +0000 UTC")
    }

    /// Seconds since 1970, fractions cut.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000_000)
    }

    /// How long ago `earlier` was; zero when it lies in the future.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0).max(0) as u64)
    }

    /// This moment plus `duration`, held at the end of the range.
    pub fn plus(self, duration: Duration) -> Time {
        Time(self.0.saturating_add(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// This moment minus `duration`, held at the start of the range.
    pub fn minus(self, duration: Duration) -> Time {
        Time(self.0.saturating_sub(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// RFC 3339 in UTC with as many digits as it needs: for programs, which compare. People read [`fmt::Display`].
    pub fn to_rfc3339(self) -> String {
        self.to_chrono().to_rfc3339_opts(SecondsFormat::AutoSi, true)
    }

    /// chrono's form, for formatting.
    pub fn to_chrono(self) -> DateTime<Utc> {
        DateTime::from_timestamp_nanos(self.0)
    }
}

fn usual(text: &str, between: u8, zone: &str) -> Option<Time> {
    let (moment, rest) = text.as_bytes().split_first_chunk::<19>()?;
    let [_, _, _, _, b'-', _, _, b'-', _, _, middle, _, _, b':', _, _, b':', _, _] = *moment else { return None };
    let number = |from: usize, digits: usize| decimal(moment.get(from..from + digits)?);
    let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
    if middle != between || !(1970..2262).contains(&year) {
        return None;
    }
    let day = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
    let second = day.and_hms_opt(number(11, 2)?, number(14, 2)?, number(17, 2)?)?.and_utc().timestamp();
    let (nanos, rest) = match rest.strip_prefix(b".") {
        None => (0, rest),
        Some(rest) => {
            let (fraction, rest) = rest.split_at(rest.iter().take_while(|b| b.is_ascii_digit()).count());
            let scale = 9u32.checked_sub(u32::try_from(fraction.len()).ok()?)?;
            (i64::from(decimal(fraction)?) * 10i64.pow(scale), rest)
        }
    };
    if rest != zone.as_bytes() {
        return None;
    }
    Some(Time(second * 1_000_000_000 + nanos))
}

/// The number that these digits write; `None` for none, for other bytes, and for more than 32 bits.
fn decimal(digits: &[u8]) -> Option<u32> {
    let digit = |b: &u8| b.is_ascii_digit().then(|| u32::from(b - b'0'));
    let (first, rest) = digits.split_first()?;
    rest.iter().try_fold(digit(first)?, |number, b| number.checked_mul(10)?.checked_add(digit(b)?))
}

/// RFC 3339 in UTC, fractions of a second cut: nobody wants to read nanoseconds.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.to_chrono().to_rfc3339_opts(SecondsFormat::Secs, true))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_rfc3339())
    }
}

/// A moment seen from `now`: `02:49` today, `22 Nov 02:49` within half a year, else `2025-11-22`.
pub fn moment(at: Time, now: Time) -> String {
    let (at, today) = (at.to_chrono(), now.to_chrono());
    let days = (today - at).num_days().abs();
    let form = if at.date_naive() == today.date_naive() {
        "%H:%M"
    } else if days < 180 {
        "%-d %b %H:%M"
    } else {
        "%Y-%m-%d"
    };
    at.format(form).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What the short way reads is what chrono reads.
    fn agrees(text: &str) -> Option<Time> {
        let rfc = DateTime::parse_from_rfc3339(text).ok();
        let go = DateTime::parse_and_remainder(text, "%Y-%m-%d %H:%M:%S%.f %z").ok().map(|(at, _)| at);
        let chrono = |at: Option<DateTime<chrono::FixedOffset>>| Time::from_chrono(at?.to_utc());
        let (usual_rfc, usual_go) = (Time::parse_usual_rfc3339(text), Time::parse_usual_go(text));
        assert!(usual_rfc.is_none() || usual_rfc == chrono(rfc), "{text}");
        assert!(usual_go.is_none() || usual_go == chrono(go), "{text}");
        usual_rfc.or(usual_go)
    }

    #[test]
    fn the_short_way_is_taken_for_usual_times_only() {
        let usual = [
            "2026-11-22T08:00:00Z",
            "2026-11-22 08:00:00 +0000 UTC",
            "2024-02-29 23:59:59.123456789 +0000 UTC",
            "1970-01-01T00:00:00.5Z",
        ];
        for text in usual {
            assert!(agrees(text).is_some(), "{text}");
        }
        for text in [
            "2026-11-22 08:00:00Z",
            "2026-11-22T08:00:00+00:00",
            "2026-02-29T08:00:00Z",
            "2026-11-22T24:00:00Z",
            "2026-11-22T08:00:60Z",
            "2026-11-22T08:00:00.Z",
            "2026-11-22T08:00:00.1234567890Z",
            "1969-12-31T00:00:00Z",
            "2026-11-22 08:00:00 +0000 UTC m=+0.1",
            "2026-11-22T08:00:00Z ",
            "+026-11-22T08:00:00Z",
            "",
            "2026-11-22T08:0ä",
        ] {
            assert_eq!(agrees(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn both_ways_agree(
            text in "[0-9]{4}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,11})?(Z| \\+0000 UTC)"
        ) {
            agrees(&text);
        }
    }

    #[test]
    fn go_and_rfc_times_agree() {
        let go = Time::parse_usual_go("2026-11-22 08:00:00.123456789 +0000 UTC").unwrap();
        assert_eq!(go.to_rfc3339(), "2026-11-22T08:00:00.123456789Z");
        assert_eq!(
            (go.to_string(), format!("{go:<22}|")),
            ("2026-11-22T08:00:00Z".into(), "2026-11-22T08:00:00Z  |".into())
        );
        assert_eq!(Time::parse_usual_go("2026-11-22 08:00:00 +0000 UTC"), Time::parse_rfc3339("2026-11-22T08:00:00Z"));
        assert_eq!(Time::parse_rfc3339("9999-01-01T00:00:00Z"), None);
    }

    #[test]
    fn moments_are_as_short_as_they_can_be() {
        let time = |text| Time::parse_rfc3339(text).unwrap();
        let now = time("2026-11-24T03:04:11Z");
        assert_eq!(moment(time("2026-11-24T02:49:30Z"), now), "02:49");
        assert_eq!(moment(time("2026-11-02T14:03:30Z"), now), "2 Nov 14:03");
        assert_eq!(moment(time("2025-11-24T02:49:30Z"), now), "2025-11-24");
        assert_eq!(moment(Time(i64::MIN), Time(i64::MAX)), "1677-09-21");
    }
}
