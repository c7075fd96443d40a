//! A healthy cluster of any shape gives no finding; any one damage gives its own, and nothing that it does not explain.
//!
//! The clusters are drawn by proptest and written as etcd's JSON and Kubernetes' objects, so the decoders are in the
//! path. `PROPTEST_CASES=5000` looks further than the few hundred cases of every day.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "healthy/cluster.rs"]
mod cluster;
#[path = "healthy/shape.rs"]
mod shape;
#[path = "healthy/store.rs"]
mod store;
#[path = "healthy/things.rs"]
mod things;

use cluster::Cluster;
use ipaudit::checks::{self, Outcome, World};
use ipaudit::ledger::{Ledger, ScopeFlag};
use proptest::prelude::*;
use shape::{Shape, any_shape};
use store::Store;

/// What an audit of it says; every check must have run.
fn audit(store: &Store) -> Outcome {
    let snapshot = store.snapshot();
    let ledger = Ledger::build(&snapshot, ScopeFlag::Auto, None);
    let outcome = checks::run(&World { snapshot: &snapshot, ledger: &ledger, past: None });
    let unrun: Vec<_> = outcome.skipped.iter().filter(|s| s.incomplete).collect();
    assert!(unrun.is_empty(), "{unrun:#?}");
    outcome
}

fn told(outcome: &Outcome) -> Vec<String> {
    let root = |f: &ipaudit::model::Finding| f.root.as_ref().map(|r| format!(" <- {} {}", r.code, r.id));
    let line = |f: &ipaudit::model::Finding| {
        format!("{} {} ({}){}", f.code, f.subject.id, f.summary, root(f).unwrap_or_default())
    };
    outcome.findings.iter().map(line).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn a_healthy_cluster_of_any_shape_gives_no_finding(shape in any_shape()) {
        let outcome = audit(&Cluster::of(&shape).store);
        prop_assert!(outcome.findings.is_empty(), "{:#?}", told(&outcome));
    }
}

#[test]
fn a_cluster_with_everything_gives_no_finding() {
    let cluster = Cluster::of(&Shape::full());
    assert_eq!(told(&audit(&cluster.store)), Vec::<String>::new());
}
