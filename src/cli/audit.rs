//! `ipaudit audit`: look, check, look again at suspects, tell.

use std::time::Duration;

use super::args::{AuditArgs, Judging, Output, View};
use super::gather::{self, FirstLook, Sources};
use super::memory::{self, Memory};
use super::output::{self, Streams};
use crate::checks::{self, Outcome, World};
use crate::error::{Error, chain};
use crate::exit::Exit;
use crate::ledger::{Ledger, ScopeFlag};
use crate::model::record::Recorded;
use crate::model::{Input, Past, Snapshot, Time};
use crate::record::Course;
use crate::render::{self, AuditView, Circumstances, Narrow};
use crate::settings::Ignored;
use crate::source::capture::{self, Captured, Second, Writer};
use crate::steady::Settling;

/// Runs the command.
///
/// # Errors
/// Usage and failures of the tool; what could not be read is no error but exit code 3.
pub async fn run(args: &AuditArgs, streams: &Streams) -> Result<Exit, Error> {
    let settings = args.settings.settings()?;
    let (mut judged, mut memory) = match &args.from {
        Some(file) => {
            let captured = capture::read(file)?;
            let mut memory = Memory::open(&args.history, Some(file));
            (from_capture(captured, &args.judging, &mut memory), memory)
        }
        None => {
            let sources = Sources::open(&args.etcd, &args.kube, streams).await?;
            let mut memory = Memory::open(&args.history, None);
            (live(&sources, &args.judging, streams, &mut memory, None).await?, memory)
        }
    };
    settings.change_severities(&mut judged.outcome);
    let ignored = settings.ignored(&judged.outcome);
    judged.warnings.extend(ignored.idle.iter().cloned());
    judged.warnings.iter().for_each(|w| streams.note(w));
    let mut outcome = std::mem::take(&mut judged.outcome);
    let ledger = Ledger::build(&judged.snapshot, judged.scope, memory.past());
    let said = args.judging.scope.map(ScopeFlag::from);
    let recorded = judged.record(&ledger, &mut outcome, &mut memory, said);
    if memory.is_overtaken() {
        streams.note("another audit of this cluster was recorded meanwhile: this one goes on from there");
    }
    let told = Told { judged: &judged, ledger: &ledger, outcome: &outcome, recorded: recorded.as_ref(), ignored };
    let exit = tell(told, &args.view, streams, &memory)?;
    memory.forget(&args.history, streams);
    Ok(if memory.failed() { Exit::Failure } else { exit })
}

/// What an audit came to.
pub struct Judged {
    snapshot: Snapshot,
    outcome: Outcome,
    started: Time,
    duration: Duration,
    scope: ScopeFlag,
    /// The second look failed.
    incomplete: bool,
    warnings: Vec<String>,
}

/// Looks twice at live sources; a capture being written sees both looks.
///
/// # Errors
/// As [`gather::first_look`].
pub async fn live(
    sources: &Sources,
    judging: &Judging,
    streams: &Streams,
    memory: &mut Memory,
    mut capture: Option<&mut Writer>,
) -> Result<Judged, Error> {
    let FirstLook { mut snapshot, started, duration, warnings } =
        gather::first_look(sources, streams, judging.now, capture.as_deref_mut()).await?;
    memory.recall(&mut snapshot, judging.scope.map(ScopeFlag::from));
    let (scope, past) = (judging.scope_flag(), memory.past());
    let outcome = check(&snapshot, scope, past);
    let settling = Settling { past, now: snapshot.now, settle: judging.settle };
    let mut judged = Judged { snapshot, outcome, started, duration, scope, incomplete: false, warnings };
    if !settling.has_suspects(&judged.outcome) {
        return Ok(judged);
    }
    if judging.settle.is_zero() {
        judged.outcome = settling.unconfirmed(judged.outcome);
        return Ok(judged);
    }
    let look = settling.second_look(&judged.outcome);
    let spinner = streams.spinner(&format!("looking again in {}s at suspects:", judging.settle.as_secs()));
    spinner.set_position(look.size() as u64);
    tokio::time::sleep(judging.settle).await;
    let began = gather::present();
    let seen = gather::second_look(sources, &judged.snapshot, &look, judging.now, capture.as_deref_mut()).await;
    spinner.finish_and_clear();
    let took = judging.now.map_or_else(|| gather::present().since(began), |_| Duration::ZERO);
    match seen {
        Ok(second) => {
            if let Some(writer) = capture {
                writer.look(&second, began, took);
            }
            let again = check(&second, scope, past);
            judged.outcome = settling.confirm(judged.outcome, &again);
        }
        Err(error) => {
            if let Some(writer) = capture {
                writer.look_failed(&judged.snapshot, began, &chain(&error));
            }
            judged.fail_second_look(&settling, &chain(&error));
        }
    }
    Ok(judged)
}

impl Judged {
    /// Sentences for standard error.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Whether something could not be read or decoded, or not be looked at again.
    pub fn is_incomplete(&self) -> bool {
        let unread = Input::ALL.into_iter().filter(|i| !matches!(i, Input::History | Input::Namespaces));
        let unread = unread.filter(|i| !self.snapshot.coverage.complete(*i)).count() > 0;
        self.incomplete || unread || !self.snapshot.bad_values.is_empty()
    }

    /// Writes the audit into the history, if there is one, and tells the findings since when they are known.
    fn record(
        &self,
        ledger: &Ledger<'_>,
        outcome: &mut Outcome,
        memory: &mut Memory,
        said: Option<ScopeFlag>,
    ) -> Option<Recorded> {
        memory.past()?;
        let about = Circumstances { incomplete: self.incomplete, ..Circumstances::default() };
        let shown = AuditView::of(&self.snapshot, ledger, outcome, about);
        let course = Course {
            started: self.started,
            duration: self.duration,
            complete: shown.audit.complete,
            said,
            tool: env!("CARGO_PKG_VERSION").to_owned(),
            counts: serde_json::to_string(&shown.counts).unwrap_or_default(),
        };
        drop(shown);
        memory.record(ledger, outcome, &course)
    }

    fn fail_second_look(&mut self, settling: &Settling<'_>, why: &str) {
        self.outcome = settling.unconfirmed(std::mem::take(&mut self.outcome));
        self.incomplete = true;
        self.warnings.push(format!("the second look failed, suspects stay unconfirmed: {why}"));
    }
}

fn check(snapshot: &Snapshot, scope: ScopeFlag, past: Option<&Past>) -> Outcome {
    let ledger = Ledger::build(snapshot, scope, past);
    checks::run(&World { snapshot, ledger: &ledger, past })
}

/// Audits what a capture saw; both looks are in it.
fn from_capture(captured: Captured, judging: &Judging, memory: &mut Memory) -> Judged {
    let mut snapshot = captured.first;
    snapshot.now = judging.now.unwrap_or(snapshot.now);
    memory.recall(&mut snapshot, judging.scope.map(ScopeFlag::from));
    let (scope, past) = (judging.scope_flag(), memory.past());
    let outcome = check(&snapshot, scope, past);
    let settling = Settling { past, now: snapshot.now, settle: judging.settle };
    let (started, duration) = (captured.started, captured.duration);
    let mut judged = Judged { snapshot, outcome, started, duration, scope, incomplete: false, warnings: Vec::new() };
    match captured.second {
        _ if judging.settle.is_zero() => judged.outcome = settling.unconfirmed(judged.outcome),
        // Nothing had to be looked at again, or a capture without a second look: read again as a file, it says the same.
        Second::None => {}
        Second::Seen(mut second) => {
            second.now = judging.now.unwrap_or(second.now);
            judged.outcome = settling.confirm(judged.outcome, &check(&second, scope, past));
        }
        Second::Failed(why) => judged.fail_second_look(&settling, &why),
    }
    judged
}

/// What is told.
struct Told<'a> {
    judged: &'a Judged,
    ledger: &'a Ledger<'a>,
    outcome: &'a Outcome,
    recorded: Option<&'a Recorded>,
    ignored: Ignored,
}

fn tell(told: Told<'_>, view: &View, streams: &Streams, memory: &Memory) -> Result<Exit, Error> {
    let Told { judged, ledger, outcome, recorded, ignored } = told;
    let about = Circumstances {
        id: recorded.map(|r| r.id.unsigned_abs()),
        history: recorded.map(memory::row),
        failed: memory.failed(),
        started: Some(judged.started),
        duration: judged.duration,
        narrow: Narrow { codes: view.code.clone(), severity: view.severity, ..Narrow::default() },
        fail_on: view.fail_on,
        incomplete: judged.incomplete,
        warnings: judged.warnings.clone(),
        ignored: ignored.findings,
        ignored_by: ignored.flags,
        nodes: view.all.then_some(usize::MAX),
        ..Circumstances::default()
    };
    let shown = AuditView::of(&judged.snapshot, ledger, outcome, about);
    let mut text = Vec::new();
    let written = match view.output {
        Output::Table => {
            let Streams { color, width, quiet, .. } = *streams;
            render::table::write(
                &shown,
                render::table::Options { color, width, all: view.all, quiet, capacity: view.capacity },
                &mut text,
            )
        }
        Output::Json => render::json::write(&shown, &mut text),
        Output::Jsonl => render::json::write_lines(&shown, &mut text),
    };
    written.map_err(|e| Error::new("print the findings").cause(e))?;
    output::print(&text)?;
    Ok(shown.exit)
}
