//! Earlier runs: what was under way when one was killed. Found out by reading, before anything else is done.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::record::{Recorder, changes};
use crate::apply::{self, Settled};
use crate::cli::gather::Sources;
use crate::cli::output::Streams;
use crate::cli::signal::Stop;
use crate::error::Error;
use crate::exit::Conclusion;
use crate::history::turn::Turn;
use crate::model::release::StepOutcome;
use crate::plan::outcome;

pub const STILL_UNKNOWN: &str =
    "an earlier release is still unknown: nothing more is released before that is cleared up";

const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Settles what earlier runs left open; the releases of which it is still unknown. What a run that is still alive has
/// under way is its own.
///
/// # Errors
/// A history or a datastore that cannot be read: then nothing may be released.
pub async fn settle_when_free(
    db: &Path,
    recorder: &mut Recorder,
    sources: &Sources,
    streams: &Streams,
) -> Result<Vec<i64>, Error> {
    // Where nothing is open, a plan needs no turn, and leaves no file of its lock behind.
    if recorder.unsettled()?.is_empty() {
        return Ok(Vec::new());
    }
    let Some(_turn) = Turn::take(db)? else { return Ok(Vec::new()) };
    settle(recorder, sources, streams).await
}

/// Waits for the turn, `patience` at most; `None` when the run is stopped meanwhile.
///
/// # Errors
/// As [`Turn::take`], and when the other run takes longer.
pub async fn wait_for_turn(
    db: &Path,
    patience: Duration,
    stop: &Stop,
    streams: &Streams,
) -> Result<Option<Turn>, Error> {
    let until = Instant::now() + patience;
    let mut told = false;
    loop {
        if let Some(turn) = Turn::take(db)? {
            return Ok(Some(turn));
        }
        if stop.is_wanted() {
            return Ok(None);
        }
        if !told {
            streams.note("another release over this history is writing: waiting for its end");
            told = true;
        }
        if Instant::now() >= until {
            return Err(Error::input("carry out a plan")
                .cause("another release over this history is still writing")
                .hint("nothing was written; run the command again when the other one is through (--db-wait)"));
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// Finds out what became of transactions whose outcome nobody recorded; says so. The releases of which it is still
/// unknown. Whoever asks has the turn.
///
/// # Errors
/// A history or a datastore that cannot be read: then nothing may be released.
pub async fn settle(recorder: &mut Recorder, sources: &Sources, streams: &Streams) -> Result<Vec<i64>, Error> {
    let mut unknown = Vec::new();
    for release in recorder.unsettled()? {
        streams.note(&format!("release {} was under way when it stopped: looking what became of it", release.id));
        let mut open = false;
        let mut applied = release.done().count();
        for step in release.steps.iter().filter(|s| s.outcome.is_none()) {
            let names: Vec<_> = step.intent.subjects.iter().map(|(_, s)| s.shown()).take(3).collect();
            let names = names.join(", ");
            match apply::settle(sources.connection()?, &changes(step)).await? {
                Settled::Done { revision } => {
                    streams.note(&format!("  {names}: it was done"));
                    recorder.settle(step.id, StepOutcome::Applied, revision, "")?;
                    applied += 1;
                }
                Settled::NotDone => {
                    streams.note(&format!("  {names}: nothing was written"));
                    recorder.settle(step.id, StepOutcome::NotApplied, 0, "")?;
                }
                Settled::Unknown(why) => {
                    streams.warn(&format!("  {names}: still unknown: {why}"));
                    open = true;
                }
            }
        }
        match open {
            true => unknown.push(release.id),
            false if release.outcome.as_ref().is_none_or(|outcome| outcome.known() == Some(Conclusion::Unknown)) => {
                recorder.finish(release.id, ended(release.plan.raw(), applied))?;
            }
            false => {}
        }
    }
    Ok(unknown)
}

/// What a run came to that never said it, by the plan that it had recorded and by how many of its transactions were done.
fn ended(plan: &str, applied: usize) -> Conclusion {
    let plan: Value = serde_json::from_str(plan).unwrap_or_default();
    let number = |field: &str| plan.get(field).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
    outcome::of_killed(number("steps").unwrap_or(usize::MAX), applied, number("refused").unwrap_or(0) > 0)
}
