//! Runs the checks, ties what they find to its causes, and puts it in order.

use std::collections::HashSet;

use super::{ALL, Check, FindingSink, NO_NODES, Outcome, Skipped, Stamps, World, datastore, fold, obstacle, order};
use crate::model::{FindingKeeper, KeptFinding};

/// Runs every check that has its inputs, folds and sorts.
pub fn run(world: &World<'_>) -> Outcome {
    run_these(world, &ALL)
}

/// The same with a chosen list.
pub fn run_these(world: &World<'_>, checks: &[&'static Check]) -> Outcome {
    let mut sink = FindingSink::Kept(FindingKeeper::default(), Vec::new());
    let skipped = run_into(world, checks, &mut sink);
    let (unasked, skipped) = skipped.into_iter().partition(|skipped| skipped.reason == NO_NODES);
    let mut outcome = Outcome { skipped, unasked, ..Outcome::default() };
    if let FindingSink::Kept(_, mut findings) = sink {
        findings.shrink_to_fit();
        outcome.findings = findings;
    }
    datastore::datastore_locked::put_first(world, &mut outcome.findings);
    refold(&mut outcome.findings);
    keep_the_worst(&mut outcome.findings);
    outcome
}

/// What a second look needs to know of the same.
pub fn stamps_of(world: &World<'_>, checks: &[&'static Check]) -> Stamps {
    let mut sink = FindingSink::Stamps(Stamps::default());
    run_into(world, checks, &mut sink);
    match sink {
        FindingSink::Stamps(stamps) => stamps,
        FindingSink::Kept(_, findings) => findings.iter().collect(),
    }
}

/// Those that could not run.
fn run_into(world: &World<'_>, checks: &[&'static Check], sink: &mut FindingSink) -> Vec<Skipped> {
    let run = |check: &&'static Check| {
        let skipped = obstacle(check, world);
        if skipped.is_none() {
            (check.run)(world, sink);
        }
        skipped
    };
    checks.iter().filter_map(run).collect()
}

/// One subject, one finding of a code: overlapping blocks can speak of an address twice, and not with the same severity,
/// so these need not stand side by side. Sorted, the first one is the worst.
fn keep_the_worst(findings: &mut Vec<KeptFinding>) {
    let mut seen = HashSet::with_capacity(findings.len());
    let first: Vec<bool> = findings.iter().map(|f| seen.insert((f.code, &f.subject))).collect();
    if first.contains(&false) {
        let mut first = first.into_iter();
        findings.retain(|_| first.next().unwrap_or(true));
    }
}

/// Ties findings to their roots again and sorts, after some of them were dropped or changed.
pub fn refold(findings: &mut [KeptFinding]) {
    fold::fold(findings);
    order::sort(findings);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::Judges;
    use crate::checks::testing::Cluster;
    use crate::ledger::{Grade, Ledger};
    use crate::model::{Code, Input, InputState, Severity};

    #[test]
    fn without_kubernetes_nodes_nobody_is_ours_and_what_judges_by_node_says_so() {
        let mut cluster = Cluster::healthy();
        cluster.snapshot.coverage.set(Input::KubeNodes, InputState::Forbidden, "nodes is forbidden");
        cluster.snapshot.kube_nodes.clear();
        let snapshot = cluster.snapshot();
        let ledger = Ledger::build(&snapshot, cluster.scope, None);
        let outcome = run(&World { snapshot: &snapshot, ledger: &ledger, past: None });
        let skipped: Vec<u16> = outcome.skipped.iter().filter(|s| s.incomplete).map(|s| s.code.0).collect();
        let by_node = ALL.iter().filter(|check| check.ties.judges == Judges::OnlyOurs).map(|check| check.code.0);
        assert!(by_node.into_iter().all(|code| skipped.contains(&code)), "{skipped:?}");
        assert!(outcome.findings.is_empty(), "{:?}", outcome.findings);
    }

    /// An audit that says a thing of one subject twice could not be recorded.
    #[test]
    fn overlapping_blocks_say_a_thing_of_an_address_once_and_as_bad_as_it_is() {
        let mut c = Cluster::healthy();
        c.snapshot.ipam_config.strict_affinity = true;
        let old = c.pod_attribute("k8s-pod-network.a", "shop", "old-0", "node-2");
        let mut new = c.pod_attribute("k8s-pod-network.b", "shop", "new-0", "node-2");
        new.owner.timestamp = Some(c.ago(60));
        c.allocate("10.65.0.5", new.clone());
        c.allocate("10.65.0.9", old.clone());
        // The same two addresses in a smaller block, the other way round: made before strict affinity, and after it.
        c.block("10.65.0.0/28", Some("node-1"));
        c.snapshot.blocks.rotate_right(1);
        c.allocate("10.65.0.5", old);
        c.allocate("10.65.0.9", new);
        let seen_on = c.ago(1_800);
        c.remember().strict_affinity_since = Some(seen_on);
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, c.scope, c.past.as_ref());
        let outcome = run(&World { snapshot: &snapshot, ledger: &ledger, past: c.past.as_ref() });
        let borrowed: Vec<_> = outcome.findings.iter().filter(|f| f.code == Code(407)).collect();
        let said: Vec<_> = borrowed.iter().map(|f| (f.subject.id.raw(), f.severity)).collect();
        assert_eq!(said, [("10.65.0.5", Severity::Error), ("10.65.0.9", Severity::Error)]);
    }

    #[test]
    fn the_healthy_cluster_is_paired_exclusive_and_certain() {
        let mut cluster = Cluster::healthy();
        let snapshot = cluster.snapshot();
        let ledger = Ledger::build(&snapshot, cluster.scope, None);
        assert!(ledger.pairing.holds() && ledger.scope.exclusive);
        let claims: Vec<_> = ledger.claims.iter().map(|c| (c.address.to_string(), c.grade)).collect();
        assert_eq!(claims.len(), 2 + 4 * 2, "{claims:?}");
        assert!(claims.iter().all(|(_, grade)| *grade == Grade::Certain), "{claims:?}");
        assert_eq!(ledger.allocations.len(), 6);
    }
}
