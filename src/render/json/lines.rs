//! How JSON is laid out: one line an entry, and nothing in a string that a terminal would act on.

use std::io::{Result, Write};

use serde_json::ser::Formatter;

use crate::render::escape::is_hidden;

/// Spells out in strings what serde leaves raw although it would disturb a terminal (DEL, C1, bidi, invisible
/// characters); a parser reads the same text.
#[derive(Clone, Copy, Debug, Default)]
pub struct Visible;

impl Formatter for Visible {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> Result<()> {
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| is_hidden(*c)) {
            let (before, after) = rest.split_at(at);
            writer.write_all(before.as_bytes())?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = after.get(c.len_utf8()..).unwrap_or_default();
        }
        writer.write_all(rest.as_bytes())
    }
}

/// The same, with a line for each field of the document and for each entry of its lists.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lines {
    depth: usize,
    /// Whether the list or record just closed has nothing in it.
    empty: bool,
}

impl Lines {
    fn open<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> Result<()> {
        self.depth += 1;
        self.empty = true;
        writer.write_all(bracket)
    }

    fn close<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8], breaks: bool) -> Result<()> {
        self.depth = self.depth.saturating_sub(1);
        if breaks && !self.empty {
            writer.write_all(b"\n")?;
        }
        self.empty = false;
        writer.write_all(bracket)
    }

    fn entry<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool, breaks: bool) -> Result<()> {
        self.empty = false;
        if !first {
            writer.write_all(b",")?;
        }
        if breaks { writer.write_all(b"\n") } else { Ok(()) }
    }
}

impl Formatter for Lines {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> Result<()> {
        Visible.write_string_fragment(writer, fragment)
    }

    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> Result<()> {
        self.open(writer, b"[")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> Result<()> {
        let breaks = self.depth == 2;
        self.entry(writer, first, breaks)
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> Result<()> {
        let breaks = self.depth == 2;
        self.close(writer, b"]", breaks)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> Result<()> {
        self.open(writer, b"{")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> Result<()> {
        let breaks = self.depth == 1;
        self.entry(writer, first, breaks)
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> Result<()> {
        let breaks = self.depth == 1;
        self.close(writer, b"}", breaks)
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use serde_json::{Serializer, Value, json};

    use super::*;

    fn written(value: &Value, formatter: impl Formatter) -> String {
        let mut out = Vec::new();
        value.serialize(&mut Serializer::with_formatter(&mut out, formatter)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_entry_has_a_line_and_emptiness_has_none() {
        let value = json!({"a": [], "b": {"x": [1, 2], "y": {}}, "c": [{"k": [1, {}]}, {"k": []}]});
        let lines = written(&value, Lines::default());
        assert_eq!(lines, "{\n\"a\":[],\n\"b\":{\"x\":[1,2],\"y\":{}},\n\"c\":[\n{\"k\":[1,{}]},\n{\"k\":[]}\n]\n}");
        assert_eq!(serde_json::from_str::<Value>(&lines).unwrap(), value);
        assert_eq!(written(&json!({}), Lines::default()), "{}");
    }

    #[test]
    fn hidden_characters_are_spelled_out_and_read_the_same() {
        let value = json!("\u{7f}a\u{9b}\u{202e}b\u{e0041}\r\n\"é\u{200b}");
        let text = written(&value, Visible);
        assert!(!text.chars().any(is_hidden), "{text:?}");
        assert_eq!(text, r#""\u007fa\u009b\u202eb\udb40\udc41\r\n\"é\u200b""#);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
