//! The last lines: what was not checked and why, what is others', the sum, what changed, the exit code.

use std::collections::{HashMap, HashSet};
use std::io::Result;

use super::line::{HANG, name_of, total};
use super::options::Options;
use super::paper::{BOLD, COMMAND, DIM, PLAIN, Paper, Text, style_of};
use crate::checks::datastore::{datastore_went_back, kubernetes_mismatch, shared_datastore};
use crate::checks::{NO_STATUS, Skipped};
use crate::exit::Exit;
use crate::model::{Foreign, Input, InputState, Severity, Sharing};
use crate::render::folds::Folds;
use crate::render::number::grouped;
use crate::render::releases::Releases;
use crate::render::view::{AuditView, HistoryRow, InputRow};

/// So many codes of skipped checks are named without `--all`.
const CODES: usize = 10;

pub fn write(view: &AuditView<'_>, folds: &Folds<'_>, options: Options, paper: &mut Paper<'_>) -> Result<()> {
    // What only an earlier audit is missing for is no incompleteness: the last line counts it.
    let skipped: Vec<&Skipped> = view.skipped.iter().filter(|s| s.incomplete || options.all).collect();
    let is_told_above = !options.quiet && !options.all;
    let unread: Vec<&InputRow> = view.unread().filter(|row| !is_told_above && !is_told(row, &skipped)).collect();
    if !skipped.is_empty() || !unread.is_empty() {
        if !options.quiet || !folds.shown.is_empty() {
            paper.blank()?;
        }
        paper.paragraph(0, 0, &Text::new().field(style_of(Severity::Warning).bold(), "SKIPPED"))?;
        if is_told_above && !skipped.is_empty() {
            told_above(&skipped).write(options.all, paper)?;
        }
        for reason in by_reason(&skipped, &shared(view)).iter().filter(|_| !is_told_above) {
            reason.write(options.all, paper)?;
        }
        for row in unread {
            let why = if row.detail.is_empty() { row.state.word().into() } else { row.detail.shown() };
            paper.paragraph(0, HANG, &Text::new().field(BOLD, row.input.word()).field(PLAIN, &why))?;
        }
        // The verdict has them, where it is told.
        for hint in hints(view).into_iter().filter(|_| options.quiet) {
            paper.paragraph(HANG, HANG, &Text::new().field(PLAIN, &format!("hint: {}", hint.shown())))?;
        }
    }
    if let Some(sentence) = outside(view) {
        if !options.quiet {
            paper.blank()?;
        }
        let asks = asks_whose(view);
        let more = if asks { "; if no other cluster uses this datastore, say so:" } else { "" };
        paper.paragraph(0, 0, &Text::new().field(PLAIN, &format!("{sentence}{more}")))?;
        if asks {
            paper.paragraph(HANG, HANG, &Text::new().whole(COMMAND, shared_datastore::EXCLUSIVE))?;
        }
    }
    if let Some(sentence) = left_out(view).filter(|_| !options.quiet) {
        paper.blank()?;
        paper.paragraph(0, 0, &Text::new().field(DIM, &sentence))?;
    }
    if !options.quiet {
        paper.blank()?;
        paper.paragraph(0, 0, &last_line(view))?;
    }
    Ok(())
}

/// Whether a skipped check's reason names this input already, or the very cause that it was not read for.
fn is_told(row: &InputRow, skipped: &[&Skipped]) -> bool {
    let told = |s: &&Skipped| {
        s.reason.raw().split_once(": ").is_some_and(|(input, why)| input == row.input.word() || row.detail == why)
    };
    skipped.iter().any(told)
}

/// How what was not read can be read, each way once.
fn hints<'v>(view: &'v AuditView<'_>) -> Vec<&'v Foreign> {
    let missed = view.inputs.iter().filter(|row| row.input != Input::History && row.state != InputState::Complete);
    let mut hints: Vec<&Foreign> = missed.map(|row| &row.hint).filter(|hint| !hint.is_empty()).collect();
    let mut seen = HashSet::new();
    hints.retain(|hint| seen.insert(*hint));
    hints
}

/// The causes for which several inputs were not read, as when etcd lets us in nowhere: told once, not input by input.
fn shared<'v>(view: &'v AuditView<'_>) -> HashSet<&'v str> {
    let mut seen = HashSet::new();
    view.unread().map(|row| row.detail.raw()).filter(|why| !why.is_empty() && !seen.insert(*why)).collect()
}

/// The verdict has told the causes, each once: here are the checks.
fn told_above<'v>(skipped: &[&'v Skipped]) -> SkipReason<'v> {
    SkipReason { why: "as said above (each with its cause: --all)".into(), incomplete: true, checks: skipped.to_vec() }
}

/// The checks that one reason has kept from running.
struct SkipReason<'v> {
    why: Foreign,
    incomplete: bool,
    checks: Vec<&'v Skipped>,
}

/// In the order of their first check, what makes the audit incomplete first.
fn by_reason<'v>(skipped: &[&'v Skipped], shared: &HashSet<&str>) -> Vec<SkipReason<'v>> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut reasons: Vec<SkipReason<'v>> = Vec::new();
    for &check in skipped {
        let why = match check.reason.raw().split_once(": ") {
            Some((_, why)) if shared.contains(why) => why,
            _ => check.reason.raw(),
        };
        let place = *places.entry(why).or_insert(reasons.len());
        match reasons.get_mut(place) {
            Some(reason) => reason.checks.push(check),
            None => {
                reasons.push(SkipReason { why: why.into(), incomplete: check.incomplete, checks: vec![check] });
            }
        }
    }
    reasons.sort_by_key(|r| !r.incomplete);
    reasons
}

impl SkipReason<'_> {
    fn write(&self, all: bool, paper: &mut Paper<'_>) -> Result<()> {
        let style = if self.incomplete { BOLD } else { DIM };
        let plain = if self.incomplete { PLAIN } else { DIM };
        if let [only] = self.checks.as_slice() {
            let text = Text::new().field(style, &only.code.to_string()).then(plain, name_of(only.code));
            return paper.paragraph(0, HANG, &text.field(plain, &self.why.shown()));
        }
        let text = Text::new().field(style, &format!("{} checks", self.checks.len())).field(plain, &self.why.shown());
        paper.paragraph(0, HANG, &text)?;
        let shown = if all { self.checks.len() } else { CODES };
        let mut codes: Vec<String> = self.checks.iter().take(shown).map(|s| s.code.to_string()).collect();
        let more = self.checks.len().saturating_sub(shown);
        codes.extend((more > 0).then(|| format!("and {more} more (--all)")));
        paper.paragraph(HANG, HANG, &Text::new().field(DIM, &codes.join(" ")))
    }
}

/// The sentence of the catalogue's word "Scope".
fn outside(view: &AuditView<'_>) -> Option<String> {
    let out = view.outside;
    if out.addresses == 0 && out.nodes == 0 {
        return None;
    }
    let addresses =
        if out.addresses == 1 { "1 address".to_owned() } else { format!("{} addresses", grouped(out.addresses)) };
    let nodes = if out.nodes == 1 { "1 node".to_owned() } else { format!("{} nodes", grouped(out.nodes)) };
    let are = if out.addresses == 1 { "is" } else { "are" };
    Some(format!("{addresses} on {nodes} {are} outside this cluster: not judged"))
}

/// Whether the operator's word on that would help: IPA906 asks for it itself, and a word that makes departed nodes of all
/// others is not asked for while the datastore is not what it was.
fn asks_whose(view: &AuditView<'_>) -> bool {
    let theirs = [datastore_went_back::CHECK.code, kubernetes_mismatch::CHECK.code, shared_datastore::CHECK.code];
    let is_sure =
        !matches!(view.releases, Releases::Closed(_)) && !view.findings.iter().any(|f| theirs.contains(&f.code));
    outside(view).is_some() && view.audit.scope != Sharing::Exclusive && is_sure
}

/// What must be typed behind the commands of ipaudit to reach the same cluster.
fn left_out(view: &AuditView<'_>) -> Option<String> {
    let flags = view.connected_by.join(", ");
    let has_commands = || asks_whose(view) || view.findings.iter().any(|f| !f.open().next.is_empty());
    let is_needed = !flags.is_empty() && has_commands();
    is_needed.then(|| format!("The commands leave out how this audit was connected: {flags}."))
}

fn last_line(view: &AuditView<'_>) -> Text {
    let mut sum = total(view);
    if sum.is_empty() {
        sum.push_str("no findings");
    }
    if view.hidden > 0 {
        sum.push_str(&format!(" ({} outside this view)", grouped(view.hidden as u64)));
    }
    if view.ignored > 0 {
        sum.push_str(&format!(" ({} ignored)", grouped(view.ignored as u64)));
    }
    sum.push_str(&skips(view));
    let mut text = Text::new().field(BOLD, &format!("{sum}."));
    if let Some(history) = view.history {
        text = text.field(PLAIN, &changes(history));
    }
    let style = match view.exit {
        Exit::Clean => PLAIN,
        Exit::Findings => style_of(Severity::Error),
        Exit::Failure | Exit::Incomplete => style_of(Severity::Warning),
    };
    let text = text.field(style, &format!("exit {}", view.exit.code()));
    match view.exit {
        Exit::Clean | Exit::Findings => text,
        Exit::Failure | Exit::Incomplete => text.then(style, &format!("({})", view.exit.word())),
    }
}

/// `; 1 check skipped, 6 need an earlier audit`
fn skips(view: &AuditView<'_>) -> String {
    let (skipped, innocent): (Vec<&Skipped>, Vec<&Skipped>) = view.skipped.iter().partition(|s| s.incomplete);
    let unasked = innocent.iter().filter(|s| s.reason == NO_STATUS).count();
    let kinds = [
        (skipped.len(), "skipped", "skipped"),
        (innocent.len() - unasked, "needs an earlier audit", "need an earlier audit"),
        (
            unasked,
            "needs etcd's status, which is not in what was read",
            "need etcd's status, which is not in what was read",
        ),
    ];
    let kinds = kinds.into_iter().filter(|(number, _, _)| *number > 0).enumerate();
    let words = kinds.map(|(place, (number, one, many))| match (place, number) {
        (0, 1) => format!("; 1 check {one}"),
        (0, number) => format!("; {number} checks {many}"),
        (_, number) => format!(", {number} {}", if number == 1 { one } else { many }),
    });
    words.collect()
}

/// `History: 3 new, 66 ongoing, 1 resolved.`
fn changes(history: HistoryRow) -> String {
    let rows = [
        (history.new, "new"),
        (history.ongoing, "ongoing"),
        (history.came_back, "came back"),
        (history.resolved, "resolved"),
    ];
    let words: Vec<String> =
        rows.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{} {word}", grouped(*n))).collect();
    if words.is_empty() { "History: nothing new.".to_owned() } else { format!("History: {}.", words.join(", ")) }
}
