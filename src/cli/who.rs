//! `ipaudit who`: one look at everything, what the history remembers of it, and etcd's own old revisions.

use std::path::Path;
use std::time::Duration;

use super::args::{WhoArgs, WhoOutput};
use super::gather::{self, Sources};
use super::output::{self, Streams};
use super::{who_before, who_deep};
use crate::checks::{self, Outcome, World};
use crate::error::Error;
use crate::exit::{Course, Exit, decide};
use crate::history::{Db, Mode};
use crate::ledger::{Ledger, ScopeFlag};
use crate::model::{Input, InputState, Past, Severity, Snapshot};
use crate::record;
use crate::render;
use crate::source::capture::{self, Second};
use crate::steady::Settling;
use crate::who::{self, Asked, Dossier};

/// How long the history must have known a finding for one look to count as the second.
const SETTLE: Duration = Duration::from_secs(20);

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
    output::print(&text)?;
    Ok(exit)
}

fn offline(args: &WhoArgs) -> Result<(Dossier, Course), Error> {
    let db = Db::open(&args.db.path()?, Mode::Read)?;
    let guesses = who::guesses(&args.what);
    let mut before = Vec::new();
    for pair in db.pairs()? {
        let mut of_pair = who_before::of(&db, &pair, &guesses)?;
        args.at.iter().for_each(|at| of_pair.keep_at(*at));
        let empty = of_pair.allocations.is_empty() && of_pair.pods.is_empty() && of_pair.open.is_empty();
        before.extend((!empty).then_some(of_pair));
    }
    let incomplete = before.iter().any(|b| !b.last_complete) && args.at.is_none();
    let worst = before.iter().flat_map(|b| &b.open).map(|f| f.severity).max();
    let failed = before.is_empty() && matches!(guesses.as_slice(), [_, _, ..]);
    let dossier = who::offline(&args.what, args.now.unwrap_or_else(gather::present), before, args.at);
    Ok((dossier, Course { worst, incomplete, failed }))
}

/// What was read, by whichever way.
struct Read {
    snapshot: Snapshot,
    second: Option<Snapshot>,
    /// A capture's or file's findings were looked at as often as they ever will be.
    settled: bool,
    incomplete: bool,
    sources: Option<Sources>,
}

async fn read(args: &WhoArgs, streams: &Streams) -> Result<Read, Error> {
    if let Some(file) = &args.from {
        let captured = capture::read(file)?;
        let (mut snapshot, mut read_second, mut incomplete) = (captured.first, None, false);
        snapshot.now = args.now.unwrap_or(snapshot.now);
        match captured.second {
            Second::Seen(second) => read_second = Some(*second),
            Second::None => {}
            Second::Failed(_) => incomplete = true,
        }
        return Ok(Read { snapshot, second: read_second, settled: !incomplete, incomplete, sources: None });
    }
    let sources = Sources::open(&args.etcd, &args.kube, streams).await?;
    let look = gather::first_look(&sources, streams, args.now, None).await?;
    look.warnings.iter().for_each(|w| streams.note(w));
    Ok(Read { snapshot: look.snapshot, second: None, settled: false, incomplete: false, sources: Some(sources) })
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
    let outcome = settle(&read, checks::run(&world), scope, past);
    let asked = Asked::of(&ledger, &args.what);
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
        match &read.sources {
            Some(sources) => dossier.deep = who_deep::of(sources, &ledger, &asked, &dossier).await?,
            None => streams.note("--deep asks etcd itself: a capture has no old revisions"),
        }
    }
    let incomplete = read.incomplete || !dossier.unread.is_empty();
    // What nobody knows, though everything was read, was mistyped.
    let unknown = asked.is_nothing() && dossier.before.is_empty() && !incomplete;
    Ok((dossier, Course { worst, incomplete, failed: failed || unknown }))
}

/// One look: what has to be seen twice is told as it is, and marked as seen once, unless an earlier audit or the
/// capture's second look saw it too. Its severity stays: the question was about this very thing.
fn settle(read: &Read, outcome: Outcome, scope: ScopeFlag, past: Option<&Past>) -> Outcome {
    let settling = Settling { past, now: read.snapshot.now, settle: SETTLE };
    if let Some(second) = &read.second {
        let ledger = Ledger::build(second, scope, past);
        let again = checks::run(&World { snapshot: second, ledger: &ledger, past });
        return settling.confirm(outcome, &again);
    }
    if read.settled {
        return outcome;
    }
    let severities: Vec<_> = outcome.findings.iter().map(|f| (f.code, f.subject.clone(), f.severity)).collect();
    let mut marked = settling.unconfirmed(outcome);
    let known: std::collections::HashMap<_, Severity> =
        severities.into_iter().map(|(code, subject, severity)| ((code, subject), severity)).collect();
    for finding in &mut marked.findings {
        if let Some(severity) = known.get(&(finding.code, finding.subject.clone())) {
            finding.severity = *severity;
        }
    }
    checks::refold(&mut marked.findings);
    marked
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
        Ok(path) => Db::open(&path, Mode::Read),
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
    let found = who_before::of(db, pair, &guesses)?;
    let empty = found.allocations.is_empty() && found.pods.is_empty() && found.open.is_empty();
    Ok(if empty { Vec::new() } else { vec![found] })
}
