//! What changes in a value, for people: one line a changed part, by its path. Only for showing; edits never use it.

use std::collections::HashSet;

use super::json::{elements, members};
use super::transaction::{After, Change};
use crate::model::Foreign;

/// One changed part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DiffLine {
    /// `allocations[3]`, `block.10.65.0.0/26`; empty for the whole value.
    pub path: Foreign,
    /// As it is written; `None`: it was not there.
    pub before: Option<Foreign>,
    /// As it is written; `None`: it is gone.
    pub after: Option<Foreign>,
}

/// The parts of a key's value that change, in the order of the value.
pub fn lines(change: &Change) -> Vec<DiffLine> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let before = change.before.as_ref().map(|b| text(&b.value));
    let after = match &change.after {
        After::Same => return Vec::new(),
        After::Delete => None,
        After::Put(value) => Some(text(value)),
    };
    let mut lines = Vec::new();
    compare(String::new(), before.as_deref(), after.as_deref(), &mut lines);
    lines
}

/// For people: entries of a list that all move by the same number, as attributes do when one before them goes, are one
/// line.
pub fn compact(lines: Vec<DiffLine>) -> Vec<DiffLine> {
    let mut out: Vec<DiffLine> = Vec::new();
    let mut run: Vec<DiffLine> = Vec::new();
    for line in lines {
        if run.last().is_some_and(|last| step(last).is_none() || step(last) != step(&line)) {
            close(&mut run, &mut out);
        }
        run.push(line);
    }
    close(&mut run, &mut out);
    out
}

/// The list that an entry is of, and by how much it changes.
fn step(line: &DiffLine) -> Option<(&str, i64)> {
    let (list, _) = line.path.raw().strip_suffix(']')?.rsplit_once('[')?;
    let number = |text: &Option<Foreign>| text.as_ref()?.raw().parse::<i64>().ok();
    Some((list, number(&line.after)?.checked_sub(number(&line.before)?)?))
}

fn close(run: &mut Vec<DiffLine>, out: &mut Vec<DiffLine>) {
    let index =
        |line: &DiffLine| line.path.raw().strip_suffix(']').and_then(|p| p.rsplit_once('[')).map(|(_, i)| i.to_owned());
    let ends = run.first().and_then(|first| Some((step(first)?, index(first)?, index(run.last()?)?)));
    match ends.filter(|_| run.len() > 2) {
        Some(((list, by), first, last)) => {
            let before = Some(format!("{} numbers", run.len()).into());
            let after = Some(format!("each {} {}", by.abs(), if by < 0 { "lower" } else { "higher" }).into());
            out.push(DiffLine { path: format!("{list}[{first}..{last}]").into(), before, after });
            run.clear();
        }
        None => out.append(run),
    }
}

/// Name and text of each member; `None` for what is no object.
fn object(text: &str) -> Option<Vec<(String, &str)>> {
    let found = members(text, &(0..text.len())).ok()?;
    found.into_iter().map(|m| Some((m.name, text.get(m.value)?))).collect()
}

fn list(text: &str) -> Option<Vec<&str>> {
    elements(text, &(0..text.len())).ok()?.into_iter().map(|span| text.get(span)).collect()
}

fn compare(path: String, before: Option<&str>, after: Option<&str>, lines: &mut Vec<DiffLine>) {
    let (Some(a), Some(b)) = (before, after) else {
        lines.push(DiffLine { path: path.into(), before: before.map(Foreign::from), after: after.map(Foreign::from) });
        return;
    };
    if a == b {
        return;
    }
    if let (Some(a), Some(b)) = (object(a), object(b)) {
        let inside = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        let find = |key: &str| b.iter().find(|(name, _)| name == key).map(|(_, text)| *text);
        a.iter().for_each(|(key, text)| compare(inside(key), Some(*text), find(key), lines));
        let known: HashSet<&str> = a.iter().map(|(key, _)| key.as_str()).collect();
        let new = b.iter().filter(|(key, _)| !known.contains(key.as_str()));
        new.for_each(|(key, text)| compare(inside(key), None, Some(*text), lines));
        return;
    }
    match (list(a), list(b)) {
        (Some(a), Some(b)) if a.len() == b.len() => {
            let pairs = a.iter().zip(&b).enumerate();
            pairs.for_each(|(i, (a, b))| compare(format!("{path}[{i}]"), Some(*a), Some(*b), lines));
        }
        (Some(a), Some(b)) => lists(&path, &a, &b, lines),
        _ => lines.push(DiffLine { path: path.into(), before: Some(a.into()), after: Some(b.into()) }),
    }
}

/// Lists of two lengths: what follows the common head and precedes the common tail.
fn lists(path: &str, a: &[&str], b: &[&str], lines: &mut Vec<DiffLine>) {
    let head = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (a, b) = (a.get(head..).unwrap_or_default(), b.get(head..).unwrap_or_default());
    let tail = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    let at = |i: usize| format!("{path}[{}]", head + i);
    for (i, text) in a.iter().take(a.len() - tail).enumerate() {
        lines.push(DiffLine { path: at(i).into(), before: Some((*text).into()), after: None });
    }
    for (i, text) in b.iter().take(b.len() - tail).enumerate() {
        lines.push(DiffLine { path: at(i).into(), before: None, after: Some((*text).into()) });
    }
}

#[cfg(test)]
mod tests {
    use super::super::transaction::StoredKey;
    use super::*;

    fn shown(before: &str, after: &str) -> Vec<String> {
        let stored = StoredKey { value: before.into(), create_revision: 1, mod_revision: 1 };
        let change =
            Change { key: Vec::new(), before: Some(stored), after: After::Put(after.into()), why: Foreign::default() };
        let none = || Foreign::from("-");
        let text = |l: DiffLine| {
            format!("{} {} {}", l.path.raw(), l.before.unwrap_or_else(none).raw(), l.after.unwrap_or_else(none).raw())
        };
        lines(&change).into_iter().map(text).collect()
    }

    #[test]
    fn only_what_changes_is_shown() {
        let before =
            r#"{"big":1e400,"a":[0,1],"n":1700000000000000123,"q":[5],"at":[{"h":1},{"h":2},{"h":3}],"s":{"1":7}}"#;
        let after = r#"{"big":1e400,"a":[0,null],"n":1700000000000000124,"q":[5,1],"at":[{"h":1},{"h":3}],"s":{}}"#;
        let expected =
            ["a[1] 1 null", "n 1700000000000000123 1700000000000000124", "q[1] - 1", "at[1] {\"h\":2} -", "s.1 7 -"];
        assert_eq!(shown(before, after), expected);
        assert!(shown(before, before).is_empty());
    }

    #[test]
    fn numbers_that_move_together_are_one_line() {
        let stored =
            StoredKey { value: b"{\"a\":[0,1,2,3,null,4],\"n\":7}".to_vec(), create_revision: 1, mod_revision: 1 };
        let after = After::Put(b"{\"a\":[0,null,1,2,null,3],\"n\":8}".to_vec());
        let change = Change { key: Vec::new(), before: Some(stored), after, why: Foreign::default() };
        let told = compact(lines(&change)).into_iter().map(|l| {
            format!("{} {} {}", l.path.raw(), l.before.unwrap_or_default().raw(), l.after.unwrap_or_default().raw())
        });
        assert_eq!(told.collect::<Vec<_>>(), ["a[1] 1 null", "a[2..5] 3 numbers each 1 lower", "n 7 8"]);
    }

    #[test]
    fn a_deleted_key_is_shown_whole() {
        let stored = StoredKey { value: b"{\"block\":{}}".to_vec(), create_revision: 1, mod_revision: 1 };
        let change = Change { key: Vec::new(), before: Some(stored), after: After::Delete, why: Foreign::default() };
        let line = DiffLine { path: String::new().into(), before: Some("{\"block\":{}}".into()), after: None };
        assert_eq!(lines(&change), [line]);
    }
}
