//! A datastore that is another one now: its findings are nobody's any more, and one line tells of it.

use super::answer::open_words;
use super::clock::Clock;
use super::{ClusterReport, ReportView};
use crate::checks::evidence::shell;
use crate::model::{Foreign, Time};
use crate::render::number::audits;

/// The cluster that took its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replacement {
    /// Its datastore's GUID.
    pub guid: Foreign,
    /// Its first audit.
    pub since: Time,
}

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
    let day = std::time::Duration::from_secs(86_400);
    let second = |at: Time| Time(at.0.div_euclid(1_000_000_000).saturating_mul(1_000_000_000));
    let mut flags = vec![
        format!("--since {}", second(view.since.min(last.minus(day)))),
        format!("--until {last}"),
        format!("--cluster {}", shell(cluster.guid.raw())),
    ];
    flags.extend(view.db.clone());
    Some((says, format!("ipaudit report {}", flags.join(" ")).into()))
}
