//! What a release was asked for, in words: from the flags as the history keeps them.

use std::time::Duration;

use serde_json::Value;

use crate::model::foreign::foreign;
use crate::model::{Foreign, SubjectKind};
use crate::render::age::age;
use crate::render::table::counted;

/// What was asked for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AskedFor {
    /// By which many were released at once.
    pub code: Option<Foreign>,
    /// `all IPA110 older than 24h on node-9`; of what was asked by code.
    by_code: Option<Foreign>,
    is_by_plan: bool,
    /// Handles and addresses that were named, also by a plan's file.
    pub named: Vec<(SubjectKind, Foreign)>,
}

impl AskedFor {
    /// From what is kept, as JSON; of what cannot be read nothing is known.
    pub fn of(asked: &str) -> AskedFor {
        let asked: Value = serde_json::from_str(asked).unwrap_or_default();
        let words = |field: &str| -> Vec<Foreign> {
            asked[field].as_array().into_iter().flatten().filter_map(Value::as_str).map(Foreign::from).collect()
        };
        let named = [("handles", SubjectKind::Handle), ("addresses", SubjectKind::Address)];
        let named = named.into_iter().flat_map(|(field, kind)| words(field).into_iter().map(move |id| (kind, id)));
        let code = asked["code"].as_str();
        AskedFor {
            code: code.map(Foreign::from),
            by_code: code.map(|code| by_code(code, &asked)),
            is_by_plan: asked["plan"].is_string(),
            named: named.collect(),
        }
    }

    /// What it was about; `written`: what it began to write, in words, which may be nothing.
    pub fn says(&self, written: Foreign) -> Foreign {
        if let Some(words) = &self.by_code {
            return words.clone();
        }
        let what = if written.is_empty() { self.names() } else { written };
        match (self.is_by_plan, what.is_empty()) {
            (true, true) => "by plan".into(),
            (true, false) => foreign!("{}, by plan", what),
            (false, _) => what,
        }
    }

    /// `10.65.247.4`, `2 handles`, `2 handles, 1 address`.
    fn names(&self) -> Foreign {
        if let [(_, only)] = self.named.as_slice() {
            return only.clone();
        }
        let many = [SubjectKind::Handle, SubjectKind::Address].into_iter().filter_map(|kind| {
            let number = self.named.iter().filter(|(of, _)| *of == kind).count();
            (number > 0).then(|| counted(number, kind))
        });
        many.collect::<Vec<_>>().join(", ").into()
    }
}

fn by_code(code: &str, asked: &Value) -> Foreign {
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
    words.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(asked: &str, written: &str) -> String {
        AskedFor::of(asked).says(written.into()).shown().into_owned()
    }

    #[test]
    fn a_release_by_code_is_told_by_its_flags() {
        let old = r#"{"code":"IPA110","older_than_seconds":86400}"#;
        assert_eq!(says(old, "3 addresses"), "all IPA110 older than 24h");
        let narrow = r#"{"code":"IPA201","older_than_seconds":0,"nodes":["a","b"],"namespaces":[],"pools":["v\r4"]}"#;
        assert_eq!(says(narrow, ""), "all IPA201 on a, b of pool v\\r4");
    }

    #[test]
    fn what_was_named_is_told_where_nothing_was_written() {
        for (asked, written, told) in [
            (r#"{"code":null,"handles":["h\r"],"addresses":[]}"#, "", "h\\r"),
            (r#"{"code":null,"handles":["h"],"addresses":["10.0.0.1"]}"#, "", "1 handle, 1 address"),
            (r#"{"code":null,"handles":["h","i"]}"#, "", "2 handles"),
            (r#"{"code":null,"handles":["h","i"]}"#, "10.0.0.1", "10.0.0.1"),
            (r#"{"code":null,"plan":"9f3c","handles":["h","i"]}"#, "", "2 handles, by plan"),
            (r#"{"code":null,"plan":"9f3c","handles":[]}"#, "3 addresses", "3 addresses, by plan"),
            (r#"{"code":null,"plan":"9f3c","handles":[]}"#, "", "by plan"),
            ("", "", ""),
            ("[]", "10.0.0.1", "10.0.0.1"),
        ] {
            assert_eq!(says(asked, written), told, "{asked} {written}");
        }
    }
}
