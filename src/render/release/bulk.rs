//! What many were released by at once, in words: from the flags as the history keeps them.

use std::time::Duration;

use serde_json::Value;

use crate::model::Foreign;
use crate::render::age::age;

/// A release by code, or by plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bulk {
    /// `None`: by plan.
    pub code: Option<Foreign>,
    /// `all IPA110 older than 24h on node-9`; of a plan `by plan`, behind how much it was.
    pub words: Foreign,
}

impl Bulk {
    /// From what a release was asked for, as JSON. `None`: each thing was named, or it was an undo.
    pub fn of(asked: &str) -> Option<Bulk> {
        let asked: Value = serde_json::from_str(asked).ok()?;
        if asked["plan"].is_string() {
            return Some(Bulk { code: None, words: "by plan".into() });
        }
        let code = asked["code"].as_str()?;
        let mut words = format!("all {code}");
        if let Some(seconds) = asked["older_than_seconds"].as_u64().filter(|seconds| *seconds > 0) {
            words.push_str(&format!(" older than {}", age(Duration::from_secs(seconds))));
        }
        for (field, word) in [("nodes", "on"), ("namespaces", "in"), ("pools", "of pool")] {
            let names: Vec<&str> = asked[field].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            if !names.is_empty() {
                words.push_str(&format!(" {word} {}", names.join(", ")));
            }
        }
        Some(Bulk { code: Some(code.into()), words: words.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_by_code_is_told_by_its_flags() {
        let words = |asked: &str| Bulk::of(asked).map(|bulk| bulk.words.shown().into_owned());
        let old = r#"{"code":"IPA110","older_than_seconds":86400}"#;
        assert_eq!(words(old).unwrap(), "all IPA110 older than 24h");
        let narrow = r#"{"code":"IPA201","older_than_seconds":0,"nodes":["a","b"],"namespaces":[],"pools":["v\r4"]}"#;
        assert_eq!(words(narrow).unwrap(), "all IPA201 on a, b of pool v\\r4");
        assert_eq!(words(r#"{"code":null,"plan":"9f3c","handles":[]}"#).unwrap(), "by plan");
        for named in [r#"{"code":null,"handles":["x"]}"#, r#"{"undo":7}"#, "", "[]"] {
            assert_eq!(words(named), None, "{named}");
        }
    }
}
