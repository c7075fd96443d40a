//! What was not seen, by whose fault, what to do about it, and what for that was not looked for.

use super::sentence::{Sentence, Tone, listed};
use crate::checks::addresses::{duplicate_pod_address, leaked_address};
use crate::checks::datastore::{kubernetes_mismatch, undecodable_value};
use crate::checks::{Check, Skipped};
use crate::model::coverage::reason;
use crate::model::{Code, FailedLook, Input, InputState, Severity};
use crate::render::folds::Folds;
use crate::render::number::grouped;
use crate::render::view::{AuditView, InputRow};

/// What people come for, and the checks that look for it.
const SOUGHT: [(&Check, &str); 2] = [(&duplicate_pod_address::CHECK, "duplicates"), (&leaked_address::CHECK, "leaks")];

/// The findings that say no more than this sentence does.
pub fn codes() -> Vec<Code> {
    vec![undecodable_value::CHECK.code, kubernetes_mismatch::CHECK.code]
}

/// The sentence; `None` where everything was seen.
pub fn sentence(view: &AuditView<'_>, folds: &Folds<'_>) -> Option<Sentence> {
    let mut causes: Vec<String> = Vec::new();
    causes.extend(kubernetes(view));
    causes.extend(etcd(view));
    causes.extend(others(view));
    causes.extend(undecodable(view));
    causes.extend(unconfirmed(view, folds));
    if causes.is_empty() {
        return None;
    }
    let unsought = unsought(view);
    if !unsought.is_empty() {
        causes.push(unsought);
    }
    let bad_values = view.inputs.iter().any(|row| row.undecodable > 0);
    let command = bad_values.then(|| format!("ipaudit audit --code {} --all", undecodable_value::CHECK.code).into());
    Some(Sentence { tone: Tone::Blind, text: format!("{}.", causes.join("; ")).into(), command })
}

/// Rows of one state, and their words.
fn of_state<'v>(rows: &[&'v InputRow], state: InputState) -> Option<(&'v InputRow, String, usize)> {
    let rows: Vec<&InputRow> = rows.iter().copied().filter(|row| row.state == state).collect();
    let words: Vec<&str> = rows.iter().map(|row| row.input.word()).collect();
    rows.first().map(|first| (*first, listed(&words), rows.len()))
}

/// Rows that are missing for one reason, for each: the first, their words and their number.
fn by_reason<'v>(rows: &[&'v InputRow]) -> Vec<(&'v InputRow, String, usize)> {
    let mut reasons: Vec<(String, Vec<&InputRow>)> = Vec::new();
    for row in rows.iter().copied() {
        let reason = reason(&row.input.word().into(), &row.detail);
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, same)) => same.push(row),
            None => reasons.push((reason, vec![row])),
        }
    }
    reasons.iter().filter_map(|(_, same)| of_state(same, same.first()?.state)).collect()
}

/// `(detail; hint)`; a question stands right behind what it asks about.
fn why(row: &InputRow) -> String {
    cause(detail(row), row.hint.raw())
}

fn detail(row: &InputRow) -> &str {
    if row.detail.is_empty() { row.state.word() } else { row.detail.raw() }
}

/// A cause and its cure, as [`why`] has them.
fn cause(detail: &str, hint: &str) -> String {
    match hint {
        "" => format!("({detail})"),
        hint if hint.ends_with('?') => format!("({detail}: {hint})"),
        hint => format!("({detail}; {hint})"),
    }
}

/// Whether somebody misses this input: it should have been read, or a check was skipped for it.
fn is_missed(view: &AuditView<'_>, row: &InputRow) -> bool {
    view.unread().any(|unread| unread.input == row.input)
        || view.skipped.iter().any(|s| s.incomplete && names(s, row.input))
}

/// Whether a check was skipped for this input.
fn names(skipped: &Skipped, input: Input) -> bool {
    skipped.reason.raw().strip_prefix(input.word()).is_some_and(|rest| rest.starts_with(": "))
}

fn kubernetes(view: &AuditView<'_>) -> Vec<String> {
    let all: Vec<&InputRow> = view.inputs.iter().filter(|row| row.input.is_kubernetes()).collect();
    let missed: Vec<&InputRow> = all.iter().copied().filter(|row| is_missed(view, row)).collect();
    let mut causes = Vec::new();
    // A server that does not know us answers so for everything.
    let is_unknown = |row: &&InputRow| row.state == InputState::Forbidden && row.detail.raw() == "Unauthorized";
    let silent: Vec<&InputRow> =
        missed.iter().copied().filter(|row| row.state == InputState::Unreachable || is_unknown(row)).collect();
    causes.extend(by_reason(&silent).into_iter().map(|(first, words, number)| {
        let what = if number == all.len() { String::new() } else { format!(" for {words}") };
        format!("Kubernetes did not answer{what} {}", why(first))
    }));
    // What nodes say comes by the logs of their pods, which the API server is asked for.
    let nodes = view.inputs.iter().filter(|row| is_from_pods(row) && is_missed(view, row));
    causes.extend(nodes.map(|row| match row.state {
        _ if !row.detail.raw().starts_with("pods:") => {
            format!("evidence of nodes does not count, or not in all {}", why(row))
        }
        InputState::Forbidden => format!("Kubernetes refuses us {} {}", row.input.word(), why(row)),
        InputState::Partial => format!("Kubernetes' {} could be read in part only {}", row.input.word(), why(row)),
        _ => format!("Kubernetes did not give us {} {}", row.input.word(), why(row)),
    }));
    let rest: Vec<&InputRow> = missed.iter().copied().filter(|row| !is_unknown(row)).collect();
    let in_state = |state| rest.iter().copied().filter(|row| row.state == state).collect::<Vec<_>>();
    // What to do about a right is told once, and to nobody whom the server does not know.
    let mut is_told = silent.iter().any(is_unknown);
    causes.extend(by_reason(&in_state(InputState::Forbidden)).into_iter().map(|(row, words, _)| {
        let hint = if std::mem::replace(&mut is_told, true) { "" } else { row.hint.raw() };
        format!("Kubernetes refuses us {words} {}", cause(detail(row), hint))
    }));
    causes.extend(
        by_reason(&in_state(InputState::Partial))
            .into_iter()
            .map(|(row, words, _)| format!("Kubernetes' {words} could be read in part only {}", why(row))),
    );
    if let Some((row, words, _)) = of_state(&rest, InputState::NotAsked) {
        causes.push(match all.iter().all(|row| row.state == InputState::NotAsked) {
            true => format!("Kubernetes was not asked {}", why(row)),
            false => format!("nobody gave us {words} {}", why(row)),
        });
    }
    causes
}

/// Evidence of nodes that was asked for.
fn is_from_pods(row: &InputRow) -> bool {
    row.input == Input::NodeEvidence && row.state != InputState::NotAsked
}

fn etcd(view: &AuditView<'_>) -> Vec<String> {
    let is_etcds = |row: &&InputRow| !row.input.is_kubernetes() && row.input != Input::History && !is_from_pods(row);
    let calicos = view.inputs.iter().filter(|row| row.input.is_calicos()).count();
    let missed: Vec<&InputRow> = view.inputs.iter().filter(is_etcds).filter(|row| is_missed(view, row)).collect();
    let mut causes = Vec::new();
    for (state, all, some) in [
        (InputState::Unreachable, "etcd did not answer", "etcd did not tell"),
        (InputState::Forbidden, "etcd refuses us", "etcd refuses us"),
        (InputState::Partial, "etcd was read in part only", "etcd told in part only"),
        (InputState::NotAsked, "etcd was not asked", "nobody gave us"),
    ] {
        let Some((row, words, number)) = of_state(&missed, state) else { continue };
        causes.push(match number >= calicos {
            true => format!("{all} {}", why(row)),
            false => format!("{some} {words} {}", why(row)),
        });
    }
    causes
}

/// Why checks were skipped though their inputs were read: API server and datastore are not of one cluster, say.
fn others(view: &AuditView<'_>) -> Vec<String> {
    let inputs = || view.inputs.iter().filter(|row| is_missed(view, row));
    let is_told = |s: &&Skipped| inputs().any(|row| names(s, row.input)) || nodes_are_missed(view);
    let mut causes: Vec<String> = Vec::new();
    for skipped in view.skipped.iter().filter(|s| s.incomplete && !is_told(s)) {
        let cause = skipped.reason.raw().to_owned();
        if !causes.contains(&cause) {
            causes.push(cause);
        }
    }
    let mismatch = view.findings.iter().find(|f| f.code == kubernetes_mismatch::CHECK.code);
    if let (Some(first), Some(finding)) =
        (causes.first_mut(), mismatch.map(|f| f.open()).filter(|f| !f.advice.is_empty()))
    {
        let (what, why) = first.split_once(": ").unwrap_or((first.as_str(), ""));
        *first = format!("{what} ({why}; {})", finding.advice.raw());
    }
    let failed = |look: &FailedLook| format!("the second look failed {}", cause(look.why.raw(), look.hint.raw()));
    causes.extend(view.unlooked.as_ref().map(failed));
    causes
}

/// Whose a node is, and whether the two belong together, nobody knows where nodes were not read: the same cause.
fn nodes_are_missed(view: &AuditView<'_>) -> bool {
    let missing = [Input::KubeNodes, Input::CalicoNodes, Input::Pods, Input::Endpoints];
    view.inputs.iter().any(|row| missing.contains(&row.input) && is_missed(view, row))
}

fn undecodable(view: &AuditView<'_>) -> Option<String> {
    let code = undecodable_value::CHECK.code;
    match view.inputs.iter().map(|row| row.undecodable).sum::<u64>() {
        0 => None,
        1 => Some(format!("1 value does not decode ({code}), and what it hides was not judged")),
        many => Some(format!("{many} values do not decode ({code}), and what they hide was not judged")),
    }
}

/// What one look found and nobody looked at again, counted as the last line counts it. Nobody is blind for a warning.
fn unconfirmed(view: &AuditView<'_>, folds: &Folds<'_>) -> Option<String> {
    const CURE: &str = "(nobody looked again: run without --settle 0)";
    let (_, suspected) = folds.counts(&view.findings);
    if !suspected.iter().any(|(severity, number)| *severity >= Severity::Error && *number > 0)
        && view.unlooked.is_none()
    {
        let elsewhere = format!("what was found outside this view was seen once, unconfirmed {CURE}");
        return (view.seen_once > 0).then_some(elsewhere);
    }
    let counts = suspected.iter().filter(|(_, number)| *number > 0).map(|(severity, number)| {
        format!("{} {severity}{}", grouped(*number as u64), if *number == 1 { "" } else { "s" })
    });
    let counts: Vec<String> = counts.collect();
    let why = if view.unlooked.is_some() { String::new() } else { format!(" {CURE}") };
    (!counts.is_empty()).then(|| format!("{} seen once, unconfirmed{why}", listed(&counts)))
}

/// `duplicates and leaks were not looked for`.
fn unsought(view: &AuditView<'_>) -> String {
    let skipped: Vec<Code> = view.skipped.iter().filter(|s| s.incomplete).map(|s| s.code).collect();
    let sought = SOUGHT.iter().filter(|(check, _)| skipped.contains(&check.code)).map(|(_, word)| *word);
    match (sought.collect::<Vec<_>>().as_slice(), skipped.len()) {
        ([], 0) => String::new(),
        ([], 1) => "1 check did not run".to_owned(),
        ([], many) => format!("{many} checks did not run"),
        (words, _) => format!("{} were not looked for", listed(words)),
    }
}
