//! Addresses, networks, times and durations as Go's programs write them into Calico's values.
//!
//! Absent and unreadable are two things: a caller asks for a field's text first (absent: fine), then
//! parses it here (unreadable: the value is bad). Nothing here guesses.

use std::time::Duration;

use chrono::DateTime;

use super::json::{Bad, GoString, Metadata, given};
use crate::model::{Addr, Cidr, Time};

/// Go's `time.String()` up to the zone; the zone's name and a monotonic reading may follow.
const GO_TIME: &str = "%Y-%m-%d %H:%M:%S%.f %z";

/// 0001-01-01T00:00:00Z in seconds since 1970: Go's zero time, which means "not set".
const GO_ZERO: i64 = -62_135_596_800;

/// A network; the flag tells whether host bits were set. IPv4 written as IPv6 (`::ffff:10.0.0.0/120`) is none:
/// its length counts bits of the other family.
pub(super) fn cidr(text: &str) -> Option<(Cidr, bool)> {
    Cidr::parse(text).filter(|(cidr, _)| cidr.is_v4() != text.contains(':'))
}

/// A network, or an address as the network of it alone, as Calico's `ParseCIDROrIP` takes it.
pub(super) fn cidr_or_address(text: &str) -> Option<Cidr> {
    if let Some((cidr, _)) = cidr(text) {
        return Some(cidr);
    }
    let address: Addr = text.parse().ok()?;
    Cidr::new(address, if address.is_v4() { 32 } else { 128 })
}

/// Parses all addresses of a list, which may carry prefix lengths; an empty or null entry is no address.
pub(super) fn addresses(value: &[u8], field: &str, list: &[Option<GoString<'_>>]) -> Result<Box<[Addr]>, Bad> {
    list.iter()
        .map(|entry| {
            let text = entry.as_deref().unwrap_or_default();
            Addr::parse_with_prefix(text).ok_or_else(|| Bad::text(value, field, text, "address"))
        })
        .collect()
}

/// An optional address, which may carry a prefix length.
pub(super) fn address(value: &[u8], field: &str, text: &Option<GoString<'_>>) -> Result<Option<Addr>, Bad> {
    let Some(text) = given(text) else { return Ok(None) };
    Addr::parse_with_prefix(text).map(Some).ok_or_else(|| Bad::text(value, field, text, "address"))
}

/// A moment that chrono read: the model's range is 1677 to 2262, and what lies outside is held at its ends.
fn moment(at: DateTime<chrono::FixedOffset>) -> Time {
    let end = if at.timestamp() < 0 { Time(i64::MIN) } else { Time(i64::MAX) };
    Time::from_chrono(at.to_utc()).unwrap_or(end)
}

/// RFC 3339, any year.
pub(super) fn rfc3339(text: &str) -> Option<Time> {
    Time::parse_usual_rfc3339(text).or_else(|| DateTime::parse_from_rfc3339(text).ok().map(moment))
}

/// An optional moment in RFC 3339; Go's zero time is none.
pub(super) fn time(value: &[u8], field: &str, text: &Option<GoString<'_>>) -> Result<Option<Time>, Bad> {
    optional(value, field, text, Time::parse_usual_rfc3339, |text| DateTime::parse_from_rfc3339(text).ok())
}

/// An optional moment in Go's own format (RFC 3339 is taken as well); Go's zero time is none.
pub(super) fn go_time(value: &[u8], field: &str, text: &Option<GoString<'_>>) -> Result<Option<Time>, Bad> {
    optional(value, field, text, Time::parse_usual_go, |text| {
        let go = DateTime::parse_and_remainder(text, GO_TIME).ok().map(|(at, _)| at);
        go.or_else(|| DateTime::parse_from_rfc3339(text).ok())
    })
}

fn optional(
    value: &[u8],
    field: &str,
    text: &Option<GoString<'_>>,
    usual: impl Fn(&str) -> Option<Time>,
    parse: impl Fn(&str) -> Option<DateTime<chrono::FixedOffset>>,
) -> Result<Option<Time>, Bad> {
    let Some(text) = given(text) else { return Ok(None) };
    if let Some(time) = usual(text) {
        return Ok(Some(time));
    }
    let at = parse(text).ok_or_else(|| Bad::text(value, field, text, "time"))?;
    Ok((at.timestamp() != GO_ZERO).then(|| moment(at)))
}

/// `metadata`'s two times: of creation and of deletion.
pub(super) fn metadata(value: &[u8], meta: &Option<Metadata<'_>>) -> Result<(Option<Time>, Option<Time>), Bad> {
    let Some(meta) = meta else { return Ok((None, None)) };
    let created = time(value, "metadata: creationTimestamp", &meta.created)?;
    Ok((created, time(value, "metadata: deletionTimestamp", &meta.deleting)?))
}

/// A Go duration (`15m0s`, `1h30m`, `1.5h`, `300ms`, `0`); a negative one is held at zero.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let negative = text.starts_with('-');
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let (part, after) = duration_part(rest)?;
        nanos = nanos.checked_add(part)?;
        rest = after;
    }
    // Go counts in 63 bits of nanoseconds and refuses more.
    let nanos = i64::try_from(nanos).ok()?.unsigned_abs();
    Some(if negative { Duration::ZERO } else { Duration::from_nanos(nanos) })
}

/// One number with its unit, in nanoseconds, and what follows.
fn duration_part(text: &str) -> Option<(u128, &str)> {
    let number = text.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|at| *at > 0)?;
    let (number, rest) = text.split_at_checked(number)?;
    let unit_end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
    let (unit, rest) = rest.split_at_checked(unit_end)?;
    let unit: u128 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let mut nanos = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()? as u128 * unit };
    let mut scale = unit;
    for digit in fraction.bytes() {
        scale /= 10;
        nanos += u128::from(digit - b'0') * scale;
    }
    Some((nanos, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_like_gos() {
        let seconds = |text| duration(text).map(|d| d.as_secs_f64());
        for (text, want) in [
            ("15m0s", 900.0),
            ("0s", 0.0),
            ("0", 0.0),
            ("1h30m", 5400.0),
            ("1.5h", 5400.0),
            (".5s", 0.5),
            ("5.s", 5.0),
            ("300ms", 0.3),
            ("+5m", 300.0),
            ("-5m", 0.0),
        ] {
            assert_eq!(seconds(text), Some(want), "{text}");
        }
        let bad = ["", "-", "+", "15", "m", "1x", "1.2.3s", ".s", "1m ", " 1m", "9999999999h", "15m0", "١s"];
        for text in bad {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn networks_of_one_family_only() {
        assert_eq!(cidr("10.0.0.5/26").map(|(c, odd)| (c.to_string(), odd)), Some(("10.0.0.0/26".into(), true)));
        assert!(cidr("fd00::/122").is_some() && cidr("::ffff:10.0.0.0/26").is_none());
        assert!(cidr("10.0.0.0").is_none() && cidr("").is_none());
        assert_eq!(cidr_or_address("10.0.0.5").map(|c| c.to_string()), Some("10.0.0.5/32".into()));
    }

    #[test]
    fn times_beyond_the_range_are_held_and_gos_zero_is_none() {
        let text = |t: &'static str| Some(GoString(t.into()));
        assert_eq!(time(b"", "t", &text("0001-01-01T00:00:00Z")), Ok(None));
        assert_eq!(go_time(b"", "t", &text("0001-01-01 00:00:00 +0000 UTC")), Ok(None));
        assert_eq!(time(b"", "t", &text("")), Ok(None));
        assert_eq!(time(b"", "t", &text("9999-01-01T00:00:00Z")), Ok(Some(Time(i64::MAX))));
        assert_eq!(rfc3339("0001-01-01T00:00:00Z"), Some(Time(i64::MIN)));
        assert!(time(b"", "t", &text("yesterday")).is_err());
        let go = go_time(b"", "t", &text("2026-11-22 08:00:00.5 +0000 UTC m=+0.1"));
        assert_eq!(go, Ok(Time::parse_rfc3339("2026-11-22T08:00:00.5Z")));
    }
}
