//! Where things stand in a JSON text, so that a few bytes of it can be changed and all others kept.
//!
//! A release must not lose a field that it does not know, a number above 2^53, the order of keys or a blank. So a
//! value is never read into a tree and written back: serde borrows its members and elements as they are written, which
//! tells their places, and [`Edits`] replaces exactly these bytes. What is ambiguous (a member that stands twice) is
//! refused, since Go and we might mean different ones.

use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::decode::pairs::Pairs;

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
    let value: &RawValue = serde_json::from_str(text).map_err(|e| Broken::new(format!("the value is no JSON: {e}")))?;
    match value.get().starts_with('{') {
        true => Ok((text, place(text, value))),
        false => Err(Broken::new("the value is no JSON object")),
    }
}

/// The members of the object at `span`, in order, doubled ones too.
///
/// # Errors
/// When no object stands there.
pub fn members(text: &str, span: &Range<usize>) -> Result<Vec<Member>, Broken> {
    let Pairs(pairs) = parts(text, span, '{')?;
    let member = |(name, value): (&RawValue, &RawValue)| {
        let (start, value) = (place(text, name).start, place(text, value));
        let name = serde_json::from_str(name.get()).map_err(|_| Broken::new("a member's name is no text"))?;
        Ok(Member { name, whole: start..value.end, value })
    };
    pairs.into_iter().map(member).collect()
}

/// The elements of the list at `span`, in order.
///
/// # Errors
/// When no list stands there.
pub fn elements(text: &str, span: &Range<usize>) -> Result<Vec<Range<usize>>, Broken> {
    let found: Vec<&RawValue> = parts(text, span, '[')?;
    Ok(found.into_iter().map(|value| place(text, value)).collect())
}

fn parts<'t, T: Deserialize<'t>>(text: &'t str, span: &Range<usize>, opening: char) -> Result<T, Broken> {
    let here = text.get(span.clone()).and_then(|here| serde_json::from_str(here).ok());
    here.ok_or_else(|| Broken::new(format!("{opening:?} expected at byte {}", span.start)))
}

/// Where a part that was borrowed from `text` stands in it.
fn place(text: &str, part: &RawValue) -> Range<usize> {
    let start = (part.get().as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    start..start + part.get().len()
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

/// Changes to one text; everything else of it stays as it is.
#[derive(Debug)]
pub struct Edits<'t> {
    text: &'t str,
    cuts: Vec<(Range<usize>, String)>,
}

impl<'t> Edits<'t> {
    /// None yet.
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

    /// [`Edits::items`] of an object's members.
    pub fn members(&mut self, inside: &Range<usize>, members: &[Member], keep: &[bool], new: &[String]) {
        let spans: Vec<Range<usize>> = members.iter().map(|member| member.whole.clone()).collect();
        self.items(inside, &spans, keep, new);
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

    /// What a map, a number or a stack would lose.
    #[test]
    fn a_value_is_kept_as_it_is_written() {
        let text = r#"{"a":01}"#;
        assert!(whole(text.as_bytes()).is_err());
        let text = r#" {"a":1 , "\u0061" : -0.10e+05, "a":[ ] } "#;
        let (text, span) = whole(text.as_bytes()).unwrap();
        let found = members(text, &span).unwrap();
        let wholes: Vec<&str> = found.iter().map(|member| &text[member.whole.clone()]).collect();
        assert_eq!(wholes, [r#""a":1"#, r#""\u0061" : -0.10e+05"#, r#""a":[ ]"#]);
        assert!(entry(&found, "a").is_err());
        let text = r#"{"\ud800":1}"#;
        assert!(members(text, &(0..text.len())).is_err(), "Go reads such a name as another one");
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        let (text, span) = whole(deep.as_bytes()).unwrap();
        let found = members(text, &span).unwrap();
        let inside = elements(text, &found[0].value).unwrap();
        assert_eq!((inside.len(), &inside[0]), (1, &(6..deep.len() - 2)));
        assert_eq!(members(text, &found[0].value).unwrap_err(), Broken::new("'{' expected at byte 5"));
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
