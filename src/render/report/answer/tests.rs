//! The first line of hand-made reports.

use super::*;
use crate::model::row::{FailedAudit, Restore};
use crate::render::report::testing::{at, line, report, seen, telling};

fn says(cluster: &ClusterReport) -> String {
    let view = report();
    let said = answer(cluster, Clock::whole(&view), &telling());
    said.into_iter().map(|statement| statement.text).collect::<Vec<_>>().join(" ")
}

/// Of hours 10 to 24.
fn night(lines: Vec<Episode>) -> ClusterReport {
    let mut cluster = ClusterReport { audits: 90, last_audit: Some(at(23)), since: at(10), ..ClusterReport::default() };
    lines.into_iter().for_each(|line| cluster.file(line, at(10), at(24)));
    cluster
}

fn one(code: u16, severity: Severity, opened: i64, ended: Option<i64>) -> Episode {
    let ending = if ended.is_some() { Ending::Resolved } else { Ending::Open };
    let (opened, last_seen, ended) = (seen(opened), seen(ended.unwrap_or(23)), ended.map(seen));
    Episode { id: i64::from(code), opened, last_seen, ended, ending, ..line(code, severity, "10.0.0.7") }
}

#[test]
fn what_began_and_ended_comes_before_what_is_open_and_noise_is_last() {
    let (critical, error, warning, note) = (Severity::Critical, Severity::Error, Severity::Warning, Severity::Note);
    let quiet = night(vec![]);
    assert_eq!(says(&quiet), "Nothing began, nothing ended, nothing is open.");
    let known = night(vec![one(201, warning, 1, None), one(114, note, 2, None)]);
    assert_eq!(says(&known), "Nothing began, nothing ended. Known noise: 1 warning, 1 note.");
    let cluster = night(vec![
        one(110, error, 20, None),
        one(101, critical, 12, Some(14)),
        one(501, error, 1, Some(15)),
        one(502, error, 1, None),
        one(201, warning, 1, None),
    ]);
    let wanted = [
        "1 error began 2026-11-25 02:00 and is open for 3h: IPA110 leaked-address 10.0.0.7.",
        "1 critical began and ended, 2026-11-24 18:00 to 20:00 (2h): IPA101 duplicate-pod-address 10.0.0.7.",
        "1 error from before ended by 2026-11-24 21:00: IPA501",
        "Open: 1 error from before. Known noise: 1 warning.",
    ];
    let told = says(&cluster);
    let places: Vec<Option<usize>> = wanted.iter().map(|part| told.find(part)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{told}");
}

#[test]
fn what_a_release_gave_back_is_open_no_more() {
    let mut cluster = night(vec![one(110, Severity::Error, 1, None), one(101, Severity::Critical, 1, None)]);
    cluster.release.given_back.subjects = [(("address", "10.0.0.7".into()), 1)].into();
    let told = says(&cluster);
    let wanted = "1 address was given back (release 1): 10.0.0.7. Open: 1 critical from before.";
    assert_eq!(told, wanted, "a release ends no other finding of the address");
    cluster.ongoing.retain(|line| line.finding.code == Code(110));
    assert_eq!(says(&cluster), "1 address was given back (release 1): 10.0.0.7. Nothing is open.");
    let mut of_endpoint = night(vec![one(501, Severity::Error, 1, None)]);
    of_endpoint.release.parted = [501].into();
    let wanted = "1 error ended with a release: IPA501 stale-endpoint 10.0.0.7. Nothing is open.";
    assert_eq!(says(&of_endpoint), wanted, "narrowed to its code");
    let exit = crate::render::report::exit(&[cluster], &[], crate::exit::FailOn::default());
    assert_eq!(exit, crate::exit::Exit::Clean);
}

#[test]
fn what_became_something_worse_did_not_end() {
    let cluster = night(vec![one(120, Severity::Critical, 12, Some(14)), one(101, Severity::Critical, 14, None)]);
    let told = says(&cluster);
    let part = "1 critical became IPA101 by 2026-11-24 20:00: IPA120 ";
    assert!(told.contains(part) && !told.contains("ended"), "{told}");
    let apart = night(vec![one(120, Severity::Critical, 12, Some(14)), one(101, Severity::Critical, 15, None)]);
    assert!(says(&apart).contains("1 critical began and ended"), "{}", says(&apart));
    let milder = night(vec![one(120, Severity::Critical, 12, Some(14)), one(110, Severity::Error, 14, None)]);
    assert!(says(&milder).contains("1 critical began and ended"), "{}", says(&milder));
}

#[test]
fn how_long_it_is_open_counts_to_the_last_audit_and_says_so_when_that_is_old() {
    let mut old = one(110, Severity::Error, 12, None);
    old.last_seen = seen(13);
    let cluster = night(vec![old]);
    assert!(says(&cluster).contains("is open for 1h as of 2026-11-24 19:00: "), "{}", says(&cluster));
}

#[test]
fn an_audit_that_was_blind_is_unseen() {
    let mut cluster = night(vec![]);
    let blind = crate::render::report::IncompleteAudit { id: 9, at: at(12), why: "pods: forbidden".into() };
    cluster.incomplete = vec![blind.clone(), blind];
    assert!(says(&cluster).ends_with(" Unseen: 2 audits incomplete."), "{}", says(&cluster));
    let why = "refused".into();
    cluster.failed = vec![FailedAudit { at: at(13), started: at(13), tool: "1".into(), why }];
    assert!(says(&cluster).ends_with(" Unseen: 1 audit failed, 2 incomplete."), "{}", says(&cluster));
}

#[test]
fn what_the_first_audit_found_did_not_begin() {
    let mut cluster = night(vec![one(101, Severity::Critical, 12, None), one(201, Severity::Warning, 12, None)]);
    cluster.found_at_first = [101, 201].into();
    let wanted = "Open: 1 critical found at first, 2026-11-24 18:00. Known noise: 1 warning.";
    assert_eq!(says(&cluster), wanted);
    let mut over = night(vec![one(101, Severity::Critical, 12, Some(13))]);
    over.found_at_first = [101].into();
    assert!(says(&over).starts_with("1 critical from before ended by 2026-11-24 19:00: "), "{}", says(&over));
    assert!(says(&over).ends_with(" Nothing is open."), "{}", says(&over));
}

#[test]
fn doubt_is_said_with_the_answer() {
    let mut cluster = night(vec![]);
    let mut leaks = night(vec![line(111, Severity::Error, "10.0.0.1"), line(111, Severity::Error, "10.0.0.2")]);
    assert!(says(&leaks).contains(" 2 addresses are leaked."), "{}", says(&leaks));
    leaks.ongoing[0].finding.summary = "IPIP tunnel of node-2, which is gone; somebody shows it".into();
    assert!(says(&leaks).contains(" 1 address is leaked."), "as the audit counts: {}", says(&leaks));
    cluster.gaps = vec![(at(8), at(12))];
    assert!(says(&cluster).ends_with(" Unseen: 2h without an audit."), "{}", says(&cluster));
    cluster.restores = vec![Restore { before: seen(11), after: seen(12), revisions: (90, 80) }];
    assert!(says(&cluster).starts_with("etcd went back to an older state, 2026-11-24 17:00 to 18:00. "));
    let why = "pods: forbidden".into();
    cluster.incomplete = vec![crate::render::report::IncompleteAudit { id: 9, at: at(23), why }];
    cluster.blind_span = Some(crate::render::report::BlindSpan {
        since: at(22),
        audits: 2,
        why: "pods: forbidden".into(),
        from_the_first: false,
    });
    let told = says(&cluster);
    assert!(told.starts_with("BLIND since 2026-11-25 04:00 (2 audits): pods: forbidden. "), "{told}");
    let calm = ["nothing is open", "Nothing is open", "Nothing began"];
    assert!(told.contains(" no all-clear.") && calm.iter().all(|calm| !told.contains(calm)), "{told}");
}

/// However old it is, and whatever began meanwhile.
#[test]
fn what_stops_everything_comes_first_and_is_no_noise() {
    let (warning, critical) = (Severity::Warning, Severity::Critical);
    let mut cluster = night(vec![one(902, warning, 1, None), one(201, warning, 1, None), one(101, critical, 12, None)]);
    let told = says(&cluster);
    assert!(told.starts_with("Datastore locked since 2026-11-24 07:00 (IPA902): pod shop/web-0 "), "{told}");
    assert!(told.contains(" 1 critical began ") && told.ends_with("Known noise: 1 warning."), "{told}");
    cluster.ongoing.retain(|line| line.finding.code == Code(902));
    cluster.new.clear();
    cluster.found_at_first = [902].into();
    let told = says(&cluster);
    let wanted =
        "since 2026-11-24 07:00 at the least (IPA902): pod shop/web-0 does not exist. Nothing began, nothing ended.";
    assert!(told.ends_with(wanted), "{told}");
    let outage = night(vec![one(133, warning, 1, None)]);
    assert_eq!(says(&outage), "Nothing began, nothing ended. Open: 1 warning from before.");
}
