//! Edits of a handle's value: counts go down or up, unknown fields stay.

use std::ops::Range;

use super::json::{Broken, Edits, Member, field, members, whole};
use crate::model::Cidr;

/// What becomes of a handle.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Left {
    /// It counts nothing any more: its key is deleted.
    Nothing,
    Value(Vec<u8>),
}

/// The member that counts a block, by the CIDR that its name means.
///
/// # Errors
/// When two names mean the same block.
fn count_of(counts: &[Member], block: Cidr) -> Result<Option<&Member>, Broken> {
    let mut found = counts.iter().filter(|m| Cidr::parse(&m.name).is_some_and(|(cidr, _)| cidr == block));
    match (found.next(), found.next()) {
        (_, Some(_)) => Err(Broken::new(format!("the handle counts {block} twice"))),
        (one, None) => Ok(one),
    }
}

fn number(text: &str, member: &Member) -> Result<i64, Broken> {
    let written = text.get(member.value.clone()).unwrap_or_default();
    match written {
        "null" => Ok(0),
        _ => written.parse().map_err(|_| Broken::new(format!("the handle counts {written} addresses"))),
    }
}

fn counts(text: &str, all: &[Member]) -> Result<(Option<Range<usize>>, Vec<Member>), Broken> {
    match field(all, "block")?.filter(|m| text.get(m.value.clone()) != Some("null")) {
        None => Ok((None, Vec::new())),
        Some(member) => Ok((Some(member.value.clone()), members(text, &member.value)?)),
    }
}

/// One address of `block` is released; `held` of the block's others are still the handle's. A handle that counts too
/// little is not made worse.
///
/// # Errors
/// When the value cannot be edited.
pub fn subtract(value: &[u8], block: Cidr, held: i64) -> Result<Left, Broken> {
    let (text, span) = whole(value)?;
    let all = members(text, &span)?;
    let (inside, entries) = counts(text, &all)?;
    let (Some(inside), Some(member)) = (inside, count_of(&entries, block)?) else {
        return Ok(Left::Value(value.to_vec()));
    };
    let counted = number(text, member)?;
    let left = counted.saturating_sub(1).max(held).min(counted);
    let mut edits = Edits::of(text);
    if left > 0 {
        edits.replace(member.value.clone(), left.to_string());
    } else if entries.len() == 1 {
        return Ok(Left::Nothing);
    } else {
        let keep: Vec<bool> = entries.iter().map(|e| e.whole != member.whole).collect();
        edits.members(&inside, &entries, &keep, &[]);
    }
    Ok(Left::Value(edits.finish()?.into_bytes()))
}

/// Counts one more address of `block` (undo); a handle that is absent is created as Calico writes it.
///
/// # Errors
/// When the value cannot be edited.
pub fn add(value: Option<&[u8]>, block: Cidr) -> Result<Vec<u8>, Broken> {
    let Some(value) = value else {
        return Ok(format!("{{\"block\":{{\"{block}\":1}},\"deleted\":false}}").into_bytes());
    };
    let (text, span) = whole(value)?;
    let all = members(text, &span)?;
    let (inside, entries) = counts(text, &all)?;
    let mut edits = Edits::of(text);
    let one = format!("\"{block}\":1");
    match (inside, count_of(&entries, block)?, field(&all, "block")?) {
        (_, Some(member), _) => {
            let more = number(text, member)?.max(0).saturating_add(1);
            edits.replace(member.value.clone(), more.to_string());
        }
        (Some(inside), None, _) => edits.members(&inside, &entries, &[], &[one]),
        (None, None, Some(null)) => edits.replace(null.value.clone(), format!("{{{one}}}")),
        (None, None, None) => edits.members(&span, &all, &[], &[format!("\"block\":{{{one}}}")]),
    }
    Ok(edits.finish()?.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        Cidr::parse(text).unwrap().0
    }

    fn sub(value: &str, block: &str, held: i64) -> Option<String> {
        match subtract(value.as_bytes(), cidr(block), held).unwrap() {
            Left::Nothing => None,
            Left::Value(bytes) => Some(String::from_utf8(bytes).unwrap()),
        }
    }

    #[test]
    fn counts_go_down_and_the_rest_stays() {
        let odd = r#" {"x": 18446744073709551615, "block" : { "10.0.0.0/26": 2 ,"fd00::/122":1}, "deleted":false } "#;
        assert_eq!(sub(odd, "10.0.0.0/26", 1).unwrap(), odd.replace(": 2 ", ": 1 "));
        assert_eq!(sub(odd, "fd00::/122", 0).unwrap(), odd.replace(r#" ,"fd00::/122":1"#, ""));
        assert_eq!(sub(r#"{"block":{"10.0.0.0/26":1}}"#, "10.0.0.0/26", 0), None);
        assert_eq!(sub(r#"{"block":{"10.0.0.3/26":1}}"#, "10.0.0.0/26", 0), None, "host bits are masked");
    }

    #[test]
    fn an_undercount_is_not_made_worse() {
        let one = r#"{"block":{"10.0.0.0/26":1}}"#;
        assert_eq!(sub(one, "10.0.0.0/26", 2).unwrap(), one);
        assert_eq!(sub(one, "10.9.0.0/26", 0).unwrap(), one, "a block that it does not count");
        assert_eq!(sub(r#"{"block":null}"#, "10.0.0.0/26", 0).unwrap(), r#"{"block":null}"#);
    }

    #[test]
    fn counts_go_up() {
        let plus = |value: Option<&str>| {
            String::from_utf8(add(value.map(str::as_bytes), cidr("10.0.0.0/26")).unwrap()).unwrap()
        };
        assert_eq!(plus(None), r#"{"block":{"10.0.0.0/26":1},"deleted":false}"#);
        assert_eq!(plus(Some(r#"{"y":1,"block":{"10.0.0.0/26":1}}"#)), r#"{"y":1,"block":{"10.0.0.0/26":2}}"#);
        assert_eq!(plus(Some(r#"{"block":{}}"#)), r#"{"block":{"10.0.0.0/26":1}}"#);
        assert_eq!(plus(Some(r#"{"block":null}"#)), r#"{"block":{"10.0.0.0/26":1}}"#);
        assert_eq!(plus(Some("{}")), r#"{"block":{"10.0.0.0/26":1}}"#);
    }

    #[test]
    fn two_names_of_one_block_are_refused() {
        let twice = br#"{"block":{"10.0.0.0/26":1,"10.0.0.1/26":1}}"#;
        assert!(subtract(twice, cidr("10.0.0.0/26"), 0).is_err());
        assert!(add(Some(twice), cidr("10.0.0.0/26")).is_err());
    }
}
