//! What a release does not take, and the commands that repair it: those of the findings themselves.

use crate::checks::Check;
use crate::checks::addresses::leaked_address;
use crate::checks::affinities::{
    affinity_block_mismatch, affinity_deletion_stuck, affinity_pending_stuck, affinity_without_block,
};
use crate::checks::endpoints::{endpoint_on_other_node, stale_endpoint};
use crate::checks::evidence::{is_release, sandbox, shell};
use crate::judge::only::Only;
use crate::model::{Code, Finding, Foreign};
use crate::plan::refusal::{Objection, Refusal};
use crate::plan::rules::{OVER, older_than};

/// The checks whose findings name the writes that repair them.
pub const CHECKS: [&Check; 6] = [
    &affinity_block_mismatch::CHECK,
    &affinity_pending_stuck::CHECK,
    &affinity_deletion_stuck::CHECK,
    &affinity_without_block::CHECK,
    &stale_endpoint::CHECK,
    &endpoint_on_other_node::CHECK,
];

/// The check of a code whose findings are repaired by hand.
pub fn check(code: Code) -> Option<&'static Check> {
    CHECKS.into_iter().find(|check| check.code == code)
}

/// What is found, each with its commands; the first with what releases the leaks among them at once, where there are
/// several. `only`: what narrows them.
pub fn refusals(findings: &[Finding], only: &Only) -> Vec<Refusal> {
    let releases = |finding: &&Finding| finding.next.iter().any(|next| is_release(next.raw()));
    let is_many = findings.iter().filter(releases).count() > 1;
    let refusal = |(place, finding): (usize, &Finding)| {
        let of = |takes: fn(&str) -> bool| -> Vec<Foreign> {
            finding.next.iter().filter(|next| takes(next.raw())).cloned().collect()
        };
        // Where nothing writes, what there is to do depends on what is seen.
        let commands = Some(of(repairs)).filter(|commands| !commands.is_empty()).unwrap_or_else(|| of(asks));
        let (code, advice) = (finding.code, finding.advice.clone());
        let told = sandbox::told(finding);
        let sandboxes = told.map(|(node, machine, command)| (node.clone(), machine, command.clone())).collect();
        let bulk = (is_many && place == 0).then(|| bulk(only).into());
        let objection = Objection::ByHand { code, advice, sandboxes, commands, bulk };
        Refusal::new(finding.subject.id.raw(), objection)
    };
    findings.iter().enumerate().map(refusal).collect()
}

/// Of the age that rule 4 asks for at least: what is printed here has it.
fn bulk(only: &Only) -> String {
    let flags = [("--node", &only.nodes), ("--namespace", &only.namespaces), ("--pool", &only.pools)];
    let flags =
        flags.into_iter().flat_map(|(flag, values)| values.iter().map(move |v| format!(" {flag}={}", shell(v))));
    let age = older_than(OVER);
    format!("ipaudit release --code {} --older-than {age}{}", leaked_address::CHECK.code, flags.collect::<String>())
}

/// Whether a command of a finding writes; others show.
fn repairs(command: &str) -> bool {
    command.ends_with("| etcdctl txn") || command.starts_with("calicoctl delete ") || is_release(command)
}

fn asks(command: &str) -> bool {
    command.starts_with("ipaudit who ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::Cluster;
    use crate::checks::{World, run_these};
    use crate::ledger::{Ledger, ScopeFlag};
    use crate::model::AffinityState;

    #[test]
    fn what_is_found_comes_with_the_commands_that_write() {
        let mut c = Cluster::healthy();
        let host = c.host("node-1");
        c.affinity(host, "10.65.1.0/26", AffinityState::Confirmed);
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, ScopeFlag::Auto, None);
        let world = World { snapshot: &snapshot, ledger: &ledger, past: None };
        let code = affinity_without_block::CHECK.code;
        let found: Vec<Finding> = run_these(&world, &[check(code).unwrap()]).opened().collect();
        let refused = refusals(&found, &Only::default());
        let [Refusal { objection: Objection::ByHand { commands, .. }, .. }] = refused.as_slice() else {
            panic!("{refused:?}")
        };
        assert!(commands.len() == 1 && commands[0].raw().ends_with("| etcdctl txn"), "{commands:?}");
    }

    #[test]
    fn the_release_of_all_is_as_old_as_rule_4_and_as_narrow_as_was_asked() {
        let mut c = Cluster::healthy();
        c.remove_pod("web-0");
        c.remove_pod("web-1");
        let found = c.find(&stale_endpoint::CHECK);
        let only = Only { nodes: vec!["node-1".to_owned()], ..Only::default() };
        let refused = refusals(&found, &only);
        let bulk = |refusal: &Refusal| match &refusal.objection {
            Objection::ByHand { bulk, .. } => bulk.clone(),
            _ => None,
        };
        let bulks: Vec<_> = refused.iter().map(bulk).collect();
        assert_eq!(bulks, [Some("ipaudit release --code IPA110 --older-than 15m --node=node-1".into()), None]);
        assert_eq!(refusals(&found[..1], &only).iter().find_map(bulk), None);
    }

    /// Nobody can say what to do about a block whose host has no affinity before he knows who is in it.
    #[test]
    fn what_no_command_repairs_comes_with_the_one_that_looks() {
        let mut c = Cluster::healthy();
        c.snapshot.affinities.retain(|a| a.cidr.to_string() != "10.65.0.0/26");
        let found = c.find(&affinity_block_mismatch::CHECK);
        let refused = refusals(&found, &Only::default());
        let [Refusal { objection: Objection::ByHand { commands, .. }, .. }] = refused.as_slice() else {
            panic!("{refused:?}")
        };
        assert_eq!(commands.iter().map(Foreign::raw).collect::<Vec<_>>(), ["ipaudit who 10.65.0.0/26"]);
    }
}
