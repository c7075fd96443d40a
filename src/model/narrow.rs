//! `--code`, `--severity` and the like: which findings people want to see. They narrow the view and what counts for
//! exit code 1; never the history, and never what makes an audit incomplete.

use super::touch::{NamingTexts, Placed, Spellings};
use super::{Code, Foreign, KeptFinding, Severity, SubjectKind};

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
    /// What the cluster calls node and pool besides.
    pub called: Spellings,
    /// What is everywhere, and so in every place: what stops the whole cluster.
    pub everywhere: Vec<Code>,
}

impl Narrow {
    /// Whether the view keeps this finding: one that belongs to another node, namespace or pool too, where its evidence names
    /// the one that is asked for.
    pub fn keeps(&self, finding: &KeptFinding) -> bool {
        (self.codes.is_empty() || self.codes.contains(&finding.code))
            && self.severity.is_none_or(|least| finding.severity >= least)
            && (self.everywhere.contains(&finding.code)
                || self.owns(finding.placed())
                || self.touches(finding.placed(), &finding.open().evidence))
    }

    /// Whether it belongs to the very node, namespace and pool.
    pub fn owns(&self, placed: Placed<'_>) -> bool {
        self.places(placed).into_iter().all(|(wanted, has, _)| is_same(wanted, has))
    }

    /// Whether what it belongs to, what it is about or its evidence names the node, the namespace and the pool.
    pub fn touches(&self, placed: Placed<'_>, evidence: &dyn NamingTexts) -> bool {
        let (kind, subject) = placed.subject;
        self.places(placed).into_iter().all(|(wanted, has, is)| {
            let Some(wanted) = wanted.filter(|_| !is_same(wanted, has)) else { return true };
            let names = |field: &str, text: &str| is(&self.called, wanted, field, text);
            subject.raw().split(' ').any(|word| names(kind, word)) || evidence.any_text(&names)
        })
    }

    /// Each place: what is wanted, what the finding belongs to, and whether a text means it.
    fn places<'a>(&'a self, placed: Placed<'a>) -> [(Option<&'a str>, Option<&'a Foreign>, PlaceTest); 3] {
        [
            (self.node.as_deref(), placed.node, |called, node, _, text| called.is_node(node, text)),
            (self.namespace.as_deref(), placed.namespace, |_, namespace, field, text| {
                Spellings::is_namespace(namespace, field, text)
            }),
            // An address is of one pool: what else a pod of two families has is told by itself.
            match placed.subject.0 == SubjectKind::Address.word() {
                true => (self.pool.as_deref(), placed.pool, |_, _, _, _| false),
                false => {
                    (self.pool.as_deref(), placed.pool, |called, pool, field, text| called.is_pool(pool, field, text))
                }
            },
        ]
    }

    /// Whether it is narrowed to a place.
    pub const fn has_place(&self) -> bool {
        self.node.is_some() || self.namespace.is_some() || self.pool.is_some()
    }

    /// The same of a node that is called otherwise.
    pub fn on_node(self, node: &Foreign) -> Narrow {
        Narrow { node: Some(node.raw().to_owned()), ..self }
    }

    /// The same of a pool that is called otherwise.
    pub fn in_pool(self, pool: &Foreign) -> Narrow {
        Narrow { pool: Some(pool.raw().to_owned()), ..self }
    }

    /// The same in a cluster that calls node and pool so.
    pub fn in_cluster(self, called: Spellings) -> Narrow {
        Narrow { called, ..self }
    }

    /// Whether it takes all.
    pub fn is_all(&self) -> bool {
        self.codes.is_empty() && self.severity.is_none() && !self.has_place()
    }
}

/// Whether a text of this field (the third) means what is wanted (the second).
type PlaceTest = fn(&Spellings, &str, &str, &str) -> bool;

fn is_same(wanted: Option<&str>, has: Option<&Foreign>) -> bool {
    wanted.is_none() || wanted == has.map(Foreign::raw)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Evidence, Finding, FindingKeeper, Subject};

    #[test]
    fn narrowing_keeps_what_fits_every_flag() {
        let mut finding = Finding::new(Code(110), Severity::Error, Subject::new(SubjectKind::Address, "10.0.0.1"), "");
        finding.node = Some("node-1".into());
        let finding = FindingKeeper::default().keep(finding);
        let narrow = Narrow {
            severity: Some(Severity::Warning),
            node: Some("node-1".to_owned()),
            codes: vec![Code(110)],
            ..Narrow::default()
        };
        assert!(narrow.keeps(&finding) && !narrow.is_all());
        assert!(!Narrow { node: Some("node-2".to_owned()), ..narrow.clone() }.keeps(&finding));
        assert!(!Narrow { severity: Some(Severity::Critical), ..Narrow::default() }.keeps(&finding));
        let elsewhere = Narrow { pool: Some("default".to_owned()), ..Narrow::default() };
        assert!(!elsewhere.keeps(&finding));
        assert!(Narrow { everywhere: vec![Code(110)], ..elsewhere }.keeps(&finding), "it is in every pool");
    }

    /// A duplicate belongs to the node of nobody, and hits all of its holders.
    #[test]
    fn what_its_evidence_names_is_touched_and_not_owned() {
        let mut finding = Finding::new(Code(101), Severity::Error, Subject::new(SubjectKind::Address, "10.0.0.1"), "");
        (finding.namespace, finding.pool) = (Some("shop".into()), Some("default".into()));
        let holder = |pod, node| Evidence::new().with("pod", pod).with("node", node);
        finding.evidence =
            Evidence::new().with("holders", vec![holder("shop/a", "node-1"), holder("stage/b", "node-2")]);
        let finding = FindingKeeper::default().keep(finding);
        let keeps = |narrow: Narrow| (narrow.keeps(&finding), narrow.owns(finding.placed()));
        for (name, is) in [("shop", (true, true)), ("stage", (true, false)), ("other", (false, false))] {
            assert_eq!(keeps(Narrow { namespace: Some(name.to_owned()), ..Narrow::default() }), is, "{name}");
        }
        for (name, is) in [("node-1", (true, false)), ("node-2", (true, false)), ("node-3", (false, false))] {
            assert_eq!(keeps(Narrow { node: Some(name.to_owned()), ..Narrow::default() }), is, "{name}");
        }
        // Each flag for itself, all of them together.
        let both = |node: &str| Narrow {
            namespace: Some("stage".to_owned()),
            node: Some(node.to_owned()),
            ..Narrow::default()
        };
        assert_eq!((keeps(both("node-1")).0, keeps(both("node-3")).0), (true, false));
    }
}
