//! Everything between a plan and its end: show, ask, wait for the turn, carry out, record, tell. For releases and undos
//! alike.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::carry::{Carrier, Tally};
use super::record::Recorder;
use super::show::{self, Show};
use super::turn::Turn;
use super::{Planned, STILL_UNKNOWN, earlier};
use crate::cli::gather::{Sources, present};
use crate::cli::output::{self, Streams};
use crate::cli::release_args::PlanOutput;
use crate::error::Error;
use crate::exit::Exit;
use crate::model::{Snapshot, Time};
use crate::plan::confirm::Yes;

/// A plan that is older than this when it is confirmed is made anew.
const STALE: std::time::Duration = std::time::Duration::from_secs(5 * 60);

/// One run of `release` or `undo`, once its plan is made.
pub struct Session<'a> {
    pub sources: &'a Sources,
    /// The history's file.
    pub db: &'a Path,
    pub first: &'a Snapshot,
    pub output: PlanOutput,
    pub yes: bool,
    pub rate: Option<f64>,
    pub undoes: Option<i64>,
    /// `--all`.
    pub all: bool,
    /// Who asked, with which flags.
    pub asked: serde_json::Value,
    /// When the plan was begun.
    pub made: Time,
}

impl Session<'_> {
    /// # Errors
    /// Failures of the tool, of etcd or the history.
    pub async fn finish(self, planned: Planned, recorder: &mut Recorder, streams: &Streams) -> Result<Exit, Error> {
        let refused = !planned.plan.refusals.is_empty();
        let dry = if refused { Exit::Findings } else { Exit::Clean };
        if planned.plan.steps.is_empty() {
            self.print(&planned, None, dry)?;
            return Ok(dry);
        }
        if self.output == PlanOutput::Table {
            self.print(&planned, None, dry)?;
        }
        let Some(confirmed) = planned.plan.clone().confirm(self.ask(&planned)?) else {
            match self.output {
                PlanOutput::Json => self.print(&planned, None, dry)?,
                PlanOutput::Table => streams.note("nothing was written: --yes does it"),
            }
            return Ok(dry);
        };
        let turn = Turn::wait(self.db, STALE.saturating_sub(present().since(self.made)), streams).await?;
        if present().since(self.made) > STALE {
            return Err(Error::new("carry out a plan")
                .cause("it is older than 5 minutes")
                .hint("run the command again"));
        }
        // The run that was waited for may have been killed.
        let unknown = earlier::settle(recorder, self.sources.connection()?, streams).await?;
        if self.undoes.map_or(!unknown.is_empty(), |id| unknown.contains(&id)) {
            streams.note(STILL_UNKNOWN);
            return Ok(Exit::Incomplete);
        }
        let mut asked = self.asked.clone();
        asked["confirmed_by"] = match confirmed.by() {
            Yes::Person => "person".into(),
            Yes::Flag => "flag".into(),
        };
        let release = recorder.begin(&asked.to_string(), &planned.summary(), self.undoes)?;
        let mut carrier = Carrier {
            connection: self.sources.connection()?,
            api: self.sources.kube_api(),
            recorder,
            cluster_id: self.first.etcd.cluster_id,
            revision: self.first.etcd.revision,
            rate: self.rate,
            stop: stop_on_signal(),
            bar: streams.bar(planned.plan.count() as u64, if self.undoes.is_some() { "put back" } else { "released" }),
        };
        let tally = carrier.run(&confirmed).await;
        let exit = exit_of(&tally, refused);
        // What was written is told, whatever becomes of its record.
        let recorded = recorder.finish(word_of(&tally, refused));
        // A reader who does not read must not hold up the next run.
        drop(turn);
        self.print(&planned, Some((release, &tally)), exit)?;
        recorded?;
        match tally.failed {
            Some(error) => Err(error),
            None => Ok(exit),
        }
    }

    fn show<'p>(&self, planned: &'p Planned) -> Show<'p> {
        Show { plan: &planned.plan, notes: &planned.nothing, undoes: self.undoes, all: self.all }
    }

    fn print(&self, planned: &Planned, done: Option<(i64, &Tally)>, exit: Exit) -> Result<(), Error> {
        let show = self.show(planned);
        let mut text = Vec::new();
        let written = match (self.output, done) {
            (PlanOutput::Json, _) => writeln!(text, "{:#}", show.document(done, exit)),
            (PlanOutput::Table, Some((release, tally))) => show.outcome(release, tally, &mut text),
            (PlanOutput::Table, None) => show.plan(&mut text),
        };
        written.map_err(|e| Error::new("print the plan").cause(e))?;
        output::print(&text)
    }

    /// Yes by flag, or by a person at a terminal; without either there is no answer.
    fn ask(&self, planned: &Planned) -> Result<Option<Yes>, Error> {
        if self.yes {
            return Ok(Some(Yes::Flag));
        }
        if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
            return Ok(None);
        }
        let failed = |e: io::Error| Error::new("ask for an answer").cause(e);
        let verb = if self.undoes.is_some() { "Put back" } else { "Release" };
        let question = format!("{verb} {}? Only \"yes\" does it: ", show::subjects(&planned.plan));
        io::stderr().write_all(question.as_bytes()).map_err(failed)?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).map_err(failed)?;
        Ok((answer.trim() == "yes").then_some(Yes::Person))
    }
}

/// 2 is an error's; an unknown outcome wins over refusals.
fn exit_of(tally: &Tally, refused: bool) -> Exit {
    match () {
        () if tally.unknown.is_some() => Exit::Incomplete,
        () if tally.failed.is_some() => Exit::Failure,
        () if refused || !tally.refused.is_empty() => Exit::Findings,
        () => Exit::Clean,
    }
}

fn word_of(tally: &Tally, refused: bool) -> &'static str {
    match () {
        () if tally.unknown.is_some() => "unknown",
        () if tally.failed.is_some() => "failed",
        () if tally.done + tally.gone == 0 => "refused",
        () if refused || !tally.refused.is_empty() || tally.stopped => "partly",
        () => "done",
    }
}

/// Ctrl-C and SIGTERM finish the running transaction.
fn stop_on_signal() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    tokio::spawn(async move {
        #[cfg(unix)]
        let term = async {
            match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
                Ok(mut term) => drop(term.recv().await),
                Err(_) => std::future::pending().await,
            }
        };
        #[cfg(not(unix))]
        let term = std::future::pending::<()>();
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            () = term => {}
        }
        flag.store(true, Ordering::SeqCst);
    });
    stop
}
