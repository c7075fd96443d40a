//! What a node's finding leaves to the finding that explains it: what to do.

use super::node::is_of_nodes;
use crate::model::hash::HashSet;
use crate::model::{Code, Finding, FindingKeeper, KeptFinding};

/// Of nodes a cause that is repaired repairs what it explains: that advises nothing of its own, which could only be another
/// word on the same thing. What looks stays. After the last fold: a finding that nothing explains needs its advice.
pub fn leave_to_causes(findings: &mut [KeptFinding]) {
    let known: HashSet<(Code, String)> = findings.iter().map(|f| (f.code, f.subject.id.raw().to_owned())).collect();
    let mut keeper = FindingKeeper::default();
    for finding in findings.iter_mut().filter(|finding| is_of_nodes(finding.code)) {
        let is_told = |finding: &KeptFinding| {
            finding.root.as_ref().is_some_and(|root| known.contains(&(root.code, root.id.raw().to_owned())))
        };
        if is_told(finding) {
            keeper.change(finding, say_nothing);
        }
    }
}

fn say_nothing(finding: &mut Finding) -> bool {
    finding.advice = Default::default();
    finding.restarts_pods = false;
    finding.next.retain(|command| command.raw().starts_with("ipaudit "));
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::node::testing::{NodeUnderTest, seen};
    use crate::checks::node::{gateway_unanswered, missing_route};
    use crate::checks::{World, run_these};
    use crate::ledger::Ledger;

    #[test]
    fn the_explained_one_says_nothing_and_the_one_alone_says_what_to_do() {
        let mut c = seen();
        c.node_mut().remove_route("10.65.0.1");
        c.node_mut().verdict_mut("10.65.0.1").errno = 22;
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, c.scope, None);
        let world = World { snapshot: &snapshot, ledger: &ledger, past: None };
        let told = |checks: &[&'static crate::checks::Check]| {
            let mut findings = run_these(&world, checks).findings;
            leave_to_causes(&mut findings);
            findings.iter().map(|f| (f.code, f.open().advice)).collect::<Vec<_>>()
        };
        let both = told(&[&missing_route::CHECK, &gateway_unanswered::CHECK]);
        let [(first, advice), (second, none)] = both.as_slice() else { panic!("{both:?}") };
        assert_eq!((first.0, second.0), (702, 707));
        assert!(advice.raw().contains("restart calico-node") && none.is_empty(), "{both:?}");
        let alone = told(&[&gateway_unanswered::CHECK]);
        assert!(alone[0].1.raw().contains("do what IPA701, IPA702 or IPA704 says of it"), "{alone:?}");
    }
}
