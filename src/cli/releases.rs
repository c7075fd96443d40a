//! What an audit may advise of releases, in the words of its output.

use crate::judge::advised::{Advice, Advised};
use crate::plan::refusal::Objection;
use crate::render::Releases;
use crate::render::release::words;

/// Of leaks.
pub fn of_leaks(advice: &Advice) -> Releases {
    match &advice.of_leaks {
        Advised::Closed(first) if first.objection == Objection::FilesAgain => {
            Releases::FromFiles(words::refusal(first))
        }
        Advised::Closed(first) => Releases::Closed(words::refusal(first)),
        Advised::NotMany(first) => Releases::NotMany(words::refusal(first)),
        Advised::Early { again } => Releases::Early { again: *again },
        Advised::Open { known_for } => Releases::open(*known_for),
    }
}
