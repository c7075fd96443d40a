//! Numbers as people read them.

/// As it is up to a million millions; an IPv6 pool has more, and then the magnitude says more than the digits.
pub fn number(number: u128) -> String {
    if number < 1_000_000_000_000 { number.to_string() } else { format!("{:.1e}", number as f64) }
}
