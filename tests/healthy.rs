//! A healthy cluster of any shape gives no finding; any one damage gives its own, and nothing that it does not explain.
//!
//! The clusters are drawn by proptest and written as etcd's JSON and Kubernetes' objects, so the decoders are in the
//! path. `PROPTEST_CASES=5000` looks further than the few hundred cases of every day.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "healthy/cluster.rs"]
mod cluster;
#[path = "healthy/damage.rs"]
mod damage;
#[path = "healthy/shape.rs"]
mod shape;
#[path = "healthy/store.rs"]
mod store;
#[path = "healthy/things.rs"]
mod things;

use cluster::Cluster;
use damage::{DAMAGES, Damage};
use ipaudit::checks::{self, Outcome, World};
use ipaudit::ledger::{Ledger, ScopeFlag};
use ipaudit::model::{Code, Finding};
use proptest::prelude::*;
use shape::{Shape, any_shape};
use store::Store;

/// What an audit of it says.
fn audit(store: &Store, scope: ScopeFlag) -> Outcome {
    let snapshot = store.snapshot();
    let ledger = Ledger::build(&snapshot, scope, None);
    checks::run(&World { snapshot: &snapshot, ledger: &ledger, past: None })
}

fn line(f: &Finding) -> String {
    let root = f.root.as_ref().map(|r| format!(" <- {} {}", r.code, r.id.raw()));
    format!("{} {:?} ({}){}", f.code, f.subject.id, f.summary.raw(), root.unwrap_or_default())
}

/// What speaks against health: every finding, and every check that could not run.
fn told(outcome: &Outcome) -> Vec<String> {
    let unrun = outcome.skipped.iter().filter(|s| s.incomplete).map(|s| format!("{} {}", s.code, s.reason.raw()));
    outcome.opened().map(|f| line(&f)).chain(unrun).collect()
}

/// Does the damage; says what is wrong with the outcome, or whether there was no place for it.
fn inflict(shape: &Shape, damage: &Damage, pick: usize) -> Result<bool, String> {
    let mut cluster = Cluster::of(&shape.clone().roomy());
    let Some(subject) = (damage.inflict)(&mut cluster, pick) else { return Ok(false) };
    let scope = if damage.exclusive { ScopeFlag::Exclusive } else { ScopeFlag::Auto };
    let outcome = audit(&cluster.store, scope);
    let own = Code(damage.code);
    if !outcome.findings.iter().any(|f| f.code == own && f.subject.id == subject) {
        return Err(format!("{}: no {own} {subject:?} in {:#?}", damage.name, told(&outcome)));
    }
    let allowed = |f: &Finding| {
        f.code == own
            || f.root.as_ref().is_some_and(|root| root.code == own)
            || damage.allow.iter().any(|(code, _)| f.code.0 == *code)
    };
    let strange: Vec<String> = outcome.opened().filter(|f| !allowed(f)).map(|f| line(&f)).collect();
    if strange.is_empty() { Ok(true) } else { Err(format!("{}, pod {pick}: {strange:#?}", damage.name)) }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn a_healthy_cluster_of_any_shape_gives_no_finding(shape in any_shape()) {
        let store = Cluster::of(&shape).store;
        for scope in [ScopeFlag::Auto, ScopeFlag::Exclusive] {
            let told = told(&audit(&store, scope));
            prop_assert!(told.is_empty(), "{scope:?}: {told:#?}");
        }
    }

    #[test]
    fn any_one_damage_gives_its_own_finding(shape in any_shape(), which in 0..DAMAGES.len(), pick in 0usize..64) {
        let outcome = inflict(&shape, &DAMAGES[which], pick);
        prop_assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
    }
}

#[test]
fn a_cluster_with_everything_gives_no_finding() {
    let cluster = Cluster::of(&Shape::full());
    assert_eq!(told(&audit(&cluster.store, ScopeFlag::Auto)), Vec::<String>::new());
}

/// No damage is only ever passed over: each one has a place in a plain cluster.
#[test]
fn every_damage_can_be_done() {
    let mut failures = Vec::new();
    for damage in DAMAGES {
        let mut shape = Shape::full();
        for node in &mut shape.nodes {
            node.things.clear();
        }
        shape.strict = damage.code == 407;
        let done: Vec<_> = (0..4).map(|pick| inflict(&shape, damage, pick)).collect();
        if !done.contains(&Ok(true)) && done.iter().all(Result::is_ok) {
            failures.push(format!("{}: no place for it", damage.name));
        }
        failures.extend(done.into_iter().find_map(Result::err));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
