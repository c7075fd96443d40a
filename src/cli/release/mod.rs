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
mod make;
mod plan_file;
pub mod session;

use args::ReleaseArgs;
use ask::Ask;
use session::Session;

use super::gather::{self, Sources, present};
use super::journal::record::{self, Recorder};
use super::journal::{earlier, list};
use super::node_evidence_args;
use super::output::Streams;
use crate::error::Error;
use crate::exit::{Conclusion, Exit};
use crate::judge::choose::Wish;
use crate::model::{Input, InputState, Snapshot};
use crate::plan::file::PlanFile;
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
    if let Some(path) = &args.plan_out {
        plan_file::may_be_written(path, &args.with.db.path()?)?;
    }
    let file = args.plan.as_deref().map(plan_file::read).transpose()?;
    file.as_ref().map_or(Ok(()), |file| plan_file::same_word(file, args))?;
    let files = args.nodes.every_file(streams)?;
    let sources = Sources::open(&args.with.sources, streams).await?;
    let nodes = args.nodes.and_pods(files, sources.kube_api(), streams).await?;
    let began_after = record::last_audit(&args.with.db);
    let mut snapshot = look(&sources, streams).await?;
    nodes.into_iter().for_each(|nodes| node_evidence_args::take(&mut snapshot, nodes, streams));
    let mut recorder = Recorder::open(&args.with.db, &snapshot)?;
    let db = args.with.db.path()?;
    if !earlier::settle_when_free(&db, &mut recorder, &sources, streams).await?.is_empty() {
        streams.warn(earlier::STILL_UNKNOWN);
        return Ok(Conclusion::Unknown.exit());
    }
    let past = recorder.past()?;
    snapshot.name_nodes_of(&past);
    if past.last.audit > began_after && past.is_of_a_later_look(&snapshot.etcd) {
        return Err(Error::input("plan a release")
            .cause("an audit that was recorded meanwhile saw the datastore later than this run did")
            .hint("run the command again"));
    }
    let made = present();
    let ask = file.as_ref().map_or_else(|| Ask::of(args), |file| Ask::of_file(file, args.with.scope));
    let mut plan = match &file {
        Some(file) => plan_file::again(file, &ask, &sources, &mut snapshot, &past, &recorder).await?,
        None => make::plan(&ask, &sources, &mut snapshot, &past, &recorder).await?,
    };
    let is_told = |refusal: &Refusal| matches!(refusal.objection, Objection::NoHistory(_));
    if plan.refusals.iter().any(|refusal| refusal.rule() == Rule::Age) && !plan.refusals.iter().any(is_told) {
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
        asked: asked(args, &ask, file.as_ref()),
        made,
    };
    if let Some(path) = &args.plan_out {
        let exit = session.show(&plan, args::is_standard_output(path), streams)?;
        plan_file::write(args, path, &plan, &ask, &snapshot, streams)?;
        return Ok(exit);
    }
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
    first.warnings.iter().for_each(|w| streams.remark(w));
    sources.connection()?;
    let coverage = &first.snapshot.coverage;
    let unread = |input| matches!(coverage.state(input), InputState::Unreachable | InputState::Forbidden);
    if Input::ALL.into_iter().filter(|i| i.is_calicos()).all(unread) {
        return Err(Error::input("read the datastore").cause(coverage.detail(Input::Blocks).shown().into_owned()));
    }
    Ok(first.snapshot)
}

/// What the history keeps of the flags, or of the plan's file in their place.
fn asked(args: &ReleaseArgs, ask: &Ask, file: Option<&PlanFile>) -> serde_json::Value {
    let (handles, addresses) = match &ask.wish {
        Wish::Named { handles, addresses } => (handles.as_slice(), addresses.as_slice()),
        Wish::Found { .. } => Default::default(),
    };
    serde_json::json!({
        "plan": file.map(PlanFile::digest),
        "handles": handles,
        "addresses": addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "code": args.code.map(|c| c.to_string()),
        "older_than_seconds": args.older_than.map(|d| d.as_secs()),
        "nodes": args.node,
        "namespaces": args.namespace,
        "pools": args.pool,
        "skip_age": ask.skip_age,
        "nodes_off": ask.nodes_off,
        "knows": ask.knows,
    })
}
