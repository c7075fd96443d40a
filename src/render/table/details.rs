//! What a single finding shows of its evidence: who keeps an address and who must be restarted, and what its check has
//! to show. All other evidence is in the JSON.

use super::line::HANG;
use super::paper::{BOLD, COMMAND, DIM, PLAIN, Text};
use crate::checks::evidence::sandbox;
use crate::checks::{self, Shown};
use crate::model::{Finding, Foreign};
use crate::render::places::is_named;

/// So many names are shown without `--all`.
const NAMES: usize = 24;
/// So many sandboxes are looked for without `--all`.
const SANDBOXES: usize = 3;
/// Where values of details begin.
const INDENT: usize = HANG + 9;

/// What the finding's own check shows of its evidence.
fn shown(finding: &Finding) -> Shown {
    checks::find(finding.code).map_or_else(Shown::default, |check| (check.ties.shows)(finding))
}

/// What belongs behind the summary: what the check says, and the node where nothing else names it.
pub fn addition(finding: &Finding) -> String {
    let Shown { behind, on_many_nodes, .. } = shown(finding);
    let mut text = behind.shown().into_owned();
    if let Some(node) = finding.node.as_ref().filter(|node| !on_many_nodes && !is_named(finding, node)) {
        text.push_str(&format!(" (on {})", node.shown()));
    }
    text
}

/// The lines, each with its hanging indent.
pub fn of(finding: &Finding, all: bool) -> Vec<(usize, Text)> {
    let mut lines = Vec::new();
    // The advice names the one to keep already, as a rule.
    if let Some(keep) = finding.evidence.text("keep").filter(|keep| !finding.advice.has(keep)) {
        lines.push(line("keep", std::iter::once(keep), all));
    }
    let restart: Vec<&Foreign> = finding.evidence.texts("restart").collect();
    if !restart.is_empty() {
        lines.push(line("restart", restart.into_iter(), all));
    }
    lines.extend(shown(finding).lines.iter().map(|own| line("", std::iter::once(own), all)));
    lines.extend(told_sandboxes(&[finding], all, then(finding).as_deref()));
    lines
}

/// What is done when no sandbox is left, where the advice says nothing else: the line above the commands says it then.
pub fn then(finding: &Finding) -> Option<String> {
    sandbox::told(finding).next()?;
    let advice = finding.advice.shown();
    let (_, how) = advice.strip_prefix(sandbox::WHEN_NONE)?.split_once(", ")?;
    (!how.contains("; ")).then(|| how.to_owned())
}

/// On which nodes nothing may be left, and the commands that tell, each on a line of its own.
pub fn sandboxes(findings: &[&Finding], all: bool) -> Vec<(usize, Text)> {
    told_sandboxes(findings, all, None)
}

fn told_sandboxes(findings: &[&Finding], all: bool, then: Option<&str>) -> Vec<(usize, Text)> {
    let then = then.map(|then| format!("; then {then}")).unwrap_or_default();
    let (number, nodes) = looks_for_sandboxes(findings, all);
    let mut lines = Vec::new();
    for (node, commands) in nodes {
        let this = if commands.len() == 1 { "this" } else { "each of these" };
        let head = format!("on {} {this} must print nothing{then}:", node.shown());
        lines.push((HANG, Text::new().field(PLAIN, &head)));
        lines.extend(commands);
    }
    if let Some(more @ 1..) = number.checked_sub(SANDBOXES).filter(|_| !all) {
        lines.push((HANG, Text::new().field(DIM, &format!("… {more} more sandboxes to look for; all with --all"))));
    }
    lines
}

/// How many there are, and by node the commands that are shown.
#[expect(clippy::type_complexity, reason = "a number and lines by node")]
fn looks_for_sandboxes<'f>(findings: &[&'f Finding], all: bool) -> (usize, Vec<(&'f Foreign, Vec<(usize, Text)>)>) {
    let mut nodes: Vec<(&Foreign, Vec<&Foreign>)> = Vec::new();
    for (node, command) in findings.iter().flat_map(|finding| sandbox::told(finding)) {
        match nodes.iter_mut().find(|(known, _)| *known == node) {
            Some((_, commands)) if commands.contains(&command) => {}
            Some((_, commands)) => commands.push(command),
            None => nodes.push((node, vec![command])),
        }
    }
    let number = nodes.iter().map(|(_, commands)| commands.len()).sum();
    let mut left = if all { usize::MAX } else { SANDBOXES };
    let mut shown = Vec::new();
    for (node, commands) in nodes {
        let now = commands.len().min(left);
        left -= now;
        let line = |command: &&Foreign| (HANG, Text::new().whole(COMMAND, &command.shown()));
        let lines: Vec<_> = commands.iter().take(now).map(line).collect();
        if !lines.is_empty() {
            shown.push((node, lines));
        }
    }
    (number, shown)
}

fn line<'f>(label: &str, names: impl ExactSizeIterator<Item = &'f Foreign>, all: bool) -> (usize, Text) {
    let number = names.len();
    let shown = if all || number <= NAMES { number } else { NAMES };
    let mut text = Text::new().field(BOLD, label);
    for (i, name) in names.take(shown).map(Foreign::shown).enumerate() {
        text = if i == 0 { text.column_whole(PLAIN, &name, INDENT - HANG) } else { text.whole(PLAIN, &name) };
    }
    if shown < number {
        text = text.field(PLAIN, &format!("… {} more", number - shown));
    }
    (INDENT, text)
}
