//! The report as people see it.

use super::super::exit;
use super::super::testing::{at, line, report, seen};
use super::*;
use crate::exit::FailOn;

fn told(view: &ReportView, all: bool) -> String {
    let mut out = Vec::new();
    write(view, ReportOptions { color: false, width: 140, all }, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_first_line_is_the_answer_and_foreign_names_are_escaped() {
    let text = told(&report(), false);
    let first = text.lines().next().unwrap();
    let moved = "2 new, 1 came back, 1 ongoing, 1 not looked at, 1 ended";
    assert_eq!(first, format!("Open: 1 critical, 2 errors, 1 warning, 1 note.  {moved}"));
    for says in [
        "NEW\n",
        "CAME BACK\n",
        "2. time",
        "+1 explained by what is open",
        "NOT LOOKED AT",
        "released by us (release 7)",
        "2 began, 0.2 an hour",
        "1 more was there when the first audit looked",
        "rebooted between",
        "which may explain 2",
        "▁▁▁▃▃▃▅▅▅█",
        "30 of 65536 (0 %), +30",
        "9 of 1024 blocks free",
        "k8s-pod-network.\\u{202e}x\\r",
        "exit 1 (findings)",
    ] {
        assert!(text.contains(says), "{says}: {text}");
    }
    assert!(!text.contains("IPA102"), "{text}");
    assert!(told(&report(), true).contains("IPA102"));
    assert!(!text.chars().any(|c| c != '\n' && crate::model::escape::is_hidden(c)), "{text:?}");
}

/// What was narrowed to a consequence shows it: its root is not there to stand for it.
#[test]
fn without_its_root_a_finding_stands_for_itself() {
    let mut view = report();
    view.clusters[0].ongoing.retain(|l| l.finding.code.0 == 102);
    let text = told(&view, false);
    assert!(text.starts_with("Open: 1 critical") && text.contains("IPA102"), "{text}");
}

#[test]
fn many_of_a_code_are_one_paragraph_and_hide_nothing_else() {
    let mut view = report();
    let cluster = &mut view.clusters[0];
    let many = (0..63_000u32).map(|i| {
        let node = if i % 3 == 0 { "node-2" } else { "node-1" };
        let mut one = line(110, Severity::Error, &format!("10.1.{}.{}", i / 256, i % 256));
        one.finding.node = Some(node.into());
        one
    });
    cluster.new = many.collect();
    cluster.new.push(line(201, Severity::Warning, "k8s-pod-network.f00"));
    cluster.sort();
    view.narrowed_by = vec!["--node 'a b'".to_owned(), "--code IPA110".to_owned()];
    let text = told(&view, false);
    assert!(text.lines().count() < 40, "{text}");
    assert!(text.contains("63000 addresses on 2 nodes, 42000 of them on node-1"), "{text}");
    assert!(text.contains("k8s-pod-network.f00"), "{text}");
    let command = format!("ipaudit report --since {} --node 'a b' --code IPA110 --all", at(0));
    assert!(text.contains(&command), "{text}");
}

#[test]
fn ends_of_many_are_counted_by_their_kind() {
    let ended = |ending| Episode { ended: Some(seen(5)), ending, ..line(110, Severity::Error, "10.0.0.4") };
    let mut view = report();
    view.clusters[0].ended =
        [Ending::Resolved, Ending::Released(Some(1)), Ending::Released(Some(2)), Ending::RuleChanged].map(ended).into();
    let text = told(&view, false);
    assert!(text.contains("1 gone, 2 released by us, 1 judged otherwise now"), "{text}");
}

#[test]
fn trouble_with_the_audits_themselves_comes_before_the_findings() {
    let mut view = report();
    let cluster = &mut view.clusters[0];
    cluster.gaps = vec![(at(3), at(4)), (at(5), at(9))];
    let why = "pods: forbidden".into();
    cluster.incomplete = vec![super::super::IncompleteAudit { id: 9, at: at(10), why }];
    let (last, audits) = (cluster.last_audit, cluster.audits);
    assert_eq!((last, audits), (Some(at(10)), 96));
    view.exit = exit(&view.clusters, FailOn::default());
    let text = told(&view, false);
    let place = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what}: {text}"));
    assert!(place("1 of 96 audits incomplete") < place("NEW"));
    assert!(place("2 times nobody looked, the longest for 4h") < place("NEW"));
    assert!(text.contains("exit 3 (incomplete)"));
    view.clusters[0] = ClusterReport::default();
    assert!(told(&view, false).starts_with("No audit in this time: nobody looked."));
}
