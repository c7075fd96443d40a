//! A JSON document as YAML, for those who read it with their eyes: the same fields, in the same order.
//!
//! Written line by line, never built in memory. No string is ever a block of several lines, so a line that holds a
//! character which would disturb a terminal can be put into double quotes as a whole, with that character spelled out; a
//! parser reads the same text.

use std::fmt::{self, Write as _};
use std::io::{BufWriter, Error, Result, Write};

use serde::Serialize;

use crate::model::escape::is_hidden;

/// Writes `value` as one document.
///
/// # Errors
/// As the writer's.
pub fn write(value: &impl Serialize, out: &mut dyn Write) -> Result<()> {
    let mut out = BufWriter::new(out);
    let mut lines = YamlLines { out: &mut out, line: String::new(), failed: None };
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    let written = serde_saphyr::to_fmt_writer_with_options(&mut lines, value, options);
    if let Some(error) = lines.failed {
        return Err(error);
    }
    written.map_err(Error::other)?;
    out.flush()
}

/// Takes a document as it is made and hands it on line by line.
struct YamlLines<'o> {
    out: &'o mut dyn Write,
    line: String,
    failed: Option<Error>,
}

impl fmt::Write for YamlLines<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some((end, next)) = rest.split_once('\n') {
            self.line.push_str(end);
            self.line = visible(std::mem::take(&mut self.line));
            self.line.push('\n');
            if let Err(error) = self.out.write_all(self.line.as_bytes()) {
                self.failed = Some(error);
                return Err(fmt::Error);
            }
            self.line.clear();
            rest = next;
        }
        self.line.push_str(rest);
        Ok(())
    }
}

/// The line with what is hidden in its value spelled out. The names of fields are ours and hide nothing.
fn visible(line: String) -> String {
    if !line.chars().any(is_hidden) {
        return line;
    }
    let (before, value) = line.split_at(value_at(&line));
    let is_quoted = value.starts_with('"');
    let mut out = before.to_owned();
    if !is_quoted {
        out.push('"');
    }
    for c in value.chars() {
        // Writing to a string cannot fail.
        let _ = match c {
            '\\' | '"' if !is_quoted => write!(out, "\\{c}"),
            c if !is_hidden(c) => write!(out, "{c}"),
            c if u32::from(c) > 0xffff => write!(out, "\\U{:08X}", u32::from(c)),
            c => write!(out, "\\u{:04X}", u32::from(c)),
        };
    }
    if !is_quoted {
        out.push('"');
    }
    out
}

/// Where a line's value begins: behind its indent, the dashes of lists, and the name of its field.
fn value_at(line: &str) -> usize {
    let mut at = line.len() - line.trim_start_matches(' ').len();
    while line.get(at..).is_some_and(|rest| rest.starts_with("- ")) {
        at += 2;
    }
    let rest = line.get(at..).unwrap_or_default();
    let is_plain = !rest.starts_with(['"', '\'']);
    // A plain value holds no colon before a blank: that would be a field.
    at + rest.find(": ").filter(|_| is_plain).map_or(0, |colon| colon + 2)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn written(value: &Value) -> String {
        let mut out = Vec::new();
        write(value, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn is_the_same(value: &Value) {
        let text = written(value);
        assert!(!text.chars().any(|c| is_hidden(c) && c != '\n'), "{text:?}");
        assert_eq!(serde_saphyr::from_str::<Value>(&text).unwrap(), *value, "{text}");
    }

    /// Every character, alone, within words and in awkward company, as a value and in a list: none that is hidden comes
    /// out raw, and a parser reads the same document.
    #[test]
    fn nothing_hidden_is_raw_and_the_document_is_the_same() {
        let odd: Vec<char> = ('\0'..=char::MAX).filter(|c| is_hidden(*c) || c.is_ascii_punctuation()).collect();
        // A reader has its limits: not all of them in one document.
        for some in odd.chunks(200) {
            let texts = some.iter().flat_map(|c| {
                let awkward = [format!("a: {c} # \"b\"\\"), format!("'- {c}'"), format!("it's{c} \"so\"\u{200b}")];
                let more = [format!("{c}"), format!("a{c}b"), format!("{c}: x\u{202e}"), format!("a {c}\u{ad}: \\")];
                awkward.into_iter().chain(more)
            });
            let all = texts.map(|text| json!({"text": text, "list": [text, [text]], "more": {"k": text}}));
            is_the_same(&json!({"all": all.collect::<Vec<_>>()}));
        }
    }

    #[test]
    fn what_other_readers_take_for_something_else_stays_text() {
        let words = [
            "no",
            "on",
            "null",
            "~",
            "",
            "1e3",
            "012",
            "12:30:45",
            "<<",
            "2026-11-24",
            "0x1f",
            "1_000",
            "y",
            "=",
            "- a",
        ];
        let value = json!({"words": words, "big": u64::MAX, "none": null, "yes": true, "empty": {}, "list": []});
        is_the_same(&value);
        let long = "word ".repeat(60);
        assert_eq!(
            written(&json!({"long": long.trim(), "lines": "a\nb"})),
            format!("lines: \"a\\nb\"\nlong: {}\n", long.trim())
        );
    }

    #[test]
    fn it_is_as_kubectl_shows_it() {
        let value = json!({"code": "IPA101", "subject": {"id": "10.65.0.1", "kind": "address"}, "next": ["ipaudit who 10.65.0.1"]});
        assert_eq!(
            written(&value),
            "code: IPA101\nnext:\n- ipaudit who 10.65.0.1\nsubject:\n  id: \"10.65.0.1\"\n  kind: address\n"
        );
    }
}
