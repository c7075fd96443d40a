use std::time::Duration;

use super::*;
use crate::ledger::Grade;
use crate::plan::circumstances::{Claimer, HolderNow, Lacking, PodDoubt};
use crate::plan::refusal::Drift;

fn minutes(minutes: u64) -> Time {
    Time(0).plus(Duration::from_secs(60 * minutes))
}

/// 10:58 in UTC.
fn now() -> Time {
    minutes(10 * 60 + 58)
}

fn young(subject: &str, audits: u32, wait: u64) -> Refusal {
    let from = now().plus(Duration::from_secs(60 * wait));
    Refusal::new(subject, Objection::TooYoung(Lacking { audits, from }))
}

fn on(subject: &str, node: &str) -> Refusal {
    Refusal::new(subject, Objection::Node(node.into(), NodeDoubt::NotReady))
}

fn told(refusals: &[Refusal], all: bool) -> (String, Vec<String>) {
    let reasons = Reasons::of(refusals, all, now(), 1000);
    let mut out = Vec::new();
    reasons.write(true, &mut out).unwrap();
    (reasons.sentence(), String::from_utf8(out).unwrap().lines().map(str::to_owned).collect())
}

const AUDIT: [&str; 2] =
    ["until then let audits look, at least 5 minutes apart (connection flags as for this run):", "  ipaudit audit"];

#[test]
fn reasons_are_counted_and_waiting_is_offered() {
    let mut refusals: Vec<Refusal> = (1..=3).map(|i| on(&format!("10.65.1.{i}"), "node-9")).collect();
    refusals.extend((1..=8).map(|i| young(&format!("10.65.0.{i}"), 2, 12 + i)));
    let (sentence, lines) = told(&refusals, false);
    let wanted = "(1) 8 need 2 more audits (after 11:18 UTC, in 20m); (2) 3 are on node-9, which is not Ready";
    assert_eq!(sentence, wanted);
    let mut wanted = vec!["  (1) 10.65.0.1", "  (1) 10.65.0.2", "  (1) 10.65.0.3", "  (1) … 5 more; --all names them"];
    wanted.extend(["  (2) 10.65.1.1", "  (2) 10.65.1.2", "  (2) 10.65.1.3"]);
    wanted.push("if node-9 is switched off, say so: --node-is-off node-9");
    wanted.extend(AUDIT);
    assert_eq!(lines, wanted);
    assert_eq!(told(&refusals, true).1.len(), 8 + 3 + 1 + 2, "each of them");
}

/// No audit and no word helps, so none is offered.
#[test]
fn what_was_read_from_files_is_told_once_with_the_flag_that_helps() {
    let why = "Kubernetes was read from files, and a release needs the live API (--kubeconfig)";
    let of = |subject: &str| Refusal::new(subject, Objection::FilesAgain);
    assert_eq!(told(&[Refusal::of_run(Objection::FilesAgain)], false), (why.to_owned(), vec![]));
    assert_eq!(told(&[of("10.65.0.1")], false), (format!("10.65.0.1: {why}"), vec![]));
    let (sentence, lines) = told(&[of("10.65.0.1"), of("10.65.0.2")], false);
    assert_eq!((sentence, lines.len()), (format!("2 cannot go: {why}"), 2));
}

#[test]
fn a_single_thing_is_named_in_the_sentence_and_nowhere_else() {
    let refusal = Refusal { of_handle: Some("n.a".into()), ..young("10.65.0.1", 1, 0) };
    let (sentence, lines) = told(&[refusal], false);
    assert_eq!(sentence, "10.65.0.1: it needs 1 more audit (now) (handle n.a)");
    assert_eq!(lines, AUDIT);
    let (sentence, lines) = told(&[Refusal::of_run(Objection::Locked)], false);
    assert!(sentence.starts_with("the datastore is locked") && lines.is_empty(), "{sentence} {lines:?}");
}

#[test]
fn a_thing_is_told_under_the_first_reason_and_with_all_under_each() {
    let held = HolderNow { who: Claimer::Pod("shop".into(), "a\rb".into()), grade: Grade::Certain };
    let refusals =
        [Refusal::new("a", Objection::Held(held.clone())), young("a", 3, 15), Refusal::new("b", Objection::Held(held))];
    let (sentence, lines) = told(&refusals, false);
    assert_eq!(sentence, "2 have a certain holder");
    assert_eq!(lines, ["  a: pod shop/a\\rb", "  b: pod shop/a\\rb"]);
    let (sentence, _) = told(&refusals, true);
    assert_eq!(sentence, "(1) 2 have a certain holder; (2) a: it needs 3 more audits (after 11:13 UTC, in 15m)");
}

#[test]
fn what_does_not_fit_into_the_answer_is_told_below_it() {
    let refusals: Vec<Refusal> = (1..=5).map(|i| on(&format!("10.65.0.{i}"), &format!("node-{i}"))).collect();
    let (sentence, lines) = told(&refusals, false);
    assert!(sentence.ends_with("; 2 more reasons") && sentence.contains("(3) 10.65.0.3: node node-3 is"), "{sentence}");
    let ways = lines.iter().filter(|l| l.starts_with("if node-")).count();
    let told: Vec<&String> = lines.iter().filter(|l| l.starts_with("REFUSED ")).collect();
    assert_eq!((ways, told.len()), (5, 2), "{lines:?}");
    assert_eq!(told[1], "REFUSED 10.65.0.5: node node-5 is not Ready, so its pods may still run");
}

#[test]
fn what_concerns_the_whole_run_comes_first() {
    let refusals = [young("a", 1, 5), young("b", 1, 5), Refusal::of_run(Objection::OneAtATime)];
    let (sentence, _) = told(&refusals, false);
    assert!(sentence.starts_with("(1) --i-know-what-this-is goes") && sentence.contains("; (2) 2 need 1 more audit"));
}

/// A plan from a file tells of each key how it moved, of up to twenty.
#[test]
fn keys_that_moved_under_a_plan_are_named_with_how() {
    let all = [
        (Drift::Gone, "it is gone"),
        (Drift::Appeared(7), "it did not exist, and has mod revision 7 now"),
        (Drift::Written { then: 3, now: 7 }, "its mod revision was 3 and is 7"),
        (Drift::Written { then: 3, now: 3 }, "its value is another at the same mod revision"),
        (Drift::More, "the plan does not treat it so"),
        (Drift::Less, "it would be treated otherwise now"),
    ];
    let refusal = |(i, (how, _)): (usize, &(Drift, &str))| Refusal::new(format!("/k{i}"), Objection::Drifted(*how));
    let (sentence, lines) = told(&all.iter().enumerate().map(refusal).collect::<Vec<_>>(), false);
    assert_eq!(sentence, "6 keys are not as they were when the plan was made");
    let wanted = all.iter().enumerate().map(|(i, (_, words))| format!("  /k{i}: {words}"));
    assert_eq!(lines, wanted.collect::<Vec<_>>());
    let many: Vec<Refusal> = (0..22).map(|i| Refusal::new(format!("/k{i}"), Objection::Drifted(Drift::Gone))).collect();
    assert_eq!(told(&many, false).1.len(), 21);
}

#[test]
fn many_that_could_not_be_read_again_are_they() {
    for (doubt, why) in [
        (PodDoubt::Failed("connection refused".into()), "connection refused"),
        (PodDoubt::NamesNone, "they name no pod"),
    ] {
        let of = |address: &str| Refusal::new(address, Objection::NotReadAgain(doubt.clone()));
        let (sentence, _) = told(&[of("10.65.0.1"), of("10.65.0.2")], false);
        assert_eq!(sentence, format!("2 could not be read again right now: {why}"));
    }
}
