//! `ipaudit audit`: look, check, look again at suspects, tell.

use std::time::Duration;

use super::args::{AuditArgs, Judging, Output, View};
use super::gather::{self, FirstLook, Sources};
use super::output::{self, Streams};
use crate::checks::{self, Outcome, World};
use crate::error::{Error, chain};
use crate::exit::Exit;
use crate::ledger::{Ledger, ScopeFlag};
use crate::model::{Input, Past, Snapshot, Time};
use crate::render::{self, AuditView, Circumstances, Narrow};
use crate::source::capture::{self, Second, Writer};
use crate::steady::Settling;

/// Runs the command.
///
/// # Errors
/// Usage and failures of the tool; what could not be read is no error but exit code 3.
pub async fn run(args: &AuditArgs, streams: &Streams) -> Result<Exit, Error> {
    let judged = match &args.from {
        Some(file) => from_capture(file, &args.judging)?,
        None => {
            let sources = Sources::open(&args.etcd, &args.kube, streams).await?;
            live(&sources, &args.judging, streams, None).await?
        }
    };
    judged.warnings.iter().for_each(|w| streams.note(w));
    tell(&judged, &args.view, streams)
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
    mut capture: Option<&mut Writer>,
) -> Result<Judged, Error> {
    let FirstLook { mut snapshot, started, duration, warnings } =
        gather::first_look(sources, streams, capture.as_deref_mut()).await?;
    snapshot.now = judging.now.unwrap_or(snapshot.now);
    let scope = judging.scope.into();
    let outcome = check(&snapshot, scope, None);
    let settling = Settling { past: None, now: snapshot.now, settle: judging.settle };
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
    let seen = gather::second_look(sources, &judged.snapshot, &look, capture.as_deref_mut()).await;
    spinner.finish_and_clear();
    let took = judging.now.map_or_else(|| gather::present().since(began), |_| Duration::ZERO);
    match seen {
        Ok(mut second) => {
            if let Some(writer) = capture {
                writer.look(&second, began, took);
            }
            second.now = judging.now.unwrap_or(second.now);
            let again = check(&second, scope, None);
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
fn from_capture(file: &std::path::Path, judging: &Judging) -> Result<Judged, Error> {
    let captured = capture::read(file)?;
    let mut snapshot = captured.first;
    snapshot.now = judging.now.unwrap_or(snapshot.now);
    let scope = judging.scope.into();
    let outcome = check(&snapshot, scope, None);
    let settling = Settling { past: None, now: snapshot.now, settle: judging.settle };
    let (started, duration) = (captured.started, captured.duration);
    let mut judged = Judged { snapshot, outcome, started, duration, scope, incomplete: false, warnings: Vec::new() };
    match captured.second {
        _ if judging.settle.is_zero() => judged.outcome = settling.unconfirmed(judged.outcome),
        // Nothing had to be looked at again, or a capture without a second look: read again as a file, it says the same.
        Second::None => {}
        Second::Seen(mut second) => {
            second.now = judging.now.unwrap_or(second.now);
            judged.outcome = settling.confirm(judged.outcome, &check(&second, scope, None));
        }
        Second::Failed(why) => judged.fail_second_look(&settling, &why),
    }
    Ok(judged)
}

fn tell(judged: &Judged, view: &View, streams: &Streams) -> Result<Exit, Error> {
    let ledger = Ledger::build(&judged.snapshot, judged.scope, None);
    let about = Circumstances {
        started: Some(judged.started),
        duration: judged.duration,
        narrow: Narrow { codes: view.code.clone(), severity: view.severity, ..Narrow::default() },
        fail_on: view.fail_on,
        incomplete: judged.incomplete,
        warnings: judged.warnings.clone(),
        ..Circumstances::default()
    };
    let shown = AuditView::of(&judged.snapshot, &ledger, &judged.outcome, about);
    let mut text = Vec::new();
    let written = match view.output {
        Output::Table => {
            let look =
                render::table::Look { color: streams.color, width: streams.width, all: view.all, quiet: streams.quiet };
            render::table::write(&mut text, &shown, &look)
        }
        Output::Json => render::json::write(&mut text, &shown),
        Output::Jsonl => render::json::write_lines(&mut text, &shown),
    };
    written.map_err(|e| Error::new("print the findings").cause(e))?;
    output::print(&text)?;
    Ok(shown.exit)
}
