//! `release --code` of what a release does not take: looked at twice like anything else, and told with the commands that
//! repair it. Nothing is written.

use std::time::Duration;

use crate::checks::{self, Check, World};
use crate::cli::again;
use crate::cli::gather::Sources;
use crate::cli::output::as_remark;
use crate::error::Error;
use crate::judge::case::Observed;
use crate::judge::choose::Selection;
use crate::judge::{by_hand, refused};
use crate::ledger::{Ledger, ScopeFlag};
use crate::model::{Finding, KeptFinding, Past, Snapshot};
use crate::plan::circumstances::PodDoubt;
use crate::plan::confirm::Plan;
use crate::plan::refusal::{Objection, Refusal};
use crate::steady::Settling;

/// The plan of a code whose findings are repaired by hand: refusals alone.
///
/// # Errors
/// As for any second look.
pub async fn plan(
    check: &'static Check,
    found: &Selection<'_>,
    sources: &Sources,
    snapshot: &mut Snapshot,
    scope: ScopeFlag,
    past: Option<&Past>,
    observed: &dyn Observed,
) -> Result<Plan, Error> {
    let mut plan = Plan::default();
    let ledger = Ledger::build(snapshot, scope, past);
    let first = checks::run_these(&World { snapshot, ledger: &ledger, past }, &[check]);
    drop(ledger);
    let settling = Settling { past: None, now: snapshot.now, settle: Duration::ZERO };
    let mut findings = first.findings.clone();
    if settling.has_suspects(&first) {
        let look = settling.second_look(&first);
        let mut patch = match again::second_look(sources, snapshot, look, None, None).await {
            Ok(patch) => patch,
            Err(error) => {
                let objection = Objection::NotReadAgain(PodDoubt::Failed(as_remark(&error).text()));
                plan.refusals.push(Refusal::of_run(objection));
                return Ok(plan);
            }
        };
        let second = again::judge(snapshot, &mut patch, &[check], scope, past);
        findings = settling.confirm(first, &second).findings;
    }
    let ledger = Ledger::build(snapshot, scope, past);
    let world = World { snapshot, ledger: &ledger, past };
    let (mut wanted, beyond_max) = found.of(&world, findings);
    // What a release would refuse is no cure.
    let exclusive = scope == ScopeFlag::Exclusive || past.is_some_and(|past| past.exclusive);
    refused::take_out_unaged(&world, &mut wanted, observed, exclusive, sources.kube_api().is_some());
    let wanted: Vec<Finding> = wanted.iter().map(KeptFinding::open).collect();
    plan.refusals = by_hand::refusals(&wanted, found.only);
    plan.beyond_max = beyond_max;
    Ok(plan)
}
