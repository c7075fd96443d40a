//! The times of a report, always UTC: each has its day where that is not plain.

use std::time::Duration;

use chrono::NaiveDate;

use super::ReportView;
use crate::model::Time;
use crate::render::age::age;

/// How times are told.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    now: Time,
    /// The day on which all of the report lies: its times need none.
    day: Option<NaiveDate>,
    /// Whole dates, for what is read later and elsewhere.
    whole: bool,
}

/// What is older is said to be old.
const OLD: Duration = Duration::from_secs(2 * 3600);

fn day_of(at: Time) -> NaiveDate {
    at.to_chrono().date_naive()
}

impl Clock {
    /// For people who read it now: `02:49` when the whole report is of today, else `22 Nov 02:49`, and
    /// `2025-11-22 02:49` where it is half a year ago.
    pub fn of(view: &ReportView) -> Clock {
        let today = day_of(view.now);
        let is_of_today = [view.since, view.until].into_iter().all(|at| day_of(at) == today);
        Clock { now: view.now, day: is_of_today.then_some(today), whole: false }
    }

    /// For a ticket: `2026-11-22 02:49`.
    pub fn whole(view: &ReportView) -> Clock {
        Clock { now: view.now, day: None, whole: true }
    }

    /// A moment.
    pub fn at(self, at: Time) -> String {
        let is_far = (self.now.to_chrono() - at.to_chrono()).num_days().abs() >= 180;
        let form = match () {
            () if self.whole || is_far => "%Y-%m-%d %H:%M",
            () if self.day == Some(day_of(at)) => "%H:%M",
            () => "%-d %b %H:%M",
        };
        at.to_chrono().format(form).to_string()
    }

    /// ` as of 24 Nov 03:15, 5d ago`, behind what holds of that moment; nothing where it is hardly over. A ticket is read later:
    /// it has the moment alone.
    pub fn as_of(self, at: Time) -> String {
        let ago = self.now.since(at);
        match (ago > OLD, self.whole) {
            (false, _) => String::new(),
            (true, true) => format!(" as of {}", self.at(at)),
            (true, false) => format!(" as of {}, {} ago", self.at(at), age(ago)),
        }
    }

    /// From one moment to another; the second has its day where it is another one.
    pub fn span(self, from: Time, to: Time) -> String {
        if day_of(from) == day_of(to) {
            let end = to.to_chrono().format("%H:%M").to_string();
            let from = self.at(from);
            return if from.ends_with(&end) { from } else { format!("{from} to {end}") };
        }
        format!("{} to {}", self.at(from), self.at(to))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::report;
    use super::*;

    fn time(text: &str) -> Time {
        Time::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn a_time_has_its_day_where_that_is_not_plain() {
        let (morning, noon) = (time("2026-11-24T08:00:00Z"), time("2026-11-24T12:00:00Z"));
        let view = |since, now| ReportView { since, until: now, now, ..report() };
        let today = Clock::of(&view(morning, noon));
        assert_eq!(today.at(morning), "08:00");
        assert_eq!(today.at(time("2026-11-21T23:30:00Z")), "21 Nov 23:30", "older than the report");
        assert_eq!(today.span(morning, noon), "08:00 to 12:00");
        // A night has two days, and 02:00 could be of either.
        let night = Clock::of(&view(time("2026-11-23T20:00:00Z"), morning));
        assert_eq!(night.at(time("2026-11-24T02:00:00Z")), "24 Nov 02:00");
        assert_eq!(
            night.span(time("2026-11-23T23:30:00Z"), time("2026-11-24T02:00:00Z")),
            "23 Nov 23:30 to 24 Nov 02:00"
        );
        assert_eq!(night.span(time("2026-11-24T01:30:00Z"), time("2026-11-24T02:00:00Z")), "24 Nov 01:30 to 02:00");
        assert_eq!(night.at(time("2025-11-24T02:00:00Z")), "2025-11-24 02:00");
        assert_eq!(today.as_of(time("2026-11-24T11:00:00Z")), "");
        assert_eq!(today.as_of(morning), " as of 08:00, 4h ago");
        let ticket = Clock::whole(&view(morning, noon));
        assert_eq!(ticket.span(morning, noon), "2026-11-24 08:00 to 12:00");
        assert_eq!(ticket.span(noon, noon), "2026-11-24 12:00");
        assert_eq!(ticket.at(Time(i64::MIN)), "1677-09-21 00:12");
    }
}
