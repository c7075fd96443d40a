//! Everything between a plan and its end: show, ask, wait for the turn, carry out, record, tell. For releases and undos
//! alike.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::args::PlanOutput;
use super::carry::{Carrier, Tally};
use super::record::Recorder;
use super::show::{self, Show};
use super::turn::Turn;
use super::{Planned, STILL_UNKNOWN, earlier};
use crate::cli::gather::{Sources, present};
use crate::cli::output::Streams;
use crate::error::Error;
use crate::exit::Exit;
use crate::model::{Snapshot, Time};
use crate::plan::confirm::Yes;
use crate::plan::outcome::{Course, End};
use crate::render::json;

/// A plan that is older than this when it is confirmed is made anew.
pub const STALE: Duration = Duration::from_secs(5 * 60);

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
    /// How long to wait for another run's end, `--db-wait`.
    pub patience: Duration,
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
        let plan = Course { refused, ..Course::default() };
        let dry = plan.exit();
        if planned.plan.steps.is_empty() {
            self.print(&planned, None, dry, streams)?;
            return Ok(dry);
        }
        if self.output == PlanOutput::Table {
            self.print(&planned, None, dry, streams)?;
        }
        let Some(confirmed) = planned.plan.clone().confirm(self.ask(&planned, streams)?) else {
            match self.output {
                PlanOutput::Json => self.print(&planned, None, dry, streams)?,
                PlanOutput::Table => streams.note("nothing was written: --yes does it"),
            }
            return Ok(dry);
        };
        recorder.make()?;
        let patience = self.patience.min(STALE.saturating_sub(present().since(self.made)));
        let stop = stop_on_signal();
        let Some(turn) = Turn::wait(self.db, patience, &stop, streams).await? else {
            let exit = Course { end: End::Stopped, ..plan }.exit();
            if self.output == PlanOutput::Json {
                self.print(&planned, None, exit, streams)?;
            }
            streams.note("stopped before anything was written");
            return Ok(exit);
        };
        if present().since(self.made) > STALE {
            return Err(Error::input("carry out a plan")
                .cause("it is older than 5 minutes")
                .hint("run the command again"));
        }
        // The run that was waited for may have been killed.
        let unknown = earlier::settle(recorder, self.sources.connection()?, streams).await?;
        if self.undoes.map_or(!unknown.is_empty(), |id| unknown.contains(&id)) {
            streams.note(STILL_UNKNOWN);
            return Ok(Course { end: End::Unknown, ..plan }.exit());
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
            stop,
            bar: streams.bar(planned.plan.count() as u64, if self.undoes.is_some() { "put back" } else { "released" }),
        };
        let tally = carrier.run(&confirmed).await;
        let course = tally.course(refused);
        // What was written is told, whatever becomes of its record.
        let recorded = recorder.finish(course.word());
        // A reader who does not read must not hold up the next run.
        drop(turn);
        self.print(&planned, Some((release, &tally)), course.exit(), streams)?;
        recorded?;
        match tally.failed {
            Some(error) => Err(error),
            None => Ok(course.exit()),
        }
    }

    fn show<'p>(&self, planned: &'p Planned) -> Show<'p> {
        Show { plan: &planned.plan, notes: &planned.nothing, undoes: self.undoes, all: self.all }
    }

    fn print(
        &self,
        planned: &Planned,
        done: Option<(i64, &Tally)>,
        exit: Exit,
        streams: &Streams,
    ) -> Result<(), Error> {
        let show = self.show(planned);
        let mut text = Vec::new();
        let written = match (self.output, done) {
            (PlanOutput::Json, _) => json::indented(&show.document(done, exit), &mut text),
            (PlanOutput::Table, Some((release, tally))) => show.outcome(release, tally, &mut text),
            (PlanOutput::Table, None) => show.plan(&mut text),
        };
        written.map_err(|e| Error::own("print the plan").cause(e))?;
        streams.print(&text)
    }

    /// Yes by flag, or by a person at a terminal; without either there is no answer.
    fn ask(&self, planned: &Planned, streams: &Streams) -> Result<Option<Yes>, Error> {
        if self.yes {
            return Ok(Some(Yes::Flag));
        }
        let failed = |e: io::Error| Error::input("ask for an answer").cause(e);
        let verb = if self.undoes.is_some() { "Put back" } else { "Release" };
        let question = format!("{verb} {}? Only \"yes\" does it: ", show::subjects(&planned.plan));
        let answer = streams.ask(&question).map_err(failed)?;
        Ok((answer.as_deref() == Some("yes")).then_some(Yes::Person))
    }
}

/// Ctrl-C and SIGTERM finish the running transaction. From here on, not only once somebody looks: a signal that comes
/// before the first step stops the run as well.
fn stop_on_signal() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
            let Ok(mut signals) = signal(kind) else { continue };
            let flag = stop.clone();
            tokio::spawn(async move {
                signals.recv().await;
                flag.store(true, Ordering::SeqCst);
            });
        }
    }
    #[cfg(not(unix))]
    {
        let flag = stop.clone();
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                flag.store(true, Ordering::SeqCst);
            }
        });
    }
    stop
}
