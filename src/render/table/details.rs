//! What a single finding shows of its evidence: who keeps an address and who must be restarted, and what its check has
//! to show. All other evidence is in the JSON.

use std::collections::{HashMap, HashSet};

use super::line::HANG;
use super::paper::{BOLD, COMMAND, DIM, PLAIN, Text};
use crate::checks::evidence::sandbox;
use crate::checks::{self, Shown};
use crate::model::{Finding, Foreign, KeptFinding, MachineNow};
use crate::render::commands::asks_again;
use crate::render::number::grouped;
use crate::render::places::is_named;

/// So many names are shown without `--all`.
const NAMES: usize = 24;
/// So many lines of a check's own are shown without `--all`.
const LINES: usize = 8;
/// So many commands look for sandboxes without `--all`.
const LOOKS: usize = 3;
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
    lines.extend(own_lines(&shown(finding).lines, all));
    let then = then(finding);
    // A release asks once more before it writes. What writes at once is not to be pasted together with what asks.
    let is_asked = finding.next.iter().any(asks_again);
    lines.extend(told_sandboxes(&told(finding), all, then.as_deref().filter(|_| is_asked)));
    let then = then.filter(|_| !is_asked).map(|then| format!("{ONLY_THEN} {then}"));
    lines.extend(then.map(|then| (HANG, Text::new().field(PLAIN, &then))));
    lines
}

/// What the check shows, a line each.
fn own_lines(own: &[Foreign], all: bool) -> Vec<(usize, Text)> {
    let most = if all { own.len() } else { LINES };
    let mut lines: Vec<_> = own.iter().take(most).map(|own| line("", std::iter::once(own), all)).collect();
    if let Some(more @ 1..) = own.len().checked_sub(most) {
        lines.push((HANG, Text::new().field(DIM, &format!("… {} more; all with --all", grouped(more as u64)))));
    }
    lines
}

/// Between what asks and what repairs at once.
pub const ONLY_THEN: &str = "only then:";

/// What is done when no sandbox is left, where the advice says nothing else: a line between what asks and what repairs says it then.
pub fn then(finding: &Finding) -> Option<String> {
    sandbox::told(finding).next()?;
    let advice = finding.advice.shown();
    let (_, how) = advice.strip_prefix(sandbox::WHEN_NONE)?.split_once(", ")?;
    (!how.contains("; ")).then(|| how.to_owned())
}

/// On which nodes nothing may be left, and the commands that tell, each on a line of its own.
pub fn sandboxes(findings: &[&KeptFinding], all: bool) -> Vec<(usize, Text)> {
    let told: Vec<ToldSandbox> = findings.iter().flat_map(|finding| told(&finding.open())).collect();
    told_sandboxes(&told, all, None)
}

/// The same of findings that are open already.
pub fn sandboxes_of<'f>(findings: impl Iterator<Item = &'f Finding>, all: bool) -> Vec<(usize, Text)> {
    let told: Vec<ToldSandbox> = findings.flat_map(told).collect();
    told_sandboxes(&told, all, None)
}

/// On which node, what Kubernetes says of the machine, and the command that looks for one there.
type ToldSandbox = (Foreign, MachineNow, Foreign);

fn told(finding: &Finding) -> Vec<ToldSandbox> {
    sandbox::told(finding).map(|(node, machine, command)| (node.clone(), machine, command.clone())).collect()
}

fn told_sandboxes(told: &[ToldSandbox], all: bool, then: Option<&str>) -> Vec<(usize, Text)> {
    let then = then.map(|then| format!("; then {then}")).unwrap_or_default();
    let (mut left, mut more) = (if all { usize::MAX } else { LOOKS }, 0);
    let mut lines = Vec::new();
    for (node, machine, commands) in by_node(told) {
        let commands = sandbox::together(commands);
        let shown = commands.len().min(left);
        left -= shown;
        more += commands.iter().skip(shown).map(|(_, number)| number).sum::<usize>();
        let this = if shown == 1 { "this" } else { "each of these" };
        if shown > 0 {
            let head = sandbox::where_to_look(node, machine, this);
            lines.push((HANG, Text::new().field(PLAIN, &format!("{}{then}:", head.shown()))));
        }
        let line = |(command, _): &(Foreign, usize)| (HANG, Text::new().whole(COMMAND, &command.shown()));
        lines.extend(commands.iter().take(shown).map(line));
    }
    if more > 0 {
        let what = if more == 1 { "sandbox" } else { "sandboxes" };
        lines.push((
            HANG,
            Text::new().field(DIM, &format!("… {} more {what} to look for; all with --all", grouped(more as u64))),
        ));
    }
    lines
}

/// By node, in their order, the commands that look for a sandbox there, each once.
fn by_node(told: &[ToldSandbox]) -> Vec<(&Foreign, MachineNow, Vec<&Foreign>)> {
    let mut nodes: Vec<(&Foreign, MachineNow, Vec<&Foreign>)> = Vec::new();
    let (mut places, mut seen) = (HashMap::new(), HashSet::new());
    for (node, machine, command) in told {
        if !seen.insert((node, command)) {
            continue;
        }
        let place = *places.entry(node).or_insert(nodes.len());
        match nodes.get_mut(place) {
            Some((_, _, commands)) => commands.push(command),
            None => nodes.push((node, *machine, vec![command])),
        }
    }
    nodes
}

fn line<'f>(label: &str, names: impl ExactSizeIterator<Item = &'f Foreign>, all: bool) -> (usize, Text) {
    let number = names.len();
    let shown = if all || number <= NAMES { number } else { NAMES };
    let mut text = Text::new().field(BOLD, label);
    for (i, name) in names.take(shown).map(Foreign::shown).enumerate() {
        text = if i == 0 { text.column_whole(PLAIN, &name, INDENT - HANG) } else { text.whole(PLAIN, &name) };
    }
    if shown < number {
        text = text.field(PLAIN, &format!("… {} more", grouped((number - shown) as u64)));
    }
    (INDENT, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pod with ten thousand endpoints has ten thousand lines of its own: with `--all`.
    #[test]
    fn a_check_shows_a_few_lines_and_how_many_more_there_are() {
        let lines = |number: usize| (0..number).map(|i| Foreign::from(format!("node-{i}: web-0"))).collect::<Vec<_>>();
        for (number, all, shown) in [(1, false, 1), (LINES, false, LINES), (10_000, false, LINES + 1), (50, true, 50)] {
            assert_eq!(own_lines(&lines(number), all).len(), shown, "{number} {all}");
        }
    }
}
