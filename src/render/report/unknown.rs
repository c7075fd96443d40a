//! Names that a report is narrowed to and that nobody has seen.

use crate::model::Foreign;

/// A name that the report is narrowed to and that no audit of the cluster has seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnknownName {
    /// `node`, `namespace`, `pool`; `code`: no audit has looked for its findings.
    pub kind: &'static str,
    pub name: Foreign,
    /// Known names that may have been meant, nearest first.
    pub near: Vec<Foreign>,
}

impl UnknownName {
    /// A sentence; `foreign` spells out what others, or somebody's fingers, wrote.
    pub fn says(&self, foreign: &dyn Fn(&Foreign) -> String) -> String {
        let name = foreign(&self.name);
        if self.kind == "code" {
            return format!("No audit of this history has looked for {name}.");
        }
        let near: Vec<String> = self.near.iter().map(foreign).collect();
        let meant = match near.split_last() {
            None => String::new(),
            Some((only, [])) => format!(" (did you mean {only}?)"),
            Some((last, others)) => format!(" (did you mean {} or {last}?)", others.join(", ")),
        };
        format!("The history knows no {} {name}{meant}.", self.kind)
    }
}
