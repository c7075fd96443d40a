//! Earlier runs: what was under way when one was killed, and the list of all.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::record::{Recorder, StepOutcome, changes};
use crate::apply::{self, Settled};
use crate::cli::output::Streams;
use crate::connect::etcd::Connection;
use crate::error::Error;
use crate::history::release::{ReleaseRow, StepOutcome as Word};
use crate::plan::outcome::{self, Word as Ended};
use crate::render::escape::escape;

/// Finds out, by reading, what became of transactions whose outcome nobody recorded; says so. Returns the releases of
/// which it is still unknown.
///
/// # Errors
/// A history or a datastore that cannot be read: then nothing may be released.
pub async fn settle(recorder: &mut Recorder, connection: &Connection, streams: &Streams) -> Result<Vec<i64>, Error> {
    let mut unknown = Vec::new();
    for release in recorder.unsettled()? {
        streams.note(&format!("release {} was under way when it stopped: looking what became of it", release.id));
        let mut open = false;
        let mut applied = applied(&release);
        for step in release.steps.iter().filter(|s| s.outcome.is_none()) {
            let names: Vec<&str> = step.intent.subjects.iter().map(|(_, s)| s.as_str()).take(3).collect();
            let names = names.join(", ");
            match apply::settle(connection, &changes(step)).await? {
                Settled::Done { revision } => {
                    streams.note(&format!("  {names}: it was done"));
                    recorder.settle(step.id, StepOutcome::Applied { revision })?;
                    applied += 1;
                }
                Settled::NotDone => {
                    streams.note(&format!("  {names}: nothing was written"));
                    recorder.settle(step.id, StepOutcome::NotApplied)?;
                }
                Settled::Unknown(why) => {
                    streams.note(&format!("  {names}: still unknown: {why}"));
                    open = true;
                }
            }
        }
        match open {
            true => unknown.push(release.id),
            false if release.outcome.as_deref().is_none_or(|o| o == "unknown") => {
                recorder.finish_that(release.id, ended(&release.plan, applied))?;
            }
            false => {}
        }
    }
    Ok(unknown)
}

/// What a run came to that never said it, by the plan that it had recorded and by how many of its transactions were done.
fn ended(plan: &str, applied: usize) -> Ended {
    let plan: Value = serde_json::from_str(plan).unwrap_or_default();
    let number = |field: &str| plan.get(field).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
    outcome::of_killed(number("steps").unwrap_or(usize::MAX), applied, number("refused").unwrap_or(0) > 0)
}

fn applied(release: &ReleaseRow) -> usize {
    release.steps.iter().filter(|s| s.outcome == Some(Word::Applied)).count()
}

fn subjects(release: &ReleaseRow) -> usize {
    let done = release.steps.iter().filter(|s| s.outcome == Some(Word::Applied));
    done.map(|s| s.intent.subjects.len()).sum()
}

/// The list of past releases as a table.
///
/// # Errors
/// As the writer's.
pub fn table(releases: &[ReleaseRow], out: &mut dyn Write) -> io::Result<()> {
    if releases.is_empty() {
        return writeln!(out, "no release is recorded");
    }
    writeln!(out, "{:>6}  {:<30}  {:<8}  {:>12}  {:>8}  WHAT", "ID", "STARTED", "OUTCOME", "TRANSACTIONS", "SUBJECTS")?;
    for release in releases {
        let outcome = release.outcome.as_deref().unwrap_or("open");
        let first = release.steps.iter().flat_map(|s| &s.intent.subjects).map(|(_, s)| s.as_str()).next();
        let what = match release.undoes {
            Some(id) => format!("undo of {id}"),
            None => first.unwrap_or_default().to_owned(),
        };
        let started = release.started.to_rfc3339();
        let (id, done, many) = (release.id, applied(release), subjects(release));
        writeln!(out, "{id:>6}  {started:<30}  {outcome:<8}  {done:>12}  {many:>8}  {}", escape(&what))?;
    }
    Ok(())
}

/// The same for scripts.
pub fn document(releases: &[ReleaseRow]) -> Value {
    let of = |r: &ReleaseRow| {
        let subjects: Vec<Value> = r
            .steps
            .iter()
            .flat_map(|s| s.intent.subjects.iter().map(move |(kind, subject)| (kind, subject, s.outcome)))
            .map(|(kind, subject, o)| json!({"kind": kind.word(), "id": subject, "outcome": o.map(Word::word)}))
            .collect();
        json!({
            "id": r.id,
            "undoes": r.undoes,
            "started": r.started,
            "finished": r.finished,
            "outcome": r.outcome.as_deref().unwrap_or("open"),
            "transactions": applied(r),
            "subjects": subjects,
        })
    };
    json!({"schema": "ipaudit/releases/v1", "releases": releases.iter().map(of).collect::<Vec<_>>()})
}
