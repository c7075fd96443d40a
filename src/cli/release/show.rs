//! Plans and outcomes for people and for scripts.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::carry::Tally;
use crate::exit::Exit;
use crate::model::keys::key_text;
use crate::plan::circumstances::Refusal;
use crate::plan::confirm::{Plan, Step};
use crate::plan::diff;
use crate::plan::transaction::{After, Change};
use crate::render::escape::escape;

/// Steps whose keys are shown in full; of the others one line each, then only their number.
const IN_FULL: usize = 5;
const IN_ONE_LINE: usize = 20;
/// Lines of one key's diff.
const DIFF_LINES: usize = 12;
/// Refusals that are shown one by one.
const REFUSALS: usize = 20;

/// The plan as a table.
///
/// # Errors
/// As the writer's.
pub fn plan(plan: &Plan, out: &mut dyn Write) -> io::Result<()> {
    for (i, step) in plan.steps.iter().enumerate() {
        match i {
            _ if i < IN_FULL => step_in_full(step, out)?,
            _ if i < IN_ONE_LINE => {
                writeln!(out, "RELEASE {}  {}", escape(&step.work.subject()), escape(&step.reason))?
            }
            _ => break,
        }
    }
    if plan.steps.len() > IN_ONE_LINE {
        writeln!(out, "… {} more transactions; -o json shows all", plan.steps.len() - IN_ONE_LINE)?;
    }
    refusals(&plan.refusals, out)?;
    if plan.beyond_max > 0 {
        writeln!(out, "{} more are beyond --max: run again for them", plan.beyond_max)?;
    }
    writeln!(out, "{} to release in {}, {} refused", plan.count(), transactions(plan.steps.len()), plan.refusals.len())
}

fn transactions(number: usize) -> String {
    if number == 1 { "1 transaction".to_owned() } else { format!("{number} transactions") }
}

fn step_in_full(step: &Step, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "RELEASE {}", escape(&step.work.subject()))?;
    writeln!(out, "  allowed: {}", escape(&step.reason))?;
    if step.holders.is_empty() {
        writeln!(out, "  holders: none")?;
    }
    for holder in &step.holders {
        writeln!(out, "  holder: {} ({})", escape(&holder.who), holder.grade)?;
    }
    let changed = step.shown.changes().iter().filter(|c| c.after != After::Same);
    for change in changed {
        key(change, out)?;
    }
    let compared = step.shown.changes().iter().filter(|c| c.after == After::Same);
    for change in compared {
        writeln!(out, "  = {}  {}", escape(&key_text(&change.key)), escape(&change.why))?;
    }
    Ok(())
}

fn key(change: &Change, out: &mut dyn Write) -> io::Result<()> {
    let sign = if change.after == After::Delete { '-' } else { '~' };
    writeln!(out, "  {sign} {}  {}", escape(&key_text(&change.key)), escape(&change.why))?;
    let lines = diff::lines(change);
    for line in lines.iter().take(DIFF_LINES) {
        let path = if line.path.is_empty() { "value" } else { &line.path };
        let (before, after) = (line.before.as_deref().unwrap_or("absent"), line.after.as_deref().unwrap_or("gone"));
        writeln!(out, "      {}: {} -> {}", escape(path), escape(before), escape(after))?;
    }
    if lines.len() > DIFF_LINES {
        writeln!(out, "      … {} more places", lines.len() - DIFF_LINES)?;
    }
    Ok(())
}

fn refusals(refusals: &[Refusal], out: &mut dyn Write) -> io::Result<()> {
    for Refusal { rule, subject, words } in refusals.iter().take(REFUSALS) {
        writeln!(out, "REFUSED {}  rule {rule}: {}", escape(subject), escape(words))?;
    }
    if refusals.len() > REFUSALS {
        writeln!(out, "… {} more refused; -o json shows all", refusals.len() - REFUSALS)?;
    }
    Ok(())
}

/// The outcome as a table.
///
/// # Errors
/// As the writer's.
pub fn outcome(release: i64, tally: &Tally, out: &mut dyn Write) -> io::Result<()> {
    refusals(&tally.refused, out)?;
    let Tally { done, gone, transactions, .. } = tally;
    writeln!(
        out,
        "release {release}: {done} done in {transactions} transactions, {gone} gone already, {} refused",
        tally.refused.len()
    )?;
    if let Some(error) = &tally.unknown {
        let text = crate::error::chain(error);
        writeln!(out, "UNKNOWN what became of the last transaction: {}", escape(&text))?;
        writeln!(out, "  the next `ipaudit release` looks it up before anything else")?;
    }
    if tally.stopped {
        writeln!(out, "stopped; {} transactions were not begun: run the same command again to go on", tally.left)?;
    }
    Ok(())
}

/// Plan and outcome as one versioned document.
pub fn document(release: Option<i64>, plan: &Plan, tally: Option<&Tally>, notes: &[String], exit: Exit) -> Value {
    json!({
        "schema": "ipaudit/release/v1",
        "release": release,
        "dry": tally.is_none(),
        "notes": notes,
        "plan": {
            "steps": plan.steps.iter().map(step_json).collect::<Vec<_>>(),
            "refused": refused_json(&plan.refusals),
            "beyond_max": plan.beyond_max,
        },
        "outcome": tally.map(|t| json!({
            "done": t.done,
            "gone": t.gone,
            "transactions": t.transactions,
            "refused": refused_json(&t.refused),
            "unknown": t.unknown.as_ref().map(|e| crate::error::chain(e)),
            "failed": t.failed.as_ref().map(|e| crate::error::chain(e)),
            "stopped": t.stopped,
            "left": t.left,
        })),
        "exit_code": exit.code(),
    })
}

fn step_json(step: &Step) -> Value {
    json!({
        "subject": step.work.subject(),
        "reason": step.reason,
        "holders": step.holders.iter().map(|h| json!({"who": h.who, "grade": h.grade})).collect::<Vec<_>>(),
        "keys": step.shown.changes().iter().map(key_json).collect::<Vec<_>>(),
    })
}

fn key_json(change: &Change) -> Value {
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

fn refused_json(refusals: &[Refusal]) -> Vec<Value> {
    refusals.iter().map(|r| json!({"rule": r.rule, "subject": r.subject, "words": r.words})).collect()
}
