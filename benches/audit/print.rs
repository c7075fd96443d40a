//! What the bench says: its report and its children's answers on standard output, what it does on standard error; and
//! how it spells things.

use std::io::Write;

use super::servers::EtcdVersion;

/// To standard output.
pub fn print(text: &str) {
    std::io::stdout().write_all(text.as_bytes()).expect("standard output");
}

/// A line for whoever waits.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "bench: {text}");
}

/// As people call it.
pub fn word(version: EtcdVersion) -> &'static str {
    match version {
        EtcdVersion::V3_4 => "3.4",
        EtcdVersion::V3_7 => "3.7",
    }
}

/// `100,000`
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
