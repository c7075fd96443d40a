//! What is advised of many findings that are not advised alike: each advice once, how many it is for and the first of them.

use std::io::Result;

use super::line::HANG;
use super::paper::{DIM, PLAIN, Paper, Text, fitting, short_ids};
use crate::checks::forbids_release;
use crate::model::hash::HashMap;
use crate::model::{Foreign, KeptFinding};
use crate::render::number::grouped;

/// So many advices are told, each with so many subjects on so many lines at most.
const ADVICES: usize = 4;
const FIRST: usize = 6;
const LINES: usize = 2;

/// The findings of one advice.
struct OfOneAdvice<'f> {
    advice: Foreign,
    findings: Vec<&'f KeptFinding>,
    forbids_release: bool,
}

/// The different advices: first what must not be released, then in their order; what has none comes last.
fn different<'f>(findings: &[&'f KeptFinding]) -> Vec<OfOneAdvice<'f>> {
    let mut all: Vec<OfOneAdvice<'f>> = Vec::new();
    let mut places: HashMap<Foreign, usize> = HashMap::default();
    for &finding in findings {
        let told = finding.open();
        let forbids_release = forbids_release(&told);
        let place = *places.entry(told.advice.clone()).or_insert(all.len());
        match all.get_mut(place) {
            Some(advised) => {
                advised.findings.push(finding);
                advised.forbids_release |= forbids_release;
            }
            None => all.push(OfOneAdvice { advice: told.advice, findings: vec![finding], forbids_release }),
        }
    }
    let rank = |advised: &OfOneAdvice<'_>| (!advised.forbids_release, advised.advice.is_empty());
    all.sort_by_key(rank);
    all
}

/// Tells them. Comes back what was told, so that nothing else says it again.
pub fn write(findings: &[&KeptFinding], paper: &mut Paper<'_>) -> Result<Vec<Foreign>> {
    let all = different(findings);
    for advised in all.iter().take(ADVICES) {
        let number = grouped(advised.findings.len() as u64);
        let text = match advised.advice.is_empty() {
            true => Text::new().field(PLAIN, &format!("{number} more:")),
            false => Text::new().field(PLAIN, &format!("{number}: {}", short_ids(&advised.advice.shown()))),
        };
        paper.paragraph(HANG, HANG + 2, &text)?;
        paper.paragraph(HANG + 2, HANG + 2, &subjects(&advised.findings, FIRST, LINES, paper.width, HANG + 2))?;
    }
    let rest = all.get(ADVICES..).unwrap_or_default();
    if !rest.is_empty() {
        let number: usize = rest.iter().map(|advised| advised.findings.len()).sum();
        let text = format!("… {} more with an advice of their own; all with --all", grouped(number as u64));
        paper.paragraph(HANG, HANG + 2, &Text::new().field(DIM, &text))?;
    }
    Ok(all.into_iter().take(ADVICES).map(|advised| advised.advice).collect())
}

/// `10.65.3.7  10.65.3.9  … 61 more`: at most so many, on so many lines.
pub fn subjects(findings: &[&KeptFinding], most: usize, lines: usize, width: usize, hang: usize) -> Text {
    let ids = || findings.iter().take(most).map(|f| short_ids(&f.subject.id.shown()));
    let number = fitting(ids(), width, hang, lines).max(1);
    let text = ids().take(number).fold(Text::new(), |text, id| text.whole(PLAIN, &id));
    if number == findings.len() {
        return text;
    }
    text.whole(DIM, &format!("… {} more", grouped((findings.len() - number) as u64)))
}
