//! What is advised of many findings that are not advised alike: each advice once, how many it is for and the first of them.

use std::io::Result;

use super::line::HANG;
use super::paper::{DIM, PLAIN, Paper, Text, fitting, short_ids};
use crate::checks::forbids_release;
use crate::model::hash::{HashMap, HashSet};
use crate::model::{Finding, Foreign, KeptFinding};
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

/// What is advised of `rest` in other words than of those that are `told` in full: one of each kind stands for all that differ
/// from it in names and numbers alone. `own`: what is advised of one, without what was said of all.
pub fn others(
    rest: &[&KeptFinding],
    told: &[&KeptFinding],
    own: impl Fn(&Finding) -> Foreign,
    paper: &mut Paper<'_>,
) -> Result<()> {
    let mut known: HashSet<String> =
        told.iter().map(|finding| finding.open()).map(|f| words_of(&f, &own(&f))).collect();
    known.insert(String::new());
    let mut kinds: Vec<(String, Foreign, Vec<&KeptFinding>)> = Vec::new();
    for &finding in rest {
        let opened = finding.open();
        let advice = own(&opened);
        let words = words_of(&opened, &advice);
        match kinds.iter_mut().find(|(kind, ..)| *kind == words) {
            Some((_, _, findings)) => findings.push(finding),
            None if known.contains(&words) => {}
            None => kinds.push((words, advice, vec![finding])),
        }
    }
    for (_, advice, findings) in kinds.iter().take(ADVICES) {
        let number = grouped(findings.len() as u64);
        let like = if findings.iter().all(|finding| own(&finding.open()) == *advice) { "" } else { " like this" };
        let text = format!("{number}{like}: {}", short_ids(&advice.shown()));
        paper.paragraph(HANG, HANG + 2, &Text::new().field(PLAIN, &text))?;
        paper.paragraph(HANG + 2, HANG + 2, &subjects(findings, FIRST, LINES, paper.width, HANG + 2))?;
    }
    and_more(kinds.iter().skip(ADVICES).map(|(_, _, findings)| findings.len()).sum(), paper)
}

/// An advice without what is the finding's own: names and numbers.
fn words_of(finding: &Finding, advice: &Foreign) -> String {
    let evidence = &finding.evidence;
    let own = evidence.texts("restart").chain(evidence.text("keep")).chain(&finding.node).chain([&finding.subject.id]);
    let mut own: Vec<_> = own.map(Foreign::shown).filter(|name| !name.is_empty()).collect();
    // A name may be a part of another one.
    own.sort_unstable_by_key(|name| std::cmp::Reverse(name.len()));
    let mut words = advice.shown().into_owned();
    own.iter().for_each(|name| words = words.replace(name.as_ref(), "_"));
    words.retain(|c| !c.is_ascii_digit());
    words
}

fn and_more(number: usize, paper: &mut Paper<'_>) -> Result<()> {
    if number == 0 {
        return Ok(());
    }
    let text = format!("… {} more with an advice of their own; all with --all", grouped(number as u64));
    paper.paragraph(HANG, HANG + 2, &Text::new().field(DIM, &text))
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
    and_more(all.iter().skip(ADVICES).map(|advised| advised.findings.len()).sum(), paper)?;
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
