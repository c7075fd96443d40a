//! A narrowed view as the flags that make it.

use crate::checks::evidence::shell;
pub use crate::model::Narrow;

impl Narrow {
    /// The flags that make this view, as people would type them.
    pub fn flags(&self) -> Vec<String> {
        let named = |flag: &str, value: &Option<String>| value.as_ref().map(|v| format!("{flag} {}", shell(v)));
        let codes = self.codes.iter().map(|code| format!("--code {code}"));
        let severity = self.severity.map(|s| format!("--severity {s}"));
        let rest = [("--node", &self.node), ("--namespace", &self.namespace), ("--pool", &self.pool)];
        codes.chain(severity).chain(rest.into_iter().filter_map(|(flag, value)| named(flag, value))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Code, Severity};

    #[test]
    fn the_flags_are_those_that_make_the_view() {
        let (severity, node) = (Some(Severity::Warning), Some("node-1".to_owned()));
        let narrow = Narrow { severity, node, codes: vec![Code(110)], ..Narrow::default() };
        assert_eq!(narrow.flags(), ["--code IPA110", "--severity warning", "--node node-1"]);
    }
}
