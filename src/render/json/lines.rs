//! How JSON is written, whatever prints it: in one of three layouts, and nothing in a string that a terminal would act
//! on. Nothing else in `render` or `cli` makes JSON of a value that is printed (`tests/layers.rs`).

use std::io::{BufWriter, Result, Write};

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

use crate::model::escape::is_hidden;

/// Writes `value` in one line.
///
/// # Errors
/// As the writer's.
pub fn compact<W: ?Sized + Write>(value: &impl Serialize, out: &mut W) -> Result<()> {
    value.serialize(&mut Serializer::with_formatter(&mut *out, Visible))?;
    out.write_all(b"\n")
}

/// Writes `value` with a line for each field of the document and for each entry of its lists.
///
/// # Errors
/// As the writer's.
pub fn by_entry<W: ?Sized + Write>(value: &impl Serialize, out: &mut W) -> Result<()> {
    by_entry_of(value, 2, out)
}

/// The same where the lists stand `depth` deep (2: in the document itself), and the fields around them one less.
///
/// # Errors
/// As the writer's.
pub fn by_entry_of<W: ?Sized + Write>(value: &impl Serialize, depth: usize, out: &mut W) -> Result<()> {
    let mut out = BufWriter::new(out);
    let lines = Lines { lists: depth, depth: 0, empty: false };
    value.serialize(&mut Serializer::with_formatter(&mut out, lines))?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Writes `value` with a line for everything, indented: for documents that people read too.
///
/// # Errors
/// As the writer's.
pub fn indented<W: ?Sized + Write>(value: &impl Serialize, out: &mut W) -> Result<()> {
    // What is hidden can only stand within strings, and these hold no line break.
    for line in serde_json::to_string_pretty(value)?.lines() {
        Visible.write_string_fragment(out, line)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// Spells out in strings what serde leaves raw although it would disturb a terminal (DEL, C1, bidi, invisible
/// characters); a parser reads the same text.
#[derive(Clone, Copy, Debug, Default)]
struct Visible;

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
#[derive(Clone, Copy, Debug)]
struct Lines {
    /// How deep the lists stand whose entries have lines.
    lists: usize,
    depth: usize,
    /// Whether the list or object just closed has nothing in it.
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
        let breaks = self.depth == self.lists;
        self.entry(writer, first, breaks)
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> Result<()> {
        let breaks = self.depth == self.lists;
        self.close(writer, b"]", breaks)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> Result<()> {
        self.open(writer, b"{")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> Result<()> {
        let breaks = self.depth + 1 == self.lists;
        self.entry(writer, first, breaks)
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> Result<()> {
        let breaks = self.depth + 1 == self.lists;
        self.close(writer, b"}", breaks)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const LINES: Lines = Lines { lists: 2, depth: 0, empty: false };

    fn written(value: &Value, formatter: impl Formatter) -> String {
        let mut out = Vec::new();
        value.serialize(&mut Serializer::with_formatter(&mut out, formatter)).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// Every character, in a value and in a name, in every layout: none that is hidden comes out raw, and a parser reads
    /// the same document.
    #[test]
    fn whatever_the_layout_nothing_hidden_is_raw_and_the_document_is_the_same() {
        let all: String = ('\0'..=char::MAX).filter(|c| is_hidden(*c) || c.is_ascii()).collect();
        let value = json!({all.clone(): [all.clone(), {"k": all}]});
        type Layout = fn(&Value, &mut Vec<u8>) -> Result<()>;
        for layout in [compact as Layout, by_entry, indented] {
            let mut out = Vec::new();
            layout(&value, &mut out).unwrap();
            let text = String::from_utf8(out).unwrap();
            assert!(!text.chars().any(|c| is_hidden(c) && c != '\n'), "{text:?}");
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        }
    }

    #[test]
    fn an_entry_has_a_line_and_emptiness_has_none() {
        let value = json!({"a": [], "b": {"x": [1, 2], "y": {}}, "c": [{"k": [1, {}]}, {"k": []}]});
        let lines = written(&value, LINES);
        assert_eq!(lines, "{\n\"a\":[],\n\"b\":{\"x\":[1,2],\"y\":{}},\n\"c\":[\n{\"k\":[1,{}]},\n{\"k\":[]}\n]\n}");
        assert_eq!(serde_json::from_str::<Value>(&lines).unwrap(), value);
        assert_eq!(written(&json!({}), LINES), "{}");
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
