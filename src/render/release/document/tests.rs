use super::*;
use crate::model::Time;
use crate::plan::confirm::Plan;
use crate::plan::refusal::{Note, Objection};

fn show(plan: &Plan) -> Show<'_> {
    Show { plan, undoes: Some(3), all: false, now: Time(0), width: 1000 }
}

#[test]
fn a_plan_alone_is_dry_and_has_no_outcome() {
    let refusals = vec![Refusal { of_handle: Some("h".into()), ..Refusal::new("a", Objection::Unproven) }];
    let plan = Plan { refusals, notes: vec![Note::NoSuchHandle("n".into())], beyond_max: 4, ..Plan::default() };
    let found = document(&show(&plan), None, plan.ended().exit());
    let words = "it is not proven leaked (IPA110) (handle h)";
    let wanted = json!({
        "schema": "ipaudit/release/v1",
        "answer": format!("REFUSED, nothing may be put back: a: {words}"),
        "release": null,
        "undoes": 3,
        "dry": true,
        "notes": ["n: no such handle, and no block has an address of it"],
        "plan": {
            "steps": [],
            "refused": [{"rule": 3, "subject": "a", "words": words, "allowed_from": null, "commands": []}],
            "sandboxes": [],
            "beyond_max": 4,
        },
        "outcome": null,
        "exit_code": 1,
    });
    assert_eq!(found, wanted);
}

#[test]
fn an_outcome_has_its_numbers_and_its_end() {
    let plan = Plan::default();
    let with = |end| {
        let outcome = RunOutcome { done: 5, gone: 1, transactions: 2, left: 3, end, ..RunOutcome::default() };
        let exit = outcome.ended(&plan).exit();
        let mut found = document(&show(&plan), Some((7, &outcome)), exit);
        (found["outcome"].take(), found["exit_code"].take(), found["dry"].take())
    };
    let outcome = |unknown: Option<&str>, failed: Option<&str>, stopped: bool| {
        json!({
            "done": 5, "gone": 1, "transactions": 2, "refused": [], "unknown": unknown, "failed": failed,
            "stopped": stopped, "left": 3,
        })
    };
    assert_eq!(with(RunEnd::Through), (outcome(None, None, false), json!(0), json!(false)));
    assert_eq!(with(RunEnd::Stopped), (outcome(None, None, true), json!(1), json!(false)));
    assert_eq!(with(RunEnd::Unanswered), (outcome(None, None, false), json!(1), json!(false)));
    assert_eq!(with(RunEnd::Failed("f".into())), (outcome(None, Some("f"), false), json!(2), json!(false)));
    assert_eq!(with(RunEnd::Unknown("u".into())), (outcome(Some("u"), None, false), json!(3), json!(false)));
}

#[test]
fn a_step_has_every_key_with_what_is_done_to_it() {
    let plan = super::super::plan::tests::steps(1);
    let found = document(&show(&plan), None, plan.ended().exit());
    let step = &found["plan"]["steps"][0];
    assert_eq!((&step["subject"], &step["holders"]), (&json!("n.0"), &json!([])));
    assert!(step["reason"].as_str().unwrap().ends_with("(IPA201)"));
    let actions: Vec<(&str, bool, bool)> = step["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| (key["action"].as_str().unwrap(), key["before"].is_null(), key["after"].is_null()))
        .collect();
    // The block, the handle, the lock: what is compared is not repeated, what is deleted has no after.
    assert!(actions.contains(&("put", false, false)) && actions.contains(&("delete", false, true)), "{actions:?}");
    assert!(actions.contains(&("compare", true, true)), "{actions:?}");
}
