//! Other people's names on our terminal: what would move the cursor, reorder or hide text is spelled out.
//!
//! A handle id may hold a carriage return (domain facts, section 3), and whoever may create a pod or write to
//! etcd chooses names that we print. Only display is escaped, never an identity or a comparison.

use std::borrow::Cow;
use std::fmt::Write;

/// Whether a character must not reach a terminal: control characters of both sets, what reorders text, what
/// is invisible, what ends a line.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// `text` with every hidden character spelled out: `\r`, `\x1b`, `\u{202e}`.
///
/// Backslashes stay as they are: subjects carry `\xNN` already where a key is not UTF-8.
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            // Writing to a String does not fail.
            c if is_hidden(c) && c.is_ascii() => _ = write!(out, "\\x{:02x}", u32::from(c)),
            c if is_hidden(c) => _ = write!(out, "\\u{{{:x}}}", u32::from(c)),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_are_spelled_out_and_others_left_alone() {
        for (text, shown) in [
            ("k8s-pod-network.3f2c\r\neth0", "k8s-pod-network.3f2c\\r\\neth0"),
            ("\u{1b}[2Jgone\u{7f}", "\\x1b[2Jgone\\x7f"),
            ("pod\u{202e}txt", "pod\\u{202e}txt"),
            ("a\u{200b}b\u{feff}", "a\\u{200b}b\\u{feff}"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("tag\u{e0041}", "tag\\u{e0041}"),
            ("/calico/\\xff", "/calico/\\xff"),
            ("grüße 日本", "grüße 日本"),
        ] {
            assert_eq!(escape(text), shown);
        }
        assert!(matches!(escape("plain"), Cow::Borrowed(_)));
    }

    #[test]
    fn nothing_hidden_is_left_of_any_character() {
        let all: String = ('\0'..=char::MAX).collect();
        assert!(!escape(&all).chars().any(is_hidden));
    }
}
