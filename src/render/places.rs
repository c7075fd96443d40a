//! Where many findings are: by node, the most first.

use std::collections::HashMap;

use crate::checks::natural;
use crate::model::{Finding, Foreign, KeptFinding};
use crate::render::number::grouped;

/// So many nodes are named.
const NODES: usize = 6;

/// How many findings each node has.
#[derive(Debug, Default)]
pub struct ByNode<'f> {
    /// Most findings first, then by name.
    nodes: Vec<(&'f Foreign, usize)>,
    /// All findings, also those that belong to no node.
    total: usize,
}

impl<'f> ByNode<'f> {
    /// The nodes of these findings.
    pub fn of(findings: &[&'f KeptFinding]) -> ByNode<'f> {
        ByNode::among(findings.iter().map(|f| f.node.as_ref()))
    }

    /// The same of these nodes, one a finding; `None`: it belongs to no node.
    pub fn among(nodes: impl Iterator<Item = Option<&'f Foreign>> + Clone) -> ByNode<'f> {
        ByNode { nodes: most_first(nodes.clone().flatten()), total: nodes.count() }
    }

    /// ` on slave-1`; ` on 4 nodes, 60 of them on slave-96`; ` on 4 nodes, most on slave-1 (12)`; empty where nobody
    /// can say.
    pub fn on(&self) -> String {
        self.on_as(&|node| node.shown().into_owned())
    }

    /// The same with the nodes' names as `name` tells them.
    pub fn on_as(&self, name: &dyn Fn(&Foreign) -> String) -> String {
        let mut text = match self.nodes.as_slice() {
            _ if !self.is_whole() => String::new(),
            [] => String::new(),
            [(node, _)] => return format!(" on {}", name(node)),
            many => format!(" on {} nodes", grouped(many.len() as u64)),
        };
        match self.nodes.as_slice() {
            [(node, number), ..] if number * 2 > self.total => {
                text.push_str(&format!(", {} of them on {}", grouped(*number as u64), name(node)));
            }
            [(node, most), (_, second), ..] if most > second && self.is_whole() => {
                text.push_str(&format!(", most on {} ({})", name(node), grouped(*most as u64)));
            }
            _ => {}
        }
        text
    }

    /// `by node: slave-1 12, slave-2 9, 5 more nodes`, where no node has most of them.
    pub fn by_node(&self) -> String {
        let has_most = self.nodes.first().is_some_and(|(_, number)| number * 2 > self.total);
        if self.nodes.len() < 2 || has_most || !self.is_whole() {
            return String::new();
        }
        let mut parts: Vec<String> = self
            .nodes
            .iter()
            .take(NODES)
            .map(|(n, number)| format!("{} {}", n.shown(), grouped(*number as u64)))
            .collect();
        match self.nodes.len().saturating_sub(NODES) {
            0 => {}
            1 => parts.push("1 more node".to_owned()),
            more => parts.push(format!("{} more nodes", grouped(more as u64))),
        }
        format!("by node: {}", parts.join(", "))
    }

    /// Whether every finding belongs to a node.
    fn is_whole(&self) -> bool {
        self.nodes.iter().map(|(_, number)| number).sum::<usize>() == self.total
    }
}

/// How often each text comes, the most frequent first, then by name.
pub fn most_first<'f>(texts: impl Iterator<Item = &'f Foreign>) -> Vec<(&'f Foreign, usize)> {
    let mut counts: HashMap<&Foreign, usize> = HashMap::new();
    texts.for_each(|text| *counts.entry(text).or_default() += 1);
    let mut list: Vec<(&Foreign, usize)> = counts.into_iter().collect();
    list.sort_by(|(a, m), (b, n)| n.cmp(m).then_with(|| a.cmp_by(b, natural)));
    list
}

/// Whether what is told of a finding names the node already. An endpoint's name has the node's hyphens doubled.
pub fn is_named(finding: &Finding, node: &Foreign) -> bool {
    let (node, doubled) = (node.raw(), node.raw().replace('-', "--"));
    let told = [finding.summary.raw(), finding.subject.id.raw()];
    told.iter().any(|text| text.contains(node) || text.contains(&doubled))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Code, Severity, Subject, SubjectKind};

    fn on(nodes: &[Option<&str>]) -> (String, String) {
        let findings: Vec<KeptFinding> = nodes
            .iter()
            .map(|node| {
                let subject = Subject::new(SubjectKind::Address, "10.0.0.1");
                let mut finding = Finding::new(Code(110), Severity::Error, subject, "");
                finding.node = node.map(Into::into);
                finding.into()
            })
            .collect();
        let findings: Vec<&KeptFinding> = findings.iter().collect();
        let places = ByNode::of(&findings);
        (places.on(), places.by_node())
    }

    #[test]
    fn a_node_is_named_where_one_stands_out() {
        let [a, b, c] = ["node-9", "node-10", "node-11"].map(Some);
        let told = |on: &str, by_node: &str| (on.to_owned(), by_node.to_owned());
        assert_eq!(on(&[a, a]), told(" on node-9", ""));
        assert_eq!(on(&[b, a, a]), told(" on 2 nodes, 2 of them on node-9", ""));
        let most = told(" on 3 nodes, most on node-9 (2)", "by node: node-9 2, node-10 1, node-11 1");
        assert_eq!(on(&[c, a, a, b]), most);
        assert_eq!(on(&[a, b]), told(" on 2 nodes", "by node: node-9 1, node-10 1"));
        assert_eq!(on(&[a, a, None]), told(", 2 of them on node-9", ""));
        assert_eq!(on(&[None, a, b]), told("", ""));
    }
}
