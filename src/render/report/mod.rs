//! What a report says, from the history alone: new, ongoing, came back, ended; and whether the audits themselves
//! can be trusted (gaps, incomplete ones). Plain values; the command line fills them from the history's answers.

pub mod json;
pub mod markdown;
pub mod table;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::checks::natural;
use crate::exit::{Course, Exit, FailOn, decide};
use crate::model::{Code, Severity, Time};

/// A whole report.
#[derive(Clone, Debug)]
pub struct ReportView {
    pub since: Time,
    pub until: Time,
    pub now: Time,
    /// One each that the file knows and the flags left.
    pub clusters: Vec<ClusterReport>,
    /// The flags that narrow it, as they were typed.
    pub narrowed_by: Vec<String>,
    pub exit: Exit,
}

/// One datastore together with one Kubernetes cluster.
#[derive(Clone, Debug, Default)]
pub struct ClusterReport {
    pub guid: String,
    pub kubernetes_uids: Vec<String>,
    /// Audits of which nobody could say the Kubernetes cluster.
    pub apart: bool,
    /// Audits within the window.
    pub audits: u64,
    pub last_audit: Option<Time>,
    pub incomplete: Vec<IncompleteAudit>,
    /// Stretches without an audit that are longer than the usual distance between two.
    pub gaps: Vec<(Time, Time)>,
    pub new: Vec<Line>,
    pub ongoing: Vec<Line>,
    pub came_back: Vec<Line>,
    pub ended: Vec<Line>,
    /// Leaks (IPA110) that began, by hour and node.
    pub leaks: Vec<Leaks>,
    pub reboots: Vec<Reboot>,
    pub pools: Vec<PoolTrend>,
}

/// An audit in which something could not be read.
#[derive(Clone, Debug)]
pub struct IncompleteAudit {
    pub id: i64,
    pub at: Time,
    pub why: String,
}

/// One finding, or one episode of it.
#[derive(Clone, Debug)]
pub struct Line {
    pub code: Code,
    pub name: &'static str,
    pub severity: Severity,
    pub kind: String,
    pub subject: String,
    pub summary: String,
    pub node: Option<String>,
    pub namespace: Option<String>,
    pub pool: Option<String>,
    pub root: Option<(Code, String)>,
    pub first_seen: Time,
    pub last_seen: Time,
    pub audits_seen: u64,
    pub episode: u64,
    pub ended: Option<Ended>,
    /// The last audit could not look at it.
    pub input_missing: bool,
}

/// How and when a finding ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ended {
    pub at: Time,
    pub how: How,
}

/// The different ways to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// It went by itself.
    Resolved,
    /// By a release of ours: its number.
    Released(Option<i64>),
    /// Another version or scope judges otherwise: nobody can say that the cluster changed.
    RuleChanged,
}

impl How {
    /// The word in JSON.
    pub const fn word(self) -> &'static str {
        match self {
            How::Resolved => "resolved",
            How::Released(_) => "released",
            How::RuleChanged => "rule changed",
        }
    }
}

/// Leaks that began within one hour on one node.
#[derive(Clone, Debug)]
pub struct Leaks {
    pub node: Option<String>,
    pub hour: Time,
    pub count: u64,
}

/// A node's bootID changed.
#[derive(Clone, Debug)]
pub struct Reboot {
    pub node: String,
    pub after: Time,
    pub before: Time,
}

/// How full a pool was, oldest first.
#[derive(Clone, Debug)]
pub struct PoolTrend {
    pub name: String,
    pub cidr: String,
    pub points: Vec<PoolPoint>,
}

/// A pool at one audit.
#[derive(Clone, Copy, Debug)]
pub struct PoolPoint {
    pub at: Time,
    pub addresses: i64,
    pub allocated: i64,
    pub leaked: i64,
    pub free_blocks: i64,
}

impl ClusterReport {
    /// Everything that is open at the end of the window.
    pub fn open(&self) -> impl Iterator<Item = &Line> {
        self.new.iter().chain(&self.ongoing).chain(&self.came_back).filter(|line| line.ended.is_none())
    }

    /// Leaks an hour over the window.
    pub fn leaks_per_hour(&self, window: Duration) -> f64 {
        let all: u64 = self.leaks.iter().map(|l| l.count).sum();
        all as f64 / (window.as_secs_f64() / 3600.0).max(1.0 / 3600.0)
    }

    /// Leaks by node, most first; a node that rebooted within the window is marked.
    pub fn leaks_by_node(&self) -> Vec<(&str, u64, bool)> {
        let mut by_node: BTreeMap<&str, u64> = BTreeMap::new();
        for leaks in &self.leaks {
            *by_node.entry(leaks.node.as_deref().unwrap_or("unknown")).or_default() += leaks.count;
        }
        let rebooted = |node: &str| self.reboots.iter().any(|r| r.node == node);
        let mut rows: Vec<_> = by_node.into_iter().map(|(node, count)| (node, count, rebooted(node))).collect();
        rows.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| natural(a.0, b.0)));
        rows
    }

    /// Puts every list into the one order: worst first, then code, then subject.
    pub fn sort(&mut self) {
        for lines in [&mut self.new, &mut self.ongoing, &mut self.came_back, &mut self.ended] {
            lines.sort_by(|a, b| {
                (b.severity, a.code).cmp(&(a.severity, b.code)).then_with(|| natural(&a.subject, &b.subject))
            });
        }
    }
}

/// The exit code of a report: 1 when something is open at or above `fail_on`, 3 when no audit in the window says
/// anything or the last one was incomplete.
pub fn exit(clusters: &[ClusterReport], fail_on: FailOn) -> Exit {
    let worst = clusters.iter().flat_map(ClusterReport::open).map(|line| line.severity).max();
    let silent = |c: &ClusterReport| c.audits == 0 || c.incomplete.last().is_some_and(|i| Some(i.at) == c.last_audit);
    let incomplete = clusters.is_empty() || clusters.iter().any(silent);
    decide(Course { worst, incomplete, failed: false }, fail_on)
}

/// A line of eight heights, the highest of `values` the tallest; at most `width` of them, evenly chosen.
pub fn sparkline(values: &[i64], width: usize) -> String {
    const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let (low, high) = (values.iter().min().copied().unwrap_or(0), values.iter().max().copied().unwrap_or(0));
    let span = (high - low).max(1);
    let count = values.len().min(width.max(1));
    let chosen = (0..count).map(|i| values[i * values.len() / count]);
    let height = |value: i64| usize::try_from((value - low) * 7 / span).unwrap_or(0).min(7);
    chosen.map(|value| if high == low { HEIGHTS[0] } else { HEIGHTS[height(value)] }).collect()
}

#[cfg(test)]
pub mod testing {
    //! A small report for the renderers' tests.

    use super::*;

    pub fn at(hour: i64) -> Time {
        Time(1_795_500_000_000_000_000 + hour * 3_600_000_000_000)
    }

    pub fn line(code: u16, severity: Severity, subject: &str) -> Line {
        Line {
            code: Code(code),
            name: "leaked-address",
            severity,
            kind: "address".to_owned(),
            subject: subject.to_owned(),
            summary: "pod shop/web-0 does not exist".to_owned(),
            node: Some("node-1".to_owned()),
            namespace: Some("shop".to_owned()),
            pool: None,
            root: None,
            first_seen: at(1),
            last_seen: at(9),
            audits_seen: 33,
            episode: 1,
            ended: None,
            input_missing: false,
        }
    }

    pub fn report() -> ReportView {
        let ended = Line {
            ended: Some(Ended { at: at(5), how: How::Released(Some(7)) }),
            ..line(110, Severity::Error, "10.0.0.4")
        };
        let mut cluster = ClusterReport {
            guid: "6f1c2a9e0000".to_owned(),
            kubernetes_uids: vec!["uid-1".to_owned()],
            audits: 96,
            last_audit: Some(at(10)),
            new: vec![line(110, Severity::Error, "10.0.0.10"), line(110, Severity::Error, "10.0.0.9")],
            ongoing: vec![line(101, Severity::Critical, "10.0.0.1")],
            came_back: vec![Line { episode: 2, ..line(201, Severity::Warning, "k8s-pod-network.\u{202e}x\r") }],
            ended: vec![ended],
            leaks: vec![Leaks { node: Some("node-1".to_owned()), hour: at(2), count: 2 }],
            reboots: vec![Reboot { node: "node-1".to_owned(), before: at(1), after: at(2) }],
            pools: vec![PoolTrend {
                name: "default".to_owned(),
                cidr: "10.0.0.0/16".to_owned(),
                points: (0..4)
                    .map(|i| PoolPoint { at: at(i), addresses: 65_536, allocated: 10 * i, leaked: i, free_blocks: 9 })
                    .collect(),
            }],
            ..ClusterReport::default()
        };
        cluster.sort();
        let clusters = vec![cluster];
        let exit = exit(&clusters, FailOn::default());
        ReportView { since: at(0), until: at(24), now: at(24), clusters, narrowed_by: Vec::new(), exit }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{at, line, report};
    use super::*;

    #[test]
    fn what_is_open_decides_and_silence_is_incomplete() {
        assert_eq!(report().exit, Exit::Findings);
        assert_eq!(exit(&[], FailOn::default()), Exit::Incomplete);
        let quiet = ClusterReport { audits: 3, last_audit: Some(at(3)), ..ClusterReport::default() };
        assert_eq!(exit(std::slice::from_ref(&quiet), FailOn::default()), Exit::Clean);
        let unread = IncompleteAudit { id: 3, at: at(3), why: "pods: forbidden".to_owned() };
        assert_eq!(
            exit(&[ClusterReport { incomplete: vec![unread], ..quiet.clone() }], FailOn::default()),
            Exit::Incomplete
        );
        let ended =
            Line { ended: Some(Ended { at: at(2), how: How::Resolved }), ..line(101, Severity::Critical, "10.0.0.1") };
        assert_eq!(exit(&[ClusterReport { new: vec![ended], ..quiet }], FailOn::default()), Exit::Clean);
    }

    #[test]
    fn lists_are_in_the_one_order() {
        let subjects: Vec<_> = report().clusters[0].new.iter().map(|l| l.subject.clone()).collect();
        assert_eq!(subjects, ["10.0.0.9", "10.0.0.10"]);
    }

    #[test]
    fn a_reboot_is_put_beside_the_burst_that_it_explains() {
        let report = report();
        assert_eq!(report.clusters[0].leaks_by_node(), [("node-1", 2, true)]);
        assert!((report.clusters[0].leaks_per_hour(Duration::from_secs(7_200)) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn sparklines_rise_with_their_values() {
        assert_eq!(sparkline(&[0, 7, 14], 10), "▁▄█");
        assert_eq!(sparkline(&[5, 5], 10), "▁▁");
        assert_eq!(sparkline(&[], 10), "");
        assert_eq!(sparkline(&(0..100).collect::<Vec<_>>(), 8).chars().count(), 8);
    }
}
