//! `ipaudit release`: look twice, judge, show, ask, write, verify.
//!
//! This folder carries values between the rooms: [`choose`] what was asked for, [`gates`] and [`judge`] fill what the
//! rules of `plan` decide by, [`carry`] does a confirmed plan, [`record`] is the history, [`show`] prints.

pub mod args;
mod carry;
mod choose;
pub mod earlier;
pub mod gates;
pub mod judge;
mod nodes;
pub mod record;
pub mod session;
mod show;
pub mod turn;

use std::collections::HashSet;
use std::path::Path;

use args::{PlanOutput, ReleaseArgs};
use carry::read_until;
use choose::{Chosen, Wanted};
use judge::{Candidate, Judge, Verdict};
use record::Recorder;
use session::{STALE, Session};
use turn::Turn;

use super::again;
use super::gather::{self, Sources, present};
use super::output::Streams;
use crate::checks::{Outcome, World};
use crate::error::Error;
use crate::exit::Exit;
use crate::ledger::{Ledger, ScopeFlag};
use crate::model::{Input, InputState, Past, Snapshot, Time};
use crate::plan::circumstances::{Ask, Refusal, Word};
use crate::plan::confirm::{Plan, Step, Work};
use crate::plan::fresh::Decision;
use crate::plan::orphans::{self, Orphan};
use crate::plan::outcome::{Course, End};
use crate::plan::{gates as rule_2, rules};
use crate::render::json;
use crate::steady::Settling;

const STILL_UNKNOWN: &str = "an earlier release is still unknown: nothing more is released before that is cleared up";

/// Runs the command.
///
/// # Errors
/// Usage and failures of the tool, of etcd or the history; refusals are no errors but exit code 1.
pub async fn run(args: &ReleaseArgs, streams: &Streams) -> Result<Exit, Error> {
    args.check()?;
    if args.list {
        return list(args, streams);
    }
    let sources = Sources::open(&args.with.etcd, &args.with.kube, streams).await?;
    let began_after = record::last_audit(&args.with.db);
    let first = gather::first_look(&sources, streams, None, None).await?;
    first.warnings.iter().for_each(|w| streams.note(w));
    let mut first = first.snapshot;
    must_reach_etcd(&sources, &first)?;
    let mut recorder = Recorder::open(&args.with.db, &first)?;
    let db = args.with.db.path()?;
    if !settled(&db, &mut recorder, &sources, streams).await?.is_empty() {
        streams.note(STILL_UNKNOWN);
        return Ok(Course { end: End::Unknown, ..Course::default() }.exit());
    }
    let past = recorder.past()?;
    if past.last.audit > began_after && past.is_of_a_later_look(&first.etcd) {
        return Err(Error::input("plan a release")
            .cause("an audit that was recorded meanwhile saw the datastore later than this run did")
            .hint("run the command again"));
    }
    let made = present();
    let mut planned = plan(args, &sources, &mut first, &past, &recorder).await?;
    if planned.plan.refusals.iter().any(|refusal| refusal.rule == 4) {
        planned.nothing.extend(recorder.absence()?);
    }
    let session = Session {
        sources: &sources,
        db: &db,
        first: &first,
        output: args.with.output,
        yes: args.yes,
        rate: args.rate,
        undoes: None,
        patience: args.with.db.turn_patience(STALE),
        all: args.with.all,
        asked: asked(args),
        made,
    };
    session.finish(planned, &mut recorder, streams).await
}

/// From the history alone: it works when the cluster does not.
fn list(args: &ReleaseArgs, streams: &Streams) -> Result<Exit, Error> {
    let releases = record::all_releases(&args.with.db)?;
    let mut text = Vec::new();
    let written = match args.with.output {
        PlanOutput::Json => json::indented(&earlier::document(&releases), &mut text),
        PlanOutput::Table => earlier::table(&releases, &mut text),
    };
    written.map_err(|e| Error::own("print the releases").cause(e))?;
    streams.print(&text)?;
    Ok(Exit::Clean)
}

/// Settles what earlier runs left open; the releases of which it is still unknown. What a run that is still alive has
/// under way is its own.
///
/// # Errors
/// A history or a datastore that cannot be read.
pub async fn settled(
    db: &Path,
    recorder: &mut Recorder,
    sources: &Sources,
    streams: &Streams,
) -> Result<Vec<i64>, Error> {
    // Where nothing is open, a plan needs no turn, and leaves no file of its lock behind.
    if recorder.unsettled()?.is_empty() {
        return Ok(Vec::new());
    }
    let Some(_turn) = Turn::take(db)? else { return Ok(Vec::new()) };
    earlier::settle(recorder, sources.connection()?, streams).await
}

/// Nothing can be said without the datastore: that is a failure, no refusal. Whether it could not be reached or lets us
/// in nowhere; a right that is missing for a part of it is a matter of the gates.
pub fn must_reach_etcd(sources: &Sources, snapshot: &Snapshot) -> Result<(), Error> {
    sources.connection()?;
    let coverage = &snapshot.coverage;
    let unread = |input| matches!(coverage.state(input), InputState::Unreachable | InputState::Forbidden);
    let mut calicos = Input::ALL.into_iter().filter(|i| i.is_calicos());
    match calicos.all(unread) {
        true => Err(Error::input("read the datastore").cause(coverage.detail(Input::Blocks).to_owned())),
        false => Ok(()),
    }
}

fn asked(args: &ReleaseArgs) -> serde_json::Value {
    serde_json::json!({
        "handles": args.handles(),
        "addresses": args.address.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "code": args.code.map(|c| c.to_string()),
        "older_than_seconds": args.older_than.map(|d| d.as_secs()),
        "skip_age": args.skip_age,
        "nodes_off": args.node_is_off,
        "knows": args.i_know_what_this_is,
    })
}

/// A plan with what is said beside it.
#[derive(Debug, Default)]
pub struct Planned {
    pub plan: Plan,
    /// What is said beside it: named things of which there is nothing, what to do instead.
    pub nothing: Vec<String>,
}

impl Planned {
    fn summary(&self) -> String {
        serde_json::json!({"steps": self.plan.steps.len(), "subjects": self.plan.count(), "refused": self.plan.refusals.len()})
            .to_string()
    }
}

/// Looks again at what is wanted, judges it, and reads the bytes that would be changed. From then on the snapshot is what
/// the second look saw: there is one of it, however big the cluster is.
async fn plan(
    args: &ReleaseArgs,
    sources: &Sources,
    snapshot: &mut Snapshot,
    past: &Past,
    recorder: &Recorder,
) -> Result<Planned, Error> {
    let scope: ScopeFlag = args.with.scope.into();
    let past = (past.audits > 0).then_some(past);
    let live = sources.kube_api().is_some();
    let ledger = Ledger::build(snapshot, scope, past);
    let world = World { snapshot, ledger: &ledger, past };
    let ask = if args.code.is_some() { Ask::Bulk } else { Ask::Named };
    let mut planned = Planned::default();
    let circumstances = gates::circumstances(&world, ask, live, recorder.knows_pair());
    planned.plan.refusals = rule_2::refusals(&circumstances);
    let named = args.address.len() + args.handles().len();
    planned.plan.refusals.extend(rules::one_at_a_time(args.i_know_what_this_is, named).err());
    planned.plan.refusals.extend(rules::by_age(ask == Ask::Bulk, past.map_or(0, |p| p.audits)).err());
    if !planned.plan.refusals.is_empty() {
        return Ok(planned);
    }
    let Chosen { wanted, nothing, beyond_max, findings } = choose::choose(args, &world);
    planned.nothing.extend(nothing);
    planned.plan.beyond_max = beyond_max;
    let suspects = Settling { past: None, now: snapshot.now, settle: std::time::Duration::ZERO }
        .second_look(&Outcome { findings, skipped: Vec::new() });
    drop(ledger);
    let mut patch = match again::second_look(sources, snapshot, suspects, None, None).await {
        Ok(patch) => patch,
        Err(error) => {
            let words = format!("it could not be read again right now: {}", crate::error::chain(&error));
            planned.plan.refusals.push(Refusal::new(5, crate::plan::circumstances::RUN, words));
            return Ok(planned);
        }
    };
    patch.swap(snapshot);
    let ledger = Ledger::build(snapshot, scope, past);
    let world = World { snapshot, ledger: &ledger, past };
    let (nodes_off, notes) = nodes::off(&world, &args.node_is_off);
    planned.nothing.extend(notes);
    let word = Word { skip_age: args.skip_age, knows: args.i_know_what_this_is, nodes_off };
    planned.plan.refusals = rule_2::refusals(&gates::circumstances(&world, ask, live, recorder.knows_pair()));
    if !planned.plan.refusals.is_empty() {
        return Ok(planned);
    }
    let exclusive = scope == ScopeFlag::Exclusive || past.is_some_and(|p| p.exclusive);
    let judge = Judge { world, before: &patch, live, observed: recorder, word: &word, exclusive };
    steps(&judge, &wanted, sources, &mut planned).await?;
    Ok(planned)
}

/// Judges each wanted thing once, and gathers orphans into batches.
async fn steps(judge: &Judge<'_>, wanted: &[Wanted], sources: &Sources, planned: &mut Planned) -> Result<(), Error> {
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut orphaned: Vec<Orphan> = Vec::new();
    let mut reason = String::new();
    let mut refused: Vec<Refusal> = Vec::new();
    for wanted in wanted {
        let verdict = match wanted {
            Wanted::Handle(id) => judge.handle(*id),
            Wanted::Address(address) => judge.address(*address),
        };
        match verdict {
            Verdict::Nothing(words) => planned.nothing.push(words),
            Verdict::Refused(refusals) => refused.extend(refusals),
            Verdict::Go(candidate) => match candidate.work {
                Work::Orphans(list) => {
                    reason.clone_from(&candidate.reason);
                    orphaned.extend(list);
                }
                // An address and its handle may both have been named.
                ref work if candidates.iter().any(|c| c.work == *work) => {}
                _ => candidates.push(*candidate),
            },
        }
    }
    // An address and its handle, or two addresses of it, are refused for the same reasons: each is told once.
    let mut told = HashSet::new();
    refused.retain(|refusal| told.insert(refusal.clone()));
    planned.plan.refusals.extend(refused);
    orphaned.sort_by(|a, b| a.key.cmp(&b.key));
    orphaned.dedup();
    let batches = orphans::batches(orphaned).into_iter().map(|batch| Candidate {
        work: Work::Orphans(batch),
        reason: reason.clone(),
        holders: Vec::new(),
        again: Vec::new(),
    });
    candidates.extend(batches);
    for candidate in candidates {
        step(candidate, sources, planned).await?;
    }
    Ok(())
}

/// Reads the bytes of a candidate and makes it a step, or a refusal.
pub async fn step(candidate: Candidate, sources: &Sources, planned: &mut Planned) -> Result<(), Error> {
    let Candidate { work, reason, holders, again } = candidate;
    let moment: Time = present();
    let decided = read_until(
        sources.connection()?,
        work.keys(),
        |_| Ok(()),
        |fresh| work.decide(fresh, moment),
        |decided| decided.decision.wants().map(<[_]>::to_vec),
    )
    .await?;
    planned.plan.refusals.extend(decided.dropped);
    match decided.decision {
        Decision::Write(shown) => planned.plan.steps.push(Step { work, reason, holders, again, shown }),
        Decision::Refused(refusal) => planned.plan.refusals.push(refusal),
        Decision::Changed(words) => {
            planned.plan.refusals.push(Refusal::new(9, work.subject(), format!("changed hands: {words}")));
        }
        Decision::Nothing(words) => planned.nothing.push(format!("{}: {words}", work.subject())),
        Decision::Read(_) => {
            planned.plan.refusals.push(Refusal::new(9, work.subject(), "it names more and more blocks"));
        }
    }
    Ok(())
}
