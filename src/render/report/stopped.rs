//! What stops the whole cluster, however old it is and however mild it is called: said before all that began and ended.

use super::ClusterReport;
use super::clock::Clock;
use super::first::{Statement, Telling};
use crate::checks;
use crate::model::Severity;
use crate::model::row::{Ending, Episode};

/// Whether it is open and stops everything: then it has a sentence of its own.
pub fn is_stopping(line: &Episode) -> bool {
    line.ended.is_none() && checks::stops_everything(line.finding.code)
}

/// `Datastore locked since 24 Nov 02:15 (IPA902): datastoreReady is false: no pod can start or stop.`, one each.
pub fn stopped(cluster: &ClusterReport, clock: Clock, telling: &Telling<'_>) -> Vec<Statement> {
    let says = |line: &Episode| {
        let finding = &line.finding;
        let name = checks::name(finding.code).replace('-', " ");
        let (first, rest) = name.split_at(name.chars().next().map_or(0, char::len_utf8));
        let since = match cluster.is_found_at_first(line) {
            true => format!("since {} at the least", clock.at(line.opened.at)),
            false => format!("since {}", clock.at(line.opened.at)),
        };
        let unseen = match line.ending {
            Ending::InputMissing => " (not looked at by the last audit)",
            _ => "",
        };
        let summary = (telling.foreign)(&finding.summary);
        let text = format!("{}{rest} {since} ({}){unseen}: {summary}.", first.to_uppercase(), finding.code);
        Statement { text, worst: Some(Severity::Critical) }
    };
    cluster.open().filter(|line| is_stopping(line)).map(says).collect()
}
