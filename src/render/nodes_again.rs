//! How people see again what was found on nodes: without the evidence of this run nobody finds it.

use crate::checks::node::is_of_nodes;
use crate::model::foreign::foreign;
use crate::model::{Code, Finding, FindingKeeper, Foreign, KeptFinding};

/// What the commands that look at nodes need.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NodesAgain {
    /// ` --node-evidence caps`, as it was typed and as a shell takes it; empty: none was given.
    pub evidence: String,
    /// The whole command, where the node was read by `ipaudit node` itself.
    pub node: Option<String>,
    /// Whether `who` finds the same beside it, without the node's own word: a datastore was given that it reads too.
    pub has_who: bool,
}

impl NodesAgain {
    /// A command that shows all findings of a code, for this one.
    pub fn see_all(&self, code: Code, command: String) -> String {
        match &self.node {
            _ if !is_of_nodes(code) => command,
            Some(node) => node.clone(),
            None => format!("{command}{}", self.evidence),
        }
    }

    /// The same for the commands of findings that only look.
    pub fn rewrite(&self, findings: &mut [KeptFinding]) {
        let mut keeper = FindingKeeper::default();
        let of_nodes = findings.iter_mut().filter(|finding| is_of_nodes(finding.code));
        of_nodes.for_each(|finding| keeper.change(finding, |finding| self.rewrite_one(finding)));
    }

    fn rewrite_one(&self, finding: &mut Finding) -> bool {
        let evidence = self.evidence.as_str();
        let before = std::mem::take(&mut finding.next);
        let mut last: Option<Foreign> = None;
        for command in &before {
            let is_who = command.shown().starts_with("ipaudit who ");
            let command = match &self.node {
                _ if !is_who => command.clone(),
                Some(_) if self.has_who => command.clone(),
                Some(node) => node.as_str().into(),
                None => foreign!("{}{evidence}", command),
            };
            if !finding.next.contains(&command) {
                finding.next.push(command);
            }
            // Beside etcd's word of the address the node's own, which a `who` elsewhere does not read.
            let own = self.node.as_deref().filter(|_| is_who && self.has_who).map(Foreign::from);
            last = own.or(last);
        }
        finding.next.extend(last.filter(|own| !before.contains(own)));
        finding.next != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::node::testing::{NodeUnderTest, seen};
    use crate::checks::node::wrong_interface_route;

    #[test]
    fn commands_about_nodes_take_the_evidence_along_and_no_others() {
        let mut c = seen();
        let other = c.interface_of("web-1");
        c.node_mut().route_mut("10.65.0.1").hops[0].dev = other;
        let found = c.find(&wrong_interface_route::CHECK);
        let told = |again: &NodesAgain| {
            let mut found = FindingKeeper::all(found.clone());
            again.rewrite(&mut found);
            found[0].open().next
        };
        let files = NodesAgain { evidence: " --node-evidence 'my caps'".to_owned(), ..NodesAgain::default() };
        assert_eq!(told(&files), ["ipaudit who 10.65.0.1 --node-evidence 'my caps'"]);
        let live = NodesAgain { node: Some("ipaudit node --all".to_owned()), ..NodesAgain::default() };
        assert_eq!(told(&live), ["ipaudit node --all"]);
        let with_etcd = NodesAgain { has_who: true, ..live };
        assert_eq!(told(&with_etcd), ["ipaudit who 10.65.0.1", "ipaudit node --all"]);
        assert_eq!(told(&NodesAgain::default()), ["ipaudit who 10.65.0.1"]);
        let all = |code| files.see_all(Code(code), "ipaudit audit --all".to_owned());
        assert_eq!(
            (all(701), all(101)),
            ("ipaudit audit --all --node-evidence 'my caps'".into(), "ipaudit audit --all".into())
        );
    }
}
