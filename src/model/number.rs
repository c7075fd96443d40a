//! A number as people read it.

/// With a comma between thousands, up to a million millions: beyond it the magnitude says more than the digits.
pub fn grouped(number: impl Into<i128>) -> String {
    let number = number.into();
    if number.unsigned_abs() >= 1_000_000_000_000 {
        return format!("{:.1e}", number as f64);
    }
    let digits = number.unsigned_abs().to_string();
    let mut out = String::from(if number < 0 { "-" } else { "" });
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
