//! Moments as nanoseconds since 1970 in UTC, eight bytes each.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
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
        Time::from_chrono(DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc))
    }

    /// Parses Go's `time.String()` (`2026-11-22 08:00:00.123456789 +0000 UTC`, also with a zone name and
    /// a monotonic tail), as Calico writes `secondary.timestamp`; RFC 3339 is taken as well.
    pub fn parse_go(text: &str) -> Option<Time> {
        if let Ok((at, _)) = DateTime::parse_and_remainder(text, "%Y-%m-%d %H:%M:%S%.f %z") {
            return Time::from_chrono(at.with_timezone(&Utc));
        }
        Time::parse_rfc3339(text)
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

    /// RFC 3339 in UTC with as many digits as it needs.
    pub fn to_rfc3339(self) -> String {
        self.to_chrono().to_rfc3339_opts(SecondsFormat::AutoSi, true)
    }

    /// chrono's form, for formatting.
    pub fn to_chrono(self) -> DateTime<Utc> {
        DateTime::from_timestamp_nanos(self.0)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_rfc3339())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_and_rfc_times_agree() {
        let go = Time::parse_go("2026-11-22 08:00:00.123456789 +0000 UTC").unwrap();
        assert_eq!(go.to_rfc3339(), "2026-11-22T08:00:00.123456789Z");
        assert_eq!(Time::parse_go("2026-11-22 08:00:00 +0000 UTC"), Time::parse_rfc3339("2026-11-22T08:00:00Z"));
        assert_eq!(
            Time::parse_go("2026-11-22 10:00:00.5 +0200 CEST m=+0.5"),
            Time::parse_rfc3339("2026-11-22T08:00:00.5Z")
        );
        assert_eq!(Time::parse_go("yesterday"), None);
        assert_eq!(Time::parse_rfc3339("9999-01-01T00:00:00Z"), None);
    }
}
