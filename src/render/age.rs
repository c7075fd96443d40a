//! Durations and moments as people say them.
//!
//! Always UTC and always English: output must not depend on the machine that made it.

use std::time::Duration;

pub use crate::model::time::moment;

/// One number and one unit: `12s`, `34m`, `31h`, `11d`.
pub fn age(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..=59 => format!("{seconds}s"),
        60..=3_599 => format!("{}m", seconds / 60),
        3_600..=172_799 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// The same of a stretch of which the minutes count: `4h 30m`.
pub fn span(duration: Duration) -> String {
    match (duration.as_secs() / 60) % 60 {
        minutes if minutes > 0 && (3_600..172_800).contains(&duration.as_secs()) => {
            format!("{} {minutes}m", age(duration))
        }
        _ => age(duration),
    }
}

/// How long something took: `0.9s`, `14s`, `2m`.
pub fn took(duration: Duration) -> String {
    match duration.as_millis() {
        0..=99 => format!("{}ms", duration.as_millis()),
        100..=9_999 => format!("{:.1}s", duration.as_secs_f64()),
        _ => age(duration),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_one_unit() {
        for (seconds, text) in
            [(0, "0s"), (59, "59s"), (60, "1m"), (3_600, "1h"), (47 * 3_600, "47h"), (48 * 3_600, "2d")]
        {
            assert_eq!(age(Duration::from_secs(seconds)), text);
        }
        for (minutes, text) in [(30, "30m"), (270, "4h 30m"), (240, "4h"), (49 * 60 + 5, "2d")] {
            assert_eq!(span(Duration::from_secs(minutes * 60)), text);
        }
        for (millis, text) in [(3, "3ms"), (912, "0.9s"), (14_000, "14s"), (150_000, "2m")] {
            assert_eq!(took(Duration::from_millis(millis)), text);
        }
    }
}
