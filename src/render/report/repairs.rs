//! What gives back what is open: leaks as leaks, whatever explains them, and many orphaned handles by one command.
//!
//! The history cannot judge the gates of a release. It says what three audits have seen, and the release looks again itself.

use std::time::Duration;

use super::{ClusterReport, ReportView};
use crate::checks::{self, Check};
use crate::model::Foreign;
use crate::model::row::{Ending, Episode};
use crate::plan::rules::{AUDITS, OVER};
use crate::render::number::plural;
use crate::render::releases::{older_than, release_by_code};

/// One repair of a report that ends now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Repair {
    /// `10 leaked addresses are open: a release looks again itself, and leaves what it cannot prove.`
    pub says: String,
    pub command: Foreign,
}

/// What can be released of what is open, a code each.
pub fn repairs(cluster: &ClusterReport, view: &ReportView) -> Vec<Repair> {
    // Of what was so once, or that nobody could look at, nothing is to be released.
    if view.until < view.now || cluster.blind().is_some() {
        return Vec::new();
    }
    checks::ALL.iter().filter_map(|check| repair(check, cluster, view)).collect()
}

fn repair(check: &Check, cluster: &ClusterReport, view: &ReportView) -> Option<Repair> {
    let ties = Some(check.ties).filter(|ties| ties.releasable)?;
    let open: Vec<&Episode> = cluster.open().filter(|line| line.finding.code == check.code).collect();
    let known_for = open.iter().filter_map(|line| known_for(line)).max()?;
    let (one, many) = if ties.proves_leak {
        ("leaked address is", "leaked addresses are")
    } else {
        ("orphaned handle is", "orphaned handles are")
    };
    let explained = open.iter().filter(|line| line.finding.root.is_some()).count();
    let number = open.len();
    let which = match explained {
        0 => String::new(),
        all if all == number => " (told with what explains them)".to_owned(),
        some => format!(" ({some} of them told with what explains them)"),
    };
    let says = format!(
        "{} open{which}: this release looks again itself, and leaves what it cannot prove.",
        plural(number as u64, one, many)
    );
    let mut command = release_by_code(check.code, older_than(known_for));
    let is_place = |flag: &&String| ["--node ", "--namespace ", "--pool "].iter().any(|place| flag.starts_with(place));
    for flag in view.narrowed_by.iter().filter(is_place).chain(&view.db) {
        command.push(' ');
        command.push_str(flag);
    }
    Some(Repair { says, command: command.into() })
}

/// How long audits have seen it, where they are enough for a release (rule 4).
fn known_for(line: &Episode) -> Option<Duration> {
    let known_for = line.last_seen.at.since(line.opened.at);
    let is_known = line.ending == Ending::Open && line.audits_seen >= u64::from(AUDITS) && known_for >= OVER;
    is_known.then_some(known_for)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{line, report, seen};
    use super::*;
    use crate::model::{Code, Root, Severity};

    /// Leaks that another finding explains are leaks, and what gives them back is said.
    #[test]
    fn leaks_are_named_with_their_release_whatever_explains_them() {
        let mut view = report();
        view.until = view.now;
        view.clusters[0].new.clear();
        view.clusters[0].came_back.clear();
        let mut folded = line(110, Severity::Error, "10.0.0.9");
        folded.finding.root = Some(Root { code: Code(501), id: "shop/x".into() });
        view.clusters[0].ongoing = vec![folded.clone(), line(501, Severity::Error, "shop/x")];
        let told = |view: &ReportView| repairs(&view.clusters[0], view);
        let says = "1 leaked address is open (told with what explains them): this release looks again itself, and leaves what it \
                    cannot prove.";
        assert_eq!(
            told(&view),
            [Repair { says: says.to_owned(), command: "ipaudit release --code IPA110 --older-than 1h".into() }]
        );
        view.narrowed_by = vec!["--node node-1".to_owned(), "--code IPA501".to_owned()];
        view.db = Some("--db 'a b'".to_owned());
        let command = "ipaudit release --code IPA110 --older-than 1h --node node-1 --db 'a b'";
        assert_eq!(told(&view)[0].command, command);
        // Two audits are too few, and a report of yesterday repairs nothing.
        view.clusters[0].ongoing[0].audits_seen = 2;
        assert!(told(&view).is_empty());
        view.clusters[0].ongoing[0] = folded;
        view.until = seen(5).at;
        view.now = seen(9).at;
        assert!(told(&view).is_empty());
    }

    #[test]
    fn many_orphaned_handles_are_one_release() {
        let mut view = report();
        view.until = view.now;
        view.clusters[0].new = (0..60).map(|i| line(201, Severity::Warning, &format!("net.{i}"))).collect();
        view.clusters[0].came_back.clear();
        let told = repairs(&view.clusters[0], &view);
        assert_eq!((told.len(), told[0].command.raw()), (1, "ipaudit release --code IPA201 --older-than 1h"));
        assert!(told[0].says.starts_with("60 orphaned handles are open: "), "{told:?}");
    }
}
