//! From a plan to its end: show, ask, wait for the turn, carry out, record, tell. For releases and undos alike.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::args::With;
use super::carry::Carrier;
use crate::cli::gather::{Sources, present};
use crate::cli::journal::earlier::{self, STILL_UNKNOWN};
use crate::cli::journal::record::Recorder;
use crate::cli::output::{PlainOutput, Streams};
use crate::cli::signal::Stop;
use crate::error::Error;
use crate::exit::{Conclusion, Exit};
use crate::model::Time;
use crate::model::snapshot::EtcdFacts;
use crate::plan::confirm::{Plan, Yes};
use crate::plan::outcome::RunOutcome;
use crate::render::json;
use crate::render::release::document::document;
use crate::render::release::plan::{Show, subjects};

/// A plan that is older than this when it is confirmed is made anew.
const STALE: Duration = Duration::from_secs(5 * 60);

/// One run of `release` or `undo`.
pub struct Session<'a> {
    pub sources: &'a Sources,
    /// The history's file.
    pub db: &'a Path,
    /// Of the looks on which the plan rests.
    pub etcd: &'a EtcdFacts,
    pub with: &'a With,
    pub yes: bool,
    pub rate: Option<f64>,
    pub undoes: Option<i64>,
    /// Who asked, with which flags.
    pub asked: serde_json::Value,
    /// When the plan was begun.
    pub made: Time,
}

impl Session<'_> {
    /// # Errors
    /// Failures of the tool, of etcd or the history.
    pub async fn finish(mut self, plan: Plan, recorder: &mut Recorder, streams: &Streams) -> Result<Exit, Error> {
        let dry = plan.ended().exit();
        let for_people = self.with.how.output == PlainOutput::Table;
        if for_people || plan.steps.is_empty() {
            self.print(&plan, None, dry, streams)?;
        }
        if plan.steps.is_empty() {
            return Ok(dry);
        }
        let Some(confirmed) = plan.clone().confirm(self.ask(&plan, streams)?) else {
            match for_people {
                true => streams.note("nothing was written: --yes does it"),
                false => self.print(&plan, None, dry, streams)?,
            }
            return Ok(dry);
        };
        recorder.make()?;
        let patience = self.with.db.turn_patience(STALE).min(STALE.saturating_sub(present().since(self.made)));
        let stop = Stop::on_signal("stopping: a transaction that runs is finished, and none is begun", *streams);
        let Some(turn) = earlier::wait_for_turn(self.db, patience, &stop, streams).await? else {
            let exit = Conclusion::Stopped.exit();
            if !for_people {
                self.print(&plan, None, exit, streams)?;
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
        let unknown = earlier::settle(recorder, self.sources, streams).await?;
        if self.undoes.map_or(!unknown.is_empty(), |id| unknown.contains(&id)) {
            streams.warn(STILL_UNKNOWN);
            return Ok(Conclusion::Unknown.exit());
        }
        self.asked["confirmed_by"] = match confirmed.by() {
            Yes::Person => "person".into(),
            Yes::Flag => "flag".into(),
        };
        let (steps, refused) = (plan.steps.len(), plan.refusals.len());
        let summary = serde_json::json!({"steps": steps, "subjects": plan.count(), "refused": refused});
        let release = recorder.begin(&self.asked.to_string(), &summary.to_string(), self.undoes)?;
        let mut carrier = Carrier {
            connection: self.sources.connection()?,
            api: self.sources.kube_api(),
            recorder,
            etcd: self.etcd,
            rate: self.rate,
            stop,
            bar: streams.bar(plan.count() as u64, if self.undoes.is_some() { "put back" } else { "released" }),
        };
        let (outcome, failure) = carrier.run(&confirmed).await;
        let ended = outcome.ended(&plan);
        // What was written is told, whatever becomes of its record.
        let recorded = recorder.finish(release, ended);
        // A reader who does not read must not hold up the next run.
        drop(turn);
        self.print(&plan, Some((release, &outcome)), ended.exit(), streams)?;
        recorded?;
        failure.map_or(Ok(ended.exit()), Err)
    }

    /// Shows the plan, and does nothing; `aside`: to standard error, since something else has the other stream.
    ///
    /// # Errors
    /// As for any output.
    pub fn show(&self, plan: &Plan, aside: bool, streams: &Streams) -> Result<Exit, Error> {
        let dry = plan.ended().exit();
        let text = self.written(plan, None, dry, streams)?;
        match aside {
            true => String::from_utf8_lossy(&text).lines().for_each(|line| streams.note(line)),
            false => streams.print(&text)?,
        }
        Ok(dry)
    }

    fn print(&self, plan: &Plan, done: Option<(i64, &RunOutcome)>, exit: Exit, streams: &Streams) -> Result<(), Error> {
        streams.print(&self.written(plan, done, exit, streams)?)
    }

    fn written(
        &self,
        plan: &Plan,
        done: Option<(i64, &RunOutcome)>,
        exit: Exit,
        streams: &Streams,
    ) -> Result<Vec<u8>, Error> {
        let show = Show { plan, undoes: self.undoes, all: self.with.all, now: self.made, width: streams.width };
        let mut text = Vec::new();
        let written = match (self.with.how.output, done) {
            (PlainOutput::Json, _) => json::indented(&document(&show, done, exit), &mut text),
            (PlainOutput::Table, Some((release, outcome))) => show.outcome(release, outcome, &mut text),
            (PlainOutput::Table, None) => show.plan(&mut text),
        };
        written.map_err(|e| Error::own("print the plan").cause(e))?;
        Ok(text)
    }

    /// Yes by flag, or by a person at a terminal; without either there is no answer.
    fn ask(&self, plan: &Plan, streams: &Streams) -> Result<Option<Yes>, Error> {
        if self.yes {
            return Ok(Some(Yes::Flag));
        }
        let failed = |e: io::Error| Error::input("ask for an answer").cause(e);
        let verb = if self.undoes.is_some() { "Put back" } else { "Release" };
        let question = format!("{verb} {}? Only \"yes\" does it: ", subjects(plan));
        let answer = streams.ask(&question).map_err(failed)?;
        Ok((answer.as_deref() == Some("yes")).then_some(Yes::Person))
    }
}
