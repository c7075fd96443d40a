//! Names that a view is narrowed to and that nobody has seen: silence about them is no all-clear.

use crate::model::Foreign;
use crate::model::json::in_json;
use crate::model::near::asks;

/// A name that a report or an audit is narrowed to and that nobody has seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnknownName {
    /// `node`, `namespace`, `pool`; `code`: no audit has looked for its findings.
    pub kind: &'static str,
    /// Who does not know it, as the beginning of a sentence: `The history knows no`.
    pub by: &'static str,
    pub name: Foreign,
    /// Known names that may have been meant, nearest first.
    pub near: Vec<Foreign>,
}

in_json!(|name: &UnknownName| { "kind": name.kind, "name": name.name, "near": name.near });

impl UnknownName {
    /// A sentence; `foreign` spells out what others, or somebody's fingers, wrote.
    pub fn says(&self, foreign: &dyn Fn(&Foreign) -> String) -> String {
        let name = foreign(&self.name);
        if self.kind == "code" {
            return format!("No audit of this history has looked for {name}.");
        }
        let near: Vec<String> = self.near.iter().map(foreign).collect();
        let meant = asks(&near).map(|asks| format!(" ({asks})")).unwrap_or_default();
        format!("{} {} {name}{meant}.", self.by, self.kind)
    }
}
