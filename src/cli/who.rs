//! `ipaudit who`: a look at everything, a second one at what is wrong, what the history remembers, and etcd's own old
//! revisions. It judges by the rules of an audit, so both say the same of one thing.

use std::path::Path;

use super::args::{WhoArgs, WhoOutput};
use super::gather::{self, Sources};
use super::output::{self, Streams};
use super::{who_before, who_deep};
use crate::checks::{self, Outcome, World};
use crate::error::{Error, chain};
use crate::exit::{Course, Exit, decide};
use crate::history::Db;
use crate::ledger::{Ledger, ScopeFlag};
use crate::model::{Input, InputState, Past, Snapshot};
use crate::record;
use crate::render;
use crate::source::capture::{self, Second};
use crate::steady::Settling;
use crate::who::{self, Asked, Dossier};

/// Runs the command.
///
/// # Errors
/// Usage and failures of the tool; what could not be read is no error but exit code 3.
pub async fn run(args: &WhoArgs, streams: &Streams) -> Result<Exit, Error> {
    let (mut dossier, course) =
        if args.offline || args.at.is_some() { offline(args)? } else { online(args, streams).await? };
    let exit = decide(course, args.fail_on);
    dossier.exit_code = exit.code();
    let mut text = Vec::new();
    let written = match args.output {
        WhoOutput::Table => render::who::write(&dossier, streams.width, streams.color, &mut text),
        WhoOutput::Json => render::who::write_json(&dossier, &mut text),
    };
    written.map_err(|e| Error::new("print the answer").cause(e))?;
    streams.print(&text)?;
    Ok(exit)
}

/// So many intervals of a node are told from the history; an address, a handle and a pod have all of theirs.
const INTERVALS: usize = 32;

fn offline(args: &WhoArgs) -> Result<(Dossier, Course), Error> {
    let db = args.db.open_to_read()?;
    let guesses = who::guesses(&args.what);
    let now = args.now.unwrap_or_else(gather::present);
    let at = args.at.map(|at| at.at(now));
    let mut before = Vec::new();
    for pair in db.pairs()?.iter().filter(|pair| pair.is_called(args.cluster.as_deref())) {
        let mut of_pair = who_before::of(&db, pair, &guesses)?;
        at.iter().for_each(|at| of_pair.keep_at(*at));
        of_pair.count(at);
        if !of_pair.nodes.is_empty() {
            of_pair.keep_newest(INTERVALS);
        }
        let empty = of_pair.is_nothing();
        before.extend((!empty).then_some(of_pair));
    }
    let incomplete = before.iter().any(|b| !b.last_complete) && at.is_none();
    let worst = before.iter().flat_map(|b| &b.open).map(|f| f.severity).max();
    let failed = before.is_empty() && matches!(guesses.as_slice(), [_, _, ..]);
    let dossier = who::offline(&args.what, now, before, at);
    Ok((dossier, Course { worst, incomplete, failed }))
}

/// What was read, by whichever way.
struct Read {
    snapshot: Snapshot,
    from: From,
    /// The second look failed.
    incomplete: bool,
}

enum From {
    Sources(Sources),
    /// With its second look: a capture's findings were looked at as often as they ever will be.
    Capture(Second),
}

async fn read(args: &WhoArgs, streams: &Streams) -> Result<Read, Error> {
    if let Some(file) = &args.from {
        let captured = capture::read(file)?;
        let mut snapshot = captured.first;
        snapshot.now = args.now.unwrap_or(snapshot.now);
        return Ok(Read { snapshot, from: From::Capture(captured.second), incomplete: false });
    }
    let sources = Sources::open(&args.etcd, &args.kube, streams).await?;
    let look = gather::first_look(&sources, streams, args.now, None).await?;
    look.warnings.iter().for_each(|w| streams.note(w));
    Ok(Read { snapshot: look.snapshot, from: From::Sources(sources), incomplete: false })
}

async fn online(args: &WhoArgs, streams: &Streams) -> Result<(Dossier, Course), Error> {
    let mut read = read(args, streams).await?;
    let (db, mut failed) = open(args, streams);
    let past = db.as_ref().and_then(|db| recall(db, &mut read.snapshot, &mut failed));
    let past = past.as_ref();
    let scope: ScopeFlag = args.scope.into();
    let snapshot = &read.snapshot;
    let ledger = Ledger::build(snapshot, scope, past);
    let world = World { snapshot, ledger: &ledger, past };
    let asked = Asked::of(&ledger, &args.what);
    let outcome = who::about(&ledger, checks::run(&world), &asked);
    let (outcome, looked) = settle(&read, outcome, args, past, streams).await;
    read.incomplete = !looked;
    let (mut dossier, worst) = who::now(&world, &outcome, &args.what, &asked);
    if let Some(db) = &db {
        match before(db, snapshot, &dossier, &args.what) {
            Ok(found) => dossier.before = found,
            Err(error) => {
                output::tell(&error);
                failed = true;
            }
        }
    }
    if args.deep {
        match &read.from {
            From::Sources(sources) => dossier.deep = who_deep::of(sources, &ledger, &asked, &dossier).await?,
            From::Capture(_) => streams.note("--deep asks etcd itself: a capture has no old revisions"),
        }
    }
    let incomplete = read.incomplete || !dossier.unread.is_empty();
    // What nobody knows, though everything was read, was mistyped.
    let unknown = asked.is_nothing() && dossier.before.is_empty() && !incomplete;
    Ok((dossier, Course { worst, incomplete, failed: failed || unknown }))
}

/// What stands of the findings about it, by the rules of an audit: an earlier audit or a second look saw it too. False
/// when somebody had to look again and could not.
async fn settle(
    read: &Read,
    outcome: Outcome,
    args: &WhoArgs,
    past: Option<&Past>,
    streams: &Streams,
) -> (Outcome, bool) {
    let settling = Settling { past, now: read.snapshot.now, settle: args.settle };
    if !settling.has_suspects(&outcome) {
        return (outcome, true);
    }
    let again = |second: &Snapshot| {
        let ledger = Ledger::build(second, args.scope.into(), past);
        checks::run(&World { snapshot: second, ledger: &ledger, past })
    };
    match &read.from {
        _ if args.settle.is_zero() => (settling.unconfirmed(outcome), true),
        From::Capture(Second::None) => (outcome, true),
        From::Capture(Second::Failed(_)) => (settling.unconfirmed(outcome), false),
        From::Capture(Second::Seen(second)) => {
            let mut second = (**second).clone();
            second.now = args.now.unwrap_or(second.now);
            (settling.confirm(outcome, &again(&second)), true)
        }
        From::Sources(sources) => {
            let look = settling.second_look(&outcome);
            let title = format!("looking again in {}s (--settle 0: at once), suspects:", args.settle.as_secs());
            let spinner = streams.spinner(&title);
            spinner.set_position(look.size() as u64);
            tokio::time::sleep(args.settle).await;
            let seen = gather::second_look(sources, &read.snapshot, &look, args.now, None).await;
            spinner.finish_and_clear();
            match seen {
                Ok(second) => (settling.confirm(outcome, &again(&second)), true),
                Err(error) => {
                    streams.note(&format!(
                        "the second look failed, what one look found stays unconfirmed: {}",
                        chain(&error)
                    ));
                    (settling.unconfirmed(outcome), false)
                }
            }
        }
    }
}

/// The history, if there is one: a question does not make one, and for a capture it is asked only when named.
fn open(args: &WhoArgs, streams: &Streams) -> (Option<Db>, bool) {
    if args.no_history || (args.from.is_some() && args.db.db.is_none()) {
        return (None, false);
    }
    let opened = match args.db.path() {
        Ok(path) if args.db.db.is_none() && !Path::new(&path).exists() => {
            streams.verbose("no history yet");
            return (None, false);
        }
        Ok(_) => args.db.open_to_read(),
        // Nobody asked for one, and there is no place where it could be.
        Err(_) => return (None, false),
    };
    match opened {
        Ok(db) => (Some(db), false),
        Err(error) => {
            output::tell(&error);
            (None, true)
        }
    }
}

fn recall(db: &Db, snapshot: &mut Snapshot, failed: &mut bool) -> Option<Past> {
    let key = record::cluster_key(snapshot)?;
    match db.past(&key) {
        Ok(past) => {
            snapshot.coverage.set(Input::History, InputState::Complete, "");
            Some(past)
        }
        Err(error) => {
            output::tell(&error);
            *failed = true;
            None
        }
    }
}

/// What the history says of everything that the dossier names, of this very cluster only.
fn before(db: &Db, snapshot: &Snapshot, dossier: &Dossier, word: &str) -> Result<Vec<who::Before>, Error> {
    let Some(key) = record::cluster_key(snapshot) else { return Ok(Vec::new()) };
    let of_guid: Vec<_> = db.pairs()?.into_iter().filter(|p| p.guid == key.guid).collect();
    let ours = of_guid.iter().find(|p| p.uids.iter().any(|uid| key.uids.contains(uid)));
    // Without Kubernetes the only known pair is meant.
    let known: Vec<_> = of_guid.iter().filter(|p| p.known && !p.apart).collect();
    let only = if let [only] = known.as_slice() { Some(*only) } else { None };
    let Some(pair) = ours.or(only.filter(|_| key.uids.is_empty())) else { return Ok(Vec::new()) };
    let guesses = if dossier.matches.is_empty() { who::guesses(word) } else { who_before::named(dossier) };
    let mut found = who_before::of(db, pair, &guesses)?;
    found.count(None);
    if !found.nodes.is_empty() {
        found.keep_newest(INTERVALS);
    }
    Ok(if found.is_nothing() { Vec::new() } else { vec![found] })
}
