//! The last day of an ignore.

use std::time::Duration;

use chrono::{DateTime, NaiveDate};

use crate::model::Time;

/// A day, `2026-12-31`, in UTC: what holds until it holds all of that day.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Until {
    day: String,
    /// When it is over.
    end: Time,
}

impl Until {
    /// Reads a day.
    ///
    /// # Errors
    /// Anything else, with an example.
    pub fn parse(day: &str) -> Result<Until, String> {
        // Written back it must be the same: digits may lack in what is read.
        let read = NaiveDate::parse_from_str(day, "%Y-%m-%d").ok().filter(|date| date.to_string() == day);
        let Some(date) = read else { return Err(format!("{day:?} is no day; write until = 2026-12-31")) };
        // A time has nanoseconds, which reach from 1677 to 2262.
        let far = if date < DateTime::UNIX_EPOCH.date_naive() { Time(i64::MIN) } else { Time(i64::MAX) };
        let begin = Time::parse_rfc3339(&format!("{day}T00:00:00Z"));
        let end = begin.map_or(far, |begin| begin.plus(Duration::from_secs(24 * 60 * 60)));
        Ok(Until { day: day.to_owned(), end })
    }

    /// Whether the day is over.
    pub fn is_over(&self, now: Time) -> bool {
        now >= self.end
    }

    /// As it was written.
    pub fn day(&self) -> &str {
        &self.day
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_all_of_its_day() {
        let over = |now: &str| Until::parse("2026-12-31").unwrap().is_over(Time::parse_rfc3339(now).unwrap());
        assert!(!over("2026-01-01T00:00:00Z") && !over("2026-12-31T23:59:59Z") && !over("2027-01-01T00:30:00+01:00"));
        assert!(over("2027-01-01T00:00:00Z") && over("2026-12-31T23:30:00-01:00"));
    }

    #[test]
    fn a_day_that_no_time_reaches_is_a_day() {
        let over = |day: &str| Until::parse(day).unwrap().is_over(Time::parse_rfc3339("2026-12-31T00:00:00Z").unwrap());
        assert!(!over("9999-12-31") && !over("2262-04-12") && over("0001-01-01"));
    }

    #[test]
    fn a_day_is_a_day_that_there_is() {
        for text in ["2026-02-30", "2026-12-31T00:00:00Z", "tomorrow", "", "2026-12-3", "31.12.2026", " 2026-1-01"] {
            assert!(Until::parse(text).unwrap_err().ends_with("write until = 2026-12-31"), "{text}");
        }
    }
}
