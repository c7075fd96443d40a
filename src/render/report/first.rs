//! What has to be said before anything else: that a name was never seen, or that nobody could look. A report that is
//! narrowed to nothing, or that is of a time in which every audit failed, must not read as an all-clear.

use super::{ClusterReport, ReportView};
use crate::model::row::FailedAudit;
use crate::model::{Foreign, Severity, Time};
use crate::render::number::audits;

/// How a format tells what is not its own.
pub struct Telling<'t> {
    pub when: &'t dyn Fn(Time) -> String,
    pub foreign: &'t dyn Fn(&Foreign) -> String,
}

/// A sentence of the answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Statement {
    pub text: String,
    /// How bad what it tells of is; `None`: nothing is wrong.
    pub worst: Option<Severity>,
}

/// The names that it does not know, a sentence each.
fn unknown(cluster: &ClusterReport, foreign: &dyn Fn(&Foreign) -> String) -> Option<String> {
    let says: Vec<String> = cluster.unknown.iter().map(|name| name.says(foreign)).collect();
    (!says.is_empty()).then(|| says.join(" "))
}

/// What the formats without a first line have to be told of beside them.
pub fn remarks(view: &ReportView) -> Vec<String> {
    let foreign = |name: &Foreign| name.shown().into_owned();
    let failed = failures(view, &Telling { when: &|at| at.to_string(), foreign: &foreign });
    let none = view.clusters.is_empty().then(|| no_cluster(view).to_owned());
    let unknown = view.clusters.iter().filter_map(|cluster| unknown(cluster, &foreign));
    let blind = view.clusters.iter().filter(|c| c.is_partly() && c.replaced_by.is_none()).filter_map(|cluster| {
        let span = cluster.blind_span.as_ref()?;
        Some(format!("blind since {} ({}): {}", span.since, audits(span.audits), span.why.shown()))
    });
    failed.into_iter().chain(none).chain(unknown).chain(blind).collect()
}

/// What is said where there is none to tell of.
pub fn no_cluster(view: &ReportView) -> &'static str {
    match view.narrowed_by.iter().any(|flag| flag.starts_with("--cluster ")) {
        true => "The history knows no such cluster.",
        false => "No audit of this history has seen a cluster.",
    }
}

/// The audits that failed and that no cluster takes: `2 audits failed, the last: reach etcd at …: refused (02:15).`
pub fn failures(view: &ReportView, telling: &Telling<'_>) -> Option<String> {
    let last = view.failed.last()?;
    let failed = format!("{} failed", audits(view.failed.len() as u64));
    let whose = if view.clusters.is_empty() { "" } else { ", and nobody can say of which cluster" };
    let last_of = if view.failed.len() > 1 { ", the last" } else { "" };
    Some(format!("{failed}{whose}{last_of}: {} ({}).", (telling.foreign)(&last.why), (telling.when)(last.at)))
}

/// What comes before the findings: unknown names, then that nobody could look or looked. `open`: what is open, as it is
/// counted. `None`: the findings are the answer.
pub fn first_words(cluster: &ClusterReport, open: &str, telling: &Telling<'_>) -> Option<String> {
    let before = if open.is_empty() { String::new() } else { format!(" Open before: {open}.") };
    if let Some(unknown) = unknown(cluster, telling.foreign) {
        return Some(format!("{unknown} This is no all-clear.{before}"));
    }
    let why = |failed: &FailedAudit| why(failed, telling);
    match (cluster.audits, cluster.blind()) {
        (0, Some(failed)) => {
            let failed = match cluster.failed.len() {
                1 => format!("the only audit failed, {}", why(failed)),
                many => format!("all {many} audits failed, the last {}", why(failed)),
            };
            Some(format!("Nobody could look in this time: {failed}.{before}"))
        }
        (0, None) => Some(format!("No audit in this time: nobody looked.{before}")),
        (_, Some(failed)) => {
            let was_blind = cluster.blind_span.as_ref().filter(|_| cluster.is_partly());
            let before = match was_blind {
                _ if !open.is_empty() => before,
                Some(span) => format!(" Nobody saw everything since {}.", (telling.when)(span.since)),
                None => " Nothing was open before.".to_owned(),
            };
            Some(format!("An audit failed, {}.{before}", why(failed)))
        }
        (_, None) => None,
    }
}

fn why(failed: &FailedAudit, telling: &Telling<'_>) -> String {
    format!("{}: {}", (telling.when)(failed.at), (telling.foreign)(&failed.why))
}

#[cfg(test)]
mod tests {
    use super::super::testing::at;
    use super::*;
    use crate::render::UnknownName;

    fn failed(hour: i64) -> FailedAudit {
        FailedAudit {
            at: at(hour),
            started: at(hour),
            tool: "1".into(),
            why: "reach etcd at http://10.0.0.1:2379: refused".into(),
        }
    }

    fn says(cluster: &ClusterReport, open: &str) -> Option<String> {
        first_words(cluster, open, &TELLING)
    }

    const TELLING: Telling<'_> = Telling {
        when: &|time| format!("{}h", (time.0 - at(0).0) / 3_600_000_000_000),
        foreign: &|text| text.shown().into_owned(),
    };

    #[test]
    fn nobody_could_look_is_not_nobody_looked() {
        let mut cluster = ClusterReport::default();
        assert_eq!(says(&cluster, "").unwrap(), "No audit in this time: nobody looked.");
        assert_eq!(says(&cluster, "1 error").unwrap(), "No audit in this time: nobody looked. Open before: 1 error.");
        cluster.failed = vec![failed(3)];
        let one =
            "Nobody could look in this time: the only audit failed, 3h: reach etcd at http://10.0.0.1:2379: refused.";
        assert_eq!(says(&cluster, "").unwrap(), one);
        cluster.failed.push(failed(4));
        assert!(says(&cluster, "2 notes").unwrap().contains("all 2 audits failed, the last 4h: reach etcd"));
        assert!(says(&cluster, "2 notes").unwrap().ends_with(" Open before: 2 notes."));
        (cluster.audits, cluster.last_audit) = (5, Some(at(2)));
        assert!(says(&cluster, "").unwrap().starts_with("An audit failed, 4h: "));
        assert!(says(&cluster, "").unwrap().ends_with("Nothing was open before."));
        cluster.last_audit = Some(at(9));
        assert_eq!(says(&cluster, "1 error"), None, "somebody has looked since");
    }

    /// Of the first night of all: no cluster was named, and none is known.
    #[test]
    fn what_no_cluster_takes_is_told_beside_them() {
        let mut view = super::super::testing::report();
        assert_eq!((failures(&view, &TELLING), view.is_blind()), (None, false));
        view.failed = vec![failed(3)];
        let says = |view: &ReportView| failures(view, &TELLING).unwrap();
        let why = "reach etcd at http://10.0.0.1:2379: refused";
        assert_eq!(says(&view), format!("1 audit failed, and nobody can say of which cluster: {why} (3h)."));
        assert!(!view.is_blind(), "the cluster was looked at since");
        view.failed.push(failed(11));
        assert_eq!(
            says(&view),
            format!("2 audits failed, and nobody can say of which cluster, the last: {why} (11h).")
        );
        assert!(view.is_blind());
        view.clusters.clear();
        assert_eq!(says(&view), format!("2 audits failed, the last: {why} (11h)."));
        assert_eq!(no_cluster(&view), "No audit of this history has seen a cluster.");
        view.narrowed_by = vec!["--cluster x".to_owned()];
        assert_eq!(no_cluster(&view), "The history knows no such cluster.");
        assert_eq!(remarks(&view).len(), 2);
    }

    #[test]
    fn unknown_names_come_first_and_are_no_all_clear() {
        let name = |kind, name: &str, near: &[&str]| UnknownName {
            by: "The history knows no",
            kind,
            name: name.into(),
            near: near.iter().map(|name| (*name).into()).collect(),
        };
        let mut cluster = ClusterReport { audits: 3, ..ClusterReport::default() };
        cluster.unknown = vec![name("node", "nod-1", &["node-1", "node-2"]), name("pool", "x\r", &[])];
        let wanted = "The history knows no node nod-1 (did you mean node-1 or node-2?). The history knows no pool x\\r. \
                      This is no all-clear.";
        assert_eq!(says(&cluster, "").unwrap(), wanted);
        cluster.unknown = vec![name("code", "IPA910", &[])];
        assert_eq!(
            says(&cluster, "").unwrap(),
            "No audit of this history has looked for IPA910. This is no all-clear."
        );
    }
}
