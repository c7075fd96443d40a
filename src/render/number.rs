//! Numbers as people read them.

/// `1 audit`, `3 audits`.
pub fn audits(number: u64) -> String {
    if number == 1 { "1 audit".to_owned() } else { format!("{number} audits") }
}

/// As it is up to a million millions; an IPv6 pool has more, and then the magnitude says more than the digits.
pub fn number(number: u128) -> String {
    if number < 1_000_000_000_000 { number.to_string() } else { format!("{:.1e}", number as f64) }
}
