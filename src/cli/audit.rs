//! `ipaudit audit`: look, check, look again at suspects, tell.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::again;
use super::audit_formats::{LinesArgs, Output};
use super::audit_names;
use super::audit_view::View;
use super::changes::{self, Earlier, GoneOn, ToLeave};
use super::gather::{self, FirstLook, Sources};
use super::history_args::HistoryArgs;
use super::judging_args::Judging;
use super::memory::{self, Memory, Overtaken};
use super::node::typed_evidence;
use super::node_evidence_args::{self, NodeEvidenceArgs};
use super::output::log::Remark;
use super::output::{self, Streams};
use super::parse::interval;
use super::recall::WantedPast;
use super::releases;
use super::settings_args::SettingsArgs;
use super::source_args::SourceArgs;
use crate::checks::{self, Outcome, World};
use crate::error::{Error, chain};
use crate::exit::{Conclusion, Exit};
use crate::judge::advised::{self, Advice, Obstacles};
use crate::ledger::{Ledger, ScopeFlag};
use crate::model::foreign::foreign;
use crate::model::record::Recorded;
use crate::model::{EtcdReading, FailedLook, Input, NodesSeen, Past, Patch, Snapshot, Time};
use crate::record::{self, AuditCourse};
use crate::render::{self, AuditCircumstances, AuditView, Narrow, NodesAgain};
use crate::settings::Ignored;
use crate::source::capture::{self, Captured, Second, Writer};
use crate::steady::Settling;

/// Flags of `audit`.
#[derive(Args, Debug)]
pub struct AuditArgs {
    /// Audit this capture (-: standard input) instead of a datastore; "now" is then the capture's time unless --now.
    /// Recorded in a history only with --db on the command line
    #[arg(long, value_name = "FILE", env = "IPAUDIT_FROM", help_heading = "Connection", conflicts_with_all = ["etcd_endpoints", "kube_objects", "kubeconfig"])]
    pub from: Option<PathBuf>,

    #[command(flatten)]
    pub sources: SourceArgs,

    #[command(flatten)]
    pub nodes: NodeEvidenceArgs,

    #[command(flatten)]
    pub judging: Judging,

    #[command(flatten)]
    pub settings: SettingsArgs,

    #[command(flatten)]
    pub history: HistoryArgs,

    #[command(flatten)]
    pub view: View,

    /// Audit again and again, so long apart: from start to start, at least 1s, never two at once. The exit code is the last
    /// audit's. Ctrl-C or SIGTERM ends it after the audit that runs
    #[arg(long, value_name = "DURATION", env = "IPAUDIT_WATCH", value_parser = interval, allow_hyphen_values = true, help_heading = "What counts", conflicts_with_all = ["from", "now"])]
    pub watch: Option<Duration>,
}

/// One audit.
///
/// # Errors
/// Usage and failures of the tool; what could not be read is no error but exit code 3.
pub async fn run(args: &AuditArgs, streams: &Streams) -> Result<Exit, Error> {
    let settings = known(args, args.settings.settings(streams))?;
    let (judging, mut memory);
    let (mut looked, mut verdict, mut ledger, mut again);
    match &args.from {
        Some(file) => {
            let nodes = args.nodes.read(streams)?;
            let captured = capture::read(file)?;
            (judging, memory) = (&args.judging, Memory::open(&args.history, Some(file)));
            let second;
            (looked, second) = from_capture(captured, judging, &mut memory);
            looked.see(nodes.as_ref(), streams);
            ledger = looked.ledger(&memory);
            (verdict, again) = looked.judge(&ledger, judging, &memory);
            if again {
                drop(ledger);
                verdict = looked.look_again_in(verdict, second, judging, &memory);
                ledger = looked.ledger(&memory);
            }
        }
        None => {
            let files = known(args, args.nodes.files(streams))?;
            let sources = known(args, Sources::open(&args.sources, streams).await)?;
            let nodes = known(args, args.nodes.and_pods(files, sources.kube_api(), streams).await)?;
            (judging, memory) = (&args.judging, Memory::open(&args.history, None));
            let earlier = Memory::earlier(&args.history);
            looked = known(args, look(&sources, judging, streams, &mut memory, None, &earlier).await)?;
            looked.see(nodes.as_ref(), streams);
            ledger = looked.ledger(&memory);
            (verdict, again) = looked.judge(&ledger, judging, &memory);
            if looked.earlier.is_some() && changes::went_back(&verdict.outcome) {
                drop(ledger);
                let all = Earlier::None("what was read by its changes had gone back");
                looked = known(args, look(&sources, judging, streams, &mut memory, None, &all).await)?;
                looked.see(nodes.as_ref(), streams);
                ledger = looked.ledger(&memory);
                (verdict, again) = looked.judge(&ledger, judging, &memory);
            }
            if again {
                drop(ledger);
                verdict = looked.look_again(verdict, &sources, judging, streams, &memory, None).await;
                ledger = looked.ledger(&memory);
            }
        }
    }
    let (settings, over) = settings.as_of(looked.snapshot.now);
    verdict.warnings.extend(over.into_iter().map(Remark::warning));
    settings.change_severities(&mut verdict.outcome);
    let ignored = settings.ignored(&verdict.outcome);
    verdict.warnings.extend(ignored.idle.iter().map(|idle| Remark::warning(idle.as_str())));
    looked.warnings.iter().chain(&verdict.warnings).for_each(|w| streams.remark(w));
    let obstacles = looked.obstacles(&ledger, &mut verdict, judging, &memory);
    let recorded = record(&looked, &ledger, &mut verdict, &mut memory, judging.scope);
    memory.tell(streams);
    if let (true, Some(reading)) = (recorded.is_some(), &looked.reading) {
        let earlier = looked.earlier.as_ref().map(|earlier| &earlier.mark);
        let left = ToLeave { snapshot: &looked.snapshot, reading, earlier, keys: memory.keys_print() };
        changes::leave(&args.history, &left, &verdict.outcome, streams);
    }
    let ages = memory.ages(&ledger, &verdict.outcome);
    checks::leave_to_causes(&mut verdict.outcome.findings);
    let advice = advised::hold_back(&looked.snapshot, &mut verdict.outcome, &obstacles, &ages, looked.is_live);
    match memory.overtaken() {
        Overtaken::No => {}
        Overtaken::Earlier => {
            streams.note("another audit of this cluster was recorded meanwhile: this one goes on from there");
        }
        Overtaken::Later => streams.warn(
            "another audit of this cluster looked later and was recorded meanwhile: this one is told and not recorded",
        ),
    }
    let nodes_again = NodesAgain { evidence: typed_evidence(&args.nodes), ..NodesAgain::default() };
    nodes_again.rewrite(&mut verdict.outcome.findings);
    checks::node::miss(&mut verdict.outcome, &args.view.code);
    let told = Told {
        looked: &looked,
        ledger: &ledger,
        verdict: &verdict,
        recorded: recorded.as_ref(),
        advice,
        ignored,
        nodes_again,
    };
    let exit = tell(told, &args.view, streams, &mut memory)?;
    memory.forget(&args.history, streams);
    // Where the process ends now, hundreds of thousands of small pieces of memory go back faster all at once.
    if args.watch.is_none() {
        std::mem::forget(ledger);
        std::mem::forget(looked);
    }
    Ok(if memory.failed() { Conclusion::Failed.exit() } else { exit })
}

/// What ends an audit before it has looked is known to the history: nobody looked then, but somebody tried.
fn known<T>(args: &AuditArgs, done: Result<T, Error>) -> Result<T, Error> {
    done.inspect_err(|error| {
        if args.from.is_none() {
            Memory::note_end(&args.history, args.judging.now, error);
        }
    })
}

/// What the first look saw, and how it is to be judged.
pub struct Looked {
    snapshot: Snapshot,
    started: Time,
    duration: Duration,
    scope: ScopeFlag,
    /// Kubernetes can be asked again: it was read from its API, not from files or a capture.
    is_live: bool,
    /// Sentences for standard error.
    pub warnings: Vec<Remark>,
    /// How etcd was read; `None` of a capture, and where it was not.
    reading: Option<EtcdReading>,
    /// The earlier audit that the reading went on from.
    earlier: Option<GoneOn>,
}

/// What came of it.
#[derive(Default)]
pub struct Verdict {
    outcome: Outcome,
    /// Why the second look failed, if it did.
    unlooked: Option<FailedLook>,
    /// Sentences for standard error.
    pub warnings: Vec<Remark>,
}

/// Looks at live sources; a capture being written sees it.
///
/// # Errors
/// As [`gather::first_look`].
pub async fn look(
    sources: &Sources,
    judging: &Judging,
    streams: &Streams,
    memory: &mut Memory,
    capture: Option<&mut Writer>,
    earlier: &Earlier,
) -> Result<Looked, Error> {
    memory.begin();
    let from = earlier;
    let FirstLook { mut snapshot, started, duration, warnings, reading, earlier } =
        gather::first_look_since(sources, streams, judging.now, capture, from).await?;
    reading.iter().for_each(|reading| streams.verbose(&reading.sentence().shown()));
    memory.recall(&mut snapshot, judging.scope, WantedPast::of(from, earlier.as_ref()));
    let (scope, is_live) = (judging.scope.unwrap_or_default(), sources.kube_api().is_some());
    Ok(Looked { snapshot, started, duration, scope, is_live, warnings, reading, earlier })
}

/// What a capture saw; both looks are in it.
fn from_capture(captured: Captured, judging: &Judging, memory: &mut Memory) -> (Looked, Second) {
    let mut snapshot = captured.first;
    snapshot.judge_at(judging.now);
    memory.recall(&mut snapshot, judging.scope, WantedPast::Everything("a capture"));
    let (started, duration, scope) = (captured.started, captured.duration, judging.scope.unwrap_or_default());
    let warnings = Vec::new();
    let looked = Looked { snapshot, started, duration, scope, is_live: false, warnings, reading: None, earlier: None };
    (looked, captured.second)
}

impl Looked {
    /// Takes what nodes say beside it.
    fn see(&mut self, nodes: Option<&NodesSeen>, streams: &Streams) {
        nodes.into_iter().for_each(|nodes| node_evidence_args::take(&mut self.snapshot, nodes.clone(), streams));
    }

    /// The joined view, made once: for the checks, the history and the output.
    pub fn ledger(&self, memory: &Memory) -> Ledger<'_> {
        Ledger::build(&self.snapshot, self.scope, memory.past())
    }

    /// What one look says, and whether somebody has to look again before it may be told.
    pub fn judge(&self, ledger: &Ledger<'_>, judging: &Judging, memory: &Memory) -> (Verdict, bool) {
        let past = memory.past();
        let settling = self.settling(judging, past);
        let mut outcome = checks::run(&World { snapshot: &self.snapshot, ledger, past });
        let suspects = settling.has_suspects(&outcome);
        let again = suspects && !judging.settle.is_zero();
        if suspects && !again {
            outcome = settling.unconfirmed(outcome);
        }
        (Verdict { outcome, ..Verdict::default() }, again)
    }

    /// Looks again at suspects; a capture being written sees that too. No ledger may live meanwhile: what is read
    /// again is put into the very snapshot, judged there, and taken out.
    pub async fn look_again(
        &mut self,
        mut verdict: Verdict,
        sources: &Sources,
        judging: &Judging,
        streams: &Streams,
        memory: &Memory,
        mut capture: Option<&mut Writer>,
    ) -> Verdict {
        let settling = self.settling(judging, memory.past());
        let look = settling.second_look(&verdict.outcome);
        let spinner = streams.spinner(&format!("looking again in {}s at suspects:", judging.settle.as_secs()));
        spinner.set_position(look.size() as u64);
        tokio::time::sleep(judging.settle).await;
        let began = gather::present();
        let seen = again::second_look(sources, &mut self.snapshot, look, judging.now, capture.as_deref_mut()).await;
        spinner.finish_and_clear();
        let took = judging.now.map_or_else(|| gather::present().since(began), |_| Duration::ZERO);
        match seen {
            Ok(mut patch) => {
                if let Some(writer) = capture {
                    writer.look(&patch.other, began, took);
                }
                self.confirm(&mut verdict, &settling, &mut patch, memory.past());
            }
            Err(error) => {
                let hint = output::hint(&error).unwrap_or_default();
                let failed = FailedLook { why: chain(&error).into(), hint: hint.into() };
                if let Some(writer) = capture {
                    writer.look_failed(&self.snapshot, began, &failed);
                }
                verdict.fail_second_look(&settling, failed);
            }
        }
        verdict
    }

    /// The same with the second look of a capture.
    fn look_again_in(&mut self, mut verdict: Verdict, second: Second, judging: &Judging, memory: &Memory) -> Verdict {
        let settling = self.settling(judging, memory.past());
        match second {
            // Nothing had to be looked at again, or a capture without a second look: read again as a file, it says
            // the same.
            Second::None => {}
            Second::Seen(mut patch) => {
                patch.other.now = judging.now.unwrap_or(patch.other.now);
                self.confirm(&mut verdict, &settling, &mut patch, memory.past());
            }
            Second::Failed(failed) => verdict.fail_second_look(&settling, failed),
        }
        verdict
    }

    fn settling<'p>(&self, judging: &Judging, past: Option<&'p Past>) -> Settling<'p> {
        Settling { past, now: self.snapshot.now, settle: judging.settle }
    }

    fn confirm(&mut self, verdict: &mut Verdict, settling: &Settling<'_>, patch: &mut Patch, past: Option<&Past>) {
        let again = again::judge(&mut self.snapshot, patch, &settling.checks(&verdict.outcome), self.scope, past);
        let mut first = std::mem::take(&mut verdict.outcome);
        if let Some(told) = again::take_lock(&mut self.snapshot, patch) {
            verdict.warnings.push(Remark::warning(told));
            let ledger = Ledger::build(&self.snapshot, self.scope, past);
            first = checks::run(&World { snapshot: &self.snapshot, ledger: &ledger, past });
        }
        verdict.outcome = settling.confirm(first, &again);
    }

    /// What speaks against any release now, and takes out what would be refused by itself; asked before the audit is
    /// recorded, which takes the past with it.
    fn obstacles(&self, ledger: &Ledger<'_>, verdict: &mut Verdict, judging: &Judging, memory: &Memory) -> Obstacles {
        let Verdict { outcome, unlooked, .. } = verdict;
        let world = World { snapshot: &self.snapshot, ledger, past: memory.past() };
        let present = judging.now.unwrap_or_else(gather::present);
        let mut obstacles = advised::obstacles(&world, outcome, present, self.scope, self.is_live);
        obstacles.refusals.extend(unlooked.iter().map(|failed| advised::cannot_look(&failed.why)));
        obstacles
    }

    /// Whether something could not be read or decoded, or not be looked at again.
    pub fn is_incomplete(&self, verdict: &Verdict) -> bool {
        let unread = Input::ALL.into_iter().filter(|i| !matches!(i, Input::History | Input::Namespaces));
        let coverage = &self.snapshot.coverage;
        let unread = unread.filter(|i| !coverage.complete(*i) && !coverage.is_rightly_absent(*i)).count() > 0;
        verdict.unlooked.is_some() || unread || !self.snapshot.bad_values.is_empty()
    }
}

impl Verdict {
    fn fail_second_look(&mut self, settling: &Settling<'_>, failed: FailedLook) {
        self.outcome = settling.unconfirmed(std::mem::take(&mut self.outcome));
        let stay = render::unconfirmed(&self.outcome.findings);
        let message = foreign!("the second look failed, so {stay}: {}", failed.why);
        self.warnings.push(Remark::error(message, failed.hint.clone()));
        self.unlooked = Some(failed);
    }
}

/// Writes the audit into the history, if there is one, and tells the findings since when they are known.
fn record(
    looked: &Looked,
    ledger: &Ledger<'_>,
    verdict: &mut Verdict,
    memory: &mut Memory,
    said: Option<ScopeFlag>,
) -> Option<Recorded> {
    if memory.past().is_none() {
        let snapshot = &looked.snapshot;
        if let Some(why) = record::failure(snapshot).filter(|_| memory.is_of_a_living_cluster()) {
            let failed = memory::failed_audit(snapshot.now, looked.started, why);
            memory.record_failure(&failed, &record::kubernetes_uids(snapshot));
        }
        return None;
    }
    let unlooked = verdict.unlooked.clone();
    let about = AuditCircumstances { unlooked, ..AuditCircumstances::default() };
    let shown = AuditView::of(&looked.snapshot, ledger, &verdict.outcome, about);
    let course = AuditCourse {
        started: looked.started,
        duration: looked.duration,
        complete: shown.audit.complete,
        said,
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        counts: serde_json::to_string(&shown.counts).unwrap_or_default(),
    };
    drop(shown);
    memory.record(ledger, &mut verdict.outcome, &course)
}

/// What is told.
struct Told<'a> {
    looked: &'a Looked,
    ledger: &'a Ledger<'a>,
    verdict: &'a Verdict,
    recorded: Option<&'a Recorded>,
    advice: Advice,
    ignored: Ignored,
    nodes_again: NodesAgain,
}

fn tell(told: Told<'_>, view: &View, streams: &Streams, memory: &mut Memory) -> Result<Exit, Error> {
    let Told { looked, ledger, verdict, recorded, advice, ignored, nodes_again } = told;
    let narrow = Narrow { codes: view.code.clone(), severity: view.severity, ..view.place.narrow() };
    let narrow = audit_names::of_cluster(&looked.snapshot, narrow);
    let unknown = audit_names::unknown(ledger, &verdict.outcome, &narrow, memory);
    let about = AuditCircumstances {
        id: recorded.map(|r| r.id.unsigned_abs()),
        history: recorded.map(memory::row),
        failed: memory.failed(),
        started: Some(looked.started),
        duration: looked.duration,
        narrow,
        unknown,
        fail_on: view.fail_on,
        unlooked: verdict.unlooked.clone(),
        releases: releases::of_leaks(&advice),
        handles_older_than: advice.of_handles.map(render::older_than),
        warnings: looked.warnings.iter().chain(&verdict.warnings).map(Remark::text).collect(),
        ignored: ignored.findings.into_iter().collect(),
        ignored_by: ignored.flags,
        reading: looked.reading.clone(),
        connected_by: view.connected_by.clone(),
        nodes_again,
        nodes: view.all.then_some(usize::MAX),
        ..AuditCircumstances::default()
    };
    let shown = AuditView::of(&looked.snapshot, ledger, &verdict.outcome, about);
    LinesArgs::unseen(view.how.output, &shown).iter().for_each(|remark| streams.warn(remark));
    view.lines.remarks(view.how.output, &shown).iter().for_each(|remark| streams.note(remark));
    let Streams { color, width, quiet, .. } = *streams;
    let table = render::table::Options { color, width, all: view.all, quiet, capacity: view.capacity };
    streams.stream(|out| match view.how.output {
        Output::Table => render::table::write(&shown, table, out),
        Output::Wide => render::wide::write(&shown, view.lines.options(streams), out),
        Output::Name => render::wide::write_names(&shown, view.lines.options(streams), out),
        Output::Json => render::json::write(&shown, out),
        Output::Yaml => render::yaml::write(&shown, out),
        Output::Jsonl => render::json::write_lines(&shown, out),
        Output::Sarif => render::sarif::write(&shown, out),
    })?;
    Ok(shown.exit)
}
