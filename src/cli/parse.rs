//! Words of the command line that several commands understand alike.

use std::time::Duration;

use crate::model::Time;

/// A duration as people write it (`20s`, `1h30m`); a bare number is seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
        Err(_) => humantime::parse_duration(text).map_err(|e| format!("{e}; write 20s, 15m or 24h")),
    }
}

/// A time with its zone.
pub fn time(text: &str) -> Result<Time, String> {
    Time::parse_rfc3339(text).ok_or_else(|| format!("{text:?} is no time; write 2026-11-24T03:04:11Z"))
}
