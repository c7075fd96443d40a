//! The checks: one row of the catalogue, one file.
//!
//! Each file holds a `CHECK` with all that anybody must know of it, its manual in fixed sections, the function that
//! finds it, and its tests. Nobody else knows a code's number (`tests/codes.rs`). Its family's list declares the file,
//! so what is compiled runs; `explain`, `docs/checks.md` and JSON read the same lists.

/// Declares the checks of a family, by code, and lists them. `cargo fmt` does not follow `mod` into a macro; `make fmt`
/// names these files.
macro_rules! family {
    ($title:literal $(pub mod $check:ident;)+) => {
        $(pub mod $check;)+

        /// What is listed here.
        pub static FAMILY: crate::checks::Family = ($title, &[$(&$check::CHECK),+]);
    };
}

pub mod addresses;
pub mod affinities;
pub mod blocks;
pub mod capacity;
mod catalogue;
mod causes;
pub mod datastore;
pub mod endpoints;
pub mod evidence;
mod explained;
mod fold;
pub mod handles;
mod holders;
pub mod node;
mod order;
mod prelude;
mod run;
mod several;
mod sink;
mod stamps;
mod steady;
#[cfg(test)]
pub mod testing;
mod ties;
mod worst;

use crate::ledger::{Ledger, Pairing};
use crate::model::foreign::foreign;
use crate::model::{Code, Finding, Foreign, Input, KeptFinding, Needs, Past, Severity, Snapshot, SubjectKind};

pub use catalogue::{
    ALL, FAMILIES, code, find, held_words, is_kept_leak, is_leak, is_leak_told, leaks, meant, name, nearest, one, page,
    proves_leak,
};
pub use causes::Causes;
pub use explained::leave_to_causes;
pub use holders::forbids_release;
pub use order::{by_subject, natural};
pub use run::{refold, run, run_these, stamps_of};
pub use several::{counted_few, few};
pub use sink::FindingSink;
pub use stamps::Stamps;
pub use steady::Steady;
pub use ties::{Harm, Judges, Shown, Ties};
pub use worst::{may_be_noise, stopping, stops_everything, worst_first};

/// One check; its manual is the five sections from `finds` to `silent`.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Never changes its meaning, and is never given again.
    pub code: Code,
    /// Words and hyphens; unique.
    pub name: &'static str,
    /// Its usual severity; a finding may be better or worse where the manual says so.
    pub severity: Severity,
    /// Without these inputs the check is skipped, and said to be skipped.
    pub needs: Needs,
    /// Whether a finding must be seen to hold twice (S), and why.
    pub steady: Steady,
    /// What each of its findings is about.
    pub subject: SubjectKind,
    /// What it finds.
    pub finds: &'static str,
    /// Why it matters.
    pub matters: &'static str,
    /// How it comes about.
    pub arises: &'static str,
    /// What to do.
    pub action: &'static str,
    /// When it is not reported.
    pub silent: &'static str,
    /// What others must know of it.
    pub ties: Ties,
    /// Adds its findings, in any order and unfolded; called only when `needs` were read.
    pub run: fn(&World<'_>, &mut FindingSink),
}

impl Check {
    /// Whether findings of this check count only when they stand a second look.
    pub const fn is_steady(&self) -> bool {
        self.steady.is_steady()
    }

    /// All inputs without which it may say less: its needs, whose a node is, and what else it looks at.
    pub const fn looks_at(&self) -> Needs {
        let whose = match self.ties.judges {
            Judges::Ours | Judges::OnlyOurs => Needs::N.and(Needs::K),
            Judges::Anybodys | Judges::Pairing => Needs::NONE,
        };
        self.needs.and(whose).and(self.ties.also)
    }

    /// Whether it judges only what belongs to a cluster that this datastore is known to be of.
    fn wants_pair(&self) -> bool {
        let of_kubernetes = self.needs.has_any(Needs::P.and(Needs::K).and(Needs::S));
        self.ties.judges == Judges::OnlyOurs || of_kubernetes && self.ties.judges != Judges::Pairing
    }
}

/// What a check may look at.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    /// Of one moment; "now" is its field.
    pub snapshot: &'a Snapshot,
    /// Of this very snapshot.
    pub ledger: &'a Ledger<'a>,
    /// `None` without a history.
    pub past: Option<&'a Past>,
}

/// Its title, and its checks by code.
pub type Family = (&'static str, &'static [&'static Check]);

/// A check that could not run, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Skipped {
    pub code: Code,
    /// One line for people: the input and what became of it.
    pub reason: Foreign,
    /// Whether silence here means that the audit is incomplete (exit 3); a missing past does not, nor what files and
    /// older captures rightly do not hold.
    pub incomplete: bool,
}

/// Why a check that compares with the past did not run at a first audit.
pub const NO_EARLIER_AUDIT: &str = "no earlier audit";
/// Why the check of etcd's own status did not run on a file or an older capture.
pub const NO_STATUS: &str = "etcd-status: not asked";

/// Why the checks of nodes did not run where nobody gave evidence of any.
pub const NO_NODES: &str = "node-evidence: not asked";

/// What all checks together say.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Worst first, then by code, then by subject in natural order.
    pub findings: Vec<KeptFinding>,
    /// By code; what was skipped has found nothing.
    pub skipped: Vec<Skipped>,
    /// Those that nobody asked for: of nodes, without evidence of any. They are told to nobody but the history.
    pub unasked: Vec<Skipped>,
}

impl Outcome {
    /// Each finding with all that it tells; nobody who has many holds them all so.
    pub fn opened(&self) -> impl Iterator<Item = Finding> {
        self.findings.iter().map(KeptFinding::open)
    }

    /// Every check that did not run.
    pub fn not_run(&self) -> impl Iterator<Item = &Skipped> {
        self.skipped.iter().chain(&self.unasked)
    }
}

/// Why a check cannot run, if it cannot.
pub(crate) fn obstacle(check: &Check, world: &World<'_>) -> Option<Skipped> {
    let coverage = &world.snapshot.coverage;
    let skip = |reason: &str, incomplete| Some(Skipped { code: check.code, reason: reason.into(), incomplete });
    // Whatever else is missing: nobody asked for it.
    if check.needs.has(Needs::E) && coverage.is_rightly_absent(Input::NodeEvidence) {
        return skip(NO_NODES, false);
    }
    // What counts of each node, and what does not, is told of it by its own finding.
    let has_nodes = !world.snapshot.nodes_seen.nodes.is_empty();
    for input in check.needs.inputs() {
        if input == Input::History {
            if world.past.is_none_or(|past| past.audits == 0) {
                return skip(NO_EARLIER_AUDIT, false);
            }
        } else if coverage.is_rightly_absent(input) {
            return skip(NO_STATUS, false);
        } else if !coverage.complete(input) && (input != Input::NodeEvidence || !has_nodes) {
            let reason = foreign!("{}: {}", input.word(), coverage.why(input));
            return Some(Skipped { code: check.code, reason, incomplete: true });
        }
    }
    if check.ties.judges == Judges::OnlyOurs && !world.ledger.scope.known {
        return skip("nobody knows whose a node is: nodes could not be read", true);
    }
    if check.wants_pair() {
        return match &world.ledger.pairing {
            Pairing::Paired(_) => None,
            Pairing::Mismatch(why) => skip(&format!("API server and datastore do not belong together: {why}"), true),
            Pairing::Unknown(why) => {
                skip(&format!("unknown whether API server and datastore belong together: {why}"), true)
            }
        };
    }
    None
}
