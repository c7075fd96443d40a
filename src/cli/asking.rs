//! What every question shares: one look at the sources or a capture, what the history knows, and what stands of the findings.

use std::path::Path;

use super::again;
use super::gather::{self, Sources};
use super::history_args::DbArgs;
use super::output::{self, Streams};
use super::source_args::SourceArgs;
use crate::checks::datastore::datastore_locked;
use crate::checks::{Outcome, World};
use crate::error::Error;
use crate::ledger::{Ledger, ScopeFlag};
use crate::model::foreign::foreign;
use crate::model::{Patch, Snapshot, Time};
use crate::source::capture::{self, Second};
use crate::steady::Settling;

/// What was read, by whichever way.
pub struct Read {
    pub snapshot: Snapshot,
    pub from: From,
    /// The second look failed.
    pub incomplete: bool,
}

/// Where from.
pub enum From {
    Sources(Sources),
    /// With its second look: a capture's findings were looked at as often as they ever will be.
    Capture(Second),
}

/// Reads everything once; `now` is `--now`.
///
/// # Errors
/// Usage and files that cannot be read; servers that cannot be reached are told by the coverage.
pub async fn read(
    capture: Option<&Path>,
    sources: &SourceArgs,
    now: Option<Time>,
    streams: &Streams,
) -> Result<Read, Error> {
    if let Some(file) = capture {
        let captured = capture::read(file)?;
        let mut snapshot = captured.first;
        snapshot.judge_at(now);
        return Ok(Read { snapshot, from: From::Capture(captured.second), incomplete: false });
    }
    of(Sources::open(sources, streams).await?, now, streams).await
}

/// What these sources have, read once; `now` is `--now`.
///
/// # Errors
/// As [`read`].
pub async fn of(sources: Sources, now: Option<Time>, streams: &Streams) -> Result<Read, Error> {
    let look = gather::first_look(&sources, streams, now, None).await?;
    look.warnings.iter().for_each(|w| streams.remark(w));
    Ok(Read { snapshot: look.snapshot, from: From::Sources(sources), incomplete: false })
}

/// How suspects are looked at again.
#[derive(Clone, Copy, Debug)]
pub struct LookAgain {
    pub scope: ScopeFlag,
    /// `--now`.
    pub now: Option<Time>,
    /// Whether it is worth the wait; a capture has its second look in it.
    pub waits: bool,
}

/// What stands of the findings, by the rules of an audit: an earlier audit or a second look saw it too. False
/// when somebody had to look again and could not.
pub async fn settle(
    read: &mut Read,
    outcome: Outcome,
    settling: &Settling<'_>,
    how: LookAgain,
    streams: &Streams,
) -> (Outcome, bool) {
    let snapshot = &mut read.snapshot;
    let suspected = settling.checks(&outcome);
    let confirm = |outcome: Outcome, snapshot: &mut Snapshot, patch: &mut Patch| {
        let again = again::judge(snapshot, patch, &suspected, how.scope, settling.past);
        let mut stands = settling.confirm(outcome, &again);
        if let Some(told) = again::take_lock(snapshot, patch) {
            streams.warn(told);
            let ledger = Ledger::build(snapshot, how.scope, settling.past);
            let world = World { snapshot, ledger: &ledger, past: settling.past };
            datastore_locked::put_first(&world, &mut stands.findings);
        }
        (stands, true)
    };
    match &mut read.from {
        _ if settling.settle.is_zero() => (settling.unconfirmed(outcome), true),
        From::Capture(Second::None) => (outcome, true),
        From::Capture(Second::Failed(_)) => (settling.unconfirmed(outcome), false),
        From::Capture(Second::Seen(patch)) => {
            patch.other.now = how.now.unwrap_or(patch.other.now);
            confirm(outcome, snapshot, patch)
        }
        From::Sources(_) if !how.waits => (settling.unconfirmed(outcome), true),
        From::Sources(sources) => {
            let look = settling.second_look(&outcome);
            let title = format!("looking again in {}s (--settle 0: at once), suspects:", settling.settle.as_secs());
            let spinner = streams.spinner(&title);
            spinner.set_position(look.size() as u64);
            tokio::time::sleep(settling.settle).await;
            let seen = again::second_look(sources, snapshot, look, how.now, None).await;
            spinner.finish_and_clear();
            match seen {
                Ok(mut patch) => confirm(outcome, snapshot, &mut patch),
                Err(error) => {
                    let mut remark = output::as_remark(&error);
                    let failed = "the second look failed, what one look found stays unconfirmed";
                    remark.message = foreign!("{failed}: {}", remark.message);
                    streams.remark(&remark);
                    (settling.unconfirmed(outcome), false)
                }
            }
        }
    }
}

/// Whether there is a history to ask: a question does not make one, and for a capture it is asked only when named.
pub fn has_history(db: &DbArgs, no_history: bool, capture: Option<&Path>, streams: &Streams) -> bool {
    if no_history || (capture.is_some() && db.db.is_none()) {
        return false;
    }
    match db.path() {
        Ok(path) if db.db.is_none() && !Path::new(&path).exists() => {
            streams.verbose("no history yet");
            false
        }
        Ok(_) => true,
        // Nobody asked for one, and there is no place where it could be.
        Err(_) => false,
    }
}

/// A history that fails keeps the rest of the answer from nobody.
pub fn tell<T>(asked: Result<T, Error>, failed: &mut bool) -> Option<T> {
    asked.inspect_err(|error| output::tell(error, None)).map_err(|_| *failed = true).ok()
}
