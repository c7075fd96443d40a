//! `ipaudit who`: a look at everything, a second one at what is wrong, what the history remembers, and etcd's own old
//! revisions. It judges by the rules of an audit, so both say the same of one thing.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::asking::{self, From, LookAgain};
use super::gather;
use super::journal::observed::Observations;
use super::look_args::LookArgs;
use super::moment::{Moment, moment};
use super::node_evidence_args::{self, NodeEvidenceArgs};
use super::output::{OutputArgs, Streams};
use super::parse::duration;
use super::{who_before, who_deep};
use crate::checks::{self, World};
use crate::error::Error;
use crate::exit::{Course, Exit, FailOn, decide};
use crate::history::ReadTx;
use crate::history::query::Pair;
use crate::judge::{advised, ages};
use crate::ledger::Ledger;
use crate::model::foreign::foreign;
use crate::model::past::PastFinding;
use crate::model::record::ClusterKey;
use crate::steady::Settling;
use crate::who::{self, Asked, AskedPlace, Before, Dossier, Guess, Word};
use crate::{record, render};

/// Flags of `who`.
#[derive(Args, Debug)]
pub struct WhoArgs {
    /// An address, a block by its CIDR, a pool by that or its name, a handle or container id, a pod or namespace/pod, a node, a MAC
    /// or an interface. As kubectl takes it too: pod/NAME, node/NAME, pool/NAME, service/NAME, vm/NAME, handle/ID, address/IP
    #[arg(value_name = "WHAT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub what: String,

    /// Of pods, services and machines only those of this namespace
    #[arg(short, long, value_name = "NAMESPACE", env = "IPAUDIT_NAMESPACE", help_heading = "What counts")]
    pub namespace: Option<String>,

    /// Only those on this node; of several of a name, and of a block's addresses; by Calico's or Kubernetes' name
    #[arg(long, value_name = "NODE", env = "IPAUDIT_NODE", help_heading = "What counts", conflicts_with_all = ["offline", "at"])]
    pub node: Option<String>,

    /// The same of those in this pool; by name or range
    #[arg(long, value_name = "POOL", env = "IPAUDIT_POOL", help_heading = "What counts", conflicts_with_all = ["offline", "at"])]
    pub pool: Option<String>,

    /// From the history alone: works when the cluster does not
    #[arg(long, env = "IPAUDIT_OFFLINE", help_heading = "History", conflicts_with_all = ["no_history", "from", "deep"])]
    pub offline: bool,

    /// Who had it at this time, by the history: a time as for report --since, or so long ago (24h)
    #[arg(long, value_name = "WHEN", env = "IPAUDIT_AT", help_heading = "History", value_parser = moment, allow_hyphen_values = true, conflicts_with_all = ["no_history", "from", "deep"])]
    pub at: Option<Moment>,

    /// Step back through etcd's own revisions of the block and handle, as far as compaction has left them
    #[arg(long, env = "IPAUDIT_DEEP", help_heading = "Connection")]
    pub deep: bool,

    /// Look into this capture (-: standard input) instead of a datastore; into a history only where --db or IPAUDIT_DB
    /// names one; "now" is then the capture's time unless --now
    #[arg(long, value_name = "FILE", env = "IPAUDIT_FROM", help_heading = "Connection", conflicts_with_all = ["etcd_endpoints", "kube_objects", "kubeconfig"])]
    pub from: Option<PathBuf>,

    #[command(flatten)]
    pub nodes: NodeEvidenceArgs,

    #[command(flatten)]
    pub look: LookArgs,

    /// Do not ask the history
    #[arg(long, env = "IPAUDIT_NO_HISTORY", help_heading = "History")]
    pub no_history: bool,

    /// Only this cluster of the file; with --offline or --at: the beginning of its datastore's GUID or of a Kubernetes UID
    #[arg(long, value_name = "ID", env = "IPAUDIT_CLUSTER", help_heading = "History")]
    pub cluster: Option<String>,

    /// How long a thing must have been so before it counts: what is wrong with it is looked at again after this time,
    /// unless the history saw it too. 0: answer at once, what one look found is an unconfirmed note
    #[arg(long, value_name = "DURATION", default_value = "20s", env = "IPAUDIT_SETTLE", value_parser = duration, allow_hyphen_values = true, help_heading = "What counts")]
    pub settle: Duration,

    #[command(flatten)]
    pub how: OutputArgs<WhoOutput>,

    /// Exit with 1 when a finding about it is at least this bad; never: only failures count
    #[arg(long, value_name = "SEVERITY", default_value = "error", env = "IPAUDIT_FAIL_ON", help_heading = "Output")]
    pub fail_on: FailOn,
}

/// Output formats of `who`.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum WhoOutput {
    /// For people; its first line answers
    Table,
    /// One versioned document (docs/output.md)
    Json,
    /// The same document as YAML
    Yaml,
}

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
    let written = match args.how.output {
        WhoOutput::Table => render::who::write(&dossier, streams.width, streams.color, &mut text),
        WhoOutput::Json => render::json::by_entry(&dossier, &mut text),
        WhoOutput::Yaml => render::yaml::write(&dossier, &mut text),
    };
    written.map_err(|e| Error::own("print the answer").cause(e))?;
    streams.print(&text)?;
    Ok(exit)
}

/// So many intervals of a node are told from the history; an address, a handle and a pod have all of theirs.
const INTERVALS: usize = 32;

fn offline(args: &WhoArgs) -> Result<(Dossier, Course), Error> {
    let word = Word::of(&args.what).of_namespace(args.namespace.as_deref());
    let guesses = who::guesses(&word);
    let now = args.look.now.unwrap_or_else(gather::present);
    let at = args.at.map(|at| at.at(now));
    let (before, gone) = args.look.db.look(|db| {
        let mut before = Vec::new();
        let mut gone = who_deep::Gone::default();
        for pair in db.pairs()?.iter().filter(|pair| pair.is_called(args.cluster.as_deref())) {
            let of_pool = who_before::of_pool(db, pair, &word, at)?;
            let mut of_pair = match of_pool.as_ref().filter(|_| who::range(&word).is_some()) {
                // All findings of all that it holds are not asked for one by one.
                Some(_) => Before::default(),
                None => who_before::of(db, pair, &guesses)?,
            };
            // Any other thing of that name comes first.
            if let Some(of_pool) = of_pool.filter(|_| of_pair.is_nothing()) {
                of_pair = of_pool;
            }
            at.iter().for_each(|at| of_pair.keep_at(*at));
            of_pair.count(at);
            if !of_pair.nodes.is_empty() || of_pair.pool.is_some() || who::range(&word).is_some() {
                of_pair.keep_newest(INTERVALS);
            }
            match of_pair.is_nothing() {
                true if at.is_none() => gone.add_handles(db, pair, &guesses)?,
                true => {}
                false => before.push(of_pair),
            }
        }
        Ok((before, gone))
    })?;
    let incomplete = before.iter().any(|b| !b.last_complete) && at.is_none();
    let worst = before.iter().flat_map(|b| &b.open).map(|e| e.finding.severity).max();
    let known = gone.known().filter(|_| before.is_empty());
    // That an address or a pod in full has no history is an answer; any other name was mistyped.
    let is_answer = matches!((word.kind, guesses.as_slice()), (_, [Guess::Address(_)]) | (None, [Guess::Pod(..)]));
    let failed = before.is_empty() && known.is_none() && !is_answer;
    let mut dossier = who::offline(&args.what, now, before, at);
    if let Some(words) = known {
        dossier.answer = words;
    }
    if at.is_none() {
        freed(&mut dossier, &word);
    }
    Ok((dossier, Course { worst, incomplete, failed }))
}

/// An address that a release of ours gave back: the answer says which.
fn freed(dossier: &mut Dossier, what: &Word<'_>) {
    if let Some(words) = who::freed::said(what, dossier) {
        dossier.answer = foreign!("{}{words}", dossier.answer);
    }
}

async fn online(args: &WhoArgs, streams: &Streams) -> Result<(Dossier, Course), Error> {
    let word = Word::of(&args.what).of_namespace(args.namespace.as_deref());
    let capture = args.from.as_deref();
    let files = args.nodes.files(streams)?;
    let mut read = asking::read(capture, &args.look.sources, args.look.now, streams).await?;
    let api = match &read.from {
        From::Sources(sources) => sources.kube_api(),
        From::Capture(_) => None,
    };
    let nodes = args.nodes.and_pods(files, api, streams).await?;
    nodes.into_iter().for_each(|nodes| node_evidence_args::take(&mut read.snapshot, nodes, streams));
    let has_history = asking::has_history(&args.look.db, args.no_history, capture, streams);
    let key = record::cluster_key(&read.snapshot).filter(|_| has_history);
    let mut failed = false;
    let past = key.as_ref().and_then(|key| asking::tell(args.look.db.look(|db| db.past(key)), &mut failed));
    past.iter().for_each(|past| read.snapshot.note_past(past));
    let past = past.as_ref();
    let scope = args.look.scope;
    let mut ledger = Ledger::build(&read.snapshot, scope, past);
    let place = AskedPlace::of(&ledger, args.node.as_deref(), args.pool.as_deref());
    let asked = Asked::of(&ledger, &word).at(&ledger, place);
    let mut outcome = checks::run(&World { snapshot: &read.snapshot, ledger: &ledger, past });
    outcome = who::about(&ledger, outcome, &asked);
    let settling = Settling { past, now: read.snapshot.now, settle: args.settle };
    if settling.has_suspects(&outcome) {
        // One ledger at a time: the second look is judged in the same snapshot.
        drop(ledger);
        let looked;
        let how = LookAgain { scope, now: args.look.now, waits: true };
        (outcome, looked) = asking::settle(&mut read, outcome, &settling, how, streams).await;
        read.incomplete = !looked;
        ledger = Ledger::build(&read.snapshot, scope, past);
    }
    let snapshot = &read.snapshot;
    let world = World { snapshot, ledger: &ledger, past };
    // What a release would refuse is advised by nobody.
    for finding in &mut outcome.findings {
        finding.set_life(past.and_then(|past| past.open.of(finding)).map(PastFinding::life));
    }
    let is_live = matches!(&read.from, From::Sources(sources) if sources.kube_api().is_some());
    let present = args.look.now.unwrap_or_else(gather::present);
    let mut obstacles = advised::obstacles(&world, &mut outcome, present, scope, is_live);
    if read.incomplete {
        obstacles.refusals.push(advised::cannot_look(&"the second look failed".into()));
    }
    let asked_of = key.as_ref().filter(|_| !failed);
    let ages = asked_of.and_then(|key| {
        let of =
            |db: &ReadTx<'_>| Ok(ages::of(&ledger, &outcome.findings, Some(&Observations::of(db, key, snapshot.now)?)));
        asking::tell(args.look.db.look(of), &mut failed)
    });
    let ages = ages.unwrap_or_else(|| ages::of(&ledger, &outcome.findings, None));
    checks::leave_to_causes(&mut outcome.findings);
    advised::hold_back(snapshot, &mut outcome, &obstacles, &ages, is_live);
    let (mut dossier, worst) = who::now(&world, &outcome, &word, &asked);
    let mut gone = who_deep::Gone::default();
    // One that could not be asked is told once.
    if let Some(key) = key.as_ref().filter(|_| !failed) {
        // Opened anew: the look at the suspects took its time.
        let found = args.look.db.look(|db| {
            let Some(pair) = pair(db, key)? else { return Ok(Default::default()) };
            Ok((before(db, &pair, &dossier, &word)?, who_deep::gone(db, &pair, &asked, &dossier, &word)?))
        });
        (dossier.before, gone) = asking::tell(found, &mut failed).unwrap_or_default();
    }
    if args.deep {
        match &read.from {
            From::Sources(sources) => dossier.deep = who_deep::of(sources, &ledger, &asked, &dossier, &gone).await?,
            From::Capture(_) => streams.warn("--deep asks etcd itself: a capture has no old revisions"),
        }
    }
    let incomplete = read.incomplete || !dossier.unread.is_empty() || !asked.place.unknown.is_empty();
    if let (true, Some(words)) = (asked.is_nothing() && !incomplete, gone.words()) {
        dossier.answer = words;
    }
    freed(&mut dossier, &word);
    // What nobody knows, though everything was read, was mistyped.
    let unknown = asked.is_nothing() && dossier.before.is_empty() && gone.words().is_none() && !incomplete;
    Ok((dossier, Course { worst, incomplete, failed: failed || unknown }))
}

/// This very cluster, as the history knows it.
fn pair(db: &ReadTx<'_>, key: &ClusterKey) -> Result<Option<Pair>, Error> {
    let mut of_guid: Vec<Pair> = db.pairs()?.into_iter().filter(|p| p.guid == key.guid).collect();
    if let Some(ours) = of_guid.iter().position(|p| p.uids.iter().any(|uid| key.uids.iter().any(|known| uid == known)))
    {
        return Ok(Some(of_guid.swap_remove(ours)));
    }
    // Without Kubernetes the only known pair is meant.
    of_guid.retain(|p| p.known && !p.apart && key.uids.is_empty());
    Ok(if of_guid.len() == 1 { of_guid.pop() } else { None })
}

/// What the history says of everything that the dossier names.
fn before(db: &ReadTx<'_>, pair: &Pair, dossier: &Dossier, word: &Word<'_>) -> Result<Vec<who::Before>, Error> {
    let guesses = if dossier.matches.is_empty() { who::guesses(word) } else { dossier.guesses() };
    let mut found = who_before::of(db, pair, &guesses)?;
    found.count(None);
    if !found.nodes.is_empty() || who::range(word).is_some() {
        found.keep_newest(INTERVALS);
    }
    Ok(if found.is_nothing() { Vec::new() } else { vec![found] })
}
