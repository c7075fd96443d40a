//! Since when audits see nothing, or not everything: what they do not find is no all-clear.

use super::ClusterReport;
use super::clock::Clock;
use super::first::{Statement, Telling};
use crate::model::Severity;
use crate::render::number::audits;

/// `BLIND since 24 Nov 02:15 (12 audits): pods, nodes: Unauthorized.`; `None` where the last audit saw everything, or failed:
/// that is said in other words.
pub fn blind(cluster: &ClusterReport, clock: Clock, telling: &Telling<'_>) -> Option<Statement> {
    let span = cluster.blind_span.as_ref().filter(|_| cluster.is_partly())?;
    let number = match span.from_the_first {
        true if span.audits == 1 => "the only audit".to_owned(),
        true => format!("all {}", audits(span.audits)),
        false => audits(span.audits),
    };
    let text = format!("BLIND since {} ({number}): {}.", clock.at(span.since), (telling.foreign)(&span.why));
    Some(Statement { text, worst: Some(Severity::Error) })
}
