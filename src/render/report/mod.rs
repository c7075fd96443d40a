//! What a report says, from the history alone: new, ongoing, came back, ended; and whether the audits themselves
//! can be trusted (gaps, incomplete ones). Plain values; the command line fills them from the history's answers.
//!
//! A report of a time that is over says what was so at its end: what ended later was open then.

mod answer;
mod blindness;
mod clock;
mod commands;
mod doubts;
mod ended;
pub mod first;
pub mod json;
mod lives;
pub mod markdown;
mod pools;
pub mod release_facts;
mod repairs;
mod replaced;
mod returned;
mod sections;
mod stopped;
mod sums;
pub mod table;
#[cfg(test)]
pub mod testing;
mod trends;

use std::collections::HashSet;

use super::unknown::UnknownName;
use crate::checks::natural;
use crate::exit::{Course, Exit, FailOn, decide};
use crate::model::row::{Ending, Episode, FailedAudit, Reboot, Restore};
use crate::model::{Code, Foreign, Time};

pub use ended::{AuditLook, BlindSpan, Replacement};
pub use release_facts::ReleaseFacts;
pub use sums::{Leaks, NodeLeaks, PoolTrend, sparkline};

/// A whole report.
#[derive(Clone, Debug)]
pub struct ReportView {
    pub since: Time,
    pub until: Time,
    pub now: Time,
    /// One each that the file knows and the flags left: the one that was audited last before the others, behind all of them
    /// those that another one replaced.
    pub clusters: Vec<ClusterReport>,
    /// Audits within the window that saw nothing of the datastore, and of which nobody can say the cluster; oldest first.
    pub failed: Vec<FailedAudit>,
    /// The flags that narrow it, as people would type them.
    pub narrowed_by: Vec<String>,
    /// The flag that names the history's file, where one was given: commands that are shown have it too.
    pub db: Option<String>,
    pub exit: Exit,
}

/// One datastore together with one Kubernetes cluster.
#[derive(Clone, Debug, Default)]
pub struct ClusterReport {
    pub guid: Foreign,
    pub kubernetes_uids: Vec<Foreign>,
    /// Audits of which nobody could say the Kubernetes cluster.
    pub apart: bool,
    /// Where the window begins.
    pub since: Time,
    /// Audits within the window.
    pub audits: u64,
    /// The first and the last of them.
    pub first_audit: Option<Time>,
    pub last_audit: Option<Time>,
    /// The last audit until the end of the window, be it within or before it.
    pub last_ever: Option<Time>,
    /// Another datastore has taken its place: nobody will audit it again, and what is open in it is not open.
    pub replaced_by: Option<Replacement>,
    /// Since when nobody sees everything, at the end of the window.
    pub blind_span: Option<BlindSpan>,
    pub incomplete: Vec<IncompleteAudit>,
    /// Audits within the window that saw nothing of the datastore, which are not among `audits`; oldest first.
    pub failed: Vec<FailedAudit>,
    /// Names that it is narrowed to and that no audit has seen.
    pub unknown: Vec<UnknownName>,
    /// Stretches without an audit that are longer than the usual distance between two.
    pub gaps: Vec<(Time, Time)>,
    /// The first audit or attempt of the whole history, where one of the gaps lies before it.
    pub begins: Option<Time>,
    /// Where etcd went back to an older state within the window.
    pub restores: Vec<Restore>,
    /// Those (by [`Episode::id`]) that were there when somebody could look for the first time: nobody knows since when,
    /// and they did not begin in the window.
    pub found_at_first: HashSet<i64>,
    /// Those (by [`Episode::id`]) that belong to another node, namespace or pool than the one it is narrowed to, and whose
    /// evidence names it: no release of that place takes them.
    pub of_others: HashSet<i64>,
    pub new: Vec<Episode>,
    pub ongoing: Vec<Episode>,
    pub came_back: Vec<Episode>,
    /// Open, as far as anybody knows: the last audit could not look.
    pub not_looked_at: Vec<Episode>,
    pub ended: Vec<Episode>,
    pub leaks: Leaks,
    pub reboots: Vec<Reboot>,
    /// Whether it is of a part of the cluster alone: by code, severity or place.
    pub narrowed: bool,
    /// What is known of whether a release would be let through.
    pub release: ReleaseFacts,
    pub pools: Vec<PoolTrend>,
}

/// An audit in which something could not be read.
#[derive(Clone, Debug)]
pub struct IncompleteAudit {
    pub id: i64,
    pub at: Time,
    pub why: Foreign,
}

impl ReportView {
    /// Whether the last word of a cluster may be a failed audit of which nobody can say the cluster.
    pub fn is_blind(&self) -> bool {
        is_blind(&self.clusters, &self.failed)
    }
}

fn is_blind(clusters: &[ClusterReport], failed: &[FailedAudit]) -> bool {
    let is_later = |at: Time| {
        clusters.iter().filter(|c| c.replaced_by.is_none()).any(|c| c.last_audit.is_none_or(|last| last < at))
    };
    failed.last().is_some_and(|last| clusters.is_empty() || is_later(last.at))
}

impl ClusterReport {
    /// Puts a finding where it belongs in a report from `since` to `until`.
    pub fn file(&mut self, mut line: Episode, since: Time, until: Time) {
        if line.ended.is_some_and(|e| e.at > until) {
            (line.ended, line.ending) = (None, Ending::Open);
        }
        let list = if line.ended.is_some() {
            &mut self.ended
        } else if line.ending == Ending::InputMissing {
            &mut self.not_looked_at
        } else if line.opened.at < since {
            &mut self.ongoing
        } else if line.number > 1 {
            &mut self.came_back
        } else {
            &mut self.new
        };
        list.push(line);
    }

    /// Everything that is open at the end of the window.
    pub fn open(&self) -> impl Iterator<Item = &Episode> {
        self.not_ended().filter(|line| !self.release.is_given_back(line))
    }

    /// What a release has given back since the last audit: no audit has ended it yet, and it is open no more.
    pub fn given_back(&self) -> impl Iterator<Item = &Episode> {
        self.not_ended().filter(|line| self.release.is_given_back(line))
    }

    /// Everything that no audit has ended.
    fn not_ended(&self) -> impl Iterator<Item = &Episode> {
        [&self.new, &self.came_back, &self.ongoing, &self.not_looked_at].into_iter().flatten()
    }

    /// The failed audit after which none could look any more.
    pub fn blind(&self) -> Option<&FailedAudit> {
        self.failed.last().filter(|failed| self.last_audit.is_none_or(|last| last < failed.at))
    }

    /// Whether the last audit could not read everything.
    pub fn is_partly(&self) -> bool {
        self.incomplete.last().is_some_and(|i| Some(i.at) == self.last_audit)
    }

    /// The lists with the words that head them in JSON, what needs eyes first.
    pub fn sections(&self) -> [(&'static str, &[Episode]); 5] {
        [
            ("new", &self.new),
            ("came back", &self.came_back),
            ("ongoing", &self.ongoing),
            ("not looked at", &self.not_looked_at),
            ("ended", &self.ended),
        ]
    }

    /// Whether it was there when somebody could look for the first time.
    pub fn is_found_at_first(&self, line: &Episode) -> bool {
        self.found_at_first.contains(&line.id)
    }

    /// What a finding that ended became: one of the same thing and no milder, which began while it was there or when it went,
    /// and outlived it. It was no cure.
    pub fn became(&self, line: &Episode) -> Option<Code> {
        let ended = line.ended.filter(|_| line.ending == Ending::Resolved)?.at;
        let outlives = |other: &&Episode| other.ended.is_none_or(|end| end.at > ended);
        let is_next = |other: &&Episode| {
            let (a, b) = (&line.finding, &other.finding);
            (&a.kind, &a.subject) == (&b.kind, &b.subject) && a.code != b.code && b.severity >= a.severity
        };
        let begins = |other: &&Episode| other.opened.at > line.opened.at && other.opened.at <= ended;
        let others = self.open().chain(&self.ended).filter(outlives).filter(is_next).filter(begins);
        others
            .max_by_key(|other| (other.finding.severity, std::cmp::Reverse(other.finding.code)))
            .map(|o| o.finding.code)
    }

    /// Puts every list into the one order: worst first, then code, then subject.
    pub fn sort(&mut self) {
        let lists = [&mut self.new, &mut self.ongoing, &mut self.came_back, &mut self.not_looked_at, &mut self.ended];
        for lines in lists {
            lines.sort_by(|a, b| {
                let (a, b) = (&a.finding, &b.finding);
                (b.severity, a.code).cmp(&(a.severity, b.code)).then_with(|| a.subject.cmp_by(&b.subject, natural))
            });
        }
    }
}

/// The exit code of a report: 1 when something is open at or above `fail_on`, 3 when no audit in the window says
/// anything, when the last one was incomplete or failed, and when no cluster knows a name that it is narrowed to. `failed`: those of
/// which nobody can say the cluster. A cluster that another one replaced counts for nothing.
pub fn exit(clusters: &[ClusterReport], failed: &[FailedAudit], fail_on: FailOn) -> Exit {
    let living = || clusters.iter().filter(|c| c.replaced_by.is_none());
    let worst = living().flat_map(ClusterReport::open).map(|line| line.finding.severity).max();
    let silent = |c: &ClusterReport| c.audits == 0 || c.blind().is_some() || c.is_partly();
    // Of two clusters a node is mostly in one.
    let is_known = |name: &UnknownName| {
        clusters.iter().any(|c| c.unknown.iter().all(|other| (other.kind, &other.name) != (name.kind, &name.name)))
    };
    let mistyped = clusters.iter().flat_map(|c| &c.unknown).any(|name| !is_known(name));
    let incomplete = clusters.is_empty() || is_blind(clusters, failed) || mistyped || living().any(silent);
    decide(Course { worst, incomplete, failed: false }, fail_on)
}

/// Stretches between `since` and `until` in which nobody looked: between two audits, or between an audit and the end,
/// more than twice as far apart as usual (the median) and at least a minute; and before the first of all, where the history
/// begins. `audits`: judged times, those before the window too; with fewer than three nobody knows what is usual between them.
pub fn gaps(audits: &[Time], since: Time, until: Time) -> Vec<(Time, Time)> {
    let mut times: Vec<Time> = audits.iter().copied().filter(|at| *at <= until).collect();
    times.sort_unstable();
    let stretches = |times: &[Time]| -> Vec<(Time, Time)> {
        times.windows(2).filter_map(|w| if let &[from, to] = w { Some((from, to)) } else { None }).collect()
    };
    let mut distances: Vec<_> = stretches(&times).iter().map(|(from, to)| to.since(*from)).collect();
    distances.sort_unstable();
    let median = distances.get(distances.len() / 2).copied().unwrap_or_default();
    let usual = median.max(std::time::Duration::from_secs(60));
    let is_long = |&(from, to): &(Time, Time)| to > since && to.since(from) > usual * 2;
    let mut gaps: Vec<(Time, Time)> = times.first().map(|first| (since, *first)).into_iter().filter(is_long).collect();
    if distances.len() >= 2 {
        times.push(until);
        gaps.extend(stretches(&times).into_iter().filter(is_long));
    }
    gaps
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::testing::{at, line, report, seen};
    use super::*;
    use crate::model::Severity;

    #[test]
    fn what_is_open_decides_and_silence_is_incomplete() {
        assert_eq!(report().exit, Exit::Findings);
        assert_eq!(exit(&[], &[], FailOn::default()), Exit::Incomplete);
        let quiet = ClusterReport { audits: 3, last_audit: Some(at(3)), ..ClusterReport::default() };
        assert_eq!(exit(std::slice::from_ref(&quiet), &[], FailOn::default()), Exit::Clean);
        let unread = IncompleteAudit { id: 3, at: at(3), why: "pods: forbidden".into() };
        let blind = ClusterReport { incomplete: vec![unread], ..quiet.clone() };
        assert_eq!(exit(&[blind], &[], FailOn::default()), Exit::Incomplete);
        let ended =
            Episode { ending: Ending::Resolved, ended: Some(seen(2)), ..line(101, Severity::Critical, "10.0.0.1") };
        let mut over = quiet.clone();
        over.file(ended, at(0), at(9));
        let failed = |hour| [FailedAudit { at: at(hour), started: at(hour), tool: "1".into(), why: "refused".into() }];
        assert_eq!(exit(std::slice::from_ref(&quiet), &failed(2), FailOn::default()), Exit::Clean, "all looked since");
        assert_eq!(exit(std::slice::from_ref(&quiet), &failed(4), FailOn::default()), Exit::Incomplete);
        assert_eq!(exit(&[over], &[], FailOn::default()), Exit::Clean);
        let missing = Episode { ending: Ending::InputMissing, ..line(101, Severity::Critical, "10.0.0.1") };
        let mut hidden = quiet;
        hidden.file(missing, at(0), at(9));
        assert_eq!(exit(&[hidden], &[], FailOn::default()), Exit::Findings, "what nobody looked at is not over");
    }

    #[test]
    fn every_finding_is_filed_once_by_how_it_stood_at_the_end() {
        let base = line(110, Severity::Error, "10.0.0.1");
        let table = [
            // first seen, episode, how it stands, ended -> section
            (1, 1, Ending::Open, None, "ongoing"),
            (5, 1, Ending::Open, None, "new"),
            (5, 2, Ending::Open, None, "came back"),
            (1, 2, Ending::Open, None, "ongoing"),
            (5, 1, Ending::InputMissing, None, "not looked at"),
            (1, 1, Ending::Resolved, Some(6), "ended"),
            (5, 1, Ending::Resolved, Some(6), "ended"),
            (5, 1, Ending::Other("forgiven".into()), Some(6), "ended"),
            (5, 1, Ending::Resolved, Some(11), "new"),
        ];
        for (first, number, ending, ended, section) in table {
            let mut report = ClusterReport::default();
            let ended = ended.map(seen);
            report.file(Episode { opened: seen(first), number, ending, ended, ..base.clone() }, at(4), at(10));
            let filed: Vec<_> = report.sections().into_iter().filter(|(_, lines)| !lines.is_empty()).collect();
            assert_eq!((filed.len(), filed[0].0), (1, section), "{first} {number} {ended:?}");
            let is_open = section != "ended";
            assert_eq!(filed[0].1[0].ended.is_none(), is_open, "{first} {number} {ended:?}");
        }
    }

    #[test]
    fn lists_are_in_the_one_order() {
        let subjects: Vec<_> = report().clusters[0].new.iter().map(|l| l.finding.subject.clone()).collect();
        assert_eq!(subjects, ["10.0.0.9", "10.0.0.10"]);
    }

    #[test]
    fn gaps_are_seen_between_audits_at_the_end_and_across_the_beginning() {
        let quarter = |n: u64| at(0).plus(Duration::from_secs(n * 900));
        let steady: Vec<Time> = (0..8).map(quarter).collect();
        assert!(gaps(&steady, quarter(0), quarter(8)).is_empty());
        assert_eq!(gaps(&steady, quarter(0), quarter(40)), [(quarter(7), quarter(40))]);
        let torn: Vec<Time> = (0..4).chain(20..28).map(quarter).collect();
        assert_eq!(gaps(&torn, quarter(18), quarter(28)), [(quarter(3), quarter(20))], "it reaches into the window");
        assert!(gaps(&torn, quarter(20), quarter(28)).is_empty(), "it was over before");
        assert!(gaps(&steady[..2], quarter(0), quarter(90)).is_empty(), "nobody knows what is usual");
        // Before the first one nobody looked, whether or not anybody knows what is usual.
        let early = quarter(0).plus(Duration::ZERO);
        assert_eq!(gaps(&steady[4..], early, quarter(8)), [(early, quarter(4))]);
        assert!(gaps(&steady[2..], early, quarter(8)).is_empty(), "no longer than between two");
        assert_eq!(gaps(&steady[1..2], early, quarter(2)), [(early, quarter(1))]);
        assert!(gaps(&[], early, quarter(2)).is_empty(), "then that is the answer");
        // A clock that went back disorders nothing.
        let back: Vec<Time> = [0, 1, 2, 1, 3, 4].map(quarter).into();
        assert!(gaps(&back, quarter(0), quarter(5)).is_empty());
    }
}
