//! What to type next: what repairs, below what it is for and what must be so first; then what shows more.

use std::collections::HashSet;
use std::io::Result;

use crate::checks::evidence::sandbox;
use crate::model::{Code, Finding, Foreign};
use crate::render::commands::{asks_again, shows_only, together};
use crate::render::number::grouped;
use crate::render::table::details::{ONLY_THEN, sandboxes_of};
use crate::render::table::paper::{COMMAND, DIM, PLAIN, Paper, Text, short_ids};
use crate::who::Dossier;

/// So many commands are shown; the JSON has all.
const MOST: usize = 30;

/// Findings of one kind for which the same is to be done.
struct Steps<'d> {
    code: Code,
    advice: &'d Foreign,
    findings: Vec<&'d Finding>,
    commands: Vec<&'d Foreign>,
}

/// The commands of the dossier.
pub fn write(dossier: &Dossier, paper: &mut Paper<'_>) -> Result<()> {
    let cures = cures(dossier);
    let said: HashSet<&Foreign> = cures.iter().flat_map(|cure| &cure.commands).copied().collect();
    let mut left = MOST;
    for cure in &cures {
        let commands = together(cure.commands.iter().copied());
        if left == 0 {
            continue;
        }
        paper.paragraph(2, 4, &Text::new().field(PLAIN, &heading(cure)))?;
        for (_, line) in sandboxes_of(cure.findings.iter().copied(), false) {
            paper.paragraph(4, 4, &line)?;
        }
        // A release asks once more before it writes.
        let is_asked = cure.commands.iter().all(|command| asks_again(command) || shows_only(command));
        if !is_asked && cure.findings.iter().any(|finding| sandbox::told(finding).next().is_some()) {
            paper.paragraph(4, 4, &Text::new().field(PLAIN, ONLY_THEN))?;
        }
        for command in commands.iter().take(left) {
            paper.paragraph(4, 4, &Text::new().whole(COMMAND, &Foreign::from(command.as_str()).shown()))?;
        }
        left = left.saturating_sub(commands.len());
    }
    let all: usize = cures.iter().map(|cure| together(cure.commands.iter().copied()).len()).sum();
    if let Some(more @ 1..) = all.checked_sub(MOST) {
        let more = format!("… {} more commands, -o json shows all", grouped(more as u64));
        paper.paragraph(2, 4, &Text::new().field(DIM, &more))?;
    }
    let looks: Vec<&Foreign> = dossier.next.iter().filter(|command| !said.contains(command)).collect();
    let indent = if cures.is_empty() { 2 } else { 4 };
    if !cures.is_empty() && !looks.is_empty() {
        paper.paragraph(2, 4, &Text::new().field(PLAIN, "to see more:"))?;
    }
    looks.iter().try_for_each(|c| paper.paragraph(indent, 4, &Text::new().whole(COMMAND, &c.shown())))
}

/// `IPA501: when no sandbox of it is left on the node, delete the endpoint`
fn heading(cure: &Steps<'_>) -> String {
    let name = crate::checks::name(cure.code);
    match cure.advice.is_empty() {
        true => format!("{} {name}:", cure.code),
        false => format!("{}: {}", cure.code, short_ids(&cure.advice.shown())),
    }
}

/// What repairs, each command once, where the worst finding says it. Of a finding that says to look first the look as well.
fn cures(dossier: &Dossier) -> Vec<Steps<'_>> {
    let told: HashSet<&Foreign> = dossier.next.iter().collect();
    let mut seen = HashSet::new();
    let mut cures: Vec<Steps<'_>> = Vec::new();
    for finding in &dossier.findings {
        let looks_first = finding.next.first().is_some_and(shows_only);
        let is_wanted = |command: &&Foreign| looks_first || !shows_only(command);
        let own: Vec<&Foreign> =
            finding.next.iter().filter(|c| told.contains(c) && !seen.contains(c)).filter(is_wanted).collect();
        if own.iter().all(|command| shows_only(command)) {
            continue;
        }
        seen.extend(own.iter().copied());
        let same = cures.iter_mut().find(|cure| cure.code == finding.code && *cure.advice == finding.advice);
        match same {
            Some(cure) => {
                cure.findings.push(finding);
                cure.commands.extend(own);
            }
            None => cures.push(Steps {
                code: finding.code,
                advice: &finding.advice,
                findings: vec![finding],
                commands: own,
            }),
        }
    }
    cures
}
