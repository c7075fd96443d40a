//! Where the audits themselves leave doubt, in one place and in the order of time: nobody looked, one failed, one could
//! not read everything, etcd went back to an older state.

use super::ClusterReport;
use super::clock::Clock;
use super::first::Telling;
use crate::checks::datastore::datastore_went_back;
use crate::model::Time;
use crate::render::age::span;
use crate::render::number::{audits, grouped};

/// One of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnseenSpan {
    from: Time,
    to: Time,
    pub says: String,
}

impl UnseenSpan {
    /// When it was.
    pub fn when(&self, clock: Clock) -> String {
        clock.span(self.from, self.to)
    }
}

/// All of them by time; audits one after another that say the same of themselves are one. `telling`: how the format tells
/// what others wrote.
pub fn doubts(cluster: &ClusterReport, telling: &Telling<'_>) -> Vec<UnseenSpan> {
    let mut all = Vec::new();
    for back in &cluster.restores {
        let (before, after) = back.revisions;
        // Of another etcd, or after later writes, they say nothing.
        let by = match after < before {
            true => format!("; revision {} before, {} after", grouped(before), grouped(after)),
            false => String::new(),
        };
        let says = format!("etcd went back to an older state ({}{by})", datastore_went_back::CHECK.code);
        all.push(UnseenSpan { from: back.before.at, to: back.after.at, says });
    }
    for &(from, to) in &cluster.gaps {
        let says = match cluster.begins == Some(to) {
            true => format!("nobody looked before {}: the history begins there", (telling.when)(to)),
            false => format!("nobody looked for {}", span(to.since(from))),
        };
        all.push(UnseenSpan { from, to, says });
    }
    for same in cluster.failed.chunk_by(|a, b| a.why == b.why) {
        let (Some(first), Some(last)) = (same.first(), same.last()) else { continue };
        let says = format!("{} failed: {}", audits(same.len() as u64), (telling.foreign)(&last.why));
        all.push(UnseenSpan { from: first.at, to: last.at, says });
    }
    for same in cluster.incomplete.chunk_by(|a, b| a.why == b.why) {
        let (Some(first), Some(last)) = (same.first(), same.last()) else { continue };
        let says = format!("{} incomplete: {}", audits(same.len() as u64), (telling.foreign)(&last.why));
        all.push(UnseenSpan { from: first.at, to: last.at, says });
    }
    all.sort_by_key(|doubt| doubt.from);
    all
}
