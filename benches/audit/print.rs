//! What the bench says on standard output: its report, and its children's answers.

use std::io::Write;

/// To standard output.
pub fn print(text: &str) {
    std::io::stdout().write_all(text.as_bytes()).expect("standard output");
}
