//! `ipaudit release`: look twice, judge, show, ask, write, verify.
//!
//! One way from the flags to the record (ARCHITECTURE.md has it as a walk); what decides on it are values of `judge` and
//! `plan`. [`record`] is the history, [`earlier`] what a killed run left open, [`fresh`] the bytes of right now,
//! [`session`] and [`carry`] what follows a plan, also that of an undo.

pub mod args;
mod ask;
mod by_hand;
mod carry;
pub mod fresh;
pub mod session;

use args::ReleaseArgs;
use ask::Ask;
use session::Session;

use super::again;
use super::gather::{self, Sources, present};
use super::journal::record::{self, Recorder};
use super::journal::{earlier, list};
use super::output::Streams;
use crate::checks::World;
use crate::error::{Error, chain};
use crate::exit::{Conclusion, Exit};
use crate::judge::choose::{Selection, Wish, choose};
use crate::judge::gates::{self, RunFacts};
use crate::judge::off::nodes_off;
use crate::judge::{self, case::Case};
use crate::ledger::{Ledger, ScopeFlag};
use crate::model::{Input, InputState, Past, Snapshot};
use crate::plan::circumstances::{OperatorWord, PodDoubt};
use crate::plan::confirm::Plan;
use crate::plan::refusal::{Note, Objection, Refusal, Rule};

/// Runs the command.
///
/// # Errors
/// Usage and failures of the tool, of etcd or the history; refusals are no errors but exit code 1.
pub async fn run(args: &ReleaseArgs, streams: &Streams) -> Result<Exit, Error> {
    args.check()?;
    if args.list {
        return list::list(&args.with, streams);
    }
    let sources = Sources::open(&args.with.sources, streams).await?;
    let began_after = record::last_audit(&args.with.db);
    let mut snapshot = look(&sources, streams).await?;
    let mut recorder = Recorder::open(&args.with.db, &snapshot)?;
    let db = args.with.db.path()?;
    if !earlier::settle_when_free(&db, &mut recorder, &sources, streams).await?.is_empty() {
        streams.note(earlier::STILL_UNKNOWN);
        return Ok(Conclusion::Unknown.exit());
    }
    let past = recorder.past()?;
    if past.last.audit > began_after && past.is_of_a_later_look(&snapshot.etcd) {
        return Err(Error::input("plan a release")
            .cause("an audit that was recorded meanwhile saw the datastore later than this run did")
            .hint("run the command again"));
    }
    let made = present();
    let mut plan = plan(&Ask::of(args), &sources, &mut snapshot, &past, &recorder).await?;
    if plan.refusals.iter().any(|refusal| refusal.rule() == Rule::Age) {
        plan.notes.extend(recorder.absence()?.map(|path| Note::NoHistoryAt(path.into())));
    }
    let session = Session {
        sources: &sources,
        db: &db,
        etcd: &snapshot.etcd,
        with: &args.with,
        yes: args.yes,
        rate: args.rate,
        undoes: None,
        asked: asked(args),
        made,
    };
    session.finish(plan, &mut recorder, streams).await
}

/// The first look, with its warnings told. Nothing can be said without the datastore: that is a failure, no refusal.
/// Whether it could not be reached or lets us in nowhere; a right that is missing for a part of it is a matter of the
/// gates.
///
/// # Errors
/// As for any first look, and no datastore.
pub async fn look(sources: &Sources, streams: &Streams) -> Result<Snapshot, Error> {
    let first = gather::first_look(sources, streams, None, None).await?;
    first.warnings.iter().for_each(|w| streams.warn(&w.shown()));
    sources.connection()?;
    let coverage = &first.snapshot.coverage;
    let unread = |input| matches!(coverage.state(input), InputState::Unreachable | InputState::Forbidden);
    if Input::ALL.into_iter().filter(|i| i.is_calicos()).all(unread) {
        return Err(Error::input("read the datastore").cause(coverage.detail(Input::Blocks).shown().into_owned()));
    }
    Ok(first.snapshot)
}

/// Judges the wish, looks again at what is wanted, judges that, and reads the bytes that would be changed. From then on
/// the snapshot is what the second look saw: there is one of it, however big the cluster is.
async fn plan(
    ask: &Ask,
    sources: &Sources,
    snapshot: &mut Snapshot,
    past: &Past,
    recorder: &Recorder,
) -> Result<Plan, Error> {
    let (wish, scope, mut plan) = (&ask.wish, ask.scope, Plan::default());
    let past = (past.audits > 0).then_some(past);
    let live = sources.kube_api().is_some();
    let facts = || RunFacts { is_bulk: ask.is_bulk, live, knows_pair: recorder.knows_pair(), present: present() };
    let ledger = Ledger::build(snapshot, scope, past);
    let world = World { snapshot, ledger: &ledger, past };
    plan.refusals = gates::closed(&world, facts());
    plan.refusals.extend(wish.refusals(ask.knows, past.map_or(0, |p| p.audits)));
    if !plan.refusals.is_empty() {
        return Ok(plan);
    }
    if let Wish::Found { code, older_than, max, only } = wish {
        if let Some(unknown) = only.unknown(&world).into_iter().next() {
            return Err(Error::user("tell what is to be released")
                .cause(unknown)
                .hint("names as `ipaudit audit` shows them"));
        }
        if let Some(check) = judge::by_hand::check(*code) {
            drop(ledger);
            let found = Selection { older_than: *older_than, max: *max, only };
            return by_hand::plan(check, &found, sources, snapshot, scope, past).await;
        }
    }
    let mut chosen = choose(wish, &world);
    let suspects = chosen.second_look(snapshot.now);
    drop(ledger);
    plan.notes.extend(chosen.notes);
    plan.beyond_max = chosen.beyond_max;
    let mut patch = match again::second_look(sources, snapshot, suspects, None, None).await {
        Ok(patch) => patch,
        Err(error) => {
            let objection = Objection::NotReadAgain(PodDoubt::Failed(chain(&error)));
            plan.refusals.push(Refusal::of_run(objection));
            return Ok(plan);
        }
    };
    patch.swap(snapshot);
    let ledger = Ledger::build(snapshot, scope, past);
    let world = World { snapshot, ledger: &ledger, past };
    let (off, notes) = nodes_off(&world, &ask.nodes_off);
    plan.notes.extend(notes);
    plan.refusals = gates::closed(&world, facts());
    if !plan.refusals.is_empty() {
        return Ok(plan);
    }
    let word = OperatorWord { skip_age: ask.skip_age, knows: ask.knows, nodes_off: off };
    let exclusive = scope == ScopeFlag::Exclusive || past.is_some_and(|p| p.exclusive);
    let case = Case { world, before: &patch, live, observed: recorder, word: &word, exclusive };
    let candidates = case.judge(&chosen.wanted, &mut plan);
    fresh::add_steps(&mut plan, candidates, sources).await?;
    Ok(plan)
}

/// What the history keeps of the flags.
fn asked(args: &ReleaseArgs) -> serde_json::Value {
    serde_json::json!({
        "handles": args.handles(),
        "addresses": args.address.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "code": args.code.map(|c| c.to_string()),
        "older_than_seconds": args.older_than.map(|d| d.as_secs()),
        "nodes": args.node,
        "namespaces": args.namespace,
        "pools": args.pool,
        "skip_age": args.skip_age,
        "nodes_off": args.node_is_off,
        "knows": args.i_know_what_this_is,
    })
}
