//! `ipaudit undo`: puts a wrong release back, where that is still right.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;

use super::gather::{self, Sources, present};
use super::output::Streams;
use super::release::args::With;
use super::release::record::{Recorder, written};
use super::release::{self, must_reach_etcd};
use crate::checks::World;
use crate::checks::datastore::datastore_went_back;
use crate::error::Error;
use crate::exit::Exit;
use crate::history::release::{ReleaseRow, StepOutcome};
use crate::ledger::{Claim, Claimant, Grade, Ledger};
use crate::model::{Addr, Cidr, Name, Past, Snapshot, SubjectKind};
use crate::plan::circumstances::{Ask, Holder, Refusal};
use crate::plan::confirm::Work;
use crate::plan::gates as rule_2;
use crate::plan::undo::{Back, Site, Standing, Undoing, refusals};

/// Flags of `undo`.
#[derive(Args, Debug)]
pub struct UndoArgs {
    /// The number of the release, as `ipaudit release --list` shows it
    #[arg(value_name = "RELEASE")]
    pub release: i64,

    /// Do it without asking. Without it and without a terminal the plan is only shown
    #[arg(long)]
    pub yes: bool,

    #[command(flatten)]
    pub with: With,
}

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
    let db = args.with.db.path()?;
    release::settled(&db, &mut recorder, &sources, streams).await?;
    let absent = || {
        Error::user("undo a release")
            .cause(format!("the history has no release {}", args.release))
            .hint("ipaudit release --list")
    };
    let release = recorder.release(args.release)?.ok_or_else(absent)?;
    let past = recorder.past()?;
    let made = present();
    let mut planned = release::Planned::default();
    plan(args, &sources, &snapshot, &past, &recorder, &release, &mut planned).await?;
    let session = release::session::Session {
        sources: &sources,
        db: &db,
        first: &snapshot,
        output: args.with.output,
        yes: args.yes,
        rate: None,
        undoes: Some(args.release),
        patience: args.with.db.turn_patience(release::session::STALE),
        all: args.with.all,
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
    planned: &mut release::Planned,
) -> Result<(), Error> {
    let past = (past.audits > 0).then_some(past);
    let ledger = Ledger::build(snapshot, args.with.scope.into(), past);
    let world = World { snapshot, ledger: &ledger, past };
    let live = sources.kube_api().is_some();
    let gates = release::gates::circumstances(&world, Ask::Named, live, recorder.knows_pair());
    planned.plan.refusals = rule_2::refusals(&gates);
    let subject = format!("release {}", release.id);
    let back = put_back(&recorder.releases()?, release.id);
    let mut undone = false;
    let mut undoings = Vec::new();
    let mut nothing = "it wrote nothing".to_owned();
    for (written, number) in written(release).iter().zip(1..) {
        match Undoing::of(&format!("{subject}, transaction {number}"), written) {
            // An undo that was stopped goes on where it stopped.
            Ok(undoing) if undoing.places.iter().all(|p| back.contains(&p.address.to_string())) => undone = true,
            Ok(undoing) => undoings.push(undoing),
            Err(words) => nothing = words,
        }
    }
    let undone = undone && undoings.is_empty();
    if undoings.is_empty() && !undone {
        planned.plan.refusals.push(Refusal::new(9, subject, nothing));
        return Ok(());
    }
    let standing = Standing {
        same_pair: recorder.pair() == Some(release.pair),
        fork: release.forked_since.then(|| datastore_went_back::CHECK.code.to_string()).or(gates.fork),
        done: match () {
            () if release.outcome.is_none() => Err("it is still under way".to_owned()),
            () if release.steps.iter().any(|s| s.outcome.is_none()) => Err("its outcome is not known".to_owned()),
            () => Ok(()),
        },
        undone,
        locked: false,
        holders: holders(&ledger, undoings.iter().flat_map(|u| &u.places)),
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

/// The addresses that earlier undos of a release have put back.
fn put_back(releases: &[ReleaseRow], id: i64) -> BTreeSet<String> {
    let undos = releases.iter().filter(|r| r.undoes == Some(id)).flat_map(|r| &r.steps);
    let done = undos.filter(|s| s.outcome == Some(StepOutcome::Applied));
    let subjects = done.flat_map(|s| s.intent.subjects.iter().filter(|(kind, _)| *kind == SubjectKind::Address));
    subjects.map(|(_, address)| address.clone()).collect()
}

/// Whether a claim is the owner's own, which the release has wronged.
fn is_own(ledger: &Ledger<'_>, claim: &Claim, place: &Back) -> bool {
    let Some((namespace, pod)) = &place.owner else { return false };
    let is = |ns: Name, name: Name| ledger.text(ns) == namespace && ledger.text(name) == pod;
    let snapshot = ledger.snapshot;
    match claim.by {
        Claimant::Pod(i) => snapshot.pods.get(i as usize).is_some_and(|p| is(p.namespace, p.name)),
        Claimant::Endpoint(i) => snapshot.endpoints.get(i as usize).is_some_and(|e| {
            let container = ledger.text(e.container);
            let same = place.handle.as_deref().is_some_and(|h| h.rsplit('.').next() == Some(container));
            is(e.namespace, e.pod) && same
        }),
        _ => false,
    }
}

/// Who else holds one of the addresses now, certainly or possibly.
fn holders<'b>(ledger: &Ledger<'_>, places: impl Iterator<Item = &'b Back>) -> Vec<(Addr, Holder)> {
    let mut found: BTreeMap<(Addr, String), &'static str> = BTreeMap::new();
    for place in places {
        let address = place.address;
        let others = ledger.claims_at(address).iter().filter(|c| c.grade != Grade::Stale && !is_own(ledger, c, place));
        for claim in others {
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
