//! The report as people see it.

use super::super::exit;
use super::super::testing::{at, line, report, seen};
use super::*;
use crate::exit::FailOn;
use crate::model::row::{Ending, FailedAudit, Restore};

fn told(view: &ReportView, all: bool) -> String {
    let mut out = Vec::new();
    write(view, ReportOptions { color: false, width: 140, all }, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// However it was wrapped.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_first_line_is_the_answer_and_foreign_names_are_escaped() {
    let text = told(&report(), false);
    let answer = "2 errors, 1 warning, 1 note began 24 Nov 07:00 and are open for 8h as of 24 Nov 15:00, 15h ago (1 not looked at by the last audit): \
                  IPA110 leaked-address, IPA201 orphaned-handle and 1 other code on node-1. \
                  1 error began and ended, 24 Nov 07:00 to 11:00 (4h): IPA110 leaked-address 10.0.0.4. \
                  Open: 1 critical from before. datastore ";
    assert!(flat(&text).starts_with(answer), "{text}");
    for says in [
        "NEW IPA110",
        "CAME BACK IPA201",
        "2nd time",
        "+1 explained by what is told",
        "NOT LOOKED AT",
        "released by us (release 7)",
        "2 began, 0.2 an hour",
        "1 more was there at first",
        "rebooted (24 Nov 07:00 to 08:00)",
        "which may explain 2",
        "▁▁▁▃▃▃▅▅▅█",
        "30 of 65,536 allocated (<1%), +30",
        "24 in use + 3 leaked + 3 unattributed",
        "4 cooling + 32 not known + 65,470 free",
        "9 of 1,024 blocks free",
        "ipaudit who 10.0.0.9 ipaudit who 10.0.0.10 ",
        "k8s-pod-network.\\u{202e}x\\r",
        "exit 1 (findings)",
    ] {
        assert!(flat(&text).contains(says), "{says}: {text}");
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
    assert!(flat(&text).contains("Open: 1 critical from before.") && text.contains("IPA102"), "{text}");
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
    assert!(text.lines().count() < 45, "{text}");
    assert!(text.contains("63,000 addresses on 2 nodes, 42,000 of them on node-1"), "{text}");
    assert!(text.contains("k8s-pod-network.f00"), "{text}");
    // On a line of its own, whole however narrow the page is.
    let command = format!("       ipaudit report --since {} --node 'a b' --code IPA110 --all", at(0));
    assert!(text.lines().any(|line| line == command), "{text}");
}

#[test]
fn ends_of_many_are_counted_by_their_kind() {
    let ended = |ending| Episode { ended: Some(seen(5)), ending, ..line(110, Severity::Error, "10.0.0.4") };
    let mut view = report();
    view.clusters[0].ended =
        [Ending::Resolved, Ending::Released(Some(1)), Ending::Released(Some(2)), Ending::RuleChanged].map(ended).into();
    let text = told(&view, false);
    assert!(text.contains("1 gone, 2 released by us, 1 judged otherwise now, 24 Nov 11:00"), "{text}");
}

#[test]
fn trouble_with_the_audits_themselves_comes_before_the_findings() {
    let mut view = report();
    let cluster = &mut view.clusters[0];
    cluster.gaps = vec![(at(3), at(4)), (at(5), at(9))];
    let why = "pods: forbidden".into();
    cluster.incomplete = vec![super::super::IncompleteAudit { id: 9, at: at(10), why }];
    cluster.blind_span = super::super::BlindSpan::of(vec![(at(9), None), (at(10), Some("pods: forbidden".into()))]);
    let why = "refused".into();
    cluster.failed = vec![FailedAudit { at: at(9), started: at(9), tool: "1".into(), why }];
    cluster.restores = vec![Restore { before: seen(4), after: seen(5), revisions: (9_000, 700) }];
    let (last, audits) = (cluster.last_audit, cluster.audits);
    assert_eq!((last, audits), (Some(at(10)), 96));
    view.exit = exit(&view.clusters, &[], FailOn::default());
    let text = told(&view, false);
    let text = flat(&text);
    let place = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what}: {text}"));
    let wanted = [
        "BLIND since 24 Nov 16:00 (1 audit): pods: forbidden.",
        "Unseen: 5h without an audit, 1 audit failed, 1 incomplete.",
        "UNSEEN",
        "24 Nov 09:00 to 10:00 nobody looked for 1h",
        "24 Nov 10:00 to 11:00 etcd went back to an older state (IPA903; revision 9,000 before, 700 after)",
        "24 Nov 11:00 to 15:00 nobody looked for 4h",
        "24 Nov 15:00 1 audit failed: refused",
        "24 Nov 16:00 1 audit incomplete: pods: forbidden",
        "NEW",
    ];
    assert!(wanted.map(place).is_sorted(), "{text}");
    assert!(text.contains("exit 3 (incomplete)"));
    view.clusters[0] = ClusterReport::default();
    assert!(told(&view, false).starts_with("No audit in this time: nobody looked."));
}
