//! How long findings have been there and how they ended, in words.

use super::ClusterReport;
use super::clock::Clock;
use crate::model::row::{Ending, Episode};
use crate::model::{Foreign, SubjectKind, Time};
use crate::render::age::age;
use crate::render::number::{audits, grouped, ordinal};
use crate::render::places::ByNode;
use crate::render::table::{counted, counted_on};

/// `since 02:49, 33 audits, 2nd time; gone by 13:15 (after 10h)`.
pub fn life(line: &Episode, cluster: &ClusterReport, clock: Clock) -> String {
    let since = format!("since {}, {}", clock.at(line.opened.at), audits(line.audits_seen));
    let again = if line.number > 1 { format!(", {} time", ordinal(line.number)) } else { String::new() };
    let end = match line.ended {
        Some(seen) => {
            let release = match line.ending {
                Ending::Released(Some(id)) => format!(" (release {id})"),
                _ => String::new(),
            };
            let after = age(seen.at.since(line.opened.at));
            format!("; {}{release} by {} (after {after})", how(line, cluster), clock.at(seen.at))
        }
        None if line.ending == Ending::InputMissing => format!("; last seen {}", clock.at(line.last_seen.at)),
        None => String::new(),
    };
    format!("{since}{again}{end}")
}

/// Another version's word may be anything, so it is not told.
fn how(line: &Episode, cluster: &ClusterReport) -> String {
    let word = match line.ending {
        Ending::Resolved => match cluster.became(line) {
            Some(code) => return format!("became {code}"),
            None => "gone",
        },
        Ending::Released(_) => "released by us",
        Ending::RuleChanged => "judged otherwise now",
        Ending::Open | Ending::InputMissing | Ending::Other(_) => "ended otherwise",
    };
    word.to_owned()
}

/// When the oldest of them began.
pub fn oldest(lines: &[&Episode]) -> Time {
    lines.iter().map(|line| line.opened.at).min().unwrap_or_default()
}

/// `60 gone, 3 released by us, 24 Nov 02:15 to 03:00`, of what has ended.
pub fn ends(lines: &[&Episode], cluster: &ClusterReport, clock: Clock) -> String {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for line in lines.iter().filter(|line| line.ended.is_some()) {
        let word = how(line, cluster);
        match counts.iter_mut().find(|(known, _)| *known == word) {
            Some((_, number)) => *number += 1,
            None => counts.push((word, 1)),
        }
    }
    let mut says: Vec<String> =
        counts.iter().map(|(word, number)| format!("{} {word}", grouped(*number as u64))).collect();
    let times = || lines.iter().filter_map(|line| line.ended).map(|seen| seen.at);
    says.extend(times().min().zip(times().max()).map(|(first, last)| clock.span(first, last)));
    says.join(", ")
}

/// `63 addresses on 4 nodes, 60 of them on slave-96`; `node`: how a node's name is told.
pub fn title(lines: &[&Episode], node: &dyn Fn(&Foreign) -> String) -> String {
    let number = lines.len();
    match lines.first().and_then(|line| line.finding.kind.known()) {
        None => format!("{} findings", grouped(number as u64)),
        Some(SubjectKind::Node) => counted(number, SubjectKind::Node),
        Some(kind) => {
            let places = ByNode::among(lines.iter().map(|line| line.finding.node.as_ref()));
            counted_on(number, kind, &places.on_as(node))
        }
    }
}
