//! What changes in a value, for people: one line a changed part, by its path. Only for showing; edits never use it.

use serde_json::Value;

use super::transaction::{After, Change};

/// One changed part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// `allocations[3]`, `block.10.65.0.0/26`; empty for the whole value.
    pub path: String,
    /// As JSON; `None`: it was not there.
    pub before: Option<String>,
    /// As JSON; `None`: it is gone.
    pub after: Option<String>,
}

/// The parts of a key's value that change, in the order of the value.
pub fn lines(change: &Change) -> Vec<Line> {
    let read = |bytes: &[u8]| {
        serde_json::from_slice(bytes).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(bytes).into_owned()))
    };
    let before = change.before.as_ref().map(|b| read(&b.value));
    let after = match &change.after {
        After::Same => return Vec::new(),
        After::Delete => None,
        After::Put(value) => Some(read(value)),
    };
    let mut lines = Vec::new();
    compare(String::new(), before.as_ref(), after.as_ref(), &mut lines);
    lines
}

fn compare(path: String, before: Option<&Value>, after: Option<&Value>, lines: &mut Vec<Line>) {
    match (before, after) {
        (Some(a), Some(b)) if a == b => {}
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let inside = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
            a.iter().for_each(|(key, value)| compare(inside(key), Some(value), b.get(key), lines));
            let new = b.iter().filter(|(key, _)| !a.contains_key(*key));
            new.for_each(|(key, value)| compare(inside(key), None, Some(value), lines));
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) if a.len() == b.len() => {
            let pairs = a.iter().zip(b).enumerate();
            pairs.for_each(|(i, (a, b))| compare(format!("{path}[{i}]"), Some(a), Some(b), lines));
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => lists(&path, a, b, lines),
        (a, b) => lines.push(Line { path, before: a.map(Value::to_string), after: b.map(Value::to_string) }),
    }
}

/// Lists of two lengths: what follows the common head and precedes the common tail.
fn lists(path: &str, a: &[Value], b: &[Value], lines: &mut Vec<Line>) {
    let head = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (a, b) = (a.get(head..).unwrap_or_default(), b.get(head..).unwrap_or_default());
    let tail = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    let middle = |list: &[Value]| list.get(..list.len() - tail).unwrap_or_default().to_vec();
    let at = |i: usize| format!("{path}[{}]", head + i);
    for (i, value) in middle(a).iter().enumerate() {
        lines.push(Line { path: at(i), before: Some(value.to_string()), after: None });
    }
    for (i, value) in middle(b).iter().enumerate() {
        lines.push(Line { path: at(i), before: None, after: Some(value.to_string()) });
    }
}

#[cfg(test)]
mod tests {
    use super::super::transaction::Stored;
    use super::*;

    fn shown(before: &str, after: &str) -> Vec<String> {
        let stored = Stored { value: before.into(), create_revision: 1, mod_revision: 1 };
        let change =
            Change { key: Vec::new(), before: Some(stored), after: After::Put(after.into()), why: String::new() };
        let none = || "-".to_owned();
        let text = |l: Line| format!("{} {} {}", l.path, l.before.unwrap_or_else(none), l.after.unwrap_or_else(none));
        lines(&change).into_iter().map(text).collect()
    }

    #[test]
    fn only_what_changes_is_shown() {
        let before = r#"{"a":[0,1],"n":1700000000000000123,"q":[5],"at":[{"h":1},{"h":2},{"h":3}],"s":{"1":7}}"#;
        let after = r#"{"a":[0,null],"n":1700000000000000124,"q":[5,1],"at":[{"h":1},{"h":3}],"s":{}}"#;
        let expected =
            ["a[1] 1 null", "at[1] {\"h\":2} -", "n 1700000000000000123 1700000000000000124", "q[1] - 1", "s.1 7 -"];
        assert_eq!(shown(before, after), expected);
        assert!(shown(before, before).is_empty());
    }

    #[test]
    fn a_deleted_key_is_shown_whole() {
        let stored = Stored { value: b"{\"block\":{}}".to_vec(), create_revision: 1, mod_revision: 1 };
        let change = Change { key: Vec::new(), before: Some(stored), after: After::Delete, why: String::new() };
        let line = Line { path: String::new(), before: Some("{\"block\":{}}".to_owned()), after: None };
        assert_eq!(lines(&change), [line]);
    }
}
