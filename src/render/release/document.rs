//! Plan and outcome for programs: one versioned document.

use serde_json::{Value, json};

use super::plan::Show;
use super::sandboxes::Sandboxes;
use super::{notes, words};
use crate::exit::Exit;
use crate::model::Foreign;
use crate::model::keys::key_text;
use crate::plan::confirm::PlanStep;
use crate::plan::outcome::{RunEnd, RunOutcome};
use crate::plan::refusal::{Objection, Refusal};
use crate::plan::transaction::{After, Change};
use crate::plan::waiting::allowed_from;

/// The name and version of the document's shape.
pub const SCHEMA: &str = "ipaudit/release/v1";

/// Plan and outcome; `done`: the number of the release and what became of it.
pub fn document(show: &Show<'_>, done: Option<(i64, &RunOutcome)>, exit: Exit) -> Value {
    let plan = show.plan;
    json!({
        "schema": SCHEMA,
        "answer": done.map_or_else(|| show.answer(), |(release, outcome)| show.answer_of(release, outcome)),
        "release": done.map(|(release, _)| release),
        "undoes": show.undoes,
        "dry": done.is_none(),
        "notes": plan.notes.iter().map(notes::note).collect::<Vec<_>>(),
        "plan": {
            "steps": plan.steps.iter().map(step).collect::<Vec<_>>(),
            "refused": refused(&plan.refusals),
            "sandboxes": Sandboxes::of(plan).document(),
            "beyond_max": plan.beyond_max,
        },
        "outcome": done.map(|(_, outcome)| json!({
            "done": outcome.done,
            "gone": outcome.gone,
            "transactions": outcome.transactions,
            "refused": refused(&outcome.refused),
            "unknown": if let RunEnd::Unknown(why) = &outcome.end { Some(why) } else { None },
            "failed": if let RunEnd::Failed(why) = &outcome.end { Some(why) } else { None },
            "stopped": outcome.end == RunEnd::Stopped,
            "left": outcome.left,
        })),
        "exit_code": exit.code(),
    })
}

fn step(step: &PlanStep) -> Value {
    let holders = step.holders.iter().map(|h| json!({"who": words::claimer(&h.who), "grade": h.grade.word()}));
    json!({
        "subject": step.work.subject(),
        "reason": words::grounds(&step.grounds),
        "holders": holders.collect::<Vec<_>>(),
        "keys": step.shown.changes().iter().map(key).collect::<Vec<_>>(),
    })
}

fn key(change: &Change) -> Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (action, after) = match &change.after {
        After::Same => ("compare", None),
        After::Put(value) => ("put", Some(text(value))),
        After::Delete => ("delete", None),
    };
    json!({
        "key": key_text(&change.key),
        "action": action,
        "why": change.why,
        "mod_revision": change.before.as_ref().map(|b| b.mod_revision),
        "before": change.before.as_ref().filter(|_| action != "compare").map(|b| text(&b.value)),
        "after": after,
    })
}

fn commands(objection: &Objection) -> &[Foreign] {
    match objection {
        Objection::ByHand { commands, .. } => commands,
        _ => &[],
    }
}

fn refused(refusals: &[Refusal]) -> Vec<Value> {
    let of = |r: &Refusal| {
        json!({
            "rule": r.rule().number(),
            "subject": r.subject,
            "words": words::refusal(r),
            "allowed_from": allowed_from(&r.objection),
            "commands": commands(&r.objection),
        })
    };
    refusals.iter().map(of).collect()
}

#[cfg(test)]
mod tests;
