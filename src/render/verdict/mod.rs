//! The first words of an audit, the same for every format: where we are blind, then the worst thing that was found, whom
//! it hits and what to do; or that all is well.
//!
//! Blind is never calm: whatever could not be read is said before anything else, each cause once and with its cure.

mod blind;
mod sentence;
#[cfg(test)]
mod tests;
mod worst;

pub use sentence::{Sentence, Tone};
pub use worst::first_things_first;

use sentence::listed;

use crate::checks::few;

use super::folds::Folds;
use super::number::grouped;
use super::view::AuditView;

/// The verdict, at least one sentence, in the order in which it is told.
pub fn verdict(view: &AuditView<'_>) -> Vec<Sentence> {
    let folds = Folds::of(&view.findings, false);
    let mut sentences: Vec<Sentence> = blind::sentence(view, &folds).into_iter().collect();
    sentences.extend(worst::sentences(view, &folds, !sentences.is_empty()));
    if sentences.is_empty() {
        sentences.push(calm(view));
    }
    sentences
}

/// Nothing was found, and everything was read.
fn calm(view: &AuditView<'_>) -> Sentence {
    let text = if !view.narrow.is_all() {
        let flags = view.narrow.flags().join(" ");
        let others = match view.hidden {
            0 => "nothing else was found either".to_owned(),
            1 => "1 other finding is outside this view".to_owned(),
            many => format!("{} other findings are outside this view", grouped(many as u64)),
        };
        format!("Nothing found with {flags} ({others}).")
    } else if view.ignored > 0 {
        format!("Nothing found that is not ignored ({} ignored: {}).", view.ignored, few(&view.ignored_by, " "))
    } else {
        format!("Nothing wrong: {} checks found nothing in {}.", view.checks_run, read(view))
    };
    Sentence { tone: Tone::Well, text: text.into(), command: None }
}

/// `17 blocks, 54 handles, 34 endpoints and 35 live pods`.
fn read(view: &AuditView<'_>) -> String {
    let c = &view.counts;
    let counts = [(c.blocks, "block"), (c.handles, "handle"), (c.endpoints, "endpoint"), (c.pods, "live pod")];
    let words = counts.into_iter().filter_map(|(number, one)| {
        let number = number?;
        Some(format!("{} {one}{}", grouped(number), if number == 1 { "" } else { "s" }))
    });
    listed(&words.collect::<Vec<_>>())
}
