use super::super::plan::tests::{refused, show, steps};
use super::*;
use crate::plan::confirm::Plan;

#[test]
fn every_end_has_its_word_in_the_answer() {
    let (plan, mut some) = (steps(3), steps(3));
    some.refusals = refused(&["a"]);
    let of = |plan: &Plan, outcome: RunOutcome| show(plan).answer_of(7, &outcome);
    let done = RunOutcome { done: 3, transactions: 3, ..RunOutcome::default() };
    assert_eq!(of(&plan, done.clone()), "DONE: 3 of 3 released in 3 transactions (release 7)");
    assert_eq!(of(&some, done.clone()), "PARTLY; 3 of 3 released in 3 transactions, 1 refused (release 7)");
    let gone = RunOutcome { done: 1, gone: 2, transactions: 1, ..RunOutcome::default() };
    assert_eq!(of(&plan, gone), "DONE: 1 of 3 released in 1 transaction, 2 gone already (release 7)");
    let none = RunOutcome { refused: refused(&["a", "b"]), ..RunOutcome::default() };
    assert_eq!(of(&some, none), "REFUSED; 0 of 3 released in 0 transactions, 2 refused (release 7)");
    let ended = |end| of(&plan, RunOutcome { end, ..RunOutcome::default() });
    let rest = "0 of 3 released in 0 transactions (release 7)";
    assert_eq!(ended(RunEnd::Stopped), format!("STOPPED; {rest}"));
    assert_eq!(ended(RunEnd::Unanswered), format!("STOPPED, Kubernetes does not answer; {rest}"));
    assert_eq!(ended(RunEnd::Failed("x".into())), format!("FAILED; {rest}"));
    assert_eq!(ended(RunEnd::Unknown("x".into())), format!("UNKNOWN what became of the last transaction; {rest}"));
    let back = Show { undoes: Some(6), ..show(&plan) }.answer_of(7, &done);
    assert_eq!(back, "DONE: 3 of 3 put back in 3 transactions (release 7)");
}

#[test]
fn an_outcome_tells_what_is_not_known_and_what_is_left() {
    let plan = steps(3);
    let end = RunEnd::Unknown("the answer\r was lost".into());
    let outcome = RunOutcome { end, left: 2, refused: refused(&["a"]), ..RunOutcome::default() };
    let mut out = Vec::new();
    show(&plan).outcome(7, &outcome, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let lines: Vec<&str> = text.lines().skip(1).collect();
    assert_eq!(
        lines,
        [
            "REFUSED a: it is not proven leaked (IPA110)",
            "UNKNOWN because the answer\\r was lost",
            "  the next `ipaudit release` looks it up before anything else",
            "2 transactions not begun: run the same command again to go on",
        ]
    );
}
