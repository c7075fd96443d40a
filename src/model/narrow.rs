//! `--code`, `--severity` and the like: which findings people want to see. They narrow the view and what counts for
//! exit code 1; never the history, and never what makes an audit incomplete.

use super::{Code, Finding, Foreign, Severity};

/// Which findings people want to see; an empty one takes all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Narrow {
    /// These alone.
    pub codes: Vec<Code>,
    /// This one and worse.
    pub severity: Option<Severity>,
    /// As findings name it: Kubernetes' name.
    pub node: Option<String>,
    /// Of what has one.
    pub namespace: Option<String>,
    /// By name.
    pub pool: Option<String>,
}

impl Narrow {
    /// Whether the view keeps this finding.
    pub fn keeps(&self, finding: &Finding) -> bool {
        let same = |wanted: &Option<String>, has: &Option<Foreign>| {
            wanted.is_none() || wanted.as_deref() == has.as_ref().map(Foreign::raw)
        };
        (self.codes.is_empty() || self.codes.contains(&finding.code))
            && self.severity.is_none_or(|least| finding.severity >= least)
            && same(&self.node, &finding.node)
            && same(&self.namespace, &finding.namespace)
            && same(&self.pool, &finding.pool)
    }

    /// The same of a node that is called otherwise.
    pub fn on_node(self, node: &Foreign) -> Narrow {
        Narrow { node: Some(node.raw().to_owned()), ..self }
    }

    /// The same of a pool that is called otherwise.
    pub fn in_pool(self, pool: &Foreign) -> Narrow {
        Narrow { pool: Some(pool.raw().to_owned()), ..self }
    }

    /// Whether it takes all.
    pub fn is_all(&self) -> bool {
        *self == Narrow::default()
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
        assert!(!Narrow { node: Some("node-2".to_owned()), ..narrow.clone() }.keeps(&finding));
        assert!(!Narrow { severity: Some(Severity::Critical), ..Narrow::default() }.keeps(&finding));
        assert!(!Narrow { pool: Some("default".to_owned()), ..Narrow::default() }.keeps(&finding));
    }
}
