//! Where things stand in a JSON text, so that a few bytes of it can be changed and all others kept.
//!
//! A release must not lose a field that it does not know, a number above 2^53, the order of keys or a blank. So a
//! value is never read into a tree and written back: its text is scanned for the places of members and elements, and
//! [`Edits`] replaces exactly these bytes. What is ambiguous (a member that stands twice) is refused, since Go and we
//! might mean different ones. The text must be valid JSON; [`whole`] checks that once, the scanner relies on it.

use std::ops::Range;

use serde::de::IgnoredAny;

/// Why a value cannot be edited; fits after "because".
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Broken(pub String);

impl Broken {
    pub(super) fn new(words: impl Into<String>) -> Broken {
        Broken(words.into())
    }
}

/// One member of an object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// The name without its escapes.
    pub name: String,
    /// From the name's quote to the value's end.
    pub whole: Range<usize>,
    pub value: Range<usize>,
}

/// Checks that `bytes` are one JSON object in UTF-8, and says where it stands.
///
/// # Errors
/// When they are anything else.
pub fn whole(bytes: &[u8]) -> Result<(&str, Range<usize>), Broken> {
    let text = std::str::from_utf8(bytes).map_err(|_| Broken::new("the value is not UTF-8"))?;
    serde_json::from_str::<IgnoredAny>(text).map_err(|e| Broken::new(format!("the value is no JSON: {e}")))?;
    let mut at = Cursor { text, at: 0 };
    at.blanks();
    let object = at.value()?;
    if text.as_bytes().get(object.start) != Some(&b'{') {
        return Err(Broken::new("the value is no JSON object"));
    }
    Ok((text, object))
}

/// The members of the object at `span`, in order, doubled ones too.
///
/// # Errors
/// When no object stands there.
pub fn members(text: &str, span: &Range<usize>) -> Result<Vec<Member>, Broken> {
    let mut at = Cursor { text, at: span.start };
    let mut found = Vec::new();
    at.expect(b'{')?;
    at.blanks();
    while at.peek() != Some(b'}') {
        let start = at.at;
        let name = at.value()?;
        let name = serde_json::from_str(text.get(name).unwrap_or_default())
            .map_err(|_| Broken::new("a member's name is no text"))?;
        at.blanks();
        at.expect(b':')?;
        at.blanks();
        let value = at.value()?;
        found.push(Member { name, whole: start..value.end, value });
        at.next_item()?;
    }
    Ok(found)
}

/// The elements of the list at `span`, in order.
///
/// # Errors
/// When no list stands there.
pub fn elements(text: &str, span: &Range<usize>) -> Result<Vec<Range<usize>>, Broken> {
    let mut at = Cursor { text, at: span.start };
    let mut found = Vec::new();
    at.expect(b'[')?;
    at.blanks();
    while at.peek() != Some(b']') {
        found.push(at.value()?);
        at.next_item()?;
    }
    Ok(found)
}

/// The one member of this name, in any case, as Go reads the fields of its structs.
///
/// # Errors
/// When it stands more than once.
pub fn field<'m>(members: &'m [Member], name: &str) -> Result<Option<&'m Member>, Broken> {
    only(members, name, |member| folds_to(member, name))
}

/// The one member of exactly this name, as Go reads the keys of its maps.
///
/// # Errors
/// When it stands more than once.
pub fn entry<'m>(members: &'m [Member], name: &str) -> Result<Option<&'m Member>, Broken> {
    only(members, name, |member| member == name)
}

fn only<'m>(members: &'m [Member], name: &str, is: impl Fn(&str) -> bool) -> Result<Option<&'m Member>, Broken> {
    let mut found = members.iter().filter(|m| is(&m.name));
    match (found.next(), found.next()) {
        (_, Some(_)) => Err(Broken::new(format!("{name:?} stands twice in the value"))),
        (one, None) => Ok(one),
    }
}

/// Go takes two letters beyond ASCII for `s` and `k` as well.
fn folds_to(member: &str, name: &str) -> bool {
    let folded = member.chars().map(|c| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    });
    folded.eq(name.chars().map(|c| c.to_ascii_lowercase()))
}

struct Cursor<'t> {
    text: &'t str,
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), Broken> {
        if self.peek() != Some(byte) {
            return Err(Broken::new(format!("{:?} expected at byte {}", char::from(byte), self.at)));
        }
        self.at += 1;
        Ok(())
    }

    /// Over a comma, or to the closing bracket.
    fn next_item(&mut self) -> Result<(), Broken> {
        self.blanks();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                self.blanks();
                Ok(())
            }
            Some(b'}' | b']') => Ok(()),
            _ => Err(Broken::new(format!("a comma expected at byte {}", self.at))),
        }
    }

    /// Over one value of any kind.
    fn value(&mut self) -> Result<Range<usize>, Broken> {
        let start = self.at;
        let mut depth = 0usize;
        loop {
            match self.peek() {
                None => break,
                Some(b'"') => self.string(),
                Some(b'{' | b'[') => {
                    depth += 1;
                    self.at += 1;
                }
                Some(b'}' | b']') if depth > 0 => {
                    depth -= 1;
                    self.at += 1;
                }
                Some(b',' | b':' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n') if depth == 0 => break,
                Some(_) => {
                    self.at += 1;
                    // A number or a word goes on; what ended a string or a bracket has ended.
                    continue;
                }
            }
            if depth == 0 {
                break;
            }
        }
        match self.at > start && depth == 0 {
            true => Ok(start..self.at),
            false => Err(Broken::new(format!("a value expected at byte {start}"))),
        }
    }

    fn string(&mut self) {
        self.at += 1;
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'"' => return,
                b'\\' => self.at += 1,
                _ => {}
            }
        }
    }
}

/// Changes to one text; everything else of it stays as it is.
#[derive(Debug)]
pub struct Edits<'t> {
    text: &'t str,
    cuts: Vec<(Range<usize>, String)>,
}

impl<'t> Edits<'t> {
    pub fn of(text: &'t str) -> Edits<'t> {
        Edits { text, cuts: Vec::new() }
    }

    /// Puts `new` in the place of `span`; an empty span inserts.
    pub fn replace(&mut self, span: Range<usize>, new: impl Into<String>) {
        self.cuts.push((span, new.into()));
    }

    /// Removes these items (each `keep[i]` false) of a list or an object whose items stand at `spans`, with their
    /// commas, and adds `new` ones behind the last.
    pub fn items(&mut self, inside: &Range<usize>, spans: &[Range<usize>], keep: &[bool], new: &[String]) {
        let kept = |i: &usize| keep.get(*i).copied().unwrap_or(true);
        let Some(last) = (0..spans.len()).rev().find(kept).and_then(|i| spans.get(i)) else {
            let empty = inside.start + 1..inside.start + 1;
            let all = spans.first().zip(spans.last()).map_or(empty, |(first, last)| first.start..last.end);
            return self.replace(all, new.join(","));
        };
        if !new.is_empty() {
            self.replace(last.end..last.end, format!(",{}", new.join(",")));
        }
        let mut before: Option<&Range<usize>> = None;
        for (i, span) in spans.iter().enumerate() {
            match (kept(&i), before) {
                // Leading items go with the comma behind them, all others with the comma before them.
                (true, None) if i > 0 => {
                    let first = spans.first().map_or(span.start, |s| s.start);
                    self.replace(first..span.start, "");
                    before = Some(span);
                }
                (true, _) => before = Some(span),
                (false, Some(previous)) => {
                    let from = spans.get(i - 1).map_or(previous.end, |s| s.end);
                    self.replace(from..span.end, "");
                }
                (false, None) => {}
            }
        }
    }

    /// The text with all changes.
    ///
    /// # Errors
    /// When two changes touch the same bytes, which no caller may ask for.
    pub fn finish(mut self) -> Result<String, Broken> {
        self.cuts.sort_by_key(|(span, _)| (span.start, span.end));
        let mut out = String::with_capacity(self.text.len() + 64);
        let mut done = 0;
        for (span, new) in &self.cuts {
            let between = self.text.get(done..span.start).ok_or_else(|| Broken::new("two edits overlap"))?;
            out.push_str(between);
            out.push_str(new);
            done = span.end;
        }
        out.push_str(self.text.get(done..).ok_or_else(|| Broken::new("an edit past the end"))?);
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list(text: &str, keep: &[bool], new: &[&str]) -> String {
        let span = 0..text.len();
        let spans = elements(text, &span).unwrap();
        let mut edits = Edits::of(text);
        edits.items(&span, &spans, keep, &new.iter().map(ToString::to_string).collect::<Vec<_>>());
        edits.finish().unwrap()
    }

    #[test]
    fn items_come_and_go_with_their_commas() {
        assert_eq!(list("[ 1 , 2 , 3 ]", &[true, false, true], &[]), "[ 1 , 3 ]");
        assert_eq!(list("[ 1 , 2 , 3 ]", &[false, false, true], &[]), "[ 3 ]");
        assert_eq!(list("[ 1 , 2 , 3 ]", &[true, false, false], &["9"]), "[ 1,9 ]");
        assert_eq!(list("[ 1 , 2 ]", &[false, false], &[]), "[  ]");
        assert_eq!(list("[1,2]", &[false, false], &["7", "8"]), "[7,8]");
        assert_eq!(list("[]", &[], &["7"]), "[7]");
        assert_eq!(list("[1,2,3,4]", &[false, true, false, true], &["7"]), "[2,4,7]");
    }

    #[test]
    fn members_are_found_by_name_and_doubled_ones_refused() {
        let text = r#" { "a" : {"b":[1,"}]\"",{}]} , "\u0062":null,"C":1e400, "a2":"x"}"#;
        let (text, span) = whole(text.as_bytes()).unwrap();
        let found = members(text, &span).unwrap();
        let names: Vec<&str> = found.iter().map(|m| &*m.name).collect();
        assert_eq!(names, ["a", "b", "C", "a2"]);
        assert_eq!(&text[found[0].value.clone()], r#"{"b":[1,"}]\"",{}]}"#);
        assert_eq!(&text[found[2].value.clone()], "1e400");
        assert!(field(&found, "c").unwrap().is_some() && entry(&found, "c").unwrap().is_none());
        let twice = r#"{"a":1,"A":2}"#;
        let found = members(twice, &(0..twice.len())).unwrap();
        assert!(field(&found, "a").is_err() && entry(&found, "a").is_ok());
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for bad in [&b"[]"[..], b"null", b"", b"{", b"{}x", b"\xff", b"{\"a\":}", b"{\"a\":1,}"] {
            assert!(whole(bad).is_err(), "{bad:?}");
        }
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<u64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                proptest::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// The spans of members and elements hold exactly what a parser finds in them.
        #[test]
        fn spans_agree_with_a_parser(value in json(), pretty: bool) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            let span = 0..text.len();
            let read = |span: Range<usize>| serde_json::from_str::<serde_json::Value>(&text[span]).unwrap();
            match &value {
                serde_json::Value::Object(map) => {
                    let found = members(&text, &span).unwrap();
                    prop_assert_eq!(found.len(), map.len());
                    for member in found {
                        prop_assert_eq!(&read(member.value), &map[&member.name]);
                    }
                }
                serde_json::Value::Array(list) => {
                    let found: Vec<_> = elements(&text, &span).unwrap().into_iter().map(read).collect();
                    prop_assert_eq!(&found, list);
                }
                _ => {}
            }
        }

        /// Bytes are bytes: nothing panics, whatever is scanned.
        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Ok((text, span)) = whole(&bytes) {
                let _ = members(text, &span);
            }
        }
    }
}
