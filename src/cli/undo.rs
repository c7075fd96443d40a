//! `ipaudit undo`: puts a wrong release back, where that is still right.

use std::collections::{BTreeMap, BTreeSet};

use super::gather::{self, Sources, present};
use super::output::Streams;
use super::release::record::{Recorder, written};
use super::release::{self, earlier, must_reach_etcd};
use super::release_args::UndoArgs;
use crate::checks::World;
use crate::error::Error;
use crate::exit::Exit;
use crate::history::release::{ReleaseRow, StepOutcome};
use crate::ledger::{Grade, Ledger};
use crate::model::{Addr, Cidr, Past, Snapshot};
use crate::plan::circumstances::{Ask, Holder, Refusal};
use crate::plan::confirm::Work;
use crate::plan::gates as rule_2;
use crate::plan::undo::{Site, Standing, Undoing, refusals};

/// Runs the command.
///
/// # Errors
/// Usage and failures of the tool, of etcd or the history; refusals are no errors but exit code 1.
pub async fn run(args: &UndoArgs, streams: &Streams) -> Result<Exit, Error> {
    args.with.check()?;
    let sources = Sources::open(&args.with.etcd, &args.with.kube, streams).await?;
    let first = gather::first_look(&sources, streams, None, None).await?;
    first.warnings.iter().for_each(|w| streams.note(w));
    let snapshot = first.snapshot;
    must_reach_etcd(&sources, &snapshot)?;
    let mut recorder = Recorder::open(&args.with.db, &snapshot)?;
    let unknown = earlier::settle(&mut recorder, sources.connection()?, streams).await?;
    let absent = || {
        Error::new("undo a release")
            .cause(format!("the history has no release {}", args.release))
            .hint("ipaudit release --list")
    };
    let release = recorder.release(args.release)?.ok_or_else(absent)?;
    let past = recorder.past()?;
    let made = present();
    let mut planned = release::Planned::default();
    plan(args, &sources, &snapshot, &past, &recorder, &release, &unknown, &mut planned).await?;
    let session = release::Session {
        sources: &sources,
        first: &snapshot,
        output: args.with.output,
        yes: args.yes,
        rate: None,
        undoes: Some(args.release),
        asked: serde_json::json!({"undo": args.release}),
        made,
    };
    session.finish(planned, &mut recorder, streams).await
}

#[allow(clippy::too_many_arguments)] // values carried between the rooms
async fn plan(
    args: &UndoArgs,
    sources: &Sources,
    snapshot: &Snapshot,
    past: &Past,
    recorder: &Recorder,
    release: &ReleaseRow,
    unknown: &[i64],
    planned: &mut release::Planned,
) -> Result<(), Error> {
    let past = (past.audits > 0).then_some(past);
    let ledger = Ledger::build(snapshot, args.with.scope.into(), past);
    let world = World { snapshot, ledger: &ledger, past };
    let live = sources.kube_api().is_some();
    let gates = release::gates::circumstances(&world, Ask::Named, live, recorder.knows_pair());
    planned.plan.refusals = rule_2::refusals(&gates);
    let subject = format!("release {}", release.id);
    let undone = recorder.releases()?.iter().any(|r| r.undoes == Some(release.id) && done(r));
    let mut undoings = Vec::new();
    let mut nothing = "it wrote nothing".to_owned();
    for (written, number) in written(release).iter().zip(1..) {
        match Undoing::of(&format!("{subject}, transaction {number}"), written) {
            Ok(undoing) => undoings.push(undoing),
            Err(words) => nothing = words,
        }
    }
    if undoings.is_empty() {
        planned.plan.refusals.push(Refusal::new(9, subject, nothing));
        return Ok(());
    }
    let standing = Standing {
        same_pair: recorder.pair() == Some(release.pair),
        fork: release.forked_since.then(|| "IPA903".to_owned()).or(gates.fork),
        done: match unknown.contains(&release.id) {
            true => Err("its outcome is not known".to_owned()),
            false => Ok(()),
        },
        undone,
        locked: false,
        holders: holders(&ledger, undoings.iter().flat_map(|u| &u.places).map(|p| p.address)),
        sites: undoings.iter().flat_map(|u| u.deleted.keys()).map(|cidr| (*cidr, site(&ledger, *cidr))).collect(),
    };
    planned.plan.refusals.extend(refusals(&subject, &standing));
    next_commands(&standing, &mut planned.nothing);
    if !planned.plan.refusals.is_empty() {
        return Ok(());
    }
    for undoing in undoings {
        let candidate = release::judge::Candidate {
            work: Work::Undo(undoing),
            reason: format!("{subject} is undone: the addresses are free still, and nobody holds them"),
            holders: Vec::new(),
            again: Vec::new(),
        };
        release::step(candidate, sources, planned).await?;
    }
    Ok(())
}

fn done(release: &ReleaseRow) -> bool {
    release.steps.iter().any(|s| s.outcome == Some(StepOutcome::Applied))
}

/// Who holds one of the addresses now, certainly or possibly.
fn holders(ledger: &Ledger<'_>, addresses: impl Iterator<Item = Addr>) -> Vec<(Addr, Holder)> {
    let mut found: BTreeMap<(Addr, String), &'static str> = BTreeMap::new();
    for address in addresses.collect::<BTreeSet<_>>() {
        for claim in ledger.claims_at(address).iter().filter(|c| c.grade != Grade::Stale) {
            found.insert((address, release::judge::who(ledger, claim)), claim.grade.word());
        }
        for allocation in ledger.allocations_at(address) {
            let handle = ledger.handle_of(allocation).map(|h| h.text(&ledger.snapshot.names)).unwrap_or_default();
            if allocation.used_for != crate::ledger::Use::Cooling {
                found.insert((address, format!("handle {handle}")), "certain");
            }
        }
    }
    found.into_iter().map(|((address, who), grade)| (address, Holder { who, grade })).collect()
}

/// What to do instead: the new holder's pod is the one to restart.
fn next_commands(standing: &Standing, notes: &mut Vec<String>) {
    for (address, holder) in &standing.holders {
        if let Some((namespace, pod)) = holder.who.strip_prefix("pod ").and_then(|p| p.split_once('/')) {
            let shell = crate::checks::evidence::shell;
            let command = format!("kubectl -n {} delete pod {}", shell(namespace), shell(pod));
            notes.push(format!("{address}: the pod to restart is {namespace}/{pod}: {command}"));
        }
    }
}

fn site(ledger: &Ledger<'_>, cidr: Cidr) -> Site {
    let pools = &ledger.snapshot.pools;
    Site {
        pool_covers: pools.iter().any(|p| p.cidr.covers(cidr) && p.block_size == cidr.prefix() && p.deleting.is_none()),
        overlapped: ledger.snapshot.blocks.iter().any(|b| b.cidr.overlaps(cidr)),
        claimed: ledger.affinities_for(cidr).next().is_some(),
    }
}
