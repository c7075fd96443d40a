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
pub mod datastore;
pub mod endpoints;
pub mod evidence;
mod fold;
pub mod handles;
mod holders;
mod order;
mod steady;
#[cfg(test)]
pub mod testing;
mod ties;

use std::collections::HashSet;
use std::sync::LazyLock;

use crate::ledger::{Ledger, Pairing};
use crate::model::{Code, Finding, Input, Needs, Past, Severity, Snapshot, SubjectKind};

pub use fold::Causes;
pub use order::natural;
pub use steady::Steady;
pub use ties::{Judges, Shown, Ties};

/// The manual of one check, in the sections that every check has.
#[derive(Clone, Copy, Debug)]
pub struct Docs {
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
}

/// One check.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    pub code: Code,
    pub name: &'static str,
    /// Its usual severity; a finding may be better or worse where the manual says so.
    pub severity: Severity,
    /// Without these inputs the check is skipped, and said to be skipped.
    pub needs: Needs,
    /// Whether a finding must be seen to hold twice (S), and why.
    pub steady: Steady,
    pub subject: SubjectKind,
    pub docs: Docs,
    /// What others must know of it.
    pub ties: Ties,
    pub run: fn(&World<'_>, &mut Vec<Finding>),
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
    pub snapshot: &'a Snapshot,
    pub ledger: &'a Ledger<'a>,
    /// `None` without a history.
    pub past: Option<&'a Past>,
}

/// Its title, and its checks by code.
pub type Family = (&'static str, &'static [&'static Check]);

/// The families, by code.
pub static FAMILIES: [&Family; 7] = [
    &addresses::FAMILY,
    &handles::FAMILY,
    &blocks::FAMILY,
    &affinities::FAMILY,
    &endpoints::FAMILY,
    &capacity::FAMILY,
    &datastore::FAMILY,
];

/// Every check, by code.
pub static ALL: LazyLock<Vec<&'static Check>> =
    LazyLock::new(|| FAMILIES.iter().flat_map(|(_, checks)| checks.iter().copied()).collect());

/// Reads a code as people write it: `IPA101`, `ipa101`.
///
/// # Errors
/// Anything else; in words, with an example.
pub fn code(text: &str) -> Result<Code, String> {
    let example = addresses::duplicate_pod_address::CHECK.code;
    text.parse().map_err(|e| format!("{e}; codes look like {example}"))
}

/// The check of this code.
pub fn find(code: Code) -> Option<&'static Check> {
    let at = ALL.binary_search_by_key(&code, |check| check.code).ok()?;
    ALL.get(at).copied()
}

/// A check that could not run, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Skipped {
    pub code: Code,
    pub reason: String,
    /// Whether silence here means that the audit is incomplete (exit 3); a missing past does not, nor what files and
    /// older captures rightly do not hold.
    pub incomplete: bool,
}

/// Why a check that compares with the past did not run at a first audit.
pub const NO_EARLIER_AUDIT: &str = "no earlier audit";
/// Why the check of etcd's own status did not run on a file or an older capture.
pub const NO_STATUS: &str = "etcd-status: not asked";

/// What all checks together say.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Worst first, then by code, then by subject in natural order.
    pub findings: Vec<Finding>,
    pub skipped: Vec<Skipped>,
}

/// Runs every check that has its inputs, folds and sorts.
pub fn run(world: &World<'_>) -> Outcome {
    run_these(world, &ALL)
}

/// The same with a chosen list.
pub fn run_these(world: &World<'_>, checks: &[&'static Check]) -> Outcome {
    let mut outcome = Outcome::default();
    for check in checks {
        match obstacle(check, world) {
            Some(skipped) => outcome.skipped.push(skipped),
            None => (check.run)(world, &mut outcome.findings),
        }
    }
    datastore::datastore_locked::put_first(world, &mut outcome.findings);
    refold(&mut outcome.findings);
    keep_the_worst(&mut outcome.findings);
    outcome
}

/// One subject, one finding of a code: overlapping blocks can speak of an address twice, and not with the same severity,
/// so these need not stand side by side. Sorted, the first one is the worst.
fn keep_the_worst(findings: &mut Vec<Finding>) {
    let mut seen = HashSet::with_capacity(findings.len());
    let first: Vec<bool> = findings.iter().map(|f| seen.insert((f.code, &f.subject))).collect();
    if first.contains(&false) {
        let mut first = first.into_iter();
        findings.retain(|_| first.next().unwrap_or(true));
    }
}

/// Ties findings to their roots again and sorts, after some of them were dropped or changed.
pub fn refold(findings: &mut [Finding]) {
    fold::fold(findings);
    order::sort(findings);
}

/// Why a check cannot run, if it cannot.
pub(crate) fn obstacle(check: &Check, world: &World<'_>) -> Option<Skipped> {
    let coverage = &world.snapshot.coverage;
    let skip = |reason: String, incomplete| Some(Skipped { code: check.code, reason, incomplete });
    for input in check.needs.inputs() {
        if input == Input::History {
            if world.past.is_none_or(|past| past.audits == 0) {
                return skip(NO_EARLIER_AUDIT.to_owned(), false);
            }
        } else if coverage.is_rightly_absent(input) {
            return skip(NO_STATUS.to_owned(), false);
        } else if !coverage.complete(input) {
            let detail = coverage.detail(input);
            let why = if detail.is_empty() { coverage.state(input).word() } else { detail };
            return skip(format!("{}: {why}", input.word()), true);
        }
    }
    if check.ties.judges == Judges::OnlyOurs && !world.ledger.scope.known {
        return skip("nobody knows whose a node is: nodes could not be read".to_owned(), true);
    }
    if check.wants_pair() {
        return match &world.ledger.pairing {
            Pairing::Paired(_) => None,
            Pairing::Mismatch(why) => skip(format!("API server and datastore do not belong together: {why}"), true),
            Pairing::Unknown(why) => {
                skip(format!("unknown whether API server and datastore belong together: {why}"), true)
            }
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::testing::Cluster;
    use super::*;
    use crate::ledger::Grade;
    use crate::model::InputState;

    #[test]
    fn without_kubernetes_nodes_nobody_is_ours_and_what_judges_by_node_says_so() {
        let mut cluster = Cluster::healthy();
        cluster.snapshot.coverage.set(Input::KubeNodes, InputState::Forbidden, "nodes is forbidden");
        cluster.snapshot.kube_nodes.clear();
        cluster.snapshot.sort();
        let ledger = Ledger::build(&cluster.snapshot, cluster.scope, None);
        let outcome = run(&World { snapshot: &cluster.snapshot, ledger: &ledger, past: None });
        let skipped: Vec<u16> = outcome.skipped.iter().filter(|s| s.incomplete).map(|s| s.code.0).collect();
        let by_node = ALL.iter().filter(|check| check.ties.judges == Judges::OnlyOurs).map(|check| check.code.0);
        assert!(by_node.into_iter().all(|code| skipped.contains(&code)), "{skipped:?}");
        assert!(outcome.findings.is_empty(), "{:?}", outcome.findings);
    }

    /// An audit that says a thing of one subject twice could not be recorded.
    #[test]
    fn overlapping_blocks_say_a_thing_of_an_address_once_and_as_bad_as_it_is() {
        let mut c = Cluster::healthy();
        c.snapshot.ipam_config.strict_affinity = true;
        let old = c.pod_attribute("k8s-pod-network.a", "shop", "old-0", "node-2");
        let mut new = c.pod_attribute("k8s-pod-network.b", "shop", "new-0", "node-2");
        new.owner.timestamp = Some(c.ago(60));
        c.allocate("10.65.0.5", new.clone());
        c.allocate("10.65.0.9", old.clone());
        // The same two addresses in a smaller block, the other way round: made before strict affinity, and after it.
        c.block("10.65.0.0/28", Some("node-1"));
        c.snapshot.blocks.rotate_right(1);
        c.allocate("10.65.0.5", old);
        c.allocate("10.65.0.9", new);
        let seen_on = c.ago(1_800);
        c.remember().strict_affinity_since = Some(seen_on);
        c.snapshot.sort();
        let ledger = Ledger::build(&c.snapshot, c.scope, c.past.as_ref());
        let outcome = run(&World { snapshot: &c.snapshot, ledger: &ledger, past: c.past.as_ref() });
        let borrowed: Vec<_> = outcome.findings.iter().filter(|f| f.code == Code(407)).collect();
        let said: Vec<_> = borrowed.iter().map(|f| (f.subject.id.as_str(), f.severity)).collect();
        assert_eq!(said, [("10.65.0.5", Severity::Error), ("10.65.0.9", Severity::Error)]);
    }

    #[test]
    fn the_healthy_cluster_is_paired_exclusive_and_certain() {
        let mut cluster = Cluster::healthy();
        cluster.snapshot.sort();
        let ledger = Ledger::build(&cluster.snapshot, cluster.scope, None);
        assert!(ledger.pairing.holds() && ledger.scope.exclusive);
        let claims: Vec<_> = ledger.claims.iter().map(|c| (c.address.to_string(), c.grade)).collect();
        assert_eq!(claims.len(), 2 + 4 * 2, "{claims:?}");
        assert!(claims.iter().all(|(_, grade)| *grade == Grade::Certain), "{claims:?}");
        assert_eq!(ledger.allocations.len(), 6);
    }
}
