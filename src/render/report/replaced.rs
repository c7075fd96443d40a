//! A datastore that is another one now: its findings are nobody's any more, and one line tells of it.

use super::answer::open_words;
use super::clock::Clock;
use super::{ClusterReport, ReportView, commands};
use crate::model::Foreign;
use crate::render::number::audits;

/// `Until 24 Nov 02:00 it was datastore 6f1c2a9e0000… (96 audits in this time; open then: 2 errors).`, and the command that
/// tells of it; `None`: it is the datastore still.
pub fn replaced(cluster: &ClusterReport, view: &ReportView, clock: Clock) -> Option<(String, Foreign)> {
    cluster.replaced_by.as_ref()?;
    let last = cluster.last_ever?;
    let open = open_words(cluster);
    let open = if open.is_empty() { String::new() } else { format!("; open then: {open}") };
    let called = match cluster.apart {
        true => "nobody could say of which Kubernetes cluster it is".to_owned(),
        false => format!("it was datastore {}", cluster.guid.short(12).shown()),
    };
    let says = format!("Until {} {called} ({} in this time{open}).", clock.at(last), audits(cluster.audits));
    Some((says, commands::until_then(&cluster.guid, last, view)))
}
