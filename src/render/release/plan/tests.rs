use super::*;
use crate::model::{Addr, Time};
use crate::plan::circumstances::{Claimer, Ground, HolderNow};
use crate::plan::fresh::Decision;
use crate::plan::orphans::Orphan;
use crate::plan::refusal::{Note, Objection};
use crate::plan::testing::{Store, cidr};

const BLOCK: &str = "10.65.0.0/30";

/// A plan of so many steps, one orphan each.
pub(in crate::render::release) fn steps(many: usize) -> Plan {
    let mut store = Store::new();
    store.block(BLOCK, "\"host:n\"", [None; 4]);
    let step = |i: usize| {
        let id = format!("n.{i}");
        let (key, mod_revision) = store.handle(&id, &[BLOCK]);
        let orphan = Orphan { id, key: key.into_bytes(), mod_revision, blocks: vec![cidr(BLOCK)] };
        let work = Work::Orphans(vec![orphan]);
        let Decision::Write(shown) = work.decide(&store.fresh, Time(0)).decision else { panic!("nothing to write") };
        PlanStep {
            work,
            grounds: vec![Ground::Orphaned(None)],
            holders: Vec::new(),
            again: Vec::new(),
            sandboxes: Vec::new(),
            shown,
        }
    };
    Plan { steps: (0..many).map(step).collect(), ..Plan::default() }
}

pub(in crate::render::release) fn refused(subjects: &[&str]) -> Vec<Refusal> {
    subjects.iter().map(|subject| Refusal::new(*subject, Objection::Unproven)).collect()
}

pub(in crate::render::release) fn show(plan: &Plan) -> Show<'_> {
    Show { plan, undoes: None, all: false, now: Time(0), width: 1000 }
}

fn table(show: &Show<'_>) -> String {
    let mut out = Vec::new();
    show.plan(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_first_line_is_the_answer() {
    let mut plan = Plan::default();
    assert_eq!(show(&plan).answer(), "NOTHING to release");
    assert_eq!(Show { undoes: Some(7), ..show(&plan) }.answer(), "NOTHING to put back");
    plan.refusals = refused(&["a"]);
    let one = "REFUSED, nothing may be released: a: it is not proven leaked (IPA110)";
    assert_eq!(show(&plan).answer(), one);
    plan.refusals = refused(&["a", "b"]);
    assert_eq!(show(&plan).answer(), "REFUSED, nothing may be released: 2 are not proven leaked (IPA110)");
    let undo = Show { undoes: Some(7), ..show(&plan) }.answer();
    assert!(undo.raw().starts_with("REFUSED, nothing may be put back: 2 are"), "{undo:?}");
    let mut plan = steps(2);
    assert_eq!(show(&plan).answer(), "PLAN: release 2 orphaned handles in 2 transactions");
    plan.refusals = refused(&["a", "a", "b"]);
    let some = "PLAN: release 2 orphaned handles in 2 transactions; 2 refused";
    assert_eq!(show(&plan).answer(), some, "things, not reasons");
    assert!(table(&show(&plan)).starts_with(&format!("{some}\n")));
}

#[test]
fn what_a_plan_is_about_is_counted_by_kind() {
    assert_eq!(subjects(&steps(1)), "1 orphaned handle");
    assert_eq!(subjects(&steps(2)), "2 orphaned handles");
    assert_eq!(subjects(&Plan::default()), "");
}

#[test]
fn a_step_tells_why_who_and_every_key() {
    let mut plan = steps(1);
    let text = table(&show(&plan));
    for line in [
        "RELEASE n.0",
        "  allowed: no block has an address of it, and no endpoint has its container (IPA201)",
        "  holders: none",
        "  - /calico/ipam/v2/handle/n.0  no block has an address of it",
        "  ~ /calico/ipam/v2/assignment/ipv4/block/10.65.0.0-30  fence",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    }
    assert!(text.contains("  = /calico/") && text.contains("compared only"), "{text}");
    let who = Claimer::Pod("shop".into(), "a\rb".into());
    plan.steps[0].holders = vec![HolderNow { who, grade: crate::ledger::Grade::Stale }];
    let text = table(&Show { undoes: Some(7), ..show(&plan) });
    assert!(text.contains("PUT BACK n.0\n") && text.contains("  holder: pod shop/a\\rb (stale)\n"), "{text}");
}

#[test]
fn long_plans_are_cut_and_all_shows_everything() {
    let mut plan = steps(22);
    plan.refusals = (0..22).map(|i| Refusal::new(format!("r{i}"), Objection::Unproven)).collect();
    plan.beyond_max = 9;
    let text = table(&show(&plan));
    assert_eq!(text.matches("\nRELEASE ").count(), 20);
    assert_eq!(text.matches("  holders: none").count(), 5, "in full");
    assert!(text.contains("… 2 transactions more; --all shows every key\n"), "{text}");
    assert!(
        text.contains("\nREFUSED 22 are not proven leaked (IPA110)\n  r0\n  r1\n  r2\n  … 19 more; --all names them\n")
    );
    assert!(text.ends_with("9 more are beyond --max: run again for them\n"));
    let refused = Plan { steps: Vec::new(), ..plan.clone() };
    let text = table(&show(&refused));
    assert!(text.contains("9 more are beyond --max: raise it, or "), "who is refused would be met again: {text}");
    let all = table(&Show { all: true, ..show(&plan) });
    assert_eq!((all.matches("\nRELEASE ").count(), all.matches("\n  r").count()), (22, 22));
    assert!(!all.contains("--all"));
}

#[test]
fn notes_come_right_after_the_answer_and_are_escaped() {
    let address: Addr = "10.65.0.1".parse().unwrap();
    let notes = vec![Note::NoSuchHandle("a\nb".into()), Note::NotAllocated(address)];
    let plan = Plan { notes, ..Plan::default() };
    let text = table(&show(&plan));
    let lines: Vec<&str> = text.lines().collect();
    let first = "NOTE a\\nb: no such handle, and no block has an address of it";
    assert_eq!(lines, ["NOTHING to release", first, "NOTE 10.65.0.1 is not allocated"]);
}

#[test]
fn sentences_wrap_at_the_width_and_commands_do_not() {
    let why = "the API server answered with so many words that no terminal of eighty columns has room for all of them in one line";
    let mut plan = Plan::default();
    plan.refusals.push(Refusal::of_run(Objection::Unpaired(why.into())));
    plan.refusals.push(Refusal::of_run(Objection::SettingsUndecoded(why.into())));
    let mut out = Vec::new();
    Show { width: 80, ..show(&plan) }.plan(&mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.lines().count() > 3 && text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert_eq!(text.replace("\n        ", " ").matches(why).count(), 2, "{text}");
}
