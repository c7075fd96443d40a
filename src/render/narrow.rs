//! `--code`, `--severity` and the like: which findings people want to see. They narrow the view and what counts for
//! exit code 1; never the history, and never what makes an audit incomplete.

use crate::checks::evidence::shell;
use crate::model::{Code, Finding, Foreign, Severity};

/// Which findings people want to see; an empty one takes all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Narrow {
    pub codes: Vec<Code>,
    /// This one and worse.
    pub severity: Option<Severity>,
    pub node: Option<String>,
    pub namespace: Option<String>,
    pub pool: Option<String>,
}

impl Narrow {
    /// Whether the view keeps this finding.
    pub fn keeps(&self, finding: &Finding) -> bool {
        let same = |wanted: &Option<String>, has: &Option<Foreign>| {
            wanted.as_ref().is_none_or(|wanted| has.as_ref().is_some_and(|has| has == wanted))
        };
        (self.codes.is_empty() || self.codes.contains(&finding.code))
            && self.severity.is_none_or(|least| finding.severity >= least)
            && same(&self.node, &finding.node)
            && same(&self.namespace, &finding.namespace)
            && same(&self.pool, &finding.pool)
    }

    /// Whether it takes all.
    pub fn is_all(&self) -> bool {
        *self == Narrow::default()
    }

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
    use crate::model::{Subject, SubjectKind};

    #[test]
    fn narrowing_keeps_what_fits_every_flag() {
        let mut finding = Finding::new(Code(110), Severity::Error, Subject::new(SubjectKind::Address, "10.0.0.1"), "");
        finding.node = Some("node-1".into());
        let narrow = Narrow {
            severity: Some(Severity::Warning),
            node: Some("node-1".to_owned()),
            codes: vec![Code(110)],
            ..Narrow::default()
        };
        assert!(narrow.keeps(&finding) && !narrow.is_all());
        assert_eq!(narrow.flags(), ["--code IPA110", "--severity warning", "--node node-1"]);
        assert!(!Narrow { node: Some("node-2".to_owned()), ..narrow.clone() }.keeps(&finding));
        assert!(!Narrow { severity: Some(Severity::Critical), ..Narrow::default() }.keeps(&finding));
        assert!(!Narrow { pool: Some("default".to_owned()), ..Narrow::default() }.keeps(&finding));
    }
}
